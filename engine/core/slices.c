/*
 * slices.c - ranges in the scheduler: slices that come back, and the end.
 *
 * Rules.  A range is settled when no slice is out and nothing more will be
 * handed out: all its items are done, or it has ended early.  The first early
 * end counts: a failure after a cancel does not change the outcome, nor the
 * other way round; slices that are out then are stopped.  Items are counted
 * in the lane one by one; those that were never done count as cancelled.
 */
#include "core/settle.h"

#include "core/range.h"
#include "core/tied.h"

static void stop_slices(struct frun_future *task)
{
    struct fri_lane *lane = task->spec->lane;

    if (task->data.range->out > 0 && lane->hooks && lane->hooks->stop)
        lane->hooks->stop(lane, task, FRUN_ECANCELLED);
    fri_tied_stop(task, FRUN_ECANCELLED);
}

static void end_early(struct fri_range *r, enum fri_task_state state,
                      struct fri_error *error)
{
    atomic_store(&r->stop, true); /* before looking for who has a slice */
    if (r->failed || r->cancelled) {
        fri_error_free(error);
        return;
    }
    r->failed = state == FRI_FAILED;
    r->cancelled = !r->failed;
    r->failure = error;
}

void fri_range_withdraw(struct frun_future *task, struct fri_error *error,
                        fri_time now)
{
    end_early(task->data.range, FRI_CANCELLED, error);
    fri_range_check(task, now);
}

void fri_range_end(struct frun_future *task, enum fri_task_state state,
                   struct fri_error *error, fri_time now)
{
    struct fri_range *r = task->data.range;

    end_early(r, state, error);
    if (!r->told) {
        r->told = true;
        stop_slices(task);
    }
    fri_range_check(task, now);
}

void fri_range_check(struct frun_future *task, fri_time now)
{
    struct fri_range *r = task->data.range;
    struct fri_data outcome = { .error = r->failure, .holds = FRI_ERROR };
    uint64_t rest = r->count - r->settled;
    bool early = r->failed || r->cancelled;

    if (r->out > 0 || fri_range_ready(r) || fri_tied_has(task))
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
    struct fri_sched *s = lane->sched;
    uint64_t n = slice->end - slice->first;

    r->out--;
    r->settled += n;
    fri_lane_count(lane, FRI_DONE, n);
    if (s->run)
        fri_halt_count(task, FRI_DONE, n, NULL);
    if (!failed) {
        fri_range_check(task, now);
    } else {
        r->settled++;
        lane->crashed
            += failure && failure->public.status == FRUN_ECRASHED;
        fri_lane_count(lane, FRI_FAILED, 1);
        fri_sched_name_error(task, failure);
        if (s->run)
            fri_halt_count(task, FRI_FAILED, 1, failure);
        fri_range_end(task, FRI_FAILED, failure, now);
    }
    if (s->halting)
        fri_halt_apply(s);
}

static void give_back(const struct fri_slice *slice, bool singly)
{
    struct frun_future *task = slice->task;
    struct fri_lane *lane = task->spec->lane;
    struct fri_range *r = task->data.range;

    if (slice->first == slice->end || atomic_load(&r->stop))
        return;
    if (lane->broken)
        fri_range_end(task, FRI_FAILED, fri_lane_broken_error(lane),
                      fri_sched_now(lane->sched));
    else if (!fri_range_return(r, slice->first, slice->end, singly)
        || (!task->queued && !fri_lane_push(lane, task)))
        fri_range_end(task, FRI_FAILED, NULL, fri_sched_now(lane->sched));
    else if (lane->hooks)
        lane->hooks->ready(lane, 1);
}

void fri_sched_give_back(const struct fri_slice *slice)
{
    give_back(slice, false);
}

void fri_sched_give_back_singly(const struct fri_slice *slice)
{
    give_back(slice, true);
}
