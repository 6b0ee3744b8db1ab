/*
 * show.h - encoded values as a short text for people: what a task was called
 * with.
 */
#ifndef FRI_SHOW_H
#define FRI_SHOW_H

#include "base/buffer.h"

/* Appends the values of a sequence, a comma between two; about `most` bytes at
 * most, what is left out is shown as "...".  Strings are quoted, control
 * characters escaped. */
void fri_show(struct fri_buffer *out, const void *bytes, size_t length,
              size_t most);

/* The same for one value alone. */
void fri_show_value(struct fri_buffer *out, const void *bytes, size_t length,
                    size_t most);

/* A task's key, a sequence of one string, number or boolean, as Lua's tostring
 * shows it: raw. */
void fri_show_key(struct fri_buffer *out, const void *bytes, size_t length);

#endif
