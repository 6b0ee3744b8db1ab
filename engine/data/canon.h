/*
 * canon.h - what values and functions are, as digests: equal for equal
 * things, in every process and run.
 *
 * A sequence (codec.h) says how a value was written down, which differs from
 * one process to the next: pairs come in the order of a hash table, and parts
 * are numbered in that order.  Here the bytes are read into nodes, and those
 * are walked in an order of their own:
 *
 *     numbers  an integer and a double are not equal, nor are 0.0 and -0.0;
 *              all NaNs are one
 *     tables   items up to the first hole, then all other pairs: integers,
 *              doubles, strings, booleans, each kind sorted, then what has no
 *              order of its own, by digests
 *     sharing  a part that was there before is its number in that order, so
 *              cycles end, and {t, t} is not {t, copy of t}
 *     futures  their first value, as if it stood there
 *     handles  kind and name, or what they hold
 *     names    of things that are found by name, without where they are found
 *
 * A function is parts, each with a name: its source, its upvalues, the globals
 * that it reads, and the same of the functions and modules that it reaches so.
 */
#ifndef FRI_CANON_H
#define FRI_CANON_H

#include "base/digest.h"
#include "data/codec.h"
#include "data/message.h"

/* The user's side of what stands for more than its bytes. */
struct fri_canon_hooks {
    void *user;
    bool version; /* it stands for what functions and modules are made of */
    /* The name of the thing, or NULL. */
    const char *(*handle)(void *user, const struct fri_handle *h);
    /* The sequence whose first value the future has; false: it has none. */
    bool (*future)(void *user, struct fri_handle *h, const void **bytes,
                   size_t *length, struct fri_handle *const **handles,
                   uint32_t *count);
    /* The digest of what the thing holds for good.  1: it is set, 0: there is
     * no such, -1: refused, *why is set. */
    int (*held)(void *user, struct fri_handle *h, struct fri_digest *digest,
                const char **why);
    /* What the script module of that name, n bytes, is made of.  1: *source
     * is set, 0: it is no script module, -1: refused, *why is set. */
    int (*module)(void *user, const char *name, size_t n,
                  struct fri_digest *source, const char **why);
};

/* Of what is part of a key; `name` is not kept. */
struct fri_canon_part {
    const char *name; /* "function", "function mesh.read", "upvalue limit" */
    struct fri_digest digest;
};

struct fri_canon; /* memory that is used again; for one thread at a time */

struct fri_canon *fri_canon_open(const struct fri_memory *m);
void fri_canon_free(struct fri_canon *c);

/* Why the last call failed: a text that may be said after "journal:". */
const char *fri_canon_why(const struct fri_canon *c);

/* Adds the values to *d, the first `most_values` of them; parts[i] gets a short
 * digest of value i, the last of `most` one of all that follow; *count how
 * many were set.  False: why. */
bool fri_canon_values(struct fri_canon *c, const struct fri_canon_hooks *hooks,
                      const void *bytes, size_t length,
                      struct fri_handle *const *handles, uint32_t handle_count,
                      unsigned most_values, struct fri_digester *d,
                      uint64_t *parts, unsigned most, unsigned *count);

/* The parts of the function that is the first value of a sequence, one after
 * the other.  False: why. */
bool fri_canon_function(struct fri_canon *c,
                        const struct fri_canon_hooks *hooks,
                        const struct fri_message *m,
                        void (*part)(void *user,
                                     const struct fri_canon_part *part),
                        void *user);

/* Source marks inside FUNC, behind the code: nothing is known of it; a digest,
 * the function's name, a count of upvalues and their names; or why there is
 * no digest. */
enum { FRI_SOURCE_NONE, FRI_SOURCE_DIGEST, FRI_SOURCE_WHY };

struct fri_source_mark {
    uint8_t kind;
    struct fri_digest digest;
    const char *name; /* or why there is no digest */
    size_t length;
    struct fri_reader names; /* of upvalues, each as behind FRI_STR */
    size_t name_count;
};
struct fri_source_mark fri_source_mark(struct fri_reader *r);

#endif
