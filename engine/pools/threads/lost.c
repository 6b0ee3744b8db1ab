/*
 * lost.c - giving up a thread that cannot be stopped: rules 2 and 4 of stop.c.
 *
 * What it runs is settled without it, what its hand holds unbegun goes back,
 * tasks that wait in its state have lost their worker, and another thread
 * takes its place; but for `workers` of them only, then the pool is broken.
 */
#include "pools/threads/threads.h"

#include "data/value.h"

static frun_engine *engine_of(const struct fri_thread *t)
{
    return t->worker.pool->engine;
}

/* What the task was called with stays for the lost thread; a next attempt has
 * its own.  False: out of memory. */
static bool keep_arguments(struct fri_thread *t, struct frun_future *task)
{
    if (task->holds == FRI_MESSAGE) {
        t->arguments.message = fri_message_ref(task->data.message);
    } else if (task->holds == FRI_VALUE) {
        frun_value *copy = fri_value_copy(&engine_of(t)->memory,
                                          task->data.value);

        if (!copy)
            return false;
        t->arguments.value = task->data.value;
        task->data.value = copy;
    } else {
        return true;
    }
    t->arguments.holds = task->holds;
    return true;
}

static void unlist(struct fri_thread *t)
{
    struct fri_thread **at = &t->threads->all;

    while (*at != t)
        at = &(*at)->next;
    *at = t->next;
}

static void leave_books(struct fri_thread *t)
{
    struct fri_threads *ts = t->threads;
    frun_engine *e = engine_of(t);

    fri_hand_publish(t);
    fri_hand_reclaim(t);
    fri_thread_set_stuck(t, false);
    if (t->blocked) {
        t->blocked = false;
        ts->blocked--;
        e->busy++;
    }
    if (t->busy) {
        t->busy = false;
        ts->active--;
        e->busy--;
    }
    unlist(t);
    ts->alive--;
}

/* A task that waits in the state of a thread that was given up. */
static void crash(struct fri_threads *ts, struct fri_resumable *r,
                  fri_time now)
{
    struct frun_future *task = r->slice.task;
    struct fri_slice none = { task, r->slice.first, r->slice.first };
    struct fri_data outcome = { .holds = FRI_ERROR };

    fri_run_unlink(r);
    ts->suspended--;
    ts->resumed -= r->queued;
    if (r->set)
        fri_set_disarm(r->set);
    outcome.error = fri_error_new(&ts->pool->engine->memory, FRUN_ECRASHED,
                                  "its worker was given up while it waited",
                                  NULL, NULL);
    if (task->counted)
        fri_sched_finish_slice(&none, true, outcome.error, now);
    else
        fri_sched_finish(task, &outcome, now);
}

static void forget_orphans(struct fri_thread *t)
{
    for (struct fri_resumable *r = t->resumed; r; r = r->next) {
        if (!r->kept)
            continue;
        t->threads->suspended--;
        t->threads->resumed--;
        fri_future_unref(r->kept);
        r->kept = NULL;
    }
}

/* Without a set it has nothing in the thread's state (bare.c): another can go
 * on with it, if there is one. */
static bool move(struct fri_threads *ts, struct fri_resumable *r)
{
    bool queued = r->queued;

    if (r->set || !ts->all)
        return false;
    r->worker = &ts->all->worker;
    if (queued) {
        ts->resumed--;
        fri_worker_resume(r);
    }
    return true;
}

static void crash_waiting(struct fri_thread *t, fri_time now)
{
    struct fri_resumable *r = t->threads->waiting, *after;

    forget_orphans(t);
    for (; r; r = after) {
        after = r->after;
        if (r->worker == &t->worker && !move(t->threads, r))
            crash(t->threads, r, now);
    }
}

static void count_lost(struct fri_thread *t)
{
    frun_pool *pool = t->worker.pool;

    engine_of(t)->lost = true;
    if (pool->lane.lost < t->threads->most) {
        pool->lane.lost++;
        return;
    }
    fri_threads_break(t->threads,
                      fri_error_format(&pool->engine->memory, FRUN_ERESOURCE,
                                       "%s: more than %u threads could not be "
                                       "stopped",
                                       pool->name, t->threads->most));
}

void fri_thread_give_up(struct fri_thread *t, fri_time now)
{
    struct fri_threads *ts = t->threads;
    frun_pool *pool = t->worker.pool;
    struct frun_future *task = atomic_load(&t->run.task);
    uint64_t number = atomic_load(&t->run.wanted);

    atomic_load_explicit(&t->run.entered, memory_order_acquire);
    if (!keep_arguments(t, task)) {
        fri_run_timer(t, now);
        return;
    }
    if (!atomic_compare_exchange_strong(&t->run.number, &number, FRI_LOST)) {
        fri_data_free(&t->arguments);
        return;
    }
    t->lost = true;
    t->kept = fri_future_ref(task);
    fri_lane_hold(&pool->lane);
    atomic_fetch_add(&pool->engine->refs, 1);
    fri_run_interrupt(t, true);
    pthread_detach(t->id);
    leave_books(t);
    count_lost(t);
    crash_waiting(t, now);
    fri_run_finish_without(&t->hand.done[atomic_load(&t->hand.finished)].slice,
                   atomic_load(&t->run.why), now);
    fri_threads_call(ts, true);
    fri_threads_call_resumed(ts);
    if (ts->alive == 0 && !pool->gone && fri_pool_over(pool))
        fri_pool_gone(pool);
}

/* The engine's last words may have been said: then the state stays. */
void fri_thread_end_lost(struct fri_thread *t)
{
    frun_pool *pool = t->worker.pool;
    frun_engine *e = pool->engine;
    struct fri_done *d = &t->hand.done[atomic_load(&t->hand.finished)];

    if (!d->slice.task->counted)
        fri_data_free(&d->ran.outcome);
    if (t->worker.state && !atomic_load(&e->closed))
        e->runner->close(t->worker.state);
    fri_data_free(&t->arguments);
    fri_future_unref(t->kept);
    fri_thread_free(t);
    fri_lane_release(&pool->lane);
    fri_engine_unref(e);
}
