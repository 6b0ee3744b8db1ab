/*
 * pool.h - what every kind of pool has, and how tasks of a language run.
 *
 * A pool lives as long as somebody holds its handle or has a task in it; a
 * pool that nobody holds finishes its tasks and ends by itself.  The service
 * thread joins its workers and frees it.
 */
#ifndef FRI_POOL_H
#define FRI_POOL_H

#include "core/engine.h"
#include "core/range.h"

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
    /* Lock held: lets go of what hangs on a task that takes long; false when
     * nothing can hang now. */
    bool (*watch)(frun_pool *pool, fri_time now);
    /* Lock held: the owner waits. */
    void (*hurry)(frun_pool *pool);
};

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
    pthread_cond_t gone_cond;
    bool closing; /* closed by its owner: only its own tasks may submit */
    bool gone;    /* all workers have left */
    bool joining; /* somebody is freeing the workers */
};

/* A worker thread, as a runner sees it. */
struct fri_worker {
    frun_pool *pool;
    unsigned index;           /* 1 .. */
    struct frun_future *task; /* what runs now */
    void *state;              /* the runner's */
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
    /* Goes on with what was suspended, when fri_worker_resume was called. */
    void (*resume)(void *state, void *suspended, struct fri_slice *slice,
                   struct fri_ran *ran);
};

/* Lock held: the worker takes up the suspended task when it can.  What is
 * suspended begins with this. */
struct fri_resumable {
    struct fri_resumable *next;
    struct fri_worker *worker;
    struct fri_slice slice;
};
void fri_worker_resume(struct fri_resumable *r);

/* A worker that cannot yield is about to wait (and has waited): another may
 * run in its place. No lock held. */
void fri_worker_block(struct fri_worker *worker);
void fri_worker_unblock(struct fri_worker *worker);

extern const struct fri_pool_ops fri_threads_ops;

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
