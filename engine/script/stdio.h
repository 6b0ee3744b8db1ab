/*
 * stdio.h - what a Lua state prints, by whole lines.
 */
#ifndef FRI_STDIO_H
#define FRI_STDIO_H

#include "core/output.h"
#include "script/compat.h"

/* print, io.stdout and io.stderr of this state go to *current, the lines of
 * who runs now; NULL: nobody does, and the bytes go straight out.  In the
 * main program, what it holds is written before it waits for input.
 * `current` must stay until the state is closed.  Leaves nothing on the
 * stack; raises when memory runs out. */
void fri_stdio_open(lua_State *L, struct fri_lines **current, bool main);

#endif
