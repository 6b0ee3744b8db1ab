/*
 * costs.h - a record analysed, and the answer in words.
 */
#ifndef FRI_COSTS_H
#define FRI_COSTS_H

#include "report/analysis.h"
#include "report/record.h"

struct fri_costs {
    const struct fri_record *record;
    const struct fri_memory *memory;
    struct fri_spans spans;
    struct fri_analysis analysis;
    uint64_t *ids; /* of each task, ascending; a span's row is the record's */
    /* what `spans` points to */
    struct fri_span *span;
    struct fri_spans_task *task;
    uint32_t *workers, *seats;
    struct fri_buffer afters, needs;
};

/* Of a record that has ended, and stays as long.  NULL: out of memory. */
struct fri_costs *fri_costs_open(const struct fri_record *r,
                                 const struct fri_memory *m);
void fri_costs_close(struct fri_costs *c);

/* Names are put as they are: whoever shows them escapes them. */

/* "limit solver (3 seats)", "pool 1 (4 workers)", "critical path". */
void fri_costs_label(const struct fri_costs *c, const struct fri_part *part,
                     struct fri_buffer *to);

/* The longest part: "limit solver (3 seats): 41.2 s of 60.3 s". */
void fri_costs_held_back(const struct fri_costs *c, struct fri_buffer *to);

/* A sentence: what to change next. */
void fri_costs_advice(const struct fri_costs *c, struct fri_buffer *to);

/* "41.2 s", as people read it. */
void fri_costs_seconds(struct fri_buffer *to, double seconds);

#endif
