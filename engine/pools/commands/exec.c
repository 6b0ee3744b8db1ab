/*
 * exec.c - commands that run, in the engine's process.
 */
#define _GNU_SOURCE
#include "pools/commands/exec.h"

#include "pools/pool.h"
#include "pools/spawn/spawn.h"

#include <errno.h>
#include <string.h>

enum {
    AGAIN = 20000000,   /* ns: when there was no descriptor for one */
    REAPED = 1000000000 /* ns: when the engine closes */
};

/* ---- records ---------------------------------------------------------- */

struct fri_exec *fri_exec_new(frun_engine *e, frun_value *command,
                              const char *dir)
{
    struct fri_exec *x = fri_alloc_zero(&e->memory, sizeof *x);

    if (!x) {
        frun_value_free(command);
        return NULL;
    }
    x->engine = e;
    x->command = command;
    x->dir = fri_strdup(&e->memory, dir);
    if (command && (x->dir || !dir))
        return x;
    fri_exec_free(x);
    return NULL;
}

void fri_exec_free(struct fri_exec *x)
{
    if (!x)
        return;
    frun_value_free(x->command);
    fri_error_free(x->error);
    fri_free(&x->engine->memory, x->dir);
    fri_free(&x->engine->memory, x);
}

static void stop_tied(struct fri_tied *tied, frun_status why)
{
    fri_exec_tell((struct fri_exec *)tied, why, false);
}

bool fri_exec_open(struct fri_exec *x, struct frun_future *owner)
{
    frun_engine *e = x->engine;

    x->tied.stop = stop_tied;
    if (owner && !fri_tied_add(owner, &x->tied))
        return false;
    x->next = e->execs;
    if (x->next)
        x->next->link = &x->next;
    x->link = &e->execs;
    e->execs = x;
    return true;
}

/* The last that was tied to an attempt that has ended finishes that. */
void fri_exec_leave(struct fri_exec *x)
{
    fri_exec_unqueue(x);
    if (x->link) {
        *x->link = x->next;
        if (x->next)
            x->next->link = x->link;
        x->link = NULL;
    }
    fri_tied_gone(&x->tied);
}

void fri_exec_queue(struct fri_exec **queue, struct fri_exec *x)
{
    while (*queue)
        queue = &(*queue)->after;
    x->after = NULL;
    x->place = queue;
    *queue = x;
}

void fri_exec_unqueue(struct fri_exec *x)
{
    if (!x->place)
        return;
    *x->place = x->after;
    if (x->after)
        x->after->place = x->place;
    x->place = NULL;
}

/* ---- their processes -------------------------------------------------- */

struct fri_error *fri_exec_no_process(const struct fri_exec *x, int error)
{
    return fri_error_format(&x->engine->memory, FRUN_ERESOURCE,
                            "no process could be started: %s",
                            strerror(error));
}

struct fri_error *fri_exec_stopped(const struct fri_exec *x)
{
    bool late = x->why == FRUN_ETIMEOUT;

    return fri_error_new(&x->engine->memory, x->why,
                         late ? "timed out before its command began" : NULL,
                         NULL, NULL);
}

static void tell_process(struct fri_proc_end *end, const struct fri_exec *x)
{
    struct frun_future *owner = x->tied.task;
    struct fri_extra *extra = owner && x->own && end ? owner->extra : NULL;

    if (!extra)
        return;
    extra->cpu += end->cpu;
    if (end->memory > extra->memory)
        extra->memory = end->memory;
}

static void on_ended(void *user, struct fri_proc_end *end)
{
    struct fri_exec *x = user;
    frun_engine *e = x->engine;

    x->proc = NULL;
    e->execs_running--;
    tell_process(end, x);
    x->ended(x, end);
    if (e->put_off_execs)
        fri_engine_timer(e, &e->execs_timer, fri_now());
}

void fri_exec_refuse(struct fri_exec *x, struct fri_error *error)
{
    fri_exec_unqueue(x);
    x->error = error;
    x->ended(x, NULL);
}

static bool start(struct fri_exec *x)
{
    struct fri_proc_plan plan = { .command = x->command, .cwd = x->dir };
    struct frun_future *owner = x->tied.task;
    struct fri_buffer b;
    int error = ENOMEM;

    fri_buffer_init(&b, &x->engine->memory);
    plan.env = fri_exec_vars(x, &b);
    plan.memory = owner ? owner->spec->memory : 0;
    if (plan.env) {
        x->proc = fri_proc_start(x->engine, &plan, on_ended, x);
        error = errno;
    }
    fri_free(&x->engine->memory, (void *)(uintptr_t)plan.env);
    fri_buffer_free(&b);
    errno = error;
    x->engine->execs_running += x->proc != NULL;
    return x->proc != NULL;
}

/* There is room for more when another has ended. */
static bool is_full(const frun_engine *e, int error)
{
    return e->execs_running > 0
           && (error == EMFILE || error == ENFILE || error == EAGAIN);
}

static void look_again(frun_engine *e)
{
    fri_engine_timer(e, &e->execs_timer, fri_now() + AGAIN);
}

/* Those that were told to stop need no room: they go first. */
static struct fri_exec *next_put_off(const frun_engine *e)
{
    struct fri_exec *x = e->put_off_execs;

    while (x && x->why == FRUN_OK)
        x = x->after;
    return x ? x : e->put_off_execs;
}

static void again(struct fri_timer *timer, fri_time now)
{
    frun_engine *e = (frun_engine *)(void *)((char *)timer
                                             - offsetof(frun_engine,
                                                        execs_timer));
    struct fri_exec *x;

    (void)now;
    while ((x = next_put_off(e)) != NULL) {
        if (x->why != FRUN_OK) {
            fri_exec_refuse(x, fri_exec_stopped(x));
        } else if (start(x)) {
            fri_exec_unqueue(x);
        } else if (is_full(e, errno)) {
            look_again(e);
            return;
        } else {
            fri_exec_refuse(x, fri_exec_no_process(x, errno));
        }
    }
}

static void put_off(struct fri_exec *x)
{
    frun_engine *e = x->engine;

    e->execs_timer.fire = again;
    fri_exec_queue(&e->put_off_execs, x);
    if (!e->execs_timer.set)
        look_again(e);
}

void fri_exec_launch(struct fri_exec *x)
{
    if (x->why != FRUN_OK)
        fri_exec_refuse(x, fri_exec_stopped(x));
    else if (x->engine->sched.dry)
        fri_exec_queue(&x->engine->put_off_execs, x); /* for good */
    else if (start(x))
        return;
    else if (is_full(x->engine, errno))
        put_off(x);
    else
        fri_exec_refuse(x, fri_exec_no_process(x, errno));
}

/* A bare one that was put off is ended by the timer: its task is about to
 * note why it stops. */
void fri_exec_tell(struct fri_exec *x, frun_status why, bool now)
{
    if (x->why == FRUN_OK)
        x->why = why;
    if (x->proc)
        fri_proc_stop(x->proc, now);
    else if (x->place && x->future)
        fri_exec_refuse(x, fri_exec_stopped(x));
}

struct fri_command_end fri_exec_end(const struct fri_exec *x,
                                    const struct fri_proc_end *p)
{
    const frun_value *c = x->command;
    bool out = !frun_value_get(c, "stdout"), err = !frun_value_get(c, "stderr");
    struct fri_command_end end = {
        .status = x->why != FRUN_OK ? x->why : p->status,
        .exit_status = p->exit_status, .signal = p->signal,
        .error = p->error, .message = p->message,
        .seconds = p->seconds, .cpu = p->cpu, .memory = p->memory,
    };

    if (out) {
        end.out = p->out.data ? (const void *)p->out.data : "";
        end.out_length = p->out.length;
    }
    if (err) {
        end.err = p->err.data ? (const void *)p->err.data : "";
        end.err_length = p->err.length;
    }
    return end;
}

/* ---- the engine closes ------------------------------------------------ */

static struct frun_future *first_of(frun_engine *e)
{
    struct fri_exec *x, *next;
    struct frun_future *f;

    fri_lock(e);
    for (x = e->execs; x; x = next) {
        next = x->next;
        fri_exec_tell(x, FRUN_ECANCELLED, true);
    }
    f = e->execs ? e->execs->future : NULL;
    if (f)
        fri_future_ref(f);
    fri_unlock(e);
    return f;
}

/* What does not end in time does so when the spawner is closed. */
void fri_execs_close(frun_engine *e)
{
    fri_time until = fri_now() + REAPED;
    struct frun_future *f;

    while ((f = first_of(e)) != NULL) {
        fri_exec_await(e, f);
        fri_future_unref(f);
        if (fri_now() >= until)
            return;
    }
}

void fri_execs_end(frun_engine *e)
{
    fri_timer_stop(&e->sched.timers, &e->execs_timer);
    fri_scratch_free(e->scratch);
    e->scratch = NULL;
    e->scratch_root = NULL;
}

/* ---- their files ------------------------------------------------------ */

/* A helper that is being made anew is told when it is there. */
static void made(void *user, const char *root)
{
    frun_engine *e = user;

    fri_lock(e);
    e->scratch_root = root;
    if (e->spawner && !e->reopening)
        fri_spawner_scratch(e->spawner, root);
    fri_unlock(e);
}

static struct fri_scratch *scratch_new(frun_engine *e)
{
    struct fri_scratch *s = fri_scratch_new(&e->memory, e->home ? NULL : made,
                                            e);
    char *root;

    if (!s || !e->home)
        return s;
    root = fri_away_root(e);
    if (root && fri_scratch_adopt(s, root)) {
        fri_free(&e->memory, root);
        return s;
    }
    fri_free(&e->memory, root);
    fri_scratch_free(s);
    return NULL;
}

struct fri_scratch *fri_engine_scratch(frun_engine *e)
{
    struct fri_scratch *s, *other = NULL;

    fri_lock(e);
    s = e->scratch;
    fri_unlock(e);
    if (s)
        return s;
    s = scratch_new(e);
    fri_lock(e);
    if (!e->scratch) {
        e->scratch = s;
    } else {
        other = s;
        s = e->scratch;
    }
    fri_unlock(e);
    fri_scratch_free(other);
    return s;
}
