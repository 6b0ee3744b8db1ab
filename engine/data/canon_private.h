/*
 * canon_private.h - between canon.c, which reads bytes into nodes, and
 * canonwalk.c, which makes digests of them.
 */
#ifndef FRI_CANON_PRIVATE_H
#define FRI_CANON_PRIVATE_H

#include "data/canon.h"

enum { FRI_CELL = 0xff }; /* tag: an upvalue, its value is `child` */

/* Nodes are known by their numbers; 0 is none. */
struct fri_node {
    const uint8_t *at; /* NUMS, INTS, strings, names; FUNC: the source mark */
    union {
        uint64_t bits; /* of a number */
        size_t length; /* of a text, a list of numbers, a table's list */
        struct fri_handle *handle;
    } u;
    uint32_t next;     /* of the same parent */
    uint32_t child;    /* TABLE: items, then key, value ...; OBJECT: then the
                          metatable; FUNC: a table of its own for globals,
                          cells, then globals: name, value ... */
    uint32_t pairs;    /* FUNC: globals */
    uint32_t number;   /* of a part that was walked through; 0: not yet */
    uint8_t tag;       /* REF: `child` is what it refers to */
};

struct fri_pair {
    uint32_t key, value;
    struct fri_digest digest; /* of keys that have no order */
};

struct fri_list {
    uint32_t *items;
    size_t count, capacity;
};

struct fri_canon {
    const struct fri_memory *memory;
    const struct fri_canon_hooks *hooks;
    struct fri_node *nodes;
    size_t node_count, node_capacity;
    struct fri_list parts, cells; /* node numbers, in the order of bytes */
    struct fri_list touched;      /* aside: what was numbered */
    struct fri_pair *pairs;
    size_t pair_count, pair_capacity;
    uint32_t walked; /* parts so far */
    int depth;
    bool aside;   /* what is walked through is forgotten again */
    bool sources; /* what functions are made of counts */
    bool failed;
    char why[512];
    void (*part)(void *user, const struct fri_canon_part *part);
    void *part_user;
};

bool fri_canon_list(struct fri_canon *c, struct fri_list *l, uint32_t item);

/* Sets why, unless there is one; false. */
bool fri_canon_fail(struct fri_canon *c, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A new node; 0: out of memory. */
uint32_t fri_canon_integer(struct fri_canon *c, uint64_t n);

/* Forgets all nodes. */
void fri_canon_begin(struct fri_canon *c, const struct fri_canon_hooks *hooks);

/* Reads the sequence (only its first value with `one`); the first node. */
uint32_t fri_canon_read(struct fri_canon *c, const void *bytes, size_t length,
                        struct fri_handle *const *handles,
                        uint32_t handle_count, bool one);

/* canonpairs.c: adds a pair to the list of them; sorts those from `from`. */
bool fri_canon_pair(struct fri_canon *c, uint32_t key, uint32_t value);
void fri_canon_sort(struct fri_canon *c, size_t from);

/* Has its key an order of its own?  If not, it comes behind those that have. */
bool fri_canon_ordered(const struct fri_canon *c, const struct fri_pair *p);

/* canonwalk.c */
void fri_canon_walk(struct fri_canon *c, struct fri_digester *d,
                    uint32_t node);
struct fri_digest fri_canon_digest(struct fri_canon *c, uint32_t node);

#endif
