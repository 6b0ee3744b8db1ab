/* engine.c - tasks, futures and waits, through flowrun.h. */
#define _GNU_SOURCE
#include "kit.h"

#include <poll.h>
#include <pthread.h>

/* ---- submitting ------------------------------------------------------- */

START_TEST(a_task_gives_its_result)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_future *f = kit_submit(pool, kit_twice, 21, NULL);
    const frun_value *v;

    ck_assert_int_eq(kit_int(f), 42);
    ck_assert_int_eq(frun_future_state(f), FRUN_DONE);
    ck_assert_ptr_null(frun_future_error(f));
    ok(frun_future_result(f, 0, &v)); /* as often as one likes */
    ck_assert_int_eq(frun_value_as_int(v), 42);
    ok(frun_future_result(f, 0, NULL));
    ok(frun_future_wait(f, 0));
    frun_future_free(f);
    ok(frun_pool_submit(pool, kit_nothing, NULL, NULL, &f));
    ok(frun_future_result(f, -1, &v));
    ck_assert_int_eq(frun_value_kind(v), FRUN_NULL);
    frun_future_free(f);
    ok(frun_pool_submit(pool, kit_nothing, NULL, NULL, NULL));
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_failure_names_its_task)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_policy p = { .name = "case 7" };
    frun_future *f = kit_submit(pool, kit_fail, 7, &p);
    const frun_value *v = (void *)&p;
    const frun_error *error;

    status_is(FRUN_ERROR, frun_future_result(f, -1, &v));
    ck_assert_ptr_null(v);
    error = frun_future_error(f);
    ck_assert_str_eq(error->message, "no 7");
    ck_assert_str_eq(error->task, "case 7");
    ck_assert_str_eq(error->kind, "error");
    ck_assert_int_eq(error->attempts, 1);
    ck_assert_ptr_null(error->cause);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

static frun_status returns(frun_task *task, const frun_value *argument,
                           frun_value **result)
{
    (void)task;
    (void)result;
    return (frun_status)frun_value_as_int(argument);
}

START_TEST(a_status_is_the_failure)
{
    static const struct {
        int returned, is;
    } cases[] = {
        { FRUN_ENOMEM, FRUN_ENOMEM },       { FRUN_EINVAL, FRUN_ERROR },
        { FRUN_ERROR, FRUN_ERROR },         { FRUN_ETIMEOUT, FRUN_ETIMEOUT },
        { FRUN_ECANCELLED, FRUN_ECANCELLED }, { 77, FRUN_ERROR },
        { -1, FRUN_ERROR },
    };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);

    for (size_t i = 0; i < COUNT(cases); i++) {
        frun_future *f = kit_submit(pool, returns, cases[i].returned, NULL);

        status_is((frun_status)cases[i].is, frun_future_result(f, -1, NULL));
        ck_assert_int_eq(frun_future_error(f)->status, cases[i].is);
        ck_assert_ptr_nonnull(frun_future_error(f)->kind);
        frun_future_free(f);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(misuse_is_refused_in_words)
{
    frun_engine *e = kit_engine(), *other = kit_engine();
    frun_pool *pool = kit_pool(e, 1), *none = NULL, *foreign;
    frun_future *f, *g = NULL, *none_at_all[1] = { NULL };
    frun_value *one = frun_value_int(1), *results;
    size_t i;

    foreign = kit_pool(other, 1);
    f = kit_submit(foreign, kit_twice, 1, NULL);
    status_is(FRUN_EINVAL, frun_engine_open(NULL, NULL));
    status_is(FRUN_EINVAL,
              frun_pool_open(e, FRUN_THREADS,
                             &(frun_pool_options){ .workers = -1 }, &none));
    status_is(FRUN_EINVAL,
              frun_pool_open(e, FRUN_THREADS,
                             &(frun_pool_options){ .workers = 1000000 },
                             &none));
    ck_assert_str_eq(frun_engine_message(e),
                     "workers: 1 to 1024, not 1000000");
    status_is(FRUN_EINVAL, frun_pool_open(e, (frun_kind)77, NULL, &none));
    ck_assert_ptr_null(none);
    status_is(FRUN_EINVAL, frun_pool_submit(pool, NULL, NULL, NULL, &g));
    status_is(FRUN_EINVAL, frun_pool_submit(NULL, kit_nothing, NULL, NULL, &g));
    status_is(FRUN_EINVAL,
              frun_pool_submit(pool, kit_nothing, NULL,
                               &(frun_policy){ .after = &f, .after_count = 1 },
                               &g));
    status_is(FRUN_EINVAL,
              frun_pool_submit(pool, kit_nothing, NULL,
                               &(frun_policy){ .retries = -1 }, &g));
    ck_assert_ptr_null(g);
    status_is(FRUN_EINVAL,
              frun_pool_scatter(pool, kit_nothing, one, NULL, none_at_all));
    status_is(FRUN_EINVAL, frun_pool_map(pool, kit_nothing, one, NULL,
                                         &results));
    ck_assert_str_eq(frun_engine_message(e), "not a list");
    status_is(FRUN_EINVAL, frun_wait(none_at_all, 1, FRUN_ALL, 0, &i));
    status_is(FRUN_EINVAL, frun_wait(&f, 1, (frun_when)2, 0, &i));
    g = kit_submit(pool, kit_twice, 1, NULL);
    status_is(FRUN_EINVAL, frun_wait((frun_future *[]){ f, g }, 2, FRUN_ALL, 0,
                                     NULL));
    status_is(FRUN_EINVAL, frun_future_wait(NULL, 0));
    ck_assert_ptr_null(frun_future_error(NULL));
    ck_assert(!frun_future_cancel(NULL));
    frun_future_free(NULL);
    frun_pool_close(NULL);
    frun_engine_close(NULL);
    frun_limit_close(NULL);
    frun_value_free(one);
    frun_future_free(f);
    frun_future_free(g);
    frun_engine_close(other);
    frun_pool_close(foreign); /* late, but no harm */
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- many ------------------------------------------------------------- */

START_TEST(scatter_gives_a_future_for_each)
{
    enum { N = 1000 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 3);
    frun_value *list = kit_numbers(N);
    static frun_future *f[N];
    size_t at;

    ok(frun_pool_scatter(pool, kit_twice, list, NULL, f));
    ok(frun_wait(f, N, FRUN_ALL, -1, &at));
    ck_assert_uint_eq(at, N);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(kit_int(f[i]), 2 * i);
        frun_future_free(f[i]);
    }
    frun_value_free(list);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(map_keeps_the_order)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 3);

    for (int n = 0; n <= 10000; n = n * 7 + 1) {
        frun_value *list = kit_numbers(n), *results = NULL;

        for (size_t chunk = 0; chunk < 4; chunk++) {
            frun_policy p = { .chunk = chunk };

            if (chunk == 3)
                p.retries = 1; /* one by one */
            ok(frun_pool_map(pool, kit_twice, list, &p, &results));
            ck_assert_uint_eq(frun_value_length(results), (size_t)n);
            for (int i = 0; i < n; i++)
                ck_assert_int_eq(
                    frun_value_as_int(frun_value_at(results, (size_t)i)),
                    2 * i);
            frun_value_free(results);
        }
        frun_value_free(list);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

static frun_status fails_at(frun_task *task, const frun_value *argument,
                            frun_value **result)
{
    if (frun_value_as_int(argument) == *(int64_t *)frun_task_user(task))
        return kit_fail(task, argument, result);
    return kit_twice(task, argument, result);
}

START_TEST(map_fails_of_one_item)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    frun_value *list = kit_numbers(500), *results = (void *)list;

    for (int64_t at = 0; at < 500; at = at * 3 + 1) {
        frun_policy p = { .name = "square", .user = &at };
        char message[64];

        for (p.retries = 0; p.retries < 2; p.retries++) {
            status_is(FRUN_ERROR,
                      frun_pool_map(pool, fails_at, list, &p, &results));
            ck_assert_ptr_null(results);
            snprintf(message, sizeof message, "square, item %d: no %d",
                     (int)at, (int)at);
            ck_assert_str_eq(frun_engine_message(e), message);
        }
    }
    for (int64_t last = 499, i = 0; i < 200; i++)
        status_is(FRUN_ERROR,
                  frun_pool_map(pool, fails_at, list,
                                &(frun_policy){ .user = &last }, &results));
    frun_value_free(list);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- waiting ---------------------------------------------------------- */

START_TEST(waits_run_out_and_can_be_repeated)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    struct kit_gate gate;
    frun_future *f[2];
    double start = kit_now();
    size_t at;

    kit_gate_init(&gate);
    f[0] = kit_submit_held(pool, &gate);
    f[1] = kit_submit(pool, kit_twice, 4, NULL);
    status_is(FRUN_EUNFINISHED, frun_future_wait(f[0], 0));
    status_is(FRUN_EUNFINISHED, frun_future_wait(f[0], 0.02));
    status_is(FRUN_EUNFINISHED, frun_future_result(f[1], 0.02, NULL));
    status_is(FRUN_EUNFINISHED, frun_wait(f, 2, FRUN_FIRST, 0.02, &at));
    ck_assert_uint_eq(at, 2);
    status_is(FRUN_EUNFINISHED, frun_pool_drain(pool, 0.02));
    ck_assert(kit_now() - start >= 0.08);
    ck_assert_int_eq(frun_future_state(f[0]), FRUN_RUNNING);
    ck_assert_int_eq(frun_future_state(f[1]), FRUN_PENDING);
    kit_open(&gate, 1);
    ok(frun_pool_drain(pool, -1));
    ok(frun_wait(f, 2, FRUN_ALL, 0, &at));
    ck_assert_int_eq(kit_int(f[1]), 8);
    frun_future_free(f[0]);
    frun_future_free(f[1]);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(wait_for_the_first_and_for_a_failure)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 4);
    struct kit_gate gates[3];
    frun_future *f[3];
    size_t at;

    for (int i = 0; i < 3; i++) {
        kit_gate_init(&gates[i]);
        f[i] = kit_submit_held(pool, &gates[i]);
    }
    kit_open(&gates[1], 1);
    ok(frun_wait(f, 3, FRUN_FIRST, -1, &at));
    ck_assert_uint_eq(at, 1);
    kit_open(&gates[0], 1);
    ok(frun_future_wait(f[0], -1));
    ok(frun_wait(f, 3, FRUN_FIRST, -1, &at)); /* in the order of completion */
    ck_assert_uint_eq(at, 1);
    frun_future_free(f[1]);
    f[1] = kit_submit(pool, kit_fail, 3, NULL);
    ok(frun_wait(f, 3, (frun_when)FRUN_FAILED, -1, &at));
    ck_assert_uint_eq(at, 1);
    ok(frun_wait(f, 1, FRUN_FIRST_FAILED, -1, &at)); /* all done, none failed */
    ck_assert_uint_eq(at, 1);
    ok(frun_wait(NULL, 0, FRUN_ALL, -1, &at));
    ck_assert_uint_eq(at, 0);
    kit_open(&gates[2], 1);
    for (int i = 0; i < 3; i++)
        frun_future_free(f[i]);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(info_tells_what_happened)
{
    frun_engine *e = kit_engine();
    frun_pool_options o = { .workers = 1, .name = "lathe" };
    frun_info info = { 0 };
    frun_pool *pool;
    struct kit_gate gate;
    frun_future *f, *g;

    kit_gate_init(&gate);
    ok(frun_pool_open(e, FRUN_THREADS, &o, &pool));
    f = kit_submit_held(pool, &gate);
    g = kit_submit(pool, kit_twice, 4, &(frun_policy){ .name = "four" });
    kit_await(&gate, 1);
    ok(frun_future_info(g, &info));
    ck_assert_str_eq(info.name, "four");
    ck_assert_str_eq(info.pool, "lathe");
    ck_assert(info.submitted >= 0 && info.started < 0 && info.finished < 0);
    ck_assert_int_eq(info.attempts, 0);
    ck_assert_int_eq(info.worker, 0);
    kit_open(&gate, 1);
    ok(frun_future_wait(f, -1));
    ok(frun_future_info(f, &info));
    ck_assert_str_eq(info.name, "task 1");
    ck_assert_int_eq(info.attempts, 1);
    ck_assert_int_eq(info.worker, 1);
    ck_assert(info.started >= info.submitted);
    ck_assert(info.finished >= info.started);
    ck_assert(info.seconds == info.finished - info.started
              || info.seconds - (info.finished - info.started) < 1e-9);
    frun_future_free(f);
    frun_future_free(g);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- callbacks -------------------------------------------------------- */

struct calls {
    frun_pool *pool;
    int n;
    int64_t order[8];
    pthread_t thread;
};

static void note_call(frun_future *f, void *user)
{
    struct calls *c = user;

    c->order[c->n++ % 8] = kit_int(f);
    c->thread = pthread_self();
    frun_future_free(f);
}

START_TEST(callbacks_run_on_the_owners_thread)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    struct calls calls = { .pool = pool };
    frun_future *f;

    f = kit_submit(pool, kit_twice, 1, NULL);
    ok(frun_future_on_done(f, note_call, &calls));
    while (calls.n < 1)
        ok(frun_engine_step(e, -1));
    ck_assert_int_eq(calls.order[0], 2);
    ck_assert(pthread_equal(calls.thread, pthread_self()));
    f = kit_submit(pool, kit_twice, 2, NULL);
    ok(frun_future_wait(f, -1));
    ok(frun_future_on_done(f, note_call, &calls)); /* late */
    ck_assert_int_eq(calls.n, 1);
    ok(frun_engine_step(e, 0));
    ck_assert_int_eq(calls.n, 2);
    status_is(FRUN_EUNFINISHED, frun_engine_step(e, 0));
    status_is(FRUN_EUNFINISHED, frun_engine_step(e, 0.01));
    f = kit_submit(pool, kit_twice, 3, NULL);
    ok(frun_future_on_done(f, note_call, &calls));
    ok(frun_pool_drain(pool, -1)); /* inside a wait */
    frun_pool_close(pool);
    frun_engine_close(e); /* at the latest */
    ck_assert_int_eq(calls.n, 3);
}
END_TEST

static void submit_next(frun_future *f, void *user)
{
    struct calls *c = user;
    frun_future *next;

    frun_future_free(f);
    if (++c->n == 1000)
        return;
    next = kit_submit(c->pool, kit_twice, c->n, NULL);
    ok(frun_future_on_done(next, submit_next, c));
}

START_TEST(callbacks_may_submit)
{
    frun_engine *e = kit_engine();
    struct calls calls = { .pool = kit_pool(e, 2) };
    frun_future *f = kit_submit(calls.pool, kit_twice, 0, NULL);

    ok(frun_future_on_done(f, submit_next, &calls));
    while (calls.n < 1000)
        ok(frun_engine_step(e, -1));
    frun_pool_close(calls.pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(the_descriptor_is_readable_when_there_is_something)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    struct calls calls = { 0 };
    struct pollfd p = { .fd = frun_engine_fd(e), .events = POLLIN };

    ck_assert_int_ge(p.fd, 0);
    ck_assert_int_eq(frun_engine_fd(e), p.fd);
    for (int i = 0; i < 100; i++) {
        frun_future *f = kit_submit(pool, kit_twice, i, NULL);

        ck_assert_int_eq(poll(&p, 1, 0), 0);
        ok(frun_future_on_done(f, note_call, &calls));
        ck_assert_int_eq(poll(&p, 1, 10000), 1);
        ok(frun_engine_step(e, 0));
        ck_assert_int_eq(calls.n, i + 1);
    }
    ck_assert_int_eq(poll(&p, 1, 0), 0);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_task_gives_its_result,
        a_failure_names_its_task,
        a_status_is_the_failure,
        misuse_is_refused_in_words,
        scatter_gives_a_future_for_each,
        map_keeps_the_order,
        map_fails_of_one_item,
        waits_run_out_and_can_be_repeated,
        wait_for_the_first_and_for_a_failure,
        info_tells_what_happened,
        callbacks_run_on_the_owners_thread,
        callbacks_may_submit,
        the_descriptor_is_readable_when_there_is_something,
    };

    return unit_run("engine", tests, COUNT(tests));
}
