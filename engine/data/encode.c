/*
 * encode.c - values as bytes.
 *
 * What the format cannot tell apart does not survive: an empty map is read as
 * an empty list, and a pair whose item is null is left out, as in Lua.
 */
#include "data/codec.h"

#include "data/value.h"

enum { FEW_NUMBERS = 4 }; /* shorter lists are written one by one */

struct writer {
    struct fri_buffer *b;
    struct fri_met met; /* shared tables and the numbers of their parts */
    uint64_t parts;
    int depth;
    bool refs; /* a REF was written */
};

static frun_status write_value(struct writer *w, const frun_value *v);

static bool is_numbers(const frun_value *list)
{
    if (list->u.length < FEW_NUMBERS)
        return false;
    for (size_t i = 0; i < list->u.length; i++)
        if (fri_slot_at(list, i)->kind != FRUN_NUM)
            return false;
    return true;
}

static void write_numbers(struct fri_buffer *b, const frun_value *list)
{
    size_t n = list->u.length;

    fri_buffer_byte(b, FRI_NUMS);
    fri_put_varint(b, n);
    if (!fri_buffer_reserve(b, 8 * n))
        return;
    for (size_t i = 0; i < n; i++, b->length += 8)
        memcpy(b->data + b->length, &fri_slot_at(list, i)->u.real, 8);
}

static frun_status write_list(struct writer *w, const frun_value *list)
{
    frun_status status = FRUN_OK;

    if (is_numbers(list)) {
        write_numbers(w->b, list);
        return FRUN_OK;
    }
    fri_buffer_byte(w->b, FRI_TABLE);
    fri_put_varint(w->b, list->u.length);
    fri_put_varint(w->b, 0);
    for (size_t i = 0; i < list->u.length && status == FRUN_OK; i++)
        status = write_value(w, fri_slot_at(list, i));
    return status;
}

/* How many pairs at the beginning are those of a Lua array. */
static size_t count_items(const frun_value *map)
{
    size_t i, pairs = map->u.length / 2;

    for (i = 0; i < pairs; i++) {
        const frun_value *key = fri_slot_at(map, 2 * i);

        if (key->kind != FRUN_INT || key->u.whole != (int64_t)i + 1 ||
            fri_slot_at(map, 2 * i + 1)->kind == FRUN_NULL)
            break;
    }
    return i;
}

static frun_status write_pairs(struct writer *w, const frun_value *map,
                               size_t slot)
{
    frun_status status = FRUN_OK;

    for (; slot < map->u.length && status == FRUN_OK; slot += 2) {
        const frun_value *item = fri_slot_at(map, slot + 1);

        if (item->kind == FRUN_NULL)
            continue;
        status = write_value(w, fri_slot_at(map, slot));
        if (status == FRUN_OK)
            status = write_value(w, item);
    }
    return status;
}

static frun_status write_map(struct writer *w, const frun_value *map)
{
    size_t items = count_items(map), pairs = 0;
    frun_status status = FRUN_OK;

    for (size_t i = 2 * items; i < map->u.length; i += 2)
        pairs += fri_slot_at(map, i + 1)->kind != FRUN_NULL;
    fri_buffer_byte(w->b, FRI_TABLE);
    fri_put_varint(w->b, items);
    fri_put_varint(w->b, pairs);
    for (size_t i = 0; i < items && status == FRUN_OK; i++)
        status = write_value(w, fri_slot_at(map, 2 * i + 1));
    return status == FRUN_OK ? write_pairs(w, map, 2 * items) : status;
}

static frun_status write_table(struct writer *w, const frun_value *v)
{
    const uint64_t *part = v->shared ? fri_met_find(&w->met, v) : NULL;
    frun_status status;

    if (part) {
        fri_buffer_byte(w->b, FRI_REF);
        fri_put_varint(w->b, *part);
        w->refs = true;
        return FRUN_OK;
    }
    if (w->depth == FRI_DEPTH)
        return FRUN_EUNSENDABLE;
    if (v->shared && !fri_met_add(&w->met, v, w->parts))
        return FRUN_ENOMEM;
    w->parts++;
    w->depth++;
    status = v->kind == FRUN_LIST ? write_list(w, v) : write_map(w, v);
    w->depth--;
    return status;
}

static frun_status write_value(struct writer *w, const frun_value *v)
{
    switch (frun_value_kind(v)) {
    case FRUN_NULL:
        fri_buffer_byte(w->b, FRI_NIL);
        break;
    case FRUN_BOOL:
        fri_buffer_byte(w->b, v->u.truth ? FRI_TRUE : FRI_FALSE);
        break;
    case FRUN_INT:
        fri_put_int(w->b, v->u.whole);
        break;
    case FRUN_NUM:
        fri_put_num(w->b, v->u.real);
        break;
    case FRUN_STR:
        fri_put_str(w->b, FRI_STR, fri_bytes(v), v->u.length);
        break;
    default:
        return write_table(w, v);
    }
    return w->b->failed ? FRUN_ENOMEM : FRUN_OK;
}

/* Nothing is left behind by a failure. */
static frun_status write_all(struct writer *w, const frun_value *value)
{
    size_t before = w->b->length;
    frun_status status = write_value(w, value);

    fri_met_free(&w->met);
    if (w->b->failed)
        status = FRUN_ENOMEM;
    if (status != FRUN_OK)
        w->b->length = before;
    return status;
}

frun_status fri_encode(struct fri_buffer *b, const frun_value *value)
{
    struct writer w = { .b = b, .met.memory = b->memory };

    return write_all(&w, value);
}

frun_status fri_encode_try(const frun_value *value)
{
    struct fri_buffer room;
    frun_status status;

    fri_buffer_init(&room, NULL);
    status = fri_encode(&room, value);
    fri_buffer_free(&room);
    return status;
}

frun_status fri_value_pack(struct fri_buffer *b, const frun_value *value)
{
    struct writer w = { .b = b, .met.memory = b->memory };
    size_t before = b->length;
    frun_status status;

    fri_buffer_byte(b, 0);
    fri_put_varint(b, 1);
    status = write_all(&w, value);
    if (status != FRUN_OK)
        b->length = before;
    else if (w.refs)
        b->data[before] = FRI_HAS_REFS;
    return status;
}
