#include "report/failures.h"

#include "core/range.h"
#include "data/codec.h"
#include "data/show.h"

#include <stdio.h>

enum { LONGEST = 300 /* bytes of arguments that are shown */ };

struct fri_failures {
    struct fri_observer observer;
    frun_engine *engine; /* a reference */
    struct fri_failure list[FRI_FAILURES];
    size_t count;
};

/* ---- what it was called with ------------------------------------------ */

static void show_message(struct fri_buffer *b, const struct frun_future *task)
{
    if (task->holds == FRI_BYTES)
        fri_show(b, task->data.bytes, task->length, LONGEST);
    else if (task->holds == FRI_MESSAGE)
        fri_show(b, task->data.message->data, task->data.message->length,
                 LONGEST);
}

/* Items that are all numbers stand there raw, behind a tag; others are flags
 * and a value, each. */
static void show_item(struct fri_buffer *b, const struct fri_range *r,
                      uint64_t i)
{
    const struct fri_message *m = r->items;
    size_t at = m && r->offsets ? r->offsets[i] + 1 : 0;
    uint8_t raw[9];

    if (!m)
        return;
    if (r->offsets) {
        fri_show_value(b, m->data + at, m->length - at, LONGEST);
        return;
    }
    if (1 + 8 * (i + 1) > m->length)
        return;
    raw[0] = m->data[0] == FRI_INTS ? FRI_I64 : FRI_NUM;
    memcpy(raw + 1, m->data + 1 + 8 * i, 8);
    fri_show_value(b, raw, sizeof raw, LONGEST);
}

static void keep(struct fri_failures *f, const struct frun_future *task,
                 const uint64_t *item, const struct fri_error *error)
{
    struct fri_buffer b;

    if (f->count == FRI_FAILURES)
        return;
    fri_buffer_init(&b, &f->engine->memory);
    if (item)
        show_item(&b, task->data.range, *item);
    else
        show_message(&b, task);
    fri_buffer_byte(&b, '\0');
    if (b.failed) {
        fri_buffer_free(&b);
        return;
    }
    f->list[f->count++] = (struct fri_failure){
        .id = task->id, .arguments = (char *)b.data,
        .error = error ? fri_error_ref((struct fri_error *)(uintptr_t)error)
                       : NULL,
    };
}

/* ---- events ----------------------------------------------------------- */

static struct fri_failure *find(const struct fri_failures *f, uint64_t id)
{
    for (size_t i = f->count; i > 0; i--)
        if (f->list[i - 1].id == id)
            return (struct fri_failure *)(uintptr_t)&f->list[i - 1];
    return NULL;
}

static void on_event(struct fri_observer *o, enum fri_event event,
                     struct frun_future *task, fri_time now)
{
    struct fri_failures *f = (struct fri_failures *)(void *)o;
    const struct fri_ran_slice *ran = f->engine->sched.ran;
    struct fri_failure *failure;

    (void)now;
    if (event == FRI_RAN) {
        if (ran->failed)
            keep(f, task, &ran->slice->end, ran->failure);
    } else if (event == FRI_FAILING) {
        if (!task->counted && task->spec->lane->hooks)
            keep(f, task, NULL, NULL);
    } else if (fri_state(task) == FRI_FAILED && task->holds == FRI_ERROR
               && task->data.error) {
        failure = find(f, task->id);
        if (failure && !failure->error)
            failure->error = fri_error_ref(task->data.error);
    }
}

/* ---- asking ----------------------------------------------------------- */

const char *fri_failure_of(const struct fri_failures *f, uint64_t id)
{
    const struct fri_failure *failure = f ? find(f, id) : NULL;

    return failure && *failure->arguments ? failure->arguments : NULL;
}

static bool has_key(const struct fri_error *e, const char *key)
{
    struct fri_buffer b;
    bool same;

    fri_buffer_init(&b, NULL);
    if (e->number_key)
        fri_buffer_printf(&b, "%lld", (long long)e->key_number);
    else if (e->key)
        fri_show_key(&b, e->key->data, e->key->length);
    fri_buffer_byte(&b, '\0');
    same = !b.failed && strcmp((char *)b.data, key) == 0;
    fri_buffer_free(&b);
    return same;
}

const char *fri_failure_named(const struct fri_failures *f, const char *task,
                              const char *key)
{
    for (size_t i = 0; f && i < f->count; i++) {
        const struct fri_error *e = f->list[i].error;

        if (e && e->task && strcmp(e->task, task) == 0 && has_key(e, key))
            return *f->list[i].arguments ? f->list[i].arguments : NULL;
    }
    return NULL;
}

/* ---- begin and end ---------------------------------------------------- */

struct fri_failures *fri_failures_open(frun_engine *e)
{
    struct fri_failures *f = fri_alloc_zero(&e->memory, sizeof *f);

    if (!f)
        return NULL;
    atomic_fetch_add(&e->refs, 1);
    f->engine = e;
    f->observer.event = on_event;
    f->observer.wants = 1u << FRI_RAN | 1u << FRI_FAILING | 1u << FRI_FINISHED;
    fri_lock(e);
    fri_observer_add(&e->sched, &f->observer);
    fri_unlock(e);
    return f;
}

void fri_failures_close(struct fri_failures *f)
{
    frun_engine *e;

    if (!f)
        return;
    e = f->engine;
    fri_lock(e);
    fri_observer_remove(&e->sched, &f->observer);
    fri_unlock(e);
    for (size_t i = 0; i < f->count; i++) {
        fri_free(&e->memory, f->list[i].arguments);
        fri_error_free(f->list[i].error);
    }
    fri_free(&e->memory, f);
    fri_engine_unref(e);
}
