/*
 * wait.h - waiting for futures: one wake for a group, not one per task.
 *
 * A waiter is a link between one future and somebody who wants to know; a
 * set is one wait for any number of futures.  Under the engine's lock, but
 * for `satisfied`, which may be looked at from anywhere; once it is true,
 * `timed_out` may, too.
 *
 * Rules: a waiter fires at most once; a set's wake is called at most once
 * between two arms; a set is torn down (fri_set_close) by its owner before
 * its memory goes, and nothing fires after that.
 */
#ifndef FRI_WAIT_H
#define FRI_WAIT_H

#include "core/task.h"
#include "core/timer.h"

struct frun_engine;
struct fri_error;
struct fri_holder;
struct fri_lane;
struct fri_wait;

struct fri_waiter {
    struct fri_waiter *next, **link; /* in the future's list; link NULL: out */
    struct fri_waiter *after;        /* in the set's fired list */
    struct frun_future *future;      /* a reference, or NULL */
    void (*fire)(struct fri_waiter *waiter);
    union {
        struct fri_set *set;
        struct frun_future *dependant;
    };
};

/* Links the waiter into a list: a future's that is not final, or a pool's. */
void fri_waiter_link(struct fri_waiter *w, struct fri_waiter **list);
void fri_waiter_remove(struct fri_waiter *w);

/* Empties the list, firing each, in the order in which they were linked. */
void fri_waiters_fire(struct fri_waiter **list);

/* One who waits now, as deadlock.c sees it: in sched->waits, from when the
 * wait begins until it ends or may end. */
struct fri_wait {
    struct fri_wait *next, **link; /* link NULL: it is not in the list */
    struct fri_wait *outer;  /* of the same holder: a callback's is inside */
    struct fri_holder *holder; /* who; NULL: not known, and never listed */
    uint64_t since;          /* its number: they come in this order */
    bool owner;              /* it blocks the owner's thread */
    bool ends;               /* time ends it */
    /* Can what it waits for still come? */
    bool (*can)(struct fri_wait *wait);
    /* Ends it by an error (taken); NULL: it cannot be.  False: not just now;
     * the error is freed. */
    bool (*raise)(struct fri_wait *wait, struct fri_error *error);
    /* No future leads to it: what it waits for is looked for by these: the
     * lane that is to be idle, or NULL; a future that is dead. */
    bool odd;
    struct fri_lane *(*lane)(struct fri_wait *wait);
    struct frun_future *(*dead_future)(struct fri_wait *wait);
    /* While deadlock.c looks: */
    size_t dead;             /* how many of its futures are dead */
    bool stalled;            /* it cannot end */
    struct fri_wait *on;     /* a stalled one that would have to end first */
    struct frun_future *by;  /* ... because of this; NULL: a lock */
    struct fri_wait *before, *victim; /* on the way; the next to raise */
    struct fri_error *error;
};

/* All who wait. */
struct fri_waits {
    struct fri_wait *first; /* the last that came */
    uint64_t last;          /* number */
    size_t tasks;           /* of them on behalf of a task */
    struct fri_timer timer; /* when they are looked at; fire NULL: never */
    fri_time took;          /* the last look */
    size_t at_once;         /* see raise_last */
};

struct fri_set {
    struct fri_wait wait; /* the holder is set before it is armed */
    struct frun_engine *engine;
    struct fri_waiter *waiters; /* `count`, behind the set */
    size_t count;
    struct fri_waiter *found; /* final when the set was made; not sorted yet */
    struct fri_waiter *fired, **fired_end; /* in the order of completion */
    size_t left;         /* waiters that have not fired */
    size_t want;         /* satisfied when left <= want ... */
    bool want_failure;   /* ... or when one has failed */
    bool failed;         /* one has failed or was cancelled */
    bool armed;          /* wake is wanted */
    bool keeps; /* a task that blocks in it counts as running */
    bool timed_out;
    bool raised;             /* the owner's: ended by `error` */
    struct fri_error *error; /* its own; NULL: out of memory */
    struct fri_lane *lane;   /* it waits until that is idle, or NULL */
    atomic_bool satisfied;
    struct fri_timer timer;
    void (*wake)(struct fri_set *set);
    void *user;
};

/* A set over n futures, in the order of `futures`, a reference to each taken;
 * those that are final have fired already.  NULL: out of memory.  No lock may
 * be held. */
struct fri_set *fri_set_open(struct frun_engine *engine,
                             struct frun_future *const *futures, size_t n);

/* A set of one thing that is no future (a pool that is idle); lock held. */
struct fri_set *fri_set_open_on(struct frun_engine *engine,
                                struct fri_waiter **list);
void fri_set_close(struct fri_set *set); /* no lock held; takes NULL */

/* A set in memory of the caller's: n waiters, which are then linked to n
 * futures (or one to another list, by fri_waiter_link).  Ends with unlink. */
void fri_set_init(struct fri_set *set, struct frun_engine *engine,
                  struct fri_waiter *waiters, size_t n);
void fri_set_link(struct fri_set *set, struct frun_future *const *futures);
void fri_set_unlink(struct fri_set *set);

/* Says what satisfies it: at most `left` waiters not fired, or (failure) one
 * failed; and by when (FRI_NEVER: no deadline).  True when it is satisfied
 * already (or the deadline has passed: timed_out).  Otherwise wake(set) will
 * be called, under the lock.  ENOMEM counts as timed out at once. */
bool fri_set_arm(struct fri_set *set, size_t left, bool failure,
                 fri_time deadline, void (*wake)(struct fri_set *set));

/* Lock held: what it waited for is not wanted any more; no wake comes. */
void fri_set_disarm(struct fri_set *set);

/* Lock held: an armed one is satisfied, and `raised`. */
void fri_set_raise(struct fri_set *set, struct fri_error *error);

/* Is this one of a set? */
bool fri_waiter_of_set(const struct fri_waiter *w);

/* The next that has fired, or NULL; the index in the set. */
struct frun_future *fri_set_pop(struct fri_set *set, size_t *index);

#endif
