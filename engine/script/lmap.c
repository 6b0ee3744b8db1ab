/*
 * lmap.c - pool:map: all items as one range, and its results.
 *
 * Rules.
 *  1. A range is one record, cut into slices by the scheduler.  What needs a
 *     record for each item (futures as items, retries, limits, names, commands)
 *     is a scatter instead, whose futures flow.lua gathers.
 *  2. A map so short that handing it over would cost more than running it is
 *     run here; it takes the time that an earlier one has measured.
 *  3. Nothing that C alone owns is held while something may raise.
 */
#include "script/view.h"

#include "core/halt.h"
#include "data/codec.h"
#include "script/int64.h"

#include <stdlib.h>
#include <string.h>

enum { SLICE_COST_NS = 2000 }; /* a coroutine, tables, codec: 1.5 to 2.5 us */

/* ---- results ---------------------------------------------------------- */

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

    if (r->slices > 0)
        fri_function_took(f, ns);
}

int fri_core_map_results(lua_State *L)
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

/* ---- items ------------------------------------------------------------ */

/* Packs t[1..n] of the table at index; false: some item has a future in it.
 * Refusals raise. */
static bool pack_items(lua_State *L, struct fri_script *s, int index,
                       int64_t n, struct fri_message **message,
                       size_t **all_offsets, bool *random)
{
    const struct fri_memory *m = &s->engine->memory;
    struct fri_pack *pack = fri_pack_begin(L);
    size_t *offsets = fri_alloc(m, (size_t)n * sizeof *offsets);
    bool numbers = false;
    int64_t future = 0;

    if (!offsets)
        fri_raise_memory(L);
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
    *all_offsets = offsets;
    *message = fri_message_new(m, pack->bytes->data, pack->bytes->length,
                               pack->handles, pack->handle_count);
    if (!*message)
        fri_raise_memory(L);
    return true;
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

/* The items of the table at 3 go into the range; false: some item has a future
 * in it.  May raise. */
static bool fill_range(lua_State *L, struct fri_script *s, struct fri_range *r,
                       int64_t n, int64_t more, bool *random)
{
    int index = 3;

    if (more) {
        values_of_keys(L, n, more);
        index = lua_gettop(L);
        all_keys(L, n, more);
        pack_items(L, s, 4, n + more, &r->keys, &r->key_offsets, random);
    }
    return pack_items(L, s, index, n + more, &r->items, &r->offsets, random);
}

/* The task's own, so that an error frees it. */
static struct fri_range *new_range(lua_State *L, struct fri_script *s,
                                   const struct fri_pool_box *box,
                                   struct frun_future *task, int64_t count)
{
    const struct fri_view *view = fri_box_view(box);
    struct fri_range *r = fri_range_new(&s->engine->memory, (uint64_t)count,
                                        view->pool->workers,
                                        view->policy.chunk);

    if (!r)
        fri_raise_memory(L);
    task->holds = FRI_RANGE;
    task->data.range = r;
    return r;
}

static bool range_streams(lua_State *L, struct fri_script *s,
                          const struct fri_pool_box *box,
                          struct fri_spec *spec, struct fri_range *r,
                          int64_t n)
{
    r->streams = fri_streams_new(L, s, fri_box_stream(L, box, spec),
                                 (uint64_t)n, r->count, 4, 0);
    r->streams_free = fri_streams_free;
    r->stream_of = fri_streams_item;
    return r->streams != NULL;
}

/* ---- map -------------------------------------------------------------- */

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

    task = fri_new_task(s, spec, fri_future_box(L, s));
    future = lua_gettop(L);
    if (!task)
        return fri_raise_memory(L);
    r = new_range(L, s, box, task, n + more);
    if (!fill_range(L, s, r, n, more, &random))
        return 0;
    if (random && !range_streams(L, s, box, spec, r, n))
        return fri_raise_memory(L);
    if (!more && box->after_ref == LUA_NOREF && !s->engine->sched.run
        && fri_box_view(box)->policy.chunk == 0
        && fri_inline_wanted(s, fri_box_view(box)->pool, spec->script, n))
        return map_inline(L, s, task);
    if (!fri_add_after(L, s, box, task))
        return fri_raise_memory(L);
    fri_lock(s->engine);
    fri_sched_submit(task, true);
    fri_unlock(s->engine);
    lua_pushliteral(L, "range");
    lua_pushvalue(L, future);
    lua_pushvalue(L, 4);
    return 3;
}

/* Anything but what a range does by itself: stop at the first failure. */
static bool halts_otherwise(const frun_policy *p)
{
    struct fri_halt rule;

    return p->halt
           && !(fri_halt_parse(p->halt, &rule) && fri_halt_is_first(&rule));
}

int fri_core_map(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_pool_box *box = fri_begin_many(L, s, "map");
    const frun_policy *p = &fri_box_view(box)->policy;
    struct fri_spec *spec = fri_box_spec(L, box, 2, NULL);
    int64_t n = fri_other_keys(L, 3); /* 4 */
    int64_t more = lua_istable(L, 4) ? (int64_t)lua_rawlen(L, 4) : 0;
    bool one_by_one = p->retries > 0 || p->limit_count > 0 || p->timeout > 0
                      || p->memory > 0 || spec->resume || s->options->dry_run
                      || halts_otherwise(p) || box->name_ref != LUA_NOREF
                      || fri_takes_commands(box);

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
    if (more) { /* fill_range has made 4 the list of all keys */
        lua_settop(L, 3);
        fri_other_keys(L, 3);
    }
    lua_settop(L, 4);
    fri_scatter(L, s, box, spec, n, 4);
    lua_pushliteral(L, "futures");
    lua_insert(L, -2);
    lua_pushboolean(L, halts_otherwise(p));
    return 3;
}
