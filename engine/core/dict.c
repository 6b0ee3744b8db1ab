/*
 * dict.c - dicts between tasks: an open hash table of encoded pairs.
 *
 * An entry is the sequence (k, v) as it came, whose key begins at FRI_KEY_AT:
 * nothing is copied, and what is read is a reference to it.  Keys that are
 * whole numbers are written anew as INT when they came as something else.
 */
#include "core/engine.h"

#include "base/hash.h"
#include "data/codec.h"

#include <math.h>

#define TWO_63 9223372036854775808.0

enum { SMALLEST = 8 };

/* A sequence that begins with a key. */
struct keyed {
    struct fri_message *pair; /* a reference */
    uint64_t hash;
    size_t key_length;
};

static const struct fri_memory *memory_of(const struct fri_dict *d)
{
    return &d->thing.engine->memory;
}

/* ---- keys ------------------------------------------------------------- */

/* How a key was written. */
enum form { BAD, FINE, WHOLE };

static enum form read_number(struct fri_reader *r, int64_t *whole)
{
    double n = fri_get_num(r);

    if (isnan(n))
        return BAD;
    if (!(n >= -TWO_63 && n < TWO_63) || n != floor(n))
        return FINE;
    *whole = (int64_t)n;
    return WHOLE;
}

static enum form read_key(struct fri_reader *r, int64_t *whole)
{
    uint8_t tag = fri_get_byte(r);
    size_t length;

    if (tag <= FRI_SMALL_INT || tag == FRI_FALSE || tag == FRI_TRUE)
        return FINE;
    if (tag < FRI_NIL || tag == FRI_STR)
        return fri_get_str(r, tag, &length) ? FINE : BAD;
    switch (tag) {
    case FRI_INT: fri_get_zigzag(r); return FINE;
    case FRI_I64: *whole = (int64_t)fri_get_raw64(r); return WHOLE;
    case FRI_NUM: return read_number(r, whole);
    default: return BAD;
    }
}

/* The same sequence with that key; `rest` is what follows the key. */
static struct fri_message *rekey(const struct fri_message *m, int64_t key,
                                 const uint8_t *rest)
{
    size_t left = (size_t)(m->data + m->length - rest);
    struct fri_message *pair;
    struct fri_buffer b;

    fri_buffer_init(&b, m->memory);
    fri_buffer_add(&b, m->data, FRI_KEY_AT);
    fri_put_int(&b, key);
    fri_buffer_add(&b, rest, left);
    pair = b.failed ? NULL : fri_message_new(m->memory, b.data, b.length,
                                             m->handles, m->handle_count);
    fri_buffer_free(&b);
    return pair;
}

/* False: the outcome says why. */
static bool read_keyed(struct fri_dict *d, struct fri_message *m,
                       unsigned count, struct keyed *k,
                       struct fri_data *outcome)
{
    struct fri_reader r;
    enum form form = BAD;
    int64_t whole = 0;

    if (m && m->length > FRI_KEY_AT && m->data[1] == count) {
        fri_reader_init(&r, m->data + FRI_KEY_AT, m->length - FRI_KEY_AT);
        form = read_key(&r, &whole);
        form = r.bad || (count > 1 && fri_left(&r) == 0) ? BAD : form;
    }
    if (form == BAD) {
        fri_gives_error(&d->thing, outcome, FRUN_EINVAL, NULL);
        return false;
    }
    k->key_length = (size_t)(r.at - m->data) - FRI_KEY_AT;
    k->pair = form == FINE ? fri_message_ref(m) : rekey(m, whole, r.at);
    if (!k->pair) {
        fri_gives_memory(outcome);
        return false;
    }
    if (form == WHOLE) {
        fri_reader_init(&r, k->pair->data + FRI_KEY_AT,
                        k->pair->length - FRI_KEY_AT);
        read_key(&r, &whole);
        k->key_length = (size_t)(r.at - k->pair->data) - FRI_KEY_AT;
    }
    k->hash = fri_hash(k->pair->data + FRI_KEY_AT, k->key_length, 0);
    return true;
}

/* ---- the table -------------------------------------------------------- */

/* The entry of the key, or the free slot where it belongs; the table is not
 * full. */
static struct fri_entry *find(const struct fri_dict *d, const struct keyed *k)
{
    size_t i = k->hash & (d->size - 1);

    for (; d->slots[i].pair; i = (i + 1) & (d->size - 1)) {
        const struct fri_entry *s = &d->slots[i];

        if (s->hash == k->hash && s->key_length == k->key_length
            && memcmp(s->pair->data + FRI_KEY_AT, k->pair->data + FRI_KEY_AT,
                      k->key_length) == 0)
            break;
    }
    return &d->slots[i];
}

static struct fri_entry *find_if_any(const struct fri_dict *d,
                                     const struct keyed *k)
{
    struct fri_entry *s = d->count > 0 ? find(d, k) : NULL;

    return s && s->pair ? s : NULL;
}

static bool resize(struct fri_dict *d, size_t size)
{
    struct fri_entry *old = d->slots;
    struct fri_entry *slots
        = size <= PTRDIFF_MAX / sizeof *slots
              ? fri_alloc_zero(memory_of(d), size * sizeof *slots)
              : NULL;

    if (!slots)
        return false;
    for (size_t i = 0; i < d->size; i++) {
        size_t at = old[i].hash & (size - 1);

        if (!old[i].pair)
            continue;
        while (slots[at].pair)
            at = (at + 1) & (size - 1);
        slots[at] = old[i];
    }
    fri_free(memory_of(d), old);
    d->slots = slots;
    d->size = size;
    return true;
}

/* Takes k->pair; at most three quarters are full.  False: out of memory. */
static bool put(struct fri_dict *d, struct keyed *k)
{
    struct fri_entry *s = find_if_any(d, k);

    if (!s && d->count + 1 > d->size / 4 * 3
        && !resize(d, d->size ? d->size * 2 : SMALLEST)) {
        fri_message_free(k->pair);
        return false;
    }
    if (!s)
        s = find(d, k);
    d->count += !s->pair;
    fri_message_free(s->pair);
    *s = (struct fri_entry){ k->pair, k->hash, k->key_length };
    return true;
}

/* Those behind move up, so that no gap hides them. */
static void drop(struct fri_dict *d, struct fri_entry *s)
{
    size_t mask = d->size - 1, gap = (size_t)(s - d->slots), i = gap;

    fri_message_free(s->pair);
    for (;;) {
        i = (i + 1) & mask;
        if (!d->slots[i].pair)
            break;
        if (((i - d->slots[i].hash) & mask) < ((i - gap) & mask))
            continue;
        d->slots[gap] = d->slots[i];
        gap = i;
    }
    d->slots[gap].pair = NULL;
    if (--d->count == 0) {
        fri_free(memory_of(d), d->slots);
        d->slots = NULL;
        d->size = 0;
    }
}

/* ---- operations ------------------------------------------------------- */

static bool get(struct fri_dict *d, struct fri_message *m,
                struct fri_data *outcome)
{
    struct fri_entry *s;
    struct keyed k;

    if (!read_keyed(d, m, 1, &k, outcome))
        return true;
    s = find_if_any(d, &k);
    fri_message_free(k.pair);
    return s ? fri_gives_message(outcome, fri_message_ref(s->pair))
             : fri_gives_nothing(outcome);
}

static bool set(struct fri_dict *d, struct fri_message *m,
                struct fri_data *outcome)
{
    struct fri_entry *s;
    struct keyed k;

    if (!read_keyed(d, m, 2, &k, outcome))
        return true;
    if (k.pair->data[FRI_KEY_AT + k.key_length] != FRI_NIL)
        return put(d, &k) ? fri_gives_nothing(outcome)
                          : fri_gives_memory(outcome);
    s = find_if_any(d, &k);
    if (s)
        drop(d, s);
    fri_message_free(k.pair);
    return fri_gives_nothing(outcome);
}

/* ---- adding ----------------------------------------------------------- */

/* A number of a dict: of a subtype (the tag) as Lua has them. */
struct number {
    uint8_t tag; /* FRI_INT, FRI_NUM or FRI_I64; 0: it is none */
    int64_t whole;
    double real;
};

static struct number read_value(const struct fri_message *pair, size_t at)
{
    struct number n = { .tag = 0 };
    struct fri_reader r;
    uint8_t tag;

    fri_reader_init(&r, pair->data + at, pair->length - at);
    tag = fri_get_byte(&r);
    if (tag <= FRI_SMALL_INT || tag == FRI_INT) {
        n.whole = tag == FRI_INT ? fri_get_zigzag(&r) : tag;
        n.tag = FRI_INT;
    } else if (tag == FRI_I64) {
        n.whole = (int64_t)fri_get_raw64(&r);
        n.tag = tag;
    } else if (tag == FRI_NUM) {
        n.real = fri_get_num(&r);
        n.tag = tag;
    }
    if (r.bad)
        n.tag = 0;
    return n;
}

static double real_of(struct number n)
{
    return n.tag == FRI_NUM ? n.real : (double)n.whole;
}

/* Whole numbers wrap around, as Lua's do. */
static struct number sum(struct number a, struct number b)
{
    struct number n = { .tag = FRI_NUM };

    if (a.tag == FRI_NUM || b.tag == FRI_NUM) {
        n.real = real_of(a) + real_of(b);
        return n;
    }
    n.tag = a.tag == FRI_I64 || b.tag == FRI_I64 ? FRI_I64 : FRI_INT;
    n.whole = (int64_t)((uint64_t)a.whole + (uint64_t)b.whole);
    return n;
}

/* The sequence (k, n). */
static struct fri_message *pair_of(const struct keyed *k, struct number n)
{
    const struct fri_memory *m = k->pair->memory;
    struct fri_message *pair;
    struct fri_buffer b;

    fri_buffer_init(&b, m);
    fri_buffer_byte(&b, 0);
    fri_buffer_byte(&b, 2);
    fri_buffer_add(&b, k->pair->data + FRI_KEY_AT, k->key_length);
    if (n.tag == FRI_NUM)
        fri_put_num(&b, n.real);
    else if (n.tag == FRI_I64)
        fri_put_i64(&b, n.whole);
    else
        fri_put_int(&b, n.whole);
    pair = b.failed ? NULL : fri_message_new(m, b.data, b.length, NULL, 0);
    fri_buffer_free(&b);
    return pair;
}

static bool add_to(struct fri_dict *d, const struct keyed *k,
                   struct number before, struct number n,
                   struct fri_data *outcome)
{
    struct keyed after = *k;

    if (!before.tag || !n.tag)
        return fri_gives_error(&d->thing, outcome, FRUN_ERROR,
                               n.tag ? "add: the value of that key is no "
                                       "number"
                                     : "add: a number expected");
    after.pair = pair_of(k, sum(before, n));
    if (!after.pair)
        return fri_gives_memory(outcome);
    fri_gives_message(outcome, fri_message_ref(after.pair));
    if (put(d, &after))
        return true;
    fri_message_free(outcome->message);
    return fri_gives_memory(outcome);
}

static bool add(struct fri_dict *d, struct fri_message *m,
                struct fri_data *outcome)
{
    struct number before = { .tag = FRI_INT };
    struct fri_entry *s;
    struct keyed k;
    struct number n;

    if (!read_keyed(d, m, 2, &k, outcome))
        return true;
    s = find_if_any(d, &k);
    if (s)
        before = read_value(s->pair, FRI_KEY_AT + s->key_length);
    n = read_value(k.pair, FRI_KEY_AT + k.key_length);
    add_to(d, &k, before, n, outcome);
    fri_message_free(k.pair);
    return true;
}

/* ---- all of it -------------------------------------------------------- */

static void put_entry(struct fri_buffer *b, const struct fri_message *pair,
                      struct fri_handle **handles, uint32_t *n)
{
    fri_put_str(b, FRI_STR, (const char *)pair->data, pair->length);
    fri_put_int(b, pair->handle_count);
    for (uint32_t i = 0; i < pair->handle_count; i++)
        handles[(*n)++] = pair->handles[i];
}

static struct fri_message *table_of(const struct fri_dict *d,
                                    struct fri_handle **handles)
{
    struct fri_message *m;
    struct fri_buffer b;
    uint32_t n = 0;

    fri_buffer_init(&b, memory_of(d));
    fri_buffer_byte(&b, 0);
    fri_put_varint(&b, 2 * d->count);
    for (size_t i = 0; i < d->size; i++)
        if (d->slots[i].pair)
            put_entry(&b, d->slots[i].pair, handles, &n);
    m = b.failed ? NULL
                 : fri_message_new(memory_of(d), b.data, b.length, handles, n);
    fri_buffer_free(&b);
    return m;
}

static bool table(struct fri_dict *d, struct fri_data *outcome)
{
    struct fri_handle **handles = NULL;
    struct fri_message *m = NULL;
    size_t n = 0;

    for (size_t i = 0; i < d->size; i++)
        n += d->slots[i].pair ? d->slots[i].pair->handle_count : 0;
    if (n <= UINT32_MAX)
        handles = fri_alloc(memory_of(d), (n + 1) * sizeof *handles);
    if (handles)
        m = table_of(d, handles);
    fri_free(memory_of(d), handles);
    return m ? fri_gives_message(outcome, m) : fri_gives_memory(outcome);
}

bool fri_dict_try(struct fri_dict *d, enum fri_shared_op op,
                  struct fri_message *argument, struct fri_data *outcome)
{
    switch (op) {
    case FRI_GET: return get(d, argument, outcome);
    case FRI_SET: return set(d, argument, outcome);
    case FRI_ADD: return add(d, argument, outcome);
    case FRI_ENTRIES: return table(d, outcome);
    case FRI_COUNT: return fri_gives_number(&d->thing, outcome, d->count);
    default:
        return fri_gives_error(&d->thing, outcome, FRUN_EINVAL, NULL);
    }
}

void fri_dict_empty(struct fri_dict *d)
{
    for (size_t i = 0; i < d->size; i++)
        fri_message_free(d->slots[i].pair);
    fri_free(memory_of(d), d->slots);
    d->slots = NULL;
    d->size = d->count = 0;
}
