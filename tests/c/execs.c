/*
 * execs.c - commands on behalf of tasks: their futures, places and seats, and
 * that a task ends after all of its commands; from the inside, with a runner
 * of functions that is no language's.
 */
#define _GNU_SOURCE
#include "kit.h"

#include "core/halt.h"
#include "pools/commands/commands.h"
#include "pools/ctask.h"
#include "pools/forks/home.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* ---- commands --------------------------------------------------------- */

static frun_value *line(const char *text)
{
    frun_value *c = frun_value_map(), *argv = frun_value_list();

    ok(frun_value_push(argv, frun_value_str(text, strlen(text))));
    ok(frun_value_put(c, "argv", argv));
    ok(frun_value_put(c, "shell", frun_value_bool(true)));
    return c;
}

static struct frun_future *start(frun_engine *e, struct frun_future *owner,
                                 const char *text, bool own)
{
    struct fri_exec_plan plan = { .command = line(text), .owner = owner,
                                  .own = own };
    struct frun_future *f = fri_exec_start(e, &plan);

    ck_assert_ptr_nonnull(f);
    return f;
}

static int64_t number(struct frun_future *f, const char *key)
{
    ck_assert(fri_is_final(f) && f->holds == FRI_VALUE);
    return frun_value_as_int(frun_value_get(f->data.value, key));
}

/* One that nobody has reaped counts as gone. */
static bool is_alive(pid_t pid)
{
    char path[64], text[256], *at = NULL;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file)
        return false;
    if (fgets(text, sizeof text, file))
        at = strrchr(text, ')');
    fclose(file);
    return at && at[2] != 'Z' && at[2] != 'X';
}

/* A file in which a command leaves its number. */
static char pid_file[64];

static void new_pid_file(void)
{
    snprintf(pid_file, sizeof pid_file, "/tmp/flowrun-pid-XXXXXX");
    close(mkstemp(pid_file));
}

static void old_pid_file(void)
{
    unlink(pid_file);
}

static pid_t pid_of_command(void)
{
    double until = kit_now() + 60;
    long pid = 0;

    while (pid == 0) {
        FILE *file = fopen(pid_file, "r");

        ck_assert(kit_now() < until);
        if (!file || fscanf(file, "%ld\n", &pid) != 1 || pid == 0)
            kit_nap(0.002);
        if (file)
            fclose(file);
    }
    return (pid_t)pid;
}

/* It stays, also when it is told to end; and forks nothing, since who is
 * stopped in that is not seen as stopped. */
static const char *stubborn(void)
{
    static char text[160];

    snprintf(text, sizeof text,
             "trap '' TERM; echo $$ >%s; exec sleep 1000", pid_file);
    return text;
}

/* ---- of nobody -------------------------------------------------------- */

START_TEST(one_needs_no_pool)
{
    frun_engine *e = kit_engine();
    struct frun_future *f = start(e, NULL, "echo here; exit 4", false);

    ok(frun_future_wait(f, -1));
    ck_assert_int_eq(number(f, "kind"), FRUN_OK);
    ck_assert_int_eq(number(f, "status"), 4);
    ck_assert_str_eq(frun_value_as_str(frun_value_get(f->data.value, "out")),
                     "here\n");
    ck_assert_ptr_nonnull(frun_value_get(fri_exec_command(f), "argv"));
    fri_future_unref(f);
    frun_engine_close(e);
}
END_TEST

START_TEST(one_is_stopped)
{
    frun_engine *e = kit_engine();
    struct frun_future *f = start(e, NULL, stubborn(), false);
    pid_t pid = pid_of_command();

    fri_exec_kill(e, f);
    ck_assert(!is_alive(pid));
    ck_assert_int_eq(number(f, "kind"), FRUN_ECANCELLED);
    ck_assert_int_eq(number(f, "signal"), SIGKILL);
    fri_exec_drop(e, f);
    frun_engine_close(e);
}
END_TEST

START_TEST(one_is_dropped)
{
    frun_engine *e = kit_engine();
    double until = kit_now() + 60;
    struct frun_future *f = start(e, NULL, stubborn(), false);
    pid_t pid;

    pid = pid_of_command();
    fri_exec_drop(e, f);
    while (is_alive(pid) && kit_now() < until)
        kit_nap(0.002);
    ck_assert(!is_alive(pid));
    frun_engine_close(e);
}
END_TEST

START_TEST(the_engine_closes_meanwhile)
{
    frun_engine *e = kit_engine();
    struct frun_future *f = start(e, NULL, stubborn(), false);
    pid_t pid = pid_of_command();

    fri_exec_drop(e, start(e, NULL, "sleep 100", false));
    frun_engine_close(e);
    ck_assert(!is_alive(pid));
    ck_assert(fri_is_final(f));
    fri_future_unref(f);
}
END_TEST

/* ---- of a task that has left them behind ------------------------------ */

static frun_engine *engine_of(frun_task *task)
{
    return task->future->spec->lane->sched->user;
}

static frun_status leaves_one(frun_task *task, const frun_value *argument,
                              frun_value **result)
{
    frun_engine *e = engine_of(task);

    (void)argument;
    (void)result;
    fri_future_unref(start(e, task->future, stubborn(), false));
    fri_future_unref(start(e, task->future, "sleep 100", false));
    pid_of_command();
    return FRUN_OK;
}

START_TEST(a_task_ends_after_its_commands)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_future *f;

    ok(frun_pool_submit(pool, leaves_one, NULL, NULL, &f));
    ok(frun_future_result(f, -1, NULL));
    ck_assert(!is_alive(pid_of_command()));
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

static atomic_bool told;

static void never_mind(struct fri_tied *tied, frun_status why)
{
    (void)tied;
    ck_assert_int_eq(why, FRUN_ECANCELLED);
    atomic_store(&told, true);
}

static frun_status ties(frun_task *task, const frun_value *argument,
                        frun_value **result)
{
    frun_engine *e = engine_of(task);

    fri_lock(e);
    ck_assert(fri_tied_add(task->future, frun_task_user(task)));
    fri_unlock(e);
    return kit_twice(task, argument, result);
}

static frun_future *submit_tied(frun_pool *pool, struct fri_tied *tied)
{
    frun_policy p = { .user = tied };

    return kit_submit(pool, ties, 2, &p);
}

static frun_status waits_for_cancel(frun_task *task,
                                    const frun_value *argument,
                                    frun_value **result)
{
    (void)argument;
    (void)result;
    fri_future_unref(start(engine_of(task), task->future, stubborn(), false));
    pid_of_command();
    while (!frun_task_cancelled(task))
        kit_nap(0.001);
    return FRUN_OK;
}

START_TEST(a_task_past_its_time_ends_after_them)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_policy p = { .timeout = 0.3 };
    frun_future *f;

    ok(frun_pool_submit(pool, waits_for_cancel, NULL, &p, &f));
    status_is(FRUN_ETIMEOUT, frun_future_result(f, -1, NULL));
    ck_assert(!is_alive(pid_of_command()));
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

static frun_status leaves_one_and_fails(frun_task *task,
                                        const frun_value *argument,
                                        frun_value **result)
{
    (void)result;
    if (frun_value_as_int(argument) != 3)
        return FRUN_OK;
    fri_future_unref(start(engine_of(task), task->future, stubborn(), false));
    pid_of_command();
    return frun_task_fail(task, "it has left one");
}

START_TEST(a_map_ends_after_them)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 2);
    frun_value *list = kit_numbers(10), *results;

    status_is(FRUN_ERROR, frun_pool_map(pool, leaves_one_and_fails, list, NULL,
                                        &results));
    ck_assert(!is_alive(pid_of_command()));
    frun_value_free(list);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(one_that_has_ended_but_for_its_command_runs)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_stats stats = { .size = sizeof stats };
    struct fri_tied tied = { .link = NULL };
    frun_future *f;

    tied.stop = never_mind;
    f = submit_tied(pool, &tied);
    while (!atomic_load(&told))
        kit_nap(0.001);
    ok(frun_pool_stats(pool, &stats));
    ck_assert_uint_eq(stats.running, 1);
    ck_assert_int_eq(frun_future_state(f), FRUN_RUNNING);
    ck_assert(!frun_future_cancel(f)); /* it comes to what it came to */
    fri_lock(e);
    fri_tied_gone(&tied);
    fri_unlock(e);
    ck_assert_int_eq(kit_int(f), 4);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- of worker processes ---------------------------------------------- */

static frun_pool *forks(frun_engine *e, int workers)
{
    frun_pool_options o = { .workers = workers };
    frun_pool *pool;

    ok(frun_pool_open(e, FRUN_FORKS, &o, &pool));
    return pool;
}

static frun_status runs_one(frun_task *task, const frun_value *argument,
                            frun_value **result)
{
    frun_engine *e = engine_of(task);
    struct frun_future *f = start(e, task->future,
                                  "echo $FLOWRUN_NAME; exit 7", false);

    (void)argument;
    fri_home_wait(e->home, f);
    if (number(f, "status") == 7 && fri_exec_command(f))
        *result = frun_value_copy(frun_value_get(f->data.value, "out"));
    fri_future_unref(f);
    return FRUN_OK;
}

START_TEST(a_worker_process_runs_one)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = forks(e, 1);
    frun_policy p = { .name = "there" };
    const frun_value *v;
    frun_future *f;

    for (int i = 0; i < 5; i++) {
        ok(frun_pool_submit(pool, runs_one, NULL, &p, &f));
        ok(frun_future_result(f, -1, &v));
        ck_assert_str_eq(frun_value_as_str(v), "there\n");
        frun_future_free(f);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

static frun_status dies_of_one(frun_task *task, const frun_value *argument,
                               frun_value **result)
{
    frun_engine *e = engine_of(task);
    struct frun_future *f = start(e, task->future, stubborn(), false);

    (void)result;
    if (frun_value_as_int(argument)) {
        pid_of_command();
        raise(SIGKILL);
    }
    fri_home_wait(e->home, f);
    return FRUN_OK;
}

START_TEST(a_worker_process_dies)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = forks(e, 1);
    frun_future *f = kit_submit(pool, dies_of_one, 1, NULL);

    status_is(FRUN_ECRASHED, frun_future_result(f, -1, NULL));
    ck_assert(!is_alive(pid_of_command()));
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_worker_process_runs_out_of_time)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = forks(e, 1);
    frun_policy p = { .timeout = 0.3 };
    frun_future *f = kit_submit(pool, dies_of_one, 0, &p);

    status_is(FRUN_ETIMEOUT, frun_future_result(f, -1, NULL));
    ck_assert(!is_alive(pid_of_command()));
    frun_future_free(f);
    f = kit_submit(pool, kit_twice, 4, NULL);
    ck_assert_int_eq(kit_int(f), 8);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- functions in the hands of a pool of commands --------------------- */

/* What a function is here: its command, and what is done around it. */
struct plan {
    const char *text;
    struct frun_future *first; /* is waited for before: not NULL */
    bool gated;                /* parsing waits at the gate */
    struct kit_gate gate;
    atomic_int kind, parsed;
};

struct state { /* of a hand */
    frun_engine *engine;
    struct fri_worker *worker;
};

struct job {
    struct fri_resumable resumable; /* first */
    struct state *state;
    struct frun_future *exec; /* or what is waited for before */
    struct fri_set *set;
    bool begun; /* the command has */
};

static void *fake_open(void *user, struct fri_worker *worker,
                       struct fri_error **error)
{
    struct state *s = calloc(1, sizeof *s);

    (void)error;
    s->engine = user;
    s->worker = worker;
    return s;
}

static void fake_close(void *state)
{
    free(state);
}

static void wake(struct fri_set *set)
{
    fri_worker_resume(set->user);
}

/* True: it is suspended; false: there is nothing to wait for. */
static bool await(struct job *job, struct frun_future *f, struct fri_ran *ran)
{
    job->exec = f;
    job->set = fri_set_open(job->state->engine, &f, 1);
    job->set->user = &job->resumable;
    job->resumable.set = job->set;
    if (fri_set_arm(job->set, 0, false, FRI_NEVER, wake)) {
        fri_set_close(job->set);
        return false;
    }
    fri_worker_suspend(job->state->worker);
    ran->suspended = job;
    return true;
}

static struct plan *plan_of(const struct job *job)
{
    return job->resumable.slice.task->spec->script;
}

static void parse(struct job *job, struct fri_ran *ran)
{
    struct plan *plan = plan_of(job);
    struct frun_future *f = job->exec;

    if (f->holds == FRI_VALUE)
        atomic_store(&plan->kind, (int)number(f, "kind"));
    else
        atomic_store(&plan->kind, (int)f->data.error->public.status);
    if (plan->gated) {
        sem_post(&plan->gate.arrived);
        sem_wait(&plan->gate.open);
    }
    atomic_fetch_add(&plan->parsed, 1);
    ran->outcome.holds = FRI_VALUE;
    ran->outcome.value = frun_value_int(atomic_load(&plan->kind));
    fri_future_unref(f);
    free(job);
}

static void go_on(struct job *job, struct fri_ran *ran)
{
    struct frun_future *task = job->resumable.slice.task;

    if (!job->begun) {
        job->begun = true;
        if (await(job, start(job->state->engine, task, plan_of(job)->text,
                             true),
                  ran))
            return;
    }
    parse(job, ran);
}

static void fake_run(void *state, struct fri_slice *slice,
                     struct fri_ran *ran)
{
    struct job *job = calloc(1, sizeof *job);
    struct plan *plan = slice->task->spec->script;

    job->state = state;
    job->resumable.worker = job->state->worker;
    job->resumable.slice = *slice;
    if (plan->first && await(job, plan->first, ran))
        return;
    go_on(job, ran);
}

static void fake_resume(void *state, void *suspended, struct fri_slice *slice,
                        struct fri_ran *ran)
{
    struct job *job = suspended;

    (void)state;
    *slice = job->resumable.slice;
    fri_set_close(job->set);
    if (job->resumable.raised) {
        ran->outcome.holds = FRI_ERROR;
        ran->outcome.error = job->resumable.error;
        free(job);
        return;
    }
    go_on(job, ran);
}

static void fake_interrupt(void *state, frun_status why, bool always)
{
    (void)state;
    (void)why;
    (void)always;
}

static void fake_calm(void *state)
{
    (void)state;
}

static const struct fri_runner fake = {
    .open = fake_open,
    .close = fake_close,
    .run = fake_run,
    .resume = fake_resume,
    .interrupt = fake_interrupt,
    .calm = fake_calm,
};

static frun_engine *with_runner(void)
{
    frun_engine *e = kit_engine();

    e->runner = &fake;
    e->runner_user = e;
    return e;
}

static frun_pool *commands(frun_engine *e, int workers)
{
    frun_pool_options o = { .workers = workers };
    frun_pool *pool;

    ok(frun_pool_open(e, FRUN_COMMANDS, &o, &pool));
    return pool;
}

static struct frun_future *submit(frun_pool *pool, const frun_policy *policy,
                                  struct plan *plan)
{
    struct fri_spec *spec;
    struct frun_future *task;

    kit_gate_init(&plan->gate);
    fri_lock(pool->engine);
    spec = fri_spec_new(&pool->lane, policy);
    spec->script = plan;
    task = fri_task_new(&pool->engine->sched, spec);
    fri_sched_submit(task, true);
    fri_unlock(pool->engine);
    fri_spec_unref(spec);
    return task;
}

static frun_future *bare(frun_pool *pool, const frun_policy *policy,
                         const char *text)
{
    frun_command c = { .argv = (const char *const[]){ text, NULL },
                       .shell = true };
    frun_future *f;

    ok(frun_pool_command(pool, &c, policy, &f));
    return f;
}

START_TEST(a_function_makes_a_command)
{
    frun_engine *e = with_runner();
    frun_pool *pool = commands(e, 2);
    struct plan plan = { .text = "exit 5" };
    struct frun_future *f = submit(pool, NULL, &plan);
    frun_info info = { .size = sizeof info };

    ck_assert_int_eq(kit_int(f), FRUN_OK);
    ok(frun_future_info(f, &info));
    ck_assert(info.memory > 0);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(place_and_seats_are_free_while_it_parses)
{
    frun_engine *e = with_runner();
    frun_pool *pool = commands(e, 1);
    struct plan plan = { .text = "true", .gated = true };
    frun_limit *limit;
    frun_policy p = { .limit_count = 1 };
    frun_stats stats = { .size = sizeof stats };
    struct frun_future *f, *g;

    ok(frun_limit_open(e, "one", 1, false, &limit));
    p.limits = (frun_limit *const[]){ limit };
    f = submit(pool, &p, &plan);
    kit_await(&plan.gate, 1);
    g = bare(pool, &p, "true");
    ok(frun_future_result(g, -1, NULL));
    ok(frun_pool_stats(pool, &stats));
    ck_assert_uint_eq(stats.running, 1);
    ck_assert_int_eq(frun_future_state(f), FRUN_RUNNING);
    kit_open(&plan.gate, 1);
    ck_assert_int_eq(kit_int(f), FRUN_OK);
    frun_future_free(f);
    frun_future_free(g);
    frun_limit_close(limit);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(one_that_waits_gives_its_place_up)
{
    frun_engine *e = with_runner();
    frun_pool *pool = commands(e, 1), *threads = kit_pool(e, 1);
    struct kit_gate gate;
    struct frun_future *held, *f, *g;
    struct plan plan = { .text = "true" };

    kit_gate_init(&gate);
    held = kit_submit_held(threads, &gate);
    kit_await(&gate, 1);
    plan.first = held;
    f = submit(pool, NULL, &plan);
    g = bare(pool, NULL, "true");
    ok(frun_future_result(g, -1, NULL));
    ck_assert_int_eq(atomic_load(&plan.parsed), 0);
    kit_open(&gate, 1);
    ck_assert_int_eq(kit_int(f), FRUN_OK);
    fri_future_unref(held);
    frun_future_free(f);
    frun_future_free(g);
    frun_pool_close(threads);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* Its first wait is for a command of its own pool. */
START_TEST(one_worker_is_enough)
{
    frun_engine *e = with_runner();
    frun_pool *pool = commands(e, 1);
    struct plan plans[20];
    struct frun_future *all[20];

    memset(plans, 0, sizeof plans);
    for (int i = 0; i < 20; i++) {
        plans[i].text = "true";
        plans[i].first = bare(pool, NULL, "sleep 0.01");
        all[i] = submit(pool, NULL, &plans[i]);
    }
    for (int i = 0; i < 20; i++) {
        ck_assert_int_eq(kit_int(all[i]), FRUN_OK);
        fri_future_unref(plans[i].first);
        frun_future_free(all[i]);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_function_sees_that_its_command_was_stopped)
{
    frun_engine *e = with_runner();
    frun_pool *pool = commands(e, 1);
    struct plan plan = { .text = stubborn() };
    frun_policy p = { .timeout = 0.3 };
    struct frun_future *f = submit(pool, &p, &plan);

    status_is(FRUN_ETIMEOUT, frun_future_result(f, -1, NULL));
    ck_assert(!is_alive(pid_of_command()));
    ck_assert_int_eq(atomic_load(&plan.kind), FRUN_ETIMEOUT);
    ck_assert_int_eq(atomic_load(&plan.parsed), 1);
    frun_future_free(f);
    f = bare(pool, NULL, "true");
    ok(frun_future_result(f, -1, NULL));
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* Until a command waits for a place. */
static void await_queue(frun_pool *pool)
{
    struct fri_commands *cs = pool->state;
    double until = kit_now() + 60;
    bool waits = false;

    while (!waits && kit_now() < until) {
        fri_lock(pool->engine);
        waits = cs->waiting != NULL;
        fri_unlock(pool->engine);
        kit_nap(0.001);
    }
    ck_assert(waits);
}

/* Its command waits for a place, which another has. */
START_TEST(one_is_cancelled_before_its_command_began)
{
    frun_engine *e = with_runner();
    frun_pool *pool = commands(e, 1), *threads = kit_pool(e, 1);
    struct kit_gate gate;
    struct frun_future *held, *f, *g;
    struct plan plan = { .text = "true" };

    kit_gate_init(&gate);
    held = kit_submit_held(threads, &gate);
    kit_await(&gate, 1);
    plan.first = held;
    f = submit(pool, NULL, &plan);
    g = bare(pool, NULL, stubborn());
    pid_of_command();
    kit_open(&gate, 1);
    await_queue(pool);
    ck_assert(frun_future_cancel(f));
    status_is(FRUN_ECANCELLED, frun_future_result(f, -1, NULL));
    ck_assert_int_eq(atomic_load(&plan.kind), FRUN_ECANCELLED);
    ck_assert(frun_future_cancel(g));
    status_is(FRUN_ECANCELLED, frun_future_result(g, -1, NULL));
    fri_future_unref(held);
    frun_future_free(f);
    frun_future_free(g);
    frun_pool_close(threads);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(an_attempt_has_a_command_each)
{
    frun_engine *e = with_runner();
    frun_pool *pool = commands(e, 2);
    struct plan plan = { .text = "sleep 100" };
    frun_policy p = { .timeout = 0.05, .retries = 3 };
    struct frun_future *f = submit(pool, &p, &plan);

    status_is(FRUN_ETIMEOUT, frun_future_result(f, -1, NULL));
    ck_assert_int_eq(frun_future_error(f)->attempts, 4);
    ck_assert_int_eq(atomic_load(&plan.parsed), 4);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- groups ----------------------------------------------------------- */

/* `n` bare commands of one call. */
static void group(frun_pool *pool, const char *rule, const char *const *texts,
                  size_t n, struct frun_future **all)
{
    struct fri_spec *spec;

    fri_lock(pool->engine);
    spec = fri_spec_new(&pool->lane, NULL);
    spec->group = fri_group_new(&pool->engine->memory, rule, n);
    for (size_t i = 0; i < n; i++) {
        all[i] = fri_task_new(&pool->engine->sched, spec);
        all[i]->holds = FRI_VALUE;
        all[i]->data.value = line(texts[i]);
    }
    for (size_t i = 0; i < n; i++)
        fri_sched_submit(all[i], false);
    pool->lane.hooks->ready(&pool->lane, n);
    fri_unlock(pool->engine);
    fri_spec_unref(spec);
}

/* With one place none of the others can have begun. */
START_TEST(nothing_begins_after_a_halt)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    const char *texts[20];
    struct frun_future *all[20];

    for (int i = 0; i < 20; i++)
        texts[i] = i == 2 ? "exit 1" : "true";
    group(pool, "soon,fail=1", texts, 20, all);
    for (int i = 0; i < 20; i++) {
        frun_info info = { .size = sizeof info };

        status_is(i < 2    ? FRUN_OK
                  : i == 2 ? FRUN_EEXIT
                           : FRUN_ECANCELLED,
                  frun_future_result(all[i], -1, NULL));
        ok(frun_future_info(all[i], &info));
        ck_assert_int_eq(info.attempts, i <= 2);
        frun_future_free(all[i]);
    }
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_halt_stops_what_runs)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 2);
    const char *texts[3] = { stubborn(), NULL, "true" };
    struct frun_future *all[3];
    char waits[160];

    snprintf(waits, sizeof waits, "until test -s %s; do sleep 0.01; done;"
                                  "exit 1", pid_file);
    texts[1] = waits;
    group(pool, "now,fail=1", texts, 3, all);
    status_is(FRUN_ECANCELLED, frun_future_result(all[0], -1, NULL));
    ck_assert(!is_alive(pid_of_command()));
    status_is(FRUN_EEXIT, frun_future_result(all[1], -1, NULL));
    status_is(FRUN_ECANCELLED, frun_future_result(all[2], -1, NULL));
    for (int i = 0; i < 3; i++)
        frun_future_free(all[i]);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- pausing ---------------------------------------------------------- */

static char state_of(pid_t pid)
{
    char path[64], text[256] = "", *at;
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    ck_assert_ptr_nonnull(file);
    at = fgets(text, sizeof text, file) ? strrchr(text, ')') : NULL;
    fclose(file);
    return at ? at[2] : '?';
}

START_TEST(a_pause_stops_commands_and_their_time)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = commands(e, 1);
    frun_policy p = { .timeout = 0.5 };
    frun_future *f = bare(pool, &p, stubborn());
    double until = kit_now() + 60;
    pid_t pid = pid_of_command();

    fri_engine_pause(e);
    while (state_of(pid) != 'T' && kit_now() < until)
        kit_nap(0.002);
    ck_assert_int_eq(state_of(pid), 'T');
    kit_nap(1);
    ck_assert_int_eq(frun_future_state(f), FRUN_RUNNING);
    ck_assert_int_eq(state_of(pid), 'T');
    fri_engine_resume(e);
    status_is(FRUN_ETIMEOUT, frun_future_result(f, -1, NULL));
    ck_assert(!is_alive(pid));
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

/* ---- pools of commands in worker processes ---------------------------- */

static frun_status opens_a_pool(frun_task *task, const frun_value *argument,
                                frun_value **result)
{
    frun_engine *e = engine_of(task);
    frun_pool_options o = { .size = sizeof o, .workers = 2 };
    frun_command c = { .argv = (const char *const[]){ "echo", "far", NULL } };
    struct fri_error *error;
    frun_pool *pool = fri_home_open_pool(e, FRUN_COMMANDS, &o, NULL, &error);
    frun_future *f = NULL;

    (void)argument;
    if (!pool || frun_pool_command(pool, &c, NULL, &f) != FRUN_OK)
        return frun_task_fail(task, "%s", frun_engine_message(e));
    fri_home_wait(e->home, f);
    if (f->holds == FRI_VALUE)
        *result = frun_value_copy(frun_value_get(f->data.value, "out"));
    frun_future_free(f);
    fri_handle_unref(&pool->handle);
    return FRUN_OK;
}

START_TEST(a_worker_process_opens_a_pool)
{
    frun_engine *e = kit_engine();
    frun_pool *pool = forks(e, 1);
    const frun_value *v;
    frun_future *f;

    ok(frun_pool_submit(pool, opens_a_pool, NULL, NULL, &f));
    ok(frun_future_result(f, -1, &v));
    ck_assert_str_eq(frun_value_as_str(v), "far\n");
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

START_TEST(a_crowd)
{
    frun_engine *e = with_runner();
    frun_pool *pool = commands(e, 8);
    static struct plan plans[200];
    struct frun_future *all[200];
    int well = 0;

    for (int i = 0; i < 200; i++) {
        frun_policy p = { .timeout = i % 7 == 3 ? 0.02 : 0,
                          .priority = i % 3 };

        plans[i].text = i % 7 == 3 ? "sleep 100" : "true";
        all[i] = i % 2 ? submit(pool, &p, &plans[i])
                       : bare(pool, &p, plans[i].text);
        if (i % 5 == 4)
            frun_future_cancel(all[i / 2]);
    }
    for (int i = 0; i < 200; i++) {
        well += frun_future_result(all[i], -1, NULL) == FRUN_OK;
        frun_future_free(all[i]);
    }
    ck_assert_int_ge(well, 100);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        one_needs_no_pool,
        one_is_stopped,
        one_is_dropped,
        the_engine_closes_meanwhile,
        a_task_ends_after_its_commands,
        a_task_past_its_time_ends_after_them,
        a_map_ends_after_them,
        one_that_has_ended_but_for_its_command_runs,
        a_worker_process_runs_one,
        a_worker_process_dies,
        a_worker_process_runs_out_of_time,
        a_function_makes_a_command,
        place_and_seats_are_free_while_it_parses,
        one_that_waits_gives_its_place_up,
        one_worker_is_enough,
        a_function_sees_that_its_command_was_stopped,
        one_is_cancelled_before_its_command_began,
        an_attempt_has_a_command_each,
        nothing_begins_after_a_halt,
        a_halt_stops_what_runs,
        a_pause_stops_commands_and_their_time,
        a_worker_process_opens_a_pool,
        a_crowd,
    };

    return unit_run_in("execs", tests, COUNT(tests), new_pid_file,
                       old_pid_file);
}
