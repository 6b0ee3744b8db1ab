/*
 * queue.c - the order in which ready tasks run.
 *
 * Most tasks have priority 0 and come in the order of their ids: a list.
 * All others, and those that come back (from a limit, a retry), go into a
 * heap; the better of the two heads is next.
 */
#include "core/scheduler.h"

bool fri_task_before(const struct frun_future *a, const struct frun_future *b)
{
    double p = a->spec->priority, q = b->spec->priority;

    return p != q ? p > q : a->id < b->id;
}

static bool grow(const struct fri_memory *m, struct fri_heap *h)
{
    size_t want = h->capacity ? h->capacity * 2 : 16;
    struct frun_future **tasks;

    if (h->count < h->capacity)
        return true;
    tasks = fri_realloc(m, h->tasks, want * sizeof(struct frun_future *));
    if (!tasks)
        return false;
    h->tasks = tasks;
    h->capacity = want;
    return true;
}

bool fri_heap_push(const struct fri_memory *m, struct fri_heap *h,
                   struct frun_future *task)
{
    size_t i;

    if (!grow(m, h))
        return false;
    for (i = h->count++; i > 0; i = (i - 1) / 2) {
        if (!fri_task_before(task, h->tasks[(i - 1) / 2]))
            break;
        h->tasks[i] = h->tasks[(i - 1) / 2];
    }
    h->tasks[i] = task;
    return true;
}

/* The last goes down from place i. */
static void fill(struct fri_heap *h, size_t i)
{
    struct frun_future *last = h->tasks[--h->count];

    for (size_t child; (child = 2 * i + 1) < h->count; i = child) {
        if (child + 1 < h->count
            && fri_task_before(h->tasks[child + 1], h->tasks[child]))
            child++;
        if (!fri_task_before(h->tasks[child], last))
            break;
        h->tasks[i] = h->tasks[child];
    }
    if (i < h->count)
        h->tasks[i] = last;
}

struct frun_future *fri_heap_pop(struct fri_heap *h)
{
    struct frun_future *top = h->tasks[0];

    fill(h, 0);
    return top;
}

/* Each place above it moves down by one; then it is the first. */
static bool remove_from_heap(struct fri_heap *h,
                             const struct frun_future *task)
{
    size_t i = 0;

    while (i < h->count && h->tasks[i] != task)
        i++;
    if (i == h->count)
        return false;
    for (; i > 0; i = (i - 1) / 2)
        h->tasks[i] = h->tasks[(i - 1) / 2];
    fill(h, 0);
    return true;
}

static bool remove_from_list(struct fri_lane *lane, struct frun_future *task)
{
    struct frun_future **at = &lane->first;

    while (*at && *at != task)
        at = &(*at)->next;
    if (!*at)
        return false;
    *at = task->next;
    if (!*at)
        lane->last = at;
    return true;
}

void fri_lane_remove(struct fri_lane *lane, struct frun_future *task)
{
    if (!remove_from_list(lane, task) && !remove_from_heap(&lane->heap, task))
        return; /* it was taken */
    task->next = NULL;
    task->queued = 0;
    atomic_fetch_sub_explicit(&lane->ready, 1, memory_order_relaxed);
}

bool fri_lane_push(struct fri_lane *lane, struct frun_future *task)
{
    bool plain = task->spec->priority == 0;

    if (plain && lane->first && task->id < lane->last_id)
        plain = false;
    if (plain) {
        task->next = NULL;
        *lane->last = task;
        lane->last = &task->next;
        lane->last_id = task->id;
    } else if (!fri_heap_push(lane->sched->memory, &lane->heap, task)) {
        return false;
    }
    task->queued = 1;
    atomic_fetch_add_explicit(&lane->ready, 1, memory_order_release);
    return true;
}

struct frun_future *fri_lane_best(const struct fri_lane *lane)
{
    struct frun_future *top = fri_heap_top(&lane->heap);

    if (!top || (lane->first && fri_task_before(lane->first, top)))
        return lane->first;
    return top;
}

void fri_lane_pop(struct fri_lane *lane, struct frun_future *best)
{
    if (best == lane->first) {
        lane->first = best->next;
        if (!lane->first)
            lane->last = &lane->first;
    } else {
        fri_heap_pop(&lane->heap);
    }
    best->next = NULL;
    atomic_fetch_sub_explicit(&lane->ready, 1, memory_order_relaxed);
}
