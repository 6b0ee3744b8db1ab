/*
 * failures.h - what the first tasks that failed were called with, for the
 * last words of a run: until then nobody knows which of them is looked at.
 */
#ifndef FRI_FAILURES_H
#define FRI_FAILURES_H

#include "core/engine.h"

enum { FRI_FAILURES = 32 /* of which it is kept */ };

struct fri_failure {
    uint64_t id;     /* of the task, or the map */
    char *arguments; /* fit for a terminal */
    struct fri_error *error; /* a reference; NULL: not known yet, or memory
                                ran out */
};

struct fri_failures;

struct fri_failures *fri_failures_open(frun_engine *e); /* NULL: no memory */
void fri_failures_close(struct fri_failures *f);        /* takes NULL */

/* Lock held, or the run is over: the arguments of the task that has failed, or
 * of the task with that name and key in its error; NULL: not known. */
const char *fri_failure_of(const struct fri_failures *f, uint64_t id);
const char *fri_failure_named(const struct fri_failures *f, const char *task,
                              const char *key);

#endif
