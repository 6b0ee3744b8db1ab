/*
 * dump.c - at build: a file of the Lua half, compiled, on stdout.
 *
 *    dump lua/flowrun/flow.lua >flow.luac
 *
 * For programs that have the same Lua library inside as this one: compiling
 * the half takes a third of the time of a program that runs one command.
 * Names and lines stay in it, for tracebacks.
 */
#include <lauxlib.h>
#include <lua.h>
#include <stdio.h>
#include <string.h>

enum { MOST = 1 << 20 };

static int add(lua_State *L, const void *bytes, size_t n, void *file)
{
    (void)L;
    return fwrite(bytes, 1, n, file) != n;
}

static int compile(lua_State *L, const char *path, const char *text, size_t n)
{
    const char *slash = strrchr(path, '/');

    lua_pushfstring(L, "=flowrun/%s", slash ? slash + 1 : path);
    return luaL_loadbuffer(L, text, n, lua_tostring(L, -1));
}

int main(int argc, char **argv)
{
    static char text[MOST];
    FILE *file = argc > 1 ? fopen(argv[1], "r") : NULL;
    size_t n = file ? fread(text, 1, sizeof text, file) : 0;
    lua_State *L = luaL_newstate();

    if (!L || n == 0 || n == sizeof text
        || compile(L, argv[1], text, n) != LUA_OK
        || lua_dump(L, add, stdout, 0) != 0 || fflush(stdout) != 0) {
        fprintf(stderr, "dump: cannot compile %s\n", argc > 1 ? argv[1] : "");
        return 1;
    }
    lua_close(L);
    fclose(file);
    return 0;
}
