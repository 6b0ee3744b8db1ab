/*
 * rows.c - reading a record that has ended.
 */
#include "report/record_private.h"

#include <stdio.h>

struct fri_record_run *fri_record_run(const struct fri_record *r)
{
    return (struct fri_record_run *)(uintptr_t)&r->run;
}

size_t fri_record_count(const struct fri_record *r)
{
    return r->count;
}

const struct fri_row *fri_record_row(const struct fri_record *r, size_t i)
{
    return &r->blocks[i / FRI_BLOCK][i % FRI_BLOCK];
}

uint64_t fri_record_missing(const struct fri_record *r)
{
    return r->missing;
}

const char *fri_record_text(const struct fri_record *r, uint32_t n,
                            size_t *length)
{
    return fri_texts_get(&r->texts, n, length);
}

size_t fri_record_texts(const struct fri_record *r)
{
    return fri_texts_count(&r->texts);
}

const struct fri_error *fri_record_error(const struct fri_record *r,
                                         uint32_t n)
{
    struct fri_error *const *errors = (void *)r->errors.data;

    return n > 0 ? errors[n - 1] : NULL;
}

const uint64_t *fri_record_after(const struct fri_record *r, uint32_t n,
                                 size_t *count)
{
    const uint64_t *ids = (void *)r->ids.data;

    *count = n > 0 ? (size_t)ids[n] : 0;
    return &ids[n + 1];
}

const uint32_t *fri_record_needs(const struct fri_record *r, uint32_t n,
                                 size_t *pairs)
{
    const uint32_t *needs = (void *)r->needs.data;

    *pairs = n > 0 ? needs[n] : 0;
    return &needs[n + 1];
}

size_t fri_record_pools(const struct fri_record *r)
{
    return r->pools.length / sizeof(struct fri_record_pool);
}

const struct fri_record_pool *fri_record_pool(const struct fri_record *r,
                                              size_t i)
{
    const struct fri_record_pool *pools = (void *)r->pools.data;

    return &pools[i];
}

size_t fri_record_limits(const struct fri_record *r)
{
    return r->limits.length / sizeof(struct fri_record_limit);
}

const struct fri_record_limit *fri_record_limit(const struct fri_record *r,
                                                size_t i)
{
    const struct fri_record_limit *limits = (void *)r->limits.data;

    return &limits[i];
}

const char *fri_record_title(const struct fri_record *r,
                             const struct fri_row *row, char text[32],
                             size_t *length)
{
    int n;

    if (row->name > 0)
        return fri_record_text(r, row->name, length);
    n = snprintf(text, 32, "task %llu", (unsigned long long)row->id);
    if (length)
        *length = (size_t)n;
    return text;
}

static void put_key(const struct fri_record *r, const struct fri_row *row,
                    struct fri_buffer *out)
{
    const char *key;
    size_t length;

    if (row->key_kind == FRI_KEY_NUMBER) {
        fri_buffer_printf(out, "%lld", (long long)row->key);
        return;
    }
    key = fri_record_text(r, (uint32_t)row->key, &length);
    fri_buffer_add(out, key, length);
}

/* "[3..9]": items are counted from 1 for people. */
static void put_items(const struct fri_row *row, struct fri_buffer *out)
{
    fri_buffer_printf(out, " [%lld", (long long)row->key + 1);
    if (row->items > 1)
        fri_buffer_printf(out, "..%lld", (long long)row->key + row->items);
    fri_buffer_byte(out, ']');
}

void fri_record_name(const struct fri_record *r, const struct fri_row *row,
                     struct fri_buffer *out)
{
    char text[32];
    size_t length;
    const char *title = fri_record_title(r, row, text, &length);

    fri_buffer_add(out, title, length);
    if (row->kind == FRI_ROW_SLICE) {
        put_items(row, out);
    } else if (row->key_kind != FRI_KEY_NONE) {
        fri_buffer_text(out, " [");
        put_key(r, row, out);
        fri_buffer_byte(out, ']');
    }
}

const char *fri_row_state(const struct fri_row *row)
{
    return row->state == FRI_DONE        ? "done"
           : row->state == FRI_CANCELLED ? "cancelled"
                                         : "failed";
}
