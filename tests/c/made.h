/*
 * made.h - a record made by hand, behind the functions of report/record.h: for
 * programs that hold them in place of the library's.
 */
#ifndef MADE_H
#define MADE_H

#include "report/record.h"
#include "report/texts.h"
#include "unit.h"

enum { MADE_MOST = 1 << 17, MADE_ERRORS = 64, MADE_WORDS = 1 << 17 };

struct fri_record {
    struct fri_record_run run;
    struct fri_row *rows;
    size_t count;
    struct fri_texts texts;
    struct fri_error *errors[MADE_ERRORS];
    uint32_t error_count;
    uint64_t ids[MADE_WORDS];
    uint32_t id_count;
    uint32_t needs[64];
    uint32_t need_count;
    struct fri_record_pool pools[4];
    size_t pool_count;
    struct fri_record_limit limits[4];
    size_t limit_count;
    uint64_t missing;
};

static struct fri_record made;

/* ---- making ----------------------------------------------------------- */

static inline void made_begin(void)
{
    struct fri_row *rows = made.rows;

    if (rows)
        fri_texts_free(&made.texts);
    else
        rows = malloc(MADE_MOST * sizeof *rows);
    for (uint32_t i = 0; i < made.error_count; i++)
        fri_error_free(made.errors[i]);
    memset(&made, 0, sizeof made);
    made.rows = rows;
    fri_texts_init(&made.texts, NULL);
    made.run.version = "0.0";
    made.run.cores = 4;
    made.run.began = 1763800000000000;
}

static inline uint16_t made_pool(char *name, frun_kind kind, unsigned workers)
{
    made.pools[made.pool_count] =
        (struct fri_record_pool){ name, kind, workers };
    return (uint16_t)made.pool_count++;
}

static inline uint32_t made_limit(char *name, unsigned count)
{
    made.limits[made.limit_count] =
        (struct fri_record_limit){ .name = name, .count = count };
    return (uint32_t)made.limit_count++;
}

static inline uint32_t made_text(const char *text)
{
    return fri_texts_add(&made.texts, text, strlen(text));
}

/* One limit, so many seats. */
static inline uint32_t made_need(uint32_t limit, uint32_t seats)
{
    uint32_t *n = &made.needs[made.need_count + 1];

    n[0] = 1;
    n[1] = limit;
    n[2] = seats;
    made.need_count += 3;
    return made.need_count - 2;
}

static inline uint32_t made_after(const uint64_t *ids, uint32_t n)
{
    uint32_t at = made.id_count + 1;

    made.ids[at] = n;
    memcpy(&made.ids[at + 1], ids, n * sizeof *ids);
    made.id_count += n + 1;
    return at;
}

static inline uint32_t made_error(frun_status status, const char *message,
                                  const char *traceback,
                                  struct fri_error *cause)
{
    made.errors[made.error_count] =
        fri_error_new(NULL, status, message, traceback, cause);
    return ++made.error_count;
}

/* A task that has run well; the caller changes what is otherwise. */
static inline struct fri_row *made_row(uint64_t id, const char *name,
                                       uint16_t worker, double started,
                                       double finished)
{
    struct fri_row *row = &made.rows[made.count++];

    *row = (struct fri_row){ .id = id,
                             .name = name ? made_text(name) : 0,
                             .worker = worker,
                             .started = started,
                             .finished = finished,
                             .items = 1,
                             .cpu = -1,
                             .attempt = 1,
                             .kind = FRI_ROW_TASK,
                             .state = FRI_DONE,
                             .flags = FRI_ROW_RAN };
    row->group = row->name;
    return row;
}

/* ---- what is read of it ----------------------------------------------- */

struct fri_record_run *fri_record_run(const struct fri_record *r)
{
    return (struct fri_record_run *)(uintptr_t)&r->run;
}

size_t fri_record_count(const struct fri_record *r)
{
    return r->count;
}

const struct fri_row *fri_record_row(const struct fri_record *r, size_t i)
{
    return &r->rows[i];
}

uint64_t fri_record_missing(const struct fri_record *r)
{
    return r->missing;
}

const char *fri_record_text(const struct fri_record *r, uint32_t n,
                            size_t *length)
{
    return fri_texts_get(&r->texts, n, length);
}

size_t fri_record_texts(const struct fri_record *r)
{
    return fri_texts_count(&r->texts);
}

const struct fri_error *fri_record_error(const struct fri_record *r,
                                         uint32_t n)
{
    return n > 0 ? r->errors[n - 1] : NULL;
}

const uint64_t *fri_record_after(const struct fri_record *r, uint32_t n,
                                 size_t *count)
{
    *count = n > 0 ? r->ids[n] : 0;
    return &r->ids[n + 1];
}

const uint32_t *fri_record_needs(const struct fri_record *r, uint32_t n,
                                 size_t *pairs)
{
    *pairs = n > 0 ? r->needs[n] : 0;
    return &r->needs[n + 1];
}

size_t fri_record_pools(const struct fri_record *r)
{
    return r->pool_count;
}

const struct fri_record_pool *fri_record_pool(const struct fri_record *r,
                                              size_t i)
{
    return &r->pools[i];
}

size_t fri_record_limits(const struct fri_record *r)
{
    return r->limit_count;
}

const struct fri_record_limit *fri_record_limit(const struct fri_record *r,
                                                size_t i)
{
    return &r->limits[i];
}

void fri_record_name(const struct fri_record *r, const struct fri_row *row,
                     struct fri_buffer *out)
{
    size_t length = 0;
    const char *name = row->name ? fri_record_text(r, row->name, &length)
                                 : "task";

    fri_buffer_add(out, name, row->name ? length : 4);
    if (row->key_kind == FRI_KEY_NUMBER)
        fri_buffer_printf(out, " [%lld]", (long long)row->key);
}

#endif
