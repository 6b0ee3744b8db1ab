/*
 * cache.c - when a function need not be encoded, or loaded, again.
 *
 * Sender: each Lua function gets a serial number (in a weak table, so a new
 * function at an old address has another one).  While a function is encoded,
 * everything that decides about the bytes is noted: upvalues and globals that
 * are plain, functions by their serials, things with a name by their
 * addresses.  If all is as noted, the fri_function is the same.  A table among
 * them makes the notes useless: then it is encoded each time, and equal bytes
 * give the same fri_function.
 *
 * Receiver: the closures last used, by id.  Their upvalues are never touched:
 * LuaJIT compiles them into constants.
 */
#include "script/int64.h"
#include "script/travel_private.h"

enum {
    TEXT_NOTED = 4096,              /* longer strings make notes useless */
    NOTES_MAX = 4096,
    INTERNED_EACH = 1 << 20,        /* bytes */
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

/* ---- notes ------------------------------------------------------------ */

enum what {
    AS_NIL,
    AS_FALSE,
    AS_TRUE,
    AS_INT,   /* bits, and of LuaJIT's int64 cdata */
    AS_NUM,   /* bits */
    AS_TEXT,  /* offset, length */
    AS_NAMED, /* address */
    AS_ENV,   /* address of an environment */
    AS_SERIAL,
    AS_ENTERED, /* serial; what follows is about its upvalues */
    AS_HANDLE,
    AS_NOTHING
};

void fri_witnesses_free(struct fri_travel *t, struct fri_witnesses *w)
{
    fri_free(t->memory, w->list);
    fri_free(t->memory, w->texts.data);
    *w = (struct fri_witnesses){ .list = NULL };
}

void fri_note_nothing(struct fri_encoder *e)
{
    if (e->witnesses)
        e->witnesses->usable = false;
}

static struct fri_witness *more_notes(struct fri_encoder *e)
{
    struct fri_witnesses *w = e->witnesses;
    uint32_t want = w->capacity ? w->capacity * 2 : 16;
    void *more;

    if (w->count == w->capacity) {
        more = w->count < NOTES_MAX
                   ? fri_realloc(e->travel->memory, w->list,
                                 want * sizeof(*w->list))
                   : NULL;
        if (!more) {
            w->usable = false;
            return NULL;
        }
        w->list = more;
        w->capacity = want;
    }
    return &w->list[w->count++];
}

static void classify_object(lua_State *L, struct fri_travel *t, int i,
                            struct fri_witness *w)
{
    int type = lua_type(L, i);

    w->u.object = lua_topointer(L, i);
    if (fri_names_find(t, w->u.object))
        w->what = AS_NAMED;
    else if (type == LUA_TTABLE)
        w->what = fri_is_env(L, t, i, w->u.object) ? AS_ENV : AS_NOTHING;
    else if (type == LUA_TUSERDATA)
        w->what = (w->u.object = fri_handle_test(L, i)) ? AS_HANDLE
                                                        : AS_NOTHING;
}

/* What the value at i is.  (A Lua function is AS_SERIAL, 0 when it has no
 * number; a string has its length.) */
static void classify(lua_State *L, struct fri_travel *t, int i,
                     struct fri_witness *w)
{
    int64_t n;
    size_t length;

    w->what = AS_NOTHING;
    w->u.bits = 0;
    switch (lua_type(L, i)) {
    case LUA_TNIL:
        w->what = AS_NIL;
        break;
    case LUA_TBOOLEAN:
        w->what = lua_toboolean(L, i) ? AS_TRUE : AS_FALSE;
        break;
    case LUA_TNUMBER:
        w->what = AS_NUM;
        if (fri_int64_get(L, i, &n)) {
            w->what = AS_INT;
            memcpy(&w->u.bits, &n, 8);
        } else {
            double d = lua_tonumber(L, i);

            memcpy(&w->u.bits, &d, 8);
        }
        break;
    case LUA_TSTRING:
        lua_tolstring(L, i, &length);
        w->what = length <= TEXT_NOTED ? AS_TEXT : AS_NOTHING;
        w->length = (uint32_t)length;
        break;
#if FRI_LUAJIT
    case FRI_LUA_CDATA:
        if (fri_int64_get(L, i, &n)) {
            w->what = AS_INT;
            memcpy(&w->u.bits, &n, 8);
        }
        break;
#endif
    case LUA_TFUNCTION:
        if (!fri_names_find(t, lua_topointer(L, i))) {
            w->what = lua_iscfunction(L, i) ? AS_NOTHING : AS_SERIAL;
            w->u.bits = w->what == AS_SERIAL ? fri_serial(L, t, i) : 0;
            break;
        }
        /* fall through */
    default:
        classify_object(L, t, i, w);
    }
}

static size_t note_text(struct fri_witnesses *w, const char *s, size_t n)
{
    size_t at = w->texts.length;

    fri_buffer_add(&w->texts, s, n);
    w->usable &= !w->texts.failed;
    return at;
}

bool fri_note(struct fri_encoder *e, lua_State *L, int i, enum fri_where where,
              unsigned slot, struct fri_text name)
{
    struct fri_witnesses *all = e->witnesses;
    struct fri_witness *w = all && all->usable ? more_notes(e) : NULL;

    if (!w)
        return false;
    classify(L, e->travel, i, w);
    if (w->what == AS_SERIAL) {
        w->u.bits = fri_serial_make(L, e->travel, i);
        if (!fri_seen_has(&e->seen, lua_topointer(L, i)))
            w->what = AS_ENTERED;
    }
    all->usable &= w->what != AS_NOTHING;
    if (w->what == AS_TEXT)
        w->u.offset = note_text(all, lua_tostring(L, i), w->length);
    w->where = (uint8_t)where;
    w->slot = (uint16_t)slot;
    if (where == FRI_AT_GLOBAL) {
        struct fri_witness *named = more_notes(e);

        all->usable &= slot == 0; /* only one environment */
        if (named) {
            *named = (struct fri_witness){ .where = FRI_AT_NAME,
                                           .length = name.length };
            named->u.offset = note_text(all, name.at, name.length);
        }
        w = &all->list[all->count - (named ? 2 : 1)];
    }
    if (w->what != AS_ENTERED)
        return false;
    if (++all->depth > all->deepest)
        all->deepest = all->depth;
    return true;
}

void fri_note_end(struct fri_encoder *e, bool entered)
{
    struct fri_witness *w;

    if (!entered)
        return;
    e->witnesses->depth--;
    w = more_notes(e);
    if (w)
        *w = (struct fri_witness){ .where = FRI_AT_END };
}

void fri_note_env(struct fri_encoder *e, lua_State *L, int i, uint32_t env)
{
    struct fri_witnesses *all = e->witnesses;

    if (!all || !all->usable)
        return;
    all->usable = env == 0;
    all->env = e->envs[env];
#if FRI_LUA54
    if (e->depth == 1) {
        int n = 1;

        for (; lua_getupvalue(L, i, n); n++) {
            bool found = lua_topointer(L, -1) == all->env;

            lua_pop(L, 1);
            if (found)
                break;
        }
        all->env_slot = n;
    } else if (all->env_slot == 0 && all->env != e->travel->globals) {
        all->usable = false;
    }
#else
    struct fri_witness *w = more_notes(e);

    (void)L;
    (void)i;
    if (w) {
        *w = (struct fri_witness){ .where = FRI_AT_ENV, .what = AS_ENV };
        w->u.object = all->env;
    }
    all->usable &= all->env == e->travel->globals || e->depth == 1
                   || all->env_slot == 1;
    if (e->depth == 1)
        all->env_slot = 1;
#endif
}

/* ---- is all as it was noted? ------------------------------------------ */

struct check {
    struct fri_travel *t;
    const struct fri_witnesses *w;
    int top;      /* the function asked about, then those inside it */
    int function; /* whose upvalues are looked at */
    int depth;
};

static bool same(lua_State *L, const struct check *c, int i,
                 const struct fri_witness *w)
{
    struct fri_witness now;

    classify(L, c->t, i, &now);
    if (now.what == AS_TEXT)
        return w->what == AS_TEXT && w->length == now.length
               && memcmp(lua_tostring(L, i), c->w->texts.data + w->u.offset,
                         w->length) == 0;
    if (w->what == AS_ENTERED)
        return now.what == AS_SERIAL && now.u.bits == w->u.bits;
    return now.what == w->what && now.u.bits == w->u.bits;
}

/* Pushes the environment of the function asked about. */
static void push_env(lua_State *L, const struct check *c)
{
    if (c->w->env == c->t->globals)
        fri_push_ref(L, c->t->globals_ref);
    else
#if FRI_LUA54
        lua_getupvalue(L, c->top, c->w->env_slot);
#else
        lua_getfenv(L, c->top);
#endif
}

static bool push_noted(lua_State *L, const struct check *c,
                       const struct fri_witness *w)
{
    struct fri_text name;

    if (w->where == FRI_AT_UPVALUE)
        return lua_getupvalue(L, c->function, w->slot) != NULL;
#if FRI_LUAJIT
    if (w->where == FRI_AT_ENV) {
        lua_getfenv(L, c->function);
        return true;
    }
#endif
    name.at = (const char *)c->w->texts.data + w[1].u.offset;
    name.length = w[1].length;
    push_env(L, c);
    if (lua_topointer(L, -1) != c->w->env || !lua_istable(L, -1))
        return false;
    fri_push_global(L, c->t, -1, name);
    lua_remove(L, -2);
    return true;
}

/* Inside: the functions that were entered stand on the stack behind `base`. */
static bool check_one(lua_State *L, struct check *c, int base,
                      const struct fri_witness *w)
{
    if (w->where == FRI_AT_NAME)
        return true;
    if (w->where == FRI_AT_END) {
        lua_pop(L, 1);
        c->depth--;
    } else {
        if (!push_noted(L, c, w) || !same(L, c, lua_gettop(L), w))
            return false;
        if (w->what == AS_ENTERED)
            c->depth++;
        else
            lua_pop(L, 1);
    }
    c->function = c->depth > 0 ? base + c->depth : c->top;
    return true;
}

static bool unchanged(lua_State *L, struct fri_travel *t, int i,
                      const struct fri_witnesses *w)
{
    struct check c = { t, w, lua_absindex(L, i), lua_absindex(L, i), 0 };
    int base = lua_gettop(L);
    bool ok = true;

    if (!lua_checkstack(L, (int)w->deepest + 20))
        return false;
    for (uint32_t k = 0; ok && k < w->count; k++)
        ok = check_one(L, &c, base, &w->list[k]);
    lua_settop(L, base);
    return ok;
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
    struct fri_function *f = fri_alloc_zero(t->memory, sizeof(*f));

    if (!f)
        return NULL;
    f->message = fri_message_new(t->memory, p->bytes->data, p->bytes->length,
                                 p->handles, p->handle_count);
    if (!f->message) {
        fri_free(t->memory, f);
        return NULL;
    }
    atomic_init(&f->refs, 1);
    atomic_init(&f->item_ns, 0);
    f->id = atomic_fetch_add_explicit(&t->shared->next_id, 1,
                                      memory_order_relaxed) + 1;
    f->random = p->random;
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

/* Takes a copy of what was noted. */
static void keep_notes(struct fri_travel *t, struct fri_known *k,
                       struct fri_function *f)
{
    struct fri_witnesses *from = &t->noted, *to = &k->seen;

    fri_witnesses_free(t, to);
    fri_function_free(k->function);
    k->function = NULL;
    if (!from->usable)
        return;
    *to = *from;
    to->list = NULL;
    if (from->count > 0) {
        to->list = fri_alloc(t->memory, from->count * sizeof(*to->list));
        if (!to->list) {
            *to = (struct fri_witnesses){ .list = NULL };
            return;
        }
        memcpy(to->list, from->list, from->count * sizeof(*to->list));
    }
    fri_buffer_init(&from->texts, t->memory); /* they are k's now */
    k->function = fri_function_ref(f);
}

static void begin_notes(struct fri_travel *t)
{
    struct fri_witnesses *w = &t->noted;

    w->count = w->depth = w->deepest = 0;
    w->env_slot = 0;
    w->env = t->globals;
    w->usable = true;
    w->texts.length = 0;
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
        begin_notes(m->t);
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
        keep_notes(t, known, f);
    return f;
}

struct fri_function *fri_function_get(lua_State *L, int index)
{
    struct fri_travel *t = fri_travel_of(L);
    uint64_t serial = fri_serial(L, t, index);
    const struct fri_known *k = serial ? fri_known_at(t, serial) : NULL;

    if (k && k->function
        && (k->seen.count == 0 || unchanged(L, t, index, &k->seen)))
        return fri_function_ref(k->function);
    return make_function(L, t, lua_absindex(L, index));
}

void fri_function_free(struct fri_function *f)
{
    const struct fri_memory *m;

    if (!f || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel)
                  != 1)
        return;
    m = f->message->memory;
    fri_message_free(f->message);
    fri_free(m, f);
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

static int slot_of(const struct fri_travel *t, uint64_t set, int way)
{
    (void)t;
    return (int)set * FRI_CACHE_WAYS + way + 1;
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
    lua_rawseti(L, -2, slot_of(t, f->id % FRI_CACHE_SETS, way));
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
            lua_rawgeti(L, -1, slot_of(t, f->id % FRI_CACHE_SETS, i));
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
