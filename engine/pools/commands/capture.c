/*
 * capture.c - what is kept of an output.
 *
 * Half of it is of the beginning.  Once all is full, the other half goes round;
 * there is room for the notice from then on.
 */
#include "pools/commands/capture.h"

#include <inttypes.h>
#include <stdio.h>

enum { NOTICE = 64 }; /* room for it */

void fri_capture_init(struct fri_capture *c, const struct fri_memory *m,
                      uint64_t most)
{
    *c = (struct fri_capture) {
        .most = most < PTRDIFF_MAX / 2 ? (size_t)most : PTRDIFF_MAX / 2,
    };
    fri_buffer_init(&c->kept, m);
}

void fri_capture_free(struct fri_capture *c)
{
    fri_buffer_free(&c->kept);
}

/* No more is kept than there is now. */
static void fill(struct fri_capture *c)
{
    fri_buffer_reserve(&c->kept, NOTICE);
    c->kept.failed = false;
    c->most = c->kept.length;
    c->first = c->at = c->most / 2;
}

/* Appends what there is room for; how many bytes. */
static size_t append(struct fri_capture *c, const void *bytes, size_t n)
{
    size_t room = c->most - c->kept.length;

    n = n < room ? n : room;
    fri_buffer_add(&c->kept, bytes, n);
    if (c->kept.failed) {
        c->kept.failed = false;
        room = c->kept.capacity - c->kept.length;
        n = n < room ? n : room;
        fri_buffer_add(&c->kept, bytes, n);
        fill(c);
    }
    return n;
}

/* Writes over the oldest of the rest. */
static void go_round(struct fri_capture *c, const uint8_t *bytes, size_t n)
{
    size_t rest = c->most - c->first, part;

    c->lost += n;
    if (rest == 0)
        return;
    if (n > rest) {
        /* They would write over each other. */
        c->at = c->first + (c->at - c->first + (n - rest)) % rest;
        bytes += n - rest;
        n = rest;
    }
    part = n < c->most - c->at ? n : c->most - c->at;
    memcpy(c->kept.data + c->at, bytes, part);
    memcpy(c->kept.data + c->first, bytes + part, n - part);
    c->at += n;
    if (c->at >= c->most)
        c->at -= rest;
}

void fri_capture_add(struct fri_capture *c, const void *bytes, size_t n)
{
    size_t kept = append(c, bytes, n);

    if (kept == n)
        return;
    if (c->lost == 0)
        fill(c);
    go_round(c, (const uint8_t *)bytes + kept, n - kept);
}

/* ---- the end ---------------------------------------------------------- */

static void reverse(uint8_t *from, size_t n)
{
    for (size_t i = 0, k = n; i + 1 < k; i++) {
        uint8_t byte = from[i];

        from[i] = from[--k];
        from[k] = byte;
    }
}

/* Turns the rest so that its oldest byte is first, without more memory. */
static void turn(struct fri_capture *c)
{
    uint8_t *rest = c->kept.data + c->first;
    size_t size = c->most - c->first, old = c->at - c->first;

    reverse(rest, old);
    reverse(rest + old, size - old);
    reverse(rest, size);
}

static void put_notice(struct fri_capture *c)
{
    char text[NOTICE];
    struct fri_buffer *b = &c->kept;
    size_t n = (size_t)snprintf(text, sizeof text,
                                "\n[... %" PRIu64 " bytes were cut ...]\n",
                                c->lost);

    if (!b->data || b->capacity - b->length < n)
        return;
    memmove(b->data + c->first + n, b->data + c->first, c->most - c->first);
    memcpy(b->data + c->first, text, n);
    b->length += n;
}

void fri_capture_end(struct fri_capture *c, struct fri_buffer *to)
{
    if (c->lost > 0 && c->kept.data) {
        turn(c);
        put_notice(c);
    }
    *to = c->kept;
    fri_buffer_init(&c->kept, to->memory);
}
