/*
 * host.c - what a host does that the library was not made for, or not yet, or
 * no longer: structs of other headers, calls on other threads and in copies of
 * the process, callbacks that pull the floor away, values too deep.
 */
#define _GNU_SOURCE
#include "kit.h"

#include <pthread.h>
#include <stddef.h>
#include <sys/wait.h>

/* ---- structs of other headers ----------------------------------------- */

/* A struct of a header with one field more, or with its last field not there
 * yet, where zeros must be read instead of what lies behind. */
#define NEWER(type)                                                           \
    struct {                                                                  \
        type known;                                                           \
        uint64_t more;                                                        \
    }

static frun_status engine_of(const void *options)
{
    frun_engine *e;
    frun_status status = frun_engine_open(options, &e);

    frun_engine_close(e);
    return status;
}

START_TEST(engine_options_of_other_headers)
{
    NEWER(frun_engine_options) o = { .known.size = sizeof o };

    ok(engine_of(&o));
    o.more = 1;
    status_is(FRUN_EINVAL, engine_of(&o));
    o.known.size = offsetof(frun_engine_options, interrupt_signal);
    o.known.interrupt_signal = SIGKILL; /* is not looked at */
    ok(engine_of(&o));
    o.known.size = sizeof o.known;
    status_is(FRUN_EINVAL, engine_of(&o));
    o.known.size = SIZE_MAX; /* of no header: the struct was never set up */
    status_is(FRUN_EINVAL, engine_of(&o));
}
END_TEST

static frun_status pool_of(frun_engine *e, const void *options)
{
    frun_pool *pool;
    frun_status status = frun_pool_open(e, FRUN_THREADS, options, &pool);

    frun_pool_close(pool);
    return status;
}

START_TEST(pool_options_of_other_headers)
{
    NEWER(frun_pool_options) o = { .known.size = sizeof o };
    frun_engine *e = kit_engine();

    ok(pool_of(e, &o));
    o.more = 1;
    status_is(FRUN_EINVAL, pool_of(e, &o));
    ck_assert_str_eq(frun_engine_message(e),
                     "options: they are of a newer header");
    o.known.size = offsetof(frun_pool_options, max_tasks);
    o.known.max_tasks = -1;
    ok(pool_of(e, &o));
    o.known.size = SIZE_MAX;
    status_is(FRUN_EINVAL, pool_of(e, &o));
    frun_engine_close(e);
}
END_TEST

START_TEST(policies_of_other_headers)
{
    NEWER(frun_policy) p = { .known.size = sizeof p };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);

    ok(frun_pool_submit(pool, kit_nothing, NULL, &p.known, NULL));
    p.more = 1;
    status_is(FRUN_EINVAL,
              frun_pool_submit(pool, kit_nothing, NULL, &p.known, NULL));
    ck_assert_str_eq(frun_engine_message(e), "policy: it is of a newer header");
    p.known.size = offsetof(frun_policy, retries);
    p.known.retries = -1;
    ok(frun_pool_submit(pool, kit_nothing, NULL, &p.known, NULL));
    p.known.size = SIZE_MAX;
    status_is(FRUN_EINVAL,
              frun_pool_submit(pool, kit_nothing, NULL, &p.known, NULL));
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

static frun_status command_of(frun_pool *pool, const void *command)
{
    frun_future *f = NULL;
    frun_status status = frun_pool_command(pool, command, NULL, &f);

    if (status == FRUN_OK)
        status = frun_future_result(f, -1, NULL);
    frun_future_free(f);
    return status;
}

START_TEST(commands_of_other_headers)
{
    static const char *const argv[] = { "true", NULL };
    NEWER(frun_command) c = { .known = { .size = sizeof c, .argv = argv } };
    frun_engine *e = kit_engine();
    frun_pool *pool;

    ok(frun_pool_open(e, FRUN_COMMANDS, NULL, &pool));
    ok(command_of(pool, &c));
    c.more = 1;
    status_is(FRUN_EINVAL, command_of(pool, &c));
    ck_assert_str_eq(frun_engine_message(e),
                     "command: it is of a newer header");
    c.known.size = offsetof(frun_command, ok_count);
    c.known.ok_count = 7;
    ok(command_of(pool, &c));
    c.known.size = sizeof c.known;
    status_is(FRUN_EINVAL, command_of(pool, &c));
    ck_assert_str_eq(frun_engine_message(e), "command: no ok_status");
    c.known.ok_count = 0;
    c.known.file_count = 1;
    status_is(FRUN_EINVAL, command_of(pool, &c));
    ck_assert_str_eq(frun_engine_message(e), "command: no files");
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(answers_for_other_headers)
{
    NEWER(frun_info) info = { .known.size = sizeof info, .more = 7 };
    NEWER(frun_stats) stats = { .known.size = sizeof stats, .more = 7 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 3);
    frun_future *f = kit_submit(pool, kit_twice, 1, NULL);

    ok(frun_future_wait(f, -1));
    ok(frun_future_info(f, &info.known));
    ck_assert_uint_eq(info.known.size, sizeof info);
    ck_assert_int_eq(info.known.attempts, 1);
    ck_assert_uint_eq(info.more, 0);
    ok(frun_pool_stats(pool, &stats.known));
    ck_assert_uint_eq(stats.known.workers, 3);
    ck_assert_uint_eq(stats.more, 0);

    info.known = (frun_info){ .size = offsetof(frun_info, attempts),
                              .attempts = 7 };
    ok(frun_future_info(f, &info.known));
    ck_assert_str_eq(info.known.pool, "pool 1");
    ck_assert_int_eq(info.known.attempts, 7);
    info.known.size = SIZE_MAX;
    status_is(FRUN_EINVAL, frun_future_info(f, &info.known));
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- other threads ---------------------------------------------------- */

struct outside {
    frun_engine *engine;
    frun_pool *pool;
    frun_future *pending, *done;
};

static void nobody(frun_future *f, void *user)
{
    (void)f;
    (void)user;
    ck_abort_msg("was called");
}

/* Everything that only the owner may call; what it opened stays open. */
static void call_all(const struct outside *o)
{
    frun_value *list = kit_numbers(2), *results;
    frun_future *f[2];
    frun_pool *pool;
    frun_limit *limit;
    frun_journal *journal;
    static const char *const argv[] = { "true", NULL };
    frun_command command = { .argv = argv };

    status_is(FRUN_EINVAL, frun_engine_step(o->engine, 0));
    status_is(FRUN_EINVAL,
              frun_engine_register(o->engine, "twice", kit_twice, NULL));
    status_is(FRUN_EINVAL,
              frun_pool_open(o->engine, FRUN_THREADS, NULL, &pool));
    status_is(FRUN_EINVAL, frun_pool_drain(o->pool, 0));
    status_is(FRUN_EINVAL,
              frun_pool_submit(o->pool, kit_nothing, NULL, NULL, f));
    status_is(FRUN_EINVAL, frun_pool_command(o->pool, &command, NULL, f));
    status_is(FRUN_EINVAL,
              frun_pool_scatter(o->pool, kit_nothing, list, NULL, f));
    status_is(FRUN_EINVAL,
              frun_pool_map(o->pool, kit_nothing, list, NULL, &results));
    status_is(FRUN_EINVAL, frun_future_wait(o->pending, -1));
    status_is(FRUN_EINVAL, frun_future_result(o->pending, -1, NULL));
    status_is(FRUN_EINVAL, frun_wait(&o->pending, 1, FRUN_ALL, -1, NULL));
    status_is(FRUN_EINVAL, frun_future_on_done(o->done, nobody, NULL));
    status_is(FRUN_EINVAL,
              frun_limit_open(o->engine, "a", 1, false, &limit));
    status_is(FRUN_EINVAL, frun_journal_open(o->engine, "x", &journal));
    status_is(FRUN_EINVAL, frun_journal_flush(o->engine));
    ck_assert_ptr_null(pool);
    ck_assert_ptr_null(limit);
    ck_assert_ptr_null(journal);
    ck_assert_ptr_null(f[0]);
    ck_assert_ptr_null(results);
    frun_pool_close(o->pool);
    frun_engine_close(o->engine);
    frun_value_free(list);
}

static void *outside(void *user)
{
    const struct outside *o = user;

    call_all(o);
    ck_assert_str_eq(frun_engine_message(o->engine),
                     "the engine belongs to the thread that opened it");
    ck_assert_int_eq(frun_future_state(o->done), FRUN_DONE);
    ok(frun_future_wait(o->done, 0));
    ck_assert(!frun_future_cancel(o->done));
    return user;
}

START_TEST(only_the_owner_calls)
{
    struct outside o = { .engine = kit_engine() };
    struct kit_gate gate;
    pthread_t thread;

    kit_gate_init(&gate);
    o.pool = kit_pool(o.engine, 2);
    o.done = kit_submit(o.pool, kit_twice, 4, NULL);
    ok(frun_future_wait(o.done, -1));
    o.pending = kit_submit_held(o.pool, &gate);
    status_is(FRUN_EINVAL, frun_pool_drain(NULL, 0));
    status_is(FRUN_EINVAL,
              frun_pool_submit(o.pool, NULL, NULL, NULL, NULL));
    ck_assert_int_eq(pthread_create(&thread, NULL, outside, &o), 0);
    pthread_join(thread, NULL);
    ck_assert_str_eq(frun_engine_message(o.engine), "no function");
    ck_assert_int_eq(kit_int(o.done), 8);
    kit_open(&gate, 1);
    ok(frun_future_wait(o.pending, -1));
    frun_future_free(o.pending);
    frun_future_free(o.done);
    frun_pool_close(o.pool);
    frun_engine_close(o.engine);
}
END_TEST

/* A task that waits for another of its pool would hold the owner's place. */
static frun_status asks_its_engine(frun_task *task, const frun_value *argument,
                                   frun_value **result)
{
    const struct outside *o = frun_task_user(task);

    (void)argument;
    call_all(o);
    *result = frun_value_int(1);
    return FRUN_OK;
}

START_TEST(no_task_calls_its_engine)
{
    struct outside o = { .engine = kit_engine() };
    struct kit_gate gate;
    frun_policy p = { .user = &o };
    frun_future *f;

    kit_gate_init(&gate);
    o.pool = kit_pool(o.engine, 2);
    o.done = kit_submit(o.pool, kit_twice, 4, NULL);
    ok(frun_future_wait(o.done, -1));
    o.pending = kit_submit_held(o.pool, &gate);
    f = kit_submit(o.pool, asks_its_engine, 0, &p);
    ck_assert_int_eq(kit_int(f), 1);
    frun_future_free(f);
    kit_open(&gate, 1);
    frun_future_free(o.pending);
    frun_future_free(o.done);
    frun_pool_close(o.pool);
    frun_engine_close(o.engine);
}
END_TEST

/* ---- copies of the process -------------------------------------------- */

/* Whatever a child does with what it has of the engine, as at its exit, is no
 * business of the parent's. */
static _Noreturn void be_child(const struct outside *o)
{
    call_all(o);
    ck_assert_str_eq(frun_engine_message(o->engine),
                     "this process is a copy of the one that opened the "
                     "engine");
    ck_assert(!frun_future_cancel(o->pending));
    frun_pool_cancel(o->pool);
    frun_future_free(o->pending);
    frun_future_free(o->done);
    frun_pool_close(o->pool);
    frun_engine_close(o->engine);
    _exit(7);
}

static void fork_child(const struct outside *o)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        be_child(o);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

static frun_status until_told(frun_task *task, const frun_value *argument,
                              frun_value **result)
{
    const atomic_int *go = frun_task_user(task);

    (void)argument;
    while (!atomic_load(go))
        kit_nap(0.001);
    *result = frun_value_int(1);
    return FRUN_OK;
}

/* What runs goes on.  The child hung, or let all of it be killed, when it
 * closed the engine, as its exit may do. */
static void harm_nothing(frun_kind kind)
{
    static atomic_int go;
    struct outside o = { .engine = kit_engine() };
    frun_policy p = { .user = &go };
    frun_pool_options two = { .workers = 2 };

    ok(frun_pool_open(o.engine, kind, &two, &o.pool));
    o.done = kit_submit(o.pool, kit_twice, 4, NULL);
    ok(frun_future_wait(o.done, -1));
    o.pending = kit_submit(o.pool, until_told, 0, &p);
    for (int i = 0; i < 5; i++)
        fork_child(&o);
    ck_assert_int_eq(kit_int(o.done), 8);
    frun_future_free(o.done);
    o.done = kit_submit(o.pool, kit_twice, 5, NULL);
    ck_assert_int_eq(kit_int(o.done), 10);
    frun_future_free(o.done);
    frun_future_cancel(o.pending);
    atomic_store(&go, 1);
    ok(frun_future_wait(o.pending, -1));
    frun_future_free(o.pending);
    frun_pool_close(o.pool);
    frun_engine_close(o.engine);
}

START_TEST(a_forked_child_leaves_threads_alone)
{
    harm_nothing(FRUN_THREADS);
}
END_TEST

START_TEST(a_forked_child_leaves_workers_alone)
{
    harm_nothing(FRUN_FORKS);
}
END_TEST

START_TEST(a_forked_child_leaves_commands_alone)
{
    char path[] = "/tmp/flowrun-host-XXXXXX", line[200];
    const char *argv[] = { line, path, NULL };
    frun_command command = { .argv = argv, .shell = true };
    struct outside o = { .engine = kit_engine() };
    const frun_value *v;

    close(mkstemp(path));
    snprintf(line, sizeof line, "while [ -e \"$1\" ]; do sleep 0.01; done");
    ok(frun_pool_open(o.engine, FRUN_COMMANDS, NULL, &o.pool));
    ok(frun_pool_command(o.pool, &command, NULL, &o.pending));
    command.argv = (const char *[]){ "true", NULL };
    ok(frun_pool_command(o.pool, &command, NULL, &o.done));
    ok(frun_future_wait(o.done, -1));
    for (int i = 0; i < 5; i++)
        fork_child(&o);
    unlink(path);
    ok(frun_future_result(o.pending, -1, &v));
    frun_future_free(o.pending);
    frun_future_free(o.done);
    frun_pool_close(o.pool);
    frun_engine_close(o.engine);
}
END_TEST

/* ---- callbacks -------------------------------------------------------- */

static int called;

static void steps(frun_future *f, void *user)
{
    called++;
    (void)!frun_engine_step(user, 0);
    frun_future_free(f);
}

static void waits(frun_future *f, void *user)
{
    frun_future *other = kit_submit(user, kit_twice, 4, NULL);

    called++;
    ck_assert_int_eq(kit_int(other), 8);
    frun_future_free(other);
    frun_future_free(f);
}

/* So many that are due ran inside one another until no stack was left. */
START_TEST(callbacks_that_wait_nest_to_a_depth)
{
    enum { N = 200000 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);

    called = 0;
    for (int i = 0; i < N; i++)
        ok(frun_future_on_done(kit_submit(pool, kit_nothing, 0, NULL), steps,
                               e));
    while (called < N)
        ok(frun_engine_step(e, -1));
    called = 0;
    for (int i = 0; i < N / 10; i++)
        ok(frun_future_on_done(kit_submit(pool, kit_nothing, 0, NULL), waits,
                               pool));
    while (called < N / 10)
        ok(frun_engine_step(e, -1));
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

static void frees(frun_future *f, void *user)
{
    (void)user;
    called++;
    frun_future_free(f);
}

/* Of a hundred that are waited for, each is freed by its callback, some of
 * them during the wait. */
START_TEST(callbacks_free_what_is_waited_for)
{
    enum { N = 100 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    struct kit_gate gate;
    frun_future *f[N];
    static const frun_when whens[]
        = { FRUN_ALL, FRUN_FIRST, FRUN_FIRST_FAILED };

    kit_gate_init(&gate);
    for (size_t k = 0; k < COUNT(whens); k++) {
        called = 0;
        f[0] = kit_submit(pool, kit_nothing, 0, NULL);
        for (int i = 1; i < N; i++) {
            frun_policy p = { .after = &f[i - 1], .after_count = 1 };

            f[i] = kit_submit(pool, kit_nothing, 0, &p);
        }
        for (int i = 0; i < N; i++)
            ok(frun_future_on_done(f[i], frees, NULL));
        ok(frun_wait(f, N, whens[k], -1, NULL));
        while (called < N)
            ok(frun_engine_step(e, -1));
    }
    f[0] = kit_submit_held(pool, &gate);
    ok(frun_future_on_done(f[0], frees, NULL));
    kit_open(&gate, 1);
    ok(frun_future_result(f[0], -1, NULL));
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

struct floor {
    frun_engine *engine;
    frun_pool *pool;
    struct kit_gate gate;
};

static void closes(frun_future *f, void *user)
{
    struct floor *floor = user;

    called++;
    frun_future_free(f);
    kit_open(&floor->gate, 1);
    frun_pool_close(floor->pool);
    if (floor->engine)
        frun_engine_close(floor->engine);
}

enum way { STEP, DRAIN, WAIT, MAP, WAYS };

/* A callback of the first task runs while the second is waited for. */
static void pull_away(enum way way, bool engine)
{
    struct floor floor = { .engine = kit_engine() };
    frun_engine *e = floor.engine;
    frun_value *list = kit_numbers(3), *results = NULL;
    frun_future *first, *second;

    called = 0;
    kit_gate_init(&floor.gate);
    floor.pool = kit_pool(e, 1);
    first = kit_submit(floor.pool, kit_nothing, 0, NULL);
    second = kit_submit_held(floor.pool, &floor.gate);
    ok(frun_future_on_done(first, closes, &floor));
    if (!engine)
        floor.engine = NULL;
    switch (way) {
    case STEP: ok(frun_engine_step(e, -1)); break;
    case DRAIN: ok(frun_pool_drain(floor.pool, -1)); break;
    case WAIT: ok(frun_future_wait(second, -1)); break;
    default:
        (void)!frun_pool_map(floor.pool, kit_twice, list, NULL, &results);
        break;
    }
    ck_assert_int_eq(called, 1);
    frun_value_free(results);
    frun_value_free(list);
    frun_future_free(second);
    if (!engine)
        frun_engine_close(e);
}

START_TEST(callbacks_close_what_is_used)
{
    for (int way = 0; way < 2 * WAYS; way++)
        pull_away((enum way)(way / 2), way % 2);
}
END_TEST

/* ---- values ----------------------------------------------------------- */

static frun_value *tower(int height)
{
    frun_value *v = frun_value_list();

    for (int i = 0; i < height; i++) {
        frun_value *above = frun_value_list();

        ok(frun_value_push(above, v));
        v = above;
    }
    return v;
}

static frun_status build(frun_task *task, const frun_value *argument,
                         frun_value **result)
{
    (void)task;
    *result = tower((int)frun_value_as_int(argument));
    return FRUN_OK;
}

static frun_pool *forks_of(frun_engine *e)
{
    frun_pool_options one = { .workers = 1 };
    frun_pool *pool;

    ok(frun_pool_open(e, FRUN_FORKS, &one, &pool));
    return pool;
}

static void fails_with(frun_future *f, frun_status status, const char *message)
{
    status_is(status, frun_future_result(f, -1, NULL));
    ck_assert_str_eq(frun_future_error(f)->message, message);
    frun_future_free(f);
}

/* They were said to be out of memory. */
START_TEST(too_deep_for_a_process_is_unsendable)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = forks_of(e);
    frun_value *deep = tower(1000), *list = kit_numbers(3), *results;
    frun_future *f;

    ok(frun_pool_submit(pool, kit_nothing, deep, NULL, &f));
    fails_with(f, FRUN_EUNSENDABLE, "argument: nested deeper than 200");
    fails_with(kit_submit(pool, build, 1000, NULL), FRUN_EUNSENDABLE,
               "result: nested deeper than 200");
    ok(frun_value_push(list, deep));
    status_is(FRUN_EUNSENDABLE,
              frun_pool_map(pool, kit_nothing, list, NULL, &results));
    ck_assert_str_eq(frun_engine_message(e),
                     "task 3, item 3: argument: nested deeper than 200");
    frun_value_free(list);
    list = frun_value_list();
    ok(frun_value_push(list, frun_value_int(1000)));
    status_is(FRUN_EUNSENDABLE,
              frun_pool_map(pool, build, list, NULL, &results));
    frun_value_free(list);
    f = kit_submit(pool, kit_twice, 21, NULL); /* the pool goes on */
    ck_assert_int_eq(kit_int(f), 42);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(no_value_holds_itself)
{
    frun_value *list = frun_value_list(), *map = frun_value_map();

    status_is(FRUN_EINVAL, frun_value_push(list, list));
    status_is(FRUN_EINVAL, frun_value_put(map, "self", map));
    ck_assert_uint_eq(frun_value_length(list), 0);
    ck_assert_uint_eq(frun_value_length(map), 0);
    frun_value_free(list);
    frun_value_free(map);
}
END_TEST

START_TEST(outside_a_task_there_is_none)
{
    status_is(FRUN_ERROR, frun_task_fail(NULL, "x"));
    ck_assert(!frun_task_cancelled(NULL));
    ck_assert_int_eq(frun_task_attempt(NULL), 1);
    ck_assert_ptr_null(frun_task_user(NULL));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        engine_options_of_other_headers,
        pool_options_of_other_headers,
        policies_of_other_headers,
        commands_of_other_headers,
        answers_for_other_headers,
        only_the_owner_calls,
        no_task_calls_its_engine,
        a_forked_child_leaves_threads_alone,
        a_forked_child_leaves_workers_alone,
        a_forked_child_leaves_commands_alone,
        callbacks_that_wait_nest_to_a_depth,
        callbacks_free_what_is_waited_for,
        callbacks_close_what_is_used,
        too_deep_for_a_process_is_unsendable,
        no_value_holds_itself,
        outside_a_task_there_is_none,
    };

    return unit_run("host", tests, COUNT(tests));
}
