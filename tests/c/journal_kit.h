/*
 * journal_kit.h - what the tests of the journal share: an engine with tasks in
 * C that are kept, and a directory of its own.
 *
 * A "case" n returns the list { n, "case n" }; its key is made of n and of a
 * version, its identity of n alone.
 */
#ifndef JOURNAL_KIT_H
#define JOURNAL_KIT_H

#include "kit.h"

#include "api/api.h"
#include "base/hash.h"
#include "core/journal.h"
#include "data/codec.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char kit_dir[128], kit_path[160];
static char kit_said[2000]; /* what the engine has logged */

/* memory: where a sync costs nothing, if there is such a place. */
static inline void kit_journal_in(bool memory)
{
    const char *above = getenv("TMPDIR");

    if (memory && access("/dev/shm", W_OK) == 0)
        above = "/dev/shm";
    snprintf(kit_dir, sizeof kit_dir, "%s/flowrun-journal.XXXXXX",
             above ? above : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(kit_dir));
    snprintf(kit_path, sizeof kit_path, "%s/run.journal", kit_dir);
}

static inline void kit_journal_dir(void)
{
    kit_journal_in(false);
}

static inline void kit_journal_drop(void)
{
    char command[160];

    snprintf(command, sizeof command, "rm -rf '%s'", kit_dir);
    ck_assert_int_eq(system(command), 0);
}

static inline void kit_log(void *user, const char *line)
{
    size_t n = strlen(kit_said);

    (void)user;
    snprintf(kit_said + n, sizeof kit_said - n, "%s\n", line);
}

static inline frun_engine *kit_logged_engine(void)
{
    frun_engine_options o = { .log = kit_log };
    frun_engine *e;

    kit_said[0] = '\0';
    ok(frun_engine_open(&o, &e));
    return e;
}

/* ---- cases ------------------------------------------------------------ */

static inline frun_status kit_case(frun_task *task, const frun_value *argument,
                                   frun_value **result)
{
    char text[32];
    int64_t n = frun_value_as_int(argument);

    if (n < 0)
        return frun_task_fail(task, "case %lld is below zero", (long long)n);
    snprintf(text, sizeof text, "case %lld", (long long)n);
    *result = frun_value_list();
    ok(frun_value_push(*result, frun_value_int(n)));
    ok(frun_value_push(*result, frun_value_str(text, strlen(text))));
    return FRUN_OK;
}

static inline void kit_key(frun_journal *j, int64_t n, uint64_t version,
                           struct fri_key *key)
{
    struct fri_part parts[] = { { "function kit_case", version },
                                { "vm", 1 } };
    uint64_t halves[2] = { fri_mix((uint64_t)n + 1), fri_mix(version) };

    memset(key, 0, sizeof *key);
    memcpy(key->digest, halves, sizeof key->digest);
    key->identity = fri_mix((uint64_t)n + 77);
    key->recipe = fri_journal_recipe(j, parts, 2);
    key->arguments[0] = (uint64_t)n;
    key->argument_count = 1;
}

struct kit_ask { /* what is asked of a case beyond its number */
    frun_function *function;
    const char *name;
    uint64_t version;
    bool durable;
    frun_policy policy;
    const char *file;
};

static inline void kit_file(struct fri_keep *keep, const char *path)
{
    struct fri_buffer list;

    fri_buffer_init(&list, NULL);
    fri_files_note(&list, path);
    fri_keep_files(keep, &list);
    fri_buffer_free(&list);
}

static inline frun_future *kit_kept(frun_pool *pool, frun_journal *j,
                                      int64_t n, const struct kit_ask *ask)
{
    struct kit_ask none = { .version = 1 };
    const struct kit_ask *a = ask ? ask : &none;
    frun_policy policy = a->policy;
    struct fri_call c;
    struct fri_key key;
    struct fri_keep *keep;
    frun_future *task;

    policy.name = a->name ? a->name : "case";
    kit_key(j, n, a->version, &key);
    keep = fri_keep_new(j, &key, a->durable);
    ck_assert_ptr_nonnull(keep);
    if (a->file)
        kit_file(keep, a->file);
    ok(fri_call_begin(&c, pool, a->function ? a->function : kit_case,
                      &policy));
    fri_lock(pool->engine);
    task = fri_task_new(&pool->engine->sched, c.spec);
    fri_task_extra(task)->keep = keep;
    if (policy.after_count)
        ck_assert(fri_task_after(task, policy.after, policy.after_count));
    task->key_kind = FRI_KEY_NUMBER;
    task->key.number = n;
    task->holds = FRI_VALUE;
    task->data.value = frun_value_int(n);
    fri_sched_submit(task, true);
    fri_unlock(pool->engine);
    return task;
}

/* Runs the cases first .. last, version 1, to their end. */
static inline void kit_cases(frun_pool *pool, frun_journal *j, int64_t first,
                             int64_t last)
{
    for (int64_t n = first; n <= last; n++)
        fri_future_unref(kit_kept(pool, j, n, NULL));
    ok(frun_pool_drain(pool, -1));
}

static inline enum fri_verdict kit_look(frun_journal *j, int64_t n,
                                        uint64_t version, const char **what)
{
    struct fri_key key;
    struct fri_kept entry;
    enum fri_verdict verdict;
    frun_value *list;
    struct fri_reader r;

    kit_key(j, n, version, &key);
    verdict = fri_journal_look(j, &key, &entry, what);
    if (verdict != FRI_JOURNAL_HAS)
        return verdict;
    fri_reader_init(&r, entry.result, entry.length);
    ck_assert_uint_eq(fri_get_byte(&r), 0);
    ck_assert_uint_eq(fri_get_varint(&r), 1);
    ck_assert_int_eq(fri_decode(NULL, &r, &list), FRUN_OK);
    ck_assert_int_eq(frun_value_as_int(frun_value_at(list, 0)), n);
    frun_value_free(list);
    fri_kept_free(&entry);
    return verdict;
}

/* A journal with the cases first .. last at kit_path. */
static inline void kit_write(int64_t first, int64_t last)
{
    frun_engine *e = kit_logged_engine();
    frun_pool *pool = kit_pool(e, 2);
    frun_journal *j;

    ok(frun_journal_open(e, kit_path, &j));
    kit_cases(pool, j, first, last);
    frun_pool_close(pool);
    frun_journal_close(j);
    frun_engine_close(e);
    ck_assert_str_eq(kit_said, "");
}

/* How many of the cases 1 .. n the journal has; < 0: it is refused. */
static inline int64_t kit_count(int64_t n, char *why, size_t room)
{
    frun_engine *e = kit_logged_engine();
    frun_journal *j;
    const char *what;
    int64_t count = -1;

    if (frun_journal_open(e, kit_path, &j) == FRUN_OK) {
        count = 0;
        for (int64_t i = 1; i <= n; i++)
            count += kit_look(j, i, 1, &what) == FRI_JOURNAL_HAS;
        frun_journal_close(j);
    } else if (why) {
        snprintf(why, room, "%s", frun_engine_message(e));
    }
    frun_engine_close(e);
    return count;
}

/* The first cell of a query, as a number. */
static inline int64_t kit_sql(const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    int64_t n;

    ck_assert_int_eq(sqlite3_open(kit_path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    ck_assert_msg(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK,
                  "%s: %s", sql, sqlite3_errmsg(db));
    n = sqlite3_step(s) == SQLITE_ROW ? sqlite3_column_int64(s, 0) : -1;
    sqlite3_finalize(s);
    ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
    return n;
}

static inline bool kit_is_there(const char *end)
{
    char name[200];

    snprintf(name, sizeof name, "%s%s", kit_path, end);
    return access(name, F_OK) == 0;
}

#endif
