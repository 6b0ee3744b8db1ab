/*
 * scheduler.c - the state machine alone, with a clock and workers that are
 * played: whatever is done in whatever order, its states and counts are those
 * of a model that is too simple to be wrong, and nothing is left behind.
 *
 * The schedules are random, from seeds of which one that fails is printed
 * (FLOWRUN_SEED=n repeats it), and, for a few tasks, all that there are.
 */
#include "core/range.h"
#include "core/scheduler.h"
#include "unit.h"

#include <math.h>
#include <time.h>

enum { TASKS = 48, LANES = 2, LIMITS = 2, HANDS = 64, DEPS = 3 };

enum { HOLD_OFF = 10, TIMEOUT = 7 }; /* seconds, of a back-off, an attempt */

struct model {
    struct frun_future *f; /* our handle, or NULL */
    int lane, deps[DEPS], dep_count;
    unsigned needs[LIMITS];
    double priority;
    int retries, attempts;
    bool backoff, promised, asked, timeout, expired, told;
    fri_time deadline; /* of the attempt that runs */
    enum fri_task_state state;
    fri_time due;  /* WAITING for a back-off until then, 0: for others */
    int in_hand;   /* it, or so many of its slices */
    bool seated;
    uint64_t count; /* of a range, else 0 */
    uint64_t done, taken, failed;
    int early; /* of a range: FRI_FAILED or FRI_CANCELLED, 0: not */
};

struct hand {
    int task;
    struct fri_slice slice;
    bool begun;
};

static struct world {
    struct fri_sched sched;
    struct fri_lane lanes[LANES];
    struct fri_limit *limits[LIMITS];
    struct model tasks[TASKS];
    struct hand hands[HANDS];
    int task_count, hand_count;
    fri_time now;
    bool limited; /* tasks have needs: the order is not wholly modelled */
    bool broken[LANES];
    uint64_t done[LANES], failed[LANES], cancelled[LANES], retried[LANES];
    int holds; /* of specs on lanes */
} w;

static struct unit_heap heap = { 0, -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };
static uint64_t random_state, seed_now;

/* As ck_assert, which writes to a pipe each time that it is passed. */
#define sure(x)                                                               \
    do {                                                                      \
        if (!(x))                                                             \
            ck_abort_msg("seed %llu: %s", (unsigned long long)seed_now, #x);  \
    } while (0)

static unsigned below(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

/* ---- what a pool would be --------------------------------------------- */

static fri_time the_clock(void *user)
{
    (void)user;
    return w.now;
}

static void ready(struct fri_lane *lane, size_t count)
{
    (void)count;
    sure(atomic_load(&lane->ready) > 0);
}

static void idle(struct fri_lane *lane)
{
    sure(lane->unfinished == 0);
    fri_lane_purge(lane);
}

static bool stops(const struct frun_future *f)
{
    return f->id % 2 == 0;
}

/* A range is stopped once, while somebody has a part of it. */
static bool stop(struct fri_lane *lane, struct frun_future *f, frun_status why)
{
    struct model *m = &w.tasks[f->id - 1];

    (void)lane;
    if (f->counted) {
        sure(why == FRUN_ECANCELLED && f->data.range->out > 0 && !m->told);
        m->told = true;
    } else {
        sure(why == FRUN_ECANCELLED || why == FRUN_ETIMEOUT);
        sure(fri_state(f) == FRI_RUNNING);
    }
    return stops(f);
}

static void hold(struct fri_lane *lane)
{
    (void)lane;
    w.holds++;
}

static void release(struct fri_lane *lane)
{
    (void)lane;
    w.holds--;
}

static const struct fri_lane_hooks hooks = {
    .ready = ready, .idle = idle, .stop = stop, .hold = hold,
    .release = release
};

/* ---- the model -------------------------------------------------------- */

static bool final(const struct model *m)
{
    return m->state >= FRI_DONE;
}

static void count_end(struct model *m, enum fri_task_state state, uint64_t n)
{
    if (state == FRI_DONE)
        w.done[m->lane] += n;
    else if (state == FRI_FAILED)
        w.failed[m->lane] += n;
    else
        w.cancelled[m->lane] += n;
}

static void end(struct model *m, enum fri_task_state state)
{
    m->state = state;
    if (m->count == 0)
        count_end(m, state, 1);
}

/* A range is over when no slice is out and there is nothing more to do. */
static void end_range(struct model *m)
{
    if (final(m) || m->in_hand > 0)
        return;
    if (m->early) {
        count_end(m, FRI_CANCELLED, m->count - m->done - m->failed);
        end(m, (enum fri_task_state)m->early);
    } else if (m->done == m->count) {
        end(m, FRI_DONE);
    }
}

static void end_early(struct model *m, enum fri_task_state state)
{
    if (m->count == 0) {
        end(m, state);
        return;
    }
    if (!m->early)
        m->early = (int)state;
    end_range(m);
}

static void become_ready(struct model *m)
{
    m->state = FRI_PENDING;
    m->due = 0;
    if (w.broken[m->lane])
        end_early(m, FRI_FAILED);
}

static bool look_at_deps(struct model *m)
{
    int left = 0;

    if (m->state != FRI_WAITING || m->due)
        return false;
    for (int i = 0; i < m->dep_count; i++) {
        const struct model *d = &w.tasks[m->deps[i]];

        if (final(d) && d->state != FRI_DONE) {
            end_early(m, FRI_FAILED);
            return true;
        }
        left += !final(d);
    }
    if (left > 0)
        return false;
    become_ready(m);
    return true;
}

static void propagate(void)
{
    bool changed;

    do {
        changed = false;
        for (int i = 0; i < w.task_count; i++)
            if (look_at_deps(&w.tasks[i]))
                changed = true;
    } while (changed);
}

static unsigned seats_used(int limit)
{
    unsigned used = 0;

    for (int i = 0; i < w.task_count; i++)
        if (w.tasks[i].seated)
            used += w.tasks[i].needs[limit];
    return used;
}

static void check(void)
{
    uint64_t unfinished[LANES] = { 0 };

    propagate();
    for (int i = 0; i < w.task_count; i++) {
        const struct model *m = &w.tasks[i];

        if (m->f)
            sure(fri_state(m->f) == m->state);
        if (m->count && m->early && m->in_hand > 0)
            sure(m->told);
        if (!final(m))
            unfinished[m->lane] += m->count ? m->count - m->done - m->failed
                                            : 1;
    }
    for (int l = 0; l < LANES; l++) {
        sure(w.lanes[l].unfinished == unfinished[l]);
        sure(w.lanes[l].done == w.done[l]);
        sure(w.lanes[l].failed == w.failed[l]);
        sure(w.lanes[l].cancelled == w.cancelled[l]);
        sure(w.lanes[l].retried == w.retried[l]);
    }
    for (int i = 0; i < LIMITS; i++) {
        sure(w.limits[i]->used <= w.limits[i]->count);
        sure(w.limits[i]->used == seats_used(i));
    }
}

static bool better(const struct model *a, const struct model *b)
{
    return a->priority != b->priority ? a->priority > b->priority : a < b;
}

static bool waits_in_lane(const struct model *m, int lane)
{
    if (m->lane != lane || (m->count == 0 && m->in_hand))
        return false;
    if (m->count == 0)
        return m->state == FRI_PENDING;
    return (m->state == FRI_PENDING || m->state == FRI_RUNNING) && !m->early
           && m->taken < m->count;
}

/* ---- what is done to it ----------------------------------------------- */

static struct frun_future *new_task(const struct model *m,
                                    const frun_policy *p, size_t chunk)
{
    struct fri_spec *spec = fri_spec_new(&w.lanes[m->lane], p);
    struct frun_future *f, *deps[DEPS];

    sure(spec != NULL);
    f = fri_task_new(&w.sched, spec);
    fri_spec_unref(spec);
    for (int i = 0; i < m->dep_count; i++)
        deps[i] = w.tasks[m->deps[i]].f;
    if (m->dep_count)
        sure(fri_task_after(f, deps, (size_t)m->dep_count));
    if (m->count > 0) {
        f->holds = FRI_RANGE;
        f->data.range = fri_range_new(&memory, m->count, 2, chunk);
    }
    return f;
}

static void submit(struct model m, size_t chunk)
{
    int needs[LIMITS];
    struct fri_limit *limits[LIMITS];
    frun_policy p = { .priority = m.priority, .retries = m.retries,
                      .limits = (frun_limit *const *)limits,
                      .limit_needs = needs };

    p.backoff = m.backoff ? HOLD_OFF : 0;
    p.timeout = m.timeout ? TIMEOUT : 0;
    for (int i = 0; i < LIMITS; i++) {
        if (m.needs[i] == 0)
            continue;
        limits[p.limit_count] = w.limits[i];
        needs[p.limit_count++] = (int)m.needs[i];
    }
    m.state = FRI_WAITING;
    m.f = new_task(&m, &p, chunk);
    w.tasks[w.task_count++] = m;
    fri_sched_submit(m.f, below(2) > 0);
}

static bool submit_any(void)
{
    static const double priorities[] = { 0, 0, 0, 0, 1, -1, 0.5 };
    struct model m = { .lane = (int)below(LANES) };

    if (w.task_count == TASKS)
        return false;
    m.priority = priorities[below(7)];
    for (unsigned n = below(2) * below(DEPS + 1); n > 0 && w.task_count; n--) {
        int d = (int)below((unsigned)w.task_count);

        if (w.tasks[d].f)
            m.deps[m.dep_count++] = d;
    }
    if (below(5) == 0) {
        m.count = 1 + below(12);
    } else {
        m.retries = (int)below(3);
        m.backoff = below(2);
        m.timeout = below(2);
        for (unsigned i = 0; w.limited && i < LIMITS; i++)
            m.needs[i] = below(2) * below(w.limits[i]->count + 1);
    }
    submit(m, below(4));
    return true;
}

static struct model *model_of(const struct frun_future *f)
{
    return &w.tasks[f->id - 1];
}

/* The best of those that wait is the one that comes. */
static void check_order(int lane, const struct model *taken)
{
    for (int i = 0; i < w.task_count; i++) {
        const struct model *m = &w.tasks[i];

        if (m == taken || !waits_in_lane(m, lane) || !better(m, taken))
            continue;
        sure(w.limited);
        for (int l = 0; l < LIMITS; l++) /* it is short of a seat */
            if (m->needs[l] + seats_used(l) > w.limits[l]->count)
                return;
        for (int l = 0; l < LIMITS; l++) /* or others stand before it */
            if (m->needs[l] > 0)
                return;
        sure(m == taken); /* it has been overtaken */
    }
}

static bool take(int lane, size_t max)
{
    struct fri_slice slices[8];
    size_t n;

    if (w.hand_count + 8 > HANDS)
        return false;
    n = fri_sched_take(&w.lanes[lane], max, slices);
    for (size_t i = 0; i < n; i++) {
        struct model *m = model_of(slices[i].task);

        sure(waits_in_lane(m, lane));
        check_order(lane, m);
        sure(n == 1 || (m->count == 0 && !m->timeout));
        m->in_hand++;
        m->seated = m->needs[0] + m->needs[1] > 0;
        if (m->count)
            m->taken += slices[i].end - slices[i].first;
        w.hands[w.hand_count++]
            = (struct hand){ .task = (int)(m - w.tasks), .slice = slices[i] };
    }
    for (int i = 0; n == 0 && !w.limited && i < w.task_count; i++)
        sure(!waits_in_lane(&w.tasks[i], lane));
    return n > 0;
}

static void drop_hand(int i)
{
    w.hands[i] = w.hands[--w.hand_count];
}

static bool begin(int i)
{
    struct hand *h = &w.hands[i];
    struct model *m = &w.tasks[h->task];
    bool begun;

    if (i >= w.hand_count || h->begun)
        return false;
    begun = fri_task_begin(h->slice.task, 1, w.now);
    sure(begun == !final(m));
    h->begun = begun;
    if (begun && m->state == FRI_PENDING) {
        m->state = FRI_RUNNING;
        m->attempts++;
        m->expired = false;
        m->deadline = w.now + TIMEOUT * FRI_SECOND;
        sure(fri_attempt_begin(h->slice.task, w.now));
        sure(atomic_load(&h->slice.task->stopping) == 0);
    }
    if (begun)
        return true;
    m->in_hand--;
    m->seated = false;
    fri_sched_return(h->slice.task);
    drop_hand(i);
    return true;
}

static void return_items(struct model *m, uint64_t n)
{
    m->taken -= n;
    if (n > 0 && w.broken[m->lane] && !m->early)
        m->early = FRI_FAILED;
}

static bool give_back(int i)
{
    struct hand h = w.hands[i];
    struct model *m = &w.tasks[h.task];
    struct fri_slice none = { h.slice.task, h.slice.first, h.slice.first };

    if (i >= w.hand_count || (h.begun && m->count == 0))
        return false;
    m->in_hand--;
    m->seated = false;
    if (m->count == 0) {
        if (!final(m))
            become_ready(m);
        fri_sched_return(h.slice.task);
    } else {
        return_items(m, h.slice.end - h.slice.first);
        fri_sched_give_back(&h.slice);
        fri_sched_finish_slice(&none, false, NULL, w.now);
        end_range(m);
    }
    drop_hand(i);
    return true;
}

static void finish_slice(struct hand h, bool fails)
{
    struct model *m = &w.tasks[h.task];
    uint64_t n = h.slice.end - h.slice.first;
    uint64_t some = fails ? below((unsigned)n) : below((unsigned)n + 1);
    struct fri_slice rest = { h.slice.task, h.slice.first + some, h.slice.end };

    m->in_hand--;
    m->done += some;
    count_end(m, FRI_DONE, some);
    h.slice.end = h.slice.first + some;
    if (fails) {
        m->failed++;
        count_end(m, FRI_FAILED, 1);
        m->early = m->early ? m->early : FRI_FAILED;
    } else {
        return_items(m, n - some);
        fri_sched_give_back(&rest);
    }
    end_range(m);
    fri_sched_finish_slice(&h.slice, fails,
                           fails ? fri_error_new(&memory, FRUN_ERROR, "item",
                                                 NULL, NULL)
                                 : NULL,
                           w.now);
}

static void finish_task(struct hand h, frun_status status)
{
    struct model *m = &w.tasks[h.task];
    struct fri_data outcome = { .holds = FRI_NOTHING };

    if (status != FRUN_OK) {
        outcome.holds = FRI_ERROR;
        outcome.error = fri_error_new(&memory, status, "told to", NULL, NULL);
    }
    m->in_hand--;
    m->seated = false;
    if (m->promised)
        status = FRUN_ECANCELLED;
    else if (m->expired)
        status = m->asked ? FRUN_ECANCELLED : FRUN_ETIMEOUT;
    if ((status == FRUN_ERROR || status == FRUN_ETIMEOUT) && !m->asked
        && m->attempts <= m->retries) {
        w.retried[m->lane]++;
        m->due = w.now
                 + (fri_time)(HOLD_OFF * pow(2, m->attempts - 1)) * FRI_SECOND;
        m->state = FRI_WAITING;
        if (!m->backoff)
            become_ready(m);
    } else {
        end(m, status == FRUN_OK           ? FRI_DONE
               : status == FRUN_ECANCELLED ? FRI_CANCELLED
                                           : FRI_FAILED);
    }
    fri_sched_finish(h.slice.task, &outcome, w.now);
    if (m->f && final(m) && m->expired && status == FRUN_ETIMEOUT
        && !w.broken[m->lane]) {
        sure(m->f->data.error->public.status == FRUN_ETIMEOUT);
        sure(m->f->data.error->seconds == TIMEOUT);
    }
}

static bool finish(int i, frun_status status)
{
    struct hand h = w.hands[i];

    if (i >= w.hand_count || !h.begun)
        return false;
    drop_hand(i);
    if (w.tasks[h.task].count)
        finish_slice(h, status != FRUN_OK);
    else
        finish_task(h, status);
    return true;
}

static void model_cancel(struct model *m)
{
    if (final(m))
        return;
    if (m->count == 0 && m->state == FRI_RUNNING) {
        m->asked = true;
        m->promised = m->promised || m->expired || stops(m->f);
    } else {
        end_early(m, FRI_CANCELLED);
    }
}

static bool cancel(int i)
{
    struct model *m = &w.tasks[i];
    bool promised;

    if (i >= w.task_count || !m->f)
        return false;
    model_cancel(m);
    promised = fri_sched_cancel(m->f, NULL);
    sure(promised
              == (m->state == FRI_CANCELLED || m->promised
                  || m->early == FRI_CANCELLED));
    return true;
}

/* All of the lane at once, so what depends on one is cancelled itself. */
static void cancel_lane(int lane)
{
    for (int i = 0; i < w.task_count; i++)
        if (w.tasks[i].lane == lane && !w.tasks[i].f)
            return; /* the model of cancel needs a handle */
    for (int i = 0; i < w.task_count; i++)
        if (w.tasks[i].lane == lane)
            model_cancel(&w.tasks[i]);
    fri_lane_cancel(&w.lanes[lane]);
}

static void break_lane(int lane)
{
    struct fri_error *why
        = fri_error_new(&memory, FRUN_ERESOURCE, "no worker", NULL, NULL);

    if (w.limited || w.broken[lane]) {
        fri_error_free(why);
        return;
    }
    for (int i = 0; i < w.task_count; i++)
        if (waits_in_lane(&w.tasks[i], lane))
            end_early(&w.tasks[i], FRI_FAILED);
    w.broken[lane] = true;
    fri_lane_break(&w.lanes[lane], below(2) ? why : NULL);
    if (!w.lanes[lane].why)
        fri_error_free(why);
}

static void pass_time(fri_time seconds)
{
    w.now += seconds * FRI_SECOND;
    for (int i = 0; i < w.task_count; i++)
        if (w.tasks[i].state == FRI_WAITING && w.tasks[i].due
            && w.tasks[i].due <= w.now)
            become_ready(&w.tasks[i]);
    for (int i = 0; i < w.task_count; i++)
        if (w.tasks[i].state == FRI_RUNNING && w.tasks[i].timeout
            && w.tasks[i].deadline <= w.now)
            w.tasks[i].expired = true;
    fri_sched_tick(&w.sched);
}

static void let_go(int i)
{
    if (i < w.task_count) {
        fri_future_unref(w.tasks[i].f);
        w.tasks[i].f = NULL;
    }
}

/* ---- worlds ----------------------------------------------------------- */

static void open_world(bool limited)
{
    bool clash;

    memset(&w, 0, sizeof w);
    w.now = FRI_SECOND;
    w.limited = limited;
    fri_sched_init(&w.sched, &memory, the_clock, NULL);
    for (int i = 0; i < LANES; i++)
        fri_lane_init(&w.lanes[i], &w.sched, &hooks, 2);
    w.limits[0] = fri_limit_get(&w.sched, NULL, 3, &clash);
    w.limits[1] = fri_limit_get(&w.sched, "two", 2, &clash);
}

/* Everything ends if workers go on working: nothing waits for ever. */
static void run_down(void)
{
    for (int rounds = 0; rounds < 10000; rounds++) {
        bool any = false;

        for (int l = 0; l < LANES; l++)
            any = take(l, 8) || any;
        while (w.hand_count > 0) {
            any = true;
            if (!w.hands[0].begun)
                begin(0);
            else
                finish(0, FRUN_OK);
            check();
        }
        if (!any && !w.sched.timers.first)
            break;
        if (!any)
            pass_time(HOLD_OFF);
        check();
    }
    for (int i = 0; i < w.task_count; i++)
        sure(final(&w.tasks[i]));
}

static void close_world(void)
{
    run_down();
    for (int i = 0; i < w.task_count; i++)
        let_go(i);
    sure(fri_sched_alive(&w.sched) == 0);
    sure(w.holds == 0);
    for (int i = 0; i < LANES; i++) {
        sure(atomic_load(&w.lanes[i].ready) == 0);
        fri_lane_free(&w.lanes[i]);
    }
    for (int i = 0; i < LIMITS; i++)
        fri_handle_unref(&w.limits[i]->handle);
    fri_sched_free(&w.sched);
    sure(heap.blocks == 0);
}

static void do_something(void)
{
    unsigned what = below(100);
    int hand = w.hand_count ? (int)below((unsigned)w.hand_count) : 0;
    int task = w.task_count ? (int)below((unsigned)w.task_count) : 0;

    if (what < 25)
        submit_any();
    else if (what < 45)
        take((int)below(LANES), 1 + below(4));
    else if (what < 62)
        begin(hand);
    else if (what < 76)
        finish(hand, FRUN_OK);
    else if (what < 84)
        finish(hand, what < 82 ? FRUN_ERROR : FRUN_ECANCELLED);
    else if (what < 88)
        give_back(hand);
    else if (what < 93)
        cancel(task);
    else if (what < 95)
        let_go(task);
    else if (what < 99)
        pass_time(below(15));
    else if (below(4) == 0)
        cancel_lane((int)below(LANES));
    else if (below(4) == 0)
        break_lane((int)below(LANES));
}

static void random_world(uint64_t seed, bool limited)
{
    random_state = seed;
    open_world(limited);
    for (int step = 0; step < 300; step++) {
        do_something();
        check();
    }
    close_world();
}

/* The first thousand are always the same. */
static void random_worlds(bool limited)
{
    const char *given = getenv("FLOWRUN_SEED");
    uint64_t first = (uint64_t)time(NULL) * 1000003u;

    if (given) {
        seed_now = strtoull(given, NULL, 10);
        random_world(seed_now, limited);
        return;
    }
    for (uint64_t i = 1; i <= 2000; i++) {
        seed_now = i <= 1000 ? i : first + i;
        random_world(seed_now, limited);
    }
}

START_TEST(random_schedules)
{
    random_worlds(false);
}
END_TEST

START_TEST(random_schedules_with_limits)
{
    random_worlds(true);
}
END_TEST

/* ---- deadlines -------------------------------------------------------- */

/* One task of its own world, begun: its id says whether it can be stopped. */
static struct hand timed_task(bool can_stop, int retries)
{
    struct model m = { .timeout = true, .retries = retries };

    open_world(false);
    if (can_stop)
        w.sched.last_id = 1;
    m.f = new_task(&m, &(frun_policy){ .timeout = TIMEOUT,
                                       .retries = retries }, 0);
    fri_sched_submit(m.f, true);
    ck_assert_uint_eq(fri_sched_take(&w.lanes[0], 8, &w.hands[0].slice), 1);
    ck_assert(fri_task_begin(m.f, 1, w.now));
    ck_assert(fri_attempt_begin(m.f, w.now));
    return w.hands[0];
}

static void finish_with(struct hand *h, fri_time at)
{
    struct fri_data outcome = { .holds = FRI_BYTES };

    fri_sched_finish(h->slice.task, &outcome, at);
}

static void close_timed(struct hand *h)
{
    ck_assert_ptr_null(w.sched.timers.first);
    fri_future_unref(h->slice.task);
    close_world();
}

START_TEST(a_result_before_the_deadline_stays)
{
    struct hand h = timed_task(false, 0);
    fri_time before = w.now + 6 * FRI_SECOND;

    pass_time(8);
    ck_assert_int_eq(atomic_load(&h.slice.task->stopping), FRI_ASKED);
    finish_with(&h, before);
    ck_assert_int_eq(fri_state(h.slice.task), FRI_DONE);
    close_timed(&h);
}
END_TEST

START_TEST(what_was_promised_to_stop_has_no_result)
{
    struct hand h = timed_task(true, 0);
    fri_time before = w.now + 6 * FRI_SECOND;

    pass_time(8);
    ck_assert_int_eq(atomic_load(&h.slice.task->stopping), FRI_TIMED_OUT);
    finish_with(&h, before);
    ck_assert_int_eq(fri_state(h.slice.task), FRI_FAILED);
    ck_assert_str_eq(h.slice.task->data.error->message,
                     "timed out after 7 s");
    close_timed(&h);
}
END_TEST

START_TEST(a_cancel_after_the_deadline_wins)
{
    for (int can_stop = 0; can_stop < 2; can_stop++) {
        struct hand h = timed_task(can_stop, 5);

        pass_time(8);
        ck_assert(fri_sched_cancel(h.slice.task, NULL));
        finish_with(&h, w.now);
        ck_assert_int_eq(fri_state(h.slice.task), FRI_CANCELLED);
        ck_assert_uint_eq(w.lanes[0].retried, 0);
        close_timed(&h);
    }
}
END_TEST

START_TEST(a_cancel_before_the_deadline_is_no_timeout)
{
    struct hand h = timed_task(true, 5);

    ck_assert(fri_sched_cancel(h.slice.task, NULL));
    pass_time(8);
    ck_assert_int_eq(atomic_load(&h.slice.task->stopping), FRI_STOPPED);
    finish_with(&h, w.now);
    ck_assert_int_eq(fri_state(h.slice.task), FRI_CANCELLED);
    close_timed(&h);
}
END_TEST

/* ---- all schedules of a few tasks ------------------------------------- */

static bool apply(int op)
{
    struct model m = { .lane = 0 };

    switch (op) {
    case 0: /* a task, the next waiting for it, then one with seats ... */
        if (w.task_count == 3)
            return false;
        m.dep_count = w.task_count == 1;
        m.retries = w.task_count == 0;
        m.needs[0] = w.task_count == 2 ? 3 : w.task_count == 1 ? 2 : 0;
        submit(m, 0);
        return true;
    case 1: /* ... or a range */
        if (w.task_count != 2)
            return false;
        m.count = 2;
        submit(m, 1);
        return true;
    case 2: return take(0, 2);
    case 3: return begin(0);
    case 4: return begin(1);
    case 5: return finish(0, FRUN_OK);
    case 6: return finish(0, FRUN_ERROR);
    case 7: return give_back(0);
    case 8: return cancel(0);
    case 9: return cancel(1);
    case 10: return cancel(2);
    default: return false;
    }
}

enum { OPS = 11, DEPTH = 8 };

/* Replays the prefix, then tries the last; false: it does nothing here. */
static bool replay(const int *ops, int n)
{
    bool did = true;

    random_state = 1;
    open_world(true);
    for (int i = 0; i < n; i++) {
        did = apply(ops[i]);
        check();
    }
    close_world();
    return did;
}

static long explore(int *ops, int n)
{
    long count = 0;

    for (int op = 0; n < DEPTH && op < OPS; op++) {
        ops[n] = op;
        if (replay(ops, n + 1))
            count += 1 + explore(ops, n + 1);
    }
    return count;
}

START_TEST(all_schedules_of_three_tasks)
{
    int ops[DEPTH];

    ck_assert_int_gt(explore(ops, 0), 10000);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        random_schedules,
        random_schedules_with_limits,
        a_result_before_the_deadline_stays,
        what_was_promised_to_stop_has_no_result,
        a_cancel_after_the_deadline_wins,
        a_cancel_before_the_deadline_is_no_timeout,
        all_schedules_of_three_tasks,
    };

    return unit_run("scheduler", tests, COUNT(tests));
}
