/*
 * exec.h - commands that run: each is one process, on behalf of a task or of
 * the main program.
 *
 * Rules.  All under the engine's lock, unless it says not.
 *  1. One that belongs to a task is tied to it (core/tied.h): it is told to
 *     stop when the task is, and the task ends after it.
 *  2. A hidden future stands for it, which is settled when the process has
 *     been reaped; but for the command of a bare task (commands.c), which has
 *     a function in the place of that.
 *  3. It is in engine->execs until it has ended.
 */
#ifndef FRI_EXEC_H
#define FRI_EXEC_H

#include "core/tied.h"
#include "core/wait.h"
#include "pools/commands/command.h"
#include "pools/commands/proc.h"
#include "pools/commands/scratch.h"

struct fri_exec_plan {
    frun_value *command;       /* in normal form; taken, also on failure */
    const char *dir;           /* where it runs; NULL: where the engine does */
    struct frun_future *owner; /* the task on whose behalf; NULL: none */
    bool own; /* it is what a task of a pool of commands is there for: it runs
                 in the task's place, which is free when it has ended */
};

/* No lock; also in worker processes.  A hidden future that runs, a reference:
 * settled when the process has been reaped, with a map:
 *
 *     kind     a frun_status: OK: it ended by itself; ECRASHED: by `signal`;
 *              ERROR, ERESOURCE: it could not be started; ETIMEOUT, ECANCELLED:
 *              it was told to stop
 *     status   the exit status, -1 unless it ended by itself
 *     signal   0 unless it was killed
 *     message  if there is one, and error, its errno
 *     out, err what it wrote, unless that went to a path
 *     seconds, cpu, memory
 *
 * or, where there never was a process, with an error.  NULL: out of memory. */
struct frun_future *fri_exec_start(frun_engine *e,
                                   struct fri_exec_plan *plan);

/* What it runs, while the future lives. */
const frun_value *fri_exec_command(const struct frun_future *f);

/* No lock.  TERM, then KILL after a grace time; now: KILL.  The future is
 * settled when it has been reaped. */
void fri_exec_stop(frun_engine *e, struct frun_future *f, bool now);

/* No lock.  Gives up the reference; it is stopped if it still runs.  Takes
 * NULL. */
void fri_exec_drop(frun_engine *e, struct frun_future *f);

/* No lock.  Stops it and blocks until it has been reaped, for a second at
 * most. */
void fri_exec_kill(frun_engine *e, struct frun_future *f);

/* No lock; also in worker processes.  Where its files may be, made when it is
 * first asked for; NULL: out of memory. */
struct fri_scratch *fri_engine_scratch(frun_engine *e);

/* ---- for the pools ---------------------------------------------------- */

struct fri_exec {
    struct fri_tied tied;          /* to its owner, tied.task, or NULL */
    struct fri_exec *next, **link; /* in engine->execs; link NULL: not there */
    struct fri_exec *after, **place; /* in a queue; place NULL: in none */
    frun_engine *engine;
    struct frun_future *future; /* a reference, or NULL */
    /* It has ended: so, or (NULL) never had a process, `error` says why.  The
     * exec is the function's to free. */
    void (*ended)(struct fri_exec *x, struct fri_proc_end *end);
    frun_value *command;
    char *dir;
    struct fri_proc *proc;   /* NULL: not started yet, or ended */
    struct fri_error *error; /* why there is none */
    frun_status why;         /* it was told to stop; OK: it was not */
    bool own;
};

/* An exec that nobody knows of yet; takes the command, also on failure. */
struct fri_exec *fri_exec_new(frun_engine *e, frun_value *command,
                              const char *dir);
void fri_exec_free(struct fri_exec *x); /* no lock needed */

/* Ties it to the owner and lists it.  False: out of memory. */
bool fri_exec_open(struct fri_exec *x, struct frun_future *owner);

/* Starts the process, or puts that off; where it fails `ended` is called. */
void fri_exec_launch(struct fri_exec *x);

/* It will have no process, for that reason (taken; NULL: out of memory):
 * `ended` is called. */
void fri_exec_refuse(struct fri_exec *x, struct fri_error *error);
struct fri_error *fri_exec_no_process(const struct fri_exec *x, int error);
struct fri_error *fri_exec_stopped(const struct fri_exec *x);

/* It is in no list any more, nor tied. */
void fri_exec_leave(struct fri_exec *x);

/* As the future's map would say it; points into both. */
struct fri_command_end fri_exec_end(const struct fri_exec *x,
                                    const struct fri_proc_end *end);

/* A queue of those that are not started yet, in the order of coming. */
void fri_exec_queue(struct fri_exec **queue, struct fri_exec *x);
void fri_exec_unqueue(struct fri_exec *x);

/* Stops it: TERM, or now KILL. */
void fri_exec_tell(struct fri_exec *x, frun_status why, bool now);

/* As those without _locked, in the engine's process. */
struct frun_future *fri_exec_start_locked(frun_engine *e,
                                          struct fri_exec_plan *plan);
void fri_exec_stop_locked(struct frun_future *f, bool now);

/* No lock: blocks until the future is final, for a second at most. */
void fri_exec_await(frun_engine *e, struct frun_future *f);

/* Does the set wait for nothing but commands of that task? */
bool fri_execs_only(const struct fri_set *set, const struct frun_future *task);

/* No lock: the engine closes, its pools have ended; then, without the service
 * thread: what is left. */
void fri_execs_close(frun_engine *e);
void fri_execs_end(frun_engine *e);

/* vars.c: the names and values that it finds in its environment, in `b`, and
 * NULL at the end of the list, which is the caller's to free.  NULL: out of
 * memory. */
const char **fri_exec_vars(const struct fri_exec *x, struct fri_buffer *b);

/* away.c, in a worker process: by requests to the engine's. */
struct frun_future *fri_away_start(frun_engine *e,
                                   struct fri_exec_plan *plan);
void fri_away_stop(frun_engine *e, struct frun_future *f, bool now);
void fri_away_kill(frun_engine *e, struct frun_future *f);
const frun_value *fri_away_command(const struct frun_future *f);
char *fri_away_root(frun_engine *e); /* of the scratch; the caller's */

/* commands.c: its own process may start now (else it has been queued); it has
 * ended. */
bool fri_commands_admit(struct fri_exec *x);
void fri_commands_over(struct fri_exec *x);

#endif
