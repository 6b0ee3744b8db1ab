/*
 * value.c - making, reading and freeing values.  Freeing does not recurse:
 * depth costs no C stack.
 *
 * An item that is owned already, or that holds the table it is given to,
 * cannot be told from a good one without a search: pushing it is misuse, and
 * ends in a block freed twice.
 */
#include "data/value.h"

#include <stdlib.h>

enum { FIRST_SLOTS = 8 };

#define TWO_TO_63 9223372036854775808.0

/* ---- nodes ------------------------------------------------------------ */

enum { BEFORE = _Alignof(max_align_t) }; /* a hooked node */

const struct fri_memory *fri_value_memory(const frun_value *v)
{
    const struct fri_memory *m = NULL;

    if (v && v->hooked)
        memcpy(&m, (const char *)v - BEFORE, sizeof(m));
    return m;
}

static void *hooked_new(const struct fri_memory *m, size_t size)
{
    char *block = fri_alloc(m, BEFORE + size);
    frun_value *v;

    if (!block)
        return NULL;
    memcpy(block, &m, sizeof(m));
    v = (frun_value *)(void *)(block + BEFORE);
    *v = (frun_value){ .hooked = true };
    return v;
}

void *fri_node_new(const struct fri_memory *m, size_t size)
{
    frun_value *v;

    if (m && m->allocate)
        return hooked_new(m, size);
    v = malloc(size);
    if (v)
        *v = (frun_value){ .hooked = false };
    return v;
}

void fri_node_free(frun_value *v)
{
    if (v->hooked)
        fri_free(fri_value_memory(v), (char *)v - BEFORE);
    else
        free(v);
}

/* ---- scalars ---------------------------------------------------------- */

static const frun_value nothing = { .kind = FRUN_NULL, .fixed = true };
static const frun_value truths[] = {
    { .kind = FRUN_BOOL, .fixed = true, .u.truth = false },
    { .kind = FRUN_BOOL, .fixed = true, .u.truth = true },
};

frun_value *frun_value_null(void)
{
    return fri_fixed(&nothing);
}

frun_value *frun_value_bool(bool b)
{
    return fri_fixed(&truths[b]);
}

frun_value *fri_value_int(const struct fri_memory *m, int64_t i)
{
    frun_value *v = fri_node_new(m, sizeof(*v));

    if (v) {
        v->kind = FRUN_INT;
        v->u.whole = i;
    }
    return v;
}

frun_value *fri_value_num(const struct fri_memory *m, double n)
{
    frun_value *v = fri_node_new(m, sizeof(*v));

    if (v) {
        v->kind = FRUN_NUM;
        v->u.real = n;
    }
    return v;
}

frun_value *fri_value_seen(const struct fri_memory *m,
                           const frun_value *target)
{
    frun_value *v = fri_node_new(m, sizeof(*v));

    if (v) {
        v->kind = FRI_SEEN;
        v->u.target = fri_fixed(target);
    }
    return v;
}

frun_value *fri_value_str(const struct fri_memory *m, const char *bytes,
                          size_t length)
{
    struct fri_string *s = NULL;

    if (!bytes)
        length = 0;
    if (length < PTRDIFF_MAX - BEFORE - sizeof(*s))
        s = fri_node_new(m, sizeof(*s) + length + 1);
    if (!s)
        return NULL;
    s->head.kind = FRUN_STR;
    s->head.u.length = length;
    if (length > 0)
        memcpy(s->bytes, bytes, length);
    s->bytes[length] = '\0';
    return &s->head;
}

frun_value *fri_value_text(const struct fri_memory *m, const char *text)
{
    return fri_value_str(m, text, strlen(text));
}

frun_value *frun_value_int(int64_t i)
{
    return fri_value_int(NULL, i);
}

frun_value *frun_value_num(double n)
{
    return fri_value_num(NULL, n);
}

frun_value *frun_value_str(const char *bytes, size_t length)
{
    return fri_value_str(NULL, bytes, length);
}

/* ---- tables ----------------------------------------------------------- */

static bool grow_slots(struct fri_table *t, size_t capacity)
{
    frun_value **slots = NULL;

    if (capacity <= PTRDIFF_MAX / sizeof(*slots))
        slots = fri_realloc(fri_value_memory(&t->head), t->slots,
                            capacity * sizeof(*slots));
    if (!slots)
        return false;
    t->slots = slots;
    t->capacity = capacity;
    return true;
}

bool fri_table_reserve(struct fri_table *t, size_t n)
{
    if (t->capacity - t->head.u.length >= n)
        return true;
    return grow_slots(t, t->capacity ? t->capacity * 2 : FIRST_SLOTS);
}

frun_value *fri_table_new(const struct fri_memory *m, frun_type kind,
                          size_t slots)
{
    struct fri_table *t = fri_node_new(m, sizeof(*t));

    if (!t)
        return NULL;
    *t = (struct fri_table){ .head = t->head };
    t->head.kind = (uint8_t)kind;
    if (slots > 0 && !grow_slots(t, slots)) {
        fri_node_free(&t->head);
        return NULL;
    }
    return &t->head;
}

frun_value *fri_value_list(const struct fri_memory *m)
{
    return fri_table_new(m, FRUN_LIST, 0);
}

frun_value *fri_value_map(const struct fri_memory *m)
{
    return fri_table_new(m, FRUN_MAP, 0);
}

frun_value *frun_value_list(void)
{
    return fri_value_list(NULL);
}

frun_value *frun_value_map(void)
{
    return fri_value_map(NULL);
}

bool fri_table_add(frun_value *table, frun_value *item)
{
    struct fri_table *t = fri_table_of(table);

    if (!item || !fri_table_reserve(t, 1)) {
        frun_value_free(item);
        return false;
    }
    t->slots[t->head.u.length++] = item;
    return true;
}

frun_status frun_value_push(frun_value *list, frun_value *item)
{
    if (!list || !item) {
        frun_value_free(item);
        return FRUN_ENOMEM;
    }
    if (list->kind != FRUN_LIST || item == list) {
        frun_value_free(item == list ? NULL : item);
        return FRUN_EINVAL;
    }
    return fri_table_add(list, item) ? FRUN_OK : FRUN_ENOMEM;
}

/* ---- reading ---------------------------------------------------------- */

frun_type frun_value_kind(const frun_value *value)
{
    return value ? (frun_type)value->kind : FRUN_NULL;
}

size_t frun_value_length(const frun_value *value)
{
    switch (frun_value_kind(value)) {
    case FRUN_STR:
    case FRUN_LIST:
        return value->u.length;
    case FRUN_MAP:
        return value->u.length / 2;
    default:
        return 0;
    }
}

const frun_value *frun_value_at(const frun_value *value, size_t i)
{
    frun_type kind = frun_value_kind(value);

    if (kind < FRUN_LIST || i >= frun_value_length(value))
        return NULL;
    return fri_slot_at(value, kind == FRUN_LIST ? i : 2 * i + 1);
}

const frun_value *frun_value_key_at(const frun_value *map, size_t i)
{
    if (frun_value_kind(map) != FRUN_MAP || i >= frun_value_length(map))
        return NULL;
    return fri_slot_at(map, 2 * i);
}

bool frun_value_as_bool(const frun_value *value)
{
    return frun_value_kind(value) == FRUN_BOOL && value->u.truth;
}

/* The casts are made only where they are defined. */
int64_t frun_value_as_int(const frun_value *value)
{
    frun_type kind = frun_value_kind(value);
    double n;

    if (kind == FRUN_INT)
        return value->u.whole;
    if (kind != FRUN_NUM)
        return 0;
    n = value->u.real;
    if (!(n >= -TWO_TO_63 && n < TWO_TO_63) || (double)(int64_t)n != n)
        return 0;
    return (int64_t)n;
}

double frun_value_as_num(const frun_value *value)
{
    frun_type kind = frun_value_kind(value);
    double n;

    if (kind == FRUN_NUM)
        return value->u.real;
    if (kind != FRUN_INT)
        return 0;
    n = (double)value->u.whole;
    return n < TWO_TO_63 && (int64_t)n == value->u.whole ? n : 0;
}

const char *frun_value_as_str(const frun_value *value)
{
    return frun_value_kind(value) == FRUN_STR ? fri_bytes(value) : "";
}

/* ---- freeing ---------------------------------------------------------- */

static frun_value *take_last(struct fri_table *t)
{
    frun_value *last = t->retired;

    if (t->head.u.length > 0)
        return t->slots[--t->head.u.length];
    t->retired = NULL;
    return last;
}

/* Empties the innermost table first; each knows the one above it. */
static void free_table(struct fri_table *t)
{
    t->above = NULL;
    while (t) {
        frun_value *item = take_last(t);
        struct fri_table *above = t->above;

        if (item && fri_is_table(item)) {
            fri_table_of(item)->above = t;
            t = fri_table_of(item);
        } else if (item) {
            frun_value_free(item);
        } else {
            const struct fri_memory *m = fri_value_memory(&t->head);

            fri_free(m, t->slots);
            fri_free(m, t->places);
            fri_node_free(&t->head);
            t = above;
        }
    }
}

void frun_value_free(frun_value *value)
{
    if (!value || value->fixed)
        return;
    if (fri_is_table(value))
        free_table(fri_table_of(value));
    else
        fri_node_free(value);
}
