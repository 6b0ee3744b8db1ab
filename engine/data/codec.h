/*
 * codec.h - values as bytes: one format for threads, processes and files.
 *
 * A sequence is what one message carries:
 *
 *     flags  count  value ... (count of them)
 *
 * `flags` is one byte (FRI_HAS_REFS: a REF occurs, so the reader must keep
 * the parts it makes), `count` a varint.  A value is one tag byte and what
 * the tag says; numbers of bytes, items and parts are varints (LEB128).
 *
 *     00..7f        the integer 0..127
 *     80..bf        a string of 0..63 bytes
 *     NIL FALSE TRUE
 *     INT           zigzag varint
 *     NUM           8 bytes, IEEE 754, little endian
 *     I64           8 bytes: flow.int where the VM's numbers are doubles
 *     STR           length, bytes
 *     TABLE         items, pairs, item ..., (key value) ...
 *     OBJECT        the same, then the metatable
 *     NUMS, INTS    count, 8 bytes each: a list of numbers of one subtype
 *     REF           number of a part that came before
 *     FUNC          length, so many bytes: a Lua function, laid out by
 *                   engine/script/function.c and opaque to others
 *     NAME          a string: a thing found by name over there
 *     ENV           the globals of the function that reads it
 *     HANDLE        index in the message's handles
 *     FUTURE        index in the handles: the first value of that future
 *     POISON        a string: why a global could not travel
 *
 * Parts that can be shared are numbered from 0 in the order in which they
 * begin: TABLE OBJECT NUMS INTS FUNC.  Keys are never NIL or NaN; a pair's
 * value is never NIL.  Nesting is bounded by FRI_DEPTH.
 *
 * Reading never trusts a length: every reader checks against the end, and
 * what is promised to follow must fit in the bytes that are left.  After the
 * first malformed byte a reader is `bad` and gives only zeros.
 */
#ifndef FRI_CODEC_H
#define FRI_CODEC_H

#include "base/buffer.h"
#include "flowrun.h"

enum {
    FRI_HAS_REFS = 1, /* flags */

    FRI_DEPTH = 200, /* tables in tables; the readers and writers recurse */

    FRI_SMALL_INT = 0x7f,
    FRI_SHORT_STR = 0x80, /* .. 0xbf */
    FRI_SHORT_MAX = 63,

    FRI_NIL = 0xc0,
    FRI_FALSE,
    FRI_TRUE,
    FRI_INT,
    FRI_NUM,
    FRI_I64,
    FRI_STR,
    FRI_TABLE,
    FRI_OBJECT,
    FRI_NUMS,
    FRI_INTS,
    FRI_REF,
    FRI_FUNC,
    FRI_NAME,
    FRI_ENV,
    FRI_HANDLE,
    FRI_FUTURE,
    FRI_POISON,
    FRI_TAG_END
};

/* ---- writing ---------------------------------------------------------- */

static inline void fri_put_varint(struct fri_buffer *b, uint64_t n)
{
    if (!fri_buffer_reserve(b, 10))
        return;
    for (; n >= 0x80; n >>= 7)
        b->data[b->length++] = (uint8_t)(n | 0x80);
    b->data[b->length++] = (uint8_t)n;
}

static inline void fri_put_raw64(struct fri_buffer *b, uint8_t tag, uint64_t n)
{
    if (!fri_buffer_reserve(b, 9))
        return;
    b->data[b->length] = tag;
    memcpy(b->data + b->length + 1, &n, 8);
    b->length += 9;
}

static inline void fri_put_int(struct fri_buffer *b, int64_t i)
{
    if (i >= 0 && i <= FRI_SMALL_INT) {
        fri_buffer_byte(b, (uint8_t)i);
        return;
    }
    fri_buffer_byte(b, FRI_INT);
    fri_put_varint(b, ((uint64_t)i << 1) ^ (uint64_t)(i >> 63));
}

static inline void fri_put_num(struct fri_buffer *b, double n)
{
    uint64_t bits;

    memcpy(&bits, &n, 8);
    fri_put_raw64(b, FRI_NUM, bits);
}

static inline void fri_put_i64(struct fri_buffer *b, int64_t i)
{
    fri_put_raw64(b, FRI_I64, (uint64_t)i);
}

/* tag: FRI_STR, FRI_NAME or FRI_POISON. */
static inline void fri_put_str(struct fri_buffer *b, uint8_t tag,
                               const char *s, size_t length)
{
    if (tag == FRI_STR && length <= FRI_SHORT_MAX) {
        fri_buffer_byte(b, (uint8_t)(FRI_SHORT_STR + length));
    } else {
        fri_buffer_byte(b, tag);
        fri_put_varint(b, length);
    }
    fri_buffer_add(b, s, length);
}

/* ---- reading ---------------------------------------------------------- */

struct fri_reader {
    const uint8_t *at, *end;
    bool bad;
};

static inline void fri_reader_init(struct fri_reader *r, const void *bytes,
                                   size_t length)
{
    r->at = bytes;
    r->end = r->at + length;
    r->bad = false;
}

static inline size_t fri_left(const struct fri_reader *r)
{
    return (size_t)(r->end - r->at);
}

static inline uint64_t fri_bad(struct fri_reader *r)
{
    r->bad = true;
    r->at = r->end;
    return 0;
}

static inline uint8_t fri_get_byte(struct fri_reader *r)
{
    return r->at < r->end ? *r->at++ : (uint8_t)fri_bad(r);
}

static inline uint64_t fri_get_varint(struct fri_reader *r)
{
    uint64_t n = 0;

    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t byte = fri_get_byte(r);

        if (shift == 63 && byte > 1)
            break;
        n |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return n;
    }
    return fri_bad(r);
}

static inline int64_t fri_get_zigzag(struct fri_reader *r)
{
    uint64_t n = fri_get_varint(r);

    return (int64_t)(n >> 1) ^ -(int64_t)(n & 1);
}

static inline uint64_t fri_get_raw64(struct fri_reader *r)
{
    uint64_t n;

    if (fri_left(r) < 8)
        return fri_bad(r);
    memcpy(&n, r->at, 8);
    r->at += 8;
    return n;
}

static inline double fri_get_num(struct fri_reader *r)
{
    uint64_t bits = fri_get_raw64(r);
    double n;

    memcpy(&n, &bits, 8);
    return n;
}

/* A count of things of at least `each` bytes that must still be there. */
static inline size_t fri_get_count(struct fri_reader *r, size_t each)
{
    uint64_t n = fri_get_varint(r);

    return n > fri_left(r) / each ? (size_t)fri_bad(r) : (size_t)n;
}

/* The bytes of a string whose tag was read; NULL when malformed. */
static inline const char *fri_get_str(struct fri_reader *r, uint8_t tag,
                                      size_t *length)
{
    const uint8_t *s;

    *length = tag >= FRI_SHORT_STR && tag < FRI_NIL
                  ? (size_t)(tag - FRI_SHORT_STR)
                  : (size_t)fri_get_varint(r);
    if (r->bad || *length > fri_left(r)) {
        *length = 0;
        fri_bad(r);
        return NULL;
    }
    s = r->at;
    r->at += *length;
    return (const char *)s;
}

/* ---- trees ------------------------------------------------------------ */

/* Appends the value (not a sequence).  Shared parts stay shared.  ENOMEM, or
 * EUNSENDABLE when it is nested deeper than FRI_DEPTH. */
frun_status fri_encode(struct fri_buffer *b, const frun_value *value);

/* Why a value could not be encoded, found out by trying: EUNSENDABLE, ENOMEM,
 * or OK. */
frun_status fri_encode_try(const frun_value *value);

/* Reads one value, the first of its sequence (whole ones: value.h).  Tables
 * become lists (only items) or maps; what only Lua can hold (functions,
 * handles, metatables) is EUNSENDABLE; malformed is EINVAL. */
frun_status fri_decode(const struct fri_memory *m, struct fri_reader *r,
                       frun_value **value);

/* True when `bytes` is a well-formed sequence of known tags, within bounds,
 * with nothing after it.  What the script layer adds is checked for form. */
bool fri_check(const void *bytes, size_t length);

/* The same, and it has nothing but plain values and names: no function, no
 * handle, no future.  Such a sequence may be kept in a file. */
bool fri_check_plain(const void *bytes, size_t length);

#endif
