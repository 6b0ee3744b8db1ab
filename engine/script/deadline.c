/*
 * deadline.c - the run's deadline where no command keeps it: under a stock Lua.
 *
 * The process is the host's, so nothing ends it: what is pending or runs is
 * cancelled, as is what is submitted later, and who waits for it is told.  What
 * the main program itself does goes on.
 */
#include "script/view.h"

#include "core/halt.h"

#include <stddef.h>
#include <stdio.h>

/* Under the engine's lock.  Out of memory: the run goes on. */
static void passed(struct fri_timer *timer, fri_time now)
{
    struct fri_script *s
        = (struct fri_script *)(void *)((char *)timer
                                        - offsetof(struct fri_script,
                                                   deadline));
    const struct fri_memory *m = &s->engine->memory;
    struct fri_group *why;
    char text[80];

    (void)now;
    snprintf(text, sizeof text, "the run's deadline of %g s passed",
             fri_seconds(timer->deadline - s->started));
    why = fri_group_new(m, text, 0);
    if (!why)
        return;
    why->rule.now = true;
    why->cause = fri_error_new(m, FRUN_ETIMEOUT, text, NULL, NULL);
    fri_halt_all(&s->engine->sched, why);
}

/* The engine, if there is one yet, gets the timer; else with its opening. */
void fri_run_deadline(struct fri_script *s)
{
    frun_engine *e = s->engine;

    if (!e || s->foreign || s->own.timeout <= 0 || s->own.set_timeout)
        return;
    fri_lock(e);
    s->deadline.fire = passed;
    fri_engine_timer(e, &s->deadline,
                     fri_deadline(s->started, s->own.timeout));
    fri_unlock(e);
}
