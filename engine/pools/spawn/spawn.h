/*
 * spawn.h - processes, made by a helper process and never by the host.
 *
 * The helper is one single-threaded process for each engine.  It forks the
 * workers, starts the commands, reaps them, and says so over a socket; it is
 * no child of the host, which may wait for any child of its own.  When the host
 * is gone, or closes the spawner, everything that the helper has made goes with
 * it.
 *
 * All functions but open, reopen and close return at once.  They are called
 * by one thread at a time.
 */
#ifndef FRI_SPAWN_H
#define FRI_SPAWN_H

#include "base/clock.h"
#include "base/memory.h"

#include <stdbool.h>
#include <sys/types.h>

struct fri_spawner;

#define FRI_SPAWN_GRACE (FRI_SECOND / 10) /* from TERM to KILL */

/* What a worker process runs, in a process of its own: never returns.
 * `socket` and `memory` are its only descriptors beside 0, 1 and 2. */
typedef void fri_worker_main(int socket, int memory, void *user);

struct fri_spawn_options {
    fri_worker_main *work; /* called in each worker of a copied helper */
    void *user;
    const char *path;     /* program to exec as a helper where forking is not
                             safe, NULL: none */
    unsigned own_threads; /* threads of this process beside the caller that
                             end themselves around a fork (pthread_atfork) */
};

/* NULL: *error is an errno, or < 0 where the allocator gave nothing; ENOTSUP
 * where the process has other threads and there is no path.  With a path it may
 * take as long as that program takes to start. */
struct fri_spawner *fri_spawner_open(const struct fri_memory *m,
                                     const struct fri_spawn_options *o,
                                     int *error);

/* What to say of that errno. */
const char *fri_spawn_trouble(int error);

/* The program flowrun, of the Lua that is linked, which was installed, or
 * built, with the library or the program that this code stands in, else the
 * first in PATH; in `path`.  NULL: there is none. */
const char *fri_spawn_find(char *path, size_t size);

/* Its name; whatever links a Lua defines it. */
extern const char fri_spawn_program[] __attribute__((weak));

/* Kills what is left and returns when the helper has gone, after 2 seconds at
 * the latest; takes NULL.  In a copy of the process that opened it, it only
 * frees. */
void fri_spawner_close(struct fri_spawner *s);

/* In a signal handler of a process that is about to die: everything that the
 * helper has made is killed; waits until it is gone, half a second at most.
 * From then on nothing comes from the spawner. */
void fri_spawner_abandon(struct fri_spawner *s);

/* The helper is a copy of this process (forked), so C functions of it can
 * run; false: it was exec'd. */
bool fri_spawner_copied(const struct fri_spawner *s);

/* Readable: call fri_spawner_next until it says false.  The same descriptor
 * from open to close, also after fri_spawner_reopen. */
int fri_spawner_fd(const struct fri_spawner *s);

/* `id` is the caller's name for the process, never 0.  False: errno says why
 * (EPIPE: no helper; ECONNRESET: it has just gone, FRI_SPAWN_LOST is to come;
 * ENOMEM, EMFILE).  True: FRI_SPAWN_STARTED or _FAILED
 * comes, or _LOST.  The caller closes its own copies of the descriptors. */
bool fri_spawner_worker(struct fri_spawner *s, uint64_t id, int socket,
                        int memory);

/* The same for a command, whose start is not told: FRI_SPAWN_ENDED, _FAILED or
 * _LOST comes.  Its order (order.h) is copied
 * if need be; a stream that is < 0 is as the order says.  The helper keeps
 * those for 1 and 2 open until it has said that the command has ended, so a
 * reader learns of no end before. */
bool fri_spawner_command(struct fri_spawner *s, uint64_t id,
                         const void *order, size_t size, const int *streams);

/* A directory that the helper removes when it ends, with all below it; the
 * last that was given, also by another helper after fri_spawner_reopen. */
bool fri_spawner_scratch(struct fri_spawner *s, const char *path);

/* To the process and its whole process group; nothing when it has been reaped
 * (and its group has been killed).  False as above. */
bool fri_spawner_signal(struct fri_spawner *s, uint64_t id, int number);

enum fri_spawn_kind {
    FRI_SPAWN_STARTED = 1, /* before ENDED: of a worker */
    FRI_SPAWN_FAILED,      /* instead of these: no process */
    FRI_SPAWN_ENDED,       /* reaped, and its process group killed */
    FRI_SPAWN_LOST         /* the helper has gone, and with it all processes,
                              and the groups of commands */
};

struct fri_spawn_event {
    enum fri_spawn_kind kind;
    uint64_t id;
    pid_t pid;
    int error;      /* errno of FAILED */
    unsigned step;  /* of FAILED, a command: enum fri_order_step */
    int status;     /* wait status of ENDED */
    double cpu;     /* of ENDED, from wait4: seconds */
    double seconds; /* of ENDED: from its start */
    int64_t memory; /* of ENDED, from wait4: bytes at the peak, 0: not known */
};

/* False: nothing. */
bool fri_spawner_next(struct fri_spawner *s, struct fri_spawn_event *event);

/* After FRI_SPAWN_LOST (it comes once, after everything that the helper had
 * said before): another helper, by exec, since this process may have threads
 * now.  False: *error. */
bool fri_spawner_reopen(struct fri_spawner *s, int *error);

/* The exec'd program calls this first when its argv[1] is FRI_HELPER_WORD.
 * Returns the exit status at once, while a process of its own serves until
 * the host has gone. */
#define FRI_HELPER_WORD "--flowrun-helper"
int fri_helper_main(int argc, char **argv, fri_worker_main *work, void *user);

#endif
