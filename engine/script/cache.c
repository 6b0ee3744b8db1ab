/*
 * cache.c - when a function need not be encoded, or loaded, again.
 *
 * Sender: each Lua function gets a serial number (in a weak table, so a new
 * function at an old address has another one), by which its code and its last
 * fri_function are found.  That one is the same again if all is as it was
 * noted (notes.c); if not, the function is encoded, and equal bytes give the
 * same fri_function.
 *
 * Receiver: the closures last used, by id.  Their upvalues are never touched:
 * LuaJIT compiles them into constants.
 */
#include "script/travel_private.h"

enum {
    INTERNED_EACH = 1 << 20, /* bytes */
    INTERNED_BYTES = 16 << 20,
    CACHED_BYTES = 64 << 20
};

/* ---- serial numbers --------------------------------------------------- */

uint64_t fri_serial(lua_State *L, struct fri_travel *t, int i)
{
    uint64_t serial;

    i = lua_absindex(L, i);
    fri_push_ref(L, t->serials);
    lua_pushvalue(L, i);
    lua_rawget(L, -2);
    serial = (uint64_t)lua_tointeger(L, -1);
    lua_pop(L, 2);
    return serial;
}

uint64_t fri_serial_make(lua_State *L, struct fri_travel *t, int i)
{
    uint64_t serial = fri_serial(L, t, i);

    if (serial > 0)
        return serial;
    i = lua_absindex(L, i);
    fri_push_ref(L, t->serials);
    lua_pushvalue(L, i);
    lua_pushinteger(L, (lua_Integer)++t->serial);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    return t->serial;
}

struct fri_known *fri_known_at(struct fri_travel *t, uint64_t serial)
{
    struct fri_known *k = t->known ? &t->known[serial % FRI_KNOWN] : NULL;

    return k && k->serial == serial ? k : NULL;
}

static void known_clear(struct fri_travel *t, struct fri_known *k)
{
    fri_code_free(t, k->code);
    fri_function_free(k->function);
    fri_witnesses_free(t, &k->seen);
    *k = (struct fri_known){ .serial = 0 };
}

struct fri_known *fri_known_make(struct fri_travel *t, uint64_t serial)
{
    struct fri_known *k = fri_known_at(t, serial);

    if (k)
        return k;
    if (!t->known)
        t->known = fri_alloc_zero(t->memory, FRI_KNOWN * sizeof(*t->known));
    if (!t->known)
        return NULL;
    k = &t->known[serial % FRI_KNOWN];
    known_clear(t, k);
    k->serial = serial;
    return k;
}

/* ---- interning -------------------------------------------------------- */

static uint64_t pack_hash(const struct fri_pack *p)
{
    uint64_t h = fri_hash(p->bytes->data, p->bytes->length, 0);

    for (uint32_t i = 0; i < p->handle_count; i++)
        h = fri_mix(h ^ (uint64_t)(uintptr_t)p->handles[i]);
    return h;
}

static bool same_message(const struct fri_message *m, const struct fri_pack *p)
{
    if (m->length != p->bytes->length || m->handle_count != p->handle_count)
        return false;
    for (uint32_t i = 0; i < m->handle_count; i++)
        if (m->handles[i] != p->handles[i])
            return false;
    return memcmp(m->data, p->bytes->data, m->length) == 0;
}

static void drop_interned(struct fri_travel *t)
{
    for (int i = 0; t->interned && i < FRI_INTERNED; i++) {
        fri_function_free(t->interned[i]);
        t->interned[i] = NULL;
    }
    t->interned_bytes = 0;
}

static struct fri_function *function_new(struct fri_travel *t,
                                         const struct fri_pack *p)
{
    struct fri_message *m
        = fri_message_new(t->memory, p->bytes->data, p->bytes->length,
                          p->handles, p->handle_count);
    struct fri_function *f = m ? fri_function_new(m) : NULL;

    fri_message_free(m);
    if (!f)
        return NULL;
    f->id = atomic_fetch_add_explicit(&t->shared->next_id, 1,
                                      memory_order_relaxed) + 1;
    f->random = p->random;
    t->holding += p->handle_count > 0;
    return f;
}

static void intern(struct fri_travel *t, struct fri_function **slot,
                   struct fri_function *f)
{
    size_t size = f->message->length;

    if (size > INTERNED_EACH)
        return;
    if (t->interned_bytes + size > INTERNED_BYTES)
        drop_interned(t);
    if (*slot)
        t->interned_bytes -= (*slot)->message->length;
    fri_function_free(*slot);
    *slot = fri_function_ref(f);
    t->interned_bytes += size;
}

/* The fri_function of these bytes, with a reference for the caller. */
static struct fri_function *function_of(lua_State *L, struct fri_travel *t,
                                        int i, const struct fri_pack *p)
{
    struct fri_function **slot, *f;

    if (!t->interned)
        t->interned =
            fri_alloc_zero(t->memory, FRI_INTERNED * sizeof(*t->interned));
    if (!t->interned)
        return NULL;
    slot = &t->interned[pack_hash(p) % FRI_INTERNED];
    if (*slot && same_message((*slot)->message, p))
        return fri_function_ref(*slot);
    f = function_new(t, p);
    if (!f)
        return NULL;
    fri_function_name(L, i, f->name, sizeof(f->name));
    intern(t, slot, f);
    return f;
}

/* ---- the sender ------------------------------------------------------- */

static void keep_function(struct fri_travel *t, struct fri_known *k,
                          struct fri_function *f)
{
    fri_function_free(k->function);
    k->function = fri_notes_keep(t, &k->seen) ? fri_function_ref(f) : NULL;
    k->sources = atomic_load(&t->shared->sources);
}

struct making {
    struct fri_travel *t;
    bool ok;
};

static int make_bytes(lua_State *L, void *job)
{
    struct making *m = job;
    struct fri_encoder *e = &m->t->function;

    luaL_checkstack(L, 20, NULL);
    do {
        lua_settop(L, 1);
        fri_notes_begin(m->t);
        e->witnesses = &m->t->noted;
        e->pack.handle_count = 0;
        e->pack.random = false;
        fri_seen_clear(&e->seen_handles);
        fri_buffer_byte(&e->bytes, 0);
        fri_put_varint(&e->bytes, 1);
        m->ok = fri_put_value(e, L, 1);
    } while (!m->ok && fri_encoder_again(e, 0));
    if (m->ok && e->bytes.failed)
        m->ok = fri_refuse_memory(e);
    if (m->ok && e->has_refs)
        e->bytes.data[0] |= FRI_HAS_REFS;
    return 0;
}

static struct fri_function *refused(struct fri_encoder *e, lua_State *L)
{
    fri_refusal(e);
    fri_refusal_push(e, L);
    return NULL;
}

static struct fri_function *make_function(lua_State *L, struct fri_travel *t,
                                          int i)
{
    struct fri_encoder *e = &t->function;
    struct making m = { t, false };
    struct fri_function *f;
    struct fri_known *known;
    uint64_t serial;

    if (!fri_encoder_begin(e)) {
        lua_pushliteral(L, "another function is being encoded");
        return NULL;
    }
    serial = fri_serial_make(L, t, i);
    e->guarded = e->busy = true;
    if (!fri_guard(L, t, make_bytes, &m, i, 1)) {
        m.ok = fri_refuse(e, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    e->busy = false;
    if (!m.ok)
        return refused(e, L);
    f = function_of(L, t, i, &e->pack);
    if (!f) {
        fri_refuse_memory(e);
        return refused(e, L);
    }
    known = fri_known_make(t, serial);
    if (known)
        keep_function(t, known, f);
    return f;
}

struct fri_function *fri_function_get(lua_State *L, int index)
{
    struct fri_travel *t = fri_travel_of(L);
    uint64_t serial = fri_serial(L, t, index);
    const struct fri_known *k = serial ? fri_known_at(t, serial) : NULL;

    if (k && k->function
        && (k->sources
            || !atomic_load_explicit(&t->shared->sources,
                                     memory_order_relaxed))
        && (k->seen.count == 0 || fri_unchanged(L, t, index, &k->seen)))
        return fri_function_ref(k->function);
    return make_function(L, t, lua_absindex(L, index));
}

/* ---- the receiver ----------------------------------------------------- */

static int new_closures(lua_State *L, void *job)
{
    struct fri_travel *t = job;

    lua_createtable(L, FRI_CACHE_SETS * FRI_CACHE_WAYS, 0);
    for (int i = 1; i <= FRI_CACHE_SETS * FRI_CACHE_WAYS; i++) {
        lua_pushboolean(L, 0);
        lua_rawseti(L, -2, i);
    }
    t->closures = luaL_ref(L, LUA_REGISTRYINDEX);
    return 0;
}

static void forget_closures(lua_State *L, struct fri_travel *t)
{
    fri_push_ref(L, t->closures);
    for (int i = 0; i < FRI_CACHE_SETS * FRI_CACHE_WAYS; i++) {
        lua_pushboolean(L, 0);
        lua_rawseti(L, -2, i + 1);
    }
    lua_pop(L, 1);
    memset(t->cached, 0, sizeof(t->cached));
    t->cached_bytes = 0;
}

static int slot_of(const struct fri_function *f, int way)
{
    return (int)(f->id % FRI_CACHE_SETS) * FRI_CACHE_WAYS + way + 1;
}

/* Keeps the function on the top in the place of the one used longest ago. */
static void keep_closure(lua_State *L, struct fri_travel *t,
                         const struct fri_function *f)
{
    struct fri_cached *set = t->cached[f->id % FRI_CACHE_SETS];
    int way = 0;

    if (t->cached_bytes + f->message->length > CACHED_BYTES)
        forget_closures(L, t);
    for (int i = 1; i < FRI_CACHE_WAYS; i++)
        if (set[i].used < set[way].used)
            way = i;
    t->cached_bytes += f->message->length - set[way].size;
    set[way] = (struct fri_cached){ f->id, ++t->cache_clock,
                                    f->message->length };
    fri_push_ref(L, t->closures);
    lua_pushvalue(L, -2);
    lua_rawseti(L, -2, slot_of(f, way));
    lua_pop(L, 1);
}

bool fri_function_push(lua_State *L, struct fri_function *f)
{
    struct fri_travel *t = fri_travel_of(L);
    struct fri_cached *set = t->cached[f->id % FRI_CACHE_SETS];

    for (int i = 0; i < FRI_CACHE_WAYS; i++) {
        if (set[i].id == f->id) {
            set[i].used = ++t->cache_clock;
            fri_push_ref(L, t->closures);
            lua_rawgeti(L, -1, slot_of(f, i));
            lua_remove(L, -2);
            return true;
        }
    }
    if (t->closures == LUA_NOREF
        && !fri_guard(L, t, new_closures, t, 1, 0))
        return false;
    if (!fri_unpack_function(L, f, false))
        return false;
    keep_closure(L, t, f);
    return true;
}

bool fri_function_push_init(lua_State *L, struct fri_function *f)
{
    return fri_unpack_function(L, f, true);
}

/* ---- what is held for nothing ----------------------------------------- */

static void mark_living(lua_State *L, struct fri_travel *t)
{
    fri_push_ref(L, t->serials);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        uint64_t serial = (uint64_t)lua_tointeger(L, -1);
        struct fri_known *k = fri_known_at(t, serial);

        if (k)
            k->living = true;
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

/* A pool that nobody holds ends: the copies that are kept here of functions
 * that are gone must not hold it. */
void fri_cache_sweep(lua_State *L, struct fri_travel *t)
{
    if (!t->holding || !t->known || t->function.busy)
        return;
    mark_living(L, t);
    for (int i = 0; i < FRI_KNOWN; i++) {
        struct fri_known *k = &t->known[i];

        if (!k->living)
            known_clear(t, k);
        k->living = false;
    }
    t->holding = 0;
    for (int i = 0; i < FRI_INTERNED; i++) {
        struct fri_function **slot = &t->interned[i];

        if (!*slot || (*slot)->message->handle_count == 0)
            continue;
        if (atomic_load_explicit(&(*slot)->refs, memory_order_acquire) == 1) {
            t->interned_bytes -= (*slot)->message->length;
            fri_function_free(*slot);
            *slot = NULL;
        } else {
            t->holding++;
        }
    }
}

/* ---- the end ---------------------------------------------------------- */

void fri_cache_free(struct fri_travel *t)
{
    drop_interned(t);
    fri_free(t->memory, t->interned);
    for (int i = 0; t->known && i < FRI_KNOWN; i++)
        known_clear(t, &t->known[i]);
    fri_free(t->memory, t->known);
    for (int i = 0; t->codes && i < FRI_CODES; i++)
        fri_code_free(t, t->codes[i]);
    fri_free(t->memory, t->codes);
    fri_witnesses_free(t, &t->noted);
    t->interned = NULL;
    t->known = NULL;
    t->codes = NULL;
}
