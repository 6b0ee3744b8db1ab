/*
 * timer.h - deadlines in a heap that needs no memory.
 *
 * A timer is part of what it times, and so are its links to others (a pairing
 * heap): to set one cannot fail, however short memory is.  What waits for a
 * timer would wait for ever if it could.  A timer that is set stays where it
 * is.  Under the engine's lock.
 */
#ifndef FRI_TIMER_H
#define FRI_TIMER_H

#include "base/clock.h"

#include <stdbool.h>
#include <stddef.h>

struct fri_timer {
    fri_time deadline;
    bool set;
    struct fri_timer *child, *next; /* no child is earlier */
    struct fri_timer *before;       /* the sibling there, else the parent */
    void (*fire)(struct fri_timer *timer, fri_time now);
};

struct fri_timers {
    struct fri_timer *first; /* the earliest, or NULL */
};

/* Sets or moves. */
void fri_timer_set(struct fri_timers *timers, struct fri_timer *timer,
                   fri_time deadline);
void fri_timer_stop(struct fri_timers *timers, struct fri_timer *timer);

/* Fires what is due; the next deadline, or FRI_NEVER. */
fri_time fri_timers_run(struct fri_timers *timers, fri_time now);

/* All deadlines come so much later. */
void fri_timers_shift(struct fri_timers *timers, fri_time by);

#endif
