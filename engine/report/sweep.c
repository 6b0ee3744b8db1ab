#include "report/sweep.h"

#include <stdlib.h>

/* In the order in which they count where they are at the same time. */
enum { ENDS, READY, BEGINS };

/* ---- what happens ----------------------------------------------------- */

static int earlier(const void *pa, const void *pb)
{
    const struct fri_sweep_event *a = pa, *b = pb;

    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    if (a->what != b->what)
        return a->what < b->what ? -1 : 1;
    return a->span < b->span ? -1 : a->span > b->span;
}

static void add(struct fri_sweep *w, double at, uint32_t span, uint8_t what)
{
    w->events[w->count++] =
        (struct fri_sweep_event){.at = at, .span = span, .what = what};
}

static void list(struct fri_sweep *w)
{
    uint32_t i;

    for (i = 0; i < w->spans->count; i++) {
        add(w, w->spans->spans[i].ready, i, READY);
        add(w, w->spans->spans[i].started, i, BEGINS);
        add(w, w->spans->spans[i].finished, i, ENDS);
    }
    qsort(w->events, w->count, sizeof *w->events, earlier);
}

static void hold(struct fri_sweep *w, const struct fri_spans_task *task,
                 int sign)
{
    const struct fri_spans_need *need = w->spans->needs + task->need;
    uint32_t i;

    for (i = 0; i < task->need_count; i++)
        w->used[need[i].limit] += sign * (int64_t)need[i].seats;
    w->used[fri_sweep_pool(w, task)] += sign;
}

/* The event happens, or (sign -1) has not. */
static void apply(struct fri_sweep *w, const struct fri_sweep_event *e,
                  int sign)
{
    const struct fri_spans_task *task =
        &w->spans->tasks[w->spans->spans[e->span].task];

    if (e->what == READY) {
        w->queued[fri_sweep_pool(w, task)] += sign;
    } else if (e->what == BEGINS) {
        w->queued[fri_sweep_pool(w, task)] -= sign;
        hold(w, task, sign);
    } else {
        hold(w, task, -sign);
    }
}

/* ---- from the start to the end ---------------------------------------- */

static uint32_t capacity(const struct fri_sweep *w, uint32_t resource)
{
    const struct fri_spans *s = w->spans;

    return resource < s->limit_count ? s->seats[resource]
                                     : s->workers[resource - s->limit_count];
}

/* How much of the resource is in use, at most all of it. */
static double in_use(const struct fri_sweep *w, uint32_t resource)
{
    int64_t used = w->used[resource], all = capacity(w, resource);

    return (double)(used < 0 ? 0 : used < all ? used : all);
}

/* The resource was full since the span was ready. */
static bool stood_in_the_way(const struct fri_sweep *w, uint32_t resource,
                             const struct fri_span *span)
{
    return w->full[resource].last > span->ready;
}

/* Of a span that begins now: what it has queued for. */
static uint32_t queued_for(const struct fri_sweep *w,
                           const struct fri_span *span)
{
    const struct fri_spans_task *task = &w->spans->tasks[span->task];
    const struct fri_spans_need *need = w->spans->needs + task->need;
    uint32_t i, r, found = fri_sweep_pool(w, task);

    if (span->started - span->ready <= FRI_QUEUED)
        return FRI_NO_SPAN;
    if (!stood_in_the_way(w, found, span))
        found = FRI_NO_SPAN;
    for (i = 0; i < task->need_count; i++) {
        r = need[i].limit;
        if (stood_in_the_way(w, r, span) &&
            (found == FRI_NO_SPAN ||
             w->full[r].last >= w->full[found].last))
            found = r;
    }
    return found;
}

/* A stretch in which the use of all was the same. */
static void note_stretch(struct fri_sweep *w, double seconds, double until,
                         double *held)
{
    uint32_t r, n = w->spans->limit_count + w->spans->pool_count;

    for (r = 0; seconds > 0 && r < n; r++) {
        held[r] += seconds * in_use(w, r);
        if (in_use(w, r) + w->full[r].need > capacity(w, r))
            w->full[r].last = until;
    }
}

/* The most of a resource that a task needs at once: less than that is left
 * over when it is full. */
static void find_needs(struct fri_sweep *w)
{
    const struct fri_spans_need *need;
    uint32_t i, n, resources = w->spans->limit_count + w->spans->pool_count;

    for (i = 0; i < resources; i++)
        w->full[i] = (struct fri_sweep_full){ .last = -1, .need = 1 };
    for (i = 0; i < w->spans->task_count; i++) {
        need = w->spans->needs + w->spans->tasks[i].need;
        for (n = 0; n < w->spans->tasks[i].need_count; n++)
            if (need[n].seats > w->full[need[n].limit].need)
                w->full[need[n].limit].need = need[n].seats;
    }
}

static void forward(struct fri_sweep *w, double *held)
{
    const struct fri_sweep_event *e;
    double at = 0;

    for (w->next = 0; w->next < w->count; w->next++) {
        e = &w->events[w->next];
        note_stretch(w, e->at - at, e->at, held);
        at = e->at;
        if (e->what == BEGINS)
            w->resource[e->span] = queued_for(w, &w->spans->spans[e->span]);
        apply(w, e, 1);
    }
}

/* ---- back ------------------------------------------------------------- */

double fri_sweep_back(struct fri_sweep *w, double at)
{
    while (w->next > 0 && w->events[w->next - 1].at >= at)
        apply(w, &w->events[--w->next], -1);
    return w->next > 0 ? w->events[w->next - 1].at : 0;
}

double fri_sweep_share(const struct fri_sweep *w, uint32_t resource)
{
    return in_use(w, resource) / capacity(w, resource);
}

uint32_t fri_sweep_fullest(const struct fri_sweep *w,
                           const struct fri_spans_task *task, double *share)
{
    const struct fri_spans_need *need = w->spans->needs + task->need;
    uint32_t i, fullest = fri_sweep_pool(w, task);
    double full;

    *share = fri_sweep_share(w, fullest);
    for (i = 0; i < task->need_count; i++) {
        full = fri_sweep_share(w, need[i].limit);
        if (in_use(w, need[i].limit) + need[i].seats >
            capacity(w, need[i].limit))
            full = 1;
        if (full > *share
            || (full >= *share && fullest >= w->spans->limit_count)) {
            fullest = need[i].limit;
            *share = full;
        }
    }
    return fullest;
}

bool fri_sweep_open(struct fri_sweep *w, const struct fri_spans *s,
                    double *held, const struct fri_memory *m)
{
    size_t resources = (size_t)s->limit_count + s->pool_count;

    *w = (struct fri_sweep){.spans = s, .memory = m};
    w->events = fri_alloc(m, 3 * sizeof *w->events * s->count);
    w->used = fri_alloc_zero(m, sizeof *w->used * resources);
    w->queued = fri_alloc_zero(m, sizeof *w->queued * resources);
    w->resource = fri_alloc(m, sizeof *w->resource * s->count);
    w->full = fri_alloc(m, sizeof *w->full * resources);
    if (!w->events || !w->used || !w->queued || !w->resource || !w->full)
        goto fail;
    list(w);
    find_needs(w);
    forward(w, held);
    return true;
fail:
    fri_sweep_close(w);
    return false;
}

void fri_sweep_close(struct fri_sweep *w)
{
    fri_free(w->memory, w->events);
    fri_free(w->memory, w->used);
    fri_free(w->memory, w->queued);
    fri_free(w->memory, w->resource);
    fri_free(w->memory, w->full);
    *w = (struct fri_sweep){.memory = w->memory};
}
