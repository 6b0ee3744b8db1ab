/*
 * why.h - what why.c and told.c share.
 */
#ifndef FRI_COMMAND_WHY_H
#define FRI_COMMAND_WHY_H

#include "command/show.h"

struct fri_why {
    const char *task;
    struct fri_glance *view;
    struct fri_buffer *out;
    struct fri_buffer label, list;
    bool live;
    int64_t id, run; /* of the last that was meant */
    uint64_t matches, now;
    char wrong[FRI_WHY];
};

/* Tells of the row `id`. */
frun_status fri_why_tell(struct fri_why *w);

#endif
