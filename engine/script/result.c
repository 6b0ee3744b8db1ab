/*
 * result.c - values of C's, as Lua sees them.
 */
#include "script/script.h"
#include "script/travel.h"

#include "data/value.h"

static int unpack(lua_State *L)
{
    const struct fri_buffer *bytes = lua_touserdata(L, 1);
    int n = fri_unpack(L, bytes->data, bytes->length, NULL, 0);

    if (n < 0)
        return lua_error(L);
    lua_settop(L, 2);
    return 1;
}

void fri_value_push(lua_State *L, const frun_value *value)
{
    struct fri_buffer bytes;
    int failed;

    luaL_checkstack(L, 4, "a value");
    fri_buffer_init(&bytes, fri_script_memory(fri_script_in(L)));
    if (!value || fri_value_pack(&bytes, value) != FRUN_OK) {
        fri_buffer_free(&bytes);
        lua_pushnil(L);
        return;
    }
    lua_pushcfunction(L, unpack);
    lua_pushlightuserdata(L, &bytes);
    failed = lua_pcall(L, 1, 1, 0);
    fri_buffer_free(&bytes);
    if (failed)
        lua_error(L);
}
