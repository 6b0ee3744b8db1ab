/*
 * halt.c - groups of tasks that stop: the rules as they are read, the
 * scheduler under a clock that is played, and the public functions.
 */
#include "core/halt.h"
#include "core/range.h"
#include "core/settle.h"
#include "kit.h"

#include <unistd.h>

enum { MOST = 16 };

static struct unit_heap heap = { 0, -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };
static struct fri_sched sched;
static struct fri_lane lane, other;
static struct frun_future *f[MOST];
static fri_time now_is;

/* ---- a scheduler ------------------------------------------------------ */

static fri_time the_clock(void *user)
{
    (void)user;
    return now_is;
}

static void ready(struct fri_lane *l, size_t count)
{
    (void)l;
    (void)count;
}

static bool stops(struct fri_lane *l, struct frun_future *task,
                  frun_status why)
{
    (void)why;
    (void)task;
    return l == &lane;
}

static const struct fri_lane_hooks hooks = { .ready = ready, .stop = stops };

static void open_all(const char *run)
{
    now_is = FRI_SECOND;
    fri_sched_init(&sched, &memory, the_clock, NULL);
    fri_lane_init(&lane, &sched, &hooks, 2);
    fri_lane_init(&other, &sched, &hooks, 2);
    if (run)
        sched.run = fri_group_new(&memory, run, 0);
    memset(f, 0, sizeof f);
}

static void close_all(void)
{
    for (int i = 0; i < MOST; i++) {
        ck_assert(!f[i] || fri_is_final(f[i]));
        fri_future_unref(f[i]);
    }
    fri_lane_purge(&lane);
    fri_lane_purge(&other);
    ck_assert_uint_eq(fri_sched_alive(&sched), 0);
    ck_assert_uint_eq(lane.unfinished + other.unfinished, 0);
    ck_assert_ptr_null(sched.timers.first);
    fri_lane_free(&lane);
    fri_lane_free(&other);
    fri_sched_free(&sched);
    ck_assert_int_eq(heap.blocks, 0);
}

static struct fri_spec *spec_of(struct fri_lane *l, const frun_policy *p,
                                uint64_t total)
{
    struct fri_spec *spec = fri_spec_new(l, p);

    if (p->halt)
        spec->group = fri_group_new(&memory, p->halt, total);
    return spec;
}

/* Tasks f[first] .. f[first + n - 1], a group. */
static void scatter(struct fri_lane *l, const frun_policy *p, int first, int n)
{
    struct fri_spec *spec = spec_of(l, p, (uint64_t)n);

    for (int i = first; i < first + n; i++)
        f[i] = fri_task_new(&sched, spec);
    fri_spec_unref(spec);
    for (int i = first; i < first + n; i++)
        fri_sched_submit(f[i], true);
}

static struct frun_future *begin(struct fri_lane *l)
{
    struct fri_slice slice;

    if (fri_sched_take(l, 1, &slice) == 0)
        return NULL;
    ck_assert(fri_task_begin(slice.task, 1, now_is));
    return slice.task;
}

static void finish(struct frun_future *task, frun_status status)
{
    struct fri_data outcome = { .holds = FRI_NOTHING };

    if (status != FRUN_OK) {
        outcome.holds = FRI_ERROR;
        outcome.error = fri_error_new(&memory, status, "told to", NULL, NULL);
    }
    fri_sched_finish(task, &outcome, now_is);
}

static void is(const char *states)
{
    static const char letters[] = "nwprDFC";
    char got[MOST + 1] = "";

    for (int i = 0; i < MOST && f[i]; i++)
        got[i] = letters[fri_state(f[i])];
    ck_assert_str_eq(got, states);
}

static const frun_error *error_of(int i)
{
    return &f[i]->data.error->public;
}

/* ---- rules ------------------------------------------------------------ */

static void reads(const char *text, enum fri_halt_on on, bool now, double n,
                  bool percent)
{
    struct fri_halt rule;

    ck_assert_msg(fri_halt_parse(text, &rule), "%s", text);
    ck_assert_int_eq(rule.on, on);
    ck_assert_int_eq(rule.now, now);
    ck_assert_int_eq(rule.percent, percent);
    ck_assert_double_eq(rule.n, n);
}

START_TEST(rules_are_read)
{
    static const char *const bad[]
        = { "", "now", "soon,", "fail", "fail=", "=1", "now,soon,fail=1",
            "fail=0", "fail=-1", "fail=+1", "fail= 1", "fail=1.5", "fail=1x",
            "fail=0x1", "fail=1p3", "fail=101%", "fail=0%", "fail=%",
            "fail=1%%", "fail=nan", "fail=inf", "fail=1e999", "NEVER",
            "never,fail=1", "never ", "fail=99999999999999999999" };
    struct fri_halt rule;

    ck_assert(fri_halt_parse("never", &rule));
    ck_assert_int_eq(rule.on, FRI_HALT_NEVER);
    reads("soon,fail=1", FRI_HALT_FAIL, false, 1, false);
    reads("now,fail=1", FRI_HALT_FAIL, true, 1, false);
    reads("fail=30%", FRI_HALT_FAIL, false, 30, true);
    reads("now,success=3", FRI_HALT_SUCCESS, true, 3, false);
    reads("soon,done=12.5%", FRI_HALT_DONE, false, 12.5, true);
    for (size_t i = 0; i < COUNT(bad); i++)
        ck_assert_msg(!fri_halt_parse(bad[i], &rule), "%s", bad[i]);
}
END_TEST

/* ---- groups ----------------------------------------------------------- */

START_TEST(soon_leaves_what_runs)
{
    frun_policy p = { .halt = "soon,fail=1" };
    struct frun_future *a, *b;

    open_all(NULL);
    scatter(&lane, &p, 0, 4);
    p.halt = NULL;
    scatter(&lane, &p, 4, 1);
    a = begin(&lane);
    b = begin(&lane);
    is("rrppp");
    finish(a, FRUN_ERROR);
    is("FrCCp");
    ck_assert_int_eq(atomic_load(&b->stopping), 0);
    finish(b, FRUN_OK);
    ck_assert_int_eq(error_of(2)->status, FRUN_ECANCELLED);
    ck_assert_str_eq(error_of(2)->message, "stopped by halt soon,fail=1");
    ck_assert_ptr_eq(error_of(2)->cause, error_of(0));
    finish(begin(&lane), FRUN_OK);
    is("FDCCD");
    ck_assert_ptr_null(begin(&lane));
    ck_assert_uint_eq(lane.cancelled, 2);
    close_all();
}
END_TEST

START_TEST(now_stops_what_runs)
{
    frun_policy p = { .halt = "now,fail=2" };
    struct frun_future *a, *b, *c;

    open_all(NULL);
    scatter(&lane, &p, 0, 4);
    scatter(&other, &p, 4, 1); /* another group */
    a = begin(&lane);
    b = begin(&lane);
    c = begin(&lane);
    finish(a, FRUN_ERROR);
    is("Frrpp");
    finish(b, FRUN_ERROR);
    is("FFrCp");
    ck_assert_int_eq(atomic_load(&c->stopping), FRI_STOPPED);
    finish(c, FRUN_OK); /* a promise is kept, and says why */
    is("FFCCp");
    ck_assert_ptr_eq(error_of(2)->cause, error_of(1));
    finish(begin(&other), FRUN_ERROR);
    close_all();
}
END_TEST

/* Between being handed out and begun: it does not begin. */
START_TEST(what_is_in_a_hand_does_not_begin)
{
    frun_policy p = { .halt = "soon,fail=1" };
    struct fri_slice slices[2];
    struct frun_future *a;

    open_all(NULL);
    scatter(&lane, &p, 0, 3);
    a = begin(&lane);
    ck_assert_uint_eq(fri_sched_take(&lane, 2, slices), 1); /* one by one */
    finish(a, FRUN_ERROR);
    is("FCC");
    ck_assert(!fri_task_begin(slices[0].task, 2, now_is));
    fri_sched_return(slices[0].task);
    close_all();
}
END_TEST

START_TEST(final_failures_count)
{
    frun_policy p = { .halt = "soon,fail=1", .retries = 1, .backoff = 5 };
    struct frun_future *a, *b;

    open_all(NULL);
    scatter(&lane, &p, 0, 4);
    a = begin(&lane);
    b = begin(&lane);
    finish(a, FRUN_ERROR);
    is("wrpp");
    finish(b, FRUN_ERROR);
    is("wwpp");
    now_is += 6 * FRI_SECOND;
    fri_sched_tick(&sched);
    is("pppp");
    a = begin(&lane);
    b = begin(&lane);
    ck_assert_ptr_eq(a, f[0]);
    finish(a, FRUN_ERROR);
    is("FrCC");
    finish(b, FRUN_OK);
    close_all();

    /* Of one that runs when the group stops, the failure is final. */
    open_all(NULL);
    scatter(&lane, &p, 0, 4);
    a = begin(&lane);
    finish(a, FRUN_ERROR);
    now_is += 6 * FRI_SECOND;
    fri_sched_tick(&sched);
    a = begin(&lane);
    b = begin(&lane);
    finish(a, FRUN_ERROR);
    is("FrCC");
    finish(b, FRUN_ERROR);
    is("FFCC");
    ck_assert_int_eq(f[1]->attempts, 1);
    close_all();
}
END_TEST

START_TEST(a_backoff_is_ended)
{
    frun_policy p = { .halt = "soon,success=1", .retries = 1, .backoff = 5 };

    open_all(NULL);
    scatter(&lane, &p, 0, 2);
    finish(begin(&lane), FRUN_ERROR);
    is("wp");
    ck_assert_ptr_nonnull(sched.timers.first);
    finish(begin(&lane), FRUN_OK);
    is("CD");
    ck_assert_ptr_null(error_of(0)->cause);
    close_all();
}
END_TEST

START_TEST(percentages_are_of_the_group)
{
    frun_policy p = { .halt = "soon,fail=40%" };

    open_all(NULL);
    scatter(&lane, &p, 0, 5);
    finish(begin(&lane), FRUN_ERROR);
    finish(begin(&lane), FRUN_OK);
    is("FDppp");
    finish(begin(&lane), FRUN_ERROR);
    is("FDFCC");
    close_all();
}
END_TEST

/* A cancel is no failure; those behind it are cancelled, not failed. */
START_TEST(what_waits_is_cut_loose)
{
    frun_policy p = { .halt = "soon,fail=1" };
    struct fri_spec *spec;

    open_all(NULL);
    spec = spec_of(&lane, &p, 5);
    for (int i = 0; i < 5; i++)
        f[i] = fri_task_new(&sched, spec);
    fri_spec_unref(spec);
    ck_assert(fri_task_after(f[2], &f[1], 1));
    ck_assert(fri_task_after(f[4], &f[3], 1));
    for (int i = 0; i < 5; i++)
        fri_sched_submit(f[i], true);
    ck_assert(fri_sched_cancel(f[0], NULL));
    is("Cpwpw");
    ck_assert_ptr_eq(begin(&lane), f[1]);
    finish(f[1], FRUN_ERROR);
    is("CFFCC"); /* f[2] has failed by then */
    ck_assert_int_eq(error_of(2)->status, FRUN_EDEPENDENCY);
    ck_assert_ptr_eq(error_of(4)->cause, error_of(1));
    close_all();
}
END_TEST

/* ---- the run ---------------------------------------------------------- */

static struct frun_future *range(struct fri_lane *l, uint64_t count)
{
    struct fri_spec *spec = fri_spec_new(l, NULL);
    struct frun_future *task = fri_task_new(&sched, spec);

    fri_spec_unref(spec);
    task->holds = FRI_RANGE;
    task->data.range = fri_range_new(&memory, count, 2, 1);
    fri_sched_submit(task, true);
    return task;
}

START_TEST(a_run_is_one_group)
{
    frun_policy none = { 0 };
    struct frun_future *a;
    struct fri_slice slice;

    open_all("soon,fail=2");
    scatter(&lane, &none, 0, 2);
    scatter(&other, &none, 2, 2);
    f[4] = range(&other, 3);
    finish(begin(&lane), FRUN_ERROR);
    a = begin(&other);
    is("Fprpp");
    ck_assert_uint_eq(sched.run->total, 7);
    finish(begin(&other), FRUN_OK); /* f[3]; then an item of the range */
    ck_assert_uint_eq(fri_sched_take(&other, 1, &slice), 1);
    ck_assert(fri_task_begin(slice.task, 1, now_is));
    slice.end = slice.first;
    fri_sched_finish_slice(&slice, true,
                           fri_error_new(&memory, FRUN_ERROR, "item", NULL,
                                         NULL),
                           now_is);
    is("FCrDF");
    finish(a, FRUN_OK);
    scatter(&lane, &none, 5, 1);
    f[6] = range(&lane, 5);
    is("FCDDFCC");
    ck_assert_str_eq(error_of(5)->cause->message, "item");
    ck_assert_uint_eq(lane.cancelled, 1 + 1 + 5);
    close_all();
}
END_TEST

START_TEST(a_range_is_stopped_with_the_run)
{
    frun_policy none = { 0 };
    struct fri_slice slice;

    open_all("soon,fail=1");
    f[0] = range(&other, 3);
    ck_assert_uint_eq(fri_sched_take(&other, 1, &slice), 1);
    ck_assert(fri_task_begin(slice.task, 1, now_is));
    scatter(&lane, &none, 1, 1);
    finish(begin(&lane), FRUN_ERROR);
    is("rF"); /* an item runs */
    fri_sched_finish_slice(&slice, false, NULL, now_is);
    is("CF");
    ck_assert_uint_eq(other.done, 1);
    ck_assert_uint_eq(other.cancelled, 2);
    close_all();
}
END_TEST

/* ---- without memory --------------------------------------------------- */

START_TEST(memory_may_run_out)
{
    frun_policy p = { .halt = "now,fail=1" };

    for (long allowed = 0; allowed < 12; allowed++) {
        struct frun_future *a;

        open_all(NULL);
        scatter(&lane, &p, 0, 4);
        a = begin(&lane);
        heap.allowed = allowed;
        finish(a, FRUN_ERROR);
        heap.allowed = -1;
        for (int i = 0; i < 4; i++)
            ck_assert(fri_is_final(f[i]));
        close_all();
    }
}
END_TEST

/* ---- the public functions --------------------------------------------- */

static frun_status odd_fails(frun_task *task, const frun_value *argument,
                             frun_value **result)
{
    int64_t i = frun_value_as_int(argument);
    atomic_int *ran = frun_task_user(task);

    if (ran)
        atomic_fetch_add(ran, 1);
    *result = frun_value_int(i);
    return i % 2 ? frun_task_fail(task, "odd %lld", (long long)i) : FRUN_OK;
}

START_TEST(scatter_and_map_in_c)
{
    enum { N = 8 };
    frun_engine *e = kit_engine();
    frun_pool *pool = kit_pool(e, 1);
    frun_value *list = kit_numbers(N), *results = NULL;
    frun_future *futures[N];
    atomic_int ran = 0;
    frun_policy p = { .halt = "soon,fail=1", .user = &ran };

    for (int round = 0; round < 2; round++) {
        ok(frun_pool_scatter(pool, odd_fails, list, &p, futures));
        ok(frun_wait(futures, N, FRUN_ALL, -1, NULL));
        for (int i = 0; i < N; i++) {
            ck_assert_int_eq(frun_future_state(futures[i]),
                             i == 0   ? FRUN_DONE
                             : i == 1 ? FRUN_FAILED
                                      : FRUN_CANCELLED);
            frun_future_free(futures[i]);
        }
    }
    ck_assert_int_eq(atomic_exchange(&ran, 0), 4);
    p.halt = "never";
    status_is(FRUN_ERROR, frun_pool_map(pool, odd_fails, list, &p, &results));
    ck_assert(strstr(frun_engine_message(e), "item 1: odd 1"));
    ck_assert_int_eq(atomic_exchange(&ran, 0), N);
    p.halt = "soon,fail=25%";
    status_is(FRUN_ERROR, frun_pool_map(pool, odd_fails, list, &p, &results));
    ck_assert(strstr(frun_engine_message(e), "item 1: odd 1"));
    ck_assert_int_eq(atomic_exchange(&ran, 0), 4);
    p.halt = "now,fail=1";
    p.chunk = 1;
    status_is(FRUN_ERROR, frun_pool_map(pool, odd_fails, list, &p, &results));
    ck_assert(strstr(frun_engine_message(e), "item 1: odd 1"));
    ck_assert_int_lt(atomic_exchange(&ran, 0), N);
    p = (frun_policy){ .halt = "soon,fail=5" };
    ok(frun_pool_map(pool, kit_twice, list, &p, &results));
    ck_assert_int_eq(frun_value_as_int(frun_value_at(results, 7)), 14);
    frun_value_free(results);
    futures[0] = kit_submit(pool, kit_twice, 4, &p);
    ck_assert_int_eq(kit_int(futures[0]), 8);
    frun_future_free(futures[0]);
    p.halt = "whenever";
    status_is(FRUN_EINVAL,
              frun_pool_submit(pool, kit_twice, NULL, &p, &futures[0]));
    ck_assert(strstr(frun_engine_message(e), "not 'whenever'"));
    frun_value_free(list);
    frun_pool_close(pool);
    frun_engine_close(e);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        rules_are_read,
        soon_leaves_what_runs,
        now_stops_what_runs,
        what_is_in_a_hand_does_not_begin,
        final_failures_count,
        a_backoff_is_ended,
        percentages_are_of_the_group,
        what_waits_is_cut_loose,
        a_run_is_one_group,
        a_range_is_stopped_with_the_run,
        memory_may_run_out,
        scatter_and_map_in_c,
    };

    return unit_run("halt", tests, COUNT(tests));
}
