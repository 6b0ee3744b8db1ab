/* bound.h - the lower bound of a run: see analysis.h. */
#ifndef FRI_BOUND_H
#define FRI_BOUND_H

#include "report/analysis.h"

/* Fills in work, path and bound_by, and takes out of `held` what attempts
 * that were made again have held.  False: out of memory. */
bool fri_bound_find(struct fri_analysis *a, const struct fri_spans *s);

static inline double fri_span_length(const struct fri_span *s)
{
    return s->finished > s->started ? s->finished - s->started : 0;
}

static inline uint32_t fri_resources(const struct fri_spans *s)
{
    return s->limit_count + s->pool_count;
}

#endif
