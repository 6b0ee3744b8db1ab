/*
 * scheduler.h - which task runs next, and what becomes of it.
 *
 * A state machine without threads: whoever holds the engine's lock calls it,
 * its clock and the starting of work are injected (fri_lane_hooks), so a test
 * drives it with a clock of its own.
 *
 *     NEW -> WAITING (dependencies) -> PENDING -> RUNNING -> final
 *            ^------------- retry -----------------'
 *
 * Rules.
 *  1. Everything here is under the engine's lock, except fri_task_begin and
 *     the freeing of records.
 *  2. Nothing here calls out but hooks, observers and wakes; they are called
 *     under the lock, must be short, and must not call back, but that
 *     hooks->ready may break its lane.
 *  3. Settling never recurses: a chain of 100,000 dependants that fail is
 *     worked off from a list.
 *  4. A task is in one queue at most: its lane's, or its limit's.  Cancelled
 *     tasks stay in a queue until they are met there.
 *  5. The order is: higher priority, then smaller id; also for tasks that
 *     come back from a limit or a retry.
 */
#ifndef FRI_SCHEDULER_H
#define FRI_SCHEDULER_H

#include "core/task.h"
#include "core/timer.h"
#include "core/wait.h"

struct fri_group;
struct fri_lane;
struct fri_limit;
struct fri_seats;

enum fri_event {
    FRI_SUBMITTED,
    FRI_STARTED,
    FRI_RETRIED, /* an attempt failed and will be made again */
    FRI_RAN,     /* items of a range were run: see fri_sched.ran */
    FRI_FAILING, /* is about to have failed: it still has its arguments */
    FRI_FINISHED
};

/* What is told with FRI_RAN. */
struct fri_ran_slice {
    const struct fri_slice *slice; /* the items that are done */
    bool failed;                   /* the one behind them is not */
    const struct fri_error *failure; /* why; NULL: out of memory */
    unsigned worker;
    fri_time began, ended;
};

/* Somebody who watches: report, progress, journal.  Called under the lock. */
struct fri_observer {
    struct fri_observer *next;
    unsigned wants; /* bits 1u << event; 0: all */
    void (*event)(struct fri_observer *o, enum fri_event event,
                  struct frun_future *task, fri_time now);
};

/* Does o want to know of such events? */
static inline bool fri_observer_wants(const struct fri_observer *o,
                                      enum fri_event event)
{
    return o->wants == 0 || (o->wants >> event & 1u);
}

struct fri_sched {
    const struct fri_memory *memory;
    fri_time (*clock)(void *user);
    void *clock_user;
    fri_time epoch; /* what infos count from */
    struct fri_timers timers;
    bool dry;    /* no task is ever handed out */
    bool paused; /* the run is stopped: no timer fires, see pools/pause.c */
    struct fri_observer *observers;    /* see fri_observer_add */
    _Atomic unsigned starts_wanted;    /* how many of them want FRI_STARTED */
    const struct fri_ran_slice *ran;   /* of the event FRI_RAN */
    const struct fri_error *retried;   /* of FRI_RETRIED: why, or NULL */
    unsigned recorded; /* observers to whom every task is to be shown: none
                          is run past the scheduler */
    struct frun_future *free;              /* records to use again */
    _Atomic(struct frun_future *) dropped; /* freed without the lock */
    struct fri_slab *slabs;
    struct frun_future *settling, **settling_end;
    bool in_settle;
    void (*freed)(void *user); /* a record was freed; any thread, no lock */
    void (*timer_set)(void *user, fri_time deadline); /* lock held */
    void *user;
    struct fri_limit *limits; /* the named ones */
    struct fri_holder *holders; /* those that hold or wait: shared.h */
    struct fri_waits waits;
    uint64_t unfinished; /* of all lanes */
    struct fri_group *run;     /* all tasks of the run, or NULL */
    struct fri_group *ending;  /* why the run ends; NULL: it does not */
    struct fri_group *halting; /* tripped, their tasks not stopped yet */
    bool in_halt;
    unsigned in_finish;      /* attempts end: see fri_sched_later */
    struct fri_lane *later;  /* to be called then */
    uint64_t last_id;
    _Atomic uint64_t last_spec; /* any thread */
};

/* How a pool learns that there is work for it. */
struct fri_lane_hooks {
    /* `count` more tasks are ready. */
    void (*ready)(struct fri_lane *lane, size_t count);
    /* The last pending task is final. */
    void (*idle)(struct fri_lane *lane);
    /* A task that runs is to stop, why: FRUN_ECANCELLED or FRUN_ETIMEOUT.
     * True: the pool sees to it, and the outcome will be that whatever it
     * comes to (it is not called again for this attempt); false: it cannot
     * be stopped, or has ended and only its outcome is still on the way.
     * Of a range (once, when it ends early): every slice that is out is to
     * come back soon; what it gives back does not matter. */
    bool (*stop)(struct fri_lane *lane, struct frun_future *task,
                 frun_status why);
    /* A spec needs the lane to stay, and does so no more.  Any thread, no
     * lock. */
    void (*hold)(struct fri_lane *lane);
    void (*release)(struct fri_lane *lane);
    /* An attempt of the task is at its end, or it was taken and comes back
     * unbegun: what it had of the lane is free.  May be NULL. */
    void (*left)(struct fri_lane *lane, struct frun_future *task);
    /* See fri_sched_later; NULL in lanes that are never given to it. */
    void (*call)(struct fri_lane *lane);
};

/* The scheduler's part of a pool. */
struct fri_lane {
    struct fri_sched *sched;
    const struct fri_lane_hooks *hooks;
    const char *name;
    struct fri_first *init; /* NULL: none that is part of keys */
    struct frun_future *first, **last; /* priority 0, in the order of ids */
    uint64_t last_id;                  /* of the list's last */
    struct fri_heap {                  /* all others */
        struct frun_future **tasks;
        size_t count, capacity;
    } heap;
    atomic_size_t ready; /* tasks and unbegun ranges in the queue */
    uint64_t unfinished; /* submitted and not final */
    uint64_t dead;       /* of these: deadlock.c */
    uint64_t done, failed, cancelled, retried, lost;
    uint64_t held;     /* have ended, but for what is tied to them */
    uint64_t crashed; /* attempts that ended so, also if they were retried */
    uint32_t task_ns;    /* mean time of a task lately, 0: not known */
    unsigned workers;    /* how many run at once, for the size of chunks */
    bool remote;         /* of a worker process: its tasks run elsewhere */
    bool hidden;         /* its tasks are nobody's: not observed, not named */
    bool is_later;       /* in sched->later, by next_later */
    struct fri_lane *next_later;
    bool closed;         /* takes no more tasks */
    bool broken;         /* no worker can be had: all tasks fail with `why` */
    bool failed_once;    /* that was so once */
    struct fri_error *why; /* NULL: out of memory */
};

/* Lock held. */
void fri_observer_add(struct fri_sched *s, struct fri_observer *o);
void fri_observer_remove(struct fri_sched *s, struct fri_observer *o);

void fri_sched_init(struct fri_sched *s, const struct fri_memory *m,
                    fri_time (*clock)(void *user), void *user);
void fri_sched_free(struct fri_sched *s);

/* Records that somebody still holds. */
uint64_t fri_sched_alive(struct fri_sched *s);

void fri_lane_init(struct fri_lane *lane, struct fri_sched *s,
                   const struct fri_lane_hooks *hooks, unsigned workers);
void fri_lane_free(struct fri_lane *lane);

/* A task has taken so long: into task_ns, the mean. */
void fri_lane_measure(struct fri_lane *lane, fri_time took);

/* Is this a dependency, of w->dependant? */
bool fri_waiter_of_task(const struct fri_waiter *w);

/* A new record of one reference, the caller's; takes a reference of `spec`.
 * The caller fills key, data, extra, then submits or unrefs it. */
struct frun_future *fri_task_new(struct fri_sched *s, struct fri_spec *spec);

/* A spec of one reference with the policy's fields (NULL: defaults). */
struct fri_spec *fri_spec_new(struct fri_lane *lane,
                              const frun_policy *policy);
void fri_spec_unref(struct fri_spec *spec);

/* A policy that owns what it points to (but for `after`, which it has not). */
bool fri_policy_copy(const struct fri_memory *m, frun_policy *to,
                     const frun_policy *from);
void fri_policy_free(const struct fri_memory *m, frun_policy *policy);

/* What few tasks have, made when it is first wanted; NULL: out of memory. */
struct fri_extra *fri_task_extra(struct frun_future *task);

/* Makes `task` wait for n futures, a reference to each taken; before submit.
 * False: out of memory. */
bool fri_task_after(struct frun_future *task,
                    struct frun_future *const *futures, size_t n);

/* Hands the task to its lane; cannot fail.  `tell` false: the caller calls
 * hooks->ready itself, once for many. */
void fri_sched_submit(struct frun_future *task, bool tell);

/* Up to `max` slices for one worker; 0 when nothing can run.  Seats are taken;
 * the state is still PENDING.  What holds seats, has a timeout or a memory
 * cap, is part of a range or of a group that may halt, comes alone. */
size_t fri_sched_take(struct fri_lane *lane, size_t max,
                      struct fri_slice *slices);

/* Without the lock: the worker begins the task now.  False: it was cancelled;
 * the worker leaves it alone. */
bool fri_task_begin(struct frun_future *task, unsigned worker, fri_time now);

/* Its attempt begins: from now its timeout runs, if it has one, until
 * fri_sched_finish or fri_sched_return.  False: out of memory. */
bool fri_attempt_begin(struct frun_future *task, fri_time now);

/* Was it asked to stop by cancel? (A timeout is none.) */
bool fri_attempt_cancelled(const struct frun_future *task);

/* Tells the observers, if there are any, that it has begun. */
void fri_sched_started(struct frun_future *task, fri_time now);

/* The attempt ended, at `now`, with `outcome` (taken); data.error is a
 * failure.  What was promised to be stopped, or ended past its deadline, is
 * cancelled or a timeout instead. */
void fri_sched_finish(struct frun_future *task, struct fri_data *outcome,
                      fri_time now);

/* Items [first, end) of a range are done; `failed`: item `end` is not, for
 * that reason (taken; NULL: out of memory). */
void fri_sched_finish_slice(const struct fri_slice *slice, bool failed,
                            struct fri_error *failure, fri_time now);

/* Tells the observers, if there are any, that a worker has run items; before
 * fri_sched_finish_slice. */
void fri_sched_ran(struct frun_future *task, const struct fri_ran_slice *ran);

/* Items of a slice that were not begun go back into their range. */
void fri_sched_give_back(const struct fri_slice *slice);

/* The same; they are then handed out one by one, to find which of them has
 * killed its worker. */
void fri_sched_give_back_singly(const struct fri_slice *slice);

/* Is it handed out without others, because it holds seats, has a deadline or
 * a cap, or is a range? */
bool fri_task_alone(const struct frun_future *task);

/* Gives back what was taken and not begun; also what fri_task_begin refused. */
void fri_sched_return(struct frun_future *task);

/* Says in an error, still the caller's alone, which task failed. */
void fri_sched_name_error(struct frun_future *task, struct fri_error *error);

/* A task that no lane runs (an async function): it runs from now on, and
 * ends with fri_sched_settle_now. */
void fri_sched_adopt(struct frun_future *task);

void fri_sched_settle_now(struct frun_future *task, struct fri_data *outcome);

/* True if the outcome will be "cancelled".  cause may be NULL. */
bool fri_sched_cancel(struct frun_future *task, struct fri_error *cause);

/* Cancels all of the lane that has not begun, and asks the rest to stop. */
void fri_lane_cancel(struct fri_lane *lane);

/* hooks->call, when nothing is half ended: what is being settled may yet stop
 * the rest of its group.  For lanes whose tasks begin in the hands of whoever
 * makes them ready. */
void fri_sched_later(struct fri_lane *lane);

/* Fails all that has not begun with `error` (taken; NULL: out of memory), and
 * what comes later too.  May be called by hooks->ready. */
void fri_lane_break(struct fri_lane *lane, struct fri_error *error);

/* The same, but what comes later is tried again: what was wanting may have
 * come back. */
void fri_lane_fail(struct fri_lane *lane, struct fri_error *error);

/* Its own copy of the error that broke the lane. */
struct fri_error *fri_lane_broken_error(const struct fri_lane *lane);

/* Lets go of cancelled tasks that stand first in the queue: of all, once the
 * lane is idle. */
void fri_lane_purge(struct fri_lane *lane);

/* Runs timers; the next deadline. */
fri_time fri_sched_tick(struct fri_sched *s);

/* ---- limits (limit.c) ------------------------------------------------- */

struct fri_need {
    struct fri_limit *limit; /* a reference */
    unsigned count;
};

struct fri_limit {
    struct fri_handle handle; /* FRI_HANDLE_LIMIT */
    struct fri_sched *sched;
    struct fri_limit *next; /* among the named */
    char *name;             /* NULL: anonymous */
    unsigned count, used;
    unsigned dead; /* of these: deadlock.c */
    const struct frun_future **seats; /* who sits there, or NULL */
    unsigned places;                  /* of `seats` */
    struct fri_memory memory;
    struct fri_heap waiting;
    struct fri_seats *shared; /* with other runs, or NULL: see sharing.c */
    struct fri_timer timer;   /* shared: looks for free seats */
    fri_time kicked;          /* shared: the last that were seen */
};

/* The limit of that name, or a new one; a reference.  NULL: out of memory, or
 * (*clash true) it is open with another count. */
struct fri_limit *fri_limit_get(struct fri_sched *s, const char *name,
                                unsigned count, bool *clash);

/* The same, shared with other runs: takes `shared`, which must be open. */
struct fri_limit *fri_limit_share(struct fri_sched *s, const char *name,
                                  unsigned count, struct fri_seats *shared);

/* The named limit, or NULL; a reference. */
struct fri_limit *fri_limit_find(struct fri_sched *s, const char *name);

/* All seats of the task, or none: then it waits in the queue of the first
 * limit that is short.  False, too, when it failed instead. */
bool fri_limits_take(struct frun_future *task);
void fri_limits_release(struct frun_future *task);

/* Holds it seats?  They may be given back before the attempt has ended. */
bool fri_limits_held(const struct frun_future *task);

/* The task's first seat of that limit beyond `after` (0: of all), from 1; 0:
 * it holds no more. */
unsigned fri_limit_seat(const struct frun_future *task, const char *name,
                        unsigned after);

/* Sends those that can have seats now back to their lanes, in order. */
void fri_limit_kick(struct fri_limit *limit);
void fri_limits_kick(struct fri_spec *spec); /* all that it needs */
void fri_limits_free(struct fri_sched *s);

/* For limit.c: the task comes back to its lane; it could not be queued. */
void fri_sched_again(struct frun_future *task);
void fri_sched_no_memory(struct frun_future *task);

/* ---- a heap of tasks, best first (queue.c) ---------------------------- */

bool fri_task_before(const struct frun_future *a, const struct frun_future *b);
bool fri_heap_push(const struct fri_memory *m, struct fri_heap *h,
                   struct frun_future *task);
struct frun_future *fri_heap_pop(struct fri_heap *h);
static inline struct frun_future *fri_heap_top(const struct fri_heap *h)
{
    return h->count ? h->tasks[0] : NULL;
}

/* Queueing in a lane; push is false when memory ran out. */
bool fri_lane_push(struct fri_lane *lane, struct frun_future *task);
struct frun_future *fri_lane_best(const struct fri_lane *lane);
void fri_lane_pop(struct fri_lane *lane, struct frun_future *best);

/* Out of the queue, wherever it stands there: takes time. */
void fri_lane_remove(struct fri_lane *lane, struct frun_future *task);

#endif
