/*
 * journal.c - what a journal keeps, gives back, says and refuses.
 */
#include "journal_kit.h"

static frun_engine *engine;
static frun_pool *pool;
static frun_journal *journal;

static void begin(void)
{
    engine = kit_logged_engine();
    pool = kit_pool(engine, 2);
    ok(frun_journal_open(engine, kit_path, &journal));
}

static void end(void)
{
    frun_pool_close(pool);
    frun_journal_close(journal);
    frun_engine_close(engine);
}

static enum fri_verdict look(int64_t n, uint64_t version, const char *wanted)
{
    const char *what;
    enum fri_verdict verdict = kit_look(journal, n, version, &what);

    if (wanted)
        ck_assert_str_eq(what, wanted);
    else
        ck_assert_ptr_null(what);
    return verdict;
}

/* ---- round trips ------------------------------------------------------ */

START_TEST(what_succeeded_is_given_back)
{
    kit_journal_dir();
    begin();
    ck_assert_int_eq(look(1, 1, NULL), FRI_JOURNAL_NEW);
    kit_cases(pool, journal, 1, 100);
    ck_assert_int_eq(look(1, 1, NULL), FRI_JOURNAL_NEW); /* of the next run */
    end();
    ck_assert(!kit_is_there("-wal") && !kit_is_there("-shm")
              && !kit_is_there(".lock") && !kit_is_there(".new"));
    begin();
    for (int i = 1; i <= 100; i++)
        ck_assert_int_eq(look(i, 1, NULL), FRI_JOURNAL_HAS);
    ck_assert_int_eq(look(101, 1, NULL), FRI_JOURNAL_NEW);
    ck_assert_int_eq(look(7, 2, "function changed"), FRI_JOURNAL_AGAIN);
    end();
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM task"), 100);
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM code"), 1);
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM run"), 1);
    ck_assert_str_eq(kit_said, "");
    kit_journal_drop();
}
END_TEST

START_TEST(a_row_tells_all_of_its_task)
{
    kit_journal_dir();
    begin();
    kit_cases(pool, journal, 1, 1);
    end();
    ck_assert_int_eq(
        kit_sql("SELECT count(*) FROM task WHERE name='case' AND key=1 AND "
                "pool='pool 1' AND worker BETWEEN 1 AND 2 AND attempts=1 "
                "AND state='done' AND submitted <= started AND started <= "
                "finished AND seconds >= 0 AND length(digest)=16 AND "
                "code=1 AND run=1 AND task=1 AND kind IS NULL"),
        1);
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM run WHERE pid > 0 AND host "
                             "<> '' AND ended >= started AND flowrun="
                             "'" FRUN_VERSION "'"),
                     1);
    kit_journal_drop();
}
END_TEST

START_TEST(what_failed_is_kept_with_its_reason_and_runs_again)
{
    frun_future *f;

    kit_journal_dir();
    begin();
    f = kit_kept(pool, journal, -5, NULL);
    status_is(FRUN_ERROR, frun_future_result(f, -1, NULL));
    frun_future_free(f);
    end();
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM failures WHERE "
                             "kind='error' AND message='case -5 is below "
                             "zero'"),
                     1);
    begin();
    ck_assert_int_eq(look(-5, 1, "failed"), FRI_JOURNAL_AGAIN);
    end();
    kit_journal_drop();
}
END_TEST

static frun_status slow(frun_task *task, const frun_value *argument,
                        frun_value **result)
{
    (void)argument;
    (void)result;
    while (!frun_task_cancelled(task))
        kit_nap(0.001);
    return FRUN_ECANCELLED;
}

START_TEST(what_was_cancelled_runs_again)
{
    struct kit_ask ask = { .function = slow, .version = 1 };
    frun_future *f;

    kit_journal_dir();
    begin();
    f = kit_kept(pool, journal, 3, &ask);
    frun_future_cancel(f);
    ok(frun_future_wait(f, -1));
    frun_future_free(f);
    end();
    begin();
    ck_assert_int_eq(look(3, 1, "cancelled"), FRI_JOURNAL_AGAIN);
    end();
    kit_journal_drop();
}
END_TEST

START_TEST(a_later_success_stands_for_an_earlier_failure)
{
    kit_journal_dir();
    for (int run = 0; run < 2; run++) {
        struct kit_ask ask = { .version = 1,
                               .function = run == 0 ? slow : kit_case };
        frun_future *f;

        begin();
        f = kit_kept(pool, journal, 4, &ask);
        if (run == 0)
            frun_future_cancel(f);
        ok(frun_future_wait(f, -1));
        frun_future_free(f);
        end();
    }
    begin();
    ck_assert_int_eq(look(4, 1, NULL), FRI_JOURNAL_HAS);
    end();
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM task"), 2);
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM cases WHERE state='done'"),
                     1);
    kit_journal_drop();
}
END_TEST

START_TEST(what_is_used_counts_for_the_run)
{
    struct fri_key key;
    struct fri_kept entry;
    const char *what;

    kit_journal_dir();
    kit_write(1, 3);
    begin();
    kit_key(journal, 2, 1, &key);
    ck_assert_int_eq(fri_journal_look(journal, &key, &entry, &what),
                     FRI_JOURNAL_HAS);
    ck_assert(fri_journal_use(journal, entry.id));
    ck_assert_str_eq(entry.pool, "pool 1");
    fri_kept_free(&entry);
    end();
    ck_assert_int_eq(kit_sql("SELECT last_run FROM cases WHERE key=2"), 2);
    ck_assert_int_eq(kit_sql("SELECT last_run FROM cases WHERE key=3"), 1);
    kit_journal_drop();
}
END_TEST

START_TEST(a_changed_file_makes_its_task_run_again)
{
    char input[160];
    struct kit_ask ask = { .version = 1, .file = input };
    FILE *out;

    kit_journal_dir();
    snprintf(input, sizeof input, "%s/in \\ put\n", kit_dir);
    out = fopen(input, "w");
    fputs("one", out);
    fclose(out);
    begin();
    fri_future_unref(kit_kept(pool, journal, 1, &ask));
    end();
    begin();
    ck_assert_int_eq(look(1, 1, NULL), FRI_JOURNAL_HAS);
    out = fopen(input, "a");
    fputs("two", out);
    fclose(out);
    ck_assert_int_eq(look(1, 1, "file changed"), FRI_JOURNAL_AGAIN);
    unlink(input);
    ck_assert_int_eq(look(1, 1, "file changed"), FRI_JOURNAL_AGAIN);
    end();
    kit_journal_drop();
}
END_TEST

START_TEST(what_changed_is_named)
{
    static const char *const names[] = { "function f", "upvalue u",
                                         "global g", "version", "vm" };
    static const char *const words[] = {
        "function changed", "upvalue changed", "global changed",
        "version changed",  "vm changed",
    };
    struct fri_part parts[5];
    struct fri_key key = { .identity = 9, .argument_count = 2 };
    struct fri_call c;
    frun_policy policy = { .name = "f" };
    frun_future *f;
    const char *what;
    struct fri_kept entry;

    kit_journal_dir();
    for (int i = 0; i < 5; i++)
        parts[i] = (struct fri_part){ names[i], (uint64_t)i };
    begin();
    key.recipe = fri_journal_recipe(journal, parts, 5);
    ck_assert_ptr_eq(key.recipe, fri_journal_recipe(journal, parts, 5));
    ok(fri_call_begin(&c, pool, kit_case, &policy));
    fri_lock(engine);
    f = fri_task_new(&engine->sched, c.spec);
    fri_task_extra(f)->keep = fri_keep_new(journal, &key, false);
    fri_sched_submit(f, true);
    fri_unlock(engine);
    frun_future_free(f);
    end();
    begin();
    key.digest[0] = 1;
    for (int i = 0; i < 5; i++) {
        parts[i].digest += 100;
        key.recipe = fri_journal_recipe(journal, parts, 5);
        ck_assert_int_eq(fri_journal_look(journal, &key, &entry, &what),
                         FRI_JOURNAL_AGAIN);
        ck_assert_str_eq(what, words[i]);
        parts[i].digest -= 100;
    }
    key.recipe = fri_journal_recipe(journal, parts, 5);
    key.arguments[1] = 5;
    fri_journal_look(journal, &key, &entry, &what);
    ck_assert_str_eq(what, "arguments changed");
    end();
    kit_journal_drop();
}
END_TEST

/* ---- results ---------------------------------------------------------- */

static frun_status large(frun_task *task, const frun_value *argument,
                         frun_value **result)
{
    size_t n = (size_t)frun_value_as_int(argument);
    char *bytes = malloc(n);

    (void)task;
    memset(bytes, 'x', n);
    *result = frun_value_str(bytes, n);
    free(bytes);
    return FRUN_OK;
}

START_TEST(results_of_any_size_come_back)
{
    static const int sizes[] = { 0, 1, 23, 24, 25, 4000, 100000, 5000000 };
    struct kit_ask ask = { .function = large, .version = 1 };

    kit_journal_dir();
    begin();
    for (size_t i = 0; i < COUNT(sizes); i++)
        fri_future_unref(kit_kept(pool, journal, sizes[i], &ask));
    end();
    begin();
    for (size_t i = 0; i < COUNT(sizes); i++) {
        struct fri_key key;
        struct fri_kept entry;
        const char *what;
        struct fri_reader r;
        frun_value *value;

        kit_key(journal, sizes[i], 1, &key);
        ck_assert_int_eq(fri_journal_look(journal, &key, &entry, &what),
                         FRI_JOURNAL_HAS);
        fri_reader_init(&r, entry.result + 2, entry.length - 2);
        ck_assert_int_eq(fri_decode(NULL, &r, &value), FRUN_OK);
        ck_assert_uint_eq(frun_value_length(value), (size_t)sizes[i]);
        frun_value_free(value);
        fri_kept_free(&entry);
    }
    end();
    kit_journal_drop();
}
END_TEST

/* ---- durable ---------------------------------------------------------- */

START_TEST(a_durable_result_is_in_the_file_when_it_comes)
{
    struct kit_ask ask = { .version = 1, .durable = true };

    kit_journal_dir();
    begin();
    for (int i = 1; i <= 20; i++) {
        frun_future *f = kit_kept(pool, journal, i, &ask);

        ok(frun_future_result(f, -1, NULL));
        ck_assert_int_eq(kit_sql("SELECT count(*) FROM task"), i);
        frun_future_free(f);
    }
    end();
    kit_journal_drop();
}
END_TEST

START_TEST(a_dependant_of_a_durable_task_waits_for_it)
{
    struct kit_ask ask = { .version = 1, .durable = true };
    frun_future *first, *second;

    kit_journal_dir();
    begin();
    first = kit_kept(pool, journal, 1, &ask);
    ask.policy.after = &first;
    ask.policy.after_count = 1;
    ask.name = "second";
    second = kit_kept(pool, journal, 2, &ask);
    ok(frun_future_result(second, -1, NULL));
    frun_future_free(first);
    frun_future_free(second);
    end();
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM task WHERE name='second' "
                             "AND dependency='case' AND ready >= submitted"),
                     1);
    kit_journal_drop();
}
END_TEST

START_TEST(a_durable_task_that_is_held_can_be_waited_for_and_cancelled)
{
    struct kit_ask ask = { .version = 1, .durable = true };
    frun_future *f[200];

    kit_journal_dir();
    begin();
    for (int i = 0; i < 200; i++)
        f[i] = kit_kept(pool, journal, i, &ask);
    for (int i = 0; i < 200; i += 3)
        frun_future_cancel(f[i]);
    for (int i = 0; i < 200; i++) {
        ok(frun_future_wait(f[i], -1));
        ck_assert_int_ne(frun_future_state(f[i]), FRUN_RUNNING);
        frun_future_free(f[i]);
    }
    end();
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM task"), 200);
    kit_journal_drop();
}
END_TEST

/* ---- commits ---------------------------------------------------------- */

START_TEST(what_ended_is_soon_in_the_file)
{
    double until;

    kit_journal_dir();
    begin();
    kit_cases(pool, journal, 1, 10);
    until = kit_now() + 30;
    while (kit_sql("SELECT count(*) FROM task") < 10)
        ck_assert(kit_now() < until);
    ok(frun_journal_flush(engine));
    kit_cases(pool, journal, 11, 30);
    ok(frun_journal_flush(engine));
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM task"), 30);
    end();
    kit_journal_drop();
}
END_TEST

START_TEST(a_task_takes_at_most_250_bytes_beside_its_texts)
{
    struct stat st;

    kit_journal_dir();
    kit_write(1, 20000);
    ck_assert_int_eq(stat(kit_path, &st), 0);
    /* Texts and result: "case", "pool 1", the list. */
    ck_assert_int_lt(st.st_size / 20000, 250 + 13 + 16);
    kit_journal_drop();
}
END_TEST

START_TEST(a_live_run_shows_what_it_does)
{
    struct kit_ask ask = { .function = slow, .version = 1, .name = "slow" };
    frun_limit *limit;
    frun_future *f[6];
    double until;

    kit_journal_dir();
    begin();
    ok(frun_limit_open(engine, "solver", 1, false, &limit));
    ask.policy.limits = &limit;
    ask.policy.limit_count = 1;
    for (int i = 0; i < 5; i++)
        f[i] = kit_kept(pool, journal, i, &ask);
    ask.policy.after = f;
    ask.policy.after_count = 1;
    f[5] = kit_kept(pool, journal, 5, &ask);
    until = kit_now() + 30;
    while (kit_sql("SELECT count(*) FROM now WHERE what='runs'") != 1
           || kit_sql("SELECT count(*) FROM now WHERE what='waits'") != 5)
        ck_assert(kit_now() < until);
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM now WHERE what='waits' AND "
                             "why='limit solver'"),
                     4);
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM now WHERE "
                             "why='dependency slow'"),
                     1);
    ck_assert_int_eq(kit_sql("SELECT count FROM now WHERE what='count' AND "
                             "why='limit solver'"),
                     4);
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM run"), 1);
    frun_pool_cancel(pool);
    for (int i = 0; i < 6; i++)
        frun_future_free(f[i]);
    frun_limit_close(limit);
    end();
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM now"), 0);
    kit_journal_drop();
}
END_TEST

START_TEST(what_it_waited_for_is_kept)
{
    struct kit_ask ask = { .version = 1 };
    frun_limit *limit;

    kit_journal_dir();
    begin();
    ok(frun_limit_open(engine, "solver", 1, false, &limit));
    ask.policy.limits = &limit;
    ask.policy.limit_count = 1;
    ask.function = slow;
    ask.policy.timeout = 0.05;
    for (int i = 0; i < 3; i++)
        fri_future_unref(kit_kept(pool, journal, i, &ask));
    ok(frun_pool_drain(pool, -1));
    frun_limit_close(limit);
    end();
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM task WHERE "
                             "waited='limit solver'"),
                     2);
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM task WHERE "
                             "kind='timeout'"),
                     3);
    kit_journal_drop();
}
END_TEST

/* ---- runs ------------------------------------------------------------- */

START_TEST(the_facts_of_a_run_are_kept)
{
    struct fri_facts facts = { .script = "grid.lua", .options = "--big",
                               .vm = "Lua 5.4.6",
                               .seed = UINT64_C(0xfedcba9876543210) };
    uint64_t seed;

    kit_journal_dir();
    begin();
    ck_assert(!fri_journal_seed(journal, &seed));
    fri_journal_begin(journal, &facts);
    kit_cases(pool, journal, 1, 1);
    end();
    begin();
    ck_assert(fri_journal_seed(journal, &seed));
    ck_assert_uint_eq(seed, facts.seed);
    end();
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM run WHERE script="
                             "'grid.lua' AND options='--big' AND vm="
                             "'Lua 5.4.6'"),
                     1);
    kit_journal_drop();
}
END_TEST

START_TEST(one_file_is_one_journal_of_an_engine)
{
    frun_journal *again, *other;
    char path[300];

    kit_journal_dir();
    begin();
    snprintf(path, sizeof path, "%s/../%s/./run.journal", kit_dir,
             strrchr(kit_dir, '/') + 1);
    ok(frun_journal_open(engine, path, &again));
    ck_assert_ptr_eq(again, journal);
    frun_journal_close(again);
    snprintf(path, sizeof path, "%s/other.journal", kit_dir);
    ok(frun_journal_open(engine, path, &other));
    ck_assert_ptr_ne(other, journal);
    frun_journal_close(other);
    kit_cases(pool, journal, 1, 2);
    end();
    ck_assert_int_eq(kit_count(2, NULL, 0), 2);
    kit_journal_drop();
}
END_TEST

START_TEST(futures_may_outlive_the_engine)
{
    frun_future *f;

    kit_journal_dir();
    begin();
    f = kit_kept(pool, journal, 1, NULL);
    ok(frun_future_wait(f, -1));
    end();
    frun_future_free(f);
    ck_assert_int_eq(kit_count(1, NULL, 0), 1);
    kit_journal_drop();
}
END_TEST

START_TEST(to_look_only_makes_nothing)
{
    frun_journal *j;
    char why[FRI_WHY];
    const char *what;

    kit_journal_dir();
    engine = kit_logged_engine();
    ok(fri_journal_open(engine, kit_path, true, &j, why));
    ck_assert_int_eq(kit_look(j, 1, 1, &what), FRI_JOURNAL_NEW);
    fri_journal_close(j);
    frun_engine_close(engine);
    ck_assert(!kit_is_there("") && !kit_is_there(".lock"));
    kit_write(1, 2);
    engine = kit_logged_engine();
    ok(fri_journal_open(engine, kit_path, true, &j, why));
    ck_assert_int_eq(kit_look(j, 1, 1, &what), FRI_JOURNAL_HAS);
    ck_assert(!kit_is_there(".lock"));
    fri_journal_close(j);
    frun_engine_close(engine);
    kit_journal_drop();
}
END_TEST

/* ---- through flowrun.h ------------------------------------------------ */

static atomic_int ran;

static frun_status counted(frun_task *task, const frun_value *argument,
                           frun_value **result)
{
    atomic_fetch_add(&ran, 1);
    return kit_case(task, argument, result);
}

static int64_t first_of(const frun_value *list)
{
    return frun_value_as_int(frun_value_at(list, 0));
}

static void submit_all(const frun_policy *policy)
{
    frun_value *list = frun_value_list(), *results;
    frun_future *f[10];

    for (int i = 0; i < 10; i++) {
        frun_value *n = frun_value_int(i);
        const frun_value *value;

        ok(frun_pool_submit(pool, counted, n, policy, &f[i]));
        ok(frun_future_result(f[i], -1, &value));
        ck_assert_int_eq(first_of(value), i);
        frun_future_free(f[i]);
        ok(frun_value_push(list, n));
    }
    ok(frun_pool_scatter(pool, counted, list, policy, f));
    for (int i = 0; i < 10; i++) {
        ok(frun_future_wait(f[i], -1));
        frun_future_free(f[i]);
    }
    ok(frun_pool_map(pool, counted, list, policy, &results));
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(first_of(frun_value_at(results, (size_t)i)), i);
    frun_value_free(results);
    frun_value_free(list);
}

START_TEST(tasks_in_c_resume_by_their_version)
{
    kit_journal_dir();
    for (int run = 0; run < 3; run++) {
        frun_policy policy = { .version = run < 2 ? "1" : "2" };

        begin();
        policy.journal = journal;
        atomic_store(&ran, 0);
        submit_all(&policy);
        ck_assert_int_eq(atomic_load(&ran), run == 1 ? 0 : 30);
        end();
    }
    ck_assert_int_eq(kit_sql("SELECT count(*) FROM used WHERE run=2"), 30);
    kit_journal_drop();
}
END_TEST

START_TEST(a_task_in_c_needs_a_version_and_a_journal_of_its_engine)
{
    frun_engine *other = kit_engine();
    frun_pool *elsewhere = kit_pool(other, 1);
    frun_policy policy = { .timeout = 0 };

    kit_journal_dir();
    begin();
    policy.journal = journal;
    status_is(FRUN_EJOURNAL,
              frun_pool_submit(pool, counted, NULL, &policy, NULL));
    policy.version = "1";
    ok(frun_pool_submit(pool, counted, NULL, &policy, NULL));
    status_is(FRUN_EINVAL,
              frun_pool_submit(elsewhere, counted, NULL, &policy, NULL));
    frun_pool_close(elsewhere);
    frun_engine_close(other);
    end();
    kit_journal_drop();
}
END_TEST

/* One that reads a file, and one that reads nothing. */
static void submit_commands(const char *input, const frun_policy *policy)
{
    frun_pool_options o = { .workers = 1 };
    const char *const cat[] = { "sh", "-c", "echo ran >>ran; cat", NULL };
    const char *const echo[] = { "sh", "-c", "echo ran >>\"$0/ran\"", kit_dir,
                                 NULL };
    const frun_command c[] = {
        { .argv = cat, .cwd = kit_dir, .stdin_path = input }, { .argv = echo }
    };
    const frun_value *result;
    frun_future *f;
    frun_pool *commands;

    ok(frun_pool_open(engine, FRUN_COMMANDS, &o, &commands));
    for (size_t i = 0; i < COUNT(c); i++) {
        ok(frun_pool_command(commands, &c[i], policy, &f));
        ok(frun_future_result(f, -1, &result));
        ck_assert_int_eq(frun_value_as_int(frun_value_get(result, "status")),
                         0);
        ck_assert_str_eq(frun_value_as_str(frun_value_get(result, "out")),
                         i == 0 ? "text\n" : "");
        frun_future_free(f);
    }
    frun_pool_close(commands);
}

static void write_input(const char *path)
{
    FILE *out = fopen(path, "w");

    ck_assert_ptr_nonnull(out);
    ck_assert_int_ge(fputs("text\n", out), 0);
    ck_assert_int_eq(fclose(out), 0);
}

static void touch(const char *path)
{
    const struct timespec times[2] = { { 1000, 0 }, { 1000, 0 } };

    ck_assert_int_eq(utimensat(AT_FDCWD, path, times, 0), 0);
}

START_TEST(commands_resume_by_what_they_are)
{
    static const int lines[] = { 2, 2, 3, 5, 5 };
    char input[200], counting[200];

    kit_journal_dir();
    snprintf(input, sizeof input, "%s/in", kit_dir);
    write_input(input);
    for (size_t run = 0; run < COUNT(lines); run++) {
        frun_policy policy = { .version = run < 3 ? NULL : "2",
                               .durable = run == 3 };

        if (run == 2)
            touch(input);
        begin();
        policy.journal = journal;
        submit_commands(input, &policy);
        end();
        snprintf(counting, sizeof counting,
                 "test $(wc -l <'%s/ran') -eq %d", kit_dir, lines[run]);
        ck_assert_int_eq(system(counting), 0);
    }
    kit_journal_drop();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        what_succeeded_is_given_back,
        a_row_tells_all_of_its_task,
        what_failed_is_kept_with_its_reason_and_runs_again,
        what_was_cancelled_runs_again,
        a_later_success_stands_for_an_earlier_failure,
        what_is_used_counts_for_the_run,
        a_changed_file_makes_its_task_run_again,
        what_changed_is_named,
        results_of_any_size_come_back,
        a_durable_result_is_in_the_file_when_it_comes,
        a_dependant_of_a_durable_task_waits_for_it,
        a_durable_task_that_is_held_can_be_waited_for_and_cancelled,
        what_ended_is_soon_in_the_file,
        a_task_takes_at_most_250_bytes_beside_its_texts,
        a_live_run_shows_what_it_does,
        what_it_waited_for_is_kept,
        the_facts_of_a_run_are_kept,
        one_file_is_one_journal_of_an_engine,
        futures_may_outlive_the_engine,
        to_look_only_makes_nothing,
        tasks_in_c_resume_by_their_version,
        a_task_in_c_needs_a_version_and_a_journal_of_its_engine,
        commands_resume_by_what_they_are,
    };

    return unit_run("journal", tests, COUNT(tests));
}
