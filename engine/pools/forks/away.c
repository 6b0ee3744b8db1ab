/*
 * away.c - in a worker process: commands, which the engine's process runs.
 *
 * The future is settled by the answer.  The command stays here, too, for
 * whoever reads the result.
 */
#include "pools/commands/exec.h"
#include "pools/forks/home.h"

#include "data/value.h"

#include <string.h>

static void free_command(void *command)
{
    frun_value_free(command);
}

const frun_value *fri_away_command(const struct frun_future *f)
{
    const struct fri_extra *extra = f->extra;

    return extra && extra->script_free == free_command ? extra->script : NULL;
}

static void settle(frun_engine *e, struct frun_future *f,
                   struct fri_data *outcome)
{
    fri_lock(e);
    fri_sched_settle_now(f, outcome);
    fri_unlock(e);
}

/* A reference; the command is the future's then. */
static struct frun_future *future_new(frun_engine *e, frun_value *command)
{
    struct fri_data none = { .holds = FRI_NOTHING };
    struct frun_future *f;
    struct fri_extra *extra;

    fri_lock(e);
    f = fri_shared_future(e);
    extra = f ? fri_task_extra(f) : NULL;
    fri_unlock(e);
    if (extra) {
        extra->script = command;
        extra->script_free = free_command;
        return f;
    }
    if (f)
        settle(e, f, &none);
    fri_future_unref(f);
    return NULL;
}

/* Takes a reference of f where it is kept. */
static bool ask(struct fri_home *h, struct frun_future *f,
                const struct fri_exec_plan *plan, const struct fri_buffer *c)
{
    uint32_t n = fri_errand_new(h, f);
    struct fri_buffer *b;

    if (n == 0)
        return false;
    b = fri_errand_request(h, fri_errand_number(h, n), FRI_ASK_EXEC);
    fri_put_varint(b, h->current ? h->current->ticket : 0);
    fri_wire_text(b, plan->dir);
    fri_wire_bytes(b, c->data, c->length);
    if (fri_home_post(h, FRI_FRAME_REQUEST))
        return true;
    fri_future_unref(fri_errand_end(h, fri_errand_number(h, n)));
    return false;
}

struct frun_future *fri_away_start(frun_engine *e, struct fri_exec_plan *plan)
{
    struct frun_future *f = NULL;
    struct fri_data none = { .holds = FRI_ERROR };
    struct fri_buffer b;

    fri_buffer_init(&b, &e->memory);
    if (fri_value_pack(&b, plan->command) == FRUN_OK && !b.failed)
        f = future_new(e, plan->command);
    if (!f)
        frun_value_free(plan->command);
    else if (!ask(e->home, f, plan, &b))
        settle(e, f, &none);
    fri_buffer_free(&b);
    return f;
}

void fri_away_stop(frun_engine *e, struct frun_future *f, bool now)
{
    struct fri_home *h = e->home;
    uint64_t number = fri_errand_of(h, f);
    struct fri_buffer *b;

    if (number == 0)
        return;
    b = fri_errand_request(h, 0, FRI_ASK_EXEC_STOP);
    fri_put_varint(b, number);
    fri_buffer_byte(b, now);
    fri_home_post(h, FRI_FRAME_REQUEST);
}

/* The engine ends it in time, or else this process. */
void fri_away_kill(frun_engine *e, struct frun_future *f)
{
    fri_away_stop(e, f, false);
    if (fri_errand_of(e->home, f))
        fri_home_wait(e->home, f);
}

char *fri_away_root(frun_engine *e)
{
    struct fri_home *h = e->home;
    struct frun_future *f = future_new(e, NULL);
    uint32_t n = f ? fri_errand_new(h, f) : 0;
    frun_value *value = NULL;
    char *root = NULL;

    if (n > 0) {
        fri_errand_request(h, fri_errand_number(h, n), FRI_ASK_SCRATCH);
        if (fri_home_post(h, FRI_FRAME_REQUEST))
            fri_home_wait(h, f);
    }
    if (f && f->holds == FRI_VALUE)
        value = f->data.value;
    if (value)
        root = fri_strdup(&e->memory, frun_value_as_str(value));
    fri_future_unref(f);
    return root;
}
