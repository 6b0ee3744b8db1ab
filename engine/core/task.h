/*
 * task.h - the record of one task, which is its future as well.
 *
 * Rules.
 *  1. One record per task, from submission until the last reference goes:
 *     the engine holds one until the task is final, each handle one.
 *  2. A future is finished exactly once: only fri_sched_settle makes a state
 *     final, under the engine's lock, and what `data` holds is written before
 *     the state is (release), so a reader that has seen a final state (acquire)
 *     may read `data` without the lock.
 *  3. PENDING to RUNNING is a compare-and-swap of the worker without the
 *     lock, so cancel and begin race in one place only.
 *  4. `data` holds the arguments until the task is final, then the outcome.
 *
 * The record is 128 bytes (two cache lines) and holds up to 24 bytes of
 * arguments or result itself: a malloc and a free in another thread cost
 * 60 to 100 ns, as much as the whole hand-over of a small task.
 */
#ifndef FRI_TASK_H
#define FRI_TASK_H

#include "base/clock.h"
#include "data/error.h"
#include "data/message.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct fri_extra;
struct fri_group;
struct fri_keep;
struct fri_lane;
struct fri_past;
struct fri_range;
struct fri_resume;
struct fri_spec;
struct fri_tied;
struct fri_waiter;

enum fri_task_state {
    FRI_NEW,     /* not submitted yet */
    FRI_WAITING, /* for dependencies or a back-off */
    FRI_PENDING, /* ready, or handed to a worker but not begun */
    FRI_RUNNING,
    FRI_DONE,
    FRI_FAILED,
    FRI_CANCELLED
};

enum fri_holds {
    FRI_NOTHING, /* no arguments, or no values */
    FRI_BYTES,   /* data.bytes, `length` of them: a sequence */
    FRI_MESSAGE,
    FRI_VALUE,
    FRI_RANGE,
    FRI_ERROR
};

enum { FRI_INLINE = 24, FRI_KEY_NONE = 0, FRI_KEY_NUMBER, FRI_KEY_MESSAGE };
/* frun_future.stopping: what the attempt that runs was told.  Asked, it may
 * go on; else its outcome is "cancelled" (FRI_STOPPED) or "timeout". */
enum { FRI_ASKED = 1, FRI_STOPPED, FRI_TIMED_OUT };

/* Arguments or an outcome on the way; moved, not copied. */
struct fri_data {
    union {
        uint8_t bytes[FRI_INLINE];
        struct fri_message *message;
        frun_value *value;
        struct fri_range *range;
        struct fri_error *error;
    };
    uint8_t holds, length;
};

struct frun_future {
    struct fri_handle handle; /* FRI_HANDLE_FUTURE */
    struct frun_future *next; /* in one queue at a time */
    struct fri_spec *spec;
    struct fri_waiter *waiters; /* lock */
    struct fri_extra *extra;    /* what few tasks have; NULL */
    uint32_t unmet; /* dependencies that are not done */
    _Atomic uint8_t state;
    uint8_t holds, length; /* of `data` */
    uint8_t key_kind;
    _Atomic uint8_t looked; /* somebody saw the outcome */
    _Atomic uint8_t stopping; /* written with the lock: see attempt.c */
    uint8_t counted; /* a range: its items are counted one by one */
    uint8_t goal : 3;   /* lock: the final state that it is settled to */
    uint8_t queued : 1; /* lock: in a queue or a worker's hand: see take */
    uint8_t handed : 1; /* lock: to another process: see fri_sched_cancel */
    uint8_t again : 1;  /* lock: its process died once while it waited there
                           with others */
    uint8_t holding : 1; /* lock: a holder of it holds or waits: shared.h */
    uint8_t dead : 1;    /* lock: deadlock.c */
    _Atomic uint16_t attempts;
    _Atomic uint16_t worker;
    /* here the second cache line begins */
    uint64_t id; /* order of submission */
    union {
        int64_t number;
        struct fri_message *message;
    } key;
    fri_time submitted;        /* 0: not yet, as with these two: */
    _Atomic fri_time started;  /* written without the lock, as are */
    fri_time finished;         /* `attempts` and `worker` */
    union {
        uint8_t bytes[FRI_INLINE];
        struct fri_message *message;
        frun_value *value;
        struct fri_range *range;
        struct fri_error *error;
    } data;
};

static_assert(sizeof(struct frun_future) == 128, "two cache lines");
static_assert(offsetof(struct frun_future, id) == 64,
              "queueing, settling and collecting touch the first only");

/* A seat of a named limit that a task of a worker process holds. */
struct fri_seat {
    char *name;
    unsigned number;
};

/* What few tasks have. */
struct fri_extra {
    struct fri_waiter *after; /* one for each dependency, `after_count` */
    uint32_t after_count;
    uint32_t dead; /* of these: deadlock.c */
    char *name; /* of this task alone; NULL: that of its spec */
    uint64_t stream; /* its stream of random numbers, 0: none */
    struct fri_retry *retry; /* the timer of a back-off */
    struct fri_attempt *attempt; /* the timer of a timeout */
    struct fri_keep *keep; /* how a journal keeps it, or NULL: journal.h */
    fri_time waits; /* since when, for seats shared between runs; 0: not */
    struct fri_tied *tied; /* what must have ended before it: tied.h */
    fri_time again; /* since when it may be tried again; 0: it is new */
    double cpu;
    int64_t memory;
    frun_value *value; /* the outcome as a value, once a host has read it */
    struct fri_seat *seats; /* in a worker process, `seat_count` */
    uint32_t seat_count;
    struct fri_past *past; /* its outcome, from a journal: resume.h */
    uint64_t modules; /* short digest of modules among its arguments */
    bool looked_up;   /* lock: in the journal of its spec */
    bool from_journal;
    bool drew; /* random numbers: its result hangs on its stream */
    void *script; /* of an async future: owned by the script layer */
    void (*script_free)(void *script);
};

/* What tasks of one call have in common. */
struct fri_spec {
    atomic_uint refs;
    uint64_t id; /* never used again */
    struct fri_lane *lane; /* holds a reference to its pool */
    frun_function *function; /* in C, or NULL */
    void *user;
    void *script; /* struct fri_function, or NULL */
    void (*script_free)(void *script);
    char *name; /* NULL: made from the function */
    uint64_t stream; /* what its tasks' random streams begin from, 0: none */
    double priority;
    double timeout, backoff;
    uint64_t memory;
    int retries;
    unsigned retry_on;
    size_t chunk;
    struct fri_need *needs; /* limits */
    size_t need_count;
    frun_policy *asked; /* of a remote lane: what the engine's process is to
                           do; then none of the above but the name is set */
    struct fri_group *group; /* of this call alone: see halt.h; NULL: none */
    struct fri_resume *resume; /* its tasks are looked up in a journal */
};

/* Part of a task that a worker takes: the task, or items of its range. */
struct fri_slice {
    struct frun_future *task;
    uint64_t first, end; /* of a range: first <= item < end, from 0 */
};

static inline enum fri_task_state fri_state(const struct frun_future *f)
{
    return atomic_load_explicit(&f->state, memory_order_acquire);
}

/* Its `extra`, where others may make it just now: without the lock. */
static inline const struct fri_extra *
fri_extra_seen(const struct frun_future *f)
{
    return __atomic_load_n(&f->extra, __ATOMIC_ACQUIRE);
}

static inline bool fri_is_final(const struct frun_future *f)
{
    return fri_state(f) >= FRI_DONE;
}

static inline struct frun_future *fri_future_ref(struct frun_future *f)
{
    fri_handle_ref(&f->handle);
    return f;
}

static inline void fri_future_unref(struct frun_future *f)
{
    if (!f)
        return;
    /* Where ours is the only one, nobody can add another. */
    if (atomic_load_explicit(&f->handle.refs, memory_order_acquire) == 1) {
        atomic_store_explicit(&f->handle.refs, 0, memory_order_relaxed);
        f->handle.free(&f->handle);
    } else {
        fri_handle_unref(&f->handle);
    }
}

/* The task's name: its own, its spec's, or "task N" written into `text`. */
const char *fri_task_name(const struct frun_future *f, char text[32]);

/* Frees what `data` owns; it then holds nothing. */
void fri_data_free(struct fri_data *data);

/* Moves data into the record, freeing what was there. */
void fri_task_put(struct frun_future *task, struct fri_data *data);

#endif
