/*
 * sender.c - frames out: into the ring, the outbox, or a sealed memfd.
 */
#define _GNU_SOURCE
#include "pools/forks/frame.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <unistd.h>

struct fri_buffer *fri_channel_begin(struct fri_channel *c)
{
    c->text.length = 0;
    c->text.failed = false;
    return &c->text;
}

/* None, if what the reader has written there cannot be. */
static uint64_t room(const struct fri_ring *r, uint64_t head)
{
    uint64_t used
        = head - atomic_load_explicit(&r->tail, memory_order_acquire);

    return used < FRI_RING ? FRI_RING - used : 0;
}

static void write_header(struct fri_ring *r, uint64_t at, struct fri_header *h)
{
    h->magic = FRI_FRAME_MAGIC;
    h->check = fri_header_check(h);
    memcpy(r->bytes + at % FRI_RING, h, sizeof *h);
}

/* A frame is never in two pieces: what is left at the end is skipped. */
static bool put(struct fri_channel *c, const struct fri_header *frame,
                const void *bytes)
{
    struct fri_ring *r = c->out;
    struct fri_header h = *frame, skip = { .flags = FRI_SKIP };
    size_t inside = fri_inside(&h);
    uint64_t head = c->written;
    uint64_t size = sizeof h + fri_padded(inside);
    uint64_t to_end = FRI_RING - head % FRI_RING;

    if (room(r, head) < size + (size > to_end ? to_end : 0))
        return false;
    if (size > to_end) {
        skip.length = to_end - sizeof skip;
        write_header(r, head, &skip);
        head += to_end;
    }
    write_header(r, head, &h);
    if (inside > 0)
        memcpy(r->bytes + head % FRI_RING + sizeof h, bytes, inside);
    head = fri_behind(head, size);
    c->written = head;
    atomic_store_explicit(&r->head, head, memory_order_release);
    return true;
}

/* The worker waits until the engine has read something. */
static bool wait_room(struct fri_channel *c)
{
    struct pollfd p = { .fd = c->socket, .events = POLLIN };
    uint64_t tail = atomic_load(&c->out->tail);

    atomic_store(&c->page->worker_waits_room, 1);
    atomic_store(&c->page->engine_sleeps, 1);
    fri_channel_ring(c);
    if (atomic_load(&c->out->tail) != tail)
        return true;
    poll(&p, 1, 100);
    fri_channel_listen(c);
    return !c->ended;
}

static bool send_fds(struct fri_channel *c, const int *fds, unsigned count)
{
    while (!fri_channel_bell(c, fds, count)) {
        struct pollfd p = { .fd = c->socket, .events = POLLOUT };

        if (!c->worker || (errno != EAGAIN && errno != ETOOMANYREFS
                           && errno != EINTR))
            return false;
        poll(&p, 1, 10);
    }
    return true;
}

/* Into the outbox; the descriptors are duplicated. */
static bool keep(struct fri_channel *c, const struct fri_header *h,
                 const void *bytes, const int *fds, unsigned count)
{
    size_t inside = fri_inside(h);
    struct fri_letter *letter = fri_alloc(c->memory, sizeof *letter + inside);

    if (!letter)
        return false;
    letter->next = NULL;
    letter->header = *h;
    letter->fd_count = 0;
    if (inside > 0)
        memcpy(letter->bytes, bytes, inside);
    for (unsigned i = 0; i < count; i++) {
        int fd = fcntl(fds[i], F_DUPFD_CLOEXEC, 3);

        if (fd < 0) {
            while (letter->fd_count > 0)
                close(letter->fds[--letter->fd_count]);
            fri_free(c->memory, letter);
            return false;
        }
        letter->fds[letter->fd_count++] = fd;
    }
    *c->last = letter;
    c->last = &letter->next;
    return true;
}

static bool has_room_for(struct fri_channel *c, const struct fri_header *h)
{
    size_t inside = fri_inside(h);
    return room(c->out, c->written) >= 2 * (sizeof *h + fri_padded(inside));
}

/* Rule 4: the descriptors first, and only if the frame will follow. */
static bool put_with(struct fri_channel *c, const struct fri_header *h,
                     const void *bytes, const int *fds, unsigned count)
{
    if (!has_room_for(c, h))
        return false;
    if (count > 0 && !send_fds(c, fds, count))
        return false;
    return put(c, h, bytes);
}

static bool deliver(struct fri_channel *c, const struct fri_header *h,
                    const void *bytes, const int *fds, unsigned count)
{
    if (c->worker) {
        while (!put_with(c, h, bytes, fds, count))
            if (!wait_room(c))
                return false;
        return true;
    }
    if (!c->first && put_with(c, h, bytes, fds, count))
        return true;
    if (!keep(c, h, bytes, fds, count))
        return false;
    fri_channel_flush(c);
    return true;
}

/* Is there none for it?  Then the worker rings when it has read something;
 * since it may just have done so, it is looked at again. */
static bool lacks_room(struct fri_channel *c, const struct fri_header *h)
{
    if (has_room_for(c, h))
        return false;
    atomic_store(&c->page->engine_waits_room, 1);
    return !has_room_for(c, h);
}

/* The socket may be full of descriptors: some are gone when the worker has
 * read a frame. */
static bool put_letter(struct fri_channel *c, const struct fri_letter *l)
{
    if (put_with(c, &l->header, l->bytes, l->fds, l->fd_count))
        return true;
    atomic_store(&c->page->engine_waits_room, 1);
    return put_with(c, &l->header, l->bytes, l->fds, l->fd_count);
}

void fri_channel_flush(struct fri_channel *c)
{
    struct fri_letter *l;

    while ((l = c->first) != NULL && !lacks_room(c, &l->header)
           && put_letter(c, l)) {
        for (unsigned i = 0; i < l->fd_count; i++)
            close(l->fds[i]);
        c->first = l->next;
        if (!c->first)
            c->last = &c->first;
        fri_free(c->memory, l);
    }
    fri_channel_ring(c);
}

static bool write_all(int fd, const uint8_t *bytes, size_t length)
{
    while (length > 0) {
        size_t some = length < (1 << 30) ? length : (1 << 30);
        ssize_t n = write(fd, bytes, some);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        bytes += n;
        length -= (size_t)n;
    }
    return true;
}

int fri_memory_file(const void *bytes, size_t length, size_t room)
{
    int fd = memfd_create("flowrun", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0
        && (lseek(fd, (off_t)room, SEEK_SET) < 0
            || !write_all(fd, bytes, length)
            || fcntl(fd, F_ADD_SEALS,
                     F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL)
                   != 0)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool send_large(struct fri_channel *c, struct fri_header *h,
                       const int *fds, unsigned count)
{
    int all[FRI_FDS], fd = fri_memory_file(c->text.data, c->text.length, 0);
    bool sent;

    if (fd < 0 || count + 1 > FRI_FDS)
        return false;
    all[0] = fd;
    if (count > 0)
        memcpy(all + 1, fds, count * sizeof *fds);
    h->flags = FRI_LARGE;
    sent = deliver(c, h, NULL, all, count + 1);
    close(fd);
    return sent;
}

bool fri_channel_send(struct fri_channel *c, unsigned kind, const int *fds,
                      unsigned fd_count, bool ring)
{
    struct fri_header h = { .kind = (uint16_t)kind, .length = c->text.length };
    bool sent;

    if (c->text.failed || !c->page || fd_count > FRI_FDS)
        return false;
    if (c->text.length > FRI_FRAME_MOST)
        sent = send_large(c, &h, fds, fd_count);
    else
        sent = deliver(c, &h, c->text.data, fds, fd_count);
    if (c->text.capacity > 8 * FRI_FRAME_MOST) {
        fri_buffer_free(&c->text);
        fri_buffer_init(&c->text, c->memory);
    }
    if (sent && ring)
        fri_channel_ring(c);
    return sent;
}

