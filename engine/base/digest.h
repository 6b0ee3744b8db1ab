/*
 * digest.h - BLAKE2b with 128 bits of output (RFC 7693, section 3; no key).
 *
 * For what is kept in files: the same in every process, on every machine.
 */
#ifndef FRI_DIGEST_H
#define FRI_DIGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FRI_DIGEST = 16, FRI_DIGEST_BLOCK = 128 };

struct fri_digest {
    uint8_t bytes[FRI_DIGEST];
};

struct fri_digester {
    uint64_t state[8], length;
    size_t filled;
    uint8_t block[FRI_DIGEST_BLOCK];
};

void fri_digest_begin(struct fri_digester *d);
void fri_digest_more(struct fri_digester *d, const void *bytes, size_t n);
struct fri_digest fri_digest_end(struct fri_digester *d);

static inline void fri_digest_add(struct fri_digester *d, const void *bytes,
                                  size_t n)
{
    if (n < FRI_DIGEST_BLOCK - d->filled) {
        memcpy(d->block + d->filled, bytes, n);
        d->filled += n;
    } else {
        fri_digest_more(d, bytes, n);
    }
}

static inline void fri_digest_byte(struct fri_digester *d, uint8_t byte)
{
    fri_digest_add(d, &byte, 1);
}

/* Little-endian, like all numbers here: what is big-endian is not supported
 * (data/codec.h). */
static inline void fri_digest_number(struct fri_digester *d, uint64_t n)
{
    fri_digest_add(d, &n, 8);
}

/* A length, then so many bytes: no two lists of texts are alike. */
static inline void fri_digest_text(struct fri_digester *d, const void *bytes,
                                   size_t n)
{
    fri_digest_number(d, n);
    fri_digest_add(d, bytes, n);
}

struct fri_digest fri_digest_of(const void *bytes, size_t n);

static inline bool fri_digest_same(const struct fri_digest *a,
                                   const struct fri_digest *b)
{
    return memcmp(a->bytes, b->bytes, FRI_DIGEST) == 0;
}

#endif
