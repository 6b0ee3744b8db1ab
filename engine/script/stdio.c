/*
 * The state's own handles stay what they are, with all that io and other
 * libraries know of them (the default files, "cannot close standard file"):
 * only the FILE that they hold is exchanged for one whose writes come to
 * us.  In both Luas a handle begins with its FILE *.
 *
 * These FILEs have no buffer: bytes are collected in one place, fri_lines,
 * so print, io.write and C code that writes to the FILE keep their order.
 * Therefore flush and setvbuf of these handles are ours, too.
 */
#define _GNU_SOURCE
#include "script/stdio.h"

#include "script/int64.h"
#include "script/number.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

struct stdio;

struct stream {
    struct stdio *owner;
    FILE **handle; /* the userdata of Lua; NULL: not ours */
    FILE *file, *before;
};

struct stdio {
    struct fri_lines **current;
    bool main;
    struct stream streams[3]; /* by descriptor */
    size_t used;
    char line[4096]; /* that print puts together */
};

static const char key; /* in the registry: what must not be collected */

/* ---- the FILEs -------------------------------------------------------- */

/* 0 or the errno that has ended this stream. */
static int add(struct stdio *io, int stream, const char *bytes, size_t length)
{
    struct fri_lines *lines = *io->current;

    if (!lines)
        return fri_write(stream, bytes, length, false);
    fri_lines_add(lines, stream, bytes, length);
    return fri_output_error(lines->output, stream);
}

static int flush(struct stdio *io, int stream)
{
    struct fri_lines *lines = *io->current;

    if (!lines)
        return 0;
    fri_lines_flush(lines);
    return fri_output_error(lines->output, stream);
}

static int number_of(const struct stream *s)
{
    return (int)(s - s->owner->streams);
}

static ssize_t on_write(void *cookie, const char *bytes, size_t length)
{
    struct stream *s = cookie;
    int error = add(s->owner, number_of(s), bytes, length);

    if (!error)
        return (ssize_t)length;
    errno = error;
    return 0;
}

static ssize_t on_read(void *cookie, char *bytes, size_t length)
{
    struct stream *s = cookie;

    flush(s->owner, 1);
    return read(number_of(s), bytes, length);
}

static int on_seek(void *cookie, off64_t *offset, int whence)
{
    struct stream *s = cookie;
    off64_t to;

    if (number_of(s) != 0)
        flush(s->owner, number_of(s));
    to = lseek64(number_of(s), *offset, whence);
    if (to < 0)
        return -1;
    *offset = to;
    return 0;
}

static FILE *open_file(struct stream *s)
{
    int fd = number_of(s);
    cookie_io_functions_t functions = { .seek = on_seek };
    FILE *file;

    if (fd == 0)
        functions.read = on_read;
    else
        functions.write = on_write;
    file = fopencookie(s, fd == 0 ? "r" : "w", functions);
    if (!file)
        return NULL;
    if (fd != 0)
        setvbuf(file, NULL, _IONBF, 0);
#ifdef __GLIBC__
    file->_fileno = fd; /* for fileno and isatty of other libraries */
#endif
    return file;
}

/* ---- print ------------------------------------------------------------ */

static void put(struct stdio *io, const char *bytes, size_t length)
{
    if (length > sizeof io->line - io->used) {
        add(io, 1, io->line, io->used);
        io->used = 0;
    }
    if (length > sizeof io->line) {
        add(io, 1, bytes, length);
        return;
    }
    memcpy(io->line + io->used, bytes, length);
    io->used += length;
}

/* A whole number as both Luas show it, without making a string; false: it is
 * another kind of number. */
static bool put_whole(lua_State *L, struct stdio *io, int index)
{
    char text[24], *at = text + sizeof text;
    uint64_t rest;
    int64_t n;

#ifdef FRI_LUA54
    if (!lua_isinteger(L, index))
        return false;
    n = (int64_t)lua_tointeger(L, index);
#else
    double x = lua_tonumber(L, index);

    if (!(x > -1e14 && x < 1e14) || x == 0 || x != floor(x))
        return false;
    n = (int64_t)x;
#endif
    rest = n < 0 ? 0 - (uint64_t)n : (uint64_t)n;
    do
        *--at = (char)('0' + rest % 10);
    while ((rest /= 10) != 0);
    if (n < 0)
        *--at = '-';
    put(io, at, (size_t)(text + sizeof text - at));
    return true;
}

/* All arguments are strings or numbers by now: no Lua code runs in here. */
static void put_line(lua_State *L, struct stdio *io, int n)
{
    io->used = 0;
    for (int i = 1; i <= n; i++) {
        size_t length;
        const char *text;

        if (i > 1)
            put(io, "\t", 1);
        if (lua_type(L, i) == LUA_TNUMBER && put_whole(L, io, i))
            continue;
        text = lua_tolstring(L, i, &length);
        put(io, text, length);
    }
    put(io, "\n", 1);
    add(io, 1, io->line, io->used);
}

static bool plain_number(lua_State *L, int i)
{
    if (lua_type(L, i) != LUA_TNUMBER)
        return false;
    if (!lua_getmetatable(L, i))
        return true;
    lua_pop(L, 1);
    return false;
}

#ifdef FRI_LUA54

static void to_text(lua_State *L, int n)
{
    for (int i = 1; i <= n; i++) {
        if (plain_number(L, i))
            continue;
        luaL_tolstring(L, i, NULL);
        lua_replace(L, i);
    }
}

#else

enum { TYPE_CDATA = 10 };

/* What tostring of the libraries makes of it, without the call; an integer of
 * 64 bits without its LL.  False: tostring has to be asked. */
static bool quick_text(lua_State *L, int i)
{
    char text[FRI_NUMBER_TEXT];
    int64_t number;
    int type = lua_type(L, i);

    if (type == LUA_TSTRING || plain_number(L, i))
        return true;
    if (type != TYPE_CDATA || !fri_int64_get(L, i, &number))
        return false;
    lua_pushlstring(L, text, fri_number_text(L, i, text));
    lua_replace(L, i);
    return true;
}

/* tostring is looked up among the globals, as print of 5.1 does; upvalue 2 is
 * that of the libraries, upvalue 3 its name. */
static void to_text(lua_State *L, int n)
{
    bool stock;

    lua_pushvalue(L, lua_upvalueindex(3));
    lua_gettable(L, LUA_GLOBALSINDEX);
    stock = lua_rawequal(L, -1, lua_upvalueindex(2));
    for (int i = 1; i <= n; i++) {
        if (stock && quick_text(L, i))
            continue;
        lua_pushvalue(L, n + 1);
        lua_pushvalue(L, i);
        lua_call(L, 1, 1);
        if (!lua_tolstring(L, -1, NULL))
            luaL_error(L, "'tostring' must return a string to 'print'");
        lua_replace(L, i);
    }
}

#endif

static int print(lua_State *L)
{
    struct stdio *io = lua_touserdata(L, lua_upvalueindex(1));
    int n = lua_gettop(L);

    to_text(L, n);
    put_line(L, io, n);
    return 0;
}

/* ---- flush and setvbuf ------------------------------------------------ */

/* Which of ours the value at index is: 0 to 2, or -1. */
static int ours(lua_State *L, int index, const struct stdio *io)
{
    void *handle = lua_touserdata(L, index);

    for (int i = 0; i < 3; i++)
        if (handle && (FILE **)handle == io->streams[i].handle)
            return i;
    return -1;
}

/* Calls upvalue 2, the library's function, with all arguments. */
static int call_stock(lua_State *L)
{
    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return lua_gettop(L);
}

static int flush_result(lua_State *L, struct stdio *io, int stream)
{
    int error = flush(io, stream);

    if (!error)
        return call_stock(L);
    errno = error;
    return luaL_fileresult(L, 0, NULL);
}

static int file_flush(lua_State *L)
{
    struct stdio *io = lua_touserdata(L, lua_upvalueindex(1));
    int stream = ours(L, 1, io);

    return stream > 0 ? flush_result(L, io, stream) : call_stock(L);
}

/* io.flush: of the default output, which upvalue 3, io.output, tells. */
static int io_flush(lua_State *L)
{
    struct stdio *io = lua_touserdata(L, lua_upvalueindex(1));
    int stream;

    lua_pushvalue(L, lua_upvalueindex(3));
    lua_call(L, 0, 1);
    stream = ours(L, -1, io);
    lua_pop(L, 1);
    return stream > 0 ? flush_result(L, io, stream) : call_stock(L);
}

static int file_setvbuf(lua_State *L)
{
    static const char *const words[] = { "no", "line", "full", NULL };
    struct stdio *io = lua_touserdata(L, lua_upvalueindex(1));
    int stream = ours(L, 1, io), mode;

    if (stream <= 0)
        return call_stock(L);
    mode = luaL_checkoption(L, 2, NULL, words);
    luaL_optinteger(L, 3, 0);
    /* A task's lines stay whole. */
    if (*io->current && (*io->current)->main)
        fri_output_holding((*io->current)->output, stream,
                           (enum fri_holding)mode);
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- opening ---------------------------------------------------------- */

static int stdio_close(lua_State *L)
{
    struct stdio *io = lua_touserdata(L, 1);

    for (int i = 0; i < 3; i++) {
        struct stream *s = &io->streams[i];

        /* What is printed from here on is the C library's again. */
        if (s->handle && *s->handle == s->file)
            *s->handle = s->before;
        /* Input that was not used is left to who reads next. */
        if (s->file && i == 0)
            fflush(s->file);
        if (s->file) {
            s->file->_fileno = -1; /* the descriptor is not its own */
            fclose(s->file);
        }
        s->file = NULL;
        s->handle = NULL;
    }
    return 0;
}

/* The library's handle by that name, in the table io at -1, becomes ours and
 * is kept in the table at -2. */
static void take_handle(lua_State *L, struct stdio *io, int i,
                        const char *name)
{
    struct stream *s = &io->streams[i];

    s->owner = io;
    lua_getfield(L, -1, name);
    s->handle = lua_touserdata(L, -1);
    lua_rawseti(L, -3, i + 1);
    if (!s->handle)
        return;
    s->before = *s->handle;
    s->file = open_file(s);
    if (!s->file)
        luaL_error(L, "not enough memory");
    *s->handle = s->file;
}

/* table[name], the table at index, becomes function; its upvalues are
 * stdio, what was there, and extra[name2] or nil. */
static void wrap(lua_State *L, int index, const char *name,
                 lua_CFunction function, struct stdio *io, const char *third)
{
    index = lua_absindex(L, index);
    lua_pushlightuserdata(L, io);
    lua_getfield(L, index, name);
    if (third)
        lua_getfield(L, index, third);
    else
        lua_pushnil(L);
    lua_pushcclosure(L, function, 3);
    lua_setfield(L, index, name);
}

static struct stdio *stdio_new(lua_State *L, struct fri_lines **current,
                               bool main)
{
    struct stdio *io = lua_newuserdatauv(L, sizeof *io, 0);

    *io = (struct stdio){ .current = current, .main = main };
    lua_newtable(L);
    lua_pushcfunction(L, stdio_close);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return io;
}

static void replace_print(lua_State *L, struct stdio *io)
{
    lua_pushlightuserdata(L, io);
    lua_getglobal(L, "tostring");
    lua_pushliteral(L, "tostring");
    lua_pushcclosure(L, print, 3);
    lua_setglobal(L, "print");
}

void fri_stdio_open(lua_State *L, struct fri_lines **current, bool main)
{
    int top = lua_gettop(L);
    struct stdio *io;

    lua_newtable(L); /* the handles, and io: finalizers run before frees */
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
    io = stdio_new(L, current, main);
    lua_rawseti(L, -2, 4);
    lua_getglobal(L, "io");
    if (main)
        take_handle(L, io, 0, "stdin");
    take_handle(L, io, 1, "stdout");
    take_handle(L, io, 2, "stderr");
    wrap(L, -1, "flush", io_flush, io, "output");
    luaL_getmetatable(L, LUA_FILEHANDLE);
    lua_getfield(L, -1, "__index");
    wrap(L, -1, "flush", file_flush, io, NULL);
    wrap(L, -1, "setvbuf", file_setvbuf, io, NULL);
    replace_print(L, io);
    lua_settop(L, top);
}
