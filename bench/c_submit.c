/*
 * c_submit.c - the C face: submit with a future, wait, collect and free, in
 * batches; what a pending task takes in memory; one task there and back.
 * Beside each stands the pool of plain.h, in turns in the same process.
 */
#include "flowrun.h"
#include "kit.h"
#include "plain.h"

#include <stdatomic.h>
#include <unistd.h>

enum { BATCH = 100000, MANY = 1000000, TRIPS = 20000, TURNS = 5 };

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
static atomic_int at_gate;

static void check(frun_engine *engine, frun_status status)
{
    if (status == FRUN_OK)
        return;
    fprintf(stderr, "c_submit: %s: %s\n", frun_status_text(status),
            engine ? frun_engine_message(engine) : "");
    exit(1);
}

static frun_status nothing(frun_task *task, const frun_value *argument,
                           frun_value **result)
{
    (void)task, (void)argument, (void)result;
    return FRUN_OK;
}

static frun_status stay(frun_task *task, const frun_value *argument,
                        frun_value **result)
{
    (void)task, (void)argument, (void)result;
    atomic_fetch_add(&at_gate, 1);
    pthread_mutex_lock(&gate);
    pthread_mutex_unlock(&gate);
    return FRUN_OK;
}

static void plain_nothing(void *argument)
{
    (void)argument;
}

static void submit(frun_engine *e, frun_pool *pool, frun_future **futures,
                   size_t n)
{
    for (size_t i = 0; i < n; i++)
        check(e, frun_pool_submit(pool, nothing, NULL, NULL, &futures[i]));
}

static void collect(frun_engine *e, frun_future **futures, size_t n)
{
    check(e, frun_wait(futures, n, FRUN_ALL, -1, NULL));
    for (size_t i = 0; i < n; i++) {
        check(e, frun_future_result(futures[i], -1, NULL));
        frun_future_free(futures[i]);
    }
}

static double per_task(frun_engine *e, frun_pool *pool, frun_future **futures,
                       size_t n)
{
    size_t batches = n < BATCH ? BATCH / n : 1;
    double started = seconds_now();

    for (size_t i = 0; i < batches; i++) {
        submit(e, pool, futures, n);
        collect(e, futures, n);
    }
    return (seconds_now() - started) * 1e6 / (double)(batches * n);
}

static double plain_per_task(struct plain_pool *pool,
                             struct plain_future **futures, size_t n)
{
    double started = seconds_now();

    for (size_t i = 0; i < n; i++)
        futures[i] = plain_submit(pool, plain_nothing, NULL);
    for (size_t i = 0; i < n; i++)
        plain_collect(futures[i]);
    return (seconds_now() - started) * 1e6 / (double)n;
}

static double resident(void)
{
    FILE *file = fopen("/proc/self/statm", "r");
    long pages = 0;

    if (!file || fscanf(file, "%*d %ld", &pages) != 1)
        exit(1);
    fclose(file);
    return (double)pages * (double)sysconf(_SC_PAGESIZE);
}

/* First of all, while no freed memory is there that would be used again; the
 * array of futures is the host's, and was touched before. */
static void memory(frun_engine *e, frun_pool *pool, frun_future **futures)
{
    frun_future *holds[2];
    double before;

    pthread_mutex_lock(&gate);
    for (int i = 0; i < 2; i++)
        check(e, frun_pool_submit(pool, stay, NULL, NULL, &holds[i]));
    while (atomic_load(&at_gate) < 2)
        usleep(100);
    before = resident();
    submit(e, pool, futures, MANY);
    report("c.bytes", (resident() - before) / MANY);
    pthread_mutex_unlock(&gate);
    collect(e, futures, MANY);
    collect(e, holds, 2);
}

static void sizes(frun_engine *e, frun_pool *pool, frun_future **futures)
{
    double few[TURNS], batch[TURNS], many[TURNS], plain[TURNS];
    struct plain_pool other;

    plain_open(&other);
    for (int i = 0; i < TURNS; i++) {
        few[i] = per_task(e, pool, futures, 100);
        batch[i] = per_task(e, pool, futures, BATCH);
        plain[i] = plain_per_task(&other, (void *)futures, BATCH);
        many[i] = per_task(e, pool, futures, MANY);
    }
    plain_close(&other);
    report("c.100", quantile(few, TURNS, 0.5));
    report("c.submit", quantile(batch, TURNS, 0.5));
    report("c.plain", quantile(plain, TURNS, 0.5));
    report("c.1000000", quantile(many, TURNS, 0.5));
}

static void trips(frun_engine *e, frun_pool *pool)
{
    static double times[TRIPS];
    frun_future *future;

    for (int i = 0; i < TRIPS; i++) {
        double started = seconds_now();

        submit(e, pool, &future, 1);
        collect(e, &future, 1);
        times[i] = (seconds_now() - started) * 1e6;
    }
    report("c.trip", quantile(times, TRIPS, 0.5));
    report("c.trip_p99", quantile(times, TRIPS, 0.99));
}

static void plain_trips(void)
{
    static double times[TRIPS];
    struct plain_pool pool;

    plain_open(&pool);
    for (int i = 0; i < TRIPS; i++) {
        double started = seconds_now();

        plain_collect(plain_submit(&pool, plain_nothing, NULL));
        times[i] = (seconds_now() - started) * 1e6;
    }
    plain_close(&pool);
    report("c.plain_trip", quantile(times, TRIPS, 0.5));
}

int main(void)
{
    frun_engine *e = NULL;
    frun_pool *pool = NULL;
    frun_future **futures = must(calloc(MANY, sizeof(frun_future *)));

    for (size_t i = 0; i < MANY; i++)
        futures[i] = (frun_future *)futures;
    check(NULL, frun_engine_open(NULL, &e));
    check(e, frun_pool_open(e, FRUN_THREADS,
                            &(frun_pool_options){ .workers = 2 }, &pool));
    per_task(e, pool, futures, 100);
    memory(e, pool, futures);
    sizes(e, pool, futures);
    trips(e, pool);
    plain_trips();
    frun_pool_close(pool);
    frun_engine_close(e);
    free(futures);
    return 0;
}
