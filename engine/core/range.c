#include "core/range.h"

#include "data/codec.h"

enum {
    SLICE_NS = 400000, /* a hand-over of 1 to 10 us is then below 3 % */
    GROWTH = 8,
    SHARES = 4 /* slices that each worker still gets from what is left */
};

struct fri_range *fri_range_new(const struct fri_memory *m, uint64_t count,
                                size_t workers, size_t chunk)
{
    struct fri_range *r = fri_alloc_zero(m, sizeof *r);

    if (!r)
        return NULL;
    r->memory = m;
    r->count = count;
    r->workers = workers ? workers : 1;
    r->fixed = chunk;
    return r;
}

void fri_range_free(struct fri_range *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->piece_count; i++)
        fri_message_free(r->pieces[i].results);
    for (uint64_t i = 0; r->results && i < r->count - r->origin; i++)
        frun_value_free(r->results[i]);
    frun_value_free(r->list);
    if (r->streams_free)
        r->streams_free(r->streams);
    fri_message_free(r->items);
    fri_message_free(r->keys);
    fri_error_free(r->failure);
    fri_free(r->memory, r->drawn);
    fri_free(r->memory, r->results);
    fri_free(r->memory, r->offsets);
    fri_free(r->memory, r->key_offsets);
    fri_free(r->memory, r->pieces);
    fri_free(r->memory, r->back);
    fri_free(r->memory, r);
}

bool fri_range_ready(const struct fri_range *r)
{
    return !atomic_load_explicit(&r->stop, memory_order_relaxed)
           && (r->next < r->count || r->back_count > 0);
}

static uint64_t size_now(struct fri_range *r)
{
    uint64_t left = r->count - r->next, want, share;

    if (r->fixed)
        return r->fixed < left ? r->fixed : left;
    if (r->item_ns == 0)
        return 1;
    want = SLICE_NS / r->item_ns + 1;
    share = left / (SHARES * r->workers) + 1;
    if (r->last > 0 && want > r->last * GROWTH)
        want = r->last * GROWTH;
    want = want < share ? want : share;
    return want < left ? want : left;
}

void fri_range_take(struct fri_range *r, uint64_t *first, uint64_t *end)
{
    r->out++;
    if (r->back_count > 0) {
        struct fri_gap *span = &r->back[r->back_count - 1];

        *first = span->first;
        *end = span->singly ? span->first + 1 : span->end;
        span->first = *end;
        if (*end == span->end)
            r->back_count--;
        return;
    }
    *first = r->next;
    r->last = size_now(r);
    r->next += r->last;
    *end = r->next;
}

bool fri_range_return(struct fri_range *r, uint64_t first, uint64_t end,
                      bool singly)
{
    if (r->back_count == r->back_capacity) {
        size_t want = r->back_capacity ? r->back_capacity * 2 : 4;
        struct fri_gap *back = fri_realloc(r->memory, r->back,
                                            want * sizeof *back);

        if (!back)
            return false;
        r->back = back;
        r->back_capacity = want;
    }
    r->back[r->back_count++] = (struct fri_gap){ first, end, singly };
    return true;
}

bool fri_range_keep(struct fri_range *r, uint64_t first, uint64_t end,
                    struct fri_message *results)
{
    if (r->piece_count == r->piece_capacity) {
        size_t want = r->piece_capacity ? r->piece_capacity * 2 : 16;
        struct fri_piece *pieces = fri_realloc(r->memory, r->pieces,
                                               want * sizeof *pieces);

        if (!pieces) {
            fri_message_free(results);
            return false;
        }
        r->pieces = pieces;
        r->piece_capacity = want;
    }
    r->pieces[r->piece_count++] = (struct fri_piece){ first, end, results };
    return true;
}

void fri_range_measure(struct fri_range *r, uint64_t items, fri_time took)
{
    uint64_t ns = items ? (uint64_t)took / items : 0;

    r->spent += took;
    r->slices++;
    if (items == 0)
        return;
    ns = ns < 1 ? 1 : ns > UINT32_MAX ? UINT32_MAX : ns;
    /* The first slice has one item and pays for the start of the function. */
    r->item_ns = r->item_ns == 0 ? (uint32_t)ns
                                 : (uint32_t)((r->item_ns + 3 * ns) / 4);
    r->item_ns = r->item_ns ? r->item_ns : 1;
}

/* ---- keys ------------------------------------------------------------- */

/* Keys that are all numbers stand there raw, behind a tag. */
static int64_t raw_key(const struct fri_message *keys, uint64_t i)
{
    const uint8_t *at = keys->data + 1 + i * 8;
    double d;
    int64_t n;

    if (keys->data[0] == FRI_INTS) {
        memcpy(&n, at, sizeof n);
        return n;
    }
    memcpy(&d, at, sizeof d);
    return (int64_t)d;
}

/* An item is flags and a value; a message of one is a sequence. */
static struct fri_message *key_message(const struct fri_range *r, uint64_t i)
{
    size_t from = r->key_offsets[i];
    size_t to = i + 1 < r->count - r->origin ? r->key_offsets[i + 1]
                                             : r->keys->length;
    struct fri_message *m = NULL;
    struct fri_buffer b;

    fri_buffer_init(&b, r->memory);
    fri_buffer_byte(&b, r->keys->data[from]);
    fri_put_varint(&b, 1);
    fri_buffer_add(&b, r->keys->data + from + 1, to - from - 1);
    if (!b.failed)
        m = fri_message_new(r->memory, b.data, b.length, NULL, 0);
    fri_buffer_free(&b);
    return m;
}

void fri_range_key(const struct fri_range *r, uint64_t item,
                   struct fri_error *error)
{
    error->number_key = true;
    error->key_number = (int64_t)item + (r->list ? 0 : 1);
    if (!r->keys)
        return;
    if (!r->key_offsets) {
        error->key_number = raw_key(r->keys, item - r->origin);
        return;
    }
    error->key = key_message(r, item - r->origin);
    error->number_key = error->key == NULL;
}
