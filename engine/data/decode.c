/*
 * decode.c - bytes as values.  Nothing of the input is trusted.
 *
 * Every value takes at least a byte, so what the open tables still promise
 * (`owed`) must fit in the bytes that are left: what is allocated ahead is
 * bounded by the input, whatever counts it claims and however it nests.
 */
#include "data/codec.h"

#include "data/value.h"

struct maker {
    const struct fri_memory *memory;
    struct fri_reader *r;
    struct fri_buffer parts; /* a frun_value * each */
    size_t owed;
    int depth;
    bool refs;          /* a REF was read */
    frun_status status; /* the first failure */
};

static frun_value *read_value(struct maker *m);

static frun_value *fail(struct maker *m, frun_status status)
{
    if (m->status == FRUN_OK)
        m->status = status;
    return NULL;
}

static bool add(struct maker *m, frun_value *table, frun_value *item)
{
    if (!fri_table_add(table, item))
        fail(m, FRUN_ENOMEM);
    return m->status == FRUN_OK;
}

static frun_value *read_promised(struct maker *m)
{
    m->owed--;
    return read_value(m);
}

static bool promise(struct maker *m, size_t n)
{
    size_t left = fri_left(m->r);

    if (m->r->bad || left < m->owed || n > left - m->owed) {
        fail(m, FRUN_EINVAL);
        return false;
    }
    m->owed += n;
    return true;
}

/* The next part, with room for so many slots. */
static frun_value *new_part(struct maker *m, frun_type kind, size_t slots)
{
    frun_value *v = fri_table_new(m->memory, kind, slots);

    fri_buffer_add(&m->parts, &v, sizeof(v));
    if (v && !m->parts.failed)
        return v;
    frun_value_free(v);
    return fail(m, FRUN_ENOMEM);
}

static frun_value *part_at(const struct maker *m, size_t i)
{
    frun_value *v;

    memcpy(&v, m->parts.data + i * sizeof(v), sizeof(v));
    return v;
}

static bool read_items(struct maker *m, frun_value *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        frun_value *v = read_promised(m);

        if (!v || !add(m, list, v))
            return false;
    }
    return true;
}

/* The array part of a map: 1, 2, ... are its keys; holes are left out. */
static bool read_numbered(struct maker *m, frun_value *map, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        frun_value *v = read_promised(m);

        if (!v)
            return false;
        if (v->kind == FRUN_NULL)
            continue;
        if (!add(m, map, fri_value_int(m->memory, (int64_t)i + 1))) {
            frun_value_free(v);
            return false;
        }
        if (!add(m, map, v))
            return false;
    }
    return true;
}

static bool can_be_key(const frun_value *v)
{
    return v->kind != FRUN_NULL &&
           (v->kind != FRUN_NUM || v->u.real == v->u.real);
}

static bool read_pairs(struct maker *m, frun_value *map, size_t n)
{
    for (size_t i = 0; i < 2 * n; i++) {
        frun_value *v = read_promised(m);

        if (!v)
            return false;
        if (i % 2 == 0 ? !can_be_key(v) : v->kind == FRUN_NULL) {
            frun_value_free(v);
            fail(m, FRUN_EINVAL);
            return false;
        }
        if (!add(m, map, v))
            return false;
    }
    return true;
}

static bool fill_map(struct maker *m, frun_value *map, size_t items,
                     size_t pairs)
{
    frun_status status;

    if (!read_numbered(m, map, items) || !read_pairs(m, map, pairs))
        return false;
    status = fri_table_finish(map);
    if (status != FRUN_OK)
        fail(m, status);
    return status == FRUN_OK;
}

static frun_value *read_table(struct maker *m)
{
    size_t items = fri_get_count(m->r, 1), pairs = fri_get_count(m->r, 2);
    frun_value *table;
    bool good;

    if (m->depth == FRI_DEPTH)
        return fail(m, FRUN_EINVAL);
    if (!promise(m, items + 2 * pairs))
        return NULL;
    table = pairs ? new_part(m, FRUN_MAP, 2 * (items + pairs))
                  : new_part(m, FRUN_LIST, items);
    if (!table)
        return NULL;
    m->depth++;
    good = pairs ? fill_map(m, table, items, pairs)
                 : read_items(m, table, items);
    m->depth--;
    if (good)
        return table;
    frun_value_free(table);
    return NULL;
}

/* NUMS and INTS. */
static frun_value *read_packed(struct maker *m, uint8_t tag)
{
    size_t n = fri_get_count(m->r, 8);
    frun_value *list;

    if (m->r->bad)
        return fail(m, FRUN_EINVAL);
    list = new_part(m, FRUN_LIST, n);
    if (!list)
        return NULL;
    for (; n > 0; n--) {
        frun_value *v
            = tag == FRI_NUMS
                  ? fri_value_num(m->memory, fri_get_num(m->r))
                  : fri_value_int(m->memory, (int64_t)fri_get_raw64(m->r));

        if (!add(m, list, v)) {
            frun_value_free(list);
            return NULL;
        }
    }
    return list;
}

static frun_value *read_ref(struct maker *m)
{
    uint64_t n = fri_get_varint(m->r);

    if (n >= m->parts.length / sizeof(frun_value *))
        return fail(m, FRUN_EINVAL);
    m->refs = true;
    return fri_value_seen(m->memory, part_at(m, (size_t)n));
}

static frun_value *read_string(struct maker *m, uint8_t tag)
{
    size_t length;
    const char *s = fri_get_str(m->r, tag, &length);

    return s ? fri_value_str(m->memory, s, length) : fail(m, FRUN_EINVAL);
}

static frun_value *read_tagged(struct maker *m, uint8_t tag)
{
    switch (tag) {
    case FRI_NIL:
        return frun_value_null();
    case FRI_FALSE:
    case FRI_TRUE:
        return frun_value_bool(tag == FRI_TRUE);
    case FRI_INT:
        return fri_value_int(m->memory, fri_get_zigzag(m->r));
    case FRI_NUM:
        return fri_value_num(m->memory, fri_get_num(m->r));
    case FRI_I64:
        return fri_value_int(m->memory, (int64_t)fri_get_raw64(m->r));
    case FRI_STR:
        return read_string(m, tag);
    case FRI_TABLE:
        return read_table(m);
    case FRI_NUMS:
    case FRI_INTS:
        return read_packed(m, tag);
    case FRI_REF:
        return read_ref(m);
    default: /* with its metatable, an OBJECT is Lua's as well */
        return fail(m, tag < FRI_TAG_END ? FRUN_EUNSENDABLE : FRUN_EINVAL);
    }
}

/* NULL: m->status says why. */
static frun_value *read_value(struct maker *m)
{
    uint8_t tag = fri_get_byte(m->r);
    frun_value *v;

    if (m->r->bad)
        return fail(m, FRUN_EINVAL);
    if (tag <= FRI_SMALL_INT)
        v = fri_value_int(m->memory, tag);
    else if (tag < FRI_NIL)
        v = read_string(m, tag);
    else
        v = read_tagged(m, tag);
    if (!v)
        return fail(m, FRUN_ENOMEM);
    if (!m->r->bad)
        return v;
    frun_value_free(v);
    return fail(m, FRUN_EINVAL);
}

static void end_reading(struct maker *m)
{
    size_t n = m->parts.length / sizeof(frun_value *);

    if (m->status == FRUN_OK && m->refs)
        for (size_t i = 0; i < n; i++)
            part_at(m, i)->shared = true;
    if (m->status != FRUN_OK)
        fri_bad(m->r);
    fri_buffer_free(&m->parts);
}

/* Numbers the parts from this value on: right for the first of a sequence. */
frun_status fri_decode(const struct fri_memory *memory, struct fri_reader *r,
                       frun_value **value)
{
    struct maker m = { .memory = memory, .r = r, .parts.memory = memory };

    *value = read_value(&m);
    end_reading(&m);
    return m.status;
}

static frun_value *read_several(struct maker *m, size_t n)
{
    frun_value *list
        = promise(m, n) ? fri_table_new(m->memory, FRUN_LIST, n) : NULL;

    if (list && read_items(m, list, n))
        return list;
    frun_value_free(list);
    return fail(m, FRUN_ENOMEM);
}

static frun_value *read_sequence(struct maker *m)
{
    uint8_t flags = fri_get_byte(m->r);
    size_t count = fri_get_count(m->r, 1);
    frun_value *v;

    if (m->r->bad || (flags & ~FRI_HAS_REFS))
        return fail(m, FRUN_EINVAL);
    if (count == 0)
        v = frun_value_null();
    else
        v = count == 1 ? read_value(m) : read_several(m, count);
    if (!v)
        return NULL;
    if (fri_left(m->r) == 0 && (!m->refs || (flags & FRI_HAS_REFS)))
        return v;
    frun_value_free(v);
    return fail(m, FRUN_EINVAL);
}

frun_status fri_value_unpack(const struct fri_memory *memory,
                             const void *bytes, size_t length,
                             frun_value **value)
{
    struct fri_reader r;
    struct maker m = { .memory = memory, .r = &r, .parts.memory = memory };

    fri_reader_init(&r, bytes, length);
    *value = read_sequence(&m);
    end_reading(&m);
    return m.status;
}
