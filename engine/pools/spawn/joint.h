/*
 * joint.h - what joins the helper and its host, while the helper is made.
 */
#ifndef FRI_JOINT_H
#define FRI_JOINT_H

#include "base/clock.h"

#include <stdbool.h>

struct fri_board;

struct fri_joint {
    int ours, theirs; /* a pair of sockets */
    int host; /* a pidfd of this process, < 0: the kernel has none */
    int memory; /* the file of the board */
    struct fri_board *board; /* NULL: taken */
};

/* All are closed by exec.  False: errno. */
bool fri_joint_open(struct fri_joint *j);

/* Those that are not < 0. */
void fri_joint_close(struct fri_joint *j);

/* Takes fd and gives the same above 2: the host may have closed its standard
 * streams, and theirs are no places for what must stay.  < 0: errno. */
int fri_above_standard(int fd);

/* Nothing for fd < 0. */
void fri_close_fd(int fd);

/* Waits until there is something to read; false: not in time. */
bool fri_readable(int fd, fri_time deadline);

#endif
