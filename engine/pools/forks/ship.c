/*
 * ship.c - a task as bytes: what tasks have in common goes to each worker
 * once, and of a map only the items of the slice.
 */
#include "pools/forks/flight.h"

#include "data/value.h"

bool fri_ship_spec(struct fri_fork *w, const struct fri_spec *spec)
{
    struct fri_buffer *b;

    if (w->sent[spec->id % FRI_SPECS] == spec->id)
        return true;
    b = fri_wire_begin(&w->port);
    fri_put_varint(b, spec->id);
    fri_wire_text(b, spec->name);
    fri_wire_pointer(b, (uintptr_t)spec->function);
    fri_wire_pointer(b, (uintptr_t)spec->user);
    fri_put_varint(b, spec->memory);
    fri_buffer_byte(b, spec->script != NULL);
    if (spec->script)
        fri_wire_function(&w->port, b, spec->script);
    if (!fri_wire_send(&w->port, FRI_FRAME_SPEC, false))
        return false;
    w->sent[spec->id % FRI_SPECS] = spec->id;
    return true;
}

static void put_seats(struct fri_buffer *b, const struct frun_future *task)
{
    const struct fri_spec *spec = task->spec;
    size_t named = 0;

    for (size_t i = 0; i < spec->need_count; i++)
        named += spec->needs[i].limit->name ? spec->needs[i].count : 0;
    fri_put_varint(b, named);
    for (size_t i = 0; i < spec->need_count; i++) {
        const char *name = spec->needs[i].limit->name;

        for (unsigned k = 0, seat = 0; name && k < spec->needs[i].count; k++) {
            seat = fri_limit_seat(task, name, seat);
            fri_wire_text(b, name);
            fri_put_varint(b, seat);
        }
    }
}

static void put_list(struct fri_buffer *b, const struct fri_range *r,
                     const struct fri_slice *s)
{
    struct fri_buffer text;

    for (uint64_t i = s->first; i < s->end; i++) {
        fri_buffer_init(&text, b->memory);
        if (fri_value_pack(&text, frun_value_at(r->list, i)) != FRUN_OK
            || text.failed)
            b->failed = true;
        else
            fri_wire_bytes(b, text.data, text.length);
        fri_buffer_free(&text);
    }
}

/* Items of a message: raw numbers behind a tag, or values at offsets. */
static void put_items(struct fri_port *p, struct fri_buffer *b,
                      const struct fri_message *m, const size_t *offsets,
                      const struct fri_slice *s, uint64_t count)
{
    uint64_t n = s->end - s->first;
    size_t from, to;

    fri_buffer_byte(b, m == NULL ? 0 : offsets ? 1 : 2);
    if (!m)
        return;
    if (!offsets) {
        fri_buffer_byte(b, m->data[0]);
        fri_wire_part(p, b, m, m->data + 1 + s->first * 8, (size_t)n * 8);
        return;
    }
    from = offsets[s->first];
    to = s->end < count ? offsets[s->end] : m->length;
    fri_wire_part(p, b, m, m->data + from, to - from);
    for (uint64_t i = s->first; i < s->end; i++)
        fri_put_varint(b, offsets[i] - from);
}

static void put_slice(struct fri_port *p, struct fri_buffer *b,
                      const struct fri_slice *s)
{
    const struct fri_range *r = s->task->data.range;
    bool streams = r->streams || r->drawn;

    fri_put_varint(b, s->first);
    fri_put_varint(b, s->end - s->first);
    fri_buffer_byte(b, r->list != NULL);
    if (r->list) {
        put_list(b, r, s);
        return;
    }
    put_items(p, b, r->items, r->offsets, s, r->count);
    put_items(p, b, r->keys, r->key_offsets, s, r->count);
    fri_buffer_byte(b, streams);
    for (uint64_t i = s->first; streams && i < s->end; i++)
        fri_wire_pointer(b, r->drawn ? r->drawn[i]
                                     : r->stream_of(r->streams, i));
}

bool fri_ship_task(struct fri_fork *w, const struct fri_flight *f,
                      const struct fri_slice *s)
{
    struct frun_future *task = s->task;
    const struct fri_extra *x = task->extra;
    struct fri_buffer *b = fri_wire_begin(&w->port);

    fri_put_varint(b, f->slot);
    fri_put_varint(b, f->ticket);
    fri_put_varint(b, task->id);
    fri_put_varint(b, task->spec->id);
    fri_put_varint(b, task->attempts + 1u);
    fri_wire_text(b, x ? x->name : NULL);
    fri_put_varint(b, x ? x->stream : 0);
    put_seats(b, task);
    fri_buffer_byte(b, task->counted);
    if (task->counted)
        put_slice(&w->port, b, s);
    else
        fri_wire_data(&w->port, b, task->holds, &task->data, task->length);
    return fri_wire_send(&w->port, FRI_FRAME_TASK, false);
}
