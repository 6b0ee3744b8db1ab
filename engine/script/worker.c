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
#include "script/view.h"

#include "script/int64.h"
#include "script/stdio.h"
#include "script/text.h"
#include "data/codec.h"
#include "embedded.h"

#include <string.h>

/* Of a map below which the main program runs it itself: a hand-over to a
 * worker and back costs as much. */
enum { INLINE_NS = 20000 };

struct fri_job {
    struct fri_resumable resumable; /* first */
    struct fri_runtime *runtime;
    struct fri_job *next; /* free */
    struct fri_flow flow;
    int co_ref;  /* the coroutine; LUA_NOREF: it is to be made */
    int ctl_ref; /* of a slice: its control table */
    struct fri_lines lines;
    struct fri_slice slice;
    struct fri_data outcome;
    int refused; /* of a slice: the item whose result was refused */
    char name[32];
    bool exited; /* os.exit was called */
    int exit_status;
};

struct fri_runtime {
    struct fri_script *script;
    lua_State *L;
    struct fri_worker *worker;
    struct fri_job *free, *job; /* what runs now */
    int task_ref, items_ref;
    struct fri_output *output;
    const struct fri_memory *memory;
};

static struct fri_job *job_of(lua_State *L)
{
    return fri_script_of(L)->runtime->job;
}

/* ---- called by worker.lua, in the task's coroutine -------------------- */

static int fail_text(lua_State *L)
{
    return luaL_error(L, "%s", lua_tostring(L, -1));
}

/* The task's function. */
static int core_fetch(lua_State *L)
{
    struct fri_job *job = job_of(L);

    if (!fri_function_push(L, job->slice.task->spec->script))
        return fail_text(L);
    return 1;
}

static int core_arguments(lua_State *L)
{
    struct frun_future *task = job_of(L)->slice.task;
    const struct fri_message *m = task->data.message;
    int n = 0;

    if (task->holds == FRI_BYTES)
        n = fri_unpack(L, task->data.bytes, task->length, NULL, 0);
    else if (task->holds == FRI_MESSAGE)
        n = fri_unpack(L, m->data, m->length, m->handles, m->handle_count);
    return n < 0 ? fail_text(L) : n;
}

static void fail_unsendable(struct fri_job *job, const char *text)
{
    job->outcome.holds = FRI_ERROR;
    job->outcome.error
        = fri_error_new(&job->runtime->script->engine->memory,
                        FRUN_EUNSENDABLE, text, NULL, NULL);
}

/* The results of the task become its outcome. */
static int core_finish(lua_State *L)
{
    struct fri_job *job = job_of(L);
    struct fri_data *out = &job->outcome;
    struct fri_pack *pack;
    int n = lua_gettop(L);

    if (n == 0)
        return 0;
    if (!fri_pack_values(L, 1, n, "result", false, &pack)) {
        fail_unsendable(job, lua_tostring(L, -1));
        return 0;
    }
    if (pack->handle_count == 0 && pack->bytes->length <= FRI_INLINE) {
        out->holds = FRI_BYTES;
        out->length = (uint8_t)pack->bytes->length;
        memcpy(out->bytes, pack->bytes->data, pack->bytes->length);
        return 0;
    }
    out->message = fri_message_new(&job->runtime->script->engine->memory,
                                   pack->bytes->data, pack->bytes->length,
                                   pack->handles, pack->handle_count);
    out->holds = out->message ? FRI_MESSAGE : FRI_ERROR;
    return 0;
}

/* ---- slices ----------------------------------------------------------- */

static void push_numbers(lua_State *L, const struct fri_message *m,
                         uint64_t first, uint64_t n)
{
    const uint8_t *at = m->data + 1 + first * 8;
    bool ints = m->data[0] == FRI_INTS;

    for (uint64_t i = 1; i <= n; i++, at += 8) {
        if (ints) {
            int64_t k;

            memcpy(&k, at, 8);
            fri_int64_push_plain(L, k);
        } else {
            double d;

            memcpy(&d, at, 8);
            lua_pushnumber(L, d);
        }
        lua_rawseti(L, -2, (int)i);
    }
}

/* Pushes the list of n items from `first`. */
static void push_items(lua_State *L, const struct fri_message *m,
                       const size_t *offsets, uint64_t first, uint64_t n)
{
    const uint8_t *at;

    lua_createtable(L, (int)n, 0);
    if (!offsets) {
        push_numbers(L, m, first, n);
        return;
    }
    at = m->data + offsets[first];
    for (uint64_t i = 1; i <= n; i++) {
        if (fri_unpack_item(L, &at, m->data + m->length, m->handles,
                            m->handle_count)
            < 0)
            luaL_error(L, "%s", lua_tostring(L, -1));
        lua_rawseti(L, -2, (int)i);
    }
}

/* seed(i): item i of the slice begins. */
static int core_seed(lua_State *L)
{
    struct fri_job *job = job_of(L);
    struct fri_range *r = job->slice.task->data.range;
    uint64_t i = job->slice.first + (uint64_t)lua_tointeger(L, 1) - 1;

    job->flow.stream = fri_streams_item(r->streams, i);
    fri_random_seed(job->runtime->script, job->flow.stream);
    fri_ordinals_free(r->memory, job->flow.ordinals);
    job->flow.ordinals = NULL;
    return 0;
}

static void push_control(lua_State *L, struct fri_job *job, uint64_t n)
{
    lua_createtable(L, 0, 2);
    lua_pushinteger(L, (lua_Integer)n);
    lua_setfield(L, -2, "n");
    lua_pushvalue(L, -1);
    job->ctl_ref = luaL_ref(L, LUA_REGISTRYINDEX);
}

/* fn, args, keys or nil, first, ctl, out, seed or nil */
static int core_setup(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_job *job = job_of(L);
    struct fri_range *r = job->slice.task->data.range;
    uint64_t n = job->slice.end - job->slice.first;

    if (!fri_function_push(L, job->slice.task->spec->script))
        return fail_text(L);
    push_items(L, r->items, r->offsets, job->slice.first, n);
    if (r->keys)
        push_items(L, r->keys, r->key_offsets, job->slice.first, n);
    else
        lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)job->slice.first);
    push_control(L, job, n);
    lua_createtable(L, (int)n, 0);
    if (r->streams) {
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, core_seed, 1);
    } else {
        lua_pushnil(L);
    }
    return 7;
}

/* finish_items(out, n) */
static int core_finish_items(lua_State *L)
{
    struct fri_job *job = job_of(L);
    int n = (int)lua_tointeger(L, 2), bad = 0;
    struct fri_pack *pack = fri_pack_begin(L);
    bool numbers;

    if (!fri_pack_results(L, 1, n, pack, &numbers, &bad)) {
        fail_unsendable(job, lua_tostring(L, -1));
        job->refused = bad;
        return 0;
    }
    job->outcome.message
        = fri_message_new(&job->runtime->script->engine->memory,
                          pack->bytes->data, pack->bytes->length,
                          pack->handles, pack->handle_count);
    job->outcome.holds = job->outcome.message ? FRI_MESSAGE : FRI_ERROR;
    return 0;
}

/* ---- os.exit ---------------------------------------------------------- */

/* Ends the task: by never coming back where it can, else by an error. */
static int task_exit(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_job *job = s->runtime->job;

    if (!job)
        return luaL_error(L, "os.exit: nothing runs here");
    job->exited = true;
    if (lua_isboolean(L, 1))
        job->exit_status = lua_toboolean(L, 1) ? 0 : 1;
    else
        job->exit_status = (int)luaL_optinteger(L, 1, 0);
    if (s->flow && s->flow->co == L && lua_isyieldable(L))
        return lua_yield(L, 0);
    return luaL_error(L, "os.exit");
}

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
    job->co_ref = job->ctl_ref = LUA_NOREF;
    job->flow.job = job;
    fri_lines_init(&job->lines, rt->output, m, false);
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
    lua_pushcfunction(rt->L, make_coroutine);
    lua_pushlightuserdata(rt->L, job);
    ok = lua_pcall(rt->L, 1, 0, 0) == LUA_OK && job->co_ref != LUA_NOREF;
    lua_settop(rt->L, 0);
    return ok;
}

/* A coroutine that ended well is used again; another is closed, or left. */
static void put_back(struct fri_runtime *rt, struct fri_job *job, bool well)
{
    lua_State *L = rt->L;
    const struct fri_memory *m = &rt->script->engine->memory;

    if (job->ctl_ref != LUA_NOREF)
        luaL_unref(L, LUA_REGISTRYINDEX, job->ctl_ref);
    job->ctl_ref = LUA_NOREF;
    fri_ordinals_free(m, job->flow.ordinals);
    job->flow.ordinals = NULL;
    job->flow.stream = 0;
    job->flow.set = NULL;
#ifdef FRI_LUA54
    if (!well && lua_resetthread(job->flow.co) >= 0)
        well = true;
#endif
    if (well) {
        lua_settop(job->flow.co, 0);
    } else {
        luaL_unref(L, LUA_REGISTRYINDEX, job->co_ref);
        job->co_ref = LUA_NOREF;
    }
    job->next = rt->free;
    rt->free = job;
}

static void job_free(struct fri_runtime *rt, struct fri_job *job)
{
    const struct fri_memory *m = &rt->script->engine->memory;

    fri_lines_free(&job->lines);
    fri_free(m, job);
}

/* ---- running ---------------------------------------------------------- */

static void switch_in(struct fri_runtime *rt, struct fri_job *job)
{
    rt->job = job;
    rt->script->flow = &job->flow;
    rt->script->lines = &job->lines;
}

static void switch_out(struct fri_runtime *rt)
{
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

/* The key of the item that failed. */
static void key_error(struct fri_runtime *rt, struct fri_job *job,
                      struct fri_error *e, uint64_t item)
{
    struct fri_range *r = job->slice.task->data.range;
    lua_State *L = rt->L;
    struct fri_pack *pack;

    if (!e)
        return;
    e->number_key = true;
    e->key_number = (int64_t)item + 1;
    if (!r->keys)
        return;
    push_items(L, r->keys, r->key_offsets, item, 1);
    lua_rawgeti(L, -1, 1);
    if (lua_type(L, -1) == LUA_TNUMBER
        && lua_tonumber(L, -1) == (double)(int64_t)lua_tonumber(L, -1)) {
        e->key_number = (int64_t)lua_tonumber(L, -1);
    } else if (fri_pack_values(L, lua_gettop(L), 1, NULL, false, &pack)) {
        e->number_key = false;
        e->key = fri_message_new(r->memory, pack->bytes->data,
                                 pack->bytes->length, NULL, 0);
    }
    lua_settop(L, 0);
}

static void fail_slice(struct fri_runtime *rt, struct fri_job *job,
                       struct fri_slice *slice, struct fri_ran *ran,
                       struct fri_error *error)
{
    int64_t i = job->refused ? job->refused : control_i(rt, job);

    slice->end = slice->first + (uint64_t)i - 1;
    key_error(rt, job, error, slice->end);
    ran->failed = true;
    ran->failure = error;
    ran->outcome.holds = FRI_NOTHING;
}

/* What the attempt came to. */
static void conclude(struct fri_runtime *rt, struct fri_job *job, int status,
                     struct fri_slice *slice, struct fri_ran *ran)
{
    const struct fri_memory *m = &rt->script->engine->memory;
    struct fri_error *error = NULL;
    bool failed = true;

    ran->outcome = job->outcome;
    if (job->exited)
        error = crashed(rt, job);
    else if (status == LUA_YIELD)
        error = fri_error_new(m, FRUN_ERROR, "a task cannot yield", NULL,
                              NULL);
    else if (status != LUA_OK)
        error = fri_error_take(rt->L, job->flow.co);
    else if (job->outcome.holds == FRI_ERROR)
        error = job->outcome.error;
    else
        failed = false;
    *slice = job->slice;
    if (!failed)
        return;
    if (job->outcome.holds != FRI_ERROR)
        fri_data_free(&ran->outcome);
    if (slice->task->counted) {
        fail_slice(rt, job, slice, ran, error);
    } else {
        ran->outcome.holds = FRI_ERROR;
        ran->outcome.error = error;
    }
}

static void go_on(struct fri_runtime *rt, struct fri_job *job, int arguments,
                  struct fri_slice *slice, struct fri_ran *ran)
{
    int status, n;

    switch_in(rt, job);
    job->flow.set = NULL;
    status = fri_lua_resume(job->flow.co, rt->L, arguments, &n);
    if (status == LUA_YIELD && job->flow.set && !job->exited) {
        if (job->slice.task->counted)
            cut_slice(rt, job);
        fri_random_save(rt->script, job->flow.random);
        job->resumable.slice = job->slice;
        *slice = job->slice;
        ran->suspended = job;
        switch_out(rt);
        return;
    }
    conclude(rt, job, status, slice, ran);
    if (job->lines.printed)
        fri_lines_end(&job->lines);
    switch_out(rt);
    put_back(rt, job, status == LUA_OK);
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

static void runner_run(void *state, struct fri_slice *slice,
                       struct fri_ran *ran)
{
    struct fri_runtime *rt = state;
    struct fri_job *job = job_new(rt);
    struct frun_future *task = slice->task;

    if (!job || !has_coroutine(rt, job)) {
        fail_memory(slice, ran);
        return;
    }
    job->resumable.worker = rt->worker;
    job->slice = *slice;
    job->outcome.holds = FRI_NOTHING;
    job->exited = false;
    job->refused = 0;
    job->lines.tag = rt->script->options->verbose
                         ? fri_task_name(task, job->name)
                         : NULL;
    job->flow.stream = task->extra ? task->extra->stream : 0;
    if (job->flow.stream)
        fri_random_seed(rt->script, job->flow.stream);
    lua_rawgeti(job->flow.co, LUA_REGISTRYINDEX,
                task->counted ? rt->items_ref : rt->task_ref);
    go_on(rt, job, 0, slice, ran);
}

static void runner_resume(void *state, void *suspended,
                          struct fri_slice *slice, struct fri_ran *ran)
{
    struct fri_runtime *rt = state;
    struct fri_job *job = suspended;

    fri_random_load(rt->script, job->flow.random);
    go_on(rt, job, 0, slice, ran);
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
        || pool->init || !has_room(pool))
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
    uint64_t ns;

    s->helper->script->inline_pool = fri_lane_pool(lane);
    runner_run(s->helper, &slice, ran);
    r->spent = fri_now() - began;
    ns = (uint64_t)r->spent / r->count + 1;
    atomic_store_explicit(&f->item_ns,
                          (uint32_t)(ns < UINT32_MAX ? ns : UINT32_MAX),
                          memory_order_relaxed);
    fri_lock(s->engine);
    lane->done += slice.end;
    lane->failed += ran->failed;
    lane->cancelled += r->count - slice.end - ran->failed;
    fri_unlock(s->engine);
}

/* ---- opening ---------------------------------------------------------- */

static const luaL_Reg functions[] = {
    { "fetch", core_fetch },   { "arguments", core_arguments },
    { "finish", core_finish }, { "setup", core_setup },
    { "finish_items", core_finish_items }, { NULL, NULL },
};

static void push_core(lua_State *L, struct fri_script *s)
{
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -2, f->name);
    }
}

static void replace_exit(lua_State *L, struct fri_script *s)
{
    lua_getglobal(L, "os");
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, task_exit, 1);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
}

struct opening {
    struct fri_runtime *runtime;
    struct fri_script *main;
};

/* Protected: the state's libraries, then init. */
static int set_up(lua_State *L)
{
    struct opening *o = lua_touserdata(L, 1);
    struct fri_runtime *rt = o->runtime;
    struct fri_script *s;

    lua_gc(L, LUA_GCSTOP, 0);
    luaL_openlibs(L);
    fri_text_only(L);
    fri_common_table(L);
    s = fri_script_new(L);
    rt->script = s;
    s->runtime = rt;
    s->engine = o->main->engine;
    s->worker = rt->worker;
    s->options = o->main->options;
    s->shared = o->main->shared;
    s->started = o->main->started;
    fri_stdio_open(L, &s->lines, false);
    replace_exit(L, s);
    fri_travel_open(L, &s->engine->memory, s->shared, true);
    fri_random_open(L, s);
    push_core(L, s);
    fri_chunk_call(L, fri_lua_worker, fri_lua_worker_len, "worker", 2);
    rt->items_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    rt->task_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_gc(L, LUA_GCRESTART, 0);
    if (!rt->worker || !rt->worker->pool->init)
        return 0;
    if (!fri_function_push_init(L, rt->worker->pool->init))
        return lua_error(L);
    lua_call(L, 0, 0);
    return 0;
}

static int trace(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING)
        luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

struct fri_runtime *fri_runtime_open(struct fri_script *main,
                                     struct fri_worker *worker,
                                     struct fri_error **error)
{
    const struct fri_memory *m = &main->engine->memory;
    struct fri_runtime *rt = fri_alloc_zero(m, sizeof *rt);
    struct opening o = { rt, main };

    if (rt)
        rt->L = luaL_newstate();
    if (!rt || !rt->L) {
        fri_free(m, rt);
        *error = fri_error_new(m, FRUN_ERESOURCE,
                               "no memory for the state of a worker", NULL,
                               NULL);
        return NULL;
    }
    rt->worker = worker;
    rt->memory = m;
    rt->output = main->options->output ? main->options->output
                                       : &main->engine->output;
    lua_pushcfunction(rt->L, trace);
    lua_pushcfunction(rt->L, set_up);
    lua_pushlightuserdata(rt->L, &o);
    if (lua_pcall(rt->L, 1, 0, 1) == LUA_OK) {
        lua_settop(rt->L, 0);
        return rt;
    }
    *error = fri_error_format(m, FRUN_ERESOURCE, "a worker's init failed: %s",
                              lua_tostring(rt->L, -1) ? lua_tostring(rt->L, -1)
                                                      : "(no text)");
    fri_runtime_close(rt);
    return NULL;
}

void fri_runtime_close(struct fri_runtime *rt)
{
    const struct fri_memory *m;
    struct fri_job *job;

    if (!rt)
        return;
    m = rt->memory;
    while ((job = rt->free) != NULL) {
        rt->free = job->next;
        job_free(rt, job);
    }
    lua_close(rt->L);
    fri_free(m, rt);
}

static void *runner_open(void *user, struct fri_worker *worker,
                         struct fri_error **error)
{
    return fri_runtime_open(user, worker, error);
}

static void runner_close(void *state)
{
    fri_runtime_close(state);
}

const struct fri_runner fri_lua_runner = {
    .open = runner_open,
    .close = runner_close,
    .run = runner_run,
    .resume = runner_resume,
};
