/*
 * compat.h - one source for Lua 5.4 and LuaJIT 2.1.
 *
 * Only what the two headers do not share and we need.  Rules: never use the
 * return value of lua_rawgeti, lua_getfield and their like (LuaJIT has none);
 * a C function that yields does so in its last statement.
 */
#ifndef FRI_COMPAT_H
#define FRI_COMPAT_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>
#include <stdint.h>

#if LUA_VERSION_NUM >= 504

#define FRI_LUA54 1
#define fri_lua_resume(co, from, n, nres) lua_resume((co), (from), (n), (nres))
#define lua_lessthan(L, a, b) lua_compare((L), (a), (b), LUA_OPLT)

#elif LUA_VERSION_NUM == 501 && __has_include(<luajit.h>)

#include <luajit.h>
#define FRI_LUAJIT 1
#define lua_rawlen(L, i) lua_objlen((L), (i))
#define lua_pushglobaltable(L) lua_pushvalue((L), LUA_GLOBALSINDEX)
#define lua_newuserdatauv(L, size, n) lua_newuserdata((L), (size))
#ifndef LUA_OK
#define LUA_OK 0
#endif

static inline int fri_lua_resume(lua_State *co, lua_State *from, int n,
                                 int *nres)
{
    int status;

    (void)from;
    status = lua_resume(co, n);
    *nres = lua_gettop(co);
    return status;
}

static inline int lua_absindex(lua_State *L, int i)
{
    return i > 0 || i <= LUA_REGISTRYINDEX ? i : lua_gettop(L) + i + 1;
}

static inline void lua_rawgetp(lua_State *L, int i, const void *p)
{
    i = lua_absindex(L, i);
    lua_pushlightuserdata(L, (void *)(uintptr_t)p);
    lua_rawget(L, i);
}

static inline void lua_rawsetp(lua_State *L, int i, const void *p)
{
    i = lua_absindex(L, i);
    lua_pushlightuserdata(L, (void *)(uintptr_t)p);
    lua_insert(L, -2);
    lua_rawset(L, i);
}

#else
#error "flowrun builds with Lua 5.4 or LuaJIT 2.1"
#endif

#endif
