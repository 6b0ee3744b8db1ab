/*
 * journal_row.h - a row of the table `task`, as it is written and read.
 *
 * Texts are not copied.  What is not there: texts with NULL data, numbers
 * that are NaN or FRI_NO_NUMBER.
 */
#ifndef FRI_JOURNAL_ROW_H
#define FRI_JOURNAL_ROW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRI_NO_NUMBER INT64_MIN

struct fri_bytes {
    const void *data;
    size_t length;
};

enum fri_cell_kind {
    FRI_CELL_NULL,
    FRI_CELL_INT,
    FRI_CELL_REAL,
    FRI_CELL_TEXT,
    FRI_CELL_BLOB
};

/* A value of whatever kind: keys of tables are all of them. */
struct fri_cell {
    enum fri_cell_kind kind;
    int64_t number;
    double real;
    struct fri_bytes bytes;
};

/* kind of column, C field, what it is called in the file */
#define FRI_ROW_COLUMNS(X)                                                    \
    X(INT, run, "run INTEGER NOT NULL")                                       \
    X(INT, task, "task INTEGER NOT NULL")                                     \
    X(TEXT, name, "name TEXT")                                                \
    X(CELL, key, "key")                                                       \
    X(TEXT, pool, "pool TEXT")                                                \
    X(INT, worker, "worker INTEGER")                                          \
    X(INT, attempts, "attempts INTEGER")                                      \
    X(TEXT, state, "state TEXT NOT NULL")                                     \
    X(REAL, submitted, "submitted REAL")                                      \
    X(REAL, ready, "ready REAL")                                              \
    X(REAL, started, "started REAL")                                          \
    X(REAL, finished, "finished REAL")                                        \
    X(REAL, cpu, "cpu REAL")                                                  \
    X(INT, memory, "memory INTEGER")                                          \
    X(TEXT, dependency, "dependency TEXT")                                    \
    X(TEXT, waited, "waited TEXT")                                            \
    X(TEXT, kind, "kind TEXT")                                                \
    X(TEXT, message, "message TEXT")                                          \
    X(TEXT, cause, "cause TEXT")                                              \
    X(INT, status, "status INTEGER")                                          \
    X(INT, signal, "signal INTEGER")                                          \
    X(TEXT, traceback, "traceback TEXT")                                      \
    X(BLOB, digest, "digest BLOB")                                            \
    X(INT, identity, "identity INTEGER")                                      \
    X(INT, code, "code INTEGER")                                              \
    X(BLOB, arguments, "arguments BLOB")                                      \
    X(TEXT, files, "files TEXT")                                              \
    X(TEXT, output, "output TEXT")                                            \
    X(INT, result_sum, "result_sum INTEGER")

#define FRI_FIELD_INT int64_t
#define FRI_FIELD_REAL double
#define FRI_FIELD_TEXT struct fri_bytes
#define FRI_FIELD_BLOB struct fri_bytes
#define FRI_FIELD_CELL struct fri_cell
#define FRI_FIELD(kind, field, sql) FRI_FIELD_##kind field;

struct fri_task_row {
    int64_t id;
    FRI_ROW_COLUMNS(FRI_FIELD)
    int64_t sum;
    struct fri_bytes result;
};

#endif
