/*
 * channel.h - between the engine and one worker process: frames.
 *
 * Memory that both have mapped holds a ring of frames each way and a page of
 * words; a socket carries bells, which wake whoever sleeps, and descriptors.
 *
 * Rules.
 *  1. A ring has one writer and one reader; what is written is published last,
 *     so a writer that dies leaves no half frame, and what it has published
 *     is still there for the reader.
 *  2. Nobody waits for the other while writing: the engine puts what finds no
 *     room into an outbox.  A worker waits for room in its own ring.
 *  3. Nothing that the other side wrote is trusted: a frame has a magic word,
 *     a bound and a check word; what is wrong makes the channel `bad`.  What
 *     comes by the socket and is no bell is `noise`: what stands in the ring
 *     is whole still.
 *  4. A descriptor is sent before the frame that speaks of it is published,
 *     and both sides count them in the same order.
 *  5. A slot's state is changed by compare-and-swap only, so whether a task
 *     was begun or taken back is decided in one place (enum fri_slot_state).
 *  6. Who is about to sleep says so in the page, then looks once more; who
 *     has published looks there and rings.  So no bell is missed.  One bell
 *     may say many things: where the engine takes bells off the socket, it
 *     sends what is in the outbox, too.
 *  7. A task may have closed its worker's socket, or put something else in
 *     its place, where no bell ever comes: before a worker sleeps it looks
 *     whether it is the socket that it was.
 */
#ifndef FRI_CHANNEL_H
#define FRI_CHANNEL_H

#include "base/buffer.h"
#include "base/clock.h"

#include <stdatomic.h>
#include <sys/types.h>

enum {
    FRI_SLOTS = 64,        /* tasks in a worker's hand */
    FRI_RING = 128 << 10,  /* bytes, each way */
    FRI_FRAME_MOST = 16 << 10, /* of a payload in the ring; others go through
                                  a sealed memfd */
    FRI_FDS = 16,          /* descriptors that go with one frame */
    FRI_FDS_MOST = 256     /* that wait to be taken up, at the engine's side */
};

enum fri_slot_state {
    FRI_SLOT_FREE,
    FRI_SLOT_HANDED,    /* by the engine */
    FRI_SLOT_BEGUN,     /* by the worker */
    FRI_SLOT_ENDED,     /* by the worker: its result comes */
    FRI_SLOT_REVOKED,   /* by the engine, from HANDED: leave it alone */
    FRI_SLOT_STOPPED,   /* by the engine, from BEGUN: nobody wants its result */
    FRI_SLOT_SUSPENDED  /* by the worker: it waits */
};

struct fri_slot {
    _Atomic uint32_t state;
    _Atomic fri_time began;
};

/* Each word on a line of its own: both sides look at it often. */
struct fri_page {
    _Alignas(64) _Atomic uint32_t worker_sleeps;
    _Alignas(64) _Atomic uint32_t engine_sleeps;
    _Alignas(64) _Atomic uint32_t engine_waits_room;
    _Alignas(64) _Atomic uint32_t worker_waits_room;
    _Alignas(64) _Atomic uint32_t may_spin; /* a core is left for that */
    _Alignas(64) struct fri_slot slots[FRI_SLOTS];
};

struct fri_ring {
    _Alignas(64) _Atomic uint64_t head; /* bytes that were published */
    _Alignas(64) _Atomic uint64_t tail; /* bytes that were read */
    _Alignas(64) uint8_t bytes[FRI_RING];
};

/* What a reader gets: `bytes` are there until fri_channel_done. */
struct fri_frame {
    unsigned kind;
    const uint8_t *bytes;
    size_t length;
    void *mapped; /* a large one; length too */
    uint64_t next; /* where the ring goes on */
};

struct fri_letter; /* in the outbox */

struct fri_channel {
    const struct fri_memory *memory;
    int socket; /* < 0: closed */
    dev_t device; /* which file the worker's socket was at the start */
    ino_t inode;
    struct fri_page *page;
    struct fri_ring *out, *in;
    uint64_t written, taken; /* their head and tail: those in the rings are
                                only published, since others can write there */
    bool worker; /* which side this is */
    bool bad;    /* the other side has written garbage ... */
    bool noise;  /* ... into the socket, which is not read any more */
    bool ended;  /* the other end of the socket was closed */
    int *fds; /* received, not taken up */
    unsigned fd_count, fd_room;
    struct fri_letter *first, **last;
    struct fri_buffer text; /* a frame in the making */
};

/* The engine's side: makes memory and socket; those of the worker are given
 * for it to be started with, and closed by the caller.  False: errno. */
bool fri_channel_make(struct fri_channel *c, const struct fri_memory *m,
                      int *socket, int *memory);

/* The worker's side; both descriptors are taken.  False: errno. */
bool fri_channel_join(struct fri_channel *c, int socket, int memory);
void fri_channel_close(struct fri_channel *c); /* takes a zeroed one */

/* A sealed file of memory with these bytes, `room` zeros before them: the
 * caller's.  < 0: none could be had. */
int fri_memory_file(const void *bytes, size_t length, size_t room);

/* A frame is put into this buffer (its begin), then sent. */
struct fri_buffer *fri_channel_begin(struct fri_channel *c);

/* Sends what is in the buffer, with descriptors that stay the caller's.
 * False: no memory, or (in a worker) the engine has gone.  The engine never
 * waits here.  `ring`: the other one is to be woken if it sleeps. */
bool fri_channel_send(struct fri_channel *c, unsigned kind, const int *fds,
                      unsigned fd_count, bool ring);

/* Wakes the other side if it sleeps; `surely`: whatever stands in the page. */
void fri_channel_ring(struct fri_channel *c);
void fri_channel_ring_surely(struct fri_channel *c);

/* The engine: sends what is in the outbox, as far as it goes. */
void fri_channel_flush(struct fri_channel *c);

/* The next frame; false: there is none, or the channel is bad. */
bool fri_channel_next(struct fri_channel *c, struct fri_frame *f);
void fri_channel_done(struct fri_channel *c, struct fri_frame *f);

/* The same, but for large ones, whose kind is then not told: a frame is left
 * where it is. */
bool fri_channel_peek(struct fri_channel *c, struct fri_frame *f);

/* Is there one? */
static inline bool fri_channel_has(const struct fri_channel *c)
{
    return atomic_load_explicit(&c->in->head, memory_order_acquire)
           != c->taken;
}

/* Takes up the next descriptor that a frame speaks of: the caller's; < 0:
 * there is none. */
int fri_channel_fd(struct fri_channel *c);

/* Reads bells and descriptors off the socket, without waiting. */
void fri_channel_listen(struct fri_channel *c);

/* The worker waits for a frame (or until the deadline); false: time is over,
 * or the engine has gone (`ended`).  Spins first if `spin`. */
bool fri_channel_wait(struct fri_channel *c, fri_time deadline, bool spin);

/* The engine is about to sleep, and wants bells; true: look again first. */
bool fri_channel_sleep(struct fri_channel *c);

static inline bool fri_slot_move(struct fri_slot *s, enum fri_slot_state from,
                                 enum fri_slot_state to)
{
    uint32_t state = (uint32_t)from;

    return atomic_compare_exchange_strong(&s->state, &state, (uint32_t)to);
}

#endif
