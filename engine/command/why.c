/*
 * why.c - flowrun why RUN.journal TASK: which task is meant, and, as long as
 * it goes on, what it does.  What has ended: told.c.
 *
 * A task is named as the tables show it: its name, its name and key ("case
 * [3]"; the blank and the brackets may be left out), or the id of its row.
 */
#include "command/why.h"

#include "core/output.h"

#include <stdio.h>
#include <stdlib.h>

enum { LISTED = 10 };

/* ---- which one -------------------------------------------------------- */

static bool is_like(const struct fri_buffer *label, const char *text)
{
    const char *a = (const char *)label->data, *end = a + label->length;

    while (a < end && *text) {
        if (*a == *text) {
            a++;
            text++;
        } else if (*a == '[' || *a == ']' || *a == ' ') {
            a++;
        } else {
            return false;
        }
    }
    while (a < end && *a == ']')
        a++;
    return a == end && !*text;
}

static bool is_meant(struct fri_why *w, struct fri_bytes name,
                     const struct fri_cell *key)
{
    struct fri_cell cell = fri_cell_of(name);
    bool meant;

    w->label.length = 0;
    fri_cell_text(&w->label, &cell);
    fri_buffer_byte(&w->label, '\0');
    w->label.length--;
    if (w->label.failed)
        return false;
    meant = strcmp((const char *)w->label.data, w->task) == 0;
    if (key->kind == FRI_CELL_NULL)
        return meant;
    w->label.length = 0;
    fri_case_text(&w->label, name, key);
    return meant || is_like(&w->label, w->task);
}

/* id, name, key, state, last_run.  Of several those of the last run count. */
static bool see_case(void *user, const struct fri_cell *c, int n)
{
    struct fri_why *w = user;

    (void)n;
    if (!is_meant(w, c[1].bytes, &c[2]) || c[4].number < w->run)
        return true;
    if (c[4].number > w->run)
        w->matches = w->list.length = 0;
    w->run = c[4].number;
    w->id = c[0].number;
    if (w->matches++ >= LISTED)
        return true;
    fri_buffer_printf(&w->list, "  %lld  ", (long long)w->id);
    fri_case_text(&w->list, c[1].bytes, &c[2]);
    fri_buffer_text(&w->list, ": ");
    fri_cell_text(&w->list, &c[3]);
    fri_buffer_byte(&w->list, '\n');
    return true;
}

static bool see_id(void *user, const struct fri_task_row *row)
{
    struct fri_why *w = user;

    w->id = row->id;
    w->matches = 1;
    return false;
}

static frun_status find(struct fri_why *w)
{
    struct fri_cell id = { .kind = FRI_CELL_INT };
    char *end;
    frun_status status = fri_glance_query(
        w->view, "SELECT id, name, key, state, last_run FROM cases", NULL, 0,
        see_case, w, w->wrong);

    id.number = strtoll(w->task, &end, 10);
    if (status == FRUN_OK && w->matches == 0 && w->now == 0 && !*end
        && end > w->task)
        status = fri_glance_tasks(w->view, "WHERE id=?", &id, 1, see_id, w,
                                w->wrong);
    return status;
}

/* ---- what goes on ----------------------------------------------------- */

static void tell_limit(struct fri_why *w, struct fri_bytes why)
{
    struct fri_cell cell = fri_cell_of(why);
    static const struct {
        const char *word, *text;
    } texts[] = {
        { "dependency ", "for a task on which it depends: " },
        { "limit ", "for a seat of the limit " },
        { "order ", "for its turn, after others, at the limit " },
        { "worker", "until a worker of its pool is free" },
        { "back-off", "before its next attempt" },
    };

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t n = strlen(texts[i].word);

        if (why.length < n || memcmp(why.data, texts[i].word, n) != 0)
            continue;
        fri_buffer_text(w->out, texts[i].text);
        cell.bytes.data = (const char *)why.data + n;
        cell.bytes.length -= n;
        break;
    }
    fri_cell_text(w->out, &cell);
}

/* what, at, since, name, key, pool, worker, attempt, why */
static bool see_now(void *user, const struct fri_cell *c, int n)
{
    struct fri_why *w = user;
    bool runs = c[0].bytes.length == 4; /* "runs", not "waits" */

    (void)n;
    if (!is_meant(w, c[3].bytes, &c[4]) || w->now++ >= LISTED)
        return true;
    fri_case_text(w->out, c[3].bytes, &c[4]);
    if (w->live)
        fri_buffer_text(w->out, runs ? " runs since " : " waits since ");
    else
        fri_buffer_text(w->out, runs ? " ran, when its run was killed, since "
                                     : " waited, when its run was killed, "
                                       "since ");
    fri_seconds_text(w->out, c[1].real > c[2].real ? c[1].real - c[2].real
                                                   : 0);
    if (!runs) {
        fri_buffer_byte(w->out, ' ');
        tell_limit(w, c[8].bytes);
    } else {
        fri_buffer_printf(w->out, " on worker %lld of ",
                          (long long)c[6].number);
        fri_cell_text(w->out, &c[5]);
        if (c[7].number > 1)
            fri_buffer_printf(w->out, ", attempt %lld",
                              (long long)c[7].number);
    }
    fri_buffer_text(w->out, w->live ? "\n" : "; it runs in the next run\n");
    return true;
}

#define NOW_TAIL                                                              \
    ", since, name, key, pool, worker, attempt, why FROM now "                \
    "WHERE what<>'count' AND" FRI_NOW_STILL "ORDER BY task"

static frun_status find_now(struct fri_why *w)
{
    w->live = fri_glance_holder(w->view) != 0;
    return fri_glance_query(
        w->view,
        w->live ? "SELECT what, " FRI_NOW_LIVE NOW_TAIL
                : "SELECT what, at" NOW_TAIL,
        NULL, 0, see_now, w, w->wrong);
}

/* ---- all of it -------------------------------------------------------- */

static frun_status answer(struct fri_why *w)
{
    frun_status status = find_now(w);

    if (status == FRUN_OK)
        status = find(w);
    if (status != FRUN_OK)
        return status;
    if (w->matches == 1)
        return fri_why_tell(w);
    if (w->matches == 0)
        return FRUN_OK;
    fri_buffer_printf(w->out, "%llu tasks are called so; name one by its key "
                              "or by its id:\n",
                      (unsigned long long)w->matches);
    fri_buffer_add(w->out, w->list.data, w->list.length);
    if (w->matches > LISTED)
        fri_buffer_text(w->out, "  ...; flowrun show lists all\n");
    return FRUN_OK;
}

static int leave(struct fri_why *w, frun_status status,
                 struct fri_buffer *wrong)
{
    bool lost = status == FRUN_ENOMEM || w->out->failed || w->label.failed;

    fri_glance_close(w->view);
    fri_buffer_free(&w->label);
    fri_buffer_free(&w->list);
    if (lost) {
        fri_buffer_text(wrong, "out of memory");
        return FRI_SHOW_LOST;
    }
    if (status != FRUN_OK) {
        fri_buffer_text(wrong, w->wrong);
        return FRI_SHOW_REFUSED;
    }
    if (w->matches + w->now > 0)
        return FRI_SHOWN;
    fri_buffer_text(wrong, "no task '");
    fri_escape(wrong, w->task, strlen(w->task), 200, false);
    fri_buffer_text(wrong, "' in this journal; flowrun show lists them");
    return FRI_SHOW_USAGE;
}

int fri_why_main(int argc, char **argv, struct fri_buffer *out,
            struct fri_buffer *wrong)
{
    struct fri_why w = { .out = out };
    frun_status status;

    if (argc == 1 && fri_is_help(argv[0])) {
        fri_verb_usage("why", out);
        fri_buffer_byte(out, '\n');
        return FRI_SHOWN;
    }
    if (argc != 2 || argv[0][0] == '-') {
        fri_verb_usage("why", wrong);
        return FRI_SHOW_USAGE;
    }
    w.task = argv[1];
    fri_buffer_init(&w.label, NULL);
    fri_buffer_init(&w.list, NULL);
    status = fri_glance_open(argv[0], &w.view, w.wrong);
    if (status == FRUN_OK)
        status = answer(&w);
    return leave(&w, status, wrong);
}
