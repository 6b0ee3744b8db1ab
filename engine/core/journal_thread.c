/*
 * journal_thread.c - the thread that writes a journal.
 *
 * It begins with the first thing that is to be written, so that a file of
 * which a run only reads stays as it is.  It sleeps until something is queued,
 * waits GATHER for what comes with it, writes all of that in one transaction,
 * and, while tasks are left to run, refreshes the table `now` each second.
 *
 * Rules.
 *  1. Who queues wakes it only if it rests: once for each batch.
 *  2. A failure that may pass (the disk is full, somebody reads a file that has
 *     no log) is tried again; the run has failed if the last try did.  Any
 *     other is final: after a sync that has failed the next may say that all
 *     is well though it is not.
 *  3. Held tasks are settled in any case: as failed where their rows are not
 *     there.
 */
#ifndef FRUN_NO_JOURNAL
#define _GNU_SOURCE
#include "core/journal_private.h"

#include "core/settle.h"

#include <errno.h>
#include <stdio.h>

#define GATHER (FRI_SECOND / 20) /* a commit comes each 0.1 s */
#define RETRY (FRI_SECOND / 2)
#define NOW FRI_SECOND /* between two pictures of what runs */
#define PATIENCE (10 * FRI_SECOND) /* with who reads, at the end */

enum {
    MOST = 2048, /* items of a transaction: some 20 ms */
    LOG = 1000   /* pages of the log, as SQLite's default */
};

void fri_journal_say(frun_journal *j, const char *line)
{
    const frun_engine_options *o = &j->engine->options;
    char text[FRI_WHY + 16];

    snprintf(text, sizeof text, "journal %s", line);
    if (o->log)
        o->log(o->log_user, text);
}

/* ---- queueing --------------------------------------------------------- */

static void poke(frun_journal *j)
{
    pthread_mutex_lock(&j->wake_lock);
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->wake_lock);
}

void fri_writer_queue(frun_journal *j, struct fri_item *item, bool urgent)
{
    struct fri_item *top = atomic_load_explicit(&j->queue,
                                                memory_order_relaxed);

    do {
        item->next = top;
    } while (!atomic_compare_exchange_weak_explicit(
        &j->queue, &top, item, memory_order_release, memory_order_relaxed));
    if (urgent)
        atomic_store(&j->hurry, true);
    if (!top || urgent)
        poke(j);
}

void fri_writer_expect(frun_journal *j)
{
    if (!atomic_load_explicit(&j->resting, memory_order_relaxed))
        return;
    pthread_mutex_lock(&j->wake_lock);
    if (atomic_exchange(&j->resting, false))
        j->now_at = fri_now() + NOW;
    pthread_cond_signal(&j->wake);
    pthread_mutex_unlock(&j->wake_lock);
}

/* Appends what is queued, in its order, to the batch. */
static void take(frun_journal *j)
{
    struct fri_item *i = atomic_exchange_explicit(&j->queue, NULL,
                                                  memory_order_acquire);
    struct fri_item *first = NULL, *last = i, *next;

    for (; i; i = next, j->batch_count++) {
        next = i->next;
        i->next = first;
        first = i;
    }
    if (!first)
        return;
    *j->batch_end = first;
    j->batch_end = &last->next;
}

/* ---- failures --------------------------------------------------------- */

static int errno_of(sqlite3 *db, int op)
{
    sqlite3_file *file = NULL;
    int error = 0;

    if (sqlite3_file_control(db, "main", op, &file) != SQLITE_OK || !file
        || !file->pMethods
        || file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &error)
               != SQLITE_OK)
        return 0;
    return error;
}

/* The system's own word for what went wrong, if it had one: SQLite's log keeps
 * it for itself. */
static int last_errno(sqlite3 *db)
{
    int error = sqlite3_system_errno(db);

    if (!error)
        error = errno_of(db, SQLITE_FCNTL_JOURNAL_POINTER);
    return error ? error : errno_of(db, SQLITE_FCNTL_FILE_POINTER);
}

static bool may_pass(int status, int error)
{
    int kind = status & 0xff;

    return kind == SQLITE_FULL || kind == SQLITE_BUSY || kind == SQLITE_LOCKED
           || kind == SQLITE_NOMEM
           || (kind == SQLITE_IOERR && status != SQLITE_IOERR_FSYNC
               && status != SQLITE_IOERR_DIR_FSYNC
               && (error == ENOSPC || error == EDQUOT || error == EFBIG));
}

const char *fri_journal_words(sqlite3 *db, int status)
{
    int error = last_errno(db);

    if ((status & 0xff) == SQLITE_FULL)
        return strerror(ENOSPC);
    if ((status & 0xff) == SQLITE_IOERR && error)
        return strerror(error);
    return sqlite3_errstr(status);
}

static bool is_busy(int status)
{
    return (status & 0xff) == SQLITE_BUSY || (status & 0xff) == SQLITE_LOCKED;
}

/* Says the first failure, and that it has passed. */
static void note(frun_journal *j, int status, bool passes)
{
    bool first;

    pthread_mutex_lock(&j->wake_lock);
    first = !j->failing && !is_busy(status);
    j->failing = j->failing || !is_busy(status);
    j->failed = !passes;
    fri_journal_refuse(j->why, j->path, "cannot be written: %s",
                       fri_journal_words(j->writer, status));
    pthread_mutex_unlock(&j->wake_lock);
    if (first)
        fri_journal_say(j, j->why);
}

static void note_fine(frun_journal *j)
{
    char line[FRI_WHY];
    bool was;

    pthread_mutex_lock(&j->wake_lock);
    was = j->failing;
    j->failing = false;
    pthread_mutex_unlock(&j->wake_lock);
    if (!was)
        return;
    fri_journal_refuse(line, j->path, "can be written again, nothing is lost");
    fri_journal_say(j, line);
}

/* The batch ends; `error`: nothing of it was written. */
static void end_batch(frun_journal *j, const char *error)
{
    struct fri_item *i, *next;

    if (error) {
        pthread_mutex_lock(&j->wake_lock);
        j->lost += j->batch_count;
        pthread_mutex_unlock(&j->wake_lock);
    }
    i = j->batch;
    j->batch = NULL;
    j->batch_end = &j->batch;
    j->batch_count = 0;
    for (; i; i = next) {
        next = i->next;
        fri_item_done(i, error);
    }
}

/* Held tasks do not wait until a failure has passed. */
static void fail_held(frun_journal *j)
{
    struct fri_item **link = &j->batch, *i;

    while ((i = *link) != NULL) {
        if (i->use || !((struct fri_keep *)i)->held) {
            link = &i->next;
            continue;
        }
        *link = i->next;
        j->batch_count--;
        fri_item_done(i, j->why);
    }
    j->batch_end = link;
}

/* ---- writing ---------------------------------------------------------- */

/* Of the batch what fits one transaction; the rest waits in *rest. */
static void split(frun_journal *j, struct fri_item **rest)
{
    struct fri_item *i = j->batch;

    *rest = NULL;
    for (int n = 1; i && n < MOST; n++)
        i = i->next;
    if (!i)
        return;
    *rest = i->next;
    i->next = NULL;
    j->batch_end = &i->next;
}

static void join(frun_journal *j, struct fri_item *rest)
{
    *j->batch_end = rest;
    while (*j->batch_end)
        j->batch_end = &(*j->batch_end)->next;
}

static bool has_held(const struct fri_item *i)
{
    while (i && (i->use || !((const struct fri_keep *)i)->held))
        i = i->next;
    return i != NULL;
}

static int write_once(frun_journal *j)
{
    int status = j->chosen ? SQLITE_OK : fri_journal_choose(j);

    if (status == SQLITE_OK)
        status = fri_batch_write(j, has_held(j->batch));

    if (status != SQLITE_OK) {
        bool passes = may_pass(sqlite3_extended_errcode(j->writer),
                               last_errno(j->writer));

        note(j, sqlite3_extended_errcode(j->writer), passes);
        fri_batch_undo(j);
        j->retry = fri_now() + (is_busy(status) ? GATHER : RETRY);
        return status;
    }
    j->retry = 0;
    note_fine(j);
    end_batch(j, NULL);
    if (j->pages >= LOG)
        status = fri_log_move(j, false);
    if (status != SQLITE_OK)
        note(j, sqlite3_extended_errcode(j->writer), false);
    return status;
}

/* All that was taken. */
static void write_all(frun_journal *j)
{
    struct fri_item *rest;
    int status = SQLITE_OK;

    atomic_store(&j->hurry, false);
    take(j);
    while (!j->failed && status == SQLITE_OK && j->batch) {
        size_t all = j->batch_count, left;

        split(j, &rest);
        left = rest ? all - MOST : 0;
        j->batch_count = all - left;
        status = write_once(j);
        join(j, rest);
        j->batch_count += left;
        take(j);
    }
    if (j->failed)
        end_batch(j, j->why);
    else if (status != SQLITE_OK && !is_busy(status))
        fail_held(j);
}

static void refresh(frun_journal *j)
{
    fri_time now = fri_now(), at;
    bool live = false;

    pthread_mutex_lock(&j->wake_lock);
    at = j->now_at;
    pthread_mutex_unlock(&j->wake_lock);
    if (j->failed || now < at)
        return;
    if (!j->chosen)
        fri_journal_choose(j);
    if (fri_now_write(j, &live) != SQLITE_OK)
        fri_batch_undo(j); /* only a picture: the next one may come */
    if (j->pages >= LOG && fri_log_move(j, false) != SQLITE_OK)
        note(j, sqlite3_extended_errcode(j->writer), false);
    pthread_mutex_lock(&j->wake_lock);
    j->now_at = live ? fri_now() + NOW : FRI_NEVER;
    atomic_store(&j->resting, !live);
    pthread_mutex_unlock(&j->wake_lock);
}

/* ---- the end ---------------------------------------------------------- */

/* Writes all, and syncs it; tries for a while where somebody reads. */
static void write_to_the_end(frun_journal *j)
{
    struct timespec nap = { .tv_nsec = (long)GATHER };
    fri_time until = fri_now() + PATIENCE;

    write_all(j);
    while (j->batch && !j->failed && is_busy(sqlite3_errcode(j->writer))
           && fri_now() < until) {
        nanosleep(&nap, NULL);
        write_all(j);
    }
    if (!j->failed && !j->batch && fri_log_move(j, false) != SQLITE_OK)
        note(j, sqlite3_extended_errcode(j->writer), false);
    pthread_mutex_lock(&j->wake_lock);
    j->failing = j->failing || j->batch;
    pthread_mutex_unlock(&j->wake_lock);
}

static void finish(frun_journal *j)
{
    write_to_the_end(j);
    if (!j->failed && !j->batch) {
        fri_now_clear(j);
        fri_facts_end(j);
        if (fri_log_move(j, true) != SQLITE_OK)
            note(j, sqlite3_extended_errcode(j->writer), false);
    }
    if (j->batch)
        end_batch(j, j->why);
}

/* ---- the thread ------------------------------------------------------- */

static void rest_until(frun_journal *j, fri_time until)
{
    struct timespec t = { .tv_sec = (time_t)(until / FRI_SECOND),
                          .tv_nsec = (long)(until % FRI_SECOND) };

    if (until == FRI_NEVER)
        pthread_cond_wait(&j->wake, &j->wake_lock);
    else
        pthread_cond_timedwait(&j->wake, &j->wake_lock, &t);
}

static bool is_urgent(const frun_journal *j)
{
    return j->stop || j->flushes != j->flushed || atomic_load(&j->hurry);
}

/* When there is something to do: at once, when what came has company, or when
 * `now` is due. */
static void await_work(frun_journal *j)
{
    fri_time gather = 0, until;

    pthread_mutex_lock(&j->wake_lock);
    while (!is_urgent(j)) {
        fri_time now = fri_now();

        if (atomic_load(&j->queue) && !gather)
            gather = now + GATHER;
        until = gather ? gather : FRI_NEVER;
        if (j->batch && j->retry > until)
            until = j->retry; /* the queue waits, too */
        else if (j->batch && until == FRI_NEVER)
            until = j->retry;
        if (j->now_at < until)
            until = j->now_at;
        if (until <= now)
            break;
        rest_until(j, until);
    }
    pthread_mutex_unlock(&j->wake_lock);
}

static void answer(frun_journal *j, unsigned asked)
{
    pthread_mutex_lock(&j->wake_lock);
    j->flushed = asked;
    pthread_cond_broadcast(&j->answer);
    pthread_mutex_unlock(&j->wake_lock);
}

static void *write_loop(void *user)
{
    frun_journal *j = user;
    bool stop = false;

    pthread_setname_np(pthread_self(), "flowrun-journal");
    while (!stop) {
        unsigned asked;

        await_work(j);
        pthread_mutex_lock(&j->wake_lock);
        asked = j->flushes;
        stop = j->stop;
        pthread_mutex_unlock(&j->wake_lock);
        if (asked != j->flushed)
            write_to_the_end(j);
        else if (!j->batch || atomic_load(&j->hurry) || fri_now() >= j->retry)
            write_all(j);
        if (asked != j->flushed)
            answer(j, asked);
        refresh(j);
    }
    finish(j);
    return NULL;
}

bool fri_writer_start(frun_journal *j)
{
    bool running;

    pthread_mutex_lock(&j->wake_lock);
    if (!j->running) {
        j->now_at = fri_now() + NOW;
        j->running = fri_thread_start(&j->thread, 0, write_loop, j) == 0;
    }
    running = j->running;
    pthread_mutex_unlock(&j->wake_lock);
    return running;
}

void fri_writer_stop(frun_journal *j)
{
    pthread_mutex_lock(&j->wake_lock);
    j->stop = true;
    pthread_mutex_unlock(&j->wake_lock);
    if (!j->running)
        return;
    poke(j);
    pthread_join(j->thread, NULL);
    j->running = false;
}

bool fri_writer_flush(frun_journal *j)
{
    unsigned mine;
    bool fine;

    pthread_mutex_lock(&j->wake_lock);
    if (j->running) {
        mine = ++j->flushes;
        pthread_cond_signal(&j->wake);
        while ((int)(j->flushed - mine) < 0)
            pthread_cond_wait(&j->answer, &j->wake_lock);
    }
    fine = !j->failed && !j->failing;
    pthread_mutex_unlock(&j->wake_lock);
    return fine;
}

#endif
