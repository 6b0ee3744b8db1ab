/*
 * retry.c - another attempt, at once or after a back-off.
 */
#include "core/settle.h"

#include <math.h>

struct fri_retry {
    struct fri_timer timer;
    struct frun_future *task;
};

bool fri_retry_wanted(const struct frun_future *task, frun_status status)
{
    const struct fri_spec *spec = task->spec;
    unsigned on = spec->retry_on;

    if (on == 0)
        on = 1u << FRUN_ERROR | 1u << FRUN_EEXIT | 1u << FRUN_ECRASHED
             | 1u << FRUN_ETIMEOUT | 1u << FRUN_ERESOURCE | 1u << FRUN_ENOMEM;
    return !fri_attempt_cancelled(task) && !fri_halted(task)
           && task->attempts <= spec->retries
           && (on >> status & 1u);
}

static void due(struct fri_timer *timer, fri_time now)
{
    struct fri_retry *retry = (struct fri_retry *)timer;

    (void)now;
    fri_sched_ready(retry->task, true);
}

static struct fri_retry *retry_of(struct frun_future *task)
{
    struct fri_sched *s = task->spec->lane->sched;
    struct fri_extra *x = fri_task_extra(task);

    if (x && !x->retry)
        x->retry = fri_alloc_zero(s->memory, sizeof *x->retry);
    return x ? x->retry : NULL;
}

void fri_retry_start(struct frun_future *task, fri_time now)
{
    struct fri_sched *s = task->spec->lane->sched;
    double wait = task->spec->backoff * pow(2, task->attempts - 1);
    struct fri_extra *x = fri_task_extra(task);
    struct fri_retry *retry;

    if (x)
        x->again = wait > 0 ? fri_deadline(now, wait) : now;
    retry = wait > 0 ? retry_of(task) : NULL;
    fri_attempt_reset(task);
    if (!retry) { /* or there is no memory to wait in */
        fri_sched_ready(task, true);
        return;
    }
    retry->timer.fire = due;
    retry->task = task;
    atomic_store_explicit(&task->state, FRI_WAITING, memory_order_release);
    fri_timer_set(&s->timers, &retry->timer, fri_deadline(now, wait));
    if (s->timer_set)
        s->timer_set(s->user, retry->timer.deadline);
}

void fri_retry_stop(struct fri_sched *s, struct fri_retry *retry)
{
    if (retry)
        fri_timer_stop(&s->timers, &retry->timer);
}
