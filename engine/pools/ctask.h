/*
 * ctask.h - tasks that are C functions.
 */
#ifndef FRI_CTASK_H
#define FRI_CTASK_H

#include "pools/pool.h"

/* What a C function sees of its task. */
struct frun_task {
    struct frun_future *future; /* NULL: called by the main program itself */
    const struct fri_memory *memory;
    void *user;
    char message[512]; /* of frun_task_fail, "" none */
};

/* Calls fn; what it failed of, or NULL: out of memory.  On failure there is
 * no result. */
frun_status fri_ctask_call(struct frun_task *task, frun_function *fn,
                           const frun_value *argument, frun_value **result,
                           struct fri_error **error);

void fri_ctask_run(struct fri_worker *worker, struct fri_slice *slice,
                   struct fri_ran *ran);

#endif
