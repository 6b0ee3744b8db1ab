/*
 * files.h - reading and writing whole files, and the helpers in C of
 * data.lua and args.lua.
 */
#ifndef FRI_FILES_H
#define FRI_FILES_H

#include "base/memory.h"
#include "script/compat.h"

/* Pushes the table of helpers; data.lua lists them. */
int fri_open_files(lua_State *L);

/* The bytes of a file and a NUL, of that memory; the text of the error when
 * there is one, of static storage, else NULL.  Files of more than `most` bytes
 * are refused, endless ones too. */
const char *fri_file_read(const char *path, size_t most,
                          const struct fri_memory *m, char **bytes,
                          size_t *length);

/* flow.glob(pattern) */
int fri_flow_glob(lua_State *L);

#endif
