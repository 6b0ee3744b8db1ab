/*
 * board.h - where the helper notes the process groups of its commands, for the
 * host to kill when the helper is lost.
 *
 * The helper's death kills the commands themselves (PDEATHSIG), but not what
 * they have started.
 *
 * Rules.
 *  1. A page or more of memory that host and helper share.  Only the helper
 *     writes there, and the commands before their programs run.
 *  2. A command notes itself, so there is no moment in which it runs and is
 *     not known.  The helper takes it off before it reaps it: until then its
 *     number is given to no stranger, nor a moment after the helper's death.
 *  3. Workers have no part in it: what a task writes to memory names no
 *     process that the host would kill.
 */
#ifndef FRI_BOARD_H
#define FRI_BOARD_H

#include <stdatomic.h>
#include <stdint.h>

struct fri_board;

/* One place on it: 0 when it is free. */
typedef _Atomic int32_t fri_note;

/* In the host, for the helper to share; NULL: errno.  *fd is the caller's, and
 * needed only by a helper that is exec'd. */
struct fri_board *fri_board_make(int *fd);

/* In an exec'd helper; NULL: there is none. */
struct fri_board *fri_board_join(int fd);

/* In the helper: from now it is not copied to the processes it forks. */
void fri_board_keep(struct fri_board *b);

/* A free place; NULL: there is none, or b is NULL. */
fri_note *fri_board_place(struct fri_board *b);

/* In the host: kills the groups that are noted.  Takes NULL. */
void fri_board_kill(const struct fri_board *b);
void fri_board_close(struct fri_board *b); /* takes NULL */

#endif
