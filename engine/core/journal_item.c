/*
 * journal_item.c - the row of a task that has ended.
 */
#ifndef FRUN_NO_JOURNAL
#include "core/journal_private.h"

#include "core/output.h"
#include "data/codec.h"
#include "data/value.h"

#include <stdio.h>

enum { LARGEST = 900000000 }; /* bytes of a result; SQLite takes 10^9 a row */

static const double WAITED = 1e-3; /* seconds: less needs no reason */

/* ---- keys ------------------------------------------------------------- */

static void text_cell(struct fri_cell *c, const char *s, size_t n)
{
    c->kind = FRI_CELL_TEXT;
    c->bytes = (struct fri_bytes){ s, n };
}

/* One value: a string, a number or a boolean. */
static void read_key(struct fri_cell *c, const struct fri_message *m)
{
    struct fri_reader r;
    uint8_t tag;
    const char *s;
    size_t n;

    fri_reader_init(&r, m->data, m->length);
    fri_get_byte(&r);
    fri_get_varint(&r);
    tag = fri_get_byte(&r);
    if (tag == FRI_NUM) {
        c->kind = FRI_CELL_REAL;
        c->real = fri_get_num(&r);
    } else if (tag == FRI_FALSE || tag == FRI_TRUE) {
        s = tag == FRI_TRUE ? "true" : "false";
        text_cell(c, s, strlen(s));
    } else if ((tag >= FRI_SHORT_STR && tag < FRI_NIL) || tag == FRI_STR) {
        s = fri_get_str(&r, tag, &n);
        if (s)
            text_cell(c, s, n);
    } else if (tag == FRI_INT || tag <= FRI_SMALL_INT) {
        c->kind = FRI_CELL_INT;
        c->number = tag == FRI_INT ? fri_get_zigzag(&r) : tag;
    }
}

void fri_key_cell(const struct frun_future *task, struct fri_cell *c)
{
    *c = (struct fri_cell){ .kind = FRI_CELL_NULL };
    if (task->key_kind == FRI_KEY_NUMBER) {
        c->kind = FRI_CELL_INT;
        c->number = task->key.number;
    } else if (task->key_kind == FRI_KEY_MESSAGE) {
        read_key(c, task->key.message);
    }
}

/* ---- the outcome ------------------------------------------------------ */

static struct fri_bytes sequence(const struct frun_future *task,
                                 struct fri_buffer *room)
{
    static const uint8_t nothing[] = { 0, 0 };

    switch (task->holds) {
    case FRI_BYTES:
        return (struct fri_bytes){ task->data.bytes, task->length };
    case FRI_MESSAGE:
        return (struct fri_bytes){ task->data.message->data,
                                   task->data.message->length };
    case FRI_VALUE:
        if (fri_value_pack(room, task->data.value) != FRUN_OK || room->failed)
            return (struct fri_bytes){ NULL, 0 };
        return (struct fri_bytes){ room->data, room->length };
    default:
        return (struct fri_bytes){ nothing, sizeof nothing };
    }
}

static void put_result(const struct frun_future *task,
                       struct fri_task_row *row, struct fri_row_room *room)
{
    struct fri_bytes b = sequence(task, &room->result);

    if (!b.data || b.length > LARGEST) {
        row->message = fri_text("the result is too large, and is not kept");
    } else if (!fri_check_plain(b.data, b.length)) {
        row->message = fri_text("the result holds a function or a shared "
                                "thing, and is not kept");
    } else {
        row->result = b;
        row->result_sum = fri_bytes_sum(b, 0);
    }
}

static void put_cause(const struct fri_error *cause, struct fri_buffer *out)
{
    for (; cause; cause = cause->cause) {
        if (out->length > 0)
            fri_buffer_text(out, "; ");
        if (cause->task)
            fri_buffer_printf(out, "%s: ", cause->task);
        fri_buffer_printf(out, "%s (%s)", cause->public.message,
                          cause->public.kind ? cause->public.kind : "error");
        if (out->length > 4000)
            break;
    }
}

static void put_error(const struct fri_error *error, struct fri_task_row *row,
                      struct fri_row_room *room)
{
    if (!error) {
        row->kind = fri_text(fri_status_kind(FRUN_ENOMEM));
        row->message = fri_text(frun_status_text(FRUN_ENOMEM));
        return;
    }
    row->kind = fri_text(error->public.kind);
    row->message = fri_text(error->public.message);
    row->traceback = fri_text(error->traceback);
    if (error->public.exit_status >= 0)
        row->status = error->public.exit_status;
    if (error->public.signal > 0)
        row->signal = error->public.signal;
    put_cause(error->cause, &room->cause);
    if (room->cause.length > 0 && !room->cause.failed)
        row->cause = (struct fri_bytes){ room->cause.data,
                                         room->cause.length };
}

static void put_outcome(const struct frun_future *task,
                        struct fri_task_row *row, struct fri_row_room *room)
{
    enum fri_task_state state = fri_state(task);

    if (state <= FRI_DONE) { /* or held, and will be */
        row->state = fri_text("done");
        put_result(task, row, room);
        return;
    }
    row->state = fri_text(state == FRI_CANCELLED ? "cancelled"
                                                      : "failed");
    put_error(task->holds == FRI_ERROR ? task->data.error : NULL, row, room);
}

/* ---- times ------------------------------------------------------------ */

static double since(fri_time epoch, fri_time at)
{
    return at ? fri_seconds(at - epoch) : (double)NAN;
}

static void put_times(const struct fri_keep *k, struct fri_task_row *row)
{
    const struct frun_future *task = k->task;
    fri_time epoch = task->spec->lane->sched->epoch;

    row->submitted = since(epoch, task->submitted);
    row->ready = since(epoch, k->ready);
    row->started = since(epoch, atomic_load(&task->started));
    row->finished = since(epoch, task->finished);
    row->cpu = task->extra->cpu > 0 ? task->extra->cpu : (double)NAN;
    row->memory = task->extra->memory > 0 ? task->extra->memory
                                          : FRI_NO_NUMBER;
}

static void put_wait(const struct fri_keep *k, struct fri_task_row *row,
                     struct fri_row_room *room)
{
    row->dependency = fri_text(k->dependency);
    if (!(row->started - row->ready > WAITED))
        return;
    if (k->limit)
        snprintf(room->waited, sizeof room->waited, "%s %s",
                 k->turn ? "order" : "limit",
                 k->limit->name ? k->limit->name : "without a name");
    else
        snprintf(room->waited, sizeof room->waited, "worker");
    row->waited = fri_text(room->waited);
}

/* ---- all of it -------------------------------------------------------- */

size_t fri_arguments_write(const uint64_t *arguments, size_t n, uint8_t *bytes)
{
    if (n > FRI_KEY_ARGUMENTS)
        n = FRI_KEY_ARGUMENTS;
    for (size_t i = 0; i < n; i++)
        memcpy(bytes + i * FRI_ARGUMENT, &arguments[i], FRI_ARGUMENT);
    return n * FRI_ARGUMENT;
}

static void put_key(const struct fri_keep *k, struct fri_task_row *row,
                    struct fri_row_room *room)
{
    row->digest = (struct fri_bytes){ k->digest, FRI_DIGEST };
    row->identity = k->identity ? (int64_t)k->identity : FRI_NO_NUMBER;
    row->code = k->recipe ? k->recipe->id : FRI_NO_NUMBER;
    row->arguments = (struct fri_bytes){
        room->arguments, fri_arguments_write(k->arguments, k->argument_count,
                                             room->arguments)
    };
    if (k->files.length > 0)
        row->files = (struct fri_bytes){ k->files.data, k->files.length };
}

static void add_stream(struct fri_buffer *last, const frun_value *text)
{
    if (frun_value_length(text) == 0)
        return;
    if (last->length > 0 && last->data[last->length - 1] != '\n')
        fri_buffer_byte(last, '\n');
    fri_last_add(last, frun_value_as_str(text), frun_value_length(text));
}

/* Of one that failed: what it printed, then what its command wrote, errors
 * last.  It is queued, so nobody adds to it any more. */
static void put_output(const struct fri_keep *k, struct fri_task_row *row,
                       struct fri_row_room *room)
{
    const struct frun_future *task = k->task;
    const struct fri_error *error
        = task->holds == FRI_ERROR ? task->data.error : NULL;
    struct fri_buffer *last = &room->output;

    if (fri_state(task) <= FRI_DONE)
        return;
    fri_last_add(last, (const char *)k->output.data, k->output.length);
    if (error && error->result) {
        add_stream(last, frun_value_get(error->result, "out"));
        add_stream(last, frun_value_get(error->result, "err"));
    }
    fri_last_trim(last);
    if (last->length > 0 && !last->failed)
        row->output = (struct fri_bytes){ last->data, last->length };
}

void fri_item_row(const struct fri_keep *k, struct fri_task_row *row,
                  struct fri_row_room *room)
{
    const struct frun_future *task = k->task;
    unsigned worker = atomic_load(&task->worker);

    room->result.length = room->cause.length = room->output.length = 0;
    room->result.failed = room->cause.failed = room->output.failed = false;
    *row = (struct fri_task_row){ .status = FRI_NO_NUMBER,
                                  .signal = FRI_NO_NUMBER,
                                  .result_sum = FRI_NO_NUMBER };
    row->run = k->journal->run;
    row->task = (int64_t)task->id;
    row->name = fri_text(fri_task_name(task, room->name));
    fri_key_cell(task, &row->key);
    row->pool = fri_text(task->spec->lane->name);
    row->worker = worker ? worker : FRI_NO_NUMBER;
    row->attempts = atomic_load(&task->attempts);
    put_times(k, row);
    put_wait(k, row, room);
    put_outcome(task, row, room);
    put_output(k, row, room);
    put_key(k, row, room);
}

#endif
