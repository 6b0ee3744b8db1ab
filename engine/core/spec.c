/*
 * spec.c - what the tasks of one call have in common.
 *
 * A spec holds its lane (and so its pool) and its limits; tasks hold their
 * spec.
 */
#include "core/scheduler.h"

/* A limit that is named twice has one need, of both together. */
static struct fri_need *need_of(struct fri_spec *spec, struct fri_limit *limit)
{
    for (size_t i = 0; i < spec->need_count; i++)
        if (spec->needs[i].limit == limit)
            return &spec->needs[i];
    fri_handle_ref(&limit->handle);
    spec->needs[spec->need_count] = (struct fri_need){ .limit = limit };
    return &spec->needs[spec->need_count++];
}

static bool copy_needs(struct fri_spec *spec, const struct fri_memory *m,
                       const frun_policy *p)
{
    if (p->limit_count == 0)
        return true;
    spec->needs = fri_alloc(m, p->limit_count * sizeof *spec->needs);
    if (!spec->needs)
        return false;
    for (size_t i = 0; i < p->limit_count; i++) {
        struct fri_limit *limit = (struct fri_limit *)p->limits[i];
        int count = p->limit_needs ? p->limit_needs[i] : 1;

        need_of(spec, limit)->count += (unsigned)count;
    }
    return true;
}

static bool copy_policy(struct fri_spec *spec, const struct fri_memory *m,
                        const frun_policy *p)
{
    spec->user = p->user;
    spec->priority = p->priority;
    spec->timeout = p->timeout;
    spec->backoff = p->backoff;
    spec->memory = p->memory;
    spec->retries = p->retries;
    spec->retry_on = p->retry_on;
    spec->chunk = p->chunk;
    spec->name = fri_strdup(m, p->name);
    return (spec->name || !p->name) && copy_needs(spec, m, p);
}

struct fri_spec *fri_spec_new(struct fri_lane *lane, const frun_policy *p)
{
    const struct fri_memory *m = lane->sched->memory;
    struct fri_spec *spec = fri_alloc_zero(m, sizeof *spec);

    if (!spec)
        return NULL;
    atomic_init(&spec->refs, 1);
    spec->lane = lane;
    if (lane->hooks && lane->hooks->hold)
        lane->hooks->hold(lane);
    if (!p || copy_policy(spec, m, p))
        return spec;
    fri_spec_unref(spec);
    return NULL;
}

void fri_spec_unref(struct fri_spec *spec)
{
    const struct fri_memory *m;
    struct fri_lane *lane;

    if (!spec
        || atomic_fetch_sub_explicit(&spec->refs, 1, memory_order_acq_rel) > 1)
        return;
    lane = spec->lane;
    m = lane->sched->memory;
    for (size_t i = 0; i < spec->need_count; i++)
        fri_handle_unref(&spec->needs[i].limit->handle);
    if (spec->script_free)
        spec->script_free(spec->script);
    fri_free(m, spec->needs);
    fri_free(m, spec->name);
    fri_free(m, spec);
    if (lane->hooks && lane->hooks->release)
        lane->hooks->release(lane);
}
