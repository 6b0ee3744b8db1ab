/*
 * halt.h - when the rest of a group of tasks is not wanted any more.
 *
 * A group is the tasks of one scatter or map (their spec has it), or all tasks
 * of the run.  It counts those that are done or have failed for good; once its
 * rule is met it has tripped: what has not begun is cancelled, with the
 * failure as cause; "now" stops what runs, too; and nothing of the group
 * begins later, whether it comes from a retry or is submitted then.
 *
 * Under the engine's lock, but for making, parsing and references.
 */
#ifndef FRI_HALT_H
#define FRI_HALT_H

#include "core/task.h"

struct fri_sched;

/* What fri_halt_parse understands, in words. */
#define FRI_HALT_FORMS                                                        \
    "never, or now or soon with fail, success or done and a count or a "      \
    "percentage, as in now,fail=1 or soon,fail=30%"

struct fri_halt {
    enum fri_halt_on { FRI_HALT_NEVER, FRI_HALT_FAIL, FRI_HALT_SUCCESS,
                       FRI_HALT_DONE } on;
    bool now; /* else soon */
    bool percent;
    double n;
};

/* False: not understood.  Without now or soon it is soon. */
bool fri_halt_parse(const char *text, struct fri_halt *rule);

/* now,fail=1: what a map does anyway. */
bool fri_halt_is_first(const struct fri_halt *rule);

struct fri_group {
    atomic_uint refs;
    const struct fri_memory *memory;
    struct fri_group *next; /* that has tripped, and whose tasks are not
                               stopped yet */
    struct fri_halt rule;
    uint64_t total, done, failed;
    bool tripped;
    bool ending; /* the run's end, and no rule: `text` says why */
    struct fri_error *cause; /* the failure, or NULL */
    char text[];             /* the rule, as it was given */
};

/* One reference; NULL: out of memory.  The rule must have been parsed. */
struct fri_group *fri_group_new(const struct fri_memory *m, const char *text,
                                uint64_t total);
void fri_group_unref(struct fri_group *group); /* takes NULL */

/* `items` of the task ended so; the failure may be NULL. */
void fri_halt_count(struct frun_future *task, enum fri_task_state state,
                    uint64_t items, struct fri_error *failure);

/* The run is to end: nothing more of any pool is begun; what runs goes on,
 * unless `now` is set in the rule of `why` (taken), which is "never" otherwise,
 * its text the reason.  Once. */
void fri_halt_all(struct fri_sched *s, struct fri_group *why);

/* Stops the groups that have tripped; nothing may be half settled. */
void fri_halt_apply(struct fri_sched *s);

/* The group of the task, or the run's, if it has tripped, or its end; else
 * NULL. */
struct fri_group *fri_halted(const struct frun_future *task);

/* Why a task of the group is cancelled; NULL: out of memory. */
struct fri_error *fri_halt_error(const struct fri_group *group);

#endif
