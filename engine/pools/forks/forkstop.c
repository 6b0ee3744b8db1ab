/*
 * forkstop.c - tasks of worker processes that wait, and that are to stop.
 *
 * A task that runs is stopped with its process: TERM, then KILL to the whole
 * group.  The slot decides, by compare-and-swap, who was first: the stop, or
 * the task's end.
 */
#include "pools/forks/flight.h"

enum { SOON_STOP_NS = 10000000 };

/* ---- waiting ---------------------------------------------------------- */

/* Out of those that wait. */
void fri_flight_wake(struct fri_fork *w, struct fri_flight *f)
{
    struct fri_flight **at = &w->waits;

    while (*at != f)
        at = &(*at)->next;
    *at = f->next;
    w->suspended--;
    fri_flight_waited(w, f);
}

static void let_go(struct fri_fork *w, struct fri_flight *f)
{
    struct fri_buffer *b = fri_channel_begin(&w->channel);

    fri_flight_wake(w, f);
    f->wants = f->suspended = false;
    f->slot = fri_fork_free_slot(w);
    fri_flight_take_slot(w, f);
    fri_put_varint(b, f->ticket);
    fri_put_varint(b, f->slot);
    if (!fri_channel_send(&w->channel, FRI_FRAME_GO, NULL, 0, true))
        fri_fork_kill(w, true);
    fri_fork_count(w);
}

/* The one that began to wait first. */
static struct fri_flight *wanting(const struct fri_fork *w)
{
    struct fri_flight *found = NULL;

    for (struct fri_flight *f = w->waits; f; f = f->next)
        if (f->wants)
            found = f;
    return found;
}

void fri_forks_let_go(struct fri_forks *fs)
{
    for (struct fri_fork *w = fs->all;
         w && fs->running < fs->pool->workers; w = w->next) {
        struct fri_flight *f;

        if (w->running || w->ended || w->dying)
            continue;
        f = wanting(w);
        if (f)
            let_go(w, f);
    }
}

/* ---- stopping --------------------------------------------------------- */

/* The result of one that has ended is on its way, but not for ever; what else
 * stands there the worker should not have written. */
static bool stop_flight(struct fri_fork *w, struct fri_flight *f)
{
    struct fri_slot *s = fri_fork_slot(w, f->slot);

    if (fri_slot_move(s, FRI_SLOT_HANDED, FRI_SLOT_STOPPED)) {
        f->asked = f->begun; /* it is its turn: the worker says so soon */
        if (f->asked)
            fri_fork_hurry(w);
        return true;
    }
    if (fri_fork_slot_state(w, f->slot) == FRI_SLOT_ENDED) {
        f->asked = true;
        fri_fork_hurry(w);
        return false;
    }
    atomic_store(&s->state, FRI_SLOT_STOPPED);
    fri_fork_kill(w, false);
    return true;
}

/* Where others are in the process, the wait ends by an error. */
static bool stop_wait(struct fri_fork *w, struct fri_flight *f,
                      frun_status why)
{
    struct fri_buffer *b;

    if (w->flying + w->suspended == 1) {
        fri_fork_kill(w, false);
        return true;
    }
    if (f->raised)
        return true;
    f->raised = true;
    b = fri_channel_begin(&w->channel);
    fri_put_varint(b, f->ticket);
    fri_put_varint(b, (uint64_t)why);
    if (!fri_channel_send(&w->channel, FRI_FRAME_RAISE, NULL, 0, true))
        fri_fork_kill(w, true);
    return true;
}

/* A slice that is over soon is waited for: another process costs more. */
static bool stop_slice(struct fri_fork *w, struct fri_flight *f)
{
    uint64_t ns = f->task->data.range->item_ns;

    if (ns == 0 || ns * (f->slice.end - f->slice.first) > SOON_STOP_NS)
        return stop_flight(w, f);
    f->asked = true;
    fri_fork_hurry(w);
    return true;
}

bool fri_fork_is_late(const struct fri_fork *w)
{
    for (unsigned i = 0; i < FRI_SLOTS; i++) {
        const struct fri_flight *f = w->flights[i];

        if (f && f->asked)
            return true;
    }
    return false;
}

static bool stop_in(struct fri_fork *w, struct frun_future *task,
                    frun_status why)
{
    bool stopped = false;

    for (unsigned i = 0; w->flying > 0 && i < FRI_SLOTS; i++)
        if (w->flights[i] && w->flights[i]->task == task
            && !w->flights[i]->revoked)
            stopped |= task->counted ? stop_slice(w, w->flights[i])
                                     : stop_flight(w, w->flights[i]);
    for (struct fri_flight *f = w->waits; f; f = f->next)
        if (f->task == task)
            stopped |= stop_wait(w, f, why);
    return stopped;
}

bool fri_forks_stop(struct fri_lane *lane, struct frun_future *task,
                    frun_status why)
{
    struct fri_forks *fs = fri_lane_pool(lane)->state;
    bool stopped = false;

    for (struct fri_fork *w = fs ? fs->all : NULL; w; w = w->next)
        if (!w->ended)
            stopped |= stop_in(w, task, why);
    return stopped;
}
