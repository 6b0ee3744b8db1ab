/*
 * frame.h - how frames stand in a ring: for the files of the channel.
 *
 * A frame is a header and a payload, padded to 8 bytes, in one piece: what is
 * left at the end of the ring is skipped, by a header that says so or, where
 * none fits, by both sides alike.
 */
#ifndef FRI_FRAME_H
#define FRI_FRAME_H

#include "base/hash.h"
#include "pools/forks/channel.h"

enum {
    FRI_FRAME_MAGIC = 0x46525546,
    FRI_LARGE = 1, /* flags: the payload is in a memfd */
    FRI_SKIP = 2   /* the rest of the ring up to its end */
};

struct fri_header {
    uint32_t magic;
    uint16_t kind, flags;
    uint64_t length;
    uint64_t check;
};

struct fri_letter {
    struct fri_letter *next;
    struct fri_header header;
    int fds[FRI_FDS];
    unsigned fd_count;
    uint8_t bytes[];
};

static inline uint64_t fri_header_check(const struct fri_header *h)
{
    return fri_mix(h->length ^ ((uint64_t)h->kind << 48)
                   ^ ((uint64_t)h->flags << 32) ^ h->magic);
}

static inline size_t fri_padded(size_t n)
{
    return (n + 7) & ~(size_t)7;
}

/* Bytes of the payload that stand in the ring. */
static inline size_t fri_inside(const struct fri_header *h)
{
    return h->flags & FRI_LARGE ? 0 : (size_t)h->length;
}

/* Where the frame after one of this size begins. */
static inline uint64_t fri_behind(uint64_t at, uint64_t size)
{
    uint64_t left;

    at += size;
    left = FRI_RING - at % FRI_RING;
    return left < sizeof(struct fri_header) ? at + left : at;
}

/* One bell, and descriptors.  False: errno. */
bool fri_channel_bell(struct fri_channel *c, const int *fds, unsigned count);

#endif
