/*
 * tables.c - what the rows of a record refer to by number.
 */
#include "report/record_private.h"

#include <stdio.h>

struct seen_pool {
    const struct fri_lane *lane; /* may be gone: only compared */
    uint16_t number;
};

/* True: it was added; a failure is not kept, since memory may come back. */
bool fri_record_add(struct fri_buffer *b, const void *bytes, size_t length)
{
    fri_buffer_add(b, bytes, length);
    if (!b->failed)
        return true;
    b->failed = false;
    return false;
}

double fri_record_seconds(const struct fri_record *r, fri_time at)
{
    return at > r->epoch ? fri_seconds(at - r->epoch) : 0;
}

uint32_t fri_record_intern(struct fri_record *r, const char *bytes)
{
    return bytes ? fri_texts_add(&r->texts, bytes, strlen(bytes)) : 0;
}

static frun_kind kind_of(const struct fri_record *r,
                         const struct fri_lane *lane, unsigned *workers)
{
    frun_kind kind = FRUN_THREADS;

    *workers = lane->workers;
    for (const frun_pool *p = r->engine->pools; p; p = p->next)
        if (&p->lane == lane) {
            kind = p->ops->kind;
            *workers = p->workers;
        }
    return kind;
}

static uint16_t add_pool(struct fri_record *r, const struct fri_lane *lane)
{
    struct fri_record_pool pool = { NULL, FRUN_THREADS, 0 };
    size_t n = r->pools.length / sizeof pool;
    struct seen_pool seen = { lane, (uint16_t)n };

    pool.kind = kind_of(r, lane, &pool.workers);
    pool.name = fri_strdup(r->memory, lane->name ? lane->name : "pool");
    if (pool.name && n < UINT16_MAX
        && fri_record_add(&r->pools, &pool, sizeof pool)) {
        fri_record_add(&r->lanes, &seen, sizeof seen);
        return (uint16_t)n;
    }
    fri_free(r->memory, pool.name);
    return 0;
}

/* A new pool may stand where an old one was: its name tells. */
static uint16_t pool_of(struct fri_record *r, const struct fri_lane *lane)
{
    const struct seen_pool *seen = (void *)r->lanes.data;
    const struct fri_record_pool *pools = (void *)r->pools.data;

    for (size_t i = r->lanes.length / sizeof *seen; i > 0; i--)
        if (seen[i - 1].lane == lane && lane->name
            && strcmp(pools[seen[i - 1].number].name, lane->name) == 0)
            return seen[i - 1].number;
    return add_pool(r, lane);
}

static uint32_t limit_of(struct fri_record *r, struct fri_limit *limit)
{
    struct fri_limit *const *held = (void *)r->held.data;
    size_t n = r->held.length / sizeof(void *);
    struct fri_record_limit entry = { NULL, limit->count,
                                      limit->shared != NULL };
    char name[32];

    for (size_t i = 0; i < n; i++)
        if (held[i] == limit)
            return (uint32_t)i;
    snprintf(name, sizeof name, "limit %zu", n + 1);
    entry.name = fri_strdup(r->memory, limit->name ? limit->name : name);
    if (!entry.name || !fri_record_add(&r->limits, &entry, sizeof entry)) {
        fri_free(r->memory, entry.name);
        return UINT32_MAX;
    }
    if (!fri_record_add(&r->held, &limit, sizeof(void *))) {
        r->limits.length -= sizeof entry;
        fri_free(r->memory, entry.name);
        return UINT32_MAX;
    }
    fri_handle_ref(&limit->handle);
    return (uint32_t)n;
}

static uint32_t needs_of(struct fri_record *r, const struct fri_spec *spec)
{
    size_t start = r->needs.length;
    uint32_t count = (uint32_t)spec->need_count;
    bool fine = count > 0 && fri_record_add(&r->needs, &count, sizeof count);

    for (uint32_t i = 0; fine && i < count; i++) {
        uint32_t pair[2] = { limit_of(r, spec->needs[i].limit),
                             spec->needs[i].count };

        fine = pair[0] != UINT32_MAX
               && fri_record_add(&r->needs, pair, sizeof pair);
    }
    if (fine)
        return (uint32_t)(start / sizeof count);
    r->needs.length = start;
    return 0;
}

const struct fri_common *fri_record_common(struct fri_record *r,
                                           const struct fri_spec *spec)
{
    if (r->last.spec == spec->id)
        return &r->last;
    r->last = (struct fri_common){ .spec = spec->id };
    r->last.group = fri_record_intern(r, spec->name);
    r->last.pool = pool_of(r, spec->lane);
    r->last.needs = spec->need_count > 0 ? needs_of(r, spec) : 0;
    return &r->last;
}

uint32_t fri_record_keep(struct fri_record *r, const struct fri_error *error)
{
    struct fri_error *e = (struct fri_error *)(uintptr_t)error;

    if (!fri_record_add(&r->errors, &e, sizeof(void *)))
        return 0;
    if (e)
        fri_error_ref(e);
    return (uint32_t)(r->errors.length / sizeof(void *));
}
