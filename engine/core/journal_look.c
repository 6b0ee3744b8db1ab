/*
 * journal_look.c - what a journal has of a task that is about to run.
 *
 * A row is used only if it is whole, has the key that was asked for, and the
 * files that it hangs on are as they were.
 */
#ifndef FRUN_NO_JOURNAL
#include "core/journal_private.h"

#include "data/codec.h"

#include <stdio.h>

bool fri_journal_prepare(frun_journal *j, char why[FRI_WHY])
{
    char sql[1024];

    snprintf(sql, sizeof sql, "SELECT %s FROM task WHERE id=?",
             fri_row_columns(true));
    if (sqlite3_prepare_v3(j->reader, sql, -1, SQLITE_PREPARE_PERSISTENT,
                           &j->find, NULL)
        == SQLITE_OK)
        return true;
    return fri_journal_refuse(why, j->path, "cannot be read: %s",
                              sqlite3_errmsg(j->reader));
}

struct fri_found {
    const struct fri_memory *memory;
    char *pool;
    uint8_t bytes[];
};

static bool fill(frun_journal *j, const struct fri_task_row *row,
                 struct fri_kept *entry)
{
    size_t n = row->result.length, m = row->pool.length;
    struct fri_found *found
        = fri_alloc(&j->engine->memory, sizeof *found + n + m + 1);

    if (!found)
        return false;
    found->memory = &j->engine->memory;
    memcpy(found->bytes, row->result.data, n);
    found->pool = (char *)found->bytes + n;
    memcpy(found->pool, row->pool.data ? row->pool.data : "", m);
    found->pool[m] = '\0';
    *entry = (struct fri_kept){
        .id = row->id, .result = found->bytes, .length = n,
        .pool = found->pool, .found = found,
        .worker = row->worker == FRI_NO_NUMBER ? 0 : (int)row->worker,
        .attempts = (int)row->attempts, .submitted = row->submitted,
        .started = row->started, .finished = row->finished,
        .cpu = isnan(row->cpu) ? 0 : row->cpu,
        .memory = row->memory == FRI_NO_NUMBER ? 0 : row->memory,
    };
    return true;
}

void fri_kept_free(struct fri_kept *entry)
{
    if (entry->found)
        fri_free(entry->found->memory, entry->found);
    entry->found = NULL;
}

static bool is_good(const struct fri_task_row *row, const struct fri_key *key)
{
    return row->result.data && row->digest.length == FRI_DIGEST
           && memcmp(row->digest.data, key->digest, FRI_DIGEST) == 0
           && fri_row_is_whole(row, true)
           && fri_check_plain(row->result.data, row->result.length);
}

static void say_damaged(frun_journal *j, int64_t id)
{
    char line[FRI_WHY];

    fri_journal_refuse(line, j->path,
                       "row %lld is damaged; its task will run again",
                       (long long)id);
    fri_journal_say(j, line);
}

/* Many are read in one transaction, since to begin one takes as long as to
 * read a row.  It ends before the log is moved, which it would keep from
 * beginning anew; without a log nobody could write meanwhile. */
static void begin_reading(frun_journal *j)
{
    if (j->wal && !j->reading)
        j->reading = fri_sql(j->reader, "BEGIN") == SQLITE_OK;
}

void fri_journal_end_reading(frun_journal *j)
{
    pthread_mutex_lock(&j->lock);
    if (j->reading)
        fri_sql(j->reader, "COMMIT");
    j->reading = false;
    pthread_mutex_unlock(&j->lock);
}

/* NULL: the entry is filled; else why not. */
static const char *read_entry(frun_journal *j, int64_t id,
                              const struct fri_key *key,
                              struct fri_kept *entry)
{
    struct fri_task_row row;
    char path[FRI_JOURNAL_PATH];
    const char *what = NULL;

    begin_reading(j);
    sqlite3_bind_int64(j->find, 1, id);
    if (sqlite3_step(j->find) != SQLITE_ROW) {
        what = "damaged row";
    } else {
        fri_row_read(j->find, true, &row);
        if (!is_good(&row, key))
            what = "damaged row";
        else if (fri_files_changed(row.files, path))
            what = "file changed";
        else if (!fill(j, &row, entry))
            what = "out of memory";
    }
    sqlite3_reset(j->find);
    return what;
}

enum fri_verdict fri_journal_look(frun_journal *j, const struct fri_key *key,
                                  struct fri_kept *entry, const char **what)
{
    const struct fri_loaded *found = fri_loaded_find(j, key, what);

    entry->found = NULL;
    if (!found)
        return *what ? FRI_JOURNAL_AGAIN : FRI_JOURNAL_NEW;
    pthread_mutex_lock(&j->lock);
    *what = read_entry(j, found->id, key, entry);
    pthread_mutex_unlock(&j->lock);
    if (!*what)
        return FRI_JOURNAL_HAS;
    if (strcmp(*what, "damaged row") == 0)
        say_damaged(j, found->id);
    return FRI_JOURNAL_AGAIN;
}

bool fri_journal_use(frun_journal *j, int64_t id)
{
    struct fri_use *use;

    if (j->read_only)
        return true;
    if (!fri_writer_start(j))
        return false;
    use = fri_alloc_zero(&j->engine->memory, sizeof *use);
    if (!use)
        return false;
    use->memory = &j->engine->memory;
    use->item.use = true;
    use->id = id;
    fri_writer_queue(j, &use->item, false);
    return true;
}

#endif
