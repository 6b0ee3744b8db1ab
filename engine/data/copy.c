/*
 * copy.c - copies of values, and what copying and encoding remember.  Copying
 * does not recurse: depth costs no C stack.
 *
 * A table that is shared is copied where it is met first, wherever its owner
 * is: a part of a value has all that it needs when it is copied alone.
 */
#include "data/value.h"

#include "base/hash.h"

struct frame {
    const struct fri_table *from;
    frun_value *to;
};

struct copier {
    const struct fri_memory *memory;
    struct fri_buffer frames; /* the tables being copied */
    struct fri_met met;       /* shared tables and their copies */
};

static frun_value *copy_scalar(const struct fri_memory *m, const frun_value *v)
{
    if (v->fixed)
        return fri_fixed(v);
    switch (v->kind) {
    case FRUN_STR:
        return fri_value_str(m, fri_bytes(v), v->u.length);
    case FRUN_INT:
        return fri_value_int(m, v->u.whole);
    default:
        return fri_value_num(m, v->u.real);
    }
}

/* An empty copy, to be filled when its frame is the last one. */
static frun_value *copy_table(struct copier *c, const frun_value *v)
{
    struct frame frame = { fri_table_of(v),
                           fri_table_new(c->memory, (frun_type)v->kind,
                                         v->u.length) };

    if (!frame.to)
        return NULL;
    frame.to->shared = v->shared;
    fri_buffer_add(&c->frames, &frame, sizeof(frame));
    if (c->frames.failed ||
        (v->shared && !fri_met_add(&c->met, v, (uintptr_t)frame.to))) {
        frun_value_free(frame.to);
        return NULL;
    }
    return frame.to;
}

static frun_value *copy_slot(struct copier *c, const frun_value *v)
{
    const uint64_t *copy;

    v = fri_look_through(v);
    if (!fri_is_table(v))
        return copy_scalar(c->memory, v);
    copy = v->shared ? fri_met_find(&c->met, v) : NULL;
    return copy ? fri_value_seen(c->memory,
                                 (const frun_value *)(uintptr_t)*copy)
                : copy_table(c, v);
}

/* Fills the tables of the frames; how far one is, its copy's length says. */
static bool copy_frames(struct copier *c)
{
    while (c->frames.length > 0) {
        struct frame f;
        size_t next, last = c->frames.length - sizeof(f);

        memcpy(&f, c->frames.data + last, sizeof(f));
        next = f.to->u.length;
        if (next < f.from->head.u.length) {
            if (!fri_table_add(f.to, copy_slot(c, f.from->slots[next])))
                return false;
            continue;
        }
        if (f.from->places &&
            fri_table_finish(f.to) != FRUN_OK)
            return false;
        c->frames.length = last;
    }
    return true;
}

frun_value *fri_value_copy(const struct fri_memory *m,
                           const frun_value *value)
{
    struct copier c = { .memory = m, .met.memory = m };
    frun_value *copy;

    if (!value)
        return NULL;
    if (!fri_is_table(value))
        return copy_scalar(m, value);
    fri_buffer_init(&c.frames, m);
    copy = copy_table(&c, value);
    if (copy && !copy_frames(&c)) {
        frun_value_free(copy);
        copy = NULL;
    }
    fri_buffer_free(&c.frames);
    fri_met_free(&c.met);
    return copy;
}

frun_value *frun_value_copy(const frun_value *value)
{
    return fri_value_copy(NULL, value);
}

frun_value *fri_value_release(frun_value *value)
{
    frun_value *copy;

    if (!value || !value->hooked)
        return value;
    copy = fri_value_copy(NULL, value);
    frun_value_free(value);
    return copy;
}

/* ---- what was met ----------------------------------------------------- */

static struct fri_meeting *meeting(const struct fri_met *met,
                                   const frun_value *table)
{
    size_t mask = met->size - 1;
    size_t i = fri_mix((uintptr_t)table) & mask;

    while (met->slots[i].table && met->slots[i].table != table)
        i = (i + 1) & mask;
    return &met->slots[i];
}

const uint64_t *fri_met_find(const struct fri_met *met,
                             const frun_value *table)
{
    const struct fri_meeting *m = met->size ? meeting(met, table) : NULL;

    return m && m->table ? &m->number : NULL;
}

static bool met_grow(struct fri_met *met)
{
    struct fri_met next = { .memory = met->memory,
                            .size = met->size ? 2 * met->size : 16 };

    next.slots = fri_alloc_zero(met->memory, next.size * sizeof(*next.slots));
    if (!next.slots)
        return false;
    for (size_t i = 0; i < met->size; i++)
        if (met->slots[i].table)
            *meeting(&next, met->slots[i].table) = met->slots[i];
    fri_free(met->memory, met->slots);
    met->slots = next.slots;
    met->size = next.size;
    return true;
}

bool fri_met_add(struct fri_met *met, const frun_value *table, uint64_t number)
{
    if (2 * (met->count + 1) > met->size && !met_grow(met))
        return false;
    *meeting(met, table) = (struct fri_meeting){ table, number };
    met->count++;
    return true;
}

void fri_met_free(struct fri_met *met)
{
    fri_free(met->memory, met->slots);
    *met = (struct fri_met){ .memory = met->memory };
}
