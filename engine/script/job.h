/*
 * job.h - between the files of a worker's state: worker.c runs tasks in it,
 * runtime.c opens and closes it, job.c is what lua/worker.lua calls.
 */
#ifndef FRI_JOB_H
#define FRI_JOB_H

#include "script/script.h"
#include "script/stdio.h"

struct fri_job {
    struct fri_resumable resumable; /* first */
    struct fri_runtime *runtime;
    struct fri_job *next; /* free */
    struct fri_flow flow;
    int co_ref;  /* the coroutine; LUA_NOREF: it is to be made */
    int ctl_ref; /* of a slice: its control table */
    struct fri_lines lines;
    struct fri_slice slice;
    struct fri_data outcome;
    int refused; /* of a slice: the item whose result was refused */
    char name[32];
    bool exited; /* os.exit was called */
    int exit_status;
};

struct fri_runtime {
    struct fri_script *script;
    lua_State *L;
    struct fri_worker *worker;
    struct fri_job *free, *job; /* what runs now */
    int task_ref, items_ref;
    struct fri_output *output;
    const struct fri_memory *memory;
};

/* Pushes the list of n items from `first`. */
void fri_push_items(lua_State *L, const struct fri_message *m,
                    const size_t *offsets, uint64_t first, uint64_t n);

/* Pushes the table of functions that lua/worker.lua is given. */
void fri_job_functions(lua_State *L, struct fri_script *s);

/* os.exit ends a task, not the process. */
void fri_job_exit(lua_State *L, struct fri_script *s);

#endif
