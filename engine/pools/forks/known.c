/*
 * known.c - in a worker process: the things of the engine's process, by number.
 */
#include "pools/forks/home.h"

#include <string.h>

static struct fri_known *known_at(struct fri_home *h, uint64_t number)
{
    if (number == 0 || number > 1u << 23)
        return NULL;
    while (h->known_capacity < number) {
        size_t want = h->known_capacity ? 2 * h->known_capacity : 16;
        struct fri_known *more
            = fri_realloc(NULL, h->known, want * sizeof *more);

        if (!more)
            return NULL;
        memset(more + h->known_capacity, 0,
               (want - h->known_capacity) * sizeof *more);
        h->known = more;
        h->known_capacity = want;
    }
    if (h->known_count < number)
        h->known_count = number;
    return &h->known[number - 1];
}

static void proxy_free(struct fri_handle *handle)
{
    fri_free(NULL, handle);
}

static struct fri_handle *new_proxy(unsigned kind)
{
    struct fri_handle *handle = fri_alloc_zero(NULL, sizeof *handle);

    if (!handle)
        return NULL;
    atomic_init(&handle->refs, 1);
    handle->kind = kind & 0xff;
    handle->free = proxy_free;
    return handle;
}

static struct fri_handle *new_limit(struct fri_home *h, struct fri_reader *r)
{
    char *name = fri_wire_get_text(r, NULL);
    unsigned count = (unsigned)fri_get_varint(r);
    bool clash;
    struct fri_limit *limit
        = r->bad ? NULL
                 : fri_limit_get(&h->engine->sched, name, count, &clash);

    fri_free(NULL, name);
    return limit ? &limit->handle : NULL;
}

static struct fri_handle *new_native(struct fri_home *h, struct fri_reader *r)
{
    size_t length;
    const uint8_t *name = fri_wire_get_bytes(r, &length);
    uintptr_t function = (uintptr_t)fri_get_varint(r);
    uintptr_t user = (uintptr_t)fri_get_varint(r);
    struct fri_native *n;

    if (r->bad || !name)
        return NULL;
    n = fri_alloc_zero(NULL, sizeof *n + length + 1);
    if (!n)
        return NULL;
    atomic_init(&n->handle.refs, 1);
    n->handle.kind = FRI_HANDLE_NATIVE;
    n->handle.free = proxy_free;
    n->engine = h->engine;
    memcpy(&n->function, &function, sizeof function);
    n->user = (void *)user;
    memcpy(n->name, name, length);
    return &n->handle;
}

static struct fri_handle *new_array(struct fri_home *h, struct fri_reader *r)
{
    unsigned type = (unsigned)fri_get_varint(r);
    size_t length = (size_t)fri_get_varint(r);
    int fd = r->bad ? -1 : fri_channel_fd(&h->channel);
    struct fri_array *a;

    if (fd < 0 || type > FRI_U8)
        return NULL;
    a = fri_array_adopt(NULL, fd, (enum fri_number_type)type, length);
    return a ? &a->handle : NULL;
}

/* Its value is here, so reading it asks nobody. */
static struct fri_handle *new_share(struct fri_home *h, struct fri_reader *r)
{
    struct fri_message *value = fri_wire_get_message(&h->port, r);
    struct fri_handle *share = NULL;

    if (value)
        share = fri_shared_make(h->engine, FRI_HANDLE_SHARE, value);
    fri_message_free(value);
    return share;
}

static struct fri_handle *new_thing(struct fri_home *h, struct fri_reader *r,
                                    unsigned kind)
{
    switch (kind) {
    case FRI_HANDLE_LIMIT: return new_limit(h, r);
    case FRI_HANDLE_NATIVE: return new_native(h, r);
    case FRI_HANDLE_ARRAY: return new_array(h, r);
    case FRI_HANDLE_SHARE: return new_share(h, r);
    case FRI_HANDLE_QUEUE:
    case FRI_HANDLE_DICT:
    case FRI_HANDLE_LOCK: return new_proxy(kind);
    default: return NULL;
    }
}

/* A handle under its number; a reference for the caller. */
static struct fri_handle *keep(struct fri_known *k, struct fri_handle *handle,
                               uint64_t number)
{
    if (handle) {
        handle->remote = number & 0xffffff;
        k->handle = handle;
        k->seen = 0;
    }
    if (!k->handle)
        return NULL;
    k->seen++;
    k->released = false;
    fri_handle_ref(k->handle);
    return k->handle;
}

static struct fri_handle *get_thing(struct fri_home *h, struct fri_reader *r,
                                    unsigned kind)
{
    uint64_t number = fri_get_varint(r);
    bool first = fri_get_byte(r) != 0;
    struct fri_known *k = r->bad ? NULL : known_at(h, number);
    struct fri_handle *handle = NULL;

    if (!k || first == (k->handle != NULL))
        return NULL;
    if (first) {
        handle = new_thing(h, r, kind);
        /* The table may have moved meanwhile: a share has handles in it. */
        k = known_at(h, number);
        if (!handle)
            return NULL;
    }
    return keep(k, handle, number);
}

static frun_pool *get_pool(struct fri_home *h, struct fri_reader *r)
{
    uint64_t number = fri_get_varint(r);
    struct fri_known *k;
    frun_pool *pool = NULL;
    char *name;
    unsigned workers, kind;
    bool closing;

    if (number == 0)
        return h->own;
    name = fri_wire_get_text(r, NULL);
    workers = (unsigned)fri_get_varint(r);
    kind = (unsigned)fri_get_varint(r);
    closing = fri_get_byte(r) != 0;
    k = r->bad ? NULL : known_at(h, number);
    if (k && !k->handle)
        pool = fri_home_pool_new(h, name, workers, kind);
    fri_free(NULL, name);
    if (!k || (!k->handle && !pool))
        return NULL;
    pool = (void *)keep(k, pool ? &pool->handle : NULL, number);
    fri_handle_unref(&pool->handle); /* the table's is enough */
    pool->closing = closing;
    return pool;
}

static struct fri_handle *get_view(struct fri_home *h, struct fri_reader *r)
{
    frun_pool *pool = get_pool(h, r);
    struct fri_view *view
        = pool ? fri_view_new(pool, pool == h->own) : NULL;

    if (!view)
        return NULL;
    view->plain = fri_get_byte(r) != 0;
    if (view->plain || fri_wire_get_policy(&h->port, r, &view->policy))
        return &view->handle;
    fri_handle_unref(&view->handle);
    return NULL;
}

/* A future that is done: its values. */
static struct fri_handle *get_future(struct fri_home *h, struct fri_reader *r)
{
    struct fri_data data;
    struct frun_future *f;

    if (!fri_wire_get_data(&h->port, r, &data))
        return NULL;
    f = fri_shared_future(h->engine);
    if (!f) {
        fri_data_free(&data);
        return NULL;
    }
    fri_sched_settle_now(f, &data);
    return &f->handle;
}

static struct fri_handle *get_handle(struct fri_port *port,
                                     struct fri_reader *r)
{
    struct fri_home *h = port->engine->home;
    unsigned kind = fri_get_byte(r);

    switch (kind) {
    case FRI_HANDLE_POOL: return get_view(h, r);
    case FRI_HANDLE_FUTURE: return get_future(h, r);
    default: return get_thing(h, r, kind);
    }
}

static bool put_handle(struct fri_port *port, struct fri_buffer *b,
                       struct fri_handle *handle)
{
    const struct fri_view *view = (const void *)handle;
    const struct frun_future *f = (const void *)handle;

    fri_buffer_byte(b, (uint8_t)handle->kind);
    switch (handle->kind) {
    case FRI_HANDLE_POOL:
        fri_put_varint(b, view->pool->handle.remote);
        fri_buffer_byte(b, view->plain);
        if (!view->plain)
            fri_wire_policy(port, b, &view->policy);
        return true;
    case FRI_HANDLE_FUTURE:
        if (fri_state(f) != FRI_DONE || f->counted)
            return false;
        fri_wire_data(port, b, f->holds, &f->data, f->length);
        return true;
    case FRI_HANDLE_NATIVE:
        fri_put_varint(b, handle->remote);
        if (handle->remote == 0) /* it was asked for by its name, here */
            fri_wire_text(b, ((struct fri_native *)(void *)handle)->name);
        return true;
    default:
        fri_put_varint(b, handle->remote);
        return handle->remote != 0;
    }
}

bool fri_home_dropped(struct fri_home *h, struct fri_reader *r)
{
    uint64_t number = fri_get_varint(r);
    struct fri_known *k;
    struct fri_handle *handle;

    if (r->bad || number == 0 || number > h->known_count)
        return false;
    k = &h->known[number - 1];
    handle = k->handle;
    memset(k, 0, sizeof *k);
    if (handle)
        handle->remote = 0;
    fri_handle_unref(handle);
    return true;
}

/* Limits and native functions stay: there are few, and specs hold them. */
static bool is_unused(const struct fri_known *k)
{
    return k->handle && !k->released
           && atomic_load(&k->handle->refs) == 1
           && k->handle->kind != FRI_HANDLE_LIMIT
           && k->handle->kind != FRI_HANDLE_NATIVE;
}

void fri_home_sweep(struct fri_home *h)
{
    bool any = false;

    for (size_t i = 0; i < h->known_count; i++) {
        struct fri_known *k = &h->known[i];

        if (!is_unused(k))
            continue;
        if (!any)
            fri_home_begin(h);
        any = k->released = true;
        fri_put_varint(&h->channel.text, i + 1);
        fri_put_varint(&h->channel.text, k->seen);
        k->seen = 0;
    }
    if (any)
        fri_home_post(h, FRI_FRAME_RELEASE);
}

void fri_home_open(struct fri_home *h)
{
    h->port.engine = h->engine;
    h->port.memory = &h->engine->memory;
    h->port.channel = &h->channel;
    h->port.put = put_handle;
    h->port.get = get_handle;
    h->last = &h->first;
}
