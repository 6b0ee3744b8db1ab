#include "pools/view.h"

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

    fri_policy_free(m, &view->policy);
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
    return fri_policy_copy(memory_of(from), &to->policy, &from->policy);
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
