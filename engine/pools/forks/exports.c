/*
 * exports.c - the handles that a worker process knows, by number.
 *
 * A number stands for one handle as long as the worker has it; it is counted
 * how often it was sent, since the worker may let go of it (RELEASE, with the
 * count that it has seen) while the engine is sending it again.  The worker
 * keeps it until it hears that it was forgotten here (DROPPED).  What a worker
 * names is looked up here: it cannot name what it was not given.
 */
#include "pools/forks/forks.h"

#include "core/shared.h"

#include <string.h>

enum { OWN_POOL = 0 }; /* instead of a number */

/* The number from 1; 0: out of memory. */
static uint64_t export(struct fri_fork *w, struct fri_handle *h)
{
    const struct fri_memory *m = w->port.memory;
    size_t at = w->export_count;

    for (size_t i = 0; i < w->export_count; i++) {
        if (w->exports[i].handle == h) {
            w->exports[i].sent++;
            return i + 1;
        }
        if (!w->exports[i].handle)
            at = i;
    }
    if (at == w->export_capacity) {
        size_t want = at ? 2 * at : 16;
        struct fri_export *more
            = fri_realloc(m, w->exports, want * sizeof *more);

        if (!more)
            return 0;
        w->exports = more;
        w->export_capacity = want;
    }
    if (at == w->export_count)
        w->export_count++;
    fri_handle_ref(h);
    w->exports[at] = (struct fri_export){ .handle = h, .sent = 1 };
    return at + 1;
}

struct fri_handle *fri_export_at(struct fri_fork *w, uint64_t number)
{
    if (number == 0 || number > w->export_count)
        return NULL;
    return w->exports[number - 1].handle;
}

static void drop(struct fri_export *x)
{
    struct fri_handle *h = x->handle;

    x->handle = NULL;
    x->sent = 0;
    fri_handle_unref(h);
}

/* RELEASE: number, how often it was received; and so on. */
void fri_exports_release(struct fri_fork *w, struct fri_reader *r)
{
    while (fri_left(r) > 0) {
        uint64_t number = fri_get_varint(r), seen = fri_get_varint(r);
        struct fri_export *x
            = fri_export_at(w, number) ? &w->exports[number - 1] : NULL;

        if (r->bad || !x || seen > x->sent) {
            fri_bad(r);
            return;
        }
        x->sent -= seen;
        if (x->sent > 0)
            continue;
        drop(x);
        fri_put_varint(fri_channel_begin(&w->channel), number);
        fri_channel_send(&w->channel, FRI_FRAME_DROPPED, NULL, 0, false);
    }
}

void fri_exports_free(struct fri_fork *w)
{
    for (size_t i = 0; i < w->export_count; i++)
        if (w->exports[i].handle)
            drop(&w->exports[i]);
    fri_free(w->port.memory, w->exports);
    w->exports = NULL;
    w->export_count = w->export_capacity = 0;
}

/* ---- to the worker ---------------------------------------------------- */

/* A pool that it runs in must not be held by it: it would never end. */
static bool put_pool(struct fri_fork *w, struct fri_buffer *b, frun_pool *pool)
{
    uint64_t number = OWN_POOL;

    if (pool != w->forks->pool) {
        number = export(w, &pool->handle);
        if (number == 0)
            return false;
    }
    fri_put_varint(b, number);
    if (number == OWN_POOL)
        return true;
    fri_wire_text(b, pool->name);
    fri_put_varint(b, pool->workers);
    fri_put_varint(b, (uint64_t)pool->ops->kind);
    fri_buffer_byte(b, pool->closing);
    return true;
}

static bool put_view(struct fri_fork *w, struct fri_buffer *b,
                     const struct fri_view *view)
{
    if (!put_pool(w, b, view->pool))
        return false;
    fri_buffer_byte(b, view->plain);
    if (!view->plain)
        fri_wire_policy(&w->port, b, &view->policy);
    return true;
}

/* A future is done, and travels as its values. */
static bool put_future(struct fri_fork *w, struct fri_buffer *b,
                       const struct frun_future *f)
{
    if (fri_state(f) != FRI_DONE || f->counted)
        return false;
    fri_wire_data(&w->port, b, f->holds, &f->data, f->length);
    return true;
}

static void put_limit(struct fri_buffer *b, const struct fri_limit *limit)
{
    fri_wire_text(b, limit->name);
    fri_put_varint(b, limit->count);
}

static bool put_array(struct fri_fork *w, struct fri_buffer *b,
                      const struct fri_array *a)
{
    if (w->port.fd_count == FRI_FDS - 1)
        return false;
    w->port.fds[w->port.fd_count++] = a->fd;
    fri_put_varint(b, (uint64_t)a->type);
    fri_put_varint(b, a->length);
    return true;
}

/* Only a copy of this process has the function, and in the same place. */
void fri_put_native(struct fri_buffer *b, const struct fri_native *n)
{
    bool copied = fri_spawner_copied(n->engine->spawner);

    fri_wire_text(b, n->name);
    fri_wire_pointer(b, copied ? (uintptr_t)n->function : 0);
    fri_wire_pointer(b, copied ? (uintptr_t)n->user : 0);
}

static bool put_thing(struct fri_fork *w, struct fri_buffer *b,
                      struct fri_handle *h)
{
    uint64_t known = w->export_count, number = export(w, h);
    bool first = number > known || w->exports[number - 1].sent == 1;

    if (number == 0)
        return false;
    fri_put_varint(b, number);
    fri_buffer_byte(b, first);
    if (!first)
        return true;
    switch (h->kind) {
    case FRI_HANDLE_LIMIT: put_limit(b, (void *)h); return true;
    case FRI_HANDLE_NATIVE: fri_put_native(b, (void *)h); return true;
    case FRI_HANDLE_ARRAY: return put_array(w, b, (void *)h);
    case FRI_HANDLE_SHARE:
        fri_wire_message(&w->port, b, ((struct fri_share *)(void *)h)->value);
        return true;
    default: return true;
    }
}

static bool put_handle(struct fri_port *port, struct fri_buffer *b,
                       struct fri_handle *h)
{
    struct fri_fork *w
        = (struct fri_fork *)(void *)((char *)port
                                      - offsetof(struct fri_fork, port));

    fri_buffer_byte(b, (uint8_t)h->kind);
    switch (h->kind) {
    case FRI_HANDLE_POOL: return put_view(w, b, (void *)h);
    case FRI_HANDLE_FUTURE: return put_future(w, b, (void *)h);
    default: return put_thing(w, b, h);
    }
}

/* ---- from the worker -------------------------------------------------- */

static struct fri_handle *get_view(struct fri_fork *w, struct fri_reader *r)
{
    uint64_t number = fri_get_varint(r);
    struct fri_handle *h = fri_export_at(w, number);
    frun_pool *pool = number == OWN_POOL ? w->forks->pool : (void *)h;
    struct fri_view *view;

    if (r->bad || (number != OWN_POOL && (!h || h->kind != FRI_HANDLE_POOL)))
        return NULL;
    view = fri_view_new(pool, false);
    if (!view)
        return NULL;
    view->plain = fri_get_byte(r) != 0;
    if (!view->plain
        && !fri_wire_get_policy(&w->port, r, &view->policy)) {
        fri_handle_unref(&view->handle);
        return NULL;
    }
    return &view->handle;
}

/* A future of the worker's, that is done there: here it is one that was never
 * in any queue. */
static struct fri_handle *get_future(struct fri_fork *w, struct fri_reader *r)
{
    struct fri_data data;
    struct fri_sched *s = &w->port.engine->sched;
    struct fri_spec *spec;
    struct frun_future *f;

    if (!fri_wire_get_data(&w->port, r, &data))
        return NULL;
    spec = fri_spec_new(&w->forks->pool->lane, NULL);
    f = spec ? fri_task_new(s, spec) : NULL;
    fri_spec_unref(spec);
    if (!f) {
        fri_data_free(&data);
        return NULL;
    }
    fri_task_put(f, &data);
    atomic_store(&f->state, FRI_DONE);
    return &f->handle;
}

/* One that the worker knows by its name only.  Lock held. */
static struct fri_handle *get_native(struct fri_fork *w, struct fri_reader *r)
{
    char *name = fri_wire_get_text(r, w->port.memory);
    struct fri_native *n = w->port.engine->natives;

    while (name && n && strcmp(n->name, name) != 0)
        n = n->next;
    fri_free(w->port.memory, name);
    if (!name || !n)
        return NULL;
    fri_handle_ref(&n->handle);
    return &n->handle;
}

static struct fri_handle *get_thing(struct fri_fork *w, struct fri_reader *r,
                                    unsigned kind)
{
    uint64_t number = fri_get_varint(r);
    struct fri_handle *h;

    if (number == 0 && kind == FRI_HANDLE_NATIVE)
        return get_native(w, r);
    h = fri_export_at(w, number);

    if (r->bad || !h || h->kind != kind)
        return NULL;
    fri_handle_ref(h);
    return h;
}

static struct fri_handle *get_handle(struct fri_port *port,
                                     struct fri_reader *r)
{
    struct fri_fork *w
        = (struct fri_fork *)(void *)((char *)port
                                      - offsetof(struct fri_fork, port));
    unsigned kind = fri_get_byte(r);

    switch (kind) {
    case FRI_HANDLE_POOL: return get_view(w, r);
    case FRI_HANDLE_FUTURE: return get_future(w, r);
    default: return get_thing(w, r, kind);
    }
}

void fri_exports_open(struct fri_fork *w)
{
    w->port.engine = w->forks->pool->engine;
    w->port.memory = &w->port.engine->memory;
    w->port.channel = &w->channel;
    w->port.put = put_handle;
    w->port.get = get_handle;
}
