/*
 * forkpool.c - the pool of forks as the engine sees it: its part of the
 * service thread, what the spawner says, opening and ending.
 */
#define _GNU_SOURCE
#include "pools/forks.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static frun_engine *engine_of(const struct fri_forks *fs)
{
    return fs->pool->engine;
}

static const fri_time LONG = 1000000; /* see forks_watch */

/* ---- the spawner ------------------------------------------------------ */

static struct fri_fork *fork_of(frun_engine *e, uint64_t id)
{
    for (frun_pool *pool = e->pools; pool; pool = pool->next) {
        struct fri_forks *fs = pool->state;

        if (pool->ops != &fri_forks_ops || !fs)
            continue;
        for (struct fri_fork *w = fs->all; w; w = w->next)
            if (w->id == id)
                return w;
    }
    return NULL;
}

/* The helper has gone and its workers are killed with it: each is dead when
 * its pidfd says so. */
static void lost(struct fri_fork *w)
{
    if (w->ended)
        return;
    if (w->pidfd >= 0) {
        struct pollfd p = { .fd = w->pidfd, .events = POLLIN };

        syscall(SYS_pidfd_send_signal, w->pidfd, SIGKILL, NULL, 0);
        poll(&p, 1, 2000);
    }
    w->ended = true;
    w->status = SIGKILL;
}

static void all_lost(frun_engine *e)
{
    int error = 0;

    for (frun_pool *pool = e->pools; pool; pool = pool->next) {
        struct fri_forks *fs = pool->state;

        if (pool->ops == &fri_forks_ops && fs)
            for (struct fri_fork *w = fs->all; w; w = w->next)
                lost(w);
    }
    /* It may take seconds: nothing is started meanwhile. */
    e->reopening = true;
    fri_unlock(e);
    error = fri_spawner_reopen(e->spawner, &error) ? 0 : error;
    fri_lock(e);
    e->no_spawner = error;
    e->reopening = false;
}

static void on_event(frun_engine *e, const struct fri_spawn_event *event)
{
    struct fri_fork *w = event->id ? fork_of(e, event->id) : NULL;

    if (event->kind == FRI_SPAWN_LOST)
        all_lost(e);
    if (!w)
        return;
    if (event->kind == FRI_SPAWN_STARTED) {
        w->pidfd = (int)syscall(SYS_pidfd_open, event->pid, 0);
        return;
    }
    w->ended = true;
    w->status = event->status;
    w->error = event->error;
}

static void on_spawner(struct fri_source *source)
{
    frun_engine *e
        = (frun_engine *)(void *)((char *)source
                                  - offsetof(frun_engine, spawned));
    struct fri_spawn_event event;

    while (fri_spawner_next(e->spawner, &event))
        on_event(e, &event);
}

/* ---- on the service thread -------------------------------------------- */

/* Writes what a task has printed, without the lock. */
static void print(struct fri_fork *w, struct fri_frame *f)
{
    frun_engine *e = engine_of(w->forks);
    struct fri_output *o = e->printer ? e->printer : &e->output;
    int stream = f->length > 0 && f->bytes[0] == 2 ? 2 : 1;

    w->reading = true;
    fri_unlock(e);
    if (f->length > 1)
        fri_output_write(o, stream, (const char *)f->bytes + 1, f->length - 1);
    fri_lock(e);
    w->reading = false;
    fri_channel_done(&w->channel, f);
}

/* Reads all that there is; true: the lock was let go. */
static bool read_all(struct fri_fork *w)
{
    struct fri_frame output = { .kind = 0 };
    bool let_go = false;

    for (;;) {
        if (fri_fork_read(w, &output))
            continue;
        if (output.kind == 0)
            return let_go;
        print(w, &output);
        output.kind = 0;
        let_go = true;
    }
}

static bool look_at(struct fri_fork *w)
{
    bool let_go = read_all(w);

    if (w->broken && !w->ended && !w->dying)
        fri_fork_kill(w, true);
    if (!w->ended)
        return let_go;
    fri_fork_bury(w);
    return true;
}

/* True: something has changed, the list is to be begun anew. */
static bool look_in(struct fri_forks *fs)
{
    bool had = false, again = false;

    for (struct fri_fork *w = fs->all; w; w = w->next) {
        fri_fork_nudge(w);
        if (!w->ended && !fri_channel_has(&w->channel) && !w->broken)
            continue;
        had = true;
        again = look_at(w);
        if (again)
            break;
    }
    if (had)
        fri_forks_call(fs);
    return again;
}

void fri_forks_look(frun_engine *e)
{
    frun_pool *pool = e->pools;

    while (pool) {
        bool again = pool->ops == &fri_forks_ops && pool->state
                     && look_in(pool->state);

        pool = again ? e->pools : pool->next;
    }
}

/* ---- while the owner spins -------------------------------------------- */

/* True: results may come soon. */
static bool owner_looks_in(struct fri_forks *fs)
{
    bool soon = false, had = false;

    for (struct fri_fork *w = fs->all; w; w = w->next) {
        if (w->ended || w->reading || w->broken || !w->running)
            continue;
        soon = true;
        atomic_store_explicit(&w->channel.page->engine_sleeps, 0,
                              memory_order_relaxed);
        while (fri_fork_read_result(w))
            had = true;
    }
    if (had)
        fri_forks_call(fs);
    return soon;
}

bool fri_forks_owner_looks(frun_engine *e)
{
    bool soon = false;

    for (frun_pool *pool = e->pools; pool; pool = pool->next)
        if (pool->ops == &fri_forks_ops && pool->state)
            soon = owner_looks_in(pool->state) || soon;
    return soon;
}

/* What it has left, or what comes now, is the service thread's. */
void fri_forks_owner_leaves(frun_engine *e)
{
    if (fri_forks_sleep(e) == 0)
        fri_service_poke(e);
}

/* False: there is something to read. */
static bool sleep_at(struct fri_forks *fs, bool *busy)
{
    bool sleeps = true;

    for (struct fri_fork *w = fs->all; w; w = w->next) {
        if (fri_channel_sleep(&w->channel) || w->ended)
            sleeps = false;
        *busy = *busy || w->flying > 0;
    }
    return sleeps;
}

/* While tasks are out, it looks each second even if nobody rings: a task may
 * have written over the words by which its worker knows whom to wake. */
fri_time fri_forks_sleep(frun_engine *e)
{
    bool busy = false, sleeps = true;

    for (frun_pool *pool = e->pools; pool; pool = pool->next)
        if (pool->ops == &fri_forks_ops && pool->state)
            sleeps = sleep_at(pool->state, &busy) && sleeps;
    if (!sleeps)
        return 0;
    return busy ? fri_now() + FRI_SECOND : FRI_NEVER;
}

/* A worker rings when it has nothing left, or some results: what hangs on a
 * task that takes long is found here, and handed to others. */
static bool forks_watch(frun_pool *pool, fri_time now)
{
    struct fri_forks *fs = pool->state;
    bool more = false;

    for (struct fri_fork *w = fs->all; w; w = w->next) {
        if (w->flying <= 1 || w->ended)
            continue;
        /* Only where somebody could take it up. */
        if (w->queue_count > 0 && now - w->busy_since > LONG
            && fs->running < pool->workers)
            fri_fork_reclaim(w);
        more = true;
    }
    fri_forks_call(fs);
    return more;
}

/* ---- the engine ------------------------------------------------------- */

void fri_engine_adopt(frun_engine *e, struct fri_spawner *spawner, int error)
{
    e->spawner = spawner;
    e->no_spawner = error;
    fri_pools_attach(e);
}

void fri_forks_close(frun_engine *e)
{
    struct fri_spawner *s = e->spawner;

    e->spawner = NULL; /* a signal handler may look there */
    fri_spawner_close(s);
    fri_loop_close(&e->loop);
}

/* ---- the pool --------------------------------------------------------- */

static void forks_ready(struct fri_lane *lane, size_t count)
{
    (void)count;
    fri_forks_call(fri_lane_pool(lane)->state);
}

static bool open_spawner(frun_engine *e)
{
    if (!e->spawner)
        return false;
    if (e->spawned.fd >= 0)
        return true;
    e->spawned.fd = fri_spawner_fd(e->spawner);
    e->spawned.ready = on_spawner;
    return fri_loop_open(&e->loop) && fri_loop_add(&e->loop, &e->spawned);
}

static frun_status forks_open(frun_pool *pool)
{
    frun_engine *e = pool->engine;
    struct fri_forks *fs;
    bool open;

    fri_lock(e);
    open = open_spawner(e);
    fri_unlock(e);
    if (!open)
        return fri_fail(e, FRUN_ERESOURCE, "no processes can be started: %s",
                        e->no_spawner ? strerror(e->no_spawner)
                                      : "no descriptors");
    fs = fri_alloc_zero(&e->memory, sizeof *fs);
    if (!fs)
        return fri_fail(e, FRUN_ENOMEM, "out of memory");
    fs->pool = pool;
    fs->again.fire = fri_forks_again;
    pool->state = fs;
    fri_service_poke(e); /* it has one more descriptor to look at */
    return FRUN_OK;
}

static void forks_end(frun_pool *pool)
{
    struct fri_forks *fs = pool->state;

    for (struct fri_fork *w = fs->all; w; w = w->next)
        fri_fork_dismiss(w);
    if (!fs->all && !pool->gone)
        fri_pool_gone(pool);
}

static void forks_free(frun_pool *pool)
{
    struct fri_forks *fs = pool->state;
    frun_engine *e = pool->engine;

    fri_lock(e);
    fri_timer_stop(&e->sched.timers, &fs->again);
    pool->state = NULL;
    fri_unlock(e);
    fri_flights_free(fs);
    fri_free(&e->memory, fs);
}

static uint64_t forks_running(const frun_pool *pool)
{
    const struct fri_forks *fs = pool->state;
    uint64_t n = 0;

    for (const struct fri_fork *w = fs ? fs->all : NULL; w; w = w->next)
        n += w->flying - w->revoked - w->queue_count + w->suspended;
    return n;
}

static const struct fri_lane_hooks hooks = {
    .ready = forks_ready,
    .idle = fri_lane_idle,
    .stop = fri_forks_stop,
    .hold = fri_lane_hold,
    .release = fri_lane_release,
};

const struct fri_pool_ops fri_forks_ops = {
    .kind = FRUN_FORKS,
    .hooks = &hooks,
    .open = forks_open,
    .end = forks_end,
    .free = forks_free,
    .running = forks_running,
    .watch = forks_watch,
    .waits = fri_forks_waits,
};
