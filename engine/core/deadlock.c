/*
 * deadlock.c - who waits, and which of them can never go on.
 *
 * It is no search for circles: all that can still come is marked, and what is
 * left is dead.  So a part that is stuck is found while other work goes on,
 * and nobody is accused whose wait may end.
 *
 * Rules.
 *  1. First all that waits without a deadline is taken for dead, and with it
 *     what depends on it: its future, the locks and seats that it holds, the
 *     tasks that are to run after it.  What is not reached by that is alive.
 *  2. Then what has something alive to wait for is revived, and what depends
 *     on that, until nothing changes.  A set is revived when enough of its
 *     futures are alive, a task that is not begun when all its dependencies
 *     are and no limit that it needs is stuck, who wants a lock with its
 *     holder, a queue with anybody at all.
 *  3. In doubt it is alive: tasks whose wait is not known, limits shared with
 *     other runs, ranges of which a slice or an item can still run.
 *  4. Each future is taken for dead once and revived once, and each of its
 *     waiters looked at as often: the look is linear in what waits.
 *  5. Without memory nothing is found; it is looked again later.
 */
#include "core/deadlock.h"

#include "core/circle.h"
#include "core/engine.h"
#include "core/range.h"

enum {
    SOON = 80000000, /* ns: waits that end by themselves mostly have, then */
    SHARE = 20       /* looking takes no more than 1/20 of the time */
};

/* ---- who waits -------------------------------------------------------- */

static bool has_task(const struct fri_wait *w)
{
    return w->holder->task != NULL;
}

void fri_wait_list(struct fri_sched *s, struct fri_wait *w)
{
    struct fri_waits *all = &s->waits;

    w->next = all->first;
    if (w->next)
        w->next->link = &w->next;
    w->link = &all->first;
    all->first = w;
    all->tasks += has_task(w);
    w->outer = w->holder->waits;
    w->holder->waits = w;
}

void fri_wait_begin(struct fri_sched *s, struct fri_wait *w, bool ends)
{
    w->ends = ends;
    w->since = ++s->waits.last;
    fri_wait_list(s, w);
    fri_waits_note(s);
}

void fri_wait_end(struct fri_sched *s, struct fri_wait *w)
{
    struct fri_wait **at;

    if (!w->link)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->link = NULL;
    s->waits.tasks -= has_task(w);
    for (at = &w->holder->waits; *at && *at != w;)
        at = &(*at)->outer;
    if (*at)
        *at = w->outer;
}

void fri_waits_soon(struct fri_sched *s)
{
    struct fri_waits *all = &s->waits;
    fri_time wait = all->took * SHARE;

    if (!all->timer.fire)
        return;
    fri_timer_set(&s->timers, &all->timer,
                  s->clock(s->clock_user) + (wait > SOON ? wait : SOON));
    if (s->timer_set)
        s->timer_set(s->user, all->timer.deadline);
}

/* ---- what is dead ----------------------------------------------------- */

static uint64_t weight(const struct frun_future *f)
{
    const struct fri_range *r = f->data.range;

    return f->counted ? r->count - r->settled : 1;
}

static void push(struct fri_look *l, struct fri_pile *p, struct frun_future *f)
{
    if (!fri_pile_push(&l->engine->memory, p, f))
        l->failed = true;
}

static void kill(struct fri_look *l, struct frun_future *f)
{
    if (f->dead || fri_is_final(f))
        return;
    f->dead = 1;
    l->count += weight(f);
    f->spec->lane->dead += weight(f);
    push(l, &l->dead, f);
}

static bool holds_seats(const struct frun_future *f)
{
    return !f->counted && fri_state(f) == FRI_RUNNING && fri_limits_held(f);
}

static void kill_seats(struct fri_look *l, struct fri_need *need)
{
    struct fri_limit *limit = need->limit;
    bool first = limit->dead == 0;

    if (limit->shared)
        return;
    limit->dead += need->count;
    for (size_t i = 0; first && i < limit->waiting.count; i++)
        kill(l, limit->waiting.tasks[i]);
}

/* What depends on it. */
static void spread(struct fri_look *l, struct frun_future *f)
{
    for (struct fri_waiter *w = f->waiters; w; w = w->next) {
        if (fri_waiter_of_set(w)) {
            w->set->wait.dead++;
        } else if (fri_waiter_of_task(w) && w->dependant->unmet > 0) {
            if (!w->dependant->dead)
                w->dependant->extra->dead = 0;
            w->dependant->extra->dead++;
            kill(l, w->dependant);
        }
    }
    if (holds_seats(f))
        for (size_t i = 0; i < f->spec->need_count; i++)
            kill_seats(l, &f->spec->needs[i]);
}

static bool has_deadline(const struct frun_future *task)
{
    return task && task->spec->timeout > 0 && !task->counted;
}

static bool may_be_dead(const struct fri_look *l, const struct fri_wait *w)
{
    const struct frun_future *task = w->holder->task;

    return w->holder->waits == w && !w->ends && !has_deadline(task)
           && (!w->owner || l->owner_idle) && !(task && fri_is_final(task));
}

/* A slice of a map waits: that is dead when all are, and nothing is left that
 * another could run. */
static void kill_slice(struct fri_look *l, struct frun_future *task)
{
    struct fri_range *r = task->data.range;

    r->dead++;
    if (r->dead >= r->out && !fri_range_ready(r))
        kill(l, task);
}

static void kill_waits(struct fri_look *l)
{
    struct frun_future *task;

    for (struct fri_wait *w = l->sched->waits.first; w; w = w->next) {
        task = w->holder->task;
        w->dead = 0;
        w->on = w->before = w->victim = NULL;
        w->stalled = may_be_dead(l, w);
        if (task && task->counted && !fri_is_final(task))
            task->data.range->dead = 0;
    }
    for (struct fri_wait *w = l->sched->waits.first; w; w = w->next) {
        task = w->holder->task;
        if (!w->stalled || !task)
            continue;
        if (task->counted)
            kill_slice(l, task);
        else
            kill(l, task);
    }
}

static void kill_asks(struct fri_look *l)
{
    for (struct fri_holder *h = l->sched->holders; h; h = h->next)
        for (struct fri_ask *a = h->asks; a; a = a->beside) {
            a->dead = true;
            if (a->future)
                kill(l, a->future);
        }
}

/* ---- what is alive ---------------------------------------------------- */

bool fri_set_can(struct fri_wait *w)
{
    const struct fri_set *set = (const struct fri_set *)(void *)w;

    if (set->lane)
        return set->lane->dead == 0;
    if (set->count == 1 && !set->waiters[0].future)
        return true; /* it sleeps */
    return w->dead <= set->want || (set->want_failure && w->dead < set->left);
}

struct fri_lane *fri_set_lane(struct fri_wait *w)
{
    return ((struct fri_set *)(void *)w)->lane;
}

static unsigned need_of(const struct frun_future *task,
                        const struct fri_limit *limit)
{
    for (size_t i = 0; i < task->spec->need_count; i++)
        if (task->spec->needs[i].limit == limit)
            return task->spec->needs[i].count;
    return 0;
}

bool fri_limit_is_stuck(const struct fri_limit *limit)
{
    const struct frun_future *top = fri_heap_top(&limit->waiting);

    return limit->dead > 0 && top && !fri_is_final(top)
           && limit->count - limit->dead < need_of(top, limit);
}

static bool lacks_seats(const struct frun_future *f)
{
    for (size_t i = 0; i < f->spec->need_count; i++)
        if (fri_limit_is_stuck(f->spec->needs[i].limit))
            return true;
    return false;
}

static void revive_future(struct fri_look *l, struct frun_future *f)
{
    if (!f->dead)
        return;
    f->dead = 0;
    l->count -= weight(f);
    f->spec->lane->dead -= weight(f);
    push(l, &l->alive, f);
}

/* One that is not begun. */
static void try_task(struct fri_look *l, struct frun_future *f)
{
    if (!f->dead || fri_state(f) == FRI_RUNNING
        || (f->unmet > 0 && f->extra->dead > 0) || lacks_seats(f))
        return;
    revive_future(l, f);
}

static void revive_ask(struct fri_look *l, struct fri_ask *a);

static void revive_locks(struct fri_look *l, struct fri_holder *h)
{
    for (struct fri_mutex *m = h->held; m; m = m->next)
        for (struct fri_ask *a = m->line.first; a; a = a->next)
            revive_ask(l, a);
}

static void revive_seats(struct fri_look *l, struct fri_need *need)
{
    struct fri_limit *limit = need->limit;

    if (limit->shared)
        return;
    limit->dead -= need->count;
    if (fri_limit_is_stuck(limit))
        return;
    for (size_t i = 0; i < limit->waiting.count; i++)
        try_task(l, limit->waiting.tasks[i]);
}

static void revive(struct fri_look *l, struct fri_wait *w)
{
    struct frun_future *task = w->holder->task;

    if (!w->stalled)
        return;
    w->stalled = false;
    l->anybody = l->changed = true;
    if (task && task->dead && holds_seats(task))
        for (size_t i = 0; i < task->spec->need_count; i++)
            revive_seats(l, &task->spec->needs[i]);
    if (task)
        revive_future(l, task);
    push(l, &l->freed, (void *)w);
}

/* One of another process waits for nothing else then. */
static void revive_ask(struct fri_look *l, struct fri_ask *a)
{
    if (!a->dead)
        return;
    a->dead = false;
    if (a->future)
        revive_future(l, a->future);
    else if (a->holder->waits)
        revive(l, a->holder->waits);
}

static void revive_waiters(struct fri_look *l, struct frun_future *f)
{
    for (struct fri_waiter *w = f->waiters; w; w = w->next) {
        if (fri_waiter_of_set(w)) {
            struct fri_wait *wait = &w->set->wait;

            wait->dead--;
            if (wait->stalled && wait->can(wait))
                revive(l, wait);
        } else if (fri_waiter_of_task(w) && w->dependant->unmet > 0) {
            w->dependant->extra->dead--;
            try_task(l, w->dependant);
        }
    }
}

static void flow(struct fri_look *l)
{
    for (;;) {
        if (l->alive.at < l->alive.count)
            revive_waiters(l, l->alive.items[l->alive.at++]);
        else if (l->freed.at < l->freed.count)
            revive_locks(l, ((struct fri_wait *)l->freed.items[l->freed.at++])
                                ->holder);
        else
            return;
    }
}

static bool is_dead(const struct fri_holder *h)
{
    return h->waits && h->waits->stalled;
}

/* Whoever is alive may push or pop. */
static void revive_asks(struct fri_look *l, bool queues)
{
    for (struct fri_holder *h = l->sched->holders; h; h = h->next)
        for (struct fri_ask *a = h->asks; a; a = a->beside) {
            if (a->op != FRI_HOLD ? queues
                    : !is_dead(((struct fri_mutex *)a->thing)->holder))
                revive_ask(l, a);
        }
}

static void revive_tasks(struct fri_look *l)
{
    for (size_t i = 0; i < l->dead.count; i++)
        try_task(l, l->dead.items[i]);
}

static void revive_waits(struct fri_look *l)
{
    for (struct fri_wait *w = l->sched->waits.first; w; w = w->next)
        if (w->stalled && w->can(w))
            revive(l, w);
}

/* The waits that no future leads to. */
static void revive_others(struct fri_look *l)
{
    for (struct fri_wait *w = l->sched->waits.first; w; w = w->next)
        if (w->stalled && w->odd && w->can(w))
            revive(l, w);
}

static bool is_anybody_alive(const struct fri_look *l)
{
    return l->anybody || l->sched->unfinished > l->count;
}

static void revive_all(struct fri_look *l)
{
    bool queues = is_anybody_alive(l);

    revive_asks(l, queues);
    revive_tasks(l);
    revive_waits(l);
    flow(l);
    do {
        l->changed = false;
        if (!queues && is_anybody_alive(l)) {
            queues = true;
            revive_asks(l, true);
            flow(l);
        }
        revive_others(l);
        flow(l);
    } while (l->changed || (!queues && is_anybody_alive(l)));
}

/* ---- looking ---------------------------------------------------------- */

static void tidy(struct fri_look *l)
{
    const struct fri_memory *m = &l->engine->memory;

    for (size_t i = 0; i < l->dead.count; i++) {
        struct frun_future *f = l->dead.items[i];

        f->dead = 0;
        f->spec->lane->dead = 0;
        for (size_t j = 0; j < f->spec->need_count; j++)
            f->spec->needs[j].limit->dead = 0;
    }
    fri_free(m, l->dead.items);
    fri_free(m, l->alive.items);
    fri_free(m, l->freed.items);
}

/* Without a service thread it is the owner that looks, when it waits. */
static void look_at_owner(struct fri_look *l)
{
    frun_engine *e = l->engine;
    struct fri_wait *w = l->sched->waits.first;

    l->owner_idle = (atomic_load(&e->owner_idle) || !e->service_running)
                    && !e->inbox;
    while (w && !w->owner)
        w = w->next;
    l->owner_waits = w;
    l->anybody = !l->owner_idle || (!w && !e->owner_ended);
}

/* Is the owner's wait one that may be alive? */
static void note_owner(struct fri_look *l)
{
    if (l->owner_waits && !l->owner_waits->stalled)
        l->anybody = true;
}

void fri_deadlock_look(frun_engine *e)
{
    struct fri_look l = { .engine = e, .sched = &e->sched };
    bool found;

    if (atomic_load(&e->interrupted) || e->closing || e->remote)
        return;
    look_at_owner(&l);
    if (e->pools_ops)
        e->pools_ops->waits(e, true);
    kill_waits(&l);
    note_owner(&l);
    kill_asks(&l);
    for (size_t i = 0; i < l.dead.count; i++)
        spread(&l, l.dead.items[i]);
    revive_all(&l);
    found = !l.failed && fri_circles_find(&l);
    tidy(&l);
    if (l.failed || !l.owner_idle)
        fri_waits_soon(&e->sched);
    if (found)
        fri_circles_raise(&l);
    if (e->pools_ops)
        e->pools_ops->waits(e, false);
}

static void look(struct fri_timer *timer, fri_time now)
{
    struct fri_sched *s
        = (void *)((char *)timer - offsetof(struct fri_sched, waits.timer));
    fri_time began = fri_now();

    (void)now;
    fri_deadlock_look((void *)((char *)s - offsetof(frun_engine, sched)));
    s->waits.took = fri_now() - began;
}

void fri_deadlock_open(frun_engine *e)
{
    e->sched.waits.timer.fire = look;
}
