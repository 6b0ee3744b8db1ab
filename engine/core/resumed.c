/*
 * resumed.c - tasks that can run are looked up first: those whose keys were not
 * known when they were submitted, by the service thread.
 */
#include "core/resume_private.h"

#include "core/settle.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

enum { BATCH = 64 };

/* ---- when it can run -------------------------------------------------- */

static void settle(struct frun_future *task)
{
    struct fri_extra *x = task->extra;
    struct fri_past *past = x->past;

    x->from_journal = true;
    x->cpu = past->cpu;
    x->memory = past->memory;
    atomic_store_explicit(&task->attempts, (uint16_t)past->attempts,
                          memory_order_relaxed);
    fri_journal_use(past->journal, past->id);
    fri_sched_settle_with(task, FRI_DONE, &past->data);
}

/* In the queue of those that are to be looked up. */
static bool queue(frun_engine *e, struct frun_future *task)
{
    struct fri_resumer *rs = e->resumer;
    struct frun_future **more;
    size_t want;

    if (rs->at == rs->end)
        rs->at = rs->end = 0;
    if (rs->end == rs->capacity) {
        want = rs->capacity ? 2 * rs->capacity : 64;
        more = fri_realloc(&e->memory, rs->queue, want * sizeof *more);
        if (!more)
            return false;
        rs->queue = more;
        rs->capacity = want;
    }
    rs->queue[rs->end++] = task;
    return true;
}

bool fri_resume_ready(struct frun_future *task)
{
    frun_engine *e = task->spec->lane->sched->user;
    struct fri_extra *x = task->extra;

    if (task->spec->lane->remote || task->counted || (x && x->looked_up
                                                      && !x->past))
        return false;
    if (x && x->past) {
        settle(task);
        return true;
    }
    atomic_store_explicit(&task->state, FRI_WAITING, memory_order_release);
    if (!fri_task_extra(task) || !queue(e, task)) {
        fri_sched_no_memory(task);
        return true;
    }
    task->queued = 1; /* the engine's reference stays until it is met */
    fri_service_poke(e);
    return true;
}

/* ---- on the service thread -------------------------------------------- */

/* What is read of a task without the lock: cancelling it frees its
 * arguments. */
struct errand {
    struct frun_future *task;
    struct fri_asked asked;
    struct fri_canon_hooks hooks;
    frun_engine *engine;
    uint64_t modules; /* named in values of futures, too */
    uint8_t bytes[FRI_INLINE];
    struct fri_message *message;
    struct fri_answer answer;
    bool ok;
    const char *why;
    char text[512];
};

static int module_inside(void *user, const char *name, size_t n,
                         struct fri_digest *source, const char **why)
{
    struct errand *er = user;

    (void)why;
    return fri_resume_module(er->engine, name, n, source);
}

static int module_named(void *user, const char *name, size_t n,
                        struct fri_digest *source, const char **why)
{
    struct errand *er = user;

    if (module_inside(er, name, n, source, why) > 0)
        er->modules = fri_resume_gather(er->modules, source);
    return 0;
}

static int held(void *user, struct fri_handle *h, struct fri_digest *digest,
                const char **why)
{
    struct errand *er = user;
    struct fri_canon_hooks inside = er->hooks;

    inside.module = module_inside;
    return fri_resume_held(er->engine, h, &inside, digest, why);
}

static bool has_future(const struct fri_asked *a)
{
    for (uint32_t i = 0; i < a->handle_count; i++)
        if (a->handles[i]->kind == FRI_HANDLE_FUTURE)
            return true;
    return false;
}

/* Modules among arguments are known to who submitted it, those in values of
 * futures are not. */
static void set_hooks(struct errand *er)
{
    struct fri_asked *a = &er->asked;

    er->hooks = fri_resume_hooks;
    er->hooks.user = er;
    er->hooks.held = held;
    er->hooks.version = a->resume->version;
    a->hooks = &er->hooks;
    a->modules = &er->modules;
    if (has_future(a))
        er->hooks.module = module_named;
    else
        er->modules = er->task->extra->modules;
}

/* Lock held. */
static void prepare(struct errand *er, struct frun_future *task)
{
    struct fri_asked *a = &er->asked;

    memset(er, 0, sizeof *er);
    er->task = task;
    er->engine = task->spec->lane->sched->user;
    fri_resume_ask(a, task);
    if (task->holds == FRI_BYTES) {
        memcpy(er->bytes, task->data.bytes, FRI_INLINE);
        a->bytes = er->bytes;
        a->length = task->length;
    } else if (task->holds == FRI_MESSAGE) {
        er->message = fri_message_ref(task->data.message);
        a->bytes = er->message->data;
        a->length = er->message->length;
        a->handles = er->message->handles;
        a->handle_count = er->message->handle_count;
    }
    set_hooks(er);
}

static struct fri_error *error_of(frun_engine *e, const struct errand *er)
{
    return er->why ? fri_error_format(&e->memory, FRUN_EJOURNAL, "%s",
                                      er->text)
                   : NULL;
}

/* Lock held. */
static void finish(frun_engine *e, struct errand *er)
{
    struct frun_future *task = er->task;
    bool final = fri_is_final(task);

    task->queued = 0;
    fri_message_free(er->message);
    if (final || !er->ok) {
        fri_past_free(&e->memory, er->answer.past);
        fri_keep_free(er->answer.keep);
    }
    if (final) {
        fri_future_unref(task);
    } else if (!er->ok) {
        task->extra->looked_up = true;
        fri_sched_fail(task, FRI_FAILED, error_of(e, er));
    } else {
        fri_resume_put(task, &er->answer);
        fri_sched_ready(task, true);
    }
}

bool fri_resume_run(frun_engine *e)
{
    struct fri_resumer *rs = e->resumer;
    struct errand errands[BATCH];
    size_t n = 0;

    while (rs->at < rs->end && n < BATCH)
        prepare(&errands[n++], rs->queue[rs->at++]);
    if (n == 0)
        return false;
    rs->busy = n;
    fri_unlock(e);
    for (size_t i = 0; i < n; i++) {
        struct errand *er = &errands[i];

        er->ok = fri_resume_look(e, rs->canon, &er->asked, &er->answer,
                                 &er->why);
        if (er->why)
            snprintf(er->text, sizeof er->text, "%s", er->why);
    }
    fri_lock(e);
    for (size_t i = 0; i < n; i++)
        finish(e, &errands[i]);
    rs->busy = 0;
    return rs->at < rs->end;
}

void fri_resume_await(frun_engine *e)
{
    const struct timespec moment = { .tv_nsec = 200000 };
    fri_time most = fri_now() + FRI_SECOND;
    bool busy = true;

    while (busy && fri_now() < most) {
        fri_lock(e);
        busy = e->resumer->busy || e->resumer->at < e->resumer->end;
        fri_unlock(e);
        if (busy)
            nanosleep(&moment, NULL);
    }
}

/* ---- what is said ----------------------------------------------------- */

static void add_reasons(struct fri_buffer *line, const struct fri_resumer *rs,
                        uint64_t again)
{
    const char *between = " (";

    fri_buffer_printf(line, ", %llu again", (unsigned long long)again);
    for (int i = 0; i < FRI_REASONS && rs->again[i].count; i++) {
        fri_buffer_text(line, between);
        between = ", ";
        if (rs->again[i].count < again)
            fri_buffer_printf(line, "%llu ",
                              (unsigned long long)rs->again[i].count);
        fri_buffer_text(line, rs->again[i].what);
    }
    fri_buffer_byte(line, ')');
}

bool fri_resume_line(frun_engine *e, struct fri_buffer *line)
{
    struct fri_resumer *rs = e->resumer;
    uint64_t again = 0;
    bool any;

    if (!rs)
        return false;
    pthread_mutex_lock(&rs->lock);
    for (int i = 0; i < FRI_REASONS; i++)
        again += rs->again[i].count;
    any = rs->found || rs->fresh || again;
    if (any)
        fri_buffer_printf(line, "%llu from journal, %llu new",
                          (unsigned long long)rs->found,
                          (unsigned long long)rs->fresh);
    if (again)
        add_reasons(line, rs, again);
    pthread_mutex_unlock(&rs->lock);
    return any;
}
