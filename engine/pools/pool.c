/*
 * pool.c - how pools of every kind begin and end.
 *
 * A pool's memory has three kinds of users, each with one of `refs`: the
 * holders of its handle together, the engine's list until the workers are
 * freed, and every spec.  It ends (fri_pool_over) when nothing is unfinished
 * and it is closed or held by nobody; then its workers leave, and whoever
 * comes first, its closer or the service thread, frees them.
 */
#include "pools/commands/exec.h"
#include "pools/threads/threads.h"

#include <stdio.h>

static void pool_unref(frun_pool *pool)
{
    frun_engine *e = pool->engine;

    if (atomic_fetch_sub_explicit(&pool->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (pool->init_free)
        pool->init_free(pool->init);
    fri_lane_free(&pool->lane);
    pthread_cond_destroy(&pool->gone_cond);
    fri_free(&e->memory, pool->name);
    fri_free(&e->memory, pool);
    fri_engine_unref(e);
}

/* The last holder has gone: the service thread ends it when it is idle. */
static void unheld(struct fri_handle *handle)
{
    frun_pool *pool = (frun_pool *)handle;

    fri_service_poke(pool->engine);
    pool_unref(pool);
}

void fri_pool_hold(frun_pool *pool)
{
    if (atomic_fetch_add(&pool->handle.refs, 1) == 0)
        atomic_fetch_add(&pool->refs, 1);
}

void fri_lane_hold(struct fri_lane *lane)
{
    atomic_fetch_add(&fri_lane_pool(lane)->refs, 1);
}

void fri_lane_release(struct fri_lane *lane)
{
    pool_unref(fri_lane_pool(lane));
}

void fri_lane_idle(struct fri_lane *lane)
{
    frun_pool *pool = fri_lane_pool(lane);

    fri_lane_purge(lane);
    fri_waiters_fire(&pool->drains);
    if (!pool->gone && fri_pool_over(pool))
        pool->ops->end(pool);
}

bool fri_pool_over(const frun_pool *pool)
{
    return pool->lane.unfinished == 0
           && (pool->closing || atomic_load(&pool->handle.refs) == 0);
}

size_t fri_lane_worth(const struct fri_lane *lane)
{
    struct frun_future *best = fri_lane_best(lane);
    uint64_t items = atomic_load_explicit(&lane->ready, memory_order_relaxed);
    uint64_t ns = lane->task_ns, n;

    if (best && best->holds == FRI_RANGE) {
        const struct fri_range *r = best->data.range;

        items = r->count - r->next + r->back_count;
        ns = r->item_ns;
    }
    if (ns == 0 || items == 0 || items > UINT64_MAX / ns)
        return items;
    n = items * ns / FRI_WAKE_NS + 1;
    return n < items ? n : items;
}

static const struct fri_pools_ops pools_ops;

/* ---- opening ---------------------------------------------------------- */

static const struct fri_pool_ops *kinds[] = {
    [FRUN_THREADS] = &fri_threads_ops,
    [FRUN_FORKS] = &fri_forks_ops,
    [FRUN_COMMANDS] = &fri_commands_ops,
};

static const struct fri_pool_ops *kind_ops(frun_kind kind)
{
    size_t i = (size_t)kind;

    return i < sizeof kinds / sizeof *kinds ? kinds[i] : NULL;
}

frun_pool *fri_pool_new(frun_engine *e, const struct fri_pool_ops *ops,
                        const frun_pool_options *o)
{
    frun_pool *pool = fri_alloc_zero(&e->memory, sizeof *pool);
    char name[32];

    if (!pool)
        return NULL;
    snprintf(name, sizeof name, "pool %u", ++e->pool_count);
    pool->name = fri_strdup(&e->memory, o->name ? o->name : name);
    if (!pool->name) {
        fri_free(&e->memory, pool);
        return NULL;
    }
    pool->handle.kind = FRI_HANDLE_POOL;
    pool->handle.free = unheld;
    atomic_init(&pool->handle.refs, 1);
    atomic_init(&pool->refs, 2); /* the holders, the engine */
    pool->engine = e;
    pool->ops = ops;
    pool->workers = o->workers ? (unsigned)o->workers : e->cores;
    pool->max_tasks = o->max_tasks;
    pthread_cond_init(&pool->gone_cond, NULL);
    atomic_fetch_add(&e->refs, 1);
    fri_lane_init(&pool->lane, &e->sched, ops->hooks, pool->workers);
    pool->lane.name = pool->name;
    return pool;
}

static void link_pool(frun_engine *e, frun_pool *pool)
{
    pool->link = &e->pools;
    pool->next = e->pools;
    if (pool->next)
        pool->next->link = &pool->next;
    e->pools = pool;
}

static void unlink_pool(frun_pool *pool)
{
    *pool->link = pool->next;
    if (pool->next)
        pool->next->link = pool->link;
}

static frun_status check(frun_engine *e, const struct fri_pool_ops *ops,
                         const frun_pool_options *o)
{
    if (!ops)
        return fri_fail(e, FRUN_EINVAL, "there is no such kind of pool");
    if (o->workers < 0 || o->workers > 1024)
        return fri_fail(e, FRUN_EINVAL, "workers: 1 to 1024, not %d",
                        o->workers);
    if (o->max_tasks < 0)
        return fri_fail(e, FRUN_EINVAL, "max_tasks: 1 or more, not %d",
                        o->max_tasks);
    if (e->closing)
        return fri_fail(e, FRUN_ECLOSED, "the engine is closing");
    return FRUN_OK;
}

/* The service thread sees a pool only when it is whole. */
static frun_status open_kind(frun_pool *pool)
{
    frun_engine *e = pool->engine;
    frun_status status = pool->ops->open(pool);

    if (status != FRUN_OK) {
        pool_unref(pool);
        fri_handle_unref(&pool->handle);
        return status;
    }
    fri_lock(e);
    link_pool(e, pool);
    fri_unlock(e);
    return FRUN_OK;
}

void fri_pools_attach(frun_engine *e)
{
    if (!e->pools_ops)
        e->pools_ops = &pools_ops;
}

frun_status fri_pool_open(frun_engine *e, frun_kind kind,
                          const frun_pool_options *options, void *init,
                          void (*init_free)(void *), frun_pool **pool)
{
    frun_pool_options none = { .size = sizeof none };
    const frun_pool_options *o = options ? options : &none;
    const struct fri_pool_ops *ops = kind_ops(kind);
    frun_status status = check(e, ops, o);
    frun_pool *new = NULL;

    *pool = NULL;
    fri_pools_attach(e);
    if (status == FRUN_OK)
        status = fri_service_start(e);
    if (status != FRUN_OK)
        goto fail;
    fri_lock(e);
    new = fri_pool_new(e, ops, o);
    fri_unlock(e);
    if (!new) {
        status = fri_fail(e, FRUN_ENOMEM, "out of memory");
        goto fail;
    }
    new->init = init;
    new->init_free = init_free;
    if (init && init_free == fri_function_drop) {
        new->first.message = ((struct fri_function *)init)->message;
        new->lane.init = &new->first;
    }
    status = open_kind(new);
    if (status == FRUN_OK)
        *pool = new;
    return status;

fail:
    if (init_free)
        init_free(init);
    return status;
}

/* ---- ending ----------------------------------------------------------- */

void fri_pool_gone(frun_pool *pool)
{
    pool->gone = true;
    pthread_cond_broadcast(&pool->gone_cond);
    fri_service_poke(pool->engine);
}

void fri_pool_closing(frun_pool *pool)
{
    fri_lock(pool->engine);
    pool->closing = true;
    if (!pool->gone && fri_pool_over(pool))
        pool->ops->end(pool);
    fri_unlock(pool->engine);
}

bool fri_pool_drain(frun_pool *pool, fri_time deadline)
{
    frun_engine *e = pool->engine;
    struct fri_waiter waiter;
    struct fri_set set;
    bool idle;

    fri_set_init(&set, e, &waiter, 1);
    set.lane = &pool->lane;
    fri_lock(e);
    idle = pool->lane.unfinished == 0;
    if (!idle)
        fri_waiter_link(&waiter, &pool->drains);
    fri_unlock(e);
    if (idle)
        return true;
    atomic_fetch_add(&e->refs, 1); /* a callback may close pool and engine */
    idle = fri_owner_await(e, &set, 0, false, deadline);
    fri_set_unlink(&set);
    fri_engine_unref(e);
    return idle;
}

/* Frees the workers of a pool that is gone, once. */
static void finish(frun_pool *pool)
{
    pool->ops->free(pool);
    fri_spec_unref(pool->spec);
    fri_lock(pool->engine);
    unlink_pool(pool);
    pool->link = NULL;
    pthread_cond_broadcast(&pool->gone_cond);
    fri_unlock(pool->engine);
    pool_unref(pool);
}

void fri_pool_join(frun_pool *pool)
{
    frun_engine *e = pool->engine;
    bool mine;

    atomic_fetch_add(&pool->refs, 1);
    fri_lock(e);
    while (!pool->gone)
        pthread_cond_wait(&pool->gone_cond, &e->lock);
    mine = !pool->joining;
    pool->joining = true;
    while (!mine && pool->link)
        pthread_cond_wait(&pool->gone_cond, &e->lock);
    fri_unlock(e);
    if (mine)
        finish(pool);
    pool_unref(pool);
}

void fri_pool_cancel(frun_pool *pool)
{
    fri_lock(pool->engine);
    fri_lane_cancel(&pool->lane);
    fri_unlock(pool->engine);
}

/* ---- all pools of an engine ------------------------------------------- */

static void reap(frun_engine *e)
{
    frun_pool *pool = e->pools;

    while (pool) {
        if (!pool->gone && fri_pool_over(pool))
            pool->ops->end(pool);
        if (!pool->gone || pool->joining) {
            pool = pool->next;
            continue;
        }
        pool->joining = true;
        fri_unlock(e);
        finish(pool);
        fri_lock(e);
        pool = e->pools; /* the list may have changed meanwhile */
    }
}

static bool watch(frun_engine *e)
{
    fri_time now = fri_now();
    bool more = false;

    for (frun_pool *pool = e->pools; pool; pool = pool->next)
        if (!pool->gone && pool->ops->watch && pool->ops->watch(pool, now))
            more = true;
    return more;
}

static void waits(frun_engine *e, bool look)
{
    for (frun_pool *pool = e->pools; pool; pool = pool->next)
        if (!pool->gone && pool->ops->waits)
            pool->ops->waits(pool, look);
}

static void hurry(frun_engine *e)
{
    e->put_off = false;
    for (frun_pool *pool = e->pools; pool; pool = pool->next)
        if (!pool->gone && pool->ops->hurry
            && atomic_load(&pool->lane.ready) > 0)
            pool->ops->hurry(pool);
}

static frun_pool *first_of(frun_engine *e)
{
    frun_pool *pool;

    fri_lock(e);
    pool = e->pools;
    if (pool)
        atomic_fetch_add(&pool->refs, 1);
    fri_unlock(e);
    return pool;
}

static void close_all(frun_engine *e)
{
    frun_pool *pool;

    fri_lock(e);
    for (pool = e->pools; pool; pool = pool->next)
        pool->closing = true;
    fri_unlock(e);
    while ((pool = first_of(e)) != NULL) {
        fri_pool_closing(pool);
        fri_pool_cancel(pool);
        fri_pool_drain(pool, FRI_NEVER);
        fri_pool_join(pool);
        pool_unref(pool);
    }
    fri_execs_close(e);
    fri_signal_close(e);
}

static void end_all(frun_engine *e)
{
    fri_forks_close(e);
    fri_execs_end(e);
}

static const struct fri_pools_ops pools_ops = {
    .reap = reap,
    .watch = watch,
    .hurry = hurry,
    .waits = waits,
    .look = fri_forks_look,
    .sleep = fri_forks_sleep,
    .owner_looks = fri_forks_owner_looks,
    .owner_leaves = fri_forks_owner_leaves,
    .close = close_all,
    .end = end_all,
};
