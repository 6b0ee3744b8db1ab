/*
 * threads.c - the pool whose workers are threads.
 *
 * Rules.
 *  1. A wake costs 5 to 15 us, so a worker is called only for work that will
 *     not be taken soon by those who spin or are on their way, or, if tasks
 *     are short, by those at work; whoever takes a batch and leaves something
 *     behind calls the next.
 *  2. Counting on those at work is a guess, so it is watched: the service
 *     thread finds who is stuck in a task, and then nobody counts on it.
 *  3. No more threads than `workers`, but for one in the place of each that
 *     is blocked.
 */
#define _GNU_SOURCE
#include "pools/threads/threads.h"

enum {
    STACK = 4 << 20,  /* 200 nested C calls of Lua, and our readers */
    APART = 128,      /* bytes between what two threads write: adjacent,
                         they made two workers no faster than one */
    MOST = 2048       /* threads of a pool, with those in place of blocked */
};

/* ---- starting and waking ---------------------------------------------- */

static void init_cond(pthread_cond_t *cond)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &attr);
    pthread_condattr_destroy(&attr);
}

static struct fri_thread *thread_new(struct fri_threads *ts)
{
    const struct fri_memory *m = &ts->pool->engine->memory;
    void *block = fri_alloc_zero(m, sizeof(struct fri_thread) + 2 * APART);
    struct fri_thread *t;

    if (!block)
        return NULL;
    t = (struct fri_thread *)(((uintptr_t)block + APART - 1)
                              & ~(uintptr_t)(APART - 1));
    t->block = block;
    t->threads = ts;
    t->worker.pool = ts->pool;
    t->worker.index = ts->started + 1;
    t->resumed_end = &t->resumed;
    init_cond(&t->cond);
    return t;
}

void fri_thread_free(struct fri_thread *t)
{
    fri_error_free(t->worker.error);
    pthread_cond_destroy(&t->cond);
    fri_free(&t->worker.pool->engine->memory, t->block);
}

static void on_its_way(struct fri_thread *t)
{
    t->called = true;
    t->threads->called++;
    t->threads->pool->engine->coming++;
}

/* The new thread begins by waiting for the lock. */
static bool start_thread(struct fri_threads *ts)
{
    struct fri_thread *t = ts->started < MOST ? thread_new(ts) : NULL;

    if (t && fri_thread_start(&t->id, STACK, fri_thread_work, t) != 0) {
        fri_thread_free(t);
        t = NULL;
    }
    if (!t)
        return false;
    on_its_way(t);
    t->next = ts->all;
    ts->all = t;
    ts->started++;
    ts->alive++;
    return true;
}

static void wake(struct fri_thread *t)
{
    struct fri_thread **at = &t->threads->idle;

    while (*at != t)
        at = &(*at)->next_idle;
    *at = t->next_idle;
    t->woken = true;
    on_its_way(t);
    pthread_cond_signal(&t->cond);
}

static void fail(struct frun_future *task, const struct fri_lane *lane)
{
    struct fri_data outcome = { .holds = FRI_ERROR };
    fri_time now = fri_now();

    if (!fri_task_begin(task, 0, now)) {
        fri_sched_return(task);
        return;
    }
    outcome.error = fri_lane_broken_error(lane);
    fri_sched_finish(task, &outcome, now);
}

static void fail_taken(struct fri_threads *ts)
{
    struct fri_lane *lane = &ts->pool->lane;
    struct frun_future *best;

    if (ts->lane == lane)
        return;
    while ((best = fri_lane_best(ts->lane)) != NULL) {
        fri_lane_pop(ts->lane, best);
        fail(best, lane);
    }
}

/* Memory may come back. */
void fri_threads_break(struct fri_threads *ts, struct fri_error *error)
{
    if (!error || error->public.status == FRUN_ENOMEM)
        fri_lane_fail(&ts->pool->lane, error);
    else
        fri_lane_break(&ts->pool->lane, error);
    fail_taken(ts);
}

static void no_thread(struct fri_threads *ts)
{
    frun_pool *pool = ts->pool;

    ts->failed = true;
    if (ts->alive > 0)
        return;
    fri_lane_fail(&pool->lane,
                  fri_error_format(&pool->engine->memory, FRUN_ERESOURCE,
                                   "%s: no thread could be started",
                                   pool->name));
    fail_taken(ts);
}

static bool is_short(const struct fri_lane *lane)
{
    return lane->task_ns > 0 && lane->task_ns < FRI_SHORT_NS;
}

static bool owner_idle(const frun_engine *e)
{
    return atomic_load_explicit(&e->owner_idle, memory_order_relaxed);
}

/* Short tasks compute: one more worker would only take a core from another,
 * or from the owner, which goes on submitting. */
static bool no_core(const struct fri_threads *ts)
{
    const frun_engine *e = ts->pool->engine;

    return is_short(ts->lane)
           && ts->active + ts->called + ts->spinning > ts->blocked + ts->stuck
           && e->busy + e->coming + e->spinning + !owner_idle(e) >= e->cores;
}

/* Little work in short tasks need not start before there is more of it, or
 * the owner waits, or half a millisecond is over. */
static bool is_little(const struct fri_threads *ts, size_t want)
{
    return want <= 1 && ts->started > 0 && !owner_idle(ts->pool->engine);
}

static void put_off(frun_engine *e)
{
    e->put_off = true;
    fri_engine_watch(e);
}

void fri_threads_call(struct fri_threads *ts, bool now)
{
    const struct fri_lane *lane = ts->lane;
    frun_engine *e = ts->pool->engine;
    size_t coming = ts->called + ts->spinning, want = fri_lane_worth(lane);
    unsigned most = ts->most + ts->blocked;

    if (want > coming && is_short(lane)) {
        coming += ts->active - ts->blocked - ts->stuck;
        if (coming > 0) {
            put_off(e);
        } else if (!now && is_little(ts, want)) {
            put_off(e);
            return;
        }
    }
    for (; want > coming; coming++) {
        if (ts->active + ts->called + ts->spinning >= most || no_core(ts))
            return;
        if (ts->idle)
            wake(ts->idle);
        else if ((ts->failed && ts->alive > ts->blocked) || !start_thread(ts))
            break;
    }
    if (want > coming)
        no_thread(ts);
}

void fri_threads_ready(struct fri_threads *ts)
{
    if (ts->spinning > 0)
        atomic_fetch_add_explicit(&ts->signal, 1, memory_order_release);
    fri_threads_call(ts, false);
}

static void threads_ready(struct fri_lane *lane, size_t count)
{
    (void)count;
    fri_threads_ready(fri_lane_pool(lane)->state);
}

/* ---- tasks that wait -------------------------------------------------- */

void fri_threads_call_resumed(struct fri_threads *ts)
{
    struct fri_thread *t = ts->idle, *after;

    for (; t; t = after) {
        after = t->next_idle;
        if (ts->active - ts->blocked + ts->called >= ts->most)
            return;
        if (t->resumed)
            wake(t);
    }
}

void fri_worker_resume(struct fri_resumable *r)
{
    struct fri_thread *t = fri_thread_of(r->worker);
    struct fri_threads *ts = t->threads;

    if (r->worker->ops) {
        r->worker->ops->resume(r);
        return;
    }
    if (t->lost || r->kept)
        return; /* it came to wait while it should have ended */
    r->next = NULL;
    r->queued = true;
    *t->resumed_end = r;
    t->resumed_end = &r->next;
    ts->resumed++;
    if (ts->spinning > 0)
        atomic_fetch_add_explicit(&ts->signal, 1, memory_order_release);
    fri_threads_call_resumed(ts);
}

void fri_worker_block(struct fri_worker *worker)
{
    struct fri_thread *t = fri_thread_of(worker);
    struct fri_threads *ts = t->threads;
    frun_engine *e = worker->pool->engine;

    if (worker->ops)
        return;
    fri_lock(e);
    if (!t->lost) {
        fri_thread_set_stuck(t, false);
        t->blocked = true;
        ts->blocked++;
        e->busy--;
        fri_hand_publish(t);
        fri_hand_reclaim(t);
        if (ts->ops)
            ts->ops->waits(ts, worker->task);
        fri_threads_call(ts, true);
        fri_threads_call_resumed(ts);
    }
    fri_unlock(e);
}

void fri_worker_unblock(struct fri_worker *worker)
{
    struct fri_thread *t = fri_thread_of(worker);
    struct fri_threads *ts = t->threads;
    frun_engine *e = worker->pool->engine;

    if (worker->ops)
        return;
    fri_lock(e);
    if (t->blocked) { /* not if it was given up meanwhile */
        t->blocked = false;
        ts->blocked--;
        e->busy++;
    }
    fri_unlock(e);
}

void fri_worker_wake(struct fri_set *set)
{
    struct fri_worker *worker = set->user;

    if (!worker->ops) /* others look at the set */
        pthread_cond_signal(&fri_thread_of(worker)->cond);
}

static bool waits_on(const struct fri_worker *worker, struct fri_set *set)
{
    return !worker->raised && !(set && atomic_load(&set->satisfied));
}

bool fri_worker_wait(struct fri_worker *worker, struct fri_set *set,
                     fri_time deadline)
{
    struct fri_thread *t = fri_thread_of(worker);
    frun_engine *e = t->worker.pool->engine;
    struct timespec until = { .tv_sec = (time_t)(deadline / FRI_SECOND),
                              .tv_nsec = (long)(deadline % FRI_SECOND) };
    bool raised;

    if (worker->ops)
        return worker->ops->wait(worker, set, deadline);
    fri_lock(e);
    worker->set = set;
    worker->waiting = true;
    worker->raised = false;
    fri_run_block(t);
    while (waits_on(worker, set) && fri_now() < deadline)
        if (deadline == FRI_NEVER)
            pthread_cond_wait(&t->cond, &e->lock);
        else
            pthread_cond_timedwait(&t->cond, &e->lock, &until);
    worker->waiting = false;
    worker->set = NULL;
    if (set)
        fri_set_disarm(set);
    raised = worker->raised;
    fri_unlock(e);
    return raised;
}

/* ---- watching --------------------------------------------------------- */

static bool holds_more(const struct fri_thread *t)
{
    uint32_t span = atomic_load(&t->hand.span);

    return fri_hand_next(span) < fri_hand_end(span)
           || t->hand.published < atomic_load(&t->hand.finished);
}

/* Rule 2; true while the thread may yet turn out to be stuck. */
static bool watch_thread(struct fri_thread *t, fri_time now)
{
    struct fri_lane *lane = t->threads->lane;

    if (!t->busy || t->blocked || t->stuck)
        return false;
    if (now - atomic_load(&t->hand.since) < FRI_LONG_NS)
        return true;
    fri_thread_set_stuck(t, true);
    if (lane->task_ns <= FRI_LONG_NS)
        lane->task_ns = FRI_LONG_NS + 1;
    fri_hand_publish(t);
    fri_hand_reclaim(t);
    return false;
}

bool fri_threads_watch(frun_pool *pool, fri_time now)
{
    struct fri_threads *ts = pool->state;
    bool counted_on = false, holding = false;

    for (struct fri_thread *t = ts->all; t; t = t->next) {
        if (!watch_thread(t, now))
            continue;
        counted_on = true;
        holding = holding || holds_more(t);
    }
    if (atomic_load(&ts->lane->ready) == 0)
        return holding;
    fri_threads_call(ts, true);
    return counted_on;
}

static void threads_hurry(frun_pool *pool)
{
    fri_threads_call(pool->state, true);
}

/* ---- the pool --------------------------------------------------------- */

void fri_threads_init(struct fri_threads *ts, frun_pool *pool,
                      struct fri_lane *lane, unsigned most)
{
    ts->pool = pool;
    ts->lane = lane;
    ts->most = most;
    pool->state = ts;
    if (!pool->engine->runner)
        return;
    fri_lock(pool->engine);
    fri_signal_open(pool->engine);
    fri_unlock(pool->engine);
}

static frun_status threads_open(frun_pool *pool)
{
    struct fri_threads *ts = fri_alloc_zero(&pool->engine->memory, sizeof *ts);

    if (!ts)
        return fri_fail(pool->engine, FRUN_ENOMEM, "out of memory");
    fri_threads_init(ts, pool, &pool->lane, pool->workers);
    return FRUN_OK;
}

void fri_threads_end(frun_pool *pool)
{
    struct fri_threads *ts = pool->state;

    while (ts->idle)
        wake(ts->idle);
    atomic_fetch_add(&ts->signal, 1);
    if (ts->alive == 0 && !pool->gone)
        fri_pool_gone(pool);
}

void fri_threads_join(struct fri_threads *ts)
{
    frun_engine *e = ts->pool->engine;
    struct fri_thread *t;

    while ((t = ts->all) != NULL) {
        ts->all = t->next;
        pthread_join(t->id, NULL);
        fri_lock(e);
        fri_timer_stop(&e->sched.timers, &t->run.timer);
        fri_unlock(e);
        fri_thread_free(t);
    }
}

static void threads_free(frun_pool *pool)
{
    fri_threads_join(pool->state);
    fri_free(&pool->engine->memory, pool->state);
    pool->state = NULL;
}

uint64_t fri_threads_running(const struct fri_threads *ts)
{
    uint64_t n = 0;

    for (const struct fri_thread *t = ts ? ts->all : NULL; t; t = t->next)
        n += atomic_load(&t->begun) - atomic_load(&t->ended);
    return n;
}

static uint64_t threads_running(const frun_pool *pool)
{
    return fri_threads_running(pool->state);
}

static void threads_each(const frun_pool *pool,
                         void (*fn)(void *user, struct frun_future *task,
                                    unsigned worker, fri_time since),
                         void *user)
{
    const struct fri_threads *ts = pool->state;

    for (const struct fri_thread *t = ts ? ts->all : NULL; t; t = t->next) {
        struct frun_future *task = atomic_load(&t->run.task);

        if (task && t->busy && !t->lost)
            fn(user, task, t->worker.index, atomic_load(&t->hand.since));
    }
}

static const struct fri_lane_hooks hooks = {
    .ready = threads_ready,
    .idle = fri_lane_idle,
    .stop = fri_threads_stop,
    .hold = fri_lane_hold,
    .release = fri_lane_release,
};

const struct fri_pool_ops fri_threads_ops = {
    .kind = FRUN_THREADS,
    .hooks = &hooks,
    .open = threads_open,
    .end = fri_threads_end,
    .free = threads_free,
    .running = threads_running,
    .each = threads_each,
    .watch = fri_threads_watch,
    .hurry = threads_hurry,
};
