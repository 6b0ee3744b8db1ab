/*
 * host.c - scripts in a program that has an engine: frun_pool_script and
 * frun_engine_run_script.
 *
 * Rules.
 *  1. The first of them gives the engine a Lua state of its own (the host's),
 *     in which script files are compiled.  It stays until the engine closes,
 *     since the states of workers know it, and no script runs in it.
 *  2. A script that is run as the main program has a state of its own, which
 *     goes when it has ended.
 *  3. What was started before there was a state knows no Lua: worker threads
 *     open theirs at their first script, worker processes are replaced.
 */
#define _GNU_SOURCE
#include "script/program.h"
#include "script/text.h"

#include "api/api.h"
#include "base/hash.h"
#include "data/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { KEPT = 256 }; /* scripts */

/* ---- the host's state ------------------------------------------------- */

static struct fri_script *host_of(const frun_engine *e)
{
    return e->runner == &fri_lua_runner ? e->runner_user : NULL;
}

static int set_up(lua_State *L)
{
    frun_engine *e = lua_touserdata(L, 1);
    struct fri_script *s;

    luaL_openlibs(L);
    fri_text_only(L);
    fri_common_table(L);
    s = fri_script_open(L, NULL);
    s->engine = e;
    s->foreign = true;
    s->own.seed = e->options.seed;
    e->runner_user = s;
    return 0;
}

static void close_host(frun_engine *e)
{
    struct fri_script *s = host_of(e);

    if (!s)
        return;
    e->runner = NULL;
    fri_script_close(s->L);
    lua_close(s->L);
}

/* Rule 3. */
static void attach(frun_engine *e)
{
    fri_lock(e);
    e->runner = &fri_lua_runner;
    e->script_close = close_host;
    fri_forks_renew(e);
    fri_unlock(e);
}

struct fri_script *fri_host_need(frun_engine *e)
{
    lua_State *L;

    if (host_of(e))
        return host_of(e);
    L = luaL_newstate();
    if (!L)
        return NULL;
    lua_pushcfunction(L, set_up);
    lua_pushlightuserdata(L, e);
    if (lua_pcall(L, 1, 0, 0) != LUA_OK) {
        lua_close(L);
        return NULL;
    }
    attach(e);
    return host_of(e);
}

/* ---- script files ----------------------------------------------------- */

/* 0 or the errno. */
static int read_file(const char *path, struct fri_buffer *bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    int error = fd < 0 ? errno : fri_read_all(fd, bytes);

    if (fd >= 0)
        close(fd);
    return error;
}

struct wanted {
    const char *path;
    const struct fri_buffer *bytes;
    struct fri_function *function;
};

/* The table of scripts that were compiled, by path and text: the same function
 * each time is one that workers know.  Emptied when it is full. */
static void push_kept(lua_State *L)
{
    static const char key;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &key);
    if (lua_istable(L, -1)) {
        lua_rawgeti(L, -1, 1);
        if (lua_tointeger(L, -1) < KEPT) {
            lua_pop(L, 1);
            return;
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushinteger(L, 0);
    lua_rawseti(L, -2, 1);
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &key);
}

/* kept, name -> kept, name, function */
static void compile(lua_State *L, const struct wanted *w)
{
    lua_pushfstring(L, "@%s", w->path);
    if (fri_text_load(L, (const char *)w->bytes->data, w->bytes->length,
                      lua_tostring(L, -1))
        != LUA_OK)
        lua_error(L);
    lua_remove(L, -2);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -2);
    lua_rawset(L, -5);
    lua_rawgeti(L, -3, 1);
    lua_pushinteger(L, lua_tointeger(L, -1) + 1);
    lua_rawseti(L, -5, 1);
    lua_pop(L, 1);
}

/* Protected: the function of the file. */
static int get_function(lua_State *L)
{
    struct wanted *w = lua_touserdata(L, 1);

    push_kept(L);
    lua_pushstring(L, w->path);
    lua_pushliteral(L, "\n");
    lua_pushlstring(L, (const char *)w->bytes->data, w->bytes->length);
    lua_concat(L, 3);
    lua_pushvalue(L, -1);
    lua_rawget(L, -3);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        compile(L, w);
    }
    w->function = fri_function_get(L, lua_gettop(L));
    return w->function ? 0 : lua_error(L);
}

/* NULL: `e` has the message, *status says what it is. */
static struct fri_function *script_function(frun_engine *e, const char *path,
                                            frun_status *status)
{
    struct fri_script *s = fri_host_need(e);
    struct fri_buffer bytes;
    struct wanted w = { .path = path, .bytes = &bytes };
    int error;

    *status = FRUN_ENOMEM;
    if (!s)
        return NULL;
    fri_buffer_init(&bytes, &e->memory);
    error = read_file(path, &bytes);
    if (error == 0) {
        lua_pushcfunction(s->L, get_function);
        lua_pushlightuserdata(s->L, &w);
        if (lua_pcall(s->L, 1, 0, 0) != LUA_OK)
            *status = fri_fail(e, FRUN_EINVAL, "%s",
                               lua_tostring(s->L, -1) ? lua_tostring(s->L, -1)
                                                      : "out of memory");
        lua_settop(s->L, 0);
    } else if (error != ENOMEM) {
        *status = fri_fail(e, FRUN_EINVAL, "cannot read '%s': %s", path,
                           strerror(error));
    }
    fri_buffer_free(&bytes);
    return w.function;
}

/* ---- tasks ------------------------------------------------------------ */

/* The argument as the sequence of one value. */
static struct fri_message *pack_argument(frun_engine *e,
                                         const frun_value *argument,
                                         frun_status *status)
{
    struct fri_message *m = NULL;
    struct fri_buffer b;

    fri_buffer_init(&b, &e->memory);
    fri_buffer_byte(&b, FRI_HAS_REFS);
    fri_put_varint(&b, 1);
    *status = fri_encode(&b, argument);
    if (*status == FRUN_OK && !b.failed)
        m = fri_message_new(&e->memory, b.data, b.length, NULL, 0);
    if (*status == FRUN_OK && !m)
        *status = FRUN_ENOMEM;
    fri_buffer_free(&b);
    return m;
}

/* Random numbers: a stream of the run's seed, the script and its argument. */
static uint64_t stream_of(const frun_engine *e, const struct fri_function *f,
                          const struct fri_message *m)
{
    uint64_t seed = fri_mix(e->options.seed + 1), stream;

    stream = fri_hash(f->message->data, f->message->length, seed);
    if (m)
        stream = fri_hash(m->data, m->length, stream);
    return stream ? stream : 1;
}

/* Takes m. */
static frun_status submit(struct fri_call *c, struct fri_message *m,
                          frun_future **future)
{
    frun_engine *e = c->pool->engine;
    const frun_policy *p = c->policy;
    struct fri_data data = { .message = m,
                             .holds = m ? FRI_MESSAGE : FRI_NOTHING };
    struct frun_future *task;

    fri_lock(e);
    task = fri_task_new(&e->sched, c->spec);
    if (task && fri_task_extra(task)
        && (p->after_count == 0
            || fri_task_after(task, p->after, p->after_count))) {
        task->extra->stream = stream_of(e, c->spec->script, m);
        fri_task_put(task, &data);
        m = NULL;
        fri_sched_submit(task, true);
    } else {
        fri_future_unref(task);
        task = NULL;
    }
    fri_unlock(e);
    fri_message_free(m);
    if (!task)
        return fri_no_memory(e);
    if (future)
        *future = task;
    else
        fri_future_unref(task);
    return FRUN_OK;
}

/* Takes f. */
static struct fri_spec *spec_for(const struct fri_call *c,
                                 struct fri_function *f)
{
    struct fri_spec *spec = fri_spec_new(&c->pool->lane, c->policy);

    if (spec && !spec->name)
        spec->name = fri_strdup(&c->pool->engine->memory, f->name);
    if (!spec || !spec->name) {
        fri_spec_unref(spec);
        fri_function_free(f);
        return NULL;
    }
    spec->script = f;
    spec->script_free = fri_function_drop;
    return spec;
}

frun_status frun_pool_script(frun_pool *pool, const char *path,
                             const frun_value *argument,
                             const frun_policy *policy, frun_future **future)
{
    struct fri_call c;
    struct fri_function *f;
    struct fri_message *m = NULL;
    frun_status status = fri_call_check(&c, pool, policy);

    if (future)
        *future = NULL;
    if (status != FRUN_OK)
        return status;
    if (!path)
        return fri_fail(pool->engine, FRUN_EINVAL, "no script");
    f = script_function(pool->engine, path, &status);
    if (!f)
        return status == FRUN_ENOMEM ? fri_no_memory(pool->engine) : status;
    if (argument)
        m = pack_argument(pool->engine, argument, &status);
    c.spec = !argument || m ? spec_for(&c, f) : NULL;
    if (!c.spec) {
        if (argument && !m)
            fri_function_free(f);
        fri_message_free(m);
        return status == FRUN_EUNSENDABLE
                   ? fri_fail(pool->engine, status, "argument: nested too deep")
                   : fri_no_memory(pool->engine);
    }
    status = submit(&c, m, future);
    fri_spec_unref(c.spec);
    return status;
}

/* ---- a main program --------------------------------------------------- */

/* Takes the pools' end as its own; see fri_program_finish. */
static int end(struct fri_program *p, int status)
{
    bool failed = p->why.length > 0 || p->exited;
    int unseen;

    if (p->why.length > 0) {
        fri_buffer_byte(&p->why, '\0');
        fri_complain(p->script, "%s", (const char *)p->why.data);
    }
    unseen = fri_program_finish(p, failed, 0);
    return unseen > 0 && status == 0 && !p->exited ? FRI_ENDED_BADLY : status;
}

static int run(struct fri_program *p)
{
    int status = fri_program_load(p);

    if (status == FRI_ENDED_WELL)
        status = fri_program_run(p);
    return end(p, p->exited ? p->exit_status : status);
}

frun_status frun_engine_run_script(frun_engine *e, const char *path, int argc,
                                   char *const argv[], int *exit)
{
    struct fri_run_options o = { .pool_kind = -1, .engine = e };
    struct fri_program_hooks hooks = { .leave = NULL };
    struct fri_program p;
    char **words;
    bool open;

    if (!e || !exit || argc < 0)
        return FRUN_EINVAL;
    if (!path || (argc > 0 && !argv))
        return fri_fail(e, FRUN_EINVAL, "no %s", path ? "words" : "script");
    words = fri_alloc_zero(&e->memory, ((size_t)argc + 2) * sizeof *words);
    if (!words || !fri_host_need(e)) {
        fri_free(&e->memory, words);
        return fri_no_memory(e);
    }
    words[0] = (char *)(uintptr_t)path;
    for (int i = 0; i < argc; i++)
        words[i + 1] = argv[i];
    o.seed = e->options.seed;
    o.output = &e->output;
    o.argc = argc;
    o.argv = words + 1;
    o.script = path;
    open = fri_program_open(&p, &o, &hooks, argc + 1, words, 0);
    if (open)
        *exit = run(&p);
    fri_program_close(&p, true);
    fri_free(&e->memory, words);
    return open ? FRUN_OK : fri_no_memory(e);
}
