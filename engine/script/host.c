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
#include "script/view.h"

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
    s = fri_script_open(L, NULL, &e->memory);
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
    fri_state_close(s->L);
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
    L = fri_state_new(&e->memory);
    if (!L)
        return NULL;
    if (!fri_protected(L, set_up, e)) {
        fri_state_close(L);
        return NULL;
    }
    attach(e);
    return host_of(e);
}

static frun_status not_ours(frun_engine *e)
{
    return fri_fail(e, FRUN_EINVAL,
                    "the engine is of another library than scripts are: link "
                    "the one with scripts, and not libflowrun beside it");
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
    const struct fri_call *call;
    const char *path;
    const struct fri_buffer *bytes;
    struct fri_spec *spec;
    frun_status status;
    const char *why;
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

static void make_spec(lua_State *L, struct wanted *w)
{
    struct fri_script *s = host_of(w->call->pool->engine);
    const frun_policy *policy = w->call->policy;
    struct fri_function *f;

    if (policy->journal)
        fri_travel_sources(s->shared);
    f = fri_function_get(L, lua_gettop(L));
    if (!f)
        lua_error(L);
    w->spec = spec_for(w->call, f);
    w->status = w->spec ? FRUN_OK : FRUN_ENOMEM;
    if (w->spec && policy->journal)
        w->status = fri_make_file_resume(L, s, w->spec, policy, lua_gettop(L),
                                         &w->why);
}

/* Protected: the spec of the file's function. */
static int get_spec(lua_State *L)
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
    make_spec(L, w);
    return 0;
}

/* Was it that of Lua itself? */
static bool is_memory(lua_State *L)
{
    return !lua_isstring(L, -1)
           || strcmp(lua_tostring(L, -1), "not enough memory") == 0;
}

static frun_status call_get_spec(lua_State *L, frun_engine *e,
                                 struct wanted *w)
{
    bool failed = !fri_protected(L, get_spec, w);

    if (failed && is_memory(L))
        w->status = FRUN_ENOMEM;
    else if (failed)
        w->status = fri_fail(e, FRUN_EINVAL, "%s", lua_tostring(L, -1));
    else if (w->status == FRUN_EJOURNAL)
        fri_fail(e, FRUN_EJOURNAL, "%s", w->why);
    if (w->status == FRUN_ENOMEM)
        fri_no_memory(e);
    lua_settop(L, 0);
    return w->status;
}

/* On failure `e` has the message. */
static frun_status script_spec(const struct fri_call *c, const char *path,
                               struct fri_spec **spec)
{
    frun_engine *e = c->pool->engine;
    struct fri_script *s = fri_host_need(e);
    struct fri_buffer bytes;
    struct wanted w = { .call = c, .path = path, .bytes = &bytes };
    int error;

    *spec = NULL;
    if (!s)
        return fri_no_memory(e);
    fri_buffer_init(&bytes, &e->memory);
    error = read_file(path, &bytes);
    if (error == 0)
        w.status = call_get_spec(s->L, e, &w);
    else if (error == ENOMEM)
        w.status = fri_no_memory(e);
    else
        w.status = fri_fail(e, FRUN_EINVAL, "cannot read '%s': %s", path,
                            strerror(error));
    fri_buffer_free(&bytes);
    if (w.status == FRUN_OK)
        *spec = w.spec;
    else
        fri_spec_unref(w.spec);
    return w.status;
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

/* A task with its argument, of which it takes m; NULL: out of memory. */
static struct frun_future *task_new(struct fri_call *c, struct fri_message *m)
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
    } else {
        fri_future_unref(task);
        task = NULL;
    }
    fri_unlock(e);
    fri_message_free(m);
    return task;
}

/* Takes m. */
static frun_status submit(struct fri_call *c, struct fri_message *m,
                          frun_future **future)
{
    frun_engine *e = c->pool->engine;
    struct frun_future *task = task_new(c, m);
    frun_status status;

    if (!task)
        return fri_no_memory(e);
    status = fri_kept_look(e, &task, 1);
    if (status != FRUN_OK) {
        fri_future_unref(task);
        return status;
    }
    fri_lock(e);
    fri_sched_submit(task, true);
    fri_unlock(e);
    if (future)
        *future = task;
    else
        fri_future_unref(task);
    return FRUN_OK;
}

static frun_status submit_with(struct fri_call *c, const frun_value *argument,
                               frun_future **future)
{
    frun_engine *e = c->pool->engine;
    frun_status status = FRUN_OK;
    struct fri_message *m
        = argument ? pack_argument(e, argument, &status) : NULL;

    if (status == FRUN_EUNSENDABLE)
        return fri_fail(e, status, "argument: nested deeper than %d",
                        FRI_DEPTH);
    if (status != FRUN_OK)
        return fri_no_memory(e);
    return submit(c, m, future);
}

frun_status frun_pool_script(frun_pool *pool, const char *path,
                             const frun_value *argument,
                             const frun_policy *policy, frun_future **future)
{
    struct fri_call c;
    frun_status status = fri_call_check(&c, pool, policy);

    if (future)
        *future = NULL;
    if (status != FRUN_OK)
        return status;
    if (!fri_engine_ours(pool->engine))
        return not_ours(pool->engine);
    if (!path)
        return fri_fail(pool->engine, FRUN_EINVAL, "no script");
    status = script_spec(&c, path, &c.spec);
    if (status == FRUN_OK)
        status = submit_with(&c, argument, future);
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
    fri_program_failures(p, false);
    return unseen > 0 && status == 0 && !p->exited ? FRI_ENDED_BADLY : status;
}

struct main_program {
    struct fri_program p;
    int status;
};

/* Protected, for memory may run out between the script and its end, too. */
static int run(lua_State *L)
{
    struct main_program *m = lua_touserdata(L, 1);
    struct fri_program *p = &m->p;
    int status;

    lua_settop(L, 0);
    status = fri_program_load(p);
    if (status == FRI_ENDED_WELL)
        status = fri_program_run(p);
    m->status = end(p, p->exited ? p->exit_status : status);
    return 0;
}

static int give_up(lua_State *L)
{
    struct main_program *m = lua_touserdata(L, 1);

    fri_complain(m->p.script, "%s", frun_status_text(FRUN_ENOMEM));
    fri_program_finish(&m->p, true, 0);
    return 0;
}

static int run_main(struct main_program *m)
{
    m->status = FRI_ENDED_SHORT;
    if (!fri_protected(m->p.L, run, m))
        fri_protected(m->p.L, give_up, m);
    return m->status;
}

frun_status frun_engine_run_script(frun_engine *e, const char *path, int argc,
                                   char *const argv[], int *exit)
{
    struct fri_run_options o = { .pool_kind = -1, .engine = e };
    struct fri_program_hooks hooks = { .leave = NULL };
    struct main_program m;
    char **words;
    bool open;

    if (!e || !fri_engine_owned(e))
        return FRUN_EINVAL;
    if (!fri_engine_ours(e))
        return not_ours(e);
    if (!path || !exit || argc < 0 || (argc > 0 && !argv))
        return fri_fail(e, FRUN_EINVAL, "no %s",
                        !path ? "script" : exit ? "words"
                                                : "place for its status");
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
    open = fri_program_open(&m.p, &o, &hooks, argc + 1, words, 0);
    e->programs++;
    if (open)
        *exit = run_main(&m);
    fri_program_close(&m.p, true);
    e->programs--;
    fri_free(&e->memory, words);
    return open ? FRUN_OK : fri_no_memory(e);
}
