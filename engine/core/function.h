/*
 * function.h - a function of the script language as it was when it was handed
 * out: bytes that only the script layer reads.
 *
 * Immutable and counted; equal encodings in one engine are one fri_function.
 */
#ifndef FRI_FUNCTION_H
#define FRI_FUNCTION_H

#include "base/digest.h"
#include "data/message.h"

#include <stdbool.h>

struct fri_function {
    atomic_uint refs;
    uint64_t id;                 /* key of the workers' caches, never reused */
    struct fri_message *message; /* one value: the function */
    char name[48];               /* "crash.lua:12" */
    bool random;                 /* may reach math.random, load or require */
    _Atomic uint32_t item_ns;    /* time of a call, 0: not known */
};

/* What keys of journals know of a value that stays: resume_held.c. */
struct fri_value_key {
    int known; /* 0: not yet; -1: it is refused */
    struct fri_digest digest;
    char why[200];
};

/* The function that workers run first; the keys are without and with a
 * version. */
struct fri_first {
    const struct fri_message *message;
    struct fri_value_key key[2];
};

/* One reference, the caller's; takes one of the message.  NULL: no memory. */
struct fri_function *fri_function_new(struct fri_message *message);
void fri_function_free(struct fri_function *f); /* drops a reference */

/* A call took so long, in the mean of some.  What disturbs a measurement only
 * makes it longer: a shorter one holds at once, a longer one step by step. */
void fri_function_took(struct fri_function *f, uint64_t ns);

/* fri_function_free for a spec. */
void fri_function_drop(void *function);

static inline struct fri_function *fri_function_ref(struct fri_function *f)
{
    if (f)
        atomic_fetch_add_explicit(&f->refs, 1, memory_order_relaxed);
    return f;
}

#endif
