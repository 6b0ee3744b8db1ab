/*
 * page_private.h - what page.c and page_rows.c share.
 */
#ifndef FRI_PAGE_PRIVATE_H
#define FRI_PAGE_PRIVATE_H

#include "report/columns.h"
#include "report/costs.h"
#include "report/texts.h"

/* Puts the page from there on, NULL: from its beginning, up to the place of the
 * JSON; gives where it goes on, NULL: it has ended. */
const char *fri_page_text(struct fri_buffer *out, const char *from);

/* In the order in which the page reads them. */
enum {
    COLUMN_NAME,    /* difference: in texts, 0: "task ID" */
    COLUMN_GROUP,   /* difference: in texts */
    COLUMN_ID,      /* difference: of a task without a name, else 0 */
    COLUMN_KEYED,   /* 0: no key, 1: a number (a slice: of its first
                       item, from 0), 2: in texts, 3: in large */
    COLUMN_KEY,     /* difference */
    COLUMN_GAP,     /* ticks from the end of the row before, or 0 */
    COLUMN_TIME,    /* ticks that it ran */
    COLUMN_READY,   /* difference: ticks since the run's start */
    COLUMN_WHAT,    /* enum fri_page_what */
    COLUMN_ATTEMPT,
    COLUMN_ITEMS,
    COLUMN_ERROR,   /* in errors, 0: none */
    COLUMN_NEEDS,   /* in needs, 0: none */
    COLUMN_CPU,     /* twentieths of the time it ran; -1: not known */
    COLUMN_MEMORY,  /* difference: 64 KiB; 0: not known */
    COLUMNS
};

enum fri_page_what { /* bits; none: done */
    WHAT_FAILED = 1,
    WHAT_CANCELLED = 2,
    WHAT_AGAIN = 4,
    WHAT_JOURNAL = 8,
    WHAT_SLICE = 16
};

struct fri_page {
    const struct fri_record *record;
    struct fri_costs *costs;
    const struct fri_memory *memory;
    struct fri_buffer *out;
    double tick; /* seconds */
    /* The rows in the order of the page: by pool and worker, those that never
     * ran last; and of each row of the record its place, or UINT32_MAX. */
    uint32_t *order, *place;
    uint32_t count;
    struct fri_column columns[COLUMNS];
    uint32_t *texts;         /* of each text of the record, the page's number */
    struct fri_buffer listed; /* uint32_t each: the record's, in that order */
    struct fri_texts errors, needs, large; /* JSON, by number */
    struct fri_buffer scratch;
};

/* Sorts the rows and makes the columns; false: out of memory. */
bool fri_page_rows(struct fri_page *p);

#endif
