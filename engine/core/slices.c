/*
 * slices.c - ranges in the scheduler: slices that come back, and the end.
 *
 * Rules.  A range is settled when no slice is out and nothing more will be
 * handed out: all its items are done, or it has ended early.  The first early
 * end counts: a failure after a cancel does not change the outcome, nor the
 * other way round.  Items are counted in the lane one by one; those that were
 * never done count as cancelled.
 */
#include "core/settle.h"

#include "core/range.h"

void fri_range_end(struct frun_future *task, enum fri_task_state state,
                   struct fri_error *error, fri_time now)
{
    struct fri_range *r = task->data.range;

    atomic_store_explicit(&r->stop, true, memory_order_relaxed);
    if (r->failed || r->cancelled) {
        fri_error_free(error);
    } else {
        r->failed = state == FRI_FAILED;
        r->cancelled = !r->failed;
        r->failure = error;
    }
    fri_range_check(task, now);
}

void fri_range_check(struct frun_future *task, fri_time now)
{
    struct fri_range *r = task->data.range;
    struct fri_data outcome = { .error = r->failure, .holds = FRI_ERROR };
    uint64_t rest = r->count - r->settled;
    bool early = r->failed || r->cancelled;

    if (r->out > 0 || fri_range_ready(r))
        return;
    task->finished = now;
    if (!early) {
        fri_sched_settle(task, FRI_DONE);
        return;
    }
    fri_lane_count(task->spec->lane, FRI_CANCELLED, rest);
    r->settled = r->count;
    r->failure = NULL;
    fri_sched_settle_with(task, r->failed ? FRI_FAILED : FRI_CANCELLED,
                          &outcome);
}

void fri_sched_finish_slice(const struct fri_slice *slice, bool failed,
                            struct fri_error *failure, fri_time now)
{
    struct frun_future *task = slice->task;
    struct fri_range *r = task->data.range;
    struct fri_lane *lane = task->spec->lane;
    uint64_t n = slice->end - slice->first;

    r->out--;
    r->settled += n;
    fri_lane_count(lane, FRI_DONE, n);
    if (!failed) {
        fri_range_check(task, now);
        return;
    }
    r->settled++;
    fri_lane_count(lane, FRI_FAILED, 1);
    fri_sched_name_error(task, failure);
    fri_range_end(task, FRI_FAILED, failure, now);
}

void fri_sched_give_back(const struct fri_slice *slice)
{
    struct frun_future *task = slice->task;
    struct fri_lane *lane = task->spec->lane;
    struct fri_range *r = task->data.range;

    if (slice->first == slice->end || atomic_load(&r->stop))
        return;
    if (lane->broken)
        fri_range_end(task, FRI_FAILED, fri_lane_broken_error(lane),
                      fri_sched_now(lane->sched));
    else if (!fri_range_return(r, slice->first, slice->end)
        || (!task->queued && !fri_lane_push(lane, task)))
        fri_range_end(task, FRI_FAILED, NULL, fri_sched_now(lane->sched));
    else if (lane->hooks)
        lane->hooks->ready(lane, 1);
}
