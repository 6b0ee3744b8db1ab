/*
 * owner.c - the owner's thread: its inbox and its waits.
 *
 * Rules.
 *  1. What is posted stays posted until it is run: a due is in the inbox once
 *     at most, and may free itself when it runs.
 *  2. event_fd is readable exactly while the inbox holds something.
 *  3. A callback may close the engine: whoever runs the inbox and looks at the
 *     engine after that has a reference, mostly by a future.
 *  4. A wait ends by `owner_signal`, which counts under the lock, so what is
 *     looked at under the lock before sleeping cannot be missed.
 */
#define _GNU_SOURCE
#include "core/engine.h"

#include <unistd.h>

/* ---- the inbox -------------------------------------------------------- */

void fri_owner_wake(frun_engine *e)
{
    atomic_fetch_add_explicit(&e->owner_signal, 1, memory_order_release);
    if (e->owner_waiting)
        pthread_cond_signal(&e->owner_cond);
}

/* Rule 2.  A counter of 1 can neither be full nor make a reader wait. */
static void set_event(frun_engine *e, bool set)
{
    uint64_t count = 1;
    ssize_t n;

    if (e->event_fd < 0 || e->event_set == set)
        return;
    n = set ? write(e->event_fd, &count, sizeof count)
            : read(e->event_fd, &count, sizeof count);
    if (n == (ssize_t)sizeof count)
        e->event_set = set;
}

void fri_owner_post(frun_engine *e, struct fri_due *due)
{
    if (due->posted)
        return;
    due->posted = true;
    due->next = NULL;
    *e->inbox_end = due;
    e->inbox_end = &due->next;
    set_event(e, true);
    fri_owner_wake(e);
}

void fri_owner_unpost(frun_engine *e, struct fri_due *due)
{
    struct fri_due **at = &e->inbox;

    if (!due->posted)
        return;
    while (*at != due)
        at = &(*at)->next;
    *at = due->next;
    if (!*at)
        e->inbox_end = at;
    due->posted = false;
}

static struct fri_due *take_due(frun_engine *e)
{
    struct fri_due *due;

    fri_lock(e);
    due = e->inbox;
    if (due) {
        e->inbox = due->next;
        due->posted = false;
    }
    if (!e->inbox) {
        e->inbox_end = &e->inbox;
        set_event(e, false);
    }
    fri_unlock(e);
    return due;
}

static bool may_run(const frun_engine *e)
{
    return e->nested < FRI_NESTED;
}

bool fri_owner_run(frun_engine *e)
{
    uint64_t before = e->delivered;
    struct fri_due *due;

    while (may_run(e) && (due = take_due(e)) != NULL) {
        e->delivered++;
        due->run(due);
    }
    return e->delivered != before;
}

int fri_engine_fd(frun_engine *e)
{
    fri_lock(e);
    if (e->event_fd < 0)
        e->event_fd = fri_event_open();
    if (e->inbox)
        set_event(e, true);
    fri_unlock(e);
    return e->event_fd;
}

/* ---- waiting ---------------------------------------------------------- */

static bool wanted(frun_engine *e, struct fri_set *set)
{
    return (set && atomic_load_explicit(&set->satisfied, memory_order_acquire))
           || (e->inbox && may_run(e)) || atomic_load(&e->interrupted);
}

enum {
    LOOKS = 40000, /* ns: a task there and back, with a wake of its worker */
    PAUSES = 32    /* between two looks: the lock is free meanwhile */
};

/* Work that other processes do: the owner takes their results in itself.
 * False: there is none. */
static bool spin_looking(frun_engine *e, struct fri_set *set)
{
    fri_time until = fri_now() + LOOKS;
    bool soon;

    if (!e->pools_ops || !e->pools_ops->owner_looks(e))
        return false;
    do {
        fri_unlock(e);
        for (int i = 0; i < PAUSES; i++)
            fri_pause();
        fri_lock(e);
        soon = e->pools_ops->owner_looks(e);
    } while (soon && !wanted(e, set) && fri_now() < until);
    e->pools_ops->owner_leaves(e);
    return true;
}

/* Only while somebody works, who may end the wait soon. */
static void spin(frun_engine *e, struct fri_set *set)
{
    unsigned seen = atomic_load(&e->owner_signal);
    bool paid;

    if (e->busy + e->spinning >= e->cores
        || e->busy + e->spinning + e->coming == 0
        || !fri_spin_pays(&e->spinner))
        return;
    if (e->spawned.fd >= 0 && spin_looking(e, set)) {
        paid = wanted(e, set);
    } else {
        fri_unlock(e);
        paid = fri_spin(&e->owner_signal, seen);
        fri_lock(e);
    }
    fri_spin_note(&e->spinner, paid);
}

static void sleep_until(frun_engine *e, fri_time deadline)
{
    struct timespec t = { .tv_sec = (time_t)(deadline / FRI_SECOND),
                          .tv_nsec = (long)(deadline % FRI_SECOND) };

    e->owner_waiting = true;
    if (deadline == FRI_NEVER)
        pthread_cond_wait(&e->owner_cond, &e->lock);
    else
        pthread_cond_timedwait(&e->owner_cond, &e->lock, &t);
    e->owner_waiting = false;
}

/* The service thread runs the timers, if there is one and in time: what falls
 * due when the wait ends must not be missed for its being late. */
static void wait_locked(frun_engine *e, struct fri_set *set, fri_time deadline)
{
    fri_time until = deadline;

    if (!e->service_running) {
        fri_time next = fri_sched_tick(&e->sched);

        until = next < until ? next : until;
    }
    atomic_store_explicit(&e->owner_idle, true, memory_order_relaxed);
    if (e->put_off)
        e->pools_ops->hurry(e);
    if (!wanted(e, set))
        spin(e, set);
    if (!wanted(e, set) && (until == FRI_NEVER || fri_now() < until))
        sleep_until(e, until);
    atomic_store_explicit(&e->owner_idle, false, memory_order_relaxed);
    if (until != FRI_NEVER && !wanted(e, set))
        fri_sched_tick(&e->sched);
}

bool fri_owner_wait(frun_engine *e, struct fri_set *set, fri_time deadline)
{
    bool done;

    if (fri_owner_run(e) && !set)
        return false;
    fri_lock(e);
    wait_locked(e, set, deadline);
    done = set && atomic_load(&set->satisfied);
    fri_unlock(e);
    if (!done)
        fri_owner_run(e);
    return done;
}

static void wake(struct fri_set *set)
{
    fri_owner_wake(set->engine);
}

/* The deadline is the owner's own: no timer, and no wake of the service. */
bool fri_owner_await(frun_engine *e, struct fri_set *set, size_t left,
                     bool failure, fri_time deadline)
{
    set->wait.owner = true;
    set->wait.holder = deadline == FRI_NEVER ? &e->owner_holder : NULL;
    if (fri_set_arm(set, left, failure, FRI_NEVER, wake))
        return true;
    while (!fri_owner_wait(e, set, deadline)) {
        if (atomic_load(&set->satisfied))
            break; /* by what the inbox did */
        if (atomic_load(&e->interrupted)
            || (deadline != FRI_NEVER && fri_now() >= deadline))
            return false;
    }
    return true;
}
