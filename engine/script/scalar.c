/*
 * scalar.c - the core schema of YAML 1.2 (section 10.3.2 of its text).
 *
 * no, yes, on, off, 1_000, 0b1, 1:30 and 2024-01-31 are strings.  007 is the
 * integer 7.  An integer beyond 64 bits is refused, never rounded; one beyond
 * 2^53 is a flow.int on LuaJIT.
 */
#include "script/scalar.h"

#include "script/document.h"
#include "script/int64.h"
#include "script/number.h"

#include <math.h>
#include <string.h>

static const char too_big[] = "an integer beyond 64 bits: quote it";

static bool is_one_of(const char *text, const char *const words[3])
{
    return strcmp(text, words[0]) == 0 || strcmp(text, words[1]) == 0
           || strcmp(text, words[2]) == 0;
}

static bool is_null(const char *text)
{
    static const char *const words[] = { "null", "Null", "NULL" };

    return text[0] == '\0' || strcmp(text, "~") == 0 || is_one_of(text, words);
}

static bool push_bool(lua_State *L, const char *text)
{
    static const char *const yes[] = { "true", "True", "TRUE" };
    static const char *const no[] = { "false", "False", "FALSE" };

    if (!is_one_of(text, yes) && !is_one_of(text, no))
        return false;
    lua_pushboolean(L, text[0] == 't' || text[0] == 'T');
    return true;
}

/* 0o17 and 0x1F; 1 pushed, 0 not such a text, -1 beyond 64 bits. */
static int push_based(lua_State *L, const char *text, size_t length)
{
    const char *all = "0123456789abcdefABCDEF";
    unsigned bits;
    uint64_t n = 0;

    if (length < 3 || text[0] != '0' || (text[1] != 'x' && text[1] != 'o'))
        return 0;
    bits = text[1] == 'x' ? 4 : 3;
    if (strspn(text + 2, bits == 4 ? all : "01234567") != length - 2)
        return 0;
    for (const char *c = text + 2; *c; c++) {
        unsigned digit = (unsigned)(strchr(all, *c) - all);

        if (n >> (63 - bits))
            return -1;
        n = n << bits | (digit > 15 ? digit - 6 : digit);
    }
    fri_int64_push_plain(L, (int64_t)n);
    return 1;
}

/* As push_based, decimal too. */
static int push_int(lua_State *L, const char *text, size_t length)
{
    int64_t n;
    int read = fri_int64_read(text, length, &n);

    if (read == 1)
        fri_int64_push_plain(L, n);
    return read != 0 ? read : push_based(L, text, length);
}

/* [-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )? */
static bool is_float(const char *text, size_t length)
{
    const char *s = text + (*text == '-' || *text == '+');
    size_t whole = strspn(s, "0123456789"), part = 0;

    s += whole;
    if (*s == '.') {
        part = strspn(s + 1, "0123456789");
        s += 1 + part;
    }
    if (whole + part == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        size_t digits;

        s += 1 + (s[1] == '-' || s[1] == '+');
        digits = strspn(s, "0123456789");
        s += digits;
        if (digits == 0)
            return false;
    }
    return (size_t)(s - text) == length;
}

static bool push_float(lua_State *L, const char *text, size_t length)
{
    static const char *const inf[] = { ".inf", ".Inf", ".INF" };
    static const char *const nan[] = { ".nan", ".NaN", ".NAN" };
    double x;

    if (is_one_of(text, nan))
        x = (double)NAN;
    else if (is_one_of(text + (*text == '-' || *text == '+'), inf))
        x = *text == '-' ? -HUGE_VAL : HUGE_VAL;
    else if (is_float(text, length))
        x = fri_double_read(text, NULL);
    else
        return false;
    lua_pushnumber(L, (lua_Number)x);
    return true;
}

const char *fri_scalar_plain(lua_State *L, const char *text, size_t length)
{
    int read;

    if (length != 0 && !strchr("+-.0123456789~nNtTfF", text[0])) {
        lua_pushlstring(L, text, length);
        return NULL;
    }
    if (is_null(text)) {
        lua_pushnil(L);
        return NULL;
    }
    if (push_bool(L, text))
        return NULL;
    read = push_int(L, text, length);
    if (read == 0 && !push_float(L, text, length))
        lua_pushlstring(L, text, length);
    return read < 0 ? too_big : NULL;
}

/* Of an integer's text too: !!float 5 is 5.0. */
static const char *tagged_float(lua_State *L, const char *text, size_t length)
{
    int64_t n;

    if (push_float(L, text, length))
        return NULL;
    if (push_based(L, text, length) != 1)
        return "not a float";
    if (!fri_int64_get(L, -1, &n))
        return NULL;
    lua_pop(L, 1);
    lua_pushnumber(L, (lua_Number)n);
    return NULL;
}

const char *fri_scalar_tagged(lua_State *L, const char *tag, const char *text,
                              size_t length)
{
    static const char core[] = "tag:yaml.org,2002:";
    const char *name = tag + sizeof(core) - 1;

    if (strcmp(tag, "!") == 0) {
        lua_pushlstring(L, text, length);
        return NULL;
    }
    if (strncmp(tag, core, sizeof(core) - 1) != 0)
        return "unknown tag";
    if (strcmp(name, "str") == 0) {
        lua_pushlstring(L, text, length);
        return NULL;
    }
    if (strlen(text) != length)
        return "not such a value";
    if (strcmp(name, "int") == 0) {
        int read = push_int(L, text, length);

        return read == 1 ? NULL : read == 0 ? "not an integer" : too_big;
    }
    if (strcmp(name, "float") == 0)
        return tagged_float(L, text, length);
    if (strcmp(name, "bool") == 0)
        return push_bool(L, text) ? NULL : "not a boolean";
    if (strcmp(name, "null") == 0) {
        if (!is_null(text))
            return "not null";
        lua_pushnil(L);
        return NULL;
    }
    if (strcmp(name, "map") == 0 || strcmp(name, "seq") == 0)
        return "a scalar with the tag of a table";
    return "unknown tag";
}
