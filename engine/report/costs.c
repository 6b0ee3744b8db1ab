#include "report/costs.h"

#include <stdlib.h>

/* ---- the spans of a record -------------------------------------------- */

static bool ran(const struct fri_row *row)
{
    return (row->flags & FRI_ROW_RAN) && row->kind != FRI_ROW_MAP;
}

static int by_number(const void *pa, const void *pb)
{
    uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

    return a < b ? -1 : a > b;
}

static int by_end(const void *pa, const void *pb)
{
    const struct fri_span *a = pa, *b = pb;

    if (a->finished != b->finished)
        return a->finished < b->finished ? -1 : 1;
    if (a->started != b->started)
        return a->started < b->started ? -1 : 1;
    return a->task < b->task ? -1 : a->task > b->task;
}

/* The ids of all tasks, ascending, each once; their count. */
static uint32_t list_ids(struct fri_costs *c, size_t rows)
{
    size_t i, n = 0;

    for (i = 0; i < rows; i++)
        c->ids[i] = fri_record_row(c->record, i)->id;
    qsort(c->ids, rows, sizeof *c->ids, by_number);
    for (i = 0; i < rows; i++)
        if (n == 0 || c->ids[i] != c->ids[n - 1])
            c->ids[n++] = c->ids[i];
    return (uint32_t)n;
}

/* The number of the task with that id, or FRI_NO_SPAN. */
static uint32_t task_number(const struct fri_costs *c, uint64_t id)
{
    const uint64_t *found = bsearch(&id, c->ids, c->spans.task_count,
                                    sizeof id, by_number);

    return found ? (uint32_t)(found - c->ids) : FRI_NO_SPAN;
}

static void note_afters(struct fri_costs *c, struct fri_spans_task *task,
                        uint32_t self, uint32_t after)
{
    size_t n, i;
    const uint64_t *ids = fri_record_after(c->record, after, &n);

    task->after = (uint32_t)(c->afters.length / sizeof(uint32_t));
    task->after_count = 0;
    for (i = 0; i < n; i++) {
        uint32_t number = task_number(c, ids[i]);

        if (number >= self) /* not of this run */
            continue;
        fri_buffer_add(&c->afters, &number, sizeof number);
        task->after_count++;
    }
}

static void note_needs(struct fri_costs *c, struct fri_spans_task *task,
                       uint32_t needs)
{
    size_t pairs, i;
    const uint32_t *pair = fri_record_needs(c->record, needs, &pairs);

    task->need = (uint32_t)(c->needs.length / sizeof(struct fri_spans_need));
    task->need_count = (uint32_t)pairs;
    for (i = 0; i < pairs; i++) {
        struct fri_spans_need need = { pair[2 * i], pair[2 * i + 1] };

        fri_buffer_add(&c->needs, &need, sizeof need);
    }
}

/* Rows of the same task say the same. */
static void note_task(struct fri_costs *c, uint32_t number,
                      const struct fri_row *row)
{
    struct fri_spans_task *task = &c->task[number];

    task->submitted = row->submitted;
    task->pool = row->pool;
    task->group = row->group ? row->group : row->name;
    if (row->after && task->after_count == 0)
        note_afters(c, task, number, row->after);
    if (row->needs && task->need_count == 0)
        note_needs(c, task, row->needs);
}

static void note_span(struct fri_costs *c, size_t i, uint32_t number,
                      const struct fri_row *row)
{
    c->span[c->spans.count++] = (struct fri_span){
        .ready = row->ready,
        .started = row->started,
        .finished = row->finished,
        .task = number,
        .items = row->items ? row->items : 1,
        .row = (uint32_t)i,
        .again = row->kind == FRI_ROW_TRY,
    };
}

static void note_rows(struct fri_costs *c, size_t rows)
{
    const struct fri_row *row;
    uint32_t number;
    size_t i;

    for (i = 0; i < rows; i++) {
        row = fri_record_row(c->record, i);
        number = task_number(c, row->id);
        note_task(c, number, row);
        if (ran(row))
            note_span(c, i, number, row);
    }
    qsort(c->span, c->spans.count, sizeof *c->span, by_end);
}

static void note_resources(struct fri_costs *c)
{
    uint32_t i;

    for (i = 0; i < c->spans.pool_count; i++)
        c->workers[i] = fri_record_pool(c->record, i)->workers;
    for (i = 0; i < c->spans.limit_count; i++)
        c->seats[i] = fri_record_limit(c->record, i)->count;
}

/* A resource of none could not have been used. */
static void at_least_one(uint32_t *counts, uint32_t n)
{
    uint32_t i;

    for (i = 0; i < n; i++)
        if (counts[i] == 0)
            counts[i] = 1;
}

static void bind(struct fri_costs *c)
{
    c->spans.spans = c->span;
    c->spans.tasks = c->task;
    c->spans.afters = (const uint32_t *)(void *)c->afters.data;
    c->spans.needs = (const struct fri_spans_need *)(void *)c->needs.data;
    c->spans.workers = c->workers;
    c->spans.seats = c->seats;
    c->spans.group_count = (uint32_t)fri_record_texts(c->record) + 1;
}

static bool make_room(struct fri_costs *c, size_t rows)
{
    const struct fri_memory *m = c->memory;

    c->spans.pool_count = (uint32_t)fri_record_pools(c->record);
    c->spans.limit_count = (uint32_t)fri_record_limits(c->record);
    c->ids = fri_alloc(m, sizeof *c->ids * rows);
    c->span = fri_alloc(m, sizeof *c->span * rows);
    c->task = fri_alloc_zero(m, sizeof *c->task * rows);
    c->workers = fri_alloc(m, sizeof *c->workers * c->spans.pool_count);
    c->seats = fri_alloc(m, sizeof *c->seats * c->spans.limit_count);
    return c->ids && c->span && c->task && c->workers && c->seats;
}

static bool build(struct fri_costs *c)
{
    size_t rows = fri_record_count(c->record);

    if (!make_room(c, rows))
        return false;
    c->spans.task_count = list_ids(c, rows);
    note_rows(c, rows);
    note_resources(c);
    at_least_one(c->workers, c->spans.pool_count);
    at_least_one(c->seats, c->spans.limit_count);
    bind(c);
    return !c->afters.failed && !c->needs.failed;
}

struct fri_costs *fri_costs_open(const struct fri_record *r,
                                 const struct fri_memory *m)
{
    struct fri_costs *c = fri_alloc_zero(m, sizeof *c);

    if (!c)
        return NULL;
    c->record = r;
    c->memory = c->analysis.memory = m;
    fri_buffer_init(&c->afters, m);
    fri_buffer_init(&c->needs, m);
    c->spans.ended = fri_record_run(r)->ended;
    if (!build(c) || !fri_analysis_make(&c->analysis, &c->spans, m))
        goto fail;
    return c;
fail:
    fri_costs_close(c);
    return NULL;
}

void fri_costs_close(struct fri_costs *c)
{
    if (!c)
        return;
    fri_analysis_free(&c->analysis);
    fri_buffer_free(&c->afters);
    fri_buffer_free(&c->needs);
    fri_free(c->memory, c->ids);
    fri_free(c->memory, c->span);
    fri_free(c->memory, c->task);
    fri_free(c->memory, c->workers);
    fri_free(c->memory, c->seats);
    fri_free(c->memory, c);
}
