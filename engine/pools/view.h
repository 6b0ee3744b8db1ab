/*
 * view.h - a pool with a policy: what a pool is to a script, and travels.
 *
 * A view holds its pool, so that it does not end; a weak one, in the states
 * of the pool's own workers, only keeps the memory.
 */
#ifndef FRI_VIEW_H
#define FRI_VIEW_H

#include "pools/pool.h"

struct fri_view {
    struct fri_handle handle; /* FRI_HANDLE_POOL */
    frun_pool *pool;          /* held */
    frun_policy policy;       /* texts and lists are this one's */
    bool plain;               /* made without `with` */
    bool weak;                /* does not hold the pool */
};

/* One reference, the caller's; NULL: out of memory. */
struct fri_view *fri_view_new(frun_pool *pool, bool weak);
struct fri_view *fri_view_copy(const struct fri_view *from, bool weak);

/* Takes over the policy of another; false: out of memory. */
bool fri_view_inherit(struct fri_view *to, const struct fri_view *from);

#endif
