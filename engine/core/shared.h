/*
 * shared.h - things that tasks share: queues, dicts, locks, shared values;
 * and arrays of numbers in shared memory.
 *
 * A thing is a handle that travels.  All access to its inside is by
 * operations (fri_shared_ask), which may come from this process or from a
 * frame of another one.  Values are opaque sequences (codec.h): the sender's
 * language has encoded them, the receiver's decodes them.
 *
 *     op            at      argument   gives
 *     FRI_PUSH      queue   (v)        nothing; waits while it is full
 *     FRI_POP       queue   -          (v); nothing: closed and empty; waits
 *     FRI_CLOSE     queue   -          nothing
 *     FRI_COUNT     queue, dict -      (n)
 *     FRI_GET       dict    (k)        (k, v), or nothing
 *     FRI_SET       dict    (k, v)     nothing; v nil removes
 *     FRI_ADD       dict    (k, n)     (k, the new value)
 *     FRI_ENTRIES   dict    -          (s, h, s, h, ...): see below
 *     FRI_HOLD      lock    -          nothing; waits while another holds it
 *     FRI_RELEASE   lock    -          nothing, also when it is not held
 *     FRI_READ      share   -          (v)
 *
 * FRI_ENTRIES: for each entry a string s, the bytes of the sequence (k, v), and
 * the number h of its handles, which are the next h of the answer's handles.
 *
 * A key is a string, a truth value or a number that is not NaN.  Keys are
 * equal when their bytes are; whole numbers are written as INT for that.
 *
 * Rules.
 *  1. All of it under the engine's lock, but for the freeing of handles and
 *     where something else is said.
 *  2. An ask ends once: `done` is called, perhaps inside fri_shared_ask, or
 *     it is withdrawn.  `done` is called last, when the thing is in order; it
 *     must be short and must not call back.
 *  3. Who waits at a thing is served in the order of coming.
 *  4. A lock is held by a fri_holder; it is released when that says so, and
 *     at the latest when it leaves (its attempt has ended, however).
 *  5. A thing that may hold handles cannot hold its own (EUNSENDABLE); what
 *     holds itself through others is emptied when the engine closes.
 *
 * To walk who waits for whom (under the lock): sched->holders are all that
 * hold or wait; a holder's `held` are the locks it holds (by `next`), its
 * `asks` what it waits for (by `beside`), of which ask->thing says where and
 * ask->op for what; a lock's `holder` has it, its line.first are those that
 * wait for it (by `next`).
 */
#ifndef FRI_SHARED_H
#define FRI_SHARED_H

#include "core/function.h"
#include "core/task.h"

struct frun_engine;
struct fri_mutex;
struct fri_thing;

enum fri_shared_op {
    FRI_PUSH,
    FRI_POP,
    FRI_CLOSE,
    FRI_COUNT,
    FRI_GET,
    FRI_SET,
    FRI_ADD,
    FRI_ENTRIES,
    FRI_HOLD,
    FRI_RELEASE,
    FRI_READ,
    FRI_SHARED_OPS /* how many */
};

/* On whose behalf: one attempt of a task, one slice of a map, one async
 * function, the main program.  Zeros but for `task`; it belongs to whoever
 * runs that, who calls fri_holder_leave before its memory goes. */
struct fri_holder {
    struct frun_future *task; /* NULL: the main program */
    struct fri_mutex *held;
    struct fri_ask *asks;             /* that wait */
    struct fri_holder *next, **link;  /* in sched->holders; NULL: not there */
    struct fri_wait *waits;           /* now: see wait.h */
};

/* One operation on its way. */
struct fri_ask {
    /* The caller sets these.  outcome is taken: nothing, a message (of one
     * reference, the taker's), or an error (NULL: out of memory), as
     * fri_sched_settle_now wants it. */
    void (*done)(struct fri_ask *ask, struct fri_data *outcome);
    struct fri_holder *holder; /* never NULL; outlives the ask */
    struct frun_future *future; /* that `done` settles, or NULL */
    /* These are shared.c's. */
    struct fri_thing *thing; /* where it waits: a reference; NULL: it does
                                not wait */
    enum fri_shared_op op;
    struct fri_message *argument; /* a reference; NULL */
    struct fri_ask *next, **link; /* in the thing's line */
    struct fri_ask *beside, **beside_link; /* in the holder's asks */
    bool dead; /* deadlock.c */
};

/* A new thing of one reference, the caller's.  argument: of a queue the
 * capacity (n), NULL: no bound; of a share the value (v); else NULL.  NULL:
 * out of memory, or a malformed argument. */
struct fri_handle *fri_shared_make(struct frun_engine *e, uint32_t kind,
                                   struct fri_message *argument);

/* True: it was done at once, and that is the outcome (the caller's).  False:
 * it would wait; nothing has changed. */
bool fri_shared_try(struct fri_handle *thing, enum fri_shared_op op,
                    struct fri_message *argument, struct fri_holder *holder,
                    struct fri_data *outcome);

/* Does it, now or when its turn comes; ask->done is told.  The caller holds
 * the thing; a reference of argument is taken where it is kept. */
void fri_shared_ask(struct fri_handle *thing, enum fri_shared_op op,
                    struct fri_message *argument, struct fri_ask *ask);

static inline bool fri_ask_waits(const struct fri_ask *ask)
{
    return ask->thing != NULL;
}

/* It waits no more, and done is not called; one that does not wait is left
 * alone. */
void fri_shared_withdraw(struct fri_ask *ask);

/* Its locks are released; its asks that wait end as cancelled. */
void fri_holder_leave(struct fri_holder *holder);

/* Does it hold or wait?  Its own thread may ask without the lock. */
static inline bool fri_holder_has(const struct fri_holder *holder)
{
    return holder->held || holder->asks;
}

/* All holders of the task leave: its attempt has ended, failed or died.  The
 * scheduler calls this; cheap when there are none. */
void fri_shared_leave(struct frun_future *task);

/* Items in a queue, entries of a dict; of others 0. */
size_t fri_shared_count(const struct fri_handle *thing);

/* A future, adopted and running, that stands for an operation: settled by
 * fri_sched_settle_now.  Observers do not see it.  NULL: out of memory. */
struct frun_future *fri_shared_future(struct frun_engine *e);

/* No lock held: frees what was dropped while somebody held the lock. */
void fri_shared_reap(struct frun_engine *e);

/* No lock held, no other thread left: asks are withdrawn, things emptied. */
void fri_shared_close(struct frun_engine *e);

/* In a worker process: operations on things of the parent process. */
struct fri_remote_ops {
    /* No lock held.  Starts the operation over there; `future` (one of
     * fri_shared_future) is settled, with what fri_shared_ask would have
     * given, when the answer comes.  A reference of the argument is taken
     * where it is kept.  False: out of memory. */
    bool (*ask)(struct frun_engine *e, struct fri_handle *thing,
                enum fri_shared_op op, struct fri_message *argument,
                struct frun_future *future);
    /* Lock held.  The answer is not wanted any more: the caller settles the
     * future itself.  One that is not known, or final, is left alone. */
    void (*withdraw)(struct frun_engine *e, struct frun_future *future);
    /* No lock held.  A new thing over there; NULL: out of memory. */
    struct fri_handle *(*make)(struct frun_engine *e, uint32_t kind,
                               struct fri_message *argument);
};

/* ---- the inside ------------------------------------------------------- */

struct fri_thing {
    struct fri_handle handle;
    struct frun_engine *engine;     /* a reference */
    struct fri_thing *next, **link; /* in engine->things */
    struct fri_thing *below;        /* dropped: in engine->things_dropped */
};

struct fri_line {
    struct fri_ask *first, **last;
};

/* Those that wait push, when it is full, or pop, when it is empty. */
struct fri_fifo { /* FRI_HANDLE_QUEUE */
    struct fri_thing thing;
    struct fri_line line;
    struct fri_message **ring;
    size_t first, count, size; /* size: a power of two, or 0 */
    uint64_t capacity;         /* 0: no bound */
    bool closed;
};

struct fri_entry {
    struct fri_message *pair; /* the sequence (k, v); NULL: a free slot */
    uint64_t hash;
    size_t key_length; /* the key's bytes are at pair->data + FRI_KEY_AT */
};

struct fri_dict { /* FRI_HANDLE_DICT */
    struct fri_thing thing;
    struct fri_entry *slots;
    size_t count, size; /* size: a power of two, or 0 */
};

struct fri_mutex { /* FRI_HANDLE_LOCK */
    struct fri_thing thing;
    struct fri_line line;
    struct fri_holder *holder;      /* NULL: free */
    struct fri_mutex *next, **link; /* in the holder's `held` */
};

struct fri_share { /* FRI_HANDLE_SHARE */
    struct fri_thing thing;
    struct fri_message *value; /* the sequence (v) */
    struct fri_value_key key[2]; /* the second: where a version counts;
                                    the lock of resumers: resume_held.c */
};

enum { FRI_KEY_AT = 2 }; /* behind flags and count */

/* shared.c, for the things' own files.  The first in line ends so. */
void fri_line_serve(struct fri_line *line, struct fri_data *outcome);
/* As outcomes: always true. */
bool fri_gives_nothing(struct fri_data *outcome);
bool fri_gives_message(struct fri_data *outcome, struct fri_message *taken);
bool fri_gives_error(struct fri_thing *thing, struct fri_data *outcome,
                     frun_status status, const char *text);
bool fri_gives_memory(struct fri_data *outcome); /* it ran out */
bool fri_gives_number(struct fri_thing *thing, struct fri_data *outcome,
                      uint64_t n);
/* Links the holder into sched->holders, or out of it if nothing is left. */
void fri_holder_note(struct fri_thing *thing, struct fri_holder *holder);

/* fifo.c, dict.c, mutex.c: as fri_shared_try. */
bool fri_fifo_try(struct fri_fifo *q, enum fri_shared_op op,
                  struct fri_message *argument, struct fri_data *outcome);
bool fri_dict_try(struct fri_dict *d, enum fri_shared_op op,
                  struct fri_message *argument, struct fri_data *outcome);
bool fri_mutex_try(struct fri_mutex *m, enum fri_shared_op op,
                   struct fri_holder *holder, struct fri_data *outcome);
void fri_mutex_give(struct fri_mutex *m); /* to the next in line, if any */

/* Frees what they hold; no lock. */
void fri_fifo_empty(struct fri_fifo *q);
void fri_dict_empty(struct fri_dict *d);

/* ---- arrays (array.c): no lock, no operations, memory itself ---------- */

enum fri_number_type { FRI_F64, FRI_F32, FRI_INT64, FRI_INT32, FRI_U8 };

struct fri_array { /* FRI_HANDLE_ARRAY */
    struct fri_handle handle;
    struct fri_memory memory;
    void *data; /* shared with all that have mapped it */
    size_t length;
    int fd; /* sealed: it cannot shrink */
    enum fri_number_type type;
};

extern const char *const fri_number_names[]; /* "f64" ... by type, NULL */
extern const uint8_t fri_number_sizes[];

/* Zeros.  NULL: errno says why (ENOMEM, EMFILE ...). */
struct fri_array *fri_array_new(const struct fri_memory *m,
                                enum fri_number_type type, size_t length);

/* Of memory that another process has made.  Takes the descriptor, also when
 * it fails: NULL, errno EINVAL: not sealed, or too short. */
struct fri_array *fri_array_adopt(const struct fri_memory *m, int fd,
                                  enum fri_number_type type, size_t length);

#endif
