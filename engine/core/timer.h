/*
 * timer.h - deadlines in a binary heap.
 *
 * A timer is part of what it times.  Under the engine's lock.
 */
#ifndef FRI_TIMER_H
#define FRI_TIMER_H

#include "base/clock.h"
#include "base/memory.h"

#include <stdbool.h>

struct fri_timer {
    fri_time deadline;
    size_t place; /* in the heap from 1; 0: not set */
    void (*fire)(struct fri_timer *timer, fri_time now);
};

struct fri_timers {
    const struct fri_memory *memory;
    struct fri_timer **heap; /* 1 .. count */
    size_t count, capacity;
};

/* Makes room for one more timer, so that the next set cannot fail. */
bool fri_timers_reserve(struct fri_timers *timers);

/* Sets or moves; room must have been reserved since the last set. */
void fri_timer_set(struct fri_timers *timers, struct fri_timer *timer,
                   fri_time deadline);
void fri_timer_stop(struct fri_timers *timers, struct fri_timer *timer);

/* Fires what is due; the next deadline, or FRI_NEVER. */
fri_time fri_timers_run(struct fri_timers *timers, fri_time now);

/* All deadlines come so much later. */
void fri_timers_shift(struct fri_timers *timers, fri_time by);
void fri_timers_free(struct fri_timers *timers);

#endif
