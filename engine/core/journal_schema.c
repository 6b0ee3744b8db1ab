/*
 * journal_schema.c - the tables of a journal, and its rows.
 *
 * docs/journal.md is the contract of what stands here: columns may be added
 * with a new version; none goes.
 */
#ifndef FRUN_NO_JOURNAL
#include "core/journal_private.h"

#include "base/hash.h"

#define SQL(kind, field, sql) sql ","
#define NAME(kind, field, sql) #field ","

const char fri_journal_schema[]
    = "CREATE TABLE run(id INTEGER PRIMARY KEY, started REAL, ended REAL,"
      "script TEXT, options TEXT, seed INTEGER, host TEXT, pid INTEGER,"
      "flowrun TEXT, vm TEXT, sum INTEGER);"
      "CREATE TABLE code(id INTEGER PRIMARY KEY, parts TEXT, sum INTEGER);"
      "CREATE TABLE task(id INTEGER PRIMARY KEY," FRI_ROW_COLUMNS(SQL)
      "sum INTEGER, result BLOB,"
      "seconds REAL GENERATED ALWAYS AS (finished - started) VIRTUAL);"
      "CREATE TABLE used(run INTEGER, task INTEGER, PRIMARY KEY(run, task))"
      "WITHOUT ROWID;"
      "CREATE TABLE now(run INTEGER, at REAL, what TEXT, task INTEGER,"
      "name TEXT, key, pool TEXT, worker INTEGER, attempt INTEGER,"
      "since REAL, why TEXT, count INTEGER);"
      "CREATE VIEW cases AS SELECT id, run, task, name, key, pool, worker,"
      "attempts, state, submitted, ready, started, finished, seconds, cpu,"
      "memory, dependency, waited, kind, message, last_run FROM (SELECT t.*,"
      "max(t.run, ifnull(u.run, 0)) AS last_run,"
      "max((max(t.run, ifnull(u.run, 0)) << 40) + t.id) AS latest FROM task t"
      " LEFT JOIN (SELECT task, max(run) AS run FROM used GROUP BY task) u"
      " ON u.task = t.id GROUP BY ifnull(t.identity, t.digest)) ORDER BY id;"
      "CREATE VIEW failures AS SELECT * FROM cases WHERE state = 'failed';"
      "CREATE VIEW slowest AS SELECT * FROM cases ORDER BY seconds DESC;";

const char *fri_row_columns(bool result)
{
    return result ? "id," FRI_ROW_COLUMNS(NAME) "sum,result"
                  : "id," FRI_ROW_COLUMNS(NAME) "sum";
}

int fri_sql(sqlite3 *db, const char *sql)
{
    return sqlite3_exec(db, sql, NULL, NULL, NULL);
}

/* ---- writing ---------------------------------------------------------- */

static int bind_INT(sqlite3_stmt *s, int at, const int64_t *n)
{
    return *n == FRI_NO_NUMBER ? sqlite3_bind_null(s, at)
                               : sqlite3_bind_int64(s, at, *n);
}

static int bind_REAL(sqlite3_stmt *s, int at, const double *n)
{
    return isnan(*n) ? sqlite3_bind_null(s, at)
                     : sqlite3_bind_double(s, at, *n);
}

static int bind_TEXT(sqlite3_stmt *s, int at, const struct fri_bytes *b)
{
    return sqlite3_bind_text64(s, at, b->data, b->length, SQLITE_STATIC,
                               SQLITE_UTF8);
}

static int bind_BLOB(sqlite3_stmt *s, int at, const struct fri_bytes *b)
{
    return sqlite3_bind_blob64(s, at, b->data, b->length, SQLITE_STATIC);
}

int fri_cell_bind(sqlite3_stmt *s, int at, const struct fri_cell *c)
{
    switch (c->kind) {
    case FRI_CELL_INT: return sqlite3_bind_int64(s, at, c->number);
    case FRI_CELL_REAL: return bind_REAL(s, at, &c->real);
    case FRI_CELL_TEXT: return bind_TEXT(s, at, &c->bytes);
    case FRI_CELL_BLOB: return bind_BLOB(s, at, &c->bytes);
    default: return sqlite3_bind_null(s, at);
    }
}
#define bind_CELL fri_cell_bind

int fri_row_bind(sqlite3_stmt *s, const struct fri_task_row *row)
{
    int at = 1, status = sqlite3_bind_int64(s, at, row->id);

#define BIND(kind, field, sql)                                                \
    if (status == SQLITE_OK)                                                  \
        status = bind_##kind(s, ++at, &row->field);
    FRI_ROW_COLUMNS(BIND)
    if (status == SQLITE_OK)
        status = sqlite3_bind_int64(s, ++at, row->sum);
    return status == SQLITE_OK ? bind_BLOB(s, ++at, &row->result) : status;
}

/* ---- reading ---------------------------------------------------------- */

static void read_INT(sqlite3_stmt *s, int at, int64_t *n)
{
    *n = FRI_NO_NUMBER;
    if (sqlite3_column_type(s, at) != SQLITE_NULL)
        *n = sqlite3_column_int64(s, at);
}

static void read_REAL(sqlite3_stmt *s, int at, double *n)
{
    *n = sqlite3_column_type(s, at) == SQLITE_NULL
             ? (double)NAN
             : sqlite3_column_double(s, at);
}

/* Without a conversion: of another type it is not what was written. */
static void read_BLOB(sqlite3_stmt *s, int at, struct fri_bytes *b)
{
    int type = sqlite3_column_type(s, at);

    *b = (struct fri_bytes){ NULL, 0 };
    if (type != SQLITE_TEXT && type != SQLITE_BLOB)
        return;
    b->data = type == SQLITE_TEXT ? (const void *)sqlite3_column_text(s, at)
                                  : sqlite3_column_blob(s, at);
    b->length = (size_t)sqlite3_column_bytes(s, at);
    if (!b->data)
        b->data = "";
}

static void read_TEXT(sqlite3_stmt *s, int at, struct fri_bytes *b)
{
    read_BLOB(s, at, b);
}

void fri_cell_read(sqlite3_stmt *s, int at, struct fri_cell *c)
{
    static const enum fri_cell_kind kinds[] = {
        [SQLITE_INTEGER] = FRI_CELL_INT, [SQLITE_FLOAT] = FRI_CELL_REAL,
        [SQLITE_TEXT] = FRI_CELL_TEXT,   [SQLITE_BLOB] = FRI_CELL_BLOB,
        [SQLITE_NULL] = FRI_CELL_NULL,
    };

    *c = (struct fri_cell){ .kind = kinds[sqlite3_column_type(s, at)] };
    if (c->kind == FRI_CELL_INT)
        c->number = sqlite3_column_int64(s, at);
    else if (c->kind == FRI_CELL_REAL)
        c->real = sqlite3_column_double(s, at);
    else
        read_BLOB(s, at, &c->bytes);
}
#define read_CELL fri_cell_read

void fri_row_read(sqlite3_stmt *s, bool result, struct fri_task_row *row)
{
    int at = 0;

    row->id = sqlite3_column_int64(s, at);
#define READ(kind, field, sql) read_##kind(s, ++at, &row->field);
    FRI_ROW_COLUMNS(READ)
    row->sum = sqlite3_column_int64(s, ++at);
    row->result = (struct fri_bytes){ NULL, 0 };
    if (result)
        read_BLOB(s, ++at, &row->result);
}

/* ---- sums ------------------------------------------------------------- */

int64_t fri_bytes_sum(struct fri_bytes b, uint64_t seed)
{
    return (int64_t)fri_hash(b.data ? b.data : "", b.length,
                             fri_mix(seed + b.length + (b.data ? 1 : 0)));
}

static uint64_t sum_INT(uint64_t sum, const int64_t *n)
{
    return fri_mix(sum ^ fri_mix((uint64_t)*n));
}

static uint64_t sum_REAL(uint64_t sum, const double *n)
{
    double value = isnan(*n) ? (double)NAN : *n + 0.0; /* -0.0 is 0.0 */
    int64_t bits;

    memcpy(&bits, &value, sizeof bits);
    return sum_INT(sum, &bits);
}

static uint64_t sum_BLOB(uint64_t sum, const struct fri_bytes *b)
{
    return (uint64_t)fri_bytes_sum(*b, sum);
}

static uint64_t sum_TEXT(uint64_t sum, const struct fri_bytes *b)
{
    return sum_BLOB(sum, b);
}

static uint64_t sum_CELL(uint64_t sum, const struct fri_cell *c)
{
    sum += (uint64_t)c->kind;
    if (c->kind == FRI_CELL_INT)
        return sum_INT(sum, &c->number);
    if (c->kind == FRI_CELL_REAL)
        return sum_REAL(sum, &c->real);
    return sum_BLOB(sum, &c->bytes);
}

int64_t fri_cells_sum(const struct fri_cell *cells, size_t n)
{
    uint64_t sum = n;

    for (size_t i = 0; i < n; i++)
        sum = sum_CELL(sum, &cells[i]);
    return (int64_t)sum;
}

int64_t fri_row_sum(const struct fri_task_row *row)
{
    uint64_t sum = fri_mix((uint64_t)row->id);

#define SUM(kind, field, sql) sum = sum_##kind(sum, &row->field);
    FRI_ROW_COLUMNS(SUM)
    return (int64_t)sum;
}

bool fri_row_is_whole(const struct fri_task_row *row, bool result)
{
    return fri_row_sum(row) == row->sum
           && (!result || fri_bytes_sum(row->result, 0) == row->result_sum);
}

#endif
