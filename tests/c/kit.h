/*
 * kit.h - what the tests through flowrun.h share: gates instead of sleeps,
 * C tasks, a counting allocator, what /proc knows of this process.
 */
#ifndef KIT_H
#define KIT_H

#include "flowrun.h"
#include "unit.h"

#include <dirent.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <time.h>
#include <unistd.h>

#define ok(call) ck_assert_int_eq((call), FRUN_OK)
#define status_is(status, call) ck_assert_int_eq((call), (status))

/* ---- time ------------------------------------------------------------- */

static inline double kit_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static inline void kit_nap(double seconds)
{
    struct timespec t = { .tv_sec = (time_t)seconds };

    t.tv_nsec = (long)((seconds - (double)t.tv_sec) * 1e9);
    nanosleep(&t, NULL);
}

/* ---- engines and pools ------------------------------------------------ */

static inline frun_engine *kit_engine(void)
{
    frun_engine *e;

    ok(frun_engine_open(NULL, &e));
    return e;
}

static inline frun_pool *kit_pool(frun_engine *e, int workers)
{
    frun_pool_options o = { .workers = workers };
    frun_pool *pool;

    ok(frun_pool_open(e, FRUN_THREADS, &o, &pool));
    return pool;
}

/* ---- tasks ------------------------------------------------------------ */

/* Tasks say that they are there, and wait until they may go on. */
struct kit_gate {
    sem_t arrived, open;
};

static inline void kit_gate_init(struct kit_gate *g)
{
    sem_init(&g->arrived, 0, 0);
    sem_init(&g->open, 0, 0);
}

static inline void kit_await(struct kit_gate *g, int n)
{
    while (n-- > 0)
        sem_wait(&g->arrived);
}

static inline void kit_open(struct kit_gate *g, int n)
{
    while (n-- > 0)
        sem_post(&g->open);
}

static inline frun_status kit_hold(frun_task *task, const frun_value *argument,
                                   frun_value **result)
{
    struct kit_gate *g = frun_task_user(task);

    (void)result;
    sem_post(&g->arrived);
    sem_wait(&g->open);
    if (frun_value_kind(argument) != FRUN_NULL)
        *result = frun_value_copy(argument);
    return FRUN_OK;
}

static inline frun_status kit_nothing(frun_task *task,
                                      const frun_value *argument,
                                      frun_value **result)
{
    (void)task;
    (void)argument;
    (void)result;
    return FRUN_OK;
}

static inline frun_status kit_twice(frun_task *task,
                                    const frun_value *argument,
                                    frun_value **result)
{
    (void)task;
    *result = frun_value_int(2 * frun_value_as_int(argument));
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

static inline frun_status kit_fail(frun_task *task, const frun_value *argument,
                                   frun_value **result)
{
    *result = frun_value_int(1); /* is taken */
    return frun_task_fail(task, "no %lld",
                          (long long)frun_value_as_int(argument));
}

static inline frun_future *kit_submit(frun_pool *pool, frun_function *fn,
                                      int64_t argument,
                                      const frun_policy *policy)
{
    frun_value *v = frun_value_int(argument);
    frun_future *f = NULL;

    ok(frun_pool_submit(pool, fn, v, policy, &f));
    frun_value_free(v);
    return f;
}

static inline frun_future *kit_submit_held(frun_pool *pool, struct kit_gate *g)
{
    frun_policy p = { .user = g };
    frun_future *f = NULL;

    ok(frun_pool_submit(pool, kit_hold, NULL, &p, &f));
    return f;
}

static inline int64_t kit_int(frun_future *f)
{
    const frun_value *v = NULL;

    ok(frun_future_result(f, -1, &v));
    return frun_value_as_int(v);
}

/* The integers 0 .. n-1. */
static inline frun_value *kit_numbers(int64_t n)
{
    frun_value *list = frun_value_list();

    for (int64_t i = 0; i < n; i++)
        ok(frun_value_push(list, frun_value_int(i)));
    return list;
}

/* ---- memory ----------------------------------------------------------- */

/* Counts blocks and bytes; fails all from one on. Any thread. */
struct kit_heap {
    atomic_long blocks, bytes;
    atomic_long allowed; /* < 0: all */
};

static inline bool kit_allows(struct kit_heap *h)
{
    long left = atomic_load(&h->allowed);

    while (left > 0 && !atomic_compare_exchange_weak(&h->allowed, &left,
                                                     left - 1))
        ;
    return left != 0;
}

static inline void *kit_allocate(void *user, void *old, size_t size)
{
    struct kit_heap *h = user;
    size_t *block = old ? (size_t *)old - 2 : NULL, before = block ? *block : 0;

    if (!kit_allows(h))
        return NULL;
    block = realloc(block, size + 2 * sizeof *block);
    if (!block)
        return NULL;
    *block = size;
    atomic_fetch_add(&h->bytes, (long)size - (long)before);
    atomic_fetch_add(&h->blocks, old == NULL);
    return block + 2;
}

static inline void kit_free(void *user, void *old)
{
    struct kit_heap *h = user;
    size_t *block = (size_t *)old - 2;

    atomic_fetch_sub(&h->bytes, (long)*block);
    atomic_fetch_sub(&h->blocks, 1);
    free(block);
}

/* ---- this process ----------------------------------------------------- */

static inline int kit_entries(const char *path)
{
    DIR *d = opendir(path);
    int n = 0;

    while (d && readdir(d))
        n++;
    if (d)
        closedir(d);
    return n;
}

static inline int kit_fds(void)
{
    return kit_entries("/proc/self/fd");
}

/* Built with a sanitizer, which needs much memory of its own. */
#if defined(__has_feature)
#define KIT_HAS(x) __has_feature(x)
#else
#define KIT_HAS(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)             \
    || KIT_HAS(address_sanitizer) || KIT_HAS(thread_sanitizer)
enum { KIT_SANITIZED = 1 };
#else
enum { KIT_SANITIZED = 0 };
#endif

#if defined(__SANITIZE_THREAD__) || KIT_HAS(thread_sanitizer)
enum { KIT_FORKS_AGAIN = 0 };
#else
enum { KIT_FORKS_AGAIN = 1 };
#endif

/* Engines with forks, one after the other: the thread sanitizer has one thread
 * more after each fork, and where there are others none is made. */
static inline int kit_engines(int n)
{
    return KIT_FORKS_AGAIN ? n : 1;
}

/* Threads (and two entries more).  One that was joined may be seen for a moment
 * longer; a sanitizer has threads of its own. */
static inline int kit_threads(int expected)
{
    int n = kit_entries("/proc/self/task");

    for (int i = 0; i < 1000 && expected && n > expected; i++) {
        kit_nap(0.001);
        n = kit_entries("/proc/self/task");
    }
    return KIT_SANITIZED ? expected : n;
}

#endif
