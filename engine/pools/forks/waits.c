/*
 * waits.c - what tasks of worker processes wait for, as deadlock.c sees it.
 *
 * A task that comes to wait says which of its requests it waits for.  One that
 * is answered may still be on its way back: who waits for it counts as alive,
 * as does a task of which it is not known what it waits for.
 */
#include "core/deadlock.h"
#include "pools/forks/forks.h"

static struct fri_awaits *awaits_of(struct fri_wait *wait)
{
    return (struct fri_awaits *)(void *)wait;
}

/* ---- looking ---------------------------------------------------------- */

static bool is_dead(const struct fri_goal *goal)
{
    if (goal->ask)
        return goal->ask->dead;
    if (goal->lane)
        return goal->lane->dead > 0;
    return goal->future && goal->future->dead;
}

static bool can(struct fri_wait *wait)
{
    const struct fri_awaits *a = awaits_of(wait);
    unsigned dead = 0;

    for (unsigned i = 0; i < a->count; i++) {
        struct fri_goal goal = { .future = NULL };

        if (!fri_served_goal(a->fork, a->numbers[i], &goal))
            return true;
        dead += is_dead(&goal);
    }
    return dead <= a->want || (a->failure && dead < a->count);
}

static struct fri_lane *lane(struct fri_wait *wait)
{
    const struct fri_awaits *a = awaits_of(wait);
    struct fri_goal goal = { .future = NULL };

    return fri_served_goal(a->fork, a->numbers[0], &goal) ? goal.lane : NULL;
}

static struct frun_future *dead_future(struct fri_wait *wait)
{
    const struct fri_awaits *a = awaits_of(wait);

    for (unsigned i = 0; i < a->count; i++) {
        struct fri_goal goal = { .future = NULL };

        if (fri_served_goal(a->fork, a->numbers[i], &goal) && goal.future
            && goal.future->dead)
            return goal.future;
    }
    return NULL;
}

/* RAISE: ticket, why, text. */
static bool raise(struct fri_wait *wait, struct fri_error *error)
{
    struct fri_awaits *a = awaits_of(wait);
    struct fri_fork *w = a->fork;
    struct fri_buffer *b = fri_channel_begin(&w->channel);

    a->told = true;
    fri_put_varint(b, a->flight->ticket);
    fri_put_varint(b, FRUN_EDEADLOCK);
    fri_wire_text(b, error ? error->message : NULL);
    fri_error_free(error);
    if (!fri_channel_send(&w->channel, FRI_FRAME_RAISE, NULL, 0, true))
        fri_fork_kill(w, true);
    return true;
}

/* ---- coming and going ------------------------------------------------- */

static struct fri_sched *sched_of(const struct fri_fork *w)
{
    return &w->forks->pool->engine->sched;
}

static void read_numbers(struct fri_awaits *a, unsigned n,
                         struct fri_reader *r)
{
    for (unsigned i = 0; i < n; i++)
        a->numbers[i] = fri_get_varint(r);
    a->count = n;
    a->want = (size_t)fri_get_varint(r);
    a->failure = fri_get_byte(r) != 0;
}

bool fri_flight_waits(struct fri_fork *w, struct fri_flight *f,
                      struct fri_reader *r)
{
    struct fri_sched *s = sched_of(w);
    uint64_t n = fri_get_varint(r);
    struct fri_awaits *a;

    s->waits.tasks++;
    fri_waits_note(s);
    if (r->bad || n == 0 || n > FRI_AWAITED)
        return !r->bad && n == 0;
    a = fri_alloc_zero(w->port.memory, sizeof *a);
    if (!a)
        return true;
    f->awaits = a;
    a->fork = w;
    a->flight = f;
    a->own.task = f->task;
    a->wait = (struct fri_wait){ .since = ++s->waits.last, .odd = true,
                                 .can = can, .lane = lane,
                                 .dead_future = dead_future, .raise = raise };
    read_numbers(a, (unsigned)n, r);
    return !r->bad;
}

void fri_flight_waited(struct fri_fork *w, struct fri_flight *f)
{
    struct fri_sched *s = sched_of(w);

    if (f->awaits)
        fri_wait_end(s, &f->awaits->wait);
    fri_free(w->port.memory, f->awaits);
    f->awaits = NULL;
    fri_waits_note(s);
    s->waits.tasks--;
}

static void list(struct fri_fork *w, struct fri_flight *f)
{
    struct fri_awaits *a = f->awaits;

    if (!a || a->told || f->wants || f->raised || w->dying || w->ended)
        return;
    a->wait.holder = f->holder ? f->holder : &a->own;
    fri_wait_list(sched_of(w), &a->wait);
}

void fri_forks_waits(frun_pool *pool, bool look)
{
    struct fri_forks *fs = pool->state;

    for (struct fri_fork *w = fs ? fs->all : NULL; w; w = w->next)
        for (struct fri_flight *f = w->waits; f; f = f->next) {
            if (look)
                list(w, f);
            else if (f->awaits)
                fri_wait_end(sched_of(w), &f->awaits->wait);
        }
}
