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

/* A <const> whose value may stand in the code of functions: constants.c. */
struct fri_chunk_constant {
    struct fri_span name, all; /* all: its declaration */
    size_t to;                 /* the end of its block */
    size_t depth;              /* blocks around it */
    bool plain;                /* made of literals and other constants */
    bool reached;              /* fri_chunk_reach */
};

/* Which file it was read from, and as of when; zeros: none. */
struct fri_chunk_file {
    int64_t changed; /* ns since 1970 */
    uint64_t inode, size;
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
    struct fri_chunk_constant *constants; /* in the order of the text */
    size_t constant_count, constant_capacity;
    bool whole;  /* each function has its end */
    bool doubtful; /* other text may have been loaded under its name */
    bool told;     /* the modules required in it were (required.c) */
    struct fri_chunk_file file;
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

/* Is the token this word? */
static inline bool fri_is(const struct fri_chunk *c, struct fri_span t,
                          const char *word)
{
    size_t n = strlen(word);

    return t.to - t.from == n && memcmp(c->text + t.from, word, n) == 0;
}

/* constants.c: while reading, a constant whose declaration begins at `declared`
 * and goes on at `at`; false: memory ran out. */
bool fri_chunk_constant(struct fri_chunk *c, size_t declared,
                        struct fri_span name, size_t at, size_t depth);
/* A block ends at `at`; so many are left. */
void fri_chunk_leave(struct fri_chunk *c, size_t depth, size_t at);

/* Sets `reached` of the constants that the span hangs on: any? */
bool fri_chunk_reach(struct fri_chunk *c, struct fri_span span);

#endif
