/*
 * forkpool.c - the pool of forks as the engine sees it: its part of the
 * service thread, what the spawner says, opening and ending.
 */
#define _GNU_SOURCE
#include "pools/forks/forks.h"
#include "pools/commands/proc.h"

#include "core/journal.h"

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
    fri_procs_lost(e);
    /* It may take seconds: nothing is started meanwhile. */
    e->reopening = true;
    fri_unlock(e);
    error = fri_spawner_reopen(e->spawner, &error) ? 0 : error;
    fri_lock(e);
    e->no_spawner = error;
    e->reopening = false;
    if (e->scratch_root)
        fri_spawner_scratch(e->spawner, e->scratch_root);
    fri_procs_go_on(e);
}

static void on_fork(struct fri_fork *w, const struct fri_spawn_event *event)
{
    if (event->kind == FRI_SPAWN_STARTED) {
        w->pidfd = (int)syscall(SYS_pidfd_open, event->pid, 0);
        return;
    }
    w->ended = true;
    w->status = event->status;
    w->error = event->error;
}

static void on_event(frun_engine *e, const struct fri_spawn_event *event)
{
    struct fri_fork *w;

    if (event->kind == FRI_SPAWN_LOST) {
        all_lost(e);
    } else if (event->id & FRI_PROC_ID) {
        fri_procs_event(e, event);
    } else {
        w = fork_of(e, event->id);
        if (w)
            on_fork(w, event);
    }
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

/* The task that has printed, if it is one that a journal keeps, remembers. */
static void keep_output(struct fri_fork *w, uint64_t ticket,
                        const struct fri_reader *text)
{
    struct fri_flight *f = fri_fork_flight(w, ticket);
    struct fri_extra *x = f && !f->revoked ? f->task->extra : NULL;

    if (x && x->keep)
        fri_keep_output(x->keep, (const char *)text->at, fri_left(text));
}

/* OUTPUT: a ticket, or 0; the stream; the text.  Writes what a task has
 * printed, without the lock. */
static void print(struct fri_fork *w, struct fri_frame *f)
{
    frun_engine *e = engine_of(w->forks);
    struct fri_output *o = e->printer ? e->printer : &e->output;
    struct fri_reader r;
    uint64_t ticket;
    int stream;

    fri_reader_init(&r, f->bytes, f->length);
    ticket = fri_get_varint(&r);
    stream = fri_get_byte(&r) == 2 ? 2 : 1;
    keep_output(w, ticket, &r);
    w->reading = true;
    fri_unlock(e);
    if (fri_left(&r) > 0)
        fri_output_write(o, stream, (const char *)r.at, fri_left(&r));
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

    if (fri_fork_is_broken(w) && !w->ended && !w->dying)
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
        if (!w->ended && !fri_channel_has(&w->channel)
            && !fri_fork_is_broken(w))
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
    e->no_spawner = error < 0 ? ENOMEM : error;
    fri_pools_attach(e);
}

void fri_forks_close(frun_engine *e)
{
    struct fri_spawner *s = e->spawner;

    e->spawner = NULL; /* a signal handler may look there */
    fri_spawner_close(s);
    fri_lock(e);
    fri_procs_close(e);
    fri_unlock(e);
    fri_loop_close(&e->loop);
}

void fri_forks_renew(frun_engine *e)
{
    for (frun_pool *pool = e->pools; pool; pool = pool->next) {
        struct fri_forks *fs = pool->state;

        if (pool->ops != &fri_forks_ops || !fs)
            continue;
        for (struct fri_fork *w = fs->all; w; w = w->next)
            fri_fork_dismiss(w);
    }
}

/* ---- the pool --------------------------------------------------------- */

static void forks_ready(struct fri_lane *lane, size_t count)
{
    (void)count;
    fri_forks_call(fri_lane_pool(lane)->state);
}

bool fri_spawner_need(frun_engine *e)
{
    errno = e->no_spawner ? e->no_spawner : ENOTSUP;
    if (!e->spawner)
        return false;
    if (e->spawned.fd >= 0)
        return true;
    e->spawned.ready = on_spawner;
    e->spawned.fd = fri_spawner_fd(e->spawner);
    if (fri_loop_open(&e->loop) && fri_loop_add(&e->loop, &e->spawned)) {
        fri_service_poke(e); /* it has one more descriptor to look at */
        return true;
    }
    e->spawned.fd = -1;
    return false;
}

static frun_status forks_open(frun_pool *pool)
{
    frun_engine *e = pool->engine;
    struct fri_forks *fs;
    bool open;
    int error;

    fri_lock(e);
    open = fri_spawner_need(e);
    error = errno;
    fri_unlock(e);
    if (!open)
        return fri_fail(e, FRUN_ERESOURCE, "no processes can be started: %s",
                        fri_spawn_trouble(error));
    fs = fri_alloc_zero(&e->memory, sizeof *fs);
    if (!fs)
        return fri_fail(e, FRUN_ENOMEM, "out of memory");
    fs->pool = pool;
    fs->again.fire = fri_forks_again;
    pool->state = fs;
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

static void forks_each(const frun_pool *pool,
                       void (*fn)(void *user, struct frun_future *task,
                                  unsigned worker, fri_time since),
                       void *user)
{
    const struct fri_forks *fs = pool->state;

    for (const struct fri_fork *w = fs ? fs->all : NULL; w; w = w->next) {
        for (unsigned i = 0; i < FRI_SLOTS; i++) {
            const struct fri_flight *f = w->flights[i];

            if (f && f->begun && !f->refused && !f->revoked)
                fn(user, f->task, w->index, w->busy_since);
        }
    }
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
    .each = forks_each,
    .watch = forks_watch,
    .waits = fri_forks_waits,
};
