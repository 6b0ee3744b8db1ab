/*
 * show.c - flowrun show RUN.journal: the tasks as they stand, and, of a run
 * that goes on, what runs and what waits.
 */
#include "command/show.h"

#include "core/output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum form { TABLE, JSON, CSV };

struct show {
    const char *path;
    bool failed;
    long slowest; /* 0: all, in their order */
    enum form form;
    struct fri_glance *view;
    struct fri_buffer *out;
    char why[FRI_WHY];
    uint64_t shown, done, bad, stopped; /* in state failed, cancelled */
};

/* ---- columns ---------------------------------------------------------- */

static struct fri_cell real(double n)
{
    return (struct fri_cell){ .kind = isnan(n) ? FRI_CELL_NULL
                                               : FRI_CELL_REAL,
                              .real = n };
}

/* How each column is had of a row; times to the microsecond. */
static double micro(double s)
{
    return floor(s * 1e6 + 0.5) / 1e6;
}

#define SHOWN(X)                                                              \
    X("id", fri_cell_int(row->id))                                            \
    X("name", fri_cell_of(row->name))                                         \
    X("key", row->key)                                                        \
    X("state", fri_cell_of(row->state))                                       \
    X("seconds", real(micro(row->finished - row->started)))                   \
    X("cpu", real(row->cpu))                                                  \
    X("memory", fri_cell_int(row->memory))                                    \
    X("attempts", fri_cell_int(row->attempts))                                \
    X("pool", fri_cell_of(row->pool))                                         \
    X("worker", fri_cell_int(row->worker))                                    \
    X("run", fri_cell_int(row->run))                                          \
    X("submitted", real(micro(row->submitted)))                               \
    X("ready", real(micro(row->ready)))                                       \
    X("started", real(micro(row->started)))                                   \
    X("finished", real(micro(row->finished)))                                 \
    X("waited", fri_cell_of(row->waited))                                     \
    X("dependency", fri_cell_of(row->dependency))                             \
    X("kind", fri_cell_of(row->kind))                                         \
    X("message", fri_cell_of(row->message))                                   \
    X("status", fri_cell_int(row->status))                                    \
    X("signal", fri_cell_int(row->signal))

static void json_row(struct show *s, const struct fri_task_row *row)
{
    struct fri_cell cell;
    const char *before = s->shown > 0 ? ",\n {" : " {";

#define JSON_CELL(title, value)                                               \
    cell = value;                                                             \
    fri_buffer_printf(s->out, "%s\"%s\":", before, title);                    \
    fri_cell_json(s->out, &cell);                                             \
    before = ",";
    SHOWN(JSON_CELL)
    fri_buffer_byte(s->out, '}');
}

static void csv_row(struct show *s, const struct fri_task_row *row)
{
    struct fri_cell cell;
    const char *before = "";

#define CSV_CELL(title, value)                                                \
    cell = value;                                                             \
    fri_buffer_text(s->out, before);                                          \
    fri_cell_csv(s->out, &cell);                                              \
    before = ",";
    SHOWN(CSV_CELL)
    fri_buffer_byte(s->out, '\n');
}

static void csv_head(struct show *s)
{
    const char *before = "";

#define CSV_TITLE(title, value)                                               \
    fri_buffer_printf(s->out, "%s%s", before, title);                         \
    before = ",";
    SHOWN(CSV_TITLE)
    fri_buffer_byte(s->out, '\n');
}

/* ---- the table -------------------------------------------------------- */

enum { NAME_AT = 40 }; /* columns before the name */

static void pad_to(struct fri_buffer *out, size_t start, size_t columns)
{
    while (out->length - start < columns && !out->failed)
        fri_buffer_byte(out, ' ');
}

static void put_memory(struct fri_buffer *out, int64_t memory)
{
    if (memory == FRI_NO_NUMBER)
        fri_buffer_printf(out, "%9s", "-");
    else
        fri_buffer_printf(out, "%8.1fM", (double)memory / 1048576);
}

static void table_head(struct show *s)
{
    fri_buffer_printf(s->out, "%6s %-9s %11s %9s  %s\n", "id", "state",
                      "seconds", "memory", "task");
}

static void table_row(struct show *s, const struct fri_task_row *row)
{
    struct fri_cell message = fri_cell_of(row->message);
    double seconds = row->finished - row->started;

    fri_buffer_printf(s->out, "%6lld %-9.*s ", (long long)row->id,
                      (int)row->state.length, (const char *)row->state.data);
    if (isnan(seconds))
        fri_buffer_printf(s->out, "%11s ", "-");
    else
        fri_buffer_printf(s->out, "%11.3f ", seconds);
    put_memory(s->out, row->memory);
    fri_buffer_text(s->out, "  ");
    fri_case_text(s->out, row->name, &row->key);
    if (message.kind != FRI_CELL_NULL) {
        fri_buffer_text(s->out, ": ");
        fri_escape(s->out, message.bytes.data, message.bytes.length, 120,
                   false);
    }
    fri_buffer_byte(s->out, '\n');
}

static bool starts(struct fri_bytes text, char c)
{
    return text.length > 0 && *(const char *)text.data == c;
}

static bool see_task(void *user, const struct fri_task_row *row)
{
    struct show *s = user;

    if (s->form == JSON)
        json_row(s, row);
    else if (s->form == CSV)
        csv_row(s, row);
    else
        table_row(s, row);
    s->shown++;
    s->done += starts(row->state, 'd');
    s->bad += starts(row->state, 'f');
    s->stopped += starts(row->state, 'c');
    return !s->out->failed;
}

/* ---- what goes on ----------------------------------------------------- */

static bool see_running(void *user, const struct fri_cell *c, int n)
{
    struct show *s = user;
    size_t start = s->out->length;

    (void)n;
    fri_buffer_printf(s->out, "%6s %-9s %11.3f", "-", "running", c[0].real);
    pad_to(s->out, start, NAME_AT);
    fri_case_text(s->out, c[1].bytes, &c[2]);
    fri_buffer_byte(s->out, '\n');
    return true;
}

static bool see_count(void *user, const struct fri_cell *c, int n)
{
    struct show *s = user;
    size_t start = s->out->length;

    (void)n;
    fri_buffer_printf(s->out, "%6lld %-9s", (long long)c[1].number, "waiting");
    pad_to(s->out, start, NAME_AT);
    fri_buffer_text(s->out, "for ");
    fri_cell_text(s->out, &c[0]);
    fri_buffer_byte(s->out, '\n');
    return true;
}

static frun_status show_now(struct show *s)
{
    frun_status status = fri_glance_query(
        s->view,
        "SELECT max(" FRI_NOW_LIVE " - since, 0.0), name, key FROM now "
        "WHERE what='runs' AND" FRI_NOW_STILL "ORDER BY since",
        NULL, 0, see_running, s, s->why);

    if (status != FRUN_OK)
        return status;
    return fri_glance_query(s->view,
                          "SELECT why, count FROM now WHERE what='count' AND "
                          "why<>'running' ORDER BY count DESC",
                          NULL, 0, see_count, s, s->why);
}

static bool see_run(void *user, const struct fri_cell *c, int n)
{
    struct show *s = user;
    long pid = fri_glance_holder(s->view);

    (void)n;
    fri_buffer_printf(s->out, "run %lld of ", (long long)c[0].number);
    if (c[1].kind == FRI_CELL_NULL)
        fri_buffer_text(s->out, "a program");
    else
        fri_cell_text(s->out, &c[1]);
    fri_buffer_text(s->out, ", ");
    fri_cell_text(s->out, &c[2]);
    if (pid)
        fri_buffer_printf(s->out, ": goes on, pid %ld\n", pid);
    else if (c[3].kind == FRI_CELL_NULL)
        fri_buffer_text(s->out, ": was killed\n");
    else
        fri_buffer_text(s->out, ": ended\n");
    return false;
}

static frun_status show_end(struct show *s)
{
    fri_buffer_printf(s->out, "%llu done, %llu failed, %llu cancelled",
                      (unsigned long long)s->done, (unsigned long long)s->bad,
                      (unsigned long long)s->stopped);
    if (fri_glance_damaged(s->view))
        fri_buffer_printf(s->out, "; %llu damaged rows left out",
                          (unsigned long long)fri_glance_damaged(s->view));
    fri_buffer_text(s->out, "; ");
    return fri_glance_query(s->view,
                          "SELECT id, script, datetime(started, 'unixepoch', "
                          "'localtime'), ended FROM run ORDER BY id DESC",
                          NULL, 0, see_run, s, s->why);
}

/* ---- all of it -------------------------------------------------------- */

static frun_status show_all(struct show *s)
{
    char tail[200];
    frun_status status;

    snprintf(tail, sizeof tail,
             "WHERE id IN (SELECT id FROM cases)%s ORDER BY %s LIMIT %ld",
             s->failed ? " AND state='failed'" : "",
             s->slowest ? "finished - started DESC" : "id",
             s->slowest ? s->slowest : -1);
    if (s->form == CSV)
        csv_head(s);
    else
        fri_buffer_text(s->out, s->form == JSON ? "[" : "");
    if (s->form == TABLE)
        table_head(s);
    status = fri_glance_tasks(s->view, tail, NULL, 0, see_task, s, s->why);
    if (s->form == JSON)
        fri_buffer_text(s->out, s->shown > 0 ? "\n]\n" : "]\n");
    if (s->form != TABLE)
        return status;
    if (status == FRUN_OK && !s->failed && fri_glance_holder(s->view))
        status = show_now(s);
    return status == FRUN_OK ? show_end(s) : status;
}

/* ---- words ------------------------------------------------------------ */

static bool read_words(struct show *s, int argc, char **argv)
{
    for (int i = 0; i < argc; i++) {
        const char *word = argv[i];
        char *end = NULL;

        if (strcmp(word, "--failed") == 0)
            s->failed = true;
        else if (strcmp(word, "--json") == 0 && s->form != CSV)
            s->form = JSON;
        else if (strcmp(word, "--csv") == 0 && s->form != JSON)
            s->form = CSV;
        else if (strcmp(word, "--slowest") == 0 && i + 1 < argc)
            s->slowest = strtol(argv[++i], &end, 10);
        else if (strncmp(word, "--slowest=", 10) == 0)
            s->slowest = strtol(word + 10, &end, 10);
        else if (word[0] == '-' || s->path)
            return false;
        else
            s->path = word;
        if (end && (*end || s->slowest < 1))
            return false;
    }
    return s->path != NULL;
}

int fri_show_main(int argc, char **argv, struct fri_buffer *out,
             struct fri_buffer *wrong)
{
    struct show s = { .out = out };
    frun_status status;

    if (argc == 1 && fri_is_help(argv[0])) {
        fri_verb_usage("show", out);
        fri_buffer_byte(out, '\n');
        return FRI_SHOWN;
    }
    if (!read_words(&s, argc, argv)) {
        fri_verb_usage("show", wrong);
        return FRI_SHOW_USAGE;
    }
    status = fri_glance_open(s.path, &s.view, s.why);
    if (status == FRUN_OK)
        status = show_all(&s);
    fri_glance_close(s.view);
    if (status == FRUN_OK && !out->failed)
        return FRI_SHOWN;
    if (status == FRUN_EJOURNAL)
        fri_buffer_text(wrong, s.why);
    else
        fri_buffer_text(wrong, "out of memory");
    return status == FRUN_EJOURNAL ? FRI_SHOW_REFUSED : FRI_SHOW_LOST;
}
