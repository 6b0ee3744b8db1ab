/*
 * options.h - the words before the script.
 */
#ifndef FRI_OPTIONS_H
#define FRI_OPTIONS_H

#include "base/buffer.h"

enum fri_when { FRI_AUTO, FRI_ALWAYS, FRI_NEVER_COLOR };

struct fri_options {
    int workers;   /* 0: usable CPUs */
    int pool_kind; /* frun_kind, -1: not said */
    uint64_t seed;
    bool seed_given;
    double timeout; /* 0: none */
    const char *halt; /* NULL: never */
    enum fri_when color;
    bool quiet, verbose;
    bool help, version; /* the rest was not read */
    int script;         /* its place in argv */
};

/* False when they are wrong, with one line about it in `wrong`. */
bool fri_options_read(struct fri_options *o, int argc, char **argv,
                      struct fri_buffer *wrong);

/* The text of --help. */
void fri_options_help(struct fri_buffer *out);

#endif
