/*
 * capture.h - what is kept of an output: all of it, or its first and its last
 * part and a notice between them.
 */
#ifndef FRI_CAPTURE_H
#define FRI_CAPTURE_H

#include "base/buffer.h"

#define FRI_CAPTURE_BYTES INT64_C(8388608) /* unless told otherwise */

struct fri_capture {
    struct fri_buffer kept; /* what is beyond `first` goes round, once it is
                               full */
    size_t most;   /* bytes to keep */
    size_t first;  /* of these, of the beginning: once it is full */
    size_t at;     /* where the oldest byte of the rest is */
    uint64_t lost; /* bytes that are no more */
};

void fri_capture_init(struct fri_capture *c, const struct fri_memory *m,
                      uint64_t most);
void fri_capture_free(struct fri_capture *c);

/* Where memory runs out, less is kept. */
void fri_capture_add(struct fri_capture *c, const void *bytes, size_t n);

/* Gives away what was kept, in its order. */
void fri_capture_end(struct fri_capture *c, struct fri_buffer *to);

#endif
