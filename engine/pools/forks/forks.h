/*
 * forks.h - what the files of the fork pool share on the engine's side:
 * forkpool.c (the pool), forks.c (workers begin and end), those of flight.h
 * (tasks out and back), exports.c (handles by number), those of serve.h (what
 * tasks ask for).  All under the engine's
 * lock, most of it on the service thread.
 *
 * Where a task is that a worker has (a flight): handed, then begun when it is
 * the worker's oldest, perhaps suspended while it waits: then it gives up its
 * slot, and gets another to go on.  A worker runs as long as it has a flight
 * in its hand; `workers` counts those that run.
 */
#ifndef FRI_FORKS_H
#define FRI_FORKS_H

#include "pools/spawn/spawn.h"
#include "pools/forks/wire.h"

enum {
    FRI_SPECS = 64,    /* that a worker keeps, each at its id modulo this */
    FRI_SPARE = 4      /* times `workers` processes at most */
};

/* What a task of another process waits for, as it has said. */
struct fri_awaits {
    struct fri_wait wait;
    struct fri_holder own; /* of one that has none */
    struct fri_fork *fork;
    struct fri_flight *flight;
    bool told;     /* its wait has been ended by an error */
    bool failure;  /* one that failed ends it ... */
    size_t want;   /* ... or all of them but so many */
    unsigned count;
    uint64_t numbers[FRI_AWAITED]; /* requests without an answer */
};

struct fri_flight {
    struct fri_flight *next; /* among those that wait, or that are spare */
    uint64_t ticket;         /* the worker's name for it */
    unsigned slot;           /* in the worker's hand */
    struct frun_future *task;
    struct fri_slice slice;
    bool begun;     /* as far as the scheduler knows */
    bool suspended; /* it waits, and has no slot ... */
    bool wants;     /* ... and could go on */
    bool raised;    /* its wait was ended by an error */
    bool asked;     /* to come back soon */
    bool revoked;   /* given back; its slot is free when the worker says so */
    bool refused;   /* cancelled before it began: whatever it comes to */
    struct fri_holder *holder; /* of shared things; NULL: it holds none */
    struct fri_awaits *awaits; /* while it is suspended; NULL: not known */
};

struct fri_export {
    struct fri_handle *handle; /* a reference; NULL: the number is free */
    uint64_t sent;             /* how often the worker was given it */
};

struct fri_served; /* a request of a task that is not answered yet */

struct fri_fork {
    struct fri_forks *forks;
    struct fri_fork *next;
    uint64_t id;    /* the spawner's name for it */
    unsigned index; /* 1 .. */
    int pidfd;      /* < 0: not known */
    struct fri_channel channel;
    struct fri_source source;
    struct fri_port port;
    struct fri_flight *flights[FRI_SLOTS]; /* in its hand */
    struct fri_flight *waits;              /* that have yielded */
    unsigned flying, revoked;   /* in hand; of these given back */
    unsigned suspended;         /* that wait */
    uint8_t queue[FRI_SLOTS]; /* slots that are not begun, oldest first */
    unsigned queue_at, queue_count;
    uint64_t handed;  /* tasks so far */
    bool useful;      /* it has begun a task */
    bool running;     /* counted in forks->running */
    bool ending;      /* told to leave */
    bool dying;       /* killed, or to be: takes no more tasks */
    bool ended;       /* reaped: `status` */
    bool broken;      /* it has sent garbage */
    bool reading;     /* the service thread is at a frame, without the lock */
    int status, error; /* error: errno when it could not be started */
    fri_time busy_since, nudged;
    bool hurried;     /* to give a slice back */
    struct fri_timer kill; /* the end of the engine's patience */
    struct fri_holder start; /* what is asked for outside of tasks */
    uint64_t sent[FRI_SPECS];         /* ids of specs that the worker has */
    struct fri_spec *specs[FRI_SPECS]; /* of those that it has sent ... */
    uint64_t spec_ids[FRI_SPECS];      /* ... and their ids over there */
    struct fri_export *exports;
    size_t export_count, export_capacity;
    struct fri_served *served;
};

struct fri_forks {
    frun_pool *pool;
    struct fri_fork *all;
    struct fri_flight *spare; /* to be used again */
    unsigned count;    /* processes, those that die not */
    unsigned running;
    unsigned failures; /* starts in vain since the last task was done */
    int failure;       /* errno of the last */
    bool waits;        /* until `again` fires, before the next start */
    bool calling, more; /* fri_forks_call is at work, and is to go on */
    struct fri_timer again;
};

static inline bool fri_fork_is_broken(const struct fri_fork *w)
{
    return w->broken || w->channel.noise;
}

/* ---- forks.c ---------------------------------------------------------- */

/* Gives work to those who can take it, and starts workers as they are worth
 * it. */
void fri_forks_call(struct fri_forks *fs);

/* It was reaped, and all that it had sent was read: others take its place. */
void fri_fork_bury(struct fri_fork *w);

/* The timer of a start that was put off. */
void fri_forks_again(struct fri_timer *timer, fri_time now);

/* Takes it into the account of running workers, or out. */
void fri_fork_count(struct fri_fork *w);

/* How many tasks it may have in hand; how many it is to be given now. */
unsigned fri_fork_window(const struct fri_fork *w);
size_t fri_fork_share(const struct fri_fork *w);

/* Asks it to leave when it has nothing left. */
void fri_fork_dismiss(struct fri_fork *w);

/* It is to leave, and has nothing left: from now it has some seconds. */
void fri_fork_leaving(struct fri_fork *w);

/* A slice of a map that has ended is to come back: from now it has little
 * time. */
void fri_fork_hurry(struct fri_fork *w);

/* Kills it: TERM, then KILL after a grace time; at once if it must. */
void fri_fork_kill(struct fri_fork *w, bool now);

/* ---- see flight.h ----------------------------------------------------- */

/* Gives it up to `max` tasks; how many. */
size_t fri_fork_hand(struct fri_fork *w, size_t max);

/* Works off one frame.  False: there is none, or it is one of output, which
 * stays there. */
bool fri_fork_read(struct fri_fork *w, struct fri_frame *output);

/* Rings where a task was handed out a second ago and has not been begun. */
void fri_fork_nudge(struct fri_fork *w);

/* The same for the next frame if it is a result. */
bool fri_fork_read_result(struct fri_fork *w);

/* What was handed out and not begun goes back to the queue. */
void fri_fork_reclaim(struct fri_fork *w);

/* It has ended, and all that it had sent was read: its tasks are settled. */
void fri_fork_settle(struct fri_fork *w);

/* Has it still something that was to come back soon? */
bool fri_fork_is_late(const struct fri_fork *w);

/* The flight of that ticket; NULL: there is none. */
struct fri_flight *fri_fork_flight(struct fri_fork *w, uint64_t ticket);
void fri_flights_free(struct fri_forks *fs);

/* Lets those that wait for leave to go on do so, as far as there is room. */
void fri_forks_let_go(struct fri_forks *fs);

/* fri_lane_hooks.stop */
bool fri_forks_stop(struct fri_lane *lane, struct frun_future *task,
                    frun_status why);

/* ---- exports.c -------------------------------------------------------- */

void fri_exports_open(struct fri_fork *w);
void fri_exports_free(struct fri_fork *w);
void fri_put_native(struct fri_buffer *b, const struct fri_native *n);

/* The handle of that number, no reference; NULL: there is none. */
struct fri_handle *fri_export_at(struct fri_fork *w, uint64_t number);
void fri_exports_release(struct fri_fork *w, struct fri_reader *r);

/* ---- see serve.h ------------------------------------------------------ */

/* These read a frame; false: it is garbage. */
bool fri_serve_spec(struct fri_fork *w, struct fri_reader *r);
bool fri_serve(struct fri_fork *w, struct fri_reader *r);
bool fri_serve_withdraw(struct fri_fork *w, struct fri_reader *r);
void fri_served_free(struct fri_fork *w);

/* What a request is for.  False: it is answered. */
struct fri_goal {
    struct frun_future *future;
    struct fri_ask *ask;   /* that waits */
    struct fri_lane *lane; /* that is to be idle */
};
bool fri_served_goal(struct fri_fork *w, uint64_t number,
                     struct fri_goal *goal);

/* ---- waits.c ---------------------------------------------------------- */

/* It has come to wait: the rest of SUSPENDED; it waits no more. */
bool fri_flight_waits(struct fri_fork *w, struct fri_flight *f,
                      struct fri_reader *r);
void fri_flight_waited(struct fri_fork *w, struct fri_flight *f);

/* fri_pool_ops.waits */
void fri_forks_waits(frun_pool *pool, bool look);

#endif
