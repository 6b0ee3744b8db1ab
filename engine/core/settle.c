/*
 * settle.c - how a task ends.
 *
 * Rule 3 of scheduler.h: what fails because of a task that is being settled
 * is put on a list (by its `next`: it is in no queue) and worked off after
 * it.  Until then its state is not final, but its `unmet` is 0, which keeps
 * other dependencies from ending it again.
 */
#include "core/settle.h"

#include "core/deadlock.h"
#include "core/journal.h"
#include "core/range.h"
#include "core/shared.h"

void fri_observer_add(struct fri_sched *s, struct fri_observer *o)
{
    o->next = s->observers;
    s->observers = o;
    s->starts_wanted += fri_observer_wants(o, FRI_STARTED);
}

void fri_observer_remove(struct fri_sched *s, struct fri_observer *o)
{
    struct fri_observer **at = &s->observers;

    while (*at && *at != o)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = o->next;
    s->starts_wanted -= fri_observer_wants(o, FRI_STARTED);
}

void fri_sched_observe(struct fri_sched *s, enum fri_event event,
                       struct frun_future *task, fri_time now)
{
    for (struct fri_observer *o = s->observers; o; o = o->next)
        if (fri_observer_wants(o, event) && !task->spec->lane->hidden)
            o->event(o, event, task, now);
}

void fri_sched_ran(struct frun_future *task, const struct fri_ran_slice *ran)
{
    struct fri_sched *s = task->spec->lane->sched;

    if (!s->observers)
        return;
    s->ran = ran;
    fri_sched_observe(s, FRI_RAN, task, ran->ended);
    s->ran = NULL;
}

void fri_sched_name_error(struct frun_future *task, struct fri_error *error)
{
    char text[32];
    const struct fri_memory *m = task->spec->lane->sched->memory;

    if (!error || error->task || task->spec->lane->hidden)
        return;
    error->task = fri_strdup(m, fri_task_name(task, text));
    if (!error->pool)
        error->pool = fri_strdup(m, task->spec->lane->name);
    error->public.task = error->task;
    error->public.attempts = task->attempts;
    if (error->number_key || error->key)
        return;
    if (task->key_kind == FRI_KEY_NUMBER) {
        error->number_key = true;
        error->key_number = task->key.number;
    } else if (task->key_kind == FRI_KEY_MESSAGE) {
        error->key = fri_message_ref(task->key.message);
    }
}

void fri_lane_count(struct fri_lane *lane, enum fri_task_state state,
                    uint64_t items)
{
    if (state == FRI_DONE)
        lane->done += items;
    else if (state == FRI_CANCELLED)
        lane->cancelled += items;
    else
        lane->failed += items;
    lane->unfinished -= items;
    lane->sched->unfinished -= items;
}

/* The engine's reference goes now, or when the task is met in its queue.  It
 * may have stood in the way of others at a limit. */
static void let_go(struct frun_future *task)
{
    struct fri_spec *spec = task->spec;
    bool limits = spec->need_count > 0;

    if (limits)
        atomic_fetch_add_explicit(&spec->refs, 1, memory_order_relaxed);
    if (!task->queued)
        fri_future_unref(task);
    if (!limits)
        return;
    fri_limits_kick(spec);
    fri_spec_unref(spec);
}

static void count_one(struct frun_future *task, enum fri_task_state state)
{
    fri_lane_count(task->spec->lane, state, 1);
    if (task->spec->group || task->spec->lane->sched->run)
        fri_halt_count(task, state, 1,
                       task->holds == FRI_ERROR ? task->data.error : NULL);
}

static void settle_one(struct fri_sched *s, struct frun_future *task)
{
    struct fri_lane *lane = task->spec->lane;
    struct fri_extra *x = task->extra;
    enum fri_task_state state = task->goal;

    fri_shared_leave(task);
    if (x) {
        fri_retry_stop(s, x->retry);
        fri_attempt_end(task);
    }
    if (!task->finished)
        task->finished = fri_sched_now(s);
    if (!task->counted)
        count_one(task, state);
    atomic_store_explicit(&task->state, task->goal, memory_order_release);
    if (s->observers)
        fri_sched_observe(s, FRI_FINISHED, task, task->finished);
    if (x) /* after it: observers see what it has waited for */
        fri_task_drop_after(task);
    if (x && x->keep)
        fri_keep_final(task);
    if (task->waiters)
        fri_waiters_fire(&task->waiters);
    fri_waits_note(s);
    let_go(task);
    if (lane->unfinished == 0 && lane->hooks && lane->hooks->idle)
        lane->hooks->idle(lane);
}

/* ---- lanes that are called when all is in order ----------------------- */

void fri_sched_later(struct fri_lane *lane)
{
    struct fri_sched *s = lane->sched;

    if (s->in_finish == 0) {
        lane->hooks->call(lane);
    } else if (!lane->is_later) {
        lane->is_later = true;
        lane->next_later = s->later;
        s->later = lane;
    }
}

void fri_sched_enter(struct fri_sched *s)
{
    s->in_finish++;
}

void fri_sched_leave(struct fri_sched *s)
{
    struct fri_lane *lane;

    if (--s->in_finish > 0)
        return;
    while ((lane = s->later) != NULL) {
        s->later = lane->next_later;
        lane->is_later = false;
        lane->hooks->call(lane);
    }
}

/* ---- settling --------------------------------------------------------- */

void fri_sched_settle(struct frun_future *task, enum fri_task_state state)
{
    struct fri_sched *s = task->spec->lane->sched;

    task->goal = (uint8_t)(state & 7);
    if (task->extra && task->extra->keep && fri_keep_holds(task))
        return;
    /* What is final may stay in its queue, but it is not yet: it needs its
     * link here, and a range has none of its items any more. */
    if (task->queued && (s->in_settle || task->counted))
        fri_lane_remove(task->spec->lane, task);
    if (s->in_settle) {
        task->next = NULL;
        *s->settling_end = task;
        s->settling_end = &task->next;
        return;
    }
    s->in_settle = true;
    fri_sched_enter(s);
    settle_one(s, task);
    while ((task = s->settling) != NULL) {
        s->settling = task->next;
        if (!s->settling)
            s->settling_end = &s->settling;
        settle_one(s, task);
    }
    s->in_settle = false;
    if (s->halting)
        fri_halt_apply(s);
    fri_sched_leave(s);
}

void fri_sched_settle_with(struct frun_future *task, enum fri_task_state state,
                           struct fri_data *outcome)
{
    if (outcome->holds == FRI_ERROR)
        fri_sched_name_error(task, outcome->error);
    if (state == FRI_FAILED && task->spec->lane->sched->observers)
        fri_sched_observe(task->spec->lane->sched, FRI_FAILING, task,
                          task->finished);
    fri_task_put(task, outcome);
    fri_sched_settle(task, state);
}

void fri_sched_fail(struct frun_future *task, enum fri_task_state state,
                    struct fri_error *error)
{
    struct fri_data outcome = { .error = error, .holds = FRI_ERROR };

    if (task->holds == FRI_RANGE)
        fri_range_end(task, state, error,
                      fri_sched_now(task->spec->lane->sched));
    else
        fri_sched_settle_with(task, state, &outcome);
}

void fri_sched_no_memory(struct frun_future *task)
{
    task->queued = 0;
    fri_sched_fail(task, FRI_FAILED, NULL);
}

void fri_sched_adopt(struct frun_future *task)
{
    struct fri_lane *lane = task->spec->lane;
    struct fri_sched *s = lane->sched;

    fri_future_ref(task);
    task->submitted = fri_sched_now(s);
    atomic_store(&task->started, task->submitted);
    lane->unfinished++;
    s->unfinished++;
    atomic_store_explicit(&task->state, FRI_RUNNING, memory_order_release);
    if (s->observers)
        fri_sched_observe(s, FRI_SUBMITTED, task, task->submitted);
}

void fri_sched_settle_now(struct frun_future *task, struct fri_data *outcome)
{
    enum fri_task_state state = FRI_DONE;

    if (outcome->holds == FRI_ERROR)
        state = outcome->error
                        && outcome->error->public.status == FRUN_ECANCELLED
                    ? FRI_CANCELLED
                    : FRI_FAILED;
    fri_sched_settle_with(task, state, outcome);
}
