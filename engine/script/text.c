/*
 * Bytecode is not checked by either VM: a crafted chunk takes over the
 * process.  So what is loaded from outside is text.  The functions of the
 * library are wrapped and not rewritten: but for the mode they stay as each
 * VM has them.
 */
#include "script/text.h"

#include <string.h>

#define REFUSED "attempt to load a binary chunk (mode is 't')"

/* LuaJIT says only that the mode is wrong. */
static int load_result(lua_State *L)
{
    const char *why = lua_isnil(L, 1) ? lua_tostring(L, 2) : NULL;

    if (why && strstr(why, "chunk with wrong mode")) {
        lua_pushnil(L);
        lua_pushliteral(L, REFUSED);
        return 2;
    }
    return lua_gettop(L);
}

/* load and loadfile: upvalue 1 is the library's, upvalue 2 the place of its
 * argument `mode`, which becomes "t", or "" where text was not wanted. */
static int load_text(lua_State *L)
{
    int place = (int)lua_tointeger(L, lua_upvalueindex(2));
    const char *mode = luaL_optstring(L, place, "t");

    if (lua_gettop(L) < place)
        lua_settop(L, place);
    lua_pushstring(L, strchr(mode, 't') ? "t" : "");
    lua_replace(L, place);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    return load_result(L);
}

/* Neither VM names the file. */
static int load_file(lua_State *L, const char *name)
{
    int status = luaL_loadfilex(L, name, "t");
    const char *why = status == LUA_OK ? NULL : lua_tostring(L, -1);

    if (why && (strstr(why, "with wrong mode")
                || strncmp(why, REFUSED, sizeof REFUSED) == 0)) {
        lua_pushfstring(L, "%s: " REFUSED, name ? name : "stdin");
        lua_replace(L, -2);
    }
    return status;
}

#ifdef FRI_LUA54
static int done(lua_State *L, int status, lua_KContext context)
{
    (void)status;
    (void)context;
    return lua_gettop(L) - 1;
}
#endif

static int do_file(lua_State *L)
{
    const char *name = luaL_optstring(L, 1, NULL);

    lua_settop(L, 1);
    if (load_file(L, name) != LUA_OK)
        return lua_error(L);
#ifdef FRI_LUA54
    lua_callk(L, 0, LUA_MULTRET, 0, done);
    return done(L, LUA_OK, 0);
#else
    lua_call(L, 0, LUA_MULTRET);
    return lua_gettop(L) - 1;
#endif
}

/* The searcher of require for Lua files; upvalue 1 is package. */
static int search(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1), *file;

    lua_settop(L, 1);
    lua_getfield(L, lua_upvalueindex(1), "searchpath");
    lua_pushvalue(L, 1);
    lua_getfield(L, lua_upvalueindex(1), "path");
    if (!lua_isstring(L, -1))
        luaL_error(L, "'package.path' must be a string");
    lua_call(L, 2, 2);
    if (lua_isnil(L, -2))
        return 1; /* where it was looked for */
    lua_pop(L, 1);
    file = lua_tostring(L, -1);
    if (load_file(L, file) != LUA_OK)
        return luaL_error(L,
                          "error loading module '%s' from file '%s':\n\t%s",
                          name, file, lua_tostring(L, -1));
    lua_pushvalue(L, -2);
    return 2;
}

static void wrap(lua_State *L, const char *name, int place)
{
    lua_getglobal(L, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return;
    }
    lua_pushinteger(L, place);
    lua_pushcclosure(L, load_text, 2);
    lua_setglobal(L, name);
}

void fri_text_only(lua_State *L)
{
    wrap(L, "load", 3);
    wrap(L, "loadstring", 3);
    wrap(L, "loadfile", 2);
    lua_pushcfunction(L, do_file);
    lua_setglobal(L, "dofile");
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "searchers");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_getfield(L, -1, "loaders");
    }
    lua_pushvalue(L, -2);
    lua_pushcclosure(L, search, 1);
    lua_rawseti(L, -2, 2);
    lua_pop(L, 2);
}

int fri_text_load(lua_State *L, const char *bytes, size_t length,
                  const char *chunk)
{
    const char *end;

    if (length >= 3 && memcmp(bytes, "\xEF\xBB\xBF", 3) == 0) {
        bytes += 3;
        length -= 3;
    }
    if (length > 0 && *bytes == '#') {
        end = memchr(bytes, '\n', length);
        length = end ? (size_t)(bytes + length - end) : 0;
        bytes = end;
    }
    if (length > 0 && (bytes[0] == '\033' || (length > 1 && bytes[0] == '\n'
                                              && bytes[1] == '\033'))) {
        lua_pushfstring(L, "%s: " REFUSED, chunk + 1);
        return LUA_ERRSYNTAX;
    }
    return luaL_loadbufferx(L, length ? bytes : "", length, chunk, "t");
}

/* ---- table.pack ------------------------------------------------------- */

static int table_pack(lua_State *L)
{
    int n = lua_gettop(L);

    lua_createtable(L, n, 1);
    lua_insert(L, 1);
    for (int i = n; i >= 1; i--)
        lua_rawseti(L, 1, i);
    lua_pushinteger(L, n);
    lua_setfield(L, 1, "n");
    return 1;
}

void fri_common_table(lua_State *L)
{
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "unpack");
    if (lua_isnil(L, -1)) {
        lua_getglobal(L, "unpack");
        lua_setfield(L, -3, "unpack");
    }
    lua_getfield(L, -2, "pack");
    if (lua_isnil(L, -1)) {
        lua_pushcfunction(L, table_pack);
        lua_setfield(L, -4, "pack");
    }
    lua_pop(L, 3);
}
