/*
 * map.c - frun_pool_map: one range, or, where each item has a policy of its
 * own to follow (retries, a timeout, seats), one task for each.
 */
#include "api/api.h"

#include "core/halt.h"
#include "data/value.h"

/* ---- a range ---------------------------------------------------------- */

static struct fri_range *range_of(const struct fri_call *c,
                                  const frun_value *list)
{
    const struct fri_memory *m = &c->pool->engine->memory;
    size_t n = frun_value_length(list);
    struct fri_range *r = fri_range_new(m, n, c->pool->workers,
                                        c->policy->chunk);

    if (!r)
        return NULL;
    r->list = fri_value_copy(m, list);
    if (n <= PTRDIFF_MAX / sizeof *r->results)
        r->results = fri_alloc_zero(m, n * sizeof *r->results);
    if (r->list && r->results)
        return r;
    fri_range_free(r);
    return NULL;
}

/* Takes the range. */
static frun_future *submit_range(const struct fri_call *c, struct fri_range *r)
{
    frun_engine *e = c->pool->engine;
    frun_future *task;

    fri_lock(e);
    task = fri_task_new(&e->sched, c->spec);
    if (task) {
        task->holds = FRI_RANGE;
        task->data.range = r;
    }
    if (task && c->policy->after_count
        && !fri_task_after(task, c->policy->after, c->policy->after_count)) {
        fri_future_unref(task);
        task = NULL;
    } else if (!task) {
        fri_range_free(r);
    } else {
        fri_sched_submit(task, true);
    }
    fri_unlock(e);
    return task;
}

/* Moves the results into a list; they have no other owner then. */
static frun_value *list_of(struct fri_range *r)
{
    frun_value *list = frun_value_list();

    for (uint64_t i = 0; list && i < r->count; i++) {
        frun_value *item = r->results[i] ? r->results[i] : frun_value_null();

        r->results[i] = NULL;
        if (frun_value_push(list, fri_value_release(item)) != FRUN_OK) {
            frun_value_free(list);
            list = NULL;
        }
    }
    return list;
}

/* ---- one by one ------------------------------------------------------- */

/* What has no other owner than this map is moved; a journal may still write
 * what it keeps, and what came from there is no value yet. */
static frun_value *take_result(frun_future *task)
{
    const frun_value *value;
    frun_value *item;

    if (task->spec->resume)
        return frun_future_result(task, -1, &value) == FRUN_OK
                   ? frun_value_copy(value)
                   : NULL;
    if (task->holds != FRI_VALUE)
        return frun_value_null();
    item = task->data.value;
    task->holds = FRI_NOTHING;
    return fri_value_release(item);
}

static frun_value *results_of(frun_future **tasks, size_t n)
{
    frun_value *list = frun_value_list();

    for (size_t i = 0; list && i < n; i++) {
        frun_value *item = take_result(tasks[i]);

        if (frun_value_push(list, item) != FRUN_OK) {
            frun_value_free(list);
            list = NULL;
        }
    }
    return list;
}

/* ---- failures --------------------------------------------------------- */

static frun_status tell(frun_engine *e, frun_future *f)
{
    const frun_error *error = frun_future_error(f);
    const struct fri_error *own = f->holds == FRI_ERROR ? f->data.error : NULL;

    if (!own || !own->number_key)
        return fri_fail_error(e, own);
    return fri_fail(e, error->status, "%s, item %lld: %s",
                    error->task ? error->task : "map",
                    (long long)own->key_number, error->message);
}

static frun_status interrupted(frun_engine *e)
{
    return fri_fail(e, FRUN_ECANCELLED, "interrupted");
}

static void cancel_all(frun_engine *e, frun_future **tasks, size_t n)
{
    fri_lock(e);
    for (size_t i = 0; i < n; i++)
        fri_sched_cancel(tasks[i], NULL);
    fri_unlock(e);
}

/* ---- map -------------------------------------------------------------- */

static frun_status map_range(const struct fri_call *c, const frun_value *list,
                             frun_value **results)
{
    frun_engine *e = c->pool->engine;
    struct fri_range *r = range_of(c, list);
    frun_future *task = r ? submit_range(c, r) : NULL;
    frun_status status = FRUN_OK;

    if (!task)
        return fri_no_memory(e);
    if (frun_future_wait(task, -1) != FRUN_OK) {
        cancel_all(e, &task, 1);
        status = interrupted(e);
    } else if (fri_state(task) != FRI_DONE) {
        status = tell(e, task);
    } else {
        *results = list_of(task->data.range);
        status = *results ? FRUN_OK : fri_no_memory(e);
    }
    fri_future_unref(task);
    return status;
}

/* What halt cancelled has ended in the same moment as the failure. */
static frun_future *cause_of(frun_future **tasks, size_t n, size_t failed)
{
    frun_future *f = tasks[failed];

    for (size_t i = 0; i < n && fri_state(f) == FRI_CANCELLED; i++)
        if (fri_state(tasks[i]) == FRI_FAILED
            && tasks[i]->finished <= f->finished)
            f = tasks[i];
    return f;
}

/* The first failure ends it, unless halt says otherwise: then all is waited
 * for. */
static frun_status collect(frun_engine *e, frun_future **tasks, size_t n,
                           bool first, frun_value **results)
{
    size_t failed = n;
    frun_status status
        = frun_wait(tasks, n, FRUN_FIRST_FAILED, -1, &failed);

    if (status != FRUN_OK || (failed < n && first))
        cancel_all(e, tasks, n);
    if (status == FRUN_OK && failed < n)
        status = frun_wait(tasks, n, FRUN_ALL, -1, NULL);
    if (status == FRUN_EUNFINISHED)
        return interrupted(e);
    if (status != FRUN_OK)
        return fri_no_memory(e);
    if (failed < n)
        return tell(e, cause_of(tasks, n, failed));
    *results = results_of(tasks, n);
    return *results ? FRUN_OK : fri_no_memory(e);
}

static bool ends_at_first(const frun_policy *p)
{
    struct fri_halt rule;

    return !p->halt
           || (fri_halt_parse(p->halt, &rule) && fri_halt_is_first(&rule));
}

static frun_status map_tasks(const struct fri_call *c, frun_function *fn,
                             const frun_value *list, frun_value **results)
{
    frun_engine *e = c->pool->engine;
    size_t n = frun_value_length(list);
    frun_future **tasks = NULL;
    frun_status status;

    if (n <= PTRDIFF_MAX / sizeof(frun_future *))
        tasks = fri_alloc(&e->memory, n * sizeof(frun_future *));
    if (!tasks)
        return fri_no_memory(e);
    status = frun_pool_scatter(c->pool, fn, list, c->policy, tasks);
    if (status == FRUN_OK) {
        status = collect(e, tasks, n, ends_at_first(c->policy), results);
        for (size_t i = 0; i < n; i++)
            fri_future_unref(tasks[i]);
    }
    fri_free(&e->memory, tasks);
    return status;
}

static bool one_by_one(const frun_policy *p)
{
    return p->timeout > 0 || p->memory > 0 || p->retries > 0
           || p->limit_count > 0 || p->journal || !ends_at_first(p);
}

static frun_status map_list(const struct fri_call *c, frun_function *fn,
                            const frun_value *list, frun_value **results)
{
    if (frun_value_length(list) == 0) {
        *results = frun_value_list();
        return *results ? FRUN_OK : fri_no_memory(c->pool->engine);
    }
    if (one_by_one(c->policy))
        return map_tasks(c, fn, list, results);
    return map_range(c, list, results);
}

/* A callback that runs meanwhile may close the pool and the engine. */
frun_status frun_pool_map(frun_pool *pool, frun_function *fn,
                          const frun_value *list, const frun_policy *policy,
                          frun_value **results)
{
    struct fri_call c;
    frun_status status = fri_call_begin(&c, pool, fn, policy);
    frun_engine *e;

    if (results)
        *results = NULL;
    if (status != FRUN_OK)
        return status;
    e = pool->engine;
    if (!results || frun_value_kind(list) != FRUN_LIST)
        return fri_fail(e, FRUN_EINVAL, "%s",
                        results ? "not a list" : "no place for the results");
    atomic_fetch_add(&e->refs, 1);
    status = map_list(&c, fn, list, results);
    fri_engine_unref(e);
    return status;
}
