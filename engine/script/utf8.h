/*
 * utf8.h - what is UTF-8 (RFC 3629) and what is not.
 */
#ifndef FRI_UTF8_H
#define FRI_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Length of the character at s, of which n > 0 bytes are there; 0 when it is
 * none: cut short, overlong, a surrogate, or beyond U+10FFFF. */
static inline size_t fri_utf8_step(const char *s, size_t n)
{
    const unsigned char *c = (const unsigned char *)s;
    size_t length = c[0] < 0xE0 ? 2 : c[0] < 0xF0 ? 3 : 4;
    uint32_t code;

    if (c[0] < 0x80)
        return 1;
    if (c[0] < 0xC2 || c[0] > 0xF4 || n < length)
        return 0;
    code = c[0] & (0x7Fu >> length);
    for (size_t i = 1; i < length; i++) {
        if ((c[i] & 0xC0) != 0x80)
            return 0;
        code = code << 6 | (c[i] & 0x3Fu);
    }
    if ((length == 3 && (code < 0x800 || (code >= 0xD800 && code < 0xE000)))
        || (length == 4 && (code < 0x10000 || code > 0x10FFFF)))
        return 0;
    return length;
}

/* True when all of it is UTF-8; else *bad is the first byte that is not. */
static inline bool fri_utf8_valid(const char *s, size_t n, size_t *bad)
{
    size_t i = 0;

    while (i < n) {
        uint64_t eight;
        size_t step;

        if (n - i >= 8) {
            memcpy(&eight, s + i, 8);
            if ((eight & UINT64_C(0x8080808080808080)) == 0) {
                i += 8;
                continue;
            }
        }
        step = fri_utf8_step(s + i, n - i);
        if (step == 0) {
            *bad = i;
            return false;
        }
        i += step;
    }
    return true;
}

/* Writes a character below U+110000 that is no surrogate; its length. */
static inline size_t fri_utf8_write(uint32_t code, char out[4])
{
    size_t length = code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;

    for (size_t i = length; i-- > 1; code >>= 6)
        out[i] = (char)(0x80 | (code & 0x3F));
    if (length > 1)
        code |= 0xF00u >> length & 0xF0u;
    out[0] = (char)code;
    return length;
}

#endif
