#include "core/timer.h"

static void place(struct fri_timers *ts, size_t i, struct fri_timer *t)
{
    ts->heap[i] = t;
    t->place = i;
}

static void sift_up(struct fri_timers *ts, size_t i, struct fri_timer *t)
{
    for (; i > 1 && ts->heap[i / 2]->deadline > t->deadline; i /= 2)
        place(ts, i, ts->heap[i / 2]);
    place(ts, i, t);
}

static void sift_down(struct fri_timers *ts, size_t i, struct fri_timer *t)
{
    for (size_t child; (child = 2 * i) <= ts->count; i = child) {
        if (child < ts->count
            && ts->heap[child + 1]->deadline < ts->heap[child]->deadline)
            child++;
        if (ts->heap[child]->deadline >= t->deadline)
            break;
        place(ts, i, ts->heap[child]);
    }
    place(ts, i, t);
}

bool fri_timers_reserve(struct fri_timers *ts)
{
    size_t want = ts->capacity ? ts->capacity * 2 : 16;
    struct fri_timer **heap;

    if (ts->count + 1 < ts->capacity)
        return true;
    heap = fri_realloc(ts->memory, ts->heap, want * sizeof *heap);
    if (!heap)
        return false;
    ts->heap = heap;
    ts->capacity = want;
    return true;
}

void fri_timer_stop(struct fri_timers *ts, struct fri_timer *t)
{
    size_t i = t->place;
    struct fri_timer *last;

    if (i == 0)
        return;
    t->place = 0;
    last = ts->heap[ts->count--];
    if (last == t)
        return;
    if (i > 1 && ts->heap[i / 2]->deadline > last->deadline)
        sift_up(ts, i, last);
    else
        sift_down(ts, i, last);
}

void fri_timer_set(struct fri_timers *ts, struct fri_timer *t,
                   fri_time deadline)
{
    fri_timer_stop(ts, t);
    t->deadline = deadline;
    sift_up(ts, ++ts->count, t);
}

fri_time fri_timers_run(struct fri_timers *ts, fri_time now)
{
    while (ts->count > 0 && ts->heap[1]->deadline <= now) {
        struct fri_timer *t = ts->heap[1];

        fri_timer_stop(ts, t);
        t->fire(t, now);
    }
    return ts->count > 0 ? ts->heap[1]->deadline : FRI_NEVER;
}

/* Their order stays, but for those that come to the end of time. */
void fri_timers_shift(struct fri_timers *ts, fri_time by)
{
    for (size_t i = 1; i <= ts->count; i++) {
        fri_time *at = &ts->heap[i]->deadline;

        *at = *at > FRI_NEVER - by ? FRI_NEVER : *at + by;
    }
}

void fri_timers_free(struct fri_timers *ts)
{
    fri_free(ts->memory, ts->heap);
    ts->heap = NULL;
    ts->count = ts->capacity = 0;
}
