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

struct opening {
    int status; /* of Lua */
    struct fri_runtime *runtime;
    struct fri_script *main;
};

/* The state's libraries, then init. */
static int set_up(lua_State *L)
{
    struct opening *o = lua_touserdata(L, 1);
    struct fri_runtime *rt = o->runtime;
    struct fri_script *s;

    lua_gc(L, LUA_GCSTOP, 0);
    luaL_openlibs(L);
    fri_text_only(L);
    fri_mend_open(L, &rt->mend);
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
    fri_execute_open(L);
    fri_job_exit(L, s);
    fri_coroutine_open(L, s);
    fri_travel_open(L, &s->engine->memory, s->shared, true);
    fri_random_open(L, s);
    fri_job_functions(L, s);
    fri_chunk_call(L, &fri_lua_worker, "worker", 3);
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

/* Of a message with a traceback below it; NULL: something else was raised. */
static struct fri_error *init_error(const struct fri_memory *m,
                                    const char *text)
{
    const char *below = text ? strstr(text, "\nstack traceback:") : NULL;
    struct fri_error *error, *whole;

    if (!text)
        text = "(no text)";
    error = fri_error_format(m, FRUN_ERESOURCE, "a worker's init failed: %.*s",
                             below ? (int)(below - text) : (int)strlen(text),
                             text);
    if (!error || !below)
        return error;
    whole = fri_error_new(m, FRUN_ERESOURCE, error->message, below + 1, NULL);
    fri_error_free(error);
    return whole;
}

static int trace(lua_State *L)
{
    if (lua_type(L, 1) == LUA_TSTRING)
        luaL_traceback(L, L, lua_tostring(L, 1), 1);
    return 1;
}

/* Protected, for also a closure takes memory. */
static int open_state(lua_State *L)
{
    struct opening *o = lua_touserdata(L, 1);

    lua_pushcfunction(L, trace);
    lua_pushcfunction(L, set_up);
    lua_pushlightuserdata(L, o);
    o->status = lua_pcall(L, 1, 0, 2);
    return o->status == LUA_OK ? 0 : lua_error(L);
}

static struct fri_error *no_memory(const struct fri_memory *m)
{
    return fri_error_new(m, FRUN_ENOMEM,
                         "no memory for the state of a worker", NULL, NULL);
}

struct fri_runtime *fri_runtime_open(struct fri_script *main,
                                     struct fri_worker *worker,
                                     struct fri_error **error)
{
    const struct fri_memory *m = &main->engine->memory;
    struct fri_runtime *rt = fri_alloc_zero(m, sizeof *rt);
    struct opening o = { .status = LUA_ERRMEM, .runtime = rt,
                         .main = main };

    if (rt)
        rt->L = fri_state_new(m);
    if (!rt || !rt->L) {
        fri_free(m, rt);
        *error = no_memory(m);
        return NULL;
    }
    rt->current = rt->L;
    rt->worker = worker;
    rt->memory = m;
    rt->output = main->options->output ? main->options->output
                                       : &main->engine->output;
    if (fri_protected(rt->L, open_state, &o)) {
        lua_settop(rt->L, 0);
        return rt;
    }
    *error = o.status == LUA_ERRMEM ? no_memory(m)
                                    : init_error(m, lua_tostring(rt->L, -1));
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
    fri_state_close(rt->L);
    fri_free(m, rt);
}
