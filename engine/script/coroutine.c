/*
 * coroutine.c - coroutine.resume, wrap and close of a worker's state: as those
 * of Lua 5.4 (lcorolib.c), and they tell fri_set_current which coroutine runs,
 * so that an interrupt reaches it.  LuaJIT's hooks need no such thing.
 */
#include "script/job.h"

#ifdef FRI_LUA54

static struct fri_runtime *runtime_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* The number of results on L, or -1 with an error object. */
static int resume(lua_State *L, lua_State *co, int n)
{
    struct fri_runtime *rt = runtime_of(L);
    int status, results;

    if (!lua_checkstack(co, n)) {
        lua_pushliteral(L, "too many arguments to resume");
        return -1;
    }
    lua_xmove(L, co, n);
    fri_set_current(rt, co);
    status = lua_resume(co, L, n, &results);
    fri_set_current(rt, L);
    if (status != LUA_OK && status != LUA_YIELD) {
        lua_xmove(co, L, 1);
        return -1;
    }
    if (!lua_checkstack(L, results + 1)) {
        lua_pop(co, results);
        lua_pushliteral(L, "too many results to resume");
        return -1;
    }
    lua_xmove(co, L, results);
    return results;
}

static lua_State *coroutine_at(lua_State *L, int index)
{
    lua_State *co = lua_tothread(L, index);

    luaL_argexpected(L, co, index, "thread");
    return co;
}

static int co_resume(lua_State *L)
{
    lua_State *co = coroutine_at(L, 1);
    int n = resume(L, co, lua_gettop(L) - 1);

    lua_pushboolean(L, n >= 0);
    if (n < 0)
        n = 1;
    lua_insert(L, -(n + 1));
    return n + 1;
}

static int close(lua_State *L, lua_State *co)
{
    struct fri_runtime *rt = runtime_of(L);
    int status;

    fri_set_current(rt, co);
    status = lua_resetthread(co);
    fri_set_current(rt, L);
    return status;
}

static int wrapped(lua_State *L)
{
    lua_State *co = lua_tothread(L, lua_upvalueindex(2));
    int n = resume(L, co, lua_gettop(L)), status;

    if (n >= 0)
        return n;
    status = lua_status(co);
    if (status != LUA_OK && status != LUA_YIELD) { /* it failed */
        status = close(L, co);
        lua_xmove(co, L, 1);
    }
    if (status != LUA_ERRMEM && lua_type(L, -1) == LUA_TSTRING) {
        luaL_where(L, 1);
        lua_insert(L, -2);
        lua_concat(L, 2);
    }
    return lua_error(L);
}

static int co_wrap(lua_State *L)
{
    lua_State *co;

    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_pushvalue(L, lua_upvalueindex(1));
    co = lua_newthread(L);
    lua_pushvalue(L, 1);
    lua_xmove(L, co, 1);
    lua_pushcclosure(L, wrapped, 2);
    return 1;
}

static bool can_close(lua_State *L, lua_State *co)
{
    lua_Debug ar;

    if (co == L)
        return false;
    if (lua_status(co) != LUA_OK)
        return true; /* suspended, or dead by an error */
    return !lua_getstack(co, 0, &ar); /* not begun, or dead */
}

static int co_close(lua_State *L)
{
    lua_State *co = coroutine_at(L, 1);

    if (!can_close(L, co))
        return luaL_error(L, "cannot close a %s coroutine",
                          co == L ? "running" : "normal");
    if (close(L, co) == LUA_OK) {
        lua_pushboolean(L, 1);
        return 1;
    }
    lua_pushboolean(L, 0);
    lua_xmove(co, L, 1);
    return 2;
}

static const luaL_Reg functions[] = {
    { "resume", co_resume },
    { "wrap", co_wrap },
    { "close", co_close },
    { NULL, NULL },
};

void fri_coroutine_open(lua_State *L, struct fri_script *s)
{
    lua_getglobal(L, "coroutine");
    lua_pushlightuserdata(L, s->runtime);
    luaL_setfuncs(L, functions, 1);
    lua_pop(L, 1);
}

#else

void fri_coroutine_open(lua_State *L, struct fri_script *s)
{
    (void)L, (void)s;
}

#endif
