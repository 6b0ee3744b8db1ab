/*
 * forks.c - the pool whose workers are processes: starting, ending, dying.
 *
 * Rules.
 *  1. Only the service thread ends workers, so one stays while that thread
 *     lets go of the lock (`reading`).  The owner, while it spins, reads
 *     results too, so that a short task costs it no wake of a thread.
 *  2. A death is what the spawner has reaped.  What the worker had sent is
 *     read first, then its tasks are settled, then others take its place.
 *  3. A worker that dies before it has begun a task has failed to start: the
 *     next start waits for twice as long, and FAILURES in a row break the
 *     pool.
 *  4. A worker whose task waits keeps its process; another is started in its
 *     place, up to FRI_SPARE times as many.
 */
#define _GNU_SOURCE
#include "pools/forks/forks.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FAILURES = 5 };

static const fri_time LEAVE = 2 * FRI_SECOND;       /* from END to KILL */
static const fri_time AGAIN = FRI_SECOND / 100;     /* the first back-off */

static frun_engine *engine_of(const struct fri_forks *fs)
{
    return fs->pool->engine;
}

/* ---- workers ---------------------------------------------------------- */

void fri_fork_count(struct fri_fork *w)
{
    bool runs = w->flying > w->revoked && !w->ended;
    frun_engine *e = engine_of(w->forks);

    if (runs == w->running)
        return;
    w->running = runs;
    w->forks->running += runs ? 1u : -1u;
    e->busy += runs ? 1u : -1u;
    if (runs)
        w->busy_since = fri_now();
}

static void fork_free(struct fri_fork *w)
{
    const struct fri_memory *m = &engine_of(w->forks)->memory;
    struct fri_fork **at = &w->forks->all;

    while (*at && *at != w)
        at = &(*at)->next;
    if (*at)
        *at = w->next;
    fri_timer_stop(&engine_of(w->forks)->sched.timers, &w->kill);
    fri_loop_remove(&engine_of(w->forks)->loop, &w->source);
    fri_served_free(w);
    fri_holder_leave(&w->start);
    fri_exports_free(w);
    for (int i = 0; i < FRI_SPECS; i++)
        fri_spec_unref(w->specs[i]);
    fri_channel_close(&w->channel);
    if (w->pidfd >= 0)
        close(w->pidfd);
    fri_free(m, w);
}

static void on_bell(struct fri_source *source)
{
    struct fri_fork *w
        = (struct fri_fork *)(void *)((char *)source
                                      - offsetof(struct fri_fork, source));

    fri_channel_listen(&w->channel);
    /* Its death is told by the spawner. */
    if (w->channel.ended || w->channel.noise)
        fri_loop_remove(&engine_of(w->forks)->loop, source);
    fri_channel_flush(&w->channel);
}

static void on_kill(struct fri_timer *timer, fri_time now)
{
    struct fri_fork *w
        = (struct fri_fork *)(void *)((char *)timer
                                      - offsetof(struct fri_fork, kill));

    (void)now;
    if (w->hurried && !w->dying && !w->ending) {
        w->hurried = false;
        if (w->flying == 0 || !fri_fork_is_late(w))
            return;
    }
    fri_fork_kill(w, true);
}

/* Numbers of workers that have gone are used again. */
static unsigned free_index(const struct fri_forks *fs)
{
    unsigned index = 0;
    bool taken = true;

    while (taken) {
        index++;
        taken = false;
        for (const struct fri_fork *w = fs->all; w && !taken; w = w->next)
            taken = w->index == index;
    }
    return index;
}

static struct fri_fork *fork_new(struct fri_forks *fs)
{
    frun_engine *e = engine_of(fs);
    struct fri_fork *w = fri_alloc_zero(&e->memory, sizeof *w);

    if (!w)
        return NULL;
    w->forks = fs;
    w->pidfd = w->source.fd = w->channel.socket = -1;
    w->source.ready = on_bell;
    w->kill.fire = on_kill;
    w->index = free_index(fs);
    fri_exports_open(w);
    return w;
}

/* How tasks of the script language run: in a copy of this process, in the same
 * place; one that was exec'd has its own. */
static void put_runner(frun_engine *e, struct fri_buffer *b)
{
    bool has = e->runner && e->runner->greet;

    fri_buffer_byte(b, has);
    if (!has)
        return;
    fri_wire_pointer(b, fri_spawner_copied(e->spawner) ? (uintptr_t)e->runner
                                                       : 0);
    e->runner->greet(e->runner_user, b);
}

static void put_natives(frun_engine *e, struct fri_buffer *b)
{
    for (const struct fri_native *n = e->natives; n; n = n->next) {
        fri_buffer_byte(b, 1);
        fri_put_native(b, n);
    }
    fri_buffer_byte(b, 0);
}

/* What a worker has to know; before anything else. */
static bool send_hello(struct fri_fork *w)
{
    frun_pool *pool = w->forks->pool;
    frun_engine *e = pool->engine;
    struct fri_buffer *b = fri_channel_begin(&w->channel);

    fri_wire_text(b, FRUN_VERSION);
    fri_put_varint(b, w->id);
    fri_put_varint(b, w->index);
    fri_put_varint(b, pool->workers);
    fri_wire_text(b, pool->name);
    fri_put_varint(b, e->seed);
    fri_put_varint(b, e->cores);
    fri_wire_signed(b, e->sched.epoch);
    put_natives(e, b);
    put_runner(e, b);
    fri_buffer_byte(b, pool->init != NULL);
    if (pool->init)
        fri_wire_function(&w->port, b, pool->init);
    return fri_wire_send(&w->port, FRI_FRAME_HELLO, false);
}

/* Asks the spawner for a process; false: errno. */
static bool start(struct fri_fork *w)
{
    frun_engine *e = engine_of(w->forks);
    int socket, memory;
    bool ok;

    w->id = ++e->last_process;
    if (!fri_channel_make(&w->channel, &e->memory, &socket, &memory))
        return false;
    w->source.fd = w->channel.socket;
    ok = fri_loop_add(&e->loop, &w->source) && send_hello(w)
         && fri_spawner_worker(e->spawner, w->id, socket, memory);
    close(socket);
    close(memory);
    if (!ok && errno == 0)
        errno = ENOMEM;
    return ok;
}

/* Each worker takes two descriptors, and two more while it is started. */
static struct fri_error *too_many_files(struct fri_forks *fs)
{
    struct rlimit limit = { 0 };

    getrlimit(RLIMIT_NOFILE, &limit);
    return fri_error_format(&engine_of(fs)->memory, FRUN_ERESOURCE,
                            "%s: no worker could be started: too many open "
                            "files: the limit (ulimit -n) is %llu, and %u "
                            "workers need %u more than what is open",
                            fs->pool->name,
                            (unsigned long long)limit.rlim_cur,
                            fs->pool->workers, 2 * fs->pool->workers + 2);
}

static struct fri_error *no_worker(struct fri_forks *fs)
{
    if (fs->failure == EMFILE)
        return too_many_files(fs);
    return fri_error_format(&engine_of(fs)->memory, FRUN_ERESOURCE,
                            "%s: no worker could be started: %s",
                            fs->pool->name,
                            fs->failure ? strerror(fs->failure)
                                        : "they die at once");
}

/* What was wanting may come back; workers that die at once, do so again. */
static void give_up(struct fri_forks *fs)
{
    if (fs->failure) {
        fs->failures = 0;
        fri_lane_fail(&fs->pool->lane, no_worker(fs));
    } else {
        fri_lane_break(&fs->pool->lane, no_worker(fs));
    }
}

/* Rule 3. */
static void note_failure(struct fri_forks *fs, int error)
{
    frun_engine *e = engine_of(fs);
    fri_time wait = AGAIN << fs->failures;

    fs->failure = error;
    if (++fs->failures >= FAILURES && fs->count == 0) {
        give_up(fs);
        return;
    }
    if (fs->failures > FAILURES)
        fs->failures = FAILURES;
    if (!fs->waits) {
        fs->waits = true;
        fri_engine_timer(e, &fs->again, fri_now() + wait);
    }
}

void fri_forks_again(struct fri_timer *timer, fri_time now)
{
    struct fri_forks *fs
        = (struct fri_forks *)(void *)((char *)timer
                                       - offsetof(struct fri_forks, again));

    (void)now;
    fs->waits = false;
    fri_forks_call(fs);
}

static struct fri_fork *start_fork(struct fri_forks *fs)
{
    struct fri_fork *w;

    if (fs->waits || fs->pool->lane.broken || engine_of(fs)->reopening)
        return NULL;
    errno = 0;
    w = fork_new(fs);
    if (!w || !start(w)) {
        int error = errno ? errno : ENOMEM;

        if (w)
            fork_free(w);
        note_failure(fs, error);
        return NULL;
    }
    w->next = fs->all;
    fs->all = w;
    fs->count++;
    return w;
}

/* ---- giving work ------------------------------------------------------ */

/* One whose socket has ended leaves as soon as it comes to wait. */
static bool takes_more(const struct fri_fork *w)
{
    return !w->ending && !w->dying && !w->ended && !w->channel.ended;
}

static bool is_idle(const struct fri_fork *w)
{
    /* What was revoked is dropped when the worker comes to it, at once. */
    return w->flying == w->revoked && w->suspended == 0 && takes_more(w)
           && w->flying < FRI_SLOTS;
}

/* A worker whose tasks all wait may take another when there are processes
 * enough (rule 4). */
static bool may_share(const struct fri_fork *w)
{
    return w->flying == w->revoked && takes_more(w) && w->flying < FRI_SLOTS
           && w->forks->count >= FRI_SPARE * w->forks->pool->workers;
}

static struct fri_fork *find(struct fri_forks *fs,
                             bool (*is)(const struct fri_fork *w))
{
    struct fri_fork *w = fs->all;

    while (w && !is(w))
        w = w->next;
    return w;
}

static bool has_room(const struct fri_fork *w)
{
    return w->running && w->suspended == 0 && takes_more(w)
           && w->flying < fri_fork_window(w);
}

/* Somebody who has nothing to do, a new one, or one who waits. */
static struct fri_fork *another(struct fri_forks *fs)
{
    struct fri_fork *w;

    if (fs->running >= fs->pool->workers)
        return NULL;
    w = find(fs, is_idle);
    if (!w && fs->count < FRI_SPARE * fs->pool->workers)
        w = start_fork(fs);
    return w ? w : find(fs, may_share);
}

static void give(struct fri_forks *fs)
{
    struct fri_lane *lane = &fs->pool->lane;

    fri_forks_let_go(fs);
    while (atomic_load(&lane->ready) > 0) {
        struct fri_fork *w = NULL;

        /* Short work is not worth one more worker. */
        if (fri_lane_worth(lane) <= fs->running)
            w = find(fs, has_room);
        if (!w)
            w = another(fs);
        if (!w)
            w = find(fs, has_room);
        if (!w || fri_fork_hand(w, fri_fork_share(w)) == 0)
            return;
    }
}

/* Those that were started in the place of others that waited. */
static void dismiss_spare(struct fri_forks *fs)
{
    for (struct fri_fork *w = fs->all;
         w && fs->count > fs->pool->workers; w = w->next)
        if (is_idle(w))
            fri_fork_dismiss(w);
}

/* Handing out may make other tasks ready, which calls this again. */
void fri_forks_call(struct fri_forks *fs)
{
    fs->more = true;
    if (fs->calling || fs->pool->gone)
        return;
    fs->calling = true;
    while (fs->more) {
        fs->more = false;
        give(fs);
    }
    fs->calling = false;
    if (fs->count > fs->pool->workers)
        dismiss_spare(fs);
}

/* ---- ending ----------------------------------------------------------- */

static void set_kill(struct fri_fork *w, fri_time patience)
{
    frun_engine *e = engine_of(w->forks);

    fri_timer_stop(&e->sched.timers, &w->kill);
    fri_engine_timer(e, &w->kill, fri_now() + patience);
}

void fri_fork_dismiss(struct fri_fork *w)
{
    if (w->ending || w->dying || w->ended)
        return;
    w->ending = true;
    w->forks->count--;
    fri_channel_begin(&w->channel);
    if (!fri_channel_send(&w->channel, FRI_FRAME_END, NULL, 0, true))
        fri_fork_kill(w, true);
    else if (w->flying + w->suspended == 0)
        fri_fork_leaving(w);
}

void fri_fork_leaving(struct fri_fork *w)
{
    set_kill(w, LEAVE);
}

void fri_fork_hurry(struct fri_fork *w)
{
    if (w->hurried || w->dying || w->ending)
        return;
    w->hurried = true;
    set_kill(w, FRI_SPAWN_GRACE);
}

void fri_fork_kill(struct fri_fork *w, bool now)
{
    frun_engine *e = engine_of(w->forks);

    if (w->ended)
        return;
    if (!w->dying && !w->ending)
        w->forks->count--;
    fri_spawner_signal(e->spawner, w->id, now ? SIGKILL : SIGTERM);
    if (now)
        fri_timer_stop(&e->sched.timers, &w->kill);
    else if (!w->dying)
        set_kill(w, FRI_SPAWN_GRACE);
    w->dying = true;
}

/* Rule 2: all that it had sent was read. */
void fri_fork_bury(struct fri_fork *w)
{
    struct fri_forks *fs = w->forks;
    bool failed;

    if (!w->dying && !w->ending)
        fs->count--;
    fri_fork_settle(w);
    failed = !w->useful && (fri_fork_is_broken(w)
                             || (!w->dying && !w->ending));
    if (failed)
        note_failure(fs, w->error);
    else if (w->useful)
        fs->failures = 0;
    fork_free(w);
    if (!fs->all && fri_pool_over(fs->pool) && !fs->pool->gone)
        fri_pool_gone(fs->pool);
    else
        fri_forks_call(fs);
}
