/*
 * junit.c - the run as a test suite, in the form that CI servers read.
 */
#include "report/report.h"

static void put_text(struct fri_buffer *out, const char *text)
{
    fri_put_xml(out, text, strlen(text));
}

static void put_attribute(struct fri_buffer *out, const char *name,
                          const char *text)
{
    fri_buffer_printf(out, " %s=\"", name);
    put_text(out, text);
    fri_buffer_byte(out, '"');
}

/* What the function said is a failure; what happened to it an error. */
static bool is_failure(const struct fri_record *r, const struct fri_row *row)
{
    const struct fri_error *e = fri_record_error(r, row->error);

    return e && (e->public.status == FRUN_ERROR
                 || e->public.status == FRUN_EEXIT);
}

static void put_failure(const struct fri_record *r, const struct fri_row *row,
                        struct fri_buffer *out)
{
    const char *word = is_failure(r, row) ? "failure" : "error";
    const struct fri_error *e = fri_record_error(r, row->error);

    fri_buffer_printf(out, "      <%s", word);
    put_attribute(out, "type", fri_row_kind(r, row));
    put_attribute(out, "message", fri_row_message(r, row));
    fri_buffer_byte(out, '>');
    if (e && e->traceback)
        put_text(out, e->traceback);
    fri_buffer_printf(out, "</%s>\n", word);
}

static void put_case(const struct fri_record *r, const struct fri_row *row,
                     struct fri_buffer *out)
{
    fri_buffer_text(out, "    <testcase classname=\"");
    if (row->group > 0) {
        size_t length;
        const char *group = fri_record_text(r, row->group, &length);

        fri_put_xml(out, group, length);
    }
    fri_buffer_text(out, "\" name=\"");
    fri_put_row_name(r, row, out, fri_put_xml);
    fri_buffer_text(out, "\" time=\"");
    fri_put_seconds(out, row->finished - row->started);
    fri_buffer_byte(out, '"');
    if (row->state == FRI_DONE) {
        fri_buffer_text(out, "/>\n");
        return;
    }
    fri_buffer_text(out, ">\n");
    if (row->state == FRI_FAILED) {
        put_failure(r, row, out);
    } else {
        fri_buffer_text(out, "      <skipped");
        put_attribute(out, "message", fri_row_message(r, row));
        fri_buffer_text(out, "/>\n");
    }
    fri_buffer_text(out, "    </testcase>\n");
}

/* A run that ended before its time is an error, whatever its tasks are: what
 * did not run is only skipped. */
static void put_cause(const struct fri_record_run *run, struct fri_buffer *out)
{
    fri_buffer_text(out, "    <testcase");
    put_attribute(out, "classname", "flowrun");
    put_attribute(out, "name", "the run");
    fri_buffer_text(out, " time=\"");
    fri_put_seconds(out, run->ended);
    fri_buffer_text(out, "\">\n      <error type=\"run\"");
    put_attribute(out, "message", run->cause);
    fri_buffer_text(out, "/>\n    </testcase>\n");
}

struct sums {
    unsigned long long tests, failures, errors, skipped;
};

static struct sums sum(const struct fri_record *r)
{
    struct sums s = { 0 };

    if (fri_record_run(r)->cause)
        s.tests = s.errors = 1;
    for (size_t i = 0; i < fri_record_count(r); i++) {
        const struct fri_row *row = fri_record_row(r, i);

        if (!fri_row_counts(row))
            continue;
        s.tests++;
        if (row->state == FRI_CANCELLED)
            s.skipped++;
        else if (row->state == FRI_FAILED && is_failure(r, row))
            s.failures++;
        else if (row->state == FRI_FAILED)
            s.errors++;
    }
    return s;
}

static void put_head(const struct fri_record_run *run, const struct sums *s,
                     const char *word, struct fri_buffer *out)
{
    fri_buffer_printf(out, "<%s", word);
    put_attribute(out, "name", run->script ? run->script : "flowrun");
    fri_buffer_printf(out, " tests=\"%llu\" failures=\"%llu\" "
                           "errors=\"%llu\" skipped=\"%llu\" time=\"",
                      s->tests, s->failures, s->errors, s->skipped);
    fri_put_seconds(out, run->ended);
    fri_buffer_byte(out, '"');
}

void fri_put_junit(const struct fri_record *r, struct fri_buffer *out)
{
    const struct fri_record_run *run
        = fri_record_run(r);
    struct sums s = sum(r);
    struct fri_buffer date;

    fri_buffer_init(&date, out->memory);
    fri_put_date(&date, run->began);
    if (date.length > 8)
        date.length -= 8; /* the schema has no fractions and no zone */
    fri_buffer_byte(&date, '\0');
    fri_buffer_text(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    put_head(run, &s, "testsuites", out);
    fri_buffer_text(out, ">\n  ");
    put_head(run, &s, "testsuite", out);
    if (!date.failed)
        put_attribute(out, "timestamp", (const char *)date.data);
    put_attribute(out, "hostname", run->host);
    fri_buffer_text(out, ">\n");
    if (fri_record_missing(r) > 0)
        fri_buffer_printf(out, "    <!-- memory did not suffice for %llu "
                               "more -->\n",
                          (unsigned long long)fri_record_missing(r));
    if (run->cause)
        put_cause(run, out);
    for (size_t i = 0; i < fri_record_count(r); i++)
        if (fri_row_counts(fri_record_row(r, i)))
            put_case(r, fri_record_row(r, i), out);
    fri_buffer_text(out, "  </testsuite>\n</testsuites>\n");
    fri_buffer_free(&date);
}
