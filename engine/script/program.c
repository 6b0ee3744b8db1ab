#define _GNU_SOURCE
#include "script/program.h"

#include "pools/forks/home.h"
#include "pools/spawn/spawn.h"

#include "script/stdio.h"
#include "script/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

enum { LONGEST_TRACE = 65536 };

/* Declared here: yaml.h belongs to yaml.c. */
extern const char *yaml_get_version_string(void);

/* ---- setting up ------------------------------------------------------- */

static struct fri_program *program_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

static void on_hook(lua_State *L, lua_Debug *ar)
{
    (void)ar;
    /* Again at each instruction: no pcall keeps a script alive. */
    lua_sethook(L, on_hook, LUA_MASKCOUNT, 1);
    luaL_error(L, "interrupted");
}

static int os_exit(lua_State *L)
{
    struct fri_program *p = program_of(L);
    int status;

    if (lua_isboolean(L, 1))
        status = lua_toboolean(L, 1) ? EXIT_SUCCESS : EXIT_FAILURE;
    else
        status = (int)luaL_optinteger(L, 1, EXIT_SUCCESS);
    atomic_store(&p->stoppable, false);
    lua_sethook(L, NULL, 0, 0);
    p->running = L;
    if (p->hooks.leave)
        p->hooks.leave(p->hooks.user, status, lua_toboolean(L, 2));
    p->running = p->L;
    p->exited = true;
    p->exit_status = status;
    lua_sethook(p->L, on_hook, LUA_MASKCOUNT, 1);
    lua_sethook(L, on_hook, LUA_MASKCOUNT, 1);
    return luaL_error(L, "os.exit");
}

static void leave(void *user, lua_State *L)
{
    struct fri_program *p = user;

    atomic_store(&p->stoppable, false);
    lua_sethook(L, NULL, 0, 0);
    p->running = L;
    p->hooks.leave(p->hooks.user, 0, true);
}

/* In place of the module's loader, upvalue 2. */
static int load_module(lua_State *L)
{
    struct fri_program *p = program_of(L);

    lua_pushvalue(L, lua_upvalueindex(2));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, LUA_MULTRET);
    if (p->hooks.module)
        p->hooks.module(p->hooks.user);
    return lua_gettop(L);
}

/* table.field becomes function, upvalues: the program, what was there. */
static void replace(lua_State *L, struct fri_program *p, const char *field,
                    lua_CFunction function)
{
    lua_pushlightuserdata(L, p);
    lua_getfield(L, -2, field);
    lua_pushcclosure(L, function, 2);
    lua_setfield(L, -2, field);
}

/* Modules beside the script are found last, from any directory. */
static void extend_path(lua_State *L, const char *script)
{
    const char *slash = strrchr(script, '/');

    if (strcmp(script, "-") == 0 || strpbrk(script, ";?"))
        return; /* these mean something in a path */
    lua_getglobal(L, "package");
    if (slash)
        lua_pushlstring(L, script, (size_t)(slash - script));
    else
        lua_pushliteral(L, ".");
    lua_getfield(L, -2, "path");
    lua_pushfstring(L, "%s;%s/?.lua;%s/?/init.lua", lua_tostring(L, -1),
                    lua_tostring(L, -2), lua_tostring(L, -2));
    lua_setfield(L, -4, "path");
    lua_pop(L, 3);
}

static void set_arg(lua_State *L, const struct fri_program *p)
{
    lua_createtable(L, p->argc - p->at, p->at + 1);
    for (int i = 0; i < p->argc; i++) {
        lua_pushstring(L, p->argv[i]);
        lua_rawseti(L, -2, i - p->at);
    }
    lua_setglobal(L, "arg");
}

static int set_up(lua_State *L)
{
    struct fri_program *p = lua_touserdata(L, 1);

    if (getauxval(AT_SECURE)) {
        lua_pushboolean(L, 1);
        lua_setfield(L, LUA_REGISTRYINDEX, "LUA_NOENV");
    }
    lua_gc(L, LUA_GCSTOP, 0);
    luaL_openlibs(L);
    fri_text_only(L);
    fri_common_table(L);
    fri_stdio_open(L, &p->current, true);
    fri_execute_open(L);
    extend_path(L, p->argv[p->at]);
    lua_getglobal(L, "os");
    replace(L, p, "exit", os_exit);
    p->script = fri_script_open(L, p->options, p->text.memory);
    p->script->leave = leave;
    p->script->leave_user = p;
    set_arg(L, p); /* after it: what is there before does not travel */
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    replace(L, p, "flowrun", load_module);
    lua_gc(L, LUA_GCRESTART, 0);
#ifdef FRI_LUA54
    lua_gc(L, LUA_GCGEN, 0, 0); /* as the stock interpreter */
#endif
    return 0;
}

bool fri_program_open(struct fri_program *p, const struct fri_run_options *o,
                      const struct fri_program_hooks *hooks, int argc,
                      char **argv, int at)
{
    const struct fri_memory *m = o->engine ? &o->engine->memory : NULL;

    *p = (struct fri_program){ .hooks = *hooks, .options = o, .argc = argc,
                               .argv = argv, .at = at };
    fri_buffer_init(&p->text, m);
    fri_buffer_init(&p->chunk, m);
    fri_buffer_init(&p->why, m);
    fri_buffer_init(&p->trace, m);
    fri_lines_init(&p->lines, o->output, m, true);
    p->current = &p->lines;
    p->L = p->running = fri_state_new(m);
    return p->L && fri_protected(p->L, set_up, p);
}

/* ---- running ---------------------------------------------------------- */

/* The message handler: notes where it happened, leaves the error as it is. */
static int note_trace(lua_State *L)
{
    struct fri_program *p = program_of(L);
    size_t length;
    const char *text, *caller;

    if (!fri_trace_push(L, 1))
        luaL_traceback(L, L, NULL, 1);
    text = lua_tolstring(L, -1, &length);
    caller = memrchr(text, '\n', length); /* who called the script: us */
    if (caller && strncmp(caller, "\n\t[C]:", 6) == 0)
        length = (size_t)(caller - text);
    p->trace.length = 0;
    fri_escape(&p->trace, text, length, LONGEST_TRACE, true);
    lua_settop(L, 1);
    return 1;
}

/* Pushes the error's text as its author wants it. */
static const char *error_text(lua_State *L, size_t *length)
{
    if (lua_isstring(L, 1))
        lua_pushvalue(L, 1);
    else if (fri_error_push_shown(L, 1))
        return lua_tolstring(L, -1, length);
    else if (!luaL_callmeta(L, 1, "__tostring") || !lua_isstring(L, -1))
        lua_pushfstring(L, "(error object is a %s value)", luaL_typename(L, 1));
    return lua_tolstring(L, -1, length);
}

/* Of the error, which may be an object with a will of its own. */
static void push_field(lua_State *L, const char *name)
{
    lua_pushstring(L, name);
    lua_rawget(L, 1);
}

/* A task's error has come from elsewhere: also from where. */
static void add_task_trace(lua_State *L, struct fri_program *p)
{
    const char *text;
    size_t length;

    if (!lua_istable(L, 1))
        return;
    push_field(L, "traceback");
    if (lua_type(L, -1) != LUA_TSTRING)
        return;
    text = lua_tolstring(L, -1, &length);
    while (length > 0 && text[length - 1] == '\n')
        length--;
    if (length == 0)
        return;
    fri_buffer_text(&p->why, "\n");
    fri_program_say(p, text, length, true);
    fri_buffer_text(&p->why, "\nin the main program:");
}

/* Of a task's error: what it was called with. */
static void add_arguments(lua_State *L, struct fri_program *p)
{
    const char *task, *key, *arguments = NULL;

    if (!lua_istable(L, 1))
        return;
    push_field(L, "task");
    push_field(L, "key");
    if (lua_type(L, -2) == LUA_TSTRING) {
        task = lua_tostring(L, -2);
        key = lua_type(L, -1) == LUA_TBOOLEAN
                  ? lua_toboolean(L, -1) ? "true" : "false"
                  : lua_tostring(L, -1);
        arguments = fri_script_arguments(L, task, key ? key : "");
    }
    if (arguments) {
        fri_buffer_text(&p->why, "\narguments: ");
        fri_buffer_text(&p->why, arguments);
    }
    lua_pop(L, 2);
}

static int describe(lua_State *L)
{
    struct fri_program *p = program_of(L);
    size_t length;
    const char *text = error_text(L, &length);

    fri_program_say(p, text, length, true);
    add_arguments(L, p);
    add_task_trace(L, p);
    return 0;
}

/* A run that cannot go on for want of a worker is no fault of the script. */
static int status_of(lua_State *L, struct fri_program *p)
{
    const char *kind;
    bool wanting = false, unkept = false;

    if (lua_istable(L, -1)) {
        lua_pushliteral(L, "kind");
        lua_rawget(L, -2);
        lua_pushliteral(L, "task");
        lua_rawget(L, -3);
        kind = lua_tostring(L, -2);
        wanting = kind && strcmp(kind, "resource") == 0
                  && (lua_isnil(L, -1) || fri_script_broken(p->script));
        unkept = kind && strcmp(kind, "journal") == 0 && p->script->refused;
        lua_pop(L, 2);
    }
    return wanting ? FRI_ENDED_SHORT
           : unkept ? FRI_ENDED_UNKEPT
                    : FRI_ENDED_BADLY;
}

/* The error is on the top of the stack. */
static int failed(struct fri_program *p, int status)
{
    lua_State *L = p->L;
    int ended = status == LUA_ERRMEM ? FRI_ENDED_SHORT : status_of(L, p);

    p->why.length = 0;
    lua_pushlightuserdata(L, p);
    lua_pushcclosure(L, describe, 1);
    lua_insert(L, -2);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        p->why.length = 0;
        fri_buffer_text(&p->why, "(error object whose __tostring failed)");
    }
    /* It is no matter of the script what the command was told. */
    if (ended == FRI_ENDED_UNKEPT && p->options->journal)
        return ended;
    if (p->trace.length > 0)
        fri_buffer_byte(&p->why, '\n');
    fri_buffer_add(&p->why, p->trace.data, p->trace.length);
    return ended;
}

/* Calls the script, argument 1, with its words; false if it says so. */
static int call_script(lua_State *L)
{
    struct fri_program *p = program_of(L);
    int n = p->argc - p->at - 1;

    luaL_checkstack(L, n, "too many arguments to the script");
    for (int i = 1; i <= n; i++)
        lua_pushstring(L, p->argv[p->at + i]);
    lua_call(L, n, 1);
    return 1;
}

int fri_program_run(struct fri_program *p)
{
    lua_State *L = p->L;
    int status;

    lua_pushlightuserdata(L, p);
    lua_pushcclosure(L, note_trace, 1);
    lua_insert(L, 1);
    lua_pushlightuserdata(L, p);
    lua_pushcclosure(L, call_script, 1);
    lua_insert(L, 2);
    atomic_store(&p->stoppable, true);
    status = lua_pcall(L, 1, 1, 1);
    atomic_store(&p->stoppable, false);
    lua_sethook(L, NULL, 0, 0);
    if (p->exited)
        status = FRI_ENDED_WELL;
    else if (status != LUA_OK)
        status = failed(p, status);
    else if (lua_isboolean(L, -1) && !lua_toboolean(L, -1))
        status = FRI_ENDED_BADLY;
    else
        status = FRI_ENDED_WELL;
    lua_settop(L, 0);
    return status;
}

/* ---- ending ----------------------------------------------------------- */

void fri_program_stop(struct fri_program *p)
{
    int any = LUA_MASKCALL | LUA_MASKRET | LUA_MASKLINE | LUA_MASKCOUNT;

    if (!atomic_load(&p->stoppable))
        return;
    lua_sethook(p->L, on_hook, any, 1);
    /* In 5.4 each coroutine has a hook of its own. */
    if (p->script && p->script->flow)
        lua_sethook(p->script->flow->co, on_hook, any, 1);
}

void fri_program_interrupt(struct fri_program *p, bool stop)
{
    fri_script_interrupt(p->script, stop);
}

void fri_program_pause(struct fri_program *p, bool pause)
{
    fri_script_pause(p->script, pause);
}

void fri_program_abandon(struct fri_program *p)
{
    fri_script_abandon(p->script);
}

int fri_program_helper(int argc, char **argv)
{
    return fri_helper_main(argc, argv, fri_forked_main,
                           (void *)(uintptr_t)&fri_lua_runner);
}

int fri_program_finish(struct fri_program *p, bool cancel, fri_time patience)
{
    return fri_script_finish(p->running, cancel, patience);
}

void fri_program_words(struct fri_program *p, bool badly, const char *cause)
{
    fri_script_words(p->running, badly, cause);
}

void fri_program_failures(struct fri_program *p, bool badly)
{
    fri_script_failures(p->running, badly);
}

bool fri_program_files(struct fri_program *p)
{
    return fri_script_files(p->running);
}

bool fri_program_flush(struct fri_program *p)
{
    char why[FRI_WHY];

    if (fri_script_flush(p->script, why) == FRUN_OK)
        return true;
    p->why.length = 0;
    fri_program_say(p, why, strlen(why), false);
    return false;
}

void fri_program_close(struct fri_program *p, bool state)
{
    if (!p->L)
        return;
    fri_script_close(p->running);
    if (!state)
        return;
    p->script = NULL; /* goes with the state; a late signal may still ask */
    fri_state_close(p->L);
    p->L = p->running = NULL;
    fri_lines_free(&p->lines);
    fri_buffer_free(&p->text);
    fri_buffer_free(&p->chunk);
    fri_buffer_free(&p->why);
    fri_buffer_free(&p->trace);
}

const char *fri_program_lua(void)
{
#ifdef FRI_LUA54
    return LUA_RELEASE;
#else
    return LUAJIT_VERSION;
#endif
}

const char *fri_program_yaml(void)
{
    return yaml_get_version_string();
}
