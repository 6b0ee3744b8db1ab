/*
 * journal_keep.c - what goes with a task that is to be kept, from when it is
 * submitted until its row is written.
 *
 * Rules.  The calls for the scheduler are made with the engine's lock held:
 * they copy no results and write nothing.  A task that was queued is kept by
 * a reference, so what the writer reads of it stays as it is: it is final, or
 * held with its outcome in place.
 */
#ifndef FRUN_NO_JOURNAL
#include "core/journal_private.h"

#include "core/settle.h"

struct fri_keep *fri_keep_new(frun_journal *j, const struct fri_key *key,
                              bool durable)
{
    /* Of the engine, which stays with its records; a journal may go. */
    const struct fri_memory *m = &j->engine->memory;
    struct fri_keep *k;
    unsigned n = key->argument_count;

    if (j->read_only || !fri_writer_start(j))
        return NULL;
    k = fri_alloc_zero(m, sizeof *k);
    if (!k)
        return NULL;
    k->memory = m;
    k->journal = j;
    fri_buffer_init(&k->files, m);
    fri_buffer_init(&k->output, m);
    memcpy(k->digest, key->digest, FRI_DIGEST);
    k->identity = key->identity;
    k->recipe = key->recipe;
    k->argument_count = (uint8_t)(n < FRI_KEY_ARGUMENTS ? n
                                                        : FRI_KEY_ARGUMENTS);
    memcpy(k->arguments, key->arguments, sizeof k->arguments);
    k->durable = durable;
    fri_writer_expect(j);
    return k;
}

void fri_keep_drawn(struct fri_keep *k, const struct fri_digest *digest)
{
    k->drawn = *digest;
    k->may_draw = true;
}

void fri_keep_free(struct fri_keep *k)
{
    if (!k)
        return;
    fri_buffer_free(&k->files);
    fri_buffer_free(&k->output);
    fri_free(k->memory, k->dependency);
    fri_free(k->memory, k);
}

void fri_keep_files(struct fri_keep *k, struct fri_buffer *list)
{
    struct fri_buffer old = k->files;

    k->files = *list;
    *list = old;
}

void fri_keep_output(struct fri_keep *k, const char *bytes, size_t length)
{
    fri_last_add(&k->output, bytes, length);
}

/* ---- for the scheduler ------------------------------------------------ */

static struct fri_keep *keep_of(const struct frun_future *task)
{
    return task->extra ? task->extra->keep : NULL;
}

void fri_keep_ready(struct frun_future *task, const struct frun_future *on)
{
    struct fri_keep *k = keep_of(task);
    char name[32];

    if (!k)
        return;
    k->ready = fri_sched_now(task->spec->lane->sched);
    if (!on)
        return;
    fri_free(k->memory, k->dependency);
    k->dependency = fri_strdup(k->memory, fri_task_name(on, name));
}

void fri_keep_waits(struct frun_future *task, const struct fri_limit *limit,
                    bool turn)
{
    struct fri_keep *k = keep_of(task);

    if (!k)
        return;
    k->limit = limit;
    k->turn = turn;
}

static void queue(struct fri_keep *k, struct frun_future *task)
{
    if (k->may_draw && task->extra->drew)
        memcpy(k->digest, k->drawn.bytes, FRI_DIGEST);
    k->task = fri_future_ref(task);
    fri_writer_queue(k->journal, &k->item, k->held);
}

void fri_keep_final(struct frun_future *task)
{
    struct fri_keep *k = keep_of(task);

    if (k && !k->held)
        queue(k, task);
}

bool fri_keep_holds(struct frun_future *task)
{
    struct fri_keep *k = keep_of(task);

    if (!k || !k->durable || k->held || task->goal != FRI_DONE)
        return false;
    k->held = true;
    queue(k, task);
    return true;
}

/* ---- the row is written, or lost -------------------------------------- */

static void fail(struct frun_future *task, const char *text)
{
    struct fri_sched *s = task->spec->lane->sched;
    struct fri_data outcome = { .holds = FRI_ERROR };

    outcome.error = fri_error_new(s->memory, FRUN_EJOURNAL, text, NULL, NULL);
    fri_sched_settle_with(task, FRI_FAILED, &outcome);
}

static void settle(struct fri_keep *k, const char *error)
{
    frun_engine *e = k->journal->engine;

    fri_lock(e);
    if (error)
        fail(k->task, error);
    else
        fri_sched_settle(k->task, FRI_DONE);
    fri_unlock(e);
}

void fri_item_done(struct fri_item *item, const char *error)
{
    struct fri_keep *k = (struct fri_keep *)item;
    struct fri_use *use = (struct fri_use *)item;

    if (item->use) {
        fri_free(use->memory, use);
        return;
    }
    if (k->held)
        settle(k, error);
    fri_future_unref(k->task); /* k goes with it */
}

#endif
