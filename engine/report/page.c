#include "report/page.h"

#include "report/page_private.h"

#include <inttypes.h>
#include <math.h>

/* A run is so many ticks long: short tasks keep their length in a long run,
 * and most numbers are of two bytes. */
static const double run_ticks = 1 << 25;

/* ---- JSON ------------------------------------------------------------- */

static void put_quoted(struct fri_page *p, const char *text)
{
    fri_put_json(p->out, text, strlen(text));
}

/* A comma, unless it is the first. */
static void next(struct fri_page *p)
{
    uint8_t last = p->out->length > 0 ? p->out->data[p->out->length - 1] : 0;

    if (last != '{' && last != '[')
        fri_buffer_byte(p->out, ',');
}

static void field(struct fri_page *p, const char *name)
{
    next(p);
    fri_buffer_printf(p->out, "\"%s\":", name);
}

static void put_text(struct fri_page *p, const char *name, const char *text)
{
    field(p, name);
    put_quoted(p, text ? text : "");
}

static void put_count(struct fri_page *p, const char *name, uint64_t n)
{
    field(p, name);
    fri_buffer_printf(p->out, "%" PRIu64, n);
}

static void put_seconds(struct fri_page *p, const char *name, double seconds)
{
    put_count(p, name, seconds > 0 ? (uint64_t)llround(seconds * 1e9) : 0);
}

static void open_with(struct fri_page *p, const char *name, char bracket)
{
    field(p, name);
    fri_buffer_byte(p->out, (uint8_t)bracket);
}

static void close_with(struct fri_page *p, char bracket)
{
    fri_buffer_byte(p->out, (uint8_t)bracket);
}

/* ---- the run ---------------------------------------------------------- */

static void put_run(struct fri_page *p)
{
    const struct fri_record_run *run = fri_record_run(p->record);
    int i;

    open_with(p, "run", '{');
    put_text(p, "script", run->script);
    open_with(p, "words", '[');
    for (i = 0; i < run->argc; i++) {
        next(p);
        put_quoted(p, run->argv[i]);
    }
    close_with(p, ']');
    put_text(p, "version", run->version);
    put_text(p, "lua", run->lua);
    put_text(p, "host", run->host);
    put_text(p, "cause", run->cause);
    field(p, "seed"); /* too large for a number */
    fri_buffer_printf(p->out, "\"%" PRIu64 "\"", run->seed);
    put_count(p, "began", run->began > 0 ? (uint64_t)run->began : 0);
    put_count(p, "cores", run->cores);
    put_count(p, "missing", fri_record_missing(p->record));
    close_with(p, '}');
}

static const char *kind_of(frun_kind kind)
{
    return kind == FRUN_THREADS ? "threads"
           : kind == FRUN_FORKS ? "forks"
                                : "commands";
}

static void put_pools(struct fri_page *p)
{
    const struct fri_record_pool *pool;
    size_t i;

    open_with(p, "pools", '[');
    for (i = 0; i < fri_record_pools(p->record); i++) {
        pool = fri_record_pool(p->record, i);
        next(p);
        fri_buffer_byte(p->out, '{');
        put_text(p, "name", pool->name);
        put_text(p, "kind", kind_of(pool->kind));
        put_count(p, "workers", pool->workers);
        close_with(p, '}');
    }
    close_with(p, ']');
}

static void put_limits(struct fri_page *p)
{
    const struct fri_record_limit *limit;
    size_t i;

    open_with(p, "limits", '[');
    for (i = 0; i < fri_record_limits(p->record); i++) {
        limit = fri_record_limit(p->record, i);
        next(p);
        fri_buffer_byte(p->out, '{');
        put_text(p, "name", limit->name);
        put_count(p, "count", limit->count);
        put_count(p, "shared", limit->shared);
        close_with(p, '}');
    }
    close_with(p, ']');
}

/* ---- what cost the time ----------------------------------------------- */

typedef void put_words(const struct fri_costs *c, struct fri_buffer *to);

static void put_sentence(struct fri_page *p, const char *name,
                         put_words *words)
{
    p->scratch.length = 0;
    words(p->costs, &p->scratch);
    p->out->failed |= p->scratch.failed;
    field(p, name);
    fri_put_json(p->out, (char *)p->scratch.data, p->scratch.length);
}

static void put_part(struct fri_page *p, const struct fri_part *part)
{
    const struct fri_span *spans = p->costs->spans.spans;

    p->scratch.length = 0;
    fri_costs_label(p->costs, part, &p->scratch);
    p->out->failed |= p->scratch.failed;
    fri_buffer_byte(p->out, '{');
    put_count(p, "cost", part->cost);
    field(p, "label");
    fri_put_json(p->out, (char *)p->scratch.data, p->scratch.length);
    put_seconds(p, "ns", part->seconds);
    if (part->span != FRI_NO_SPAN)
        put_count(p, "row", p->place[spans[part->span].row]);
    close_with(p, '}');
}

/* The rows that were followed, the last one first. */
static void put_chain(struct fri_page *p)
{
    const struct fri_analysis *a = &p->costs->analysis;
    struct fri_column chain;
    uint32_t i;

    fri_column_init(&chain, p->memory);
    for (i = 0; i < a->chain_count; i++)
        fri_column_step(&chain,
                        p->place[p->costs->spans.spans[a->chain[i]].row]);
    put_count(p, "links", a->chain_count);
    field(p, "chain");
    fri_buffer_byte(p->out, '"');
    fri_column_put(&chain, p->out);
    fri_buffer_byte(p->out, '"');
    fri_column_free(&chain);
}

static void put_costs(struct fri_page *p)
{
    const struct fri_analysis *a = &p->costs->analysis;
    uint32_t i;

    open_with(p, "costs", '{');
    put_seconds(p, "makespan", a->makespan);
    put_seconds(p, "series", a->work);
    put_sentence(p, "advice", fri_costs_advice);
    field(p, "bound");
    put_part(p, &a->bound_by);
    open_with(p, "parts", '[');
    for (i = 0; i < a->part_count; i++) {
        next(p);
        put_part(p, &a->parts[i]);
    }
    close_with(p, ']');
    put_chain(p);
    close_with(p, '}');
}

/* ---- the rows --------------------------------------------------------- */

static void put_listed(struct fri_page *p)
{
    size_t i, length, n = p->listed.length / sizeof(uint32_t);
    const uint32_t *numbers = (void *)p->listed.data;
    const char *text;

    open_with(p, "texts", '[');
    for (i = 0; i < n; i++) {
        text = fri_record_text(p->record, numbers[i], &length);
        next(p);
        fri_put_json(p->out, text, length);
    }
    close_with(p, ']');
}

/* They are JSON already. */
static void put_made(struct fri_page *p, const char *name,
                     const struct fri_texts *texts)
{
    uint32_t i;
    size_t length;
    const char *text;

    open_with(p, name, '[');
    for (i = 1; i <= fri_texts_count(texts); i++) {
        if (i > 1)
            fri_buffer_byte(p->out, ',');
        text = fri_texts_get(texts, i, &length);
        fri_buffer_add(p->out, text, length);
    }
    close_with(p, ']');
}

/* Pool, worker and count of rows of each lane; the rest never ran. */
static void put_lanes(struct fri_page *p)
{
    const struct fri_row *row, *before = NULL;
    uint32_t i, count = 0;

    open_with(p, "lanes", '[');
    for (i = 0; i < p->count; i++, count++) {
        row = fri_record_row(p->record, p->order[i]);
        if (!(row->flags & FRI_ROW_RAN))
            break;
        if (before && before->pool == row->pool &&
            before->worker == row->worker)
            continue;
        if (before)
            fri_buffer_printf(p->out, "%u,", count);
        fri_buffer_printf(p->out, "%u,%u,", row->pool, row->worker);
        before = row;
        count = 0;
    }
    if (before)
        fri_buffer_printf(p->out, "%u", count);
    close_with(p, ']');
}

static void put_columns(struct fri_page *p)
{
    int i;

    put_count(p, "rows", p->count);
    put_count(p, "tick", (uint64_t)llround(p->tick * 1e12));
    open_with(p, "columns", '[');
    for (i = 0; i < COLUMNS; i++) {
        next(p);
        fri_buffer_byte(p->out, '"');
        fri_column_put(&p->columns[i], p->out);
        fri_buffer_byte(p->out, '"');
    }
    close_with(p, ']');
}

static void put_all(struct fri_page *p)
{
    const char *rest = fri_page_text(p->out, NULL);

    fri_buffer_byte(p->out, '{');
    put_run(p);
    put_pools(p);
    put_limits(p);
    put_costs(p);
    put_lanes(p);
    put_columns(p);
    put_listed(p);
    put_made(p, "errors", &p->errors);
    put_made(p, "needs", &p->needs);
    put_made(p, "large", &p->large);
    fri_buffer_byte(p->out, '}');
    fri_page_text(p->out, rest);
}

/* ---- the page --------------------------------------------------------- */

static void open_page(struct fri_page *p)
{
    int i;

    fri_texts_init(&p->errors, p->memory);
    fri_texts_init(&p->needs, p->memory);
    fri_texts_init(&p->large, p->memory);
    fri_buffer_init(&p->listed, p->memory);
    fri_buffer_init(&p->scratch, p->memory);
    for (i = 0; i < COLUMNS; i++)
        fri_column_init(&p->columns[i], p->memory);
}

static void close_page(struct fri_page *p)
{
    int i;

    for (i = 0; i < COLUMNS; i++)
        fri_column_free(&p->columns[i]);
    fri_texts_free(&p->errors);
    fri_texts_free(&p->needs);
    fri_texts_free(&p->large);
    fri_buffer_free(&p->listed);
    fri_buffer_free(&p->scratch);
    fri_free(p->memory, p->order);
    fri_free(p->memory, p->place);
    fri_free(p->memory, p->texts);
    fri_costs_close(p->costs);
}

/* A tick is a whole number of picoseconds, so that the page knows it too. */
static double tick_of(double makespan)
{
    double tick = floor(makespan / run_ticks * 1e12);

    return (tick > 1 ? tick : 1) / 1e12;
}

void fri_page_write(const struct fri_record *r, const struct fri_memory *m,
                    struct fri_buffer *out)
{
    struct fri_page p = { .record = r, .memory = m, .out = out };

    open_page(&p);
    p.costs = fri_costs_open(r, m);
    if (p.costs) {
        p.tick = tick_of(p.costs->analysis.makespan);
        if (fri_page_rows(&p))
            put_all(&p);
        else
            out->failed = true;
    } else {
        out->failed = true;
    }
    close_page(&p);
}
