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

enum { PARTS = 1, CELLS, ENVS, VALUES }; /* places on the stack */

enum { UPVALUES = 256 };

struct decoder {
    struct fri_travel *t;
    struct fri_reader r;
    struct fri_handle *const *handles;
    uint32_t handle_count;
    uint32_t parts, cells;
    uint32_t env; /* of the function that is being read */
    size_t budget; /* of things made in advance */
    int depth;
    bool keep; /* the parts: a REF or a shared cell will come */
    bool init;
};

static void get_value(struct decoder *d, lua_State *L);

static void malformed(lua_State *L)
{
    luaL_error(L, "malformed message");
}

static void check(const struct decoder *d, lua_State *L)
{
    if (d->r.bad)
        malformed(L);
}

static int in_advance(struct decoder *d, size_t n)
{
    if (n > d->budget)
        n = d->budget;
    d->budget -= n;
    return n > INT32_MAX / 2 ? INT32_MAX / 2 : (int)n;
}

/* ---- parts ------------------------------------------------------------ */

static void begin_part(struct decoder *d, lua_State *L)
{
    if (d->keep) {
        lua_pushvalue(L, -1);
        lua_rawseti(L, PARTS, (int)d->parts + 1);
    }
    d->parts++;
}

static void get_ref(struct decoder *d, lua_State *L)
{
    uint64_t n = fri_get_varint(&d->r);

    if (!d->keep || n >= d->parts || n >= INT32_MAX)
        malformed(L);
    lua_rawgeti(L, PARTS, (int)n + 1);
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

static void get_packed(struct decoder *d, lua_State *L, uint8_t tag)
{
    size_t n = fri_get_count(&d->r, 8);
    const uint8_t *at = d->r.at;

    check(d, L);
    if (n > INT32_MAX / 2)
        malformed(L);
    lua_createtable(L, (int)n, 0);
    begin_part(d, L);
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

static void get_key(struct decoder *d, lua_State *L)
{
    get_value(d, L);
    if (lua_isnil(L, -1)
        || (lua_type(L, -1) == LUA_TNUMBER
            && lua_tonumber(L, -1) != lua_tonumber(L, -1)))
        malformed(L);
#if FRI_LUAJIT
    if (lua_type(L, -1) == FRI_LUA_CDATA)
        malformed(L);
#endif
}

static void get_pairs(struct decoder *d, lua_State *L, size_t pairs)
{
    bool future;

    for (; pairs > 0; pairs--) {
        get_key(d, L);
        future = fri_left(&d->r) > 0 && *d->r.at == FRI_FUTURE;
        get_value(d, L);
        if (lua_isnil(L, -1) && !future)
            malformed(L);
        lua_rawset(L, -3);
    }
}

static void get_table(struct decoder *d, lua_State *L, uint8_t tag)
{
    size_t items = fri_get_count(&d->r, 1);
    size_t pairs = fri_get_count(&d->r, 2);
    int array, hash;

    check(d, L);
    if (++d->depth > FRI_DEPTH || items > INT32_MAX / 2)
        malformed(L);
    luaL_checkstack(L, 10, NULL);
    array = in_advance(d, items);
    hash = in_advance(d, pairs);
    lua_createtable(L, array, hash);
    begin_part(d, L);
    for (size_t i = 1; i <= items; i++) {
        get_value(d, L);
        lua_rawseti(L, -2, (int)i);
    }
    get_pairs(d, L, pairs);
    if (tag == FRI_OBJECT) {
        get_value(d, L);
        if (!lua_istable(L, -1))
            malformed(L);
        lua_setmetatable(L, -2);
    }
    d->depth--;
}

/* ---- environments ----------------------------------------------------- */

static int poisoned_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1))
        return luaL_error(L, "global '%s' could not travel: %s",
                          lua_tostring(L, 2), lua_tostring(L, -1));
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(2));
    return 1;
}

/* env[name] = value in what `init` assigns to: worker's globals, and no more
 * what came with init. */
static int init_newindex(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_pushnil(L);
    lua_rawset(L, lua_upvalueindex(1));
    lua_settop(L, 3);
    lua_rawset(L, lua_upvalueindex(2));
    return 0;
}

/* The table on the top is one of globals; where its values are is below it
 * for init, else itself. */
static void register_env(struct decoder *d, lua_State *L, bool init)
{
    fri_push_ref(L, d->t->envs);
    lua_pushvalue(L, -2);
    if (init)
        lua_pushvalue(L, -4);
    else
        lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    d->t->env_made++;
}

static void new_env(struct decoder *d, lua_State *L)
{
    lua_newtable(L);
    fri_push_ref(L, d->t->env_meta);
    lua_setmetatable(L, -2);
    if (!d->init) {
        register_env(d, L, false);
        return;
    }
    lua_newtable(L);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, -3);
    fri_push_ref(L, d->t->globals_ref);
    lua_pushcclosure(L, init_newindex, 2);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    register_env(d, L, true);
    lua_remove(L, -2);
}

/* Pushes environment n of this message. */
static void push_env(struct decoder *d, lua_State *L, uint32_t n)
{
    if (n > INT16_MAX)
        malformed(L);
    if (!lua_istable(L, ENVS)) {
        lua_newtable(L);
        lua_replace(L, ENVS);
    }
    lua_rawgeti(L, ENVS, (int)n + 1);
    if (lua_istable(L, -1))
        return;
    lua_pop(L, 1);
    new_env(d, L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, ENVS, (int)n + 1);
}

/* Pushes where the values of environment n are kept. */
static void push_store(struct decoder *d, lua_State *L, uint32_t n)
{
    push_env(d, L, n);
    if (!d->init)
        return;
    fri_push_ref(L, d->t->envs);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* Pushes the table of poisons of the store at i. */
static void push_poisons(struct decoder *d, lua_State *L, int i)
{
    if (lua_getmetatable(L, i)) {
        lua_pushliteral(L, "poisons");
        lua_rawget(L, -2);
        lua_remove(L, -2);
        if (lua_istable(L, -1))
            return;
        lua_pop(L, 1);
    }
    lua_newtable(L);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "poisons");
    lua_pushvalue(L, -2);
    fri_push_ref(L, d->t->globals_ref);
    lua_pushcclosure(L, poisoned_index, 2);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, i);
}

/* Did init give the name at `name` a value here?  Pushes what is there. */
static bool made_by_init(struct decoder *d, lua_State *L, int name)
{
    bool yes;

    fri_push_ref(L, d->t->globals_ref);
    lua_pushvalue(L, name);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_isnil(L, -1))
        return false;
    fri_push_ref(L, d->t->originals);
    lua_pushvalue(L, name);
    lua_rawget(L, -2);
    yes = !lua_rawequal(L, -1, -3);
    lua_pop(L, 2);
    return yes;
}

/* What follows the name, which is on the top. */
static void get_global(struct decoder *d, lua_State *L, uint32_t env)
{
    int name = lua_gettop(L);
    uint8_t tag = d->r.at < d->r.end ? *d->r.at : (uint8_t)FRI_TAG_END;
    bool here = made_by_init(d, L, name);
    size_t length;

    push_store(d, L, env); /* name, what is here, store */
    if (tag == FRI_NAME && fri_left(&d->r) >= 2 && d->r.at[1] == 0) {
        d->r.at += 2;
        lua_pushvalue(L, here ? name + 3 : name + 1);
        lua_settop(L, here ? name + 2 : name + 3);
    } else if (tag == FRI_POISON) {
        const char *text;

        d->r.at++;
        text = fri_get_str(&d->r, tag, &length);
        check(d, L);
        if (!here)
            push_poisons(d, L, name + 2);
        lua_pushlstring(L, text, length);
    } else {
        uint32_t outer = d->env;

        d->env = env;
        get_value(d, L);
        d->env = outer;
    }
    if (!here && lua_gettop(L) > name + 2) {
        lua_pushvalue(L, name);
        lua_insert(L, -2);
        lua_rawset(L, -3);
    }
    lua_settop(L, name - 1);
}

static void get_globals(struct decoder *d, lua_State *L)
{
    uint64_t env;
    const char *name;
    size_t length;

    while ((env = fri_get_varint(&d->r)) > 0) {
        name = fri_get_str(&d->r, FRI_STR, &length);
        check(d, L);
        lua_pushlstring(L, name, length);
        get_global(d, L, (uint32_t)env - 1);
    }
}

/* ---- functions -------------------------------------------------------- */

/* Joins upvalue i of the function on the top to cell n. */
static void join_cell(struct decoder *d, lua_State *L, int i, uint64_t n)
{
    lua_Integer place;

    if (!d->keep || n >= d->cells || n >= INT32_MAX)
        malformed(L);
    lua_rawgeti(L, CELLS, (int)n + 1);
    place = lua_tointeger(L, -1);
    lua_pop(L, 1);
    lua_rawgeti(L, PARTS, (int)(place / UPVALUES) + 1);
    lua_upvaluejoin(L, -2, i, -1, (int)(place % UPVALUES));
    lua_pop(L, 1);
}

static void get_upvalue(struct decoder *d, lua_State *L, int i, uint32_t part)
{
    uint64_t cell = fri_get_varint(&d->r);

    check(d, L);
    if (cell > 0) {
        join_cell(d, L, i, cell - 1);
        return;
    }
    if (d->keep) {
        lua_pushinteger(L, (lua_Integer)part * UPVALUES + i);
        lua_rawseti(L, CELLS, (int)d->cells + 1);
    }
    d->cells++;
    get_value(d, L);
    if (!lua_setupvalue(L, -2, i))
        malformed(L);
}

static void get_env(struct decoder *d, lua_State *L)
{
    uint64_t env = fri_get_varint(&d->r);

    check(d, L);
    if (env > INT16_MAX)
        malformed(L);
    d->env = env >= 2 ? (uint32_t)env - 2 : 0;
#if FRI_LUA54
    if (env == 1)
        malformed(L);
#else
    if (env == 1)
        get_value(d, L);
    else if (env >= 2)
        push_env(d, L, d->env);
    if (env > 0 && !lua_istable(L, -1))
        malformed(L);
    if (env > 0)
        lua_setfenv(L, -2);
#endif
}

static void get_function(struct decoder *d, lua_State *L)
{
    size_t all = fri_get_count(&d->r, 1), length = fri_get_count(&d->r, 1);
    const char *code = (const char *)d->r.at;
    uint32_t outer = d->env, part = d->parts;
    size_t n;

    check(d, L);
    (void)all;
    if (++d->depth > FRI_DEPTH)
        malformed(L);
    luaL_checkstack(L, 20, NULL);
    if (luaL_loadbufferx(L, code, length, "=function", "b") != LUA_OK)
        lua_error(L);
    begin_part(d, L);
    d->r.at += length;
    get_env(d, L);
    n = fri_get_count(&d->r, 1);
    check(d, L);
    for (size_t i = 1; i <= n && i < UPVALUES; i++)
        get_upvalue(d, L, (int)i, part);
    get_globals(d, L);
    check(d, L);
    d->env = outer;
    d->depth--;
}

/* ---- values ----------------------------------------------------------- */

static void get_handle(struct decoder *d, lua_State *L, uint8_t tag)
{
    uint64_t n = fri_get_varint(&d->r);

    check(d, L);
    if (n >= d->handle_count)
        malformed(L);
    if (tag == FRI_HANDLE)
        fri_handle_push(L, d->handles[n]);
    else if (fri_future_push_value(L, d->handles[n]) < 0)
        lua_error(L);
}

static void get_string(struct decoder *d, lua_State *L, uint8_t tag)
{
    size_t length;
    const char *s = fri_get_str(&d->r, tag, &length);

    check(d, L);
    if (tag == FRI_NAME)
        fri_names_push(L, d->t, s, length);
    else
        lua_pushlstring(L, s, length);
}

static void get_tagged(struct decoder *d, lua_State *L, uint8_t tag)
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
        get_function(d, L);
        break;
    case FRI_ENV:
        push_env(d, L, d->env);
        break;
    case FRI_HANDLE:
    case FRI_FUTURE:
        get_handle(d, L, tag);
        break;
    default:
        malformed(L);
    }
}

static void get_value(struct decoder *d, lua_State *L)
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
        malformed(L);
}

/* ---- messages --------------------------------------------------------- */

static void prepare(struct decoder *d, lua_State *L, uint8_t flags)
{
    if (flags & ~FRI_HAS_REFS)
        malformed(L);
    lua_settop(L, VALUES - 1);
    d->keep = flags & FRI_HAS_REFS;
    for (int i = PARTS; d->keep && i < ENVS; i++) {
        lua_newtable(L);
        lua_replace(L, i);
    }
}

static int get_sequence(lua_State *L, void *job)
{
    struct decoder *d = job;
    uint8_t flags = fri_get_byte(&d->r);
    size_t n = fri_get_count(&d->r, 1);

    prepare(d, L, flags);
    check(d, L);
    if (n > INT32_MAX / 2)
        malformed(L);
    luaL_checkstack(L, (int)n + 10, "too many values");
    for (size_t i = 0; i < n; i++)
        get_value(d, L);
    if (fri_left(&d->r) > 0)
        malformed(L);
    return (int)n;
}

static int get_item(lua_State *L, void *job)
{
    struct decoder *d = job;

    prepare(d, L, fri_get_byte(&d->r));
    check(d, L);
    get_value(d, L);
    return 1;
}

static struct decoder decoder_of(struct fri_travel *t, const void *bytes,
                                 size_t length,
                                 struct fri_handle *const *handles,
                                 uint32_t handle_count)
{
    struct decoder d = { .t = t,
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
    struct decoder d;
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
    struct decoder d;
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
    struct decoder d =
        decoder_of(t, m->data, m->length, m->handles, m->handle_count);

    d.init = init;
    return fri_guard(L, t, get_sequence, &d, 1, 0);
}
