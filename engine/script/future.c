/*
 * future.c - futures in Lua: what they tell; limits.
 */
#include "core/sharing.h"
#include "script/async.h"
#include "script/view.h"

#include "pools/forks/home.h"

#include <string.h>

/* Somebody has seen it: a failure need not be named at the end of the run. */
void fri_look(struct frun_future *f)
{
    if (atomic_load_explicit(&f->looked, memory_order_relaxed)
        || !fri_is_final(f))
        return;
    atomic_store_explicit(&f->looked, 1, memory_order_relaxed);
    if (f->holds != FRI_ERROR)
        return;
    for (struct fri_error *e = f->data.error; e; e = e->cause) {
        atomic_store_explicit(&e->looked, true, memory_order_relaxed);
        if (e->home)
            fri_home_looked(fri_lane_pool(f->spec->lane)->engine, e);
    }
}

static const char *const states[]
    = { [FRI_NEW] = "pending",       [FRI_WAITING] = "pending",
        [FRI_PENDING] = "pending",   [FRI_RUNNING] = "running",
        [FRI_DONE] = "done",         [FRI_FAILED] = "failed",
        [FRI_CANCELLED] = "cancelled" };

static int future_state(lua_State *L)
{
    struct frun_future *f = fri_future_check(L, 1);
    bool remote = f->spec->lane->remote && !fri_is_final(f);

    lua_pushstring(L, states[remote ? fri_home_state(f) : fri_state(f)]);
    return 1;
}

static int future_done(lua_State *L)
{
    lua_pushboolean(L, fri_is_final(fri_future_check(L, 1)));
    return 1;
}

static int future_cancel(lua_State *L)
{
    struct frun_future *f = fri_future_check(L, 1);
    struct fri_script *s = fri_script_of(L);
    frun_engine *e = s->engine;
    bool cancelled;

    if (fri_async_cancel(L, s, f)) {
        lua_pushboolean(L, 1);
        return 1;
    }
    fri_lock(e);
    cancelled = fri_sched_cancel(f, NULL);
    fri_unlock(e);
    lua_pushboolean(L, cancelled);
    return 1;
}

/* ---- info ------------------------------------------------------------- */

static void time_field(lua_State *L, struct fri_script *s, const char *name,
                       fri_time t)
{
    if (t == 0)
        return;
    lua_pushnumber(L, fri_seconds(t - s->started));
    lua_setfield(L, -2, name);
}

static void key_field(lua_State *L, struct frun_future *f)
{
    const struct fri_message *m = f->key.message;

    if (f->key_kind == FRI_KEY_NUMBER)
        lua_pushinteger(L, (lua_Integer)f->key.number);
    else if (f->key_kind != FRI_KEY_MESSAGE
             || fri_unpack(L, m->data, m->length, NULL, 0) != 1)
        return;
    lua_setfield(L, -2, "key");
}

/* Its worker may be adding to what few tasks have; the name itself stays. */
static const char *name_of(struct frun_future *f, char text[32])
{
    frun_engine *e = f->spec->lane->sched->user;
    const char *name;

    fri_lock(e);
    name = fri_task_name(f, text);
    fri_unlock(e);
    return name;
}

static int future_info(lua_State *L)
{
    struct frun_future *f = fri_future_check(L, 1);
    struct fri_script *s = fri_script_of(L);
    bool over = fri_is_final(f);
    enum fri_task_state state = fri_state(f);
    char text[32];

    lua_createtable(L, 0, 12);
    lua_pushstring(L, name_of(f, text));
    lua_setfield(L, -2, "name");
    lua_pushstring(L, f->spec->lane->name);
    lua_setfield(L, -2, "pool");
    key_field(L, f);
    time_field(L, s, "submitted", f->submitted);
    if (state >= FRI_RUNNING && f->started) {
        lua_pushinteger(L, f->worker);
        lua_setfield(L, -2, "worker");
        time_field(L, s, "started", f->started);
    }
    lua_pushinteger(L, state >= FRI_RUNNING ? f->attempts : 0);
    lua_setfield(L, -2, "attempts");
    if (over)
        time_field(L, s, "finished", f->finished);
    if (over && f->started) {
        lua_pushnumber(L, fri_seconds(f->finished - f->started));
        lua_setfield(L, -2, "seconds");
    }
    if (over) {
        lua_pushnumber(L, f->extra && f->extra->cpu > 0
                              ? f->extra->cpu
                              : f->started ? fri_seconds(f->finished
                                                         - f->started)
                                           : 0);
        lua_setfield(L, -2, "cpu");
        lua_pushinteger(L, f->extra ? (lua_Integer)f->extra->memory : 0);
        lua_setfield(L, -2, "memory");
    }
    lua_pushboolean(L, over && f->extra && f->extra->from_journal);
    lua_setfield(L, -2, "from_journal");
    return 1;
}

static int future_tostring(lua_State *L)
{
    struct frun_future *f = fri_future_check(L, 1);
    char text[32];

    lua_pushfstring(L, "future (%s", name_of(f, text));
    if (f->key_kind == FRI_KEY_NUMBER)
        lua_pushfstring(L, " [%d]", (int)f->key.number);
    else if (f->key_kind == FRI_KEY_MESSAGE
             && fri_unpack(L, f->key.message->data, f->key.message->length,
                           NULL, 0) == 1
             && lua_tostring(L, -1))
        lua_pushfstring(L, " [%s]", lua_tostring(L, -1));
    else
        lua_pushliteral(L, "");
    lua_pushfstring(L, "): %s", states[fri_state(f)]);
    if (fri_state(f) == FRI_FAILED && f->holds == FRI_ERROR && f->data.error)
        lua_pushfstring(L, " (%s)", f->data.error->public.kind);
    else
        lua_pushliteral(L, "");
    lua_concat(L, 4);
    return 1;
}

/* The main program is in flow: what is due is run, also where it would not
 * have to wait. */
void fri_in_flow(struct fri_script *s)
{
    if (!s->worker && !s->flow && s->engine && !s->delivering
        && __atomic_load_n(&s->engine->inbox, __ATOMIC_RELAXED))
        fri_owner_run(s->engine);
}

/* ---- outcomes, for flow.lua ------------------------------------------- */

/* core.is_done(x): nil when x is no future. */
static int core_is_done(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct frun_future *f = fri_future_test(L, s, 1);

    if (!f)
        return 0;
    fri_in_flow(s);
    lua_pushboolean(L, fri_is_final(f));
    return 1;
}

static int failed(lua_State *L, struct frun_future *f)
{
    fri_error_push_of(L, f);
    return lua_error(L);
}

/* core.values(future), of one that is done: its values, or raises. */
static int core_values(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct frun_future *f = fri_future_check(L, 1);
    int n;

    fri_look(f);
    if (fri_state(f) != FRI_DONE)
        return failed(L, f);
    n = fri_async_values(L, s, f);
    if (n < 0)
        n = fri_future_push_values(L, f);
    if (n < 0)
        return fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
    return n;
}

/* core.outcome(future): true, values...; or false, error. */
static int core_outcome(lua_State *L)
{
    struct frun_future *f = fri_future_check(L, 1);
    int n;

    if (fri_state(f) != FRI_DONE) {
        fri_look(f);
        lua_pushboolean(L, 0);
        fri_error_push_of(L, f);
        return 2;
    }
    n = core_values(L);
    lua_pushboolean(L, 1);
    lua_insert(L, -1 - n);
    return n + 1;
}

/* core.look(future): as_completed has yielded it. */
static int core_look(lua_State *L)
{
    fri_look(fri_future_check(L, 1));
    return 0;
}

/* core.firsts(t): the first values of futures that are all done well. */
static int core_firsts(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    lua_settop(L, 1);
    lua_createtable(L, (int)lua_rawlen(L, 1), 0);
    for (lua_pushnil(L); lua_next(L, 1); lua_settop(L, 3)) {
        struct frun_future *f = fri_future_test(L, s, 4);
        int n;

        if (!f)
            continue;
        fri_look(f);
        if (fri_state(f) != FRI_DONE)
            return failed(L, f);
        n = fri_async_values(L, s, f);
        if (n < 0)
            n = fri_future_push_values(L, f);
        if (n < 0)
            return fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
        if (n == 0)
            continue;
        lua_settop(L, 5);
        lua_pushvalue(L, 3);
        lua_insert(L, 5);
        lua_rawset(L, 2);
    }
    lua_settop(L, 2);
    return 1;
}

const luaL_Reg fri_future_methods[] = {
    { "state", future_state },       { "done", future_done },
    { "cancel", future_cancel },     { "info", future_info },
    { "__tostring", future_tostring }, { NULL, NULL },
};

const luaL_Reg fri_future_functions[] = {
    { "is_done", core_is_done }, { "values", core_values },
    { "outcome", core_outcome }, { "look", core_look },
    { "firsts", core_firsts },   { NULL, NULL },
};

/* ---- limits ----------------------------------------------------------- */

static unsigned limit_count(lua_State *L, int index)
{
    double n = lua_tonumber(L, index);

    if (lua_type(L, index) != LUA_TNUMBER || !(n >= 1 && n <= 65535)
        || n != (double)(unsigned)n)
        luaL_error(L, "limit: a count from 1 to 65535 expected, got %s",
                   lua_type(L, index) == LUA_TNUMBER
                       ? lua_tostring(L, index)
                       : luaL_typename(L, index));
    return (unsigned)n;
}

/* { name, count, shared = } and no more. */
static void check_fields(lua_State *L)
{
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        bool text = lua_type(L, -2) == LUA_TSTRING;
        lua_Number n = lua_tonumber(L, -2);

        if (text ? strcmp(lua_tostring(L, -2), "shared") != 0
                 : n != 1 && n != 2)
            luaL_error(L, "limit: unknown field '%s'",
                       text ? lua_tostring(L, -2) : luaL_typename(L, -2));
    }
}

static bool shared_field(lua_State *L)
{
    bool shared;

    lua_getfield(L, 1, "shared");
    if (!lua_isnil(L, -1) && !lua_isboolean(L, -1))
        luaL_error(L, "limit: shared: true or false expected, got %s",
                   luaL_typename(L, -1));
    shared = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return shared;
}

/* Leaves name and count at 1 and 2, whatever the form; is it shared? */
static bool limit_arguments(lua_State *L)
{
    bool shared = false;

    if (lua_istable(L, 1)) {
        lua_settop(L, 1);
        check_fields(L);
        shared = shared_field(L);
        lua_rawgeti(L, 1, 1);
        lua_rawgeti(L, 1, 2);
        lua_remove(L, 1);
    }
    if (lua_type(L, 1) == LUA_TNUMBER && lua_isnoneornil(L, 2)) {
        lua_settop(L, 1);
        lua_pushnil(L);
        lua_insert(L, 1);
    } else if (lua_type(L, 1) != LUA_TSTRING) {
        luaL_error(L, "limit: a name or a count expected, got %s",
                   luaL_typename(L, 1));
    }
    if (shared && (lua_isnil(L, 1) || *lua_tostring(L, 1) == '\0'))
        luaL_error(L, "limit: what runs share needs a name");
    return shared;
}

/* In a worker process: limits are the engine's. */
static int remote_limit(lua_State *L, frun_engine *e, const char *name,
                        unsigned count, bool shared)
{
    struct fri_error *error = NULL;
    struct fri_handle *h = fri_home_limit(e, name, count, shared, &error);

    if (h) {
        fri_handle_push(L, h);
        fri_handle_unref(h);
        return 1;
    }
    if (!error)
        return fri_raise_memory(L);
    fri_error_push(L, error);
    if (error->public.status == FRUN_EINVAL)
        lua_pushstring(L, error->message);
    fri_error_free(error);
    return lua_type(L, -1) == LUA_TSTRING
               ? luaL_error(L, "%s", lua_tostring(L, -1))
               : lua_error(L);
}

/* flow.limit(n), flow.limit(name, n), flow.limit{ name, n, shared= } */
static int flow_limit(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    frun_engine *e = fri_script_need(L, s);
    bool shared = limit_arguments(L);
    unsigned count = limit_count(L, 2);
    struct fri_limit *limit;
    char why[FRI_WHY];
    frun_status status;

    if (e->home)
        return remote_limit(L, e, lua_tostring(L, 1), count, shared);
    status = fri_limit_open(e, lua_tostring(L, 1), count, shared, &limit,
                            why);
    if (status == FRUN_EINVAL)
        return luaL_error(L, "%s", why);
    if (status != FRUN_OK)
        return fri_raise(L, status, "%s", why);
    fri_handle_push(L, &limit->handle);
    fri_handle_unref(&limit->handle);
    return 1;
}

static unsigned seat_after(struct fri_script *s, const char *name,
                           unsigned seat)
{
    struct frun_future *task = s->worker ? s->worker->task : NULL;

    if (!task)
        return 0;
    fri_lock(s->engine);
    seat = fri_limit_seat(task, name, seat);
    fri_unlock(s->engine);
    return seat;
}

/* flow.seat(name): the running task's seats, or nil. */
static int flow_seat(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    const char *name = luaL_checkstring(L, 1);
    unsigned seat = 0;
    int n = 0;

    while ((seat = seat_after(s, name, seat)) != 0) {
        luaL_checkstack(L, 1, "too many seats");
        lua_pushinteger(L, seat);
        n++;
    }
    if (n == 0)
        lua_pushnil(L);
    return n > 0 ? n : 1;
}

/* flow.attempt(), flow.cancelled(): of the running task. */
static int flow_attempt(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    lua_pushinteger(L, s->worker && s->worker->task ? s->worker->task->attempts
                                                    : 1);
    return 1;
}

static int flow_cancelled(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct frun_future *task = s->worker ? s->worker->task : NULL;

    lua_pushboolean(L, task && (atomic_load(&task->stopping)
                                || (task->counted
                                    && atomic_load(&task->data.range->stop))));
    return 1;
}

const luaL_Reg fri_limit_functions[] = {
    { "limit", flow_limit },     { "seat", flow_seat },
    { "attempt", flow_attempt }, { "cancelled", flow_cancelled },
    { NULL, NULL },
};
