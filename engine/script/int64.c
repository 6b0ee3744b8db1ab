/*
 * int64.c - flow.int and flow.split, and how an integer is told in LuaJIT.
 *
 * LuaJIT's C interface says no more of a cdata than that it is one (type 10)
 * and where its payload is (lua_topointer).  The type's number stands in the
 * object's header, before the payload, at a place that depends on how LuaJIT
 * was built: fri_open_int64 looks for it, and believes it only when it agrees
 * with what ffi says of several objects.  What does not bear the number of
 * int64_t there is asked of ffi.istype, which is always right, and always done
 * when the place was not found; so the header is a short cut (4 ns against
 * 150), never the judge of what is refused.
 */
#include "script/int64.h"

#include "script/number.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#define TWO_53 INT64_C(9007199254740992)
#define TWO_63 9223372036854775808.0

enum { SPLIT_MOST = 10000000 };

#ifdef FRI_LUA54

int fri_open_int64(lua_State *L)
{
    (void)L;
    return 0;
}

int fri_int64_get(lua_State *L, int index, int64_t *out)
{
    if (!lua_isinteger(L, index))
        return 0;
    *out = (int64_t)lua_tointeger(L, index);
    return 1;
}

void fri_int64_push(lua_State *L, int64_t n)
{
    lua_pushinteger(L, (lua_Integer)n);
}

void fri_int64_push_plain(lua_State *L, int64_t n)
{
    lua_pushinteger(L, (lua_Integer)n);
}

#else

enum { TYPE_CDATA = 10 };

/* Facts of the LuaJIT in this process, the same for all its states: how far
 * before the payload the type's number is (0: not known), and that number. */
static _Atomic int header_distance;
static _Atomic int header_number;

static const char key_type, key_istype; /* in the registry */

static void *payload(lua_State *L, int index)
{
    return (void *)(uintptr_t)lua_topointer(L, index);
}

static int number_before(lua_State *L, int index, int distance)
{
    uint16_t number;

    memcpy(&number, (const char *)payload(L, index) - distance, 2);
    return number;
}

/* Runs on a stack of alternating objects and the numbers of their types. */
static int find_header(lua_State *L)
{
    static const int places[] = { 6, 2 };
    int top = lua_gettop(L);

    for (int p = 0; p < 2; p++) {
        int i = 1;

        while (i < top
               && number_before(L, i, places[p]) == lua_tointeger(L, i + 1))
            i += 2;
        if (i >= top)
            return places[p];
    }
    return 0;
}

static const char probe[] =
    "local ffi = ...\n"
    "local t = ffi.typeof\n"
    "local int64 = t'int64_t'\n"
    "local list = {}\n"
    "for _, c in ipairs{int64, t'uint64_t', t'double', t'int32_t', int64,"
    " t'struct { double a, b; }'} do\n"
    "   list[#list + 1] = c()\n"
    "   list[#list + 1] = tonumber(c)\n"
    "end\n"
    "return int64, ffi.istype, tonumber(int64), unpack(list)\n";

static void push_ffi(lua_State *L)
{
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_getfield(L, -1, "ffi");
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        lua_getfield(L, LUA_REGISTRYINDEX, "_PRELOAD");
        lua_getfield(L, -1, "ffi");
        if (!lua_isfunction(L, -1))
            luaL_error(L, "this LuaJIT has no ffi, which flow.int needs");
        lua_pushliteral(L, "ffi");
        lua_call(L, 1, 1);
    }
}

static int learn(lua_State *L)
{
    push_ffi(L);
    lua_replace(L, 1);
    lua_settop(L, 1);
    if (luaL_loadbuffer(L, probe, sizeof(probe) - 1, "=flowrun") != 0)
        lua_error(L);
    lua_insert(L, 1);
    lua_call(L, 1, LUA_MULTRET);
    lua_pushvalue(L, 1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_type);
    lua_pushvalue(L, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key_istype);
    header_number = (int)lua_tointeger(L, 3);
    for (int i = 0; i < 3; i++)
        lua_remove(L, 1);
    header_distance = find_header(L);
    return 0;
}

int fri_open_int64(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_istype);
    if (lua_isnil(L, -1)) {
        lua_pushcfunction(L, learn);
        lua_pushnil(L);
        lua_call(L, 1, 0);
    }
    lua_pop(L, 1);
    return 0;
}

static bool ask_istype(lua_State *L, int index)
{
    bool yes;

    if (index < 0 && index > LUA_REGISTRYINDEX)
        index = lua_gettop(L) + index + 1;
    luaL_checkstack(L, 6, "too many values");
    fri_open_int64(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_istype);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_type);
    lua_pushvalue(L, index);
    lua_call(L, 2, 1);
    yes = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return yes;
}

int fri_int64_get(lua_State *L, int index, int64_t *out)
{
    int distance;

    if (lua_type(L, index) != TYPE_CDATA)
        return 0;
    distance = header_distance;
    if ((distance == 0 || number_before(L, index, distance) != header_number)
        && !ask_istype(L, index))
        return 0;
    memcpy(out, payload(L, index), sizeof(*out));
    return 1;
}

void fri_int64_push(lua_State *L, int64_t n)
{
    luaL_checkstack(L, 6, "too many values");
    lua_rawgetp(L, LUA_REGISTRYINDEX, &key_type);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        fri_open_int64(L);
        lua_rawgetp(L, LUA_REGISTRYINDEX, &key_type);
    }
    lua_call(L, 0, 1);
    memcpy(payload(L, -1), &n, sizeof(n));
}

void fri_int64_push_plain(lua_State *L, int64_t n)
{
    if (n >= -TWO_53 && n <= TWO_53)
        lua_pushnumber(L, (lua_Number)n);
    else
        fri_int64_push(L, n);
}

#endif

int fri_int64_read(const char *text, size_t length, int64_t *out)
{
    bool minus = length > 0 && text[0] == '-';
    size_t i = minus || (length > 0 && text[0] == '+');
    uint64_t n = 0, most = (uint64_t)INT64_MAX + (minus ? 1 : 0);
    bool beyond = false;

    if (i == length)
        return 0;
    for (; i < length; i++) {
        unsigned digit = (unsigned)((unsigned char)text[i] - '0');

        if (digit > 9)
            return 0;
        if (n > (most - digit) / 10)
            beyond = true;
        else
            n = n * 10 + digit;
    }
    if (beyond)
        return -1;
    *out = minus ? (int64_t)(0 - n) : (int64_t)n;
    return 1;
}

static bool whole(double x, int64_t *out)
{
    if (!(x >= -TWO_63 && x < TWO_63) || x != floor(x))
        return false;
    *out = (int64_t)x;
    return true;
}

/* What was given in place of a whole number, for a message. */
static const char *given(lua_State *L, int index, char out[FRI_NUMBER_TEXT])
{
    if (fri_number_text(L, index, out) > 0)
        return out;
    if (lua_type(L, index) == LUA_TSTRING && lua_rawlen(L, index) <= 30)
        return lua_pushfstring(L, "'%s'", lua_tostring(L, index));
    return luaL_typename(L, index);
}

int fri_flow_int(lua_State *L)
{
    char text[FRI_NUMBER_TEXT];
    int64_t n = 0;
    bool ok = fri_int64_get(L, 1, &n);

    if (!ok && lua_type(L, 1) == LUA_TNUMBER) {
        ok = whole(lua_tonumber(L, 1), &n);
    } else if (!ok && lua_type(L, 1) == LUA_TSTRING) {
        size_t length;
        const char *digits = lua_tolstring(L, 1, &length);

        ok = fri_int64_read(digits, length, &n) == 1;
    }
    if (!ok)
        return luaL_error(L, "flow.int: n must be a whole number of at most "
                          "64 bits, got %s", given(L, 1, text));
    fri_int64_push(L, n);
    return 1;
}

/* An end of a range; `wide` when it came as an int64_t. */
static int64_t range_end(lua_State *L, int index, const char *name, bool *wide)
{
    char text[FRI_NUMBER_TEXT];
    int64_t n = 0;

    if (fri_int64_get(L, index, &n)) {
        *wide = true;
        return n;
    }
    if (lua_type(L, index) != LUA_TNUMBER || !whole(lua_tonumber(L, index), &n))
        luaL_error(L, "flow.split: %s must be a whole number, got %s", name,
                   given(L, index, text));
    if (n < -TWO_53 || n > TWO_53)
        luaL_error(L, "flow.split: %s is beyond 2^53, where plain numbers are "
                   "not exact: use flow.int", name);
    return n;
}

static void push_range(lua_State *L, uint64_t first, uint64_t last, bool wide)
{
    void (*push)(lua_State *, int64_t) =
        wide ? fri_int64_push : fri_int64_push_plain;

    lua_createtable(L, 0, 2);
    push(L, (int64_t)first);
    lua_setfield(L, -2, "first");
    push(L, (int64_t)last);
    lua_setfield(L, -2, "last");
}

/* Unsigned arithmetic that wraps is right for ranges up to all of 64 bits:
 * one piece of 2^64 numbers has the size 0, and first + 0 - 1 is its last. */
static int split(lua_State *L, uint64_t first, uint64_t span, uint64_t n,
                 bool wide)
{
    uint64_t size, longer;

    if (span < n)
        n = span + 1;
    size = span / n;
    longer = span % n + 1; /* so many pieces have one more */
    lua_createtable(L, (int)n, 0);
    for (uint64_t i = 0; i < n; i++) {
        uint64_t length = size + (i < longer);

        push_range(L, first, first + length - 1, wide);
        lua_rawseti(L, -2, (int)i + 1);
        first += length;
    }
    return 1;
}

int fri_flow_split(lua_State *L)
{
    char text[FRI_NUMBER_TEXT];
    bool wide = false;
    int64_t first = range_end(L, 1, "first", &wide);
    int64_t last = range_end(L, 2, "last", &wide);
    int64_t n = 0;

    if (!fri_int64_get(L, 3, &n)
        && (lua_type(L, 3) != LUA_TNUMBER || !whole(lua_tonumber(L, 3), &n)))
        n = 0;
    if (n < 1 || n > SPLIT_MOST)
        return luaL_error(L, "flow.split: n must be a whole number from 1 to "
                          "10000000, got %s", given(L, 3, text));
    if (first > last) {
        lua_newtable(L);
        return 1;
    }
    return split(L, (uint64_t)first, (uint64_t)last - (uint64_t)first,
                 (uint64_t)n, wide);
}
