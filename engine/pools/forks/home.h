/*
 * home.h - in a worker process: the way home, to the engine's process.
 *
 * A worker process has an engine of its own, of one thread: its records and
 * waits are those of every engine, but its pools are remote.  What is
 * submitted to one goes home, and is settled here when the answer comes.
 * There is no service thread; the worker's loop (forked.c) runs the timers.
 *
 * Rules.
 *  1. Only the worker's one thread is here, so the lock is taken where the
 *     code is shared with other engines, and never waited for.
 *  2. Tasks that arrive are queued, and begun by the loop only: a frame may be
 *     read in the middle of another task, while it waits.
 *  3. The numbers of things are the engine's; a thing stays in the table until
 *     the engine says that it has forgotten the number.
 */
#ifndef FRI_HOME_H
#define FRI_HOME_H

#include "core/shared.h"
#include "pools/forks/wire.h"

enum { FRI_HOME_SPECS = 64 };

/* A task that was handed to this process. */
struct fri_guest {
    struct fri_guest *next;
    struct frun_future *task;
    struct fri_slice slice;
    uint64_t ticket; /* the engine's name for it */
    unsigned slot;
    struct fri_resumable *suspended; /* it waits, by yielding */
    bool wants, may_go;
    fri_time cpu; /* so far */
};

struct fri_known {
    struct fri_handle *handle; /* a reference; NULL: a free number */
    uint64_t seen;             /* how often it came */
    bool released;             /* said so; until DROPPED, or it comes again */
};

struct fri_errand { /* a request that has no answer yet */
    struct frun_future *future; /* a reference; NULL: free */
    uint32_t turn, next_free;
};

struct fri_home {
    frun_engine *engine;
    struct fri_channel channel;
    struct fri_port port;
    const struct fri_runner *runner;
    struct fri_worker worker;
    frun_pool *own; /* the pool that it is a worker of */
    struct fri_guest *first, **last; /* that have come and were not begun */
    struct fri_guest *guests;        /* that wait */
    struct fri_guest *current;
    struct fri_spec *specs[FRI_HOME_SPECS]; /* from home, by id */
    uint64_t ids[FRI_HOME_SPECS];
    uint64_t sent[FRI_HOME_SPECS]; /* ids of own specs that home knows */
    struct fri_known *known;
    size_t known_count, known_capacity;
    struct fri_errand *errands;
    uint32_t errand_count, errand_free; /* free: 0, or a number */
    struct fri_handle *made; /* the handle in the last answer, for who waits */
    uint64_t failed; /* id of the map of which a slice failed last */
    fri_time rung;
    unsigned since_sweep;
    bool leaving;
};

/* ---- guest.c: tasks that arrive --------------------------------------- */

/* What some tasks have in common; a task: NULL: malformed, or no memory. */
bool fri_guest_spec(struct fri_home *h, struct fri_reader *r);
struct fri_guest *fri_guest_read(struct fri_home *h, struct fri_reader *r);

/* RAISE: a wait of one that is here ends by an error.  False: malformed. */
bool fri_home_raise(struct fri_home *h, struct fri_reader *r);

/* ---- report.c: what goes home ----------------------------------------- */

/* A frame; where nobody is left to read it, the process ends. */
struct fri_buffer *fri_home_begin(struct fri_home *h);
void fri_home_send(struct fri_home *h, unsigned kind, bool ring);

/* The result of a task, or of a slice. */
void fri_guest_report(struct fri_home *h, const struct fri_guest *g,
                      const struct fri_slice *s, struct fri_ran *ran,
                      fri_time took, bool resumed);

/* The output hook of this process's engine; C stdio, which goes the same way:
 * a line that has not ended is ended with its task. */
void fri_home_output(void *user, int stream, const char *bytes, size_t length);
void fri_home_stdio_open(struct fri_home *h);
void fri_home_stdio_end(void);

/* What the process may map from now on, beyond what it has; 0: no end.  The
 * processor time that it has used. */
void fri_home_cap(uint64_t bytes);
fri_time fri_home_cpu(void);

/* ---- home.c: errands -------------------------------------------------- */

/* A request that `f` stands for: its place, 0: no memory; its number; the
 * future again, whose reference is the caller's; its number, 0: none. */
uint32_t fri_errand_new(struct fri_home *h, struct frun_future *f);
uint64_t fri_errand_number(const struct fri_home *h, uint32_t errand);
struct frun_future *fri_errand_end(struct fri_home *h, uint64_t number);
uint64_t fri_errand_of(const struct fri_home *h, const struct frun_future *f);

/* REQUEST: number, what; its rest is the caller's to add and send. */
struct fri_buffer *fri_errand_request(struct fri_home *h, uint64_t number,
                                      enum fri_request what);
bool fri_home_post(struct fri_home *h, unsigned kind);

/* ---- home.c: things and requests -------------------------------------- */

void fri_home_open(struct fri_home *h);

/* A pool of the engine's; its handle has one reference. */
frun_pool *fri_home_pool_new(struct fri_home *h, const char *name,
                             unsigned workers, unsigned kind);

/* DROPPED, ANSWER.  False: malformed. */
bool fri_home_dropped(struct fri_home *h, struct fri_reader *r);
bool fri_home_answer(struct fri_home *h, struct fri_reader *r);

/* Tells home what is not used any more. */
void fri_home_sweep(struct fri_home *h);

/* What a task waits for, for SUSPENDED: how many requests, each one's number,
 * want, failure; 0: it is not known, or not for ever. */
void fri_home_awaits(struct fri_home *h, struct fri_buffer *b,
                     const struct fri_set *set);

/* ---- hello.c: HELLO; `user` is the process's own runner, or NULL -------- */

bool fri_home_hello(struct fri_home *h, struct fri_reader *r, void *user);

/* ---- forked.c: the loop ----------------------------------------------- */

/* Reads frames until the future is done. */
void fri_home_wait(struct fri_home *h, struct frun_future *f);

/* ---- for the script layer --------------------------------------------- */

/* A new pool over there.  NULL: *error (may be NULL: out of memory). */
frun_pool *fri_home_open_pool(frun_engine *e, unsigned kind,
                              const frun_pool_options *o,
                              struct fri_function *init,
                              struct fri_error **error);

/* A limit over there; *error as above. */
struct fri_handle *fri_home_limit(frun_engine *e, const char *name,
                                  unsigned count, bool shared,
                                  struct fri_error **error);

/* An array; NULL: *error as above. */
struct fri_handle *fri_home_array(frun_engine *e, unsigned type, size_t length,
                                  struct fri_error **error);

/* Something done to a pool over there; DRAIN, STATS: a future, a reference,
 * that is settled when it is done (STATS: with its numbers); else NULL. */
struct frun_future *fri_home_pool(frun_pool *pool, enum fri_pool_verb verb);

/* The failure of a task of a remote pool was looked at. */
void fri_home_looked(frun_engine *e, struct fri_error *error);

/* The state of a task of a remote pool. */
enum fri_task_state fri_home_state(struct frun_future *task);

extern const struct fri_remote_ops fri_home_ops;

/* A worker process, from its start: fri_worker_main.  `user` is its runner
 * (NULL: none). */
void fri_forked_main(int socket, int memory, void *user);

#endif
