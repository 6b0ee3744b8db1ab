/*
 * flight.c - tasks into a worker's hand, and back out of it unbegun.
 *
 * Rules.
 *  1. A worker has one task that takes long, or some that are short; what
 *     holds seats, has a timeout or a cap is handed to one that runs nothing.
 *  2. The worker's oldest task has begun, as far as the scheduler knows.  What
 *     is true stands in the page, by compare-and-swap: only what the worker
 *     has begun there is blamed for its death, only what it has not is given
 *     to another.
 */
#include "pools/forks/flight.h"

#include "core/shared.h"
#include "data/codec.h"

#include <string.h>

enum {
    SOON_NS = 50000,   /* tasks that are handed out many at a time */
    SOME_NS = 2000000, /* a gap between two of them does not matter above */
    HAND_NS = 100000   /* work that a worker has before it at most */
};

/* ---- how many --------------------------------------------------------- */

unsigned fri_fork_window(const struct fri_fork *w)
{
    const struct fri_lane *lane = &w->forks->pool->lane;
    const struct frun_future *best = fri_lane_best(lane);
    uint64_t ns = lane->task_ns;
    unsigned most;

    if (best && fri_task_alone(best))
        return best->counted && best->data.range->item_ns > 0 ? 2 : 1;
    if (ns == 0 || ns > SOME_NS)
        return 1;
    if (ns > SOON_NS)
        return 2;
    most = (unsigned)(HAND_NS / ns) + 2;
    return most < FRI_SLOTS ? most : FRI_SLOTS;
}

size_t fri_fork_share(const struct fri_fork *w)
{
    const struct fri_lane *lane = &w->forks->pool->lane;
    size_t ready = atomic_load(&lane->ready), window = fri_fork_window(w);
    size_t share = 1 + ready / (2 * (size_t)lane->workers);
    size_t room = window > w->flying ? window - w->flying : 0;
    int most = w->forks->pool->max_tasks;

    if (lane->task_ns > 0 && lane->task_ns < SOON_NS / 10 && share < 8)
        share = 8; /* not worth sharing */
    if (room > FRI_SLOTS - w->flying)
        room = FRI_SLOTS - w->flying;
    if (most > 0 && w->handed + room > (uint64_t)most)
        room = (uint64_t)most > w->handed ? (size_t)most - w->handed : 0;
    return share < room ? share : room;
}

/* ---- slots ------------------------------------------------------------ */

void fri_flight_begin(struct fri_fork *w, struct fri_flight *f)
{
    fri_time now = fri_now();

    f->begun = true;
    w->busy_since = now;
    f->refused = !fri_task_begin(f->task, w->index, now);
    if (f->refused)
        return;
    fri_attempt_begin(f->task, now);
    fri_sched_started(f->task, now);
}

/* The oldest that has not begun does so now (rule 2). */
void fri_flight_next(struct fri_fork *w)
{
    while (w->queue_count > 0) {
        struct fri_flight *f = w->flights[w->queue[w->queue_at]];

        w->queue_at = (w->queue_at + 1) % FRI_SLOTS;
        w->queue_count--;
        if (!f || f->revoked || f->begun)
            continue;
        fri_flight_begin(w, f);
        return;
    }
}

unsigned fri_fork_free_slot(const struct fri_fork *w)
{
    unsigned slot = 0;

    while (slot < FRI_SLOTS && w->flights[slot])
        slot++;
    return slot;
}

static struct fri_flight *flight_new(struct fri_fork *w)
{
    struct fri_forks *fs = w->forks;
    struct fri_flight *f = fs->spare;

    if (f)
        fs->spare = f->next;
    else
        f = fri_alloc(w->port.memory, sizeof *f);
    if (!f)
        return NULL;
    memset(f, 0, sizeof *f);
    f->ticket = ++w->handed;
    f->slot = fri_fork_free_slot(w);
    return f;
}

static void flight_free(struct fri_fork *w, struct fri_flight *f)
{
    f->next = w->forks->spare;
    w->forks->spare = f;
}

void fri_flights_free(struct fri_forks *fs)
{
    struct fri_flight *f;

    while ((f = fs->spare) != NULL) {
        fs->spare = f->next;
        fri_free(&fs->pool->engine->memory, f);
    }
}

struct fri_flight *fri_fork_flight(struct fri_fork *w, uint64_t ticket)
{
    for (unsigned i = 0; i < FRI_SLOTS; i++)
        if (w->flights[i] && w->flights[i]->ticket == ticket)
            return w->flights[i];
    for (struct fri_flight *f = w->waits; f; f = f->next)
        if (f->ticket == ticket)
            return f;
    return NULL;
}

/* Before the frame is sent: the worker may be quick. */
void fri_flight_take_slot(struct fri_fork *w, struct fri_flight *f)
{
    atomic_store(&fri_fork_slot(w, f->slot)->state, FRI_SLOT_HANDED);
    w->flights[f->slot] = f;
    w->flying++;
}

void fri_flight_leave_slot(struct fri_fork *w, struct fri_flight *f)
{
    atomic_store(&fri_fork_slot(w, f->slot)->state, FRI_SLOT_FREE);
    w->flights[f->slot] = NULL;
    w->flying--;
}

/* ---- out -------------------------------------------------------------- */

/* It ends before it begins; takes the error, NULL: out of memory. */
static void cannot(const struct fri_slice *s, struct fri_error *error)
{
    struct fri_slice none = { s->task, s->first, s->first };
    struct fri_data outcome = { .holds = FRI_ERROR, .error = error };
    fri_time now = fri_now();

    if (s->task->counted) {
        fri_sched_finish_slice(&none, true, outcome.error, now);
    } else if (fri_task_begin(s->task, 0, now)) {
        fri_sched_finish(s->task, &outcome, now);
    } else {
        fri_data_free(&outcome);
        fri_sched_return(s->task);
    }
}

/* A C function, and a helper that is no copy of the host. */
static void cannot_run(struct fri_fork *w, const struct fri_slice *s)
{
    cannot(s, fri_error_format(w->port.memory, FRUN_ERESOURCE,
                               "a C function cannot run in forks here: the "
                               "parent of the workers is another program, "
                               "since the process had threads when it was "
                               "made"));
}

static bool too_deep(const struct fri_slice *s, uint64_t *item)
{
    const struct frun_future *task = s->task;

    if (!task->counted)
        return task->holds == FRI_VALUE
               && fri_encode_try(task->data.value) == FRUN_EUNSENDABLE;
    for (*item = s->first; task->data.range->list && *item < s->end; ++*item)
        if (fri_encode_try(frun_value_at(task->data.range->list, *item))
            == FRUN_EUNSENDABLE)
            return true;
    return false;
}

/* It could not be written down: it is a value of C that is too deep, or memory
 * ran out. */
static void cannot_send(struct fri_fork *w, const struct fri_slice *s)
{
    struct fri_error *error = NULL;
    uint64_t item = 0;

    if (too_deep(s, &item))
        error = fri_error_format(w->port.memory, FRUN_EUNSENDABLE,
                                 "argument: nested deeper than %d", FRI_DEPTH);
    if (error && s->task->counted) {
        error->number_key = true;
        error->key_number = (int64_t)item;
    }
    cannot(s, error);
}

static bool fly(struct fri_fork *w, const struct fri_slice *s)
{
    struct fri_flight *f = flight_new(w);

    if (s->task->spec->function
        && !fri_spawner_copied(fri_fork_engine(w)->spawner)) {
        if (f)
            flight_free(w, f);
        cannot_run(w, s);
        return false;
    }
    if (f)
        fri_flight_take_slot(w, f);
    if (!f || !fri_ship_spec(w, s->task->spec) || !fri_ship_task(w, f, s)) {
        if (f) {
            fri_flight_leave_slot(w, f);
            flight_free(w, f);
        }
        cannot_send(w, s);
        return false;
    }
    f->task = s->task;
    f->slice = *s;
    f->task->handed = !f->task->counted;
    w->queue[(w->queue_at + w->queue_count) % FRI_SLOTS] = (uint8_t)f->slot;
    w->queue_count++;
    if (!fri_fork_runs_one(w))
        fri_flight_next(w);
    return true;
}

size_t fri_fork_hand(struct fri_fork *w, size_t max)
{
    frun_engine *e = fri_fork_engine(w);
    struct fri_slice slices[FRI_SLOTS];
    int most = w->forks->pool->max_tasks;
    size_t n = max > 0 ? fri_sched_take(&w->forks->pool->lane, max, slices)
                       : 0;

    for (size_t i = 0; i < n; i++)
        fly(w, &slices[i]);
    fri_fork_count(w);
    /* With the owner that waits, all that compute have a core. */
    atomic_store_explicit(&w->channel.page->may_spin, e->busy < e->cores,
                          memory_order_relaxed);
    fri_channel_ring(&w->channel);
    if (w->flying > 1)
        fri_engine_watch(e);
    if (most > 0 && w->handed >= (uint64_t)most)
        fri_fork_dismiss(w);
    return n;
}

/* ---- back ------------------------------------------------------------- */

/* Takes the flight out of its slot; its task is the caller's to settle. */
struct fri_flight fri_flight_land(struct fri_fork *w, struct fri_flight *f)
{
    struct fri_flight copy = *f;

    if (!f->revoked)
        f->task->handed = 0;
    fri_flight_leave_slot(w, f);
    w->revoked -= f->revoked;
    if (f->holder)
        fri_holder_leave(f->holder);
    fri_free(w->port.memory, f->holder);
    flight_free(w, f);
    return copy;
}

/* It was handed out, not begun: as if it had never been. */
void fri_flight_give_back(const struct fri_flight *f)
{
    struct fri_slice none = { f->slice.task, f->slice.first, f->slice.first };

    if (f->task->counted) {
        fri_sched_give_back(&f->slice);
        fri_sched_finish_slice(&none, false, NULL, fri_now());
        return;
    }
    if (f->begun && !f->refused)
        atomic_fetch_sub(&f->task->attempts, 1);
    fri_sched_return(f->task);
}

/* Out of the queue of those that have not begun. */
static void take_out(struct fri_fork *w, unsigned i)
{
    for (w->queue_count--; i < w->queue_count; i++)
        w->queue[(w->queue_at + i) % FRI_SLOTS]
            = w->queue[(w->queue_at + i + 1) % FRI_SLOTS];
}

/* A slot that was revoked stays in use until the worker has seen that. */
void fri_fork_reclaim(struct fri_fork *w)
{
    bool calling = w->forks->calling;

    w->forks->calling = true; /* all come back before any goes out again */
    for (unsigned i = w->queue_count; i-- > 0;) {
        unsigned slot = w->queue[(w->queue_at + i) % FRI_SLOTS];
        struct fri_flight *f = w->flights[slot];

        if (!f || f->revoked || f->begun
            || !fri_slot_move(fri_fork_slot(w, slot), FRI_SLOT_HANDED,
                              FRI_SLOT_REVOKED))
            continue;
        f->revoked = true;
        f->task->handed = 0;
        w->revoked++;
        take_out(w, i);
        fri_flight_give_back(f);
    }
    w->forks->calling = calling;
}
