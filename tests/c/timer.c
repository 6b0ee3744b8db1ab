/* timer.c - deadlines, against a list that is searched. */
#include "core/timer.h"
#include "unit.h"

enum { N = 300 };

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
    ck_assert(!timer->set);
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
    struct fri_timers timers = { NULL };

    for (int i = 0; i < N; i++)
        timed[i] = (struct timed){ .timer.fire = fire,
                                   .expected = FRI_NEVER };
    for (int step = 0; step < 200000; step++) {
        struct timed *t = &timed[random_below(N)];

        switch (random_below(4)) {
        case 0:
        case 1: /* also when it is set: it moves */
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
}
END_TEST

static struct fri_timers again_timers = { NULL };

static void set_again(struct fri_timer *timer, fri_time at)
{
    if (++fired < 10)
        fri_timer_set(&again_timers, timer, at + (fired < 5 ? 0 : 1));
}

START_TEST(a_timer_may_set_itself_again)
{
    struct fri_timer t = { .fire = set_again };

    fired = 0;
    fri_timer_set(&again_timers, &t, 5);
    ck_assert(fri_timers_run(&again_timers, 4) == 5);
    ck_assert(fri_timers_run(&again_timers, 7) == 8);
    ck_assert_int_eq(fired, 5);
    for (fri_time at = 8; at < 12; at++)
        ck_assert(fri_timers_run(&again_timers, at) == at + 1);
    ck_assert(fri_timers_run(&again_timers, 12) == FRI_NEVER);
    ck_assert_int_eq(fired, 10);
}
END_TEST

START_TEST(all_come_later)
{
    struct fri_timers timers = { NULL };

    for (int i = 0; i < N; i++)
        timed[i] = (struct timed){ .timer.fire = fire,
                                   .expected = 1050 + i * 37 % N };
    for (int i = 0; i < N; i++)
        fri_timer_set(&timers, &timed[i].timer, timed[i].expected - 50);
    fri_timer_stop(&timers, &timed[7].timer);
    timed[7].expected = FRI_NEVER;
    fri_timers_shift(&timers, 50);
    fired = 0;
    for (last = 0, now = 1000; now < 1100 + N; now += 10)
        ck_assert(fri_timers_run(&timers, now) == earliest());
    ck_assert_int_eq(fired, N - 1);
    fri_timer_set(&timers, &timed[0].timer, FRI_NEVER - 5);
    fri_timers_shift(&timers, 50);
    ck_assert(fri_timers_run(&timers, now) == FRI_NEVER);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        timers_fire_in_order_and_once,
        a_timer_may_set_itself_again,
        all_come_later,
    };

    return unit_run("timer", tests, COUNT(tests));
}
