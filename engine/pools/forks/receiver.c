/*
 * receiver.c - frames in: nothing that the other side wrote is trusted.
 */
#define _GNU_SOURCE
#include "pools/forks/frame.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_well(const struct fri_header *h, uint64_t at, uint64_t there)
{
    size_t inside = fri_inside(h);

    return h->magic == FRI_FRAME_MAGIC && h->check == fri_header_check(h)
           && (h->flags & ~(unsigned)(FRI_LARGE | FRI_SKIP)) == 0
           && (h->flags & FRI_LARGE || h->length <= FRI_RING)
           && sizeof *h + fri_padded(inside) <= there
           && at % FRI_RING + sizeof *h + inside <= FRI_RING;
}

/* Rule 3: its size is what the frame says, and it cannot change any more. */
static bool map_large(struct fri_channel *c, const struct fri_header *h,
                      struct fri_frame *f)
{
    int wanted = F_SEAL_SHRINK | F_SEAL_WRITE, fd = fri_channel_fd(c);
    struct stat st;

    if (fd < 0)
        return false;
    if (fstat(fd, &st) == 0 && (uint64_t)st.st_size == h->length
        && h->length > 0
        && (fcntl(fd, F_GET_SEALS) & wanted) == wanted)
        f->mapped = mmap(NULL, (size_t)h->length, PROT_READ,
                         MAP_PRIVATE | MAP_POPULATE, fd, 0);
    close(fd);
    if (f->mapped == MAP_FAILED)
        f->mapped = NULL;
    f->bytes = f->mapped;
    return f->mapped != NULL;
}

/* The header at the place, which is checked; false: there is none. */
static bool read_header(struct fri_channel *c, uint64_t at,
                        struct fri_header *h)
{
    uint64_t head = atomic_load_explicit(&c->in->head, memory_order_acquire);
    uint64_t there = head - at;

    if (there == 0)
        return false;
    if (there > FRI_RING || there < sizeof *h || at % 8 != 0)
        c->bad = true;
    else
        memcpy(h, c->in->bytes + at % FRI_RING, sizeof *h);
    if (!c->bad && !is_well(h, at, there))
        c->bad = true;
    return !c->bad;
}

/* The place and the header of the next frame; false: there is none. */
static bool find_frame(struct fri_channel *c, uint64_t *at,
                       struct fri_header *h)
{
    *at = c->taken;
    if (c->bad || !read_header(c, *at, h))
        return false;
    if (!(h->flags & FRI_SKIP))
        return true;
    *at += sizeof *h + h->length;
    if (*at % FRI_RING != 0 || !read_header(c, *at, h) || h->flags & FRI_SKIP)
        c->bad = true;
    return !c->bad;
}

static void in_ring(struct fri_channel *c, struct fri_frame *f, uint64_t at,
                    const struct fri_header *h)
{
    memset(f, 0, sizeof *f);
    f->kind = h->kind;
    f->length = (size_t)h->length;
    f->bytes = c->in->bytes + at % FRI_RING + sizeof *h;
    f->next = fri_behind(at, sizeof *h + fri_padded(fri_inside(h)));
}

bool fri_channel_peek(struct fri_channel *c, struct fri_frame *f)
{
    struct fri_header h;
    uint64_t at;

    if (!fri_channel_has(c) || !find_frame(c, &at, &h) || h.flags & FRI_LARGE)
        return false;
    in_ring(c, f, at, &h);
    return true;
}

bool fri_channel_next(struct fri_channel *c, struct fri_frame *f)
{
    struct fri_header h;
    uint64_t at;

    memset(f, 0, sizeof *f);
    if (!find_frame(c, &at, &h))
        return false;
    in_ring(c, f, at, &h);
    if (!(h.flags & FRI_LARGE) || map_large(c, &h, f))
        return true;
    c->bad = true;
    return false;
}

void fri_channel_done(struct fri_channel *c, struct fri_frame *f)
{
    _Atomic uint32_t *waits = c->worker ? &c->page->engine_waits_room
                                        : &c->page->worker_waits_room;

    if (f->mapped)
        munmap(f->mapped, f->length);
    c->taken = f->next;
    atomic_store_explicit(&c->in->tail, f->next, memory_order_release);
    atomic_thread_fence(memory_order_seq_cst);
    if (atomic_load_explicit(waits, memory_order_relaxed)
        && atomic_exchange(waits, 0))
        (void)fri_channel_bell(c, NULL, 0);
}

