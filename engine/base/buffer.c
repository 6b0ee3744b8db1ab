#include "base/buffer.h"

#include <stdarg.h>
#include <stdio.h>

enum { SMALLEST = 64 };

void fri_buffer_init(struct fri_buffer *b, const struct fri_memory *m)
{
    *b = (struct fri_buffer){ .memory = m };
}

void fri_buffer_free(struct fri_buffer *b)
{
    fri_free(b->memory, b->data);
    b->data = NULL;
    b->length = b->capacity = 0;
}

bool fri_buffer_grow(struct fri_buffer *b, size_t n)
{
    size_t want = b->capacity ? b->capacity * 2 : SMALLEST;
    uint8_t *data;

    if (n > PTRDIFF_MAX - b->length)
        b->failed = true;
    if (b->failed)
        return false;
    if (want < b->length + n)
        want = b->length + n;
    data = fri_realloc(b->memory, b->data, want);
    if (!data) {
        b->failed = true;
        return false;
    }
    b->data = data;
    b->capacity = want;
    return true;
}

void fri_buffer_printf(struct fri_buffer *b, const char *format, ...)
{
    va_list args, again;
    int n;

    va_start(args, format);
    va_copy(again, args);
    n = vsnprintf(NULL, 0, format, args);
    if (n >= 0 && fri_buffer_reserve(b, (size_t)n + 1)) {
        vsnprintf((char *)b->data + b->length, (size_t)n + 1, format, again);
        b->length += (size_t)n;
    }
    va_end(again);
    va_end(args);
}
