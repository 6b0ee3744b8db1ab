/* life.c - how engines and pools begin and end, and what they leave behind;
 * memory that runs out; through flowrun.h. */
#define _GNU_SOURCE
#include "kit.h"

#include <pthread.h>
#include <sys/resource.h>

/* ---- threads and descriptors ------------------------------------------ */

START_TEST(no_thread_before_the_first_pool)
{
    int fds = kit_fds(), threads = kit_threads(0);
    frun_engine *e = kit_engine();
    frun_pool *pool;

    ok(frun_engine_register(e, "twice", kit_twice, NULL));
    status_is(FRUN_EINVAL, frun_engine_register(e, "twice", kit_twice, NULL));
    ck_assert_int_eq(kit_threads(threads), threads);
    ck_assert_int_le(kit_fds(), fds + 3); /* to the parent of processes */
    pool = kit_pool(e, 3);
    ck_assert_int_le(kit_threads(threads + 1), threads + 1);
    frun_pool_close(pool);
    frun_engine_close(e);
    ck_assert_int_eq(kit_threads(threads), threads);
    ck_assert_int_eq(kit_fds(), fds);
}
END_TEST

static bool look_for_thread(const char *name)
{
    DIR *d = opendir("/proc/self/task");
    struct dirent *entry;
    bool found = false;

    while (d && (entry = readdir(d)) != NULL) {
        char path[300], comm[32] = "";
        FILE *f;

        snprintf(path, sizeof path, "/proc/self/task/%s/comm", entry->d_name);
        f = fopen(path, "r");
        if (f && fgets(comm, sizeof comm, f))
            comm[strcspn(comm, "\n")] = '\0';
        if (f)
            fclose(f);
        found = found || strcmp(comm, name) == 0;
    }
    closedir(d);
    return found;
}

/* Some thread of this process has the name, or gives itself that name now. */
static bool has_thread(const char *name)
{
    for (int i = 0; i < 1000; i++) {
        if (look_for_thread(name))
            return true;
        kit_nap(0.001);
    }
    return false;
}

START_TEST(threads_are_named)
{
    frun_engine *e = kit_engine();
    frun_pool_options o = { .workers = 1, .name = "a long name of a pool" };
    struct kit_gate gate;
    frun_pool *pool;

    kit_gate_init(&gate);
    ok(frun_pool_open(e, FRUN_THREADS, &o, &pool));
    frun_future_free(kit_submit_held(pool, &gate));
    kit_await(&gate, 1);
    ck_assert(has_thread("flowrun"));
    ck_assert(has_thread("a long nam/1"));
    kit_open(&gate, 1);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_thousand_pools)
{
    int fds = kit_fds(), threads = kit_threads(0);
    frun_engine *e = kit_engine();

    for (int i = 0; i < 1000; i++) {
        frun_pool *pool = kit_pool(e, 2);

        if (i % 2)
            frun_future_free(kit_submit(pool, kit_twice, i, NULL));
        frun_pool_close(pool);
    }
    ck_assert_int_le(kit_threads(threads + 1), threads + 1);
    for (int i = 0; i < 50; i++) {
        frun_engine *other = kit_engine();
        frun_pool *pool = kit_pool(other, 2);
        frun_future *f;

        f = kit_submit(pool, kit_twice, i, NULL);
        ck_assert_int_eq(kit_int(f), 2 * i);
        frun_future_free(f);
        frun_engine_close(other); /* closes the pool, too */
        frun_pool_close(pool);
    }
    frun_engine_close(e);
    ck_assert_int_eq(kit_threads(threads), threads);
    ck_assert_int_le(kit_fds(), fds);
}
END_TEST

START_TEST(an_idle_pool_takes_no_time)
{
    frun_engine *e = kit_engine();
    frun_pool *pools[2] = { kit_pool(e, 8), kit_pool(e, 8) };
    frun_value *list = kit_numbers(1000), *results;
    struct rusage before, after;
    double used;

    for (int i = 0; i < 2; i++) {
        ok(frun_pool_map(pools[i], kit_twice, list, NULL, &results));
        frun_value_free(results);
    }
    kit_nap(0.05);
    getrusage(RUSAGE_SELF, &before);
    kit_nap(0.5);
    getrusage(RUSAGE_SELF, &after);
    used = (double)(after.ru_utime.tv_usec - before.ru_utime.tv_usec)
           + (double)(after.ru_stime.tv_usec - before.ru_stime.tv_usec)
           + 1e6 * (double)(after.ru_utime.tv_sec - before.ru_utime.tv_sec)
           + 1e6 * (double)(after.ru_stime.tv_sec - before.ru_stime.tv_sec);
    ck_assert(used < 5000);
    frun_value_free(list);
    frun_pool_close(pools[0]);
    frun_pool_close(pools[1]);
    frun_engine_close(e);
}
END_TEST

/* ---- closing ---------------------------------------------------------- */

START_TEST(closing_a_pool_waits)
{
    enum { N = 2000 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    static frun_future *f[N];
    frun_value *list = kit_numbers(N);

    ok(frun_pool_scatter(pool, kit_twice, list, NULL, f));
    frun_pool_close(pool);
    for (int i = 0; i < N; i++) {
        ck_assert_int_eq(kit_int(f[i]), 2 * i);
        frun_future_free(f[i]);
    }
    frun_value_free(list);
    frun_engine_close(e);
}
END_TEST

struct closing {
    frun_pool *pool;
    struct kit_gate gate;
};

static void try_to_submit(frun_future *f, void *user)
{
    struct closing *c = user;

    status_is(FRUN_ECLOSED,
              frun_pool_submit(c->pool, kit_nothing, NULL, NULL, NULL));
    kit_open(&c->gate, 2);
    frun_future_free(f);
}

START_TEST(closing_an_engine_cancels)
{
    enum { N = 1000 };
    int threads = kit_threads(0);
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    static frun_future *f[N];
    frun_value *list = kit_numbers(N);
    struct closing c = { .pool = pool };
    frun_future *held[2];
    frun_info info = { 0 };

    kit_gate_init(&c.gate);
    for (int i = 0; i < 2; i++)
        held[i] = kit_submit_held(pool, &c.gate);
    kit_await(&c.gate, 2);
    ok(frun_pool_scatter(pool, kit_twice, list, NULL, f));
    ok(frun_future_on_done(f[0], try_to_submit, &c));
    frun_engine_close(e);
    ck_assert_int_eq(kit_threads(threads), threads);
    for (int i = 1; i < N; i++) {
        frun_state state = frun_future_state(f[i]);

        ck_assert(state == FRUN_CANCELLED);
        status_is(FRUN_ECANCELLED, frun_future_result(f[i], -1, NULL));
        status_is(FRUN_ECLOSED,
                  frun_future_on_done(f[i], try_to_submit, NULL));
        ck_assert_str_eq(frun_future_error(f[i])->message, "cancelled");
    }
    ok(frun_future_info(f[1], &info));
    ck_assert_str_eq(info.pool, "pool 1");
    for (int i = 1; i < N; i++)
        frun_future_free(f[i]);
    ok(frun_future_result(held[0], 0, NULL));
    ok(frun_future_result(held[1], 0, NULL));
    frun_future_free(held[0]);
    frun_future_free(held[1]);
    frun_value_free(list);
    frun_pool_close(pool);
}
END_TEST

static void *whole_engine(void *user)
{
    for (int round = 0; round < 20; round++) {
        frun_engine *e = kit_engine();
        frun_pool *pool = kit_pool(e, 2);
        frun_value *list = kit_numbers(500), *results;

        ok(frun_pool_map(pool, kit_twice, list, NULL, &results));
        for (size_t i = 0; i < 500; i++)
            ck_assert_int_eq(frun_value_as_int(frun_value_at(results, i)),
                             2 * (int64_t)i);
        frun_value_free(results);
        frun_value_free(list);
        frun_pool_close(pool);
        frun_engine_close(e);
    }
    return user;
}

START_TEST(engines_are_independent)
{
    pthread_t threads[3];

    for (int i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, whole_engine, NULL);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(a_million_may_be_pending)
{
    enum { N = 1000000 };
    static struct kit_heap heap = { .allowed = -1 };
    frun_engine_options o = { .allocate = kit_allocate, .free = kit_free,
                              .allocator_user = &heap };
    static frun_future *f[N];
    struct kit_gate gate;
    frun_engine *e;
    frun_pool *pool;
    frun_stats stats = { 0 };
    long before;

    kit_gate_init(&gate);
    ok(frun_engine_open(&o, &e));
    pool = kit_pool(e, 1);
    frun_future_free(kit_submit_held(pool, &gate));
    kit_await(&gate, 1);
    before = heap.bytes;
    for (int i = 0; i < N; i++)
        ok(frun_pool_submit(pool, kit_nothing, NULL, NULL, &f[i]));
    ck_assert_int_le((heap.bytes - before) / N, 128);
    ok(frun_pool_stats(pool, &stats));
    ck_assert_uint_eq(stats.queued, N);
    ck_assert_uint_eq(stats.running, 1);
    kit_open(&gate, 1);
    ok(frun_wait(f, N, FRUN_ALL, -1, NULL));
    for (int i = 0; i < N; i++)
        frun_future_free(f[i]);
    frun_pool_close(pool);
    frun_engine_close(e);
    ck_assert_int_eq(heap.bytes, 0);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

/* ---- memory ----------------------------------------------------------- */

static frun_status one_each(frun_engine *e, frun_pool *pool, frun_limit *limit,
                            frun_future *f[4])
{
    frun_policy p = { .name = "named", .retries = 2, .backoff = 1e-4,
                      .priority = 1 };
    frun_value *list = kit_numbers(40), *results = NULL;
    frun_status status
        = frun_pool_submit(pool, kit_nothing, NULL, &p, &f[0]);
    frun_info info = { 0 };

    if (status == FRUN_OK)
        status = frun_pool_submit(
            pool, kit_fail, list,
            &(frun_policy){ .after = f, .after_count = 1, .retries = 1,
                            .backoff = 1e-4, .retry_on = 1u << FRUN_ERROR },
            &f[1]);
    if (status == FRUN_OK)
        status = frun_pool_scatter(
            pool, kit_twice, frun_value_at(list, 0) ? NULL : list, NULL, NULL);
    if (status == FRUN_EINVAL)
        status = frun_pool_submit(
            pool, kit_nothing, NULL,
            &(frun_policy){ .limits = &limit, .limit_count = 1 }, &f[2]);
    if (status == FRUN_OK)
        status = frun_pool_map(pool, kit_twice, list, NULL, &results);
    frun_value_free(results);
    if (status != FRUN_OK)
        ck_assert_str_ne(frun_engine_message(e), "");
    if (status == FRUN_OK)
        status = frun_wait(f, 3, FRUN_ALL, 10, NULL);
    if (status == FRUN_OK)
        status = frun_future_info(f[2], &info);
    if (status == FRUN_OK)
        status = frun_future_result(f[2], 0, NULL);
    if (status == FRUN_OK && frun_future_result(f[1], 0, NULL) != FRUN_ERROR)
        status = frun_future_error(f[1])->status;
    frun_value_free(list);
    return status;
}

static frun_status whole_life(struct kit_heap *heap)
{
    frun_engine_options o = { .allocate = kit_allocate, .free = kit_free,
                              .allocator_user = heap };
    frun_future *f[4] = { NULL };
    frun_engine *e;
    frun_pool *pool = NULL;
    frun_limit *limit = NULL;
    frun_status status = frun_engine_open(&o, &e);

    if (status != FRUN_OK)
        return status;
    status = frun_engine_register(e, "nothing", kit_nothing, NULL);
    if (status == FRUN_OK)
        status = frun_pool_open(e, FRUN_THREADS,
                                &(frun_pool_options){ .workers = 2 }, &pool);
    if (status == FRUN_OK)
        status = frun_limit_open(e, "name", 1, false, &limit);
    if (status == FRUN_OK)
        status = one_each(e, pool, limit, f);
    for (int i = 0; i < 4; i++)
        frun_future_free(f[i]);
    frun_limit_close(limit);
    frun_pool_close(pool);
    frun_engine_close(e);
    return status;
}

START_TEST(every_allocation_may_fail)
{
    static struct kit_heap heap;
    long n = 0;
    frun_status status;

    do {
        atomic_store(&heap.allowed, n++);
        status = whole_life(&heap);
        if (status != FRUN_OK && status != FRUN_ERESOURCE)
            ck_assert_int_eq(status, FRUN_ENOMEM);
        ck_assert_int_eq(heap.bytes, 0);
        ck_assert_int_eq(heap.blocks, 0);
    } while (status != FRUN_OK);
    ck_assert_int_gt(n, 10);
}
END_TEST

/* Memory runs out under an engine that is at work, and comes back. */
START_TEST(an_engine_outlives_a_shortage)
{
    static struct kit_heap heap = { .allowed = -1 };
    frun_engine_options o = { .allocate = kit_allocate, .free = kit_free,
                              .allocator_user = &heap };
    frun_engine *e;
    frun_pool *pool;
    frun_limit *limit;

    ok(frun_engine_open(&o, &e));
    pool = kit_pool(e, 2);
    ok(frun_limit_open(e, NULL, 1, false, &limit));
    ok(frun_pool_submit(pool, kit_nothing, NULL, NULL, NULL));
    ok(frun_pool_drain(pool, -1));
    for (long n = 0; n < 60; n++) {
        frun_future *f[4] = { NULL };
        frun_status status;

        atomic_store(&heap.allowed, n);
        status = one_each(e, pool, limit, f);
        atomic_store(&heap.allowed, -1);
        ck_assert(status == FRUN_OK || status == FRUN_ENOMEM);
        for (int i = 0; i < 4; i++)
            frun_future_free(f[i]);
        ok(frun_pool_drain(pool, -1));
        ck_assert_int_eq(kit_int(f[0] = kit_submit(pool, kit_twice, n, NULL)),
                         2 * n);
        frun_future_free(f[0]);
    }
    frun_limit_close(limit);
    frun_pool_close(pool);
    frun_engine_close(e);
    ck_assert_int_eq(heap.bytes, 0);
}
END_TEST

/* ---- no thread -------------------------------------------------------- */

START_TEST(no_thread_is_a_failure_of_the_tasks)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 4);
    struct rlimit old, none;
    frun_future *f[3];

    if (KIT_SANITIZED)
        goto end;
    getrlimit(RLIMIT_AS, &old);
    none = old;
    none.rlim_cur = 1 << 20; /* no stack can be had */
    f[0] = f[1] = f[2] = NULL;
    setrlimit(RLIMIT_AS, &none);
    for (int i = 0; i < 3; i++)
        if (frun_pool_submit(pool, kit_nothing, NULL, NULL, &f[i]) != FRUN_OK)
            break;
    setrlimit(RLIMIT_AS, &old);
    for (int i = 0; i < 3 && f[i]; i++) {
        status_is(FRUN_ERESOURCE, frun_future_result(f[i], -1, NULL));
        ck_assert_str_eq(frun_future_error(f[i])->message,
                         "pool 1: no thread could be started");
        frun_future_free(f[i]);
    }
    ok(frun_pool_drain(pool, -1));
end:
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        no_thread_before_the_first_pool,
        threads_are_named,
        a_thousand_pools,
        an_idle_pool_takes_no_time,
        closing_a_pool_waits,
        closing_an_engine_cancels,
        engines_are_independent,
        a_million_may_be_pending,
        every_allocation_may_fail,
        an_engine_outlives_a_shortage,
        no_thread_is_a_failure_of_the_tasks,
    };

    return unit_run("life", tests, COUNT(tests));
}
