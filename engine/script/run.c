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
#include "script/shared.h"
#include "script/view.h"

#include "pools/spawn.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct fri_script *script(lua_State *L)
{
    struct fri_script *s;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &fri_lua_runner);
    s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

enum { LONGEST = 16384 }; /* of a message, in bytes */

/* ---- saying ----------------------------------------------------------- */

/* Text that may come from anywhere: nothing in it can steer a terminal. */
static void add_escaped(struct fri_buffer *b, const char *text)
{
    fri_escape(b, text, strlen(text), LONGEST, true);
}

static void say(struct fri_script *s, struct fri_buffer *b)
{
    fri_buffer_byte(b, '\n');
    if (b->failed)
        return;
    if (s->options->output)
        fri_output_write(s->options->output, 2, (const char *)b->data,
                         b->length);
    else if (s->engine)
        fri_output_write(&s->engine->output, 2, (const char *)b->data,
                         b->length);
}

void fri_complain(struct fri_script *s, const char *format, ...)
{
    char text[2048];
    struct fri_buffer b;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fri_buffer_init(&b, NULL);
    fri_buffer_text(&b, "flowrun: ");
    add_escaped(&b, text);
    say(s, &b);
    fri_buffer_free(&b);
}

static void add_key(struct fri_buffer *b, lua_State *L,
                    const struct fri_error *e)
{
    if (e->number_key)
        fri_buffer_printf(b, " [%lld]", (long long)e->key_number);
    else if (e->key
             && fri_unpack(L, e->key->data, e->key->length, NULL, 0) == 1) {
        fri_buffer_text(b, " [");
        if (lua_tostring(L, -1))
            add_escaped(b, lua_tostring(L, -1));
        fri_buffer_text(b, "]");
    }
}

static void name_failure(struct fri_script *s, const struct frun_future *f,
                         bool whole)
{
    const struct fri_error *e
        = f->holds == FRI_ERROR ? f->data.error : NULL;
    int top = lua_gettop(s->L);
    struct fri_buffer b;

    fri_buffer_init(&b, NULL);
    fri_buffer_text(&b, "flowrun: failed: ");
    if (!e) {
        fri_buffer_text(&b, "out of memory");
    } else {
        add_escaped(&b, e->task ? e->task : "a task");
        add_key(&b, s->L, e);
        fri_buffer_printf(&b, ": %s: ", e->public.kind);
        add_escaped(&b, e->message ? e->message : "");
        if (whole && e->traceback) {
            fri_buffer_byte(&b, '\n');
            add_escaped(&b, e->traceback);
        }
    }
    say(s, &b);
    fri_buffer_free(&b);
    lua_settop(s->L, top);
}

/* A failure that follows from another is seen when that one was. */
bool fri_is_unseen(const struct frun_future *f)
{
    const struct fri_error *e = f->holds == FRI_ERROR ? f->data.error : NULL;

    if (atomic_load(&f->looked))
        return false;
    while (e && !atomic_load(&e->looked))
        e = e->cause;
    return !e;
}

enum { NAMED = 20 }; /* the others are counted */

static int report_unseen(struct fri_script *s)
{
    int n = 0;

    for (size_t i = 0; i < s->unseen_count; i++) {
        if (!fri_is_unseen(s->unseen[i]))
            continue;
        if (n == 0)
            fri_complain(s, "tasks failed, and nobody looked at them:");
        if (n < NAMED)
            name_failure(s, s->unseen[i], n == 0);
        n++;
    }
    if (n > NAMED)
        fri_complain(s, "... and %d more", n - NAMED);
    return n;
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

/* 1 when the run was halted: that is no good end. */
static int report_halt(struct fri_script *s)
{
    const struct fri_group *run = s->engine->sched.run;
    bool halted;

    fri_lock(s->engine);
    halted = run && run->tripped;
    fri_unlock(s->engine);
    if (halted && !s->halt_said)
        fri_complain(s, "halt: %s was reached; nothing was started after "
                        "that",
                     run->text);
    s->halt_said = halted;
    return halted;
}

int fri_script_finish(lua_State *L, bool cancel, fri_time patience)
{
    struct fri_script *s = script(L);

    if (!s || !s->engine || s->closed)
        return 0;
    if (cancel && fri_now() < patience) {
        withdraw(s->engine);
        await_running(s->engine, patience);
    }
    if (cancel)
        cancel_pools(s->engine);
    else if (!wait_for_all(s))
        return -1;
    fri_owner_run(s->engine);
    return report_unseen(s) + (int)s->callback_errors
           + report_halt(s);
}

bool fri_script_broken(struct fri_script *s)
{
    frun_engine *e = s && !s->closed ? s->engine : NULL;
    bool broken = false;

    if (!e)
        return false;
    fri_lock(e);
    for (frun_pool *p = e->pools; p && !broken; p = p->next)
        broken = p->lane.broken;
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
    }
    if (!e || s->closed)
        return;
    s->closed = true;
    if (s->helper)
        fri_runtime_close(s->helper);
    s->helper = NULL;
    fri_lock(e);
    e->sched.observers = NULL;
    fri_unlock(e);
    for (size_t i = 0; i < s->unseen_count; i++)
        fri_future_unref(s->unseen[i]);
    fri_free(&e->memory, s->unseen);
    s->unseen = NULL;
    s->unseen_count = s->unseen_capacity = 0;
    fri_shared_forget(s);
    fri_ordinals_free(&e->memory, s->ordinals);
    s->ordinals = NULL;
    free(s->halt);
    s->halt = NULL;
    fri_spec_unref(s->async_spec);
    s->async_spec = NULL;
    frun_engine_close(e);
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

/* The state goes: pools finish first. */
static int at_close(lua_State *L)
{
    fri_script_finish(L, false, 0);
    fri_script_close(L);
    return 0;
}

#ifdef FRI_LUA54
static const char program[] = "flowrun";
#else
static const char program[] = "flowrun-luajit";
#endif

FRUN_API int luaopen_flowrun(lua_State *L);

/* The program that belongs to this module: beside its tree (lib/lua/5.x below
 * the same prefix), or where both were built. */
static const char *find_program(void)
{
    static const char *const places[] = { "/../../../bin", "/../.." };
    static char path[4096];
    Dl_info info;

    if (!dladdr((void *)(uintptr_t)luaopen_flowrun, &info) || !info.dli_fname)
        return NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        const char *end = strrchr(info.dli_fname, '/');
        int length = end ? (int)(end - info.dli_fname) : 0;
        int n = snprintf(path, sizeof path, "%.*s%s/%s", length,
                         info.dli_fname, places[i], program);

        if (end && n < (int)sizeof path && access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}

int luaopen_flowrun(lua_State *L)
{
    if (!script(L)) {
        struct fri_script *s = fri_script_open(L, NULL);

        s->own.program = find_program();
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
