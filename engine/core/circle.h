/*
 * circle.h - of waits that cannot end, who is told: see circle.c.
 */
#ifndef FRI_CIRCLE_H
#define FRI_CIRCLE_H

#include "core/scheduler.h"

struct fri_pile {
    void **items;
    size_t count, capacity, at; /* at: worked off up to there */
};

/* One look of deadlock.c. */
struct fri_look {
    struct frun_engine *engine;
    struct fri_sched *sched;
    struct fri_pile dead;  /* futures that were taken for dead */
    struct fri_pile alive; /* those that are not after all */
    struct fri_pile freed; /* waits that can end */
    uint64_t count;        /* items of the tasks that are dead */
    struct fri_wait *owner_waits, *victims;
    bool owner_idle;       /* it waits, and nothing is due */
    bool anybody;          /* somebody can still do something */
    bool changed, failed;  /* failed: out of memory */
};

bool fri_pile_push(const struct fri_memory *m, struct fri_pile *p, void *item);

/* Can nobody who waits there have seats any more? */
bool fri_limit_is_stuck(const struct fri_limit *limit);

/* Chooses whose waits end, of those that are stalled; false: there are none.
 * Uses up the marks of the futures. */
bool fri_circles_find(struct fri_look *l);

/* Ends them.  Nothing else of the look may be used then. */
void fri_circles_raise(struct fri_look *l);

#endif
