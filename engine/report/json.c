/*
 * json.c - the run as one JSON object: what any program can read.
 */
#include "report/report.h"

static void put_text(struct fri_buffer *out, const char *text)
{
    if (text)
        fri_put_json(out, text, strlen(text));
    else
        fri_buffer_text(out, "null");
}

static void put_field(struct fri_buffer *out, const char *name,
                      const char *text)
{
    fri_buffer_printf(out, "\"%s\":", name);
    put_text(out, text);
    fri_buffer_byte(out, ',');
}

static void put_seconds(struct fri_buffer *out, const char *name,
                        double seconds)
{
    fri_buffer_printf(out, "\"%s\":", name);
    fri_put_seconds(out, seconds);
    fri_buffer_byte(out, ',');
}

static void end(struct fri_buffer *out, char open, char close)
{
    if (out->length > 0 && out->data[out->length - 1] == ',')
        out->length--;
    else if (out->length > 0 && out->data[out->length - 1] != open)
        return;
    fri_buffer_byte(out, (uint8_t)close);
}

/* ---- the run ---------------------------------------------------------- */

static void put_run(const struct fri_record *r, struct fri_buffer *out)
{
    const struct fri_record_run *run
        = fri_record_run(r);

    fri_buffer_text(out, "\"run\":{");
    put_field(out, "script", run->script);
    fri_buffer_text(out, "\"arguments\":[");
    for (int i = 0; i < run->argc; i++) {
        put_text(out, run->argv[i]);
        fri_buffer_byte(out, ',');
    }
    end(out, '[', ']');
    /* As text: a program's numbers may have 53 bits. */
    fri_buffer_printf(out, ",\"seed\":\"%llu\",",
                      (unsigned long long)run->seed);
    put_field(out, "version", run->version);
    put_field(out, "lua", run->lua);
    put_field(out, "host", run->host);
    fri_buffer_text(out, "\"began\":\"");
    fri_put_date(out, run->began);
    fri_buffer_text(out, "\",");
    put_seconds(out, "seconds", run->ended);
    fri_buffer_printf(out, "\"cores\":%u,", run->cores);
    put_field(out, "ended_by", run->cause);
    end(out, '{', '}');
}

static void put_totals(const struct fri_record *r, struct fri_buffer *out)
{
    struct fri_totals t;

    fri_record_totals(r, &t);
    fri_buffer_printf(out,
                      "\"totals\":{\"done\":%llu,\"failed\":%llu,"
                      "\"cancelled\":%llu,\"retried\":%llu,",
                      (unsigned long long)t.done,
                      (unsigned long long)t.failed,
                      (unsigned long long)t.cancelled,
                      (unsigned long long)t.retried);
    put_seconds(out, "seconds_in_series", t.series);
    fri_buffer_printf(out, "\"missing\":%llu,",
                      (unsigned long long)fri_record_missing(r));
    end(out, '{', '}');
}

static const char *kind_text(frun_kind kind)
{
    return kind == FRUN_THREADS ? "threads"
           : kind == FRUN_FORKS ? "forks"
                                : "commands";
}

static void put_pools(const struct fri_record *r, struct fri_buffer *out)
{
    fri_buffer_text(out, "\"pools\":[");
    for (size_t i = 0; i < fri_record_pools(r); i++) {
        const struct fri_record_pool *p = fri_record_pool(r, i);

        fri_buffer_byte(out, '{');
        put_field(out, "name", p->name);
        put_field(out, "kind", kind_text(p->kind));
        fri_buffer_printf(out, "\"workers\":%u},", p->workers);
    }
    end(out, '[', ']');
    fri_buffer_text(out, ",\"limits\":[");
    for (size_t i = 0; i < fri_record_limits(r); i++) {
        const struct fri_record_limit *l = fri_record_limit(r, i);

        fri_buffer_byte(out, '{');
        put_field(out, "name", l->name);
        fri_buffer_printf(out, "\"count\":%u,\"shared\":%s},", l->count,
                          l->shared ? "true" : "false");
    }
    end(out, '[', ']');
}

/* ---- tasks ------------------------------------------------------------ */

static void put_key(const struct fri_record *r, const struct fri_row *row,
                    struct fri_buffer *out)
{
    const char *key;
    size_t length;

    if (row->kind == FRI_ROW_SLICE) {
        fri_buffer_printf(out, "\"first\":%lld,\"items\":%u,",
                          (long long)row->key + 1, row->items);
    } else if (row->key_kind == FRI_KEY_NUMBER) {
        fri_buffer_printf(out, "\"key\":%lld,", (long long)row->key);
    } else if (row->key_kind == FRI_KEY_MESSAGE) {
        key = fri_record_text(r, (uint32_t)row->key, &length);
        fri_buffer_text(out, "\"key\":");
        fri_put_json(out, key, length);
        fri_buffer_byte(out, ',');
    }
}

static void put_error(const struct fri_record *r, const struct fri_row *row,
                      struct fri_buffer *out)
{
    const struct fri_error *e = fri_record_error(r, row->error);

    if (row->state == FRI_DONE)
        return;
    put_field(out, "kind", fri_row_kind(r, row));
    put_field(out, "message", fri_row_message(r, row));
    if (e && e->traceback)
        put_field(out, "traceback", e->traceback);
    if (e && e->public.signal > 0)
        fri_buffer_printf(out, "\"signal\":%d,", e->public.signal);
    if (e && e->public.exit_status > 0)
        fri_buffer_printf(out, "\"status\":%d,", e->public.exit_status);
}

static void put_relations(const struct fri_record *r,
                          const struct fri_row *row, struct fri_buffer *out)
{
    size_t n;
    const uint64_t *after = fri_record_after(r, row->after, &n);
    const uint32_t *needs;

    if (n > 0)
        fri_buffer_text(out, "\"after\":[");
    for (size_t i = 0; i < n; i++)
        fri_buffer_printf(out, "%llu%s", (unsigned long long)after[i],
                          i + 1 < n ? "," : "],");
    needs = fri_record_needs(r, row->needs, &n);
    if (n > 0)
        fri_buffer_text(out, "\"limits\":{");
    for (size_t i = 0; i < n; i++) {
        put_text(out, fri_record_limit(r, needs[2 * i])->name);
        fri_buffer_printf(out, ":%u%s", needs[2 * i + 1],
                          i + 1 < n ? "," : "},");
    }
}

static void put_times(const struct fri_row *row, struct fri_buffer *out)
{
    put_seconds(out, "submitted", row->submitted);
    put_seconds(out, "ready", row->ready);
    if (row->flags & FRI_ROW_RAN)
        put_seconds(out, "started", row->started);
    put_seconds(out, "finished", row->finished);
    put_seconds(out, "seconds", row->finished - row->started);
    if (row->cpu >= 0)
        put_seconds(out, "cpu", (double)row->cpu);
    if (row->memory > 0)
        fri_buffer_printf(out, "\"memory\":%llu,",
                          (unsigned long long)row->memory * 1024);
}

static void put_task(const struct fri_record *r, const struct fri_row *row,
                     struct fri_buffer *out)
{
    char text[32];
    size_t length;
    const char *title = fri_record_title(r, row, text, &length);

    fri_buffer_printf(out, "{\"id\":%llu,\"name\":",
                      (unsigned long long)row->id);
    fri_put_json(out, title, length);
    fri_buffer_byte(out, ',');
    put_key(r, row, out);
    put_field(out, "state", row->kind == FRI_ROW_TRY ? "retried"
                                                     : fri_row_state(row));
    if (row->pool < fri_record_pools(r))
        put_field(out, "pool", fri_record_pool(r, row->pool)->name);
    fri_buffer_printf(out, "\"worker\":%u,\"attempt\":%u,", row->worker,
                      row->attempt);
    if (row->flags & FRI_ROW_JOURNAL)
        fri_buffer_text(out, "\"from_journal\":true,");
    put_times(row, out);
    put_relations(r, row, out);
    put_error(r, row, out);
    end(out, '{', '}');
}

void fri_put_report_json(const struct fri_record *r, struct fri_buffer *out)
{
    bool first = true;

    fri_buffer_text(out, "{\"flowrun\":1,\n");
    put_run(r, out);
    fri_buffer_text(out, ",\n");
    put_totals(r, out);
    fri_buffer_text(out, ",\n");
    put_pools(r, out);
    fri_buffer_text(out, ",\n\"tasks\":[");
    for (size_t i = 0; i < fri_record_count(r); i++) {
        const struct fri_row *row = fri_record_row(r, i);

        if (row->kind != FRI_ROW_TRY && !fri_row_counts(row))
            continue;
        fri_buffer_text(out, first ? "\n" : ",\n");
        put_task(r, row, out);
        first = false;
    }
    fri_buffer_text(out, "\n]}\n");
}
