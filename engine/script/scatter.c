/*
 * scatter.c - a task for each item of a table.
 *
 * Rules.
 *  1. All items are encoded before the first is submitted: a refused item
 *     leaves nothing half done.
 *  2. Tasks are submitted in the order of 1..#t and then of the other keys, a
 *     batch under one lock, so that workers are not kept from it for long.
 */
#include "core/halt.h"
#include "script/view.h"

#include <math.h>

enum { SUBMIT_BATCH = 256 }; /* tasks submitted under one lock */

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
FRI_RAISES static void refuse_item(lua_State *L, int value, int key)
{
    struct fri_pack *pack;

    lua_pushvalue(L, key);
    if (lua_type(L, -1) == LUA_TBOOLEAN)
        lua_pushstring(L, lua_toboolean(L, key) ? "true" : "false");
    lua_pushfstring(L, "item [%s]", lua_tostring(L, -1));
    fri_pack_values(L, value, 1, lua_tostring(L, -1), true, &pack);
    fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
}

/* A scatter on its way. */
struct scatter {
    struct fri_script *script;
    struct fri_pool_box *box;
    struct fri_spec *spec;
    int64_t listed, count;
    int keys;       /* index of the list of other keys */
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
            L, sc->script, fri_box_stream(L, sc->box, sc->spec),
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
    bool random, futures;

    task = fri_new_task(s, sc->spec, fri_future_box(L, s));
    if (!task)
        fri_raise_memory(L);
    if (!fri_pack_values(L, value, 2, "item", true, &pack))
        refuse_item(L, value, key);
    random = pack->random;
    futures = pack->has_futures;
    if (!fri_put_pack(task, m, pack)
        || (futures && !fri_add_dependencies(L, s, task, pack))
        || !fri_add_after(L, s, sc->box, task)
        || !fri_set_name(L, sc->box, task, value, key)
        || !item_stream(L, sc, task, random, i, key))
        fri_raise_memory(L);
    set_key(L, task, key, m);
    if (sc->spec->resume)
        fri_look_up(L, s, task, futures);
    if (s->options->dry_run)
        fri_dry_note(L, s, lua_gettop(L), value, 1);
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

/* With `halt` the spec is of this call alone: see fri_box_spec. */
static void make_group(lua_State *L, const struct scatter *sc)
{
    const char *halt = fri_box_view(sc->box)->policy.halt;
    struct fri_halt rule = { .on = FRI_HALT_NEVER };

    if (halt)
        fri_halt_parse(halt, &rule);
    if (rule.on == FRI_HALT_NEVER)
        return;
    sc->spec->group = fri_group_new(&sc->script->engine->memory, halt,
                                    (uint64_t)sc->count);
    if (!sc->spec->group)
        fri_raise_memory(L);
}

int fri_scatter(lua_State *L, struct fri_script *s, struct fri_pool_box *box,
                struct fri_spec *spec, int64_t n, int keys)
{
    int64_t more = lua_istable(L, keys) ? (int64_t)lua_rawlen(L, keys) : 0;
    struct scatter sc = { s, box, spec, n, n + more, keys, NULL };
    struct frun_future **tasks;
    int result;

    if (sc.count > INT32_MAX)
        return luaL_error(L, "too many items");
    make_group(L, &sc);
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

struct fri_pool_box *fri_begin_many(lua_State *L, struct fri_script *s,
                                    const char *method)
{
    struct fri_pool_box *box = fri_pool_check(L, 1);

    fri_check_function(L, box, method);
    if (lua_type(L, 3) != LUA_TTABLE)
        fri_misuse(L, "bad argument #2 to '%s' (table expected, got %s)",
                   method, luaL_typename(L, 3));
    fri_check_open(L, s, fri_box_view(box)->pool);
    lua_settop(L, 3);
    return box;
}

int fri_pool_scatter(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_pool_box *box = fri_begin_many(L, s, "scatter");
    struct fri_spec *spec = fri_box_spec(L, box, 2, NULL);
    int64_t n = fri_other_keys(L, 3); /* 4 */

    return fri_scatter(L, s, box, spec, n, 4);
}
