#include "base/hash.h"

#include <string.h>

uint64_t fri_hash(const void *bytes, size_t length, uint64_t seed)
{
    const uint64_t m = UINT64_C(0xc6a4a7935bd1e995);
    const unsigned char *p = bytes;
    uint64_t h = seed ^ (length * m), k;

    for (; length >= 8; length -= 8, p += 8) {
        memcpy(&k, p, 8);
        k *= m;
        k ^= k >> 47;
        h = (h ^ (k * m)) * m;
    }
    if (length > 0) {
        k = 0;
        memcpy(&k, p, length);
        h = (h ^ k) * m;
    }
    h = (h ^ (h >> 47)) * m;
    return h ^ (h >> 47);
}
