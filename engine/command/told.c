/*
 * told.c - what became of a task, what it had waited for, and why it ran
 * though an earlier run had it.
 */
#define _GNU_SOURCE
#include "command/why.h"

#include "core/output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double WORTH = 1e-3; /* seconds of waiting that are told */

static bool is(struct fri_bytes text, const char *word)
{
    return text.length == strlen(word)
           && memcmp(text.data, word, text.length) == 0;
}

static void put(struct fri_why *w, struct fri_bytes text)
{
    fri_escape(w->out, text.data ? text.data : "", text.length, 2000, false);
}

/* ---- what became of it ------------------------------------------------ */

/* As that of a command does. */
static bool names_signal(struct fri_bytes message)
{
    return message.length > 0
           && memmem(message.data, message.length, "by signal ", 10);
}

static void tell_death(struct fri_why *w, const struct fri_task_row *row)
{
    int number = row->signal == FRI_NO_NUMBER ? 0 : (int)row->signal;

    fri_buffer_text(w->out, "died: ");
    put(w, row->message);
    if (number > 0 && !names_signal(row->message))
        fri_buffer_printf(w->out, " (signal %d, %s)", number,
                          strsignal(number));
    if (number == 9)
        fri_buffer_text(w->out, "; where nobody has killed it, memory may "
                                "have run out");
}

static void tell_failure(struct fri_why *w, const struct fri_task_row *row)
{
    if (is(row->kind, "dependency")) {
        fri_buffer_text(w->out, "was never started: ");
        put(w, row->message);
        return;
    }
    if (is(row->kind, "crashed")) {
        tell_death(w, row);
        return;
    }
    fri_buffer_text(w->out, "failed (");
    put(w, row->kind);
    fri_buffer_text(w->out, "): ");
    put(w, row->message);
}

static void tell_times(struct fri_why *w, const struct fri_task_row *row)
{
    double seconds = row->finished - row->started;

    if (isnan(seconds))
        return;
    fri_buffer_text(w->out, is(row->state, "done") ? " in " : "; it ran for ");
    fri_seconds_text(w->out, seconds);
    if (row->worker != FRI_NO_NUMBER) {
        fri_buffer_printf(w->out, " on worker %lld of ",
                          (long long)row->worker);
        put(w, row->pool);
    }
    if (row->attempts > 1)
        fri_buffer_printf(w->out, ", in attempt %lld",
                          (long long)row->attempts);
    if (row->memory != FRI_NO_NUMBER)
        fri_buffer_printf(w->out, ", with %.1f MiB",
                          (double)row->memory / 1048576);
}

static void tell_outcome(struct fri_why *w, const struct fri_task_row *row)
{
    fri_case_text(w->out, row->name, &row->key);
    fri_buffer_printf(w->out, " (id %lld, run %lld) ", (long long)row->id,
                      (long long)row->run);
    if (is(row->state, "done"))
        fri_buffer_text(w->out, "was done");
    else if (is(row->state, "cancelled"))
        fri_buffer_text(w->out, "was cancelled");
    else
        tell_failure(w, row);
    tell_times(w, row);
    fri_buffer_byte(w->out, '\n');
    if (is(row->state, "failed"))
        return;
    if (row->message.length > 0) {
        fri_buffer_text(w->out, "  ");
        put(w, row->message);
        fri_buffer_byte(w->out, '\n');
    }
}

/* ---- what it waited for ----------------------------------------------- */

static void tell_queue(struct fri_why *w, struct fri_bytes waited)
{
    const char *text = waited.data;

    if (waited.length > 6 && memcmp(text, "limit ", 6) == 0)
        fri_buffer_text(w->out, " for a seat of the limit ");
    else if (waited.length > 6 && memcmp(text, "order ", 6) == 0)
        fri_buffer_text(w->out, " for its turn, after others, at the limit ");
    else {
        fri_buffer_text(w->out, " until a worker was free");
        return;
    }
    put(w, (struct fri_bytes){ text + 6, waited.length - 6 });
}

static void tell_wait(struct fri_why *w, const struct fri_task_row *row)
{
    double first = row->ready - row->submitted,
           then = row->started - row->ready;
    bool depended = first > WORTH && row->dependency.data;

    if (!depended && !(then > WORTH && row->waited.data))
        return;
    fri_buffer_text(w->out, "  it waited ");
    if (depended) {
        fri_seconds_text(w->out, first);
        fri_buffer_text(w->out, " for ");
        put(w, row->dependency);
        fri_buffer_text(w->out, ", on which it depends");
    }
    if (then > WORTH && row->waited.data) {
        fri_buffer_text(w->out, depended ? ", then " : "");
        fri_seconds_text(w->out, then);
        tell_queue(w, row->waited);
    }
    fri_buffer_byte(w->out, '\n');
}

/* ---- why it ran again ------------------------------------------------- */

/* What is kept of the row that is told of while another is read. */
struct again {
    struct fri_why *w;
    const struct fri_task_row *row;
    struct fri_buffer parts; /* of its code, ends with a NUL */
    int told;
};

static void tell_part(struct again *a, const char *name, size_t n,
                      const char *what)
{
    fri_buffer_text(a->w->out, a->told++ > 0 ? ", " : "");
    fri_escape(a->w->out, name, n, 200, false);
    fri_buffer_printf(a->w->out, " %s", what);
}

/* Lines of `from` ("DIGEST NAME"): those that `in` has otherwise, or not. */
static void compare_parts(struct again *a, const char *from, const char *in,
                          bool is_new)
{
    for (const char *line = from, *end; *line; line = end + 1) {
        size_t n;
        const char *there;

        end = strchr(line, '\n');
        n = end ? (size_t)(end - line) : 0;
        if (n < 18)
            return;
        there = in;
        while (there && *there
               && (strncmp(there + 16, line + 16, n - 16) != 0
                   || there[n] != '\n')) {
            there = strchr(there, '\n');
            there = there ? there + 1 : NULL;
        }
        if (!there || !*there)
            tell_part(a, line + 17, n - 17, is_new ? "is new" : "is gone");
        else if (is_new && strncmp(there, line, 16) != 0)
            tell_part(a, line + 17, n - 17, "changed");
    }
}

static bool see_parts(void *user, const struct fri_cell *c, int n)
{
    struct fri_buffer *parts = user;

    (void)n;
    parts->length = 0;
    fri_buffer_add(parts, c[0].bytes.data, c[0].bytes.length);
    fri_buffer_byte(parts, '\0');
    return false;
}

static frun_status read_parts(struct fri_why *w, int64_t code,
                              struct fri_buffer *parts)
{
    struct fri_cell id = fri_cell_int(code);

    fri_buffer_byte(parts, '\0');
    return fri_glance_query(w->view, "SELECT parts FROM code WHERE id=?", &id,
                            1, see_parts, parts, w->wrong);
}

static frun_status compare_codes(struct again *a, int64_t before)
{
    struct fri_buffer old;
    frun_status status;

    fri_buffer_init(&old, NULL);
    status = read_parts(a->w, before, &old);
    if (status == FRUN_OK && !old.failed && !a->parts.failed) {
        compare_parts(a, (char *)a->parts.data, (char *)old.data, true);
        compare_parts(a, (char *)old.data, (char *)a->parts.data, false);
    }
    fri_buffer_free(&old);
    return status;
}

static void compare_arguments(struct again *a, struct fri_bytes before)
{
    struct fri_bytes now = a->row->arguments;
    size_t most = now.length > before.length ? now.length : before.length;
    enum { EACH = 6 };

    for (size_t i = 0; i < most; i += EACH) {
        char name[32];

        if (i + EACH <= now.length && i + EACH <= before.length
            && memcmp((const char *)now.data + i,
                      (const char *)before.data + i, EACH) == 0)
            continue;
        snprintf(name, sizeof name, "argument %zu", i / EACH + 1);
        tell_part(a, name, strlen(name),
                  i >= now.length      ? "is gone"
                  : i >= before.length ? "is new"
                                       : "changed");
    }
}

static bool same(struct fri_bytes a, struct fri_bytes b)
{
    return a.length == b.length
           && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

/* The same key: what kept its entry from being used? */
static void tell_same_key(struct again *a, const struct fri_task_row *before)
{
    if (is(before->state, "failed"))
        fri_buffer_text(a->w->out, "it had failed");
    else if (is(before->state, "cancelled"))
        fri_buffer_text(a->w->out, "it had been cancelled");
    else if (before->result_sum == FRI_NO_NUMBER)
        fri_buffer_text(a->w->out, "its result could not be kept");
    else if (!same(before->files, a->row->files))
        fri_buffer_text(a->w->out, "a file that it names had changed");
    else
        fri_buffer_text(a->w->out, "its entry could not be used");
}

static bool see_before(void *user, const struct fri_task_row *before)
{
    struct again *a = user;
    frun_status status = FRUN_OK;

    fri_buffer_printf(a->w->out,
                      "  it ran again, though run %lld has it (id %lld): ",
                      (long long)before->run, (long long)before->id);
    if (same(before->digest, a->row->digest)) {
        tell_same_key(a, before);
    } else {
        compare_arguments(a, before->arguments);
        if (before->code != a->row->code)
            status = compare_codes(a, before->code);
        if (a->told == 0)
            fri_buffer_text(a->w->out, "its key changed");
    }
    fri_buffer_byte(a->w->out, '\n');
    return status != FRUN_OK;
}

static frun_status tell_again(struct fri_why *w,
                              const struct fri_task_row *row)
{
    struct again a = { .w = w, .row = row };
    struct fri_cell arguments[3] = {
        fri_cell_int(row->run), fri_cell_int(row->identity),
        { .kind = FRI_CELL_BLOB, .bytes = row->digest }
    };
    frun_status status;

    fri_buffer_init(&a.parts, NULL);
    status = read_parts(w, row->code, &a.parts);
    if (status == FRUN_OK)
        status = fri_glance_tasks(
            w->view, "WHERE run<?1 AND (identity=?2 OR digest=?3) "
                     "ORDER BY id DESC LIMIT 1",
            arguments, 3, see_before, &a, w->wrong);
    fri_buffer_free(&a.parts);
    return status;
}

/* ---- where it was used ------------------------------------------------ */

static bool see_used(void *user, const struct fri_cell *c, int n)
{
    struct fri_why *w = user;

    (void)n;
    if (c[0].kind == FRI_CELL_INT)
        fri_buffer_printf(w->out, "  run %lld took its result from here\n",
                          (long long)c[0].number);
    return false;
}

static frun_status tell_used(struct fri_why *w, int64_t id)
{
    struct fri_cell task = fri_cell_int(id);

    return fri_glance_query(w->view, "SELECT max(run) FROM used WHERE task=?",
                          &task, 1, see_used, w, w->wrong);
}

/* ---- its last words --------------------------------------------------- */

static void tell_text(struct fri_why *w, const char *title,
                      struct fri_bytes text)
{
    const char *at = text.data, *end = at + text.length, *line;

    if (text.length == 0)
        return;
    fri_buffer_printf(w->out, "  %s:\n", title);
    for (; at < end; at = line + 1) {
        line = memchr(at, '\n', (size_t)(end - at));
        line = line ? line : end;
        fri_buffer_text(w->out, "    ");
        fri_escape(w->out, at, (size_t)(line - at), 2000, true);
        fri_buffer_byte(w->out, '\n');
    }
}

/* Of many lines the last. */
static struct fri_bytes tail_of(struct fri_bytes text)
{
    enum { LINES = 20 };
    const char *first = text.data, *at = first + text.length;
    int lines = 0;

    if (text.length > 0 && at[-1] == '\n')
        at--;
    while (at > first && (at[-1] != '\n' || ++lines < LINES))
        at--;
    return (struct fri_bytes){ at, (size_t)(first + text.length - at) };
}

static bool see(void *user, const struct fri_task_row *row)
{
    struct fri_why *w = user;

    tell_outcome(w, row);
    tell_wait(w, row);
    if (tell_again(w, row) != FRUN_OK || tell_used(w, row->id) != FRUN_OK)
        return false;
    if (row->cause.length > 0)
        tell_text(w, "because of", row->cause);
    tell_text(w, "traceback", row->traceback);
    tell_text(w, "its last lines", tail_of(row->output));
    return false;
}

frun_status fri_why_tell(struct fri_why *w)
{
    struct fri_cell id = fri_cell_int(w->id);
    frun_status status;

    w->wrong[0] = '\0';
    status = fri_glance_tasks(w->view, "WHERE id=?", &id, 1, see, w, w->wrong);
    return w->wrong[0] ? FRUN_EJOURNAL : status;
}
