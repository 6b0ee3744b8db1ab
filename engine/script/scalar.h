/*
 * scalar.h - the core schema of YAML 1.2: what a plain scalar stands for.
 */
#ifndef FRI_SCALAR_H
#define FRI_SCALAR_H

#include "script/compat.h"

#include <stddef.h>

/* Each pushes one value and gives NULL, or pushes nothing and says what is
 * wrong.  The text must be closed by a NUL. */

/* Without a tag: what is no null, boolean, integer or float is a string. */
const char *fri_scalar_plain(lua_State *L, const char *text, size_t length);

/* With a tag, or its short form "!!int" spelled out; quoted or not. */
const char *fri_scalar_tagged(lua_State *L, const char *tag, const char *text,
                              size_t length);

#endif
