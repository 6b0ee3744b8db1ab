/*
 * handle.c - what Lua holds of the engine: userdata with one reference each.
 */
#include "script/async.h"
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
 * the stack and in the registry under its own address. */
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
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, meta);
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
    { NULL, NULL },
};

void fri_handles_open(lua_State *L, struct fri_script *s)
{
    s->pool_meta = new_meta(L, s, "flowrun.pool", fri_pool_methods, pool_gc);
    lua_setfield(L, 1, "pool_meta");
    s->future_meta = new_meta(L, s, "flowrun.future", fri_future_methods,
                              box_gc);
    lua_setfield(L, 1, "future_meta");
    s->limit_meta = new_meta(L, s, "flowrun.limit", limit_methods, box_gc);
    lua_pop(L, 1);
    s->native_meta = new_meta(L, s, "flowrun.native", native_methods, box_gc);
    lua_pop(L, 1);
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

struct frun_future *fri_future_test(lua_State *L, struct fri_script *s,
                                    int index)
{
    struct fri_box *box = test(L, s->future_meta, index);

    return box ? (struct frun_future *)(void *)box->handle : NULL;
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
    struct fri_pool_box *box = test(L, fri_script_of(L)->pool_meta, index);

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

    if (!s
        || (meta != s->pool_meta && meta != s->future_meta
            && meta != s->limit_meta && meta != s->native_meta))
        return NULL;
    return ((struct fri_box *)lua_touserdata(L, index))->handle;
}

/* ---- pushing ---------------------------------------------------------- */

static struct fri_box *push_box(lua_State *L, const void *meta, size_t size)
{
    struct fri_box *box = lua_newuserdatauv(L, size, 0);

    memset(box, 0, size);
    lua_rawgetp(L, LUA_REGISTRYINDEX, meta);
    lua_setmetatable(L, -2);
    return box;
}

struct fri_box *fri_future_box(lua_State *L, struct fri_script *s)
{
    return push_box(L, s->future_meta, sizeof(struct fri_box));
}

static void push_view(lua_State *L, struct fri_script *s,
                      struct fri_handle *handle)
{
    struct fri_pool_box *box
        = (void *)push_box(L, s->pool_meta, sizeof(struct fri_pool_box));

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

    if (!s->pool_meta)
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
        box = push_box(L,
                       h->kind == FRI_HANDLE_FUTURE  ? s->future_meta
                       : h->kind == FRI_HANDLE_LIMIT ? s->limit_meta
                                                     : s->native_meta,
                       sizeof *box);
    }
    fri_handle_ref(h);
    box->handle = h;
}

/* ---- pools ------------------------------------------------------------ */

void fri_pool_push(lua_State *L, struct fri_script *s, frun_pool *pool)
{
    struct fri_pool_box *box;

    push_view(L, s, NULL);
    box = lua_touserdata(L, -1);
    box->box.handle = (struct fri_handle *)fri_view_new(pool, is_own(s, pool));
    if (!box->box.handle)
        fri_raise_memory(L);
}

/* ---- the values of a future ------------------------------------------- */

int fri_future_push_values(lua_State *L, struct frun_future *f)
{
    struct fri_message *m = f->data.message;

    switch (f->holds) {
    case FRI_NOTHING: return 0;
    case FRI_BYTES: return fri_unpack(L, f->data.bytes, f->length, NULL, 0);
    case FRI_MESSAGE:
        return fri_unpack(L, m->data, m->length, m->handles, m->handle_count);
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
    struct fri_box *box = test(L, s->limit_meta, index);

    return box ? (struct fri_limit *)(void *)box->handle : NULL;
}
