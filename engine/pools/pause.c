/*
 * pause.c - the whole run is stopped for a while, and goes on.
 *
 * Rules.
 *  1. From the pause to the resume no timer fires, however late it is by then,
 *     and all move by the time that has passed: what was stopped has not run
 *     out of time.
 *  2. Worker threads stop with the process; worker processes and commands
 *     are in groups of their own and are stopped one by one.  What is started
 *     meanwhile is not: nothing is, since the service thread stops, too.
 *  3. A pause that does not stop the process (its group may be orphaned) is
 *     nothing but short.
 */
#define _GNU_SOURCE
#include "pools/forks/forks.h"
#include "pools/commands/proc.h"

#include <signal.h>

static void signal_all(frun_engine *e, int number)
{
    fri_procs_signal(e, number);
    for (frun_pool *pool = e->pools; pool; pool = pool->next) {
        struct fri_forks *fs = pool->state;

        if (pool->ops != &fri_forks_ops || pool->gone)
            continue;
        for (struct fri_fork *w = fs->all; w; w = w->next)
            if (!w->ended)
                fri_spawner_signal(e->spawner, w->id, number);
    }
}

void fri_engine_pause(frun_engine *e)
{
    fri_lock(e);
    if (!e->sched.paused) {
        e->sched.paused = true;
        e->paused_at = fri_now();
        signal_all(e, SIGSTOP);
    }
    fri_unlock(e);
}

void fri_engine_resume(frun_engine *e)
{
    fri_lock(e);
    if (e->sched.paused) {
        fri_timers_shift(&e->sched.timers, fri_now() - e->paused_at);
        e->sched.paused = false;
        signal_all(e, SIGCONT);
        fri_owner_wake(e); /* it runs the timers where no service does */
    }
    fri_unlock(e);
    fri_service_poke(e);
}
