/*
 * mend.c - what tasks share that run in one state, put right after each of
 * them: how strings are indexed, and hooks.
 *
 * A task's globals are its own, and what it assigns to a field of a library is
 * there for the worker's next tasks, as the guide says.  But one that takes
 * the methods of strings away, or leaves a hook behind, would break tasks that
 * never named what it changed.
 *
 * The look is taken after every task, outside of any protected call: it
 * allocates nothing.
 */
#include "script/job.h"

void fri_mend_open(lua_State *L, struct fri_mend *m)
{
    lua_pushliteral(L, "");
    lua_pushvalue(L, -1);
    m->text = luaL_ref(L, LUA_REGISTRYINDEX);
    if (!lua_getmetatable(L, -1))
        luaL_error(L, "strings have no metatable");
    m->strings = lua_topointer(L, -1);
    lua_pushliteral(L, "__index");
    m->name = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_getfield(L, -1, "__index");
    m->methods = lua_topointer(L, -1);
    m->methods_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    m->strings_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pop(L, 1);
}

static bool strings_are_well(lua_State *L, const struct fri_mend *m)
{
    bool well;

    lua_rawgeti(L, LUA_REGISTRYINDEX, m->text);
    well = lua_getmetatable(L, -1) && lua_topointer(L, -1) == m->strings;
    if (well) {
        lua_rawgeti(L, LUA_REGISTRYINDEX, m->name);
        lua_rawget(L, -2);
        well = lua_topointer(L, -1) == m->methods;
    }
    lua_settop(L, 0);
    return well;
}

/* Protected. */
static int mend_strings(lua_State *L)
{
    const struct fri_mend *m = lua_touserdata(L, 1);

    lua_rawgeti(L, LUA_REGISTRYINDEX, m->text);
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->strings_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->name);
    lua_rawgeti(L, LUA_REGISTRYINDEX, m->methods_ref);
    lua_rawset(L, -3);
    lua_setmetatable(L, -2);
    return 0;
}

void fri_mend(struct fri_runtime *rt)
{
    lua_State *L = rt->L;

    if (strings_are_well(L, &rt->mend))
        return;
    lua_pushcfunction(L, mend_strings);
    lua_pushlightuserdata(L, &rt->mend);
    lua_pcall(L, 1, 0, 0);
    lua_settop(L, 0);
}
