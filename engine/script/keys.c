/*
 * keys.c - the keys of a table beyond those of its list, which ends before the
 * first hole.
 *
 * Their order is the same in every run: numbers, strings, booleans, each kind
 * sorted.  Keys of other kinds are misuse.
 */
#include "script/view.h"

#include <math.h>

static bool is_index(lua_State *L, int index, int64_t n)
{
#ifdef FRI_LUA54 /* where no key is a float that could be an integer */
    return lua_isinteger(L, index)
           && (uint64_t)lua_tointeger(L, index) - 1 < (uint64_t)n;
#else
    double d;

    if (lua_type(L, index) != LUA_TNUMBER)
        return false;
    d = lua_tonumber(L, index);
    return d >= 1 && d <= (double)n && d == floor(d);
#endif
}

/* Numbers, then strings, then booleans. */
static int key_rank(lua_State *L, int index)
{
    int type = lua_type(L, index);

    return type == LUA_TNUMBER ? 0 : type == LUA_TSTRING ? 1 : 2;
}

static int key_before(lua_State *L)
{
    int a = key_rank(L, 1), b = key_rank(L, 2);
    bool before = a < b;

    if (a == b && a < 2)
        before = lua_lessthan(L, 1, 2);
    else if (a == b)
        before = !lua_toboolean(L, 1) && lua_toboolean(L, 2);
    lua_pushboolean(L, before);
    return 1;
}

static void check_key(lua_State *L)
{
    int type = lua_type(L, -2);

    if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TBOOLEAN)
        fri_misuse(L, "keys must be strings, numbers or booleans, not a %s",
                   luaL_typename(L, -2));
}

static void sort_keys(lua_State *L, struct fri_script *s)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &s->flow); /* table.sort */
    lua_pushvalue(L, -2);
    lua_pushcfunction(L, key_before);
    lua_call(L, 2, 0);
}

/* How many items stand before the first hole. */
static int64_t before_hole(lua_State *L, int index, int64_t n)
{
    for (int64_t i = 1; i <= n; i++) {
        bool hole;

        lua_rawgeti(L, index, (int)i);
        hole = lua_isnil(L, -1);
        lua_pop(L, 1);
        if (hole)
            return i - 1;
    }
    return n;
}

/* Pushes the list of keys beyond 1..n, not sorted, or nil; how many of 1..n
 * there are. */
static int64_t collect_keys(lua_State *L, int index, int64_t n)
{
    int keys = 0, count = 0;
    int64_t listed = 0;

    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (is_index(L, -2, n)) {
            listed++;
            continue;
        }
        check_key(L);
        if (keys == 0) {
            lua_newtable(L);
            lua_insert(L, -3);
            keys = lua_gettop(L) - 2;
        }
        lua_pushvalue(L, -2);
        lua_rawseti(L, keys, ++count);
    }
    if (keys == 0)
        lua_pushnil(L);
    return listed;
}

int64_t fri_other_keys(lua_State *L, int index)
{
    int64_t n = (int64_t)lua_rawlen(L, index);

    if (collect_keys(L, index, n) < n) { /* a hole: the list ends there */
        lua_pop(L, 1);
        n = before_hole(L, index, n);
        collect_keys(L, index, n);
    }
    if (lua_istable(L, -1))
        sort_keys(L, fri_script_of(L));
    return n;
}
