/*
 * dry.c - a run without tasks: they are looked up in the journal and noted, and
 * what the journal has is done; the run ends where it would have to wait for
 * another.
 */
#include "script/script.h"

#include "core/resume.h"
#include "script/view.h"

/* ---- notes ------------------------------------------------------------ */

/* Would its task run? */
static int dry_status(lua_State *L)
{
    const struct frun_future *f = fri_future_check(L, 1);
    struct fri_script *s = fri_script_of(L);
    const char *status;

    fri_lock(s->engine);
    status = fri_is_final(f) ? "journal" : f->unmet > 0 ? "waits" : "run";
    fri_unlock(s->engine);
    lua_pushstring(L, status);
    return 1;
}

/* Pushes what dry.lua gives: its functions note, lines, note_command. */
enum { NOTE, LINES, NOTE_COMMAND };

static void push_function(lua_State *L, struct fri_script *s, int which)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &s->dry[which]);
    if (!lua_isnil(L, -1))
        return;
    lua_pop(L, 1);
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, dry_status, 1);
    fri_chunk_call(L, &fri_lua_dry, "dry", 3);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &s->dry[NOTE_COMMAND]);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &s->dry[LINES]);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &s->dry[NOTE]);
    push_function(L, s, which);
}

void fri_dry_note(lua_State *L, struct fri_script *s, int future, int first,
                  int n)
{
    int top = lua_gettop(L);

    luaL_checkstack(L, n + 10, "too many arguments");
    push_function(L, s, NOTE);
    lua_pushvalue(L, future);
    for (int i = 0; i < n; i++)
        lua_pushvalue(L, first + i);
    lua_call(L, n + 1, 0);
    lua_settop(L, top);
}

void fri_dry_command(lua_State *L, struct fri_script *s, int future,
                     int table, const char *name)
{
    int top = lua_gettop(L);

    luaL_checkstack(L, 10, "no room for a note");
    push_function(L, s, NOTE_COMMAND);
    if (future)
        lua_pushvalue(L, future);
    else
        lua_pushstring(L, name);
    lua_pushvalue(L, table);
    lua_call(L, 2, 0);
    lua_settop(L, top);
}

/* ---- the end ---------------------------------------------------------- */

static void say_line(struct fri_script *s, const char *text, size_t length)
{
    struct fri_buffer line;

    fri_buffer_init(&line, &s->engine->memory);
    fri_escape(&line, text, length, 4096, false);
    fri_buffer_byte(&line, '\n');
    fri_output_write(s->options->output ? s->options->output
                                        : &s->engine->output,
                     2, (const char *)line.data, line.length);
    fri_buffer_free(&line);
}

void fri_dry_list(lua_State *L, struct fri_script *s)
{
    int top = lua_gettop(L);

    if (s->dry_listed)
        return;
    s->dry_listed = true;
    if (s->engine->resumer)
        fri_resume_await(s->engine);
    push_function(L, s, LINES);
    lua_call(L, 0, 1);
    for (int i = 1, n = (int)lua_rawlen(L, -1); i <= n; i++) {
        lua_rawgeti(L, top + 1, i);
        say_line(s, lua_tostring(L, -1), lua_rawlen(L, -1));
        lua_pop(L, 1);
    }
    lua_settop(L, top);
}

/* What is found in the journal comes from the service thread, and lets async
 * functions go on. */
static bool comes(frun_engine *e, struct fri_set *set)
{
    bool more = true;

    while (more && !atomic_load(&set->satisfied)) {
        if (e->resumer)
            fri_resume_await(e);
        more = fri_owner_run(e);
    }
    return atomic_load(&set->satisfied);
}

bool fri_dry_wait(lua_State *L, struct fri_script *s, struct fri_set *set)
{
    if (comes(s->engine, set))
        return true;
    fri_dry_list(L, s);
    s->leave(s->leave_user, L);
    return false;
}
