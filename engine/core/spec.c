/*
 * spec.c - what the tasks of one call have in common.
 *
 * A spec holds its lane (and so its pool) and its limits; tasks hold their
 * spec.
 */
#include "core/halt.h"
#include "core/resume.h"
#include "core/scheduler.h"

#include <string.h>

/* Shared limits are taken in the order of their names: see sharing.c. */
static void sort_shared(struct fri_spec *spec)
{
    for (size_t i = 1; i < spec->need_count; i++) {
        struct fri_need need = spec->needs[i];
        size_t k = i;

        for (; k > 0 && need.limit->shared; k--) {
            const struct fri_limit *before = spec->needs[k - 1].limit;

            if (before->shared
                && strcmp(before->name, need.limit->name) <= 0)
                break;
            spec->needs[k] = spec->needs[k - 1];
        }
        spec->needs[k] = need;
    }
}

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
    sort_shared(spec);
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

void fri_policy_free(const struct fri_memory *m, frun_policy *policy)
{
    for (size_t i = 0; i < policy->limit_count; i++)
        fri_handle_unref((struct fri_handle *)policy->limits[i]);
    fri_free(m, (void *)(uintptr_t)policy->limits);
    fri_free(m, (void *)(uintptr_t)policy->limit_needs);
    fri_free(m, (void *)(uintptr_t)policy->name);
    fri_free(m, (void *)(uintptr_t)policy->halt);
    fri_free(m, (void *)(uintptr_t)policy->version);
}

static bool copy_limits(const struct fri_memory *m, frun_policy *to,
                        const frun_policy *from)
{
    size_t n = from->limit_count;
    frun_limit **limits = fri_alloc(m, n * sizeof *limits);
    int *needs = fri_alloc(m, n * sizeof *needs);

    to->limits = limits;
    to->limit_needs = needs;
    if (!limits || !needs)
        return false;
    for (size_t i = 0; i < n; i++) {
        limits[i] = from->limits[i];
        needs[i] = from->limit_needs ? from->limit_needs[i] : 1;
        fri_handle_ref((struct fri_handle *)limits[i]);
    }
    to->limit_count = n;
    return true;
}

bool fri_policy_copy(const struct fri_memory *m, frun_policy *to,
                     const frun_policy *from)
{
    *to = *from;
    to->limits = NULL;
    to->limit_needs = NULL;
    to->limit_count = to->after_count = 0;
    to->after = NULL;
    to->name = fri_strdup(m, from->name);
    to->halt = fri_strdup(m, from->halt);
    to->version = fri_strdup(m, from->version);
    return (to->name || !from->name) && (to->halt || !from->halt)
           && (to->version || !from->version)
           && (from->limit_count == 0 || copy_limits(m, to, from));
}

static bool keep_asked(struct fri_spec *spec, const struct fri_memory *m,
                       const frun_policy *p)
{
    spec->asked = fri_alloc_zero(m, sizeof *spec->asked);
    spec->name = fri_strdup(m, p->name);
    return spec->asked && (spec->name || !p->name)
           && fri_policy_copy(m, spec->asked, p);
}

struct fri_spec *fri_spec_new(struct fri_lane *lane, const frun_policy *p)
{
    const struct fri_memory *m = lane->sched->memory;
    struct fri_spec *spec = fri_alloc_zero(m, sizeof *spec);

    if (!spec)
        return NULL;
    atomic_init(&spec->refs, 1);
    spec->lane = lane;
    spec->id = 1 + atomic_fetch_add_explicit(&lane->sched->last_spec, 1,
                                             memory_order_relaxed);
    if (lane->hooks && lane->hooks->hold)
        lane->hooks->hold(lane);
    if (!p
        || (lane->remote ? keep_asked(spec, m, p) : copy_policy(spec, m, p)))
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
    if (spec->asked)
        fri_policy_free(m, spec->asked);
    fri_free(m, spec->asked);
    fri_group_unref(spec->group);
    fri_resume_free(m, spec->resume);
    fri_free(m, spec->needs);
    fri_free(m, spec->name);
    fri_free(m, spec);
    if (lane->hooks && lane->hooks->release)
        lane->hooks->release(lane);
}
