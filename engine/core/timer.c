#include "core/timer.h"

/* Of two that have no siblings the later becomes the other's first child. */
static struct fri_timer *join(struct fri_timer *a, struct fri_timer *b)
{
    struct fri_timer *later = b;

    if (!a || !b)
        return a ? a : b;
    if (b->deadline < a->deadline) {
        later = a;
        a = b;
    }
    later->before = a;
    later->next = a->child;
    if (a->child)
        a->child->before = later;
    a->child = later;
    return a;
}

static struct fri_timer *take(struct fri_timer **list)
{
    struct fri_timer *t = *list;

    if (!t)
        return NULL;
    *list = t->next;
    t->next = t->before = NULL;
    return t;
}

/* Siblings as one heap: two by two, then all of these. */
static struct fri_timer *join_all(struct fri_timer *list)
{
    struct fri_timer *pairs = NULL, *all = NULL;

    while (list) {
        struct fri_timer *a = take(&list), *b = take(&list);

        a = join(a, b);
        a->next = pairs;
        pairs = a;
    }
    while (pairs) {
        struct fri_timer *a = take(&pairs);

        all = join(all, a);
    }
    return all;
}

static void unlink_timer(struct fri_timer *t)
{
    if (t->before->child == t)
        t->before->child = t->next;
    else
        t->before->next = t->next;
    if (t->next)
        t->next->before = t->before;
    t->next = t->before = NULL;
}

void fri_timer_stop(struct fri_timers *ts, struct fri_timer *t)
{
    struct fri_timer *rest;

    if (!t->set)
        return;
    rest = join_all(t->child);
    t->set = false;
    t->child = NULL;
    if (t == ts->first) {
        ts->first = rest;
        return;
    }
    unlink_timer(t);
    ts->first = join(ts->first, rest);
}

void fri_timer_set(struct fri_timers *ts, struct fri_timer *t,
                   fri_time deadline)
{
    fri_timer_stop(ts, t);
    t->deadline = deadline;
    t->set = true;
    ts->first = join(ts->first, t);
}

fri_time fri_timers_run(struct fri_timers *ts, fri_time now)
{
    while (ts->first && ts->first->deadline <= now) {
        struct fri_timer *t = ts->first;

        fri_timer_stop(ts, t);
        t->fire(t, now);
    }
    return ts->first ? ts->first->deadline : FRI_NEVER;
}

static struct fri_timer *parent_of(const struct fri_timer *t)
{
    while (t->before && t->before->child != t)
        t = t->before;
    return t->before;
}

/* Each after its parent. */
static struct fri_timer *following(struct fri_timer *t)
{
    if (t->child)
        return t->child;
    while (t && !t->next)
        t = parent_of(t);
    return t ? t->next : NULL;
}

/* Their order stays, but for those that come to the end of time. */
void fri_timers_shift(struct fri_timers *ts, fri_time by)
{
    for (struct fri_timer *t = ts->first; t; t = following(t))
        t->deadline = t->deadline > FRI_NEVER - by ? FRI_NEVER
                                                   : t->deadline + by;
}
