/*
 * travel.c - the data of a state, and calls that may not raise.
 */
#include "script/travel_private.h"

#include "script/int64.h"

/* Where the registry has the state's struct: a number is found faster than an
 * address, and this one is far beyond those of luaL_ref. */
enum { PLACE = 0x46524954 };

/* ---- identity --------------------------------------------------------- */

enum { SEEN_SMALLEST = 64, SEEN_KEPT = 4096 };

static struct fri_seen_slot *seen_find(const struct fri_seen *s,
                                       const void *k)
{
    uint32_t i = fri_address_hash(k) & s->mask;

    while (s->slots[i].generation == s->generation && s->slots[i].key != k)
        i = (i + 1) & s->mask;
    return &s->slots[i];
}

static bool seen_grow(struct fri_seen *s, const struct fri_memory *m)
{
    struct fri_seen old = *s;
    size_t size = old.slots ? ((size_t)old.mask + 1) * 2 : SEEN_SMALLEST;

    if (size > UINT32_MAX / 2)
        return false;
    s->slots = fri_alloc_zero(m, size * sizeof(*s->slots));
    if (!s->slots) {
        *s = old;
        return false;
    }
    s->mask = (uint32_t)size - 1;
    s->generation = 1;
    for (uint32_t i = 0; old.slots && i <= old.mask; i++) {
        if (old.slots[i].generation == old.generation) {
            struct fri_seen_slot *slot = seen_find(s, old.slots[i].key);

            *slot = old.slots[i];
            slot->generation = 1;
        }
    }
    fri_free(m, old.slots);
    return true;
}

uint32_t *fri_seen_add(struct fri_seen *s, const struct fri_memory *m,
                       const void *k, uint32_t number, bool *fresh)
{
    struct fri_seen_slot *slot;

    if (s->used * 2 >= s->mask && !seen_grow(s, m))
        return NULL;
    slot = seen_find(s, k);
    *fresh = slot->generation != s->generation;
    if (*fresh) {
        *slot = (struct fri_seen_slot){ k, s->generation, number };
        s->used++;
    }
    return &slot->number;
}

bool fri_seen_has(const struct fri_seen *s, const void *k)
{
    return s->slots && seen_find(s, k)->generation == s->generation;
}

static void seen_free(struct fri_seen *s, const struct fri_memory *m)
{
    fri_free(m, s->slots);
    *s = (struct fri_seen){ .generation = 0 };
}

void fri_seen_clear(struct fri_seen *s)
{
    s->used = 0;
    if (++s->generation == 0 && s->slots) {
        memset(s->slots, 0, ((size_t)s->mask + 1) * sizeof(*s->slots));
        s->generation = 1;
    }
}

/* ---- an encoder's memory ---------------------------------------------- */

enum { BYTES_KEPT = 4 << 20 };

static void encoder_open(struct fri_encoder *e, struct fri_travel *t)
{
    e->travel = t;
    e->env_ref = LUA_NOREF;
    e->pack.bytes = &e->bytes;
    fri_buffer_init(&e->bytes, t->memory);
    fri_buffer_init(&e->path, t->memory);
    fri_buffer_init(&e->reason, t->memory);
}

static void forget_poisons(struct fri_encoder *e)
{
    for (uint32_t i = 0; i < e->poison_count; i++) {
        fri_free(e->travel->memory, e->poisons[i].name);
        fri_free(e->travel->memory, e->poisons[i].text);
    }
    e->poison_count = 0;
}

static void forget_codes(struct fri_encoder *e)
{
    for (uint32_t i = 0; i < e->code_count; i++)
        fri_code_free(e->travel, e->codes[i]);
    e->code_count = e->global_count = e->global_done = 0;
}

void fri_encoder_free(struct fri_encoder *e)
{
    const struct fri_memory *m = e->travel->memory;

    forget_poisons(e);
    forget_codes(e);
    fri_buffer_free(&e->bytes);
    fri_buffer_free(&e->path);
    fri_buffer_free(&e->reason);
    seen_free(&e->seen, m);
    seen_free(&e->seen_handles, m);
    fri_free(m, e->pack.handles);
    fri_free(m, e->envs);
    fri_free(m, e->codes);
    fri_free(m, e->globals);
    fri_free(m, e->poisons);
    *e = (struct fri_encoder){ .travel = e->travel, .busy = true };
}

static void encoder_trim(struct fri_encoder *e)
{
    if (e->bytes.failed || e->bytes.capacity > BYTES_KEPT) {
        fri_buffer_free(&e->bytes);
        e->bytes.failed = false;
    }
    if (e->seen.mask >= SEEN_KEPT)
        seen_free(&e->seen, e->travel->memory);
}

bool fri_encoder_begin(struct fri_encoder *e)
{
    if (e->busy)
        return false;
    encoder_trim(e);
    if (e->poison_count > 0)
        forget_poisons(e);
    e->bytes.length = e->path.length = e->reason.length = 0;
    e->path.failed = e->reason.failed = false;
    e->pack.handle_count = 0;
    e->pack.has_futures = e->pack.random = false;
    e->guarded = e->rescanned = false;
    e->futures = e->stop_at_future = e->stopped = false;
    e->witnesses = NULL;
    fri_seen_clear(&e->seen_handles);
    fri_encoder_fresh(e);
    return true;
}

void fri_encoder_fresh(struct fri_encoder *e)
{
    if (e->code_count > 0)
        forget_codes(e);
    fri_seen_clear(&e->seen);
    memset(&e->parts, 0, offsetof(struct fri_encoder, fresh_end)
                             - offsetof(struct fri_encoder, parts));
}

bool fri_encoder_again(struct fri_encoder *e, size_t at)
{
    if (!e->again || e->no_memory)
        return false;
    e->bytes.length = at;
    e->path.length = e->reason.length = 0;
    fri_encoder_fresh(e);
    return true;
}

/* Room for one more in a list that doubles. */
bool fri_encoder_reserve(struct fri_encoder *e, void **list, uint32_t count,
                         uint32_t *capacity, size_t each)
{
    uint32_t want = *capacity ? *capacity * 2 : 8;
    void *more;

    if (count < *capacity)
        return true;
    if (want <= *capacity)
        return fri_refuse_memory(e);
    more = fri_realloc(e->travel->memory, *list, want * each);
    if (!more)
        return fri_refuse_memory(e);
    *list = more;
    *capacity = want;
    return true;
}

/* ---- a state ---------------------------------------------------------- */

struct fri_travel *fri_travel_of(lua_State *L)
{
    struct fri_travel *t;

    lua_rawgeti(L, LUA_REGISTRYINDEX, PLACE);
    t = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return t;
}

static int travel_gc(lua_State *L)
{
    struct fri_travel *t = lua_touserdata(L, 1);

    t->closed = true;
    if (!t->values.travel)
        return 0;
    fri_encoder_free(&t->values);
    fri_encoder_free(&t->function);
    fri_cache_free(t);
    fri_names_free(t);
    fri_sources_free(t);
    fri_free(t->memory, t->source_path);
    fri_buffer_free(&t->source);
    fri_buffer_free(&t->dump);
    t->source_path = NULL;
    return 0;
}

/* An object that nobody holds, so a collection finalizes it; then there is
 * another. */
static int sentinel_gc(lua_State *L)
{
    struct fri_travel *t = fri_travel_of(L);

    if (!t || t->closed)
        return 0;
    fri_cache_sweep(L, t);
    lua_newuserdatauv(L, 1, 0);
    lua_getmetatable(L, 1);
    lua_setmetatable(L, -2);
    return 0;
}

static void push_collectable(lua_State *L, size_t size, lua_CFunction gc)
{
    void *block = lua_newuserdatauv(L, size, 0);

    memset(block, 0, size);
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
}

static int new_table(lua_State *L, const char *mode)
{
    lua_newtable(L);
    if (mode) {
        lua_createtable(L, 0, 1);
        lua_pushstring(L, mode);
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
    }
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* The one function that fri_guard calls: job, run, values... */
struct guarded {
    fri_guarded *run;
    void *job;
};

static int guarded_call(lua_State *L)
{
    const struct guarded *g = lua_touserdata(L, 1);
    struct guarded copy = *g;

    lua_remove(L, 1);
    return copy.run(L, copy.job);
}

bool fri_guard(lua_State *L, struct fri_travel *t, fri_guarded *run, void *job,
               int first, int n)
{
    struct guarded g = { run, job };

    fri_push_ref(L, t->guard);
    lua_pushlightuserdata(L, &g);
    for (int i = 0; i < n; i++)
        lua_pushvalue(L, first + i);
    return lua_pcall(L, n + 1, LUA_MULTRET, 0) == LUA_OK;
}

/* The standard library has about 150. */
enum { LIBRARY_NAMES = 256 };

static void open_references(lua_State *L, struct fri_travel *t)
{
    lua_pushcfunction(L, guarded_call);
    t->guard = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushglobaltable(L);
    t->globals = lua_topointer(L, -1);
    t->globals_ref = luaL_ref(L, LUA_REGISTRYINDEX);
    t->serials = new_table(L, "k");
    t->envs = new_table(L, "k");
    t->closures = LUA_NOREF;
    lua_createtable(L, 0, 1);
    fri_push_ref(L, t->globals_ref);
    lua_setfield(L, -2, "__index");
    t->env_meta = luaL_ref(L, LUA_REGISTRYINDEX);
    t->originals = new_table(L, NULL);
    lua_createtable(L, 0, LIBRARY_NAMES);
    t->named = luaL_ref(L, LUA_REGISTRYINDEX);
    t->scanned = new_table(L, NULL);
    t->values.env_ref = new_table(L, NULL);
    t->function.env_ref = new_table(L, NULL);
}

void fri_travel_open(lua_State *L, const struct fri_memory *m,
                     struct fri_travel_shared *shared, bool worker)
{
    struct fri_travel *t;

    push_collectable(L, sizeof(*t), travel_gc);
    t = lua_touserdata(L, -1);
    t->memory = m;
    t->shared = shared;
    t->worker = worker;
    encoder_open(&t->function, t);
    encoder_open(&t->values, t);
    fri_buffer_init(&t->source, m);
    fri_buffer_init(&t->dump, m);
    fri_buffer_init(&t->noted.texts, m);
    lua_rawseti(L, LUA_REGISTRYINDEX, PLACE);
    open_references(L, t);
    push_collectable(L, 1, sentinel_gc);
    lua_pop(L, 1);
    fri_names_open(L, t);
#if FRI_LUAJIT
    fri_open_int64(L);
#endif
}
