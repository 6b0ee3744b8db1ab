#include "base/digest.h"

static const uint64_t initial[8] = {
    UINT64_C(0x6a09e667f3bcc908), UINT64_C(0xbb67ae8584caa73b),
    UINT64_C(0x3c6ef372fe94f82b), UINT64_C(0xa54ff53a5f1d36f1),
    UINT64_C(0x510e527fade682d1), UINT64_C(0x9b05688c2b3e6c1f),
    UINT64_C(0x1f83d9abfb41bd6b), UINT64_C(0x5be0cd19137e2179),
};

/* Which words of the block each round mixes in; rounds 10 and 11 are as 0
 * and 1. */
static const uint8_t order[10][16] = {
    { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15 },
    { 14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3 },
    { 11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4 },
    { 7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8 },
    { 9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13 },
    { 2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9 },
    { 12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11 },
    { 13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10 },
    { 6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5 },
    { 10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0 },
};

static inline uint64_t rotate(uint64_t x, int n)
{
    return x >> n | x << (64 - n);
}

static inline void mix(uint64_t *v, int a, int b, int c, int d, uint64_t x,
                       uint64_t y)
{
    v[a] += v[b] + x;
    v[d] = rotate(v[d] ^ v[a], 32);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 24);
    v[a] += v[b] + y;
    v[d] = rotate(v[d] ^ v[a], 16);
    v[c] += v[d];
    v[b] = rotate(v[b] ^ v[c], 63);
}

/* With the round known when this is compiled, the words are, too: that is
 * more than twice as fast. */
static inline __attribute__((always_inline)) void
mix_all(uint64_t v[16], const uint64_t m[16], const uint8_t s[16])
{
    mix(v, 0, 4, 8, 12, m[s[0]], m[s[1]]);
    mix(v, 1, 5, 9, 13, m[s[2]], m[s[3]]);
    mix(v, 2, 6, 10, 14, m[s[4]], m[s[5]]);
    mix(v, 3, 7, 11, 15, m[s[6]], m[s[7]]);
    mix(v, 0, 5, 10, 15, m[s[8]], m[s[9]]);
    mix(v, 1, 6, 11, 12, m[s[10]], m[s[11]]);
    mix(v, 2, 7, 8, 13, m[s[12]], m[s[13]]);
    mix(v, 3, 4, 9, 14, m[s[14]], m[s[15]]);
}

static inline void rounds(uint64_t v[16], const uint64_t m[16])
{
    mix_all(v, m, order[0]);
    mix_all(v, m, order[1]);
    mix_all(v, m, order[2]);
    mix_all(v, m, order[3]);
    mix_all(v, m, order[4]);
    mix_all(v, m, order[5]);
    mix_all(v, m, order[6]);
    mix_all(v, m, order[7]);
    mix_all(v, m, order[8]);
    mix_all(v, m, order[9]);
    mix_all(v, m, order[0]);
    mix_all(v, m, order[1]);
}

static void compress(struct fri_digester *d, const uint8_t *block, bool last)
{
    uint64_t v[16], m[16];

    memcpy(m, block, sizeof m);
    memcpy(v, d->state, sizeof d->state);
    memcpy(v + 8, initial, sizeof initial);
    v[12] ^= d->length;
    if (last)
        v[14] = ~v[14];
    rounds(v, m);
    for (int i = 0; i < 8; i++)
        d->state[i] ^= v[i] ^ v[i + 8];
}

void fri_digest_begin(struct fri_digester *d)
{
    memcpy(d->state, initial, sizeof initial);
    d->state[0] ^= 0x01010000 ^ FRI_DIGEST;
    d->length = 0;
    d->filled = 0;
}

/* A full block waits until more comes: the last one is marked. */
void fri_digest_more(struct fri_digester *d, const void *bytes, size_t n)
{
    const uint8_t *p = bytes;

    while (n > 0) {
        size_t room = FRI_DIGEST_BLOCK - d->filled;
        size_t some = n < room ? n : room;

        if (room == 0) {
            d->length += FRI_DIGEST_BLOCK;
            compress(d, d->block, false);
            d->filled = 0;
            continue;
        }
        memcpy(d->block + d->filled, p, some);
        d->filled += some;
        p += some;
        n -= some;
    }
}

struct fri_digest fri_digest_end(struct fri_digester *d)
{
    struct fri_digest result;

    memset(d->block + d->filled, 0, FRI_DIGEST_BLOCK - d->filled);
    d->length += d->filled;
    compress(d, d->block, true);
    memcpy(result.bytes, d->state, FRI_DIGEST);
    return result;
}

struct fri_digest fri_digest_of(const void *bytes, size_t n)
{
    struct fri_digester d;

    fri_digest_begin(&d);
    fri_digest_add(&d, bytes, n);
    return fri_digest_end(&d);
}
