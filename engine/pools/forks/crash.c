/*
 * crash.c - what a worker's death costs: the task that ran in it.
 *
 * The items of a packed slice in which a worker dies are handed out again one
 * by one: the one that kills it then is to blame.
 */
#include "pools/forks/flight.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

static struct fri_error *crash(const struct fri_fork *w)
{
    const struct fri_memory *m = &fri_fork_engine(w)->memory;
    struct fri_error *e;

    if (fri_fork_is_broken(w)) {
        e = fri_error_format(m, FRUN_ECRASHED,
                             "the worker wrote garbage and was killed");
    } else if (WIFSIGNALED(w->status)) {
        e = fri_error_format(m, FRUN_ECRASHED,
                             "the worker died: signal %d (%s)",
                             WTERMSIG(w->status),
                             strsignal(WTERMSIG(w->status)));
    } else {
        e = fri_error_format(m, FRUN_ECRASHED,
                             "the worker exited with status %d",
                             WEXITSTATUS(w->status));
    }
    if (!e)
        return NULL;
    if (WIFSIGNALED(w->status))
        e->public.signal = WTERMSIG(w->status);
    else
        e->public.exit_status = WEXITSTATUS(w->status);
    return e;
}

static void blame(struct fri_fork *w, struct fri_flight *f)
{
    struct fri_data outcome = { .holds = FRI_ERROR };

    outcome.error = crash(w);
    fri_sched_finish(f->task, &outcome, fri_now());
}

/* Rule 3. */
static void blame_slice(struct fri_fork *w, struct fri_flight *f)
{
    struct fri_slice none = { f->task, f->slice.first, f->slice.first };
    struct fri_range *r = f->task->data.range;
    struct fri_error *error = NULL;
    bool alone = f->slice.end - f->slice.first == 1;

    if (alone) {
        error = crash(w);
        if (error)
            fri_range_key(r, f->slice.first, error);
        fri_sched_ran(f->task,
                      &(struct fri_ran_slice){
                          .slice = &none, .failed = true, .failure = error,
                          .worker = w->index, .began = w->busy_since,
                          .ended = fri_now() });
    } else {
        w->forks->pool->lane.crashed++;
        fri_sched_give_back_singly(&f->slice);
    }
    fri_sched_finish_slice(&none, alone, error, fri_now());
}

/* It was begun over there, and there is no result. */
void fri_flight_settle(struct fri_fork *w, struct fri_flight *f)
{
    w->useful = true;
    if (!f->begun)
        fri_flight_begin(w, f);
    if (f->refused)
        fri_sched_return(f->task);
    else if (f->task->counted)
        blame_slice(w, f);
    else
        blame(w, f);
}

/* In a worker that ran nothing, one that waited alone is to blame; of several
 * nobody knows: all are tried again, once. */
static void settle_waits(struct fri_fork *w, bool ran)
{
    bool alone = !ran && w->suspended == 1;
    struct fri_flight *f;

    while ((f = w->waits) != NULL) {
        struct fri_flight copy;

        fri_flight_wake(w, f);
        f->slot = fri_fork_free_slot(w);
        fri_flight_take_slot(w, f); /* to land from, as the others */
        copy = fri_flight_land(w, f);
        if (alone || copy.raised || copy.task->again) {
            fri_flight_settle(w, &copy);
        } else {
            copy.task->again = 1;
            fri_flight_give_back(&copy);
        }
    }
}

void fri_fork_settle(struct fri_fork *w)
{
    bool ran = false;

    w->forks->calling = true;
    for (unsigned i = 0; i < FRI_SLOTS; i++) {
        struct fri_flight f;
        bool unbegun;

        if (!w->flights[i])
            continue;
        /* What a broken one has written there says nothing; one whose death
         * is only presumed begins nothing more. */
        unbegun = !w->broken
                  && fri_slot_move(fri_fork_slot(w, i), FRI_SLOT_HANDED,
                                   FRI_SLOT_REVOKED);
        f = fri_flight_land(w, w->flights[i]);
        fri_fork_count(w);
        if (f.revoked)
            continue;
        /* In the order of handing out: only the oldest can have begun. */
        if (unbegun || !f.begun) {
            fri_flight_give_back(&f);
        } else {
            ran = true;
            fri_flight_settle(w, &f);
        }
    }
    w->queue_count = 0;
    settle_waits(w, ran);
    fri_fork_count(w);
    w->forks->calling = false;
}
