/*
 * job.c - what worker.lua calls, in the coroutine of a task: its function,
 * arguments and items, and its results; os.exit.
 *
 * All of it may raise; the error is then the task's.
 */
#include "script/job.h"

#include "core/journal.h"
#include "data/codec.h"
#include "script/int64.h"

#include <string.h>

static struct fri_job *job_of(lua_State *L)
{
    return fri_script_of(L)->runtime->job;
}

/* ---- one task --------------------------------------------------------- */

/* The script's own code comes next: it may never come back. */
static void enter(const struct fri_job *job)
{
    if (job->runtime->worker)
        fri_worker_enter(job->runtime->worker);
}

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
    enter(job_of(L));
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

void fri_push_items(lua_State *L, const struct fri_message *m,
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

    job->flow.stream = r->drawn ? r->drawn[i - r->origin]
                                : fri_streams_item(r->streams, i);
    fri_random_seed(job->runtime->script, job->flow.stream);
    fri_ordinals_free(r->memory, job->flow.ordinals);
    job->flow.ordinals = NULL;
    enter(job);
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
    uint64_t at = job->slice.first - r->origin;

    if (!fri_function_push(L, job->slice.task->spec->script))
        return fail_text(L);
    fri_push_items(L, r->items, r->offsets, at, n);
    if (r->keys)
        fri_push_items(L, r->keys, r->key_offsets, at, n);
    else
        lua_pushnil(L);
    lua_pushinteger(L, (lua_Integer)job->slice.first);
    push_control(L, job, n);
    lua_createtable(L, (int)n, 0);
    if (r->streams || r->drawn) {
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, core_seed, 1);
    } else {
        lua_pushnil(L);
    }
    enter(job);
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

/* ---- for journals ----------------------------------------------------- */

static void keep_output(struct fri_job *job)
{
    const struct fri_extra *x = job->slice.task->extra;

    if (x && x->keep && job->last.length > 0)
        fri_keep_output(x->keep, (const char *)job->last.data,
                        job->last.length);
}

/* Does its result hang on its stream?  Streams of what it has submitted come
 * from its own. */
static void note_drawn(struct fri_job *job)
{
    const struct fri_script *s = job->runtime->script;
    struct frun_future *task = job->slice.task;

    if (task->extra && job->flow.stream && !task->counted)
        task->extra->drew = job->flow.ordinals
                            || fri_random_drawn(s, job->flow.stream);
}

void fri_job_note(struct fri_job *job, bool failed)
{
    note_drawn(job);
    if (failed)
        keep_output(job);
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

void fri_job_exit(lua_State *L, struct fri_script *s)
{
    lua_getglobal(L, "os");
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, task_exit, 1);
    lua_setfield(L, -2, "exit");
    lua_pop(L, 1);
}

/* ---- the table of them ------------------------------------------------ */

static const luaL_Reg functions[] = {
    { "fetch", core_fetch },
    { "arguments", core_arguments },
    { "finish", core_finish },
    { "setup", core_setup },
    { "finish_items", core_finish_items },
    { NULL, NULL },
};

void fri_job_functions(lua_State *L, struct fri_script *s)
{
    lua_newtable(L);
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, -2, f->name);
    }
}
