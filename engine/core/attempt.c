/*
 * attempt.c - one try at a task: its deadline, and what it is asked to stop
 * for.
 *
 * Rules.
 *  1. `stopping` belongs to the attempt: the next one begins with 0.  It goes
 *     up only: 0, FRI_ASKED or FRI_TIMED_OUT, FRI_STOPPED.
 *  2. What was promised holds: FRI_STOPPED ends as cancelled and FRI_TIMED_OUT
 *     as a timeout, whatever the task comes to.  A cancel beats a timeout.
 *  3. Past its deadline an attempt is lost even where it cannot be stopped:
 *     only an outcome that was there before the deadline stays.
 */
#include "core/settle.h"
#include "core/tied.h"
#include "data/value.h"

struct fri_attempt {
    struct fri_timer timer;
    struct frun_future *task;
    bool expired;   /* its time ran out ... */
    bool cancelled; /* ... after cancel had been asked for, in vain */
};

static struct fri_attempt *attempt_of(const struct frun_future *task)
{
    return task->extra ? task->extra->attempt : NULL;
}

static bool is_expired(const struct frun_future *task)
{
    const struct fri_attempt *a = attempt_of(task);

    return a && a->expired;
}

static bool stop(struct frun_future *task, frun_status why)
{
    struct fri_lane *lane = task->spec->lane;
    bool told = lane->hooks && lane->hooks->stop
                && lane->hooks->stop(lane, task, why);

    fri_tied_stop(task, why);
    return told;
}

/* ---- the deadline ----------------------------------------------------- */

static void expire(struct fri_timer *timer, fri_time now)
{
    struct fri_attempt *a = (struct fri_attempt *)timer;
    struct frun_future *task = a->task;
    uint8_t stopping = atomic_load(&task->stopping);

    (void)now;
    if (fri_state(task) != FRI_RUNNING || stopping == FRI_STOPPED)
        return;
    a->expired = true;
    a->cancelled = stopping == FRI_ASKED;
    if (!stop(task, FRUN_ETIMEOUT))
        stopping = FRI_ASKED;
    else
        stopping = a->cancelled ? FRI_STOPPED : FRI_TIMED_OUT;
    atomic_store(&task->stopping, stopping);
}

static struct fri_attempt *new_attempt(struct frun_future *task)
{
    struct fri_sched *s = task->spec->lane->sched;
    struct fri_extra *x = fri_task_extra(task);

    if (x && !x->attempt)
        x->attempt = fri_alloc_zero(s->memory, sizeof *x->attempt);
    return x ? x->attempt : NULL;
}

bool fri_attempt_begin(struct frun_future *task, fri_time now)
{
    struct fri_sched *s = task->spec->lane->sched;
    struct fri_attempt *a;

    if (!(task->spec->timeout > 0) || task->counted)
        return true;
    a = new_attempt(task);
    if (!a)
        return false;
    a->timer.fire = expire;
    a->task = task;
    a->expired = a->cancelled = false;
    fri_timer_set(&s->timers, &a->timer,
                  fri_deadline(now, task->spec->timeout));
    if (s->timer_set)
        s->timer_set(s->user, a->timer.deadline);
    return true;
}

void fri_attempt_end(struct frun_future *task)
{
    struct fri_attempt *a = attempt_of(task);

    if (a)
        fri_timer_stop(&task->spec->lane->sched->timers, &a->timer);
}

void fri_attempt_reset(struct frun_future *task)
{
    struct fri_attempt *a = attempt_of(task);

    if (!a)
        return;
    a->expired = a->cancelled = false;
    atomic_store(&task->stopping, 0);
}

/* ---- what was asked --------------------------------------------------- */

bool fri_attempt_ask(struct frun_future *task)
{
    uint8_t stopping = atomic_load(&task->stopping);

    if (stopping == FRI_STOPPED)
        return true;
    stopping = stopping == FRI_TIMED_OUT || is_expired(task)
                       || stop(task, FRUN_ECANCELLED)
                   ? FRI_STOPPED
                   : FRI_ASKED;
    atomic_store(&task->stopping, stopping);
    return stopping == FRI_STOPPED;
}

bool fri_attempt_cancelled(const struct frun_future *task)
{
    const struct fri_attempt *a = attempt_of(task);
    uint8_t stopping = atomic_load(&task->stopping);

    return stopping == FRI_STOPPED
           || (stopping == FRI_ASKED && (!a || !a->expired || a->cancelled));
}

static struct fri_error *timeout_error(const struct frun_future *task)
{
    double seconds = task->spec->timeout;
    struct fri_error *error
        = fri_error_format(task->spec->lane->sched->memory, FRUN_ETIMEOUT,
                           "timed out after %g s", seconds);

    if (error)
        error->seconds = seconds;
    return error;
}

/* What it left, if it was a command, is the new error's. */
static frun_value *take_result(struct fri_data *outcome)
{
    struct fri_error *error = outcome->holds == FRI_ERROR ? outcome->error
                                                          : NULL;
    frun_value *result = error ? error->result : NULL;

    if (error && atomic_load(&error->refs) > 1) /* somebody may read it */
        return fri_value_copy(error->memory, result);
    if (error) {
        error->result = NULL;
        error->public.result = NULL;
    }
    return result;
}

static frun_status replace(const struct frun_future *task,
                           struct fri_data *outcome, frun_status status)
{
    const struct fri_memory *m = task->spec->lane->sched->memory;
    struct fri_group *halted = fri_halted(task);
    frun_value *result = take_result(outcome);

    fri_data_free(outcome);
    outcome->holds = FRI_ERROR;
    if (status == FRUN_ETIMEOUT)
        outcome->error = timeout_error(task);
    else if (halted)
        outcome->error = fri_halt_error(halted);
    else
        outcome->error = fri_error_new(m, status, NULL, NULL, NULL);
    if (outcome->error)
        fri_error_set_result(outcome->error, result);
    else
        frun_value_free(result);
    return status;
}

frun_status fri_attempt_outcome(const struct frun_future *task,
                                struct fri_data *outcome, frun_status status,
                                fri_time now)
{
    const struct fri_attempt *a = attempt_of(task);
    uint8_t stopping = atomic_load(&task->stopping);
    bool late = a && a->expired && now >= a->timer.deadline;

    if (stopping == FRI_STOPPED || (late && a->cancelled))
        return status == FRUN_ECANCELLED && !fri_halted(task)
                   ? status
                   : replace(task, outcome, FRUN_ECANCELLED);
    if (stopping == FRI_TIMED_OUT || late)
        return replace(task, outcome, FRUN_ETIMEOUT);
    return status;
}
