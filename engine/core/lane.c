/*
 * lane.c - the scheduler's part of a pool: opening, cancelling, breaking.
 */
#include "core/settle.h"

#include <string.h>

void fri_lane_init(struct fri_lane *lane, struct fri_sched *s,
                   const struct fri_lane_hooks *hooks, unsigned workers)
{
    memset(lane, 0, sizeof *lane);
    lane->sched = s;
    lane->hooks = hooks;
    lane->workers = workers;
    lane->last = &lane->first;
}

void fri_lane_free(struct fri_lane *lane)
{
    fri_free(lane->sched->memory, lane->heap.tasks);
    fri_error_free(lane->why);
}

void fri_lane_measure(struct fri_lane *lane, fri_time took)
{
    fri_time most = UINT32_MAX / 8;
    uint64_t ns = (uint64_t)(took < 0 || took > most ? most : took) + 1;
    uint64_t mean = lane->task_ns;

    lane->task_ns = (uint32_t)(mean ? (7 * mean + ns) / 8 : ns);
}

/* Takes the best out of the queue; true when it is not final yet. */
static bool drop_best(struct fri_lane *lane, struct frun_future *best)
{
    fri_lane_pop(lane, best);
    best->queued = 0;
    if (!fri_is_final(best))
        return true;
    fri_future_unref(best);
    return false;
}

void fri_lane_purge(struct fri_lane *lane)
{
    struct frun_future *best;

    while ((best = fri_lane_best(lane)) != NULL && fri_is_final(best))
        drop_best(lane, best);
}

static void unlink_after(struct frun_future *task)
{
    struct fri_extra *x = task->extra;

    for (uint32_t i = 0; x && i < x->after_count; i++)
        fri_waiter_remove(&x->after[i]);
}

static void cancel(struct frun_future *task)
{
    fri_sched_cancel(task, NULL);
}

/* What waits for another is cut loose first, or it would fail with kind
 * dependency instead of being cancelled itself. */
void fri_lane_cancel(struct fri_lane *lane)
{
    fri_sched_enter(lane->sched);
    fri_lane_each(lane, unlink_after);
    fri_lane_each(lane, cancel);
    fri_lane_purge(lane);
    fri_sched_leave(lane->sched);
}

struct fri_error *fri_lane_broken_error(const struct fri_lane *lane)
{
    const struct fri_error *why = lane->why;

    if (!why)
        return NULL;
    return fri_error_new(lane->sched->memory, why->public.status, why->message,
                         why->traceback, why->cause);
}

/* Empties the queue; what waits elsewhere fails when it becomes ready, and
 * what is tried again, too. */
static void fail_all(struct fri_lane *lane, struct fri_error *error)
{
    struct frun_future *best;

    fri_error_free(lane->why);
    lane->why = error;
    lane->broken = true;
    while ((best = fri_lane_best(lane)) != NULL)
        if (drop_best(lane, best))
            fri_sched_fail(best, FRI_FAILED, fri_lane_broken_error(lane));
}

void fri_lane_break(struct fri_lane *lane, struct fri_error *error)
{
    if (lane->broken)
        fri_error_free(error);
    else
        fail_all(lane, error);
}

void fri_lane_fail(struct fri_lane *lane, struct fri_error *error)
{
    if (lane->broken) {
        fri_error_free(error);
        return;
    }
    fail_all(lane, error);
    lane->broken = false;
    lane->failed_once = true;
}
