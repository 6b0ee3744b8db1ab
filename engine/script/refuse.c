/*
 * refuse.c - why a value cannot travel, and where it was.
 *
 * `reason` is set where the refusal comes about; then each level on the way
 * out puts its step before `path`.  Nobody pays for a path that is not told.
 */
#include "script/travel_private.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>

enum { KEY_SHOWN = 60, PATH_ENDS = 160, NAME_SHOWN = 120 };

bool fri_refuse(struct fri_encoder *e, const char *format, ...)
{
    char text[256];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    e->reason.length = e->path.length = 0;
    fri_buffer_text(&e->reason, text);
    return false;
}

bool fri_refuse_memory(struct fri_encoder *e)
{
    e->no_memory = true;
    return fri_refuse(e, "out of memory");
}

bool fri_refuse_unguarded(struct fri_encoder *e)
{
    e->unguarded = true;
    return false;
}

/* __name of the metatable, where LuaJIT keeps it in the registry only. */
static const char *userdata_name(lua_State *L, int i)
{
    const char *name = NULL;

    if (!lua_getmetatable(L, i))
        return NULL;
    lua_pushliteral(L, "__name");
    lua_rawget(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING)
        name = lua_tostring(L, -1);
    lua_pop(L, 1);
#if FRI_LUAJIT
    lua_pushnil(L);
    while (!name && lua_next(L, LUA_REGISTRYINDEX)) {
        if (lua_type(L, -2) == LUA_TSTRING && lua_rawequal(L, -1, -3)) {
            name = lua_tostring(L, -2);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
#endif
    lua_pop(L, 1); /* the metatable keeps the name */
    return name;
}

bool fri_refuse_type(struct fri_encoder *e, lua_State *L, int i)
{
    int type = lua_type(L, i);
    const char *name;

    if (type == LUA_TFUNCTION)
        return fri_refuse(e, "function (C)");
    if (type == LUA_TLIGHTUSERDATA)
        return fri_refuse(e, "light userdata");
    if (type != LUA_TUSERDATA)
        return fri_refuse(e, "%s", lua_typename(L, type));
    if (!e->guarded)
        return fri_refuse_unguarded(e);
    name = userdata_name(L, i);
    return name ? fri_refuse(e, "userdata (%.*s)", NAME_SHOWN, name)
                : fri_refuse(e, "userdata");
}

/* ---- paths ------------------------------------------------------------ */

static void prepend(struct fri_encoder *e, const char *text, size_t n)
{
    struct fri_buffer *b = &e->path;

    if (!fri_buffer_reserve(b, n))
        return;
    memmove(b->data + n, b->data, b->length);
    memcpy(b->data, text, n);
    b->length += n;
}

bool fri_step_word(struct fri_encoder *e, const char *format, ...)
{
    char text[128];
    va_list args;

    if (e->path.length > 0)
        prepend(e, " ", 1);
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    prepend(e, text, strlen(text));
    return false;
}

static void step(struct fri_encoder *e, const char *text)
{
    if (e->path.length > 0 && isalpha(e->path.data[0]))
        prepend(e, " ", 1);
    prepend(e, text, strlen(text));
}

static bool is_identifier(const char *s, size_t n)
{
    if (n == 0 || n > KEY_SHOWN || isdigit((unsigned char)s[0]))
        return false;
    for (size_t i = 0; i < n; i++)
        if (!isalnum((unsigned char)s[i]) && s[i] != '_')
            return false;
    return true;
}

/* A byte of a key as it is shown; the number of characters. */
static size_t show_byte(char *out, size_t room, unsigned char c)
{
    if (c < 0x20 || c == 0x7f)
        return (size_t)snprintf(out, room, "\\%03d", c);
    if (c == '"' || c == '\\')
        return (size_t)snprintf(out, room, "\\%c", c);
    *out = (char)c;
    return 1;
}

static void step_string(struct fri_encoder *e, const char *s, size_t n)
{
    char text[KEY_SHOWN * 4 + 16]; /* a byte takes four at most */
    size_t at = 0;

    if (is_identifier(s, n)) {
        snprintf(text, sizeof(text), ".%.*s", (int)n, s);
        step(e, text);
        return;
    }
    text[at++] = '[';
    text[at++] = '"';
    for (size_t i = 0; i < n && i < KEY_SHOWN; i++)
        at += show_byte(text + at, sizeof(text) - at, (unsigned char)s[i]);
    snprintf(text + at, sizeof(text) - at, "%s",
             n > KEY_SHOWN ? "...\"]" : "\"]");
    step(e, text);
}

bool fri_step_index(struct fri_encoder *e, int64_t index)
{
    char text[32];

    snprintf(text, sizeof(text), "[%lld]", (long long)index);
    step(e, text);
    return false;
}

bool fri_step_key(struct fri_encoder *e, lua_State *L, int k)
{
    char text[48];
    size_t n;

    if (e->unguarded)
        return false;
    switch (lua_type(L, k)) {
    case LUA_TSTRING:
        step_string(e, lua_tolstring(L, k, &n), lua_rawlen(L, k));
        return false;
    case LUA_TNUMBER:
        snprintf(text, sizeof(text), "[%.14g]", lua_tonumber(L, k));
        break;
    case LUA_TBOOLEAN:
        snprintf(text, sizeof(text), "[%s]",
                 lua_toboolean(L, k) ? "true" : "false");
        break;
    default:
        snprintf(text, sizeof(text), "[%s]", luaL_typename(L, k));
    }
    step(e, text);
    return false;
}

/* A path of 200 steps: its two ends say enough. */
static void shorten(struct fri_buffer *path)
{
    size_t ends = PATH_ENDS;

    if (path->length <= 2 * ends + 5)
        return;
    memcpy(path->data + ends, " ... ", 5);
    memmove(path->data + ends + 5, path->data + path->length - ends, ends);
    path->length = 2 * ends + 5;
}

void fri_refusal(struct fri_encoder *e)
{
    if (e->no_memory) {
        e->path.length = 0;
        fri_buffer_text(&e->path, "out of memory");
        return;
    }
    shorten(&e->path);
    if (e->path.length > 0)
        fri_buffer_text(&e->path, ": ");
    fri_buffer_add(&e->path, e->reason.data, e->reason.length);
}

static int push_text(lua_State *L, void *job)
{
    const struct fri_buffer *text = job;

    if (text->failed || text->length == 0)
        lua_pushliteral(L, "out of memory");
    else
        lua_pushlstring(L, (const char *)text->data, text->length);
    return 1;
}

bool fri_refusal_push(struct fri_encoder *e, lua_State *L)
{
    fri_guard(L, e->travel, push_text, &e->path, 1, 0);
    return false;
}
