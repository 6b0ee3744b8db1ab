/*
 * proc.h - processes of commands: started by the helper, their output read by
 * the service thread.
 *
 * Everything is under the engine's lock, and nothing blocks.  A process has
 * ended when it has been reaped (and its group killed): what is in its pipes
 * then is read, but nobody waits for their end, since a child of its may hold
 * them for ever.
 */
#ifndef FRI_PROC_H
#define FRI_PROC_H

#include "core/engine.h"

struct fri_proc;
struct fri_spawn_event;

struct fri_proc_plan {
    /* Normalised.  Read are argv, shell, env, stdin, stdout, stderr and
     * capture; stays until the end. */
    const frun_value *command;
    const char *cwd;        /* NULL: that of the helper; paths of stdin, stdout
                               and stderr are relative to it */
    const char *const *env; /* NAME=value, NULL at the end; or NULL: nothing.
                               It goes before what the command says */
    uint64_t memory;        /* cap of its address space, 0: none */
};

struct fri_proc_end {
    /* OK: it ended by itself with exit_status, or (message set) could not be
     * executed: 126, 127.  ECRASHED: by `signal`, also after fri_proc_stop.
     * ERROR: its directory or a path of its streams cannot be opened (message).
     * ERESOURCE: the system has not enough of something (message). */
    frun_status status;
    int exit_status; /* -1 unless OK */
    int signal;      /* 0 unless ECRASHED */
    int error;       /* errno that goes with the message, else 0 */
    const char *message; /* in text; NULL: none, or out of memory */
    double seconds, cpu;
    int64_t memory; /* bytes at the peak; 0: not known, but less than what the
                       host had when the engine was opened */
    /* Captured; .data NULL: nothing, .memory NULL: it went to a path.  To keep
     * one: copy the struct and set .data NULL. */
    struct fri_buffer out, err;
    char text[256];
};

/* Called exactly once: on the service thread with the lock held, or on the
 * thread that closes the engine.  May start and stop others. */
typedef void fri_proc_ended(void *user, struct fri_proc_end *end);

/* NULL: errno (EMFILE, ENOMEM, EPIPE: no helper ...), and `ended` does not
 * come.  Any thread.  fri_spawner_need must have succeeded once. */
struct fri_proc *fri_proc_start(frun_engine *e,
                                const struct fri_proc_plan *plan,
                                fri_proc_ended *ended, void *user);

/* TERM to the group (going on if it was stopped), KILL after a grace time;
 * now: KILL.  Its end comes by `ended`. */
void fri_proc_stop(struct fri_proc *p, bool now);

/* To the groups of all: for STOP and CONT. */
void fri_procs_signal(frun_engine *e, int number);

/* Lock held: makes the service thread listen to the spawner, if it does not
 * yet.  False: errno; there is no spawner, or no descriptor. */
bool fri_spawner_need(frun_engine *e);

/* ---- forkpool.c, for proc.c ------------------------------------------- */

#define FRI_PROC_ID (UINT64_C(1) << 63) /* in the spawner's name of each */

/* What the spawner says of one. */
void fri_procs_event(frun_engine *e, const struct fri_spawn_event *event);

/* The helper has gone; then, when there is another: those that it had have
 * ended as killed, and what was asked for meanwhile starts. */
void fri_procs_lost(frun_engine *e);
void fri_procs_go_on(frun_engine *e);

/* Without the service thread, when the spawner is closed: ends what is left
 * as killed. */
void fri_procs_close(frun_engine *e);

/* procend.c: says what of enum fri_order_step went wrong, with end->error. */
void fri_proc_explain(struct fri_proc_end *end, const frun_value *command,
                      const char *name, unsigned step);

#endif
