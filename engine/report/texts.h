/*
 * texts.h - texts, each once, by number; and how a report writes one.
 *
 * Texts may hold any bytes.  They stand in one block, each with a NUL behind
 * it; numbers begin at 1 and are given in order.
 */
#ifndef FRI_TEXTS_H
#define FRI_TEXTS_H

#include "base/buffer.h"

struct fri_texts {
    struct fri_buffer bytes;
    struct fri_buffer starts; /* size_t each; of text n at n - 1 */
    uint32_t *places;         /* numbers, by hash */
    size_t place_count;       /* a power of two, or 0 */
};

void fri_texts_init(struct fri_texts *t, const struct fri_memory *m);
void fri_texts_free(struct fri_texts *t);

/* The text's number; 0: out of memory. */
uint32_t fri_texts_add(struct fri_texts *t, const char *text, size_t length);

size_t fri_texts_count(const struct fri_texts *t);
const char *fri_texts_get(const struct fri_texts *t, uint32_t n,
                          size_t *length);

/* ---- writing ---------------------------------------------------------- */

/* A JSON string with its quotes; what is not UTF-8 becomes U+FFFD, and no
 * byte is left that could end a script element. */
void fri_put_json(struct fri_buffer *b, const char *text, size_t length);

/* Text for XML content and attributes; what XML cannot hold becomes
 * U+FFFD. */
void fri_put_xml(struct fri_buffer *b, const char *text, size_t length);

/* A number as JSON has it: seconds to the microsecond, never NaN. */
void fri_put_seconds(struct fri_buffer *b, double seconds);

/* One field of a line of a tab-separated file: what would end the field or
 * the line is escaped, as on a terminal. */
void fri_put_field(struct fri_buffer *b, const char *text, size_t length);

#endif
