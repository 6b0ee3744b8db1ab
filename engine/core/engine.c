#define _GNU_SOURCE
#include "base/sized.h"
#include "core/deadlock.h"
#include "core/engine.h"
#include "core/here.h"
#include "core/journal.h"
#include "core/resume.h"

#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST = 512 }; /* of a message: its room is there from the start */

/* ---- messages --------------------------------------------------------- */

frun_status fri_fail(frun_engine *e, frun_status status, const char *format,
                     ...)
{
    char text[LONGEST];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    e->message.length = 0;
    e->message.failed = false;
    fri_buffer_add(&e->message, text, strlen(text) + 1);
    return status;
}

frun_status fri_fail_error(frun_engine *e, const struct fri_error *error)
{
    if (!error)
        return fri_fail(e, FRUN_ENOMEM, "%s", frun_status_text(FRUN_ENOMEM));
    if (!error->task)
        return fri_fail(e, error->public.status, "%s", error->message);
    return fri_fail(e, error->public.status, "%s: %s", error->task,
                    error->message);
}

/* ---- opening ---------------------------------------------------------- */

static fri_time engine_clock(void *user)
{
    frun_engine *e = user;

    return fri_now_near(&e->near);
}

static void on_freed(void *user)
{
    frun_engine *e = user;

    if (atomic_load_explicit(&e->closed, memory_order_acquire))
        fri_engine_unref(e);
}

static void on_timer(void *user, fri_time deadline)
{
    frun_engine *e = user;

    if (deadline < e->service_wake)
        fri_service_poke(e);
}

/* The lock is held for less than a wake costs: those who want it spin. */
static void open_locks(frun_engine *e)
{
    pthread_mutexattr_t mutex;
    pthread_condattr_t cond;

    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_settype(&mutex, PTHREAD_MUTEX_ADAPTIVE_NP);
    pthread_mutex_init(&e->lock, &mutex);
    pthread_mutexattr_destroy(&mutex);
    pthread_condattr_init(&cond);
    pthread_condattr_setclock(&cond, CLOCK_MONOTONIC);
    pthread_cond_init(&e->owner_cond, &cond);
    pthread_condattr_destroy(&cond);
}

static frun_engine *engine_new(const frun_engine_options *o)
{
    struct fri_memory m = { .allocate = o->allocate, .free = o->free,
                            .user = o->allocator_user };
    frun_engine *e = fri_alloc_zero(&m, sizeof *e);

    if (!e)
        return NULL;
    e->here = fri_here_open();
    if (!e->here) {
        fri_free(&m, e);
        return NULL;
    }
    e->owner = pthread_self();
    e->opened_by = fri_engine_open;
    e->memory = m;
    e->options = *o;
    e->seed = o->seed;
    atomic_init(&e->refs, 1);
    e->event_fd = e->service_fd = e->loop.fd = e->spawned.fd = -1;
    e->inbox_end = &e->inbox;
    e->service_wake = FRI_NEVER;
    e->cores = 1;
    fri_buffer_init(&e->message, &e->memory);
    fri_sched_init(&e->sched, &e->memory, engine_clock, e);
    e->sched.user = e;
    e->sched.freed = on_freed;
    e->sched.timer_set = on_timer;
    fri_deadlock_open(e);
    open_locks(e);
    return e;
}

frun_status fri_engine_open(const frun_engine_options *options,
                            frun_engine **engine)
{
    frun_engine_options o = { .size = sizeof o };
    frun_engine *e;

    *engine = NULL;
    if (!fri_options(&o, sizeof o, options) || !o.allocate != !o.free
        || o.interrupt_signal > SIGRTMAX || o.interrupt_signal == SIGKILL
        || o.interrupt_signal == SIGSTOP)
        return FRUN_EINVAL;
    e = engine_new(&o);
    if (!e)
        return FRUN_ENOMEM;
    if (!fri_buffer_reserve(&e->message, LONGEST)
        || !fri_output_init(&e->output, &e->memory)) {
        fri_engine_unref(e);
        return FRUN_ENOMEM;
    }
    e->output.hook = o.output;
    e->output.user = o.output_user;
    *engine = e;
    return FRUN_OK;
}

/* ---- closing ---------------------------------------------------------- */

static void engine_free(frun_engine *e)
{
    struct fri_memory m = e->memory;

    fri_sched_free(&e->sched);
    fri_output_free(&e->output);
    fri_buffer_free(&e->message);
    pthread_cond_destroy(&e->owner_cond);
    pthread_mutex_destroy(&e->lock);
    fri_here_close(e->here);
    fri_free(&m, e);
}

void fri_engine_unref(frun_engine *e)
{
    if (e && atomic_fetch_sub(&e->refs, 1) == 1)
        engine_free(e);
}

/* No other thread is left then; each record that somebody still holds keeps
 * the engine's memory (on_freed). */
void fri_engine_close(frun_engine *e)
{
    fri_lock(e);
    e->closing = true;
    fri_unlock(e);
    if (e->pools_ops)
        e->pools_ops->close(e);
    fri_service_stop(e);
    if (e->pools_ops)
        e->pools_ops->end(e);
    fri_journals_close(e);
    fri_resumer_close(e);
    fri_owner_run(e);
    fri_output_flush(&e->output);
    if (e->event_fd >= 0)
        close(e->event_fd);
    e->event_fd = -1;
    if (e->script_close)
        e->script_close(e);
    fri_natives_close(e);
    fri_shared_close(e);
    fri_spec_unref(e->shared_spec);
    atomic_fetch_add(&e->refs, (unsigned)fri_sched_alive(&e->sched));
    atomic_store_explicit(&e->closed, true, memory_order_release);
    fri_engine_unref(e);
}
