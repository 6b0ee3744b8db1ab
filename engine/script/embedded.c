#include "script/embedded.h"

/* The directory of the Lua half: as text, or compiled at build. */
#ifndef FRI_LUA_HALF
#define FRI_LUA_HALF "lua/flowrun/"
#endif

FRI_EMBED(fri_lua_args, FRI_LUA_HALF "args.lua");
FRI_EMBED(fri_lua_command, FRI_LUA_HALF "command.lua");
FRI_EMBED(fri_lua_data, FRI_LUA_HALF "data.lua");
FRI_EMBED(fri_lua_dry, FRI_LUA_HALF "dry.lua");
FRI_EMBED(fri_lua_flow, FRI_LUA_HALF "flow.lua");
FRI_EMBED(fri_lua_worker, FRI_LUA_HALF "worker.lua");
