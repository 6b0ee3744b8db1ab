/*
 * promise.c - commands that somebody waits for: their futures.
 *
 * The exec belongs to its future, and goes with it.
 */
#define _GNU_SOURCE
#include "pools/commands/exec.h"

#include "data/value.h"
#include "pools/pool.h"

#include <errno.h>
#include <string.h>

static const fri_time REAPED = FRI_SECOND; /* the end of the patience */

/* ---- their futures ---------------------------------------------------- */

static bool put(frun_value *map, const char *key, frun_value *item)
{
    return frun_value_put(map, key, item) == FRUN_OK;
}

static bool put_texts(frun_value *map, const struct fri_command_end *end)
{
    const struct fri_memory *m = fri_value_memory(map);

    return (!end->message
            || put(map, "message",
                   fri_value_text(m, end->message)))
           && (!end->out
               || put(map, "out", fri_value_str(m, end->out, end->out_length)))
           && (!end->err
               || put(map, "err", fri_value_str(m, end->err, end->err_length)));
}

/* NULL: out of memory. */
static frun_value *map_of(const struct fri_memory *m,
                          const struct fri_command_end *end)
{
    frun_value *map = fri_value_map(m);

    if (map && put(map, "kind", fri_value_int(m, end->status))
        && put(map, "status", fri_value_int(m, end->exit_status))
        && put(map, "signal", fri_value_int(m, end->signal))
        && put(map, "error", fri_value_int(m, end->error))
        && put(map, "seconds", fri_value_num(m, end->seconds))
        && put(map, "cpu", fri_value_num(m, end->cpu))
        && put(map, "memory", fri_value_int(m, end->memory))
        && put_texts(map, end))
        return map;
    frun_value_free(map);
    return NULL;
}

static void settle(struct fri_exec *x, struct fri_proc_end *end)
{
    struct frun_future *f = x->future;
    struct fri_data outcome = { .holds = FRI_ERROR };
    struct fri_command_end ended;

    if (end) {
        ended = fri_exec_end(x, end);
        outcome.value = map_of(&x->engine->memory, &ended);
        outcome.holds = outcome.value ? FRI_VALUE : FRI_ERROR;
    } else {
        outcome.error = x->error;
        x->error = NULL;
    }
    if (x->own)
        fri_commands_over(x);
    fri_sched_settle_now(f, &outcome);
    fri_exec_leave(x);
    x->future = NULL;
    fri_future_unref(f);
}

static void drop_exec(void *x)
{
    fri_exec_free(x);
}

static struct fri_exec *exec_of(const struct frun_future *f)
{
    const struct fri_extra *extra = f ? f->extra : NULL;

    return extra && extra->script_free == drop_exec ? extra->script : NULL;
}

static struct frun_future *future_new(struct fri_exec *x)
{
    struct frun_future *f = fri_shared_future(x->engine);
    struct fri_extra *extra = f ? fri_task_extra(f) : NULL;
    struct fri_data none = { .holds = FRI_NOTHING };

    if (extra) {
        extra->script = x;
        extra->script_free = drop_exec;
        return f;
    }
    if (f)
        fri_sched_settle_now(f, &none);
    fri_future_unref(f);
    return NULL;
}

/* What it is asked for by has been told to stop already. */
static frun_status refusal(const frun_engine *e,
                           const struct frun_future *owner)
{
    if (e->closing || (owner && fri_attempt_cancelled(owner)))
        return FRUN_ECANCELLED;
    if (owner && owner->counted)
        return atomic_load(&owner->data.range->stop) ? FRUN_ECANCELLED
                                                     : FRUN_OK;
    return owner && atomic_load(&owner->stopping) ? FRUN_ETIMEOUT : FRUN_OK;
}

static void begin(struct fri_exec *x, struct frun_future *owner)
{
    x->why = refusal(x->engine, owner);
    if (x->why != FRUN_OK)
        fri_exec_refuse(x, fri_exec_stopped(x));
    else if (!x->engine->service_running)
        fri_exec_refuse(x, fri_exec_no_process(x, EAGAIN));
    else if (!fri_spawner_need(x->engine))
        fri_exec_refuse(x, fri_exec_no_process(x, errno));
    else if (!fri_exec_open(x, owner))
        fri_exec_refuse(x, NULL);
    else if (!x->own || fri_commands_admit(x))
        fri_exec_launch(x);
}

/* The first command may be what the first thread is needed for. */
static void need_service(frun_engine *e)
{
    if (e->service_running || e->closing)
        return;
    fri_pools_attach(e);
    (void)fri_service_start(e);
}

struct frun_future *fri_exec_start_locked(frun_engine *e,
                                          struct fri_exec_plan *plan)
{
    struct fri_exec *x = fri_exec_new(e, plan->command, plan->dir);
    struct frun_future *f = x ? future_new(x) : NULL;

    if (!f) {
        fri_exec_free(x);
        return NULL;
    }
    x->own = plan->own;
    x->ended = settle;
    x->future = fri_future_ref(f);
    begin(x, plan->owner);
    return f;
}

struct frun_future *fri_exec_start(frun_engine *e, struct fri_exec_plan *plan)
{
    struct frun_future *f;

    if (e->home)
        return fri_away_start(e, plan);
    need_service(e);
    fri_lock(e);
    f = fri_exec_start_locked(e, plan);
    fri_unlock(e);
    return f;
}

const frun_value *fri_exec_command(const struct frun_future *f)
{
    const struct fri_exec *x = exec_of(f);

    return x ? x->command : fri_away_command(f);
}

/* ---- stopping --------------------------------------------------------- */

void fri_exec_stop_locked(struct frun_future *f, bool now)
{
    struct fri_exec *x = exec_of(f);

    if (x && !fri_is_final(f))
        fri_exec_tell(x, FRUN_ECANCELLED, now);
}

void fri_exec_stop(frun_engine *e, struct frun_future *f, bool now)
{
    if (e->home) {
        fri_away_stop(e, f, now);
        return;
    }
    fri_lock(e);
    fri_exec_stop_locked(f, now);
    fri_unlock(e);
}

void fri_exec_drop(frun_engine *e, struct frun_future *f)
{
    if (!f)
        return;
    if (!fri_is_final(f))
        fri_exec_stop(e, f, false);
    fri_future_unref(f);
}

struct wait {
    struct fri_waiter waiter;
    pthread_cond_t cond;
};

static void wake(struct fri_waiter *waiter)
{
    struct wait *w = (struct wait *)waiter;

    pthread_cond_signal(&w->cond);
}

static void init_wait(struct wait *w)
{
    pthread_condattr_t attr;

    *w = (struct wait){ .waiter = { .fire = wake } };
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&w->cond, &attr);
    pthread_condattr_destroy(&attr);
}

void fri_exec_await(frun_engine *e, struct frun_future *f)
{
    fri_time until = fri_now() + REAPED;
    struct timespec t = { .tv_sec = (time_t)(until / FRI_SECOND),
                          .tv_nsec = (long)(until % FRI_SECOND) };
    struct wait w;

    init_wait(&w);
    fri_lock(e);
    if (!fri_is_final(f))
        fri_waiter_link(&w.waiter, &f->waiters);
    while (!fri_is_final(f)
           && pthread_cond_timedwait(&w.cond, &e->lock, &t) == 0)
        ;
    fri_waiter_remove(&w.waiter);
    fri_unlock(e);
    pthread_cond_destroy(&w.cond);
}

void fri_exec_kill(frun_engine *e, struct frun_future *f)
{
    if (fri_is_final(f))
        return;
    if (e->home) {
        fri_away_kill(e, f);
        return;
    }
    fri_exec_stop(e, f, false);
    fri_exec_await(e, f);
}

static bool is_of(const struct frun_future *f, const struct frun_future *task)
{
    const struct fri_exec *x = exec_of(f);

    return x && x->tied.link && x->tied.task == task;
}

bool fri_execs_only(const struct fri_set *set, const struct frun_future *task)
{
    bool any = false;

    for (size_t i = 0; i < set->count; i++) {
        const struct fri_waiter *w = &set->waiters[i];

        if (!w->link) /* it has fired */
            continue;
        if (!w->future || !is_of(w->future, task))
            return false;
        any = true;
    }
    return any;
}
