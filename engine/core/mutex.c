/*
 * mutex.c - locks that tasks hold.
 *
 * Rules.  A lock that is given goes to the first in line at once: nobody can
 * come between.  It is no lock of the threads: who waits for it waits as for
 * a future.
 */
#include "core/engine.h"

static void take(struct fri_mutex *m, struct fri_holder *h)
{
    m->holder = h;
    m->next = h->held;
    if (m->next)
        m->next->link = &m->next;
    m->link = &h->held;
    h->held = m;
    fri_holder_note(&m->thing, h);
}

void fri_mutex_give(struct fri_mutex *m)
{
    struct fri_holder *h = m->holder;
    struct fri_data nothing;

    *m->link = m->next;
    if (m->next)
        m->next->link = m->link;
    m->holder = NULL;
    fri_holder_note(&m->thing, h);
    if (!m->line.first)
        return;
    take(m, m->line.first->holder);
    fri_gives_nothing(&nothing);
    fri_line_serve(&m->line, &nothing);
}

static bool hold(struct fri_mutex *m, struct fri_holder *h,
                 struct fri_data *outcome)
{
    if (m->holder == h)
        return fri_gives_error(&m->thing, outcome, FRUN_EDEADLOCK,
                               "the lock is held already, by the one who "
                               "wants it");
    if (m->holder)
        return false;
    take(m, h);
    return fri_gives_nothing(outcome);
}

bool fri_mutex_try(struct fri_mutex *m, enum fri_shared_op op,
                   struct fri_holder *holder, struct fri_data *outcome)
{
    switch (op) {
    case FRI_HOLD: return hold(m, holder, outcome);
    case FRI_RELEASE:
        if (m->holder == holder)
            fri_mutex_give(m);
        return fri_gives_nothing(outcome);
    default:
        return fri_gives_error(&m->thing, outcome, FRUN_EINVAL, NULL);
    }
}
