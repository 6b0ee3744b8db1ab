/*
 * bare.c - bare commands that need files, in the hands of their pool: made
 * before the process begins, read and removed when it has ended.
 *
 * Nothing here can be interrupted, or raised: what is told to stop is its
 * process, if there is one, and what the attempt comes to then is the
 * scheduler's to say.
 */
#include "pools/commands/commands.h"
#include "pools/commands/keeping.h"

struct bare {
    struct fri_resumable resumable; /* first; its `set` stays NULL */
    struct fri_waiter waiter;       /* at the future */
    struct frun_future *future;     /* a reference */
    struct fri_buffer files; /* those that a journal is to know of */
    char *dir;
};

static frun_engine *engine_of(const struct fri_worker *worker)
{
    return worker->pool->engine;
}

/* ---- the end ---------------------------------------------------------- */

static bool has_failed(const struct fri_data *outcome)
{
    return outcome->holds == FRI_ERROR
           && !(outcome->error
                && outcome->error->public.status == FRUN_ECANCELLED);
}

/* False: out of memory. */
static bool keep_files(struct bare *b, const frun_value *command,
                       const frun_value *result)
{
    struct frun_future *task = b->resumable.slice.task;

    if (!fri_is_kept(task))
        return true;
    fri_command_note_made(command, result, &b->files);
    return fri_command_keep(engine_of(b->resumable.worker), task, &b->files);
}

static void finish(struct bare *b, const frun_value *command,
                   const char *name, struct fri_data *outcome)
{
    const struct fri_memory *m = &engine_of(b->resumable.worker)->memory;
    struct fri_command_end end;

    outcome->holds = FRI_ERROR;
    outcome->error = NULL;
    if (b->future->holds == FRI_ERROR) {
        outcome->error = fri_error_ref(b->future->data.error);
        return;
    }
    fri_command_end_of(b->future->data.value, &end);
    if (fri_command_finish(command, name, &b->dir, &end, m, &outcome->value,
                           &outcome->error))
        outcome->holds = FRI_VALUE;
    if (outcome->holds != FRI_VALUE || keep_files(b, command, outcome->value))
        return;
    fri_data_free(outcome);
    outcome->holds = FRI_ERROR;
    outcome->error = NULL;
}

bool fri_bare_resume(struct fri_resumable *r, struct fri_slice *slice,
                     struct fri_ran *ran)
{
    struct bare *b = (struct bare *)r;
    const struct fri_memory *m = &engine_of(r->worker)->memory;
    const frun_value *command;
    char name[32];
    const char *called;

    if (!fri_command_is_bare(r->slice.task))
        return false;
    *slice = r->slice;
    called = fri_task_name(slice->task, name);
    command = fri_exec_command(b->future);
    finish(b, command, called, &ran->outcome);
    fri_command_leave(command, called, &b->dir, has_failed(&ran->outcome), m,
                      NULL);
    fri_error_free(r->error);
    fri_future_unref(b->future);
    fri_buffer_free(&b->files);
    fri_free(m, b);
    return true;
}

/* ---- the beginning ---------------------------------------------------- */

static void wake(struct fri_waiter *waiter)
{
    struct bare *b = (struct bare *)(void *)((char *)waiter
                                             - offsetof(struct bare, waiter));

    fri_worker_resume(&b->resumable);
}

/* The hand comes back to it when the future is final. */
static void await(struct bare *b)
{
    frun_engine *e = engine_of(b->resumable.worker);

    fri_worker_suspend(b->resumable.worker);
    fri_lock(e);
    if (fri_is_final(b->future))
        fri_worker_resume(&b->resumable);
    else
        fri_waiter_link(&b->waiter, &b->future->waiters);
    fri_unlock(e);
}

static struct bare *bare_new(struct fri_worker *worker,
                             const struct fri_slice *slice)
{
    struct bare *b = fri_alloc_zero(&engine_of(worker)->memory, sizeof *b);

    if (!b)
        return NULL;
    b->resumable.worker = worker;
    b->resumable.slice = *slice;
    b->waiter.fire = wake;
    fri_buffer_init(&b->files, &engine_of(worker)->memory);
    return b;
}

static bool prepare(struct bare *b, const frun_value *command,
                    struct fri_error **error)
{
    frun_engine *e = engine_of(b->resumable.worker);
    struct fri_scratch *scratch = fri_engine_scratch(e);
    char name[32];

    *error = NULL;
    if (fri_is_kept(b->resumable.slice.task))
        fri_command_note(command, &b->files);
    return scratch
           && fri_command_prepare(command, scratch,
                                  fri_task_name(b->resumable.slice.task, name),
                                  &e->memory, &b->dir, error);
}

/* Takes the command. */
static bool start(struct bare *b, frun_value *command)
{
    struct fri_exec_plan plan = { .command = command, .dir = b->dir,
                                  .owner = b->resumable.slice.task,
                                  .own = true };

    b->future = fri_exec_start(engine_of(b->resumable.worker), &plan);
    return b->future != NULL;
}

/* Without a future the command has gone, and with it what it said of its
 * directory: that stays in the scratch until the engine closes. */
static void drop(struct bare *b)
{
    const struct fri_memory *m = &engine_of(b->resumable.worker)->memory;

    fri_buffer_free(&b->files);
    fri_free(m, b->dir);
    fri_free(m, b);
}

static void suspend(struct bare *b, struct fri_ran *ran)
{
    ran->suspended = &b->resumable;
    await(b);
}

static void give_up(struct bare *b, struct fri_ran *ran,
                    struct fri_error *error)
{
    ran->outcome.holds = FRI_ERROR;
    ran->outcome.error = error;
    if (b)
        drop(b);
}

bool fri_bare_run(struct fri_worker *worker, struct fri_slice *slice,
                  struct fri_ran *ran)
{
    struct fri_error *error = NULL;
    frun_value *command;
    struct bare *b;

    if (!fri_command_is_bare(slice->task))
        return false;
    command = fri_command_read(slice->task, &error);
    b = command ? bare_new(worker, slice) : NULL;
    if (b && !prepare(b, command, &error)) {
        drop(b);
        b = NULL;
    }
    if (!b)
        frun_value_free(command);
    if (b && start(b, command))
        suspend(b, ran);
    else
        give_up(b, ran, error);
    return true;
}
