/*
 * order.c - rows in order, and what all reports say of one.
 */
#define _GNU_SOURCE
#include "report/report.h"

#include <stdlib.h>
#include <time.h>

bool fri_row_counts(const struct fri_row *row)
{
    if (row->kind == FRI_ROW_MAP)
        return !(row->flags & FRI_ROW_RAN);
    return row->kind != FRI_ROW_TRY;
}

/* ---- by id ------------------------------------------------------------ */

static int compare(const struct fri_row *a, const struct fri_row *b)
{
    if (a->id != b->id)
        return a->id < b->id ? -1 : 1;
    if (a->kind != b->kind && (a->kind == FRI_ROW_MAP
                               || b->kind == FRI_ROW_MAP))
        return a->kind == FRI_ROW_MAP ? 1 : -1;
    if (a->kind == FRI_ROW_SLICE && a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->attempt != b->attempt)
        return a->attempt < b->attempt ? -1 : 1;
    return 0;
}

static int compare_rows(const void *a, const void *b, void *record)
{
    const uint32_t *x = a, *y = b;
    int order = compare(fri_record_row(record, *x),
                        fri_record_row(record, *y));

    return order ? order : (*x > *y) - (*x < *y);
}

uint32_t *fri_rows_by_id(const struct fri_record *r)
{
    size_t n = fri_record_count(r);
    uint32_t *order = n < UINT32_MAX ? malloc((n + 1) * sizeof *order) : NULL;

    for (size_t i = 0; order && i < n; i++)
        order[i] = (uint32_t)i;
    if (order)
        qsort_r(order, n, sizeof *order, compare_rows,
                (void *)(uintptr_t)r);
    return order;
}

bool fri_row_find(const struct fri_record *r, const uint32_t *by_id,
                  uint64_t id, size_t *i)
{
    size_t low = 0, high = fri_record_count(r);

    while (low < high) { /* the first one behind the id */
        size_t middle = low + (high - low) / 2;

        if (fri_record_row(r, by_id[middle])->id <= id)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || fri_record_row(r, by_id[low - 1])->id != id)
        return false;
    *i = by_id[low - 1];
    return true;
}

/* ---- one row ---------------------------------------------------------- */

void fri_put_row_name(const struct fri_record *r, const struct fri_row *row,
                  struct fri_buffer *out, fri_put_text *put)
{
    struct fri_buffer name;

    fri_buffer_init(&name, out->memory);
    fri_record_name(r, row, &name);
    if (name.failed)
        out->failed = true;
    else
        put(out, (const char *)name.data, name.length);
    fri_buffer_free(&name);
}

const char *fri_row_kind(const struct fri_record *r, const struct fri_row *row)
{
    const struct fri_error *e = fri_record_error(r, row->error);
    const char *kind = e ? fri_status_kind(e->public.status) : NULL;

    if (row->state == FRI_DONE)
        return "";
    if (row->error > 0 && !e)
        return "resource";
    return kind ? kind : "error";
}

const char *fri_row_message(const struct fri_record *r,
                            const struct fri_row *row)
{
    const struct fri_error *e = fri_record_error(r, row->error);

    if (row->state == FRI_DONE)
        return "";
    if (!e)
        return row->error > 0 ? "out of memory" : "";
    return e->message ? e->message : "";
}

/* ---- all rows --------------------------------------------------------- */

static void count(struct fri_totals *t, const struct fri_row *row)
{
    uint64_t n = row->items;
    bool broken = row->kind == FRI_ROW_SLICE && row->state == FRI_FAILED;

    if (row->kind == FRI_ROW_TRY)
        t->retried++;
    if (!fri_row_counts(row))
        return;
    if (row->state == FRI_DONE)
        t->done += n;
    else if (row->state == FRI_CANCELLED)
        t->cancelled += n;
    else
        t->failed += broken ? 1 : n;
    if (broken)
        t->done += n - 1;
}

void fri_record_totals(const struct fri_record *r, struct fri_totals *t)
{
    const struct fri_record_run *run
        = fri_record_run(r);

    *t = (struct fri_totals){ .wall = run->ended };
    for (size_t i = 0; i < fri_record_count(r); i++) {
        const struct fri_row *row = fri_record_row(r, i);

        count(t, row);
        if ((row->flags & FRI_ROW_RAN) && row->kind != FRI_ROW_MAP)
            t->series += row->finished - row->started;
    }
}

void fri_put_date(struct fri_buffer *b, int64_t microseconds)
{
    time_t seconds = (time_t)(microseconds / 1000000);
    struct tm t;

    if (!gmtime_r(&seconds, &t))
        return;
    fri_buffer_printf(b, "%04d-%02d-%02dT%02d:%02d:%02d.%06dZ",
                      t.tm_year + 1900, t.tm_mon + 1, t.tm_mday, t.tm_hour,
                      t.tm_min, t.tm_sec, (int)(microseconds % 1000000));
}
