/*
 * hand.c - what a worker has taken: handing over what is finished, taking back
 * what was not begun.  By its own thread, or for it by who holds the lock.
 */
#include "pools/threads/threads.h"

/* Its results could not be kept: then none of the slice counts as done. */
static void lose(struct fri_done *d)
{
    d->slice.end = d->slice.first;
    d->ran.failed = true;
}

static void finish_range(struct fri_thread *t, struct fri_done *d)
{
    struct fri_range *r = d->slice.task->data.range;
    struct fri_slice rest = { d->slice.task, d->slice.end, d->end };

    if (!d->resumed)
        fri_range_measure(r, d->slice.end - d->slice.first,
                          d->ended - d->began);
    if (d->ran.outcome.holds == FRI_MESSAGE
        && !fri_range_keep(r, d->slice.first, d->slice.end,
                           d->ran.outcome.message))
        lose(d);
    if (!d->ran.failed)
        fri_sched_give_back(&rest);
    fri_sched_ran(d->slice.task,
                  &(struct fri_ran_slice){
                      .slice = &d->slice, .failed = d->ran.failed,
                      .failure = d->ran.failure, .worker = t->worker.index,
                      .began = d->began, .ended = d->ended });
    fri_sched_finish_slice(&d->slice, d->ran.failed, d->ran.failure, d->ended);
}

/* What is not measured counts as computing all the time. */
static void keep_cpu(const struct fri_done *d)
{
    struct fri_extra *x = d->cpu > 0 ? fri_task_extra(d->slice.task) : NULL;

    if (x)
        x->cpu = fri_seconds(d->cpu) + (d->resumed ? x->cpu : 0);
}

void fri_hand_publish_one(struct fri_thread *t, struct fri_done *d)
{
    if (d->begun && !d->slice.task->counted)
        keep_cpu(d);
    if (!d->begun) {
        fri_sched_return(d->slice.task);
    } else if (d->ran.suspended) {
        struct fri_slice rest = { d->slice.task, d->slice.end, d->end };

        t->threads->suspended++;
        if (d->slice.task->counted)
            fri_sched_give_back(&rest);
        fri_run_suspend(t, d->ran.suspended, d->run);
        if (t->threads->ops)
            t->threads->ops->waits(t->threads, d->slice.task);
    } else if (d->slice.task->counted) {
        finish_range(t, d);
    } else {
        if (!d->resumed)
            fri_lane_measure(t->threads->lane, d->ended - d->began);
        fri_sched_finish(d->slice.task, &d->ran.outcome, d->ended);
    }
}

void fri_hand_publish(struct fri_thread *t)
{
    struct fri_hand *h = &t->hand;
    unsigned finished = atomic_load_explicit(&h->finished,
                                             memory_order_acquire);

    while (h->published < finished)
        fri_hand_publish_one(t, &h->done[h->published++]);
}

void fri_hand_reclaim(struct fri_thread *t)
{
    struct fri_hand *h = &t->hand;
    uint32_t span = atomic_load(&h->span), next;

    do {
        next = fri_hand_next(span);
    } while (!atomic_compare_exchange_weak(&h->span, &span, next | next << 16));
    for (uint32_t i = next; i < fri_hand_end(span); i++) {
        const struct fri_slice *s = &h->slices[i];
        struct fri_slice none = { s->task, s->first, s->first };

        if (!s->task->counted) {
            fri_sched_return(s->task);
            continue;
        }
        fri_sched_give_back(s);
        fri_sched_finish_slice(&none, false, NULL, fri_now());
    }
}
