/*
 * clock.h - monotonic time in nanoseconds; what the engine never measures
 * with the wall clock.
 */
#ifndef FRI_CLOCK_H
#define FRI_CLOCK_H

#include <stdint.h>
#include <time.h>

typedef int64_t fri_time; /* nanoseconds */

#define FRI_SECOND INT64_C(1000000000)
#define FRI_NEVER INT64_MAX

static inline fri_time fri_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (fri_time)t.tv_sec * FRI_SECOND + t.tv_nsec;
}

/* now + seconds; less than 0, NaN or beyond 292 years is never. */
static inline fri_time fri_deadline(fri_time now, double seconds)
{
    if (!(seconds >= 0) || seconds >= 9e9)
        return FRI_NEVER;
    return now + (fri_time)(seconds * 1e9);
}

static inline double fri_seconds(fri_time t)
{
    return (double)t / 1e9;
}

#endif
