#include "report/columns.h"

void fri_column_init(struct fri_column *c, const struct fri_memory *m)
{
    *c = (struct fri_column){0};
    fri_buffer_init(&c->bytes, m);
}

void fri_column_free(struct fri_column *c)
{
    fri_buffer_free(&c->bytes);
}

static void put_number(struct fri_column *c, uint64_t n)
{
    for (; n > 0x7f; n >>= 7)
        fri_buffer_byte(&c->bytes, (uint8_t)(n | 0x80));
    fri_buffer_byte(&c->bytes, (uint8_t)n);
}

static void flush(struct fri_column *c)
{
    uint64_t sign = c->value < 0 ? UINT64_MAX : 0;
    uint64_t zigzag = ((uint64_t)c->value << 1 ^ sign) << 1;

    if (c->count > 1) {
        put_number(c, zigzag | 1);
        put_number(c, c->count);
    } else if (c->count == 1) {
        put_number(c, zigzag);
    }
    c->count = 0;
}

void fri_column_add(struct fri_column *c, int64_t value)
{
    if (value != c->value)
        flush(c);
    c->value = value;
    c->count++;
}

void fri_column_step(struct fri_column *c, int64_t value)
{
    fri_column_add(c, value - c->before);
    c->before = value;
}

static void put_three(struct fri_buffer *to, uint32_t n, size_t bytes)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";
    int i;

    for (i = 0; i < 4; i++)
        fri_buffer_byte(to, i > (int)bytes
                                ? '='
                                : (uint8_t)digits[n >> (18 - 6 * i) & 63]);
}

void fri_column_put(struct fri_column *c, struct fri_buffer *to)
{
    const uint8_t *b;
    size_t i, left;

    flush(c);
    to->failed |= c->bytes.failed;
    for (i = 0; i < c->bytes.length; i += 3) {
        b = c->bytes.data + i;
        left = c->bytes.length - i;
        put_three(to,
                  (uint32_t)b[0] << 16 | (left > 1 ? (uint32_t)b[1] << 8 : 0) |
                      (left > 2 ? b[2] : 0),
                  left < 3 ? left : 3);
    }
}
