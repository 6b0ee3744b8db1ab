/* analysis.c - what cost the time, of runs whose answer is known. */
#include "report/analysis.h"
#include "unit.h"

#include <math.h>

enum { MOST = 400 };

static struct unit_heap heap = { 0, -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };

/* ---- a run, built by hand --------------------------------------------- */

static struct fri_span spans[MOST];
static struct fri_spans_task tasks[MOST];
static uint32_t afters[MOST];
static struct fri_spans_need needs[MOST];
static uint32_t workers[] = { 2, 4 }, seats[] = { 1, 3 };
static struct fri_spans made;
static uint32_t after_count, need_count;
static struct fri_analysis a;

static void begin(void)
{
    made = (struct fri_spans){ .spans = spans,
                               .tasks = tasks,
                               .afters = afters,
                               .needs = needs,
                               .workers = workers,
                               .seats = seats,
                               .pool_count = 2,
                               .limit_count = 2,
                               .group_count = MOST };
    after_count = need_count = 0;
}

/* A task of a group of its own in pool 0. */
static uint32_t task(double submitted)
{
    tasks[made.task_count] = (struct fri_spans_task){
        .submitted = submitted, .group = made.task_count
    };
    return made.task_count++;
}

static void after(uint32_t dependency)
{
    struct fri_spans_task *t = &tasks[made.task_count - 1];

    if (t->after_count++ == 0)
        t->after = after_count;
    afters[after_count++] = dependency;
}

static void need(uint32_t limit, uint32_t count)
{
    struct fri_spans_task *t = &tasks[made.task_count - 1];

    if (t->need_count++ == 0)
        t->need = need_count;
    needs[need_count++] = (struct fri_spans_need){ limit, count };
}

static struct fri_span *ran(uint32_t t, double ready, double started,
                            double finished)
{
    spans[made.count] = (struct fri_span){ .task = t,
                                           .items = 1,
                                           .ready = ready,
                                           .started = started,
                                           .finished = finished };
    return &spans[made.count++];
}

static struct fri_span *task_ran(double submitted, double started,
                                 double finished)
{
    return ran(task(submitted), submitted, started, finished);
}

/* ---- what comes out --------------------------------------------------- */

#define about(x, y) ck_assert_double_eq_tol((x), (y), 1e-9)

static double part(enum fri_cost cost, uint32_t which)
{
    for (uint32_t i = 0; i < a.part_count; i++)
        if (a.parts[i].cost == cost && a.parts[i].which == which)
            return a.parts[i].seconds;
    return 0;
}

static void check_sum(void)
{
    double sum = 0;

    for (uint32_t i = 0; i < a.part_count; i++) {
        ck_assert(a.parts[i].seconds > 0);
        ck_assert(i == 0 || a.parts[i].seconds <= a.parts[i - 1].seconds);
        sum += a.parts[i].seconds;
    }
    about(sum, a.makespan);
    ck_assert(a.bound_by.seconds <= a.makespan + 1e-9);
    for (uint32_t i = 0; i < a.chain_count; i++)
        ck_assert(a.chain[i] < made.count);
}

static int by_end(const void *pa, const void *pb)
{
    const struct fri_span *x = pa, *y = pb;

    return x->finished < y->finished ? -1 : x->finished > y->finished;
}

static void analyse(double ended)
{
    made.ended = ended;
    qsort(spans, made.count, sizeof *spans, by_end);
    ck_assert(fri_analysis_make(&a, &made, &memory));
    check_sum();
}

static void end(void)
{
    fri_analysis_free(&a);
    ck_assert_int_eq(heap.blocks, 0);
}

/* ---- one cost at a time ----------------------------------------------- */

START_TEST(nothing_but_the_script)
{
    begin();
    analyse(3);
    about(part(FRI_COST_SCRIPT, 0), 3);
    about(a.bound_by.seconds, 0);
    end();
}
END_TEST

START_TEST(cases_that_all_run_at_once_are_a_critical_path)
{
    begin();
    task_ran(0, 0, 4);
    task_ran(0, 0, 2);
    analyse(4);
    about(part(FRI_COST_PATH, 0), 4);
    ck_assert_uint_eq(a.part_count, 1);
    ck_assert_uint_eq(a.parts[0].span, 1); /* the longer one, ended last */
    about(a.work, 6);
    about(a.bound_by.seconds, 4);
    ck_assert_int_eq(a.bound_by.cost, FRI_COST_PATH);
    end();
}
END_TEST

START_TEST(rounds_of_equal_tasks_keep_the_workers_busy)
{
    begin();
    for (int i = 0; i < 8; i++)
        task_ran(0, i / 2, i / 2 + 1);
    analyse(4);
    about(part(FRI_COST_WORKERS, 0), 4);
    ck_assert_uint_eq(a.part_count, 1);
    ck_assert_int_eq(a.bound_by.cost, FRI_COST_WORKERS);
    about(a.bound_by.seconds, 4);
    about(fri_analysis_bound(&a, &made, 2, 4, &a.bound_by), 2);
    end();
}
END_TEST

START_TEST(a_round_that_is_not_full_is_a_tail)
{
    begin();
    for (int i = 0; i < 5; i++)
        task_ran(0, i / 2, i / 2 + 1);
    analyse(3);
    about(part(FRI_COST_WORKERS, 0), 2.5);
    about(part(FRI_COST_TAIL, 0), 0.5);
    end();
}
END_TEST

/* Pool 1 has 4 workers, limit 0 one seat. */
START_TEST(seats_are_waited_for)
{
    begin();
    for (int i = 0; i < 4; i++) {
        task_ran(0, i, i + 1);
        tasks[i].pool = 1;
        need(0, 1);
    }
    analyse(4);
    about(part(FRI_COST_LIMIT, 0), 4);
    ck_assert_uint_eq(a.part_count, 1);
    ck_assert_int_eq(a.bound_by.cost, FRI_COST_LIMIT);
    about(a.bound_by.seconds, 4);
    end();
}
END_TEST

/* Two of three seats each: the third can be of no use. */
START_TEST(a_seat_that_nobody_can_use_counts_as_used)
{
    begin();
    for (int i = 0; i < 4; i++) {
        task_ran(0, i, i + 1);
        tasks[i].pool = 1;
        need(1, 2);
    }
    analyse(4);
    about(part(FRI_COST_LIMIT, 1), 3 + 2. / 3);
    about(part(FRI_COST_TAIL, 0), 1. / 3);
    about(a.bound_by.seconds, 8. / 3);
    end();
}
END_TEST

/* From 1 to 2 one of two workers stands idle although a task is ready. */
START_TEST(idle_workers_beside_ready_tasks_are_dispatch)
{
    begin();
    task_ran(0, 0, 1);
    task_ran(0, 0, 3);
    task_ran(0, 2, 4);
    analyse(4);
    about(part(FRI_COST_DISPATCH, 0), 0.5);
    about(part(FRI_COST_WORKERS, 0), 3);
    about(part(FRI_COST_TAIL, 0), 0.5);
    end();
}
END_TEST

/* Three of four workers: whoever begins late was not in a queue. */
START_TEST(a_late_start_beside_idle_workers_is_dispatch)
{
    begin();
    for (int i = 0; i < 3; i++) {
        task_ran(0, i * 0.25, 2 + i);
        tasks[i].pool = 1;
    }
    analyse(4);
    about(part(FRI_COST_DISPATCH, 0), 0.5);
    about(part(FRI_COST_PATH, 0), 3.5);
    ck_assert_uint_eq(a.part_count, 2);
    end();
}
END_TEST

START_TEST(a_chain_is_its_tasks_and_the_gaps_between)
{
    begin();
    task_ran(0, 0, 1);
    ran(task(0), 1.25, 1.25, 2);
    after(0);
    ran(task(0), 2.5, 2.50005, 4);
    after(1);
    analyse(4);
    about(part(FRI_COST_PATH, 0), 1 + 0.75 + 1.49995);
    about(part(FRI_COST_DISPATCH, 0), 0.25 + 0.5 + 0.00005);
    ck_assert_uint_eq(a.chain_count, 3);
    about(a.bound_by.seconds, 1 + 0.75 + 1.49995);
    end();
}
END_TEST

START_TEST(the_dependency_that_ended_last_is_followed)
{
    begin();
    task_ran(0, 0, 1);
    task_ran(0, 0, 3);
    ran(task(0), 3, 3, 4);
    after(1);
    after(0);
    analyse(4);
    about(part(FRI_COST_PATH, 0), 4);
    ck_assert_uint_eq(a.chain_count, 2);
    ck_assert_uint_eq(a.chain[1], 1);
    end();
}
END_TEST

/* Nine take a second, the tenth 6, begun with the others: 4 beyond twice. */
START_TEST(what_takes_much_longer_than_its_like_straggles)
{
    begin();
    for (int i = 0; i < 9; i++)
        task_ran(0, i / 2, i / 2 + 1);
    task_ran(0, 4, 10);
    for (uint32_t i = 0; i < 10; i++)
        tasks[i].group = 0;
    analyse(10);
    about(part(FRI_COST_STRAGGLER, 0), 4);
    about(part(FRI_COST_WORKERS, 0), 5 + 0.5);
    about(part(FRI_COST_TAIL, 0), 0.5);
    ck_assert_uint_eq(a.parts[1].span, 9);
    about(a.medians[0], 1);
    end();
}
END_TEST

/* The same, but four are too few to know what is usual. */
START_TEST(a_few_are_no_measure)
{
    begin();
    for (int i = 0; i < 3; i++)
        task_ran(0, 0, 1);
    task_ran(0, 0, 6);
    for (uint32_t i = 0; i < 4; i++)
        tasks[i].group = 0;
    analyse(6);
    about(part(FRI_COST_STRAGGLER, 0), 0);
    end();
}
END_TEST

START_TEST(attempts_and_back_offs_are_retries)
{
    begin();
    task_ran(0, 0, 1)->again = true;
    ran(0, 1.5, 1.5, 2.5)->again = true;
    ran(0, 3.5, 3.5, 5);
    analyse(5);
    about(part(FRI_COST_RETRY, 0), 3.5);
    about(part(FRI_COST_PATH, 0), 1.5);
    about(a.work, 1.5);
    about(a.bound_by.seconds, 1.5);
    end();
}
END_TEST

/* Submitted at 1; the second stage at 4, when the first has ended at 3. */
START_TEST(the_script_is_what_nothing_else_was)
{
    begin();
    task_ran(1, 1, 2);
    task_ran(1, 1, 3);
    task_ran(4, 4, 5);
    analyse(6);
    about(part(FRI_COST_SCRIPT, 0), 1 + 1 + 1);
    about(part(FRI_COST_PATH, 0), 2 + 1);
    ck_assert_uint_eq(a.chain_count, 2);
    end();
}
END_TEST

/* A script that submits without a pause was not waiting for what ended. */
START_TEST(a_script_that_submits_is_not_waiting)
{
    begin();
    for (int i = 0; i < 100; i++)
        task_ran(i * 50e-6, i * 50e-6, i * 50e-6 + 40e-6);
    analyse(99 * 50e-6 + 40e-6);
    about(part(FRI_COST_SCRIPT, 0), 99 * 50e-6);
    about(part(FRI_COST_PATH, 0), 40e-6);
    end();
}
END_TEST

/* Slices of one map: ready with it, of different lengths. */
START_TEST(slices_of_a_map)
{
    uint32_t map;

    begin();
    map = task(0);
    for (int i = 0; i < 6; i++)
        ran(map, 0, i / 2, i / 2 + 1)->items = 100;
    ran(map, 0, 3, 3.5)->items = 50;
    analyse(3.5);
    about(part(FRI_COST_WORKERS, 0), 3.25);
    about(part(FRI_COST_TAIL, 0), 0.25);
    about(part(FRI_COST_STRAGGLER, 0), 0);
    about(a.medians[0], 0.01);
    about(a.path, 0.01);
    end();
}
END_TEST

/* ---- any run ---------------------------------------------------------- */

static uint64_t state = 1;

static double any(double most)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 40) / (1 << 24) * most;
}

static void build_any(void)
{
    uint32_t t;
    double ready, started;

    begin();
    for (int i = 0; i < 120; i++) {
        t = task(any(1) < 0.5 ? 0 : any(20));
        tasks[t].pool = any(2) < 1;
        tasks[t].group = (uint32_t)any(4);
        if (t > 0 && any(1) < 0.3)
            after((uint32_t)any(t));
        if (any(1) < 0.3)
            need(any(2) < 1, 1);
        for (int n = (int)any(3); n >= 0; n--) {
            ready = tasks[t].submitted + any(10) * (any(1) < 0.5);
            started = ready + any(5) * (any(1) < 0.5);
            ran(t, ready, started, started + any(8))->again = n > 0;
        }
    }
}

START_TEST(the_parts_always_add_up)
{
    for (int i = 0; i < 300; i++) {
        build_any();
        made.ended = any(60);
        qsort(spans, made.count, sizeof *spans, by_end);
        ck_assert(fri_analysis_make(&a, &made, &memory));
        a.bound_by.seconds = 0; /* dependencies do not hold here */
        check_sum();
        end();
    }
}
END_TEST

/* Clocks of other processes, or a bug elsewhere. */
START_TEST(times_that_cannot_be_still_add_up)
{
    for (int i = 0; i < 300; i++) {
        build_any();
        for (int n = 0; n < 40; n++) {
            spans[(int)any(made.count)].started = any(30) - 5;
            spans[(int)any(made.count)].ready = any(30);
            tasks[(int)any(made.task_count)].submitted = any(30);
        }
        made.ended = any(10);
        qsort(spans, made.count, sizeof *spans, by_end);
        ck_assert(fri_analysis_make(&a, &made, &memory));
        a.bound_by.seconds = 0;
        check_sum();
        end();
    }
}
END_TEST

START_TEST(each_allocation_may_fail)
{
    bool well = false;

    build_any();
    qsort(spans, made.count, sizeof *spans, by_end);
    for (long n = 0; !well && n < 100; n++) {
        heap.allowed = n;
        well = fri_analysis_make(&a, &made, &memory);
        heap.allowed = -1;
        fri_analysis_free(&a);
        ck_assert_int_eq(heap.blocks, 0);
    }
    ck_assert(well);
}
END_TEST

START_TEST(each_cost_has_a_text)
{
    for (int i = 0; i < FRI_COSTS; i++)
        ck_assert_ptr_nonnull(fri_cost_text((enum fri_cost)i));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        nothing_but_the_script,
        cases_that_all_run_at_once_are_a_critical_path,
        rounds_of_equal_tasks_keep_the_workers_busy,
        a_round_that_is_not_full_is_a_tail,
        seats_are_waited_for,
        a_seat_that_nobody_can_use_counts_as_used,
        idle_workers_beside_ready_tasks_are_dispatch,
        a_late_start_beside_idle_workers_is_dispatch,
        a_chain_is_its_tasks_and_the_gaps_between,
        the_dependency_that_ended_last_is_followed,
        what_takes_much_longer_than_its_like_straggles,
        a_few_are_no_measure,
        attempts_and_back_offs_are_retries,
        the_script_is_what_nothing_else_was,
        a_script_that_submits_is_not_waiting,
        slices_of_a_map,
        the_parts_always_add_up,
        times_that_cannot_be_still_add_up,
        each_allocation_may_fail,
        each_cost_has_a_text,
    };

    return unit_run("analysis", tests, COUNT(tests));
}
