/*
 * engine.h - what an engine's parts share: its lock, its scheduler, its
 * owner's inbox and the service thread.
 *
 * Locks.  One mutex, `lock`, guards the scheduler, the pools' state and the
 * inbox.  Nothing is called with it held that can block, allocate much or
 * call back into the engine.  It is never held while a thread is joined.
 *
 * Threads.  The owner opens, submits and waits.  Workers take and finish.
 * The service thread (started with the first pool) runs timers and reaps
 * workers, so work goes on whatever the owner does.  While it is asked to
 * (fri_engine_watch) it also looks every half a millisecond for what hangs on
 * a task that takes longer than its worker expected; it is not asked when no
 * work is waiting, so an idle engine uses no time at all.
 *
 * The inbox.  What must happen on the owner's thread (callbacks, the end of
 * the waits of async functions) is posted as a fri_due and run by the owner
 * inside a wait or a step.
 *
 * Cores.  A thread spins only if a core is left for it: those that compute
 * (`busy`, and the owner unless it sleeps) and those that spin already are
 * together fewer than `cores`.
 */
#ifndef FRI_ENGINE_H
#define FRI_ENGINE_H

#include "base/buffer.h"
#include "core/loop.h"
#include "core/output.h"
#include "core/scheduler.h"
#include "core/shared.h"

#include <pthread.h>

struct frun_pool;
struct fri_exec;
struct fri_native;
struct fri_runner;
struct fri_scratch;

/* What the pools want of the engine: set with the first of them. */
struct fri_pools_ops {
    /* The service thread, lock held (and let go meanwhile): ends the pools
     * that have come to their end. */
    void (*reap)(frun_engine *e);
    /* Lock held: looks for what hangs; false when nothing can hang now. */
    bool (*watch)(frun_engine *e);
    /* Lock held: the owner is about to wait, so what was put off is not. */
    void (*hurry)(frun_engine *e);
    /* Lock held: the service thread takes in what other processes have sent. */
    void (*look)(frun_engine *e);
    /* Lock held: it is about to sleep, at most until the time given back; 0:
     * it is to look once more. */
    fri_time (*sleep)(frun_engine *e);
    /* Lock held: the owner spins, and takes in what it can itself, without
     * the wake of a thread between; false: there is nothing to wait for.  It
     * ends with owner_leaves. */
    bool (*owner_looks)(frun_engine *e);
    void (*owner_leaves)(frun_engine *e);
    /* Lock held: those who wait in other processes come into sched->waits, or
     * go out of it. */
    void (*waits)(frun_engine *e, bool look);
    /* The engine closes; no lock.  Then, without the service thread: what is
     * left of it. */
    void (*close)(frun_engine *e);
    void (*end)(frun_engine *e);
};

/* In a worker process: the way to the engine's process (pools/forks/home.h). */
struct fri_home;

enum { FRI_NESTED = 100 }; /* callbacks, at most */

struct fri_due {
    struct fri_due *next;
    void (*run)(struct fri_due *due); /* on the owner's thread, no lock held */
    bool posted;
};

/* Whether spinning has paid lately: after each time in vain it is left out for
 * longer, up to 63 times. */
struct fri_spinner {
    uint8_t skip, penalty;
};

struct frun_engine {
    atomic_uint refs; /* 1 until it is closed, one for each thing that stays */
    pthread_t owner;  /* whose it is */
    const volatile char *here; /* 0 in a copy of its process */
    frun_status (*opened_by)(const frun_engine_options *, frun_engine **);
    atomic_bool closed;
    struct fri_memory memory;
    frun_engine_options options; /* as given */
    pthread_mutex_t lock;
    struct fri_near near; /* the scheduler's clock */
    struct fri_sched sched;
    struct fri_output output;

    /* owner */
    pthread_cond_t owner_cond;
    bool owner_waiting;       /* it sleeps */
    atomic_bool owner_idle;   /* it waits, asleep or spinning */
    struct fri_spinner spinner; /* the owner's */
    atomic_uint owner_signal; /* counts what may end a wait */
    atomic_bool interrupted;  /* the owner's waits are to end now */
    struct fri_due *inbox, **inbox_end;
    uint64_t delivered; /* owner: how many dues have run */
    unsigned nested;    /* owner: callbacks of the host that run, one in a wait
                           or step of another */
    unsigned programs;  /* owner: scripts that run as main programs */
    struct fri_holder owner_holder; /* of its waits in C */
    bool owner_ended; /* it does nothing of its own any more: run.c */
    unsigned stuck;   /* async functions that waited for ever then, at most */
    int event_fd;       /* -1: nobody has asked */
    bool event_set;     /* it is readable */
    struct fri_buffer message;

    /* service */
    pthread_t service;
    bool service_running, service_stop;
    int service_fd;             /* wakes it */
    atomic_bool service_poked;  /* service_fd is readable */
    fri_time service_wake;      /* when it will look at the timers next */
    unsigned watching;          /* it looks for what hangs so often more */
    fri_time watch_next;        /* when it looks next */
    bool put_off;               /* workers were not called for short tasks */
    void (*tick)(void *user);   /* about each 0.1 s while it runs, or NULL */
    void *tick_user;

    unsigned cores; /* 1 until its opener knows better */
    unsigned busy, spinning; /* workers that compute, or spin */
    unsigned coming;         /* workers that were called and are on their way */

    struct fri_loop loop;
    struct fri_spawner *spawner; /* the parent of all processes, or NULL */
    struct fri_source spawned;   /* what it has to say */
    uint64_t last_process;       /* numbers of processes */
    struct fri_procs *procs;     /* of commands; NULL: there were none */
    struct fri_home *home;       /* in a worker process, else NULL */
    int no_spawner;              /* the errno why there is none */
    bool reopening;              /* its helper is being made anew */
    struct fri_output *printer;  /* of what tasks print; NULL: output */
    /* shared things */
    struct fri_thing *things; /* all of them */
    _Atomic(struct fri_thing *) things_dropped; /* to be freed: shared.c */
    atomic_bool things_reaping;
    struct fri_lane shared_lane;  /* of the futures of operations ... */
    struct fri_spec *shared_spec; /* ... once there are any */
    const struct fri_remote_ops *remote; /* a worker process; else NULL */

    /* commands: pools/commands/exec.c */
    struct fri_exec *execs;           /* all that have not ended */
    struct fri_exec *put_off_execs;   /* for which there was no descriptor */
    struct fri_timer execs_timer;     /* when those are tried again */
    unsigned execs_running;
    struct fri_scratch *scratch;      /* where they may write, once asked for */
    const char *scratch_root;         /* its path, once it is made */

    const struct fri_pools_ops *pools_ops;
    struct frun_journal *journals; /* lock: those that are open */
    struct frun_pool *pools;  /* all that have not ended */
    unsigned pool_count;      /* for their names */
    struct fri_native *natives;
    struct fri_resumer *resumer;  /* once a journal was asked for: resume.h */
    frun_journal *journal;        /* of tasks whose policy names none */
    const struct fri_runner *runner; /* how Lua tasks run, or NULL */
    void *runner_user;
    void (*script_close)(frun_engine *e); /* of a host with scripts, or NULL */
    uint64_t seed;
    int interrupt_signal; /* lock: 0: not chosen yet, < 0: none */
    bool lost;            /* lock: a thread was given up */
    bool closing;
    fri_time paused_at; /* lock: since when sched.paused */
};

static inline void fri_lock(frun_engine *e)
{
    pthread_mutex_lock(&e->lock);
}

static inline void fri_unlock(frun_engine *e)
{
    pthread_mutex_unlock(&e->lock);
}

/* Registered C functions, by name (native.c).  function NULL: it is in no
 * worker process that is not a copy of the host. */
struct fri_native {
    struct fri_handle handle;
    struct fri_native *next;
    frun_engine *engine; /* a reference */
    frun_function *function;
    void *user;
    char name[];
};
struct fri_native *fri_native_find(frun_engine *e, const char *name);
bool fri_native_add(frun_engine *e, const char *name, frun_function *function,
                    void *user); /* false: out of memory */
void fri_natives_close(frun_engine *e);

frun_status fri_engine_open(const frun_engine_options *options,
                            frun_engine **engine);
void fri_engine_close(frun_engine *e);

/* Is this the process that opened it?  In a copy of it (a fork of the host)
 * the engine has no threads, perhaps locks that nobody lets go, and sockets
 * that are shared: nothing of it may be used.  And its owner's thread? */
static inline bool fri_engine_here(const frun_engine *e)
{
    return *e->here != 0;
}

static inline bool fri_engine_owned(const frun_engine *e)
{
    return fri_engine_here(e) && pthread_equal(pthread_self(), e->owner);
}

int fri_engine_fd(frun_engine *e);

/* Is it of this copy of the library?  A process that links two has functions
 * of one and what is static of the other. */
static inline bool fri_engine_ours(const frun_engine *e)
{
    return e->opened_by == fri_engine_open;
}

/* A descriptor to wake by; < 0: none is left. */
int fri_event_open(void);

/* A thread with all signals blocked; 0 or an errno.  stack 0: the default. */
int fri_thread_start(pthread_t *thread, size_t stack, void *(*run)(void *),
                     void *user);

/* Spins a few microseconds, or until *signal is not `seen`; false: it is. */
bool fri_spin(const atomic_uint *signal, unsigned seen);

static inline bool fri_spin_pays(struct fri_spinner *s)
{
    if (s->skip == 0)
        return true;
    s->skip--;
    return false;
}

static inline void fri_spin_note(struct fri_spinner *s, bool paid)
{
    s->penalty = (uint8_t)(paid ? 0 : s->penalty < 32 ? 2 * s->penalty + 1
                                                      : 63);
    s->skip = s->penalty;
}

static inline void fri_pause(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

/* Sets frun_engine_message; gives back the status. */
frun_status fri_fail(frun_engine *e, frun_status status, const char *format,
                     ...) __attribute__((format(printf, 3, 4)));
frun_status fri_fail_error(frun_engine *e, const struct fri_error *error);

/* Lock held: `due` is to run on the owner's thread; posted once at most. */
void fri_owner_post(frun_engine *e, struct fri_due *due);

/* Lock held: not any more. */
void fri_owner_unpost(frun_engine *e, struct fri_due *due);

/* Lock held: something that the owner may wait for has happened. */
void fri_owner_wake(frun_engine *e);

/* The owner waits until set is satisfied (NULL: no set), something is in the
 * inbox, or the deadline; runs the inbox first.  No lock held.  True when the
 * set is satisfied.  It may return early: loop. */
bool fri_owner_wait(frun_engine *e, struct fri_set *set, fri_time deadline);

/* Waits for the set as fri_set_arm says, on the owner's thread, whose inbox
 * is run meanwhile.  False: time ran out, or the run was interrupted. */
bool fri_owner_await(frun_engine *e, struct fri_set *set, size_t left,
                     bool failure, fri_time deadline);

/* Runs what is in the inbox, unless as many callbacks as may be are nested
 * already (a host with 100,000 of them due, each of which waits, would run out
 * of stack); true if something has run. */
bool fri_owner_run(frun_engine *e);

void fri_engine_unref(frun_engine *e);

/* Any thread, lock or not: the service thread shall look again. */
void fri_service_poke(frun_engine *e);
frun_status fri_service_start(frun_engine *e);
void fri_service_stop(frun_engine *e);

/* Lock held: the service thread is to look for what hangs, half a millisecond
 * from now on and then 20 times more: a wake of it for each batch of short
 * tasks would cost more than they do. */
static inline void fri_engine_watch(frun_engine *e)
{
    if (e->watching == 0) {
        e->watch_next = 0;
        fri_service_poke(e);
    }
    e->watching = 20;
}

/* Lock held: a timer, and the service thread knows of it. */
void fri_engine_timer(frun_engine *e, struct fri_timer *t, fri_time deadline);

/* May one more worker spin?  (lock held) */
static inline bool fri_may_spin(const frun_engine *e)
{
    return e->busy + e->spinning + !e->owner_waiting < e->cores;
}

/* CPUs that this process may use: affinity mask and cgroup quota. */
unsigned fri_usable_cpus(void);

#endif
