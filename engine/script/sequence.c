/*
 * sequence.c - messages made of several values.
 *
 * Each is tried outside fri_guard first (numbers, strings and plain tables
 * never raise), then inside.  An attempt that ends with `again` is repeated:
 * a module was found that has a name after all, or a global that cannot
 * travel is left out the next time.
 */
#include "script/travel_private.h"

static struct fri_encoder *values_of(lua_State *L)
{
    return &fri_travel_of(L)->values;
}

struct fri_pack *fri_pack_begin(lua_State *L)
{
    struct fri_encoder *e = values_of(L);

    fri_encoder_begin(e);
    return &e->pack;
}

static void set_flags(struct fri_encoder *e, size_t at)
{
    if (e->has_refs && !e->bytes.failed)
        e->bytes.data[at] |= FRI_HAS_REFS;
}

/* What was raised inside a guarded call is a refusal like another. */
static void refuse_raised(struct fri_encoder *e, lua_State *L)
{
    const char *text = lua_tostring(L, -1);

    fri_refuse(e, "%s", text ? text : "error");
}

/* ---- a list of values ------------------------------------------------- */

struct values {
    struct fri_encoder *e;
    int n;
    bool futures, ok;
    const char *what;
};

static void step_value(struct fri_encoder *e, const char *what, int k)
{
    size_t n = what ? strlen(what) : 0;

    if (n > 0 && what[n - 1] == ']')
        fri_step_word(e, "%s", what);
    else if (n > 0)
        fri_step_word(e, "%s %d", what, k + 1);
}

static bool put_values(lua_State *L, struct values *v, int first)
{
    struct fri_encoder *e = v->e;

    e->futures = v->futures;
    if (fri_buffer_reserve(&e->bytes, 16))
        e->bytes.data[e->bytes.length++] = 0;
    fri_put_varint(&e->bytes, (uint64_t)v->n);
    for (int k = 0; k < v->n; k++) {
        if (!fri_put_value(e, L, first + k)) {
            if (!e->unguarded)
                step_value(e, v->what, k);
            return false;
        }
    }
    set_flags(e, 0);
    return e->bytes.failed ? fri_refuse_memory(e) : true;
}

static int guarded_values(lua_State *L, void *job)
{
    struct values *v = job;
    int top = lua_gettop(L);

    luaL_checkstack(L, 20, NULL);
    do {
        lua_settop(L, top);
        v->ok = put_values(L, v, 1);
    } while (!v->ok && fri_encoder_again(v->e, 0));
    return 0;
}

static void start_guarded(struct fri_encoder *e)
{
    e->bytes.length = 0;
    e->pack.handle_count = 0;
    fri_seen_clear(&e->seen_handles);
    fri_encoder_fresh(e);
    e->guarded = true;
}

bool fri_pack_values(lua_State *L, int first, int n, const char *what,
                     bool futures, struct fri_pack **pack)
{
    struct fri_encoder *e = values_of(L);
    struct values v = { e, n, futures, false, what };
    int top = lua_gettop(L);

    *pack = &e->pack;
    if (!fri_encoder_begin(e)) {
        lua_pushliteral(L, "another message is being made");
        return false;
    }
    first = lua_absindex(L, first);
    v.ok = put_values(L, &v, first);
    if (!v.ok && e->unguarded) {
        lua_settop(L, top);
        start_guarded(e);
        e->busy = true;
        if (!lua_checkstack(L, n + 4))
            fri_refuse(e, "too many values");
        else if (!fri_guard(L, e->travel, guarded_values, &v, first, n))
            refuse_raised(e, L);
        e->busy = false;
    }
    if (!v.ok) {
        fri_refusal(e);
        lua_settop(L, top);
        return fri_refusal_push(e, L);
    }
    return true;
}

/* ---- items, each on its own ------------------------------------------- */

struct items {
    struct fri_encoder *e;
    int64_t lo, hi, at; /* at: the item in the making */
    size_t *offsets;
    bool futures, ok;
};

static bool try_item(lua_State *L, struct items *it, int table, size_t start)
{
    struct fri_encoder *e = it->e;
    int top = lua_gettop(L);

    e->futures = e->stop_at_future = it->futures;
    fri_buffer_byte(&e->bytes, 0);
    lua_rawgeti(L, table, (int)it->at);
    if (!fri_put_value(e, L, top + 1) || e->bytes.failed)
        return e->bytes.failed ? fri_refuse_memory(e) : false;
    set_flags(e, start);
    lua_settop(L, top);
    return true;
}

static bool put_item(lua_State *L, struct items *it, int table)
{
    int top = lua_gettop(L);
    size_t start = it->e->bytes.length;

    fri_encoder_fresh(it->e);
    while (!try_item(L, it, table, start)) {
        lua_settop(L, top);
        if (!fri_encoder_again(it->e, start))
            return false;
    }
    if (it->offsets)
        it->offsets[it->at - it->lo] = start;
    return true;
}

/* From it->at on; an item that needs fri_guard stops it outside of one. */
static bool put_items(lua_State *L, struct items *it, int table)
{
    size_t start;

    for (; it->at <= it->hi; it->at++) {
        start = it->e->bytes.length;
        if (!put_item(L, it, table)) {
            if (it->e->unguarded || it->e->stopped)
                it->e->bytes.length = start;
            return false;
        }
    }
    return true;
}

static int guarded_items(lua_State *L, void *job)
{
    struct items *it = job;

    luaL_checkstack(L, 20, NULL);
    it->ok = put_items(L, it, 1);
    return 0;
}

static bool all_items(lua_State *L, struct items *it, int table)
{
    struct fri_encoder *e = it->e;
    int top = lua_gettop(L);

    e->guarded = false;
    it->ok = put_items(L, it, table);
    if (!it->ok && e->unguarded) {
        lua_settop(L, top);
        e->guarded = e->busy = true;
        e->unguarded = false;
        if (!fri_guard(L, e->travel, guarded_items, it, table, 1)) {
            it->ok = false;
            refuse_raised(e, L);
        }
        e->busy = false;
    }
    lua_settop(L, top);
    return it->ok;
}

bool fri_pack_items(lua_State *L, int index, int64_t lo, int64_t hi,
                    struct fri_pack *pack, size_t *offsets, bool *numbers,
                    int64_t *future_at)
{
    struct fri_encoder *e = (struct fri_encoder *)pack;
    struct items it = { e, lo, hi, lo, offsets, true, false };

    *future_at = 0;
    index = lua_absindex(L, index);
    *numbers = lo <= hi && fri_put_range(e, L, index, lo, hi);
    if (*numbers || all_items(L, &it, index))
        return true;
    if (e->stopped) {
        e->stopped = false;
        *future_at = it.at;
        return true;
    }
    fri_step_word(e, "item [%lld]", (long long)it.at);
    fri_refusal(e);
    return fri_refusal_push(e, L);
}

bool fri_pack_results(lua_State *L, int index, int n, struct fri_pack *pack,
                      bool *numbers, int *bad)
{
    struct fri_encoder *e = (struct fri_encoder *)pack;
    struct items it = { e, 1, n, 1, NULL, false, false };

    *bad = 0;
    index = lua_absindex(L, index);
    *numbers = n > 0 && fri_put_range(e, L, index, 1, n);
    if (*numbers || all_items(L, &it, index))
        return true;
    *bad = (int)it.at;
    fri_step_word(e, "result 1");
    fri_refusal(e);
    return fri_refusal_push(e, L);
}
