/* flow.c - the order in which tasks run: priorities, dependencies, limits,
 * retries, cancelling; through flowrun.h. */
#define _GNU_SOURCE
#include "kit.h"

#include <pthread.h>

/* Tasks write down their number in the order in which they run. */
struct record {
    atomic_int n;
    int order[4096];
};

static frun_status write_down(frun_task *task, const frun_value *argument,
                              frun_value **result)
{
    struct record *r = frun_task_user(task);

    (void)result;
    r->order[atomic_fetch_add(&r->n, 1) % 4096]
        = (int)frun_value_as_int(argument);
    return FRUN_OK;
}

/* ---- order ------------------------------------------------------------ */

START_TEST(higher_priorities_run_first)
{
    static const double priority[] = { 0, 2, -1, 0, 2, 1e300, -1, 0.5 };
    static const int expected[] = { 5, 1, 4, 7, 0, 3, 2, 6 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    static struct record r;
    struct kit_gate gate;

    kit_gate_init(&gate);
    frun_future_free(kit_submit_held(pool, &gate));
    kit_await(&gate, 1);
    for (size_t i = 0; i < COUNT(priority); i++)
        frun_future_free(kit_submit(
            pool, write_down, (int64_t)i,
            &(frun_policy){ .priority = priority[i], .user = &r }));
    kit_open(&gate, 1);
    ok(frun_pool_drain(pool, -1));
    for (size_t i = 0; i < COUNT(expected); i++)
        ck_assert_int_eq(r.order[i], expected[i]);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- dependencies ----------------------------------------------------- */

START_TEST(a_chain_of_100000)
{
    enum { N = 100000 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    frun_policy p = { .after_count = 1 };
    frun_future *last = kit_submit(pool, kit_twice, 0, NULL);

    for (int i = 1; i < N; i++) {
        frun_future *f;

        p.after = &last;
        f = kit_submit(pool, kit_twice, i, &p);
        frun_future_free(last);
        last = f;
    }
    ck_assert_int_eq(kit_int(last), 2 * (N - 1));
    frun_future_free(last);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_fan_of_100000)
{
    enum { N = 100000 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    static frun_future *f[N];
    static struct record r;
    struct kit_gate gate;
    frun_future *root, *last;
    frun_policy p = { .after = &root, .after_count = 1, .user = &r };

    kit_gate_init(&gate);
    root = kit_submit_held(pool, &gate);
    for (int i = 0; i < N; i++)
        f[i] = kit_submit(pool, write_down, i, &p);
    p.after = f;
    p.after_count = N;
    last = kit_submit(pool, kit_twice, 5, &p);
    ck_assert_int_eq(frun_future_state(f[0]), FRUN_PENDING);
    kit_open(&gate, 1);
    ck_assert_int_eq(kit_int(last), 10);
    ck_assert_int_eq(r.n, N);
    for (int i = 0; i < N; i++)
        frun_future_free(f[i]);
    frun_future_free(root);
    frun_future_free(last);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(what_a_task_frees_runs_in_order)
{
    enum { N = 1000 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    static struct record r;
    struct kit_gate gate;
    frun_future *root;
    frun_policy p = { .after = &root, .after_count = 1, .user = &r };

    kit_gate_init(&gate);
    root = kit_submit_held(pool, &gate);
    for (int i = 0; i < N; i++)
        frun_future_free(kit_submit(pool, write_down, i, &p));
    kit_open(&gate, 1);
    ok(frun_pool_drain(pool, -1));
    for (int i = 0; i < N; i++)
        ck_assert_int_eq(r.order[i], i);
    frun_future_free(root);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_failure_fails_what_waits_for_it)
{
    enum { N = 20000 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    static frun_future *f[N];
    frun_policy p = { .name = "first" };
    const frun_error *error;
    frun_stats stats = { 0 };

    f[0] = kit_submit(pool, kit_fail, 9, &p);
    p = (frun_policy){ .after_count = 1 };
    for (int i = 1; i < N; i++) {
        p.after = &f[i - 1];
        f[i] = kit_submit(pool, kit_twice, i, &p);
    }
    p.after = &f[0];
    ok(frun_future_wait(f[N - 1], -1));
    for (int i = 1; i < N; i++) {
        status_is(FRUN_EDEPENDENCY, frun_future_result(f[i], 0, NULL));
        ck_assert_int_eq(frun_future_error(f[i])->attempts, 0);
    }
    error = frun_future_error(f[1]);
    ck_assert_str_eq(error->message, "first, which it waits for, failed");
    ck_assert_str_eq(error->cause->message, "no 9");
    ck_assert_str_eq(error->cause->task, "first");
    error = frun_future_error(f[2])->cause;
    ck_assert_int_eq(error->status, FRUN_EDEPENDENCY);
    ck_assert_str_eq(error->cause->message, "no 9");
    frun_future_free(f[1]);
    f[1] = kit_submit(pool, kit_twice, 1, &p);
    status_is(FRUN_EDEPENDENCY, frun_future_result(f[1], -1, NULL));
    ok(frun_pool_stats(pool, &stats));
    ck_assert_uint_eq(stats.failed, N + 1);
    for (int i = 0; i < N; i++)
        frun_future_free(f[i]);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_map_waits_and_fails_too)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    frun_future *f = kit_submit(pool, kit_fail, 1, NULL);
    frun_policy p = { .after = &f, .after_count = 1 };
    frun_value *list = kit_numbers(100), *results;

    status_is(FRUN_EDEPENDENCY,
              frun_pool_map(pool, kit_twice, list, &p, &results));
    frun_future_free(f);
    f = kit_submit(pool, kit_twice, 1, NULL);
    ok(frun_pool_map(pool, kit_twice, list, &p, &results));
    ck_assert_uint_eq(frun_value_length(results), 100);
    frun_value_free(results);
    frun_value_free(list);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- retries ---------------------------------------------------------- */

static frun_status third_time(frun_task *task, const frun_value *argument,
                              frun_value **result)
{
    if (frun_task_attempt(task) < 3)
        return kit_fail(task, argument, result);
    *result = frun_value_int(frun_task_attempt(task));
    return FRUN_OK;
}

START_TEST(retries_with_back_off)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_policy p = { .retries = 5 };
    double start = kit_now();
    frun_stats stats = { 0 };
    frun_future *f;

    f = kit_submit(pool, third_time, 1, &p);
    ck_assert_int_eq(kit_int(f), 3);
    frun_future_free(f);
    p.backoff = 0.01;
    f = kit_submit(pool, third_time, 1, &p);
    ck_assert_int_eq(kit_int(f), 3);
    ck_assert(kit_now() - start >= 0.03);
    frun_future_free(f);
    p.retries = 1;
    f = kit_submit(pool, third_time, 1, &p);
    status_is(FRUN_ERROR, frun_future_result(f, -1, NULL));
    ck_assert_int_eq(frun_future_error(f)->attempts, 2);
    frun_future_free(f);
    p.retry_on = 1u << FRUN_ETIMEOUT;
    f = kit_submit(pool, third_time, 1, &p);
    status_is(FRUN_ERROR, frun_future_result(f, -1, NULL));
    ck_assert_int_eq(frun_future_error(f)->attempts, 1);
    frun_future_free(f);
    p = (frun_policy){ .retries = 1, .backoff = 1000 };
    f = kit_submit(pool, kit_fail, 1, &p);
    status_is(FRUN_EUNFINISHED, frun_future_wait(f, 0.02));
    ck_assert_int_eq(frun_future_state(f), FRUN_PENDING);
    ck_assert(frun_future_cancel(f));
    status_is(FRUN_ECANCELLED, frun_future_result(f, 0, NULL));
    frun_future_free(f);
    ok(frun_pool_stats(pool, &stats));
    ck_assert_uint_eq(stats.retried, 2 + 2 + 1 + 1);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- limits ----------------------------------------------------------- */

struct seats {
    atomic_int used[2], most[2], ran;
};

static void sit(struct seats *s, int i)
{
    int used = atomic_fetch_add(&s->used[i], 1) + 1;
    int most = atomic_load(&s->most[i]);

    while (used > most
           && !atomic_compare_exchange_weak(&s->most[i], &most, used))
        ;
}

static frun_status seated(frun_task *task, const frun_value *argument,
                          frun_value **result)
{
    struct seats *s = frun_task_user(task);
    int64_t which = frun_value_as_int(argument);

    (void)result;
    for (int i = 0; i < 2; i++)
        if (which & 1 << i)
            sit(s, i);
    sched_yield();
    for (int i = 0; i < 2; i++)
        if (which & 1 << i)
            atomic_fetch_sub(&s->used[i], 1);
    atomic_fetch_add(&s->ran, 1);
    return FRUN_OK;
}

START_TEST(limits_are_never_over_committed)
{
    enum { N = 6000 };
    frun_engine *e = kit_engine();
    frun_pool *pools[2] = { kit_pool(e, 6), kit_pool(e, 5) };
    frun_limit *limits[2];
    static struct seats seats;
    uint64_t random = 1;

    ok(frun_limit_open(e, "solver", 3, false, &limits[0]));
    ok(frun_limit_open(e, NULL, 2, false, &limits[1]));
    for (int i = 0; i < N; i++) {
        int which;
        frun_policy p = { .limits = limits, .user = &seats };

        random = random * 6364136223846793005u + 1442695040888963407u;
        which = (int)(random >> 60) & 3;
        p.limit_count = which == 3 ? 2 : which > 0;
        p.limits = which == 2 ? limits + 1 : limits;
        p.priority = (double)(random >> 50 & 1);
        frun_future_free(kit_submit(pools[i & 1], seated, which, &p));
    }
    ok(frun_pool_drain(pools[0], -1));
    ok(frun_pool_drain(pools[1], -1));
    ck_assert_int_eq(seats.ran, N);
    ck_assert_int_le(seats.most[0], 3);
    ck_assert_int_le(seats.most[1], 2);
    frun_pool_close(pools[0]);
    frun_limit_close(limits[0]);
    frun_engine_close(e);
    frun_limit_close(limits[1]); /* late, but no harm */
    frun_pool_close(pools[1]);
}
END_TEST

START_TEST(all_seats_are_taken_at_once)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 3);
    frun_limit *limit, *same;
    struct kit_gate gate;
    frun_future *f[3];
    int needs[] = { 2 };
    frun_policy p = { .limits = &limit, .limit_count = 1, .user = &gate };

    kit_gate_init(&gate);
    ok(frun_limit_open(e, "gpu", 2, false, &limit));
    ok(frun_limit_open(e, "gpu", 2, false, &same));
    ck_assert_ptr_eq(limit, same);
    status_is(FRUN_EINVAL, frun_limit_open(e, "gpu", 3, false, &same));
    status_is(FRUN_EINVAL, frun_limit_open(e, NULL, 3, true, &same));
    status_is(FRUN_EINVAL, frun_limit_open(e, "x", 0, false, &same));
    ck_assert_ptr_null(same);
    ok(frun_pool_submit(pool, kit_hold, NULL, &p, &f[0]));
    kit_await(&gate, 1);
    p.limit_needs = needs;
    ok(frun_pool_submit(pool, kit_hold, NULL, &p, &f[1]));
    p.limit_needs = NULL; /* it does not overtake, though there is a seat */
    ok(frun_pool_submit(pool, kit_hold, NULL, &p, &f[2]));
    status_is(FRUN_EUNFINISHED, frun_wait(f, 3, FRUN_FIRST, 0.02, NULL));
    ck_assert_int_eq(sem_trywait(&gate.arrived), -1);
    kit_open(&gate, 1);
    kit_await(&gate, 1);
    ck_assert_int_eq(frun_future_state(f[1]), FRUN_RUNNING);
    ck_assert_int_eq(frun_future_state(f[2]), FRUN_PENDING);
    kit_open(&gate, 2);
    ok(frun_wait(f, 3, FRUN_ALL, -1, NULL));
    for (int i = 0; i < 3; i++)
        frun_future_free(f[i]);
    needs[0] = 3;
    p.limit_needs = needs;
    status_is(FRUN_ERESOURCE,
              frun_pool_submit(pool, kit_hold, NULL, &p, &f[0]));
    ck_assert_str_eq(frun_engine_message(e),
                     "limit gpu has 2 seats, the task needs 3");
    p = (frun_policy){ .limits = (frun_limit *[]){ limit, limit, limit },
                       .limit_count = 3 };
    status_is(FRUN_ERESOURCE,
              frun_pool_submit(pool, kit_nothing, NULL, &p, &f[0]));
    p.limit_count = 2;
    ok(frun_pool_submit(pool, kit_nothing, NULL, &p, NULL));
    ok(frun_pool_drain(pool, -1));
    frun_limit_close(limit);
    frun_limit_close(limit);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- cancelling ------------------------------------------------------- */

static frun_status until_cancelled(frun_task *task, const frun_value *argument,
                                   frun_value **result)
{
    struct kit_gate *g = frun_task_user(task);

    (void)argument;
    (void)result;
    sem_post(&g->arrived);
    while (!frun_task_cancelled(task))
        sched_yield();
    return FRUN_ECANCELLED;
}

START_TEST(cancel_in_each_state)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    struct kit_gate gate;
    frun_future *running, *pending, *waiting, *done;
    frun_policy p = { .user = &gate };

    kit_gate_init(&gate);
    done = kit_submit(pool, kit_twice, 1, NULL);
    ok(frun_future_wait(done, -1));
    running = kit_submit(pool, until_cancelled, 1, &p);
    kit_await(&gate, 1);
    pending = kit_submit(pool, kit_twice, 2, NULL);
    waiting = kit_submit(pool, kit_twice, 3,
                         &(frun_policy){ .after = &pending, .after_count = 1 });
    ck_assert(!frun_future_cancel(done));
    ck_assert(frun_future_cancel(waiting));
    ck_assert(frun_future_cancel(waiting));
    ck_assert(frun_future_cancel(pending));
    ck_assert_int_eq(frun_future_state(pending), FRUN_CANCELLED);
    status_is(FRUN_ECANCELLED, frun_future_result(waiting, 0, NULL));
    ck_assert_str_eq(frun_future_error(pending)->kind, "cancelled");
    frun_future_cancel(running);
    status_is(FRUN_ECANCELLED, frun_future_result(running, -1, NULL));
    frun_future_free(done);
    frun_future_free(running);
    frun_future_free(pending);
    frun_future_free(waiting);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_pool_is_cancelled_whole)
{
    enum { N = 5000 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    static frun_future *f[N];
    struct kit_gate gate;
    frun_future *held;
    frun_stats stats = { 0 };

    kit_gate_init(&gate);
    held = kit_submit_held(pool, &gate);
    frun_future_free(kit_submit_held(pool, &gate));
    kit_await(&gate, 2);
    for (int i = 0; i < N; i++)
        f[i] = kit_submit(pool, kit_twice, i,
                          &(frun_policy){ .after = i % 3 ? &f[i - 1] : &held,
                                          .after_count = (size_t)(i % 5 > 0) });
    frun_pool_cancel(pool);
    for (int i = 0; i < N; i++) {
        status_is(FRUN_ECANCELLED, frun_future_result(f[i], 0, NULL));
        frun_future_free(f[i]);
    }
    kit_open(&gate, 2);
    ok(frun_pool_drain(pool, -1));
    ok(frun_future_result(held, 0, NULL));
    frun_future_free(held);
    ok(frun_pool_stats(pool, &stats));
    ck_assert_uint_eq(stats.cancelled, N);
    ck_assert_uint_eq(stats.done, 2);
    ck_assert_uint_eq(stats.queued + stats.running, 0);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

static void *cancel_all(void *user)
{
    frun_future **f = user;

    for (int i = 0; f[i]; i++)
        frun_future_cancel(f[i]);
    return NULL;
}

START_TEST(cancel_races_with_the_start)
{
    enum { N = 2000 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    static frun_future *f[N + 1];
    frun_value *list = kit_numbers(N);
    frun_stats stats = { 0 };

    for (int round = 0; round < 20; round++) {
        pthread_t thread;
        int cancelled = 0;

        ok(frun_pool_scatter(pool, kit_twice, list, NULL, f));
        pthread_create(&thread, NULL, cancel_all, f);
        ok(frun_wait(f, N, FRUN_ALL, -1, NULL));
        pthread_join(thread, NULL);
        for (int i = 0; i < N; i++) {
            const frun_value *v = NULL;
            frun_status status = frun_future_result(f[i], 0, &v);

            if (status == FRUN_OK)
                ck_assert_int_eq(frun_value_as_int(v), 2 * i);
            else
                ck_assert_int_eq(status, FRUN_ECANCELLED);
            cancelled += status != FRUN_OK;
            frun_future_free(f[i]);
        }
        ck_assert_int_le(cancelled, N);
    }
    ok(frun_pool_stats(pool, &stats));
    ck_assert_uint_eq(stats.done + stats.cancelled, 20 * N);
    frun_value_free(list);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- guesses that turn out wrong -------------------------------------- */

/* Short tasks teach the pool to take many at once and to call nobody; then
 * tasks come that wait for each other. */
START_TEST(tasks_that_wait_for_each_other_run_together)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 4);
    struct kit_gate gate;
    frun_future *f[4], *quick;

    kit_gate_init(&gate);
    for (int round = 0; round < 10; round++) {
        for (int i = 0; i < 2000; i++)
            frun_future_free(kit_submit(pool, kit_twice, i, NULL));
        if (round & 1)
            ok(frun_pool_drain(pool, -1));
        quick = kit_submit(pool, kit_twice, 1, NULL);
        for (int i = 0; i < 4; i++)
            f[i] = kit_submit_held(pool, &gate);
        ck_assert_int_eq(kit_int(quick), 2); /* not kept back */
        kit_await(&gate, 4); /* all four are there at the same time */
        kit_open(&gate, 4);
        ok(frun_wait(f, 4, FRUN_ALL, -1, NULL));
        for (int i = 0; i < 4; i++)
            frun_future_free(f[i]);
        frun_future_free(quick);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        higher_priorities_run_first,
        a_chain_of_100000,
        a_fan_of_100000,
        what_a_task_frees_runs_in_order,
        a_failure_fails_what_waits_for_it,
        a_map_waits_and_fails_too,
        retries_with_back_off,
        limits_are_never_over_committed,
        all_seats_are_taken_at_once,
        cancel_in_each_state,
        a_pool_is_cancelled_whole,
        cancel_races_with_the_start,
        tasks_that_wait_for_each_other_run_together,
    };

    return unit_run("flow", tests, COUNT(tests));
}
