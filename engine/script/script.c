/*
 * script.c - the module in a Lua state, and its engine.
 */
#include "script/script.h"

#include "base/hash.h"
#include "core/halt.h"
#include "pools/forks/home.h"
#include "pools/spawn/spawn.h"
#include "script/async.h"
#include "script/files.h"
#include "script/int64.h"
#include "script/shared.h"
#include "script/view.h"
#include "script/yaml.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CORE_NAMES = 128, FLOW_NAMES = 64 }; /* room for so many at once */

/* ---- the engine ------------------------------------------------------- */

static void keep_unseen(struct fri_script *s, struct frun_future *f)
{
    if (s->unseen_count == s->unseen_capacity) {
        size_t want = s->unseen_capacity ? s->unseen_capacity * 2 : 16;
        struct frun_future **list = fri_realloc(
            &s->engine->memory, s->unseen, want * sizeof(void *));

        if (!list)
            return;
        s->unseen = list;
        s->unseen_capacity = want;
    }
    s->unseen[s->unseen_count++] = fri_future_ref(f);
}

/* What somebody has looked at meanwhile need not be kept. */
static void forget_seen(struct fri_script *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->unseen_count; i++) {
        if (fri_is_unseen(s->unseen[i]))
            s->unseen[n++] = s->unseen[i];
        else
            fri_future_unref(s->unseen[i]);
    }
    s->unseen_count = n;
}

static void on_event(struct fri_observer *o, enum fri_event event,
                     struct frun_future *f, fri_time now)
{
    struct fri_script *s
        = (struct fri_script *)(void *)((char *)o
                                        - offsetof(struct fri_script,
                                                   observer));

    (void)now;
    if (event != FRI_FINISHED || fri_state(f) != FRI_FAILED || f->counted
        || f->submitted < s->observed) /* not of this script */
        return;
    if (s->unseen_count == s->unseen_capacity && s->unseen_count >= 1024)
        forget_seen(s);
    keep_unseen(s, f);
}

static void observe(struct fri_script *s, frun_engine *e)
{
    s->observer.event = on_event;
    s->observer.wants = 1u << FRI_FINISHED;
    fri_lock(e);
    s->observed = e->sched.clock(e->sched.clock_user);
    fri_observer_add(&e->sched, &s->observer);
    fri_unlock(e);
}

static frun_status open_engine(struct fri_script *s)
{
    frun_engine_options o = { .size = sizeof o, .seed = s->options->seed };
    struct fri_see_options see;
    frun_engine *e;
    frun_status status = fri_engine_open(&o, &e);

    if (status != FRUN_OK)
        return status;
    e->cores = fri_usable_cpus();
    fri_engine_adopt(e, s->spawner, s->no_spawner);
    s->spawner = NULL;
    e->printer = s->options->output;
    if (s->options->halt && strcmp(s->options->halt, "never") != 0) {
        e->sched.run = fri_group_new(&e->memory, s->options->halt, 0);
        if (!e->sched.run) {
            fri_engine_close(e);
            return FRUN_ENOMEM;
        }
    }
    e->sched.dry = s->options->dry_run;
    e->runner = &fri_lua_runner;
    e->runner_user = s;
    observe(s, e);
    see = s->options->see;
    if (!see.output)
        see.output = &e->output;
    s->seeing = fri_seeing_open(e, &see);
    if (!s->seeing) {
        fri_engine_close(e);
        return FRUN_ENOMEM;
    }
    __atomic_store_n(&s->engine, e, __ATOMIC_RELEASE);
    fri_run_deadline(s);
    return FRUN_OK;
}

static frun_status join_engine(struct fri_script *s)
{
    frun_engine *e = s->options->engine;
    struct fri_script *host = fri_host_need(e);

    if (!host)
        return FRUN_ENOMEM;
    s->foreign = true;
    s->shared = host->shared;
    observe(s, e);
    __atomic_store_n(&s->engine, e, __ATOMIC_RELEASE);
    return FRUN_OK;
}

/* The parent of all worker processes is a copy of this one: it is made as soon
 * as the module is loaded, while there is little to copy and no thread. */
static void open_spawner(struct fri_script *s)
{
    struct fri_spawn_options o = {
        .work = fri_forked_main,
        .user = (void *)(uintptr_t)&fri_lua_runner,
        .path = s->options->program,
        .own_threads = s->options->own_threads,
    };

    s->spawner = fri_spawner_open(NULL, &o, &s->no_spawner);
}

frun_engine *fri_script_need(lua_State *L, struct fri_script *s)
{
    frun_status status = FRUN_OK;

    if (s->closed)
        luaL_error(L, "flowrun: the run is over");
    if (s->engine)
        return s->engine;
    status = s->options->engine ? join_engine(s) : open_engine(s);
    if (status != FRUN_OK)
        fri_raise(L, status, "%s", frun_status_text(status));
    if (s->options->journal)
        s->engine->journal = fri_open_journal(L, s, s->options->journal);
    return s->engine;
}

/* Also a run without a pool leaves its reports: an old file would else pass
 * for one of this run.  False: out of memory. */
bool fri_script_record(struct fri_script *s)
{
    if (s->engine || s->closed || s->worker
        || s->options->see.file_count == 0)
        return true;
    return open_engine(s) == FRUN_OK;
}

/* ---- small functions of the module ------------------------------------ */

static int core_load(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);

    lua_settop(L, 2);
    if (strcmp(name, "data") == 0)
        fri_chunk_call(L, &fri_lua_data, "data", 1);
    else
        fri_chunk_call(L, &fri_lua_args, "args", 1);
    return 1;
}

static int core_files(lua_State *L)
{
    fri_open_files(L);
    return 1;
}

static int core_yaml(lua_State *L)
{
    fri_open_yaml(L);
    return 1;
}

/* Writes the text to io.NAME and ends the run through os.exit. */
static int leave(lua_State *L, const char *name, const char *text, int status)
{
    lua_getglobal(L, "io");
    lua_getfield(L, -1, name);
    lua_getfield(L, -1, "write");
    lua_insert(L, -2);
    lua_pushstring(L, text);
    lua_call(L, 2, 0);
    lua_getglobal(L, "os");
    lua_getfield(L, -1, "exit");
    lua_pushinteger(L, status);
    lua_pushboolean(L, 1);
    lua_call(L, 2, 0);
    return 0;
}

/* core.usage(message, script) */
static int core_usage(lua_State *L)
{
    return leave(L, "stderr",
                 lua_pushfstring(L, "%s: %s\n", luaL_checkstring(L, 2),
                                 luaL_checkstring(L, 1)),
                 2);
}

static int core_show_help(lua_State *L)
{
    return leave(L, "stdout", luaL_checkstring(L, 1), 0);
}

/* What args.lua needs beside the helpers of files.c. */
static int core_args_core(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    const struct fri_run_options *o = s->options;

    lua_newtable(L);
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, core_usage, 1);
    lua_setfield(L, -2, "usage");
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, core_show_help, 1);
    lua_setfield(L, -2, "show_help");
    if (!o->argv)
        return 1;
    lua_pushstring(L, o->script);
    lua_setfield(L, -2, "script");
    lua_createtable(L, o->argc, 0);
    for (int i = 0; i < o->argc; i++) {
        lua_pushstring(L, o->argv[i]);
        lua_rawseti(L, -2, i + 1);
        if (strcmp(o->argv[i], "--help") == 0
            || strcmp(o->argv[i], "-h") == 0) {
            lua_pushboolean(L, 1);
            lua_setfield(L, -3, "help");
        }
    }
    lua_setfield(L, -2, "argv");
    return 1;
}

/* core.raise_unfinished(text, seconds), core.unfinished_error(...) */
static int core_unfinished_error(lua_State *L)
{
    lua_settop(L, 2);
    fri_error_push_new(L, FRUN_EUNFINISHED, lua_tostring(L, 1));
    lua_pushvalue(L, 2);
    lua_setfield(L, -2, "seconds");
    return 1;
}

static int core_raise_unfinished(lua_State *L)
{
    core_unfinished_error(L);
    return lua_error(L);
}

/* core.id(future): equal for handles of the same one. */
static int core_id(lua_State *L)
{
    lua_pushlightuserdata(L, fri_future_check(L, 1));
    return 1;
}

/* ---- the tables ------------------------------------------------------- */

static const luaL_Reg core_functions[] = {
    { "load", core_load },         { "files", core_files },
    { "yaml", core_yaml },         { "args_core", core_args_core },
    { "raise_unfinished", core_raise_unfinished },
    { "unfinished_error", core_unfinished_error },
    { "id", core_id },             { "native", fri_core_native },
    { NULL, NULL },
};

static const luaL_Reg flow_functions[] = {
    { "options", fri_flow_options }, { "int", fri_flow_int },
    { "split", fri_flow_split },   { "glob", fri_flow_glob },
    { "journal", fri_flow_journal },
    { NULL, NULL },
};

/* ---- loading ---------------------------------------------------------- */

/* Pushes the chunk as a function. */
static void push_chunk(lua_State *L, const struct fri_embedded *chunk,
                       const char *name)
{
    name = lua_pushfstring(L, "=flowrun/%s.lua", name);
    if (luaL_loadbuffer(L, chunk->text, fri_embedded_length(chunk), name)
        != LUA_OK)
        lua_error(L);
    lua_remove(L, -2);
}

void fri_chunk_call(lua_State *L, const struct fri_embedded *chunk,
                    const char *name, int results)
{
    push_chunk(L, chunk, name);
    lua_insert(L, -2);
    lua_call(L, 1, results);
}

static void add(lua_State *L, struct fri_script *s, int table,
                const luaL_Reg *functions)
{
    for (; functions->name; functions++) {
        lua_pushlightuserdata(L, s);
        lua_pushcclosure(L, functions->func, 1);
        lua_setfield(L, table, functions->name);
    }
}

/* From core into the module, as they stand. */
static void share(lua_State *L, const char *const *names)
{
    for (; *names; names++) {
        lua_getfield(L, 1, *names);
        lua_setfield(L, 2, *names);
    }
}

static void keep_sort(lua_State *L, struct fri_script *s)
{
    lua_getglobal(L, "table");
    lua_getfield(L, -1, "sort");
    lua_rawsetp(L, LUA_REGISTRYINDEX, &s->flow);
    lua_pop(L, 1);
}

/* Leaves the module on the stack. */
static void build(lua_State *L, struct fri_script *s)
{
    static const char *const names[]
        = { "threads", "forks", "commands", "pool", "async", "now", "limit",
            "seat",
            "attempt", "cancelled", "queue", "dict", "lock", "share", "array",
            NULL };

    lua_createtable(L, 0, CORE_NAMES); /* 1 */
    lua_createtable(L, 0, FLOW_NAMES); /* 2 */
    keep_sort(L, s);
    fri_handles_open(L, s);
    add(L, s, 1, fri_pool_functions);
    add(L, s, 1, fri_future_functions);
    add(L, s, 1, fri_limit_functions);
    add(L, s, 1, fri_await_functions);
    add(L, s, 1, fri_async_functions);
    add(L, s, 1, fri_callback_functions);
    add(L, s, 1, core_functions);
    fri_shared_open(L, s, 1);
    add(L, s, 2, flow_functions);
    share(L, names);
    lua_pushliteral(L, FRUN_VERSION);
    lua_setfield(L, 2, "version");
    push_chunk(L, &fri_lua_flow, "flow");
    lua_pushvalue(L, 1);
    lua_pushvalue(L, 2);
    lua_call(L, 2, 1);
}

/* In package.preload: called once by require. */
static int load_module(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    if (!s->worker && !s->runtime && !s->engine && !s->options->engine) {
        open_spawner(s);
        if (s->options->journal)
            fri_script_need(L, s);
    }
    lua_settop(L, 0);
    build(L, s);
    return 1;
}

/* flowrun.command: what deals with commands in command.lua. */
static int load_command(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    fri_module_load(L); /* there is no future without it */
    lua_settop(L, 0);
    lua_newtable(L);
    add(L, s, 1, fri_await_functions);
    add(L, s, 1, fri_command_functions);
    fri_chunk_call(L, &fri_lua_command, "command", 1);
    return 1;
}

/* For handles that arrive before the task has asked for the module. */
void fri_module_load(lua_State *L)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "flowrun");
    lua_call(L, 1, 0);
}

static int64_t wall_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

struct fri_script *fri_script_new(lua_State *L)
{
    struct fri_script *s = lua_newuserdatauv(L, sizeof *s, 0);

    memset(s, 0, sizeof *s);
    s->L = L;
    s->own.pool_kind = -1;
    s->options = &s->own;
    s->shared = &s->owned;
    s->started = fri_now();
    s->owned.began = wall_clock();
    lua_rawsetp(L, LUA_REGISTRYINDEX, &fri_lua_runner);
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, load_module, 1);
    lua_setfield(L, -2, "flowrun");
    lua_pushlightuserdata(L, s);
    lua_pushcclosure(L, load_command, 1);
    lua_setfield(L, -2, "flowrun.command");
    fri_errors_open(L, s);
    lua_pop(L, 2);
    return s;
}

struct fri_script *fri_script_open(lua_State *L,
                                   const struct fri_run_options *options,
                                   const struct fri_memory *m)
{
    struct fri_script *s = fri_script_new(L);

    if (options)
        s->options = options;
    fri_travel_open(L, m, s->shared, false);
    fri_random_open(L, s);
    if (options)
        fri_random_seed(s, fri_mix(s->options->seed + 1));
    return s;
}
