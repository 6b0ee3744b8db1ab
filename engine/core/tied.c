#include "core/tied.h"

#include "core/settle.h"

bool fri_tied_add(struct frun_future *task, struct fri_tied *tied)
{
    struct fri_extra *x = fri_task_extra(task);

    if (!x)
        return false;
    tied->task = task;
    tied->held = false;
    tied->next = x->tied;
    if (tied->next)
        tied->next->link = &tied->next;
    tied->link = &x->tied;
    x->tied = tied;
    return true;
}

void fri_tied_stop(struct frun_future *task, frun_status why)
{
    struct fri_tied *t = task->extra ? task->extra->tied : NULL, *next;

    for (; t; t = next) {
        next = t->next;
        t->stop(t, why);
    }
}

static void keep(struct fri_tied *t, struct fri_data *outcome, fri_time at)
{
    t->held = true;
    t->outcome = *outcome;
    t->at = at;
    outcome->holds = FRI_NOTHING;
}

void fri_tied_hold(struct frun_future *task, struct fri_data *outcome,
                   fri_time now)
{
    fri_attempt_end(task);
    task->spec->lane->held++;
    keep(task->extra->tied, outcome, now);
    fri_tied_stop(task, FRUN_ECANCELLED);
}

static void unlink_tied(struct fri_tied *t)
{
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
    t->link = NULL;
}

static void finish(struct frun_future *task, struct fri_tied *t)
{
    task->spec->lane->held--;
    fri_sched_finish(task, &t->outcome, t->at);
}

void fri_tied_gone(struct fri_tied *t)
{
    struct frun_future *task = t->task;
    struct fri_tied *rest;

    if (!t->link)
        return;
    unlink_tied(t);
    rest = task->extra->tied;
    if (rest && t->held)
        keep(rest, &t->outcome, t->at);
    if (rest)
        return;
    if (task->counted)
        fri_range_check(task, fri_sched_now(task->spec->lane->sched));
    else if (t->held)
        finish(task, t);
}
