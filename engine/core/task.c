/*
 * task.c - records: where they come from and where they go.
 *
 * A record that nobody holds any more is pushed on a stack without the lock,
 * and fri_task_new takes the whole stack at once: nothing is ever popped from
 * it alone, so a record that comes back at the same address does no harm.
 * Records live in slabs until the scheduler goes; what was never used of a
 * slab was never touched.
 */
#include "core/settle.h"

#include "core/journal.h"
#include "core/range.h"
#include "core/resume.h"

#include <stdio.h>
#include <string.h>

enum {
    FIRST = 510, /* records of the first slab: 64 KiB */
    MOST = 8190, /* of the largest: 1 MiB */
    APART = 128  /* a record shares no pair of cache lines with another */
};

struct fri_slab {
    struct fri_slab *next;
    struct frun_future *records;
    unsigned count, used; /* records from `used` on were never touched */
};

/* ---- data ------------------------------------------------------------- */

void fri_data_free(struct fri_data *data)
{
    switch (data->holds) {
    case FRI_MESSAGE: fri_message_free(data->message); break;
    case FRI_VALUE: frun_value_free(data->value); break;
    case FRI_RANGE: fri_range_free(data->range); break;
    case FRI_ERROR: fri_error_free(data->error); break;
    default: break;
    }
    data->holds = FRI_NOTHING;
}

void fri_task_put(struct frun_future *task, struct fri_data *data)
{
    struct fri_data old;

    memcpy(old.bytes, task->data.bytes, FRI_INLINE);
    old.holds = task->holds;
    memcpy(task->data.bytes, data->bytes, FRI_INLINE);
    task->length = data->length;
    task->holds = data->holds;
    data->holds = FRI_NOTHING;
    if (old.holds > FRI_BYTES)
        fri_data_free(&old);
}

/* ---- what few tasks have ---------------------------------------------- */

struct fri_extra *fri_task_extra(struct frun_future *task)
{
    if (!task->extra) /* see fri_extra_seen */
        __atomic_store_n(&task->extra,
                         fri_alloc_zero(task->spec->lane->sched->memory,
                                        sizeof *task->extra),
                         __ATOMIC_RELEASE);
    return task->extra;
}

void fri_task_drop_after(struct frun_future *task)
{
    struct fri_extra *x = task->extra;

    for (uint32_t i = 0; x && i < x->after_count; i++) {
        fri_waiter_remove(&x->after[i]);
        fri_future_unref(x->after[i].future);
    }
    if (x)
        x->after_count = 0;
}

static void extra_free(const struct fri_memory *m, struct fri_extra *x)
{
    if (!x)
        return;
    if (x->script_free)
        x->script_free(x->script);
    frun_value_free(x->value);
    fri_past_free(m, x->past);
    for (uint32_t i = 0; i < x->seat_count; i++)
        fri_free(m, x->seats[i].name);
    fri_free(m, x->seats);
    fri_free(m, x->after);
    fri_free(m, x->name);
    fri_free(m, x->retry);
    fri_free(m, x->attempt);
    fri_keep_free(x->keep);
    fri_free(m, x);
}

const char *fri_task_name(const struct frun_future *f, char text[32])
{
    const struct fri_extra *x = fri_extra_seen(f);

    if (x && x->name)
        return x->name;
    if (f->spec->name)
        return f->spec->name;
    snprintf(text, 32, "task %llu", (unsigned long long)f->id);
    return text;
}

/* ---- records ---------------------------------------------------------- */

/* Any thread, with or without the lock. */
static void future_free(struct fri_handle *handle)
{
    struct frun_future *f = (struct frun_future *)(void *)handle;
    struct fri_spec *spec = f->spec;
    struct fri_sched *s = spec->lane->sched;
    void (*freed)(void *user) = s->freed;
    void *user = s->user;
    struct fri_data nothing = { .holds = FRI_NOTHING };
    struct frun_future *top;

    if (!fri_is_final(f)) /* never submitted: nobody else can know it */
        fri_task_drop_after(f);
    fri_task_put(f, &nothing);
    if (f->key_kind == FRI_KEY_MESSAGE)
        fri_message_free(f->key.message);
    extra_free(s->memory, f->extra);
    top = atomic_load_explicit(&s->dropped, memory_order_relaxed);
    do {
        f->next = top;
    } while (!atomic_compare_exchange_weak_explicit(
        &s->dropped, &top, f, memory_order_release, memory_order_relaxed));
    fri_spec_unref(spec);
    if (freed)
        freed(user);
}

static struct frun_future *aligned(void *p)
{
    uintptr_t at = ((uintptr_t)p + APART - 1) & ~(uintptr_t)(APART - 1);

    return (struct frun_future *)at;
}

static struct fri_slab *add_slab(struct fri_sched *s)
{
    unsigned count = s->slabs ? s->slabs->count * 2 : FIRST;
    struct fri_slab *slab;

    count = count < MOST ? count : MOST;
    slab = fri_alloc(s->memory, sizeof *slab + APART
                                    + count * sizeof *slab->records);
    if (!slab)
        return NULL;
    *slab = (struct fri_slab){ .next = s->slabs,
                               .records = aligned(slab + 1),
                               .count = count };
    s->slabs = slab;
    return slab;
}

static struct frun_future *take_record(struct fri_sched *s)
{
    struct frun_future *f;
    struct fri_slab *slab = s->slabs;

    if (!s->free)
        s->free = atomic_exchange_explicit(&s->dropped, NULL,
                                           memory_order_acquire);
    f = s->free;
    if (f) {
        s->free = f->next;
        if (s->free) /* a worker wrote there last */
            __builtin_prefetch(&s->free->id, 1);
        return f;
    }
    if (!slab || slab->used == slab->count)
        slab = add_slab(s);
    return slab ? &slab->records[slab->used++] : NULL;
}

struct frun_future *fri_task_new(struct fri_sched *s, struct fri_spec *spec)
{
    struct frun_future *f = take_record(s);

    if (!f)
        return NULL;
    /* In halves: for the whole, gcc has an instruction that takes 20 ns. */
    memset(f, 0, sizeof *f / 2);
    memset((char *)f + sizeof *f / 2, 0, sizeof *f / 2);
    atomic_init(&f->handle.refs, 1);
    f->handle.kind = FRI_HANDLE_FUTURE;
    f->handle.free = future_free;
    f->spec = spec;
    atomic_fetch_add_explicit(&spec->refs, 1, memory_order_relaxed);
    f->id = ++s->last_id;
    return f;
}

uint64_t fri_sched_alive(struct fri_sched *s)
{
    uint64_t alive = 0;

    for (struct fri_slab *slab = s->slabs; slab; slab = slab->next)
        for (unsigned i = 0; i < slab->used; i++)
            alive += atomic_load(&slab->records[i].handle.refs) > 0;
    return alive;
}

static bool is_pending_in(struct frun_future *f, const struct fri_lane *lane)
{
    return atomic_load(&f->handle.refs) > 0 && fri_state(f) != FRI_NEW
           && !fri_is_final(f) && f->spec->lane == lane;
}

void fri_lane_each(struct fri_lane *lane, void (*fn)(struct frun_future *task))
{
    for (struct fri_slab *s = lane->sched->slabs; s; s = s->next)
        for (unsigned i = 0; i < s->used; i++)
            if (is_pending_in(&s->records[i], lane))
                fn(&s->records[i]);
}

/* Submitted to a pool, and not final. */
static bool is_shown(struct frun_future *f)
{
    return atomic_load(&f->handle.refs) > 0 && fri_state(f) != FRI_NEW
           && !fri_is_final(f) && f->spec->lane->hooks
           && !f->spec->lane->hidden;
}

static bool is_pending_of(struct frun_future *f, const struct fri_sched *s,
                          const struct fri_group *group)
{
    return atomic_load(&f->handle.refs) > 0 && fri_state(f) != FRI_NEW
           && !fri_is_final(f) && f->spec->lane->hooks
           && (group == s->run || group == s->ending
               || f->spec->group == group);
}

void fri_group_each(struct fri_sched *s, struct fri_group *group,
                    void (*fn)(struct frun_future *task,
                               struct fri_group *group))
{
    for (struct fri_slab *slab = s->slabs; slab; slab = slab->next)
        for (unsigned i = 0; i < slab->used; i++)
            if (is_pending_of(&slab->records[i], s, group))
                fn(&slab->records[i], group);
}

bool fri_sched_scan(struct fri_sched *s, struct fri_scan *scan, size_t most)
{
    if (!scan->slab)
        scan->slab = s->slabs;
    while (scan->slab && most > 0) {
        if (scan->at == scan->slab->used) {
            scan->slab = scan->slab->next;
            scan->at = 0;
            if (!scan->slab)
                return false;
            continue;
        }
        if (is_shown(&scan->slab->records[scan->at]))
            scan->see(scan, &scan->slab->records[scan->at]);
        scan->at++;
        most--;
    }
    return scan->slab != NULL;
}

void fri_slabs_free(struct fri_sched *s)
{
    struct fri_slab *slab;

    while ((slab = s->slabs) != NULL) {
        s->slabs = slab->next;
        fri_free(s->memory, slab);
    }
}
