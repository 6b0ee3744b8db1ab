/*
 * trace.c - the format that chrome://tracing and ui.perfetto.dev read.
 *
 * A pool is a process, a worker a thread.  The viewers want the slices of a
 * track to be nested or apart.  A task that waits lets others run in its
 * worker, and need not end after them: what overlaps goes to a second track
 * of that worker, and so on.
 */
#include "report/report.h"

#include <stdlib.h>

enum { DEPTH = 64 };
/* Clocks are read by two processes: less than this is no overlap. */
static const double NEAR = 1e-3;

struct slice {
    double start, end;
    uint32_t row;
    uint16_t pool, worker, track;
};

/* What is open on a track, ends from the outermost. */
struct track {
    double ends[DEPTH];
    unsigned depth;
    uint16_t pool, worker;
};

struct trace {
    const struct fri_record *record;
    struct fri_buffer *out;
    struct slice *slices;
    size_t count;
    struct track *tracks; /* of the worker at hand */
    size_t track_count, track_capacity;
    bool any;
};

/* ---- nesting ---------------------------------------------------------- */

static int compare(const void *a, const void *b)
{
    const struct slice *x = a, *y = b;

    if (x->pool != y->pool)
        return x->pool < y->pool ? -1 : 1;
    if (x->worker != y->worker)
        return x->worker < y->worker ? -1 : 1;
    if (x->start < y->start || x->start > y->start)
        return x->start < y->start ? -1 : 1;
    return x->end > y->end ? -1 : x->end < y->end;
}

static bool fits(struct track *t, struct slice *s)
{
    while (t->depth > 0 && t->ends[t->depth - 1] <= s->start)
        t->depth--;
    if (t->depth == 0 || s->end <= t->ends[t->depth - 1])
        return t->depth < DEPTH;
    if (t->ends[t->depth - 1] - s->start > NEAR)
        return false;
    s->start = t->ends[--t->depth]; /* begins where that one ends */
    return fits(t, s);
}

static bool add_track(struct trace *t)
{
    size_t want = t->track_capacity ? t->track_capacity * 2 : 4;
    struct track *tracks;

    if (t->track_count == t->track_capacity) {
        tracks = realloc(t->tracks, want * sizeof *tracks);
        if (!tracks)
            return false;
        t->tracks = tracks;
        t->track_capacity = want;
    }
    t->tracks[t->track_count++].depth = 0;
    return true;
}

static void place(struct trace *t, struct slice *s)
{
    size_t i = 0;

    while (i < t->track_count && !fits(&t->tracks[i], s))
        i++;
    if (i == t->track_count && !add_track(t)) {
        t->out->failed = true;
        return;
    }
    t->tracks[i].ends[t->tracks[i].depth++] = s->end;
    s->track = (uint16_t)i;
}

/* ---- events ----------------------------------------------------------- */

/* Microseconds, to the nanosecond, without printf's comma. */
static void put_us(struct fri_buffer *out, double seconds)
{
    long long ns = (long long)(seconds * 1e9 + 0.5);

    fri_buffer_printf(out, "%lld.%03lld", ns / 1000, ns % 1000);
}

/* "{"ph":"X","pid":1,"tid":2": the caller goes on. */
static void begin(struct trace *t, char phase, unsigned pool, unsigned track)
{
    fri_buffer_printf(t->out, "%s{\"ph\":\"%c\",\"pid\":%u,\"tid\":%u",
                      t->any ? ",\n" : "\n", phase, pool + 1, track);
    t->any = true;
}

static unsigned track_of(const struct slice *s)
{
    return s->worker + s->track * 10000u;
}

static void put_title(struct trace *t, unsigned pool, unsigned track,
                      const char *what, const char *text, size_t length)
{
    begin(t, 'M', pool, track);
    fri_buffer_printf(t->out, ",\"name\":\"%s\",\"args\":{\"name\":", what);
    fri_put_json(t->out, text, length);
    fri_buffer_text(t->out, "}}");
}

static void put_pools(struct trace *t)
{
    for (size_t i = 0; i < fri_record_pools(t->record); i++) {
        const char *name = fri_record_pool(t->record, i)->name;

        put_title(t, (unsigned)i, 0, "process_name", name, strlen(name));
    }
}

static void put_track(struct trace *t, const struct slice *s)
{
    struct fri_buffer b;

    fri_buffer_init(&b, NULL);
    fri_buffer_printf(&b, "worker %u", s->worker);
    if (s->track > 0)
        fri_buffer_printf(&b, " (%u)", s->track + 1u);
    if (b.failed)
        t->out->failed = true;
    else
        put_title(t, s->pool, track_of(s), "thread_name", (char *)b.data,
                  b.length);
    fri_buffer_free(&b);
}

static void put_slice(struct trace *t, const struct slice *s)
{
    const struct fri_row *row = fri_record_row(t->record, s->row);
    const char *kind = fri_row_kind(t->record, row);

    begin(t, 'X', s->pool, track_of(s));
    fri_buffer_text(t->out, ",\"ts\":");
    put_us(t->out, s->start);
    fri_buffer_text(t->out, ",\"dur\":");
    put_us(t->out, s->end - s->start);
    fri_buffer_text(t->out, ",\"name\":");
    fri_put_row_name(t->record, row, t->out, fri_put_json);
    fri_buffer_printf(t->out,
                      ",\"cat\":\"%s\",\"args\":{\"id\":%llu,"
                      "\"attempt\":%u,\"items\":%u,\"queued\":",
                      row->kind == FRI_ROW_TRY ? "retried"
                                               : fri_row_state(row),
                      (unsigned long long)row->id, row->attempt, row->items);
    fri_put_seconds(t->out, row->started - row->ready);
    if (row->state == FRI_FAILED)
        fri_buffer_printf(t->out, ",\"kind\":\"%s\",\"cname\":\"terrible\"",
                          kind);
    fri_buffer_text(t->out, "}}");
}

/* ---- dependencies ----------------------------------------------------- */

static void put_point(struct trace *t, const struct slice *s, char phase,
                      uint64_t id, double at)
{
    begin(t, phase, s->pool, track_of(s));
    fri_buffer_printf(t->out, ",\"id\":%llu,\"name\":\"after\","
                              "\"cat\":\"after\",\"bp\":\"e\",\"ts\":",
                      (unsigned long long)id);
    put_us(t->out, at);
    fri_buffer_byte(t->out, '}');
}

/* An arrow has its begin and end within the slices. */
static void put_arrows(struct trace *t, const struct slice *s,
                       const struct slice *const *by_row,
                       const uint32_t *by_id, uint64_t *arrows)
{
    size_t n;
    const struct fri_row *row = fri_record_row(t->record, s->row);
    const uint64_t *after = fri_record_after(t->record, row->after, &n);

    for (size_t i = 0; i < n && row->kind != FRI_ROW_TRY; i++) {
        const struct slice *from = NULL;
        size_t other;

        if (fri_row_find(t->record, by_id, after[i], &other))
            from = by_row[other];
        if (!from)
            continue;
        put_point(t, from, 's', ++*arrows,
                  from->start + (from->end - from->start) * 0.999);
        put_point(t, s, 'f', *arrows, s->start);
    }
}

static void put_all_arrows(struct trace *t)
{
    uint32_t *by_id = fri_rows_by_id(t->record);
    const struct slice **by_row
        = calloc(fri_record_count(t->record) + 1, sizeof *by_row);
    uint64_t arrows = 0;

    for (size_t i = 0; by_row && i < t->count; i++)
        by_row[t->slices[i].row] = &t->slices[i];
    for (size_t i = 0; by_id && by_row && i < t->count; i++)
        put_arrows(t, &t->slices[i], by_row, by_id, &arrows);
    if (!by_id || !by_row)
        t->out->failed = true;
    free(by_id);
    free(by_row);
}

/* ---- the whole -------------------------------------------------------- */

static void collect(struct trace *t)
{
    size_t n = fri_record_count(t->record);

    t->slices = malloc((n + 1) * sizeof *t->slices);
    for (size_t i = 0; t->slices && i < n; i++) {
        const struct fri_row *row = fri_record_row(t->record, i);

        if ((row->flags & FRI_ROW_RAN) && row->kind != FRI_ROW_MAP)
            t->slices[t->count++] = (struct slice){
                .start = row->started, .end = row->finished,
                .row = (uint32_t)i, .pool = row->pool, .worker = row->worker,
            };
    }
    if (t->slices)
        qsort(t->slices, t->count, sizeof *t->slices, compare);
    else
        t->out->failed = true;
}

static void put_slices(struct trace *t)
{
    for (size_t i = 0; i < t->count; i++) {
        struct slice *s = &t->slices[i];
        size_t before;

        if (i == 0 || s->pool != s[-1].pool || s->worker != s[-1].worker)
            t->track_count = 0;
        before = t->track_count;
        place(t, s);
        if (t->track_count > before)
            put_track(t, s);
        put_slice(t, s);
    }
}

void fri_put_trace(const struct fri_record *r, struct fri_buffer *out)
{
    struct trace t = { .record = r, .out = out };
    const struct fri_record_run *run
        = fri_record_run(r);

    collect(&t);
    fri_buffer_text(out, "{\"displayTimeUnit\":\"ms\",\"otherData\":{"
                         "\"script\":");
    fri_put_json(out, run->script ? run->script : "",
                 run->script ? strlen(run->script) : 0);
    fri_buffer_printf(out, ",\"missing\":\"%llu\"},\"traceEvents\":[",
                      (unsigned long long)fri_record_missing(r));
    put_pools(&t);
    put_slices(&t);
    put_all_arrows(&t);
    fri_buffer_text(out, "\n]}\n");
    free(t.slices);
    free(t.tracks);
}
