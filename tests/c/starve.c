/*
 * starve.c - memory runs out, wherever that is: the n-th allocation of an
 * engine fails, or that one and all behind it, for each n in turn, in each of
 * its operations.  A call says so or succeeds, every future ends, and when
 * there is memory again the same engine does its work; nothing is left.
 */
#include "kit.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/wait.h>

/* ---- memory ----------------------------------------------------------- */

enum { MAGIC = 0x51f70a11 };

/* Before each block. */
struct head {
    uint32_t magic, number;
    size_t size;
};

static struct {
    atomic_long blocks, bytes;
    atomic_long made; /* allocations so far */
    atomic_long from; /* that one fails; 0: none */
    atomic_long last; /* with all up to this one */
    atomic_ulong odds, seed; /* not 0: one of so many fails */
    pid_t host;
} heap;

/* splitmix64 */
static bool unlucky(void)
{
    unsigned long x = atomic_fetch_add(&heap.seed, 0x9e3779b97f4a7c15u);
    unsigned long odds = atomic_load(&heap.odds);

    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return odds > 0 && (x ^ x >> 31) % odds == 0;
}

static bool refuses(void)
{
    long n = atomic_fetch_add(&heap.made, 1) + 1;
    long from = atomic_load(&heap.from);

    return (from > 0 && n >= from && n <= atomic_load(&heap.last))
           || unlucky();
}

static struct head *head_of(void *block)
{
    struct head *h = (struct head *)block - 1;

    if (h->magic != MAGIC)
        abort(); /* not one of ours, or freed already */
    return h;
}

static void *allocate(void *user, void *old, size_t size)
{
    struct head *h = old ? head_of(old) : NULL;
    size_t before = h ? h->size : 0;

    if (user != &heap || getpid() != heap.host)
        abort();
    if (refuses())
        return NULL;
    h = realloc(h, sizeof *h + size);
    if (!h)
        return NULL;
    *h = (struct head){ MAGIC, 0, size };
    atomic_fetch_add(&heap.bytes, (long)size - (long)before);
    atomic_fetch_add(&heap.blocks, old == NULL);
    return h + 1;
}

static void release(void *user, void *block)
{
    struct head *h = head_of(block);

    if (user != &heap || getpid() != heap.host)
        abort();
    h->magic = 0;
    atomic_fetch_sub(&heap.bytes, (long)h->size);
    atomic_fetch_sub(&heap.blocks, 1);
    free(h);
}

static void plenty(void)
{
    atomic_store(&heap.from, 0);
    atomic_store(&heap.odds, 0);
}

/* The n-th from now on fails, and `more` behind it. */
static void starve(long n, long more)
{
    atomic_store(&heap.made, 0);
    atomic_store(&heap.last, n + more);
    atomic_store(&heap.from, n);
}

static frun_status open_engine(frun_engine **e)
{
    frun_engine_options o = { .allocate = allocate, .free = release,
                              .allocator_user = &heap };

    heap.host = getpid();
    return frun_engine_open(&o, e);
}

/* ---- tasks ------------------------------------------------------------ */

static frun_status length_of(frun_task *task, const frun_value *argument,
                             frun_value **result)
{
    if (frun_task_attempt(task) == 1 && frun_task_user(task))
        return frun_task_fail(task, "not at once");
    *result = frun_value_int((int64_t)frun_value_length(argument));
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

/* Big and small, shared and deep: all that a value can be. */
static frun_value *argument(void)
{
    frun_value *list = frun_value_list(), *map = frun_value_map();
    char text[200];

    memset(text, 'x', sizeof text);
    for (int i = 0; i < 20; i++) {
        char key[16];

        snprintf(key, sizeof key, "key%d", i);
        ok(frun_value_put(map, key, frun_value_num(i + 0.5)));
        ok(frun_value_push(list, frun_value_str(text, sizeof text)));
    }
    ok(frun_value_push(list, map));
    return list;
}

/* ---- one round -------------------------------------------------------- */

enum { MOST = 32 };

/* What a round has, of which any part may be missing. */
struct round {
    frun_engine *engine;
    frun_pool *pool;
    frun_limit *limit;
    frun_journal *journal;
    frun_future *futures[MOST];
    size_t count;
    int called;     /* callbacks */
    int registered; /* that are to be */
    char path[64];
};

static bool is_shortage(frun_status status)
{
    return status == FRUN_ENOMEM || status == FRUN_ERESOURCE;
}

/* A call has failed for want of memory, or has not. */
static bool went(struct round *r, frun_status status)
{
    if (status == FRUN_OK)
        return true;
    if (!is_shortage(status) && status != FRUN_EJOURNAL)
        ck_abort_msg("%s: %s", frun_status_text(status),
                     r->engine ? frun_engine_message(r->engine) : "");
    return false;
}

/* Either is well. */
static void went_or_not(frun_status status)
{
    ck_assert(status == FRUN_OK || is_shortage(status)
              || status == FRUN_EJOURNAL);
}

static void on_done(frun_future *f, void *user)
{
    (void)f;
    ++*(int *)user;
}

static void submit(struct round *r, const frun_policy *policy)
{
    frun_future *f = NULL;
    frun_value *v = argument();

    if (went(r, frun_pool_submit(r->pool, length_of, v, policy, &f))) {
        r->futures[r->count++] = f;
        r->registered
            += went(r, frun_future_on_done(f, on_done, &r->called));
    }
    frun_value_free(v);
}

static void use_scatter(struct round *r)
{
    frun_value *list = kit_numbers(4);
    frun_policy p = { .halt = "soon,fail=4" };

    if (went(r, frun_pool_scatter(r->pool, length_of, list, &p,
                                  r->futures + r->count)))
        r->count += 4;
    frun_value_free(list);
}

/* In one piece, and with a policy for each item. */
static void use_map(struct round *r)
{
    frun_policy each = { .retries = 1, .backoff = 1e-4 };
    frun_value *list = kit_numbers(30), *results;

    for (int i = 0; i < 2; i++) {
        frun_status status = frun_pool_map(r->pool, kit_twice, list,
                                           i ? &each : NULL, &results);

        if (went(r, status))
            ck_assert_int_eq(frun_value_as_int(frun_value_at(results, 29)),
                             58);
        frun_value_free(results);
    }
    frun_value_free(list);
}

/* All that a pool of C functions can be asked for. */
static void use_functions(struct round *r)
{
    static int once;
    frun_policy p = { .name = "named", .retries = 2, .backoff = 1e-4,
                      .user = &once, .timeout = 60, .priority = 1,
                      .journal = r->journal, .version = "1" };

    submit(r, NULL);
    submit(r, &p);
    if (r->limit) {
        p = (frun_policy){ .limits = &r->limit, .limit_count = 1 };
        submit(r, &p);
    }
    if (r->count > 0) {
        p = (frun_policy){ .after = r->futures, .after_count = r->count };
        submit(r, &p);
    }
    use_scatter(r);
    use_map(r);
}

static void use_commands(struct round *r)
{
    static const char *const words[] = { "cat", "in", "-", NULL };
    static const char *const names[] = { "in", "i*", NULL };
    static const char *const env[] = { "A=1", "B", NULL };
    frun_file file = { .name = "in", .text = "text" };
    frun_command c = { .argv = words, .cwd = "temp", .files = &file,
                       .file_count = 1, .collect = names, .env = env,
                       .stdin = "more" };
    frun_policy p = { .retries = 1, .backoff = 1e-4, .name = "cat",
                      .journal = r->journal };

    for (int i = 0; i < 3; i++) {
        frun_future *f = NULL;

        p.after = r->futures;
        p.after_count = i == 2 ? r->count : 0;
        if (went(r, frun_pool_command(r->pool, &c, i ? &p : NULL, &f)))
            r->futures[r->count++] = f;
        c.shell = i > 0;
    }
}

static void check_outcome(frun_future *f)
{
    const frun_value *value;
    const frun_error *error;
    frun_info info = { 0 };
    frun_status status = frun_future_result(f, 0, &value);

    went_or_not(frun_future_info(f, &info));
    if (status == FRUN_OK || is_shortage(status))
        return;
    error = frun_future_error(f);
    ck_assert_ptr_nonnull(error);
    if (status == FRUN_EDEPENDENCY || status == FRUN_EJOURNAL
        || status == FRUN_ECANCELLED || status == FRUN_ECRASHED)
        return;
    ck_abort_msg("%s: %s: %s", error->task ? error->task : "?", error->kind,
                 error->message);
}

/* A future that never ends is the worst of all. */
static void await_all(struct round *r)
{
    for (size_t i = 0; i < r->count; i++)
        if (frun_future_wait(r->futures[i], 30) != FRUN_OK)
            ck_abort_msg("future %zu is lost (%d)", i,
                         frun_future_state(r->futures[i]));
    went_or_not(frun_wait(r->futures, r->count, FRUN_ALL, 0, NULL));
    while (frun_engine_step(r->engine, 0) == FRUN_OK)
        ;
    ck_assert_int_eq(r->called, r->registered);
    for (size_t i = 0; i < r->count; i++)
        check_outcome(r->futures[i]);
    for (size_t i = 0; i < r->count; i++)
        frun_future_free(r->futures[i]);
    r->count = 0;
    r->called = r->registered = 0;
}

/* ---- kinds of rounds -------------------------------------------------- */

struct kind {
    const char *name;
    frun_kind pool;
    bool journal, shared;
};

static void open_all(struct round *r, const struct kind *k)
{
    frun_pool_options o = { .workers = 2, .name = "pool" };

    if (!r->pool)
        went(r, frun_pool_open(r->engine, k->pool, &o, &r->pool));
    if (!r->limit)
        went(r, frun_limit_open(r->engine, "seats", 1, k->shared, &r->limit));
    if (!r->journal && k->journal)
        went(r, frun_journal_open(r->engine, r->path, &r->journal));
}

static void use(struct round *r, const struct kind *k)
{
    if (!r->pool)
        return;
    if (k->pool == FRUN_COMMANDS)
        use_commands(r);
    else
        use_functions(r);
    await_all(r);
    went_or_not(frun_pool_drain(r->pool, 30));
    if (k->journal)
        went_or_not(frun_journal_flush(r->engine));
}

/* With memory all goes well, whatever has happened before. */
static void check_use(struct round *r, const struct kind *k)
{
    frun_stats before = { 0 }, after = { 0 };

    open_all(r, k);
    ck_assert(r->pool && r->limit && (r->journal || !k->journal));
    ok(frun_pool_stats(r->pool, &before));
    use(r, k);
    ok(frun_pool_stats(r->pool, &after));
    ck_assert_uint_eq(after.failed, before.failed);
    ck_assert_uint_eq(after.queued + after.running, 0);
}

static void close_all(struct round *r)
{
    frun_journal_close(r->journal);
    frun_limit_close(r->limit);
    frun_pool_close(r->pool);
    frun_engine_close(r->engine);
}

/* True when nothing was refused any more. */
static bool run_round(const struct kind *k, long n, long more)
{
    struct round r = { .engine = NULL };
    bool enough;

    snprintf(r.path, sizeof r.path, "/tmp/starve.%d.journal", (int)getpid());
    starve(n, more);
    if (went(&r, open_engine(&r.engine))) {
        open_all(&r, k);
        use(&r, k);
    }
    enough = atomic_load(&heap.made) < n;
    plenty();
    if (!r.engine)
        ok(open_engine(&r.engine));
    check_use(&r, k);
    close_all(&r);
    ck_assert_int_eq(heap.blocks, 0);
    ck_assert_int_eq(heap.bytes, 0);
    unlink(r.path);
    strcat(r.path, ".lock");
    unlink(r.path);
    return enough;
}

static const struct kind kinds[] = {
    { "threads", FRUN_THREADS, false, false },
    { "forks", FRUN_FORKS, false, false },
    { "commands", FRUN_COMMANDS, false, true },
    { "threads, journal", FRUN_THREADS, true, false },
    { "commands, journal", FRUN_COMMANDS, true, false },
};

/* Threads that have ended are there for longer with the thread sanitizer, and
 * then this process cannot be copied. */
#if defined(__SANITIZE_THREAD__) || KIT_HAS(thread_sanitizer)
enum { PROCESSES = 0 };
#else
enum { PROCESSES = 1 };
#endif

/* Not all of them, which takes minutes: each round is an engine's whole life
 * twice.  A prime meets each operation sooner or later. */
static void every(const struct kind *k, long more)
{
    char name[] = "/tmp/starve.XXXXXX";
    int fds;
    long n = 1 + (more > 0); /* other ones */


    if (k->pool != FRUN_THREADS && !PROCESSES)
        return;
    ck_assert_ptr_nonnull(mkdtemp(name));
    setenv("XDG_STATE_HOME", name, 1);
    run_round(k, 1L << 40, 0); /* what is opened once */
    fds = kit_fds();
    while (!run_round(k, n, more))
        n += KIT_SANITIZED ? 23 : 7;
    ck_assert_int_gt(n, 100);
    ck_assert_int_eq(kit_fds(), fds);
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG), -1);
    printf("%s: %ld allocations\n", k->name, n);
}

START_TEST(each_allocation_may_fail_alone)
{
    every(&kinds[_i], 0);
}
END_TEST

START_TEST(all_may_fail_from_one_on)
{
    every(&kinds[_i], 1L << 40);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("starve");
    TCase *tcase = tcase_create("starve");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_set_timeout(tcase, 300);
    tcase_add_loop_test(tcase, each_allocation_may_fail_alone, 0,
                        COUNT(kinds));
    tcase_add_loop_test(tcase, all_may_fail_from_one_on, 0, COUNT(kinds));
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}
