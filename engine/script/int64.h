/*
 * int64.h - 64-bit integers in both Luas.
 *
 * In 5.4 they are Lua's own integers; in LuaJIT, int64_t cdata.
 */
#ifndef FRI_INT64_H
#define FRI_INT64_H

#include "script/compat.h"

/* Gets a state ready; the others do so themselves when it was not done.
 * Leaves nothing on the stack, returns 0. */
int fri_open_int64(lua_State *L);

/* 1 and the integer when the value at index is a 64-bit integer: a Lua integer
 * in 5.4, an int64_t in LuaJIT.  0 for anything else, plain LuaJIT numbers and
 * 5.4 floats too.  No metamethod is called. */
int fri_int64_get(lua_State *L, int index, int64_t *out);

void fri_int64_push(lua_State *L, int64_t n);

/* Pushes a whole number in its everyday form: an integer in 5.4; in LuaJIT a
 * plain number up to 2^53 either way, beyond that an int64_t. */
void fri_int64_push_plain(lua_State *L, int64_t n);

/* A whole number in decimal digits with an optional sign, all of the text;
 * 1 read, 0 not such a text, -1 beyond 64 bits. */
int fri_int64_read(const char *text, size_t length, int64_t *out);

/* flow.int(n), flow.split(first, last, n) */
int fri_flow_int(lua_State *L);
int fri_flow_split(lua_State *L);

#endif
