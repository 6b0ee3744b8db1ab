/*
 * stop.c - timeouts and cancels of C tasks in threads: they cannot be
 * interrupted, so they are asked, and past a timeout their thread is given up
 * and replaced.
 *
 * What is given up waits at a gate, and comes back before the test ends: what
 * it then does must reach nobody.
 */
#include "kit.h"

static struct kit_gate gate;

/* Goes on until it is asked to stop. */
static frun_status until_asked(frun_task *task, const frun_value *argument,
                               frun_value **result)
{
    (void)argument;
    sem_post(&gate.arrived);
    while (!frun_task_cancelled(task))
        kit_nap(0.001);
    *result = frun_value_str("asked", 5);
    return FRUN_OK;
}

/* The first attempt stays at the gate, the next ones do not. */
static frun_status first_stays(frun_task *task, const frun_value *argument,
                               frun_value **result)
{
    if (frun_task_attempt(task) == 1)
        return kit_hold(task, argument, result);
    *result = frun_value_copy(argument);
    return FRUN_OK;
}

static frun_future *submit(frun_pool *pool, frun_function *fn,
                           const char *argument, const frun_policy *policy)
{
    frun_value *value = argument ? frun_value_str(argument, strlen(argument))
                                  : NULL;
    frun_future *f;

    ok(frun_pool_submit(pool, fn, value, policy, &f));
    frun_value_free(value);
    return f;
}

static frun_stats stats(frun_pool *pool)
{
    frun_stats s = { .size = sizeof s };

    ok(frun_pool_stats(pool, &s));
    return s;
}

static void ends_as(frun_status status, frun_future *f)
{
    const frun_value *value;

    status_is(status, frun_future_result(f, -1, &value));
    if (status != FRUN_OK)
        status_is(status, frun_future_error(f)->status);
    frun_future_free(f);
}

static void close_all(frun_engine *e, frun_pool *pool)
{
    frun_pool_close(pool);
    frun_engine_close(e);
}

/* So many that were given up come back, and go. */
static void come_back(int n)
{
    kit_open(&gate, n);
    ck_assert_int_eq(kit_threads(3), 3);
}

START_TEST(a_timeout_asks)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_policy p = { .timeout = 0.02 };

    ends_as(FRUN_ETIMEOUT, submit(pool, until_asked, NULL, &p));
    ck_assert_uint_eq(stats(pool).lost, 0);
    ck_assert_uint_eq(stats(pool).failed, 1);
    close_all(e, pool);
}
END_TEST

START_TEST(a_cancel_asks_and_the_result_stays)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_future *f;
    const frun_value *value;

    kit_gate_init(&gate);
    f = submit(pool, until_asked, NULL, NULL);
    kit_await(&gate, 1);
    ck_assert(!frun_future_cancel(f));
    ok(frun_future_result(f, -1, &value));
    ck_assert_str_eq(frun_value_as_str(value), "asked");
    frun_future_free(f);
    close_all(e, pool);
}
END_TEST

START_TEST(in_time_is_no_timeout)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    frun_policy p = { .timeout = 60 };
    frun_future *f[50];

    for (int i = 0; i < 50; i++)
        f[i] = submit(pool, kit_nothing, NULL, &p);
    for (int i = 0; i < 50; i++)
        ends_as(FRUN_OK, f[i]);
    ck_assert_uint_eq(stats(pool).done, 50);
    close_all(e, pool);
}
END_TEST

/* The argument is the lost thread's until it has come back. */
START_TEST(a_thread_is_given_up_and_replaced)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_policy p = { .timeout = 0.02, .user = &gate };
    frun_future *f;

    kit_gate_init(&gate);
    f = submit(pool, kit_hold, "a text of more than twenty-four bytes", &p);
    kit_await(&gate, 1);
    ends_as(FRUN_ETIMEOUT, f);
    ck_assert_uint_eq(stats(pool).lost, 1);
    ck_assert_uint_eq(stats(pool).running, 0);
    ends_as(FRUN_OK, submit(pool, kit_nothing, NULL, NULL));
    kit_open(&gate, 1);
    ends_as(FRUN_OK, submit(pool, kit_nothing, NULL, NULL));
    close_all(e, pool);
    come_back(0);
}
END_TEST

START_TEST(the_next_attempt_runs_elsewhere)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    frun_policy p = { .timeout = 0.02, .retries = 1, .user = &gate };
    frun_future *f;
    const frun_value *value;

    kit_gate_init(&gate);
    f = submit(pool, first_stays, "again", &p);
    ok(frun_future_result(f, -1, &value));
    ck_assert_str_eq(frun_value_as_str(value), "again");
    frun_future_free(f);
    ck_assert_uint_eq(stats(pool).lost, 1);
    ck_assert_uint_eq(stats(pool).retried, 1);
    close_all(e, pool);
    come_back(1);
}
END_TEST

START_TEST(a_cancel_after_the_timeout_wins)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_policy p = { .timeout = 0.01, .retries = 5, .user = &gate };
    frun_future *f;

    kit_gate_init(&gate);
    f = submit(pool, kit_hold, NULL, &p);
    kit_await(&gate, 1);
    while (!frun_future_cancel(f))
        kit_nap(0.001);
    ends_as(FRUN_ECANCELLED, f);
    ck_assert_uint_eq(stats(pool).retried, 0);
    close_all(e, pool);
    come_back(1);
}
END_TEST

START_TEST(no_more_than_workers_are_given_up)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    frun_policy p = { .timeout = 0.02, .user = &gate };
    frun_future *f[3], *refused;
    frun_status status;

    kit_gate_init(&gate);
    for (int i = 0; i < 3; i++)
        f[i] = submit(pool, kit_hold, NULL, &p);
    for (int i = 0; i < 3; i++)
        ends_as(FRUN_ETIMEOUT, f[i]);
    ck_assert_uint_eq(stats(pool).lost, 2);
    status = frun_pool_submit(pool, kit_nothing, NULL, NULL, &refused);
    if (status == FRUN_OK) {
        status = frun_future_result(refused, -1, &(const frun_value *){ 0 });
        ck_assert_str_eq(frun_future_error(refused)->message,
                         "pool 1: more than 2 threads could not be stopped");
        frun_future_free(refused);
    }
    status_is(FRUN_ERESOURCE, status);
    close_all(e, pool);
    come_back(3);
}
END_TEST

/* What comes back after its engine has gone finds all that it touches, and
 * frees it. */
START_TEST(a_lost_thread_outlives_its_engine)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_policy p = { .timeout = 0.02, .user = &gate };
    frun_future *f;

    kit_gate_init(&gate);
    f = submit(pool, kit_hold, "a text of more than twenty-four bytes", &p);
    kit_await(&gate, 1);
    ends_as(FRUN_ETIMEOUT, f);
    close_all(e, pool);
    kit_nap(0.01);
    come_back(1);
}
END_TEST

START_TEST(a_map_with_a_timeout)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    frun_policy p = { .timeout = 0.02 };
    frun_value *list = kit_numbers(4), *results;

    status_is(FRUN_ETIMEOUT,
              frun_pool_map(pool, until_asked, list, &p, &results));
    ck_assert_ptr_null(results);
    frun_value_free(list);
    close_all(e, pool);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_timeout_asks,
        a_cancel_asks_and_the_result_stays,
        in_time_is_no_timeout,
        a_thread_is_given_up_and_replaced,
        the_next_attempt_runs_elsewhere,
        a_cancel_after_the_timeout_wins,
        no_more_than_workers_are_given_up,
        a_lost_thread_outlives_its_engine,
        a_map_with_a_timeout,
    };

    kit_gate_init(&gate);
    return unit_run("stop", tests, COUNT(tests));
}
