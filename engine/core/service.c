/*
 * service.c - the thread that keeps work going whatever the owner does.
 *
 * `service_poked` says that service_fd is, or will at once be, readable; the
 * thread reads the descriptor first and clears the flag after, so a poke that
 * finds the flag set has been made before the thread looks again.
 */
#define _GNU_SOURCE
#include "core/engine.h"
#include "core/resume.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <unistd.h>

enum {
    TICK = 100000000, /* ns */
    WATCH = 500000    /* ns: watching then takes below 1 % of a core */
};

/* ---- threads ---------------------------------------------------------- */

int fri_event_open(void)
{
    return eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
}

int fri_thread_start(pthread_t *thread, size_t stack, void *(*run)(void *),
                     void *user)
{
    pthread_attr_t attr;
    sigset_t all, old;
    int failed;

    if (pthread_attr_init(&attr) != 0)
        return ENOMEM;
    if (stack > 0)
        pthread_attr_setstacksize(&attr, stack);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    failed = pthread_create(thread, &attr, run, user);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
    return failed;
}

enum {
    SPIN = 10000, /* ns: a wake of a sleeping thread costs as much */
    PAUSES = 8    /* between two looks at the clock */
};

bool fri_spin(const atomic_uint *signal, unsigned seen)
{
    fri_time until = fri_now() + SPIN;

    do {
        for (int i = 0; i < PAUSES; i++) {
            if (atomic_load_explicit(signal, memory_order_acquire) != seen)
                return true;
            fri_pause();
        }
    } while (fri_now() < until);
    return false;
}

/* ---- the service thread ----------------------------------------------- */

void fri_service_poke(frun_engine *e)
{
    uint64_t one = 1;

    if (e->service_fd < 0 || atomic_exchange(&e->service_poked, true))
        return;
    if (write(e->service_fd, &one, sizeof one) < 0)
        atomic_store(&e->service_poked, false);
}

void fri_engine_timer(frun_engine *e, struct fri_timer *t, fri_time deadline)
{
    fri_timer_set(&e->sched.timers, t, deadline);
    if (deadline < e->service_wake)
        fri_service_poke(e);
}

static void rest(frun_engine *e, fri_time until, int loop)
{
    struct pollfd p[2] = { { .fd = e->service_fd, .events = POLLIN },
                           { .fd = loop, .events = POLLIN } };
    fri_time left = until == FRI_NEVER ? 0 : until - fri_now();
    struct timespec t = { .tv_sec = (time_t)(left / FRI_SECOND),
                          .tv_nsec = (long)(left % FRI_SECOND) };
    uint64_t count;

    if (left < 0 || ppoll(p, 2, until == FRI_NEVER ? NULL : &t, NULL) <= 0)
        return;
    if (p[0].revents && read(e->service_fd, &count, sizeof count) > 0)
        atomic_exchange(&e->service_poked, false);
}

/* The next time to look, having looked if it is time. */
static fri_time watch(frun_engine *e, fri_time now)
{
    if (e->watch_next == 0) {
        e->watch_next = now + WATCH;
    } else if (e->watch_next <= now) {
        e->watching--;
        if (e->pools_ops->watch(e))
            fri_engine_watch(e);
        e->watch_next = now + WATCH;
    }
    return e->watching > 0 ? e->watch_next : FRI_NEVER;
}

/* Lock held: does what is due; until when it may rest. */
static fri_time serve_once(frun_engine *e)
{
    fri_time next, now, other = FRI_NEVER;

    fri_loop_run(&e->loop);
    if (e->resumer && fri_resume_run(e))
        return 0;
    if (e->pools_ops)
        e->pools_ops->look(e);
    /* Reaping lets go of the lock: what is set meanwhile must be seen. */
    if (e->pools_ops)
        e->pools_ops->reap(e);
    next = fri_sched_tick(&e->sched);
    if (e->pools_ops) {
        other = e->pools_ops->sleep(e);
        next = other < next ? other : next;
        other = FRI_NEVER;
    }
    if (next == 0 || (!e->tick && e->watching == 0))
        return next;
    now = fri_now();
    if (e->watching > 0)
        other = watch(e, now);
    if (e->tick && other > now + TICK)
        other = now + TICK;
    return next < other ? next : other;
}

static void *serve(void *user)
{
    frun_engine *e = user;
    bool stop = false;

    pthread_setname_np(pthread_self(), "flowrun");
    prctl(PR_SET_TIMERSLACK, 1UL); /* retries come 50 us sooner */
    while (!stop) {
        fri_time next;
        int loop;

        fri_lock(e);
        next = e->service_wake = serve_once(e);
        stop = e->service_stop;
        loop = e->loop.fd;
        fri_unlock(e);
        if (e->tick)
            e->tick(e->tick_user);
        if (!stop)
            rest(e, next, loop);
    }
    return NULL;
}

frun_status fri_service_start(frun_engine *e)
{
    int failed;

    if (e->service_running)
        return FRUN_OK;
    e->service_stop = false;
    e->service_fd = fri_event_open();
    if (e->service_fd < 0)
        return fri_fail(e, FRUN_ERESOURCE, "no descriptor: %s",
                        strerror(errno));
    failed = fri_thread_start(&e->service, 0, serve, e);
    if (failed) {
        close(e->service_fd);
        e->service_fd = -1;
        return fri_fail(e, FRUN_ERESOURCE, "no thread: %s", strerror(failed));
    }
    e->service_running = true;
    return FRUN_OK;
}

void fri_service_stop(frun_engine *e)
{
    if (!e->service_running)
        return;
    fri_lock(e);
    e->service_stop = true;
    fri_unlock(e);
    fri_service_poke(e);
    pthread_join(e->service, NULL);
    e->service_running = false;
    close(e->service_fd);
    e->service_fd = -1;
}
