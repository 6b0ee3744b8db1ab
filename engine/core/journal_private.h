/*
 * journal_private.h - what the files of the journal share.
 *
 * Threads.  The writer's thread (journal_write.c) has the connection `writer`
 * once it runs; before, and after it has ended, that is the opener's.  What
 * looks up entries has the connection `reader`, under `lock`, which also
 * guards `codes` (those that were loaded never change, nor do the keys).
 */
#ifndef FRI_JOURNAL_PRIVATE_H
#define FRI_JOURNAL_PRIVATE_H

#include "core/journal.h"
#include "core/journal_row.h"

#include <sqlite3.h>

#include <math.h>
#include <stdatomic.h>

/* ---- the file (journal_file.c, journal_lock.c) ------------------------ */

enum { FRI_JOURNAL_PATH = 4096 };

/* The one path of what `path` names, into `real`; what stands there must be a
 * regular file of one name, or nothing (*missing).  False: `why`. */
bool fri_journal_find(const char *path, char real[FRI_JOURNAL_PATH],
                      bool *missing, char why[FRI_WHY]);

/* Takes PATH.lock; its descriptor, or < 0: `why`. */
int fri_journal_lock(const char *path, char why[FRI_WHY]);
void fri_journal_unlock(const char *path, int fd); /* removes it */

/* The pid in PATH.lock, if another process holds it; else 0. */
long fri_journal_holder(const char *path);

/* Makes a new journal there, whole or not at all. */
bool fri_journal_make(const char *path, char why[FRI_WHY]);

/* Is what stands there, as far as its first bytes tell, a journal of this
 * version, and whole?  Only reads. */
bool fri_journal_check(const char *path, char why[FRI_WHY]);

/* Is the file on a disk of this machine? */
bool fri_journal_is_local(const char *path);

bool fri_journal_refuse(char why[FRI_WHY], const char *path,
                        const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* ---- the tables (journal_schema.c) ------------------------------------ */

enum {
    FRI_JOURNAL_ID = 0x666c6f77, /* "flow" */
    FRI_JOURNAL_VERSION = 1
};

extern const char fri_journal_schema[];

/* All columns of `task` in the order of struct fri_task_row, from 0: id, its
 * fields, sum, result; without the result when it is not wanted. */
const char *fri_row_columns(bool result);

/* Binds, or reads, such a row; texts live as long as the statement's row. */
int fri_row_bind(sqlite3_stmt *s, const struct fri_task_row *row);
void fri_row_read(sqlite3_stmt *s, bool result, struct fri_task_row *row);

int fri_cell_bind(sqlite3_stmt *s, int at, const struct fri_cell *cell);
void fri_cell_read(sqlite3_stmt *s, int at, struct fri_cell *cell);
int64_t fri_cells_sum(const struct fri_cell *cells, size_t n);

/* Columns of `run` that are known when it begins, from `id`; then its sum. */
enum { FRI_RUN_CELLS = 9, FRI_RUN_SEED = 4 };
#define FRI_RUN_COLUMNS                                                       \
    "id,started,script,options,seed,host,pid,flowrun,vm,sum"

int64_t fri_row_sum(const struct fri_task_row *row);
int64_t fri_bytes_sum(struct fri_bytes bytes, uint64_t seed);

/* Is the row as it was written?  With its result if that was read. */
bool fri_row_is_whole(const struct fri_task_row *row, bool result);

static inline struct fri_bytes fri_text(const char *text)
{
    return (struct fri_bytes){ text, text ? strlen(text) : 0 };
}

/* Runs statements without results. */
int fri_sql(sqlite3 *db, const char *sql);

/* Opens a file to be read only: where no log is beside it, none is made. */
int fri_sql_look(const char *path, sqlite3 **db, int flags);

/* ---- codes (journal_recipe.c) ------------------------------------------- */

struct fri_recipe {
    struct fri_recipe *next; /* of one hash */
    uint64_t digest; /* of all its parts */
    int64_t id;      /* 0: it has no row yet */
    size_t count;
    struct fri_recipe_part {
        char *name;
        uint64_t digest;
    } parts[];
};

struct fri_recipes {
    struct fri_recipe **heads; /* by hash, `size` of them */
    size_t size, count;
    struct fri_recipe **old; /* those that were loaded, by id */
    size_t old_count;
};

/* From a row; NULL: out of memory. */
struct fri_recipe *fri_recipe_read(const struct fri_memory *m, int64_t id,
                               const char *text, size_t length);
void fri_recipe_write(const struct fri_recipe *code, struct fri_buffer *out);
void fri_recipe_free(const struct fri_memory *m, struct fri_recipe *code);

/* Takes one that was loaded, in the order of ids; false: out of memory. */
bool fri_recipes_load(const struct fri_memory *m, struct fri_recipes *codes,
                    struct fri_recipe *code);
const struct fri_recipe *fri_recipes_old(const struct fri_recipes *codes,
                                     int64_t id);
void fri_recipes_free(const struct fri_memory *m, struct fri_recipes *codes);

/* The first part that differs, by class; NULL: none. */
const char *fri_recipe_changed(const struct fri_recipe *a,
                             const struct fri_recipe *b);

/* ---- keys that were loaded (journal_load.c) --------------------------- */

struct fri_loaded {
    uint8_t digest[FRI_DIGEST];
    int64_t id;
    uint64_t identity;
    uint32_t code;      /* its id */
    uint32_t arguments; /* a hash */
    uint8_t state;      /* FRI_DONE, FRI_FAILED, FRI_CANCELLED */
    bool result;        /* it has one */
    bool bad;           /* the row is damaged */
};

struct fri_index { /* open addressing; places are entries + 1 */
    uint32_t *places;
    size_t size; /* a power of two, or 0 */
};

struct fri_keys {
    struct fri_loaded *entries;
    size_t count, capacity;
    struct fri_index by_digest, by_identity;
    size_t bad;
};

/* ---- the journal ------------------------------------------------------ */

struct fri_item { /* what waits to be written */
    struct fri_item *next;
    bool use; /* a struct fri_use, else a struct fri_keep */
};

struct fri_use {
    struct fri_item item;
    const struct fri_memory *memory;
    int64_t id;
};

struct fri_keep {
    struct fri_item item;
    const struct fri_memory *memory;
    struct frun_journal *journal; /* while the task is not final */
    struct frun_future *task;     /* queued: a reference */
    const struct fri_limit *limit; /* the last that it waited at; kept by the
                                      task's spec */
    char *dependency;       /* the last that it waited for */
    struct fri_buffer files, output;
    fri_time ready;
    uint64_t identity;
    struct fri_recipe *recipe;
    uint8_t digest[FRI_DIGEST];
    uint64_t arguments[FRI_KEY_ARGUMENTS];
    uint8_t argument_count;
    bool durable;
    bool turn; /* the limit had room for it, but others came first */
    bool may_draw;           /* its digest is `drawn` if it drew numbers */
    struct fri_digest drawn;
    bool held; /* engine's lock: it waits to be settled, or has been */
};

struct frun_journal {
    struct fri_handle handle;
    frun_journal *next; /* of the engine, which has a reference */
    frun_engine *engine;
    const struct fri_memory *memory; /* the engine's; once closed &own */
    struct fri_memory own;
    char *path;
    int lock_fd;
    uint64_t device, inode; /* of the file that was opened to write */
    bool read_only;
    bool wal;    /* there is a log ... */
    bool chosen; /* ... or none, from now on */

    pthread_mutex_t lock;
    sqlite3 *reader; /* NULL: there is no file */
    sqlite3_stmt *find;
    bool reading; /* lock: in a transaction of `reader` */
    struct fri_keys keys;
    struct fri_recipes codes;

    int64_t run;   /* the number of this one */
    bool has_seed;
    uint64_t seed; /* of the last run */
    bool begun;    /* lock: there are facts */
    char *script, *options, *vm;
    uint64_t new_seed;
    double started; /* wall clock, seconds since 1970 */

    /* The writer's. */
    sqlite3 *writer;
    sqlite3_stmt *insert, *insert_use, *insert_code, *insert_now;
    int64_t last_row, last_code;           /* ids that were given, */
    int64_t committed_row, committed_code; /* and that are in the file */
    bool run_written;
    struct fri_item *batch, **batch_end; /* taken, not committed */
    size_t batch_count;
    int pages;        /* of the log, after the last commit */
    fri_time retry;   /* after a failure that may pass */
    bool now_written; /* it has rows */
    struct fri_buffer room;

    /* Its thread. */
    pthread_t thread;
    _Atomic(struct fri_item *) queue; /* the last first */
    atomic_bool hurry;                /* a durable task waits */
    atomic_bool resting;              /* no picture is due */
    pthread_mutex_t wake_lock;        /* for all that follows */
    pthread_cond_t wake, answer;
    bool running, stop;
    fri_time now_at; /* when the next picture of what runs is due */
    unsigned flushes, flushed; /* asked for, done */
    bool failed;               /* for good */
    bool failing;              /* what the last commit came to */
    uint64_t lost;
    char why[FRI_WHY];
};

/* journal_load.c: reads the keys, the codes and the last run through
 * `writer`.  False: `why`. */
bool fri_journal_load(frun_journal *j, char why[FRI_WHY]);
void fri_journal_unload(frun_journal *j);

/* The entry that stands for the key; NULL: *what is NULL for a new one, or
 * says why it cannot be used. */
const struct fri_loaded *fri_loaded_find(frun_journal *j,
                                         const struct fri_key *key,
                                         const char **what);

/* Digests of arguments as a row has them; their length. */
enum { FRI_ARGUMENT = 6 };
size_t fri_arguments_write(const uint64_t *arguments, size_t n,
                           uint8_t *bytes);

/* journal_thread.c */
bool fri_writer_start(frun_journal *j); /* false: no thread could be had */
void fri_writer_stop(frun_journal *j);  /* all that is queued is written */
/* urgent: it is not to wait for others. */
void fri_writer_queue(frun_journal *j, struct fri_item *item, bool urgent);
/* Tasks are coming: pictures are wanted again. */
void fri_writer_expect(frun_journal *j);
bool fri_writer_flush(frun_journal *j); /* false: it has failed */
void fri_journal_say(frun_journal *j, const char *line);

/* journal_write.c: writes the batch.  An SQLite status. */
int fri_batch_write(frun_journal *j, bool durable);
void fri_batch_undo(frun_journal *j);
int fri_log_move(frun_journal *j, bool all); /* from the log to the file */
/* In a transaction; run_written is set when that is committed. */
int fri_facts_write(frun_journal *j);
int fri_facts_end(frun_journal *j);

/* journal_item.c: a row of a task, and where it stands in part. */
struct fri_row_room {
    char name[32], waited[160];
    uint8_t arguments[FRI_ARGUMENT * FRI_KEY_ARGUMENTS];
    struct fri_buffer result, cause, output;
};
void fri_item_row(const struct fri_keep *k, struct fri_task_row *row,
                  struct fri_row_room *room);

void fri_key_cell(const struct frun_future *task, struct fri_cell *cell);

/* The item was written, or was not (error, a text): it goes. */
void fri_item_done(struct fri_item *item, const char *error);

/* journal_now.c: refreshes the table `now`, or empties it when nothing is
 * left to run (not *live); an SQLite status. */
int fri_now_write(frun_journal *j, bool *live);
int fri_now_clear(frun_journal *j);

/* journal_files.c: is a file of a row's `files` not as it was?  Its path. */
bool fri_files_changed(struct fri_bytes files, char path[FRI_JOURNAL_PATH]);

/* journal.c: chooses how the file is written; an SQLite status. */
int fri_journal_choose(frun_journal *j);

/* journal_look.c: `reader` is there. */
bool fri_journal_prepare(frun_journal *j, char why[FRI_WHY]);
void fri_journal_end_reading(frun_journal *j);

/* What happened to the database, in words. */
const char *fri_journal_words(sqlite3 *db, int status);

#endif
