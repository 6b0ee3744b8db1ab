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

/* Goes on with time at a rate of its own; read in a quarter of the time. */
static inline uint64_t fri_ticks(void)
{
#if defined(__x86_64__) || defined(__i386__)
    return __builtin_ia32_rdtsc();
#else
    return (uint64_t)fri_now();
#endif
}

/* The time as it was read last, at most about half a microsecond ago: for
 * what is done millions of times a second.  One reader at a time. */
struct fri_near {
    uint64_t ticks;
    fri_time now;
};

static inline fri_time fri_now_near(struct fri_near *n)
{
    uint64_t ticks = fri_ticks();

    if (ticks - n->ticks < 1000)
        return n->now;
    n->ticks = ticks;
    return n->now = fri_now();
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
