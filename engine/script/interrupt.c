/*
 * interrupt.c - an error in what runs, from a signal handler.
 *
 * Rules.
 *  1. The handler runs on the thread whose state it is, and only calls
 *     lua_sethook on the coroutine that runs now, as Lua's own interpreter
 *     does at Ctrl-C; the hook raises.
 *  2. In 5.4 hooks belong to coroutines, in LuaJIT to the whole state.  So in
 *     5.4 whoever switches sets `current` first and looks at `interrupt` then
 *     (fri_set_current): a signal between the two is not lost.
 *  3. A hook that finds nothing to do removes itself: a coroutine may keep one
 *     (it inherits that of its maker) beyond the task that was meant.
 */
#include "script/job.h"

enum { NOTHING, ONCE, ALWAYS };

static struct fri_runtime *runtime_of(lua_State *L)
{
    struct fri_script *s;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &fri_lua_runner);
    s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s ? s->runtime : NULL;
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
    struct fri_runtime *rt = runtime_of(L);
    int what = rt ? rt->interrupt : NOTHING;

    (void)ar;
    if (what == ONCE)
        rt->interrupt = NOTHING;
    if (what != ALWAYS)
        lua_sethook(L, NULL, 0, 0);
    if (what == NOTHING)
        return;
    if (rt->worker)
        atomic_store(&rt->worker->fired, true);
    fri_error_push_new(L, (frun_status)rt->why,
                       rt->why == FRUN_ETIMEOUT ? "timed out" : "cancelled");
    lua_error(L);
}

static void set_hook(lua_State *L)
{
    lua_sethook(L, on_hook, LUA_MASKCOUNT, 1);
}

void fri_interrupt(void *state, frun_status why, bool always)
{
    struct fri_runtime *rt = state;

    rt->why = (sig_atomic_t)why;
    rt->touched = 1;
    rt->interrupt = always ? ALWAYS : ONCE;
    set_hook(rt->current);
}

void fri_calm(void *state)
{
    struct fri_runtime *rt = state;

    rt->interrupt = NOTHING;
    rt->touched = 0;
    lua_sethook(rt->L, NULL, 0, 0);
}

bool fri_unhook(struct fri_runtime *rt, lua_State *co)
{
    lua_Hook hook = lua_gethook(co);

    if (!hook || hook == on_hook)
        return false;
    lua_sethook(co, NULL, 0, 0);
    atomic_signal_fence(memory_order_seq_cst);
    if (rt->interrupt != NOTHING) /* a signal came in between */
        set_hook(co);
    return true;
}

void fri_set_current(struct fri_runtime *rt, lua_State *co)
{
#ifdef FRI_LUA54
    rt->current = co;
    atomic_signal_fence(memory_order_seq_cst);
#endif
    if (rt->interrupt != NOTHING)
        set_hook(co);
}
