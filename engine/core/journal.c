#ifndef FRUN_NO_JOURNAL
#define _GNU_SOURCE
#include "core/journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    OPEN_WAIT = 5000, /* ms for who reads a file that has no log */
    READ_WAIT = 2000
};

/* ---- the struct ------------------------------------------------------- */

static void journal_free(struct fri_handle *handle)
{
    frun_journal *j = (frun_journal *)(void *)handle;
    struct fri_memory m = j->own;

    fri_journal_unload(j);
    fri_buffer_free(&j->room);
    fri_free(&m, j->script);
    fri_free(&m, j->options);
    fri_free(&m, j->vm);
    fri_free(&m, j->path);
    pthread_mutex_destroy(&j->lock);
    pthread_mutex_destroy(&j->wake_lock);
    pthread_cond_destroy(&j->wake);
    pthread_cond_destroy(&j->answer);
    fri_free(&m, j);
}

static void open_locks(frun_journal *j)
{
    pthread_condattr_t attr;

    pthread_mutex_init(&j->lock, NULL);
    pthread_mutex_init(&j->wake_lock, NULL);
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&j->wake, &attr);
    pthread_cond_init(&j->answer, &attr);
    pthread_condattr_destroy(&attr);
}

static double wall_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static frun_journal *journal_new(frun_engine *e, const char *path,
                                 bool read_only)
{
    frun_journal *j = fri_alloc_zero(&e->memory, sizeof *j);

    if (!j)
        return NULL;
    j->own = e->memory;
    j->memory = &j->own;
    atomic_init(&j->handle.refs, 1);
    j->handle.free = journal_free;
    j->engine = e;
    j->read_only = read_only;
    j->lock_fd = -1;
    j->run = 1;
    j->started = wall_clock();
    j->new_seed = e->seed;
    j->batch_end = &j->batch;
    fri_buffer_init(&j->room, j->memory);
    open_locks(j);
    j->path = fri_strdup(j->memory, path);
    if (j->path)
        return j;
    journal_free(&j->handle);
    return NULL;
}

/* ---- connections ------------------------------------------------------ */

/* Nothing of the file's own runs: no triggers, no functions in its views. */
static bool connect_to(frun_journal *j, bool write, sqlite3 **db,
                       char why[FRI_WHY])
{
    int flags = SQLITE_OPEN_NOMUTEX
                | (write ? SQLITE_OPEN_READWRITE : SQLITE_OPEN_READONLY);
    int status = j->read_only ? fri_sql_look(j->path, db, flags)
                              : sqlite3_open_v2(j->path, db, flags, NULL);

    if (status != SQLITE_OK)
        return fri_journal_refuse(why, j->path, "cannot be opened: %s",
                                  *db ? sqlite3_errmsg(*db) : "out of memory");
    sqlite3_extended_result_codes(*db, 1);
    sqlite3_busy_timeout(*db, write ? OPEN_WAIT : READ_WAIT);
    sqlite3_db_config(*db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(*db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    fri_sql(*db, "PRAGMA cell_size_check=ON");
    return true;
}

/* A file that is refused stays as it is, and so does its log. */
static void leave_untouched(sqlite3 *db, bool on)
{
    sqlite3_db_config(db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, on, NULL);
}

static int on_commit(void *user, sqlite3 *db, const char *name, int pages)
{
    frun_journal *j = user;

    (void)db;
    (void)name;
    j->pages = pages;
    return SQLITE_OK;
}

/* Runs a pragma that gives a word; an SQLite status, ERROR: another word. */
static int set_mode(sqlite3 *db, const char *pragma, const char *wanted)
{
    sqlite3_stmt *s = NULL;
    int status = sqlite3_prepare_v2(db, pragma, -1, &s, NULL);

    if (status == SQLITE_OK && (status = sqlite3_step(s)) == SQLITE_ROW)
        status = strcmp((const char *)sqlite3_column_text(s, 0), wanted) == 0
                     ? SQLITE_OK
                     : SQLITE_ERROR;
    sqlite3_finalize(s);
    return status;
}

/* A log where that works; else each commit is synced. */
int fri_journal_choose(frun_journal *j)
{
    sqlite3 *db = j->writer;
    int status = SQLITE_ERROR;

    sqlite3_busy_timeout(db, 0); /* the thread has its own way to wait */
    sqlite3_wal_hook(db, on_commit, j);
    if (fri_journal_is_local(j->path))
        status = set_mode(db, "PRAGMA journal_mode=WAL", "wal");
    if ((status & 0xff) == SQLITE_BUSY)
        return status;
    pthread_mutex_lock(&j->lock);
    j->wal = status == SQLITE_OK;
    pthread_mutex_unlock(&j->lock);
    if (!j->wal)
        status = set_mode(db, "PRAGMA journal_mode=TRUNCATE", "truncate");
    if (status == SQLITE_OK)
        status = fri_sql(db, j->wal ? "PRAGMA synchronous=NORMAL"
                                    : "PRAGMA synchronous=FULL");
    j->chosen = status == SQLITE_OK;
    return status;
}

/* ---- opening ---------------------------------------------------------- */

static bool may_write(frun_journal *j, char why[FRI_WHY])
{
    if (faccessat(AT_FDCWD, j->path, R_OK | W_OK, AT_EACCESS) == 0)
        return true;
    return fri_journal_refuse(why, j->path, "cannot be written: %s",
                              strerror(errno));
}

static void say_bad(frun_journal *j)
{
    char line[FRI_WHY];

    if (j->keys.bad == 0)
        return;
    fri_journal_refuse(line, j->path, "%zu damaged row%s; %s run again",
                       j->keys.bad, j->keys.bad == 1 ? "" : "s",
                       j->keys.bad == 1 ? "its task will" : "their tasks will");
    fri_journal_say(j, line);
}

/* What stands there is looked at again now that nobody else can change it. */
static bool make_or_check(frun_journal *j, bool *made, char why[FRI_WHY])
{
    char real[FRI_JOURNAL_PATH];

    if (!fri_journal_find(j->path, real, made, why))
        return false;
    return *made ? fri_journal_make(j->path, why)
                 : may_write(j, why) && fri_journal_check(j->path, why);
}

static bool has_beside(const frun_journal *j, const char *end, bool remove)
{
    char name[FRI_JOURNAL_PATH + 8];
    struct stat st;

    snprintf(name, sizeof name, "%s%s", j->path, end);
    if (remove && stat(name, &st) == 0
        && (st.st_size == 0 || strcmp(end, "-shm") == 0))
        unlink(name);
    return access(name, F_OK) == 0;
}

static bool load_untouched(frun_journal *j, char why[FRI_WHY])
{
    bool had = has_beside(j, "-shm", false);

    if (!connect_to(j, true, &j->writer, why))
        return false;
    leave_untouched(j->writer, true);
    if (fri_journal_load(j, why)) {
        leave_untouched(j->writer, false);
        return true;
    }
    sqlite3_close(j->writer);
    j->writer = NULL;
    if (!had) {
        has_beside(j, "-shm", true);
        has_beside(j, "-wal", true);
    }
    return false;
}

static bool is_file(frun_journal *j, bool note)
{
    struct stat st;

    if (stat(j->path, &st) != 0)
        return false;
    if (note) {
        j->device = st.st_dev;
        j->inode = st.st_ino;
    }
    return j->device == st.st_dev && j->inode == st.st_ino;
}

/* A new file gets its log while nobody reads it: to change that later has to
 * wait for all who do. */
static bool open_to_write(frun_journal *j, char why[FRI_WHY])
{
    bool made;

    j->lock_fd = fri_journal_lock(j->path, why);
    if (j->lock_fd < 0 || !make_or_check(j, &made, why)
        || !load_untouched(j, why))
        return false;
    if (!is_file(j, true))
        return fri_journal_refuse(why, j->path, "cannot be opened: %s",
                                  strerror(errno));
    if (made && fri_journal_choose(j) != SQLITE_OK)
        return fri_journal_refuse(why, j->path, "cannot be opened: %s",
                                  sqlite3_errmsg(j->writer));
    if (!connect_to(j, false, &j->reader, why) || !fri_journal_prepare(j, why))
        return false;
    j->wal = set_mode(j->writer, "PRAGMA journal_mode", "wal") == SQLITE_OK;
    j->committed_row = j->last_row;
    j->committed_code = j->last_code;
    say_bad(j);
    return true;
}

static bool open_to_read(frun_journal *j, bool missing, char why[FRI_WHY])
{
    if (missing)
        return true;
    if (!fri_journal_check(j->path, why)
        || !connect_to(j, false, &j->writer, why)
        || !fri_journal_load(j, why))
        return false;
    j->reader = j->writer;
    j->writer = NULL;
    return fri_journal_prepare(j, why);
}

static frun_journal *find_open(frun_engine *e, const char *path)
{
    frun_journal *j;

    fri_lock(e);
    j = e->journals;
    while (j && strcmp(j->path, path) != 0)
        j = j->next;
    if (j)
        fri_handle_ref(&j->handle);
    fri_unlock(e);
    return j;
}

static void close_file(frun_journal *j);

frun_status fri_journal_open(frun_engine *e, const char *path, bool read_only,
                             frun_journal **journal, char why[FRI_WHY])
{
    char real[FRI_JOURNAL_PATH];
    bool missing;
    frun_journal *j;

    if (!fri_journal_find(path, real, &missing, why))
        return FRUN_EJOURNAL;
    *journal = find_open(e, real);
    if (*journal)
        return FRUN_OK;
    j = journal_new(e, real, read_only);
    if (!j)
        return FRUN_ENOMEM;
    if (!(read_only ? open_to_read(j, missing, why) : open_to_write(j, why))) {
        close_file(j);
        journal_free(&j->handle);
        return FRUN_EJOURNAL;
    }
    fri_handle_ref(&j->handle);
    fri_lock(e);
    j->next = e->journals;
    e->journals = j;
    fri_unlock(e);
    *journal = j;
    return FRUN_OK;
}

void fri_journal_close(frun_journal *j)
{
    if (j)
        fri_handle_unref(&j->handle);
}

const char *fri_journal_path(const frun_journal *j)
{
    return j->path;
}

bool fri_journal_seed(const frun_journal *j, uint64_t *seed)
{
    *seed = j->seed;
    return j->has_seed;
}

void fri_journal_begin(frun_journal *j, const struct fri_facts *facts)
{
    pthread_mutex_lock(&j->lock);
    if (!j->begun) {
        j->begun = true;
        j->script = fri_strdup(j->memory, facts->script);
        j->options = fri_strdup(j->memory, facts->options);
        j->vm = fri_strdup(j->memory, facts->vm);
        j->new_seed = facts->seed;
    }
    pthread_mutex_unlock(&j->lock);
}

/* ---- the end ---------------------------------------------------------- */

static bool why_failed(frun_journal *j, char why[FRI_WHY])
{
    bool failed;

    pthread_mutex_lock(&j->wake_lock);
    failed = j->failed || j->failing || j->lost > 0;
    if (failed && j->lost > 0)
        snprintf(why, FRI_WHY, "journal %.400s; %llu task%s not kept", j->why,
                 (unsigned long long)j->lost, j->lost == 1 ? " is" : "s are");
    else if (failed)
        snprintf(why, FRI_WHY, "journal %.480s", j->why);
    pthread_mutex_unlock(&j->wake_lock);
    return failed;
}

frun_journal *fri_journal_at(frun_engine *e, uintptr_t address)
{
    frun_journal *j = e->journals;

    while (j && (uintptr_t)j != address)
        j = j->next;
    return j;
}

static frun_journal *first(frun_engine *e)
{
    frun_journal *j;

    fri_lock(e);
    j = e->journals;
    fri_unlock(e);
    return j;
}

bool fri_journals_failed(frun_engine *e, char why[FRI_WHY])
{
    for (frun_journal *j = first(e); j; j = j->next)
        if (why_failed(j, why))
            return true;
    return false;
}

/* SQLite leaves a file that has gone, and its log, as they are. */
static bool has_gone(frun_journal *j, char why[FRI_WHY])
{
    if (j->lock_fd < 0 || is_file(j, false))
        return false;
    snprintf(why, FRI_WHY,
             "journal %.300s: it was moved or removed while the run went on; "
             "what the run has done is not kept there",
             j->path);
    return true;
}

frun_status fri_journals_flush(frun_engine *e, char why[FRI_WHY])
{
    for (frun_journal *j = first(e); j; j = j->next)
        fri_writer_flush(j);
    for (frun_journal *j = first(e); j; j = j->next)
        if (has_gone(j, why))
            return FRUN_EJOURNAL;
    return fri_journals_failed(e, why) ? FRUN_EJOURNAL : FRUN_OK;
}

/* One file is left, without a log beside it, unless somebody reads it. */
static void close_file(frun_journal *j)
{
    sqlite3_finalize(j->find);
    sqlite3_close(j->reader);
    sqlite3_finalize(j->insert);
    sqlite3_finalize(j->insert_use);
    sqlite3_finalize(j->insert_code);
    sqlite3_finalize(j->insert_now);
    sqlite3_close(j->writer); /* moves what is left of the log */
    fri_journal_unlock(j->path, j->lock_fd);
    j->reader = j->writer = NULL;
    j->lock_fd = -1;
}

void fri_journals_close(frun_engine *e)
{
    frun_journal *j;

    while ((j = first(e)) != NULL) {
        fri_writer_stop(j);
        close_file(j);
        fri_lock(e);
        e->journals = j->next;
        fri_unlock(e);
        fri_handle_unref(&j->handle);
    }
}

#endif
