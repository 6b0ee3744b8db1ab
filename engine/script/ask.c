/*
 * ask.c - operations on shared things, from Lua.
 *
 * Rules.
 *  1. What can be done at once needs no future: start() tries it, and gives
 *     false and the values.  Else it gives an ask, a userdata that flow.lua
 *     waits for, and that withdraws itself when it goes.
 *  2. In a worker process every operation is an ask to the parent process.
 *  3. An argument and an answer belong to the state (s->argument, s->answer)
 *     while Lua may raise: what is left there is freed at the next use.
 */
#include "script/shared.h"

#include "data/codec.h"
#include "script/int64.h"

#include <math.h>
#include <string.h>

struct ask_box {
    struct fri_ask ask; /* first; waits in this process only */
    struct frun_future *future; /* a reference */
    frun_engine *engine;
};

static const uint8_t kind_of[FRI_SHARED_OPS]
    = { [FRI_PUSH] = FRI_HANDLE_QUEUE,   [FRI_POP] = FRI_HANDLE_QUEUE,
        [FRI_CLOSE] = FRI_HANDLE_QUEUE,  [FRI_COUNT] = FRI_HANDLE_QUEUE,
        [FRI_GET] = FRI_HANDLE_DICT,     [FRI_SET] = FRI_HANDLE_DICT,
        [FRI_ADD] = FRI_HANDLE_DICT,     [FRI_ENTRIES] = FRI_HANDLE_DICT,
        [FRI_HOLD] = FRI_HANDLE_LOCK,    [FRI_RELEASE] = FRI_HANDLE_LOCK,
        [FRI_READ] = FRI_HANDLE_SHARE };

static const char *const names[FRI_SHARED_OPS]
    = { "push", "pop", "close", "count", "get", "set",
        "add",  "table", "hold", "hold", "get" };

static const struct {
    const char *name;
    enum fri_shared_op op;
} operations[] = {
    { "queue_push", FRI_PUSH },   { "queue_pop", FRI_POP },
    { "queue_close", FRI_CLOSE }, { "queue_count", FRI_COUNT },
    { "dict_get", FRI_GET },      { "dict_set", FRI_SET },
    { "dict_add", FRI_ADD },      { "dict_table", FRI_ENTRIES },
    { "lock_hold", FRI_HOLD },    { "lock_release", FRI_RELEASE },
    { "share_read", FRI_READ },
};

/* ---- answers ---------------------------------------------------------- */

/* Pushes key and value of the next entry, of n handles behind those before. */
static void push_entry(lua_State *L, struct fri_reader *r,
                       const struct fri_message *m, uint32_t *handle)
{
    size_t length;
    const char *pair = fri_get_str(r, fri_get_byte(r), &length);
    uint8_t tag = fri_get_byte(r);
    uint64_t n = tag == FRI_INT ? (uint64_t)fri_get_zigzag(r) : tag;

    if (r->bad || n > m->handle_count - *handle)
        luaL_error(L, "malformed message");
    if (fri_unpack(L, pair, length, m->handles + *handle, (uint32_t)n) != 2)
        luaL_error(L, "%s", lua_tostring(L, -1));
    *handle += (uint32_t)n;
}

/* In LuaJIT no cdata can be found as a key. */
static void plain_key(lua_State *L, int key)
{
#if FRI_LUAJIT
    int64_t whole;

    if (!fri_int64_get(L, key, &whole))
        return;
    lua_pushnumber(L, (lua_Number)whole);
    lua_replace(L, key);
#else
    (void)L;
    (void)key;
#endif
}

static int push_entries(lua_State *L)
{
    const struct fri_message *m = lua_touserdata(L, 1);
    struct fri_reader r;
    uint32_t handle = 0;
    uint64_t n;

    fri_reader_init(&r, m->data, m->length);
    fri_get_byte(&r);
    n = fri_get_varint(&r) / 2;
    lua_createtable(L, 0, (int)(n < INT32_MAX / 2 ? n : INT32_MAX / 2));
    for (; n > 0; n--) {
        push_entry(L, &r, m, &handle);
        plain_key(L, 3);
        lua_rawset(L, 2);
    }
    return 1;
}

static bool skip_key(struct fri_reader *r)
{
    uint8_t tag = fri_get_byte(r);
    size_t length;

    if (tag == FRI_INT)
        fri_get_varint(r);
    else if (tag == FRI_NUM || tag == FRI_I64)
        fri_get_raw64(r);
    else if ((tag >= FRI_SHORT_STR && tag < FRI_NIL) || tag == FRI_STR)
        fri_get_str(r, tag, &length);
    return !r->bad;
}

/* Of (k, v) where v is short: the sequence (v), so that k, which mostly is a
 * string, need not be made.  Its length; 0: it is not of that sort. */
static size_t only_value(const struct fri_message *m, uint8_t *bytes,
                         size_t room)
{
    struct fri_reader r;

    fri_reader_init(&r, m->data, m->length);
    if (fri_get_byte(&r) != 0 || fri_get_byte(&r) != 2 || !skip_key(&r)
        || fri_left(&r) > room - 2)
        return 0;
    bytes[0] = 0;
    bytes[1] = 1;
    memcpy(bytes + 2, r.at, fri_left(&r));
    return fri_left(&r) + 2;
}

static int unpack(lua_State *L, enum fri_shared_op op,
                  const struct fri_message *m)
{
    uint8_t bytes[64];
    size_t length = op == FRI_GET || op == FRI_ADD
                        ? only_value(m, bytes, sizeof bytes)
                        : 0;
    int n;

    if (op == FRI_ENTRIES) {
        lua_pushcfunction(L, push_entries);
        lua_pushlightuserdata(L, (void *)(uintptr_t)m);
        n = lua_pcall(L, 1, 1, 0) == LUA_OK ? 1 : -1;
    } else if (length > 0) {
        n = fri_unpack(L, bytes, length, m->handles, m->handle_count);
    } else {
        n = fri_unpack(L, m->data, m->length, m->handles, m->handle_count);
    }
    if (n < 0)
        return fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
    if (n < 2)
        return n;
    lua_insert(L, -n); /* (k, v) gives v */
    lua_pop(L, n - 1);
    return 1;
}

static int fail(lua_State *L, const struct fri_error *error)
{
    if (!error)
        return fri_raise_memory(L);
    fri_error_push(L, error);
    return lua_error(L);
}

static int push_answer(lua_State *L, struct fri_script *s,
                       enum fri_shared_op op)
{
    struct fri_data *a = &s->answer;
    int n = 0;

    if (a->holds == FRI_ERROR)
        return fail(L, a->error);
    if (a->holds == FRI_MESSAGE)
        n = unpack(L, op, a->message);
    fri_data_free(a);
    return n;
}

/* ---- asks ------------------------------------------------------------- */

static void settle(struct fri_ask *ask, struct fri_data *outcome)
{
    fri_sched_settle_now(((struct ask_box *)ask)->future, outcome);
}

/* Lock held: its future is final from now on. */
static void withdraw(struct ask_box *box)
{
    frun_engine *e = box->engine;
    struct fri_data none = { .holds = FRI_NOTHING };

    if (fri_is_final(box->future))
        return;
    if (e->remote)
        e->remote->withdraw(e, box->future);
    else
        fri_shared_withdraw(&box->ask);
    if (!fri_is_final(box->future))
        fri_sched_settle_now(box->future, &none);
}

static int ask_gc(lua_State *L)
{
    struct ask_box *box = lua_touserdata(L, 1);

    if (!box->future)
        return 0;
    fri_lock(box->engine);
    withdraw(box);
    fri_unlock(box->engine);
    fri_future_unref(box->future);
    box->future = NULL;
    return 0;
}

static struct ask_box *push_ask(lua_State *L, struct fri_script *s)
{
    struct ask_box *box = lua_newuserdatauv(L, sizeof *box, 0);

    memset(box, 0, sizeof *box);
    box->engine = s->engine;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &s->answer);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, ask_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &s->answer);
    }
    lua_setmetatable(L, -2);
    return box;
}

struct fri_holder *fri_script_holder(struct fri_script *s)
{
    return s->flow ? &s->flow->holder : &s->holder;
}

static bool ask_here(struct fri_script *s, struct ask_box *box,
                     struct fri_handle *thing, enum fri_shared_op op)
{
    fri_lock(s->engine);
    box->future = fri_shared_future(s->engine);
    box->ask.done = settle;
    box->ask.future = box->future;
    box->ask.holder = fri_script_holder(s);
    if (box->future)
        fri_shared_ask(thing, op, s->argument, &box->ask);
    fri_unlock(s->engine);
    return box->future != NULL;
}

static bool ask_there(struct fri_script *s, struct ask_box *box,
                      struct fri_handle *thing, enum fri_shared_op op)
{
    frun_engine *e = s->engine;

    fri_lock(e);
    box->future = fri_shared_future(e);
    fri_unlock(e);
    box->ask.op = op;
    return box->future
           && e->remote->ask(e, thing, op, s->argument, box->future);
}

static int ask(lua_State *L, struct fri_script *s, struct fri_handle *thing,
               enum fri_shared_op op)
{
    struct ask_box *box = push_ask(L, s);
    bool ok = s->engine->remote ? ask_there(s, box, thing, op)
                                : ask_here(s, box, thing, op);

    fri_message_free(s->argument);
    s->argument = NULL;
    return ok ? 1 : fri_raise_memory(L);
}

void fri_flow_leave(struct fri_script *s, struct fri_flow *flow)
{
    if (!fri_holder_has(&flow->holder))
        return;
    fri_lock(s->engine);
    fri_holder_leave(&flow->holder);
    fri_unlock(s->engine);
}

void fri_shared_forget(struct fri_script *s)
{
    fri_message_free(s->argument);
    s->argument = NULL;
    fri_data_free(&s->answer);
}

/* ---- arguments -------------------------------------------------------- */

static bool is_number(lua_State *L, int index)
{
    int64_t whole;

    return lua_type(L, index) == LUA_TNUMBER || fri_int64_get(L, index, &whole);
}

static void check_key(lua_State *L, enum fri_shared_op op)
{
    int type = lua_type(L, 2);

    if (type == LUA_TSTRING || type == LUA_TBOOLEAN)
        return;
    if (!is_number(L, 2))
        fri_misuse(L, "%s: a string, number or boolean expected as key, got "
                      "%s", names[op], luaL_typename(L, 2));
    if (type == LUA_TNUMBER && isnan((double)lua_tonumber(L, 2)))
        fri_misuse(L, "%s: nan cannot be a key", names[op]);
}

/* How many values behind the handle are the argument. */
static int check_arguments(lua_State *L, enum fri_shared_op op)
{
    switch (op) {
    case FRI_PUSH:
        if (lua_isnoneornil(L, 2))
            fri_misuse(L, "push: a value expected, got nil");
        return 1;
    case FRI_GET: check_key(L, op); return 1;
    case FRI_SET: check_key(L, op); return 2;
    case FRI_ADD:
        check_key(L, op);
        if (!is_number(L, 3))
            fri_misuse(L, "add: a number expected, got %s",
                       luaL_typename(L, 3));
        return 2;
    default: return 0;
    }
}

void fri_ask_argument(lua_State *L, struct fri_script *s, int first, int n)
{
    struct fri_pack *pack;

    fri_message_free(s->argument);
    s->argument = NULL;
    if (n == 0)
        return;
    if (!fri_pack_values(L, first, n, "argument", false, &pack))
        fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
    s->argument = fri_message_new(&s->engine->memory, pack->bytes->data,
                                  pack->bytes->length, pack->handles,
                                  pack->handle_count);
    if (!s->argument)
        fri_raise_memory(L);
}

struct fri_handle *fri_ask_thing(lua_State *L, struct fri_script *s,
                                 enum fri_shared_op op)
{
    struct fri_handle *h = fri_handle_of(L, s, kind_of[op], 1);

    if (!h)
        fri_misuse(L, "bad argument #1 to '%s' (%s expected, got %s)",
                   names[op], fri_handle_name(kind_of[op]),
                   luaL_typename(L, 1));
    return h;
}

/* core.queue_push(queue, value) and their like: false, values...; or an ask.
 */
static int start(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    enum fri_shared_op op
        = (enum fri_shared_op)lua_tointeger(L, lua_upvalueindex(2));
    struct fri_handle *thing = fri_ask_thing(L, s, op);
    int n = check_arguments(L, op);
    bool done = false;

    lua_settop(L, 1 + n);
    fri_ask_argument(L, s, 2, n);
    fri_data_free(&s->answer);
    if (!s->engine->remote) {
        fri_lock(s->engine);
        done = fri_shared_try(thing, op, s->argument, fri_script_holder(s),
                              &s->answer);
        fri_unlock(s->engine);
    }
    if (!done)
        return ask(L, s, thing, op);
    fri_message_free(s->argument);
    s->argument = NULL;
    lua_pushboolean(L, 0);
    return 1 + push_answer(L, s, op);
}

/* ---- waiting ---------------------------------------------------------- */

/* core.watch_ask(ask): the set that becomes complete with it. */
static int core_watch_ask(lua_State *L)
{
    struct ask_box *box = lua_touserdata(L, 1);

    fri_set_push(L, fri_script_of(L), &box->future, 1);
    return 1;
}

/* core.withdraw(ask): nobody waits for it any more.  True: it was done. */
static int core_withdraw(lua_State *L)
{
    struct ask_box *box = lua_touserdata(L, 1);
    bool done;

    fri_lock(box->engine);
    done = fri_is_final(box->future);
    withdraw(box);
    fri_unlock(box->engine);
    lua_pushboolean(L, done && fri_state(box->future) == FRI_DONE);
    return 1;
}

/* core.answer(ask): true, values..., or raises; false: it had not come, and
 * is withdrawn. */
static int core_answer(lua_State *L)
{
    struct ask_box *box = lua_touserdata(L, 1);
    struct frun_future *f = box->future;
    int n = 0;

    if (!fri_is_final(f)) {
        core_withdraw(L);
        if (!lua_toboolean(L, -1)) {
            lua_pushboolean(L, 0);
            return 1;
        }
    }
    if (fri_state(f) != FRI_DONE)
        return fail(L, f->holds == FRI_ERROR ? f->data.error : NULL);
    lua_pushboolean(L, 1);
    if (f->holds == FRI_BYTES)
        n = fri_unpack(L, f->data.bytes, f->length, NULL, 0);
    else if (f->holds == FRI_MESSAGE)
        n = unpack(L, box->ask.op, f->data.message);
    return 1 + (n > 0);
}

/* ---- the table of them ------------------------------------------------ */

static const luaL_Reg functions[] = {
    { "watch_ask", core_watch_ask },
    { "withdraw", core_withdraw },
    { "answer", core_answer },
    { NULL, NULL },
};

void fri_ask_open(lua_State *L, struct fri_script *s, int core)
{
    for (const luaL_Reg *f = functions; f->name; f++) {
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, f->func, 1);
        lua_setfield(L, core, f->name);
    }
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        lua_pushlightuserdata(L, s);
        lua_pushinteger(L, operations[i].op);
        lua_pushcclosure(L, start, 2);
        lua_setfield(L, core, operations[i].name);
    }
}
