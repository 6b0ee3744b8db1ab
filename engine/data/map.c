/*
 * map.c - what finds a key in a map.
 *
 * The pairs stand in the slots, in the order in which they came.  A map of
 * more than a few pairs has an index beside them: open addressing over the
 * hashes of the keys.  It is kept up while the map is built, never by a
 * reader, so that readers may be many.
 */
#include "data/value.h"

#include "base/hash.h"

enum { FEW = 8 }; /* pairs that are searched one by one */

struct key {
    uint8_t kind;
    uint32_t hash;
    uint64_t bits;     /* length of a string */
    const char *bytes; /* strings only */
};

static uint64_t bits_of(const frun_value *v)
{
    uint64_t bits;
    double n;

    switch (v->kind) {
    case FRUN_BOOL:
        return v->u.truth;
    case FRUN_INT:
        return (uint64_t)v->u.whole;
    case FRUN_NUM:
        n = v->u.real + 0.0; /* one zero */
        memcpy(&bits, &n, 8);
        return bits;
    case FRUN_STR:
        return v->u.length;
    default:
        return (uintptr_t)v; /* a table is itself only */
    }
}

static struct key string_key(const char *bytes, size_t length)
{
    uint64_t hash = fri_hash(bytes, length, 0);

    return (struct key){ FRUN_STR, (uint32_t)hash, length, bytes };
}

static struct key key_of(const frun_value *v)
{
    uint64_t bits;

    v = fri_look_through(v);
    if (v->kind == FRUN_STR)
        return string_key(fri_bytes(v), v->u.length);
    bits = bits_of(v);
    return (struct key){ v->kind, (uint32_t)fri_mix(bits + v->kind), bits,
                         NULL };
}

static bool is_key(const frun_value *v, const struct key *key)
{
    v = fri_look_through(v);
    return v->kind == key->kind && bits_of(v) == key->bits &&
           (v->kind != FRUN_STR ||
            memcmp(fri_bytes(v), key->bytes, v->u.length) == 0);
}

/* The place of a key, or the free one where it would be. */
static struct fri_place *find_place(const struct fri_table *t,
                                    const struct key *key)
{
    size_t mask = t->place_count - 1, i = key->hash & mask;
    struct fri_place *p;

    for (;; i = (i + 1) & mask) {
        p = &t->places[i];
        if (p->entry == 0)
            return p;
        if (p->hash == key->hash &&
            is_key(t->slots[2 * (size_t)(p->entry - 1)], key))
            return p;
    }
}

/* The slot of a key, or SIZE_MAX. */
static size_t find_key(const struct fri_table *t, const struct key *key)
{
    if (t->places) {
        const struct fri_place *p = find_place(t, key);

        return p->entry ? 2 * (size_t)(p->entry - 1) : SIZE_MAX;
    }
    for (size_t i = 0; i < t->head.u.length; i += 2)
        if (is_key(t->slots[i], key))
            return i;
    return SIZE_MAX;
}

/* Indexes the whole map anew, with room for so many pairs: at most half of
 * the places are taken.  EINVAL: a key twice.  Failing leaves the old index. */
static frun_status index_map(struct fri_table *t, size_t pairs)
{
    size_t used = t->head.u.length / 2;
    const struct fri_memory *m = fri_value_memory(&t->head);
    struct fri_table next = *t;

    if (pairs >= UINT32_MAX)
        return FRUN_ENOMEM;
    for (next.place_count = 4 * FEW; next.place_count < 2 * pairs;)
        next.place_count *= 2;
    next.places = fri_alloc_zero(m, next.place_count * sizeof(*next.places));
    if (!next.places)
        return FRUN_ENOMEM;
    for (size_t i = 0; i < used; i++) {
        struct key key = key_of(t->slots[2 * i]);
        struct fri_place *p = find_place(&next, &key);

        if (p->entry != 0) {
            fri_free(m, next.places);
            return FRUN_EINVAL;
        }
        *p = (struct fri_place){ key.hash, (uint32_t)i + 1 };
    }
    fri_free(m, t->places);
    t->places = next.places;
    t->place_count = next.place_count;
    return FRUN_OK;
}

frun_status fri_table_finish(frun_value *map)
{
    struct fri_table *t = fri_table_of(map);

    if (map->u.length / 2 > FEW)
        return index_map(t, map->u.length / 2);
    for (size_t i = 2; i < map->u.length; i += 2) {
        struct key key = key_of(t->slots[i]);

        for (size_t j = 0; j < i; j += 2)
            if (is_key(t->slots[j], &key))
                return FRUN_EINVAL;
    }
    return FRUN_OK;
}

/* ---- putting and getting ---------------------------------------------- */

/* Appends a pair whose key is new; the item is taken only on success. */
static frun_status add_pair(struct fri_table *t, const struct key *key,
                            frun_value *item)
{
    size_t pairs = t->head.u.length / 2 + 1;
    frun_status status = FRUN_OK;
    frun_value *name;

    if (pairs > FEW && 2 * pairs > t->place_count)
        status = index_map(t, 2 * pairs);
    if (status == FRUN_OK && !fri_table_reserve(t, 2))
        status = FRUN_ENOMEM;
    if (status != FRUN_OK)
        return status;
    name = fri_value_str(fri_value_memory(&t->head), key->bytes, key->bits);
    if (!name)
        return FRUN_ENOMEM;
    if (t->places)
        *find_place(t, key) = (struct fri_place){ key->hash, (uint32_t)pairs };
    t->slots[t->head.u.length++] = name;
    t->slots[t->head.u.length++] = item;
    return FRUN_OK;
}

/* Replaces an item; what a FRI_SEEN node may point into lives on. */
static frun_status replace(struct fri_table *t, size_t slot, frun_value *item)
{
    frun_value *old = t->slots[slot];

    if (t->head.shared && fri_is_table(old)) {
        if (!t->retired)
            t->retired = fri_value_list(fri_value_memory(&t->head));
        if (!t->retired || !fri_table_reserve(fri_table_of(t->retired), 1))
            return FRUN_ENOMEM;
        t->slots[slot] = item;
        return frun_value_push(t->retired, old);
    }
    t->slots[slot] = item;
    frun_value_free(old);
    return FRUN_OK;
}

static frun_status put(frun_value *map, const char *name, frun_value *item)
{
    struct fri_table *t = fri_table_of(map);
    struct key key;
    size_t slot;

    if (!map || !item)
        return FRUN_ENOMEM;
    if (map->kind != FRUN_MAP || !name || item == map)
        return FRUN_EINVAL;
    key = string_key(name, strlen(name));
    slot = find_key(t, &key);
    return slot == SIZE_MAX ? add_pair(t, &key, item)
                            : replace(t, slot + 1, item);
}

frun_status frun_value_put(frun_value *map, const char *key, frun_value *item)
{
    frun_status status = put(map, key, item);

    if (status != FRUN_OK && item != map)
        frun_value_free(item);
    return status;
}

const frun_value *frun_value_get(const frun_value *map, const char *key)
{
    struct key k;
    size_t slot;

    if (frun_value_kind(map) != FRUN_MAP || !key)
        return NULL;
    k = string_key(key, strlen(key));
    slot = find_key(fri_table_of(map), &k);
    return slot == SIZE_MAX ? NULL : fri_slot_at(map, slot + 1);
}
