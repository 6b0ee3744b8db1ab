/* kit.h - what the measurements in C share. */
#ifndef BENCH_KIT_H
#define BENCH_KIT_H

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static inline double seconds_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Sorts the list; the quantile of q, 0.5 being the median. */
static inline double quantile(double *list, size_t n, double q)
{
    size_t i = (size_t)(q * (double)n);

    qsort(list, n, sizeof(*list), by_value);
    return list[i < n ? i : n - 1];
}

/* A figure is its name, a tab, the value: see kit.lua. */
static inline void report(const char *name, double value)
{
    printf("%s\t%.9g\n", name, value);
}

static inline void *must(void *block)
{
    if (block)
        return block;
    fprintf(stderr, "bench: out of memory\n");
    exit(1);
}

#endif
