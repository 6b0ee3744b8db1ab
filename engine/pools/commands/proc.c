/*
 * proc.c - processes of commands.
 *
 * Rules.
 *  1. What a process writes is read as it comes; once it has ended, so much as
 *     is in the pipe then.  The helper holds the pipe until it has said that
 *     the process has ended, so an end of file says only that there is no
 *     helper any more.
 *  2. A small standard input is written before the process starts, which
 *     always has room for it; of a large one, what goes at a time.
 *  3. A process is `sent` when the helper has been asked for it.  While another
 *     helper is being made, nothing is sent; those that were sent to the one
 *     before are lost, and end when there is a new one.
 *  4. `ended` may start and stop others: a list is begun anew after it.
 */
#define _GNU_SOURCE
#include "pools/commands/proc.h"
#include "pools/commands/capture.h"
#include "pools/spawn/order.h"
#include "pools/spawn/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    STREAMS = 2,   /* that may be captured */
    CHUNK = 65536, /* read or written at a time */
    SMALL = 65536  /* what an empty pipe has room for */
};

struct stream {
    struct fri_source source; /* fd < 0: closed, or there was none */
    struct fri_proc *proc;
    struct fri_capture capture;
    bool captured;
};

struct feed {
    struct fri_source source; /* fd < 0: nothing is to be written */
    const char *at;
    size_t left;
};

struct fri_proc {
    struct fri_proc *next, **link; /* in procs->all, or procs->lost */
    frun_engine *engine;
    uint64_t id;
    const frun_value *command;
    struct stream streams[STREAMS]; /* standard output and error */
    struct feed feed;
    struct fri_buffer order; /* until it is sent */
    int theirs[STREAMS + 1]; /* until it is sent: their ends, < 0: none */
    bool sent, lost;
    bool stopped; /* KILL, or TERM, was sent, or would have been */
    struct fri_timer kill;
    fri_proc_ended *ended;
    void *user;
};

struct fri_procs {
    struct fri_proc *all, **end;
    char chunk[CHUNK];
};

/* ---- records ---------------------------------------------------------- */

static bool need_procs(frun_engine *e)
{
    if (e->procs)
        return true;
    e->procs = fri_alloc_zero(&e->memory, sizeof *e->procs);
    if (!e->procs)
        return false;
    e->procs->end = &e->procs->all;
    return true;
}

static void link_proc(struct fri_proc *p)
{
    struct fri_procs *procs = p->engine->procs;

    p->link = procs->end;
    *p->link = p;
    procs->end = &p->next;
}

static void unlink_proc(struct fri_proc *p)
{
    struct fri_procs *procs = p->engine->procs;

    *p->link = p->next;
    if (p->next)
        p->next->link = p->link;
    else
        procs->end = p->link;
}

static void close_source(frun_engine *e, struct fri_source *s)
{
    if (s->fd < 0)
        return;
    fri_loop_remove(&e->loop, s);
    close(s->fd);
    s->fd = -1;
}

static void close_theirs(struct fri_proc *p)
{
    for (int i = 0; i <= STREAMS; i++) {
        if (p->theirs[i] >= 0)
            close(p->theirs[i]);
        p->theirs[i] = -1;
    }
}

static void proc_free(struct fri_proc *p)
{
    frun_engine *e = p->engine;

    fri_timer_stop(&e->sched.timers, &p->kill);
    for (int i = 0; i < STREAMS; i++) {
        close_source(e, &p->streams[i].source);
        fri_capture_free(&p->streams[i].capture);
    }
    close_source(e, &p->feed.source);
    close_theirs(p);
    fri_buffer_free(&p->order);
    fri_free(&e->memory, p);
}

/* ---- output ----------------------------------------------------------- */

/* Up to `n` bytes of it, those that are there.  False: no more come. */
static bool read_some(struct stream *s, size_t n)
{
    char *chunk = s->proc->engine->procs->chunk;
    ssize_t got = read(s->source.fd, chunk, n < CHUNK ? n : CHUNK);

    if (got > 0)
        fri_capture_add(&s->capture, chunk, (size_t)got);
    return got > 0 || (got < 0 && (errno == EAGAIN || errno == EINTR));
}

static void on_output(struct fri_source *source)
{
    struct stream *s = (struct stream *)source;

    if (!read_some(s, CHUNK))
        close_source(s->proc->engine, source);
}

/* What is there now, and no more: somebody may write for ever. */
static void drain(struct stream *s)
{
    int n = 0;

    if (s->source.fd < 0 || ioctl(s->source.fd, FIONREAD, &n) < 0)
        return;
    while (n > 0 && read_some(s, (size_t)n))
        n -= n < CHUNK ? n : CHUNK;
}

/* ---- input ------------------------------------------------------------ */

/* False: there is nothing more to write, or nobody who reads. */
static bool feed_some(struct feed *f)
{
    ssize_t n = write(f->source.fd, f->at, f->left < CHUNK ? f->left : CHUNK);

    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    f->at += n;
    f->left -= (size_t)n;
    return f->left > 0;
}

static void on_room(struct fri_source *source)
{
    struct feed *f = (struct feed *)source;
    struct fri_proc *p
        = (struct fri_proc *)(void *)((char *)f
                                      - offsetof(struct fri_proc, feed));

    if (!feed_some(f))
        close_source(p->engine, source);
}

/* ---- its pipes -------------------------------------------------------- */

static int64_t capture_of(const frun_value *command)
{
    const frun_value *v = frun_value_get(command, "capture");

    return v ? frun_value_as_int(v) : FRI_CAPTURE_BYTES;
}

static bool open_stream(struct fri_proc *p, int i, const char *path)
{
    frun_engine *e = p->engine;
    struct stream *s = &p->streams[i];
    int ends[2];

    if (frun_value_get(p->command, path))
        return true;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    p->theirs[i + 1] = ends[1];
    s->source.fd = ends[0];
    s->captured = true;
    fri_capture_init(&s->capture, &e->memory,
                     (uint64_t)capture_of(p->command));
    return fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0
           && fri_loop_add(&e->loop, &s->source);
}

/* Rule 2. */
static bool open_feed(struct fri_proc *p)
{
    const frun_value *text = frun_value_get(p->command, "stdin");
    struct feed *f = &p->feed;
    int ends[2];

    if (frun_value_kind(text) != FRUN_STR || frun_value_length(text) == 0)
        return true;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return false;
    p->theirs[0] = ends[0];
    f->source.fd = ends[1];
    f->at = frun_value_as_str(text);
    f->left = frun_value_length(text);
    if (fcntl(ends[1], F_SETFL, O_NONBLOCK) < 0)
        return false;
    if (f->left <= SMALL && !feed_some(f)) {
        close(f->source.fd);
        f->source.fd = -1;
        return true;
    }
    return fri_loop_add(&p->engine->loop, &f->source);
}

/* ---- the end ---------------------------------------------------------- */

static const char *program_of(const struct fri_proc *p)
{
    if (frun_value_as_bool(frun_value_get(p->command, "shell")))
        return "/bin/sh";
    return frun_value_as_str(frun_value_at(frun_value_get(p->command, "argv"),
                                           0));
}

/* Ends it, and tells: the process is no more. */
static void finish(struct fri_proc *p, struct fri_proc_end *end)
{
    struct fri_buffer *to[] = { &end->out, &end->err };

    unlink_proc(p);
    for (int i = 0; i < STREAMS; i++) {
        struct stream *s = &p->streams[i];

        drain(s);
        if (s->captured)
            fri_capture_end(&s->capture, to[i]);
    }
    p->ended(p->user, end);
    for (int i = 0; i < STREAMS; i++)
        fri_buffer_free(to[i]);
    proc_free(p);
}

static void finish_signalled(struct fri_proc *p, int number)
{
    struct fri_proc_end end = { .status = FRUN_ECRASHED, .exit_status = -1,
                                .signal = number };

    finish(p, &end);
}

static void finish_failed(struct fri_proc *p, unsigned step, int error)
{
    struct fri_proc_end end = { .exit_status = -1, .error = error };

    fri_proc_explain(&end, p->command, program_of(p), step);
    finish(p, &end);
}

static void finish_event(struct fri_proc *p,
                         const struct fri_spawn_event *event)
{
    struct fri_proc_end end = { .exit_status = -1, .cpu = event->cpu,
                                .seconds = event->seconds,
                                .memory = event->memory };

    if (WIFSIGNALED(event->status)) {
        end.status = FRUN_ECRASHED;
        end.signal = WTERMSIG(event->status);
    } else {
        end.exit_status = WEXITSTATUS(event->status);
    }
    finish(p, &end);
}

/* ---- starting --------------------------------------------------------- */

/* What is the process's alone is closed here; false: errno, ECONNRESET where
 * it is to wait for another helper. */
static bool send_proc(struct fri_proc *p)
{
    bool sent = fri_spawner_command(p->engine->spawner, p->id, p->order.data,
                                    p->order.length, p->theirs);

    if (!sent)
        return false;
    p->sent = true;
    close_theirs(p);
    fri_buffer_free(&p->order);
    return true;
}

static void on_kill(struct fri_timer *timer, fri_time now)
{
    struct fri_proc *p
        = (struct fri_proc *)(void *)((char *)timer
                                      - offsetof(struct fri_proc, kill));

    (void)now;
    fri_proc_stop(p, true);
}

static struct fri_proc *proc_new(frun_engine *e,
                                 const struct fri_proc_plan *plan)
{
    struct fri_proc *p = fri_alloc_zero(&e->memory, sizeof *p);

    if (!p)
        return NULL;
    p->engine = e;
    p->command = plan->command;
    p->id = FRI_PROC_ID | ++e->last_process;
    for (int i = 0; i < STREAMS; i++) {
        p->streams[i].proc = p;
        p->streams[i].source.fd = -1;
        p->streams[i].source.ready = on_output;
    }
    p->theirs[0] = p->theirs[1] = p->theirs[2] = -1;
    p->feed.source.fd = -1;
    p->feed.source.writes = true;
    p->feed.source.ready = on_room;
    p->kill.fire = on_kill;
    fri_buffer_init(&p->order, &e->memory);
    return p;
}

static bool prepare(struct fri_proc *p, const struct fri_proc_plan *plan)
{
    errno = ENOMEM;
    fri_order_write(&p->order, plan);
    return !p->order.failed && open_feed(p) && open_stream(p, 0, "stdout")
           && open_stream(p, 1, "stderr");
}

struct fri_proc *fri_proc_start(frun_engine *e,
                                const struct fri_proc_plan *plan,
                                fri_proc_ended *ended, void *user)
{
    struct fri_proc *p;
    int error;

    errno = e->spawner ? ENOMEM : EPIPE;
    p = e->spawner && need_procs(e) ? proc_new(e, plan) : NULL;
    if (!p)
        return NULL;
    p->ended = ended;
    p->user = user;
    if (prepare(p, plan)
        && (e->reopening || send_proc(p) || errno == ECONNRESET)) {
        link_proc(p);
        return p;
    }
    error = errno;
    proc_free(p);
    errno = error;
    return NULL;
}

/* ---- stopping --------------------------------------------------------- */

static bool is_there(const struct fri_proc *p)
{
    return p->sent && !p->lost && p->engine->spawner;
}

void fri_proc_stop(struct fri_proc *p, bool now)
{
    frun_engine *e = p->engine;
    bool first = !p->stopped;

    p->stopped = true;
    if (!is_there(p) || (!first && !now))
        return;
    fri_timer_stop(&e->sched.timers, &p->kill);
    if (now) {
        fri_spawner_signal(e->spawner, p->id, SIGKILL);
        return;
    }
    fri_spawner_signal(e->spawner, p->id, SIGTERM);
    fri_spawner_signal(e->spawner, p->id, SIGCONT);
    fri_engine_timer(e, &p->kill, fri_now() + FRI_SPAWN_GRACE);
}

void fri_procs_signal(frun_engine *e, int number)
{
    for (struct fri_proc *p = e->procs ? e->procs->all : NULL; p; p = p->next)
        if (is_there(p))
            fri_spawner_signal(e->spawner, p->id, number);
}

/* ---- what the spawner says -------------------------------------------- */

static struct fri_proc *first_of(frun_engine *e,
                                 bool (*is)(const struct fri_proc *p))
{
    struct fri_proc *p = e->procs ? e->procs->all : NULL;

    while (p && !is(p))
        p = p->next;
    return p;
}

static bool is_lost(const struct fri_proc *p)
{
    return p->lost;
}

static bool is_unsent(const struct fri_proc *p)
{
    return !p->sent;
}

static struct fri_proc *proc_of(frun_engine *e, uint64_t id)
{
    struct fri_proc *p = e->procs ? e->procs->all : NULL;

    while (p && p->id != id)
        p = p->next;
    return p;
}

void fri_procs_event(frun_engine *e, const struct fri_spawn_event *event)
{
    struct fri_proc *p = proc_of(e, event->id);

    if (p && event->kind == FRI_SPAWN_FAILED)
        finish_failed(p, event->step, event->error);
    else if (p && event->kind == FRI_SPAWN_ENDED)
        finish_event(p, event);
}

void fri_procs_lost(frun_engine *e)
{
    for (struct fri_proc *p = e->procs ? e->procs->all : NULL; p; p = p->next)
        p->lost = p->sent;
}

void fri_procs_go_on(frun_engine *e)
{
    struct fri_proc *p;

    while ((p = first_of(e, is_lost)) != NULL)
        finish_signalled(p, SIGKILL);
    while ((p = first_of(e, is_unsent)) != NULL)
        if (p->stopped)
            finish_signalled(p, SIGTERM);
        else if (!send_proc(p) && errno == ECONNRESET)
            return; /* this helper has gone, too */
        else if (!p->sent)
            finish_failed(p, FRI_STEP_PROCESS, errno);
}

void fri_procs_close(frun_engine *e)
{
    struct fri_proc *p;

    while (e->procs && (p = e->procs->all) != NULL)
        finish_signalled(p, SIGKILL);
    fri_free(&e->memory, e->procs);
    e->procs = NULL;
}
