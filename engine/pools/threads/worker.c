/*
 * worker.c - the life of a worker thread.
 *
 * Rules.
 *  1. A worker takes a batch under the lock, runs it without, and hands the
 *     outcomes back under the lock, together with taking the next batch.
 *  2. It takes one task at a time once tasks take longer than FRI_LONG_NS.
 *  3. It keeps no outcome from a waiter for longer than PUBLISH_NS.
 *  4. Where a task takes longer than its like did, rules 2 and 3 are kept by
 *     the service thread (threads.c, watch), which takes what was not begun
 *     out of the worker's hand and publishes what is finished.  A worker
 *     whose hand holds more than what it runs asks to be watched.
 *  5. Nobody spins unless a core is free for it (fri_may_spin).
 */
#define _GNU_SOURCE
#include "pools/ctask.h"
#include "pools/threads/threads.h"

#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>

enum {
    PUBLISH_NS = 20000, /* about the cost of a wake */
    /* 3 us together; looks are few, as each costs the owner a cache miss. */
    LINGER = 3, /* looks, ... */
    LOOK = 16   /* ... so many pauses apart */
};

static frun_engine *engine_of(const struct fri_thread *t)
{
    return t->worker.pool->engine;
}

/* ---- running ---------------------------------------------------------- */

/* No lock. */
static bool take_next(struct fri_hand *h, uint32_t *i)
{
    uint32_t span = atomic_load_explicit(&h->span, memory_order_relaxed);

    do {
        *i = fri_hand_next(span);
        if (*i >= fri_hand_end(span))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(
        &h->span, &span, span + 1, memory_order_acquire,
        memory_order_relaxed));
    return true;
}

/* Only its own thread counts. */
static void count(_Atomic uint64_t *n)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

/* Does anybody want to know what starts?  It costs the lock. */
static bool is_watched(const struct fri_sched *s)
{
    return atomic_load_explicit(&s->starts_wanted, memory_order_relaxed) > 0;
}

static void tell_started(struct fri_thread *t, struct frun_future *task,
                         fri_time now)
{
    frun_engine *e = engine_of(t);

    fri_lock(e);
    fri_sched_started(task, now);
    fri_unlock(e);
}

static bool begin_attempt(struct fri_thread *t, const struct fri_done *d)
{
    frun_engine *e = engine_of(t);
    bool begun;

    fri_lock(e);
    begun = fri_attempt_begin(d->slice.task, d->began);
    fri_unlock(e);
    return begun;
}

/* The host may have got its scripts when this thread was there already. */
static bool has_state(struct fri_thread *t, struct fri_ran *ran)
{
    frun_engine *e = engine_of(t);
    struct fri_error *error = NULL;

    if (!t->worker.state)
        t->worker.state = e->runner->open(e->runner_user, &t->worker, &error);
    if (t->worker.state)
        return true;
    ran->outcome = (struct fri_data){ .error = error, .holds = FRI_ERROR };
    return false;
}

static void execute(struct fri_thread *t, struct fri_done *d)
{
    frun_engine *e = engine_of(t);
    struct frun_future *task = d->slice.task;

    if (is_watched(&e->sched))
        tell_started(t, task, d->began);
    count(&t->begun);
    t->worker.task = task;
    if (task->counted && atomic_load(&task->data.range->stop))
        d->slice.end = d->slice.first; /* it ended before we had begun */
    else if (task->spec->timeout > 0 && !begin_attempt(t, d))
        d->ran.outcome = (struct fri_data){ .holds = FRI_ERROR };
    else if (task->spec->function)
        fri_ctask_run(&t->worker, &d->slice, &d->ran);
    else if ((!t->threads->ops
              || !t->threads->ops->run(&t->worker, &d->slice, &d->ran))
             && has_state(t, &d->ran))
        e->runner->run(t->worker.state, &d->slice, &d->ran);
    t->worker.task = NULL;
    if (!d->ran.suspended)
        count(&t->ended);
}

static fri_time thread_cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (fri_time)t.tv_sec * FRI_SECOND + t.tv_nsec;
}

/* False: the thread was given up, and what is in the hand is not its own. */
static bool run(struct fri_thread *t, uint32_t i, fri_time now)
{
    struct fri_hand *h = &t->hand;
    struct fri_done *d = &h->done[i];
    fri_time cpu = h->timed ? thread_cpu() : 0;

    atomic_store_explicit(&h->since, now, memory_order_relaxed);
    d->slice = h->slices[i];
    d->end = d->slice.end;
    d->began = d->ended = now;
    d->resumed = false;
    d->run = fri_run_begin(t, d->slice.task);
    d->begun = fri_task_begin(d->slice.task,
                              t->number ? t->number : t->worker.index, now);
    if (d->begun) {
        memset(&d->ran, 0, sizeof d->ran);
        execute(t, d);
        d->cpu = h->timed ? thread_cpu() - cpu : 0;
        d->ended = fri_now_near(&t->near);
    }
    if (!fri_run_end(t))
        return false;
    atomic_store_explicit(&h->finished, i + 1, memory_order_release);
    return true;
}

static void start_hand(struct fri_hand *h, size_t n, fri_time now)
{
    h->published = 0;
    atomic_store_explicit(&h->finished, 0, memory_order_relaxed);
    atomic_store_explicit(&h->since, now, memory_order_relaxed);
    atomic_store_explicit(&h->span, (uint32_t)n << 16, memory_order_relaxed);
}

/* Asking the kernel costs 0.3 us, twice. */
static bool is_worth_timing(const struct fri_lane *lane)
{
    return lane->task_ns == 0 || lane->task_ns > PUBLISH_NS;
}

/* That is told at once: until then it can neither go on nor be stopped. */
static bool has_suspended(const struct fri_done *d)
{
    return d->begun && d->ran.suspended;
}

/* Lock held on the way in and out. */
static void run_batch(struct fri_thread *t, size_t n)
{
    frun_engine *e = engine_of(t);
    fri_time last = fri_now_near(&t->near), now = last;
    uint32_t i;

    start_hand(&t->hand, n, now);
    t->hand.timed = n == 1 && is_worth_timing(t->threads->lane);
    if (n > 1)
        fri_engine_watch(e);
    fri_unlock(e);
    while (take_next(&t->hand, &i)) {
        if (!run(t, i, now))
            break;
        now = t->hand.done[i].ended;
        if (!has_suspended(&t->hand.done[i])
            && (now - last < PUBLISH_NS || i + 1 == n))
            continue;
        fri_lock(e);
        fri_hand_publish(t);
        fri_unlock(e);
        last = now;
    }
    fri_lock(e);
    if (!t->lost)
        fri_hand_publish(t);
}

static void run_resumed(struct fri_thread *t)
{
    frun_engine *e = engine_of(t);
    struct fri_resumable *r = t->resumed;
    struct fri_done *d = &t->hand.done[0];
    fri_time cpu;
    bool orphan, ours = false;

    t->resumed = r->next;
    if (!t->resumed)
        t->resumed_end = &t->resumed;
    t->threads->resumed--;
    t->threads->suspended--;
    *d = (struct fri_done){ .slice = r->slice, .begun = true,
                            .resumed = true, .began = fri_now() };
    cpu = thread_cpu();
    start_hand(&t->hand, 0, d->began);
    d->run = fri_run_begin(t, d->slice.task);
    fri_run_resume(t, r);
    orphan = r->kept != NULL; /* r may go with its task */
    fri_unlock(e);
    t->worker.task = d->slice.task;
    if (!t->threads->ops
        || !t->threads->ops->resume(r, &d->slice, &d->ran))
        e->runner->resume(t->worker.state, r, &d->slice, &d->ran);
    t->worker.task = NULL;
    if (!d->ran.suspended)
        count(&t->ended);
    d->cpu = thread_cpu() - cpu;
    d->end = d->slice.end; /* the rest was given back when it yielded */
    d->ended = fri_now();
    if (orphan)
        fri_run_orphan(t, r);
    else
        ours = fri_run_end(t);
    fri_lock(e);
    if (ours)
        fri_hand_publish_one(t, d);
}

/* ---- waiting for work ------------------------------------------------- */

void fri_thread_set_stuck(struct fri_thread *t, bool stuck)
{
    if (t->stuck == stuck)
        return;
    t->stuck = stuck;
    t->threads->stuck += stuck ? 1u : -1u;
}

static void set_busy(struct fri_thread *t, bool busy)
{
    frun_engine *e = engine_of(t);

    fri_thread_set_stuck(t, false);
    if (t->busy == busy)
        return;
    t->busy = busy;
    t->threads->active += busy ? 1u : -1u;
    e->busy += busy ? 1u : -1u;
}

static bool has_work(const struct fri_thread *t)
{
    const struct fri_lane *lane = t->threads->lane;

    return fri_thread_may_run(t)
           && (t->resumed
               || atomic_load_explicit(&lane->ready, memory_order_relaxed));
}

/* While the owner hands out short tasks one by one, taking each at once makes
 * both fight for the lock: 0.5 us a task; taking some at a time, 0.2. */
static void linger(const struct fri_thread *t)
{
    const struct fri_lane *lane = t->threads->lane;
    const frun_engine *e = engine_of(t);

    for (int i = 0; i < LINGER; i++) {
        if (atomic_load_explicit(&e->owner_idle, memory_order_relaxed)
            || atomic_load_explicit(&lane->ready, memory_order_relaxed)
                   >= FRI_BATCH)
            return;
        for (int j = 0; j < LOOK; j++)
            fri_pause();
    }
}

static bool is_short(const struct fri_lane *lane)
{
    return lane->task_ns > 0 && lane->task_ns < FRI_SHORT_NS;
}

/* Lock held on the way in and out. */
static void gather(struct fri_thread *t)
{
    const struct fri_lane *lane = t->threads->lane;
    size_t ready = atomic_load_explicit(&lane->ready, memory_order_relaxed);

    if (!t->busy || !is_short(lane) || ready >= FRI_BATCH || ready == 0)
        return;
    fri_unlock(engine_of(t));
    linger(t);
    fri_lock(engine_of(t));
}

static void spin(struct fri_thread *t)
{
    struct fri_threads *ts = t->threads;
    frun_engine *e = engine_of(t);
    unsigned seen = atomic_load(&ts->signal);
    bool shortly = is_short(ts->lane), paid;

    ts->spinning++;
    e->spinning++;
    fri_unlock(e);
    paid = fri_spin(&ts->signal, seen);
    if (shortly && paid)
        linger(t);
    fri_lock(e);
    fri_spin_note(&t->spinner, paid);
    e->spinning--;
    ts->spinning--;
}

static void idle(struct fri_thread *t)
{
    struct fri_threads *ts = t->threads;
    frun_engine *e = engine_of(t);
    bool worked = t->busy;

    set_busy(t, false);
    if (ts->resumed > 0)
        fri_threads_call_resumed(ts);
    if (worked && fri_may_spin(e) && fri_spin_pays(&t->spinner))
        spin(t);
    if (has_work(t) || fri_pool_over(ts->pool))
        return;
    t->woken = false;
    t->next_idle = ts->idle;
    ts->idle = t;
    while (!t->woken)
        pthread_cond_wait(&t->cond, &e->lock);
}

static void arrived(struct fri_thread *t)
{
    if (!t->called)
        return;
    t->called = false;
    t->threads->called--;
    engine_of(t)->coming--;
}

static size_t batch_size(const struct fri_lane *lane)
{
    size_t ready = atomic_load_explicit(&lane->ready, memory_order_relaxed);
    size_t share = 1 + ready / (2 * (size_t)lane->workers), few;

    if (lane->task_ns == 0 || lane->task_ns > FRI_LONG_NS)
        return 1;
    few = FRI_WAKE_NS / lane->task_ns; /* not worth sharing */
    share = few > share ? few : share;
    return share < FRI_BATCH ? share : FRI_BATCH;
}

static size_t take(struct fri_thread *t)
{
    struct fri_lane *lane = t->threads->lane;

    if (t->threads->ops)
        return t->threads->ops->take(t);
    return fri_sched_take(lane, batch_size(lane), t->hand.slices);
}

/* One round; false when the worker is to leave. */
static bool next(struct fri_thread *t)
{
    size_t n;

    arrived(t);
    if (!fri_thread_may_run(t) && !fri_pool_over(t->worker.pool)) {
        idle(t);
        return true;
    }
    if (t->resumed) {
        set_busy(t, true);
        run_resumed(t);
        return !t->lost;
    }
    gather(t);
    n = take(t);
    if (n > 0) {
        set_busy(t, true);
        fri_threads_call(t->threads, false);
        run_batch(t, n);
        return !t->lost;
    }
    if (fri_pool_over(t->worker.pool))
        return false;
    idle(t);
    return true;
}

/* ---- the thread ------------------------------------------------------- */

static bool open_state(struct fri_thread *t)
{
    frun_engine *e = engine_of(t);
    struct fri_error *error = NULL;

    if (!e->runner)
        return true;
    t->worker.state = e->runner->open(e->runner_user, &t->worker, &error);
    if (t->worker.state)
        return true;
    fri_lock(e);
    fri_threads_break(t->threads, error);
    fri_unlock(e);
    return false;
}

static void set_name(const struct fri_thread *t)
{
    char name[16];

    snprintf(name, sizeof name, "%.10s/%u", t->worker.pool->name,
             t->worker.index);
    pthread_setname_np(pthread_self(), name);
}

void *fri_thread_work(void *user)
{
    struct fri_thread *t = user;
    struct fri_threads *ts = t->threads;
    frun_engine *e = engine_of(t);
    bool open;

    set_name(t);
    prctl(PR_SET_TIMERSLACK, 1UL); /* sleeps end 50 us sooner */
    fri_signal_take(t);
    open = open_state(t);
    fri_lock(e);
    while (open && next(t))
        ;
    if (t->lost) {
        fri_unlock(e);
        fri_thread_end_lost(t);
        return NULL;
    }
    /* A worker that could not open has failed the work that there was. */
    arrived(t);
    set_busy(t, false);
    fri_unlock(e);
    if (t->worker.state)
        e->runner->close(t->worker.state);
    fri_lock(e);
    if (--ts->alive == 0 && fri_pool_over(ts->pool))
        fri_pool_gone(ts->pool);
    else if (!open) /* what has come meanwhile has counted on it */
        fri_threads_ready(ts);
    fri_unlock(e);
    return NULL;
}
