/*
 * fifo.c - queues between tasks.
 *
 * Rules.  Those in line push only while the queue is full, and pop only while
 * it is empty: never both.  Where one is taken out, the first that waits to
 * push comes in at once, which needs no memory: its place has just become
 * free.
 */
#include "core/engine.h"

#include "data/codec.h"

enum { SMALLEST = 8, KEPT = 1024 }; /* places of a ring */

static bool is_closed(struct fri_fifo *q, struct fri_data *outcome)
{
    return fri_gives_error(&q->thing, outcome, FRUN_ECLOSED,
                           "the queue is closed");
}

static bool grow(struct fri_fifo *q)
{
    size_t size = q->size ? q->size * 2 : SMALLEST;
    struct fri_message **ring
        = size <= PTRDIFF_MAX / sizeof *ring
              ? fri_alloc(&q->thing.engine->memory, size * sizeof *ring)
              : NULL;

    if (!ring)
        return false;
    for (size_t i = 0; i < q->count; i++)
        ring[i] = q->ring[(q->first + i) & (q->size - 1)];
    fri_free(&q->thing.engine->memory, q->ring);
    q->ring = ring;
    q->size = size;
    q->first = 0;
    return true;
}

static void put(struct fri_fifo *q, struct fri_message *m)
{
    q->ring[(q->first + q->count++) & (q->size - 1)] = fri_message_ref(m);
}

static struct fri_message *take(struct fri_fifo *q)
{
    struct fri_message *m = q->ring[q->first];

    q->first = (q->first + 1) & (q->size - 1);
    q->count--;
    return m;
}

/* One value that is not nil. */
static bool is_value(const struct fri_message *m)
{
    return m && m->length > 2 && m->data[1] == 1 && m->data[2] != FRI_NIL;
}

static bool push(struct fri_fifo *q, struct fri_message *m,
                 struct fri_data *outcome)
{
    struct fri_data value;

    if (!is_value(m))
        return fri_gives_error(&q->thing, outcome, FRUN_EINVAL, NULL);
    if (q->closed)
        return is_closed(q, outcome);
    if (q->line.first && q->line.first->op == FRI_POP) {
        fri_gives_nothing(outcome);
        fri_gives_message(&value, fri_message_ref(m));
        fri_line_serve(&q->line, &value);
        return true;
    }
    if (q->capacity > 0 && q->count >= q->capacity)
        return false;
    if (q->count == q->size && !grow(q))
        return fri_gives_memory(outcome);
    put(q, m);
    return fri_gives_nothing(outcome);
}

static void shrink(struct fri_fifo *q)
{
    if (q->count > 0 || q->size <= KEPT)
        return;
    fri_free(&q->thing.engine->memory, q->ring);
    q->ring = NULL;
    q->size = q->first = 0;
}

static bool pop(struct fri_fifo *q, struct fri_data *outcome)
{
    struct fri_data nothing;

    if (q->count == 0)
        return q->closed && fri_gives_nothing(outcome);
    fri_gives_message(outcome, take(q));
    if (q->line.first) {
        put(q, q->line.first->argument);
        fri_gives_nothing(&nothing);
        fri_line_serve(&q->line, &nothing);
    }
    shrink(q);
    return true;
}

static bool close_it(struct fri_fifo *q, struct fri_data *outcome)
{
    struct fri_data end;

    q->closed = true;
    while (q->line.first) {
        if (q->line.first->op == FRI_POP)
            fri_gives_nothing(&end);
        else
            is_closed(q, &end);
        fri_line_serve(&q->line, &end);
    }
    return fri_gives_nothing(outcome);
}

bool fri_fifo_try(struct fri_fifo *q, enum fri_shared_op op,
                  struct fri_message *argument, struct fri_data *outcome)
{
    switch (op) {
    case FRI_PUSH: return push(q, argument, outcome);
    case FRI_POP: return pop(q, outcome);
    case FRI_CLOSE: return close_it(q, outcome);
    case FRI_COUNT: return fri_gives_number(&q->thing, outcome, q->count);
    default:
        return fri_gives_error(&q->thing, outcome, FRUN_EINVAL, NULL);
    }
}

void fri_fifo_empty(struct fri_fifo *q)
{
    while (q->count > 0)
        fri_message_free(take(q));
    fri_free(&q->thing.engine->memory, q->ring);
    q->ring = NULL;
    q->size = q->first = 0;
}
