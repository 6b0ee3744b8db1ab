/* hooks.c - what a host hears: what tasks print, and what journals say. */
#include "kit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sqlite3.h>

enum { ROOM = 8192 };

static struct heard {
    pthread_mutex_t lock;
    char text[ROOM];
    size_t length, calls;
    bool whole; /* each call ended in a newline */
} heard = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void on_output(void *user, int stream, const char *bytes, size_t n)
{
    struct heard *h = user;

    pthread_mutex_lock(&h->lock);
    ck_assert(stream == 1 || stream == 2);
    ck_assert_uint_lt(h->length + n, ROOM);
    memcpy(h->text + h->length, bytes, n);
    h->length += n;
    h->text[h->length] = '\0';
    h->whole = h->whole && n > 0 && bytes[n - 1] == '\n';
    h->calls++;
    pthread_mutex_unlock(&h->lock);
}

static void on_log(void *user, const char *line)
{
    struct heard *h = user;

    pthread_mutex_lock(&h->lock);
    h->length += (size_t)snprintf(h->text + h->length, ROOM - h->length,
                                  "%s\n", line);
    pthread_mutex_unlock(&h->lock);
}

static frun_engine *engine(bool output)
{
    frun_engine_options o = { .log = on_log, .log_user = &heard };
    frun_engine *e;

    heard.length = heard.calls = 0;
    heard.whole = true;
    heard.text[0] = '\0';
    if (output)
        o = (frun_engine_options){ .output = on_output,
                                   .output_user = &heard };
    ok(frun_engine_open(&o, &e));
    return e;
}

/* ---- output ----------------------------------------------------------- */

static frun_status print(frun_task *task, const frun_value *n,
                         frun_value **result)
{
    (void)task;
    (void)result;
    for (int i = 0; i < 3; i++)
        printf("task %d line %d\n", (int)frun_value_as_int(n), i);
    printf("task %d has no end of line", (int)frun_value_as_int(n));
    return FRUN_OK;
}

START_TEST(output_comes_in_whole_lines_before_the_result)
{
    frun_engine *e = engine(true);
    frun_pool_options o = { .workers = 2 };
    frun_pool *pool;
    char wanted[200];

    ok(frun_pool_open(e, FRUN_FORKS, &o, &pool));
    for (int i = 1; i <= 20; i++) {
        frun_future *f;

        heard.length = 0;
        f = kit_submit(pool, print, i, NULL);
        ok(frun_future_result(f, -1, NULL));
        snprintf(wanted, sizeof wanted,
                 "task %d line 0\ntask %d line 1\ntask %d line 2\n"
                 "task %d has no end of line\n", i, i, i, i);
        pthread_mutex_lock(&heard.lock);
        ck_assert_str_eq(heard.text, wanted);
        ck_assert(heard.whole);
        pthread_mutex_unlock(&heard.lock);
        frun_future_free(f);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* The lines of one task stay in order among those of others. */
START_TEST(each_task_keeps_its_order)
{
    frun_engine *e = engine(true);
    frun_pool_options o = { .workers = 3 };
    frun_value *list = kit_numbers(40), *results;
    frun_pool *pool;

    ok(frun_pool_open(e, FRUN_FORKS, &o, &pool));
    ok(frun_pool_map(pool, print, list, NULL, &results));
    frun_value_free(results);
    for (int i = 0; i < 40; i++) {
        const char *at = heard.text;

        for (int line = 0; line < 3; line++) {
            char wanted[40];

            snprintf(wanted, sizeof wanted, "task %d line %d\n", i, line);
            at = strstr(at, wanted);
            ck_assert_ptr_nonnull(at);
        }
    }
    ck_assert(heard.whole);
    frun_value_free(list);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- the log ---------------------------------------------------------- */

static char journal[64];

static void one_kept(frun_engine *e)
{
    frun_policy p = { .version = "1" };
    frun_pool *pool = kit_pool(e, 1);

    ok(frun_journal_open(e, journal, &p.journal));
    ck_assert_int_eq(kit_int(kit_submit(pool, kit_twice, 21, &p)), 42);
    ok(frun_journal_flush(e));
    frun_journal_close(p.journal);
    frun_pool_close(pool);
}

static void spoil(void)
{
    sqlite3 *db;

    ck_assert_int_eq(sqlite3_open(journal, &db), SQLITE_OK);
    ck_assert_int_eq(sqlite3_exec(db, "UPDATE task SET result = x'00'", NULL,
                                  NULL, NULL),
                     SQLITE_OK);
    sqlite3_close(db);
}

START_TEST(a_bad_row_is_logged_and_nothing_else)
{
    char lock[80];
    frun_engine *e = engine(false);

    snprintf(journal, sizeof journal, "/tmp/hooks.%d.journal", (int)getpid());
    snprintf(lock, sizeof lock, "%s.lock", journal);
    one_kept(e);
    frun_engine_close(e);
    ck_assert_str_eq(heard.text, "");
    spoil();
    e = engine(false);
    one_kept(e); /* it runs again */
    frun_engine_close(e);
    ck_assert_ptr_nonnull(strstr(heard.text, "journal "));
    ck_assert_ptr_nonnull(strstr(heard.text, "damaged"));
    ck_assert_ptr_nonnull(strstr(heard.text, "will run again"));
    unlink(journal);
    unlink(lock);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        output_comes_in_whole_lines_before_the_result,
        each_task_keeps_its_order,
        a_bad_row_is_logged_and_nothing_else,
    };

    return unit_run("hooks", tests, COUNT(tests));
}
