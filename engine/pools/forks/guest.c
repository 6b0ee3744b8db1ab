/*
 * guest.c - in a worker process: tasks out of their bytes.
 */
#include "pools/forks/home.h"

#include "data/value.h"

#include <string.h>

bool fri_guest_spec(struct fri_home *h, struct fri_reader *r)
{
    uint64_t id = fri_get_varint(r);
    struct fri_spec **at = &h->specs[id % FRI_HOME_SPECS];
    struct fri_spec *spec = fri_spec_new(&h->own->lane, NULL);
    uintptr_t function;

    if (!spec)
        return false;
    spec->name = fri_wire_get_text(r, NULL);
    function = (uintptr_t)fri_get_varint(r);
    memcpy(&spec->function, &function, sizeof function);
    spec->user = (void *)(uintptr_t)fri_get_varint(r);
    spec->memory = fri_get_varint(r);
    if (fri_get_byte(r)) {
        spec->script = fri_wire_get_function(&h->port, r);
        spec->script_free = fri_function_drop;
    }
    fri_spec_unref(*at);
    *at = spec;
    h->ids[id % FRI_HOME_SPECS] = id;
    return !r->bad && (spec->script || spec->function);
}

static bool get_seats(struct fri_reader *r, struct frun_future *task)
{
    size_t n = fri_get_count(r, 2);
    struct fri_extra *x = n > 0 ? fri_task_extra(task) : NULL;

    if (n == 0)
        return !r->bad;
    if (!x)
        return false;
    x->seats = fri_alloc_zero(NULL, n * sizeof *x->seats);
    for (size_t i = 0; x->seats && i < n; i++) { /* of one limit in order */
        x->seats[i].name = fri_wire_get_text(r, NULL);
        x->seats[i].number = (unsigned)fri_get_varint(r);
        if (!x->seats[i].name)
            return false;
        x->seat_count = (uint32_t)i + 1;
    }
    return x->seats != NULL;
}

static bool get_values(struct fri_reader *r, struct fri_range *range,
                       uint64_t n)
{
    range->list = frun_value_list();
    range->results = fri_alloc_zero(NULL, n * sizeof *range->results);
    for (uint64_t i = 0; i < n; i++) {
        size_t length;
        const uint8_t *bytes = fri_wire_get_bytes(r, &length);
        frun_value *item = NULL;

        if (!bytes || !range->list
            || fri_value_unpack(NULL, bytes, length, &item) != FRUN_OK
            || frun_value_push(range->list, item) != FRUN_OK)
            return false;
    }
    return range->results != NULL;
}

/* Raw numbers come without their tag, which stands before them. */
static struct fri_message *tagged(struct fri_message *m, uint8_t tag)
{
    struct fri_message *whole;
    struct fri_buffer b;

    if (!m)
        return NULL;
    fri_buffer_init(&b, NULL);
    fri_buffer_byte(&b, tag);
    fri_buffer_add(&b, m->data, m->length);
    whole = b.failed ? NULL
                     : fri_message_new(m->memory, b.data, b.length, NULL, 0);
    fri_buffer_free(&b);
    fri_message_free(m);
    return whole;
}

static bool get_items(struct fri_home *h, struct fri_reader *r, uint64_t n,
                      struct fri_message **items, size_t **offsets)
{
    unsigned form = fri_get_byte(r);
    uint8_t tag = form == 2 ? fri_get_byte(r) : 0;

    if (form == 0)
        return !r->bad;
    *items = fri_wire_get_message(&h->port, r);
    if (form == 2)
        *items = tagged(*items, tag);
    if (!*items || form == 2)
        return *items != NULL;
    *offsets = fri_alloc(NULL, n * sizeof **offsets);
    for (uint64_t i = 0; *offsets && i < n; i++)
        (*offsets)[i] = (size_t)fri_get_varint(r);
    return *offsets && !r->bad;
}

static bool get_drawn(struct fri_reader *r, struct fri_range *range,
                      uint64_t n)
{
    if (fri_get_byte(r) == 0)
        return !r->bad;
    range->drawn = fri_alloc(NULL, n * sizeof *range->drawn);
    for (uint64_t i = 0; range->drawn && i < n; i++)
        range->drawn[i] = fri_get_varint(r);
    return range->drawn != NULL;
}

static bool get_slice(struct fri_home *h, struct fri_reader *r,
                      struct fri_guest *g)
{
    uint64_t first = fri_get_varint(r), n = fri_get_varint(r);
    struct fri_range *range = fri_range_new(NULL, first + n, 1, 0);

    if (!range)
        return false;
    range->origin = first;
    g->task->holds = FRI_RANGE;
    g->task->counted = 1;
    g->task->data.range = range;
    g->slice.first = first;
    g->slice.end = first + n;
    if (fri_get_byte(r))
        return get_values(r, range, n);
    return get_items(h, r, n, &range->items, &range->offsets)
           && get_items(h, r, n, &range->keys, &range->key_offsets)
           && get_drawn(r, range, n);
}

static bool get_body(struct fri_home *h, struct fri_reader *r,
                     struct fri_guest *g)
{
    struct frun_future *task = g->task;
    struct fri_data data;
    char *name = fri_wire_get_text(r, NULL);
    uint64_t stream = fri_get_varint(r);

    if ((name || stream) && fri_task_extra(task)) {
        task->extra->name = name;
        task->extra->stream = stream;
    }
    if (!get_seats(r, task))
        return false;
    g->slice.task = task;
    if (fri_get_byte(r))
        return get_slice(h, r, g);
    if (!fri_wire_get_data(&h->port, r, &data))
        return false;
    fri_task_put(task, &data);
    return true;
}

struct fri_guest *fri_guest_read(struct fri_home *h, struct fri_reader *r)
{
    unsigned slot = (unsigned)fri_get_varint(r);
    uint64_t ticket = fri_get_varint(r);
    uint64_t id = fri_get_varint(r), spec = fri_get_varint(r);
    unsigned attempt = (unsigned)fri_get_varint(r);
    struct fri_guest *g;

    if (r->bad || slot >= FRI_SLOTS || h->ids[spec % FRI_HOME_SPECS] != spec)
        return NULL;
    g = fri_alloc_zero(NULL, sizeof *g);
    if (!g)
        return NULL;
    g->slot = slot;
    g->ticket = ticket;
    g->task = fri_task_new(&h->engine->sched,
                           h->specs[spec % FRI_HOME_SPECS]);
    if (!g->task)
        return NULL;
    g->task->id = id;
    atomic_store(&g->task->attempts, (uint16_t)attempt);
    atomic_store(&g->task->worker, (uint16_t)h->worker.index);
    atomic_store(&g->task->state, FRI_RUNNING);
    return get_body(h, r, g) ? g : NULL;
}

/* A wait is ended by an error, perhaps of a certain text. */
bool fri_home_raise(struct fri_home *h, struct fri_reader *r)
{
    uint64_t ticket = fri_get_varint(r);
    frun_status why = (frun_status)(fri_get_varint(r) & 31);
    struct fri_guest *g = h->guests;
    struct fri_error *error;
    char *text = fri_left(r) > 0 ? fri_wire_get_text(r, NULL) : NULL;

    while (g && g->ticket != ticket)
        g = g->next;
    if (r->bad || !g) {
        fri_free(NULL, text);
        return !r->bad;
    }
    error = fri_error_new(&h->engine->memory, why, text, NULL, NULL);
    fri_free(NULL, text);
    if (g->suspended)
        fri_worker_raise(g->suspended, error);
    else
        fri_worker_raise_blocked(&h->worker, error);
    return true;
}
