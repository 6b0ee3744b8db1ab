/*
 * sharing.h - between limit.c and what other runs have of its seats.
 */
#ifndef FRI_SHARING_H
#define FRI_SHARING_H

#include "core/seats.h"
#include "core/settle.h"

void fri_sharing_init(struct fri_limit *limit);

/* The task is about to wait at the limit (shared or not).  False: out of
 * memory. */
bool fri_sharing_wait(struct fri_limit *limit, struct frun_future *task);

/* All shared seats of the task, or none: then the limit that was short, or
 * (*error, the caller's) could not be asked. */
struct fri_limit *fri_sharing_take(struct frun_future *task,
                                   struct fri_error **error);

/* Seats that could be had now; more than there are when those that wait are
 * to be told something. */
unsigned fri_sharing_left(struct fri_limit *limit);

/* Opens the limit, or finds it: any thread, no lock held.  `why` says why it
 * is not OK: EINVAL (it is there, and not the same), ERESOURCE, ENOMEM. */
struct frun_engine;
frun_status fri_limit_open(struct frun_engine *e, const char *name,
                           unsigned count, bool shared,
                           struct fri_limit **limit, char why[FRI_WHY]);

#endif
