/*
 * policy.c - pool:with{...}: the same pool with a policy.
 */
#include "core/halt.h"
#include "script/view.h"

#include <math.h>
#include <string.h>

struct reading {
    lua_State *L;
    struct fri_script *script;
    struct fri_pool_box *box; /* the new one */
    struct fri_view *view;
    int table, value; /* stack indices */
};

static int bad(struct reading *r, const char *name, const char *wanted)
{
    return luaL_error(r->L, "bad policy field '%s' (%s expected, got %s)",
                      name, wanted, luaL_typename(r->L, r->value));
}

static double number(struct reading *r, const char *name, double least,
                     double most, const char *wanted)
{
    double n = lua_tonumber(r->L, r->value);

    if (lua_type(r->L, r->value) != LUA_TNUMBER)
        bad(r, name, wanted);
    if (!(n >= least && n <= most))
        luaL_error(r->L, "bad policy field '%s' (%s expected, got %s)", name,
                   wanted, lua_tostring(r->L, r->value));
    return n;
}

static long whole(struct reading *r, const char *name, double least,
                  double most, const char *wanted)
{
    double n = number(r, name, least, most, wanted);

    if (n != floor(n))
        luaL_error(r->L, "bad policy field '%s' (%s expected, got %s)", name,
                   wanted, lua_tostring(r->L, r->value));
    return (long)n;
}

static void read_name(struct reading *r)
{
    const struct fri_memory *m = &r->script->engine->memory;
    const char *text;

    luaL_unref(r->L, LUA_REGISTRYINDEX, r->box->name_ref);
    r->box->name_ref = LUA_NOREF;
    fri_free(m, (void *)(uintptr_t)r->view->policy.name);
    r->view->policy.name = NULL;
    if (lua_isfunction(r->L, r->value)) {
        lua_pushvalue(r->L, r->value);
        r->box->name_ref = luaL_ref(r->L, LUA_REGISTRYINDEX);
        return;
    }
    if (lua_type(r->L, r->value) != LUA_TSTRING)
        bad(r, "name", "string or function");
    text = lua_tostring(r->L, r->value);
    r->view->policy.name = fri_strdup(m, text);
    if (!r->view->policy.name)
        fri_raise_memory(r->L);
}

static void read_priority(struct reading *r)
{
    r->view->policy.priority
        = number(r, "priority", -HUGE_VAL, HUGE_VAL, "number");
}

static void read_chunk(struct reading *r)
{
    if (lua_type(r->L, r->value) == LUA_TSTRING
        && strcmp(lua_tostring(r->L, r->value), "auto") == 0)
        r->view->policy.chunk = 0;
    else
        r->view->policy.chunk
            = (size_t)whole(r, "chunk", 1, 1e15, "\"auto\" or a count from 1");
}

static void read_halt(struct reading *r)
{
    const struct fri_memory *m = &r->script->engine->memory;
    const char *text = NULL;
    struct fri_halt rule;

    if (lua_type(r->L, r->value) == LUA_TSTRING)
        text = lua_tostring(r->L, r->value);
    if (!text || !fri_halt_parse(text, &rule))
        luaL_error(r->L, "bad policy field 'halt' (%s; got %s)",
                   FRI_HALT_FORMS, text ? text : luaL_typename(r->L, r->value));
    fri_free(m, (void *)(uintptr_t)r->view->policy.halt);
    r->view->policy.halt = fri_strdup(m, text);
    if (!r->view->policy.halt)
        fri_raise_memory(r->L);
}

static void read_retries(struct reading *r)
{
    r->view->policy.retries
        = (int)whole(r, "retries", 0, 10000, "a count from 0 to 10000");
}

static void read_backoff(struct reading *r)
{
    r->view->policy.backoff = number(r, "backoff", 0, 1e9, "seconds");
}

static void read_timeout(struct reading *r)
{
    r->view->policy.timeout
        = number(r, "timeout", 1e-9, 1e9, "seconds above 0");
}

static void read_memory(struct reading *r)
{
    r->view->policy.memory
        = (uint64_t)whole(r, "memory", 1, 9e15, "bytes from 1");
}

static unsigned kind_bit(struct reading *r, int index)
{
    const char *name = lua_tostring(r->L, index);

    for (int s = FRUN_ERROR; name && s <= FRUN_EJOURNAL; s++) {
        const char *kind = fri_status_kind((frun_status)s);

        if (kind && strcmp(kind, name) == 0)
            return 1u << s | (s == FRUN_ERESOURCE ? 1u << FRUN_ENOMEM : 0);
    }
    luaL_error(r->L, "bad policy field 'retry_on' (a kind of error expected, "
                     "got %s)",
               name ? name : luaL_typename(r->L, index));
    return 0;
}

static void read_retry_on(struct reading *r)
{
    unsigned on = 0;

    if (lua_type(r->L, r->value) == LUA_TSTRING) {
        r->view->policy.retry_on = kind_bit(r, r->value);
        return;
    }
    if (!lua_istable(r->L, r->value))
        bad(r, "retry_on", "list of kinds");
    for (int i = 1, n = (int)lua_rawlen(r->L, r->value); i <= n; i++) {
        lua_rawgeti(r->L, r->value, i);
        on |= kind_bit(r, -1);
        lua_pop(r->L, 1);
    }
    r->view->policy.retry_on = on;
}

static void read_after(struct reading *r)
{
    luaL_unref(r->L, LUA_REGISTRYINDEX, r->box->after_ref);
    r->box->after_ref = LUA_NOREF;
    lua_newtable(r->L);
    if (fri_future_test(r->L, r->script, r->value)) {
        lua_pushvalue(r->L, r->value);
        lua_rawseti(r->L, -2, 1);
    } else {
        int n = 0, list = lua_gettop(r->L);

        if (!lua_istable(r->L, r->value))
            bad(r, "after", "future or table of futures");
        for (lua_pushnil(r->L); lua_next(r->L, r->value);) {
            if (!fri_future_test(r->L, r->script, -1))
                luaL_error(r->L, "bad policy field 'after' (a %s among the "
                                 "futures)",
                           luaL_typename(r->L, -1));
            lua_rawseti(r->L, list, ++n);
        }
    }
    r->box->after_ref = luaL_ref(r->L, LUA_REGISTRYINDEX);
}

static struct fri_limit *limit_at(struct reading *r, int index)
{
    struct fri_limit *limit = fri_limit_test(r->L, r->script, index);

    if (!limit)
        luaL_error(r->L, "bad policy field 'limit' (a limit, a list of limits "
                         "or counts by limit expected, got %s)",
                   luaL_typename(r->L, index));
    return limit;
}

static void add_limit(struct reading *r, struct fri_limit *limit, double need)
{
    frun_policy *p = &r->view->policy;
    int *needs = (int *)(uintptr_t)p->limit_needs;
    frun_limit **limits = (frun_limit **)(uintptr_t)p->limits;

    if (!(need >= 1) || need != floor(need) || need > 1e6)
        luaL_error(r->L, "bad policy field 'limit' (seats: a count from 1)");
    if (need > limit->count)
        fri_raise(r->L, FRUN_ERESOURCE,
                  "limit %s has %d seats, the task needs %d",
                  limit->name ? limit->name : "(no name)", (int)limit->count,
                  (int)need);
    for (size_t i = 0; i < p->limit_count; i++)
        if (limits[i] == (frun_limit *)(void *)limit)
            luaL_error(r->L, "bad policy field 'limit' (the same limit twice)");
    fri_handle_ref(&limit->handle);
    limits[p->limit_count] = (frun_limit *)(void *)limit;
    needs[p->limit_count++] = (int)need;
}

static void clear_limits(struct reading *r, size_t room)
{
    const struct fri_memory *m = &r->script->engine->memory;
    frun_policy *p = &r->view->policy;

    for (size_t i = 0; i < p->limit_count; i++)
        fri_handle_unref((struct fri_handle *)p->limits[i]);
    fri_free(m, (void *)(uintptr_t)p->limits);
    fri_free(m, (void *)(uintptr_t)p->limit_needs);
    p->limit_count = 0;
    p->limits = fri_alloc(m, room * sizeof *p->limits);
    p->limit_needs = fri_alloc(m, room * sizeof *p->limit_needs);
    if (!p->limits || !p->limit_needs)
        fri_raise_memory(r->L);
}

static size_t pairs_in(lua_State *L, int table)
{
    size_t n = 0;

    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        n++;
    return n;
}

static void read_limit(struct reading *r)
{
    lua_State *L = r->L;

    if (!lua_istable(L, r->value)) {
        struct fri_limit *limit = limit_at(r, r->value);

        clear_limits(r, 1);
        add_limit(r, limit, 1);
        return;
    }
    clear_limits(r, pairs_in(L, r->value) + 1);
    for (lua_pushnil(L); lua_next(L, r->value); lua_pop(L, 1)) {
        int top = lua_gettop(L);

        if (lua_type(L, -2) == LUA_TNUMBER)
            add_limit(r, limit_at(r, top), 1);
        else
            add_limit(r, limit_at(r, top - 1), lua_tonumber(L, top));
    }
}

static void read_journal(struct reading *r)
{
    frun_journal *journal = fri_journal_test(r->L, r->value);

    if (!journal)
        bad(r, "journal", "what flow.journal gives");
    r->view->policy.journal = journal;
}

static void read_version(struct reading *r)
{
    const struct fri_memory *m = &r->script->engine->memory;

    if (lua_type(r->L, r->value) != LUA_TSTRING)
        bad(r, "version", "string");
    fri_free(m, (void *)(uintptr_t)r->view->policy.version);
    r->view->policy.version = fri_strdup(m, lua_tostring(r->L, r->value));
    if (!r->view->policy.version)
        fri_raise_memory(r->L);
}

static void read_durable(struct reading *r)
{
    if (!lua_isboolean(r->L, r->value))
        bad(r, "durable", "true or false");
    r->view->policy.durable = lua_toboolean(r->L, r->value);
}

static const struct {
    const char *name;
    void (*read)(struct reading *r);
} fields[] = {
    { "name", read_name },         { "priority", read_priority },
    { "after", read_after },       { "chunk", read_chunk },
    { "limit", read_limit },       { "retries", read_retries },
    { "backoff", read_backoff },   { "retry_on", read_retry_on },
    { "halt", read_halt },
    { "timeout", read_timeout },   { "memory", read_memory },
    { "journal", read_journal },   { "version", read_version },
    { "durable", read_durable },
};

static void read_field(struct reading *r, const char *name)
{
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        if (strcmp(fields[i].name, name) != 0)
            continue;
        fields[i].read(r);
        return;
    }
    luaL_error(r->L, "unknown policy field '%s'", name);
}

static int copy_ref(lua_State *L, int ref)
{
    if (ref == LUA_NOREF)
        return LUA_NOREF;
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

/* pool:with(policy) */
int fri_pool_with(lua_State *L)
{
    struct fri_pool_box *from = fri_pool_check(L, 1);
    struct fri_view *view = (struct fri_view *)(void *)from->box.handle;
    struct reading r = { .L = L, .script = fri_script_of(L), .table = 2 };

    luaL_checktype(L, 2, LUA_TTABLE);
    lua_settop(L, 2);
    fri_pool_push(L, r.script, view->pool); /* 3 */
    r.box = lua_touserdata(L, 3);
    r.view = (struct fri_view *)(void *)r.box->box.handle;
    r.view->plain = false;
    if (!fri_view_inherit(r.view, view))
        return fri_raise_memory(L);
    r.box->name_ref = copy_ref(L, from->name_ref);
    r.box->after_ref = copy_ref(L, from->after_ref);
    r.value = 5;
    for (lua_pushnil(L); lua_next(L, 2); lua_settop(L, 4)) {
        if (lua_type(L, 4) != LUA_TSTRING)
            return luaL_error(L, "policy: names expected as keys, got %s",
                              luaL_typename(L, 4));
        read_field(&r, lua_tostring(L, 4));
    }
    lua_settop(L, 3);
    return 1;
}
