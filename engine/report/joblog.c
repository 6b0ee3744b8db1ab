/*
 * joblog.c - the columns of GNU parallel's --joblog, one line a task.
 *
 * What it writes for its own ends: a timeout has Exitval -1 and signal 15; we
 * give -1 also to what never ran.
 */
#include "report/report.h"

#include <stdlib.h>

static void put_end(const struct fri_record *r, const struct fri_row *row,
                    struct fri_buffer *out)
{
    const struct fri_error *e = fri_record_error(r, row->error);
    int status = 1, signal = 0;

    if (row->state == FRI_DONE) {
        status = 0;
    } else if (!(row->flags & FRI_ROW_RAN) || row->state == FRI_CANCELLED) {
        status = -1;
    } else if (e && e->public.status == FRUN_ETIMEOUT) {
        status = -1;
        signal = 15;
    } else if (e && (e->public.signal > 0 || e->public.exit_status > 0)) {
        signal = e->public.signal;
        status = signal ? 0 : e->public.exit_status;
    }
    fri_buffer_printf(out, "%d\t%d\t", status, signal);
}

/* To the millisecond, without printf's comma. */
static void put_time(struct fri_buffer *out, int64_t microseconds, int width)
{
    int64_t n = (microseconds + 500) / 1000;

    fri_buffer_printf(out, "%*lld.%03lld", width, (long long)(n / 1000),
                      (long long)(n % 1000));
}

static void put_line(const struct fri_record *r, const struct fri_row *row,
                     uint64_t seq, int64_t began, struct fri_buffer *out)
{
    double took = row->finished - row->started;

    fri_buffer_printf(out, "%llu\t:\t", (unsigned long long)seq);
    put_time(out, began + (int64_t)(row->started * 1e6), 0);
    fri_buffer_byte(out, '\t');
    put_time(out, (int64_t)(took * 1e6), 6);
    fri_buffer_text(out, "\t0\t0\t");
    put_end(r, row, out);
    fri_put_row_name(r, row, out, fri_put_field);
    fri_buffer_byte(out, '\n');
}

/* Lines stand in the order of ends, as parallel's; Seq is the order of
 * submission. */
void fri_put_joblog(const struct fri_record *r, struct fri_buffer *out)
{
    size_t n = fri_record_count(r);
    uint32_t *by_id = fri_rows_by_id(r), seq = 0;
    uint32_t *seqs = calloc(n + 1, sizeof *seqs);
    int64_t began = fri_record_run(r)->began;

    for (size_t i = 0; by_id && seqs && i < n; i++)
        if (fri_row_counts(fri_record_row(r, by_id[i])))
            seqs[by_id[i]] = ++seq;
    fri_buffer_text(out, "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\t"
                         "Exitval\tSignal\tCommand\n");
    for (size_t i = 0; by_id && seqs && i < n; i++)
        if (seqs[i] > 0)
            put_line(r, fri_record_row(r, i), seqs[i], began, out);
    if (!by_id || !seqs)
        out->failed = true;
    free(by_id);
    free(seqs);
}
