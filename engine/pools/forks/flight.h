/*
 * flight.h - what the files share that follow tasks to a worker and back:
 * flight.c (out, and back unbegun), ship.c (as bytes), landing.c (results),
 * forkstop.c (waits and stops), crash.c (deaths).
 */
#ifndef FRI_FLIGHT_H
#define FRI_FLIGHT_H

#include "pools/forks/forks.h"

static inline frun_engine *fri_fork_engine(const struct fri_fork *w)
{
    return w->forks->pool->engine;
}

static inline struct fri_slot *fri_fork_slot(const struct fri_fork *w,
                                             unsigned slot)
{
    return &w->channel.page->slots[slot];
}

static inline enum fri_slot_state fri_fork_slot_state(const struct fri_fork *w,
                                                      unsigned slot)
{
    return (enum fri_slot_state)atomic_load(&fri_fork_slot(w, slot)->state);
}

/* Has it a task that has begun, as far as the scheduler knows? */
static inline bool fri_fork_runs_one(const struct fri_fork *w)
{
    return w->flying > w->queue_count + w->revoked;
}

/* ---- flight.c --------------------------------------------------------- */

/* The scheduler learns that it has begun; of the oldest that has not. */
void fri_flight_begin(struct fri_fork *w, struct fri_flight *f);
void fri_flight_next(struct fri_fork *w);

unsigned fri_fork_free_slot(const struct fri_fork *w);
void fri_flight_take_slot(struct fri_fork *w, struct fri_flight *f);
void fri_flight_leave_slot(struct fri_fork *w, struct fri_flight *f);

/* Takes the flight out of its slot; its task is the caller's to settle. */
struct fri_flight fri_flight_land(struct fri_fork *w, struct fri_flight *f);

/* It was handed out, not begun: as if it had never been. */
void fri_flight_give_back(const struct fri_flight *f);

/* ---- ship.c ----------------------------------------------------------- */

/* False: out of memory. */
bool fri_ship_spec(struct fri_fork *w, const struct fri_spec *spec);
bool fri_ship_task(struct fri_fork *w, const struct fri_flight *f,
                   const struct fri_slice *s);

/* ---- forkstop.c ------------------------------------------------------- */

/* Out of those that wait. */
void fri_flight_wake(struct fri_fork *w, struct fri_flight *f);

/* ---- crash.c ---------------------------------------------------------- */

/* It was begun over there, and there is no result. */
void fri_flight_settle(struct fri_fork *w, struct fri_flight *f);

#endif
