/*
 * shared.c - what all shared things have in common: making and freeing them,
 * who waits at them, on whose behalf; the shared value.
 *
 * Freeing.  A handle may go on any thread, with the lock or without, and what
 * a thing holds may be handles of others, in a chain of any length.  So a
 * thing that nobody holds is put on a stack without the lock; whoever can
 * have the lock then takes it out of the engine's list and frees it, without
 * the lock, one after the other.
 */
#include "core/deadlock.h"
#include "core/engine.h"

#include "data/codec.h"

#include <string.h>

static struct fri_thing *thing_of(struct fri_handle *handle)
{
    return (struct fri_thing *)(void *)handle;
}

static const struct fri_memory *memory_of(const struct fri_thing *t)
{
    return &t->engine->memory;
}

static struct fri_line *line_of(struct fri_thing *t)
{
    if (t->handle.kind == FRI_HANDLE_QUEUE)
        return &((struct fri_fifo *)t)->line;
    return &((struct fri_mutex *)t)->line;
}

/* ---- outcomes --------------------------------------------------------- */

bool fri_gives_nothing(struct fri_data *outcome)
{
    outcome->holds = FRI_NOTHING;
    return true;
}

bool fri_gives_message(struct fri_data *outcome, struct fri_message *taken)
{
    outcome->message = taken;
    outcome->holds = FRI_MESSAGE;
    return true;
}

bool fri_gives_memory(struct fri_data *outcome)
{
    outcome->error = NULL;
    outcome->holds = FRI_ERROR;
    return true;
}

bool fri_gives_error(struct fri_thing *t, struct fri_data *outcome,
                     frun_status status, const char *text)
{
    outcome->error = fri_error_new(memory_of(t), status, text, NULL, NULL);
    outcome->holds = FRI_ERROR;
    return true;
}

bool fri_gives_number(struct fri_thing *t, struct fri_data *outcome,
                      uint64_t n)
{
    uint8_t bytes[16] = { 0, 1 };
    struct fri_buffer b = { .data = bytes, .length = 2,
                            .capacity = sizeof bytes };
    struct fri_message *m;

    fri_put_int(&b, (int64_t)n);
    m = fri_message_new(memory_of(t), bytes, b.length, NULL, 0);
    return m ? fri_gives_message(outcome, m) : fri_gives_memory(outcome);
}

/* ---- holders ---------------------------------------------------------- */

void fri_holder_note(struct fri_thing *t, struct fri_holder *h)
{
    struct fri_holder **all = &t->engine->sched.holders;
    bool has = fri_holder_has(h);

    if (has == (h->link != NULL))
        return;
    if (has) {
        h->next = *all;
        if (h->next)
            h->next->link = &h->next;
        h->link = all;
        *all = h;
    } else {
        *h->link = h->next;
        if (h->next)
            h->next->link = h->link;
        h->link = NULL;
    }
    if (h->task && (has || !h->task->counted))
        h->task->holding = has;
}

/* ---- lines ------------------------------------------------------------ */

static void stand(struct fri_thing *t, struct fri_ask *ask)
{
    struct fri_line *line = line_of(t);
    struct fri_holder *h = ask->holder;

    ask->thing = t;
    fri_handle_ref(&t->handle);
    ask->next = NULL;
    ask->link = line->last;
    *line->last = ask;
    line->last = &ask->next;
    ask->beside = h->asks;
    if (ask->beside)
        ask->beside->beside_link = &ask->beside;
    ask->beside_link = &h->asks;
    h->asks = ask;
    fri_holder_note(t, h);
    fri_waits_note(&t->engine->sched);
}

void fri_shared_withdraw(struct fri_ask *ask)
{
    struct fri_thing *t = ask->thing;
    struct fri_line *line;

    if (!t)
        return;
    line = line_of(t);
    *ask->link = ask->next;
    if (ask->next)
        ask->next->link = ask->link;
    else
        line->last = ask->link;
    *ask->beside_link = ask->beside;
    if (ask->beside)
        ask->beside->beside_link = ask->beside_link;
    ask->thing = NULL;
    fri_holder_note(t, ask->holder);
    fri_message_free(ask->argument);
    ask->argument = NULL;
    fri_handle_unref(&t->handle);
}

void fri_line_serve(struct fri_line *line, struct fri_data *outcome)
{
    struct fri_ask *ask = line->first;

    fri_shared_withdraw(ask);
    ask->done(ask, outcome);
}

static void cancel(struct fri_ask *ask)
{
    struct fri_thing *t = ask->thing;
    struct fri_data outcome;

    fri_gives_error(t, &outcome, FRUN_ECANCELLED, NULL);
    fri_shared_withdraw(ask);
    ask->done(ask, &outcome);
}

void fri_holder_leave(struct fri_holder *h)
{
    while (h->asks)
        cancel(h->asks);
    while (h->held)
        fri_mutex_give(h->held);
}

void fri_shared_leave(struct frun_future *task)
{
    struct fri_holder *h, *next;

    if (!task->holding)
        return;
    for (h = task->spec->lane->sched->holders; h; h = next) {
        next = h->next;
        if (h->task != task)
            continue;
        fri_holder_leave(h); /* others may come and go by that */
        next = task->spec->lane->sched->holders;
    }
    task->holding = 0;
}

/* ---- operations ------------------------------------------------------- */

static bool holds_itself(struct fri_handle *thing,
                         const struct fri_message *argument)
{
    for (uint32_t i = 0; argument && i < argument->handle_count; i++)
        if (argument->handles[i] == thing)
            return true;
    return false;
}

static bool refuse_itself(struct fri_thing *t, struct fri_data *outcome)
{
    return fri_gives_error(t, outcome, FRUN_EUNSENDABLE,
                           t->handle.kind == FRI_HANDLE_QUEUE
                               ? "a queue cannot hold itself"
                               : "a dict cannot hold itself");
}

bool fri_shared_try(struct fri_handle *handle, enum fri_shared_op op,
                    struct fri_message *argument, struct fri_holder *holder,
                    struct fri_data *outcome)
{
    struct fri_thing *t = thing_of(handle);

    if (holds_itself(handle, argument))
        return refuse_itself(t, outcome);
    switch (handle->kind) {
    case FRI_HANDLE_QUEUE:
        return fri_fifo_try((struct fri_fifo *)t, op, argument, outcome);
    case FRI_HANDLE_DICT:
        return fri_dict_try((struct fri_dict *)t, op, argument, outcome);
    case FRI_HANDLE_LOCK:
        return fri_mutex_try((struct fri_mutex *)t, op, holder, outcome);
    case FRI_HANDLE_SHARE:
        if (op == FRI_READ)
            return fri_gives_message(
                outcome, fri_message_ref(((struct fri_share *)t)->value));
        break;
    default: break;
    }
    return fri_gives_error(t, outcome, FRUN_EINVAL, NULL);
}

void fri_shared_ask(struct fri_handle *handle, enum fri_shared_op op,
                    struct fri_message *argument, struct fri_ask *ask)
{
    struct fri_data outcome;

    ask->thing = NULL;
    ask->op = op;
    ask->argument = NULL;
    if (fri_shared_try(handle, op, argument, ask->holder, &outcome)) {
        ask->done(ask, &outcome);
        return;
    }
    ask->argument = fri_message_ref(argument);
    stand(thing_of(handle), ask);
}

size_t fri_shared_count(const struct fri_handle *handle)
{
    if (handle->kind == FRI_HANDLE_QUEUE)
        return ((const struct fri_fifo *)(const void *)handle)->count;
    if (handle->kind == FRI_HANDLE_DICT)
        return ((const struct fri_dict *)(const void *)handle)->count;
    return 0;
}

/* ---- futures ---------------------------------------------------------- */

static const struct fri_lane_hooks no_hooks;

static struct fri_spec *future_spec(frun_engine *e)
{
    if (e->shared_spec)
        return e->shared_spec;
    fri_lane_init(&e->shared_lane, &e->sched, &no_hooks, 1);
    e->shared_lane.name = "shared";
    e->shared_lane.hidden = true;
    e->shared_spec = fri_spec_new(&e->shared_lane, NULL);
    return e->shared_spec;
}

struct frun_future *fri_shared_future(frun_engine *e)
{
    struct fri_spec *spec = future_spec(e);
    struct frun_future *f = spec ? fri_task_new(&e->sched, spec) : NULL;

    if (f)
        fri_sched_adopt(f);
    return f;
}

/* ---- making ----------------------------------------------------------- */

static void thing_drop(struct fri_handle *handle);

static struct fri_thing *thing_new(frun_engine *e, uint32_t kind, size_t size)
{
    struct fri_thing *t = fri_alloc_zero(&e->memory, size);

    if (!t)
        return NULL;
    atomic_init(&t->handle.refs, 1);
    t->handle.kind = kind & 0xff;
    t->handle.free = thing_drop;
    t->engine = e;
    atomic_fetch_add(&e->refs, 1);
    t->next = e->things;
    if (t->next)
        t->next->link = &t->next;
    t->link = &e->things;
    e->things = t;
    if (kind == FRI_HANDLE_QUEUE || kind == FRI_HANDLE_LOCK)
        line_of(t)->last = &line_of(t)->first;
    return t;
}

/* The capacity that the sequence names; 0: none is named. */
static bool read_capacity(const struct fri_message *m, uint64_t *capacity)
{
    struct fri_reader r;
    uint8_t tag;

    *capacity = 0;
    if (!m)
        return true;
    fri_reader_init(&r, m->data, m->length);
    fri_get_byte(&r);
    if (fri_get_byte(&r) != 1)
        return false;
    tag = fri_get_byte(&r);
    if (tag <= FRI_SMALL_INT)
        *capacity = tag;
    else if (tag == FRI_INT)
        *capacity = (uint64_t)fri_get_zigzag(&r);
    return !r.bad && *capacity > 0 && *capacity <= INT64_MAX;
}

static struct fri_handle *fifo_make(frun_engine *e,
                                    const struct fri_message *argument)
{
    struct fri_fifo *q;
    uint64_t capacity;

    if (!read_capacity(argument, &capacity))
        return NULL;
    q = (void *)thing_new(e, FRI_HANDLE_QUEUE, sizeof *q);
    if (q)
        q->capacity = capacity;
    return q ? &q->thing.handle : NULL;
}

static struct fri_handle *share_make(frun_engine *e,
                                     struct fri_message *value)
{
    struct fri_share *s
        = value ? (void *)thing_new(e, FRI_HANDLE_SHARE, sizeof *s) : NULL;

    if (s)
        s->value = fri_message_ref(value);
    return s ? &s->thing.handle : NULL;
}

struct fri_handle *fri_shared_make(frun_engine *e, uint32_t kind,
                                   struct fri_message *argument)
{
    switch (kind) {
    case FRI_HANDLE_QUEUE: return fifo_make(e, argument);
    case FRI_HANDLE_DICT:
        return (void *)thing_new(e, kind, sizeof(struct fri_dict));
    case FRI_HANDLE_LOCK:
        return (void *)thing_new(e, kind, sizeof(struct fri_mutex));
    case FRI_HANDLE_SHARE: return share_make(e, argument);
    default: return NULL;
    }
}

/* ---- freeing ---------------------------------------------------------- */

static void empty(struct fri_thing *t)
{
    struct fri_share *s = (struct fri_share *)t;

    switch (t->handle.kind) {
    case FRI_HANDLE_QUEUE: fri_fifo_empty((struct fri_fifo *)t); break;
    case FRI_HANDLE_DICT: fri_dict_empty((struct fri_dict *)t); break;
    case FRI_HANDLE_SHARE:
        fri_message_free(s->value);
        s->value = NULL;
        break;
    default: break;
    }
}

/* A lock may go while it is held: its holder is told. */
static void unlist(struct fri_thing *t)
{
    struct fri_mutex *m = (struct fri_mutex *)t;

    if (t->handle.kind == FRI_HANDLE_LOCK && m->holder)
        fri_mutex_give(m);
    *t->link = t->next;
    if (t->next)
        t->next->link = t->link;
}

/* No lock. */
static void destroy(struct fri_thing *dropped)
{
    struct fri_thing *t;

    while ((t = dropped) != NULL) {
        frun_engine *e = t->engine;

        dropped = t->below;
        empty(t);
        fri_free(&e->memory, t);
        fri_engine_unref(e);
    }
}

/* Takes the stack, and what is on it out of the list; lock held. */
static struct fri_thing *take_dropped(frun_engine *e)
{
    struct fri_thing *dropped
        = atomic_exchange_explicit(&e->things_dropped, NULL,
                                   memory_order_acquire);

    for (struct fri_thing *t = dropped; t; t = t->below)
        unlist(t);
    return dropped;
}

/* One thread at a time; what comes meanwhile is left to it, as is what the
 * things that it frees have held. */
static void reap(frun_engine *e, bool locked)
{
    struct fri_thing *dropped;

    while (atomic_load(&e->things_dropped)) {
        if (atomic_exchange(&e->things_reaping, true))
            return;
        if (locked || pthread_mutex_trylock(&e->lock) == 0) {
            if (locked)
                fri_lock(e);
            dropped = take_dropped(e);
            fri_unlock(e);
            destroy(dropped);
            atomic_store(&e->things_reaping, false);
        } else {
            atomic_store(&e->things_reaping, false);
            return;
        }
    }
}

void fri_shared_reap(frun_engine *e)
{
    if (atomic_load_explicit(&e->things_dropped, memory_order_relaxed))
        reap(e, true);
}

/* Any thread, with the lock or without. */
static void thing_drop(struct fri_handle *handle)
{
    struct fri_thing *t = thing_of(handle);
    frun_engine *e = t->engine;

    atomic_fetch_add(&e->refs, 1); /* another thread may free the thing */
    t->below = atomic_load_explicit(&e->things_dropped, memory_order_relaxed);
    while (!atomic_compare_exchange_weak(&e->things_dropped, &t->below, t))
        ;
    reap(e, false);
    fri_engine_unref(e);
}

static void withdraw_all(struct fri_thing *t)
{
    if (t->handle.kind != FRI_HANDLE_QUEUE && t->handle.kind != FRI_HANDLE_LOCK)
        return;
    while (line_of(t)->first)
        fri_shared_withdraw(line_of(t)->first);
}

/* What holds itself, through others, would stay for ever. */
void fri_shared_close(frun_engine *e)
{
    struct fri_thing *t, *next;

    fri_lock(e);
    for (t = e->things; t; t = t->next)
        withdraw_all(t);
    fri_unlock(e);
    fri_shared_reap(e);
    for (t = e->things; t; t = t->next)
        fri_handle_ref(&t->handle); /* none goes while they are emptied */
    for (t = e->things; t; t = t->next)
        empty(t);
    for (t = e->things; t; t = next) {
        next = t->next;
        fri_handle_unref(&t->handle);
    }
}
