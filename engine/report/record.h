/*
 * record.h - what a run did: an observer that keeps it for the reports.
 *
 * One row for each attempt that ended, for each task that ended without an
 * attempt, and for each slice of a map that a worker ran.  A row is 88 bytes;
 * names, pools, limits and dependencies stand in tables beside the rows, each
 * text once.
 *
 * Rules.
 *  1. While the run lives all is under the engine's lock, and only appends.
 *     Once fri_record_end was called nothing changes any more, and anybody
 *     may read without a lock until fri_record_close.
 *  2. What memory does not suffice for is counted in `missing`, and every
 *     report says so: a report is never silently short.
 *  3. Times are seconds since the run began (flow.now), never negative.
 *  4. Texts are as the script gave them: whoever writes them escapes them.
 */
#ifndef FRI_RECORD_H
#define FRI_RECORD_H

#include "core/engine.h"

enum fri_row_kind {
    FRI_ROW_TASK,  /* the last attempt, or the end without any */
    FRI_ROW_TRY,   /* an attempt that failed and was made again */
    FRI_ROW_SLICE, /* items [first, first + items) of a map, by one worker */
    FRI_ROW_MAP    /* the end of a map whose slices are rows, too: it ran
                      nowhere itself; `items` is all of its items */
};

enum { /* fri_row.flags */
    FRI_ROW_RAN = 1,     /* it has begun: `worker` and `started` say so */
    FRI_ROW_JOURNAL = 2  /* its result came from the journal */
};

struct fri_row {
    uint64_t id; /* of the task, in the order of submission, from 1; the
                    slices of a map have the map's */
    int64_t key; /* by key_kind: the number, or a text; slice: first item,
                    from 0 */
    double submitted, ready; /* ready: all that it waited for was done, or
                                its back-off was over */
    double started, finished; /* not begun: started = finished */
    uint32_t name;  /* text; 0: "task ID" */
    uint32_t group; /* text: what its like have in common (the function); 0:
                       none */
    uint32_t error; /* in errors, 0: none */
    uint32_t after; /* in ids: a count, then so many ids of tasks that it
                       waited for; 0: none */
    uint32_t needs; /* in needs: a count, then pairs limit, seats; 0: none */
    uint32_t items; /* of a slice or map, else 1 */
    float cpu;      /* seconds, < 0: not measured */
    uint32_t memory; /* peak in KiB, 0: not measured */
    uint16_t pool;    /* in pools */
    uint16_t worker;  /* 1 .., 0: none, or a waiting main program */
    uint16_t attempt; /* 1 .., 0: it has never begun */
    uint8_t kind;     /* enum fri_row_kind */
    uint8_t state;    /* FRI_DONE, FRI_FAILED, FRI_CANCELLED */
    uint8_t key_kind; /* FRI_KEY_NONE, FRI_KEY_NUMBER; FRI_KEY_MESSAGE: `key`
                         is a text, as Lua's tostring shows it */
    uint8_t flags;
};

struct fri_record_pool {
    char *name;
    frun_kind kind;
    unsigned workers;
};

struct fri_record_limit {
    char *name; /* of an anonymous one "limit N" */
    unsigned count;
    bool shared;
};

/* What stands at the top of a report; texts are not copied. */
struct fri_record_run {
    const char *script; /* NULL: not known */
    int argc;           /* its words */
    char *const *argv;
    uint64_t seed;
    const char *version, *lua; /* "0.4.0", "Lua 5.4.6" */
    const char *host;          /* "" : not known */
    int64_t began;     /* wall clock, microseconds since 1970 */
    double ended;      /* seconds since it began */
    unsigned cores;    /* that it may use */
    const char *cause; /* why it ended early ("interrupted by SIGINT"), or
                          NULL */
};

struct fri_record;

/* Watches the engine from now on.  NULL: out of memory. */
struct fri_record *fri_record_open(frun_engine *e);
void fri_record_close(struct fri_record *r); /* NULL allowed; the engine may
                                                be gone if it was ended */

/* Takes it off its engine: nothing changes any more. */
void fri_record_end(struct fri_record *r);

struct fri_record_run *fri_record_run(const struct fri_record *r);

/* Rows are in the order in which they ended. */
size_t fri_record_count(const struct fri_record *r);
const struct fri_row *fri_record_row(const struct fri_record *r, size_t i);

/* Rows that memory did not suffice for. */
uint64_t fri_record_missing(const struct fri_record *r);

/* Text n > 0 (ends with a NUL, may hold others); length may be NULL. */
const char *fri_record_text(const struct fri_record *r, uint32_t n,
                            size_t *length);
size_t fri_record_texts(const struct fri_record *r); /* 1 .. this */

const struct fri_error *fri_record_error(const struct fri_record *r,
                                         uint32_t n); /* NULL: no memory */
const uint64_t *fri_record_after(const struct fri_record *r, uint32_t n,
                                 size_t *count);
/* Pairs: which limit, how many seats. */
const uint32_t *fri_record_needs(const struct fri_record *r, uint32_t n,
                                 size_t *pairs);

size_t fri_record_pools(const struct fri_record *r);
const struct fri_record_pool *fri_record_pool(const struct fri_record *r,
                                              size_t i);
size_t fri_record_limits(const struct fri_record *r);
const struct fri_record_limit *fri_record_limit(const struct fri_record *r,
                                                size_t i);

/* The name as it is shown: the task's, or "task N" put into `text`; its key
 * appended as " [key]" if there is one.  Raw: not escaped. */
void fri_record_name(const struct fri_record *r, const struct fri_row *row,
                     struct fri_buffer *out);

/* The same without the key. */
const char *fri_record_title(const struct fri_record *r,
                             const struct fri_row *row, char text[32],
                             size_t *length);

/* "done", "failed", "cancelled". */
const char *fri_row_state(const struct fri_row *row);

#endif
