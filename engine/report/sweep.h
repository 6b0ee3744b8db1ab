/*
 * sweep.h - how much of each resource was in use, and how much queued, at a
 * point of time that moves through a run.
 *
 * Resources are the limits, then the pools, as in analysis.h.
 */
#ifndef FRI_SWEEP_H
#define FRI_SWEEP_H

#include "report/analysis.h"

struct fri_sweep {
    const struct fri_spans *spans;
    struct fri_sweep_event {
        double at;
        uint32_t span;
        uint8_t what;
    } *events;
    size_t count, next; /* events before `next` have happened */
    int64_t *used;      /* of each resource */
    int64_t *queued;    /* of each resource that is a pool */
    struct fri_sweep_full {
        double last; /* when the resource was full last; < 0: never */
        uint32_t need;
    } *full;
    uint32_t *resource; /* that a span queued for; FRI_NO_SPAN: for none */
    const struct fri_memory *memory;
};

/* At the end of the run.  `held` is filled as fri_analysis.held; false: out of
 * memory. */
bool fri_sweep_open(struct fri_sweep *w, const struct fri_spans *s,
                    double *held, const struct fri_memory *m);
void fri_sweep_close(struct fri_sweep *w);

/* Goes back to just before `at`; gives where the stretch with the same use
 * begins that ends there. */
double fri_sweep_back(struct fri_sweep *w, double at);

/* The used share of a resource, 0 to 1. */
double fri_sweep_share(const struct fri_sweep *w, uint32_t resource);

/* What the task would queue for now, and how full it is. */
uint32_t fri_sweep_fullest(const struct fri_sweep *w,
                           const struct fri_spans_task *task, double *share);

static inline uint32_t fri_sweep_pool(const struct fri_sweep *w,
                                      const struct fri_spans_task *task)
{
    return w->spans->limit_count + task->pool;
}

#endif
