/*
 * pool.h - what every kind of pool has, and how tasks of a language run.
 *
 * A pool lives as long as somebody holds its handle or has a task in it; a
 * pool that nobody holds finishes its tasks and ends by itself.  The service
 * thread joins its workers and frees it.
 */
#ifndef FRI_POOL_H
#define FRI_POOL_H

#include "core/function.h"
#include "core/engine.h"
#include "core/range.h"

struct fri_worker;

struct fri_pool_ops {
    frun_kind kind;
    frun_status (*open)(frun_pool *pool);
    const struct fri_lane_hooks *hooks;
    /* Lock held: those who wait for work leave if fri_pool_over(pool). */
    void (*end)(frun_pool *pool);
    /* No lock held, all workers have left: joins and frees them. */
    void (*free)(frun_pool *pool);
    /* Lock held: tasks that run now. */
    uint64_t (*running)(const frun_pool *pool);
    /* Lock held: each task that runs now, and since when.  May be NULL. */
    void (*each)(const frun_pool *pool,
                 void (*fn)(void *user, struct frun_future *task,
                            unsigned worker, fri_time since),
                 void *user);
    /* Lock held: lets go of what hangs on a task that takes long; false when
     * nothing can hang now. */
    bool (*watch)(frun_pool *pool, fri_time now);
    /* Lock held: the owner waits. */
    void (*hurry)(frun_pool *pool);
    /* Lock held: deadlock.c looks (and has looked): the waits of tasks of
     * other processes, which are no sets.  NULL: there are none. */
    void (*waits)(frun_pool *pool, bool look);
};

enum { FRI_WAKE_NS = 20000 }; /* less work than this is not worth a wake */

struct frun_pool {
    struct fri_handle handle; /* FRI_HANDLE_POOL: its refs are who holds it */
    atomic_uint refs; /* memory: the holders together, the engine, specs */
    struct fri_lane lane;
    frun_engine *engine;
    struct frun_pool *next, **link; /* in engine->pools */
    const struct fri_pool_ops *ops;
    char *name;
    unsigned workers;
    int max_tasks;
    struct fri_waiter *drains; /* who waits until nothing is pending */
    struct fri_spec *spec;     /* owner: of the last submit from C, or NULL */
    void *state;               /* of its kind */
    void *init;                /* run first in each worker, or NULL */
    void (*init_free)(void *init);
    struct fri_first first; /* the same, for keys */
    pthread_cond_t gone_cond;
    bool closing; /* closed by its owner: only its own tasks may submit */
    bool gone;    /* all workers have left, and may be freed: no more calls */
    bool joining; /* somebody is freeing the workers */
};

struct fri_reader;
struct fri_resumable;

/* How a worker that is no thread of the engine's process waits. */
struct fri_worker_ops {
    /* Lock held: as fri_worker_resume. */
    void (*resume)(struct fri_resumable *r);
    /* No lock: as fri_worker_wait. */
    bool (*wait)(struct fri_worker *worker, struct fri_set *set,
                 fri_time deadline);
};

/* A worker, as a runner sees it. */
struct fri_worker {
    const struct fri_worker_ops *ops; /* NULL: a thread */
    frun_pool *pool;
    unsigned index;           /* 1 .. */
    struct frun_future *task; /* what runs now */
    void *state;              /* the runner's */
    atomic_bool fired;        /* by the runner: an interrupt has raised */
    struct fri_set *set;      /* lock: what it is blocked on, or NULL */
    bool waiting, raised;     /* lock: it is blocked; that ends by `error` */
    struct fri_error *error;  /* its own once it goes on; NULL: no memory */
};

/* What became of a slice that was begun. */
struct fri_ran {
    struct fri_data outcome; /* of a range: its results, FRI_MESSAGE */
    struct fri_error *failure; /* of a range: why item slice->end failed */
    bool failed;               /* of a range: it did; failure may be NULL */
    void *suspended; /* not NULL: it waits; nothing else is set */
};

/* How tasks of the script language run: given by the script layer.  For a
 * range, slice->end is moved down to the items that are done, or, when one
 * of them waits, to that one and those before. */
struct fri_runner {
    /* On the worker's thread.  NULL: *error says why, the pool breaks. */
    void *(*open)(void *user, struct fri_worker *worker,
                  struct fri_error **error);
    void (*close)(void *state);
    void (*run)(void *state, struct fri_slice *slice, struct fri_ran *ran);
    /* Goes on with what was suspended, when fri_worker_resume was called; or,
     * if it was raised, with that error, which it takes. */
    void (*resume)(void *state, void *suspended, struct fri_slice *slice,
                   struct fri_ran *ran);
    /* On the worker's thread, as a signal handler: raises an error of kind
     * `why` in what runs now, once, or (always) until it has ended. */
    void (*interrupt)(void *state, frun_status why, bool always);
    /* On the worker's thread: what was interrupted has ended. */
    void (*calm)(void *state);
    /* What a worker process must know: written in the engine's process, read
     * there, where it gives the `user` of open.  `process` is a number that no
     * other process of the run has.  May be NULL: no worker processes. */
    void (*greet)(void *user, struct fri_buffer *b);
    void *(*arrive)(frun_engine *e, struct fri_reader *r, uint64_t process);
};

/* A runner that comes back with a task calls this before it touches what is
 * not its own: the task's data, its range, `slice`, `ran`.  False: the thread
 * has been given up meanwhile, and leaves all of that alone. */
bool fri_worker_claim(struct fri_worker *worker);

/* The same where the task is suspended: it can still be stopped. */
bool fri_worker_suspend(struct fri_worker *worker);

/* A runner has read what it wants of the task's data and goes into what may
 * never come back. */
void fri_worker_enter(struct fri_worker *worker);

/* Lock held: the worker takes up the suspended task when it can.  What is
 * suspended begins with this; the runner sets worker, slice and set. */
struct fri_resumable {
    struct fri_resumable *next; /* of those that can go on */
    struct fri_worker *worker;
    struct fri_slice slice;
    struct fri_set *set; /* what it waits for */
    struct fri_resumable *after, **link; /* lock: all that are suspended */
    bool queued;                         /* lock: it can go on */
    bool raised;                         /* its wait ends by `error` */
    struct fri_error *error;             /* NULL: no memory */
    fri_time since; /* lock: when it was told to stop, 0: not */
    frun_status why;
    struct fri_timer timer;   /* its worker did not get to it in time ... */
    struct frun_future *kept; /* ... so that its task has ended without it */
};
void fri_worker_resume(struct fri_resumable *r);

/* Lock held: ends the wait of what is suspended, or of a worker that is
 * blocked, by raising `error` (taken; NULL: out of memory) in the task.  False:
 * the worker is not blocked; the error is freed. */
void fri_worker_raise(struct fri_resumable *r, struct fri_error *error);
bool fri_worker_raise_blocked(struct fri_worker *worker,
                              struct fri_error *error);

/* No lock held: blocks the thread until the set (NULL: none) is satisfied,
 * which was armed with fri_worker_wake and user = worker, or the deadline.
 * True: worker->error is to be raised. */
bool fri_worker_wait(struct fri_worker *worker, struct fri_set *set,
                     fri_time deadline);
void fri_worker_wake(struct fri_set *set);

/* A worker that cannot yield is about to wait (and has waited): another may
 * run in its place. No lock held. */
void fri_worker_block(struct fri_worker *worker);
void fri_worker_unblock(struct fri_worker *worker);

extern const struct fri_pool_ops fri_threads_ops, fri_forks_ops,
    fri_commands_ops;

/* forks.c, for pool.c: fri_pools_ops.look and sleep; the engine closes: its
 * processes end. */
void fri_forks_look(frun_engine *e);
fri_time fri_forks_sleep(frun_engine *e);
bool fri_forks_owner_looks(frun_engine *e);
void fri_forks_owner_leaves(frun_engine *e);
void fri_forks_close(frun_engine *e);

/* Lock held: worker processes that know no scripts are replaced. */
void fri_forks_renew(frun_engine *e);

/* Lock held: a pool that nobody has linked or opened yet; NULL: no memory. */
frun_pool *fri_pool_new(frun_engine *e, const struct fri_pool_ops *ops,
                        const frun_pool_options *o);

/* How many workers the queue of a lane is worth, by what its tasks take: less
 * work than a wake costs is not worth one. */
size_t fri_lane_worth(const struct fri_lane *lane);

/* No lock: the run is stopped, its worker processes with it, and its timers
 * stand still; it goes on.  Pairs, by one thread at a time. */
void fri_engine_pause(frun_engine *e);
void fri_engine_resume(frun_engine *e);

/* The engine knows of pools from now on. */
void fri_pools_attach(frun_engine *e);

/* Gives the engine the parent of its processes (taken); NULL: there is none,
 * and error (an errno) says why. */
struct fri_spawner;
void fri_engine_adopt(frun_engine *e, struct fri_spawner *spawner, int error);

frun_status fri_pool_open(frun_engine *e, frun_kind kind,
                          const frun_pool_options *options, void *init,
                          void (*init_free)(void *), frun_pool **pool);

static inline frun_pool *fri_lane_pool(struct fri_lane *lane)
{
    return (frun_pool *)(void *)((char *)lane - offsetof(frun_pool, lane));
}

/* One more holder, also of a pool that had none (a task asks for its own). */
void fri_pool_hold(frun_pool *pool);

/* Lock held: may its workers leave? */
bool fri_pool_over(const frun_pool *pool);

/* For the hooks of every kind. */
void fri_lane_hold(struct fri_lane *lane);
void fri_lane_release(struct fri_lane *lane);
void fri_lane_idle(struct fri_lane *lane);

/* Lock held: tasks that have begun and not ended. */
static inline uint64_t fri_pool_running(const frun_pool *pool)
{
    return pool->gone ? 0 : pool->ops->running(pool) + pool->lane.held;
}

/* Lock held, by the pool's kind: the last worker has left. */
void fri_pool_gone(frun_pool *pool);

/* Takes no more tasks of its owner. */
void fri_pool_closing(frun_pool *pool);

/* Waits on the owner's thread until nothing is pending; false: time ran out,
 * or the run is interrupted. */
bool fri_pool_drain(frun_pool *pool, fri_time deadline);

/* Nothing is pending, and it is closing: waits until its workers have left. */
void fri_pool_join(frun_pool *pool);

/* Cancels all that is pending; of those that run, what can be stopped. */
void fri_pool_cancel(frun_pool *pool);

#endif
