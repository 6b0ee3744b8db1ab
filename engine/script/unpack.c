/*
 * unpack.c - bytes to values.
 *
 * Numbers and truth values need no memory and are read at once; everything
 * else inside fri_guard, where what is malformed raises.  The decoder keeps
 * nothing on the C heap: parts, cells and environments are in Lua tables that
 * stand first on its stack, made when they are needed.  What it promises to
 * make in advance is bounded by the bytes that there are.
 */
#include "script/int64.h"
#include "script/travel_private.h"

void fri_malformed(lua_State *L)
{
    luaL_error(L, "malformed message");
}

void fri_decoder_check(const struct fri_decoder *d, lua_State *L)
{
    if (d->r.bad)
        fri_malformed(L);
}

static int in_advance(struct fri_decoder *d, size_t n)
{
    if (n > d->budget)
        n = d->budget;
    d->budget -= n;
    return n > INT32_MAX / 2 ? INT32_MAX / 2 : (int)n;
}

/* ---- parts ------------------------------------------------------------ */

void fri_begin_part(struct fri_decoder *d, lua_State *L)
{
    if (d->keep) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, FRI_PARTS, (int)d->parts + 1);
    }
    d->parts++;
}

static void get_ref(struct fri_decoder *d, lua_State *L)
{
    uint64_t n = fri_get_varint(&d->r);

    if (!d->keep || n >= d->parts || n >= INT32_MAX)
        fri_malformed(L);
    lua_rawgeti(L, FRI_PARTS, (int)(n + 1));
}

/* ---- numbers ---------------------------------------------------------- */

static inline void push_int(lua_State *L, int64_t n)
{
#if FRI_LUA54
    lua_pushinteger(L, n);
#else
    fri_int64_push_plain(L, n);
#endif
}

/* True when the tag was that of a value that takes no memory. */
static inline bool get_plain(struct fri_reader *r, lua_State *L, uint8_t tag)
{
    if (tag <= FRI_SMALL_INT) {
        lua_pushinteger(L, tag);
        return true;
    }
    switch (tag) {
    case FRI_NIL:
        lua_pushnil(L);
        return true;
    case FRI_FALSE:
    case FRI_TRUE:
        lua_pushboolean(L, tag == FRI_TRUE);
        return true;
    case FRI_NUM:
        lua_pushnumber(L, fri_get_num(r));
        return true;
#if FRI_LUA54
    case FRI_INT:
        lua_pushinteger(L, fri_get_zigzag(r));
        return true;
    case FRI_I64:
        lua_pushinteger(L, (lua_Integer)fri_get_raw64(r));
        return true;
#endif
    default:
        return false;
    }
}

static void get_packed(struct fri_decoder *d, lua_State *L, uint8_t tag)
{
    size_t n = fri_get_count(&d->r, 8);
    const uint8_t *at = d->r.at;

    fri_decoder_check(d, L);
    if (n > INT32_MAX / 2)
        fri_malformed(L);
    lua_createtable(L, (int)n, 0);
    fri_begin_part(d, L);
    d->r.at += 8 * n;
    for (size_t i = 0; i < n; i++) {
        if (tag == FRI_NUMS) {
            double x;

            memcpy(&x, at + 8 * i, 8);
            lua_pushnumber(L, x);
        } else {
            int64_t k;

            memcpy(&k, at + 8 * i, 8);
            push_int(L, k);
        }
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* ---- tables ----------------------------------------------------------- */

static void get_key(struct fri_decoder *d, lua_State *L)
{
    fri_get_value(d, L);
    if (lua_isnil(L, -1)
        || (lua_type(L, -1) == LUA_TNUMBER
            && lua_tonumber(L, -1) != lua_tonumber(L, -1)))
        fri_malformed(L);
#if FRI_LUAJIT
    if (lua_type(L, -1) == FRI_LUA_CDATA)
        fri_malformed(L);
#endif
}

static void get_pairs(struct fri_decoder *d, lua_State *L, size_t pairs)
{
    bool future;

    for (; pairs > 0; pairs--) {
        get_key(d, L);
        future = fri_left(&d->r) > 0 && *d->r.at == FRI_FUTURE;
        fri_get_value(d, L);
        if (lua_isnil(L, -1) && !future)
            fri_malformed(L);
        lua_rawset(L, -3);
    }
}

static void get_table(struct fri_decoder *d, lua_State *L, uint8_t tag)
{
    size_t items = fri_get_count(&d->r, 1);
    size_t pairs = fri_get_count(&d->r, 2);
    int array, hash;

    fri_decoder_check(d, L);
    if (++d->depth > FRI_DEPTH || items > INT32_MAX / 2)
        fri_malformed(L);
    luaL_checkstack(L, 10, NULL);
    array = in_advance(d, items);
    hash = in_advance(d, pairs);
    lua_createtable(L, array, hash);
    fri_begin_part(d, L);
    for (size_t i = 1; i <= items; i++) {
        fri_get_value(d, L);
        lua_rawseti(L, -2, (int)i);
    }
    get_pairs(d, L, pairs);
    if (tag == FRI_OBJECT) {
        fri_get_value(d, L);
        if (!lua_istable(L, -1))
            fri_malformed(L);
        lua_setmetatable(L, -2);
    }
    d->depth--;
}

/* ---- values ----------------------------------------------------------- */

static void get_handle(struct fri_decoder *d, lua_State *L, uint8_t tag)
{
    uint64_t n = fri_get_varint(&d->r);

    fri_decoder_check(d, L);
    if (n >= d->handle_count)
        fri_malformed(L);
    if (tag == FRI_HANDLE)
        fri_handle_push(L, d->handles[n]);
    else if (fri_future_push_value(L, d->handles[n]) < 0)
        lua_error(L);
}

static void get_string(struct fri_decoder *d, lua_State *L, uint8_t tag)
{
    size_t length;
    const char *s = fri_get_str(&d->r, tag, &length);

    fri_decoder_check(d, L);
    if (tag == FRI_NAME)
        fri_names_push(L, d->t, s, length);
    else
        lua_pushlstring(L, s, length);
}

static void get_tagged(struct fri_decoder *d, lua_State *L, uint8_t tag)
{
    switch (tag) {
    case FRI_TABLE:
    case FRI_OBJECT:
        get_table(d, L, tag);
        break;
    case FRI_INT:
        push_int(L, fri_get_zigzag(&d->r));
        break;
    case FRI_I64:
        fri_int64_push(L, (int64_t)fri_get_raw64(&d->r));
        break;
    case FRI_STR:
    case FRI_NAME:
        get_string(d, L, tag);
        break;
    case FRI_NUMS:
    case FRI_INTS:
        get_packed(d, L, tag);
        break;
    case FRI_REF:
        get_ref(d, L);
        break;
    case FRI_FUNC:
        fri_get_function(d, L);
        break;
    case FRI_ENV:
        fri_push_env(d, L, d->env);
        break;
    case FRI_HANDLE:
    case FRI_FUTURE:
        get_handle(d, L, tag);
        break;
    default:
        fri_malformed(L);
    }
}

void fri_get_value(struct fri_decoder *d, lua_State *L)
{
    struct fri_reader *r = &d->r;
    uint8_t tag = fri_get_byte(r);
    size_t length = (size_t)tag - FRI_SHORT_STR;

    if (length <= FRI_SHORT_MAX && length <= fri_left(r)) {
        lua_pushlstring(L, (const char *)r->at, length);
        r->at += length;
        return;
    }
    if (!get_plain(r, L, tag))
        get_tagged(d, L, tag);
    if (r->bad)
        fri_malformed(L);
}

/* ---- messages --------------------------------------------------------- */

static void prepare(struct fri_decoder *d, lua_State *L, uint8_t flags)
{
    if (flags & ~FRI_HAS_REFS)
        fri_malformed(L);
    lua_settop(L, FRI_VALUES - 1);
    d->keep = flags & FRI_HAS_REFS;
    for (int i = FRI_PARTS; d->keep && i < FRI_ENVS; i++) {
        lua_newtable(L);
        lua_replace(L, i);
    }
}

static int get_sequence(lua_State *L, void *job)
{
    struct fri_decoder *d = job;
    uint8_t flags = fri_get_byte(&d->r);
    size_t n = fri_get_count(&d->r, 1);

    prepare(d, L, flags);
    fri_decoder_check(d, L);
    if (n > INT32_MAX / 2)
        fri_malformed(L);
    luaL_checkstack(L, (int)n + 10, "too many values");
    for (size_t i = 0; i < n; i++)
        fri_get_value(d, L);
    if (fri_left(&d->r) > 0)
        fri_malformed(L);
    return (int)n;
}

static int get_item(lua_State *L, void *job)
{
    struct fri_decoder *d = job;

    prepare(d, L, fri_get_byte(&d->r));
    fri_decoder_check(d, L);
    fri_get_value(d, L);
    return 1;
}

static struct fri_decoder decoder_of(struct fri_travel *t, const void *bytes,
                                 size_t length,
                                 struct fri_handle *const *handles,
                                 uint32_t handle_count)
{
    struct fri_decoder d = { .t = t,
                         .handles = handles,
                         .handle_count = handle_count,
                         .budget = length };

    fri_reader_init(&d.r, bytes, length);
    return d;
}

/* The sequence when it is short and plain; -1, with nothing pushed, when it
 * is not. */
static int get_plain_sequence(lua_State *L, const void *bytes, size_t length)
{
    struct fri_reader r;
    int top = lua_gettop(L), n;

    fri_reader_init(&r, bytes, length);
    if (length < 2 || fri_get_byte(&r) != 0)
        return -1;
    n = fri_get_byte(&r);
    if (n > 8)
        return -1;
    for (int i = 0; i < n; i++) {
        if (!get_plain(&r, L, fri_get_byte(&r)) || r.bad) {
            lua_settop(L, top);
            return -1;
        }
    }
    if (fri_left(&r) == 0)
        return n;
    lua_settop(L, top);
    return -1;
}

int fri_unpack(lua_State *L, const void *bytes, size_t length,
               struct fri_handle *const *handles, uint32_t handle_count)
{
    struct fri_travel *t;
    struct fri_decoder d;
    int top = lua_gettop(L);
    int n = get_plain_sequence(L, bytes, length);

    if (n >= 0)
        return n;
    t = fri_travel_of(L);
    d = decoder_of(t, bytes, length, handles, handle_count);
    if (!fri_guard(L, t, get_sequence, &d, 1, 0))
        return -1;
    return lua_gettop(L) - top;
}

int fri_unpack_item(lua_State *L, const uint8_t **at, const uint8_t *end,
                    struct fri_handle *const *handles, uint32_t handle_count)
{
    struct fri_travel *t;
    struct fri_decoder d;
    struct fri_reader r;
    int top = lua_gettop(L);

    fri_reader_init(&r, *at, (size_t)(end - *at));
    if (fri_get_byte(&r) == 0 && get_plain(&r, L, fri_get_byte(&r)) && !r.bad) {
        *at = r.at;
        return 1;
    }
    lua_settop(L, top);
    t = fri_travel_of(L);
    d = decoder_of(t, *at, (size_t)(end - *at), handles, handle_count);
    if (!fri_guard(L, t, get_item, &d, 1, 0))
        return -1;
    *at = d.r.at;
    return 1;
}

bool fri_unpack_function(lua_State *L, const struct fri_function *f, bool init)
{
    const struct fri_message *m = f->message;
    struct fri_travel *t = fri_travel_of(L);
    struct fri_decoder d =
        decoder_of(t, m->data, m->length, m->handles, m->handle_count);

    d.init = init;
    return fri_guard(L, t, get_sequence, &d, 1, 0);
}
