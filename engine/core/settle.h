/*
 * settle.h - what the scheduler's own files share: how a task ends.
 */
#ifndef FRI_SETTLE_H
#define FRI_SETTLE_H

#include "core/halt.h"
#include "core/scheduler.h"

void fri_sched_observe(struct fri_sched *s, enum fri_event event,
                       struct frun_future *task, fri_time now);

/* Makes the state final; `data` is in place.  The caller may hold the only
 * other reference: the task may be gone afterwards. */
void fri_sched_settle(struct frun_future *task, enum fri_task_state state);

/* The same with an outcome (taken), an error of it being named. */
void fri_sched_settle_with(struct frun_future *task, enum fri_task_state state,
                           struct fri_data *outcome);

/* Ends what is in no worker's hand, a range too, with an error (taken; NULL:
 * out of memory). */
void fri_sched_fail(struct frun_future *task, enum fri_task_state state,
                    struct fri_error *error);

/* Into the queue of its lane; `tell`: call hooks->ready. */
void fri_sched_ready(struct frun_future *task, bool tell);

/* Names the task in its error, which is still ours alone. */
void fri_sched_name_error(struct frun_future *task, struct fri_error *error);

/* Ends a range (slices.c): no more items are handed out, and it is settled
 * when no slice is out.  Taken; the first end is the one that counts. */
void fri_range_end(struct frun_future *task, enum fri_task_state state,
                   struct fri_error *error, fri_time now);

/* The same as cancelled, but that slices which are out go on with the item
 * that they are at. */
void fri_range_withdraw(struct frun_future *task, struct fri_error *error,
                        fri_time now);

/* Settles the range when no slice is out and nothing more will be. */
void fri_range_check(struct frun_future *task, fri_time now);

/* Items of one task that ended in `state`. */
void fri_lane_count(struct fri_lane *lane, enum fri_task_state state,
                    uint64_t items);

/* retry.c: should the task be tried again?  Starts that, now or later.
 * Stops the timer (NULL: none). */
bool fri_retry_wanted(const struct frun_future *task, frun_status status);
void fri_retry_start(struct frun_future *task, fri_time now);
void fri_retry_stop(struct fri_sched *s, struct fri_retry *retry);

/* attempt.c: the timer is stopped; the next attempt has been asked nothing;
 * asks the one that runs to stop, true: it will be cancelled. */
void fri_attempt_end(struct frun_future *task);
void fri_attempt_reset(struct frun_future *task);
bool fri_attempt_ask(struct frun_future *task);

/* What an attempt that ended with `status` at `now` counts as: keeps or
 * replaces the outcome. */
frun_status fri_attempt_outcome(const struct frun_future *task,
                                struct fri_data *outcome, frun_status status,
                                fri_time now);

/* Around what ends attempts: at the end of the outermost, the lanes that were
 * put off are called. */
void fri_sched_enter(struct fri_sched *s);
void fri_sched_leave(struct fri_sched *s);

/* task.c */
void fri_task_drop_after(struct frun_future *task);
void fri_lane_each(struct fri_lane *lane,
                   void (*fn)(struct frun_future *task));
void fri_group_each(struct fri_sched *s, struct fri_group *group,
                    void (*fn)(struct frun_future *task,
                               struct fri_group *group));
void fri_slabs_free(struct fri_sched *s);

/* All tasks of pools that are not final, `most` records at a time: the lock
 * may be let go between two calls.  False: that was the last of them. */
struct fri_slab;
struct fri_scan {
    struct fri_slab *slab; /* NULL: from the first */
    unsigned at;
    void (*see)(struct fri_scan *scan, struct frun_future *task);
};
bool fri_sched_scan(struct fri_sched *s, struct fri_scan *scan, size_t most);

static inline fri_time fri_sched_now(const struct fri_sched *s)
{
    return s->clock(s->clock_user);
}

#endif
