/*
 * document.h - what the readers of YAML and JSON share: bounds, positions,
 * errors, and the fields of a table.
 *
 * The bounds keep the worst input that they allow below 5 s and 512 MiB:
 * 64 MiB of text, of which 1,000,000 tables of one field each are the dearest
 * (measured with 1,500,000: 3 s and 380 MiB, most of the time within Lua's own
 * hash tables).
 */
#ifndef FRI_DOCUMENT_H
#define FRI_DOCUMENT_H

#include "script/compat.h"

#include <stdbool.h>
#include <stddef.h>

enum {
    FRI_DOCUMENT_BYTES = 64 << 20, /* of text */
    FRI_DOCUMENT_NODES = 2000000,  /* in the text; keys do not count */
    FRI_DOCUMENT_COPIES = 1000000, /* nodes that aliases stand for */
    FRI_DOCUMENT_ANCHORS = 100000,
    FRI_DOCUMENT_DEPTH = 100 /* tables in tables */
};

struct fri_document {
    lua_State *L;
    const char *name; /* what errors call it: a path, or "text" */
    const char *text; /* closed by a NUL that is not part of it */
    size_t length;
    size_t nodes;
};

/* Raises "name:line:column: ..."; lines and columns count from 1. */
void fri_document_fail(struct fri_document *d, size_t line, size_t column,
                       const char *format, ...)
    __attribute__((noreturn, format(printf, 4, 5)));

/* Line and column (in characters) of a byte. */
void fri_document_where(const struct fri_document *d, size_t offset,
                        size_t *line, size_t *column);

/* What is wrong with the key on the top of the stack; NULL when nothing is. */
const char *fri_document_key_fault(lua_State *L);

/* From the stack ..., key, value: sets the field of the table at index and
 * pops both.  False when the key is there already; then both stay.  The slot
 * after the table holds nil, or the set of keys whose value was null. */
bool fri_document_put(lua_State *L, int table);

/* The key at index as it may stand in a message: short and printable. */
const char *fri_document_show(lua_State *L, int index, char out[64]);

/* A whole number in digits: pushes it in its everyday form, or gives false
 * when it is beyond 64 bits. */
bool fri_document_int(lua_State *L, const char *digits, size_t length);

#endif
