/*
 * lpool.c - pools in Lua: opening, submit, scatter and map.
 *
 * What is handed out is encoded first, all of it; only then is anything
 * submitted, so a refused item leaves nothing half done.  Records that were
 * made are owned by the futures' userdata, so an error frees them.
 */
#include "script/int64.h"
#include "script/view.h"
#include "base/hash.h"
#include "data/codec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SUBMIT_BATCH = 256,  /* tasks submitted under one lock */
    SLICE_COST_NS = 2000 /* a coroutine, tables, encoding: 1.5 to 2.5 us */
};

/* ---- keys ------------------------------------------------------------- */

static bool is_index(lua_State *L, int index, int64_t n)
{
    double d;

    if (lua_type(L, index) != LUA_TNUMBER)
        return false;
    d = lua_tonumber(L, index);
    return d >= 1 && d <= (double)n && d == floor(d);
}

/* Numbers, then strings, then booleans. */
static int key_rank(lua_State *L, int index)
{
    int type = lua_type(L, index);

    return type == LUA_TNUMBER ? 0 : type == LUA_TSTRING ? 1 : 2;
}

static int key_before(lua_State *L)
{
    int a = key_rank(L, 1), b = key_rank(L, 2);
    bool before = a < b;

    if (a == b && a < 2)
        before = lua_lessthan(L, 1, 2);
    else if (a == b)
        before = !lua_toboolean(L, 1) && lua_toboolean(L, 2);
    lua_pushboolean(L, before);
    return 1;
}

static void check_key(lua_State *L)
{
    int type = lua_type(L, -2);

    if (type != LUA_TNUMBER && type != LUA_TSTRING && type != LUA_TBOOLEAN)
        fri_misuse(L, "keys must be strings, numbers or booleans, not a %s",
                   luaL_typename(L, -2));
}

static void sort_keys(lua_State *L, struct fri_script *s)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &s->flow); /* table.sort */
    lua_pushvalue(L, -2);
    lua_pushcfunction(L, key_before);
    lua_call(L, 2, 0);
}

int64_t fri_other_keys(lua_State *L, int index)
{
    int64_t n = (int64_t)lua_rawlen(L, index);
    int keys = 0, count = 0;

    for (lua_pushnil(L); lua_next(L, index); lua_pop(L, 1)) {
        if (is_index(L, -2, n))
            continue;
        check_key(L);
        if (keys == 0) {
            lua_newtable(L);
            lua_insert(L, -3);
            keys = lua_gettop(L) - 2;
        }
        lua_pushvalue(L, -2);
        lua_rawseti(L, keys, ++count);
    }
    if (keys == 0)
        lua_pushnil(L);
    else
        sort_keys(L, fri_script_of(L));
    return n;
}

/* ---- specs ------------------------------------------------------------ */

static void function_free(void *function)
{
    fri_function_free(function);
}

static void keep_spec(struct fri_pool_box *box, struct fri_function *f,
                      struct fri_spec *spec)
{
    fri_spec_unref(box->spec);
    fri_function_free(box->function);
    box->spec = spec;
    box->function = f;
}

struct fri_spec *fri_box_spec(lua_State *L, struct fri_pool_box *box,
                              int index)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_view *view = fri_box_view(box);
    struct fri_function *f;
    struct fri_spec *spec;

    f = fri_function_get(L, index);
    if (!f) {
        fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
        return NULL;
    }
    if (f == box->function) {
        fri_function_free(f);
        return box->spec;
    }
    spec = fri_spec_new(&view->pool->lane, &view->policy);
    if (spec && !spec->name)
        spec->name = fri_strdup(&s->engine->memory, f->name);
    if (!spec || !spec->name) {
        fri_spec_unref(spec);
        fri_function_free(f);
        fri_raise(L, FRUN_ENOMEM, "out of memory");
        return NULL;
    }
    spec->script = f;
    spec->script_free = function_free;
    atomic_fetch_add(&f->refs, 1);
    keep_spec(box, f, spec);
    return spec;
}

static void check_open(lua_State *L, const struct fri_script *s,
                       const frun_pool *pool)
{
    bool own = s->worker && s->worker->pool == pool;

    if ((pool->closing && !own) || pool->engine->closing)
        fri_raise(L, FRUN_ECLOSED, "%s is closed", pool->name);
}

/* ---- one task --------------------------------------------------------- */

/* The pack as arguments.  False: out of memory. */
static bool as_data(struct fri_data *data, const struct fri_memory *m,
                    const struct fri_pack *pack)
{
    size_t n = pack->bytes->length;

    if (pack->handle_count == 0 && n <= FRI_INLINE) {
        data->holds = n > 2 ? FRI_BYTES : FRI_NOTHING;
        memcpy(data->bytes, pack->bytes->data, n);
        data->length = (uint8_t)n;
        return true;
    }
    data->message = fri_message_new(m, pack->bytes->data, n, pack->handles,
                                    pack->handle_count);
    data->holds = data->message ? FRI_MESSAGE : FRI_NOTHING;
    return data->message != NULL;
}

/* The record, with its arguments. */
static bool fill(struct frun_future *task, const struct fri_memory *m,
                 const struct fri_pack *pack)
{
    struct fri_data data;

    if (!as_data(&data, m, pack))
        return false;
    fri_task_put(task, &data);
    return true;
}

static bool add_dependencies(lua_State *L, struct fri_script *s,
                             struct frun_future *task,
                             const struct fri_pack *pack)
{
    for (uint32_t i = 0; i < pack->handle_count; i++) {
        struct frun_future *f = (void *)pack->handles[i];

        if (f->handle.kind != FRI_HANDLE_FUTURE)
            continue;
        if (!fri_async_pack(L, s, f) || !fri_task_after(task, &f, 1))
            return false;
    }
    return true;
}

static bool add_after(lua_State *L, struct fri_script *s,
                      const struct fri_pool_box *box,
                      struct frun_future *task)
{
    bool ok = true;

    if (box->after_ref == LUA_NOREF)
        return true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->after_ref);
    for (int i = 1, n = (int)lua_rawlen(L, -1); ok && i <= n; i++) {
        struct frun_future *f;

        lua_rawgeti(L, -1, i);
        f = fri_future_test(L, s, -1);
        ok = f && fri_task_after(task, &f, 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return ok;
}

/* The task's own name, from the policy's function of value and key. */
static bool set_name(lua_State *L, struct fri_pool_box *box,
                     struct frun_future *task, int value, int key)
{
    struct fri_extra *x;

    if (box->name_ref == LUA_NOREF)
        return true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->name_ref);
    if (value)
        lua_pushvalue(L, value);
    else
        lua_pushnil(L);
    if (key)
        lua_pushvalue(L, key);
    else
        lua_pushnil(L);
    lua_call(L, 2, 1);
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
        luaL_error(L, "the policy's name function must give a string, not a "
                      "%s",
                   luaL_typename(L, -1));
    x = fri_task_extra(task);
    if (x)
        x->name = fri_strdup(task->spec->lane->sched->memory,
                             lua_tostring(L, -1));
    lua_pop(L, 1);
    return x && x->name;
}

/* Found when it is first wanted: most tasks draw no random numbers. */
static uint64_t stream_base(lua_State *L, const struct fri_pool_box *box,
                            struct fri_spec *spec)
{
    if (spec->stream == 0)
        spec->stream
            = fri_stream_base(L, 2, fri_box_view(box)->policy.name);
    return spec->stream;
}

static bool set_stream(lua_State *L, struct fri_script *s,
                       const struct fri_pool_box *box,
                       struct frun_future *task, bool random, uint64_t key)
{
    struct fri_spec *spec = task->spec;
    const struct fri_function *f = spec->script;
    struct fri_extra *x;

    if (!random && !f->random)
        return true;
    x = fri_task_extra(task);
    if (!x)
        return false;
    x->stream = fri_stream(s,
                           x->name ? fri_stream_base(L, 2, x->name)
                                   : stream_base(L, box, spec),
                           key);
    return true;
}

static struct frun_future *new_task(struct fri_script *s,
                                    struct fri_spec *spec, struct fri_box *box)
{
    struct frun_future *task;

    fri_lock(s->engine);
    task = fri_task_new(&s->engine->sched, spec);
    fri_unlock(s->engine);
    box->handle = (struct fri_handle *)task;
    return task;
}

static int no_memory(lua_State *L)
{
    return fri_raise(L, FRUN_ENOMEM, "out of memory");
}

static void check_function(lua_State *L, const char *name)
{
    if (lua_type(L, 2) != LUA_TFUNCTION)
        fri_misuse(L, "bad argument #1 to '%s' (function expected, got %s%s)",
                   name, luaL_typename(L, 2),
                   lua_istable(L, 2) ? "; a command needs a pool of commands"
                                     : "");
}

/* Nothing but a function and arguments: one lock for all. */
static int submit_plain(lua_State *L, struct fri_script *s,
                        struct fri_spec *spec, const struct fri_pack *pack)
{
    struct fri_box *box = fri_future_box(L, s);
    frun_engine *e = s->engine;
    struct fri_data data;
    struct frun_future *task;

    if (!as_data(&data, &e->memory, pack))
        return no_memory(L);
    fri_lock(e);
    task = fri_task_new(&e->sched, spec);
    if (task) {
        box->handle = &task->handle;
        memcpy(task->data.bytes, data.bytes, FRI_INLINE);
        task->holds = data.holds;
        task->length = data.length;
        fri_sched_submit(task, true);
    }
    fri_unlock(e);
    if (task)
        return 1;
    fri_data_free(&data);
    return no_memory(L);
}

static int submit_rich(lua_State *L, struct fri_script *s,
                       struct fri_pool_box *box, struct fri_spec *spec,
                       const struct fri_pack *pack, bool random)
{
    int future, value = lua_gettop(L) > 2 ? 3 : 0;
    struct frun_future *task = new_task(s, spec, fri_future_box(L, s));
    uint64_t arguments = 0;

    future = lua_gettop(L);
    if (random)
        arguments = fri_hash(pack->bytes->data, pack->bytes->length, 0);
    if (!task || !fill(task, &s->engine->memory, pack)
        || (pack->has_futures && !add_dependencies(L, s, task, pack))
        || !add_after(L, s, box, task) || !set_name(L, box, task, value, 0)
        || !set_stream(L, s, box, task, random, arguments))
        return no_memory(L);
    lua_settop(L, future);
    fri_lock(s->engine);
    fri_sched_submit(task, true);
    fri_unlock(s->engine);
    return 1;
}

/* pool:submit(fn, ...) */
static int pool_submit(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_pool_box *box = fri_pool_check(L, 1);
    int top = lua_gettop(L);
    struct fri_spec *spec;
    struct fri_pack *pack;
    bool random;

    check_function(L, "submit");
    check_open(L, s, fri_box_view(box)->pool);
    spec = fri_box_spec(L, box, 2);
    if (!fri_pack_values(L, 3, top - 2, "argument", true, &pack))
        return fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
    random = pack->random
             || ((const struct fri_function *)spec->script)->random;
    if (!random && !pack->has_futures && box->name_ref == LUA_NOREF
        && box->after_ref == LUA_NOREF)
        return submit_plain(L, s, spec, pack);
    return submit_rich(L, s, box, spec, pack, random);
}

/* ---- many tasks ------------------------------------------------------- */

static void set_key(lua_State *L, struct frun_future *task, int index,
                    const struct fri_memory *m)
{
    struct fri_pack *pack;

    if (lua_type(L, index) == LUA_TNUMBER) {
        double d = lua_tonumber(L, index);

        if (d == floor(d) && fabs(d) < 9e15) {
            task->key_kind = FRI_KEY_NUMBER;
            task->key.number = (int64_t)d;
            return;
        }
    }
    if (!fri_pack_values(L, index, 1, NULL, false, &pack))
        return;
    task->key.message = fri_message_new(m, pack->bytes->data,
                                        pack->bytes->length, NULL, 0);
    if (task->key.message)
        task->key_kind = FRI_KEY_MESSAGE;
}

/* The text of a refusal, with the key: packs again, only then. */
static int refuse_item(lua_State *L, int value, int key)
{
    struct fri_pack *pack;

    lua_pushvalue(L, key);
    if (lua_type(L, -1) == LUA_TBOOLEAN)
        lua_pushstring(L, lua_toboolean(L, key) ? "true" : "false");
    lua_pushfstring(L, "item [%s]", lua_tostring(L, -1));
    fri_pack_values(L, value, 1, lua_tostring(L, -1), true, &pack);
    return fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
}

/* A scatter on its way. */
struct scatter {
    struct fri_script *script;
    struct fri_pool_box *box;
    struct fri_spec *spec;
    int64_t listed, count;
    int keys;      /* index of the list of other keys */
    void **streams; /* of random numbers; made when first wanted */
};

static int streams_gc(lua_State *L)
{
    void **streams = lua_touserdata(L, 1);

    fri_streams_free(*streams);
    *streams = NULL;
    return 0;
}

/* On the stack, so that an error frees it. */
static void **push_streams(lua_State *L)
{
    void **streams = lua_newuserdatauv(L, sizeof *streams, 0);

    *streams = NULL;
    lua_newtable(L);
    lua_pushcfunction(L, streams_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return streams;
}

static bool item_stream(lua_State *L, struct scatter *sc,
                        struct frun_future *task, bool random, int64_t i,
                        int key)
{
    const struct fri_function *f = sc->spec->script;

    if (!random && !f->random)
        return true;
    if (task->extra && task->extra->name) {
        task->extra->stream
            = fri_stream_item(L, sc->script,
                              fri_stream_base(L, 2, task->extra->name), key);
        return true;
    }
    if (!*sc->streams)
        *sc->streams = fri_streams_new(
            L, sc->script, stream_base(L, sc->box, sc->spec),
            (uint64_t)sc->listed, (uint64_t)sc->count, sc->keys,
            (uint64_t)sc->listed);
    if (!*sc->streams || !fri_task_extra(task))
        return false;
    task->extra->stream = fri_streams_item(*sc->streams, (uint64_t)i);
    return true;
}

/* The task of item i from 0: value and key on the top of the stack, replaced
 * by the future. */
static struct frun_future *item_task(lua_State *L, struct scatter *sc,
                                     int64_t i)
{
    struct fri_script *s = sc->script;
    int value = lua_gettop(L) - 1, key = value + 1;
    const struct fri_memory *m = &s->engine->memory;
    struct frun_future *task;
    struct fri_pack *pack;
    bool random;

    task = new_task(s, sc->spec, fri_future_box(L, s));
    if (!task)
        no_memory(L);
    if (!fri_pack_values(L, value, 2, "item", true, &pack))
        refuse_item(L, value, key);
    random = pack->random;
    if (!fill(task, m, pack)
        || (pack->has_futures && !add_dependencies(L, s, task, pack))
        || !add_after(L, s, sc->box, task)
        || !set_name(L, sc->box, task, value, key)
        || !item_stream(L, sc, task, random, i, key))
        no_memory(L);
    set_key(L, task, key, m);
    lua_replace(L, value);
    lua_settop(L, value);
    return task;
}

static void submit_all(frun_engine *e, struct frun_future **tasks, size_t n)
{
    for (size_t i = 0; i < n;) {
        size_t end = i + SUBMIT_BATCH < n ? i + SUBMIT_BATCH : n, first = i;
        struct fri_lane *lane = tasks[i]->spec->lane;

        fri_lock(e);
        for (; i < end; i++)
            fri_sched_submit(tasks[i], false);
        lane->hooks->ready(lane, end - first);
        fri_unlock(e);
    }
}

/* Scatters the table at 3 (its other keys at `keys`, or nil there); pushes
 * the table of futures. */
static int scatter(lua_State *L, struct fri_script *s,
                   struct fri_pool_box *box, struct fri_spec *spec, int64_t n,
                   int keys)
{
    int64_t more = lua_istable(L, keys) ? (int64_t)lua_rawlen(L, keys) : 0;
    struct scatter sc = { s, box, spec, n, n + more, keys, NULL };
    struct frun_future **tasks;
    int result;

    if (sc.count > INT32_MAX)
        return luaL_error(L, "too many items");
    tasks = lua_newuserdatauv(L, ((size_t)sc.count + 1) * sizeof *tasks, 0);
    sc.streams = push_streams(L);
    lua_createtable(L, (int)n, (int)more);
    result = lua_gettop(L);
    for (int i = 1; i <= (int)sc.count; i++) {
        if (i <= n)
            lua_pushinteger(L, i);
        else
            lua_rawgeti(L, keys, (int)(i - n));
        lua_pushvalue(L, -1);
        lua_rawget(L, 3);
        lua_pushvalue(L, -2);
        tasks[i - 1] = item_task(L, &sc, i - 1); /* key future */
        lua_rawset(L, result);
    }
    submit_all(s->engine, tasks, (size_t)sc.count);
    return 1;
}

static struct fri_pool_box *begin_many(lua_State *L, struct fri_script *s,
                                       const char *name)
{
    struct fri_pool_box *box = fri_pool_check(L, 1);

    check_function(L, name);
    if (lua_type(L, 3) != LUA_TTABLE)
        fri_misuse(L, "bad argument #2 to '%s' (table expected, got %s)", name,
                   luaL_typename(L, 3));
    check_open(L, s, fri_box_view(box)->pool);
    lua_settop(L, 3);
    return box;
}

/* pool:scatter(fn, t) */
static int pool_scatter(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_pool_box *box = begin_many(L, s, "scatter");
    struct fri_spec *spec = fri_box_spec(L, box, 2);
    int64_t n = fri_other_keys(L, 3); /* 4 */

    return scatter(L, s, box, spec, n, 4);
}

/* ---- map -------------------------------------------------------------- */

struct items {
    struct fri_message *message;
    size_t *offsets;
};

/* Packs t[1..n] of the table at index; false: *future (some item has one).
 * Refusals raise. */
static bool pack_items(lua_State *L, struct fri_script *s, int index,
                       int64_t n, struct items *items, bool *random)
{
    const struct fri_memory *m = &s->engine->memory;
    struct fri_pack *pack = fri_pack_begin(L);
    size_t *offsets = fri_alloc(m, (size_t)n * sizeof *offsets);
    bool numbers = false;
    int64_t future = 0;

    if (!offsets)
        no_memory(L);
    if (!fri_pack_items(L, index, 1, n, pack, offsets, &numbers, &future)) {
        fri_free(m, offsets);
        fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
    }
    if (future || numbers) {
        fri_free(m, offsets);
        offsets = NULL;
    }
    if (future)
        return false;
    *random |= pack->random;
    items->offsets = offsets;
    items->message = fri_message_new(m, pack->bytes->data,
                                     pack->bytes->length, pack->handles,
                                     pack->handle_count);
    if (items->message)
        return true;
    fri_free(m, offsets);
    no_memory(L);
    return false;
}

/* The values of the keys at 4, as a list, on the top of the stack. */
static void values_of_keys(lua_State *L, int64_t n, int64_t more)
{
    lua_createtable(L, (int)(n + more), 0);
    for (int64_t i = 1; i <= n; i++) {
        lua_rawgeti(L, 3, (int)i);
        lua_rawseti(L, -2, (int)i);
    }
    for (int64_t i = 1; i <= more; i++) {
        lua_rawgeti(L, 4, (int)i);
        lua_rawget(L, 3);
        lua_rawseti(L, -2, (int)(n + i));
    }
}

/* 1..n, then the other keys, as one list in place of 4. */
static void all_keys(lua_State *L, int64_t n, int64_t more)
{
    lua_createtable(L, (int)(n + more), 0);
    for (int64_t i = 1; i <= n + more; i++) {
        if (i <= n)
            lua_pushinteger(L, (lua_Integer)i);
        else
            lua_rawgeti(L, 4, (int)(i - n));
        lua_rawseti(L, -2, (int)i);
    }
    lua_replace(L, 4);
}

static void keep_items(struct fri_script *s, struct items *items)
{
    fri_message_free(items->message);
    fri_free(&s->engine->memory, items->offsets);
}

/* The range of t's items; NULL: some item has a future in it.  May raise. */
static struct fri_range *make_range(lua_State *L, struct fri_script *s,
                                    struct fri_pool_box *box, int64_t n,
                                    int64_t more, bool *random)
{
    struct items items = { NULL, NULL }, keys = { NULL, NULL };
    struct fri_range *r;
    int index = 3;

    if (more) {
        values_of_keys(L, n, more);
        index = lua_gettop(L);
        all_keys(L, n, more);
        pack_items(L, s, 4, n + more, &keys, random);
    }
    if (!pack_items(L, s, index, n + more, &items, random)) {
        keep_items(s, &keys);
        return NULL;
    }
    r = fri_range_new(&s->engine->memory, (uint64_t)(n + more),
                      fri_box_view(box)->pool->workers,
                      fri_box_view(box)->policy.chunk);
    if (!r) {
        keep_items(s, &keys);
        keep_items(s, &items);
        no_memory(L);
        return NULL;
    }
    r->items = items.message;
    r->offsets = items.offsets;
    r->keys = keys.message;
    r->key_offsets = keys.offsets;
    return r;
}

static bool range_streams(lua_State *L, struct fri_script *s,
                          const struct fri_pool_box *box,
                          struct fri_spec *spec, struct fri_range *r,
                          int64_t n)
{
    r->streams = fri_streams_new(L, s, stream_base(L, box, spec), (uint64_t)n,
                                 r->count, 4, 0);
    r->streams_free = fri_streams_free;
    return r->streams != NULL;
}

static void read_piece(lua_State *L, const struct fri_piece *p, int keys,
                       int result);

/* The results of short work, done here: "done", results. */
static int map_inline(lua_State *L, struct fri_script *s,
                      struct frun_future *task)
{
    struct fri_ran ran;
    struct fri_piece piece = { 0, task->data.range->count, NULL };

    memset(&ran, 0, sizeof ran);
    task->counted = 1;
    fri_inline_run(s, task, &ran);
    if (ran.failed) {
        struct fri_data failure = { .holds = FRI_ERROR };

        failure.error = ran.failure;
        fri_sched_name_error(task, ran.failure);
        fri_task_put(task, &failure);
        fri_error_push_of(L, task);
        return lua_error(L);
    }
    lua_pushliteral(L, "done");
    lua_createtable(L, (int)piece.end, 0);
    piece.results = ran.outcome.message;
    /* In the record, so that an error below frees it. */
    fri_task_put(task, &ran.outcome);
    read_piece(L, &piece, 0, lua_gettop(L));
    return 2;
}

/* "range", future, keys; or what map_inline gives */
static int map_range(lua_State *L, struct fri_script *s,
                     struct fri_pool_box *box, struct fri_spec *spec,
                     int64_t n, int64_t more)
{
    struct frun_future *task;
    struct fri_range *r;
    int future;
    bool random = ((const struct fri_function *)spec->script)->random;

    task = new_task(s, spec, fri_future_box(L, s));
    future = lua_gettop(L);
    if (!task)
        return no_memory(L);
    r = make_range(L, s, box, n, more, &random);
    if (!r)
        return 0;
    task->holds = FRI_RANGE;
    task->data.range = r;
    if (random && !range_streams(L, s, box, spec, r, n))
        return no_memory(L);
    if (!more && box->after_ref == LUA_NOREF
        && fri_inline_wanted(s, fri_box_view(box)->pool, spec->script, n))
        return map_inline(L, s, task);
    if (!add_after(L, s, box, task))
        return no_memory(L);
    fri_lock(s->engine);
    fri_sched_submit(task, true);
    fri_unlock(s->engine);
    lua_pushliteral(L, "range");
    lua_pushvalue(L, future);
    lua_pushvalue(L, 4);
    return 3;
}

/* core.map(pool, fn, t): "done", results; "range", future, keys; or
 * "futures", the table of them. */
static int core_map(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_pool_box *box = begin_many(L, s, "map");
    const frun_policy *p = &fri_box_view(box)->policy;
    struct fri_spec *spec = fri_box_spec(L, box, 2);
    int64_t n = fri_other_keys(L, 3); /* 4 */
    int64_t more = lua_istable(L, 4) ? (int64_t)lua_rawlen(L, 4) : 0;
    bool one_by_one
        = p->retries > 0 || p->limit_count > 0 || box->name_ref != LUA_NOREF;

    if (n + more == 0) {
        lua_pushliteral(L, "done");
        lua_newtable(L);
        return 2;
    }
    if (!one_by_one) {
        int results = map_range(L, s, box, spec, n, more);

        if (results)
            return results;
    }
    if (more) { /* make_range has made 4 the list of all keys */
        lua_settop(L, 3);
        fri_other_keys(L, 3);
    }
    lua_settop(L, 4);
    scatter(L, s, box, spec, n, 4);
    lua_pushliteral(L, "futures");
    lua_insert(L, -2);
    return 2;
}

static int piece_order(const void *a, const void *b)
{
    const struct fri_piece *p = a, *q = b;

    return p->first < q->first ? -1 : p->first > q->first;
}

/* Pushes result i of a piece whose reading stands at *at. */
static int push_result(lua_State *L, const struct fri_message *m,
                       const uint8_t **at)
{
    uint8_t tag = m->data[0];

    if (tag == FRI_NUMS) {
        double d;

        memcpy(&d, *at, sizeof d);
        lua_pushnumber(L, d);
        *at += sizeof d;
        return 1;
    }
    if (tag == FRI_INTS) {
        int64_t i;

        memcpy(&i, *at, sizeof i);
        fri_int64_push_plain(L, i);
        *at += sizeof i;
        return 1;
    }
    return fri_unpack_item(L, at, m->data + m->length, m->handles,
                           m->handle_count);
}

static void read_piece(lua_State *L, const struct fri_piece *p, int keys,
                       int result)
{
    const struct fri_message *m = p->results;
    const uint8_t *at = m->data;

    if (at[0] == FRI_NUMS || at[0] == FRI_INTS)
        at++;
    for (uint64_t i = p->first; i < p->end; i++) {
        if (keys) {
            lua_rawgeti(L, keys, (int)(i + 1));
            if (push_result(L, m, &at) < 0)
                fri_raise(L, FRUN_ERROR, "%s", lua_tostring(L, -1));
            lua_rawset(L, result);
        } else {
            if (push_result(L, m, &at) < 0)
                fri_raise(L, FRUN_ERROR, "%s", lua_tostring(L, -1));
            lua_rawseti(L, result, (int)(i + 1));
        }
    }
}

/* What an item takes, without what each slice costs beside its items. */
static void learn_item_time(struct fri_function *f, const struct fri_range *r)
{
    fri_time items = r->spent - (fri_time)r->slices * SLICE_COST_NS;
    uint64_t ns = items > 0 ? (uint64_t)items / r->count : 0;

    if (r->slices == 0)
        return;
    ns = ns < 1 ? 1 : ns > UINT32_MAX ? UINT32_MAX : ns;
    atomic_store_explicit(&f->item_ns, (uint32_t)ns, memory_order_relaxed);
}

/* core.map_results(future, keys): of a range that is done; raises its
 * failure. */
static int core_map_results(lua_State *L)
{
    struct frun_future *f = fri_future_check(L, 1);
    struct fri_range *r;

    fri_look(f);
    if (fri_state(f) != FRI_DONE) {
        fri_error_push_of(L, f);
        return lua_error(L);
    }
    r = f->data.range;
    learn_item_time(f->spec->script, r);
    qsort(r->pieces, r->piece_count, sizeof *r->pieces, piece_order);
    lua_createtable(L, lua_isnil(L, 2) ? (int)r->count : 0,
                    lua_isnil(L, 2) ? 0 : (int)r->count);
    for (size_t i = 0; i < r->piece_count; i++)
        read_piece(L, &r->pieces[i], lua_isnil(L, 2) ? 0 : 2, 3);
    return 1;
}

/* ---- opening ---------------------------------------------------------- */

static int option_int(lua_State *L, const char *name, int most)
{
    double n;

    lua_getfield(L, 1, name);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return 0;
    }
    n = lua_tonumber(L, -1);
    if (lua_type(L, -1) != LUA_TNUMBER || !(n >= 1 && n <= most)
        || n != floor(n))
        luaL_error(L, "%s: a whole number from 1 to %d expected, got %s", name,
                   most,
                   lua_type(L, -1) == LUA_TNUMBER ? lua_tostring(L, -1)
                                                  : luaL_typename(L, -1));
    lua_pop(L, 1);
    return (int)n;
}

static void unknown_option(lua_State *L, const char *name)
{
    lua_pushvalue(L, -2);
    if (!name && lua_type(L, -1) == LUA_TNUMBER)
        name = lua_tostring(L, -1);
    fri_misuse(L, "unknown pool option '%s'",
               name ? name : luaL_typename(L, -1));
}

static void check_names(lua_State *L)
{
    static const char *const known[]
        = { "workers", "name", "init", "max_tasks", NULL };

    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        const char *name
            = lua_type(L, -2) == LUA_TSTRING ? lua_tostring(L, -2) : NULL;
        int i = 0;

        while (known[i] && (!name || strcmp(known[i], name) != 0))
            i++;
        if (!known[i])
            unknown_option(L, name);
    }
}

static struct fri_function *init_function(lua_State *L)
{
    struct fri_function *f;

    lua_getfield(L, 1, "init");
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return NULL;
    }
    if (!lua_isfunction(L, -1))
        luaL_error(L, "init: a function expected, got %s",
                   luaL_typename(L, -1));
    f = fri_function_get(L, -1);
    if (!f)
        fri_raise(L, FRUN_EUNSENDABLE, "init: %s", lua_tostring(L, -1));
    lua_pop(L, 1);
    return f;
}

static void read_options(lua_State *L, frun_pool_options *o)
{
    if (lua_isnoneornil(L, 1)) {
        lua_settop(L, 0);
        lua_newtable(L);
    } else if (lua_type(L, 1) != LUA_TTABLE) {
        lua_settop(L, 1);
        lua_newtable(L);
        lua_insert(L, 1);
        lua_setfield(L, 1, "workers");
    }
    check_names(L);
    o->workers = option_int(L, "workers", 1024);
    o->max_tasks = option_int(L, "max_tasks", INT32_MAX);
    lua_getfield(L, 1, "name");
    if (!lua_isnil(L, -1) && lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "name: a string expected, got %s", luaL_typename(L, -1));
    o->name = lua_tostring(L, -1); /* stays on the stack */
}

static int open_pool(lua_State *L, frun_kind kind)
{
    struct fri_script *s = fri_script_of(L);
    frun_engine *e = fri_script_need(L, s);
    frun_pool_options o = { .size = sizeof o };
    struct fri_function *init;
    frun_status status;
    frun_pool *pool;

    read_options(L, &o);
    if (o.workers == 0 && s->options->workers > 0)
        o.workers = s->options->workers;
    init = init_function(L);
    status = fri_pool_open(e, kind, &o, init, init ? function_free : NULL,
                           &pool);
    if (status != FRUN_OK)
        return fri_raise(L, status, "%s", frun_engine_message(e));
    fri_pool_push(L, s, pool);
    fri_handle_unref(&pool->handle); /* the view holds it now */
    return 1;
}

static int flow_threads(lua_State *L)
{
    return open_pool(L, FRUN_THREADS);
}

/* flow.pool(): always the same pool, or in a task its own; with options a
 * new one. */
static int flow_pool(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    if (!lua_isnone(L, 1))
        return open_pool(L, FRUN_THREADS);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &s->default_pool);
    if (!lua_isnil(L, -1))
        return 1;
    if (s->worker || s->inline_pool)
        fri_pool_push(L, s, s->worker ? s->worker->pool : s->inline_pool);
    else
        open_pool(L, FRUN_THREADS);
    if (s->runtime)
        return 1; /* a state of tasks must not hold the pool */
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &s->default_pool);
    return 1;
}

/* ---- the others ------------------------------------------------------- */

static frun_pool *pool_of(lua_State *L)
{
    return fri_box_view(fri_pool_check(L, 1))->pool;
}

static int pool_cancel(lua_State *L)
{
    fri_pool_cancel(pool_of(L));
    return 0;
}

static int pool_stats(lua_State *L)
{
    frun_stats st = { .size = sizeof st };

    if (frun_pool_stats(pool_of(L), &st) != FRUN_OK)
        return no_memory(L);
    lua_createtable(L, 0, 9);
#define PUT(field)                                                            \
    (lua_pushinteger(L, (lua_Integer)st.field), lua_setfield(L, -2, #field))
    PUT(workers);
    PUT(queued);
    PUT(running);
    PUT(done);
    PUT(failed);
    PUT(cancelled);
    PUT(retried);
    PUT(crashed);
    PUT(lost);
#undef PUT
    return 1;
}

static int pool_tostring(lua_State *L)
{
    frun_pool *pool = pool_of(L);

    lua_pushfstring(L, "%s (threads, %d workers)", pool->name,
                    (int)pool->workers);
    return 1;
}

/* core.closing(pool): takes no more; core.join(pool): when it is idle. */
static int core_closing(lua_State *L)
{
    fri_pool_closing(pool_of(L));
    return 0;
}

static int core_join(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    frun_pool *pool = pool_of(L);

    if (s->worker && s->worker->pool == pool)
        return 0; /* a task that closes its own pool */
    if (s->worker)
        fri_worker_block(s->worker);
    fri_pool_join(pool);
    if (s->worker)
        fri_worker_unblock(s->worker);
    return 0;
}

const luaL_Reg fri_pool_methods[] = {
    { "submit", pool_submit },   { "scatter", pool_scatter },
    { "with", fri_pool_with },   { "cancel", pool_cancel },
    { "stats", pool_stats },     { "__tostring", pool_tostring },
    { NULL, NULL },
};

const luaL_Reg fri_pool_functions[] = {
    { "threads", flow_threads },   { "pool", flow_pool },
    { "map", core_map },
    { "map_results", core_map_results },
    { "closing", core_closing },   { "join", core_join },
    { NULL, NULL },
};
