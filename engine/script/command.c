/*
 * command.c - the C half of command.lua: submitting a command, and running
 * one for what runs here.
 *
 * Rules.
 *  1. What is being run belongs to a userdata: its process is ended before its
 *     directory goes, whatever is raised.
 *  2. `own` is the command of a task of this pool: its failure is the task's
 *     outcome as it is.  Others raise, as any function.
 *  3. A task keeps its worker while it runs a command that is not its own: no
 *     more commands run at once than the pool has workers.
 */
#include "pools/commands/command.h"
#include "pools/commands/exec.h"
#include "pools/commands/keeping.h"
#include "pools/commands/scratch.h"
#include "script/job.h"
#include "script/number.h"
#include "script/shared.h"
#include "script/view.h"

#include "data/value.h"

#include <string.h>

enum { NAME_ROOM = 64 };

struct exec_box {
    frun_engine *engine;
    struct frun_future *future; /* fri_exec_start's, or NULL */
    frun_value *result;         /* while it is parsed */
    struct fri_buffer files;    /* those that a journal is to know of */
    char *dir;                  /* NULL: none */
    char name[NAME_ROOM];       /* of the task, or of the program */
};

/* ---- what is being run ------------------------------------------------ */

static const char exec_meta; /* its address */

static struct exec_box *exec_at(lua_State *L)
{
    return lua_touserdata(L, 1);
}

/* The last call for the directory; the process has ended. */
static void leave(struct exec_box *box, bool failed)
{
    const struct fri_memory *m = &box->engine->memory;
    char *kept = NULL;
    frun_value *dir;

    if (!box->dir)
        return;
    fri_command_leave(fri_exec_command(box->future), box->name, &box->dir,
                      failed, m, box->result ? &kept : NULL);
    dir = kept ? fri_value_text(m, kept) : NULL;
    if (kept && frun_value_put(box->result, "dir", dir) != FRUN_OK) {
        frun_value_free(box->result);
        box->result = NULL;
    }
    fri_free(m, kept);
}

static void end(struct exec_box *box, bool failed)
{
    if (!box->future)
        return;
    if (!fri_is_final(box->future))
        fri_exec_kill(box->engine, box->future);
    leave(box, failed);
    fri_exec_drop(box->engine, box->future);
    box->future = NULL;
}

static int exec_gc(lua_State *L)
{
    struct exec_box *box = exec_at(L);

    frun_value_free(box->result);
    box->result = NULL;
    fri_buffer_free(&box->files);
    end(box, false);
    return 0;
}

static struct exec_box *push_exec(lua_State *L, struct fri_script *s)
{
    struct exec_box *box = lua_newuserdatauv(L, sizeof *box, 0);

    memset(box, 0, sizeof *box);
    box->engine = s->engine;
    fri_buffer_init(&box->files, &s->engine->memory);
    lua_rawgetp(L, LUA_REGISTRYINDEX, &exec_meta);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_createtable(L, 0, 1);
        lua_pushcfunction(L, exec_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &exec_meta);
    }
    lua_setmetatable(L, -2);
    return box;
}

/* ---- running one ------------------------------------------------------ */

/* A task's error has its name; this one is told with that of the program. */
static void name_error(const struct exec_box *box, struct fri_error *error)
{
    if (error->task)
        return;
    error->task = fri_strdup(error->memory, box->name);
    error->public.task = error->task;
}

/* Takes the error (NULL: out of memory).  Gives nil, where it is the task's
 * outcome; else raises. */
static int fail(lua_State *L, struct fri_script *s,
                const struct exec_box *box, bool own, struct fri_error *error)
{
    struct fri_job *job = own ? s->runtime->job : NULL;

    if (job) {
        job->outcome.holds = FRI_ERROR;
        job->outcome.error = error;
        lua_pushnil(L);
        return 1;
    }
    if (!error)
        return fri_raise_memory(L);
    name_error(box, error);
    fri_error_push(L, error);
    fri_error_free(error);
    return lua_error(L);
}

/* The plain command at 1. */
static frun_value *command_at(lua_State *L, const struct fri_memory *m)
{
    struct fri_pack *pack;
    frun_value *command;
    frun_status status;

    if (!fri_pack_values(L, 1, 1, "command", false, &pack))
        fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
    status = fri_value_unpack(m, pack->bytes->data, pack->bytes->length,
                              &command);
    if (status != FRUN_OK)
        fri_raise(L, status, "%s", frun_status_text(status));
    return command;
}

static struct frun_future *owner_of(const struct fri_script *s)
{
    return s->runtime && s->runtime->job ? s->runtime->job->slice.task : NULL;
}

static void set_name(struct exec_box *box, const frun_value *command,
                     const struct frun_future *task)
{
    char text[32];
    const char *name
        = task ? fri_task_name(task, text) : fri_command_name(command);

    strncpy(box->name, name, NAME_ROOM - 1);
}

/* Takes the command. */
static bool start(struct exec_box *box, frun_value *command,
                  struct frun_future *owner, bool own,
                  struct fri_error **error)
{
    frun_engine *e = box->engine;
    struct fri_exec_plan plan = { .command = command, .owner = owner,
                                  .own = own };
    bool files = fri_command_has_files(command) && !e->sched.dry;
    struct fri_scratch *scratch = files ? fri_engine_scratch(e) : NULL;

    if (own && fri_is_kept(owner))
        fri_command_note(command, &box->files);
    if ((files && !scratch) || !fri_command_check(command, &e->memory, error)
        || (files
            && !fri_command_prepare(command, scratch, box->name, &e->memory,
                                    &box->dir, error))) {
        frun_value_free(command);
        return false;
    }
    plan.dir = box->dir;
    box->future = fri_exec_start(e, &plan);
    return box->future != NULL;
}

/* An async function that is cancelled does not come back. */
static void note_exec(const struct fri_script *s, const struct exec_box *box)
{
    struct fri_flow *flow = s->flow;

    if (!flow || !flow->async)
        return;
    fri_future_unref(flow->exec);
    flow->exec = fri_future_ref(box->future);
}

/* core.exec_start(command, own): what core.exec_... take; nil: see fail. */
static int core_exec_start(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct frun_future *owner = owner_of(s);
    bool own = lua_toboolean(L, 2);
    struct fri_error *error = NULL;
    struct exec_box *box;
    frun_value *command;

    fri_script_need(L, s);
    lua_settop(L, 1);
    box = push_exec(L, s);
    command = command_at(L, &s->engine->memory);
    set_name(box, command, own ? owner : NULL);
    if (!start(box, command, owner, own, &error))
        return fail(L, s, box, own, error);
    note_exec(s, box);
    if (s->options->dry_run)
        fri_dry_command(L, s, 0, 1, box->name);
    return 1;
}

/* core.exec_watch(exec): the set that becomes complete with it. */
static int core_exec_watch(lua_State *L)
{
    fri_set_push(L, fri_script_of(L), &exec_at(L)->future, 1);
    return 1;
}

/* False: out of memory. */
static bool keep_files(const struct fri_script *s, struct exec_box *box)
{
    struct frun_future *task = owner_of(s);

    if (!fri_is_kept(task))
        return true;
    fri_command_note_made(fri_exec_command(box->future), box->result,
                          &box->files);
    return fri_command_keep(box->engine, task, &box->files);
}

/* core.exec_result(exec, own, parse): its result; it keeps its directory until
 * core.exec_end.  Or nil, see fail. */
static int core_exec_result(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct exec_box *box = exec_at(L);
    struct frun_future *f = box->future;
    bool own = lua_toboolean(L, 2), cancelled;
    struct fri_command_end e;
    struct fri_error *error = NULL;

    if (fri_state(f) != FRI_DONE) {
        error = f->holds == FRI_ERROR && f->data.error
                    ? fri_error_ref(f->data.error)
                    : NULL;
        end(box, fri_state(f) == FRI_FAILED);
        return fail(L, s, box, own, error);
    }
    fri_command_end_of(f->data.value, &e);
    if (fri_command_finish(fri_exec_command(f), box->name, &box->dir, &e,
                           &s->engine->memory, &box->result, &error)
        && (!own || keep_files(s, box))) {
        fri_value_push(L, box->result);
        if (!lua_toboolean(L, 3)) {
            frun_value_free(box->result);
            box->result = NULL;
        }
        return 1;
    }
    cancelled = e.status == FRUN_ECANCELLED;
    end(box, !cancelled);
    return fail(L, s, box, own, error);
}

/* core.exec_end(exec, failed, own): it is over, also when it runs.  What was
 * parsed, and found wanting, is in the error of a task whose own it is. */
static int core_exec_end(lua_State *L)
{
    struct fri_runtime *rt = fri_script_of(L)->runtime;
    struct exec_box *box = exec_at(L);

    end(box, lua_toboolean(L, 2));
    if (lua_toboolean(L, 2) && lua_toboolean(L, 3)) {
        frun_value_free(rt->job->left);
        rt->job->left = box->result;
        box->result = NULL;
    }
    frun_value_free(box->result);
    box->result = NULL;
    return 0;
}

/* ---- submitting one --------------------------------------------------- */

/* Pushes a function of command.lua. */
static void push_function(lua_State *L, const char *name)
{
    lua_getglobal(L, "require");
    lua_pushliteral(L, "flowrun.command");
    lua_call(L, 1, 1);
    lua_getfield(L, -1, name);
    lua_remove(L, -2);
}

static struct fri_spec *bare_spec(lua_State *L, struct fri_script *s,
                                  struct fri_pool_box *box, const char *name)
{
    const struct fri_view *view = fri_box_view(box);
    struct fri_spec *spec = box->spec;

    if (spec && !box->function && !view->policy.halt
        && strcmp(spec->name, name) == 0)
        return spec;
    spec = fri_spec_new(&view->pool->lane, &view->policy);
    if (spec && !spec->name)
        spec->name = fri_strdup(&s->engine->memory, name);
    if (!spec || !spec->name) {
        fri_spec_unref(spec);
        fri_raise_memory(L);
    }
    fri_box_keep(box, NULL, spec);
    fri_make_command_resume(L, s, box);
    return spec;
}

/* The plain command at 4 becomes what the task holds. */
static void put_command(lua_State *L, struct fri_script *s,
                        struct frun_future *task)
{
    struct fri_data data = { .holds = FRI_MESSAGE };
    struct fri_pack *pack;

    if (!fri_pack_values(L, 4, 1, "command", false, &pack))
        fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
    data.message = fri_message_new(&s->engine->memory, pack->bytes->data,
                                   pack->bytes->length, NULL, 0);
    if (!data.message)
        fri_raise_memory(L);
    fri_task_put(task, &data);
}

/* The view, the table, its name and the plain command at 1 to 4. */
static int submit_bare(lua_State *L, struct fri_script *s,
                       struct fri_pool_box *box)
{
    struct fri_spec *spec = bare_spec(L, s, box, lua_tostring(L, 3));
    struct frun_future *task = fri_new_task(s, spec, fri_future_box(L, s));
    int future = lua_gettop(L);

    if (!task)
        return fri_raise_memory(L);
    put_command(L, s, task);
    if (!fri_add_after(L, s, box, task)
        || !fri_set_name(L, box, task, 2, 0))
        return fri_raise_memory(L);
    if (spec->resume)
        fri_look_up(L, s, task, false);
    lua_settop(L, future);
    fri_lock(s->engine);
    fri_sched_submit(task, true);
    fri_unlock(s->engine);
    if (s->options->dry_run)
        fri_dry_command(L, s, future, 2, NULL);
    return 1;
}

int fri_submit_command(lua_State *L, struct fri_script *s,
                       struct fri_pool_box *box)
{
    int table;

    if (lua_gettop(L) > 2)
        fri_misuse(L, "bad argument #2 to 'submit' (a command has no "
                      "arguments)");
    fri_check_open(L, s, fri_box_view(box)->pool);
    push_function(L, "bare");
    lua_pushvalue(L, 2);
    lua_call(L, 1, LUA_MULTRET);
    if (!lua_isnil(L, 4))
        return submit_bare(L, s, box);
    lua_pushvalue(L, 2); /* view, table, name, nil, fn, ..., table, name */
    lua_pushvalue(L, 3);
    for (int i = 4; i >= 2; i--)
        lua_remove(L, i);
    table = lua_gettop(L) - 1;
    fri_submit_function(L, s, box, table - 3, lua_tostring(L, -1));
    if (s->options->dry_run)
        fri_dry_command(L, s, lua_gettop(L), table, NULL);
    return 1;
}

/* ---- the module flowrun.command --------------------------------------- */

/* core.number_text(value): nil when it is no number. */
static int core_number_text(lua_State *L)
{
    char text[FRI_NUMBER_TEXT];
    size_t n = fri_number_text(L, 1, text);

    if (n == 0)
        return 0;
    lua_pushlstring(L, text, n);
    return 1;
}

static int core_is_future(lua_State *L)
{
    lua_pushboolean(L, fri_future_test(L, fri_script_of(L), 1) != NULL);
    return 1;
}

static int core_misuse(lua_State *L)
{
    return fri_misuse(L, "%s", lua_tostring(L, 1));
}

const luaL_Reg fri_command_functions[] = {
    { "exec_start", core_exec_start },   { "exec_watch", core_exec_watch },
    { "exec_result", core_exec_result }, { "exec_end", core_exec_end },
    { "number_text", core_number_text }, { "is_future", core_is_future },
    { "misuse", core_misuse },           { "note_trace", fri_trace_note },
    { NULL, NULL },
};
