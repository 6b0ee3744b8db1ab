/*
 * run.c - the end of a run: what is pending, what nobody has looked at.
 */
#include "script/view.h"

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

/* Only async functions are left, and nothing that could wake one. */
static bool is_stuck(struct fri_script *s)
{
    frun_engine *e = s->engine;
    bool stuck = !e->inbox && e->sched.timers.count == 0;

    for (frun_pool *p = e->pools; p && stuck; p = p->next)
        stuck = p->lane.unfinished == 0;
    return stuck;
}

static void wake_owner(struct fri_set *set)
{
    fri_owner_wake(set->engine);
}

/* Waits until something has changed that all_idle looks at. */
static void wait_change(frun_engine *e)
{
    struct fri_set *set = NULL;

    fri_lock(e);
    for (frun_pool *p = e->pools; p && !set; p = p->next)
        if (p->lane.unfinished > 0)
            set = fri_set_open_on(e, &p->drains);
    fri_unlock(e);
    if (!set) {
        fri_owner_wait(e, NULL, FRI_NEVER);
        return;
    }
    if (!fri_set_arm(set, 0, false, FRI_NEVER, wake_owner))
        fri_owner_wait(e, set, FRI_NEVER);
    fri_set_close(set);
}

static void cancel_pools(frun_engine *e)
{
    fri_lock(e);
    for (frun_pool *p = e->pools; p; p = p->next)
        fri_lane_cancel(&p->lane);
    fri_unlock(e);
}

/* False: interrupted. */
static bool drain(struct fri_script *s, int *stuck)
{
    frun_engine *e = s->engine;

    for (;;) {
        bool idle, none;

        fri_lock(e);
        idle = all_idle(s);
        none = !idle && is_stuck(s);
        fri_unlock(e);
        if (none && s->async_open) {
            *stuck = (int)s->async_lane.unfinished;
            fri_complain(s, "deadlock: %d async functions wait for ever",
                         *stuck);
        }
        if (idle || none)
            return true;
        if (atomic_load(&e->interrupted))
            return false;
        wait_change(e);
    }
}

int fri_script_finish(lua_State *L, bool cancel)
{
    struct fri_script *s = script(L);
    int stuck = 0;

    if (!s || !s->engine || s->closed)
        return 0;
    if (cancel)
        cancel_pools(s->engine);
    else if (!drain(s, &stuck))
        return -1;
    fri_owner_run(s->engine);
    return report_unseen(s) + stuck + (int)s->callback_errors;
}

void fri_script_close(lua_State *L)
{
    struct fri_script *s = script(L);
    frun_engine *e = s ? s->engine : NULL;
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
    fri_ordinals_free(&e->memory, s->ordinals);
    s->ordinals = NULL;
    fri_spec_unref(s->async_spec);
    s->async_spec = NULL;
    frun_engine_close(e);
}

void fri_script_interrupt(struct fri_script *s)
{
    frun_engine *e = s ? __atomic_load_n(&s->engine, __ATOMIC_ACQUIRE) : NULL;

    if (!e)
        return;
    atomic_store(&e->interrupted, true);
    cancel_pools(e);
    fri_lock(e);
    fri_owner_wake(e);
    fri_unlock(e);
}

/* ---- a stock Lua ------------------------------------------------------ */

/* The state goes: pools finish first. */
static int at_close(lua_State *L)
{
    fri_script_finish(L, false);
    fri_script_close(L);
    return 0;
}

FRUN_API int luaopen_flowrun(lua_State *L);

int luaopen_flowrun(lua_State *L)
{
    if (!script(L)) {
        fri_script_open(L, NULL);
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
