/*
 * shared.h - shared things in a Lua state.
 */
#ifndef FRI_SCRIPT_SHARED_H
#define FRI_SCRIPT_SHARED_H

#include "script/script.h"

/* Adds what flow.lua needs to the table at `core`. */
void fri_shared_open(lua_State *L, struct fri_script *s, int core);

extern const luaL_Reg fri_thing_methods[];

/* What ran in the flow has ended: it holds no lock any more. */
void fri_flow_leave(struct fri_script *s, struct fri_flow *flow);

/* The state goes: frees what an error left behind. */
void fri_shared_forget(struct fri_script *s);

/* ---- ask.c ------------------------------------------------------------ */

/* s->argument becomes the sequence of these n values (0: NULL); raises. */
void fri_ask_argument(lua_State *L, struct fri_script *s, int first, int n);

/* The thing at 1, of the kind that has this operation; raises. */
struct fri_handle *fri_ask_thing(lua_State *L, struct fri_script *s,
                                 enum fri_shared_op op);

void fri_ask_open(lua_State *L, struct fri_script *s, int core);

/* ---- array.c ---------------------------------------------------------- */

int fri_flow_array(lua_State *L); /* flow.array(type, n) */

extern const luaL_Reg fri_array_methods[];

/* ---- native.c: flow.native -------------------------------------------- */

int fri_native_call(lua_State *L); /* handle, argument */
int fri_core_native(lua_State *L); /* core.native(name): the handle */

/* ---- handle.c --------------------------------------------------------- */

/* The handle of that kind at index, or NULL. */
struct fri_handle *fri_handle_of(lua_State *L, struct fri_script *s,
                                 uint32_t kind, int index);
const char *fri_handle_name(uint32_t kind); /* "queue" */

/* ---- await.c ---------------------------------------------------------- */

/* Pushes a set of n futures. */
void fri_set_push(lua_State *L, struct fri_script *s,
                  struct frun_future **list, size_t n);

#endif
