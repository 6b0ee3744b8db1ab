/*
 * deadlock.c - the marking of what can still go on, on waits made by hand.
 */
#define _GNU_SOURCE
#include "core/deadlock.h"
#include "core/engine.h"
#include "kit.h"

enum { MANY = 1000 };

/* One that runs, and may wait. */
struct actor {
    struct frun_future *future;
    struct fri_holder holder;
    struct fri_set *set;
    int raised;
    char text[256];
};

static struct kit_heap heap;
static frun_engine *e;
static struct fri_lane lane;
static struct fri_spec *spec;
static const struct fri_lane_hooks hooks;

static void set_up(void)
{
    frun_engine_options o = { .size = sizeof o, .allocate = kit_allocate,
                              .free = kit_free,
                              .allocator_user = &heap };

    atomic_store(&heap.allowed, -1);
    ok(frun_engine_open(&o, &e));
    fri_lane_init(&lane, &e->sched, &hooks, 1);
    lane.name = "test";
    spec = fri_spec_new(&lane, NULL);
    e->owner_ended = true;
}

static void begin(struct actor *a)
{
    memset(a, 0, sizeof *a);
    fri_lock(e);
    a->future = fri_task_new(&e->sched, spec);
    fri_sched_adopt(a->future);
    fri_unlock(e);
    a->holder.task = a->future;
}

static void end(struct actor *a)
{
    struct fri_data nothing = { .holds = FRI_NOTHING };

    fri_set_close(a->set);
    a->set = NULL;
    fri_lock(e);
    fri_holder_leave(&a->holder);
    if (!fri_is_final(a->future))
        fri_sched_settle_now(a->future, &nothing);
    fri_unlock(e);
    fri_future_unref(a->future);
}

static void tear_down(struct actor *actors, size_t n)
{
    for (size_t i = 0; i < n; i++)
        end(&actors[i]);
    fri_spec_unref(spec);
    fri_lane_free(&lane);
    frun_engine_close(e);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
}

static bool told(struct fri_wait *wait, struct fri_error *error)
{
    struct fri_set *set = (struct fri_set *)(void *)wait;
    struct actor *a = set->user;

    a->raised++;
    snprintf(a->text, sizeof a->text, "%s", error ? error->message : "");
    ck_assert(!error || error->public.status == FRUN_EDEADLOCK);
    fri_error_free(error);
    fri_set_disarm(set);
    return true;
}

static void woken(struct fri_set *set)
{
    (void)set;
}

static void await(struct actor *a, struct actor *const *others, size_t n,
                  size_t left, bool failure, fri_time deadline)
{
    struct frun_future *futures[8];

    for (size_t i = 0; i < n; i++)
        futures[i] = others[i]->future;
    a->set = fri_set_open(e, futures, n);
    a->set->user = a;
    a->set->wait.holder = &a->holder;
    a->set->wait.raise = told;
    ck_assert(!fri_set_arm(a->set, left, failure, deadline, woken));
}

static void await_one(struct actor *a, struct actor *other)
{
    await(a, &other, 1, 0, false, FRI_NEVER);
}

static void look(void)
{
    fri_lock(e);
    fri_deadlock_look(e);
    fri_unlock(e);
}

START_TEST(of_a_circle_the_last_is_told)
{
    struct actor a[4];

    set_up();
    for (int i = 0; i < 4; i++)
        begin(&a[i]);
    await_one(&a[3], &a[0]); /* hangs on it only */
    await_one(&a[0], &a[1]);
    await_one(&a[2], &a[0]);
    look();
    ck_assert_int_eq(a[0].raised + a[2].raised + a[3].raised, 0);
    await_one(&a[1], &a[2]);
    look();
    ck_assert_int_eq(a[0].raised + a[2].raised + a[3].raised, 0);
    ck_assert_int_eq(a[1].raised, 1);
    ck_assert_str_eq(a[1].text, "task 2 waits for task 3; task 3 waits for "
                                "task 1; task 1 waits for task 2");
    look(); /* it goes on: all can */
    ck_assert_int_eq(a[0].raised + a[2].raised + a[3].raised, 0);
    tear_down(a, 4);
}
END_TEST

START_TEST(what_time_ends_is_none)
{
    struct actor a[2];

    set_up();
    begin(&a[0]);
    begin(&a[1]);
    await_one(&a[0], &a[1]);
    await(&a[1], &(struct actor *){ &a[0] }, 1, 0, false,
          fri_now() + 1000 * FRI_SECOND);
    look();
    ck_assert_int_eq(a[0].raised + a[1].raised, 0);
    tear_down(a, 2);
}
END_TEST

/* a[0] waits for a[1], which waits for it, and a[2], which runs. */
static int with(size_t left, bool failure)
{
    struct actor a[3];
    struct actor *both[] = { &a[1], &a[2] };
    int raised;

    set_up();
    for (int i = 0; i < 3; i++)
        begin(&a[i]);
    await_one(&a[1], &a[0]);
    await(&a[0], both, 2, left, failure, FRI_NEVER);
    look();
    raised = a[0].raised;
    ck_assert_int_eq(a[1].raised, 0);
    tear_down(a, 3);
    return raised;
}

START_TEST(a_set_lives_when_enough_of_it_does)
{
    ck_assert_int_eq(with(1, false), 0); /* one of them is enough */
    ck_assert_int_eq(with(0, false), 1);
    ck_assert_int_eq(with(0, true), 0); /* the other may yet fail */
}
END_TEST

START_TEST(many_circles_at_once)
{
    static struct actor a[2 * MANY];
    int raised = 0;

    set_up();
    for (int i = 0; i < 2 * MANY; i++)
        begin(&a[i]);
    for (int i = 0; i < 2 * MANY; i++)
        await_one(&a[i], &a[i ^ 1]);
    look();
    for (int i = 0; i < 2 * MANY; i++) {
        raised += a[i].raised;
        ck_assert_int_eq(a[i].raised, i % 2); /* the later of each two */
    }
    ck_assert_int_eq(raised, MANY);
    tear_down(a, 2 * MANY);
}
END_TEST

START_TEST(a_long_way_to_a_circle)
{
    static struct actor a[MANY];
    int raised = 0;

    set_up();
    for (int i = 0; i < MANY; i++)
        begin(&a[i]);
    for (int i = 0; i < MANY; i++)
        await_one(&a[i], &a[i > 0 ? i - 1 : 1]);
    look();
    for (int i = 0; i < MANY; i++)
        raised += a[i].raised;
    ck_assert_int_eq(raised, 1);
    ck_assert_int_eq(a[1].raised, 1);
    tear_down(a, MANY);
}
END_TEST

START_TEST(without_memory_nothing_is_found_yet)
{
    struct actor a[2];

    set_up();
    begin(&a[0]);
    begin(&a[1]);
    await_one(&a[0], &a[1]);
    await_one(&a[1], &a[0]);
    atomic_store(&heap.allowed, 0);
    look();
    atomic_store(&heap.allowed, -1);
    ck_assert_int_eq(a[0].raised + a[1].raised, 0);
    look();
    ck_assert_int_eq(a[1].raised, 1);
    tear_down(a, 2);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        of_a_circle_the_last_is_told,
        what_time_ends_is_none,
        a_set_lives_when_enough_of_it_does,
        many_circles_at_once,
        a_long_way_to_a_circle,
        without_memory_nothing_is_found_yet,
    };

    return unit_run("deadlock", tests, COUNT(tests));
}
