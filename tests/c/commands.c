/*
 * commands.c - the pool of commands, through flowrun.h: what they come to, how
 * they are stopped, and that nothing of them stays.
 */
#define _GNU_SOURCE
#include "kit.h"

#include "core/engine.h"
#include "pools/spawn/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* With a helper that is exec'd where threads of the last engine may yet be
 * seen. */
static frun_engine *another_engine(void)
{
    frun_engine_options o = { .worker_path = "/proc/self/exe" };
    frun_engine *e;

    ok(frun_engine_open(&o, &e));
    return e;
}

static frun_pool *commands(frun_engine *e, int workers)
{
    frun_pool_options o = { .workers = workers };
    frun_pool *pool;

    ok(frun_pool_open(e, FRUN_COMMANDS, &o, &pool));
    return pool;
}

static frun_future *run(frun_pool *pool, const frun_policy *policy,
                        const char *const *argv)
{
    frun_command c = { .argv = argv };
    frun_future *f = NULL;

    ok(frun_pool_command(pool, &c, policy, &f));
    return f;
}

static frun_future *shell(frun_pool *pool, const frun_policy *policy,
                          const char *line)
{
    frun_command c = { .argv = WORDS(line), .shell = true };
    frun_future *f = NULL;

    ok(frun_pool_command(pool, &c, policy, &f));
    return f;
}

static const frun_value *result(frun_future *f)
{
    const frun_value *v = NULL;
    frun_status status = frun_future_result(f, -1, &v);
    const frun_error *error = frun_future_error(f);

    ck_assert_msg(status == FRUN_OK, "%d: %s", status,
                  error ? error->message : "?");
    return v;
}

static const char *out(frun_future *f)
{
    return frun_value_as_str(frun_value_get(result(f), "out"));
}

static const frun_error *failed(frun_future *f, frun_status status)
{
    const frun_error *error;

    status_is(status, frun_future_result(f, -1, NULL));
    error = frun_future_error(f);
    ck_assert_ptr_nonnull(error);
    return error;
}

/* ---- a directory, and what processes write there ---------------------- */

struct here {
    char path[64];
};

static struct here here(void)
{
    struct here h = { "/tmp/flowrun-test-XXXXXX" };

    ck_assert_ptr_nonnull(mkdtemp(h.path));
    return h;
}

static void gone(const struct here *h)
{
    char line[128];

    snprintf(line, sizeof line, "rm -rf '%s'", h->path);
    ck_assert_int_eq(system(line), 0);
}

static bool exists(const struct here *h, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", h->path, name);
    return access(path, F_OK) == 0;
}

static void make(const struct here *h, const char *name)
{
    char path[128];

    snprintf(path, sizeof path, "%s/%s", h->path, name);
    close(open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
}

/* Until it is there. */
static void await(const struct here *h, const char *name)
{
    double until = kit_now() + 60;

    while (!exists(h, name)) {
        ck_assert_msg(kit_now() < until, "no %s", name);
        kit_nap(0.002);
    }
}

/* The numbers that a file has, one a line; how many. */
static size_t numbers(const struct here *h, const char *name, long *list,
                      size_t most)
{
    char path[128], line[64];
    size_t n = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/%s", h->path, name);
    file = fopen(path, "r");
    while (file && n < most && fgets(line, sizeof line, file))
        list[n++] = atol(line);
    if (file)
        fclose(file);
    return n;
}

/* One that nobody has reaped yet counts as gone. */
static bool is_alive(pid_t pid)
{
    char path[64], line[256] = "", *at;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file)
        return false;
    at = fgets(line, sizeof line, file) ? strrchr(line, ')') : NULL;
    fclose(file);
    return at && at[2] != 'Z' && at[2] != 'X';
}

/* It was killed, and nobody has waited for it. */
static bool goes(pid_t pid)
{
    double until = kit_now() + 60;

    while (is_alive(pid) && kit_now() < until)
        kit_nap(0.002);
    return !is_alive(pid);
}

/* What else was in its group is killed when it has ended: soon it is gone. */
static bool group_goes(pid_t group)
{
    double until = kit_now() + 60;

    while (kill(-group, 0) == 0 && kit_now() < until)
        kit_nap(0.002);
    return kill(-group, 0) != 0;
}

static frun_future *shell_in(frun_pool *pool, const frun_policy *policy,
                             const struct here *h, const char *line)
{
    frun_command c = { .argv = WORDS(line), .shell = true, .cwd = h->path };
    frun_future *f = NULL;

    ok(frun_pool_command(pool, &c, policy, &f));
    return f;
}

/* ---- what they come to ------------------------------------------------ */

START_TEST(a_result_has_all_that_is_known)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 2);
    frun_future *f = shell(pool, NULL, "echo one; echo two >&2");
    const frun_value *r = result(f);
    frun_info info = { .size = sizeof info };

    ck_assert_int_eq(frun_value_as_int(frun_value_get(r, "status")), 0);
    ck_assert_str_eq(out(f), "one\n");
    ck_assert_str_eq(frun_value_as_str(frun_value_get(r, "err")), "two\n");
    ck_assert(frun_value_as_num(frun_value_get(r, "seconds")) > 0);
    ck_assert(frun_value_as_int(frun_value_get(r, "memory")) > 0);
    ok(frun_future_info(f, &info));
    ck_assert_int_eq(info.attempts, 1);
    ck_assert_int_ge(info.worker, 1);
    ck_assert_int_le(info.worker, 2);
    ck_assert(info.memory > 0 && info.cpu > 0);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(words_are_words)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    frun_future *f = run(pool, NULL,
                         WORDS("printf", "%s|", "a b", "$HOME", "*", "", "'"));

    ck_assert_str_eq(out(f), "a b|$HOME|*||'|");
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_status_is_a_failure_of_its_own)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    frun_future *f = shell(pool, NULL, "echo some; echo why >&2; exit 3");
    const frun_error *error = failed(f, FRUN_EEXIT);

    ck_assert_int_eq(error->exit_status, 3);
    ck_assert_ptr_nonnull(strstr(error->message, "why"));
    ck_assert_str_eq(frun_value_as_str(frun_value_get(error->result, "out")),
                     "some\n");
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(other_statuses_can_be_well)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    int well[] = { 0, 3 };
    frun_command c = { .argv = WORDS("exit 3"), .shell = true,
                       .ok_status = well, .ok_count = 2 };
    frun_future *f;

    ok(frun_pool_command(pool, &c, NULL, &f));
    ck_assert_int_eq(frun_value_as_int(frun_value_get(result(f), "status")),
                     3);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_signal_is_a_crash)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    frun_future *f = shell(pool, NULL, "kill -SEGV $$");

    ck_assert_int_eq(failed(f, FRUN_ECRASHED)->signal, SIGSEGV);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(what_cannot_be_run_says_so)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    frun_future *f = run(pool, NULL, WORDS("/nonexistent/program"));
    frun_future *g = run(pool, NULL, WORDS("/etc/passwd"));
    const frun_error *error = failed(f, FRUN_EEXIT);

    ck_assert_int_eq(error->exit_status, 127);
    ck_assert_ptr_nonnull(strstr(error->message, "/nonexistent/program"));
    error = failed(g, FRUN_EEXIT);
    ck_assert_int_eq(error->exit_status, 126);
    ck_assert_ptr_nonnull(strstr(error->message, "/etc/passwd"));
    frun_future_free(f);
    frun_future_free(g);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(input_and_environment)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    frun_command c = { .argv = WORDS("cat; echo $A-$HOME."), .shell = true,
                       .stdin = "in\n", .env = WORDS("A=b=c", "HOME") };
    frun_future *f;

    ok(frun_pool_command(pool, &c, NULL, &f));
    ck_assert_str_eq(out(f), "in\nb=c-.\n");
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(files_go_in_and_out)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    frun_file files[] = { { .name = "deck.inp", .text = "*NODE\n" },
                          { .name = "sub/two", .text = "2", .length = 1 } };
    frun_command c = { .argv = WORDS("cat deck.inp sub/two >all; pwd"),
                       .shell = true, .cwd = "temp", .files = files,
                       .file_count = 2, .collect = WORDS("all") };
    const frun_value *r;
    frun_future *f;
    char dir[256];

    ok(frun_pool_command(pool, &c, NULL, &f));
    r = result(f);
    ck_assert_str_eq(frun_value_as_str(
                         frun_value_get(frun_value_get(r, "files"), "all")),
                     "*NODE\n2");
    snprintf(dir, sizeof dir, "%s", out(f));
    dir[strcspn(dir, "\n")] = '\0';
    ck_assert_int_ne(access(dir, F_OK), 0);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_file_that_is_missing_fails_the_task)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    frun_command c = { .argv = WORDS("true"), .cwd = "temp",
                       .collect = WORDS("result.dat") };
    frun_future *f;

    ok(frun_pool_command(pool, &c, NULL, &f));
    ck_assert_ptr_nonnull(strstr(failed(f, FRUN_ERROR)->message,
                                 "result.dat"));
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(names_that_lead_out_fail_the_task)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    struct here h = here();
    frun_file files[] = { { .name = "ok", .text = "x" },
                          { .name = "../out", .text = "x" } };
    char inside[80];
    frun_command c = { .argv = WORDS("true"), .cwd = inside, .files = files,
                       .file_count = 2 };
    frun_future *f;

    snprintf(inside, sizeof inside, "%s/in", h.path);
    ok(frun_pool_command(pool, &c, NULL, &f));
    ck_assert_ptr_nonnull(strstr(failed(f, FRUN_ERROR)->message, "../out"));
    ck_assert(!exists(&h, "out") && !exists(&h, "in/ok"));
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
    gone(&h);
}
END_TEST

/* ---- misuse ----------------------------------------------------------- */

START_TEST(misuse_is_refused)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1), *threads = kit_pool(e, 1);
    frun_command none = { .size = 0 }, empty = { .argv = WORDS("") },
                 large = { .size = 10000 },
                 good = { .argv = WORDS("true") };
    frun_future *f = (frun_future *)pool;
    frun_value *list = frun_value_list();

    status_is(FRUN_EINVAL, frun_pool_command(pool, &none, NULL, &f));
    ck_assert_ptr_null(f);
    status_is(FRUN_EINVAL, frun_pool_command(pool, NULL, NULL, &f));
    status_is(FRUN_EINVAL, frun_pool_command(pool, &empty, NULL, &f));
    status_is(FRUN_EINVAL, frun_pool_command(pool, &large, NULL, &f));
    status_is(FRUN_EINVAL, frun_pool_command(NULL, &good, NULL, &f));
    status_is(FRUN_EINVAL, frun_pool_command(threads, &good, NULL, &f));
    status_is(FRUN_EINVAL, frun_pool_submit(pool, kit_nothing, NULL, NULL,
                                            &f));
    ck_assert_ptr_nonnull(strstr(frun_engine_message(e), "commands"));
    status_is(FRUN_EINVAL, frun_pool_scatter(pool, kit_nothing, list, NULL,
                                             NULL));
    frun_value_free(list);
    frun_pool_close(threads);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- policies --------------------------------------------------------- */

START_TEST(attempts_are_counted)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    frun_policy p = { .retries = 2, .name = "thrice" };
    frun_future *f = shell(pool, &p,
                           "echo $FLOWRUN_NAME $FLOWRUN_ATTEMPT $FLOWRUN_SEED;"
                           "test $FLOWRUN_ATTEMPT = 3");
    frun_stats stats = { .size = sizeof stats };

    ck_assert_str_eq(out(f), "thrice 3 0\n");
    ok(frun_pool_stats(pool, &stats));
    ck_assert_uint_eq(stats.retried, 2);
    ck_assert_uint_eq(stats.done, 1);
    ck_assert_uint_eq(stats.running, 0);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(seats_are_named)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 4);
    frun_limit *limit, *gpus;
    frun_future *f;
    int needs[] = { 1, 2 };
    frun_policy p = { .limit_count = 2, .limit_needs = needs };

    ok(frun_limit_open(e, "solver-x", 1, false, &limit));
    ok(frun_limit_open(e, "gpu", 2, false, &gpus));
    p.limits = (frun_limit *const[]){ limit, gpus };
    f = shell(pool, &p, "echo $FLOWRUN_SEAT_SOLVER_X $FLOWRUN_SEAT_GPU");
    ck_assert_str_eq(out(f), "1 1,2\n");
    frun_future_free(f);
    frun_limit_close(limit);
    frun_limit_close(gpus);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* Each writes how many there were when it began. */
static size_t most_at_once(const struct here *h, size_t count)
{
    long list[256];
    size_t n = numbers(h, "counts", list, COUNT(list)), most = 0;

    ck_assert_uint_eq(n, count);
    for (size_t i = 0; i < n; i++)
        most = (size_t)list[i] > most ? (size_t)list[i] : most;
    return most;
}

static const char *counting = "mkdir run.$$; ls -d run.* | wc -l >>counts;"
                              "sleep 0.02; rmdir run.$$";

START_TEST(a_limit_holds)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 8);
    struct here h = here();
    frun_limit *limit;
    frun_policy p = { .limit_count = 1 };

    ok(frun_limit_open(e, "two", 2, false, &limit));
    p.limits = (frun_limit *const[]){ limit };
    for (int i = 0; i < 20; i++)
        frun_future_free(shell_in(pool, &p, &h, counting));
    ok(frun_pool_drain(pool, -1));
    ck_assert_uint_le(most_at_once(&h, 20), 2);
    frun_limit_close(limit);
    frun_pool_close(pool);
    frun_engine_close(e);
    gone(&h);
}
END_TEST

START_TEST(no_more_than_workers)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 3);
    struct here h = here();

    for (int i = 0; i < 30; i++)
        frun_future_free(shell_in(pool, NULL, &h, counting));
    ok(frun_pool_drain(pool, -1));
    ck_assert_uint_le(most_at_once(&h, 30), 3);
    frun_pool_close(pool);
    frun_engine_close(e);
    gone(&h);
}
END_TEST

START_TEST(priorities_come_first)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    struct here h = here();
    frun_policy low = { .priority = -1 }, high = { .priority = 1 };
    frun_future *f = shell_in(pool, NULL, &h,
                              "touch there; while ! test -e go; do sleep 0.01;"
                              "done");
    long list[8];

    await(&h, "there");
    frun_future_free(shell_in(pool, &low, &h, "echo 3 >>order"));
    frun_future_free(shell_in(pool, NULL, &h, "echo 2 >>order"));
    frun_future_free(shell_in(pool, &high, &h, "echo 1 >>order; exit 1"));
    make(&h, "go");
    ok(frun_pool_drain(pool, -1));
    ck_assert_uint_eq(numbers(&h, "order", list, COUNT(list)), 3);
    ck_assert(list[0] == 1 && list[1] == 2 && list[2] == 3);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
    gone(&h);
}
END_TEST

START_TEST(after_waits_for_success)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 2);
    struct here h = here();
    frun_future *mesh = shell_in(pool, NULL, &h, "sleep 0.05; echo m >mesh");
    frun_policy p = { .after = &mesh, .after_count = 1 };
    frun_future *solve = shell_in(pool, &p, &h, "cat mesh");
    frun_future *bad = shell(pool, NULL, "exit 1"), *never;

    p.after = &bad;
    never = shell(pool, &p, "true");
    ck_assert_str_eq(out(solve), "m\n");
    ck_assert_int_eq(failed(never, FRUN_EDEPENDENCY)->cause->status,
                     FRUN_EEXIT);
    frun_future_free(mesh);
    frun_future_free(solve);
    frun_future_free(bad);
    frun_future_free(never);
    frun_pool_close(pool);
    frun_engine_close(e);
    gone(&h);
}
END_TEST

/* ---- stopping --------------------------------------------------------- */

static const char *stays = "echo $$ >pid.new; mv pid.new pid; sleep 100";

static pid_t pid_in(const struct here *h)
{
    long pid = 0;

    await(h, "pid");
    ck_assert_uint_eq(numbers(h, "pid", &pid, 1), 1);
    return (pid_t)pid;
}

/* When the future is final there is no process any more. */
START_TEST(nothing_outlives_a_timeout)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    struct here h = here();
    frun_policy p = { .timeout = 0.2 };
    frun_future *f = shell_in(pool, &p, &h,
                              "trap '' TERM; echo $$ >pid.new; mv pid.new pid;"
                              "while :; do sleep 0.05; done");
    pid_t pid = pid_in(&h);
    const frun_error *error = failed(f, FRUN_ETIMEOUT);

    ck_assert(!is_alive(pid) && group_goes(pid));
    ck_assert_ptr_nonnull(strstr(error->message, "0.2"));
    ck_assert_ptr_nonnull(error->result);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
    gone(&h);
}
END_TEST

START_TEST(cancel_stops_what_runs)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    struct here h = here();
    frun_future *f = shell_in(pool, NULL, &h, stays);
    frun_future *g = shell(pool, NULL, "true");
    pid_t pid = pid_in(&h);

    ck_assert(frun_future_cancel(g));
    ck_assert(frun_future_cancel(f));
    failed(f, FRUN_ECANCELLED);
    ck_assert(!is_alive(pid) && group_goes(pid));
    failed(g, FRUN_ECANCELLED);
    frun_future_free(f);
    frun_future_free(g);
    f = run(pool, NULL, WORDS("echo", "still"));
    ck_assert_str_eq(out(f), "still\n");
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
    gone(&h);
}
END_TEST

START_TEST(a_pool_is_cancelled)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 4);
    struct here h = here();
    frun_future *f = shell_in(pool, NULL, &h, stays);
    frun_stats stats = { .size = sizeof stats };
    pid_t pid = pid_in(&h);

    for (int i = 0; i < 100; i++)
        frun_future_free(run(pool, NULL, WORDS("sleep", "100")));
    frun_pool_cancel(pool);
    ok(frun_pool_drain(pool, 30));
    ok(frun_pool_stats(pool, &stats));
    ck_assert_uint_eq(stats.cancelled, 101);
    ck_assert(!is_alive(pid));
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
    gone(&h);
}
END_TEST

/* Each of them is killed a while after it was asked. */
START_TEST(more_are_cancelled_at_once_than_there_were_timers)
{
    enum { N = 100 };
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, N);
    frun_future *f[N];

    for (int i = 0; i < N; i++)
        f[i] = run(pool, NULL, WORDS("sleep", "100"));
    frun_pool_cancel(pool);
    for (int i = 0; i < N; i++) {
        failed(f[i], FRUN_ECANCELLED);
        frun_future_free(f[i]);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(an_engine_is_closed_while_they_run)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 4);
    struct here h = here();
    frun_future *f = shell_in(pool, NULL, &h, stays);
    frun_command c = { .argv = WORDS("sleep", "100"), .cwd = "temp" };
    frun_future *g;
    pid_t pid = pid_in(&h);

    ok(frun_pool_command(pool, &c, NULL, &g));
    frun_engine_close(e);
    ck_assert(!is_alive(pid));
    frun_pool_close(pool);
    failed(f, FRUN_ECANCELLED);
    failed(g, FRUN_ECANCELLED);
    frun_future_free(f);
    frun_future_free(g);
    gone(&h);
}
END_TEST

START_TEST(files_and_timeouts)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 2);
    struct here h = here();
    frun_policy p = { .timeout = 0.1, .retries = 1 };
    char line[160], name[32];
    frun_command c = { .argv = WORDS(line), .shell = true, .cwd = "temp" };
    frun_future *f;
    long pids[8];
    size_t n;

    /* Both are to have the time to say who they are. */
    do {
        ck_assert(p.timeout < 60);
        snprintf(name, sizeof name, "pids-%g", p.timeout);
        snprintf(line, sizeof line, "echo $$ >>%s/%s; sleep 100", h.path,
                 name);
        ok(frun_pool_command(pool, &c, &p, &f));
        ck_assert_int_eq(failed(f, FRUN_ETIMEOUT)->attempts, 2);
        frun_future_free(f);
        n = numbers(&h, name, pids, COUNT(pids));
        p.timeout *= 2;
    } while (n < 2);
    ck_assert_uint_eq(n, 2);
    ck_assert(!is_alive((pid_t)pids[0]) && !is_alive((pid_t)pids[1]));
    frun_pool_close(pool);
    frun_engine_close(e);
    gone(&h);
}
END_TEST

/* ---- many ------------------------------------------------------------- */

START_TEST(a_thousand_eight_at_a_time)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 8);
    frun_future *all[1000];
    char text[16];

    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d", i);
        all[i] = run(pool, NULL, WORDS("echo", text));
    }
    for (int i = 0; i < 1000; i++) {
        snprintf(text, sizeof text, "%d\n", i);
        ck_assert_str_eq(out(all[i]), text);
        frun_future_free(all[i]);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

enum { QUEUED = 10000 };

START_TEST(those_that_wait_need_little)
{
    struct kit_heap heap = { .allowed = -1 };
    frun_engine_options o = { .allocate = kit_allocate, .free = kit_free,
                              .allocator_user = &heap };
    frun_engine *e;
    frun_pool *pool;
    frun_future *f;
    struct here h = here();
    long before;

    ok(frun_engine_open(&o, &e));
    pool = commands(e, 1);
    f = shell_in(pool, NULL, &h, stays);
    pid_in(&h);
    before = atomic_load(&heap.bytes);
    for (int i = 0; i < QUEUED; i++)
        frun_future_free(run(pool, NULL, WORDS("true", "a", "few", "words")));
    ck_assert_int_le((atomic_load(&heap.bytes) - before) / QUEUED, 1024);
    frun_pool_cancel(pool);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
    gone(&h);
}
END_TEST

/* ---- the helper, other engines, hosts --------------------------------- */

/* The parent of the command is the helper. */
static pid_t parent_of(pid_t pid)
{
    char path[64], line[256], *at;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    ck_assert_ptr_nonnull(fgets(line, sizeof line, file));
    fclose(file);
    at = strrchr(line, ')');
    return (pid_t)atoi(at + 4);
}

START_TEST(the_helper_is_killed)
{
    frun_engine_options o = { .worker_path = "/proc/self/exe" };
    frun_engine *e;
    frun_pool *pool;
    struct here h = here();
    frun_policy p = { .retries = 1 };
    frun_future *f, *g;
    pid_t pid;

    ok(frun_engine_open(&o, &e));
    pool = commands(e, 2);
    f = shell_in(pool, NULL, &h, stays);
    g = shell_in(pool, &p, &h,
                 "test $FLOWRUN_ATTEMPT = 2 || { touch begun; sleep 100; }");
    pid = pid_in(&h);
    await(&h, "begun");
    kill(parent_of(pid), SIGKILL);
    ck_assert_int_eq(failed(f, FRUN_ECRASHED)->signal, SIGKILL);
    result(g);
    ck_assert(goes(pid));
    frun_future_free(f);
    frun_future_free(g);
    frun_pool_close(pool);
    frun_engine_close(e);
    gone(&h);
}
END_TEST

static void *stays_there(void *gate)
{
    sem_wait(gate);
    return NULL;
}

START_TEST(a_host_has_threads)
{
    frun_engine_options o = { .worker_path = "/proc/self/exe" };
    frun_engine *e;
    frun_pool *pool;
    frun_future *f;
    pthread_t thread;
    sem_t gate;

    sem_init(&gate, 0, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, stays_there, &gate), 0);
    ok(frun_engine_open(&o, &e));
    pool = commands(e, 2);
    f = run(pool, NULL, WORDS("echo", "from there"));
    ck_assert_str_eq(out(f), "from there\n");
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
    sem_post(&gate);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(a_host_has_threads_and_no_helper)
{
    frun_engine *e;
    frun_pool *pool;
    pthread_t thread;
    sem_t gate;

    sem_init(&gate, 0, 0);
    ck_assert_int_eq(pthread_create(&thread, NULL, stays_there, &gate), 0);
    setenv("PATH", "/nonexistent", 1);
    e = kit_engine();
    status_is(FRUN_ERESOURCE, frun_pool_open(e, FRUN_COMMANDS, NULL, &pool));
    ck_assert_ptr_null(pool);
    frun_engine_close(e);
    sem_post(&gate);
    pthread_join(thread, NULL);
}
END_TEST

/* While one runs the others wait for its descriptors. */
START_TEST(descriptors_run_out)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 8);
    frun_future *all[40];
    int taken[1024], n = 0, fd;
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 64;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    frun_future_free(run(pool, NULL, WORDS("sleep", "0.2")));
    while ((fd = dup(2)) >= 0)
        taken[n++] = fd;
    for (int i = 0; i < 6 && n > 0; i++)
        close(taken[--n]);
    for (int i = 0; i < 40; i++)
        all[i] = run(pool, NULL, WORDS("echo", "x"));
    for (int i = 0; i < 40; i++) {
        ck_assert_str_eq(out(all[i]), "x\n");
        frun_future_free(all[i]);
    }
    while (n > 0)
        close(taken[--n]);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* One that was told to stop does not wait for room, though one before it in
 * the line does. */
START_TEST(one_that_waits_for_descriptors_is_cancelled)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 4);
    frun_future *runs, *first, *second;
    int taken[1024], n = 0, fd;
    struct rlimit limit;

    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = 64;
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
    runs = run(pool, NULL, WORDS("sleep", "100"));
    while ((fd = dup(2)) >= 0)
        taken[n++] = fd;
    first = run(pool, NULL, WORDS("echo", "x"));
    second = run(pool, NULL, WORDS("echo", "y"));
    frun_future_cancel(second);
    failed(second, FRUN_ECANCELLED);
    while (n > 0)
        close(taken[--n]);
    ck_assert_str_eq(out(first), "x\n");
    frun_future_cancel(runs);
    failed(runs, FRUN_ECANCELLED);
    frun_future_free(runs);
    frun_future_free(first);
    frun_future_free(second);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(two_engines)
{
    frun_engine *a = kit_engine(), *b = another_engine();
    frun_pool *pa = commands(a, 2), *pb = commands(b, 2);
    frun_future *f, *g;

    for (int i = 0; i < 20; i++) {
        f = run(pa, NULL, WORDS("echo", "a"));
        g = run(pb, NULL, WORDS("echo", "b"));
        ck_assert_str_eq(out(f), "a\n");
        ck_assert_str_eq(out(g), "b\n");
        frun_future_free(f);
        frun_future_free(g);
    }
    frun_pool_close(pa);
    frun_engine_close(a);
    f = run(pb, NULL, WORDS("echo", "b"));
    ck_assert_str_eq(out(f), "b\n");
    frun_future_free(f);
    frun_pool_close(pb);
    frun_engine_close(b);
}
END_TEST

static void one_round(void)
{
    frun_engine *e = another_engine();
    frun_pool *pool = commands(e, 4);
    frun_command c = { .argv = WORDS("cat"), .cwd = "temp", .stdin = "x" };
    frun_policy p = { .timeout = 0.05 };

    for (int i = 0; i < 20; i++) {
        frun_future_free(run(pool, NULL, WORDS("true")));
        frun_future_free(run(pool, NULL, WORDS("/nonexistent")));
        ok(frun_pool_command(pool, &c, NULL, NULL));
    }
    frun_future_free(run(pool, &p, WORDS("sleep", "100")));
    ok(frun_pool_drain(pool, -1));
    frun_pool_close(pool);
    frun_engine_close(e);
}

START_TEST(nothing_is_left_behind)
{
    int fds, threads;

    one_round();
    fds = kit_fds();
    threads = kit_threads(0);
    for (int i = 0; i < 3; i++)
        one_round();
    ck_assert_int_eq(kit_fds(), fds);
    ck_assert_int_eq(kit_threads(threads), threads);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
}
END_TEST

static void no_work(int socket, int memory, void *user)
{
    (void)socket;
    (void)memory;
    (void)user;
    _exit(1);
}

/* This program is its own helper where it cannot be copied. */
int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        a_result_has_all_that_is_known,
        words_are_words,
        a_status_is_a_failure_of_its_own,
        other_statuses_can_be_well,
        a_signal_is_a_crash,
        what_cannot_be_run_says_so,
        input_and_environment,
        files_go_in_and_out,
        a_file_that_is_missing_fails_the_task,
        names_that_lead_out_fail_the_task,
        misuse_is_refused,
        attempts_are_counted,
        seats_are_named,
        a_limit_holds,
        no_more_than_workers,
        priorities_come_first,
        after_waits_for_success,
        nothing_outlives_a_timeout,
        cancel_stops_what_runs,
        a_pool_is_cancelled,
        more_are_cancelled_at_once_than_there_were_timers,
        an_engine_is_closed_while_they_run,
        files_and_timeouts,
        a_thousand_eight_at_a_time,
        those_that_wait_need_little,
        the_helper_is_killed,
        a_host_has_threads,
        a_host_has_threads_and_no_helper,
        descriptors_run_out,
        one_that_waits_for_descriptors_is_cancelled,
        two_engines,
        nothing_is_left_behind,
    };

    if (argc > 1 && strcmp(argv[1], FRI_HELPER_WORD) == 0)
        return fri_helper_main(argc, argv, no_work, NULL);
    return unit_run("commands", tests, COUNT(tests));
}
