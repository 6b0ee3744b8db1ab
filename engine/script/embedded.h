/*
 * embedded.h - the Lua half of the module, lua/.
 */
#ifndef FRI_EMBEDDED_H
#define FRI_EMBEDDED_H

#include "base/embed.h"

extern const struct fri_embedded fri_lua_args, fri_lua_command, fri_lua_data,
    fri_lua_dry, fri_lua_flow, fri_lua_worker;

#endif
