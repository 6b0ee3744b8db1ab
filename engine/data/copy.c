/*
 * copy.c - copies of values, and what copying and encoding remember.  Copying
 * does not recurse: depth costs no C stack.
 *
 * A table that is shared is copied where it is met first, wherever its owner
 * is: a part of a value has all that it needs when it is copied alone.
 */
#include "data/value.h"

#include "base/hash.h"

#include <stdlib.h>

struct frame {
    const struct fri_table *from;
    frun_value *to;
};

struct copier {
    struct fri_buffer frames; /* the tables being copied */
    struct fri_met met;       /* shared tables and their copies */
};

static frun_value *copy_scalar(const frun_value *v)
{
    frun_value *copy;

    if (v->fixed)
        return fri_fixed(v);
    if (v->kind == FRUN_STR)
        return frun_value_str(fri_bytes(v), v->u.length);
    copy = malloc(sizeof(*copy));
    if (copy)
        *copy = *v;
    return copy;
}

/* An empty copy, to be filled when its frame is the last one. */
static frun_value *copy_table(struct copier *c, const frun_value *v)
{
    struct frame frame = { fri_table_of(v),
                           fri_table_new((frun_type)v->kind, v->u.length) };

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
        return copy_scalar(v);
    copy = v->shared ? fri_met_find(&c->met, v) : NULL;
    return copy ? fri_value_seen((const frun_value *)(uintptr_t)*copy)
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

frun_value *frun_value_copy(const frun_value *value)
{
    struct copier c = { .met.size = 0 };
    frun_value *copy;

    if (!value)
        return NULL;
    if (!fri_is_table(value))
        return copy_scalar(value);
    fri_buffer_init(&c.frames, NULL);
    copy = copy_table(&c, value);
    if (copy && !copy_frames(&c)) {
        frun_value_free(copy);
        copy = NULL;
    }
    fri_buffer_free(&c.frames);
    fri_met_free(&c.met);
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
    struct fri_met next = { .size = met->size ? 2 * met->size : 16 };

    next.slots = calloc(next.size, sizeof(*next.slots));
    if (!next.slots)
        return false;
    for (size_t i = 0; i < met->size; i++)
        if (met->slots[i].table)
            *meeting(&next, met->slots[i].table) = met->slots[i];
    free(met->slots);
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
    free(met->slots);
    *met = (struct fri_met){ .size = 0 };
}
