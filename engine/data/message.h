/*
 * message.h - an encoded sequence and what it refers to, counted.
 *
 * Immutable once made, so it may be read by any number of threads.  It keeps
 * a reference to each handle and each future that its bytes name.
 */
#ifndef FRI_MESSAGE_H
#define FRI_MESSAGE_H

#include "base/memory.h"

#include <stdatomic.h>
#include <stdint.h>

/* A thing that travels by reference: pools, limits, later queues and their
 * like begin with one. */
struct fri_handle {
    atomic_uint refs;
    uint32_t kind : 8;    /* enum fri_handle_kind */
    uint32_t remote : 24; /* in a worker process: its number in the engine's
                             process, from 1; 0: it has none */
    void (*free)(struct fri_handle *handle); /* the last one has gone */
};

enum fri_handle_kind {
    FRI_HANDLE_POOL = 1,
    FRI_HANDLE_LIMIT,
    FRI_HANDLE_FUTURE,
    FRI_HANDLE_NATIVE,
    FRI_HANDLE_QUEUE,
    FRI_HANDLE_DICT,
    FRI_HANDLE_LOCK,
    FRI_HANDLE_ARRAY,
    FRI_HANDLE_SHARE,
    FRI_HANDLE_KINDS /* one more than the last */
};

static inline void fri_handle_ref(struct fri_handle *h)
{
    atomic_fetch_add_explicit(&h->refs, 1, memory_order_relaxed);
}

static inline void fri_handle_unref(struct fri_handle *h)
{
    if (h && atomic_fetch_sub_explicit(&h->refs, 1, memory_order_acq_rel) == 1)
        h->free(h);
}

struct fri_message {
    atomic_uint refs;
    uint32_t handle_count;
    size_t length;
    const struct fri_memory *memory;
    struct fri_handle **handles; /* inside the block, after the bytes */
    size_t mapped; /* bytes of a mapping that it stands in; 0: allocated */
    uint8_t data[];
};

/* Copies bytes and handles, taking a reference of each handle; NULL when out
 * of memory (no reference is taken then). */
struct fri_message *fri_message_new(const struct fri_memory *m,
                                    const void *bytes, size_t length,
                                    struct fri_handle *const *handles,
                                    uint32_t handle_count);

/* What another process has written into a file of memory, FRI_MESSAGE_ROOM
 * bytes from its beginning; the descriptor stays the caller's.  NULL: errno,
 * ENOMEM or EINVAL: it is not sealed, or of another size. */
enum { FRI_MESSAGE_ROOM = 64 };
struct fri_message *fri_message_map(const struct fri_memory *m, int fd,
                                    size_t length,
                                    struct fri_handle *const *handles,
                                    uint32_t handle_count);

static inline struct fri_message *fri_message_ref(struct fri_message *m)
{
    if (m)
        atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
    return m;
}

void fri_message_free(struct fri_message *message); /* drops a reference */

#endif
