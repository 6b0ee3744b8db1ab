/*
 * commands.c - the pool whose tasks are commands.
 *
 * Rules.
 *  1. `workers` attempts are in flight at most: each has a place, from when it
 *     is taken out of the lane until its process has ended.
 *  2. A bare command (a spec without a function) that needs no files is
 *     started by whoever finds a place free for it, and ended by the service
 *     thread: no worker has to do with it.
 *  3. What else there is is taken up by a hand, one of a few threads: it makes
 *     the files, or runs the function that makes the command.  While the
 *     process runs the task is suspended and the hand does other things; it
 *     comes back to read what was collected, or to parse.
 *  4. A task that waits for anything but its commands gives its place up.  Its
 *     own command needs one again then, before those that were not begun.
 */
#include "pools/commands/commands.h"
#include "pools/commands/keeping.h"
#include "pools/spawn/spawn.h"


#include <errno.h>
#include <string.h>

static frun_engine *engine_of(const struct fri_commands *cs)
{
    return cs->hands.pool->engine;
}

static struct fri_commands *commands_of(const struct frun_future *task)
{
    return fri_lane_pool(task->spec->lane)->state;
}

/* ---- places ----------------------------------------------------------- */

/* From 1; 0: it has none. */
static unsigned place_of(const struct fri_commands *cs,
                         const struct frun_future *task)
{
    for (unsigned i = 0; i < cs->most; i++)
        if (cs->places[i] == task)
            return i + 1;
    return 0;
}

static bool take_place(struct fri_commands *cs, struct frun_future *task)
{
    unsigned i = 0;

    if (cs->used == cs->most)
        return false;
    while (cs->places[i])
        i++;
    cs->places[i] = task;
    cs->used++;
    return true;
}

static void free_place(struct fri_commands *cs, const struct frun_future *task)
{
    unsigned place = place_of(cs, task);

    if (place == 0)
        return;
    cs->places[place - 1] = NULL;
    cs->used--;
    fri_sched_later(&cs->hands.pool->lane);
}

static void commands_left(struct fri_lane *lane, struct frun_future *task)
{
    free_place(fri_lane_pool(lane)->state, task);
}

/* ---- what functions have made ----------------------------------------- */

bool fri_commands_admit(struct fri_exec *x)
{
    struct frun_future *task = x->tied.task;
    struct fri_commands *cs = commands_of(task);

    if (place_of(cs, task) || (!cs->waiting && take_place(cs, task)))
        return true;
    fri_exec_queue(&cs->waiting, x);
    return false;
}

void fri_commands_over(struct fri_exec *x)
{
    struct frun_future *task = x->tied.task;

    if (!task)
        return;
    free_place(commands_of(task), task);
    if (task->spec->need_count)
        fri_limits_release(task);
}

static bool admit_waiting(struct fri_commands *cs)
{
    struct fri_exec *x = cs->waiting;

    if (!x || !take_place(cs, x->tied.task))
        return false;
    fri_exec_unqueue(x);
    fri_exec_launch(x);
    return true;
}

/* ---- bare commands ---------------------------------------------------- */

bool fri_command_is_bare(const struct frun_future *task)
{
    return !task->spec->script && !task->spec->function;
}

frun_value *fri_command_read(const struct frun_future *task,
                             struct fri_error **error)
{
    const struct fri_memory *m = task->spec->lane->sched->memory;
    frun_value *command = NULL;
    frun_status status = FRUN_EUNSENDABLE;

    *error = NULL;
    if (task->holds == FRI_MESSAGE)
        status = fri_value_unpack(m, task->data.message->data,
                                  task->data.message->length, &command);
    else if (task->holds == FRI_VALUE)
        command = fri_value_copy(m, task->data.value);
    if (command && fri_command_check(command, m, error))
        return command;
    if (!command && status != FRUN_ENOMEM && task->holds != FRI_VALUE)
        *error = fri_error_new(m, FRUN_EUNSENDABLE, "no command", NULL, NULL);
    frun_value_free(command);
    return NULL;
}

static void fail(struct frun_future *task, struct fri_error *error)
{
    struct fri_data outcome = { .error = error, .holds = FRI_ERROR };

    fri_sched_finish(task, &outcome, fri_now());
}

static void conclude(struct fri_exec *x, struct fri_proc_end *p,
                     struct fri_data *outcome)
{
    struct fri_command_end end = fri_exec_end(x, p);
    char name[32], *dir = NULL;

    outcome->holds = FRI_ERROR;
    outcome->error = NULL;
    if (fri_command_finish(x->command, fri_task_name(x->tied.task, name), &dir,
                           &end, &x->engine->memory, &outcome->value,
                           &outcome->error))
        outcome->holds = FRI_VALUE;
}

/* On the service thread. */
static void bare_ended(struct fri_exec *x, struct fri_proc_end *end)
{
    struct frun_future *task = x->tied.task;
    struct fri_commands *cs = commands_of(task);
    struct fri_data outcome = { .error = x->error, .holds = FRI_ERROR };

    x->error = NULL;
    if (end)
        conclude(x, end, &outcome);
    cs->direct--;
    fri_exec_leave(x);
    fri_sched_finish(task, &outcome, fri_now());
    fri_exec_free(x);
}

static bool begin(struct fri_commands *cs, struct frun_future *task)
{
    frun_engine *e = engine_of(cs);
    fri_time now = fri_now();

    if (!fri_task_begin(task, place_of(cs, task), now)) {
        fri_sched_return(task);
        return false;
    }
    if (e->sched.observers)
        fri_sched_started(task, now);
    if (fri_attempt_begin(task, now))
        return true;
    fail(task, NULL);
    return false;
}

static void start_bare(struct fri_commands *cs, struct frun_future *task,
                       frun_value *command)
{
    struct fri_exec *x = fri_exec_new(engine_of(cs), command, NULL);

    if (!begin(cs, task)) {
        fri_exec_free(x);
        return;
    }
    if (x)
        x->ended = bare_ended;
    if (!x || !fri_exec_open(x, task)) {
        fri_exec_free(x);
        fail(task, NULL);
        return;
    }
    x->own = true;
    cs->direct++;
    fri_exec_launch(x);
}

/* ---- handing out ------------------------------------------------------ */

static void to_hands(struct fri_commands *cs, struct frun_future *task)
{
    if (fri_lane_push(&cs->taken, task))
        fri_threads_ready(&cs->hands);
    else if (begin(cs, task))
        fail(task, NULL);
}

/* It has to do with files, if only as a journal does. */
static bool needs_hand(const struct frun_future *task,
                       const frun_value *command)
{
    return fri_command_has_files(command)
           || (fri_is_kept(task) && fri_command_reads(command));
}

static void hand_out(struct fri_commands *cs, struct frun_future *task)
{
    struct fri_error *error = NULL;
    frun_value *command;

    take_place(cs, task);
    if (!fri_command_is_bare(task)) {
        to_hands(cs, task);
        return;
    }
    command = fri_command_read(task, &error);
    if (!command) {
        if (begin(cs, task))
            fail(task, error);
        else
            fri_error_free(error);
    } else if (needs_hand(task, command)) {
        frun_value_free(command);
        to_hands(cs, task);
    } else {
        start_bare(cs, task, command);
    }
}

/* A start that fails makes room, and calls again. */
static void commands_call(struct fri_lane *lane)
{
    struct fri_commands *cs = fri_lane_pool(lane)->state;
    struct fri_slice s;

    cs->more = true;
    if (cs->calling)
        return;
    cs->calling = true;
    while (cs->more) {
        cs->more = false;
        while (admit_waiting(cs))
            ;
        while (cs->used < cs->most && fri_sched_take(lane, 1, &s) > 0)
            hand_out(cs, s.task);
    }
    cs->calling = false;
}

static void commands_ready(struct fri_lane *lane, size_t count)
{
    (void)count;
    fri_sched_later(lane);
}

/* ---- hands ------------------------------------------------------------ */

static size_t hands_take(struct fri_thread *t)
{
    struct fri_commands *cs = (struct fri_commands *)t->threads;
    struct frun_future *best = fri_lane_best(&cs->taken);

    if (!best)
        return 0;
    fri_lane_pop(&cs->taken, best);
    t->number = place_of(cs, best);
    t->hand.slices[0] = (struct fri_slice){ .task = best };
    return 1;
}

/* One that waits for its commands keeps its place. */
static void hands_waits(struct fri_threads *ts, struct frun_future *task)
{
    if (!fri_tied_has(task))
        free_place((struct fri_commands *)ts, task);
}

static const struct fri_threads_ops hands = {
    .take = hands_take,
    .run = fri_bare_run,
    .resume = fri_bare_resume,
    .waits = hands_waits,
};

/* ---- the pool --------------------------------------------------------- */

/* What a bare one has tied to it is told so by others: see attempt.c. */
static bool commands_stop(struct fri_lane *lane, struct frun_future *task,
                          frun_status why)
{
    return fri_command_is_bare(task) || fri_threads_stop(lane, task, why);
}

static const struct fri_lane_hooks hooks = {
    .ready = commands_ready,
    .idle = fri_lane_idle,
    .stop = commands_stop,
    .hold = fri_lane_hold,
    .release = fri_lane_release,
    .left = commands_left,
    .call = commands_call,
};

static bool has_spawner(frun_engine *e)
{
    bool has;

    fri_lock(e);
    has = fri_spawner_need(e);
    fri_unlock(e);
    return has;
}

static frun_status commands_open(frun_pool *pool)
{
    frun_engine *e = pool->engine;
    unsigned most = pool->workers < e->cores ? pool->workers : e->cores;
    struct fri_commands *cs;

    if (!has_spawner(e))
        return fri_fail(e, FRUN_ERESOURCE, "no processes can be started: %s",
                        fri_spawn_trouble(e->no_spawner ? e->no_spawner
                                                        : errno));
    cs = fri_alloc_zero(&e->memory, sizeof *cs
                                        + pool->workers * sizeof *cs->places);
    if (!cs)
        return fri_fail(e, FRUN_ENOMEM, "out of memory");
    cs->most = pool->workers;
    fri_lane_init(&cs->taken, &e->sched, NULL, most);
    cs->hands.ops = &hands;
    fri_threads_init(&cs->hands, pool, &cs->taken, most);
    fri_service_poke(e); /* it may have one more descriptor to look at */
    return FRUN_OK;
}

static void commands_free(frun_pool *pool)
{
    struct fri_commands *cs = pool->state;

    fri_threads_join(&cs->hands);
    fri_lane_free(&cs->taken);
    fri_free(&pool->engine->memory, cs);
    pool->state = NULL;
}

static uint64_t commands_running(const frun_pool *pool)
{
    const struct fri_commands *cs = pool->state;

    return cs ? cs->direct + fri_threads_running(&cs->hands) : 0;
}

static void commands_each(const frun_pool *pool,
                          void (*fn)(void *user, struct frun_future *task,
                                     unsigned worker, fri_time since),
                          void *user)
{
    const struct fri_commands *cs = pool->state;

    for (unsigned i = 0; cs && i < cs->most; i++)
        if (cs->places[i])
            fn(user, (struct frun_future *)(uintptr_t)cs->places[i], i + 1,
               cs->places[i]->started);
}

const struct fri_pool_ops fri_commands_ops = {
    .kind = FRUN_COMMANDS,
    .hooks = &hooks,
    .open = commands_open,
    .end = fri_threads_end,
    .free = commands_free,
    .running = commands_running,
    .each = commands_each,
    .watch = fri_threads_watch,
};
