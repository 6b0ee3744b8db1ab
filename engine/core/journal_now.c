/*
 * journal_now.c - the table `now`: what runs, the first that wait and what
 * for, and how many wait for what.
 *
 * The tasks are looked through in pieces, so that the engine's lock is never
 * held for long; the picture is therefore not of one moment.
 */
#ifndef FRUN_NO_JOURNAL
#include "core/journal_private.h"

#include "core/settle.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    PIECE = 2000, /* records looked through with the lock held: 0.1 ms */
    WAITS = 1000, /* that are listed */
    RUNS = 4096,  /* more than pools have workers */
    REASONS = 64,
    REASON = 128
};

struct picture {
    struct fri_scan scan;
    frun_journal *j;
    struct frun_future *runs[RUNS], *waits[WAITS]; /* a reference to each;
                                    waits: a heap, the largest id on top */
    size_t run_count, wait_count;
    uint64_t running, waiting;
    struct {
        char text[REASON];
        uint64_t count;
    } reasons[REASONS];
    size_t reason_count;
};

/* ---- why it waits ----------------------------------------------------- */

static const struct frun_future *unmet(const struct frun_future *task)
{
    const struct fri_extra *x = task->extra;

    for (uint32_t i = 0; x && i < x->after_count; i++)
        if (x->after[i].future && !fri_is_final(x->after[i].future))
            return x->after[i].future;
    return NULL;
}

static const char *limit_name(const struct fri_limit *limit)
{
    return limit->name ? limit->name : "without a name";
}

static bool waits_at(const struct frun_future *task, char why[REASON])
{
    const struct fri_spec *spec = task->spec;

    for (size_t i = 0; i < spec->need_count; i++) {
        const struct fri_limit *limit = spec->needs[i].limit;
        const struct frun_future *top = fri_heap_top(&limit->waiting);
        const char *word = NULL;

        if (limit->count - limit->used < spec->needs[i].count
            || (limit->shared && top == task))
            word = "limit";
        else if (top && top != task)
            word = "order";
        if (!word)
            continue;
        snprintf(why, REASON, "%s %s", word, limit_name(limit));
        return true;
    }
    return false;
}

/* `on`: what it depends on, if that is why. */
static void reason_of(const struct frun_future *task, char why[REASON],
                      const struct frun_future **on)
{
    *on = fri_state(task) == FRI_WAITING && task->unmet > 0 ? unmet(task)
                                                            : NULL;
    if (*on)
        snprintf(why, REASON, "dependency");
    else if (fri_state(task) == FRI_WAITING)
        snprintf(why, REASON, "back-off");
    else if (!waits_at(task, why))
        snprintf(why, REASON, "worker");
}

/* ---- looking ---------------------------------------------------------- */

static void count_reason(struct picture *p, const char *why)
{
    size_t i = 0;

    while (i < p->reason_count && strcmp(p->reasons[i].text, why) != 0)
        i++;
    if (i == REASONS)
        return;
    if (i == p->reason_count) {
        p->reason_count++;
        snprintf(p->reasons[i].text, REASON, "%s", why);
        p->reasons[i].count = 0;
    }
    p->reasons[i].count++;
}

static void sink(struct picture *p, size_t at)
{
    struct frun_future **w = p->waits, *f = w[at];
    size_t child;

    while ((child = 2 * at + 1) < p->wait_count) {
        if (child + 1 < p->wait_count && w[child + 1]->id > w[child]->id)
            child++;
        if (w[child]->id <= f->id)
            break;
        w[at] = w[child];
        at = child;
    }
    w[at] = f;
}

static void list_wait(struct picture *p, struct frun_future *task)
{
    struct frun_future **w = p->waits;
    size_t at = p->wait_count;

    if (at == WAITS) {
        if (task->id >= w[0]->id)
            return;
        fri_future_unref(w[0]);
        w[0] = fri_future_ref(task);
        sink(p, 0);
        return;
    }
    p->wait_count++;
    for (; at > 0 && w[(at - 1) / 2]->id < task->id; at = (at - 1) / 2)
        w[at] = w[(at - 1) / 2];
    w[at] = fri_future_ref(task);
}

static void see(struct fri_scan *scan, struct frun_future *task)
{
    struct picture *p = (struct picture *)(void *)scan;
    const struct frun_future *on;
    char why[REASON];

    if (fri_state(task) == FRI_RUNNING) {
        p->running++;
        if (p->run_count < RUNS)
            p->runs[p->run_count++] = fri_future_ref(task);
        return;
    }
    p->waiting++;
    reason_of(task, why, &on);
    count_reason(p, why);
    list_wait(p, task);
}

static void look(struct picture *p)
{
    frun_engine *e = p->j->engine;
    bool more = true;

    p->scan.see = see;
    while (more) {
        fri_lock(e);
        more = fri_sched_scan(&e->sched, &p->scan, PIECE);
        fri_unlock(e);
    }
}

/* ---- writing ---------------------------------------------------------- */

enum { RUN = 1, AT, WHAT, TASK, NAME, KEY, POOL, WORKER, ATTEMPT, SINCE, WHY,
       COUNT };

static int bind_text(sqlite3_stmt *s, int at, const char *text)
{
    return sqlite3_bind_text(s, at, text, -1, SQLITE_TRANSIENT);
}

static int put(frun_journal *j, const char *what)
{
    sqlite3_stmt *s = j->insert_now;
    int status;

    sqlite3_bind_int64(s, RUN, j->run);
    sqlite3_bind_double(s, AT, fri_seconds(fri_now() - j->engine->sched.epoch));
    sqlite3_bind_text(s, WHAT, what, -1, SQLITE_STATIC);
    status = sqlite3_step(s);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s);
    return status == SQLITE_DONE ? SQLITE_OK : status;
}

static void bind_task(frun_journal *j, const struct frun_future *task)
{
    sqlite3_stmt *s = j->insert_now;
    struct fri_cell key;
    char name[32];

    fri_key_cell(task, &key);
    sqlite3_bind_int64(s, TASK, (int64_t)task->id);
    bind_text(s, NAME, fri_task_name(task, name));
    fri_cell_bind(s, KEY, &key);
    bind_text(s, POOL, task->spec->lane->name);
}

static int put_run(frun_journal *j, const struct frun_future *task)
{
    sqlite3_stmt *s = j->insert_now;
    fri_time epoch = j->engine->sched.epoch;

    bind_task(j, task);
    sqlite3_bind_int(s, WORKER, atomic_load(&task->worker));
    sqlite3_bind_int(s, ATTEMPT, atomic_load(&task->attempts));
    sqlite3_bind_double(s, SINCE,
                        fri_seconds(atomic_load(&task->started) - epoch));
    return put(j, "runs");
}

static int put_wait(frun_journal *j, struct frun_future *task)
{
    sqlite3_stmt *s = j->insert_now;
    const struct frun_future *on;
    char why[REASON], name[32], text[2 * REASON];
    bool final;

    fri_lock(j->engine);
    final = fri_state(task) >= FRI_RUNNING;
    if (!final) {
        reason_of(task, why, &on);
        snprintf(text, sizeof text, "%s%s%.120s", why, on ? " " : "",
                 on ? fri_task_name(on, name) : "");
    }
    fri_unlock(j->engine);
    if (final)
        return SQLITE_OK;
    bind_task(j, task);
    sqlite3_bind_double(s, SINCE, fri_seconds(task->submitted
                                              - j->engine->sched.epoch));
    bind_text(s, WHY, text);
    return put(j, "waits");
}

static int put_count(frun_journal *j, const char *why, uint64_t count)
{
    bind_text(j->insert_now, WHY, why);
    sqlite3_bind_int64(j->insert_now, COUNT, (int64_t)count);
    return put(j, "count");
}

static int by_id(const void *a, const void *b)
{
    uint64_t x = (*(struct frun_future *const *)a)->id,
             y = (*(struct frun_future *const *)b)->id;

    return (x > y) - (x < y);
}

static int put_all(struct picture *p)
{
    frun_journal *j = p->j;
    int status = put_count(j, "running", p->running);

    for (size_t i = 0; i < p->reason_count && status == SQLITE_OK; i++)
        status = put_count(j, p->reasons[i].text, p->reasons[i].count);
    qsort(p->runs, p->run_count, sizeof *p->runs, by_id);
    for (size_t i = 0; i < p->run_count && status == SQLITE_OK; i++)
        status = put_run(j, p->runs[i]);
    qsort(p->waits, p->wait_count, sizeof *p->waits, by_id);
    for (size_t i = 0; i < p->wait_count && status == SQLITE_OK; i++)
        status = put_wait(j, p->waits[i]);
    return status;
}

static int write_picture(struct picture *p)
{
    frun_journal *j = p->j;
    int status = fri_sql(j->writer, "BEGIN IMMEDIATE; DELETE FROM now");

    if (status == SQLITE_OK && !j->insert_now)
        status = sqlite3_prepare_v3(
            j->writer, "INSERT INTO now VALUES(?,?,?,?,?,?,?,?,?,?,?,?)", -1,
            SQLITE_PREPARE_PERSISTENT, &j->insert_now, NULL);
    if (status == SQLITE_OK)
        status = fri_facts_write(j);
    if (status == SQLITE_OK)
        status = put_all(p);
    if (status == SQLITE_OK)
        status = fri_sql(j->writer, "COMMIT");
    if (status == SQLITE_OK)
        j->run_written = j->now_written = true;
    return status;
}

int fri_now_clear(frun_journal *j)
{
    if (!j->now_written)
        return SQLITE_OK;
    j->now_written = false;
    return fri_sql(j->writer, "DELETE FROM now");
}

int fri_now_write(frun_journal *j, bool *live)
{
    struct picture *p;
    int status = SQLITE_OK;

    fri_lock(j->engine);
    *live = j->engine->sched.unfinished > 0;
    fri_unlock(j->engine);
    if (!*live)
        return fri_now_clear(j);
    p = fri_alloc_zero(j->memory, sizeof *p);
    if (!p)
        return status;
    p->j = j;
    look(p);
    if (p->running + p->waiting > 0)
        status = write_picture(p);
    for (size_t i = 0; i < p->run_count; i++)
        fri_future_unref(p->runs[i]);
    for (size_t i = 0; i < p->wait_count; i++)
        fri_future_unref(p->waits[i]);
    fri_free(j->memory, p);
    return status;
}

#endif
