/*
 * threads.h - what threads.c (starting, waking, watching) and worker.c (the
 * life of a worker) share.  All under the engine's lock, unless it says not.
 *
 * Where a thread of a pool is: asleep (in `idle`), on its way (`called`),
 * spinning (`spinning`), or at work (`active`, `busy` itself).  Of those at
 * work, `blocked` ones wait without being able to yield, and `stuck` ones
 * have been at one task for so long that nobody counts on them.
 */
#ifndef FRI_THREADS_H
#define FRI_THREADS_H

#include "pools/pool.h"

enum {
    FRI_BATCH = 32,        /* the lock then costs below 10 ns a task */
    FRI_SHORT_NS = 5000,   /* tasks that are over at once */
    FRI_WAKE_NS = 20000,   /* less work than this is not worth a wake */
    FRI_LONG_NS = 50000    /* a task that takes longer is taken alone */
};

/* A task that was run, or that fri_task_begin refused. */
struct fri_done {
    struct fri_slice slice;
    uint64_t end; /* of the slice when it was taken */
    struct fri_ran ran;
    fri_time began, ended;
    fri_time cpu; /* of its thread; 0: not measured */
    bool begun, resumed;
};

/* What a worker has taken and not handed back.  It works through `slices`
 * without the lock: the next one is taken by counting `span` up, the rest are
 * taken from it by moving the end of `span` down.  done[0 .. finished) may be
 * published by whoever holds the lock. */
struct fri_hand {
    bool timed; /* one task, long enough to ask for its CPU time */
    _Atomic uint32_t span;  /* next | end << 16 */
    atomic_uint finished;   /* how many of `done` are complete */
    unsigned published;     /* lock */
    _Atomic fri_time since; /* when the task that runs now was begun */
    struct fri_slice slices[FRI_BATCH];
    struct fri_done done[FRI_BATCH];
};

struct fri_thread {
    struct fri_worker worker;
    struct fri_threads *threads;
    struct fri_thread *next, *next_idle;
    void *block; /* what was allocated */
    pthread_t id;
    pthread_cond_t cond;
    struct fri_resumable *resumed, **resumed_end;
    bool woken, busy, called, stuck, blocked;
    struct fri_spinner spinner;
    struct fri_near near; /* its own */
    _Atomic uint64_t begun, ended; /* tasks; no lock */
    struct fri_hand hand;
};

struct fri_threads {
    frun_pool *pool;
    struct fri_thread *all, *idle;
    unsigned started, alive;
    unsigned active, blocked, stuck, spinning, called;
    unsigned resumed;   /* suspended tasks that can go on */
    unsigned suspended; /* tasks that wait, and have yielded */
    atomic_uint signal; /* spinners look at it */
    bool failed;        /* a thread could not be started: make do */
};

static inline struct fri_thread *fri_thread_of(struct fri_worker *worker)
{
    return (struct fri_thread *)worker;
}

/* May this thread, at work or not, take something up?  `workers` counts those
 * that run, not those that wait. */
static inline bool fri_thread_may_run(const struct fri_thread *t)
{
    const struct fri_threads *ts = t->threads;

    return ts->active - ts->blocked - t->busy < ts->pool->workers;
}

/* Calls workers for what is in the queue; unless `now`, what is little may be
 * put off while the owner goes on submitting. */
void fri_threads_call(struct fri_threads *ts, bool now);

/* Calls workers that sleep and have something to resume. */
void fri_threads_call_resumed(struct fri_threads *ts);

/* worker.c: the thread's function; `user` is a fri_thread. */
void *fri_thread_work(void *user);

/* Hands over what has been finished, and takes back what was not begun. */
void fri_hand_publish(struct fri_thread *t);
void fri_hand_reclaim(struct fri_thread *t);

void fri_thread_set_stuck(struct fri_thread *t, bool stuck);

static inline uint32_t fri_hand_next(uint32_t span)
{
    return span & 0xffff;
}

static inline uint32_t fri_hand_end(uint32_t span)
{
    return span >> 16;
}

#endif
