/*
 * chunk.h - the text of a Lua chunk: where its functions stand, and digests of
 * its tokens, to which space and comments do not belong.
 */
#ifndef FRI_CHUNK_H
#define FRI_CHUNK_H

#include "base/buffer.h"
#include "base/digest.h"

struct fri_span {
    size_t from, to; /* offsets in the text */
};

struct fri_chunk_function {
    struct fri_span span; /* from `function` to behind its `end` */
    size_t list;          /* where its parameters begin, at the "(" */
    struct fri_span name; /* "mesh.read"; empty: it has none */
    int line, list_line, last_line;
    bool method; /* it has a parameter `self` that is not written */
};

struct fri_chunk {
    struct fri_chunk *next;
    const struct fri_memory *memory;
    char *name; /* as Lua has it: "@crash.lua" */
    char *text;
    size_t length;
    struct fri_chunk_function *functions; /* in the order of their ends */
    size_t count, capacity;
    struct fri_span *required; /* names of modules, in calls of require */
    size_t required_count, required_capacity;
    bool whole;  /* each function has its end */
    bool recent; /* its file was changed since the run began */
};

/* Takes the text.  NULL: out of memory. */
struct fri_chunk *fri_chunk_new(const struct fri_memory *m, const char *name,
                                char *text, size_t length);
void fri_chunk_free(struct fri_chunk *c);

struct fri_digest fri_chunk_digest(const struct fri_chunk *c,
                                   struct fri_span span);

/* The token at `from` or behind it, within `to`; empty at the end. */
struct fri_span fri_chunk_token(const struct fri_chunk *c, size_t from,
                                size_t to);

#endif
