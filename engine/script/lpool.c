/*
 * lpool.c - pools in Lua: opening, and what is done with a pool as a whole.
 *
 * A pool is held by the userdata that show it (see view.c), except in the
 * states of its own workers.  submit.c, scatter.c and lmap.c give it work.
 */
#include "script/view.h"

#include "pools/forks/home.h"

#include <math.h>
#include <string.h>

/* ---- opening ---------------------------------------------------------- */

static int option_int(lua_State *L, const char *name, int most)
{
    double n;

    lua_getfield(L, 1, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    n = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(n >= 1 && n <= most)
        || n != floor(n))
        luaL_error(L, "%s: a whole number from 1 to %d expected, got %s", name,
                   most,
                   lua_type(L, -1) == LUA_TNUMBER ? lua_tostring(L, -1)
                                                  : luaL_typename(L, -1));
    lua_pop(L, 1);
    return (int)n;
}

static void unknown_option(lua_State *L, const char *name)
{
    lua_pushvalue(L, -2);
    if (!name && lua_type(L, -1) == LUA_TNUMBER)
        name = lua_tostring(L, -1);
    fri_misuse(L, "unknown pool option '%s'",
               name ? name : luaL_typename(L, -1));
}

static void check_names(lua_State *L)
{
    static const char *const known[]
        = { "workers", "name", "init", "max_tasks", NULL };

    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        const char *name
            = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        int i = 0;

        while (known[i] && (!name || strcmp(known[i], name) != 0))
            i++;
        if (!known[i])
            unknown_option(L, name);
    }
}

static struct fri_function *init_function(lua_State *L)
{
    struct fri_function *f;

    lua_getfield(L, 1, "init");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return NULL;
    }
    if (!lua_isfunction(L, -1))
        luaL_error(L, "init: a function expected, got %s",
                   luaL_typename(L, -1));
    fri_travel_sources(fri_script_of(L)->shared); /* it is part of keys */
    f = fri_function_get(L, -1);
    if (!f)
        fri_raise(L, FRUN_EUNSENDABLE, "init: %s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return f;
}

static void read_options(lua_State *L, frun_pool_options *o)
{
    if (!lua_isnoneornil(L, 2))
        luaL_error(L, "one argument expected: a count, or a table of options");
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    } else if (lua_type(L, 1) != LUA_TTABLE) {
        lua_settop(L, 1);
        lua_newtable(L);
        lua_insert(L, 1);
        lua_setfield(L, 1, "workers");
    }
    check_names(L);
    o->workers = option_int(L, "workers", 1024);
    o->max_tasks = option_int(L, "max_tasks", INT32_MAX);
    lua_getfield(L, 1, "name");
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "name: a string expected, got %s", luaL_typename(L, -1));
    o->name = lua_tostring(L, -1); /* stays on the stack */
}

/* In a worker process: the pool is the engine's. */
static int open_remote(lua_State *L, struct fri_script *s, frun_kind kind,
                       const frun_pool_options *o, struct fri_function *init,
                       struct fri_box *box)
{
    struct fri_error *error = NULL;
    frun_pool *pool = fri_home_open_pool(s->engine, kind, o, init, &error);

    fri_function_free(init);
    if (!pool && error) {
        fri_error_push(L, error);
        fri_error_free(error);
        return lua_error(L);
    }
    if (!pool)
        return fri_raise_memory(L);
    fri_pool_fill(L, s, box, pool);
    return 1;
}

static int open_pool(lua_State *L, frun_kind kind)
{
    struct fri_script *s = fri_script_of(L);
    frun_engine *e = fri_script_need(L, s);
    frun_pool_options o = { .size = sizeof o };
    struct fri_function *init;
    struct fri_box *box;
    frun_status status;
    frun_pool *pool;

    read_options(L, &o);
    if (o.workers == 0 && s->options->workers > 0)
        o.workers = s->options->workers;
    box = fri_pool_box(L, s);
    init = init_function(L);
    if (e->home)
        return open_remote(L, s, kind, &o, init, box);
    status = fri_pool_open(e, kind, &o, init, init ? fri_function_drop : NULL,
                           &pool);
    if (status != FRUN_OK)
        return fri_raise(L, status, "%s", frun_engine_message(e));
    fri_pool_fill(L, s, box, pool);
    return 1;
}

static int flow_threads(lua_State *L)
{
    return open_pool(L, FRUN_THREADS);
}

static int flow_forks(lua_State *L)
{
    return open_pool(L, FRUN_FORKS);
}

static int flow_commands(lua_State *L)
{
    return open_pool(L, FRUN_COMMANDS);
}

static frun_kind kind_here(const struct fri_script *s)
{
    int kind = s->options->pool_kind;

    return kind < 0 ? FRUN_THREADS : (frun_kind)kind;
}

/* The pool of a state of tasks, the same object as long as a task has it: the
 * state itself must not hold the pool. */
static void push_own(lua_State *L, struct fri_script *s, frun_pool *pool)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &s->worker);
    if (lua_isnil(L, -1)) {
        lua_newtable(L);
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "v");
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &s->worker);
    }
    lua_rawgetp(L, -1, pool);
    if (!lua_isnil(L, -1))
        return;
    fri_pool_push(L, s, pool);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, -4, pool);
}

/* flow.pool(): always the same pool, or in a task its own; with options a
 * new one. */
static int flow_pool(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    if (!lua_isnone(L, 1))
        return open_pool(L, kind_here(s));
    lua_rawgetp(L, LUA_REGISTRYINDEX, &s->default_pool);
    if (!lua_isnil(L, -1))
        return 1;
    if (s->runtime) {
        push_own(L, s, s->worker ? s->worker->pool : s->inline_pool);
        return 1;
    }
    open_pool(L, kind_here(s));
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &s->default_pool);
    return 1;
}

/* ---- the others ------------------------------------------------------- */

static frun_pool *pool_of(lua_State *L)
{
    return fri_box_view(fri_pool_check(L, 1))->pool;
}

static int pool_cancel(lua_State *L)
{
    frun_pool *pool = pool_of(L);

    if (pool->lane.remote)
        fri_home_pool(pool, FRI_POOL_CANCEL);
    else
        fri_pool_cancel(pool);
    return 0;
}

static const char *const counters[]
    = { "workers", "queued", "running", "done", "failed", "cancelled",
        "retried", "crashed", "lost", NULL };

/* The numbers come home in the same order. */
static int remote_stats(lua_State *L, frun_pool *pool)
{
    struct frun_future *f = fri_home_pool(pool, FRI_POOL_STATS);
    int top = lua_gettop(L), n = 0;

    if (f) {
        fri_home_wait(pool->engine->home, f);
        n = fri_future_push_values(L, f);
        fri_future_unref(f);
    }
    lua_createtable(L, 0, 9);
    for (int i = 0; i < n && counters[i]; i++) {
        lua_pushvalue(L, top + 1 + i);
        lua_setfield(L, -2, counters[i]);
    }
    return 1;
}

static int pool_stats(lua_State *L)
{
    frun_stats st = { .size = sizeof st };

    if (pool_of(L)->lane.remote)
        return remote_stats(L, pool_of(L));
    if (frun_pool_stats(pool_of(L), &st) != FRUN_OK)
        return fri_raise_memory(L);
    lua_createtable(L, 0, 9);
#define PUT(field)                                                            \
    (lua_pushinteger(L, (lua_Integer)st.field), lua_setfield(L, -2, #field))
    PUT(workers);
    PUT(queued);
    PUT(running);
    PUT(done);
    PUT(failed);
    PUT(cancelled);
    PUT(retried);
    PUT(crashed);
    PUT(lost);
#undef PUT
    return 1;
}

static int pool_tostring(lua_State *L)
{
    static const char *const kinds[]
        = { [FRUN_THREADS] = "threads", [FRUN_FORKS] = "forks",
            [FRUN_COMMANDS] = "commands" };
    frun_pool *pool = pool_of(L);

    lua_pushfstring(L, "%s (%s, %d workers)", pool->name,
                    kinds[pool->ops->kind],
                    (int)pool->workers);
    return 1;
}

/* core.closing(pool): takes no more; core.join(pool): when it is idle. */
static int core_closing(lua_State *L)
{
    frun_pool *pool = pool_of(L);

    if (pool->lane.remote) {
        fri_home_pool(pool, FRI_POOL_CLOSE);
        pool->closing = true;
    } else {
        fri_pool_closing(pool);
    }
    return 0;
}

static int core_join(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    frun_pool *pool = pool_of(L);

    if (pool->lane.remote || (s->worker && s->worker->pool == pool))
        return 0; /* a task that closes its own pool */
    if (s->worker)
        fri_worker_block(s->worker);
    fri_pool_join(pool);
    if (s->worker)
        fri_worker_unblock(s->worker);
    return 0;
}

const luaL_Reg fri_pool_methods[] = {
    { "submit", fri_pool_submit }, { "scatter", fri_pool_scatter },
    { "with", fri_pool_with },     { "cancel", pool_cancel },
    { "stats", pool_stats },       { "__tostring", pool_tostring },
    { NULL, NULL },
};

const luaL_Reg fri_pool_functions[] = {
    { "threads", flow_threads },
    { "forks", flow_forks },
    { "commands", flow_commands },
    { "pool", flow_pool },
    { "map", fri_core_map },
    { "map_results", fri_core_map_results },
    { "closing", core_closing },
    { "join", core_join },
    { NULL, NULL },
};
