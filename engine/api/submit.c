/*
 * submit.c - frun_pool_submit and frun_pool_scatter.
 *
 * A pool keeps the spec of its last call: a loop of submits of one function
 * makes one spec.
 */
#include "api/api.h"

#include "core/halt.h"
#include "data/value.h"

/* ---- policies --------------------------------------------------------- */

static frun_status check_after(frun_pool *pool, const frun_policy *p)
{
    for (size_t i = 0; i < p->after_count; i++)
        if (!p->after || !p->after[i]
            || p->after[i]->spec->lane->sched != pool->lane.sched)
            return fri_fail(pool->engine, FRUN_EINVAL,
                            "after: number %zu is no future of this engine",
                            i);
    return FRUN_OK;
}

static int need_at(const frun_policy *p, size_t i)
{
    return p->limit_needs ? p->limit_needs[i] : 1;
}

/* Seats of limit i that are asked for, also where it is named again. */
static int64_t whole_need(const frun_policy *p, size_t i)
{
    int64_t need = 0;

    for (size_t j = 0; j < p->limit_count; j++)
        if (p->limits[j] == p->limits[i])
            need += need_at(p, j);
    return need;
}

static frun_status check_limits(frun_pool *pool, const frun_policy *p)
{
    frun_engine *e = pool->engine;

    for (size_t i = 0; i < p->limit_count; i++) {
        const struct fri_limit *limit
            = p->limits ? (const struct fri_limit *)p->limits[i] : NULL;

        if (!limit || limit->sched != pool->lane.sched)
            return fri_fail(e, FRUN_EINVAL,
                            "limits: number %zu is no limit of this engine",
                            i);
        if (need_at(p, i) < 1)
            return fri_fail(e, FRUN_EINVAL, "limit_needs: %d is less than 1",
                            need_at(p, i));
        if (whole_need(p, i) > limit->count)
            return fri_fail(e, FRUN_ERESOURCE,
                            "limit %s has %u seats, the task needs %lld",
                            limit->name ? limit->name : "(no name)",
                            limit->count, (long long)whole_need(p, i));
    }
    return FRUN_OK;
}

static frun_status check_policy(frun_pool *pool, const frun_policy *p)
{
    frun_engine *e = pool->engine;
    frun_status status;

    if (p->retries < 0 || p->retries > 60000)
        return fri_fail(e, FRUN_EINVAL, "retries: 0 to 60000, not %d",
                        p->retries);
    if (!(p->timeout >= 0) || !(p->backoff >= 0))
        return fri_fail(e, FRUN_EINVAL, "%s: seconds, not less than 0",
                        p->timeout >= 0 ? "backoff" : "timeout");
    if (p->priority != p->priority)
        return fri_fail(e, FRUN_EINVAL, "priority: not a number");
    if (p->halt && !fri_halt_parse(p->halt, &(struct fri_halt){ 0 }))
        return fri_fail(e, FRUN_EINVAL, "halt: %s, not '%.40s'",
                        FRI_HALT_FORMS, p->halt);
    status = check_after(pool, p);
    if (status == FRUN_OK)
        status = check_limits(pool, p);
    return status == FRUN_OK ? fri_kept_check(pool, p) : status;
}

/* ---- specs ------------------------------------------------------------ */

static bool same_name(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool is_for(const frun_engine *e, const struct fri_spec *s,
                   frun_function *fn, const frun_policy *p)
{
    return s && s->function == fn && s->user == p->user
           && s->priority == p->priority && s->timeout == p->timeout
           && s->backoff == p->backoff && s->memory == p->memory
           && s->retries == p->retries && s->retry_on == p->retry_on
           && s->chunk == p->chunk && p->limit_count == 0
           && s->need_count == 0 && !p->halt && !s->group
           && same_name(s->name, p->name)
           && ((!s->resume && !p->journal) || fri_kept_alike(e, s, p));
}

static struct fri_spec *spec_for(frun_pool *pool, frun_function *fn,
                                 const frun_policy *p)
{
    struct fri_spec *spec;

    if (is_for(pool->engine, pool->spec, fn, p))
        return pool->spec;
    spec = fri_spec_new(&pool->lane, p);
    if (!spec)
        return NULL;
    spec->function = fn;
    if (!fri_kept_spec(pool->engine, spec, p)) {
        fri_spec_unref(spec);
        return NULL;
    }
    fri_spec_unref(pool->spec);
    pool->spec = spec;
    return spec;
}

static const frun_policy defaults;

/* Points to the policy, or to a copy of one of another size. */
static bool read_policy(struct fri_call *c, const frun_policy *policy)
{
    c->policy = policy ? policy : &defaults;
    if (c->policy->size == 0 || c->policy->size == sizeof *policy)
        return true;
    c->policy = &c->own;
    return fri_options(&c->own, sizeof c->own, policy);
}

frun_status fri_call_check(struct fri_call *c, frun_pool *pool,
                           const frun_policy *policy)
{
    if (!pool || !fri_engine_owned(pool->engine))
        return FRUN_EINVAL;
    c->pool = pool;
    if (!read_policy(c, policy))
        return fri_fail(pool->engine, FRUN_EINVAL,
                        "policy: it is of a newer header");
    if (pool->closing)
        return fri_fail(pool->engine, FRUN_ECLOSED, "%s is closed",
                        pool->name);
    return policy ? check_policy(pool, c->policy) : FRUN_OK;
}

static frun_status begin(struct fri_call *c, frun_pool *pool,
                         frun_function *fn, const frun_policy *policy)
{
    frun_status status = fri_call_check(c, pool, policy);

    if (status != FRUN_OK)
        return status;
    if (fn && c->policy->journal && !c->policy->version)
        return fri_fail(pool->engine, FRUN_EJOURNAL,
                        "a function in C has no source text: give a version");
    c->spec = spec_for(pool, fn, c->policy);
    return c->spec ? FRUN_OK : fri_no_memory(pool->engine);
}

frun_status fri_call_begin(struct fri_call *c, frun_pool *pool,
                           frun_function *fn, const frun_policy *policy)
{
    if (!pool || !fri_engine_owned(pool->engine))
        return FRUN_EINVAL;
    if (!fn)
        return fri_fail(pool->engine, FRUN_EINVAL, "no function");
    if (pool->ops->kind == FRUN_COMMANDS)
        return fri_fail(pool->engine, FRUN_EINVAL,
                        "%s is a pool of commands: it runs no C functions",
                        pool->name);
    return begin(c, pool, fn, policy);
}

frun_status fri_call_command(struct fri_call *c, frun_pool *pool,
                             const frun_policy *policy)
{
    if (pool->ops->kind != FRUN_COMMANDS)
        return fri_fail(pool->engine, FRUN_EINVAL,
                        "%s is no pool of commands", pool->name);
    return begin(c, pool, NULL, policy);
}

/* ---- tasks ------------------------------------------------------------ */

/* Lock held.  A task without its argument yet; NULL: out of memory. */
static frun_future *task_new(const struct fri_call *c)
{
    const frun_policy *p = c->policy;
    frun_future *task = fri_task_new(&c->pool->engine->sched, c->spec);

    if (!task || p->after_count == 0
        || fri_task_after(task, p->after, p->after_count))
        return task;
    fri_future_unref(task);
    return NULL;
}

static void set_argument(frun_future *task, frun_value *argument)
{
    task->holds = argument ? FRI_VALUE : FRI_NOTHING;
    task->data.value = argument;
}

/* Between the two locks the task is nobody else's. */
static frun_status look_up(struct fri_call *c, frun_future *task)
{
    frun_engine *e = c->pool->engine;
    frun_status status;

    fri_unlock(e);
    status = fri_kept_look(e, &task, 1);
    if (status != FRUN_OK)
        fri_future_unref(task);
    fri_lock(e);
    return status;
}

frun_status fri_call_submit(struct fri_call *c, struct fri_data *data,
                            frun_future **future)
{
    frun_engine *e = c->pool->engine;
    frun_status status = FRUN_OK;
    frun_future *task;

    fri_lock(e);
    task = task_new(c);
    if (task)
        fri_task_put(task, data);
    if (task && c->spec->resume)
        status = look_up(c, task);
    if (task && status == FRUN_OK)
        fri_sched_submit(task, true);
    fri_unlock(e);
    if (!task) {
        fri_data_free(data);
        return fri_no_memory(e);
    }
    if (status == FRUN_OK && future)
        *future = task;
    else if (status == FRUN_OK)
        fri_future_unref(task);
    return status;
}

frun_status frun_pool_submit(frun_pool *pool, frun_function *fn,
                             const frun_value *argument,
                             const frun_policy *policy, frun_future **future)
{
    struct fri_call c;
    struct fri_data data = { .holds = argument ? FRI_VALUE : FRI_NOTHING };
    frun_status status = fri_call_begin(&c, pool, fn, policy);

    if (future)
        *future = NULL;
    if (status != FRUN_OK)
        return status;
    data.value = argument ? fri_value_copy(&pool->engine->memory, argument)
                          : NULL;
    if (argument && !data.value)
        return fri_no_memory(pool->engine);
    return fri_call_submit(&c, &data, future);
}

/* ---- many ------------------------------------------------------------- */

static void drop(frun_future **tasks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        fri_future_unref(tasks[i]);
        tasks[i] = NULL;
    }
}

/* All tasks, or none. */
static bool make_tasks(const struct fri_call *c, frun_future **tasks, size_t n)
{
    size_t made = 0;

    fri_lock(c->pool->engine);
    while (made < n && (tasks[made] = task_new(c)) != NULL)
        made++;
    fri_unlock(c->pool->engine);
    if (made == n)
        return true;
    drop(tasks, made);
    return false;
}

static bool copy_items(const struct fri_memory *m, frun_future **tasks,
                       const frun_value *list, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        frun_value *copy = fri_value_copy(m, frun_value_at(list, i));

        if (!copy)
            return false;
        set_argument(tasks[i], copy);
        tasks[i]->key_kind = FRI_KEY_NUMBER;
        tasks[i]->key.number = (int64_t)i;
    }
    return true;
}

/* A spec with `halt` is of this call alone. */
static bool make_group(const struct fri_call *c, size_t n)
{
    struct fri_halt rule = { .on = FRI_HALT_NEVER };

    if (c->policy->halt)
        fri_halt_parse(c->policy->halt, &rule);
    if (rule.on != FRI_HALT_NEVER)
        c->spec->group = fri_group_new(&c->pool->engine->memory,
                                       c->policy->halt, n);
    return rule.on == FRI_HALT_NEVER || c->spec->group;
}

static frun_status scatter(struct fri_call *c, const frun_value *list,
                           frun_future **tasks, size_t n)
{
    frun_engine *e = c->pool->engine;
    struct fri_lane *lane = &c->pool->lane;
    frun_status status;

    if (!make_group(c, n) || !make_tasks(c, tasks, n))
        return fri_no_memory(e);
    if (!copy_items(&e->memory, tasks, list, n)) {
        drop(tasks, n);
        return fri_no_memory(e);
    }
    status = fri_kept_look(e, tasks, n);
    if (status != FRUN_OK) {
        drop(tasks, n);
        return status;
    }
    fri_lock(e);
    for (size_t i = 0; i < n; i++)
        fri_sched_submit(tasks[i], false);
    lane->hooks->ready(lane, n);
    fri_unlock(e);
    return FRUN_OK;
}

frun_status frun_pool_scatter(frun_pool *pool, frun_function *fn,
                              const frun_value *list,
                              const frun_policy *policy,
                              frun_future *futures[])
{
    bool is_list = frun_value_kind(list) == FRUN_LIST;
    size_t n = is_list ? frun_value_length(list) : 0;
    struct fri_call c;
    frun_status status = fri_call_begin(&c, pool, fn, policy);

    if (futures)
        memset(futures, 0, n * sizeof *futures);
    if (status != FRUN_OK)
        return status;
    if (!is_list || (!futures && n > 0))
        return fri_fail(pool->engine, FRUN_EINVAL, "%s",
                        is_list ? "no place for the futures" : "not a list");
    return scatter(&c, list, futures, n);
}
