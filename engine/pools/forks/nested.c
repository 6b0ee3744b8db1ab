/*
 * nested.c - tasks that tasks of worker processes submit, by requests.
 */
#include "pools/forks/serve.h"

#include "core/resume.h"

#include <string.h>

static void put_pieces(struct fri_port *p, struct fri_buffer *b,
                       const struct fri_range *r)
{
    fri_put_varint(b, r->piece_count);
    for (size_t i = 0; i < r->piece_count; i++) {
        fri_put_varint(b, r->pieces[i].first);
        fri_put_varint(b, r->pieces[i].end);
        fri_wire_message(p, b, r->pieces[i].results);
    }
}

/* It is final.  A failure stays here until the worker has looked at it. */
static void task_done(struct fri_waiter *waiter)
{
    struct fri_served *s = fri_served_of(waiter);
    struct fri_fork *w = s->fork;
    struct frun_future *f = s->future;
    struct fri_buffer *b = fri_served_answer(w, s->number);

    fri_buffer_byte(b, (uint8_t)fri_state(f));
    if (f->holds == FRI_RANGE) {
        fri_buffer_byte(b, FRI_RANGE);
        put_pieces(&w->port, b, f->data.range);
    } else {
        fri_wire_data(&w->port, b, f->holds, &f->data, f->length);
    }
    fri_put_varint(b, f->attempts);
    fri_put_varint(b, f->worker);
    fri_buffer_byte(b, f->extra && f->extra->from_journal);
    if (fri_state(f) == FRI_FAILED && !f->counted)
        s->waiter.link = NULL;
    else
        fri_served_end(s);
    fri_served_send(w);
}

static bool get_parts(struct fri_fork *w, struct fri_reader *r,
                      struct fri_resume *resume)
{
    size_t n = fri_get_count(r, 9);

    resume->parts = fri_alloc(w->port.memory,
                              (n + 1) * sizeof *resume->parts);
    for (; resume->parts && resume->count < n && !r->bad; resume->count++) {
        struct fri_part *part = &resume->parts[resume->count];

        part->name = fri_wire_get_text(r, w->port.memory);
        part->digest = fri_get_raw64(r);
        if (!part->name)
            return false;
    }
    return resume->parts && !r->bad;
}

/* What its tasks are known by in a journal: remote.c. */
static bool get_resume(struct fri_fork *w, struct fri_reader *r,
                       struct fri_spec *spec)
{
    struct fri_resume *resume;
    size_t n;
    const uint8_t *digest;

    if (fri_get_byte(r) == 0)
        return !r->bad;
    resume = fri_alloc_zero(w->port.memory, sizeof *resume);
    spec->resume = resume;
    if (!resume)
        return false;
    resume->journal = fri_resume_journal(w->port.engine, fri_get_varint(r));
    resume->identity = fri_get_raw64(r);
    resume->durable = fri_get_byte(r) != 0;
    resume->keys = fri_get_byte(r) != 0;
    resume->version = fri_get_byte(r) != 0;
    digest = fri_wire_get_bytes(r, &n);
    if (!resume->journal || !digest || n != FRI_DIGEST)
        return false;
    memcpy(resume->digest.bytes, digest, FRI_DIGEST);
    return get_parts(w, r, resume);
}

bool fri_serve_spec(struct fri_fork *w, struct fri_reader *r)
{
    uint64_t id = fri_get_varint(r);
    struct fri_handle *view = w->port.get(&w->port, r);
    struct fri_view *v = (struct fri_view *)(void *)view;
    struct fri_spec *spec = NULL, **at = &w->specs[id % FRI_SPECS];
    struct fri_function *f = NULL;
    bool bare;
    char *name;

    if (!view || view->kind != FRI_HANDLE_POOL) {
        fri_handle_unref(view);
        return false;
    }
    name = fri_wire_get_text(r, w->port.memory);
    bare = fri_get_byte(r) == 0 && v->pool->ops->kind == FRUN_COMMANDS;
    f = bare ? NULL : fri_wire_get_function(&w->port, r);
    if (f || bare)
        spec = fri_spec_new(&v->pool->lane, &v->policy);
    fri_handle_unref(view);
    if (!spec) {
        fri_free(w->port.memory, name);
        fri_function_free(f);
        return false;
    }
    fri_free(w->port.memory, spec->name);
    spec->name = name;
    spec->script = f;
    spec->script_free = f ? fri_function_drop : NULL;
    if (!get_resume(w, r, spec)) {
        fri_spec_unref(spec);
        return false;
    }
    fri_spec_unref(*at);
    *at = spec;
    w->spec_ids[id % FRI_SPECS] = id;
    return true;
}

static bool get_key(struct fri_fork *w, struct fri_reader *r,
                    struct frun_future *task)
{
    task->key_kind = fri_get_byte(r);
    switch (task->key_kind) {
    case FRI_KEY_NONE: return true;
    case FRI_KEY_NUMBER: task->key.number = fri_get_zigzag(r); return true;
    case FRI_KEY_MESSAGE:
        task->key.message = fri_wire_get_message(&w->port, r);
        if (task->key.message)
            return true;
    }
    task->key_kind = FRI_KEY_NONE;
    return false;
}

static bool get_offsets(struct fri_fork *w, struct fri_reader *r,
                        const struct fri_message *m, uint64_t count,
                        size_t **offsets)
{
    size_t *list = fri_alloc(w->port.memory, (size_t)count * sizeof *list);

    *offsets = list;
    for (uint64_t i = 0; list && i < count; i++) {
        list[i] = (size_t)fri_get_varint(r);
        if (r->bad || list[i] >= m->length || (i > 0 && list[i] < list[i - 1]))
            return false;
    }
    return list != NULL;
}

static bool get_items(struct fri_fork *w, struct fri_reader *r, uint64_t count,
                      struct fri_message **items, size_t **offsets)
{
    unsigned form = fri_get_byte(r);

    if (form == 0)
        return !r->bad;
    *items = fri_wire_get_message(&w->port, r);
    if (!*items)
        return false;
    if (form == 1)
        return get_offsets(w, r, *items, count, offsets);
    return form == 2 && (*items)->length == 1 + count * 8;
}

static bool get_drawn(struct fri_fork *w, struct fri_reader *r,
                      struct fri_range *range)
{
    if (fri_get_byte(r) == 0)
        return !r->bad;
    range->drawn = fri_alloc(w->port.memory,
                             (size_t)range->count * sizeof *range->drawn);
    for (uint64_t i = 0; range->drawn && i < range->count; i++)
        range->drawn[i] = fri_get_varint(r);
    return range->drawn && !r->bad;
}

static bool get_range(struct fri_fork *w, struct fri_reader *r,
                      struct frun_future *task)
{
    struct fri_spec *spec = task->spec;
    uint64_t count = fri_get_varint(r);
    struct fri_range *range;

    if (r->bad || count == 0 || count > fri_left(r)
        || fri_lane_pool(spec->lane)->ops->kind == FRUN_COMMANDS)
        return false;
    range = fri_range_new(w->port.memory, count,
                          fri_lane_pool(spec->lane)->workers, spec->chunk);
    if (!range)
        return false;
    task->holds = FRI_RANGE;
    task->data.range = range;
    return get_items(w, r, count, &range->items, &range->offsets)
           && range->items
           && get_items(w, r, count, &range->keys, &range->key_offsets)
           && get_drawn(w, r, range);
}

static bool get_task(struct fri_fork *w, struct fri_reader *r,
                     struct frun_future *task)
{
    char *name;
    uint64_t stream, modules;
    struct fri_data data;

    if (!get_key(w, r, task))
        return false;
    name = fri_wire_get_text(r, w->port.memory);
    stream = fri_get_varint(r);
    modules = fri_get_varint(r);
    if (name || stream || modules) {
        if (!fri_task_extra(task)) {
            fri_free(w->port.memory, name);
            return false;
        }
        task->extra->name = name;
        task->extra->stream = stream;
        task->extra->modules = modules;
    }
    if (fri_get_byte(r) != 0)
        return get_range(w, r, task);
    if (!fri_wire_get_data(&w->port, r, &data))
        return false;
    fri_task_put(task, &data);
    return data.holds != FRI_ERROR;
}

static bool is_closed(const frun_pool *pool, const struct fri_fork *w)
{
    return pool->closing && pool != w->forks->pool;
}

bool fri_serve_submit(struct fri_fork *w, struct fri_reader *r,
                         uint64_t number)
{
    uint64_t id = fri_get_varint(r);
    struct fri_spec *spec = w->specs[id % FRI_SPECS];
    struct fri_served *s;
    struct frun_future *task;

    if (r->bad || !spec || w->spec_ids[id % FRI_SPECS] != id)
        return false;
    task = fri_task_new(&fri_fork_engine(w)->sched, spec);
    s = task ? fri_served_new(w, number) : NULL;
    if (!s || !get_task(w, r, task)) {
        if (s)
            fri_served_end(s);
        fri_future_unref(task);
        return false;
    }
    if (is_closed(fri_lane_pool(spec->lane), w)) {
        fri_served_end(s);
        fri_future_unref(task);
        fri_served_error(w, number, FRUN_ECLOSED, "the pool is closed");
        return true;
    }
    s->future = task;
    s->waiter.future = task;
    s->waiter.fire = task_done;
    fri_future_ref(task); /* settling at once must not free it */
    fri_sched_submit(task, true);
    if (fri_is_final(task))
        task_done(&s->waiter);
    else
        fri_waiter_link(&s->waiter, &task->waiters);
    fri_future_unref(task);
    return true;
}

bool fri_serve_looked(struct fri_fork *w, struct fri_reader *r)
{
    struct fri_served *s = fri_served_find(w, fri_get_varint(r));
    struct frun_future *f = s ? s->future : NULL;

    if (!f || !fri_is_final(f))
        return !r->bad;
    atomic_store(&f->looked, 1);
    if (f->holds == FRI_ERROR && f->data.error)
        atomic_store(&f->data.error->looked, true);
    fri_served_end(s);
    return true;
}

bool fri_serve_cancel(struct fri_fork *w, struct fri_reader *r)
{
    struct fri_served *s = fri_served_find(w, fri_get_varint(r));
    struct frun_future *f = s ? s->future : NULL;

    if (f) {
        fri_future_ref(f);
        fri_sched_cancel(f, NULL);
        fri_future_unref(f);
    }
    return !r->bad;
}

/* A sequence of one small number. */
bool fri_serve_state(struct fri_fork *w, struct fri_reader *r,
                        uint64_t number)
{
    struct fri_served *s = fri_served_find(w, fri_get_varint(r));
    struct fri_data data = { .holds = FRI_BYTES, .length = 3 };

    data.bytes[1] = 1;
    data.bytes[2] = (uint8_t)(s && s->future ? fri_state(s->future)
                                             : FRI_PENDING);
    fri_served_data(w, number, &data);
    return !r->bad;
}
