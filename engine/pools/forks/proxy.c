/*
 * proxy.c - commands that tasks of worker processes run, by requests.
 *
 * They belong to the task, in this process: so they are stopped with it, and
 * it ends after them, whatever becomes of the worker.
 */
#include "pools/commands/exec.h"
#include "pools/forks/serve.h"

#include "data/value.h"

static struct frun_future *future_of(struct fri_fork *w, uint64_t ticket)
{
    struct fri_flight *f = fri_fork_flight(w, ticket);

    return f && !f->revoked ? f->task : NULL;
}

static void ended(struct fri_waiter *waiter)
{
    struct fri_served *s = fri_served_of(waiter);
    struct fri_fork *w = s->fork;
    struct frun_future *f = s->future;
    struct fri_buffer *b = fri_served_answer(w, s->number);

    fri_buffer_byte(b, (uint8_t)fri_state(f));
    fri_wire_data(&w->port, b, f->holds, &f->data, f->length);
    fri_served_end(s);
    fri_served_send(w);
}

/* Its worker has withdrawn, or died. */
void fri_served_stop(struct fri_served *s)
{
    fri_exec_stop_locked(s->future, false);
}

static bool start(struct fri_fork *w, uint64_t number,
                  struct fri_exec_plan *plan)
{
    frun_engine *e = fri_fork_engine(w);
    struct fri_served *s = fri_served_new(w, number);
    struct frun_future *f;

    if (!s) {
        frun_value_free(plan->command);
        return false;
    }
    f = fri_exec_start_locked(e, plan);
    if (!f) {
        fri_served_end(s);
        fri_served_error(w, number, FRUN_ENOMEM, NULL);
        return true;
    }
    s->future = f;
    s->command = true;
    s->waiter.fire = ended;
    if (fri_is_final(f))
        ended(&s->waiter);
    else
        fri_waiter_link(&s->waiter, &f->waiters);
    return true;
}

static frun_value *get_command(const struct fri_memory *m,
                               struct fri_reader *r)
{
    size_t length;
    const uint8_t *bytes = fri_wire_get_bytes(r, &length);
    frun_value *command;

    if (bytes && fri_value_unpack(m, bytes, length, &command) == FRUN_OK)
        return command;
    return NULL;
}

static bool is_command(struct fri_fork *w, const frun_value *command)
{
    struct fri_error *error = NULL;
    bool is = command && fri_command_check(command, w->port.memory, &error);

    fri_error_free(error);
    return is;
}

bool fri_serve_exec(struct fri_fork *w, struct fri_reader *r, uint64_t number)
{
    uint64_t ticket = fri_get_varint(r); /* 0: of the pool's init */
    struct frun_future *owner = future_of(w, ticket);
    char *dir = fri_wire_get_text(r, w->port.memory);
    struct fri_exec_plan plan = { .owner = owner, .dir = dir };
    bool well;

    plan.command = get_command(w->port.memory, r);
    well = !r->bad && (owner || ticket == 0) && is_command(w, plan.command);
    if (well)
        well = start(w, number, &plan);
    else
        frun_value_free(plan.command);
    fri_free(w->port.memory, dir);
    return well;
}

bool fri_serve_exec_stop(struct fri_fork *w, struct fri_reader *r)
{
    struct fri_served *s = fri_served_find(w, fri_get_varint(r));
    bool now = fri_get_byte(r) != 0;

    if (s && s->command)
        fri_exec_stop_locked(s->future, now);
    return !r->bad;
}

/* Making it takes the disk's time: without the lock. */
bool fri_serve_scratch(struct fri_fork *w, uint64_t number)
{
    frun_engine *e = fri_fork_engine(w);
    struct fri_data data = { .holds = FRI_VALUE };
    struct fri_error *error = NULL;
    struct fri_scratch *scratch;
    const char *root;

    fri_unlock(e);
    scratch = fri_engine_scratch(e);
    root = scratch ? fri_scratch_root(scratch, &error) : NULL;
    fri_lock(e);
    data.value = root ? fri_value_text(&e->memory, root) : NULL;
    if (data.value)
        fri_served_data(w, number, &data);
    else
        fri_served_error(w, number, FRUN_ERESOURCE,
                         error ? error->message : NULL);
    fri_data_free(&data);
    fri_error_free(error);
    return true;
}
