/*
 * shared.c - queues, dicts, locks and shared values in Lua: making them, and
 * the values that were decoded.  What is done with them is in ask.c.
 */
#include "script/shared.h"

#include <math.h>

#define TWO_53 9007199254740992.0

/* ---- making ----------------------------------------------------------- */

static int make(lua_State *L, uint32_t kind)
{
    struct fri_script *s = fri_script_of(L);
    frun_engine *e = s->engine;
    struct fri_handle *h;

    fri_shared_reap(e);
    if (e->remote) {
        h = e->remote->make(e, kind, s->argument);
    } else {
        fri_lock(e);
        h = fri_shared_make(e, kind, s->argument);
        fri_unlock(e);
    }
    fri_message_free(s->argument);
    s->argument = NULL;
    if (!h)
        return fri_raise_memory(L);
    fri_handle_push(L, h);
    fri_handle_unref(h);
    return 1;
}

/* flow.queue([capacity]) */
static int flow_queue(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    double n = lua_tonumber(L, 1);

    fri_script_need(L, s);
    fri_ask_argument(L, s, 1, 0);
    if (!lua_isnoneornil(L, 1)) {
        if (lua_type(L, 1) != LUA_TNUMBER || !(n >= 1 && n <= TWO_53)
            || n != floor(n))
            return fri_misuse(L, "queue: a capacity from 1 expected, got %s",
                              lua_type(L, 1) == LUA_TNUMBER
                                  ? lua_tostring(L, 1)
                                  : luaL_typename(L, 1));
        lua_pushinteger(L, (lua_Integer)n);
        fri_ask_argument(L, s, lua_gettop(L), 1);
    }
    return make(L, FRI_HANDLE_QUEUE);
}

/* flow.dict() */
static int flow_dict(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    fri_script_need(L, s);
    fri_ask_argument(L, s, 1, 0);
    return make(L, FRI_HANDLE_DICT);
}

/* flow.lock() */
static int flow_lock(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    fri_script_need(L, s);
    fri_ask_argument(L, s, 1, 0);
    return make(L, FRI_HANDLE_LOCK);
}

/* flow.share(value) */
static int flow_share(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    fri_script_need(L, s);
    if (lua_isnone(L, 1))
        return fri_misuse(L, "share: a value expected");
    fri_ask_argument(L, s, 1, 1);
    return make(L, FRI_HANDLE_SHARE);
}

/* ---- shared values, once per state ------------------------------------ */

/*
 * The registry has, by the address of s->holder, a table of entries by handle:
 * { value=, box=, used= }.  The box keeps the handle, so its address is not
 * used again.  What was not used between two collections is forgotten.
 */
static void push_shares(lua_State *L, struct fri_script *s)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &s->holder);
}

static int sweep(lua_State *L)
{
    struct fri_script *s = lua_touserdata(L, lua_upvalueindex(1));
    bool used;

    push_shares(L, s);
    for (lua_pushnil(L); lua_next(L, 2); lua_settop(L, 3)) {
        lua_getfield(L, 4, "used");
        used = lua_toboolean(L, -1);
        lua_pushboolean(L, 0);
        lua_setfield(L, 4, "used");
        if (used)
            continue;
        lua_pushvalue(L, 3);
        lua_pushnil(L);
        lua_rawset(L, 2);
    }
    lua_newuserdatauv(L, 1, 0);
    lua_getmetatable(L, 1);
    lua_setmetatable(L, -2);
    return 0;
}

/* A collection finalizes what nobody holds; then there is another. */
static void open_shares(lua_State *L, struct fri_script *s)
{
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &s->holder);
    lua_newuserdatauv(L, 1, 0);
    lua_createtable(L, 0, 1);
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, sweep, 1);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    lua_pop(L, 1);
}

/* core.share_find(share): true, value; or false. */
static int core_share_find(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_handle *h = fri_ask_thing(L, s, FRI_READ);

    push_shares(L, s);
    if (lua_istable(L, -1)) {
        lua_rawgetp(L, -1, h);
        if (lua_istable(L, -1)) {
            lua_pushboolean(L, 1);
            lua_setfield(L, -2, "used");
            lua_pushboolean(L, 1);
            lua_getfield(L, -2, "value");
            return 2;
        }
    }
    lua_pushboolean(L, 0);
    return 1;
}

/* core.share_keep(share, value): value. */
static int core_share_keep(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_handle *h = fri_ask_thing(L, s, FRI_READ);

    lua_settop(L, 2);
    push_shares(L, s);
    if (!lua_istable(L, 3)) {
        lua_settop(L, 2);
        open_shares(L, s);
    }
    lua_createtable(L, 0, 3);
    lua_pushvalue(L, 1);
    lua_setfield(L, 4, "box");
    lua_pushvalue(L, 2);
    lua_setfield(L, 4, "value");
    lua_pushboolean(L, 1);
    lua_setfield(L, 4, "used");
    lua_rawsetp(L, 3, h);
    lua_pushvalue(L, 2);
    return 1;
}

/* ---- tostring --------------------------------------------------------- */

/* Of a thing in another process only the kind is told. */
static int thing_tostring(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    const struct fri_handle *h = fri_handle_test(L, 1);
    const char *name = h ? fri_handle_name(h->kind) : "?";
    size_t count;

    if (!h || !s->engine || s->engine->remote
        || (h->kind != FRI_HANDLE_QUEUE && h->kind != FRI_HANDLE_DICT)) {
        lua_pushstring(L, name);
        return 1;
    }
    fri_lock(s->engine);
    count = fri_shared_count(h);
    fri_unlock(s->engine);
    lua_pushfstring(L, "%s (%d)", name,
                    (int)(count < INT32_MAX ? count : INT32_MAX));
    return 1;
}

const luaL_Reg fri_thing_methods[] = {
    { "__tostring", thing_tostring },
    { NULL, NULL },
};

static const luaL_Reg core_functions[] = {
    { "queue", flow_queue },           { "dict", flow_dict },
    { "lock", flow_lock },             { "share", flow_share },
    { "share_find", core_share_find }, { "share_keep", core_share_keep },
    { "array", fri_flow_array },       { "note_trace", fri_trace_note },
    { NULL, NULL },
};

void fri_shared_open(lua_State *L, struct fri_script *s, int core)
{
    for (const luaL_Reg *f = core_functions; f->name; f++) {
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, core, f->name);
    }
    fri_ask_open(L, s, core);
}
