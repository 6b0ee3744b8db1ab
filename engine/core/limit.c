/*
 * limit.c - seats that tasks hold while they run: licences, GPUs.
 *
 * Rules: all seats of a task are taken at once, or none; a task that is short
 * of one waits at that limit, and no later task of the same limit overtakes
 * it, so a large need is never starved.
 */
#include "core/deadlock.h"
#include "core/journal.h"
#include "core/sharing.h"

#include <string.h>

static void limit_free(struct fri_handle *handle)
{
    struct fri_limit *limit = (struct fri_limit *)(void *)handle;
    struct fri_memory m = limit->memory; /* its engine may be gone */

    fri_seats_close(limit->shared);
    fri_free(&m, limit->waiting.tasks);
    fri_free(&m, limit->seats);
    fri_free(&m, limit->name);
    fri_free(&m, limit);
}

static struct fri_limit *limit_new(struct fri_sched *s, const char *name,
                                   unsigned count)
{
    struct fri_limit *limit = fri_alloc_zero(s->memory, sizeof *limit);

    if (!limit)
        return NULL;
    limit->handle.kind = FRI_HANDLE_LIMIT;
    limit->handle.free = limit_free;
    atomic_init(&limit->handle.refs, 1);
    if (s->memory)
        limit->memory = *s->memory;
    limit->sched = s;
    limit->count = limit->places = count;
    limit->seats = fri_alloc_zero(s->memory, count * sizeof *limit->seats);
    limit->name = fri_strdup(s->memory, name);
    if (limit->seats && (limit->name || !name))
        return limit;
    limit_free(&limit->handle);
    return NULL;
}

struct fri_limit *fri_limit_find(struct fri_sched *s, const char *name)
{
    struct fri_limit *limit = name ? s->limits : NULL;

    while (limit && strcmp(limit->name, name) != 0)
        limit = limit->next;
    if (limit)
        fri_handle_ref(&limit->handle);
    return limit;
}

/* The list has a reference of its own. */
static void keep(struct fri_sched *s, struct fri_limit *limit)
{
    fri_handle_ref(&limit->handle);
    limit->next = s->limits;
    s->limits = limit;
}

struct fri_limit *fri_limit_get(struct fri_sched *s, const char *name,
                                unsigned count, bool *clash)
{
    struct fri_limit *limit = fri_limit_find(s, name);

    *clash = limit && limit->count != count;
    if (*clash) {
        fri_handle_unref(&limit->handle);
        return NULL;
    }
    if (limit)
        return limit;
    limit = limit_new(s, name, count);
    if (limit && name)
        keep(s, limit);
    return limit;
}

struct fri_limit *fri_limit_share(struct fri_sched *s, const char *name,
                                  unsigned count, struct fri_seats *shared)
{
    struct fri_limit *limit = limit_new(s, name, count);

    if (!limit) {
        fri_seats_close(shared);
        return NULL;
    }
    limit->shared = shared;
    fri_sharing_init(limit);
    keep(s, limit);
    return limit;
}

/* Named limits are found by name until the engine goes. */
void fri_limits_free(struct fri_sched *s)
{
    struct fri_limit *limit;

    while ((limit = s->limits) != NULL) {
        s->limits = limit->next;
        fri_timer_stop(&s->timers, &limit->timer);
        fri_handle_unref(&limit->handle);
    }
}

static bool may_take(struct fri_need *need, struct frun_future *task)
{
    struct fri_limit *limit = need->limit;
    struct frun_future *top = fri_heap_top(&limit->waiting);

    return (limit->shared || limit->count - limit->used >= need->count)
           && (!top || top == task || fri_task_before(task, top));
}

static void take_seats(struct fri_need *need, const struct frun_future *task)
{
    struct fri_limit *limit = need->limit;
    unsigned count = need->count;

    limit->used += count;
    if (limit->shared)
        return; /* it has taken them already */
    for (unsigned i = 0; count > 0; i++) {
        if (limit->seats[i])
            continue;
        limit->seats[i] = task;
        count--;
    }
}

static void give_seats(struct fri_limit *limit, const struct frun_future *task)
{
    for (unsigned i = 0; i < limit->places; i++) {
        if (limit->seats[i] != task)
            continue;
        limit->seats[i] = NULL;
        limit->used--;
        if (limit->shared)
            fri_seats_give(limit->shared, i);
    }
}

/* Has it the seats, so that only the turn of others is waited for? */
static bool has_room(const struct fri_spec *spec, const struct fri_limit *limit)
{
    for (size_t i = 0; i < spec->need_count; i++)
        if (spec->needs[i].limit == limit)
            return !limit->shared
                   && limit->count - limit->used >= spec->needs[i].count;
    return false;
}

/* Waits at `limit`.  Those that wait elsewhere, where room was left for it,
 * can go on. */
static void wait_at(struct fri_limit *limit, struct frun_future *task)
{
    struct fri_spec *spec = task->spec;

    fri_future_ref(task);
    if (task->extra && task->extra->keep)
        fri_keep_waits(task, limit, has_room(spec, limit));
    if (!fri_sharing_wait(limit, task)
        || !fri_heap_push(&limit->memory, &limit->waiting, task))
        fri_sched_no_memory(task);
    fri_waits_note(limit->sched);
    for (size_t i = 0; i < spec->need_count; i++)
        if (spec->needs[i].limit != limit)
            fri_limit_kick(spec->needs[i].limit);
    fri_future_unref(task);
}

/* The seats that other runs may have, too; false: it waits, or has failed. */
static bool take_shared(struct frun_future *task)
{
    struct fri_error *error = NULL;
    struct fri_limit *missing = fri_sharing_take(task, &error);

    if (!missing)
        return true;
    if (error) {
        task->queued = 0;
        fri_sched_fail(task, FRI_FAILED, error);
    } else {
        wait_at(missing, task);
    }
    return false;
}

bool fri_limits_take(struct frun_future *task)
{
    struct fri_spec *spec = task->spec;

    for (size_t i = 0; i < spec->need_count; i++) {
        if (may_take(&spec->needs[i], task))
            continue;
        wait_at(spec->needs[i].limit, task);
        return false;
    }
    if (!take_shared(task))
        return false;
    for (size_t i = 0; i < spec->need_count; i++)
        take_seats(&spec->needs[i], task);
    return true;
}

static unsigned left_of(struct fri_limit *limit)
{
    return limit->shared ? fri_sharing_left(limit)
                         : limit->count - limit->used;
}

static unsigned need_of(const struct frun_future *task,
                        const struct fri_limit *limit)
{
    const struct fri_spec *spec = task->spec;

    for (size_t i = 0; i < spec->need_count; i++)
        if (spec->needs[i].limit == limit)
            return spec->needs[i].count;
    return 0;
}

void fri_limit_kick(struct fri_limit *limit)
{
    struct frun_future *task = fri_heap_top(&limit->waiting);
    unsigned left = task ? left_of(limit) : 0;

    for (; task; task = fri_heap_top(&limit->waiting)) {
        unsigned need = fri_is_final(task) ? 0 : need_of(task, limit);

        if (need > left)
            return;
        left -= need;
        fri_heap_pop(&limit->waiting);
        fri_sched_again(task);
    }
}

void fri_limits_kick(struct fri_spec *spec)
{
    for (size_t i = 0; i < spec->need_count; i++)
        fri_limit_kick(spec->needs[i].limit);
}

void fri_limits_release(struct frun_future *task)
{
    struct fri_spec *spec = task->spec;

    for (size_t i = 0; i < spec->need_count; i++)
        give_seats(spec->needs[i].limit, task);
    fri_limits_kick(spec);
}

static unsigned seat_in(const struct fri_limit *limit,
                        const struct frun_future *task, unsigned after)
{
    for (unsigned i = after; i < limit->places; i++)
        if (limit->seats[i] == task)
            return i + 1;
    return 0;
}

bool fri_limits_held(const struct frun_future *task)
{
    const struct fri_spec *spec = task->spec;

    return spec->need_count > 0 && seat_in(spec->needs[0].limit, task, 0) > 0;
}

unsigned fri_limit_seat(const struct frun_future *task, const char *name,
                        unsigned after)
{
    for (size_t i = 0; i < task->spec->need_count; i++) {
        const struct fri_limit *limit = task->spec->needs[i].limit;

        if (limit->name && strcmp(limit->name, name) == 0)
            return seat_in(limit, task, after);
    }
    for (uint32_t i = 0; task->extra && i < task->extra->seat_count; i++)
        if (task->extra->seats[i].number > after
            && strcmp(task->extra->seats[i].name, name) == 0)
            return task->extra->seats[i].number;
    return 0;
}
