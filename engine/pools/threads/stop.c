/*
 * stop.c - stopping what a worker thread runs.
 *
 * Rules.
 *  1. Each run of a task on a thread has a number of its own.  A signal says
 *     nothing by itself: the thread looks whether the run that is going on is
 *     the one that is wanted, so a late one never hits the next task.
 *  2. A run ends once: its thread claims it, or whoever gives the thread up
 *     does (both by a compare-and-swap of its number), before either touches
 *     what belongs to the task.
 *  3. First the task is interrupted once, and its handlers have GRACE; then
 *     every instruction raises, for another GRACE; then, or at once where the
 *     first interrupt has not been felt, the thread is given up.  A task that
 *     waits is interrupted by the end of its wait, and again at each further
 *     one; it keeps the time at which it was first told.  A wait for nothing
 *     but its own commands ends by their end, as they are told to stop, too.
 *  4. A thread that was given up is in no list and joined by nobody.  It holds
 *     its task, its pool and its engine, and lets go of them if it ever comes
 *     back.
 *  5. A task that waits belongs to one thread.  Where that does not get to it
 *     within GRACE, the task ends without it (an orphan), and what is left of
 *     it is undone when the thread comes to it.
 *  6. C functions cannot be interrupted: they are asked; past a timeout their
 *     thread is given up.
 */
#define _GNU_SOURCE
#include "pools/commands/exec.h"
#include "pools/threads/threads.h"

enum { GRACE = 1000000000 }; /* ns */

static frun_engine *engine_of(const struct fri_thread *t)
{
    return t->worker.pool->engine;
}

/* ---- runs ------------------------------------------------------------- */

uint64_t fri_run_begin(struct fri_thread *t, struct frun_future *task)
{
    struct fri_run *run = &t->run;

    run->count++;
    atomic_store_explicit(&run->number, run->count, memory_order_release);
    if (task->counted) /* others run it too: see fri_range_end */
        atomic_store(&run->task, task);
    else
        atomic_store_explicit(&run->task, task, memory_order_release);
    return run->count;
}

bool fri_worker_claim(struct fri_worker *worker)
{
    struct fri_run *run = &fri_thread_of(worker)->run;
    uint64_t number;

    if (worker->ops)
        return true;
    number = run->count;
    return atomic_compare_exchange_strong(&run->number, &number, 0)
           || number == 0;
}

bool fri_worker_suspend(struct fri_worker *worker)
{
    struct fri_run *run = &fri_thread_of(worker)->run;
    uint64_t number;

    if (worker->ops)
        return true;
    number = run->count;
    return atomic_compare_exchange_strong(&run->number, &number, FRI_SUSPENDS);
}

void fri_worker_enter(struct fri_worker *worker)
{
    if (!worker->ops)
        atomic_store_explicit(&fri_thread_of(worker)->run.entered, 1,
                              memory_order_release);
}

bool fri_run_end(struct fri_thread *t)
{
    if (atomic_load(&t->run.number) != FRI_SUSPENDS) {
        if (!fri_worker_claim(&t->worker))
            return false;
        atomic_store_explicit(&t->run.task, NULL, memory_order_release);
    }
    if (t->run.hit) {
        t->run.hit = 0;
        engine_of(t)->runner->calm(t->worker.state);
    }
    return true;
}

/* A lost one that comes back is to end, too. */
static bool is_wanted(const struct fri_run *run)
{
    uint64_t number = atomic_load(&run->number);

    return number != 0
           && (number == atomic_load(&run->wanted) || number == FRI_LOST);
}

static void interrupt_here(struct fri_thread *t)
{
    const struct fri_runner *runner = engine_of(t)->runner;

    if (!runner || !t->worker.state)
        return;
    t->run.hit = 1;
    runner->interrupt(t->worker.state, atomic_load(&t->run.why),
                      atomic_load(&t->run.always));
}

void fri_run_signal(struct fri_thread *t)
{
    if (is_wanted(&t->run))
        interrupt_here(t);
}

void fri_run_interrupt(struct fri_thread *t, bool always)
{
    int number = engine_of(t)->interrupt_signal;

    atomic_store(&t->run.always, always);
    if (number > 0)
        pthread_kill(t->id, number);
}

/* ---- what is stopped -------------------------------------------------- */

static void on_grace(struct fri_timer *timer, fri_time now);

void fri_run_timer(struct fri_thread *t, fri_time now)
{
    frun_engine *e = engine_of(t);

    t->run.timer.fire = on_grace;
    fri_engine_timer(e, &t->run.timer, now + GRACE);
}

void fri_run_unlink(struct fri_resumable *r)
{
    frun_engine *e = r->worker->pool->engine;

    fri_timer_stop(&e->sched.timers, &r->timer);
    if (!r->link)
        return;
    *r->link = r->after;
    if (r->after)
        r->after->link = r->link;
    r->link = NULL;
}

/* What was stopped ends, though it has not come back. */
void fri_run_finish_without(const struct fri_slice *slice, frun_status why,
                           fri_time now)
{
    struct frun_future *task = slice->task;
    struct fri_slice none = { task, slice->first, slice->first };
    struct fri_data outcome = { .holds = FRI_ERROR };

    if (task->counted) {
        fri_sched_finish_slice(&none, false, NULL, now);
        return;
    }
    outcome.error = fri_error_new(task->spec->lane->sched->memory, why, NULL,
                                  NULL, NULL);
    fri_sched_finish(task, &outcome, now);
}

/* ---- interrupting ----------------------------------------------------- */

static void on_grace(struct fri_timer *timer, fri_time now)
{
    struct fri_thread *t = (void *)((char *)timer
                                    - offsetof(struct fri_thread, run.timer));

    if (!is_wanted(&t->run))
        return;
    if (atomic_load(&t->worker.fired) && !atomic_load(&t->run.always)) {
        fri_run_interrupt(t, true);
        fri_run_timer(t, now);
    } else {
        fri_thread_give_up(t, now);
    }
}

static void want(struct fri_thread *t, frun_status why, fri_time since)
{
    struct fri_run *run = &t->run;

    run->since = since;
    atomic_store(&run->why, why);
    atomic_store(&run->always, false);
    atomic_store(&t->worker.fired, false);
    atomic_store(&run->wanted, atomic_load(&run->number));
    fri_run_timer(t, fri_now());
}

static struct fri_error *stop_error(const frun_engine *e, frun_status why)
{
    return fri_error_new(&e->memory, why,
                         why == FRUN_ETIMEOUT ? "timed out" : NULL, NULL,
                         NULL);
}

/* True when it is, or will be, interrupted. */
static bool stop_thread(struct fri_thread *t, struct frun_future *task,
                        frun_status why)
{
    bool native = task->spec->function != NULL;
    uint64_t number = atomic_load(&t->run.number);

    if (atomic_load(&t->run.task) != task || number == 0)
        return false;
    if (number == FRI_SUSPENDS)
        return true; /* see fri_run_suspend */
    if (native && (task->counted || why != FRUN_ETIMEOUT))
        return false;
    if (is_wanted(&t->run))
        return !native;
    want(t, why, fri_now());
    /* It may have gone on to another meanwhile: that number is not wanted. */
    if (atomic_load(&t->run.task) != task) {
        atomic_store(&t->run.wanted, 0);
        return false;
    }
    if (native)
        return false;
    if (fri_worker_raise_blocked(&t->worker,
                                 stop_error(engine_of(t), why)))
        atomic_store(&t->worker.fired, true);
    else
        fri_run_interrupt(t, false);
    return true;
}

/* Rule 5. */
static void on_late(struct fri_timer *timer, fri_time now)
{
    struct fri_resumable *r
        = (void *)((char *)timer - offsetof(struct fri_resumable, timer));

    if (!r->queued)
        fri_worker_raise(r, stop_error(r->worker->pool->engine, r->why));
    r->kept = fri_future_ref(r->slice.task);
    fri_run_unlink(r);
    fri_run_finish_without(&r->slice, r->why, now);
}

static void stop_waiting(struct fri_resumable *r, frun_status why)
{
    frun_engine *e = r->worker->pool->engine;

    if (r->since || !r->set) /* without a set it is no runner's: bare.c */
        return;
    r->since = fri_now();
    r->why = why;
    r->timer.fire = on_late;
    fri_engine_timer(e, &r->timer, r->since + GRACE);
    if (!fri_execs_only(r->set, r->slice.task))
        fri_worker_raise(r, stop_error(e, why));
}

bool fri_threads_stop(struct fri_lane *lane, struct frun_future *task,
                      frun_status why)
{
    struct fri_threads *ts = fri_lane_pool(lane)->state;
    bool stopped = false;

    for (struct fri_thread *t = ts->all; t; t = t->next)
        stopped |= stop_thread(t, task, why);
    for (struct fri_resumable *r = ts->waiting; r; r = r->after) {
        if (r->slice.task != task)
            continue;
        stop_waiting(r, why);
        stopped = true;
    }
    return stopped;
}

/* ---- tasks that wait -------------------------------------------------- */

void fri_worker_raise(struct fri_resumable *r, struct fri_error *error)
{
    fri_error_free(r->error);
    r->error = error;
    r->raised = true;
    if (r->queued)
        return;
    if (r->set)
        fri_set_disarm(r->set);
    fri_worker_resume(r);
}

bool fri_worker_raise_blocked(struct fri_worker *worker,
                              struct fri_error *error)
{
    if (!worker->waiting || worker->raised) {
        fri_error_free(error);
        return worker->waiting;
    }
    fri_error_free(worker->error);
    worker->error = error;
    worker->raised = true;
    if (!worker->ops)
        pthread_cond_signal(&fri_thread_of(worker)->cond);
    return true;
}

void fri_run_block(struct fri_thread *t)
{
    if (!is_wanted(&t->run))
        return;
    fri_worker_raise_blocked(&t->worker,
                             stop_error(engine_of(t),
                                        atomic_load(&t->run.why)));
    atomic_store(&t->worker.fired, true);
}

/* It may have been told to stop on its way here. */
static void stop_late(struct fri_resumable *r)
{
    struct frun_future *task = r->slice.task;
    uint8_t stopping = atomic_load(&task->stopping);

    if (task->counted && atomic_load(&task->data.range->stop))
        stop_waiting(r, FRUN_ECANCELLED);
    else if (!task->counted && fri_attempt_cancelled(task)) {
        stop_waiting(r, FRUN_ECANCELLED);
        if (stopping != FRI_STOPPED)
            fri_sched_cancel(task, NULL);
    } else if (!task->counted && stopping) {
        stop_waiting(r, FRUN_ETIMEOUT);
    }
}

void fri_run_suspend(struct fri_thread *t, struct fri_resumable *r,
                     uint64_t run)
{
    struct fri_resumable **list = &t->threads->waiting;
    uint64_t suspends = FRI_SUSPENDS;

    r->after = *list;
    if (r->after)
        r->after->link = &r->after;
    r->link = list;
    *list = r;
    if (atomic_compare_exchange_strong(&t->run.number, &suspends, 0))
        atomic_store(&t->run.task, NULL);
    if (run != atomic_load(&t->run.wanted)) {
        stop_late(r);
        return;
    }
    r->since = t->run.since;
    r->why = atomic_load(&t->run.why);
    fri_worker_raise(r, stop_error(engine_of(t), r->why));
}

void fri_run_orphan(struct fri_thread *t, struct fri_resumable *r)
{
    atomic_store(&t->run.number, 0);
    fri_run_end(t);
    fri_future_unref(r->kept);
    r->kept = NULL;
}

void fri_run_resume(struct fri_thread *t, struct fri_resumable *r)
{
    fri_time since = r->since;

    fri_run_unlink(r);
    r->queued = false;
    r->since = 0;
    if (r->kept) {
        atomic_store(&t->run.number, FRI_LOST);
        atomic_store(&t->run.task, NULL);
        atomic_store(&t->run.why, r->why);
        atomic_store(&t->run.always, true);
        interrupt_here(t);
        return;
    }
    if (since == 0)
        return;
    want(t, r->why, since);
    atomic_store(&t->worker.fired, true);
    if (fri_now() - since < GRACE)
        return;
    atomic_store(&t->run.always, true);
    interrupt_here(t);
}
