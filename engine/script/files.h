/*
 * files.h - reading and writing whole files, and the helpers in C of
 * lua/data.lua and lua/args.lua.
 */
#ifndef FRI_FILES_H
#define FRI_FILES_H

#include "script/compat.h"

#include <stddef.h>

/* Pushes the table of helpers; lua/data.lua lists them. */
int fri_open_files(lua_State *L);

/* The bytes of a file and a NUL, by malloc; the text of the error when there
 * is one, of static storage, else NULL.  Files of more than `most` bytes are
 * refused, endless ones too. */
const char *fri_file_read(const char *path, size_t most, char **bytes,
                          size_t *length);

/* flow.glob(pattern) */
int fri_flow_glob(lua_State *L);

#endif
