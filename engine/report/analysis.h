/*
 * analysis.h - what cost the time of a run.
 *
 * The makespan, from the run's start to its end, is split by following the run
 * backwards: from the attempt that ended last through what it waited for to
 * what that waited for, until the start.  Each instant is passed once and is
 * given to one cost, or, where it was the machine that was waited for, divided
 * between the machine's used share and its idle share.  So the parts add up to
 * the makespan.
 *
 * A *span* is one attempt of a task, or one slice of a packed map.  It is ready
 * once its dependencies are done (a further attempt: once its back-off is
 * over).  A span has *queued* if it began more than FRI_QUEUED seconds after it
 * was ready and one of its limits, or its pool, was full in between.  A limit
 * is full when it has not seats enough for the task that needs most of them.
 * At each instant of the wait the fullest of the span's limits and its pool is
 * what it queued for (of two equally full, a limit); when it ran, the one that
 * was full last.
 *
 *   FRI_COST_PATH       the chain ran and had not queued: it, or something
 *                       before it, must get shorter
 *   FRI_COST_LIMIT      the used share of a limit while the chain queued for
 *                       it, or ran after it had
 *   FRI_COST_WORKERS    the same for the workers of a pool: they had work
 *   FRI_COST_DISPATCH   the idle share while something queued; and the time
 *                       from a dependency's end, or the submission, until the
 *                       span was ready, and from then on if it never queued
 *   FRI_COST_TAIL       the idle share while the chain ran, had queued, and
 *                       nothing queued in its pool: a round that did not come
 *                       out even
 *   FRI_COST_STRAGGLER  what the chain ran beyond FRI_STRAGGLES times the
 *                       median of its like (the same group, of FRI_LIKE or
 *                       more; slices by the item) while a worker was idle and
 *                       nothing queued
 *   FRI_COST_RETRY      attempts of the chain that were made again, and the
 *                       back-off after them
 *   FRI_COST_SCRIPT     no task was submitted that the chain could follow: the
 *                       script itself, before its first task, after its last,
 *                       and from the end of what it waited for to what it
 *                       submitted next
 *
 * What the script waited for before a submission is not known.  It is taken to
 * be the span that ended last, unless the submission before came after that,
 * or within FRI_QUEUED seconds: then the script was submitting.
 *
 * The lower bound is what no order of the same spans with the same workers and
 * limits can beat: the longest of the critical path through the dependencies,
 * each pool's work divided by its workers, and each limit's seat-seconds
 * divided by its seats.  Attempts that were made again do not count in it.
 */
#ifndef FRI_ANALYSIS_H
#define FRI_ANALYSIS_H

#include "base/memory.h"

#include <stdbool.h>

/* A hand-over takes microseconds: what begins later than that has queued. */
#define FRI_QUEUED 100e-6
#define FRI_STRAGGLES 2.0
enum { FRI_LIKE = 5 };

enum fri_cost {
    FRI_COST_PATH,
    FRI_COST_LIMIT,
    FRI_COST_WORKERS,
    FRI_COST_DISPATCH,
    FRI_COST_TAIL,
    FRI_COST_STRAGGLER,
    FRI_COST_RETRY,
    FRI_COST_SCRIPT,
    FRI_COSTS
};

/* ---- what is analysed ------------------------------------------------- */

struct fri_span {
    double ready, started, finished;
    uint32_t task;
    uint32_t items; /* of a slice; else 1 */
    uint32_t row;   /* the caller's */
    bool again;     /* failed, and was made again */
};

struct fri_spans_task {
    double submitted;
    uint32_t pool, group;
    uint32_t after, after_count; /* its dependencies, in `afters` */
    uint32_t need, need_count;   /* its limits, in `needs` */
};

struct fri_spans_need {
    uint32_t limit, seats;
};

/* Times are seconds from the run's start; a dependency has a smaller number
 * than its dependant. */
struct fri_spans {
    const struct fri_span *spans; /* in the order in which they ended */
    const struct fri_spans_task *tasks;
    const uint32_t *afters;
    const struct fri_spans_need *needs;
    const uint32_t *workers; /* of each pool, > 0 */
    const uint32_t *seats;   /* of each limit, > 0 */
    uint32_t count, task_count, pool_count, limit_count, group_count;
    double ended; /* the run */
};

/* ---- what comes out --------------------------------------------------- */

#define FRI_NO_SPAN UINT32_MAX

struct fri_part {
    enum fri_cost cost;
    uint32_t which; /* LIMIT: the limit; WORKERS: the pool; else 0 */
    uint32_t span;  /* that has most of it, or FRI_NO_SPAN */
    double seconds;
};

/* Resources are the limits, then the pools. */
struct fri_analysis {
    double makespan;
    double work; /* of all spans, one after the other */
    double path; /* the longest through the dependencies */
    double *held; /* of each resource: seconds, times what was in use */
    struct fri_part bound_by; /* the lower bound: PATH, LIMIT or WORKERS */
    struct fri_part *parts;   /* the longest first, none of 0 seconds */
    uint32_t part_count;
    uint32_t *chain; /* the spans that were followed, the last one first */
    uint32_t chain_count;
    double *medians; /* of each group, by the item; 0: fewer than FRI_LIKE */
    const struct fri_memory *memory;
};

/* False: out of memory. */
bool fri_analysis_make(struct fri_analysis *a, const struct fri_spans *s,
                       const struct fri_memory *memory);
void fri_analysis_free(struct fri_analysis *a);

/* The lower bound if there were `count` of that resource; FRI_NO_SPAN: as it
 * was.  `by` is what sets it; its span is FRI_NO_SPAN. */
double fri_analysis_bound(const struct fri_analysis *a,
                          const struct fri_spans *s, uint32_t resource,
                          uint32_t count, struct fri_part *by);

/* As people read it: "critical path". */
const char *fri_cost_text(enum fri_cost cost);

#endif
