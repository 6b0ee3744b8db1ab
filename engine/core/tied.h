/*
 * tied.h - what an attempt has started outside of its worker, and which must
 * have ended before the attempt does: the processes of its commands.
 *
 * Rules.  All under the engine's lock.
 *  1. When the attempt is told to stop, so is all that is tied to it.
 *  2. An attempt that comes to its end while something is tied to it tells
 *     that to stop; its outcome waits, and the task still runs, until the last
 *     has gone.  A range is not over before.
 *  3. So a task outlives all that was tied to it.
 */
#ifndef FRI_TIED_H
#define FRI_TIED_H

#include "core/task.h"

struct fri_tied {
    struct fri_tied *next, **link; /* in extra->tied; link NULL: not there */
    struct frun_future *task;
    /* It is to end soon; more than once perhaps.  Must not call back. */
    void (*stop)(struct fri_tied *tied, frun_status why);
    bool held; /* the attempt has ended, and this is what it came to: */
    struct fri_data outcome;
    fri_time at;
};

/* `stop` is set.  False: out of memory. */
bool fri_tied_add(struct frun_future *task, struct fri_tied *tied);

/* It has gone: the last of an attempt that has ended finishes that.  One that
 * is not there is left alone. */
void fri_tied_gone(struct fri_tied *tied);

static inline bool fri_tied_has(const struct frun_future *task)
{
    return task->extra && task->extra->tied;
}

/* Tells all of the task's to stop. */
void fri_tied_stop(struct frun_future *task, frun_status why);

/* For fri_sched_finish: keeps the outcome (taken) until the last has gone. */
void fri_tied_hold(struct frun_future *task, struct fri_data *outcome,
                   fri_time now);

#endif
