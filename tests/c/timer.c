/* timer.c - deadlines, against a list that is searched. */
#include "core/timer.h"
#include "unit.h"

enum { N = 300 };

static struct unit_heap heap = { 0, -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };

static struct timed {
    struct fri_timer timer; /* first */
    fri_time expected;      /* FRI_NEVER: not set */
} timed[N];
static fri_time now, last;
static int fired;

static void fire(struct fri_timer *timer, fri_time at)
{
    struct timed *t = (struct timed *)timer;

    ck_assert(at == now);
    ck_assert(t->expected <= now);
    ck_assert(t->expected >= last); /* in order */
    ck_assert_uint_eq(timer->place, 0);
    last = t->expected;
    t->expected = FRI_NEVER;
    fired++;
}

static fri_time earliest(void)
{
    fri_time best = FRI_NEVER;

    for (int i = 0; i < N; i++)
        if (timed[i].expected < best)
            best = timed[i].expected;
    return best;
}

static unsigned random_below(unsigned n)
{
    static uint64_t state = 42;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

START_TEST(timers_fire_in_order_and_once)
{
    struct fri_timers timers = { .memory = &memory };

    for (int i = 0; i < N; i++)
        timed[i] = (struct timed){ .timer.fire = fire,
                                   .expected = FRI_NEVER };
    for (int step = 0; step < 200000; step++) {
        struct timed *t = &timed[random_below(N)];

        switch (random_below(4)) {
        case 0:
        case 1: /* also when it is set: it moves */
            ck_assert(fri_timers_reserve(&timers));
            t->expected = now + 1 + random_below(100);
            fri_timer_set(&timers, &t->timer, t->expected);
            break;
        case 2: /* also when it is not */
            t->expected = FRI_NEVER;
            fri_timer_stop(&timers, &t->timer);
            break;
        default:
            last = 0;
            now += random_below(20);
            ck_assert(fri_timers_run(&timers, now) == earliest());
            ck_assert(earliest() > now);
        }
    }
    ck_assert_int_gt(fired, 10000);
    fri_timers_free(&timers);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

static struct fri_timers again_timers = { .memory = &memory };

static void set_again(struct fri_timer *timer, fri_time at)
{
    if (++fired < 10)
        fri_timer_set(&again_timers, timer, at + (fired < 5 ? 0 : 1));
}

START_TEST(a_timer_may_set_itself_again)
{
    struct fri_timer t = { .fire = set_again };

    fired = 0;
    ck_assert(fri_timers_reserve(&again_timers));
    fri_timer_set(&again_timers, &t, 5);
    ck_assert(fri_timers_run(&again_timers, 4) == 5);
    ck_assert(fri_timers_run(&again_timers, 7) == 8);
    ck_assert_int_eq(fired, 5);
    for (fri_time at = 8; at < 12; at++)
        ck_assert(fri_timers_run(&again_timers, at) == at + 1);
    ck_assert(fri_timers_run(&again_timers, 12) == FRI_NEVER);
    ck_assert_int_eq(fired, 10);
    fri_timers_free(&again_timers);
}
END_TEST

START_TEST(room_is_made_before_it_is_needed)
{
    struct fri_timers timers = { .memory = &memory };
    static struct fri_timer t[100];

    heap.allowed = 0;
    ck_assert(!fri_timers_reserve(&timers));
    heap.allowed = -1;
    for (int i = 0; i < 100; i++) {
        ck_assert(fri_timers_reserve(&timers));
        heap.allowed = 0;
        t[i].fire = fire;
        fri_timer_set(&timers, &t[i], 1000 - i);
        heap.allowed = -1;
    }
    for (int i = 0; i < 100; i++)
        fri_timer_stop(&timers, &t[i * 37 % 100]);
    ck_assert(fri_timers_run(&timers, 5000) == FRI_NEVER);
    fri_timers_free(&timers);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        timers_fire_in_order_and_once,
        a_timer_may_set_itself_again,
        room_is_made_before_it_is_needed,
    };

    return unit_run("timer", tests, COUNT(tests));
}
