/*
 * files.c - reading and writing whole files, and the helpers in C of
 * data.lua and args.lua.
 *
 * A file is written whole or not at all: under a name of its own beside the
 * old one, synced, then renamed over it.  Where the file system can, it has no
 * name until it is complete, so that a killed run leaves nothing behind.
 */
#include "script/files.h"

#include "core/output.h"
#include "script/int64.h"
#include "script/number.h"
#include "script/script.h"
#include "script/utf8.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_MOST = 1 << 30 };

/* ---- reading ---------------------------------------------------------- */

/* All bytes until the end, more than `most` only to see that there are. */
static const char *read_all(int fd, size_t most, const struct fri_memory *m,
                            char **bytes, size_t *length)
{
    size_t room = 64 << 10, n = 0;
    struct stat st;
    char *grown;

    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && st.st_size > 0)
        room = (size_t)st.st_size > most ? most + 2 : (size_t)st.st_size + 2;
    for (;;) {
        ssize_t got;

        grown = fri_realloc(m, *bytes, room);
        if (!grown)
            return "not enough memory";
        *bytes = grown;
        got = read(fd, grown + n, room - n - 1);
        if (got < 0 && errno != EINTR)
            return strerror(errno);
        if (got == 0)
            break;
        n += got > 0 ? (size_t)got : 0;
        if (n > most)
            return "the file is too large";
        if (n + 1 == room)
            room *= 2;
    }
    grown[n] = '\0';
    *length = n;
    return NULL;
}

const char *fri_file_read(const char *path, size_t most,
                          const struct fri_memory *m, char **bytes,
                          size_t *length)
{
    const char *error;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    *bytes = NULL;
    if (fd < 0)
        return strerror(errno);
    error = read_all(fd, most, m, bytes, length);
    close(fd);
    if (error) {
        fri_free(m, *bytes);
        *bytes = NULL;
    }
    return error;
}

struct bytes {
    char *data;
    size_t length;
};

static int push_bytes(lua_State *L)
{
    struct bytes *b = lua_touserdata(L, 1);

    lua_pushlstring(L, b->data, b->length);
    return 1;
}

/* read_file(path) -> text, or nil and what is wrong.  The string is made in a
 * protected call, so that running out of memory does not lose the bytes. */
static int read_file(lua_State *L)
{
    const struct fri_memory *m = fri_script_memory(fri_script_in(L));
    struct bytes b = { NULL, 0 };
    const char *error;
    int status;

    lua_pushcfunction(L, push_bytes);
    lua_pushlightuserdata(L, &b);
    error = fri_file_read(luaL_checkstring(L, 1), READ_MOST, m, &b.data,
                          &b.length);
    if (error) {
        lua_pushnil(L);
        lua_pushstring(L, error);
        return 2;
    }
    status = lua_pcall(L, 1, 1, 0);
    fri_free(m, b.data);
    return status != 0 ? lua_error(L) : 1;
}

/* ---- writing ---------------------------------------------------------- */

struct target {
    char path[PATH_MAX]; /* where links lead */
    char temp[PATH_MAX + 32];
    mode_t mode;
    int fd;
    bool named; /* temp is there */
};

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, bytes, n);

        if (put < 0 && errno != EINTR)
            return false;
        if (put > 0) {
            bytes += put;
            n -= (size_t)put;
        }
    }
    return true;
}

/* Devices and pipes are written as they are. */
static bool write_through(const char *path, const char *bytes, size_t n)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY), saved;
    bool ok;

    if (fd < 0)
        return false;
    ok = write_all(fd, bytes, n);
    saved = errno;
    if (close(fd) != 0 && ok)
        return false;
    errno = saved;
    return ok;
}

static bool open_nameless(struct target *t)
{
#ifdef O_TMPFILE
    char folder[PATH_MAX];
    char *slash;

    snprintf(folder, sizeof(folder), "%s", t->path);
    slash = strrchr(folder, '/');
    if (slash)
        slash[slash == folder] = '\0';
    t->fd = open(slash ? folder : ".", O_TMPFILE | O_WRONLY | O_CLOEXEC,
                 t->mode);
    return t->fd >= 0;
#else
    (void)t;
    return false;
#endif
}

static bool open_named(struct target *t)
{
    t->fd = open(t->temp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, t->mode);
    t->named = t->fd >= 0;
    return t->named;
}

/* Names that no other process or thread makes: the pid and an address. */
static bool name_target(struct target *t, const char *path)
{
    int n;

    if (!realpath(path, t->path)) {
        size_t length = strlen(path);

        if (errno != ENOENT || length >= sizeof(t->path))
            return false;
        memcpy(t->path, path, length + 1);
    }
    n = snprintf(t->temp, sizeof(t->temp), "%s.%ld-%lx~", t->path,
                 (long)getpid(), (unsigned long)(uintptr_t)t & 0xffffff);
    return n > 0 && (size_t)n < sizeof(t->temp);
}

static bool give_name(struct target *t)
{
    char link[64];

    if (!t->named) {
        snprintf(link, sizeof(link), "/proc/self/fd/%d", t->fd);
        t->named = linkat(AT_FDCWD, link, AT_FDCWD, t->temp,
                          AT_SYMLINK_FOLLOW) == 0;
    }
    if (!t->named || rename(t->temp, t->path) != 0)
        return false;
    t->named = false;
    return true;
}

static bool replace(struct target *t, const char *bytes, size_t n,
                    const struct stat *old)
{
    bool ok;
    int saved;

    unlink(t->temp); /* of a process that had our pid and was killed */
    if (!open_nameless(t) && !open_named(t))
        return false;
    if (old)
        (void)!fchmod(t->fd, old->st_mode & 0777);
    ok = write_all(t->fd, bytes, n) && fsync(t->fd) == 0 && give_name(t);
    saved = errno;
    if (t->named)
        unlink(t->temp);
    close(t->fd);
    errno = saved;
    return ok;
}

/* write_file(path, text) -> true, or nil and what is wrong */
static int write_file(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1);
    size_t n;
    const char *bytes = luaL_checklstring(L, 2, &n);
    struct target t = { .mode = 0666, .fd = -1 };
    struct stat st;
    bool there = stat(path, &st) == 0, ok;
    int stream = fri_stream_of(path);

    if (stream > 0)
        ok = write_all(stream, bytes, n);
    else if (there && !S_ISREG(st.st_mode))
        ok = write_through(path, bytes, n);
    else
        ok = name_target(&t, path) && replace(&t, bytes, n, there ? &st : NULL);
    if (!ok) {
        int error = errno;

        lua_pushnil(L);
        lua_pushstring(L, strerror(error));
        return 2;
    }
    lua_pushboolean(L, 1);
    return 1;
}

/* ---- text ------------------------------------------------------------- */

/* The escape of a byte in a JSON string; NULL when it stands for itself. */
static const char *json_escape(unsigned char byte, char out[8])
{
    static const char bytes[] = "\"\\\b\f\n\r\t", names[] = "\"\\bfnrt";
    const char *at = byte ? strchr(bytes, byte) : NULL;

    if (at)
        snprintf(out, 8, "\\%c", names[at - bytes]);
    else if (byte < ' ' || byte == 127)
        snprintf(out, 8, "\\u%04x", byte);
    else
        return NULL;
    return out;
}

/* json_text(string) -> the string of JSON, in its quotes.  Each byte that is
 * no UTF-8 becomes U+FFFD. */
static int json_text(lua_State *L)
{
    size_t n, step, from = 0;
    const char *s = luaL_checklstring(L, 1, &n), *escape;
    char room[8];
    luaL_Buffer b;

    luaL_buffinit(L, &b);
    luaL_addchar(&b, '"');
    for (size_t i = 0; i < n; i += step ? step : 1) {
        step = fri_utf8_step(s + i, n - i);
        escape = step ? json_escape((unsigned char)s[i], room) : "\\ufffd";
        if (!escape)
            continue;
        luaL_addlstring(&b, s + from, i - from);
        luaL_addstring(&b, escape);
        from = i + 1;
    }
    luaL_addlstring(&b, s + from, n - from);
    luaL_addchar(&b, '"');
    luaL_pushresult(&b);
    return 1;
}

/* number_text(value) -> the text of a number, nil when it is none */
static int number_text(lua_State *L)
{
    char text[FRI_NUMBER_TEXT];
    size_t n = fri_number_text(L, 1, text);

    if (n == 0)
        lua_pushnil(L);
    else
        lua_pushlstring(L, text, n);
    return 1;
}

/* number_read(text) -> the number whose text this is, else the text */
static int number_read(lua_State *L)
{
    size_t n;
    const char *text = luaL_checklstring(L, 1, &n);

    if (!fri_number_read(L, text, n))
        lua_pushvalue(L, 1);
    return 1;
}

int fri_open_files(lua_State *L)
{
    static const luaL_Reg functions[] = {
        { "read_file", read_file },     { "write_file", write_file },
        { "json_text", json_text },     { "number_text", number_text },
        { "number_read", number_read }, { "glob", fri_flow_glob },
        { "int", fri_flow_int },        { "split", fri_flow_split },
    };

    lua_newtable(L);
    for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]); i++) {
        lua_pushcfunction(L, functions[i].func);
        lua_setfield(L, -2, functions[i].name);
    }
    return 1;
}
