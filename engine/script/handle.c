/*
 * handle.c - what Lua holds of the engine: userdata with one reference each.
 */
#include "script/async.h"
#include "script/shared.h"
#include "script/view.h"

#include <string.h>

/* ---- metatables ------------------------------------------------------- */

static int box_gc(lua_State *L)
{
    struct fri_box *box = lua_touserdata(L, 1);

    if (!box || !box->handle)
        return 0;
    if (box->handle->kind == FRI_HANDLE_FUTURE)
        fri_async_forget(L, (struct frun_future *)(void *)box->handle);
    fri_handle_unref(box->handle);
    box->handle = NULL;
    return 0;
}

static int pool_gc(lua_State *L)
{
    struct fri_pool_box *box = lua_touserdata(L, 1);

    if (!box)
        return 0;
    luaL_unref(L, LUA_REGISTRYINDEX, box->name_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, box->after_ref);
    box->name_ref = box->after_ref = LUA_NOREF;
    fri_function_free(box->function);
    fri_spec_unref(box->spec);
    box->function = NULL;
    box->spec = NULL;
    return box_gc(L);
}

/* Handles of one thing are equal; so are plain handles of one pool. */
static int box_eq(lua_State *L)
{
    struct fri_box *a = lua_touserdata(L, 1), *b = lua_touserdata(L, 2);
    bool equal = a && b && a->handle && a->handle == b->handle;

    if (!equal && a && b && a->handle && b->handle
        && a->handle->kind == FRI_HANDLE_POOL
        && b->handle->kind == FRI_HANDLE_POOL) {
        const struct fri_view *v = (void *)a->handle, *w = (void *)b->handle;

        equal = v->plain && w->plain && v->pool == w->pool;
    }
    lua_pushboolean(L, equal);
    return 1;
}

/* One metatable; methods find their fri_script in upvalue 1.  Leaves it on
 * the stack. */
static const void *new_meta(lua_State *L, struct fri_script *s,
                            const char *name, const luaL_Reg *methods,
                            lua_CFunction gc)
{
    const void *meta;

    lua_newtable(L);
    meta = lua_topointer(L, -1);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__name");
    lua_pushcfunction(L, gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, box_eq);
    lua_setfield(L, -2, "__eq");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_newtable(L);
    for (; methods && methods->name; methods++) {
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, methods->func, 1);
        lua_setfield(L, methods->name[0] == '_' ? -3 : -2, methods->name);
    }
    lua_getfield(L, -2, "__index");
    if (lua_isnil(L, -1))
        lua_pop(L, 1);
    else
        lua_remove(L, -2); /* the kind's own */
    lua_setfield(L, -2, "__index");
    return meta;
}

static int limit_tostring(lua_State *L)
{
    struct fri_box *box = lua_touserdata(L, 1);
    const struct fri_limit *limit = (const void *)box->handle;

    lua_pushfstring(L, "limit (%s, %d)", limit->name ? limit->name : "no name",
                    (int)limit->count);
    return 1;
}

static int native_tostring(lua_State *L)
{
    struct fri_box *box = lua_touserdata(L, 1);

    lua_pushfstring(L, "native function (%s)",
                    ((const struct fri_native *)(void *)box->handle)->name);
    return 1;
}

static const luaL_Reg limit_methods[] = {
    { "__tostring", limit_tostring },
    { NULL, NULL },
};

static const luaL_Reg native_methods[] = {
    { "__tostring", native_tostring },
    { "__call", fri_native_call },
    { NULL, NULL },
};

static const struct {
    const char *name;
    const luaL_Reg *methods;
} kinds[FRI_HANDLE_KINDS] = {
    [FRI_HANDLE_POOL] = { "pool", fri_pool_methods },
    [FRI_HANDLE_LIMIT] = { "limit", limit_methods },
    [FRI_HANDLE_FUTURE] = { "future", fri_future_methods },
    [FRI_HANDLE_NATIVE] = { "native", native_methods },
    [FRI_HANDLE_QUEUE] = { "queue", fri_thing_methods },
    [FRI_HANDLE_DICT] = { "dict", fri_thing_methods },
    [FRI_HANDLE_LOCK] = { "lock", fri_thing_methods },
    [FRI_HANDLE_ARRAY] = { "array", fri_array_methods },
    [FRI_HANDLE_SHARE] = { "share", fri_thing_methods },
};

const char *fri_handle_name(uint32_t kind)
{
    return kinds[kind].name;
}

/* core.queue_meta and so on. */
void fri_handles_open(lua_State *L, struct fri_script *s)
{
    for (uint32_t k = 1; k < FRI_HANDLE_KINDS; k++) {
        const char *name = lua_pushfstring(L, "flowrun.%s", kinds[k].name);

        s->metas[k] = new_meta(L, s, name, kinds[k].methods,
                               k == FRI_HANDLE_POOL ? pool_gc : box_gc);
        lua_pushvalue(L, -1);
        s->meta_refs[k] = luaL_ref(L, LUA_REGISTRYINDEX);
        lua_pushfstring(L, "%s_meta", kinds[k].name);
        lua_insert(L, -2);
        lua_rawset(L, 1);
        lua_pop(L, 1);
    }
}

/* ---- tests ------------------------------------------------------------ */

static const void *meta_of(lua_State *L, int index)
{
    const void *meta;

    if (lua_type(L, index) != LUA_TUSERDATA || !lua_getmetatable(L, index))
        return NULL;
    meta = lua_topointer(L, -1);
    lua_pop(L, 1);
    return meta;
}

static void *test(lua_State *L, const void *meta, int index)
{
    return meta && meta_of(L, index) == meta ? lua_touserdata(L, index) : NULL;
}

struct fri_handle *fri_handle_of(lua_State *L, struct fri_script *s,
                                 uint32_t kind, int index)
{
    struct fri_box *box = test(L, s->metas[kind], index);

    return box ? box->handle : NULL;
}

struct frun_future *fri_future_test(lua_State *L, struct fri_script *s,
                                    int index)
{
    return (void *)fri_handle_of(L, s, FRI_HANDLE_FUTURE, index);
}

static int bad_type(lua_State *L, int index, const char *wanted)
{
    const char *text = lua_pushfstring(L, "%s expected, got %s", wanted,
                                       luaL_typename(L, index));

    return luaL_argerror(L, index, text);
}

struct frun_future *fri_future_check(lua_State *L, int index)
{
    struct frun_future *f = fri_future_test(L, fri_script_of(L), index);

    if (!f)
        bad_type(L, index, "future");
    return f;
}

struct fri_pool_box *fri_pool_check(lua_State *L, int index)
{
    const void *meta = fri_script_of(L)->metas[FRI_HANDLE_POOL];
    struct fri_pool_box *box = test(L, meta, index);

    if (!box || !box->box.handle)
        bad_type(L, index, "pool");
    return box;
}

static struct fri_script *state_script(lua_State *L)
{
    struct fri_script *s;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &fri_lua_runner);
    s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

struct fri_handle *fri_handle_test(lua_State *L, int index)
{
    const void *meta = meta_of(L, index);
    struct fri_script *s = meta ? state_script(L) : NULL;

    for (int k = 1; s && k < FRI_HANDLE_KINDS; k++)
        if (meta == s->metas[k])
            return ((struct fri_box *)lua_touserdata(L, index))->handle;
    return NULL;
}

/* ---- pushing ---------------------------------------------------------- */

static struct fri_box *push_box(lua_State *L, const struct fri_script *s,
                                uint32_t kind, size_t size)
{
    struct fri_box *box = lua_newuserdatauv(L, size, 0);

    memset(box, 0, size);
    lua_rawgeti(L, LUA_REGISTRYINDEX, s->meta_refs[kind]);
    lua_setmetatable(L, -2);
    return box;
}

struct fri_box *fri_future_box(lua_State *L, struct fri_script *s)
{
    return push_box(L, s, FRI_HANDLE_FUTURE, sizeof(struct fri_box));
}

static void push_view(lua_State *L, struct fri_script *s,
                      struct fri_handle *handle)
{
    struct fri_pool_box *box
        = (void *)push_box(L, s, FRI_HANDLE_POOL,
                           sizeof(struct fri_pool_box));

    box->name_ref = box->after_ref = LUA_NOREF;
    box->box.handle = handle;
}

/* In a worker's state its own pool must not be held: it would never end. */
static bool is_own(const struct fri_script *s, const frun_pool *pool)
{
    return s->worker && s->worker->pool == pool;
}

void fri_handle_push(lua_State *L, struct fri_handle *h)
{
    struct fri_script *s = state_script(L);
    struct fri_box *box;

    if (!s->metas[h->kind])
        fri_module_load(L);
    if (h->kind == FRI_HANDLE_POOL) {
        const struct fri_view *view = (const void *)h;

        push_view(L, s, NULL);
        box = lua_touserdata(L, -1);
        if (view->weak != is_own(s, view->pool)) {
            box->handle = (struct fri_handle *)fri_view_copy(
                view, !view->weak);
            if (!box->handle)
                fri_raise_memory(L);
            return;
        }
    } else {
        box = push_box(L, s, h->kind, sizeof *box);
    }
    fri_handle_ref(h);
    box->handle = h;
}

/* ---- pools ------------------------------------------------------------ */

struct fri_box *fri_pool_box(lua_State *L, struct fri_script *s)
{
    struct fri_pool_box *box;

    push_view(L, s, NULL);
    box = lua_touserdata(L, -1);
    return &box->box;
}

void fri_pool_fill(lua_State *L, struct fri_script *s, struct fri_box *box,
                   frun_pool *pool)
{
    box->handle = (struct fri_handle *)fri_view_new(pool, is_own(s, pool));
    fri_handle_unref(&pool->handle); /* the view holds it now */
    if (!box->handle)
        fri_raise_memory(L);
}

void fri_pool_push(lua_State *L, struct fri_script *s, frun_pool *pool)
{
    struct fri_box *box = fri_pool_box(L, s);

    fri_handle_ref(&pool->handle);
    fri_pool_fill(L, s, box, pool);
}

/* ---- the values of a future ------------------------------------------- */

enum { OUTSIDE_LEAST = 32 << 20 }; /* bytes */

void fri_outside(lua_State *L, struct fri_script *s, size_t bytes)
{
    s->outside += bytes;
    if (s->outside < OUTSIDE_LEAST
        || s->outside >> 10 < (size_t)lua_gc(L, LUA_GCCOUNT, 0))
        return;
    s->outside = 0;
    lua_gc(L, LUA_GCCOLLECT, 0);
}

int fri_future_push_values(lua_State *L, struct frun_future *f)
{
    struct fri_message *m = f->data.message;

    switch (f->holds) {
    case FRI_NOTHING: return 0;
    case FRI_BYTES: return fri_unpack(L, f->data.bytes, f->length, NULL, 0);
    case FRI_MESSAGE:
        fri_outside(L, state_script(L), m->length);
        return fri_unpack(L, m->data, m->length, m->handles, m->handle_count);
    case FRI_VALUE: fri_value_push(L, f->data.value); return 1;
    default: lua_pushliteral(L, "no value of Lua's"); return -1;
    }
}

int fri_future_push_value(lua_State *L, struct fri_handle *future)
{
    int n = fri_future_push_values(L, (struct frun_future *)(void *)future);

    if (n < 0)
        return -1;
    if (n == 0)
        lua_pushnil(L);
    else
        lua_pop(L, n - 1);
    return 1;
}

struct fri_limit *fri_limit_test(lua_State *L, struct fri_script *s, int index)
{
    return (void *)fri_handle_of(L, s, FRI_HANDLE_LIMIT, index);
}
