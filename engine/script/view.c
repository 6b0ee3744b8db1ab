/*
 * view.c - a pool with a policy: what a pool is to a script, and travels.
 *
 * A view holds its pool, so that it does not end; a weak one, in the states
 * of the pool's own workers, only keeps the memory.
 */
#include "script/view.h"

static const struct fri_memory *memory_of(const struct fri_view *view)
{
    return view->pool->lane.sched->memory;
}

static void view_free(struct fri_handle *handle)
{
    struct fri_view *view = (struct fri_view *)handle;
    const struct fri_memory *m = memory_of(view);
    frun_pool *pool = view->pool;
    bool weak = view->weak;

    for (size_t i = 0; i < view->policy.limit_count; i++)
        fri_handle_unref((struct fri_handle *)view->policy.limits[i]);
    fri_free(m, (void *)(uintptr_t)view->policy.limits);
    fri_free(m, (void *)(uintptr_t)view->policy.limit_needs);
    fri_free(m, (void *)(uintptr_t)view->policy.name);
    fri_free(m, view);
    if (weak)
        fri_lane_release(&pool->lane);
    else
        fri_handle_unref(&pool->handle);
}

struct fri_view *fri_view_new(frun_pool *pool, bool weak)
{
    struct fri_view *view
        = fri_alloc_zero(pool->lane.sched->memory, sizeof *view);

    if (!view)
        return NULL;
    atomic_init(&view->handle.refs, 1);
    view->handle.kind = FRI_HANDLE_POOL;
    view->handle.free = view_free;
    view->pool = pool;
    view->plain = true;
    view->weak = weak;
    view->policy.size = sizeof view->policy;
    if (weak)
        fri_lane_hold(&pool->lane);
    else
        fri_pool_hold(pool);
    return view;
}

bool fri_view_inherit(struct fri_view *to, const struct fri_view *from)
{
    const struct fri_memory *m = memory_of(from);
    const frun_policy *p = &from->policy;
    size_t n = p->limit_count, bytes = n * sizeof *p->limits;

    to->policy = *p;
    to->policy.limit_count = 0;
    to->policy.name = fri_strdup(m, p->name);
    to->policy.limits = n ? fri_alloc(m, bytes) : NULL;
    to->policy.limit_needs
        = n ? fri_alloc(m, n * sizeof *p->limit_needs) : NULL;
    if ((p->name && !to->policy.name)
        || (n && (!to->policy.limits || !to->policy.limit_needs)))
        return false;
    for (size_t i = 0; i < n; i++) {
        ((frun_limit **)(uintptr_t)to->policy.limits)[i] = p->limits[i];
        ((int *)(uintptr_t)to->policy.limit_needs)[i] = p->limit_needs[i];
        fri_handle_ref((struct fri_handle *)p->limits[i]);
    }
    to->policy.limit_count = n;
    return true;
}

struct fri_view *fri_view_copy(const struct fri_view *from, bool weak)
{
    struct fri_view *view = fri_view_new(from->pool, weak);

    if (!view)
        return NULL;
    view->plain = from->plain;
    if (fri_view_inherit(view, from))
        return view;
    fri_handle_unref(&view->handle);
    return NULL;
}
