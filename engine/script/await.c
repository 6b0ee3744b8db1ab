/*
 * await.c - waiting, in its three forms.
 *
 * A task, or an async function, that waits yields to who resumed it: the
 * worker then takes another task, the main program another function.  The top
 * level of the main program blocks, and runs what is due meanwhile.  Where Lua
 * cannot yield (inside sort, gsub, a coroutine of the script's own) the thread
 * blocks; a worker is replaced while it does.
 */
#include "script/view.h"

#include "pools/forks/home.h"
#include "script/async.h"
#include "script/job.h"
#include "script/shared.h"

struct set_box {
    struct fri_set *set;
};

static int set_gc(lua_State *L)
{
    struct set_box *box = lua_touserdata(L, 1);

    fri_set_close(box->set);
    box->set = NULL;
    return 0;
}

static struct set_box *push_set(lua_State *L, struct fri_script *s)
{
    struct set_box *box = lua_newuserdatauv(L, sizeof *box, 0);

    box->set = NULL;
    lua_rawgetp(L, LUA_REGISTRYINDEX, &s->set_meta);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_pushcfunction(L, set_gc);
        lua_setfield(L, -2, "__gc");
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &s->set_meta);
    }
    lua_setmetatable(L, -2);
    return box;
}

static struct fri_set *set_at(lua_State *L, int index)
{
    return ((struct set_box *)lua_touserdata(L, index))->set;
}

/* ---- sets ------------------------------------------------------------- */

static int bad_item(lua_State *L, int key)
{
    lua_pushvalue(L, key);
    if (lua_type(L, -1) != LUA_TNUMBER && lua_type(L, -1) != LUA_TSTRING)
        lua_pushstring(L, luaL_typename(L, key));
    lua_pushfstring(L, "a table of futures expected, got a %s at [%s]",
                    luaL_typename(L, key + 1), lua_tostring(L, -1));
    lua_pushnil(L);
    lua_insert(L, -2);
    return 2;
}

static size_t table_size(lua_State *L, int table)
{
    size_t n = 0;

    for (lua_pushnil(L); lua_next(L, table); lua_pop(L, 1))
        n++;
    return n;
}

void fri_set_push(lua_State *L, struct fri_script *s,
                  struct frun_future **list, size_t n)
{
    struct set_box *box = push_set(L, s);

    box->set = fri_set_open(fri_script_need(L, s), list, n);
    if (!box->set)
        fri_raise_memory(L);
}

/* core.watch(t): a set of all its futures, in any order.  Or nil, text. */
static int core_watch(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct frun_future **list;
    size_t n = 0;

    lua_settop(L, 1);
    list = lua_newuserdatauv(L, (table_size(L, 1) + 1) * sizeof *list, 0);
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        list[n] = fri_future_test(L, s, 4);
        if (!list[n++])
            return bad_item(L, 3);
    }
    fri_set_push(L, s, list, n);
    return 1;
}

/* core.watch_list(list): the same for a list of futures: indices count. */
static int core_watch_list(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    size_t n = lua_rawlen(L, 1);
    struct frun_future **list
        = lua_newuserdatauv(L, (n + 1) * sizeof *list, 0);

    for (size_t i = 0; i < n; i++) {
        lua_rawgeti(L, 1, (int)i + 1);
        list[i] = fri_future_test(L, s, -1);
        lua_pop(L, 1);
    }
    fri_set_push(L, s, list, n);
    return 1;
}

/* core.watch_one(future), core.watch_pool(pool), core.watch_nothing() */
static int core_watch_one(lua_State *L)
{
    struct frun_future *f = fri_future_check(L, 1);

    fri_set_push(L, fri_script_of(L), &f, 1);
    return 1;
}

static int watch_list_of(lua_State *L, struct fri_script *s,
                         struct fri_waiter **list, struct fri_lane *lane)
{
    frun_engine *e = fri_script_need(L, s);
    struct set_box *box = push_set(L, s);
    bool wait;

    fri_lock(e);
    wait = !lane || lane->unfinished > 0;
    if (wait)
        box->set = fri_set_open_on(e, list);
    if (box->set)
        box->set->lane = lane;
    fri_unlock(e);
    if (!wait)
        return 0;
    if (!box->set)
        return fri_raise_memory(L);
    return 1;
}

/* In a worker process: an answer from the engine's. */
static int watch_remote(lua_State *L, frun_pool *pool)
{
    struct frun_future *f = fri_home_pool(pool, FRI_POOL_DRAIN);
    struct set_box *box = push_set(L, fri_script_of(L));

    if (f)
        box->set = fri_set_open(pool->engine, &f, 1);
    fri_future_unref(f);
    if (!box->set)
        return fri_raise_memory(L);
    return 1;
}

static int core_watch_pool(lua_State *L)
{
    frun_pool *pool = fri_box_view(fri_pool_check(L, 1))->pool;

    if (pool->lane.remote)
        return watch_remote(L, pool);
    return watch_list_of(L, fri_script_of(L), &pool->drains,
                         &pool->lane);
}

static int core_watch_nothing(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    return watch_list_of(L, s, &s->never, NULL);
}

/* core.pop(set): the index of the next that is done, or nil. */
static int core_pop(lua_State *L)
{
    size_t index;

    if (!fri_set_pop(set_at(L, 1), &index))
        return 0;
    lua_pushinteger(L, (lua_Integer)index + 1);
    return 1;
}

static void cancel_all(struct fri_set *set)
{
    fri_lock(set->engine);
    for (size_t i = 0; i < set->count; i++)
        fri_sched_cancel(set->waiters[i].future, NULL);
    fri_unlock(set->engine);
}

/* core.fail_first(set): raises the error of the first that failed, in time,
 * and cancels the others. */
/* What halt cancelled has ended in the same moment as the failure that is its
 * cause: that comes first. */
static struct frun_future *cause_of(struct fri_set *set, struct frun_future *f)
{
    struct frun_future *other;
    size_t index;

    if (fri_state(f) != FRI_CANCELLED)
        return f;
    while ((other = fri_set_pop(set, &index)) != NULL
           && other->finished <= f->finished)
        if (fri_state(other) == FRI_FAILED)
            return other;
    return f;
}

static int core_fail_first(lua_State *L)
{
    struct fri_set *set = set_at(L, 1);
    struct frun_future *f;
    size_t index;

    if (!set->failed)
        return 0;
    while ((f = fri_set_pop(set, &index)) != NULL)
        if (fri_state(f) != FRI_DONE)
            break;
    if (!f)
        return 0;
    f = cause_of(set, f);
    fri_look(f);
    cancel_all(set);
    fri_error_push_of(L, f);
    return lua_error(L);
}

static int core_close(lua_State *L)
{
    struct set_box *box = lua_touserdata(L, 1);

    fri_set_close(box->set);
    box->set = NULL;
    return 0;
}

/* core.left(set): how many are not done, of how many; did time run out? */
static int core_left(lua_State *L)
{
    struct fri_set *set = set_at(L, 1);

    lua_pushinteger(L, (lua_Integer)set->left);
    lua_pushinteger(L, (lua_Integer)set->count);
    lua_pushboolean(L, set->timed_out);
    return 3;
}

/* ---- waiting ---------------------------------------------------------- */

static void wake_owner(struct fri_set *set)
{
    fri_owner_wake(set->engine);
}

static void wake_worker(struct fri_set *set)
{
    fri_worker_resume(set->user);
}

static int raise_memory_or(lua_State *L, struct fri_error **error)
{
    if (!*error)
        return fri_raise_memory(L);
    fri_error_push(L, *error);
    if ((*error)->public.status == FRUN_EDEADLOCK)
        fri_knot_note(L);
    fri_error_free(*error);
    *error = NULL;
    return lua_error(L);
}

static int block_owner(lua_State *L, struct fri_set *set)
{
    while (!fri_owner_wait(set->engine, set, FRI_NEVER))
        if (atomic_load(&set->engine->interrupted))
            return luaL_error(L, "interrupted");
    return set->raised ? raise_memory_or(L, &set->error) : 0;
}

/* ---- waits that end by an error --------------------------------------- */

/* core.raised(): what await was resumed for, if it gave true. */
static int core_raised(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_async *async = s->flow ? s->flow->async : NULL;
    struct fri_job *job;

    if (async) {
        async->raised = false;
        return raise_memory_or(L, &async->error);
    }
    job = s->runtime->job;
    return raise_memory_or(L, &job->resumable.error);
}

/* The same where the thread was blocked. */
static int raise_here(lua_State *L, struct fri_script *s)
{
    if (s->runtime->job)
        s->runtime->job->told = true;
    return raise_memory_or(L, &s->worker->error);
}

/* Lock held: fri_wait.raise of the three.  On its way into the wait, or out of
 * it, none can be. */
static bool raise_owner(struct fri_wait *wait, struct fri_error *error)
{
    fri_set_raise((struct fri_set *)(void *)wait, error);
    return true;
}

static bool raise_job(struct fri_wait *wait, struct fri_error *error)
{
    struct fri_set *set = (struct fri_set *)(void *)wait;
    struct fri_resumable *r = set->user;

    if (r->link && r->set == set && !r->queued && !r->raised) {
        fri_worker_raise(r, error);
        return true;
    }
    fri_error_free(error);
    return false;
}

static bool raise_blocked(struct fri_wait *wait, struct fri_error *error)
{
    struct fri_set *set = (struct fri_set *)(void *)wait;
    struct fri_worker *worker = set->user;

    if (worker->set == set)
        return fri_worker_raise_blocked(worker, error);
    fri_error_free(error);
    return false;
}

static fri_time deadline_at(lua_State *L, struct fri_script *s, int index)
{
    double at = lua_tonumber(L, index);

    if (lua_isnoneornil(L, index) || at > 9e9)
        return FRI_NEVER;
    return s->started + (fri_time)(at * 1e9);
}

static bool can_yield(lua_State *L, const struct fri_script *s)
{
    return s->flow && s->flow->co == L && lua_isyieldable(L)
           && (s->worker || s->flow->async);
}

/* What satisfies a wait. */
struct goal {
    size_t left;
    bool failure;
    fri_time deadline;
};

static int await_yielding(lua_State *L, struct fri_script *s,
                          struct fri_set *set, struct goal g)
{
    set->wait.raise = s->flow->async ? fri_async_raise : raise_job;
    set->user = s->flow->async ? (void *)s->flow->async : s->flow->job;
    s->flow->set = set;
    if (!fri_set_arm(set, g.left, g.failure, g.deadline,
                     s->flow->async ? fri_async_wake : wake_worker))
        return lua_yield(L, 0);
    s->flow->set = NULL;
    return 0;
}

static int await_owner(lua_State *L, struct fri_script *s,
                       struct fri_set *set, struct goal g)
{
    fri_say_resumed(s);
    fri_in_flow(s);
    set->wait.owner = true;
    set->wait.raise = raise_owner;
    if (fri_set_arm(set, g.left, g.failure, g.deadline, wake_owner))
        return 0;
    if (s->options->dry_run && fri_dry_wait(L, s, set))
        return 0;
    return block_owner(L, set);
}

/* With `keep` nobody runs in the worker's place meanwhile. */
static int await_blocking(lua_State *L, struct fri_script *s,
                          struct fri_set *set, struct goal g, bool keep)
{
    bool raised;

    set->user = s->worker;
    set->keeps = keep;
    set->wait.raise = raise_blocked;
    if (fri_set_arm(set, g.left, g.failure, g.deadline, fri_worker_wake))
        return 0;
    if (!keep)
        fri_worker_block(s->worker);
    raised = fri_worker_wait(s->worker, set, FRI_NEVER);
    if (!keep)
        fri_worker_unblock(s->worker);
    return raised ? raise_here(L, s) : 0;
}

/* core.await(set, left, failure, deadline): until at most `left` are not
 * done, or one has failed, or flow.now() is the deadline.  True: the wait has
 * ended by an error, which core.raised raises. */
static int core_await(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_set *set = set_at(L, 1);
    struct goal g = { (size_t)lua_tointeger(L, 2), lua_toboolean(L, 3),
                      deadline_at(L, s, 4) };

    set->wait.holder = s->engine->remote ? NULL : fri_script_holder(s);
    if (can_yield(L, s))
        return await_yielding(L, s, set, g);
    if (!s->worker)
        return await_owner(L, s, set, g);
    return await_blocking(L, s, set, g, false);
}

/* core.await_process(set, keep): the same for processes, which come to an end
 * by themselves; with `keep` a task keeps its worker. */
static int core_await_process(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_set *set = set_at(L, 1);
    struct goal g = { 0, false, FRI_NEVER };
    bool keep = lua_toboolean(L, 2) && s->worker;

    if (!keep && can_yield(L, s))
        return await_yielding(L, s, set, g);
    if (!s->worker)
        return await_owner(L, s, set, g);
    return await_blocking(L, s, set, g, keep);
}

/* ---- time ------------------------------------------------------------- */

static int flow_now(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    lua_pushnumber(L, fri_seconds(fri_now() - s->started));
    return 1;
}

/* core.nap(seconds): the thread sleeps; in a task that holds its worker, or
 * where there is no engine yet.  False: somebody else must do the waiting. */
static int core_nap(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    fri_time until = fri_deadline(fri_now(), lua_tonumber(L, 1));

    if (s->worker && fri_worker_wait(s->worker, NULL, until))
        return raise_here(L, s);
    lua_pushboolean(L, s->worker != NULL || s->options->dry_run);
    return 1;
}

const luaL_Reg fri_await_functions[] = {
    { "watch", core_watch },           { "watch_list", core_watch_list },
    { "watch_one", core_watch_one },   { "watch_pool", core_watch_pool },
    { "watch_nothing", core_watch_nothing },
    { "pop", core_pop },               { "fail_first", core_fail_first },
    { "close_set", core_close },       { "left", core_left },
    { "await", core_await },           { "await_process", core_await_process },
    { "nap", core_nap },               { "raised", core_raised },
    { "now", flow_now },
    { NULL, NULL },
};
