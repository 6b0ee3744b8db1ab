#include "report/bound.h"

static void discount(struct fri_analysis *a, uint32_t resource,
                     double seconds)
{
    a->held[resource] -= seconds;
    if (a->held[resource] < 0)
        a->held[resource] = 0;
}

/* Attempts that were made again held something, too. */
static void discount_attempts(struct fri_analysis *a,
                              const struct fri_spans *s)
{
    const struct fri_spans_task *task;
    const struct fri_spans_need *need;
    uint32_t i, n;

    for (i = 0; i < s->count; i++) {
        if (!s->spans[i].again) {
            a->work += fri_span_length(&s->spans[i]);
            continue;
        }
        task = &s->tasks[s->spans[i].task];
        discount(a, s->limit_count + task->pool, fri_span_length(&s->spans[i]));
        for (n = 0; n < task->need_count; n++) {
            need = &s->needs[task->need + n];
            discount(a, need->limit,
                     fri_span_length(&s->spans[i]) * need->seats);
        }
    }
}

/* paths: of each task, the longest way through it. */
static void find_path(struct fri_analysis *a, const struct fri_spans *s,
                      double *paths)
{
    const struct fri_spans_task *task;
    double item, before;
    uint32_t i, d;

    for (i = 0; i < s->count; i++) {
        item = fri_span_length(&s->spans[i]) / s->spans[i].items;
        if (!s->spans[i].again && item > paths[s->spans[i].task])
            paths[s->spans[i].task] = item;
    }
    for (i = 0; i < s->task_count; i++) {
        task = &s->tasks[i];
        for (d = 0, before = 0; d < task->after_count; d++)
            if (paths[s->afters[task->after + d]] > before)
                before = paths[s->afters[task->after + d]];
        paths[i] += before;
        if (paths[i] > a->path)
            a->path = paths[i];
    }
}

double fri_analysis_bound(const struct fri_analysis *a,
                          const struct fri_spans *s, uint32_t resource,
                          uint32_t count, struct fri_part *by)
{
    double seconds;
    uint32_t r, there;

    *by = (struct fri_part){
        .cost = FRI_COST_PATH, .span = FRI_NO_SPAN, .seconds = a->path};
    for (r = 0; r < fri_resources(s); r++) {
        there = r < s->limit_count ? s->seats[r]
                                   : s->workers[r - s->limit_count];
        seconds = a->held[r] / (r == resource ? count : there);
        if (seconds <= by->seconds)
            continue;
        by->seconds = seconds;
        by->cost = r < s->limit_count ? FRI_COST_LIMIT : FRI_COST_WORKERS;
        by->which = r < s->limit_count ? r : r - s->limit_count;
    }
    return by->seconds;
}

bool fri_bound_find(struct fri_analysis *a, const struct fri_spans *s)
{
    double *paths = fri_alloc_zero(a->memory, sizeof *paths * s->task_count);

    if (!paths)
        return false;
    find_path(a, s, paths);
    fri_free(a->memory, paths);
    discount_attempts(a, s);
    fri_analysis_bound(a, s, FRI_NO_SPAN, 0, &a->bound_by);
    return true;
}
