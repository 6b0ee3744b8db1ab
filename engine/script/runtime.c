/*
 * runtime.c - opening and closing a state in which tasks run: a worker's, or
 * the main program's helper.
 *
 * What opening does in Lua, the pool's init too, is protected: an error is
 * given to the pool, and nothing of the state is left.
 */
#include "data/canon.h"
#include "script/job.h"
#include "script/shared.h"
#include "script/text.h"
#include "embedded.h"

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
    fri_job_exit(L, s);
    fri_coroutine_open(L, s);
    fri_travel_open(L, &s->engine->memory, s->shared, true);
    fri_random_open(L, s);
    fri_job_functions(L, s);
    fri_chunk_call(L, fri_lua_worker, fri_lua_worker_len, "worker", 3);
    rt->command_ref = luaL_ref(L, LUA_REGISTRYINDEX);
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
    rt->current = rt->L;
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
    while ((job = rt->all) != NULL) {
        rt->all = job->others;
        fri_error_free(job->resumable.error);
        fri_lines_free(&job->lines);
        fri_buffer_free(&job->last);
        fri_free(m, job);
    }
    if (rt->script) {
        fri_shared_forget(rt->script);
        fri_canon_free(rt->script->canon);
    }
    lua_close(rt->L);
    fri_free(m, rt);
}
