#include "core/settle.h"

#include "core/journal.h"
#include "core/range.h"
#include "core/resume.h"
#include "core/shared.h"
#include "core/tied.h"

#include <stdio.h>
#include <string.h>

void fri_sched_init(struct fri_sched *s, const struct fri_memory *m,
                    fri_time (*clock)(void *user), void *user)
{
    memset(s, 0, sizeof *s);
    s->memory = m;
    s->clock = clock;
    s->clock_user = user;
    s->epoch = clock(user);
    s->settling_end = &s->settling;
}

void fri_sched_free(struct fri_sched *s)
{
    fri_limits_free(s);
    fri_group_unref(s->run);
    fri_group_unref(s->ending);
    fri_slabs_free(s);
}

fri_time fri_sched_tick(struct fri_sched *s)
{
    return s->timers.first && !s->paused
               ? fri_timers_run(&s->timers, fri_sched_now(s))
               : FRI_NEVER;
}

/* ---- submitting ------------------------------------------------------- */

void fri_sched_ready(struct frun_future *task, bool tell)
{
    struct fri_lane *lane = task->spec->lane;

    if (lane->broken) {
        fri_sched_fail(task, FRI_FAILED, fri_lane_broken_error(lane));
        return;
    }
    if (task->counted && !fri_range_ready(task->data.range)) {
        fri_range_check(task, fri_sched_now(lane->sched)); /* no items */
        return;
    }
    if (task->spec->resume && fri_resume_ready(task))
        return;
    if (lane->sched->dry && lane->hooks && !lane->hidden) {
        atomic_store_explicit(&task->state, FRI_WAITING,
                              memory_order_release);
        return;
    }
    atomic_store_explicit(&task->state, FRI_PENDING, memory_order_release);
    if (!fri_lane_push(lane, task))
        fri_sched_no_memory(task);
    else if (tell && lane->hooks)
        lane->hooks->ready(lane, 1);
}

void fri_sched_again(struct frun_future *task)
{
    task->queued = 0;
    if (fri_is_final(task))
        fri_future_unref(task);
    else
        fri_sched_ready(task, true);
}

static struct fri_error *dependency_error(const struct frun_future *task,
                                          struct frun_future *on)
{
    bool cancelled = fri_state(on) == FRI_CANCELLED;
    char name[32], text[256];

    snprintf(text, sizeof text, "%.200s, which it waits for, %s",
             fri_task_name(on, name), cancelled ? "was cancelled" : "failed");
    return fri_error_new(task->spec->lane->sched->memory, FRUN_EDEPENDENCY,
                         text, NULL,
                         on->holds == FRI_ERROR ? on->data.error : NULL);
}

/* `task` waits for w->future, which is final now. */
static void dependency_done(struct fri_waiter *w)
{
    struct frun_future *task = w->dependant;

    if (task->unmet == 0)
        return; /* it has failed already, through another */
    if (fri_state(w->future) != FRI_DONE) {
        task->unmet = 0;
        fri_sched_fail(task, FRI_FAILED, dependency_error(task, w->future));
    } else if (--task->unmet == 0) {
        if (task->extra->keep)
            fri_keep_ready(task, w->future);
        fri_sched_ready(task, true);
    }
}

bool fri_waiter_of_task(const struct fri_waiter *w)
{
    return w->fire == dependency_done;
}

bool fri_task_after(struct frun_future *task,
                    struct frun_future *const *futures, size_t n)
{
    struct fri_extra *x = fri_task_extra(task);
    struct fri_waiter *after;

    if (!x || n > UINT32_MAX / 2 - x->after_count)
        return false;
    after = fri_realloc(task->spec->lane->sched->memory, x->after,
                        (x->after_count + n) * sizeof *after);
    if (!after)
        return false;
    x->after = after;
    for (size_t i = 0; i < n; i++) {
        struct fri_waiter *w = &after[x->after_count++];

        *w = (struct fri_waiter){ .future = fri_future_ref(futures[i]),
                                  .fire = dependency_done };
        w->dependant = task;
    }
    return true;
}

/* Links the task to what it waits for; it fails at once if one has. */
static void await_dependencies(struct frun_future *task, bool tell)
{
    struct fri_extra *x = task->extra;

    atomic_store_explicit(&task->state, FRI_WAITING, memory_order_release);
    for (uint32_t i = 0; i < x->after_count; i++) {
        struct frun_future *f = x->after[i].future;

        if (!fri_is_final(f)) {
            task->unmet++;
            fri_waiter_link(&x->after[i], &f->waiters);
        } else if (fri_state(f) != FRI_DONE) {
            task->unmet = 0;
            fri_sched_fail(task, FRI_FAILED, dependency_error(task, f));
            return;
        }
    }
    if (task->unmet == 0)
        fri_sched_ready(task, tell);
}

void fri_sched_submit(struct frun_future *task, bool tell)
{
    struct fri_lane *lane = task->spec->lane;
    struct fri_sched *s = lane->sched;
    struct fri_group *halted;

    /* The engine's reference, until it is final; no other thread has it. */
    atomic_store_explicit(&task->handle.refs, task->handle.refs + 1,
                          memory_order_relaxed);
    task->submitted = fri_sched_now(s);
    if (task->extra && task->extra->keep)
        fri_keep_ready(task, NULL);
    task->counted = task->holds == FRI_RANGE;
    lane->unfinished += task->counted ? task->data.range->count : 1;
    s->unfinished += task->counted ? task->data.range->count : 1;
    if (s->run && lane->hooks)
        s->run->total += task->counted ? task->data.range->count : 1;
    if (s->observers)
        fri_sched_observe(s, FRI_SUBMITTED, task, task->submitted);
    halted = s->run || s->ending || task->spec->group ? fri_halted(task)
                                                      : NULL;
    if (halted) {
        atomic_store_explicit(&task->state, FRI_WAITING, memory_order_release);
        fri_sched_fail(task, FRI_CANCELLED, fri_halt_error(halted));
    } else if (task->extra && task->extra->after_count > 0) {
        await_dependencies(task, tell);
    } else {
        fri_sched_ready(task, tell);
    }
}

/* ---- running ---------------------------------------------------------- */

static bool take_slice(struct fri_lane *lane, struct frun_future *task,
                       struct fri_slice *slice)
{
    struct fri_range *r = task->data.range;
    bool ready = fri_range_ready(r);

    if (ready)
        fri_range_take(r, &slice->first, &slice->end);
    if (!fri_range_ready(r)) {
        fri_lane_pop(lane, task);
        task->queued = 0;
    }
    return ready;
}

/* A task that was taken keeps `queued`, so that the engine's reference stays
 * until the worker hands it back, whatever happens meanwhile. */
static bool take_one(struct fri_lane *lane, struct frun_future *best,
                     struct fri_slice *slice)
{
    *slice = (struct fri_slice){ .task = best };
    if (best->counted)
        return take_slice(lane, best, slice);
    fri_lane_pop(lane, best);
    return best->spec->need_count == 0 || fri_limits_take(best);
}

/* Records mostly follow each other in memory, one way or the other: fetches
 * the one after the next, as each would else wait for the one before it. */
static void expect(const struct frun_future *task,
                   const struct frun_future *before)
{
    uintptr_t at = (uintptr_t)task, step = at - (uintptr_t)before;

    __builtin_prefetch((const void *)(at + 2 * step), 1);
}

/* A batch must not hold seats, or part of a range, for later; nor may a
 * deadline or a cap count what others of the batch do; and of a group each
 * end is to be known before the next begins. */
bool fri_task_alone(const struct frun_future *task)
{
    const struct fri_spec *spec = task->spec;

    return task->counted || spec->need_count > 0 || spec->timeout > 0
           || spec->memory > 0 || spec->group || spec->lane->sched->run;
}

size_t fri_sched_take(struct fri_lane *lane, size_t max,
                      struct fri_slice *slices)
{
    struct frun_future *best;
    size_t n = 0;

    while (n < max && (best = fri_lane_best(lane)) != NULL) {
        bool alone = fri_task_alone(best);

        if (fri_is_final(best)) {
            fri_lane_purge(lane);
            continue;
        }
        if (alone && n > 0)
            break;
        __builtin_prefetch(&best->id, 1); /* the worker writes there */
        expect(best, n > 0 ? slices[n - 1].task : best);
        n += take_one(lane, best, &slices[n]);
        if (alone && n > 0)
            break;
    }
    return n;
}

bool fri_task_begin(struct frun_future *task, unsigned worker, fri_time now)
{
    uint8_t pending = FRI_PENDING;

    if (!atomic_compare_exchange_strong_explicit(
            &task->state, &pending, FRI_RUNNING, memory_order_acq_rel,
            memory_order_acquire))
        return task->counted && pending == FRI_RUNNING;
    atomic_store_explicit(&task->worker, (uint16_t)worker,
                          memory_order_relaxed);
    atomic_store_explicit(&task->started, now, memory_order_relaxed);
    atomic_store_explicit(&task->attempts, (uint16_t)(task->attempts + 1),
                          memory_order_relaxed);
    return true;
}

void fri_sched_started(struct frun_future *task, fri_time now)
{
    fri_sched_observe(task->spec->lane->sched, FRI_STARTED, task, now);
}

static enum fri_task_state state_of(frun_status status)
{
    if (status == FRUN_OK)
        return FRI_DONE;
    return status == FRUN_ECANCELLED ? FRI_CANCELLED : FRI_FAILED;
}

static frun_status status_of(const struct fri_data *outcome)
{
    if (outcome->holds != FRI_ERROR)
        return FRUN_OK;
    return outcome->error ? outcome->error->public.status : FRUN_ENOMEM;
}

/* What the attempt had is free for others. */
static void leave(struct frun_future *task)
{
    struct fri_lane *lane = task->spec->lane;

    task->queued = 0;
    fri_attempt_end(task);
    if (lane->hooks && lane->hooks->left)
        lane->hooks->left(lane, task);
    if (task->spec->need_count)
        fri_limits_release(task);
}

static void tell_retried(struct frun_future *task,
                         const struct fri_data *outcome, fri_time now)
{
    struct fri_sched *s = task->spec->lane->sched;

    s->retried = outcome->holds == FRI_ERROR ? outcome->error : NULL;
    fri_sched_observe(s, FRI_RETRIED, task, now);
    s->retried = NULL;
}

static void finish(struct frun_future *task, struct fri_data *outcome,
                   fri_time now)
{
    struct fri_lane *lane = task->spec->lane;
    frun_status status = status_of(outcome);

    fri_shared_leave(task);
    leave(task);
    if (atomic_load_explicit(&task->stopping, memory_order_relaxed))
        status = fri_attempt_outcome(task, outcome, status, now);
    lane->crashed += status == FRUN_ECRASHED;
    if (status != FRUN_OK && fri_retry_wanted(task, status)) {
        if (lane->sched->observers)
            tell_retried(task, outcome, now);
        fri_retry_start(task, now);
        lane->retried++;
        fri_data_free(outcome);
        return;
    }
    task->finished = now;
    fri_sched_settle_with(task, state_of(status), outcome);
}

void fri_sched_finish(struct frun_future *task, struct fri_data *outcome,
                      fri_time now)
{
    struct fri_sched *s = task->spec->lane->sched;

    if (fri_tied_has(task)) {
        fri_tied_hold(task, outcome, now);
        return;
    }
    fri_sched_enter(s);
    finish(task, outcome, now);
    fri_sched_leave(s);
}

static struct fri_error *cancelled_error(const struct frun_future *task,
                                         struct fri_error *cause)
{
    return fri_error_new(task->spec->lane->sched->memory, FRUN_ECANCELLED,
                         NULL, NULL, cause);
}

void fri_sched_return(struct frun_future *task)
{
    struct fri_sched *s = task->spec->lane->sched;

    fri_sched_enter(s);
    leave(task);
    if (fri_is_final(task))
        fri_future_unref(task);
    else if (fri_attempt_cancelled(task))
        fri_sched_fail(task, FRI_CANCELLED, cancelled_error(task, NULL));
    else
        fri_sched_ready(task, true);
    fri_sched_leave(s);
}

/* ---- cancelling ------------------------------------------------------- */

bool fri_sched_cancel(struct frun_future *task, struct fri_error *cause)
{
    uint8_t pending = FRI_PENDING;

    if (fri_is_final(task))
        return fri_state(task) == FRI_CANCELLED;
    /* WAITING makes the begin of the worker that has it fail. */
    if (!task->counted)
        atomic_compare_exchange_strong(&task->state, &pending, FRI_WAITING);
    if (!task->counted && fri_state(task) == FRI_RUNNING)
        return fri_attempt_ask(task);
    if (task->counted && task->data.range->failed)
        return false;
    if (task->handed) /* what has it is to leave it alone */
        task->spec->lane->hooks->stop(task->spec->lane, task,
                                      FRUN_ECANCELLED);
    task->unmet = 0;
    fri_sched_fail(task, FRI_CANCELLED, cancelled_error(task, cause));
    return true;
}
