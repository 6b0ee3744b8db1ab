/*
 * buffer.h - bytes that grow.
 *
 * A buffer that could not grow is `failed` and stays so: writers need not
 * check each call, only the end.  Nothing is written after a failure.
 */
#ifndef FRI_BUFFER_H
#define FRI_BUFFER_H

#include "base/memory.h"

#include <stdbool.h>
#include <string.h>

struct fri_buffer {
    uint8_t *data;
    size_t length, capacity;
    const struct fri_memory *memory;
    bool failed;
};

void fri_buffer_init(struct fri_buffer *b, const struct fri_memory *m);
void fri_buffer_free(struct fri_buffer *b);

/* Makes room for n more bytes; false when it cannot. */
bool fri_buffer_grow(struct fri_buffer *b, size_t n);

/* Appends text made by printf. */
void fri_buffer_printf(struct fri_buffer *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static inline bool fri_buffer_reserve(struct fri_buffer *b, size_t n)
{
    return b->capacity - b->length >= n ? !b->failed : fri_buffer_grow(b, n);
}

static inline void fri_buffer_add(struct fri_buffer *b, const void *p,
                                  size_t n)
{
    if (n == 0 || !fri_buffer_reserve(b, n))
        return;
    memcpy(b->data + b->length, p, n);
    b->length += n;
}

static inline void fri_buffer_byte(struct fri_buffer *b, uint8_t byte)
{
    if (fri_buffer_reserve(b, 1))
        b->data[b->length++] = byte;
}

static inline void fri_buffer_text(struct fri_buffer *b, const char *text)
{
    fri_buffer_add(b, text, strlen(text));
}

#endif
