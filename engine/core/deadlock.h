/*
 * deadlock.h - waits that can never end: they end in an error.
 *
 * Who waits is in sched->waits.  Some time after a wait has begun, or after
 * something has ended that others may have counted on, all of them are looked
 * at, and those that cannot end any more are found: see deadlock.c.  All under
 * the engine's lock.
 */
#ifndef FRI_DEADLOCK_H
#define FRI_DEADLOCK_H

#include "core/scheduler.h"

/* The wait begins, on behalf of wait->holder; `ends`: time will end it. */
void fri_wait_begin(struct fri_sched *s, struct fri_wait *wait, bool ends);
/* The same of one that has begun before, and is not to be looked for. */
void fri_wait_list(struct fri_sched *s, struct fri_wait *wait);
void fri_wait_end(struct fri_sched *s, struct fri_wait *wait);

/* The waits are to be looked at soon, and are not to be yet. */
void fri_waits_soon(struct fri_sched *s);

/* Something has changed that a wait may have counted on.  Where nobody waits
 * but the owner, and not at a shared thing, nothing can be amiss. */
static inline void fri_waits_note(struct fri_sched *s)
{
    if ((s->waits.tasks > 0 || s->holders) && !s->waits.timer.set)
        fri_waits_soon(s);
}

/* fri_wait.can and .lane of a set. */
bool fri_set_can(struct fri_wait *wait);
struct fri_lane *fri_set_lane(struct fri_wait *wait);

void fri_deadlock_open(struct frun_engine *e);

/* Looks now. */
void fri_deadlock_look(struct frun_engine *e);

#endif
