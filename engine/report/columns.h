/*
 * columns.h - columns of whole numbers, small as text.
 *
 * A column is a sequence of tokens, each a number of LEB128 bytes, the lowest
 * seven bits first: `zigzag(value) << 1`, or with the lowest bit set, followed
 * by a second one: how often the value stands here.  A column of differences
 * holds, in place of each value, what it is more than the one before.  The
 * bytes are written in base64.
 */
#ifndef FRI_COLUMNS_H
#define FRI_COLUMNS_H

#include "base/buffer.h"

struct fri_column {
    struct fri_buffer bytes;
    int64_t before; /* of differences */
    int64_t value;  /* that stands so often, not yet written */
    uint64_t count;
};

void fri_column_init(struct fri_column *c, const struct fri_memory *m);
void fri_column_free(struct fri_column *c);

void fri_column_add(struct fri_column *c, int64_t value);

/* Into a column of differences. */
void fri_column_step(struct fri_column *c, int64_t value);

/* Its base64, without quotes. */
void fri_column_put(struct fri_column *c, struct fri_buffer *to);

#endif
