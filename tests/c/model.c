/*
 * model.c - the scheduler under a pool of processes that is played: workers
 * with a channel each, that die between any two steps and are replaced.
 *
 * The pool does what a pool of processes must do.  When a worker has died: it
 * reads all that the worker had sent, then blames the one task that had begun
 * and not ended, then gives back what had not begun; the replacement has a
 * channel of its own.  After each step it is asked whether a task ran twice
 * without a retry, at two workers, or after its result was written; whether
 * seats are over-committed or the order is broken; at the end, whether a
 * result is lost, somebody is blamed wrongly, or something is stuck.
 *
 * Schedules are random, from seeds (FLOWRUN_SEED=n repeats one, and
 * FLOWRUN_SCHEDULES=n makes so many), and, for three tasks, two workers, two
 * deaths and a cancel, all that there are.  Both must find the two classic
 * faults when they are planted.
 */
#include "core/halt.h"
#include "core/scheduler.h"
#include "unit.h"

#include <setjmp.h>
#include <time.h>

enum { TASKS = 12, WORKERS = 3, QUEUE = 64, DEPS = 2, SEATS = 2, HOLD_OFF = 5 };

enum plant { SOUND, DEATH_BEFORE_DRAIN, INHERITED_CHANNEL };

struct job {
    struct frun_future *f;
    int deps[DEPS], dep_count;
    unsigned need;
    double priority;
    int retries;
    bool backoff;
    int executions, died, errors, retried, finished;
    bool wrote, asked, promised, grouped;
};

enum what { GOOD, BAD, REFUSED };

struct frame {
    int task;
    enum what what;
};

struct worker {
    bool alive;
    int in[QUEUE], in_count;        /* its channel: what it was handed */
    struct frame out[QUEUE];        /* and what it has sent */
    int out_count, running;         /* -1: nothing */
    int handed[QUEUE], handed_count; /* the pool's book */
};

static struct world {
    enum plant plant;
    struct fri_sched sched;
    struct fri_lane lane;
    struct fri_limit *limit;
    struct fri_group *group; /* that halts, or NULL */
    struct fri_observer observer;
    struct job jobs[TASKS];
    struct worker workers[WORKERS];
    int job_count, worker_count, batch, deaths, cancels;
    fri_time now;
} w;

static jmp_buf violated;
static char violation[128];
static uint64_t random_state;

/* ---- memory: a world that went wrong is dropped as it is --------------- */

struct block {
    struct block *next, **link;
    bool large;
    max_align_t bytes[];
};

static struct block *blocks, *large; /* the records, kept for the next */

enum { LARGE = 40000 };

static void unlink_block(struct block *b)
{
    *b->link = b->next;
    if (b->next)
        b->next->link = b->link;
}

static void link_block(struct block *b)
{
    b->link = &blocks;
    b->next = blocks;
    if (b->next)
        b->next->link = &b->next;
    blocks = b;
}

static struct block *block_of(void *bytes)
{
    return (struct block *)(void *)((char *)bytes
                                    - offsetof(struct block, bytes));
}

static void *allocate(void *user, void *old, size_t size)
{
    struct block *b = old ? block_of(old) : NULL;

    (void)user;
    if (b)
        unlink_block(b);
    if (!b && size > LARGE && large) {
        b = large;
        large = NULL;
    } else {
        b = realloc(b, sizeof *b + size);
    }
    if (!b) /* ck_assert writes to a pipe each time */
        ck_abort_msg("out of memory");
    b->large = size > LARGE;
    link_block(b);
    return b->bytes;
}

static void release(void *user, void *bytes)
{
    struct block *b = bytes ? block_of(bytes) : NULL;

    (void)user;
    if (!b)
        return;
    unlink_block(b);
    if (b->large && !large)
        large = b; /* all are of one size */
    else
        free(b);
}

static void drop_blocks(void)
{
    while (blocks)
        release(NULL, blocks->bytes);
}

static const struct fri_memory memory = { allocate, release, NULL };

/* ---- what is asked after each step ------------------------------------- */

static void violate(const char *text, int task)
{
    snprintf(violation, sizeof violation, "task %d %s", task, text);
    longjmp(violated, 1);
}

static void want(bool so, const char *text, int task)
{
    if (!so)
        violate(text, task);
}

static bool final(int i)
{
    return fri_is_final(w.jobs[i].f);
}

static unsigned below(unsigned n)
{
    random_state = random_state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(random_state >> 33) % n;
}

static void check(void)
{
    unsigned held = 0, running = 0;

    for (int k = 0; k < w.worker_count; k++) {
        const struct worker *x = &w.workers[k];

        for (int i = 0; i < x->handed_count; i++)
            held += w.jobs[x->handed[i]].need;
        if (x->running >= 0)
            running += w.jobs[x->running].need;
    }
    want(running <= SEATS && w.limit->used <= SEATS, "sits on no seat", -1);
    want(w.limit->used == held, "holds seats that are not its own", -1);
}

static void check_begun(int i, int k)
{
    const struct job *j = &w.jobs[i];

    for (int other = 0; other < w.worker_count; other++)
        want(other == k || w.workers[other].running != i,
             "runs at two workers", i);
    want(!j->wrote, "runs again after its result was written", i);
    want(j->executions <= 1 + j->retried, "runs twice without a retry", i);
    want(j->executions <= 1 + j->retries, "runs too often", i);
    want(!fri_halted(j->f), "begins after its group has stopped", i);
}

static bool better(int a, int b)
{
    const struct job *x = &w.jobs[a], *y = &w.jobs[b];

    return x->priority != y->priority ? x->priority > y->priority : a < b;
}

static bool is_handed(int i)
{
    for (int k = 0; k < w.worker_count; k++)
        for (int n = 0; n < w.workers[k].handed_count; n++)
            if (w.workers[k].handed[n] == i)
                return true;
    return false;
}

/* Of those that need no seat, the best goes first. */
static void check_order(int taken)
{
    for (int i = 0; i < w.job_count; i++)
        want(i == taken || w.jobs[i].need > 0 || w.jobs[taken].need > 0
                 || is_handed(i) || fri_state(w.jobs[i].f) != FRI_PENDING
                 || better(taken, i),
             "was overtaken", i);
}

/* Somebody stopped it: a cancel, or its group. */
static bool was_stopped(const struct job *j)
{
    return j->asked || fri_halted(j->f);
}

static void check_end(int i)
{
    const struct job *j = &w.jobs[i];
    enum fri_task_state state = fri_state(j->f);
    const struct fri_error *e
        = j->f->holds == FRI_ERROR ? j->f->data.error : NULL;

    want(fri_is_final(j->f), "is stuck", i);
    want(j->finished == 1, "did not finish exactly once", i);
    want(state != FRI_DONE || j->wrote, "is done and never ran", i);
    want(!j->wrote || was_stopped(j) || state == FRI_DONE, "lost its result",
         i);
    want(!j->promised || state == FRI_CANCELLED, "was not cancelled", i);
    want(!e || e->public.status != FRUN_ECRASHED || j->died > 0,
         "is blamed for another", i);
    want(state != FRI_CANCELLED || was_stopped(j), "was cancelled by nobody",
         i);
    want(j->executions == j->died + j->errors + j->wrote,
         "does not add up", i);
}

/* ---- the pool ---------------------------------------------------------- */

static fri_time the_clock(void *user)
{
    (void)user;
    return w.now;
}

static void ready(struct fri_lane *lane, size_t count)
{
    (void)lane;
    (void)count;
}

static void idle(struct fri_lane *lane)
{
    fri_lane_purge(lane);
}

static void on_event(struct fri_observer *o, enum fri_event event,
                     struct frun_future *f, fri_time now)
{
    struct job *j = &w.jobs[f->id - 1];

    (void)o;
    (void)now;
    j->retried += event == FRI_RETRIED;
    j->finished += event == FRI_FINISHED;
}

static void die(struct worker *x)
{
    x->alive = false;
    if (x->running >= 0)
        w.jobs[x->running].died++;
}

/* A task that runs is stopped by killing its worker. */
static bool stop(struct fri_lane *lane, struct frun_future *f,
                 frun_status why)
{
    (void)why;
    (void)lane;
    for (int k = 0; k < w.worker_count; k++) {
        struct worker *x = &w.workers[k];

        if (x->running != (int)f->id - 1)
            continue;
        if (x->alive)
            die(x);
        return true;
    }
    return false; /* it has ended, and its result is on the way */
}

static const struct fri_lane_hooks hooks
    = { .ready = ready, .idle = idle, .stop = stop };

/* Takes the task out of the book; false: it is not there. */
static bool strike(struct worker *x, int task)
{
    for (int i = 0; i < x->handed_count; i++) {
        if (x->handed[i] != task)
            continue;
        memmove(x->handed + i, x->handed + i + 1,
                (size_t)(--x->handed_count - i) * sizeof *x->handed);
        return true;
    }
    return false;
}

static void end(struct worker *x, int task, frun_status status)
{
    struct fri_data outcome = { .holds = FRI_NOTHING };

    if (!strike(x, task)) { /* what a pool that knows better throws away */
        want(w.plant != SOUND, "came from one that did not have it", task);
        return;
    }
    if (status != FRUN_OK) {
        outcome.holds = FRI_ERROR;
        outcome.error = fri_error_new(&memory, status, NULL, NULL, NULL);
    }
    fri_sched_finish(w.jobs[task].f, &outcome, w.now);
}

static void give_back(struct worker *x, int task)
{
    if (strike(x, task))
        fri_sched_return(w.jobs[task].f);
}

static bool read_one(struct worker *x)
{
    struct frame frame = x->out[0];

    if (x->out_count == 0)
        return false;
    memmove(x->out, x->out + 1, (size_t)--x->out_count * sizeof *x->out);
    if (frame.what == REFUSED)
        give_back(x, frame.task);
    else
        end(x, frame.task, frame.what == GOOD ? FRUN_OK : FRUN_ERROR);
    return true;
}

static bool hand(struct worker *x)
{
    struct fri_slice slices[QUEUE];
    size_t room = (size_t)(w.batch - x->handed_count), n;

    if (x->handed_count >= w.batch)
        return false;
    n = fri_sched_take(&w.lane, room, slices);
    for (size_t i = 0; i < n; i++) {
        int task = (int)slices[i].task->id - 1;

        want(!is_handed(task), "was handed out twice", task);
        check_order(task);
        x->handed[x->handed_count++] = task;
        x->in[x->in_count++] = task;
    }
    return n > 0;
}

static bool begin(struct worker *x)
{
    int task = x->in[0];

    if (!x->alive || x->running >= 0 || x->in_count == 0)
        return false;
    memmove(x->in, x->in + 1, (size_t)--x->in_count * sizeof *x->in);
    if (!fri_task_begin(w.jobs[task].f, 1, w.now)) {
        x->out[x->out_count++] = (struct frame){ task, REFUSED };
        return true;
    }
    w.jobs[task].executions++;
    x->running = task;
    check_begun(task, (int)(x - w.workers));
    return true;
}

static bool finish(struct worker *x, enum what what)
{
    if (!x->alive || x->running < 0)
        return false;
    w.jobs[x->running].wrote = what == GOOD;
    w.jobs[x->running].errors += what == BAD;
    x->out[x->out_count++] = (struct frame){ x->running, what };
    x->running = -1;
    return true;
}

/* Sound: what is begun here and was not read to have ended runs still. */
static void settle(struct worker *x)
{
    for (int i = x->handed_count - 1; i >= 0; i--) {
        int task = x->handed[i];

        if (fri_state(w.jobs[task].f) == FRI_RUNNING)
            end(x, task, FRUN_ECRASHED);
    }
    while (x->handed_count > 0)
        give_back(x, x->handed[0]);
}

static bool reap(struct worker *x)
{
    if (x->alive)
        return false;
    if (w.plant != DEATH_BEFORE_DRAIN)
        while (read_one(x))
            ;
    settle(x);
    while (read_one(x))
        ;
    if (w.plant != INHERITED_CHANNEL)
        x->in_count = 0;
    x->running = -1;
    x->alive = true; /* the replacement */
    return true;
}

static bool cancel(int i)
{
    if (i >= w.job_count || w.jobs[i].asked || final(i))
        return false;
    w.jobs[i].asked = true;
    w.jobs[i].promised = fri_sched_cancel(w.jobs[i].f, NULL);
    return true;
}

static void pass_time(fri_time seconds)
{
    w.now += seconds * FRI_SECOND;
    fri_sched_tick(&w.sched);
}

/* ---- worlds ------------------------------------------------------------ */

static void submit(struct job j)
{
    struct frun_future *deps[DEPS];
    frun_limit *limit = (frun_limit *)(void *)w.limit;
    int need = (int)j.need;
    frun_policy p = { .priority = j.priority, .retries = j.retries,
                      .limits = &limit, .limit_needs = &need,
                      .limit_count = need > 0 };
    struct fri_spec *spec;

    p.backoff = j.backoff ? HOLD_OFF : 0;
    spec = fri_spec_new(&w.lane, &p);
    if (j.grouped) {
        atomic_fetch_add(&w.group->refs, 1);
        spec->group = w.group;
    }
    j.f = fri_task_new(&w.sched, spec);
    fri_spec_unref(spec);
    for (int i = 0; i < j.dep_count; i++)
        deps[i] = w.jobs[j.deps[i]].f;
    if (j.dep_count)
        fri_task_after(j.f, deps, (size_t)j.dep_count);
    w.jobs[w.job_count++] = j;
    fri_sched_submit(j.f, true);
}

static void open_world(enum plant plant, int workers, int batch)
{
    bool clash;

    memset(&w, 0, sizeof w);
    w.plant = plant;
    w.now = FRI_SECOND;
    w.worker_count = workers;
    w.batch = batch;
    fri_sched_init(&w.sched, &memory, the_clock, NULL);
    fri_lane_init(&w.lane, &w.sched, &hooks, (unsigned)workers);
    w.observer.event = on_event;
    w.sched.observers = &w.observer;
    w.limit = fri_limit_get(&w.sched, NULL, SEATS, &clash);
    for (int k = 0; k < workers; k++)
        w.workers[k] = (struct worker){ .alive = true, .running = -1 };
}

static bool work_on(struct worker *x)
{
    bool any = reap(x);

    while (read_one(x))
        any = true;
    any = hand(x) || any;
    any = begin(x) || any;
    check();
    return finish(x, GOOD) || any;
}

/* All that is left is done, and nobody dies any more. */
static void run_down(void)
{
    for (int round = 0; round < 400; round++) {
        bool any = false;

        for (int k = 0; k < w.worker_count; k++)
            any = work_on(&w.workers[k]) || any;
        check();
        if (!any && !w.sched.timers.first)
            break;
        if (!any)
            pass_time(HOLD_OFF * 8);
    }
    for (int i = 0; i < w.job_count; i++)
        check_end(i);
}

static void close_world(void)
{
    run_down();
    for (int i = 0; i < w.job_count; i++)
        fri_future_unref(w.jobs[i].f);
    want(fri_sched_alive(&w.sched) == 0, "leaves a record", -1);
    want(w.lane.unfinished == 0 && atomic_load(&w.lane.ready) == 0,
         "is counted for ever", -1);
    fri_lane_free(&w.lane);
    fri_group_unref(w.group);
    fri_handle_unref(&w.limit->handle);
    fri_sched_free(&w.sched);
    want(!blocks, "leaves memory", -1);
}

/* ---- random schedules --------------------------------------------------- */

static void submit_any(void)
{
    static const double priorities[] = { 0, 0, 0, 1, -1 };
    struct job j = { .retries = (int)below(3), .backoff = below(2) };

    if (w.job_count == TASKS)
        return;
    j.priority = priorities[below(5)];
    j.grouped = w.group && below(2);
    j.need = below(3) == 0 ? 1 + below(SEATS) : 0;
    if (w.job_count && below(3) == 0)
        j.deps[j.dep_count++] = (int)below((unsigned)w.job_count);
    submit(j);
}

static void do_something(void)
{
    struct worker *x = &w.workers[below((unsigned)w.worker_count)];
    unsigned what = below(100);

    if (what < 15)
        submit_any();
    else if (what < 35)
        hand(x);
    else if (what < 53)
        begin(x);
    else if (what < 66)
        finish(x, GOOD);
    else if (what < 70)
        finish(x, BAD);
    else if (what < 84)
        read_one(x);
    else if (what < 89 && x->alive)
        die(x);
    else if (what < 95)
        reap(x);
    else if (what < 97 && w.job_count)
        cancel((int)below((unsigned)w.job_count));
    else
        pass_time(below(HOLD_OFF + 2));
}

/* False: something is wrong (`violation`). */
static bool random_world(uint64_t seed, enum plant plant)
{
    static const char *const rules[]
        = { "never", "soon,fail=1", "now,fail=2", "now,success=2" };

    if (setjmp(violated)) {
        drop_blocks();
        return false;
    }
    random_state = seed;
    open_world(plant, 1 + (int)below(WORKERS), 1 + (int)below(4));
    w.group = fri_group_new(&memory, rules[below(4)], TASKS);
    for (int step = 0; step < 150; step++) {
        do_something();
        check();
    }
    close_world();
    return true;
}

static void sound(uint64_t seed)
{
    ck_assert_msg(random_world(seed, SOUND), "FLOWRUN_SEED=%llu: %s",
                  (unsigned long long)seed, violation);
}

/* The first thousand are always the same. */
START_TEST(random_schedules)
{
    const char *given = getenv("FLOWRUN_SEED");
    const char *many = getenv("FLOWRUN_SCHEDULES");
    uint64_t count = many ? strtoull(many, NULL, 10) : 2000;
    uint64_t first = (uint64_t)time(NULL) * 1000003u;

    if (given)
        sound(strtoull(given, NULL, 10));
    for (uint64_t i = 1; !given && i <= count; i++)
        sound(i <= 1000 ? i : first + i);
}
END_TEST

static int found(enum plant plant)
{
    int n = 0;

    for (uint64_t i = 1; i <= 300; i++)
        n += !random_world(i, plant);
    return n;
}

START_TEST(random_schedules_find_planted_faults)
{
    ck_assert_int_gt(found(DEATH_BEFORE_DRAIN), 10);
    ck_assert_int_gt(found(INHERITED_CHANNEL), 10);
    ck_assert_int_eq(found(SOUND), 0);
}
END_TEST

/* ---- all schedules of three tasks --------------------------------------- */

enum { OPS = 18, DEEP = 40, DEATHS = 2, CANCELS = 1 };

static void submit_three(int kind)
{
    struct job a = { .retries = 1 }, b = { .retries = 0 }, c = { .need = 0 };

    if (kind == 1) { /* the last waits for the first; seats for two of them */
        a.need = b.need = 2;
        c.dep_count = 1;
    }
    c.priority = 1;
    submit(a);
    submit(b);
    submit(c);
}

static bool may_die(struct worker *x)
{
    if (!x->alive || w.deaths == DEATHS)
        return false;
    w.deaths++;
    die(x);
    return true;
}

static bool may_cancel(int i)
{
    return w.cancels < CANCELS && cancel(i) && ++w.cancels;
}

static bool apply(int op)
{
    struct worker *x = &w.workers[op & 1];

    switch (op >> 1) {
    case 0: return hand(x);
    case 1: return begin(x);
    case 2: return finish(x, GOOD);
    case 3: return read_one(x);
    case 4: return reap(x);
    case 5: return may_die(x);
    case 6: return may_cancel(op & 1);
    case 7: return op & 1 ? false : may_cancel(2);
    default: return finish(x, BAD);
    }
}

/* States that were seen: 0 is none. */
enum { TABLE = 1 << 22 };
static uint64_t *seen;

static uint64_t mix(uint64_t h, uint64_t x)
{
    h = (h ^ x) * UINT64_C(0x9e3779b97f4a7c15);
    return h ^ (h >> 29);
}

static uint64_t digest(void)
{
    uint64_t h = (uint64_t)(w.deaths * 4 + w.cancels + 1);

    for (int i = 0; i < w.job_count; i++) {
        const struct job *j = &w.jobs[i];

        int counts = j->executions + 8 * (j->died + 8 * (j->errors
                     + 8 * (j->retried + 8 * j->finished)));
        int flags = j->wrote + 2 * j->asked
                    + 4 * atomic_load(&j->f->stopping);

        h = mix(h, (uint64_t)fri_state(j->f));
        h = mix(h, (uint64_t)counts * 16 + (uint64_t)flags);
    }
    for (int k = 0; k < w.worker_count; k++) {
        const struct worker *x = &w.workers[k];

        h = mix(h, (uint64_t)(x->alive + 2 * (x->running + 1)));
        for (int i = 0; i < x->in_count; i++)
            h = mix(h, (uint64_t)x->in[i] + 8);
        for (int i = 0; i < x->out_count; i++)
            h = mix(h, (uint64_t)(x->out[i].task + 16
                                  + 4 * (int)x->out[i].what));
        for (int i = 0; i < x->handed_count; i++)
            h = mix(h, (uint64_t)x->handed[i] + 64);
    }
    h = mix(h, atomic_load(&w.lane.ready) * 4 + w.limit->waiting.count);
    return h | 1;
}

static bool is_new(uint64_t h)
{
    size_t at = (size_t)(h >> 20) % TABLE;

    for (; seen[at]; at = (at + 1) % TABLE)
        if (seen[at] == h)
            return false;
    seen[at] = h;
    return true;
}

static int kind_now;
static enum plant plant_now;
static long states, wrong;

/* Plays the steps; the last may not be possible, or lead nowhere new.  Else
 * the world must come to a good end from there. */
static bool replay(const int *ops, int n)
{
    if (setjmp(violated)) {
        drop_blocks();
        wrong++;
        return false;
    }
    open_world(plant_now, 2, 2);
    submit_three(kind_now);
    for (int i = 0; i < n; i++) {
        if (apply(ops[i]))
            continue;
        drop_blocks();
        return false;
    }
    check();
    if (is_new(digest())) {
        close_world();
        return true;
    }
    drop_blocks();
    return false;
}

static void explore(int *ops, int n)
{
    for (int op = 0; n < DEEP && op < OPS; op++) {
        ops[n] = op;
        if (!replay(ops, n + 1))
            continue;
        states++;
        explore(ops, n + 1);
        if (plant_now != SOUND && wrong > 0)
            return;
    }
}

static void explore_all(enum plant plant, int kind)
{
    int ops[DEEP];

    seen = calloc(TABLE, sizeof *seen);
    plant_now = plant;
    kind_now = kind;
    states = wrong = 0;
    explore(ops, 0);
    free(seen);
}

START_TEST(all_schedules_of_three_tasks)
{
    for (int kind = 0; kind < 2; kind++) {
        explore_all(SOUND, kind);
        ck_assert_msg(wrong == 0, "kind %d: %s", kind, violation);
        ck_assert_int_gt(states, 10000);
    }
}
END_TEST

START_TEST(all_schedules_find_planted_faults)
{
    for (int kind = 0; kind < 2; kind++) {
        explore_all(DEATH_BEFORE_DRAIN, kind);
        ck_assert_int_gt(wrong, 0);
        explore_all(INHERITED_CHANNEL, kind);
        ck_assert_int_gt(wrong, 0);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        random_schedules,
        random_schedules_find_planted_faults,
        all_schedules_of_three_tasks,
        all_schedules_find_planted_faults,
    };

    return unit_run("model", tests, COUNT(tests));
}
