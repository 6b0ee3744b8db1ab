/*
 * document.c - what the readers of YAML and JSON share.
 */
#include "script/document.h"

#include "script/int64.h"
#include "script/number.h"

#include <stdarg.h>
#include <stdio.h>

#define TWO_53 INT64_C(9007199254740992)

void fri_document_fail(struct fri_document *d, size_t line, size_t column,
                       const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    lua_pushfstring(d->L, "%s:%d:%d: %s", d->name, (int)line, (int)column,
                    text);
    lua_error(d->L);
    __builtin_unreachable();
}

void fri_document_where(const struct fri_document *d, size_t offset,
                        size_t *line, size_t *column)
{
    size_t l = 1, c = 1;

    for (size_t i = 0; i < offset && i < d->length; i++) {
        char byte = d->text[i];

        if (byte == '\n' || (byte == '\r' && d->text[i + 1] != '\n')) {
            l++;
            c = 1;
        } else if ((byte & 0xC0) != 0x80) {
            c++;
        }
    }
    *line = l;
    *column = c;
}

/* Numbers beyond 2^53 are cdata on LuaJIT, which find nothing in a table: so
 * they are no keys on 5.4 either. */
static bool good_number(lua_State *L)
{
    lua_Number x = lua_tonumber(L, -1);
    int64_t n;

    if (fri_int64_get(L, -1, &n))
        return n >= -TWO_53 && n <= TWO_53;
    return x >= -(lua_Number)TWO_53 && x <= (lua_Number)TWO_53;
}

const char *fri_document_key_fault(lua_State *L)
{
    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
    case LUA_TBOOLEAN:
        return NULL;
    case LUA_TNUMBER:
        return good_number(L) ? NULL : "a number that is not exact or not "
                                       "finite cannot be a key: quote it";
    case LUA_TNIL:
        return "null cannot be a key";
    case LUA_TTABLE:
        return "a list or a map cannot be a key";
    default:
        return "an integer beyond 2^53 cannot be a key: quote it";
    }
}

static bool was_null(lua_State *L, int nulls)
{
    bool yes;

    if (lua_isnil(L, nulls))
        return false;
    lua_pushvalue(L, -2);
    lua_rawget(L, nulls);
    yes = !lua_isnil(L, -1);
    lua_pop(L, 1);
    return yes;
}

static void put_null(lua_State *L, int nulls)
{
    if (lua_isnil(L, nulls)) {
        lua_newtable(L);
        lua_replace(L, nulls);
    }
    lua_pop(L, 1);
    lua_pushboolean(L, 1);
    lua_rawset(L, nulls);
}

bool fri_document_put(lua_State *L, int table)
{
    bool taken;

    lua_pushvalue(L, -2);
    lua_rawget(L, table);
    taken = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (taken || was_null(L, table + 1))
        return false;
    if (lua_isnil(L, -1))
        put_null(L, table + 1);
    else
        lua_rawset(L, table);
    return true;
}

const char *fri_document_show(lua_State *L, int index, char out[64])
{
    size_t n = 0;
    const char *text;

    if (fri_number_text(L, index, out) > 0)
        return out;
    if (lua_type(L, index) == LUA_TBOOLEAN)
        return lua_toboolean(L, index) ? "true" : "false";
    text = lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : "?";
    for (; n < 40 && text[n]; n++)
        out[n] = (unsigned char)text[n] < ' ' || text[n] == 127 ? '?' : text[n];
    while (text[n] && n > 0 && (text[n] & 0xC0) == 0x80)
        n--; /* not within a character */
    snprintf(out + n, 64 - n, "%s", text[n] ? "..." : "");
    return out;
}

bool fri_document_int(lua_State *L, const char *digits, size_t length)
{
    int64_t n;

    if (fri_int64_read(digits, length, &n) != 1)
        return false;
    fri_int64_push_plain(L, n);
    return true;
}
