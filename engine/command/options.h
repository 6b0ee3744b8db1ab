/*
 * options.h - the words before the script.
 */
#ifndef FRI_OPTIONS_H
#define FRI_OPTIONS_H

#include "report/report.h"
#include "report/seeing.h"

enum { FRI_FILES = 32 /* reports, traces and logs of one run */ };

enum fri_when { FRI_AUTO, FRI_ALWAYS, FRI_NEVER_COLOR };

struct fri_options {
    int workers;   /* 0: usable CPUs */
    int pool_kind; /* frun_kind, -1: not said */
    uint64_t seed;
    bool seed_given;
    double timeout; /* 0: none */
    const char *halt; /* NULL: never */
    enum fri_when color;
    enum fri_progress_mode progress;
    bool progress_given;
    struct fri_see_file files[FRI_FILES];
    size_t file_count;
    const char *completion; /* a shell's name; the rest was not read */
    const char *journal; /* NULL: none */
    bool dry_run;
    bool quiet, verbose;
    bool help, version; /* the rest was not read */
    int script;         /* its place in argv */
};

/* False when they are wrong, with one line about it in `wrong`. */
bool fri_options_read(struct fri_options *o, int argc, char **argv,
                      struct fri_buffer *wrong);

/* What stands in the table, one after another; false: no more. */
struct fri_option_text {
    char letter;      /* or 0 */
    const char *name, *value, *help; /* value NULL: takes none */
};
bool fri_options_text(size_t i, struct fri_option_text *text);

/* The text of --completion for that shell; false: it is not known. */
bool fri_options_completion(const char *shell, struct fri_buffer *out);

/* The text of --help. */
void fri_options_help(struct fri_buffer *out);

/* ---- the files of its end (files.c) ----------------------------------- */

enum { FRI_FILES_USAGE = 2, FRI_FILES_UNWRITABLE = 3 };

/* 0, or the exit status, with one line about it in `wrong`. */
int fri_files_check(const struct fri_options *o, const char *script,
                    struct fri_buffer *wrong);

#endif
