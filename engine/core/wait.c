#include "core/wait.h"

#include "core/deadlock.h"
#include "core/engine.h"

void fri_waiter_link(struct fri_waiter *w, struct fri_waiter **list)
{
    w->next = *list;
    if (w->next)
        w->next->link = &w->next;
    w->link = list;
    *list = w;
}

void fri_waiter_remove(struct fri_waiter *w)
{
    if (!w->link)
        return;
    *w->link = w->next;
    if (w->next)
        w->next->link = w->link;
    w->link = NULL;
}

/* Those that came first are at the end of the list. */
static void reverse(struct fri_waiter **list)
{
    struct fri_waiter *w = *list, *next;

    for (*list = NULL; w; w = next) {
        next = w->next;
        fri_waiter_link(w, list);
    }
}

void fri_waiters_fire(struct fri_waiter **list)
{
    struct fri_waiter *w = *list;

    if (w && w->next)
        reverse(list);
    while ((w = *list) != NULL) {
        fri_waiter_remove(w);
        w->fire(w);
    }
}

/* ---- sets ------------------------------------------------------------- */

static bool enough(const struct fri_set *set)
{
    return set->left <= set->want || (set->want_failure && set->failed);
}

static void satisfy(struct fri_set *set)
{
    set->armed = false;
    fri_wait_end(&set->engine->sched, &set->wait);
    fri_timer_stop(&set->engine->sched.timers, &set->timer);
    atomic_store_explicit(&set->satisfied, true, memory_order_release);
    set->wake(set);
}

static void note(struct fri_set *set, const struct fri_waiter *w)
{
    set->left--;
    if (w->future && fri_state(w->future) != FRI_DONE)
        set->failed = true;
}

static void fire(struct fri_waiter *w)
{
    struct fri_set *set = w->set;

    w->after = NULL;
    *set->fired_end = w;
    set->fired_end = &w->after;
    note(set, w);
    if (set->armed && enough(set))
        satisfy(set);
}

static void expire(struct fri_timer *timer, fri_time now)
{
    struct fri_set *set = (struct fri_set *)((char *)timer
                                             - offsetof(struct fri_set, timer));

    (void)now;
    set->timed_out = true;
    satisfy(set);
}

void fri_set_raise(struct fri_set *set, struct fri_error *error)
{
    set->raised = true;
    set->error = error;
    satisfy(set);
}

bool fri_waiter_of_set(const struct fri_waiter *w)
{
    return w->fire == fire;
}

static struct fri_waiter *merge(struct fri_waiter *a, struct fri_waiter *b)
{
    struct fri_waiter *first = NULL, **end = &first;

    while (a && b) {
        struct fri_waiter **less
            = b->future->finished < a->future->finished ? &b : &a;

        *end = *less;
        end = &(*less)->after;
        *less = *end;
    }
    *end = a ? a : b;
    return first;
}

/* Those that were done before the wait began come in the order in which they
 * were done, too. */
static struct fri_waiter *sort(struct fri_waiter *list)
{
    struct fri_waiter *half = list, *end = list, *rest;

    if (!list || !list->after)
        return list;
    while ((end = end->after) != NULL && (end = end->after) != NULL)
        half = half->after;
    rest = half->after;
    half->after = NULL;
    return merge(sort(list), sort(rest));
}

/* Puts a list before what has fired since. */
static void put_first(struct fri_set *set, struct fri_waiter *list)
{
    struct fri_waiter **end = &list;

    if (!list)
        return;
    while (*end)
        end = &(*end)->after;
    *end = set->fired;
    if (!set->fired)
        set->fired_end = end;
    set->fired = list;
}

void fri_set_init(struct fri_set *set, struct frun_engine *e,
                  struct fri_waiter *waiters, size_t n)
{
    *set = (struct fri_set){ .engine = e, .waiters = waiters, .count = n,
                             .left = n };
    set->fired_end = &set->fired;
    set->timer.fire = expire;
    for (size_t i = 0; i < n; i++) {
        waiters[i] = (struct fri_waiter){ .fire = fire };
        waiters[i].set = set;
    }
}

static struct fri_set *set_new(struct frun_engine *e, size_t n)
{
    struct fri_set *set = NULL;

    if (n <= (PTRDIFF_MAX - sizeof *set) / sizeof *set->waiters)
        set = fri_alloc(&e->memory, sizeof *set + n * sizeof *set->waiters);
    if (!set)
        return NULL;
    fri_set_init(set, e, (struct fri_waiter *)(set + 1), n);
    atomic_fetch_add(&e->refs, 1); /* a set may outlive the run */
    return set;
}

void fri_set_link(struct fri_set *set, struct frun_future *const *futures)
{
    struct frun_engine *e = set->engine;
    struct fri_waiter **end = &set->found;

    fri_lock(e);
    for (size_t i = 0; i < set->count; i++) {
        struct fri_waiter *w = &set->waiters[i];

        w->future = fri_future_ref(futures[i]);
        if (!fri_is_final(w->future)) {
            fri_waiter_link(w, &w->future->waiters);
            continue;
        }
        *end = w;
        end = &w->after;
        note(set, w);
    }
    fri_unlock(e);
}

struct fri_set *fri_set_open(struct frun_engine *e,
                             struct frun_future *const *futures, size_t n)
{
    struct fri_set *set = set_new(e, n);

    if (set)
        fri_set_link(set, futures);
    return set;
}

struct fri_set *fri_set_open_on(struct frun_engine *e,
                                struct fri_waiter **list)
{
    struct fri_set *set = set_new(e, 1);

    if (set)
        fri_waiter_link(&set->waiters[0], list);
    return set;
}

void fri_set_disarm(struct fri_set *set)
{
    set->armed = false;
    fri_wait_end(&set->engine->sched, &set->wait);
    fri_timer_stop(&set->engine->sched.timers, &set->timer);
}

void fri_set_unlink(struct fri_set *set)
{
    struct frun_engine *e = set->engine;

    fri_lock(e);
    fri_set_disarm(set);
    for (size_t i = 0; i < set->count; i++)
        fri_waiter_remove(&set->waiters[i]);
    fri_unlock(e);
    fri_error_free(set->error);
    for (size_t i = 0; i < set->count; i++)
        fri_future_unref(set->waiters[i].future);
}

void fri_set_close(struct fri_set *set)
{
    struct frun_engine *e;

    if (!set)
        return;
    e = set->engine;
    fri_set_unlink(set);
    fri_free(&e->memory, set);
    fri_engine_unref(e);
}

bool fri_set_arm(struct fri_set *set, size_t left, bool failure,
                 fri_time deadline, void (*wake)(struct fri_set *set))
{
    struct frun_engine *e = set->engine;
    bool now;

    fri_lock(e);
    fri_set_disarm(set);
    set->want = left;
    set->want_failure = failure;
    set->wake = wake;
    set->timed_out = false;
    atomic_store_explicit(&set->satisfied, false, memory_order_relaxed);
    now = enough(set);
    if (!now && deadline != FRI_NEVER) {
        now = set->timed_out = deadline <= e->sched.clock(e->sched.clock_user);
        if (!now)
            fri_engine_timer(e, &set->timer, deadline);
    }
    set->armed = !now;
    if (set->armed && set->wait.holder) {
        set->wait.can = fri_set_can;
        set->wait.lane = fri_set_lane;
        set->wait.odd = set->lane != NULL;
        fri_wait_begin(&e->sched, &set->wait, deadline != FRI_NEVER);
    }
    if (now)
        atomic_store_explicit(&set->satisfied, true, memory_order_relaxed);
    fri_unlock(e);
    return now;
}

struct frun_future *fri_set_pop(struct fri_set *set, size_t *index)
{
    struct fri_waiter *w, *found = sort(set->found);

    set->found = NULL;
    fri_lock(set->engine);
    put_first(set, found);
    w = set->fired;
    if (w) {
        set->fired = w->after;
        if (!set->fired)
            set->fired_end = &set->fired;
    }
    fri_unlock(set->engine);
    if (!w)
        return NULL;
    *index = (size_t)(w - set->waiters);
    return w->future;
}
