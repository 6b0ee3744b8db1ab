/*
 * pack.c - values to bytes.
 *
 * One pass: a table's items are written as lua_next gives them, as long as
 * the keys come as 1, 2, 3 (they nearly always do), and its number of pairs
 * is filled in afterwards.  A list of numbers is tried as NUMS or INTS first
 * (list.c) and written again when something else is found in it.
 */
#include "script/int64.h"
#include "script/travel_private.h"

#include <math.h>

enum { PACKED_FROM = 8 };

static bool put_memory(struct fri_encoder *e)
{
    return e->bytes.failed ? fri_refuse_memory(e) : true;
}

static bool put_tag(struct fri_encoder *e, uint8_t tag)
{
    fri_buffer_byte(&e->bytes, tag);
    return true; /* failures of the buffer are seen at the end */
}

/* ---- numbers ---------------------------------------------------------- */

/* These write where there is room: bytes that go through e->bytes one by one
 * cost a load and a store of its length each. */
static inline uint8_t *write_int(uint8_t *p, int64_t i)
{
    uint64_t n = ((uint64_t)i << 1) ^ (uint64_t)(i >> 63);

    if (i >= 0 && i <= FRI_SMALL_INT) {
        *p++ = (uint8_t)i;
        return p;
    }
    *p++ = FRI_INT;
    for (; n >= 0x80; n >>= 7)
        *p++ = (uint8_t)(n | 0x80);
    *p++ = (uint8_t)n;
    return p;
}

static inline uint8_t *write_num(uint8_t *p, double n)
{
    *p = FRI_NUM;
    memcpy(p + 1, &n, 8);
    return p + 9;
}

enum { NUMBER_ROOM = 12 };

#if FRI_LUA54

static inline uint8_t *write_number(lua_State *L, int i, uint8_t *p)
{
    return lua_isinteger(L, i) ? write_int(p, lua_tointegerx(L, i, NULL))
                               : write_num(p, lua_tonumberx(L, i, NULL));
}

#else

static inline uint8_t *write_number(lua_State *L, int i, uint8_t *p)
{
    double n = lua_tonumber(L, i);

    return fri_whole(n) ? write_int(p, (int64_t)n) : write_num(p, n);
}

#endif

static inline bool put_number(struct fri_encoder *e, lua_State *L, int i)
{
    struct fri_buffer *b = &e->bytes;

    if (fri_buffer_reserve(b, NUMBER_ROOM))
        b->length = (size_t)(write_number(L, i, b->data + b->length)
                             - b->data);
    return true;
}

static bool put_string(struct fri_encoder *e, lua_State *L, int i)
{
    struct fri_buffer *b = &e->bytes;
    size_t length;
    const char *s = lua_tolstring(L, i, &length);

    if (length <= FRI_SHORT_MAX && fri_buffer_reserve(b, length + 1)) {
        uint8_t *p = b->data + b->length;

        *p = (uint8_t)(FRI_SHORT_STR + length);
        memcpy(p + 1, s, length);
        b->length += length + 1;
        return true;
    }
    if (length > INT32_MAX)
        return fri_refuse(e, "a string of %zu bytes", length);
    fri_put_str(b, FRI_STR, s, length);
    return put_memory(e);
}

/* ---- tables ----------------------------------------------------------- */

static bool put_key(struct fri_encoder *e, lua_State *L, int i)
{
    int type = lua_type(L, i);
    bool futures = e->futures, ok;

    if (type == LUA_TSTRING)
        return put_string(e, L, i);
    if (type == LUA_TNUMBER)
        return put_number(e, L, i);
#if FRI_LUAJIT
    if (type == FRI_LUA_CDATA)
        return fri_refuse(e, "cdata") || fri_step_word(e, "key");
#endif
    e->futures = false;
    ok = fri_put_value(e, L, i);
    e->futures = futures;
    return ok || fri_step_word(e, "key");
}

/* Items from *next to n, by their numbers. */
static bool put_rest(struct fri_encoder *e, lua_State *L, int i, size_t *next,
                     size_t n)
{
    for (; *next <= n; ++*next) {
        lua_rawgeti(L, i, (int)*next);
        if (!fri_put_value(e, L, -1))
            return fri_step_index(e, (int64_t)*next);
        lua_pop(L, 1);
    }
    return true;
}

static bool is_item(lua_State *L, int i, size_t n)
{
    double k;

    if (n == 0 || lua_type(L, i) != LUA_TNUMBER)
        return false;
    k = lua_tonumber(L, i);
    return k >= 1 && k <= (double)n && k == floor(k);
}

/* The pair at `key`, unless it is one of the n items. */
static bool put_pair(struct fri_encoder *e, lua_State *L, int key, size_t n,
                     size_t *pairs)
{
    if (is_item(L, key, n))
        return true;
    if (!put_key(e, L, key))
        return false;
    if (!fri_put_value(e, L, key + 1))
        return fri_step_key(e, L, key);
    ++*pairs;
    return true;
}

/* All of the table at i behind its counts; *pairs counts the pairs. */
static bool put_fields(struct fri_encoder *e, lua_State *L, int i, size_t n,
                       size_t *pairs)
{
    int key = lua_gettop(L) + 1;
    size_t next = 1;
    bool more;

    lua_pushnil(L);
    while ((more = lua_next(L, i)) && next <= n && fri_is_index(L, key, next)) {
        if (!fri_put_value(e, L, key + 1))
            return fri_step_key(e, L, key);
        lua_settop(L, key);
        next++;
    }
    if (next <= n && !put_rest(e, L, i, &next, n))
        return false;
    for (; more; more = lua_next(L, i)) {
        if (!put_pair(e, L, key, n, pairs))
            return false;
        lua_settop(L, key);
    }
    return true;
}

/* Writes `pairs` over the byte that was left for it at `at`. */
static void fill_in(struct fri_buffer *b, size_t at, size_t pairs)
{
    uint8_t digits[10];
    size_t n = 0, rest = b->length - at - 1;

    for (; pairs >= 0x80; pairs >>= 7)
        digits[n++] = (uint8_t)(pairs | 0x80);
    digits[n++] = (uint8_t)pairs;
    if (!fri_buffer_reserve(b, n))
        return;
    if (n > 1)
        memmove(b->data + at + n, b->data + at + 1, rest);
    memcpy(b->data + at, digits, n);
    b->length += n - 1;
}

static bool put_body(struct fri_encoder *e, lua_State *L, int i, uint8_t tag)
{
    struct fri_buffer *b = &e->bytes;
    size_t n = lua_rawlen(L, i), pairs = 0, at;

    if (n >= PACKED_FROM && tag == FRI_TABLE && fri_put_packed(e, L, i, n))
        return true;
    fri_buffer_byte(b, tag);
    fri_put_varint(b, n);
    at = b->length;
    fri_buffer_byte(b, 0);
    e->depth++;
    if (!put_fields(e, L, i, n, &pairs))
        return false;
    e->depth--;
    if (b->failed)
        return fri_refuse_memory(e);
    if (pairs > 0)
        fill_in(b, at, pairs);
    return put_memory(e);
}

static bool refuse_field(struct fri_encoder *e, lua_State *L, int i,
                         const char *field, const char *reason)
{
    bool there;

    lua_pushstring(L, field);
    lua_rawget(L, i);
    there = !lua_isnil(L, -1);
    lua_pop(L, 1);
    if (!there)
        return false;
    fri_refuse(e, "%s", reason);
    fri_step_word(e, "metatable .%s", field);
    return true;
}

/* The metatable on the top, behind the body of its table at i. */
static bool put_object(struct fri_encoder *e, lua_State *L, int i)
{
    int meta = lua_gettop(L);
    bool futures = e->futures;

    if (!e->guarded)
        return fri_refuse_unguarded(e);
    if (refuse_field(e, L, meta, "__gc", "a finalizer")
        || refuse_field(e, L, meta, "__mode", "a weak table"))
        return false;
    if (!fri_encoder_refresh(e, L, meta) || !put_body(e, L, i, FRI_OBJECT))
        return false;
    e->futures = false;
    e->depth++;
    if (!fri_put_value(e, L, meta))
        return fri_step_word(e, "metatable");
    e->depth--;
    e->futures = futures;
    lua_settop(L, meta - 1);
    return true;
}

/* Not inlined, like what else is rare: fri_put_value stays short. */
FRI_APART static bool put_table(struct fri_encoder *e, lua_State *L, int i)
{
    const void *p = lua_topointer(L, i);
    const struct fri_name *name = fri_names_find(e->travel, p);
    uint32_t *part;
    bool fresh;

    if (name)
        return fri_put_name(e, L, name);
    if (p == e->travel->globals)
        return put_tag(e, FRI_ENV);
    part = fri_seen_add(&e->seen, e->travel->memory, p, e->parts, &fresh);
    if (!part)
        return fri_refuse_memory(e);
    if (!fresh) {
        e->has_refs = true;
        fri_buffer_byte(&e->bytes, FRI_REF);
        fri_put_varint(&e->bytes, *part);
        return put_memory(e);
    }
    if (FRI_TABLES_RAISE && !e->guarded)
        return fri_refuse_unguarded(e);
    if (e->depth >= FRI_DEPTH || !lua_checkstack(L, 10))
        return fri_refuse(e, "nested deeper than %d", FRI_DEPTH);
    e->parts++;
    i = lua_absindex(L, i);
    return lua_getmetatable(L, i) ? put_object(e, L, i)
                                  : put_body(e, L, i, FRI_TABLE);
}

/* ---- values ----------------------------------------------------------- */

static bool put_handle(struct fri_encoder *e, struct fri_handle *h)
{
    uint32_t n = e->pack.handle_count, *index;
    bool fresh, future = h->kind == FRI_HANDLE_FUTURE;

    if (future && (!e->futures || e->depth > 1))
        return fri_refuse(e, "future (only an argument, or a direct field of "
                             "one, may be a future)");
    if (future && e->stop_at_future) {
        e->stopped = true;
        return fri_refuse(e, "future");
    }
    index = fri_seen_add(&e->seen_handles, e->travel->memory, h, n, &fresh);
    if (!index)
        return fri_refuse_memory(e);
    if (fresh) {
        void *list = e->pack.handles;

        if (!fri_encoder_reserve(e, &list, n, &e->handle_capacity,
                                 sizeof(*e->pack.handles)))
            return false;
        e->pack.handles = list;
        e->pack.handles[n] = h;
        e->pack.handle_count = n + 1;
    }
    e->pack.has_futures |= future;
    fri_buffer_byte(&e->bytes, future ? FRI_FUTURE : FRI_HANDLE);
    fri_put_varint(&e->bytes, *index);
    return put_memory(e);
}

FRI_APART static bool put_userdata(struct fri_encoder *e, lua_State *L, int i)
{
    struct fri_handle *h = fri_handle_test(L, i);

    return h ? put_handle(e, h) : fri_refuse_type(e, L, i);
}

#if FRI_LUAJIT
FRI_APART static bool put_cdata(struct fri_encoder *e, lua_State *L, int i)
{
    int64_t n;

    if (!e->guarded)
        return fri_refuse_unguarded(e);
    if (!fri_int64_get(L, i, &n))
        return fri_refuse(e, "cdata");
    fri_put_i64(&e->bytes, n);
    return put_memory(e);
}
#endif

bool fri_put_value(struct fri_encoder *e, lua_State *L, int i)
{
    switch (lua_type(L, i)) {
    case LUA_TNUMBER:
        return put_number(e, L, i);
    case LUA_TSTRING:
        return put_string(e, L, i);
    case LUA_TTABLE:
        return put_table(e, L, i);
    case LUA_TNIL:
        return put_tag(e, FRI_NIL);
    case LUA_TBOOLEAN:
        return put_tag(e, lua_toboolean(L, i) ? FRI_TRUE : FRI_FALSE);
    case LUA_TFUNCTION:
        return fri_put_function(e, L, i);
    case LUA_TUSERDATA:
        return put_userdata(e, L, i);
#if FRI_LUAJIT
    case FRI_LUA_CDATA:
        return put_cdata(e, L, i);
#endif
    default:
        return fri_refuse_type(e, L, i);
    }
}
