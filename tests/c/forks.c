/*
 * forks.c - C functions in worker processes, and the host that has children,
 * threads and signal handlers of its own; through flowrun.h.
 */
#define _GNU_SOURCE
#include "kit.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>

static frun_pool *forks(frun_engine *e, int workers)
{
    frun_pool_options o = { .workers = workers };
    frun_pool *pool;

    ok(frun_pool_open(e, FRUN_FORKS, &o, &pool));
    return pool;
}

/* ---- tasks ------------------------------------------------------------ */

static void stay(void)
{
    for (;;)
        pause();
}

static int64_t (*volatile again)(int64_t n);

static int64_t overflow(int64_t n)
{
    volatile char here[65536];

    here[n % 65536] = (char)n;
    return again(n + 1) + here[n / 2 % 65536];
}

/* Into the socket to the engine, whichever it is. */
static void write_garbage(void)
{
    for (int fd = 3; fd < 100; fd++)
        send(fd, "garbage", 7, MSG_NOSIGNAL);
}

static frun_status do_fault(int64_t what)
{
    volatile char c = 1;
    volatile int *nothing = NULL;

    switch (what) {
    case 1: raise(SIGSEGV); break;
    case 2: abort();
    case 3: exit(3);
    case 4: _exit(4);
    case 5: raise(SIGKILL); break;
    case 6: *nothing = 1; break;
    case 7: stay(); break;
    case 8: for (;;) c++;
    case 9:
        again = overflow;
        (void)again(1);
        break;
    case 10: exit(0);
    case 11:
        write_garbage();
        stay();
        break;
    default: break;
    }
    return FRUN_OK;
}

/* Twice the argument's index, after what its fault asks for. */
static frun_status misbehave(frun_task *task, const frun_value *argument,
                             frun_value **result)
{
    int64_t n = frun_value_as_int(argument);

    if (n < 0 && frun_task_attempt(task) < 3)
        do_fault(-n);
    *result = frun_value_int(n < 0 ? frun_task_attempt(task) : 2 * n);
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

static frun_status number(frun_task *task, const frun_value *argument,
                          frun_value **result)
{
    (void)task;
    (void)argument;
    *result = frun_value_int(getpid());
    return FRUN_OK;
}

static frun_status five_hundred(frun_task *task, const frun_value *argument,
                                frun_value **result)
{
    if (frun_value_as_int(argument) == 500)
        raise(SIGKILL);
    return kit_twice(task, argument, result);
}

struct fault {
    int64_t what;
    frun_status status;
    int signal, exit_status;
    double timeout;
};

static const struct fault faults[] = {
    { 1, FRUN_ECRASHED, SIGSEGV, -1, 0 },
    { 2, FRUN_ECRASHED, SIGABRT, -1, 0 },
    { 3, FRUN_ECRASHED, 0, 3, 0 },
    { 4, FRUN_ECRASHED, 0, 4, 0 },
    { 5, FRUN_ECRASHED, SIGKILL, -1, 0 },
    { 6, FRUN_ECRASHED, SIGSEGV, -1, 0 },
    { 7, FRUN_ETIMEOUT, 0, -1, 0.2 },
    { 8, FRUN_ETIMEOUT, 0, -1, 0.2 },
    { 9, FRUN_ECRASHED, SIGSEGV, -1, 0 },
    { 10, FRUN_ECRASHED, 0, 0, 0 },
    { 11, FRUN_ECRASHED, SIGKILL, -1, 0 },
};

/* A sanitizer handles some signals itself. */
static bool is_tested(const struct fault *f)
{
    return !KIT_SANITIZED || f->what == 5 || f->what >= 7;
}

/* ---- one thing after the other ----------------------------------------- */

START_TEST(functions_run_in_other_processes)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = forks(e, 2);
    frun_value *list = kit_numbers(1000), *results;
    frun_future *f = kit_submit(pool, number, 0, NULL);

    ck_assert_int_ne(kit_int(f), getpid());
    frun_future_free(f);
    ok(frun_pool_map(pool, kit_twice, list, NULL, &results));
    for (int64_t i = 0; i < 1000; i++)
        ck_assert_int_eq(frun_value_as_int(frun_value_at(results, (size_t)i)),
                         2 * i);
    frun_value_free(results);
    f = kit_submit(pool, kit_fail, 5, NULL);
    status_is(FRUN_ERROR, frun_future_wait(f, -1) == FRUN_OK
                              ? frun_future_error(f)->status
                              : FRUN_OK);
    ck_assert_str_eq(frun_future_error(f)->message, "no 5");
    frun_future_free(f);
    frun_value_free(list);
    frun_engine_close(e);
    frun_pool_close(pool);
}
END_TEST

static void is_fault(frun_future *f, const struct fault *fault)
{
    const frun_error *error;

    ok(frun_future_wait(f, -1));
    error = frun_future_error(f);
    ck_assert_msg(error != NULL, "fault %d", (int)fault->what);
    ck_assert_msg(error->status == fault->status, "fault %d: %s",
                  (int)fault->what, error->message);
    ck_assert_int_eq(error->signal, fault->signal);
    ck_assert_int_eq(error->exit_status, fault->exit_status);
    ck_assert_int_eq(frun_future_state(f), FRUN_FAILED);
}

START_TEST(a_fault_costs_its_task)
{
    const struct fault *fault = &faults[_i];
    frun_policy policy = { .timeout = fault->timeout };
    frun_engine *e;
    frun_pool *pool;
    frun_future *bad, *others[10];

    if (!is_tested(fault))
        return;
    e = kit_engine();
    pool = forks(e, 2);
    for (int i = 0; i < 5; i++)
        others[i] = kit_submit(pool, misbehave, i, NULL);
    bad = kit_submit(pool, misbehave, -fault->what, &policy);
    for (int i = 5; i < 10; i++)
        others[i] = kit_submit(pool, misbehave, i, NULL);
    is_fault(bad, fault);
    for (int i = 0; i < 10; i++) {
        ck_assert_int_eq(kit_int(others[i]), 2 * i);
        frun_future_free(others[i]);
    }
    frun_future_free(bad);
    policy.retries = 2;
    policy.timeout *= 5; /* the last attempt must not pass it */
    bad = kit_submit(pool, misbehave, -fault->what, &policy);
    ck_assert_int_eq(kit_int(bad), 3);
    frun_future_free(bad);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(the_item_of_a_map_is_blamed)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = forks(e, 2);
    frun_value *list = kit_numbers(1000), *results = NULL;

    status_is(FRUN_ECRASHED,
              frun_pool_map(pool, five_hundred, list, NULL, &results));
    ck_assert_ptr_null(results);
    ck_assert_msg(strstr(frun_engine_message(e), "signal 9") != NULL, "%s",
                  frun_engine_message(e));
    ok(frun_pool_map(pool, kit_twice, list, NULL, &results));
    ck_assert_uint_eq(frun_value_length(results), 1000);
    frun_value_free(results);
    frun_value_free(list);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(cancel_stops_what_runs)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = forks(e, 2);

    for (int i = 0; i < 10; i++) {
        frun_future *f = kit_submit(pool, misbehave, i % 2 ? -7 : -8, NULL);

        while (i % 3 && frun_future_state(f) == FRUN_PENDING)
            kit_nap(0.001);
        ck_assert(frun_future_cancel(f));
        ok(frun_future_wait(f, -1));
        ck_assert_int_eq(frun_future_state(f), FRUN_CANCELLED);
        frun_future_free(f);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- the host's own children ------------------------------------------- */

static volatile sig_atomic_t children;

static void on_child(int n)
{
    (void)n;
    children++;
}

START_TEST(no_child_is_the_hosts)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = forks(e, 2);
    frun_future *f = kit_submit(pool, kit_twice, 1, NULL);
    int status;

    ck_assert_int_eq(kit_int(f), 2);
    frun_future_free(f);
    errno = 0;
    ck_assert_int_eq(waitpid(-1, &status, WNOHANG | __WALL), -1);
    ck_assert_int_eq(errno, ECHILD);
    f = kit_submit(pool, misbehave, -5, NULL);
    ok(frun_future_wait(f, -1));
    frun_future_free(f);
    ck_assert_int_eq(wait(&status), -1);
    ck_assert_int_eq(errno, ECHILD);
    frun_pool_close(pool);
    frun_engine_close(e);
    ck_assert_int_eq(wait(&status), -1);
    ck_assert_int_eq(errno, ECHILD);
}
END_TEST

START_TEST(the_hosts_children_and_handler_are_its_own)
{
    struct sigaction action = { .sa_handler = on_child }, after;
    frun_engine *e;
    frun_pool *pool;
    pid_t own[5];
    int status;

    sigaction(SIGCHLD, &action, NULL);
    e = kit_engine(); /* the helper's parent ends here */
    children = 0;
    pool = forks(e, 2);
    for (int i = 0; i < 5; i++) {
        frun_future *f;

        own[i] = fork();
        if (own[i] == 0)
            _exit(10 + i);
        f = kit_submit(pool, misbehave, i % 2 ? -5 : i, NULL);
        ok(frun_future_wait(f, -1));
        frun_future_free(f);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
    for (int i = 0; i < 5; i++) {
        pid_t got;

        do
            got = waitpid(own[i], &status, 0);
        while (got < 0 && errno == EINTR);
        ck_assert_int_eq(got, own[i]);
        ck_assert_int_eq(WEXITSTATUS(status), 10 + i);
    }
    sigaction(SIGCHLD, NULL, &after);
    ck_assert(after.sa_handler == on_child);
    ck_assert_int_ge(children, 1);
    ck_assert_int_le(children, 5);
    ck_assert_int_eq(wait(&status), -1);
    signal(SIGCHLD, SIG_DFL);
}
END_TEST

static void on_child_reap_all(int n)
{
    int status, error = errno;

    (void)n;
    while (waitpid(-1, &status, WNOHANG) > 0)
        children++;
    errno = error;
}

/* Some hosts wait for any child as soon as one ends. */
START_TEST(a_host_that_reaps_all)
{
    struct sigaction action = { .sa_handler = on_child_reap_all };
    frun_engine *e;
    frun_pool *pool;
    frun_future *f;

    sigaction(SIGCHLD, &action, NULL);
    for (int i = 0; i < kit_engines(20); i++) {
        e = kit_engine();
        pool = forks(e, 1);
        f = kit_submit(pool, misbehave, -5, NULL);
        is_fault(f, &faults[4]);
        frun_future_free(f);
        f = kit_submit(pool, misbehave, 4, NULL);
        ck_assert_int_eq(kit_int(f), 8);
        frun_future_free(f);
        frun_pool_close(pool);
        frun_engine_close(e);
    }
    signal(SIGCHLD, SIG_DFL);
}
END_TEST

START_TEST(children_that_are_ignored)
{
    frun_engine *e;
    frun_pool *pool;
    frun_future *f;

    signal(SIGCHLD, SIG_IGN);
    e = kit_engine();
    pool = forks(e, 1);
    f = kit_submit(pool, misbehave, -4, NULL);
    is_fault(f, &faults[3]);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
    signal(SIGCHLD, SIG_DFL);
}
END_TEST

/* ---- engines ----------------------------------------------------------- */

START_TEST(two_engines_at_once)
{
    frun_engine *e[2] = { kit_engine(), kit_engine() };
    frun_pool *pools[2] = { forks(e[0], 2), forks(e[1], 2) };
    frun_future *f[2][20];

    for (int i = 0; i < 20; i++)
        for (int k = 0; k < 2; k++)
            f[k][i] = kit_submit(pools[k], misbehave, i % 5 ? i : -5, NULL);
    for (int i = 0; i < 20; i++)
        for (int k = 0; k < 2; k++) {
            if (i % 5)
                ck_assert_int_eq(kit_int(f[k][i]), 2 * i);
            else
                is_fault(f[k][i], &faults[4]);
            frun_future_free(f[k][i]);
        }
    frun_engine_close(e[0]);
    frun_pool_close(pools[0]);
    f[1][0] = kit_submit(pools[1], kit_twice, 21, NULL);
    ck_assert_int_eq(kit_int(f[1][0]), 42);
    frun_future_free(f[1][0]);
    frun_engine_close(e[1]);
    frun_pool_close(pools[1]);
}
END_TEST

static void *sleeps(void *gate)
{
    sem_wait(gate);
    return NULL;
}

/* A copy of a process with threads is not safe to run C functions in. */
START_TEST(a_host_with_threads)
{
    frun_engine_options o = { .worker_path = "/nonexistent/flowrun" };
    frun_pool_options two = { .workers = 2 };
    frun_pool *pool = NULL;
    frun_engine *e;
    frun_status status;
    pthread_t thread;
    sem_t gate;

    sem_init(&gate, 0, 0);
    pthread_create(&thread, NULL, sleeps, &gate);
    ok(frun_engine_open(&o, &e));
    status = frun_pool_open(e, FRUN_FORKS, &two, &pool);
    if (status == FRUN_OK) {
        frun_future *f = NULL;
        frun_value *v = frun_value_int(1);

        status = frun_pool_submit(pool, kit_twice, v, NULL, &f);
        ck_assert_int_ne(status, FRUN_OK);
        frun_value_free(v);
        frun_future_free(f);
    }
    ck_assert_int_ne(status, FRUN_OK);
    ck_assert_uint_gt(strlen(frun_engine_message(e)), 10);
    frun_pool_close(pool);
    pool = kit_pool(e, 1); /* threads are there */
    frun_future_free(kit_submit(pool, kit_twice, 1, NULL));
    frun_engine_close(e);
    frun_pool_close(pool);
    sem_post(&gate);
    pthread_join(thread, NULL);
}
END_TEST

START_TEST(descriptors_are_as_before)
{
    int fds = kit_fds(), status;

    for (int i = 0; i < kit_engines(30); i++) {
        frun_engine *e = kit_engine();
        frun_pool *pool = forks(e, 2);

        for (int k = 0; k < 5; k++) {
            frun_future *f = kit_submit(pool, misbehave, k == 2 ? -5 : k, NULL);

            if (i % 2)
                ok(frun_future_wait(f, -1));
            frun_future_free(f);
        }
        if (i % 3)
            frun_pool_close(pool);
        frun_engine_close(e);
        if (i % 3 == 0)
            frun_pool_close(pool);
        ck_assert_int_eq(kit_fds(), fds);
    }
    ck_assert_int_eq(wait(&status), -1);
}
END_TEST

static bool is_alive(pid_t pid)
{
    char path[64], line[256] = "";
    FILE *f;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    f = fopen(path, "r");
    if (!f)
        return false;
    if (!fgets(line, sizeof line, f))
        line[0] = '\0';
    fclose(f);
    return strstr(line, ") Z") == NULL && strstr(line, ") X") == NULL
           && line[0];
}

START_TEST(closed_while_busy)
{
    for (int i = 0; i < kit_engines(6); i++) {
        frun_engine *e = kit_engine();
        frun_pool *pool = forks(e, 2);
        frun_future *f = kit_submit(pool, number, 0, NULL);
        pid_t pid = (pid_t)kit_int(f);

        frun_future_free(f);
        for (int k = 0; k < 10; k++)
            frun_future_free(kit_submit(pool, misbehave,
                                        k < 2 ? -7 - i % 2 : k, NULL));
        if (i % 3)
            kit_nap(0.02);
        frun_pool_cancel(pool);
        frun_engine_close(e);
        frun_pool_close(pool);
        for (int k = 0; k < 1000 && is_alive(pid); k++)
            kit_nap(0.01);
        ck_assert(!is_alive(pid));
    }
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("forks");
    TCase *tcase = tcase_create("forks");
    const TTest *const tests[] = {
        functions_run_in_other_processes, the_item_of_a_map_is_blamed,
        cancel_stops_what_runs, no_child_is_the_hosts,
        the_hosts_children_and_handler_are_its_own, a_host_that_reaps_all,
        children_that_are_ignored,
        two_engines_at_once, a_host_with_threads, descriptors_are_as_before,
        closed_while_busy,
    };
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    for (size_t i = 0; i < COUNT(tests); i++)
        tcase_add_test(tcase, tests[i]);
    tcase_add_loop_test(tcase, a_fault_costs_its_task, 0, COUNT(faults));
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
