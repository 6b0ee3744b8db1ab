/*
 * journal_write.c - rows into the file, many at once.
 *
 * Rules.
 *  1. What was taken stays in the batch until its commit has succeeded, so
 *     that it can be written again.  Ids that were given in a transaction that
 *     was undone are given again.
 *  2. The log is moved into the file here and nowhere else: SQLite's own way
 *     (wal_autocheckpoint) would hide a sync that has failed.
 *  3. With a log a commit is not synced (it survives the process, and after a
 *     loss of power what is there is a prefix of what was committed), unless a
 *     durable task is in it.  Without one every commit is.
 */
#ifndef FRUN_NO_JOURNAL
#define _GNU_SOURCE
#include "core/journal_private.h"

#include <stdio.h>
#include <time.h>
#include <unistd.h>

/* ---- statements ------------------------------------------------------- */

static int prepare(frun_journal *j, const char *sql, sqlite3_stmt **s)
{
    if (*s)
        return SQLITE_OK;
    return sqlite3_prepare_v3(j->writer, sql, -1, SQLITE_PREPARE_PERSISTENT, s,
                              NULL);
}

static int prepare_insert(frun_journal *j)
{
    char sql[2048], *at = sql;

    if (j->insert)
        return SQLITE_OK;
    at += snprintf(sql, sizeof sql, "INSERT INTO task(%s) VALUES(?",
                   fri_row_columns(true));
#define MARK(kind, field, sql)                                                \
    *at++ = ',';                                                              \
    *at++ = '?';
    FRI_ROW_COLUMNS(MARK)
    snprintf(at, (size_t)(sql + sizeof sql - at), ",?,?)");
    return prepare(j, sql, &j->insert);
}

static int run_once(sqlite3_stmt *s, int status)
{
    if (status == SQLITE_OK)
        status = sqlite3_step(s);
    sqlite3_reset(s);
    return status == SQLITE_DONE ? SQLITE_OK : status;
}

/* ---- the run ---------------------------------------------------------- */

static struct fri_cell text_cell(const char *text)
{
    struct fri_cell c = { .kind = text ? FRI_CELL_TEXT : FRI_CELL_NULL };

    c.bytes = fri_text(text);
    return c;
}

static struct fri_cell int_cell(int64_t n)
{
    return (struct fri_cell){ .kind = FRI_CELL_INT, .number = n };
}

int fri_facts_write(frun_journal *j)
{
    char host[256] = "";
    struct fri_cell cells[FRI_RUN_CELLS] = {
        int_cell(j->run), { .kind = FRI_CELL_REAL, .real = j->started },
        text_cell(j->script), text_cell(j->options),
        int_cell((int64_t)j->new_seed), text_cell(host), int_cell(getpid()),
        text_cell(FRUN_VERSION), text_cell(j->vm)
    };
    sqlite3_stmt *s = NULL;
    int status;

    if (j->run_written)
        return SQLITE_OK;
    gethostname(host, sizeof host - 1);
    cells[5].bytes = fri_text(host);
    status = prepare(j, "INSERT INTO run(" FRI_RUN_COLUMNS
                        ") VALUES(?,?,?,?,?,?,?,?,?,?)", &s);
    for (int i = 0; i < FRI_RUN_CELLS && status == SQLITE_OK; i++)
        status = fri_cell_bind(s, i + 1, &cells[i]);
    if (status == SQLITE_OK)
        status = sqlite3_bind_int64(s, FRI_RUN_CELLS + 1,
                                    fri_cells_sum(cells, FRI_RUN_CELLS));
    status = run_once(s, status);
    sqlite3_finalize(s);
    return status;
}

int fri_facts_end(frun_journal *j)
{
    char sql[128];
    struct timespec t;

    if (!j->run_written)
        return SQLITE_OK;
    clock_gettime(CLOCK_REALTIME, &t);
    snprintf(sql, sizeof sql, "UPDATE run SET ended=%lld.%06ld WHERE id=%lld",
             (long long)t.tv_sec, t.tv_nsec / 1000, (long long)j->run);
    return fri_sql(j->writer, sql);
}

/* ---- items ------------------------------------------------------------ */

static int insert_code(frun_journal *j, struct fri_recipe *code)
{
    struct fri_bytes parts;
    int64_t id = j->last_code + 1;
    int status = prepare(j, "INSERT INTO code VALUES(?,?,?)", &j->insert_code);

    j->room.length = 0;
    fri_recipe_write(code, &j->room);
    if (j->room.failed)
        return SQLITE_NOMEM;
    parts = (struct fri_bytes){ j->room.data ? (void *)j->room.data : "",
                                j->room.length };
    if (status == SQLITE_OK)
        status = sqlite3_bind_int64(j->insert_code, 1, id);
    if (status == SQLITE_OK)
        status = sqlite3_bind_text64(j->insert_code, 2, parts.data,
                                     parts.length, SQLITE_STATIC, SQLITE_UTF8);
    if (status == SQLITE_OK)
        status = sqlite3_bind_int64(j->insert_code, 3,
                                    fri_bytes_sum(parts, (uint64_t)id));
    status = run_once(j->insert_code, status);
    if (status == SQLITE_OK)
        code->id = j->last_code = id;
    return status;
}

static int insert_use(frun_journal *j, const struct fri_use *use)
{
    int status = prepare(j, "INSERT OR IGNORE INTO used VALUES(?,?)",
                         &j->insert_use);

    if (status == SQLITE_OK)
        status = sqlite3_bind_int64(j->insert_use, 1, j->run);
    if (status == SQLITE_OK)
        status = sqlite3_bind_int64(j->insert_use, 2, use->id);
    return run_once(j->insert_use, status);
}

static int insert_task(frun_journal *j, const struct fri_keep *k,
                       struct fri_row_room *room)
{
    struct fri_task_row row;
    int status = SQLITE_OK;

    if (k->recipe && (k->recipe->id == 0 || k->recipe->id > j->last_code))
        status = insert_code(j, k->recipe);
    if (status == SQLITE_OK)
        status = prepare_insert(j);
    if (status != SQLITE_OK)
        return status;
    fri_item_row(k, &row, room);
    row.id = ++j->last_row;
    row.sum = fri_row_sum(&row);
    status = run_once(j->insert, fri_row_bind(j->insert, &row));
    sqlite3_clear_bindings(j->insert);
    return status;
}

static int insert_all(frun_journal *j)
{
    struct fri_row_room room;
    int status = fri_facts_write(j);

    fri_buffer_init(&room.result, j->memory);
    fri_buffer_init(&room.cause, j->memory);
    fri_buffer_init(&room.output, j->memory);
    for (struct fri_item *i = j->batch; i && status == SQLITE_OK; i = i->next)
        status = i->use ? insert_use(j, (struct fri_use *)i)
                        : insert_task(j, (struct fri_keep *)i, &room);
    fri_buffer_free(&room.result);
    fri_buffer_free(&room.cause);
    fri_buffer_free(&room.output);
    return status;
}

/* ---- transactions ----------------------------------------------------- */

void fri_batch_undo(frun_journal *j)
{
    if (!sqlite3_get_autocommit(j->writer))
        fri_sql(j->writer, "ROLLBACK");
    j->last_row = j->committed_row;
    j->last_code = j->committed_code; /* codes above are written again */
}

int fri_batch_write(frun_journal *j, bool durable)
{
    bool sync = durable && j->wal;
    int status = SQLITE_OK;

    if (sync)
        status = fri_sql(j->writer, "PRAGMA synchronous=FULL");
    if (status == SQLITE_OK)
        status = fri_sql(j->writer, "BEGIN IMMEDIATE");
    if (status == SQLITE_OK)
        status = insert_all(j);
    if (status == SQLITE_OK)
        status = fri_sql(j->writer, "COMMIT");
    if (status == SQLITE_OK) {
        j->committed_row = j->last_row;
        j->committed_code = j->last_code;
        j->run_written = true;
    }
    if (sync && status == SQLITE_OK)
        status = fri_sql(j->writer, "PRAGMA synchronous=NORMAL");
    return status;
}

int fri_log_move(frun_journal *j, bool all)
{
    int status;

    if (!j->wal)
        return SQLITE_OK;
    fri_journal_end_reading(j);
    status = sqlite3_wal_checkpoint_v2(j->writer, NULL,
                                       all ? SQLITE_CHECKPOINT_TRUNCATE
                                           : SQLITE_CHECKPOINT_PASSIVE,
                                       NULL, NULL);
    j->pages = 0;
    return status == SQLITE_BUSY ? SQLITE_OK : status; /* somebody reads */
}

#endif
