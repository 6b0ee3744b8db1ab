/*
 * serve.c - what the tasks of a worker process ask of the engine: to submit,
 * to cancel, to open and make things, operations on shared things.
 *
 * Each request has a number of the worker's choice and gets one answer, when
 * there is one; those that the worker has withdrawn, or whose worker has died,
 * get none.  A task that was submitted goes on without its asker; a command
 * does not.
 */
#include "pools/forks/serve.h"

#include "core/sharing.h"

#include <stdlib.h>

/* ---- requests --------------------------------------------------------- */

struct fri_served *fri_served_new(struct fri_fork *w, uint64_t number)
{
    struct fri_served *s = fri_alloc_zero(w->port.memory, sizeof *s);

    if (!s)
        return NULL;
    s->fork = w;
    s->number = number;
    s->link = &w->served;
    s->next = w->served;
    if (s->next)
        s->next->link = &s->next;
    w->served = s;
    return s;
}

void fri_served_end(struct fri_served *s)
{
    *s->link = s->next;
    if (s->next)
        s->next->link = s->link;
    fri_waiter_remove(&s->waiter);
    if (fri_ask_waits(&s->ask))
        fri_shared_withdraw(&s->ask);
    if (s->command)
        fri_served_stop(s);
    fri_future_unref(s->future);
    fri_free(s->fork->port.memory, s);
}

/* Whoever could have looked at a failure has died, and that is a failure. */
void fri_served_free(struct fri_fork *w)
{
    bool died = !w->ending || w->dying;

    while (w->served) {
        if (died && w->served->future)
            atomic_store(&w->served->future->looked, 1);
        fri_served_end(w->served);
    }
}

struct fri_served *fri_served_find(struct fri_fork *w, uint64_t number)
{
    struct fri_served *s = w->served;

    while (s && s->number != number)
        s = s->next;
    return s;
}

bool fri_serve_withdraw(struct fri_fork *w, struct fri_reader *r)
{
    struct fri_served *s = fri_served_find(w, fri_get_varint(r));

    if (s)
        fri_served_end(s);
    return !r->bad;
}

/* ---- answers ---------------------------------------------------------- */

struct fri_buffer *fri_served_answer(struct fri_fork *w, uint64_t number)
{
    struct fri_buffer *b = fri_wire_begin(&w->port);

    fri_put_varint(b, number);
    return b;
}

/* An answer that cannot be sent would be waited for for ever. */
void fri_served_send(struct fri_fork *w)
{
    if (!fri_wire_send(&w->port, FRI_FRAME_ANSWER, true))
        fri_fork_kill(w, true);
}

void fri_served_data(struct fri_fork *w, uint64_t number,
                        const struct fri_data *data)
{
    struct fri_buffer *b = fri_served_answer(w, number);

    fri_buffer_byte(b, data->holds == FRI_ERROR ? FRI_FAILED : FRI_DONE);
    fri_wire_data(&w->port, b, data->holds, data, data->length);
    fri_served_send(w);
}

void fri_served_error(struct fri_fork *w, uint64_t number,
                         frun_status status, const char *text)
{
    struct fri_data data = { .holds = FRI_ERROR };

    data.error = fri_error_new(w->port.memory, status, text, NULL, NULL);
    fri_served_data(w, number, &data);
    fri_data_free(&data);
}

static void fri_served_nothing(struct fri_fork *w, uint64_t number)
{
    struct fri_data data = { .holds = FRI_NOTHING };

    fri_served_data(w, number, &data);
}

/* A handle, whose reference it takes. */
static void fri_served_handle(struct fri_fork *w, uint64_t number,
                          struct fri_handle *h)
{
    struct fri_buffer *b = fri_served_answer(w, number);

    fri_buffer_byte(b, FRI_RUNNING); /* of no future */
    if (!w->port.put(&w->port, b, h))
        b->failed = true;
    fri_served_send(w);
    fri_handle_unref(h);
}

/* ---- pools ------------------------------------------------------------ */

/* No lock is held while it is opened: this is the service thread. */
static bool serve_open(struct fri_fork *w, struct fri_reader *r,
                       uint64_t number)
{
    frun_engine *e = fri_fork_engine(w);
    frun_pool_options o = { .size = sizeof o };
    unsigned kind = fri_get_byte(r);
    struct fri_function *init = NULL;
    struct fri_view *view = NULL;
    frun_pool *pool;
    frun_status status;
    char *name;

    o.workers = (int)(fri_get_varint(r) & 0xffff);
    o.max_tasks = (int)(fri_get_varint(r) & INT32_MAX);
    name = fri_wire_get_text(r, w->port.memory);
    if (fri_get_byte(r))
        init = fri_wire_get_function(&w->port, r);
    if (r->bad) {
        fri_free(w->port.memory, name);
        fri_function_free(init);
        return false;
    }
    o.name = name;
    fri_unlock(e);
    status = fri_pool_open(e, (frun_kind)kind, &o, init,
                           init ? fri_function_drop : NULL, &pool);
    if (status == FRUN_OK) {
        view = fri_view_new(pool, false);
        fri_handle_unref(&pool->handle);
    }
    fri_lock(e);
    fri_free(w->port.memory, name);
    if (view)
        fri_served_handle(w, number, &view->handle);
    else
        fri_served_error(w, number, status ? status : FRUN_ENOMEM,
                     "the pool could not be opened");
    return true;
}

static void drained(struct fri_waiter *waiter)
{
    struct fri_served *s = fri_served_of(waiter);
    struct fri_fork *w = s->fork;
    uint64_t number = s->number;

    fri_served_end(s);
    fri_served_nothing(w, number);
}

static void serve_drain(struct fri_fork *w, frun_pool *pool, uint64_t number)
{
    struct fri_served *s
        = pool->lane.unfinished > 0 ? fri_served_new(w, number) : NULL;

    if (!s) {
        fri_served_nothing(w, number);
        return;
    }
    s->waiter.fire = drained;
    s->lane = &pool->lane;
    fri_waiter_link(&s->waiter, &pool->drains);
}

static void answer_stats(struct fri_fork *w, frun_pool *pool, uint64_t number)
{
    struct fri_lane *lane = &pool->lane;
    uint64_t running = fri_pool_running(pool);
    uint64_t numbers[] = {
        pool->workers, lane->unfinished - running, running,     lane->done,
        lane->failed,  lane->cancelled,            lane->retried,
        lane->crashed, lane->lost,
    };
    struct fri_buffer b;
    struct fri_data data = { .holds = FRI_MESSAGE };

    fri_buffer_init(&b, w->port.memory);
    fri_buffer_byte(&b, 0);
    fri_put_varint(&b, sizeof numbers / sizeof *numbers);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        fri_put_int(&b, (int64_t)numbers[i]);
    data.message = b.failed ? NULL
                            : fri_message_new(w->port.memory, b.data,
                                              b.length, NULL, 0);
    fri_buffer_free(&b);
    if (data.message)
        fri_served_data(w, number, &data);
    else
        fri_served_error(w, number, FRUN_ENOMEM, NULL);
    fri_data_free(&data);
}

static bool serve_pool(struct fri_fork *w, struct fri_reader *r,
                       uint64_t number)
{
    struct fri_handle *h = w->port.get(&w->port, r);
    unsigned verb = fri_get_byte(r);
    frun_engine *e = fri_fork_engine(w);
    frun_pool *pool;

    if (r->bad || !h || h->kind != FRI_HANDLE_POOL) {
        fri_handle_unref(h);
        return false;
    }
    pool = ((struct fri_view *)(void *)h)->pool;
    switch (verb) {
    case FRI_POOL_CANCEL: fri_lane_cancel(&pool->lane); break;
    case FRI_POOL_STATS: answer_stats(w, pool, number); break;
    case FRI_POOL_DRAIN: serve_drain(w, pool, number); break;
    case FRI_POOL_CLOSE:
        fri_unlock(e);
        fri_pool_closing(pool);
        fri_lock(e);
        break;
    default: r->bad = true;
    }
    fri_handle_unref(h);
    return !r->bad;
}

/* ---- things ----------------------------------------------------------- */

/* Files may have to be opened: without the lock. */
static bool make_limit(struct fri_fork *w, struct fri_reader *r,
                       uint64_t number)
{
    frun_engine *e = fri_fork_engine(w);
    char *name = fri_wire_get_text(r, w->port.memory), why[FRI_WHY];
    unsigned count = (unsigned)(fri_get_varint(r) & 0xffff);
    bool shared = fri_get_byte(r) != 0;
    struct fri_limit *limit = NULL;
    frun_status status;

    if (r->bad || count == 0) {
        fri_free(w->port.memory, name);
        return false;
    }
    fri_unlock(e);
    status = fri_limit_open(e, name, count, shared, &limit, why);
    fri_lock(e);
    fri_free(w->port.memory, name);
    if (status == FRUN_OK)
        fri_served_handle(w, number, &limit->handle);
    else
        fri_served_error(w, number, status, why);
    return true;
}

static bool make_array(struct fri_fork *w, struct fri_reader *r,
                       uint64_t number)
{
    unsigned type = (unsigned)fri_get_varint(r);
    size_t length = (size_t)fri_get_varint(r);
    struct fri_array *a;

    if (r->bad || type > FRI_U8)
        return false;
    a = fri_array_new(w->port.memory, (enum fri_number_type)type, length);
    if (a)
        fri_served_handle(w, number, &a->handle);
    else
        fri_served_error(w, number, FRUN_ERESOURCE, "no memory for the array");
    return true;
}

static bool serve_make(struct fri_fork *w, struct fri_reader *r,
                       uint64_t number)
{
    unsigned kind = fri_get_byte(r);
    struct fri_message *argument;
    struct fri_handle *h;

    if (kind == FRI_HANDLE_LIMIT)
        return make_limit(w, r, number);
    if (kind == FRI_HANDLE_ARRAY)
        return make_array(w, r, number);
    argument = fri_wire_get_message(&w->port, r);
    if (r->bad || kind < FRI_HANDLE_QUEUE || kind > FRI_HANDLE_SHARE) {
        fri_message_free(argument);
        return false;
    }
    h = fri_shared_make(fri_fork_engine(w), kind, argument);
    fri_message_free(argument);
    if (h)
        fri_served_handle(w, number, h);
    else
        fri_served_error(w, number, FRUN_ENOMEM, NULL);
    return true;
}

static void shared_done(struct fri_ask *ask, struct fri_data *outcome)
{
    struct fri_served *s
        = (struct fri_served *)(void *)((char *)ask
                                        - offsetof(struct fri_served, ask));
    struct fri_fork *w = s->fork;
    uint64_t number = s->number;

    fri_served_data(w, number, outcome);
    fri_data_free(outcome);
    fri_served_end(s);
}

/* Whose locks they are: the attempt's.  The pool's init has no ticket. */
static struct fri_holder *holder_of(struct fri_fork *w, uint64_t ticket)
{
    struct fri_flight *f = fri_fork_flight(w, ticket);

    if (ticket == 0)
        return &w->start;
    if (!f || f->revoked)
        return NULL;
    if (!f->holder)
        f->holder = fri_alloc_zero(w->port.memory, sizeof *f->holder);
    if (f->holder)
        f->holder->task = f->task;
    return f->holder;
}

static bool serve_shared(struct fri_fork *w, struct fri_reader *r,
                         uint64_t number)
{
    struct fri_holder *holder = holder_of(w, fri_get_varint(r));
    struct fri_handle *thing = fri_export_at(w, fri_get_varint(r));
    unsigned op = fri_get_byte(r);
    struct fri_message *argument = fri_wire_get_message(&w->port, r);
    struct fri_served *s = NULL;

    if (!r->bad && holder && thing && op < FRI_SHARED_OPS
        && thing->kind >= FRI_HANDLE_QUEUE && thing->kind <= FRI_HANDLE_SHARE)
        s = fri_served_new(w, number);
    if (s) {
        s->ask.done = shared_done;
        s->ask.holder = holder;
        fri_shared_ask(thing, (enum fri_shared_op)op, argument, &s->ask);
    }
    fri_message_free(argument);
    return s != NULL;
}

bool fri_serve(struct fri_fork *w, struct fri_reader *r)
{
    uint64_t number = fri_get_varint(r);

    switch (fri_get_byte(r)) {
    case FRI_ASK_SUBMIT: return fri_serve_submit(w, r, number);
    case FRI_ASK_CANCEL: return fri_serve_cancel(w, r);
    case FRI_ASK_LOOKED: return fri_serve_looked(w, r);
    case FRI_ASK_STATE: return fri_serve_state(w, r, number);
    case FRI_ASK_OPEN: return serve_open(w, r, number);
    case FRI_ASK_POOL: return serve_pool(w, r, number);
    case FRI_ASK_MAKE: return serve_make(w, r, number);
    case FRI_ASK_SHARED: return serve_shared(w, r, number);
    case FRI_ASK_EXEC: return fri_serve_exec(w, r, number);
    case FRI_ASK_EXEC_STOP: return fri_serve_exec_stop(w, r);
    case FRI_ASK_SCRATCH: return fri_serve_scratch(w, number);
    default: return false;
    }
}

/* ---- what is waited for ----------------------------------------------- */

bool fri_served_goal(struct fri_fork *w, uint64_t number,
                     struct fri_goal *goal)
{
    struct fri_served *s = fri_served_find(w, number);

    if (!s)
        return false;
    goal->future = s->future;
    goal->ask = fri_ask_waits(&s->ask) ? &s->ask : NULL;
    goal->lane = s->lane;
    return true;
}
