/*
 * launch.h - in the helper: starting the process of a command.
 */
#ifndef FRI_LAUNCH_H
#define FRI_LAUNCH_H

#include "pools/spawn/board.h"
#include "pools/spawn/order.h"

#include <stdbool.h>
#include <sys/types.h>

struct fri_launcher {
    pid_t self;
    int null; /* /dev/null, < 0: none */
    int oom;  /* the helper's own oom_score_adj, < 0: none */
    char less[16], more[16]; /* its value, and that of what it makes */
};

/* Processes are taken before the engine by so much when memory runs out. */
void fri_launcher_open(struct fri_launcher *l, int oom_more);

/* A process has the helper's value of the moment in which it is made: more
 * before, less again after.  As far as the system lets it: no error. */
void fri_launcher_oom(const struct fri_launcher *l, bool more);

struct fri_launch {
    const char *order; /* its bytes ... */
    size_t size;
    int apart;      /* ... or, if it is not < 0, the file that has them */
    int streams[3]; /* for 0 to 2; < 0: as the order says, or /dev/null */
    fri_note *note; /* where the process notes its number, or NULL */
    pid_t pid;                /* set: < 0: there is none ... */
    enum fri_order_step step; /* ... since this could not be done ... */
    int error;                /* ... and why */
};

/* launch->pid; returns when the program runs, or nothing is left of it. */
pid_t fri_launch(const struct fri_launcher *l, struct fri_launch *launch);

struct rusage;

/* Bytes at the peak of a command that has been reaped; 0: not known, it was
 * less than what the helper had. */
int64_t fri_launch_peak(const struct rusage *usage);

#endif
