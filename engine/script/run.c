/*
 * run.c - the end of a run: what is pending, what nobody has looked at.
 *
 * Rules.
 *  1. A run that is interrupted begins nothing more: what is pending, and what
 *     is submitted later, is cancelled.  What runs may end, until whoever ends
 *     the run has no more patience; its results count, its callbacks run.
 */
#define _GNU_SOURCE
#include "core/deadlock.h"
#include "core/halt.h"
#include "core/journal.h"
#include "data/canon.h"
#include "script/async.h"
#include "script/shared.h"
#include "script/view.h"

#include "pools/spawn/spawn.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct fri_script *script(lua_State *L)
{
    struct fri_script *s;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &fri_lua_runner);
    s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

/* ---- waiting for the end ---------------------------------------------- */

static bool all_idle(struct fri_script *s)
{
    frun_engine *e = s->engine;
    bool idle = !s->async_open || s->async_lane.unfinished == 0;

    for (frun_pool *p = e->pools; p && idle; p = p->next)
        idle = p->lane.unfinished == 0;
    return idle && !e->inbox;
}

static void wake_owner(struct fri_set *set)
{
    fri_owner_wake(set->engine);
}

/* Waits until something has changed that all_idle looks at. */
static void wait_change(frun_engine *e, fri_time until)
{
    struct fri_set *set = NULL;

    fri_lock(e);
    for (frun_pool *p = e->pools; p && !set; p = p->next)
        if (p->lane.unfinished > 0)
            set = fri_set_open_on(e, &p->drains);
    fri_unlock(e);
    if (!set) {
        fri_owner_wait(e, NULL, until);
        return;
    }
    if (!fri_set_arm(set, 0, false, FRI_NEVER, wake_owner))
        fri_owner_wait(e, set, until);
    fri_set_close(set);
}

static void cancel_pools(frun_engine *e)
{
    fri_lock(e);
    for (frun_pool *p = e->pools; p; p = p->next)
        fri_lane_cancel(&p->lane);
    fri_unlock(e);
}

/* Rule 1. */
static void withdraw(frun_engine *e)
{
    struct fri_group *why
        = fri_group_new(&e->memory, "the run was interrupted", 0);

    if (!why) {
        cancel_pools(e);
        return;
    }
    fri_lock(e);
    fri_halt_all(&e->sched, why);
    fri_unlock(e);
}

static bool pools_idle(frun_engine *e)
{
    bool idle;

    fri_lock(e);
    idle = e->inbox == NULL;
    for (frun_pool *p = e->pools; p && idle; p = p->next)
        idle = p->lane.unfinished == 0;
    fri_unlock(e);
    return idle;
}

static void await_running(frun_engine *e, fri_time patience)
{
    while (!pools_idle(e) && fri_now() < patience) {
        atomic_store(&e->interrupted, false);
        wait_change(e, patience);
    }
}

/* The script has come to its end, and only takes part in what others wait
 * for. */
static void set_ended(frun_engine *e, bool ended)
{
    fri_lock(e);
    e->owner_ended = ended;
    fri_waits_note(&e->sched);
    fri_unlock(e);
}

static bool drain(struct fri_script *s)
{
    frun_engine *e = s->engine;
    bool idle = false;

    while (!idle && !atomic_load(&e->interrupted)) {
        fri_lock(e);
        idle = all_idle(s);
        fri_unlock(e);
        if (!idle)
            wait_change(e, FRI_NEVER);
    }
    return idle;
}

/* False: interrupted. */
static bool wait_for_all(struct fri_script *s)
{
    bool idle;

    set_ended(s->engine, true);
    idle = drain(s);
    set_ended(s->engine, false);
    if (s->engine->stuck > 0)
        fri_complain(s, "deadlock: %u async functions wait for ever",
                     s->engine->stuck);
    s->engine->stuck = 0;
    return idle;
}

/* What is stopped mostly ends at once, and is then in the last words. */
static const fri_time STOPPING = FRI_SECOND / 4;

/* That is no good end. */
static bool is_halted(struct fri_script *s)
{
    const struct fri_group *run = s->engine->sched.run;
    bool halted;

    fri_lock(s->engine);
    halted = run && run->tripped;
    fri_unlock(s->engine);
    return halted;
}

int fri_script_finish(lua_State *L, bool cancel, fri_time patience)
{
    struct fri_script *s = script(L);

    if (!s || !s->engine || s->closed)
        return 0;
    if (s->options->dry_run) {
        fri_dry_list(L, s);
        cancel = true;
    }
    if (cancel && fri_now() < patience) {
        withdraw(s->engine);
        await_running(s->engine, patience);
    }
    if (cancel) {
        cancel_pools(s->engine);
        await_running(s->engine, fri_now() + STOPPING);
    } else if (!wait_for_all(s)) {
        return -1;
    }
    fri_owner_run(s->engine);
    fri_say_resumed(s);
    return fri_unseen_count(s) + (int)s->callback_errors + is_halted(s);
}

bool fri_script_broken(struct fri_script *s)
{
    frun_engine *e = s && !s->closed ? s->engine : NULL;
    bool broken = false;

    if (!e)
        return false;
    fri_lock(e);
    for (frun_pool *p = e->pools; p && !broken; p = p->next)
        broken = p->lane.broken || p->lane.failed_once;
    fri_unlock(e);
    return broken;
}

void fri_script_close(lua_State *L)
{
    struct fri_script *s = script(L);
    frun_engine *e = s ? s->engine : NULL;

    if (s && !e) {
        fri_spawner_close(s->spawner);
        s->spawner = NULL;
        fri_options_free(s);
    }
    if (!e || s->closed)
        return;
    s->closed = true;
    if (s->helper)
        fri_runtime_close(s->helper);
    s->helper = NULL;
    fri_seeing_close(s->seeing);
    s->seeing = NULL;
    fri_lock(e);
    fri_observer_remove(&e->sched, &s->observer);
    fri_unlock(e);
    for (size_t i = 0; i < s->unseen_count; i++)
        fri_future_unref(s->unseen[i]);
    fri_free(&e->memory, s->unseen);
    s->unseen = NULL;
    s->unseen_count = s->unseen_capacity = 0;
    fri_callbacks_drop(s);
    fri_async_close(L, s);
    fri_shared_forget(s);
    fri_canon_free(s->canon);
    s->canon = NULL;
    fri_ordinals_free(&e->memory, s->ordinals);
    s->ordinals = NULL;
    fri_options_free(s);
    fri_spec_unref(s->async_spec);
    s->async_spec = NULL;
    fri_journal_close(e->journal);
    e->journal = NULL;
    if (!s->foreign)
        fri_engine_close(e);
    s->gone = true;
}

static frun_engine *engine_of(struct fri_script *s)
{
    return s ? __atomic_load_n(&s->engine, __ATOMIC_ACQUIRE) : NULL;
}

void fri_script_interrupt(struct fri_script *s, bool stop)
{
    frun_engine *e = engine_of(s);

    if (!e)
        return;
    atomic_store(&e->interrupted, true);
    if (stop)
        cancel_pools(e);
    else
        withdraw(e);
    fri_lock(e);
    fri_owner_wake(e);
    fri_unlock(e);
}

void fri_script_pause(struct fri_script *s, bool pause)
{
    frun_engine *e = engine_of(s);

    if (e && pause)
        fri_engine_pause(e);
    else if (e)
        fri_engine_resume(e);
}

void fri_script_abandon(struct fri_script *s)
{
    frun_engine *e = engine_of(s);
    struct fri_spawner *spawner = e ? NULL : s ? s->spawner : NULL;

    if (e && !s->gone)
        spawner = e->spawner;
    if (spawner)
        fri_spawner_abandon(spawner);
}

/* ---- a stock Lua ------------------------------------------------------ */

/* The state goes: pools finish first.  In a copy of the process, which somebody
 * has made by fork, they are none of its own. */
static int at_close(lua_State *L)
{
    struct fri_script *s = script(L);
    char why[FRI_WHY];

    if (s && s->engine && !fri_engine_here(s->engine))
        return 0;
    fri_script_finish(L, false, 0);
    fri_script_words(L, false, NULL);
    fri_script_failures(L, false);
    fri_script_files(L);
    if (fri_script_flush(s, why) != FRUN_OK)
        fri_complain(s, "%s", why);
    fri_script_close(L);
    return 0;
}

#ifdef FRI_LUA54
const char fri_spawn_program[] = "flowrun";
#else
const char fri_spawn_program[] = "flowrun-luajit";
#endif

__attribute__((visibility("default"))) int luaopen_flowrun(lua_State *L);

/* The module stays mapped when its state goes: its threads may still end. */
static void stay(void)
{
    Dl_info info;

    if (dladdr((void *)(uintptr_t)luaopen_flowrun, &info) && info.dli_fname)
        dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD | RTLD_NODELETE);
}

/* Pushes the path of the program that helps, or nil. */
static const char *push_program(lua_State *L)
{
    char path[4096];

    lua_pushstring(L, fri_spawn_find(path, sizeof path));
    return lua_tostring(L, -1);
}

int luaopen_flowrun(lua_State *L)
{
    if (!script(L)) {
        struct fri_script *s = fri_script_open(L, NULL, NULL);

        stay();
        s->own.program = push_program(L);
        lua_rawsetp(L, LUA_REGISTRYINDEX, fri_spawn_program);
        lua_newuserdatauv(L, 1, 0);
        lua_newtable(L);
        lua_pushcfunction(L, at_close);
        lua_setfield(L, -2, "__gc");
        lua_setmetatable(L, -2);
        lua_rawsetp(L, LUA_REGISTRYINDEX, luaopen_flowrun);
    }
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_getfield(L, -1, "flowrun");
    lua_call(L, 0, 1);
    return 1;
}
