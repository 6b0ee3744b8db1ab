/*
 * page_rows.c - the rows of a run as the columns of its page.
 */
#define _GNU_SOURCE
#include "report/page_private.h"

#include <math.h>
#include <stdlib.h>

/* Longer ones are cut, and what is beyond all of it is left out. */
enum {
    MESSAGE_MOST = 4096,
    TRACEBACK_MOST = 16384,
    ERRORS_MOST = 8 << 20,
    CAUSES_MOST = 8
};

/* Numbers up to here stay exact as differences in a double, see columns.h. */
static const int64_t key_most = (int64_t)1 << 48;

/* ---- the order of rows ------------------------------------------------ */

static bool ran(const struct fri_row *row)
{
    return row->flags & FRI_ROW_RAN;
}

static int in_order(const void *pa, const void *pb, void *record)
{
    uint32_t ia = *(const uint32_t *)pa, ib = *(const uint32_t *)pb;
    const struct fri_row *a = fri_record_row(record, ia);
    const struct fri_row *b = fri_record_row(record, ib);

    if (ran(a) != ran(b))
        return ran(a) ? -1 : 1;
    if (ran(a) && a->pool != b->pool)
        return a->pool < b->pool ? -1 : 1;
    if (ran(a) && a->worker != b->worker)
        return a->worker < b->worker ? -1 : 1;
    if (a->started != b->started)
        return a->started < b->started ? -1 : 1;
    return ia < ib ? -1 : ia > ib;
}

/* The end of a map whose slices have rows says nothing more, if all is well. */
static bool shown(const struct fri_row *row)
{
    return row->kind != FRI_ROW_MAP || row->state != FRI_DONE;
}

static void order_rows(struct fri_page *p, size_t rows)
{
    uint32_t i;

    for (i = 0; i < rows; i++) {
        p->place[i] = UINT32_MAX;
        if (shown(fri_record_row(p->record, i)))
            p->order[p->count++] = i;
    }
    qsort_r(p->order, p->count, sizeof *p->order, in_order,
            (void *)p->record);
    for (i = 0; i < p->count; i++)
        p->place[p->order[i]] = i;
}

/* ---- texts ------------------------------------------------------------ */

/* The page's number of a text of the record. */
static uint32_t text_number(struct fri_page *p, uint32_t n)
{
    if (n == 0 || p->texts[n] > 0)
        return n == 0 ? 0 : p->texts[n];
    fri_buffer_add(&p->listed, &n, sizeof n);
    p->texts[n] = (uint32_t)(p->listed.length / sizeof n);
    return p->texts[n];
}

static void put_cut(struct fri_buffer *to, const char *text, size_t most)
{
    size_t length = strlen(text);
    char *cut;

    if (length <= most) {
        fri_put_json(to, text, length);
        return;
    }
    cut = fri_alloc(to->memory, most + 32);
    if (!cut) {
        to->failed = true;
        return;
    }
    memcpy(cut, text, most);
    memcpy(cut + most, "\n... (cut)", 11);
    fri_put_json(to, cut, strlen(cut));
    fri_free(to->memory, cut);
}

static void put_error(struct fri_page *p, const frun_error *e, int depth)
{
    struct fri_buffer *to = &p->scratch;

    fri_buffer_text(to, "[");
    put_cut(to, e->kind ? e->kind : "error", MESSAGE_MOST);
    fri_buffer_byte(to, ',');
    put_cut(to, e->message ? e->message : "", MESSAGE_MOST);
    fri_buffer_byte(to, ',');
    put_cut(to, e->traceback ? e->traceback : "", TRACEBACK_MOST);
    fri_buffer_byte(to, ',');
    put_cut(to, depth > 0 && e->task ? e->task : "", MESSAGE_MOST);
    if (e->cause && depth < CAUSES_MOST) {
        fri_buffer_byte(to, ',');
        put_error(p, e->cause, depth + 1);
    }
    fri_buffer_byte(to, ']');
}

static uint32_t add_json(struct fri_page *p, struct fri_texts *texts)
{
    uint32_t n = fri_texts_add(texts, (char *)p->scratch.data,
                               p->scratch.length);

    p->out->failed |= p->scratch.failed || n == 0;
    return n;
}

static uint32_t error_number(struct fri_page *p, const struct fri_row *row)
{
    const struct fri_error *e = fri_record_error(p->record, row->error);

    p->scratch.length = 0;
    if (!e)
        return 0;
    if (p->errors.bytes.length < ERRORS_MOST)
        put_error(p, &e->public, 0);
    else
        fri_buffer_text(&p->scratch,
                        "[\"error\",\"(left out: too many others)\","
                        "\"\",\"\"]");
    return add_json(p, &p->errors);
}

static uint32_t needs_number(struct fri_page *p, const struct fri_row *row)
{
    size_t pairs, i;
    const uint32_t *pair = fri_record_needs(p->record, row->needs, &pairs);

    p->scratch.length = 0;
    if (row->needs == 0)
        return 0;
    for (i = 0; i < 2 * pairs; i++)
        fri_buffer_printf(&p->scratch, "%c%u", i > 0 ? ',' : '[', pair[i]);
    fri_buffer_byte(&p->scratch, ']');
    return add_json(p, &p->needs);
}

/* ---- columns ---------------------------------------------------------- */

static int64_t ticks(const struct fri_page *p, double seconds)
{
    return (int64_t)llround(seconds / p->tick);
}

static int what_of(const struct fri_row *row)
{
    return (row->state == FRI_FAILED ? WHAT_FAILED : 0) |
           (row->state == FRI_CANCELLED ? WHAT_CANCELLED : 0) |
           (row->kind == FRI_ROW_TRY ? WHAT_AGAIN : 0) |
           (row->flags & FRI_ROW_JOURNAL ? WHAT_JOURNAL : 0) |
           (row->kind == FRI_ROW_SLICE ? WHAT_SLICE : 0);
}

/* A number that a double does not hold exactly goes as a text. */
static uint32_t large_number(struct fri_page *p, int64_t key)
{
    p->scratch.length = 0;
    fri_buffer_printf(&p->scratch, "%lld", (long long)key);
    return add_json(p, &p->large);
}

static void add_key(struct fri_page *p, const struct fri_row *row)
{
    int keyed = row->key_kind == FRI_KEY_MESSAGE  ? 2
                : row->key_kind == FRI_KEY_NUMBER ? 1
                                                  : 0;
    int64_t key = keyed == 0 ? 0 : row->key;

    if (row->kind == FRI_ROW_SLICE) {
        keyed = 1;
        key = row->key;
    } else if (keyed == 2) {
        key = text_number(p, (uint32_t)row->key);
    } else if (key > key_most || key < -key_most) {
        keyed = 3;
        key = large_number(p, key);
    }
    fri_column_add(&p->columns[COLUMN_KEYED], keyed);
    fri_column_step(&p->columns[COLUMN_KEY], key);
}

static void add_names(struct fri_page *p, const struct fri_row *row)
{
    struct fri_column *c = p->columns;
    uint32_t group = row->group ? row->group : row->name;

    fri_column_step(&c[COLUMN_NAME], text_number(p, row->name));
    fri_column_step(&c[COLUMN_GROUP], text_number(p, group));
    fri_column_step(&c[COLUMN_ID], row->name ? 0 : (int64_t)row->id);
    add_key(p, row);
}

/* `end` of the row before it on its lane, or 0. */
static void add_times(struct fri_page *p, const struct fri_row *row,
                      int64_t *end)
{
    int64_t started = ticks(p, row->started);
    int64_t finished = ran(row) ? ticks(p, row->finished) : started;

    fri_column_add(&p->columns[COLUMN_GAP], started - *end);
    fri_column_add(&p->columns[COLUMN_TIME],
                   finished > started ? finished - started : 0);
    fri_column_step(&p->columns[COLUMN_READY], ticks(p, row->ready));
    *end = finished > started ? finished : started;
}

static int64_t cpu_of(const struct fri_row *row)
{
    double time = row->finished - row->started;

    if (!(row->cpu >= 0 && time > 0))
        return -1;
    return row->cpu < 1000 * time ? llround(row->cpu / time * 20) : 20000;
}

static void add_outcome(struct fri_page *p, const struct fri_row *row)
{
    struct fri_column *c = p->columns;

    fri_column_add(&c[COLUMN_WHAT], what_of(row));
    fri_column_add(&c[COLUMN_ATTEMPT], row->attempt);
    fri_column_add(&c[COLUMN_ITEMS], row->items);
    fri_column_add(&c[COLUMN_ERROR], error_number(p, row));
    fri_column_add(&c[COLUMN_NEEDS], needs_number(p, row));
    fri_column_add(&c[COLUMN_CPU], cpu_of(row));
    fri_column_step(&c[COLUMN_MEMORY], (row->memory + 32) / 64);
}

static bool same_lane(const struct fri_row *a, const struct fri_row *b)
{
    return ran(a) == ran(b) &&
           (!ran(a) || (a->pool == b->pool && a->worker == b->worker));
}

static void add_rows(struct fri_page *p)
{
    const struct fri_row *row, *before = NULL;
    int64_t end = 0;
    uint32_t i;

    for (i = 0; i < p->count; i++) {
        row = fri_record_row(p->record, p->order[i]);
        if (before && !same_lane(before, row))
            end = 0;
        before = row;
        add_names(p, row);
        add_times(p, row, &end);
        add_outcome(p, row);
    }
}

bool fri_page_rows(struct fri_page *p)
{
    size_t rows = fri_record_count(p->record);
    size_t texts = fri_record_texts(p->record) + 1;

    p->order = fri_alloc(p->memory, sizeof *p->order * rows);
    p->place = fri_alloc(p->memory, sizeof *p->place * rows);
    p->texts = fri_alloc_zero(p->memory, sizeof *p->texts * texts);
    if (!p->order || !p->place || !p->texts)
        return false;
    order_rows(p, rows);
    add_rows(p);
    return !p->listed.failed;
}
