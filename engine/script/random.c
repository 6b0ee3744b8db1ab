/*
 * random.c - a stream of random numbers of its own for every task.
 *
 * Ordinals: a task's is the number of earlier tasks of the same parent with
 * the same base and key.  Tasks of a list (keys 1..n, by scatter or map) are
 * not counted one by one: the lengths of the lists before are kept, and item
 * i's ordinal is how many of them were at least i long.
 *
 * The VM's own generator is used, so that LuaJIT still compiles it: its state
 * (xoshiro256** in 5.4, Tausworthe in LuaJIT; 32 bytes behind math.random's
 * first upvalue in both) is written and read in place.  A VM where that is
 * not so is seeded through math.randomseed.
 */
#include "script/script.h"

#include "base/hash.h"

#include <string.h>

/* ---- a map from number to count --------------------------------------- */

struct counts {
    struct {
        uint64_t key; /* 0: free */
        uint64_t count;
    } *slots;
    size_t used, size; /* a power of 2 */
};

struct level {
    uint64_t length, count;
};

struct lists { /* the lists of one base */
    struct lists *next;
    uint64_t base;
    uint64_t singles; /* items that were no part of a list */
    size_t count, capacity;
    struct level *levels;
};

struct fri_ordinals {
    struct counts counts;
    struct lists *lists;
};

static size_t find(const struct counts *c, uint64_t key)
{
    size_t i = (size_t)fri_mix(key) & (c->size - 1);

    while (c->slots[i].key != 0 && c->slots[i].key != key)
        i = (i + 1) & (c->size - 1);
    return i;
}

static bool grow(const struct fri_memory *m, struct counts *c)
{
    struct counts bigger = { .size = c->size ? c->size * 2 : 64 };

    if (c->size && c->used * 4 < c->size * 3)
        return true;
    bigger.slots = fri_alloc_zero(m, bigger.size * sizeof *bigger.slots);
    if (!bigger.slots)
        return c->size > c->used + 1;
    for (size_t i = 0; i < c->size; i++)
        if (c->slots[i].key)
            bigger.slots[find(&bigger, c->slots[i].key)] = c->slots[i];
    bigger.used = c->used;
    fri_free(m, c->slots);
    *c = bigger;
    return true;
}

/* How often the key was there before. */
static uint64_t next_ordinal(const struct fri_memory *m, struct counts *c,
                             uint64_t key)
{
    size_t i;

    key = key ? key : 1;
    if (!grow(m, c))
        return 0;
    i = find(c, key);
    if (c->slots[i].key == 0)
        c->used++;
    c->slots[i].key = key;
    return c->slots[i].count++;
}

/* How often the key was there before, without counting it now. */
static uint64_t seen(const struct counts *c, uint64_t key)
{
    key = key ? key : 1;
    return c->size ? c->slots[find(c, key)].count : 0;
}

/* Those of the task that runs here; each attempt begins with none. */
static struct fri_ordinals *ordinals(struct fri_script *s)
{
    struct fri_ordinals **o = s->flow ? &s->flow->ordinals : &s->ordinals;

    if (!*o)
        *o = fri_alloc_zero(&s->engine->memory, sizeof **o);
    return *o;
}

void fri_ordinals_free(const struct fri_memory *m, struct fri_ordinals *o)
{
    struct lists *l;

    if (!o)
        return;
    while ((l = o->lists) != NULL) {
        o->lists = l->next;
        fri_free(m, l->levels);
        fri_free(m, l);
    }
    fri_free(m, o->counts.slots);
    fri_free(m, o);
}

/* ---- streams ---------------------------------------------------------- */

static uint64_t combine(uint64_t base, uint64_t key, uint64_t ordinal)
{
    uint64_t x = fri_mix(fri_mix(base ^ fri_mix(key)) + ordinal);

    return x ? x : 1;
}

static uint64_t key_hash(lua_State *L, int index)
{
    size_t n;
    const char *text;
    double d;

    switch (lua_type(L, index)) {
    case LUA_TNUMBER:
        d = lua_tonumber(L, index);
        return fri_hash(&d, sizeof d, 1);
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &n);
        return fri_hash(text, n, 2);
    default: return 3 + (uint64_t)lua_toboolean(L, index);
    }
}

static uint64_t index_hash(uint64_t i)
{
    double d = (double)i;

    return fri_hash(&d, sizeof d, 1);
}

uint64_t fri_stream_base(lua_State *L, int function, const char *name)
{
    uint64_t what = name ? fri_hash(name, strlen(name), 5)
                         : fri_function_source_hash(L, function);

    return what ? what : 1;
}

/* With the seed and the parent, which differ where the base does not. */
static uint64_t here(struct fri_script *s, uint64_t base)
{
    uint64_t parent = s->flow ? s->flow->stream : 0;

    return combine(fri_mix(s->engine->seed) ^ fri_mix(parent), base, 0);
}

/* Apart from those of items, whose keys may hash to the same. */
static const uint64_t SINGLE = UINT64_C(0x51ed270b7f3c8a35);

uint64_t fri_stream(struct fri_script *s, uint64_t base, uint64_t key)
{
    struct fri_ordinals *o = ordinals(s);
    uint64_t id = combine(here(s, base) ^ SINGLE, key, 0);

    return combine(here(s, base) ^ SINGLE, key,
                   o ? next_ordinal(&s->engine->memory, &o->counts, id) : 0);
}

static struct lists *lists_of(const struct fri_memory *m,
                              struct fri_ordinals *o, uint64_t base)
{
    struct lists *l = o->lists;

    while (l && l->base != base)
        l = l->next;
    if (l)
        return l;
    l = fri_alloc_zero(m, sizeof *l);
    if (!l)
        return NULL;
    l->base = base;
    l->next = o->lists;
    o->lists = l;
    return l;
}

static uint64_t lists_with(const struct level *levels, size_t count,
                           uint64_t i)
{
    uint64_t n = 0;

    for (size_t j = 0; j < count; j++)
        if (levels[j].length >= i)
            n += levels[j].count;
    return n;
}

/* The place of a key in a list, from 1; 0: it can have none. */
static uint64_t place_of(lua_State *L, int index)
{
    double d = lua_type(L, index) == LUA_TNUMBER ? lua_tonumber(L, index) : 0;

    return d >= 1 && d < 9e15 && d == (double)(uint64_t)d ? (uint64_t)d : 0;
}

uint64_t fri_stream_item(lua_State *L, struct fri_script *s, uint64_t base,
                         int key)
{
    const struct fri_memory *m = &s->engine->memory;
    struct fri_ordinals *o = ordinals(s);
    uint64_t from = here(s, base), hash = key_hash(L, key), n;
    struct lists *l = o ? lists_of(m, o, from) : NULL;

    if (!l)
        return combine(from, hash, 0);
    l->singles++;
    n = next_ordinal(m, &o->counts, combine(from, hash, 0));
    if (place_of(L, key))
        n += lists_with(l->levels, l->count, place_of(L, key));
    return combine(from, hash, n);
}

struct streams {
    const struct fri_memory *memory;
    uint64_t base, listed;
    size_t level_count;
    struct level *levels;
    uint64_t *others; /* the streams of items listed .. */
    uint64_t *list;   /* those of the items before; NULL: by levels */
};

static bool add_level(const struct fri_memory *m, struct lists *l,
                      uint64_t length)
{
    for (size_t i = 0; i < l->count; i++) {
        if (l->levels[i].length != length)
            continue;
        l->levels[i].count++;
        return true;
    }
    if (l->count == l->capacity) {
        size_t want = l->capacity ? l->capacity * 2 : 4;
        struct level *levels
            = fri_realloc(m, l->levels, want * sizeof *levels);

        if (!levels)
            return false;
        l->levels = levels;
        l->capacity = want;
    }
    l->levels[l->count++] = (struct level){ length, 1 };
    return true;
}

void fri_streams_free(void *streams)
{
    struct streams *st = streams;

    if (!st)
        return;
    fri_free(st->memory, st->levels);
    fri_free(st->memory, st->others);
    fri_free(st->memory, st->list);
    fri_free(st->memory, st);
}

static bool copy_levels(struct streams *st, const struct lists *l)
{
    if (l->count == 0)
        return true;
    st->levels = fri_alloc(st->memory, l->count * sizeof *st->levels);
    if (!st->levels)
        return false;
    memcpy(st->levels, l->levels, l->count * sizeof *st->levels);
    st->level_count = l->count;
    return true;
}

/* Some items were there without a list: each one is looked up. */
static bool list_streams(struct streams *st, const struct lists *l,
                         const struct counts *c)
{
    st->list = fri_alloc(st->memory, (st->listed + 1) * sizeof *st->list);
    for (uint64_t i = 1; st->list && i <= st->listed; i++) {
        uint64_t id = combine(st->base, index_hash(i), 0);

        st->list[i - 1] = combine(st->base, index_hash(i),
                                  lists_with(l->levels, l->count, i)
                                      + seen(c, id));
    }
    return st->list != NULL;
}

static bool other_streams(lua_State *L, struct fri_script *s, uint64_t base,
                          struct streams *st, uint64_t count, int keys,
                          uint64_t skip)
{
    if (count == st->listed)
        return true;
    st->others = fri_alloc(st->memory,
                           (count - st->listed) * sizeof *st->others);
    if (!st->others)
        return false;
    for (uint64_t i = st->listed; i < count; i++) {
        lua_rawgeti(L, keys, (int)(i + 1 - skip));
        st->others[i - st->listed]
            = fri_stream_item(L, s, base, lua_gettop(L));
        lua_pop(L, 1);
    }
    return true;
}

void *fri_streams_new(lua_State *L, struct fri_script *s, uint64_t base,
                      uint64_t listed, uint64_t count, int keys, uint64_t skip)
{
    const struct fri_memory *m = &s->engine->memory;
    struct fri_ordinals *o = ordinals(s);
    struct lists *l = o ? lists_of(m, o, here(s, base)) : NULL;
    struct streams *st = l ? fri_alloc_zero(m, sizeof *st) : NULL;

    if (!st)
        return NULL;
    st->memory = m;
    st->base = here(s, base);
    st->listed = listed;
    if ((l->singles == 0 || list_streams(st, l, &o->counts))
        && copy_levels(st, l) && (listed == 0 || add_level(m, l, listed))
        && other_streams(L, s, base, st, count, keys, skip))
        return st;
    fri_streams_free(st);
    return NULL;
}

uint64_t fri_streams_item(const void *streams, uint64_t i)
{
    const struct streams *st = streams;

    if (i >= st->listed)
        return st->others[i - st->listed];
    if (st->list)
        return st->list[i];
    return combine(st->base, index_hash(i + 1),
                   lists_with(st->levels, st->level_count, i + 1));
}

/* ---- the VM's generator ----------------------------------------------- */

static void draw(lua_State *L)
{
    lua_getglobal(L, "math");
    lua_getfield(L, -1, "random");
    lua_remove(L, -2);
    lua_call(L, 0, 1);
}

static void seed_by_call(lua_State *L, uint64_t seed)
{
    lua_getglobal(L, "math");
    lua_getfield(L, -1, "randomseed");
    lua_remove(L, -2);
    lua_pushnumber(L, (lua_Number)(seed >> 11));
    lua_call(L, 1, 0);
}

/* Is the state really those bytes?  Draw, put them back, draw again. */
static bool is_state(lua_State *L, uint8_t *state)
{
    uint8_t before[FRI_RANDOM_STATE];
    bool same;

    memcpy(before, state, sizeof before);
    draw(L);
    same = memcmp(before, state, sizeof before) == 0;
    memcpy(state, before, sizeof before);
    draw(L);
    same = !same && lua_tonumber(L, -1) == lua_tonumber(L, -2);
    lua_pop(L, 2);
    memcpy(state, before, sizeof before);
    return same;
}

void fri_random_open(lua_State *L, struct fri_script *s)
{
    int top = lua_gettop(L);

    s->random = NULL;
    lua_getglobal(L, "math");
    lua_getfield(L, -1, "random");
    if (lua_iscfunction(L, -1) && lua_getupvalue(L, -1, 1)
        && lua_type(L, -1) == LUA_TUSERDATA
        && lua_rawlen(L, -1) == FRI_RANDOM_STATE
        && is_state(L, lua_touserdata(L, -1)))
        s->random = lua_touserdata(L, -1);
    lua_settop(L, top);
}

static void first_state(uint64_t stream, uint64_t words[4])
{
    for (int i = 0; i < 4; i++) {
        words[i] = fri_mix(stream + (uint64_t)i * UINT64_C(0x632be59bd9b4e019));
        words[i] |= UINT64_C(1) << 63; /* no word may be small in LuaJIT's */
    }
}

bool fri_random_drawn(const struct fri_script *s, uint64_t stream)
{
    uint64_t words[4];

    first_state(stream, words);
    return !s->random || memcmp(s->random, words, sizeof words) != 0;
}

void fri_random_seed(struct fri_script *s, uint64_t stream)
{
    uint64_t words[4];

    first_state(stream, words);
    if (s->random) {
        memcpy(s->random, words, sizeof words);
        return;
    }
    seed_by_call(s->L, words[0]);
}

void fri_random_save(struct fri_script *s, uint8_t state[FRI_RANDOM_STATE])
{
    if (s->random)
        memcpy(state, s->random, FRI_RANDOM_STATE);
}

void fri_random_load(struct fri_script *s,
                     const uint8_t state[FRI_RANDOM_STATE])
{
    if (s->random)
        memcpy(s->random, state, FRI_RANDOM_STATE);
}
