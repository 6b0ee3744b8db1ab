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

#include <signal.h>

enum {
    FRI_BATCH = 32,        /* the lock then costs below 10 ns a task */
    FRI_SHORT_NS = 5000,   /* tasks that are over at once */
    FRI_LONG_NS = 50000    /* a task that takes longer is taken alone */
};

/* A task that was run, or that fri_task_begin refused. */
struct fri_done {
    struct fri_slice slice;
    uint64_t end; /* of the slice when it was taken */
    struct fri_ran ran;
    fri_time began, ended;
    fri_time cpu; /* of its thread; 0: not measured */
    uint64_t run; /* its number, see stop.c */
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
    unsigned number; /* of the worker, for its task; 0: worker.index */
    struct fri_resumable *resumed, **resumed_end;
    bool woken, busy, called, stuck, blocked;
    struct fri_spinner spinner;
    struct fri_near near; /* its own */
    struct fri_run {
        _Atomic(struct frun_future *) task; /* what runs */
        _Atomic uint64_t number; /* of this run; 0: none; or one of stop.c */
        _Atomic uint64_t wanted;     /* the run that is to stop */
        _Atomic(frun_status) why;
        atomic_bool always;          /* raise again and again */
        atomic_uint entered;         /* orders what it read before it is lost */
        uint64_t count;              /* its own: how many there were */
        volatile sig_atomic_t hit;   /* its own: a signal came */
        struct fri_timer timer;      /* lock */
        fri_time since;              /* lock: when it was told to stop */
    } run;
    bool lost; /* lock: given up; see fri_thread_end_lost */
    struct frun_future *kept;  /* of a lost one: its task ... */
    struct fri_data arguments; /* ... and what that was called with */
    _Atomic uint64_t begun, ended; /* tasks; no lock */
    struct fri_hand hand;
};

/* What threads do otherwise that are the hands of another kind of pool: they
 * take what that has taken from its lane before. */
struct fri_threads_ops {
    /* Lock held: the next into hand.slices[0], from ts->lane; how many. */
    size_t (*take)(struct fri_thread *t);
    /* No lock: runs, or goes on with, what is not the runner's.  False: it is
     * the runner's. */
    bool (*run)(struct fri_worker *worker, struct fri_slice *slice,
                struct fri_ran *ran);
    bool (*resume)(struct fri_resumable *r, struct fri_slice *slice,
                   struct fri_ran *ran);
    /* Lock held: the task has come to wait, by yielding or blocking. */
    void (*waits)(struct fri_threads *ts, struct frun_future *task);
};

struct fri_threads {
    frun_pool *pool;
    const struct fri_threads_ops *ops; /* NULL: the threads are the pool's */
    struct fri_lane *lane; /* where they take from: the pool's own, or ... */
    unsigned most;         /* that run at once */
    struct fri_thread *all, *idle;
    unsigned started, alive;
    unsigned active, blocked, stuck, spinning, called;
    unsigned resumed;   /* suspended tasks that can go on */
    unsigned suspended; /* tasks that wait, and have yielded */
    struct fri_resumable *waiting; /* these */
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

    return ts->active - ts->blocked - t->busy < ts->most;
}

/* Calls workers for what is in the queue; unless `now`, what is little may be
 * put off while the owner goes on submitting. */
void fri_threads_call(struct fri_threads *ts, bool now);

/* There is more to take. */
void fri_threads_ready(struct fri_threads *ts);

/* No thread, or none that works, can be had: the pool is broken for that
 * reason (taken), and what was not begun fails. */
void fri_threads_break(struct fri_threads *ts, struct fri_error *error);

/* The pool's state begins with a fri_threads: `most` of them, for `lane`. */
void fri_threads_init(struct fri_threads *ts, frun_pool *pool,
                      struct fri_lane *lane, unsigned most);
void fri_threads_end(frun_pool *pool);
/* No lock: joins them. */
void fri_threads_join(struct fri_threads *ts);
uint64_t fri_threads_running(const struct fri_threads *ts);
bool fri_threads_watch(frun_pool *pool, fri_time now);

/* Calls workers that sleep and have something to resume. */
void fri_threads_call_resumed(struct fri_threads *ts);

void fri_thread_free(struct fri_thread *t);

/* worker.c: the thread's function; `user` is a fri_thread. */
void *fri_thread_work(void *user);

/* hand.c: hands over what has been finished, and takes back what was not
 * begun. */
void fri_hand_publish_one(struct fri_thread *t, struct fri_done *d);
void fri_hand_publish(struct fri_thread *t);
void fri_hand_reclaim(struct fri_thread *t);

void fri_thread_set_stuck(struct fri_thread *t, bool stuck);

/* ---- stop.c ----------------------------------------------------------- */

#define FRI_LOST UINT64_MAX
#define FRI_SUSPENDS (UINT64_MAX - 1) /* claimed, and not published yet */

/* hooks->stop of threads. */
bool fri_threads_stop(struct fri_lane *lane, struct frun_future *task,
                      frun_status why);

/* No lock: a run of the task begins, before fri_task_begin; and ends, false:
 * the thread was given up. */
uint64_t fri_run_begin(struct fri_thread *t, struct frun_future *task);
bool fri_run_end(struct fri_thread *t);

/* Of what is suspended: it has come to wait, in that run; it goes on. */
void fri_run_suspend(struct fri_thread *t, struct fri_resumable *r,
                     uint64_t run);
void fri_run_resume(struct fri_thread *t, struct fri_resumable *r);

/* No lock: what went on was an orphan (r->kept), which is undone now. */
void fri_run_orphan(struct fri_thread *t, struct fri_resumable *r);

/* Lock held, on the thread itself: its task blocks. */
void fri_run_block(struct fri_thread *t);

/* The signal has come, on the thread itself. */
void fri_run_signal(struct fri_thread *t);

/* Lock held, for stop.c and lost.c: the run has until GRACE from now; the
 * signal; r waits no more; what was stopped ends, though it has not come
 * back. */
void fri_run_timer(struct fri_thread *t, fri_time now);
void fri_run_interrupt(struct fri_thread *t, bool always);
void fri_run_unlink(struct fri_resumable *r);
void fri_run_finish_without(const struct fri_slice *slice, frun_status why,
                            fri_time now);

/* Lock held, by the timer of its run. */
void fri_thread_give_up(struct fri_thread *t, fri_time now);

/* No lock, on the thread itself, which was given up and has come back. */
void fri_thread_end_lost(struct fri_thread *t);

/* ---- signal.c --------------------------------------------------------- */

/* Lock held: sees to it that the engine has a signal, or none can be had. */
void fri_signal_open(frun_engine *e);
void fri_signal_close(frun_engine *e);

/* This thread is t: it takes signals from now. */
void fri_signal_take(struct fri_thread *t);

static inline uint32_t fri_hand_next(uint32_t span)
{
    return span & 0xffff;
}

static inline uint32_t fri_hand_end(uint32_t span)
{
    return span >> 16;
}

#endif
