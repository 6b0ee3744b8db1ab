#ifndef FRUN_NO_JOURNAL
#define _GNU_SOURCE
#include "core/journal_private.h"
#include "core/journal_view.h"

#include <stdio.h>
#include <unistd.h>

enum { READ_WAIT = 5000, MOST_CELLS = 32 };

struct fri_glance {
    sqlite3 *db;
    uint64_t damaged;
    char path[FRI_JOURNAL_PATH];
};

/* ---- opening ---------------------------------------------------------- */

/* As a URI of a file that nobody writes to: nothing is made beside it then. */
static void immutable(const char *path, struct fri_buffer *out)
{
    fri_buffer_text(out, "file:");
    for (; *path; path++) {
        if (*path == '?' || *path == '#' || *path == '%')
            fri_buffer_printf(out, "%%%02x", (unsigned char)*path);
        else
            fri_buffer_byte(out, (uint8_t)*path);
    }
    fri_buffer_add(out, "?immutable=1", sizeof "?immutable=1");
}

static int open_immutable(const char *path, sqlite3 **db, int flags)
{
    struct fri_buffer uri;
    int status = SQLITE_NOMEM;

    fri_buffer_init(&uri, NULL);
    immutable(path, &uri);
    if (!uri.failed)
        status = sqlite3_open_v2((const char *)uri.data, db,
                                 flags | SQLITE_OPEN_URI, NULL);
    fri_buffer_free(&uri);
    return status;
}

static int probe(struct fri_glance *v)
{
    return fri_sql(v->db, "SELECT count(*) FROM run");
}

/* Is there a log, of a run that goes on or was killed? */
static bool has_log(const char *path)
{
    char log[FRI_JOURNAL_PATH + 8];

    snprintf(log, sizeof log, "%s-wal", path);
    return access(log, F_OK) == 0;
}

int fri_sql_look(const char *path, sqlite3 **db, int flags)
{
    flags |= SQLITE_OPEN_READONLY;
    return has_log(path) ? sqlite3_open_v2(path, db, flags, NULL)
                         : open_immutable(path, db, flags);
}

static int connect_to(struct fri_glance *v)
{
    int status = fri_sql_look(v->path, &v->db, 0);

    sqlite3_busy_timeout(v->db, READ_WAIT);
    sqlite3_db_config(v->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    return status == SQLITE_OK ? probe(v) : status;
}

frun_status fri_glance_open(const char *path, struct fri_glance **view,
                          char why[FRI_WHY])
{
    struct fri_glance *v = fri_alloc_zero(NULL, sizeof *v);
    bool missing;

    *view = NULL;
    if (!v)
        return FRUN_ENOMEM;
    if (!fri_journal_find(path, v->path, &missing, why)) {
        fri_glance_close(v);
        return FRUN_EJOURNAL;
    }
    if (missing)
        fri_journal_refuse(why, path, "there is no journal");
    else if (fri_journal_check(v->path, why)) {
        if (connect_to(v) == SQLITE_OK) {
            *view = v;
            return FRUN_OK;
        }
        fri_journal_refuse(why, path, "cannot be read: %s",
                           v->db ? sqlite3_errmsg(v->db) : "out of memory");
    }
    fri_glance_close(v);
    return FRUN_EJOURNAL;
}

void fri_glance_close(struct fri_glance *v)
{
    if (!v)
        return;
    sqlite3_close(v->db);
    fri_free(NULL, v);
}

long fri_glance_holder(const struct fri_glance *v)
{
    return fri_journal_holder(v->path);
}

uint64_t fri_glance_damaged(const struct fri_glance *v)
{
    return v->damaged;
}

/* ---- queries ---------------------------------------------------------- */

static frun_status ended(struct fri_glance *v, sqlite3_stmt *s, int status,
                         char why[FRI_WHY])
{
    if (status != SQLITE_DONE && status != SQLITE_ROW)
        fri_journal_refuse(why, v->path, "cannot be read: %s",
                           sqlite3_errmsg(v->db));
    sqlite3_finalize(s);
    return status == SQLITE_DONE || status == SQLITE_ROW ? FRUN_OK
                                                         : FRUN_EJOURNAL;
}

static int prepare(struct fri_glance *v, const char *sql,
                   const struct fri_cell *arguments, int n, sqlite3_stmt **s)
{
    int status = sqlite3_prepare_v2(v->db, sql, -1, s, NULL);

    for (int i = 0; i < n && status == SQLITE_OK; i++)
        status = fri_cell_bind(*s, i + 1, &arguments[i]);
    return status;
}

frun_status fri_glance_query(struct fri_glance *v, const char *sql,
                           const struct fri_cell *arguments, int n,
                           fri_glance_see *see, void *user, char why[FRI_WHY])
{
    struct fri_cell cells[MOST_CELLS];
    sqlite3_stmt *s = NULL;
    int status = prepare(v, sql, arguments, n, &s);
    int count = status == SQLITE_OK ? sqlite3_column_count(s) : 0;

    if (status != SQLITE_OK)
        return ended(v, s, status, why);
    count = count < MOST_CELLS ? count : MOST_CELLS;
    while ((status = sqlite3_step(s)) == SQLITE_ROW) {
        for (int i = 0; i < count; i++)
            fri_cell_read(s, i, &cells[i]);
        if (!see(user, cells, count))
            break;
    }
    return ended(v, s, status, why);
}

frun_status fri_glance_tasks(struct fri_glance *v, const char *tail,
                           const struct fri_cell *arguments, int n,
                           fri_glance_see_task *see, void *user,
                           char why[FRI_WHY])
{
    struct fri_task_row row;
    sqlite3_stmt *s = NULL;
    char sql[2048];
    int status;

    snprintf(sql, sizeof sql, "SELECT %s FROM task %s", fri_row_columns(false),
             tail);
    status = prepare(v, sql, arguments, n, &s);
    if (status != SQLITE_OK)
        return ended(v, s, status, why);
    while ((status = sqlite3_step(s)) == SQLITE_ROW) {
        fri_row_read(s, false, &row);
        if (!fri_row_is_whole(&row, false))
            v->damaged++;
        else if (!see(user, &row))
            break;
    }
    return ended(v, s, status, why);
}

#endif
