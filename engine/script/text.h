/*
 * text.h - a Lua state that loads text only, never bytecode.
 */
#ifndef FRI_TEXT_H
#define FRI_TEXT_H

#include "script/compat.h"

#include <stddef.h>

/* load, loadstring, loadfile, dofile and require of this state refuse
 * bytecode from now on.  Leaves nothing on the stack. */
void fri_text_only(lua_State *L);

/* As luaL_loadbuffer, for the bytes of a whole file: a first line that begins
 * with '#' is skipped and counted, bytecode is refused. */
int fri_text_load(lua_State *L, const char *bytes, size_t length,
                  const char *chunk);

/* table.pack and table.unpack, where the VM has none. */
void fri_common_table(lua_State *L);

#endif
