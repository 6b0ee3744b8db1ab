/*
 * submit.c - one task from Lua: what its record needs, and pool:submit.
 *
 * Rules.
 *  1. All is encoded before anything is submitted, so a refusal leaves nothing
 *     half done.
 *  2. A record belongs to its future's userdata from the moment it is made,
 *     so an error frees it; the functions here may raise between these two.
 */
#include "script/view.h"

#include "base/hash.h"

#include <string.h>

/* ---- specs ------------------------------------------------------------ */

void fri_box_keep(struct fri_pool_box *box, struct fri_function *f,
                  struct fri_spec *spec)
{
    fri_spec_unref(box->spec);
    fri_function_free(box->function);
    box->spec = spec;
    box->function = f;
}

/* Another call of the same function may have another name. */
static bool has_name(const struct fri_spec *spec, const char *name)
{
    return !name || strcmp(spec->name, name) == 0;
}

void fri_box_forget(struct fri_pool_box *box)
{
    fri_box_keep(box, NULL, NULL);
}

struct fri_spec *fri_box_spec(lua_State *L, struct fri_pool_box *box,
                              int index, const char *name)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_view *view = fri_box_view(box);
    struct fri_function *f;
    struct fri_spec *spec;

    fri_journal_wanted(s, view);
    f = fri_function_get(L, index);
    if (!f)
        fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
    if (f == box->function && !view->policy.halt && has_name(box->spec, name)) {
        fri_function_free(f);
        return box->spec;
    }
    spec = fri_spec_new(&view->pool->lane, &view->policy);
    if (spec && !spec->name)
        spec->name = fri_strdup(&s->engine->memory, name ? name : f->name);
    if (!spec || !spec->name) {
        fri_spec_unref(spec);
        fri_function_free(f);
        fri_raise_memory(L);
    }
    spec->script = f;
    spec->script_free = fri_function_drop;
    atomic_fetch_add(&f->refs, 1);
    fri_box_keep(box, f, spec);
    fri_make_resume(L, s, box, index);
    return spec;
}

void fri_check_open(lua_State *L, const struct fri_script *s,
                    const frun_pool *pool)
{
    bool own = s->worker && s->worker->pool == pool;

    if ((pool->closing && !own) || pool->engine->closing)
        fri_raise(L, FRUN_ECLOSED, "%s is closed", pool->name);
}

bool fri_takes_commands(const struct fri_pool_box *box)
{
    return fri_box_view(box)->pool->ops->kind == FRUN_COMMANDS;
}

void fri_check_function(lua_State *L, const struct fri_pool_box *box,
                        const char *method)
{
    bool commands = fri_takes_commands(box);

    if (lua_type(L, 2) != LUA_TFUNCTION)
        fri_misuse(L, "bad argument #1 to '%s' (function expected, got %s%s)",
                   method, luaL_typename(L, 2),
                   lua_istable(L, 2) && !commands
                       ? "; a command needs a pool of commands"
                       : "");
}

/* ---- the record ------------------------------------------------------- */

/* The pack as arguments.  False: out of memory. */
static bool as_data(struct fri_data *data, const struct fri_memory *m,
                    const struct fri_pack *pack)
{
    size_t n = pack->bytes->length;

    if (pack->handle_count == 0 && n <= FRI_INLINE) {
        data->holds = n > 2 ? FRI_BYTES : FRI_NOTHING;
        memcpy(data->bytes, pack->bytes->data, n);
        data->length = (uint8_t)n;
        return true;
    }
    data->message = fri_message_new(m, pack->bytes->data, n, pack->handles,
                                    pack->handle_count);
    data->holds = data->message ? FRI_MESSAGE : FRI_NOTHING;
    return data->message != NULL;
}

bool fri_put_pack(struct frun_future *task, const struct fri_memory *m,
                  const struct fri_pack *pack)
{
    struct fri_data data;

    if (!as_data(&data, m, pack))
        return false;
    fri_task_put(task, &data);
    return true;
}

bool fri_add_dependencies(lua_State *L, struct fri_script *s,
                          struct frun_future *task,
                          const struct fri_pack *pack)
{
    for (uint32_t i = 0; i < pack->handle_count; i++) {
        struct frun_future *f = (void *)pack->handles[i];

        if (f->handle.kind != FRI_HANDLE_FUTURE)
            continue;
        if (!fri_async_pack(L, s, f) || !fri_task_after(task, &f, 1))
            return false;
    }
    return true;
}

bool fri_add_after(lua_State *L, struct fri_script *s,
                   const struct fri_pool_box *box, struct frun_future *task)
{
    bool ok = true;

    if (box->after_ref == LUA_NOREF)
        return true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->after_ref);
    for (int i = 1, n = (int)lua_rawlen(L, -1); ok && i <= n; i++) {
        struct frun_future *f;

        lua_rawgeti(L, -1, i);
        f = fri_future_test(L, s, -1);
        ok = f && fri_task_after(task, &f, 1);
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return ok;
}

bool fri_set_name(lua_State *L, struct fri_pool_box *box,
                  struct frun_future *task, int value, int key)
{
    struct fri_extra *x;

    if (box->name_ref == LUA_NOREF)
        return true;
    lua_rawgeti(L, LUA_REGISTRYINDEX, box->name_ref);
    if (value)
        lua_pushvalue(L, value);
    else
        lua_pushnil(L);
    if (key)
        lua_pushvalue(L, key);
    else
        lua_pushnil(L);
    lua_call(L, 2, 1);
    if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
        luaL_error(L, "the policy's name function must give a string, not a "
                      "%s",
                   luaL_typename(L, -1));
    x = fri_task_extra(task);
    if (x)
        x->name = fri_strdup(task->spec->lane->sched->memory,
                             lua_tostring(L, -1));
    lua_pop(L, 1);
    return x && x->name;
}

/* Found when it is first wanted: most tasks draw no random numbers. */
uint64_t fri_box_stream(lua_State *L, const struct fri_pool_box *box,
                        struct fri_spec *spec)
{
    if (spec->stream == 0)
        spec->stream
            = fri_stream_base(L, 2, fri_box_view(box)->policy.name);
    return spec->stream;
}

static bool set_stream(lua_State *L, struct fri_script *s,
                       const struct fri_pool_box *box,
                       struct frun_future *task, bool random, uint64_t key)
{
    struct fri_spec *spec = task->spec;
    const struct fri_function *f = spec->script;
    struct fri_extra *x;

    if (!random && !f->random)
        return true;
    x = fri_task_extra(task);
    if (!x)
        return false;
    x->stream = fri_stream(s,
                           x->name ? fri_stream_base(L, 2, x->name)
                                   : fri_box_stream(L, box, spec),
                           key);
    return true;
}

struct frun_future *fri_new_task(struct fri_script *s, struct fri_spec *spec,
                                 struct fri_box *box)
{
    struct frun_future *task;

    fri_lock(s->engine);
    task = fri_task_new(&s->engine->sched, spec);
    fri_unlock(s->engine);
    box->handle = (struct fri_handle *)task;
    return task;
}

/* ---- pool:submit ------------------------------------------------------ */

/* Nothing but a function and arguments: one lock for all. */
static int submit_plain(lua_State *L, struct fri_script *s,
                        struct fri_spec *spec, const struct fri_pack *pack)
{
    struct fri_box *box = fri_future_box(L, s);
    frun_engine *e = s->engine;
    struct fri_data data;
    struct frun_future *task;

    if (!as_data(&data, &e->memory, pack))
        return fri_raise_memory(L);
    fri_lock(e);
    task = fri_task_new(&e->sched, spec);
    if (task) {
        box->handle = &task->handle;
        memcpy(task->data.bytes, data.bytes, FRI_INLINE);
        task->holds = data.holds;
        task->length = data.length;
        fri_sched_submit(task, true);
    }
    fri_unlock(e);
    if (task)
        return 1;
    fri_data_free(&data);
    return fri_raise_memory(L);
}

static int submit_rich(lua_State *L, struct fri_script *s,
                       struct fri_pool_box *box, struct fri_spec *spec,
                       const struct fri_pack *pack, bool random, int value)
{
    int future;
    struct frun_future *task = fri_new_task(s, spec, fri_future_box(L, s));
    uint64_t arguments = 0;
    bool futures;

    future = lua_gettop(L);
    if (random)
        arguments = fri_hash(pack->bytes->data, pack->bytes->length, 0);
    futures = pack->has_futures;
    if (!task || !fri_put_pack(task, &s->engine->memory, pack)
        || (futures && !fri_add_dependencies(L, s, task, pack))
        || !fri_add_after(L, s, box, task)
        || !fri_set_name(L, box, task, value, 0)
        || !set_stream(L, s, box, task, random, arguments))
        return fri_raise_memory(L);
    if (spec->resume)
        fri_look_up(L, s, task, futures);
    lua_settop(L, future);
    fri_lock(s->engine);
    fri_sched_submit(task, true);
    fri_unlock(s->engine);
    return 1;
}

int fri_submit_function(lua_State *L, struct fri_script *s,
                        struct fri_pool_box *box, int n, const char *name)
{
    struct fri_spec *spec = fri_box_spec(L, box, 2, name);
    struct fri_pack *pack;
    size_t length;
    bool random;

    if (!fri_pack_values(L, 3, n, "argument", true, &pack))
        return fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
    length = pack->bytes->length;
    random = pack->random
             || ((const struct fri_function *)spec->script)->random;
    if (!random && !spec->resume && !s->options->dry_run
        && !pack->has_futures && box->name_ref == LUA_NOREF
        && box->after_ref == LUA_NOREF)
        submit_plain(L, s, spec, pack);
    else
        submit_rich(L, s, box, spec, pack, random, n > 0 ? 3 : 0);
    fri_outside(L, s, length);
    return 1;
}

int fri_pool_submit(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_pool_box *box = fri_pool_check(L, 1);
    int n;

    if (lua_type(L, 2) == LUA_TTABLE && fri_takes_commands(box))
        return fri_submit_command(L, s, box);
    fri_check_function(L, box, "submit");
    fri_check_open(L, s, fri_box_view(box)->pool);
    n = lua_gettop(L) - 2;
    fri_submit_function(L, s, box, n, NULL);
    if (s->options->dry_run)
        fri_dry_note(L, s, lua_gettop(L), 3, n);
    return 1;
}
