/*
 * circle.c - of waits that cannot end, whose are ended, and what is said.
 *
 * Each stalled wait hangs on another stalled one (`on`), or on nothing that
 * anybody could still bring (a queue).  So following `on` leads into a circle
 * or to such an end.
 *
 * Rules.
 *  1. In each circle the wait that began last ends, the owner's only if there
 *     is no other: its task fails, or does something about it, and the others
 *     of the circle, and those that only hang on it, may go on.
 *  2. Where there is no circle, those at the ends are told, the last first:
 *     one, and if that was of no use two, four, ... at once.
 */
#include "core/circle.h"

#include "core/deadlock.h"
#include "core/engine.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { TEXT = 1024, NAMED = 12, DEEP = 100 };

bool fri_pile_push(const struct fri_memory *m, struct fri_pile *p, void *item)
{
    if (p->count == p->capacity) {
        size_t want = p->capacity ? p->capacity * 2 : 64;
        void **items = fri_realloc(m, p->items, want * sizeof *items);

        if (!items)
            return false;
        p->items = items;
        p->capacity = want;
    }
    p->items[p->count++] = item;
    return true;
}

/* ---- what hangs on what ----------------------------------------------- */

static void hang(struct fri_wait *w, struct fri_wait *on,
                 struct frun_future *by)
{
    if (!w || !w->stalled || w->on)
        return;
    w->on = on;
    w->by = by;
}

static void push(struct fri_look *l, struct frun_future *f)
{
    if (!f->dead)
        return;
    f->dead = 0;
    if (!fri_pile_push(&l->engine->memory, &l->alive, f))
        l->failed = true;
}

static void hang_seats(struct fri_look *l, const struct fri_limit *limit)
{
    if (!fri_limit_is_stuck(limit))
        return;
    for (size_t i = 0; i < limit->waiting.count; i++)
        push(l, limit->waiting.tasks[i]);
}

static void hang_waiters(struct fri_look *l, struct frun_future *f,
                         struct fri_wait *on)
{
    for (struct fri_waiter *w = f->waiters; w; w = w->next) {
        if (fri_waiter_of_set(w))
            hang(&w->set->wait, on, f);
        else if (fri_waiter_of_task(w))
            push(l, w->dependant);
    }
}

static void hang_locks(struct fri_wait *on)
{
    for (struct fri_mutex *m = on->holder->held; m; m = m->next)
        for (struct fri_ask *a = m->line.first; a; a = a->next)
            if (a->dead)
                hang(a->holder->waits, on, NULL);
}

/* All that hangs on this one, directly or through tasks that are not begun. */
static void hang_all(struct fri_look *l, struct fri_wait *on)
{
    struct frun_future *task = on->holder->task;

    hang_locks(on);
    if (!task || !task->dead)
        return;
    l->alive.count = 0;
    push(l, task);
    if (fri_state(task) == FRI_RUNNING && !task->counted)
        for (size_t i = 0; i < task->spec->need_count; i++)
            hang_seats(l, task->spec->needs[i].limit);
    for (size_t i = 0; i < l->alive.count; i++)
        hang_waiters(l, l->alive.items[i], on);
}

static struct fri_wait *wait_in(const struct fri_look *l,
                                const struct fri_lane *lane)
{
    struct fri_wait *w = l->sched->waits.first;

    while (w && !(w->stalled && w->holder->task
                  && w->holder->task->spec->lane == lane))
        w = w->next;
    return w;
}

static struct fri_wait *wait_of(const struct fri_look *l,
                                const struct frun_future *task)
{
    struct fri_wait *w = l->sched->waits.first;

    while (w && !(w->stalled && w->holder->task == task))
        w = w->next;
    return w;
}

static struct fri_wait *who_sits(const struct fri_look *l,
                                 const struct frun_future *f)
{
    struct fri_wait *w = NULL;

    for (size_t i = 0; i < f->spec->need_count && !w; i++) {
        const struct fri_limit *limit = f->spec->needs[i].limit;

        if (!fri_limit_is_stuck(limit))
            continue;
        for (unsigned j = 0; j < limit->places && !w; j++)
            w = limit->seats[j] ? wait_of(l, limit->seats[j]) : NULL;
    }
    return w;
}

/* Who is in the way of a dead task, begun or not. */
static struct fri_wait *blocker(const struct fri_look *l,
                                const struct frun_future *f)
{
    for (unsigned depth = 0; f && depth < DEEP; depth++) {
        const struct frun_future *next = NULL;

        if (fri_state(f) == FRI_RUNNING || f->counted)
            return wait_of(l, f);
        if (f->unmet == 0)
            return who_sits(l, f);
        for (uint32_t i = 0; i < f->extra->after_count && !next; i++)
            if (f->extra->after[i].future->dead)
                next = f->extra->after[i].future;
        f = next;
    }
    return NULL;
}

/* Who waits for a pool; and tasks of other processes, whose waits are no
 * sets. */
static void hang_odd(struct fri_look *l)
{
    for (struct fri_wait *w = l->sched->waits.first; w; w = w->next) {
        if (!w->stalled || !w->odd || w->on)
            continue;
        if (w->lane(w)) {
            w->on = wait_in(l, w->lane(w));
        } else if (w->dead_future && (w->by = w->dead_future(w)) != NULL) {
            w->on = blocker(l, w->by);
        }
    }
}

/* ---- what is said ----------------------------------------------------- */

struct text {
    char bytes[TEXT];
    size_t length;
};

static void add(struct text *t, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add(struct text *t, const char *format, ...)
{
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(t->bytes + t->length, TEXT - t->length, format, args);
    va_end(args);
    if (n > 0)
        t->length += (size_t)n;
    if (t->length >= TEXT)
        t->length = TEXT - 1;
}

static void add_task(struct text *t, const struct frun_future *task)
{
    char name[32], id[32];
    const char *text = task ? fri_task_name(task, name) : "the main program";

    snprintf(id, sizeof id, "task %llu",
             task ? (unsigned long long)task->id : 0);
    add(t, "%.100s", text);
    if (task && strcmp(text, id) != 0)
        add(t, " (%s)", id);
}

static void add_wait(struct text *t, const struct fri_wait *w)
{
    const struct frun_future *on = w->on->holder->task;

    add_task(t, w->holder->task);
    if (!w->by) {
        add(t, " waits for a lock that ");
        add_task(t, on);
        add(t, " holds");
        return;
    }
    add(t, " waits for ");
    add_task(t, w->by);
    if (w->by == on)
        return;
    add(t, ", which waits for ");
    add_task(t, on);
}

static const char *what(const struct fri_wait *w)
{
    const struct fri_ask *a = w->holder->asks;

    if (a && a->op == FRI_PUSH)
        return "room in a queue that nobody pops from";
    if (a && a->op == FRI_POP)
        return "a queue that nobody pushes to";
    return "what nobody can bring";
}

static struct fri_error *explain(const struct fri_look *l, struct fri_wait *w)
{
    struct text t = { .length = 0 };
    const struct fri_wait *at = w;
    unsigned n = 0;

    if (!w->on) {
        add_task(&t, w->holder->task);
        add(&t, " waits for %s any more", what(w));
    } else {
        do {
            if (n > 0)
                add(&t, "; ");
            add_wait(&t, at);
            at = at->on;
        } while (at != w && ++n < NAMED);
        if (at != w)
            add(&t, "; ...");
    }
    return fri_error_new(&l->engine->memory, FRUN_EDEADLOCK, t.bytes, NULL,
                         NULL);
}

/* ---- who is told ------------------------------------------------------ */

static bool is_better(const struct fri_wait *w, const struct fri_wait *than)
{
    if (!w->raise || !than)
        return w->raise != NULL;
    if (w->owner != than->owner)
        return than->owner;
    return w->since > than->since;
}

static void choose(struct fri_look *l, struct fri_wait *w)
{
    w->error = explain(l, w);
    w->victim = l->victims;
    l->victims = w;
}

static void choose_in(struct fri_look *l, struct fri_wait *first)
{
    struct fri_wait *best = NULL, *w = first;

    do {
        if (is_better(w, best))
            best = w;
        w = w->on;
    } while (w != first);
    if (best)
        choose(l, best);
}

/* Follows `on` from w; those on the way get `from`, so that the way ends where
 * one was before, on this way (a circle) or on another. */
static void follow(struct fri_look *l, struct fri_wait *from)
{
    struct fri_wait *w = from;

    while (w && !w->before) {
        w->before = from;
        w = w->on;
    }
    if (w && w->before == from)
        choose_in(l, w);
}

/* Rule 2. */
static void choose_last(struct fri_look *l)
{
    struct fri_waits *all = &l->sched->waits;
    size_t left = all->at_once = all->at_once ? all->at_once * 2 : 1;
    struct fri_wait *owner = NULL;

    for (struct fri_wait *w = all->first; w && left > 0; w = w->next) {
        if (!w->stalled || w->on || !w->raise)
            continue;
        if (w->owner) {
            owner = owner ? owner : w;
            continue;
        }
        choose(l, w);
        left--;
    }
    if (!l->victims && owner)
        choose(l, owner);
}

/* Those of the owner's thread: their lane has no workers. */
static void count_stuck(struct fri_look *l)
{
    unsigned n = 0;

    for (struct fri_wait *w = l->sched->waits.first; w; w = w->next)
        n += w->stalled && w->holder->task
             && !w->holder->task->spec->lane->hooks;
    if (l->engine->owner_ended && n > l->engine->stuck)
        l->engine->stuck = n;
}

static struct fri_wait *first_stalled(const struct fri_look *l)
{
    struct fri_wait *w = l->sched->waits.first;

    while (w && !w->stalled)
        w = w->next;
    return w;
}

bool fri_circles_find(struct fri_look *l)
{
    struct fri_wait *w, *first = first_stalled(l);

    if (!first) {
        l->sched->waits.at_once = 0;
        return false;
    }
    count_stuck(l);
    hang_odd(l); /* while the futures are marked */
    for (w = first; w; w = w->next)
        if (w->stalled)
            hang_all(l, w);
    for (w = first; w; w = w->next)
        if (w->stalled)
            follow(l, w);
    if (l->victims)
        l->sched->waits.at_once = 0;
    else
        choose_last(l);
    return l->victims != NULL;
}

void fri_circles_raise(struct fri_look *l)
{
    struct fri_wait *w, *next;

    for (w = l->victims; w; w = next) {
        struct fri_error *error = w->error;

        next = w->victim;
        w->error = NULL;
        w->raise(w, error);
    }
    fri_waits_soon(l->sched);
}
