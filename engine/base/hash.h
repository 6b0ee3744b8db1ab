/*
 * hash.h - 64-bit hashes: spread, not secrecy.
 */
#ifndef FRI_HASH_H
#define FRI_HASH_H

#include <stddef.h>
#include <stdint.h>

/* The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014). */
static inline uint64_t fri_mix(uint64_t x)
{
    x += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

/* MurmurHash64A (Austin Appleby, public domain). */
uint64_t fri_hash(const void *bytes, size_t length, uint64_t seed);

#endif
