/*
 * worker.c - tasks of Lua in a worker: one state, one coroutine a task.
 *
 * Rules.
 *  1. A state lives as long as its worker; coroutines that ended well are
 *     used again.
 *  2. All that can raise (decoding, loading, encoding) happens inside the
 *     task's coroutine, so the state itself never sees an error.
 *  3. While a task is suspended, its worker runs others: what belongs to a
 *     task (its output, its generator, its flow) is in its fri_job and is
 *     exchanged at each switch.
 */
#include "script/job.h"
#include "script/shared.h"
#include "script/view.h"

#include "data/codec.h"

/* Of a map on threads below which the main program runs it itself: two workers
 * take as long, with the hand-over there and back, which costs 15 to 60 us.
 * What forks run may crash. */
enum { INLINE_NS = 40000 };

/* ---- jobs ------------------------------------------------------------- */

static struct fri_job *job_new(struct fri_runtime *rt)
{
    const struct fri_memory *m = &rt->script->engine->memory;
    struct fri_job *job = rt->free;

    if (job) {
        rt->free = job->next;
        return job;
    }
    job = fri_alloc_zero(m, sizeof *job);
    if (!job)
        return NULL;
    job->runtime = rt;
    job->others = rt->all;
    rt->all = job;
    job->co_ref = job->ctl_ref = LUA_NOREF;
    job->flow.job = job;
    fri_lines_init(&job->lines, rt->output, m, false);
    fri_buffer_init(&job->last, m);
    return job;
}

static int make_coroutine(lua_State *L)
{
    struct fri_job *job = lua_touserdata(L, 1);

    job->flow.co = lua_newthread(L);
    job->co_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static bool has_coroutine(struct fri_runtime *rt, struct fri_job *job)
{
    bool ok;

    if (job->co_ref != LUA_NOREF)
        return true;
    ok = fri_protected(rt->L, make_coroutine, job)
         && job->co_ref != LUA_NOREF;
    lua_settop(rt->L, 0);
    return ok;
}

/* A coroutine that ended well is used again; another is left. */
static void put_back(struct fri_runtime *rt, struct fri_job *job, bool well)
{
    lua_State *L = rt->L;
    const struct fri_memory *m = &rt->script->engine->memory;

    if (job->ctl_ref != LUA_NOREF)
        luaL_unref(L, LUA_REGISTRYINDEX, job->ctl_ref);
    job->ctl_ref = LUA_NOREF;
    fri_flow_leave(rt->script, &job->flow);
    fri_ordinals_free(m, job->flow.ordinals);
    job->flow.ordinals = NULL;
    job->flow.stream = 0;
    job->flow.set = NULL;
    if (well) {
        lua_settop(job->flow.co, 0);
    } else {
        luaL_unref(L, LUA_REGISTRYINDEX, job->co_ref);
        job->co_ref = LUA_NOREF;
    }
    job->next = rt->free;
    rt->free = job;
}

/* ---- running ---------------------------------------------------------- */

static void switch_in(struct fri_runtime *rt, struct fri_job *job)
{
    rt->job = job;
    rt->script->flow = &job->flow;
    rt->script->lines = &job->lines;
    fri_cap_on(job);
}

static void switch_out(struct fri_runtime *rt)
{
    fri_mend(rt);
    rt->job = NULL;
    rt->script->flow = NULL;
    rt->script->lines = NULL;
}

static int64_t control_i(struct fri_runtime *rt, struct fri_job *job)
{
    int64_t i;

    if (job->ctl_ref == LUA_NOREF)
        return 1; /* it failed before the first item */
    lua_rawgeti(rt->L, LUA_REGISTRYINDEX, job->ctl_ref);
    lua_getfield(rt->L, -1, "i");
    i = (int64_t)lua_tointeger(rt->L, -1);
    lua_settop(rt->L, 0);
    return i > 0 ? i : 1;
}

/* The items behind the one that waits are somebody else's. */
static void cut_slice(struct fri_runtime *rt, struct fri_job *job)
{
    int64_t i = control_i(rt, job);

    if (job->ctl_ref == LUA_NOREF)
        return;
    job->slice.end = job->slice.first + (uint64_t)i;
    lua_rawgeti(rt->L, LUA_REGISTRYINDEX, job->ctl_ref);
    lua_pushinteger(rt->L, (lua_Integer)i);
    lua_setfield(rt->L, -2, "n");
    lua_settop(rt->L, 0);
}

static struct fri_error *crashed(struct fri_runtime *rt, struct fri_job *job)
{
    struct fri_error *e
        = fri_error_format(&rt->script->engine->memory, FRUN_ECRASHED,
                           "the task called os.exit(%d)", job->exit_status);

    if (e)
        e->public.exit_status = job->exit_status;
    return e;
}

struct keying {
    const struct fri_range *range;
    struct fri_error *error;
    uint64_t item;
};

static int take_key(lua_State *L)
{
    struct keying *k = lua_touserdata(L, 1);
    const struct fri_range *r = k->range;
    struct fri_error *e = k->error;
    struct fri_pack *pack;

    fri_push_items(L, r->keys, r->key_offsets, k->item - r->origin, 1);
    lua_rawgeti(L, -1, 1);
    if (lua_type(L, -1) == LUA_TNUMBER
        && lua_tonumber(L, -1) == (double)(int64_t)lua_tonumber(L, -1)) {
        e->key_number = (int64_t)lua_tonumber(L, -1);
    } else if (fri_pack_values(L, lua_gettop(L), 1, NULL, false, &pack)) {
        e->number_key = false;
        e->key = fri_message_new(r->memory, pack->bytes->data,
                                 pack->bytes->length, NULL, 0);
    }
    return 0;
}

/* The key of the item that failed; without memory for it, its number. */
static void key_error(struct fri_runtime *rt, struct fri_job *job,
                      struct fri_error *e, uint64_t item)
{
    struct keying k = { job->slice.task->data.range, e, item };

    if (!e)
        return;
    e->number_key = true;
    e->key_number = (int64_t)item + 1;
    if (k.range->keys)
        fri_protected(rt->L, take_key, &k);
    lua_settop(rt->L, 0);
}

/* Its range has ended without it, so it has not failed. */
static bool was_stopped(const struct fri_runtime *rt,
                        const struct fri_job *job)
{
    return (rt->touched || job->told)
           && atomic_load(&job->slice.task->data.range->stop);
}

static void fail_slice(struct fri_runtime *rt, struct fri_job *job,
                       struct fri_slice *slice, struct fri_ran *ran,
                       struct fri_error *error)
{
    int64_t i = job->refused ? job->refused : control_i(rt, job);

    slice->end = slice->first + (uint64_t)i - 1;
    ran->outcome.holds = FRI_NOTHING;
    if (was_stopped(rt, job)) {
        fri_error_free(error);
        return;
    }
    key_error(rt, job, error, slice->end);
    ran->failed = true;
    ran->failure = error;
}

/* What a command left is its task's, also when it is Lua that has failed. */
static void take_left(struct fri_job *job, struct fri_error *error)
{
    if (error && !error->result)
        fri_error_set_result(error, job->left);
    else
        frun_value_free(job->left);
    job->left = NULL;
}

/* What it failed of, NULL: out of memory; false: it has results. */
static bool failure(struct fri_runtime *rt, struct fri_job *job, int status,
                    struct fri_error **error)
{
    const struct fri_memory *m = &rt->script->engine->memory;

    if (job->exited)
        *error = crashed(rt, job);
    else if (status == LUA_YIELD)
        *error = fri_error_format(m, FRUN_ERROR, "a task cannot yield");
    else if (fri_cap_failed(job, status))
        *error = fri_error_format(m, FRUN_ERESOURCE,
                                  "the memory cap of %llu bytes was hit",
                                  (unsigned long long)job->cap.limit);
    else if (status == LUA_ERRMEM)
        *error = fri_error_new(m, FRUN_ENOMEM, NULL, NULL, NULL);
    else if (status != LUA_OK)
        *error = fri_error_take(rt->L, job->flow.co);
    else if (job->outcome.holds == FRI_ERROR)
        *error = job->outcome.error;
    else
        return false;
    if (job->outcome.holds != FRI_ERROR)
        fri_data_free(&job->outcome);
    job->outcome.holds = FRI_NOTHING;
    take_left(job, *error);
    return true;
}

/* Runs what is to be closed in a coroutine that failed; true when it can be
 * used again: not if a hook may have raised in it, ours or the task's own,
 * which leaves hooks off there. */
static bool close_coroutine(struct fri_runtime *rt, struct fri_job *job,
                            int status)
{
    bool hooked = fri_unhook(rt, job->flow.co);

#ifdef FRI_LUA54
    if (status != LUA_OK) {
        fri_set_current(rt, job->flow.co);
        lua_resetthread(job->flow.co);
        fri_set_current(rt, rt->L);
    }
    return !rt->touched && !hooked;
#else
    (void)job;
    return status == LUA_OK && !rt->touched && !hooked;
#endif
}

/* What the attempt came to. */
static void conclude(struct fri_runtime *rt, struct fri_job *job,
                     struct fri_slice *slice, struct fri_ran *ran, bool failed,
                     struct fri_error *error)
{
    *slice = job->slice;
    if (!failed) {
        ran->outcome = job->outcome;
    } else if (slice->task->counted) {
        fail_slice(rt, job, slice, ran, error);
    } else {
        ran->outcome.holds = FRI_ERROR;
        ran->outcome.error = error;
    }
}

static bool claim(const struct fri_runtime *rt)
{
    return !rt->worker || fri_worker_claim(rt->worker);
}

static void suspend(struct fri_runtime *rt, struct fri_job *job,
                    struct fri_slice *slice, struct fri_ran *ran)
{
    if (rt->worker && !fri_worker_suspend(rt->worker)) {
        fri_lock(rt->script->engine);
        fri_set_disarm(job->flow.set); /* nobody goes on with it */
        fri_unlock(rt->script->engine);
        return;
    }
    if (job->slice.task->counted)
        cut_slice(rt, job);
    fri_unhook(rt, job->flow.co);
    fri_random_save(rt->script, job->flow.random);
    job->resumable.slice = job->slice;
    job->resumable.set = job->flow.set;
    *slice = job->slice;
    ran->suspended = job;
}

/* All that runs Lua comes before the claim, so that it can be stopped. */
static void end(struct fri_runtime *rt, struct fri_job *job, int status,
                struct fri_slice *slice, struct fri_ran *ran)
{
    struct fri_error *error = NULL;
    bool failed = failure(rt, job, status, &error);
    bool well = close_coroutine(rt, job, status);

    if (claim(rt)) {
        conclude(rt, job, slice, ran, failed, error);
        if (job->lines.printed)
            fri_lines_end(&job->lines);
        fri_job_note(job, failed);
    } else {
        fri_error_free(error);
        fri_data_free(&job->outcome);
    }
    put_back(rt, job, well);
}

static void go_on(struct fri_runtime *rt, struct fri_job *job, int arguments,
                  struct fri_slice *slice, struct fri_ran *ran)
{
    int status, n;

    switch_in(rt, job);
    job->flow.set = NULL;
    fri_set_current(rt, job->flow.co);
    status = fri_lua_resume(job->flow.co, rt->L, arguments, &n);
    fri_set_current(rt, rt->L);
    fri_cap_off(job);
    fri_error_free(job->resumable.error);
    job->resumable.error = NULL;
    job->resumable.raised = false;
    if (status == LUA_YIELD && job->flow.set && !job->exited)
        suspend(rt, job, slice, ran);
    else
        end(rt, job, status, slice, ran);
    switch_out(rt);
}

static void fail_memory(struct fri_slice *slice, struct fri_ran *ran)
{
    if (slice->task->counted) {
        slice->end = slice->first;
        ran->failed = true;
    } else {
        ran->outcome.holds = FRI_ERROR;
        ran->outcome.error = NULL;
    }
}

/* What worker.lua has for tasks of that sort. */
static int entry_of(const struct fri_runtime *rt,
                    const struct frun_future *task)
{
    if (task->counted)
        return rt->items_ref;
    return rt->worker && rt->worker->pool->ops->kind == FRUN_COMMANDS
               ? rt->command_ref
               : rt->task_ref;
}

static void runner_run(void *state, struct fri_slice *slice,
                       struct fri_ran *ran)
{
    struct fri_runtime *rt = state;
    struct fri_job *job = job_new(rt);
    struct frun_future *task = slice->task;
    const struct fri_extra *x = fri_extra_seen(task);

    if (!job || !has_coroutine(rt, job)) {
        fail_memory(slice, ran);
        return;
    }
    job->resumable.worker = rt->worker;
    job->slice = *slice;
    job->flow.holder.task = task;
    job->outcome.holds = FRI_NOTHING;
    job->exited = false;
    job->told = false;
    job->refused = 0;
    job->lines.tag = rt->script->options->verbose
                         ? fri_task_name(task, job->name)
                         : NULL;
    job->last.length = 0;
    job->lines.last = x && x->keep ? &job->last : NULL;
    job->flow.stream = x ? x->stream : 0;
    if (job->flow.stream)
        fri_random_seed(rt->script, job->flow.stream);
    fri_cap_begin(job, task->spec->memory);
    lua_rawgeti(job->flow.co, LUA_REGISTRYINDEX, entry_of(rt, task));
    go_on(rt, job, 0, slice, ran);
}

static void runner_resume(void *state, void *suspended,
                          struct fri_slice *slice, struct fri_ran *ran)
{
    struct fri_runtime *rt = state;
    struct fri_job *job = suspended;

    fri_random_load(rt->script, job->flow.random);
    job->told |= job->resumable.raised;
    if (job->resumable.raised) /* core.await gives it to flow.lua */
        lua_pushboolean(job->flow.co, 1);
    go_on(rt, job, job->resumable.raised, slice, ran);
}

/* ---- short work of the main program ----------------------------------- */

static bool has_room(frun_pool *pool)
{
    frun_engine *e = pool->engine;
    bool room;

    fri_lock(e);
    room = atomic_load_explicit(&pool->lane.ready, memory_order_relaxed) == 0
           && pool->ops->running(pool) < pool->workers;
    fri_unlock(e);
    return room;
}

bool fri_inline_wanted(struct fri_script *s, frun_pool *pool,
                       const struct fri_function *f, int64_t count)
{
    uint64_t ns = atomic_load_explicit(&f->item_ns, memory_order_relaxed);
    struct fri_error *error = NULL;

    if (ns == 0 || s->worker || s->runtime || (uint64_t)count > INLINE_NS / ns
        || pool->ops->kind != FRUN_THREADS || pool->init
        || s->engine->sched.recorded > 0 || !has_room(pool))
        return false;
    if (!s->helper)
        s->helper = fri_runtime_open(s, NULL, &error);
    fri_error_free(error);
    return s->helper && !s->helper->job;
}

void fri_inline_run(struct fri_script *s, struct frun_future *task,
                    struct fri_ran *ran)
{
    struct fri_range *r = task->data.range;
    struct fri_slice slice = { task, 0, r->count };
    struct fri_function *f = task->spec->script;
    struct fri_lane *lane = task->spec->lane;
    fri_time began = fri_now();

    s->helper->script->inline_pool = fri_lane_pool(lane);
    runner_run(s->helper, &slice, ran);
    r->spent = fri_now() - began;
    fri_function_took(f, (uint64_t)r->spent / r->count);
    fri_lock(s->engine);
    lane->done += slice.end;
    lane->failed += ran->failed;
    lane->cancelled += r->count - slice.end - ran->failed;
    fri_unlock(s->engine);
}

/* ---- for the pools ---------------------------------------------------- */

static void *runner_open(void *user, struct fri_worker *worker,
                         struct fri_error **error)
{
    return fri_runtime_open(user, worker, error);
}

static void runner_close(void *state)
{
    fri_runtime_close(state);
}

/* ---- the table of them ------------------------------------------------ */

const struct fri_runner fri_lua_runner = {
    .open = runner_open,
    .close = runner_close,
    .run = runner_run,
    .resume = runner_resume,
    .interrupt = fri_interrupt,
    .calm = fri_calm,
    .greet = fri_runner_greet,
    .arrive = fri_runner_arrive,
};
