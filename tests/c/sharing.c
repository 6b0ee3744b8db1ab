/*
 * sharing.c - limits that runs share.  Each run here is a scheduler with its
 * own open file, and a clock that is played; the kernel keeps them apart as
 * it does processes.  Then processes, which are killed.
 */
#define _GNU_SOURCE
#include "core/seats.h"
#include "core/sharing.h"
#include "kit.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { RUNS = 3, HELD = 64 };

static fri_time now_is;
static struct unit_heap heap = { 0, -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };

static struct run {
    struct fri_sched sched;
    struct fri_lane lane;
    struct fri_limit *limits[2];
    struct frun_future *held[HELD]; /* tasks that run */
    int holds;
} runs[RUNS];

/* ---- a state directory ------------------------------------------------ */

static char state[128], host_dir[600];

static void make_state(void)
{
    char host[256] = "", name[128];

    snprintf(state, sizeof state, "%s/state.XXXXXX",
             getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
    ck_assert_ptr_nonnull(mkdtemp(state));
    setenv("XDG_STATE_HOME", state, 1);
    gethostname(host, sizeof host - 1);
    fri_plain_name(host, name);
    snprintf(host_dir, sizeof host_dir, "%s/flowrun/limits/%s", state, name);
}

static void shell(const char *format, const char *path)
{
    char command[1400];

    snprintf(command, sizeof command, format, path);
    ck_assert_int_eq(system(command), 0);
}

static void drop_state(void)
{
    shell("chmod -R u+rwx '%s'", state);
    shell("rm -rf '%s'", state);
}

static const char *file(const char *name)
{
    static char path[800];

    snprintf(path, sizeof path, "%s/%s", host_dir, name);
    return path;
}

/* ---- runs ------------------------------------------------------------- */

static fri_time the_clock(void *user)
{
    (void)user;
    return now_is;
}

static void ready(struct fri_lane *lane, size_t count)
{
    (void)lane;
    (void)count;
}

static const struct fri_lane_hooks hooks = { .ready = ready };

static struct fri_limit *share(struct run *r, const char *name, unsigned count)
{
    struct fri_seats *seats = NULL;
    char why[FRI_WHY] = "";
    frun_status status = fri_seats_open(&memory, name, count, &seats, why);

    ck_assert_msg(status == FRUN_OK, "%s", why);
    return fri_limit_share(&r->sched, name, count, seats);
}

static void open_runs(unsigned a, unsigned b)
{
    make_state();
    now_is = 1000 * FRI_SECOND;
    memset(runs, 0, sizeof runs);
    for (int i = 0; i < RUNS; i++) {
        fri_sched_init(&runs[i].sched, &memory, the_clock, NULL);
        fri_lane_init(&runs[i].lane, &runs[i].sched, &hooks, 4);
        runs[i].limits[0] = share(&runs[i], "a", a);
        runs[i].limits[1] = share(&runs[i], "b", b);
    }
}

static void close_run(struct run *r)
{
    ck_assert_uint_eq(fri_sched_alive(&r->sched), 0);
    fri_lane_free(&r->lane);
    for (int i = 0; i < 2; i++)
        fri_handle_unref(&r->limits[i]->handle);
    fri_sched_free(&r->sched);
}

static void close_runs(void)
{
    for (int i = 0; i < RUNS; i++)
        close_run(&runs[i]);
    ck_assert_int_eq(heap.blocks, 0);
    drop_state();
}

static struct frun_future *submit(struct run *r, int a, int b)
{
    frun_limit *limits[2];
    int needs[2];
    frun_policy p = { .limits = limits, .limit_needs = needs };
    struct fri_spec *spec;
    struct frun_future *f;

    for (int i = 0; i < 2; i++) {
        if ((i ? b : a) == 0)
            continue;
        limits[p.limit_count] = (frun_limit *)(void *)r->limits[i];
        needs[p.limit_count++] = i ? b : a;
    }
    spec = fri_spec_new(&r->lane, &p);
    f = fri_task_new(&r->sched, spec);
    fri_spec_unref(spec);
    fri_sched_submit(f, true);
    return f;
}

/* A worker asks for work; true when it got some, which then runs. */
static bool take(struct run *r)
{
    struct fri_slice slice;

    if (fri_sched_take(&r->lane, 1, &slice) == 0)
        return false;
    ck_assert(fri_task_begin(slice.task, 1, now_is));
    r->held[r->holds++] = slice.task;
    return true;
}

static void finish(struct run *r, int i)
{
    struct fri_data nothing = { .holds = FRI_NOTHING };
    struct frun_future *f = r->held[i];

    r->held[i] = r->held[--r->holds];
    fri_sched_finish(f, &nothing, now_is);
}

static void pass(double seconds)
{
    now_is += (fri_time)(seconds * 1e9);
    for (int i = 0; i < RUNS; i++)
        fri_sched_tick(&runs[i].sched);
}

static void let_go(struct frun_future *f, enum fri_task_state wanted)
{
    ck_assert_int_eq(fri_state(f), wanted);
    fri_future_unref(f);
}

static unsigned used(int limit)
{
    unsigned n = 0;

    for (int i = 0; i < RUNS; i++)
        n += runs[i].limits[limit]->used;
    return n;
}

/* ---- counting --------------------------------------------------------- */

START_TEST(seats_are_of_all_runs)
{
    struct frun_future *f[4];

    open_runs(2, 1);
    f[0] = submit(&runs[0], 1, 0);
    f[1] = submit(&runs[1], 1, 0);
    f[2] = submit(&runs[2], 1, 0);
    f[3] = submit(&runs[0], 0, 1);
    ck_assert(take(&runs[0]) && take(&runs[1]));
    ck_assert(!take(&runs[2]));
    ck_assert(take(&runs[0])); /* another limit */
    ck_assert_uint_eq(fri_limit_seat(f[0], "a", 0), 1);
    ck_assert_uint_eq(fri_limit_seat(f[1], "a", 0), 2);
    pass(1);
    ck_assert(!take(&runs[2]));
    finish(&runs[0], 0);
    ck_assert(!take(&runs[2])); /* it has not looked yet */
    pass(0.05);
    ck_assert(take(&runs[2]));
    ck_assert_uint_eq(fri_limit_seat(f[2], "a", 0), 1);
    finish(&runs[0], 0);
    finish(&runs[1], 0);
    finish(&runs[2], 0);
    for (int i = 0; i < 4; i++)
        let_go(f[i], FRI_DONE);
    for (int i = 0; i < RUNS; i++) {
        pass(0.05);
        ck_assert_ptr_null(runs[i].sched.timers.first); /* nobody looks */
    }
    close_runs();
}
END_TEST

START_TEST(a_task_has_all_or_none)
{
    struct frun_future *f[3];

    open_runs(2, 2);
    f[0] = submit(&runs[0], 0, 1);
    f[1] = submit(&runs[1], 2, 2);
    f[2] = submit(&runs[2], 2, 0);
    ck_assert(take(&runs[0]));
    ck_assert(!take(&runs[1])); /* b is short: it holds nothing of a */
    ck_assert_uint_eq(used(0), 0);
    ck_assert(take(&runs[2]));
    finish(&runs[0], 0);
    pass(0.05);
    ck_assert(!take(&runs[1]));
    ck_assert_uint_eq(used(1), 0);
    finish(&runs[2], 0);
    pass(0.05);
    ck_assert(take(&runs[1]));
    finish(&runs[1], 0);
    for (int i = 0; i < 3; i++)
        let_go(f[i], FRI_DONE);
    close_runs();
}
END_TEST

START_TEST(a_count_is_agreed_upon)
{
    struct fri_seats *seats = NULL;
    char why[FRI_WHY];
    struct frun_future *f[2];

    open_runs(2, 1);
    f[0] = submit(&runs[0], 2, 0);
    ck_assert(take(&runs[0]));
    ck_assert_int_eq(fri_seats_open(&memory, "a", 3, &seats, why),
                     FRUN_ERESOURCE);
    ck_assert_ptr_null(seats);
    ck_assert(strstr(why, "a.limit: the limit has the count 2 in a run that "
                          "holds seats of it, not 3"));
    ck_assert_int_eq(fri_seats_open(&memory, "a", 2, &seats, why), FRUN_OK);
    fri_seats_close(seats);
    finish(&runs[0], 0);
    let_go(f[0], FRI_DONE);

    /* Nobody has a seat: it is replaced, also for those that have it open. */
    ck_assert_int_eq(fri_seats_open(&memory, "a", 3, &seats, why), FRUN_OK);
    fri_seats_close(seats);
    f[0] = submit(&runs[0], 2, 0);
    f[1] = submit(&runs[1], 1, 0);
    ck_assert(take(&runs[0]) && take(&runs[1]));
    ck_assert_uint_eq(fri_limit_seat(f[1], "a", 0), 3);
    finish(&runs[0], 0);
    finish(&runs[1], 0);
    let_go(f[0], FRI_DONE);
    let_go(f[1], FRI_DONE);

    /* A task that needs more than there are now fails. */
    ck_assert_int_eq(fri_seats_open(&memory, "a", 1, &seats, why), FRUN_OK);
    fri_seats_close(seats);
    f[0] = submit(&runs[0], 2, 0);
    ck_assert(!take(&runs[0]));
    ck_assert_int_eq(f[0]->data.error->public.status, FRUN_ERESOURCE);
    ck_assert_str_eq(f[0]->data.error->message,
                     "another run has set limit a to 1 seats, the task "
                     "needs 2");
    let_go(f[0], FRI_FAILED);
    close_runs();
}
END_TEST

/* The count goes up, or down, while a task waits. */
START_TEST(those_who_wait_learn_of_the_count)
{
    struct fri_seats *seats = NULL;
    char why[FRI_WHY];
    struct frun_future *f[3];

    open_runs(1, 1);
    f[0] = submit(&runs[0], 1, 0);
    ck_assert(take(&runs[0]));
    f[1] = submit(&runs[1], 1, 0);
    ck_assert(!take(&runs[1]));
    finish(&runs[0], 0);
    let_go(f[0], FRI_DONE);
    ck_assert_int_eq(fri_seats_open(&memory, "a", 2, &seats, why), FRUN_OK);
    f[0] = submit(&runs[0], 1, 0);
    ck_assert(take(&runs[0]));
    pass(0.05);
    ck_assert(take(&runs[1]));
    ck_assert_uint_eq(fri_limit_seat(f[1], "a", 0), 2);
    finish(&runs[1], 0);
    let_go(f[1], FRI_DONE);
    f[1] = submit(&runs[1], 2, 0);
    ck_assert(!take(&runs[1]));
    finish(&runs[0], 0);
    let_go(f[0], FRI_DONE);
    fri_seats_close(seats);
    ck_assert_int_eq(fri_seats_open(&memory, "a", 1, &seats, why), FRUN_OK);
    fri_seats_close(seats);
    pass(0.05);
    ck_assert(!take(&runs[1]));
    let_go(f[1], FRI_FAILED);
    close_runs();
}
END_TEST

/* ---- fairness --------------------------------------------------------- */

/* Run 0 keeps all seats busy with tasks of a second each, taking the next at
 * once; how long until run 1 is served? */
static double waits_beside_a_busy_run(int need)
{
    struct frun_future *f = NULL, *last;
    fri_time begun;
    int i = 0;

    last = submit(&runs[0], 1, 0);
    ck_assert(take(&runs[0]));
    fri_future_unref(last);
    pass(0.5);
    last = submit(&runs[0], 1, 0);
    ck_assert(take(&runs[0]));
    fri_future_unref(last);
    f = submit(&runs[1], need, 0);
    ck_assert(!take(&runs[1]));
    begun = now_is;
    while (runs[1].holds == 0 && ++i < 2000) {
        pass(0.05);
        take(&runs[1]);
        ck_assert_uint_le(used(0), 2);
        for (int k = 0; i % 10 == 0 && k < runs[0].holds; k = 9)
            finish(&runs[0], 0);
        while (atomic_load(&runs[0].lane.ready) == 0
               && runs[0].limits[0]->waiting.count == 0)
            fri_future_unref(submit(&runs[0], 1, 0));
        take(&runs[0]);
    }
    ck_assert_int_eq(runs[1].holds, 1);
    finish(&runs[1], 0);
    let_go(f, FRI_DONE);
    for (i = 0; i < 100 && runs[0].lane.unfinished; i++) {
        if (runs[0].holds > 0)
            finish(&runs[0], 0);
        pass(0.05);
        take(&runs[0]);
    }
    return fri_seconds(now_is - begun);
}

START_TEST(who_has_waited_long_is_not_overtaken)
{
    open_runs(2, 1);
    ck_assert_double_lt(waits_beside_a_busy_run(1), 14);
    ck_assert_double_lt(waits_beside_a_busy_run(2), 14); /* all at once */
    close_runs();
}
END_TEST

/* The order between runs that have waited long is that of their waiting. */
START_TEST(the_longest_waiting_goes_first)
{
    struct frun_future *f[4];

    open_runs(1, 1);
    f[0] = submit(&runs[0], 1, 0);
    ck_assert(take(&runs[0]));
    f[2] = submit(&runs[2], 1, 0);
    ck_assert(!take(&runs[2]));
    pass(0.5);
    f[1] = submit(&runs[1], 1, 0);
    ck_assert(!take(&runs[1]));
    pass(11);
    f[3] = submit(&runs[0], 1, 0);
    finish(&runs[0], 0);
    ck_assert(!take(&runs[0])); /* would overtake */
    now_is += FRI_SECOND / 20;
    for (int i = 0; i < 2; i++) {
        fri_sched_tick(&runs[i].sched);
        ck_assert(!take(&runs[i]));
    }
    fri_sched_tick(&runs[2].sched);
    ck_assert(take(&runs[2]));
    finish(&runs[2], 0);
    pass(0.05);
    ck_assert(!take(&runs[0]));
    ck_assert(take(&runs[1]));
    finish(&runs[1], 0);
    pass(0.05);
    ck_assert(take(&runs[0]));
    finish(&runs[0], 0);
    for (int i = 0; i < 4; i++)
        let_go(f[i], FRI_DONE);
    close_runs();
}
END_TEST

/* A run that waits but does not take (it is stopped) blocks nobody for long. */
START_TEST(a_ticket_that_is_not_used_is_passed)
{
    struct frun_future *f[3];
    int looks = 0;

    open_runs(1, 1);
    f[0] = submit(&runs[0], 1, 0);
    ck_assert(take(&runs[0]));
    f[1] = submit(&runs[1], 1, 0);
    ck_assert(!take(&runs[1]));
    pass(11);
    f[2] = submit(&runs[2], 1, 0);
    finish(&runs[0], 0);
    while (!take(&runs[2]) && ++looks < 100) {
        now_is += FRI_SECOND / 20;
        fri_sched_tick(&runs[2].sched); /* and run 1 does nothing */
    }
    ck_assert_int_gt(looks, 30);
    ck_assert_int_lt(looks, 50);
    finish(&runs[2], 0);
    pass(0.05);
    ck_assert(take(&runs[1]));
    finish(&runs[1], 0);
    for (int i = 0; i < 3; i++)
        let_go(f[i], FRI_DONE);
    close_runs();
}
END_TEST

/* Random needs of two limits in three runs: never too many, and all end. */
START_TEST(runs_never_lock_each_other_up)
{
    enum { EACH = 40 };
    uint64_t random = 7;
    int done = 0, rounds = 0;

    open_runs(3, 2);
    for (int i = 0; i < EACH * RUNS; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        fri_future_unref(submit(&runs[i % RUNS], (int)(random >> 60) % 4,
                                (int)(random >> 50) % 3));
    }
    while (done < EACH * RUNS && ++rounds < 100000) {
        struct run *r;

        random = random * 6364136223846793005u + 1442695040888963407u;
        r = &runs[(random >> 40) % RUNS];
        if (random >> 63 && r->holds < HELD)
            take(r);
        else if (random >> 62 & 1 && r->holds > 0)
            finish(r, (int)((random >> 33) % (unsigned)r->holds)), done++;
        else
            pass(0.05);
        ck_assert_uint_le(used(0), 3);
        ck_assert_uint_le(used(1), 2);
    }
    ck_assert_int_eq(done, EACH * RUNS);
    close_runs();
}
END_TEST

START_TEST(a_cancelled_task_does_not_stand_in_the_way)
{
    struct frun_future *f[3];

    open_runs(1, 1);
    f[0] = submit(&runs[0], 1, 0);
    ck_assert(take(&runs[0]));
    f[1] = submit(&runs[1], 1, 0);
    f[2] = submit(&runs[1], 1, 0);
    ck_assert(!take(&runs[1]));
    pass(11);
    ck_assert(fri_sched_cancel(f[1], NULL));
    finish(&runs[0], 0);
    pass(0.05);
    ck_assert(take(&runs[1]));
    ck_assert_ptr_eq(runs[1].held[0], f[2]);
    finish(&runs[1], 0);
    let_go(f[0], FRI_DONE);
    let_go(f[1], FRI_CANCELLED);
    let_go(f[2], FRI_DONE);
    close_runs();
}
END_TEST

/* ---- files ------------------------------------------------------------ */

static void refused(const char *name, const char *text)
{
    struct fri_seats *seats = NULL;
    char why[FRI_WHY] = "";

    ck_assert_int_eq(fri_seats_open(&memory, name, 1, &seats, why),
                     FRUN_ERESOURCE);
    ck_assert_msg(strstr(why, text) && strchr(why, '/'), "%s", why);
    ck_assert_ptr_null(seats);
    ck_assert_int_eq(heap.blocks, 0);
}

static void accepted(const char *name)
{
    struct fri_seats *seats = NULL;
    char why[FRI_WHY] = "";

    ck_assert_msg(fri_seats_open(&memory, name, 1, &seats, why) == FRUN_OK,
                  "%s", why);
    fri_seats_close(seats);
}

START_TEST(nothing_there_is_trusted)
{
    int fds = kit_fds();
    struct stat st;

    make_state();
    accepted("good");
    ck_assert_int_eq(stat(file("good.limit"), &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0600);
    ck_assert_int_eq(stat(host_dir, &st), 0);
    ck_assert_int_eq(st.st_mode & 07777, 0700);
    ck_assert_int_eq(symlink("good.limit", file("link.limit")), 0);
    refused("link", "link.limit: a symbolic link");
    ck_assert_int_eq(mkfifo(file("pipe.limit"), 0600), 0);
    refused("pipe", "pipe.limit: not a regular file");
    ck_assert_int_eq(mkdir(file("dir.limit"), 0700), 0);
    refused("dir", "dir.limit: ");
    ck_assert_int_eq(chmod(file("good.limit"), 0666), 0);
    refused("good", "good.limit: others can write to it");
    shell("echo 'count 99999999999' >'%s'", file("text.limit"));
    refused("text", "text.limit: this is not the file of a limit");
    ck_assert_int_eq(truncate(file("text.limit"), 0), 0);
    accepted("text");
    ck_assert_int_eq(chmod(host_dir, 0777), 0);
    refused("x", ": others can write to it");
    shell("mv '%s' limits.real", host_dir);
    shell("ln -s \"$PWD/limits.real\" '%s'", host_dir);
    refused("x", ": not a directory");
    shell("rm '%s'", host_dir);
    shell("rm -rf limits.real; : >'%s'", host_dir);
    refused("x", ": not a directory");
    drop_state();
    ck_assert_int_eq(kit_fds(), fds);
}
END_TEST

START_TEST(without_a_place_it_says_so)
{
    make_state();
    ck_assert_int_eq(chmod(state, 0500), 0);
    if (geteuid() != 0)
        refused("x", "flowrun: Permission denied");
    ck_assert_int_eq(chmod(state, 0700), 0);
    setenv("XDG_STATE_HOME", "/proc/none", 1);
    refused("x", "/proc/none: No such file or directory");
    setenv("XDG_STATE_HOME", "relative", 1); /* does not count */
    setenv("HOME", state, 1);
    accepted("x");
    shell("test -e '%s'/.local/state/flowrun/limits/*/x.limit", state);
    unsetenv("XDG_STATE_HOME");
    accepted("x");
    unsetenv("HOME");
    {
        struct fri_seats *seats = NULL;
        char why[FRI_WHY] = "";

        ck_assert_int_eq(fri_seats_open(&memory, "x", 1, &seats, why),
                         FRUN_ERESOURCE);
        ck_assert_str_eq(why, "$HOME: no directory for shared limits");
    }
    drop_state();
}
END_TEST

START_TEST(names_become_safe_and_stay_apart)
{
    static const char *const names[]
        = { "a/b", "a_b", "a b", "..", "../x", ".", "", "\xc3\xa9", "a\nb",
            "_b", ".b" };
    char plain[128], other[128], longest[400];

    fri_plain_name("solver-2.x_Y", plain);
    ck_assert_str_eq(plain, "solver-2.x_Y");
    for (size_t i = 0; i < COUNT(names); i++) {
        fri_plain_name(names[i], plain);
        ck_assert_uint_eq(strspn(plain, "abcdefghijklmnopqrstuvwxyz0123456789"
                                        "_-+."),
                          strlen(plain));
        ck_assert(plain[0] != '.' && plain[0] != '\0');
        for (size_t k = 0; k < i; k++) {
            fri_plain_name(names[k], other);
            ck_assert_str_ne(plain, other);
        }
    }
    memset(longest, 'x', sizeof longest - 1);
    longest[sizeof longest - 1] = '\0';
    fri_plain_name(longest, plain);
    longest[398] = 'y';
    fri_plain_name(longest, other);
    ck_assert_str_ne(plain, other);
    ck_assert_uint_lt(strlen(plain), 128);
}
END_TEST

/* ---- processes -------------------------------------------------------- */

/* A process that holds a seat until it is killed. */
static pid_t holder(const char *name, int count)
{
    int ready_pipe[2];
    char byte;
    pid_t pid;

    ck_assert_int_eq(pipe(ready_pipe), 0);
    pid = fork();
    if (pid == 0) {
        frun_engine *e = kit_engine();
        frun_pool *pool = kit_pool(e, 1);
        struct kit_gate gate;
        frun_limit *limit;
        frun_policy p = { .limits = &limit, .limit_count = 1, .user = &gate };

        kit_gate_init(&gate);
        ok(frun_limit_open(e, name, count, true, &limit));
        ok(frun_pool_submit(pool, kit_hold, NULL, &p, NULL));
        kit_await(&gate, 1);
        (void)!write(ready_pipe[1], "x", 1);
        for (;;)
            pause();
    }
    close(ready_pipe[1]);
    ck_assert_int_eq(read(ready_pipe[0], &byte, 1), 1);
    close(ready_pipe[0]);
    return pid;
}

START_TEST(a_killed_run_frees_its_seats)
{
    pid_t pid;
    frun_engine *e;
    frun_pool *pool;
    frun_limit *limit, *other = NULL;
    frun_future *f;
    frun_policy p = { .limits = &limit, .limit_count = 1 };

    make_state();
    pid = holder("killed", 1);
    e = kit_engine();
    pool = kit_pool(e, 2);
    status_is(FRUN_ERESOURCE, frun_limit_open(e, "killed", 2, true, &other));
    ck_assert_ptr_null(other);
    ck_assert(strstr(frun_engine_message(e), "not 2"));
    ok(frun_limit_open(e, "killed", 1, true, &limit));
    status_is(FRUN_EINVAL, frun_limit_open(e, "killed", 2, true, &other));
    status_is(FRUN_EINVAL, frun_limit_open(e, "killed", 1, false, &other));
    ck_assert_str_eq(frun_engine_message(e), "limit killed is open as shared");
    ok(frun_limit_open(e, "killed", 1, true, &other));
    ck_assert_ptr_eq(limit, other);
    frun_limit_close(other);
    f = kit_submit(pool, kit_twice, 21, &p);
    status_is(FRUN_EUNFINISHED, frun_future_wait(f, 0.15));
    kill(pid, SIGKILL);
    ck_assert_int_eq(kit_int(f), 42);
    waitpid(pid, NULL, 0);
    frun_future_free(f);
    frun_limit_close(limit);
    frun_pool_close(pool);
    frun_engine_close(e);
    drop_state();
}
END_TEST

static frun_status counted(frun_task *task, const frun_value *argument,
                           frun_value **result)
{
    atomic_int *inside = frun_task_user(task); /* a page of all processes */
    int n = atomic_fetch_add(inside, 1) + 1;

    (void)argument;
    (void)result;
    sched_yield();
    kit_nap(0.0002);
    atomic_fetch_sub(inside, 1);
    return n > 2 ? frun_task_fail(task, "%d at once", n) : FRUN_OK;
}

/* How many of its tasks saw more than two at once. */
static int crowd_member(atomic_int *inside)
{
    enum { TASKS = 100 };
    frun_engine *e = kit_engine();
    frun_pool *pools[2] = { kit_pool(e, 3), kit_pool(e, 2) };
    frun_limit *limit;
    frun_future *f[TASKS];
    frun_policy p = { .limits = &limit, .limit_count = 1, .user = inside };
    int bad = 0;

    ok(frun_limit_open(e, "crowd", 2, true, &limit));
    for (int i = 0; i < TASKS; i++)
        f[i] = kit_submit(pools[i & 1], counted, i, &p);
    for (int i = 0; i < TASKS; i++) {
        const frun_value *v;

        bad += frun_future_result(f[i], -1, &v) != FRUN_OK;
        frun_future_free(f[i]);
    }
    frun_limit_close(limit);
    frun_pool_close(pools[0]);
    frun_pool_close(pools[1]);
    frun_engine_close(e);
    return bad;
}

START_TEST(a_crowd_of_processes_is_counted)
{
    enum { CROWD = 3 };
    atomic_int *inside = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
                              MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[CROWD];
    int status;

    make_state();
    for (int i = 0; i < CROWD; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            _exit(crowd_member(inside) != 0);
    }
    for (int i = 0; i < CROWD; i++) {
        ck_assert_int_eq(waitpid(pids[i], &status, 0), pids[i]);
        ck_assert_int_eq(status, 0);
    }
    munmap(inside, 4096);
    drop_state();
}
END_TEST

/* What the program runs does not keep the seats. */
START_TEST(the_file_is_closed_by_exec)
{
    struct fri_seats *seats = NULL;
    char why[FRI_WHY];

    make_state();
    ck_assert_int_eq(fri_seats_open(&memory, "x", 1, &seats, why), FRUN_OK);
    ck_assert_int_eq(system("ls -l /proc/self/fd >\"$XDG_STATE_HOME/fds\""), 0);
    ck_assert_int_ne(system("grep -q x.limit \"$XDG_STATE_HOME/fds\""), 0);
    fri_seats_close(seats);
    drop_state();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        seats_are_of_all_runs,
        a_task_has_all_or_none,
        a_count_is_agreed_upon,
        those_who_wait_learn_of_the_count,
        who_has_waited_long_is_not_overtaken,
        the_longest_waiting_goes_first,
        a_ticket_that_is_not_used_is_passed,
        runs_never_lock_each_other_up,
        a_cancelled_task_does_not_stand_in_the_way,
        nothing_there_is_trusted,
        without_a_place_it_says_so,
        names_become_safe_and_stay_apart,
        a_killed_run_frees_its_seats,
        a_crowd_of_processes_is_counted,
        the_file_is_closed_by_exec,
    };

    return unit_run("sharing", tests, COUNT(tests));
}
