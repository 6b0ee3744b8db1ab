/*
 * sharing.c - a limit whose seats other runs take as well.
 *
 * Rules.
 *  1. Within the run all is as for other limits: the queue, its order, all
 *     seats of a task at once.  Only whether seats are free is asked of the
 *     file (seats.c), each time, as is the count.
 *  2. Shared seats are taken in the order of the limits' names, so two runs
 *     cannot each hold what the other is short of; a task that does not get
 *     all gives back what it got, and waits at the limit that was short.
 *  3. While tasks wait, or a ticket is shown, a timer looks every
 *     FRI_SEATS_RETRY; otherwise nothing runs.
 *  4. The run shows a ticket for the task that is next, once that has waited
 *     for FRI_SEATS_LONG.  The ticket stays until a seat is taken, or the
 *     task, sent to its pool, has not come for one within GRACE.
 */
#include "core/sharing.h"

#include "core/engine.h"

#include <stdio.h>
#include <string.h>

#define GRACE FRI_SECOND

/* ---- tickets ---------------------------------------------------------- */

static unsigned need_of(const struct frun_future *task,
                        const struct fri_limit *limit)
{
    const struct fri_spec *spec = task->spec;

    for (size_t i = 0; i < spec->need_count; i++)
        if (spec->needs[i].limit == limit)
            return spec->needs[i].count;
    return 0;
}

static void renew_ticket(struct fri_limit *limit, fri_time now)
{
    struct frun_future *top = fri_heap_top(&limit->waiting);
    fri_time since = top && top->extra ? top->extra->waits : 0;

    if (since != 0 && now - since >= FRI_SEATS_LONG)
        fri_seats_wait(limit->shared, since, need_of(top, limit));
    else
        fri_seats_stop_waiting(limit->shared);
}

static void look(struct fri_timer *timer, fri_time now)
{
    struct fri_limit *limit
        = (struct fri_limit *)(void *)((char *)timer
                                       - offsetof(struct fri_limit, timer));
    struct fri_timers *ts = &limit->sched->timers;

    fri_timer_set(ts, timer, now + FRI_SEATS_RETRY);
    fri_limit_kick(limit);
    if (!fri_seats_waits(limit->shared) || now - limit->kicked >= GRACE)
        renew_ticket(limit, now);
    if (limit->waiting.count == 0 && !fri_seats_waits(limit->shared))
        fri_timer_stop(ts, timer);
}

void fri_sharing_init(struct fri_limit *limit)
{
    limit->timer.fire = look;
}

/* ---- waiting ---------------------------------------------------------- */

bool fri_sharing_wait(struct fri_limit *limit, struct frun_future *task)
{
    struct fri_sched *s = limit->sched;
    fri_time now = fri_sched_now(s);
    struct fri_extra *x;

    if (!limit->shared)
        return true;
    x = fri_task_extra(task);
    if (!x)
        return false;
    if (!x->waits)
        x->waits = now;
    if (limit->timer.set)
        return true;
    fri_timer_set(&s->timers, &limit->timer, now + FRI_SEATS_RETRY);
    if (s->timer_set)
        s->timer_set(s->user, limit->timer.deadline);
    return true;
}

unsigned fri_sharing_left(struct fri_limit *limit)
{
    const struct frun_future *top = fri_heap_top(&limit->waiting);
    unsigned count = fri_seats_count(limit->shared), left, n = count;
    fri_time now = fri_sched_now(limit->sched);

    if (top && need_of(top, limit) > count)
        return FRI_MOST_SEATS; /* it fails when it asks */
    if (n > limit->places)
        n = limit->places;
    left = fri_seats_left(limit->shared, n, limit->seats) + count - n;
    if (fri_seats_is_behind(limit->shared, left, now))
        return 0;
    if (top && need_of(top, limit) <= left)
        limit->kicked = now;
    return left;
}

/* ---- taking ----------------------------------------------------------- */

enum answer { TAKEN, SHORT, FAILED };

/* Room for so many seats, where another run has raised the count. */
static bool make_places(struct fri_limit *limit, unsigned count)
{
    const struct frun_future **seats;

    if (count <= limit->places)
        return true;
    seats = fri_realloc(&limit->memory, limit->seats, count * sizeof *seats);
    if (!seats)
        return false;
    memset(seats + limit->places, 0,
           (count - limit->places) * sizeof *seats);
    limit->seats = seats;
    limit->places = count;
    return true;
}

static struct fri_error *too_many(const struct fri_limit *limit,
                                  unsigned count, unsigned need)
{
    return fri_error_format(&limit->memory, FRUN_ERESOURCE,
                            "another run has set limit %s to %u seats, the "
                            "task needs %u",
                            limit->name, count, need);
}

/* Inside a change. */
static enum answer take_inside(struct fri_need *need,
                               const struct frun_future *task,
                               struct fri_error **error)
{
    struct fri_limit *limit = need->limit;
    struct fri_seats *s = limit->shared;
    unsigned count = fri_seats_count(s), left;

    if (need->count > count) {
        *error = too_many(limit, count, need->count);
        return *error ? FAILED : SHORT;
    }
    if (!make_places(limit, count))
        return SHORT;
    left = fri_seats_left(s, count, limit->seats);
    if (fri_seats_is_behind(s, left, fri_sched_now(limit->sched))
        || left < need->count)
        return SHORT;
    return fri_seats_take(s, need->count, task, count, limit->seats) ? TAKEN
                                                                     : SHORT;
}

static enum answer take(struct fri_need *need, const struct frun_future *task,
                        struct fri_error **error)
{
    struct fri_seats *s = need->limit->shared;
    enum answer answer;
    int fault;

    if (fri_seats_enter(s, &fault)) {
        answer = take_inside(need, task, error);
        fri_seats_leave(s);
        return answer;
    }
    if (fault)
        *error = fri_error_format(&need->limit->memory, FRUN_ERESOURCE,
                                  "%s: %s", fri_seats_path(s),
                                  strerror(fault));
    return *error ? FAILED : SHORT;
}

static void give_back(const struct frun_future *task)
{
    const struct fri_spec *spec = task->spec;

    for (size_t i = 0; i < spec->need_count; i++) {
        struct fri_limit *limit = spec->needs[i].limit;

        for (unsigned k = 0; limit->shared && k < limit->places; k++) {
            if (limit->seats[k] != task)
                continue;
            limit->seats[k] = NULL;
            fri_seats_give(limit->shared, k);
        }
    }
}

/* They are all there: the run waits no more for these. */
static void taken(struct frun_future *task)
{
    const struct fri_spec *spec = task->spec;

    if (task->extra)
        task->extra->waits = 0;
    for (size_t i = 0; i < spec->need_count; i++)
        if (spec->needs[i].limit->shared)
            renew_ticket(spec->needs[i].limit,
                         fri_sched_now(spec->lane->sched));
}

struct fri_limit *fri_sharing_take(struct frun_future *task,
                                   struct fri_error **error)
{
    struct fri_spec *spec = task->spec;
    bool any = false;

    for (size_t i = 0; i < spec->need_count; i++) {
        struct fri_need *need = &spec->needs[i];

        if (!need->limit->shared)
            continue;
        any = true;
        if (take(need, task, error) == TAKEN)
            continue;
        give_back(task);
        return need->limit;
    }
    if (any)
        taken(task);
    return NULL;
}

/* ---- opening ---------------------------------------------------------- */

/* Lock held.  EUNFINISHED: it is not there yet. */
static frun_status find(frun_engine *e, const char *name, unsigned count,
                        bool shared, struct fri_limit **limit,
                        char why[FRI_WHY])
{
    struct fri_limit *found = fri_limit_find(&e->sched, name);

    if (!found)
        return FRUN_EUNFINISHED;
    if (!found->shared == !shared && found->count == count) {
        *limit = found;
        return FRUN_OK;
    }
    if (!found->shared != !shared)
        snprintf(why, FRI_WHY, "limit %.400s is open as %sshared", name,
                 shared ? "not " : "");
    else
        snprintf(why, FRI_WHY,
                 "limit %.400s is open with another count: %u, not %u", name,
                 found->count, count);
    fri_handle_unref(&found->handle);
    return FRUN_EINVAL;
}

/* Lock held. */
static frun_status make(frun_engine *e, const char *name, unsigned count,
                        struct fri_seats *shared, struct fri_limit **limit)
{
    bool clash;

    *limit = shared ? fri_limit_share(&e->sched, name, count, shared)
                    : fri_limit_get(&e->sched, name, count, &clash);
    return *limit ? FRUN_OK : FRUN_ENOMEM;
}

frun_status fri_limit_open(frun_engine *e, const char *name, unsigned count,
                           bool shared, struct fri_limit **limit,
                           char why[FRI_WHY])
{
    struct fri_seats *seats = NULL;
    frun_status status;

    *limit = NULL;
    snprintf(why, FRI_WHY, "%s", frun_status_text(FRUN_ENOMEM));
    fri_lock(e);
    status = find(e, name, count, shared, limit, why);
    fri_unlock(e);
    if (status != FRUN_EUNFINISHED)
        return status;
    if (shared)
        status = fri_seats_open(&e->memory, name, count, &seats, why);
    if (shared && status != FRUN_OK)
        return status;
    fri_lock(e);
    status = find(e, name, count, shared, limit, why);
    if (status == FRUN_EUNFINISHED) {
        status = make(e, name, count, seats, limit);
        seats = NULL;
    }
    fri_unlock(e);
    fri_seats_close(seats); /* another thread was faster */
    return status;
}
