/*
 * async.c - flow.async: a coroutine of the main program, and its future.
 *
 * The values stay in the main state, in a table by future, so they are the
 * very values that the function returned; they are made a message as well
 * when a task depends on the future.  The record is an ordinary future in a
 * lane that has no workers.
 */
#include "script/async.h"

#include "base/hash.h"
#include "pools/commands/exec.h"
#include "script/shared.h"
#include "script/view.h"

#include <string.h>

/* The table of values by future (a light userdata); weak in nothing. */
static void push_store(lua_State *L, struct fri_script *s)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &s->async_lane);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &s->async_lane);
}

static bool is_async(const struct fri_script *s, const struct frun_future *f)
{
    return s->async_open && f->spec->lane == &s->async_lane;
}

int fri_async_values(lua_State *L, struct fri_script *s, struct frun_future *f)
{
    int n, at;

    if (!is_async(s, f))
        return -1;
    push_store(L, s);
    lua_rawgetp(L, -1, f);
    lua_remove(L, -2);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        return -1;
    }
    at = lua_gettop(L);
    lua_getfield(L, at, "n");
    n = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    luaL_checkstack(L, n + 1, "too many values");
    for (int i = 1; i <= n; i++)
        lua_rawgeti(L, at, i);
    lua_remove(L, at);
    return n;
}

/* Only a lane of async functions has no hooks. */
void fri_async_forget(lua_State *L, struct frun_future *f)
{
    if (f->spec->lane->hooks)
        return;
    lua_rawgetp(L, LUA_REGISTRYINDEX, f->spec->lane);
    if (lua_istable(L, -1)) {
        lua_pushnil(L);
        lua_rawsetp(L, -2, f);
    }
    lua_pop(L, 1);
}

/* ---- values as a message ---------------------------------------------- */

static struct fri_message *pack(lua_State *L, struct fri_script *s, int first,
                                int n)
{
    struct fri_pack *p;

    if (!fri_pack_values(L, first, n, "result", false, &p)) {
        lua_pop(L, 1);
        return NULL;
    }
    return fri_message_new(&s->engine->memory, p->bytes->data,
                           p->bytes->length, p->handles, p->handle_count);
}

bool fri_async_pack(lua_State *L, struct fri_script *s, struct frun_future *f)
{
    int top = lua_gettop(L), n;
    struct fri_message *m;

    if (!is_async(s, f))
        return true;
    if (f->extra && !fri_is_final(f))
        ((struct fri_async *)f->extra->script)->packed = true;
    if (fri_state(f) != FRI_DONE || f->holds != FRI_NOTHING)
        return true;
    n = fri_async_values(L, s, f);
    m = n > 0 ? pack(L, s, top + 1, n) : NULL;
    lua_settop(L, top);
    if (m) {
        f->data.message = m;
        f->holds = FRI_MESSAGE;
    }
    return m || n <= 0;
}

/* ---- those that have not ended ---------------------------------------- */

static void link_async(struct fri_async *a)
{
    a->next = a->script->asyncs;
    a->link = &a->script->asyncs;
    if (a->next)
        a->next->link = &a->next;
    *a->link = a;
}

static void unlink_async(struct fri_async *a)
{
    *a->link = a->next;
    if (a->next)
        a->next->link = a->link;
}

/* ---- running ---------------------------------------------------------- */

static void keep_values(lua_State *L, struct fri_script *s,
                        struct frun_future *f, lua_State *co, int n)
{
    push_store(L, s);
    lua_createtable(L, n, 1);
    luaL_checkstack(L, n + 4, "too many values");
    for (int i = 1; i <= n; i++) {
        lua_pushvalue(co, i - n - 1);
        lua_xmove(co, L, 1);
        lua_rawseti(L, -2, i);
    }
    lua_pushinteger(L, n);
    lua_setfield(L, -2, "n");
    lua_rawsetp(L, -2, f);
    lua_pop(L, 1);
}

static void settle(struct fri_async *a, struct fri_data *outcome)
{
    frun_engine *e = a->script->engine;

    fri_lock(e);
    fri_sched_settle_now(a->future, outcome);
    fri_unlock(e);
}

static void async_free(lua_State *L, struct fri_async *a)
{
    const struct fri_memory *m = &a->script->engine->memory;

    unlink_async(a);
    luaL_unref(L, LUA_REGISTRYINDEX, a->co_ref);
    fri_flow_leave(a->script, &a->flow);
    fri_ordinals_free(m, a->flow.ordinals);
    fri_future_unref(a->flow.exec);
    fri_error_free(a->error);
    a->future->extra->script = NULL;
    fri_future_unref(a->future);
    fri_free(m, a);
}

static void finish(lua_State *L, struct fri_async *a, int status, int n)
{
    struct fri_data outcome = { .holds = FRI_NOTHING };
    lua_State *co = a->flow.co;

    if (status == LUA_OK) {
        if (a->packed && n > 0) {
            int top = lua_gettop(co);

            outcome.message = pack(co, a->script, top - n + 1, n);
            outcome.holds = outcome.message ? FRI_MESSAGE : FRI_NOTHING;
        }
        keep_values(L, a->script, a->future, co, n);
    } else {
        outcome.holds = FRI_ERROR;
        outcome.error
            = status == LUA_YIELD
                  ? fri_error_new(&a->script->engine->memory, FRUN_ERROR,
                                  "an async function cannot yield", NULL,
                                  NULL)
                  : fri_error_take(L, co);
    }
    settle(a, &outcome);
    async_free(L, a);
}

/* Runs it until it waits or ends; `n` arguments are on its stack. */
static void go_on(lua_State *L, struct fri_async *a, int n)
{
    struct fri_script *s = a->script;
    struct fri_flow *before = s->flow;
    int status, results;

    s->flow = &a->flow;
    a->flow.set = NULL;
    status = fri_lua_resume(a->flow.co, L, n, &results);
    s->flow = before;
    if (status == LUA_YIELD && a->flow.set)
        return;
    finish(L, a, status, results);
}

static void resume(struct fri_due *due)
{
    struct fri_async *a = (struct fri_async *)due;

    int n = a->arguments;

    a->arguments = 0;
    if (a->raised) { /* core.await gives it to flow.lua */
        lua_pushboolean(a->flow.co, 1);
        n = 1;
    }
    go_on(a->script->L, a, n);
}

void fri_async_wake(struct fri_set *set)
{
    struct fri_async *a = set->user;

    fri_owner_post(set->engine, &a->due);
}

bool fri_async_raise(struct fri_wait *wait, struct fri_error *error)
{
    struct fri_set *set = (struct fri_set *)(void *)wait;
    struct fri_async *a = set->user;

    fri_set_disarm(set);
    fri_error_free(a->error);
    a->error = error;
    a->raised = true;
    fri_owner_post(set->engine, &a->due);
    return true;
}

/* ---- cancelling ------------------------------------------------------- */

static void let_go(struct fri_async *a)
{
    frun_engine *e = a->script->engine;

    fri_lock(e);
    if (a->flow.set)
        fri_set_disarm(a->flow.set);
    fri_owner_unpost(e, &a->due);
    fri_unlock(e);
    if (a->flow.exec)
        fri_exec_stop(e, a->flow.exec, false);
}

static void settle_cancelled(struct fri_async *a)
{
    struct fri_data outcome = { .holds = FRI_ERROR };

    outcome.error = fri_error_new(&a->script->engine->memory, FRUN_ECANCELLED,
                                  "cancelled", NULL, NULL);
    settle(a, &outcome);
}

/* The coroutine is left where it waits; in 5.4 its <close> variables are
 * closed. */
bool fri_async_cancel(lua_State *L, struct fri_script *s,
                      struct frun_future *f)
{
    /* Workers make the `extra` of their tasks. */
    struct fri_async *a = is_async(s, f) ? f->extra->script : NULL;

    if (!a || fri_is_final(f) || s->flow == &a->flow)
        return false;
    let_go(a);
#ifdef FRI_LUA54
    lua_resetthread(a->flow.co);
#endif
    settle_cancelled(a);
    async_free(L, a);
    return true;
}

/* The engine's memory would stay for their records. */
void fri_async_close(lua_State *L, struct fri_script *s)
{
    struct fri_async *a;

    s->flow = NULL; /* one that runs will not come back */
    while ((a = s->asyncs) != NULL) {
        let_go(a);
        settle_cancelled(a);
        async_free(L, a);
    }
}

/* ---- starting --------------------------------------------------------- */

static void open_lane(lua_State *L, struct fri_script *s)
{
    frun_policy none = { .size = sizeof none, .name = "async" };

    if (s->async_open)
        return;
    fri_lane_init(&s->async_lane, &s->engine->sched, NULL, 1);
    s->async_lane.name = "async";
    s->async_spec = fri_spec_new(&s->async_lane, &none);
    if (!s->async_spec)
        fri_raise_memory(L);
    s->async_open = true;
}

/* The function is at 2, `n` arguments behind it. */
static uint64_t stream(lua_State *L, struct fri_script *s, int n)
{
    uint64_t arguments = 0;
    struct fri_pack *p;

    if (fri_pack_values(L, 3, n, NULL, false, &p))
        arguments = fri_hash(p->bytes->data, p->bytes->length, 0);
    else
        lua_pop(L, 1);
    return fri_stream(s, fri_stream_base(L, 2, NULL), arguments);
}

static struct fri_async *async_new(lua_State *L, struct fri_script *s,
                                   struct fri_box *box)
{
    struct fri_async *a = fri_alloc_zero(&s->engine->memory, sizeof *a);
    struct frun_future *f = NULL;
    struct fri_extra *x;

    fri_lock(s->engine);
    if (a)
        f = fri_task_new(&s->engine->sched, s->async_spec);
    x = f ? fri_task_extra(f) : NULL;
    if (x)
        fri_sched_adopt(f);
    fri_unlock(s->engine);
    if (!x) {
        fri_future_unref(f);
        fri_free(&s->engine->memory, a);
        fri_raise_memory(L);
        return NULL;
    }
    a->future = fri_future_ref(f);
    a->script = s;
    a->due.run = resume;
    a->flow.async = a;
    a->flow.holder.task = f;
    x->script = a;
    link_async(a);
    box->handle = &f->handle;
    return a;
}

/* flow.async(fn, ...) */
static int flow_async(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    int top = lua_gettop(L), ref;
    struct fri_async *a;
    struct fri_box *box;
    lua_State *co;

    luaL_checktype(L, 1, LUA_TFUNCTION);
    if (s->worker)
        return fri_misuse(L, "async: only in the main program");
    fri_script_need(L, s);
    open_lane(L, s);
    box = fri_future_box(L, s);
    lua_insert(L, 1);
    co = lua_newthread(L);
    ref = luaL_ref(L, LUA_REGISTRYINDEX);
    luaL_checkstack(co, top + 1, "too many arguments");
    a = async_new(L, s, box);
    a->co_ref = ref;
    a->flow.co = co;
    a->flow.stream = stream(L, s, top - 1);
    lua_xmove(L, co, top); /* the box stays, at 1 */
    a->arguments = top - 1;
    if (s->flow) { /* inside another: its turn comes, or C calls would nest */
        fri_lock(s->engine);
        fri_owner_post(s->engine, &a->due);
        fri_unlock(s->engine);
    } else {
        resume(&a->due);
    }
    return 1;
}

const luaL_Reg fri_async_functions[] = {
    { "async", flow_async },
    { NULL, NULL },
};
