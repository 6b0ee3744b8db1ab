/*
 * callback.c - on_done: functions that the main program has called when a
 * future is done.
 *
 * Rules.
 *  1. A callback runs in the main program's thread: at once when the future is
 *     done already, else when the main program waits, or at its end, but not
 *     while another one runs.
 *  2. A waiter is linked and fires under the lock; then the callback is the
 *     engine's, in its inbox, until it runs.
 *  3. An error in one is said and counted; it ends nothing.
 *  4. What has not run when the script ends does not: its state goes.
 */
#include "script/script.h"

struct fri_callback {
    struct fri_due due;
    struct fri_waiter waiter;
    struct fri_script *script;
    struct fri_callback *next, **link; /* of the script: owner */
    int fn_ref, future_ref;
};

static void list(struct fri_script *s, struct fri_callback *cb)
{
    cb->next = s->callbacks;
    cb->link = &s->callbacks;
    if (cb->next)
        cb->next->link = &cb->next;
    s->callbacks = cb;
}

/* Neither linked nor posted. */
static void drop(struct fri_callback *cb)
{
    *cb->link = cb->next;
    if (cb->next)
        cb->next->link = cb->link;
    fri_future_unref(cb->waiter.future);
    fri_free(&cb->script->engine->memory, cb);
}

void fri_callbacks_drop(struct fri_script *s)
{
    while (s->callbacks) {
        fri_lock(s->engine);
        fri_waiter_remove(&s->callbacks->waiter);
        fri_owner_unpost(s->engine, &s->callbacks->due);
        fri_unlock(s->engine);
        drop(s->callbacks);
    }
}

static void run_callback(struct fri_due *due)
{
    struct fri_callback *cb = (struct fri_callback *)due;
    struct fri_script *s = cb->script;
    struct frun_future *f = cb->waiter.future;
    lua_State *L = s->L;
    int top = lua_gettop(L);
    bool failed;

    luaL_checkstack(L, 4, "callback");
    fri_look(f);
    lua_rawgeti(L, LUA_REGISTRYINDEX, cb->fn_ref);
    lua_rawgeti(L, LUA_REGISTRYINDEX, cb->future_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, cb->fn_ref);
    luaL_unref(L, LUA_REGISTRYINDEX, cb->future_ref);
    drop(cb);
    s->delivering = true;
    failed = lua_pcall(L, 1, 0, 0) != LUA_OK;
    s->delivering = false;
    if (failed) {
        s->callback_errors++;
        fri_complain(s, "on_done: %s", lua_tostring(L, -1)
                                           ? lua_tostring(L, -1)
                                           : "an error that is no text");
    }
    lua_settop(L, top);
}

static void callback_due(struct fri_waiter *w)
{
    struct fri_callback *cb
        = (struct fri_callback *)(void *)((char *)w
                                      - offsetof(struct fri_callback, waiter));

    fri_owner_post(cb->script->engine, &cb->due);
}

/* core.on_done(future, fn) */
static int core_on_done(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct frun_future *f = fri_future_check(L, 1);
    struct fri_callback *cb;
    int refs[2];
    bool done;

    if (s->worker)
        fri_misuse(L, "on_done: only in the main program");
    lua_settop(L, 2);
    lua_pushvalue(L, 2);
    refs[0] = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 1);
    refs[1] = luaL_ref(L, LUA_REGISTRYINDEX);
    cb = fri_alloc_zero(&s->engine->memory, sizeof *cb);
    if (!cb)
        return fri_raise_memory(L);
    cb->script = s;
    cb->due.run = run_callback;
    cb->waiter.fire = callback_due;
    cb->waiter.future = fri_future_ref(f);
    cb->fn_ref = refs[0];
    cb->future_ref = refs[1];
    list(s, cb);
    fri_lock(s->engine);
    done = fri_is_final(f);
    if (!done)
        fri_waiter_link(&cb->waiter, &f->waiters);
    fri_unlock(s->engine);
    if (done)
        run_callback(&cb->due);
    return 0;
}

const luaL_Reg fri_callback_functions[] = {
    { "on_done", core_on_done },
    { NULL, NULL },
};
