/*
 * array.c - arrays of numbers in shared memory, in Lua.
 *
 * Elements are read and written whole, and in no order: arrays do not
 * synchronise.
 */
#include "script/shared.h"

#include "pools/forks/home.h"
#include "script/int64.h"
#include "script/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define TWO_63 9223372036854775808.0

/* ---- elements --------------------------------------------------------- */

static void *at(const struct fri_array *a, size_t i)
{
    return (char *)a->data + i * fri_number_sizes[a->type];
}

static double get_f64(const void *p)
{
    uint64_t bits = __atomic_load_n((const uint64_t *)p, __ATOMIC_RELAXED);
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static float get_f32(const void *p)
{
    uint32_t bits = __atomic_load_n((const uint32_t *)p, __ATOMIC_RELAXED);
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static void push(lua_State *L, const struct fri_array *a, const void *p)
{
    switch (a->type) {
    case FRI_F64: lua_pushnumber(L, get_f64(p)); break;
    case FRI_F32: lua_pushnumber(L, (lua_Number)get_f32(p)); break;
    case FRI_INT64:
        fri_int64_push(L, __atomic_load_n((const int64_t *)p,
                                          __ATOMIC_RELAXED));
        break;
    case FRI_INT32:
        lua_pushinteger(L, __atomic_load_n((const int32_t *)p,
                                           __ATOMIC_RELAXED));
        break;
    case FRI_U8:
        lua_pushinteger(L, __atomic_load_n((const uint8_t *)p,
                                           __ATOMIC_RELAXED));
        break;
    }
}

static void put_real(const struct fri_array *a, void *p, double x)
{
    float narrow = (float)x;
    uint32_t few;
    uint64_t bits;

    memcpy(&bits, &x, sizeof bits);
    memcpy(&few, &narrow, sizeof few);
    if (a->type == FRI_F64)
        __atomic_store_n((uint64_t *)p, bits, __ATOMIC_RELAXED);
    else
        __atomic_store_n((uint32_t *)p, few, __ATOMIC_RELAXED);
}

static void put_whole(const struct fri_array *a, void *p, int64_t n)
{
    if (a->type == FRI_INT64)
        __atomic_store_n((int64_t *)p, n, __ATOMIC_RELAXED);
    else if (a->type == FRI_INT32)
        __atomic_store_n((int32_t *)p, (int32_t)n, __ATOMIC_RELAXED);
    else
        __atomic_store_n((uint8_t *)p, (uint8_t)n, __ATOMIC_RELAXED);
}

/* ---- checks ----------------------------------------------------------- */

static struct fri_array *array_of(lua_State *L)
{
    struct fri_handle *h
        = fri_handle_of(L, fri_script_of(L), FRI_HANDLE_ARRAY, 1);

    if (!h)
        luaL_error(L, "array expected, got %s", luaL_typename(L, 1));
    return (struct fri_array *)(void *)h;
}

/* How a number stands in a message. */
static const char *text_of(lua_State *L, int index,
                           char text[FRI_NUMBER_TEXT])
{
    return fri_number_text(L, index, text) > 0 ? text
                                               : luaL_typename(L, index);
}

static const char *push_length(lua_State *L, const struct fri_array *a)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%zu", a->length);
    lua_pushstring(L, digits);
    return lua_tostring(L, -1);
}

/* The element's place, from 0. */
static size_t place(lua_State *L, const struct fri_array *a)
{
    char text[FRI_NUMBER_TEXT];
    double i = lua_tonumber(L, 2);

    if (lua_type(L, 2) != LUA_TNUMBER)
        luaL_error(L, "array: a number expected as index, got %s",
                   luaL_typename(L, 2));
    if (!(i >= 1 && i <= (double)a->length) || i != floor(i))
        luaL_error(L, "array: index %s is not within 1 to %s",
                   text_of(L, 2, text), push_length(L, a));
    return (size_t)i - 1;
}

static bool fits(const struct fri_array *a, int64_t n)
{
    if (a->type == FRI_INT32)
        return n >= INT32_MIN && n <= INT32_MAX;
    return a->type == FRI_INT64 || (n >= 0 && n <= UINT8_MAX);
}

static int refuse(lua_State *L, const struct fri_array *a)
{
    char text[FRI_NUMBER_TEXT];

    return luaL_error(L, "array: %s does not fit into %s",
                      text_of(L, 3, text), fri_number_names[a->type]);
}

/* The whole number at 3: of Lua, or of 64 bits. */
static bool whole_at(lua_State *L, int64_t *n)
{
    double x = lua_tonumber(L, 3);

    if (fri_int64_get(L, 3, n))
        return true;
    if (!(x >= -TWO_63 && x < TWO_63) || x != floor(x))
        return false;
    *n = (int64_t)x;
    return true;
}

/* Too large for f32 is refused as well: it would become infinite. */
static bool is_real_fine(const struct fri_array *a, double x)
{
    return a->type == FRI_F64 || isinf(x) || !isinf((float)x);
}

/* ---- methods ---------------------------------------------------------- */

static int array_index(lua_State *L)
{
    struct fri_array *a = array_of(L);

    push(L, a, at(a, place(L, a)));
    return 1;
}

static int array_newindex(lua_State *L)
{
    struct fri_array *a = array_of(L);
    void *p = at(a, place(L, a));
    int64_t n = 0;
    bool wide = fri_int64_get(L, 3, &n);

    if (lua_type(L, 3) != LUA_TNUMBER && !wide)
        return luaL_error(L, "array: a number expected, got %s",
                          luaL_typename(L, 3));
    if (a->type == FRI_F64 || a->type == FRI_F32) {
        double x = wide ? (double)n : (double)lua_tonumber(L, 3);

        if (!is_real_fine(a, x))
            return refuse(L, a);
        put_real(a, p, x);
        return 0;
    }
    if (!whole_at(L, &n) || !fits(a, n))
        return refuse(L, a);
    put_whole(a, p, n);
    return 0;
}

static int array_len(lua_State *L)
{
    lua_pushinteger(L, (lua_Integer)array_of(L)->length);
    return 1;
}

static int array_tostring(lua_State *L)
{
    const struct fri_array *a = array_of(L);

    lua_pushfstring(L, "array (%s, %s)", fri_number_names[a->type],
                    push_length(L, a));
    return 1;
}

const luaL_Reg fri_array_methods[] = {
    { "__index", array_index },       { "__newindex", array_newindex },
    { "__len", array_len },           { "__tostring", array_tostring },
    { NULL, NULL },
};

/* ---- making ----------------------------------------------------------- */

static enum fri_number_type type_at(lua_State *L)
{
    const char *name = lua_type(L, 1) == LUA_TSTRING ? lua_tostring(L, 1)
                                                     : luaL_typename(L, 1);
    int i = 0;

    while (fri_number_names[i] && strcmp(fri_number_names[i], name) != 0)
        i++;
    if (!fri_number_names[i])
        luaL_error(L, "array: \"f64\", \"f32\", \"i64\", \"i32\" or \"u8\" "
                      "expected, got %s", name);
    return (enum fri_number_type)i;
}

/* In a worker process: the engine's, so that it can go home. */
static int remote_array(lua_State *L, frun_engine *e,
                        enum fri_number_type type, size_t n)
{
    struct fri_error *error = NULL;
    struct fri_handle *h = fri_home_array(e, type, n, &error);

    if (h) {
        fri_handle_push(L, h);
        fri_handle_unref(h);
        return 1;
    }
    if (!error)
        return fri_raise_memory(L);
    fri_error_push(L, error);
    fri_error_free(error);
    return lua_error(L);
}

int fri_flow_array(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    enum fri_number_type type = type_at(L);
    double n = lua_tonumber(L, 2);
    char text[FRI_NUMBER_TEXT];
    struct fri_array *a;

    if (lua_type(L, 2) != LUA_TNUMBER || !(n >= 0 && n <= 9007199254740992.0)
        || n != floor(n))
        return luaL_error(L, "array: a count from 0 expected, got %s",
                          text_of(L, 2, text));
    if (fri_script_need(L, s)->home)
        return remote_array(L, s->engine, type, (size_t)n);
    a = fri_array_new(&s->engine->memory, type, (size_t)n);
    if (!a)
        return fri_raise(L, FRUN_ERESOURCE, "array of %s %s: %s",
                         text_of(L, 2, text), fri_number_names[type],
                         strerror(errno));
    fri_handle_push(L, &a->handle);
    fri_handle_unref(&a->handle);
    return 1;
}
