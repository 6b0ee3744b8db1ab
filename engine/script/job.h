/*
 * job.h - between the files of a worker's state: worker.c runs tasks in it,
 * runtime.c opens and closes it, job.c is what worker.lua calls.
 */
#ifndef FRI_JOB_H
#define FRI_JOB_H

#include "script/script.h"
#include "script/stdio.h"

#include <signal.h>

/* A bound on what a state may take while one task runs in it (cap.c). */
struct fri_cap {
    lua_Alloc allocate; /* the state's own */
    void *user;
    uint64_t limit; /* 0: none */
    int64_t used;   /* more than when the task began */
    bool hit;       /* it was refused something */
    int pause, step; /* of the collector, as it was */
};

struct fri_job {
    struct fri_resumable resumable; /* first */
    struct fri_runtime *runtime;
    struct fri_job *next;   /* free */
    struct fri_job *others; /* all of the state */
    struct fri_cap cap;
    struct fri_flow flow;
    int co_ref;  /* the coroutine; LUA_NOREF: it is to be made */
    int ctl_ref; /* of a slice: its control table */
    struct fri_lines lines;
    struct fri_buffer last; /* of these, for the journal */
    struct fri_slice slice;
    struct fri_data outcome;
    frun_value *left; /* by a command whose `parse` raised; or NULL */
    int refused; /* of a slice: the item whose result was refused */
    char name[32];
    bool told;   /* a wait of it was ended by an error */
    bool exited; /* os.exit was called */
    int exit_status;
};

/* mend.c: how strings are indexed in a state; references, and pointers to
 * compare. */
struct fri_mend {
    int text, name, strings_ref, methods_ref;
    const void *strings, *methods;
};

struct fri_runtime {
    struct fri_script *script;
    lua_State *L;
    struct fri_worker *worker;
    struct fri_job *free, *all, *job; /* what runs now */
    /* Read and written by a signal handler, on the thread itself: */
    lua_State *volatile current;   /* the coroutine that runs now */
    volatile sig_atomic_t interrupt; /* what is to be done: interrupt.c */
    volatile sig_atomic_t why;       /* a frun_status */
    volatile sig_atomic_t touched;   /* the task was interrupted */
    int task_ref, items_ref, command_ref;
    struct fri_mend mend;
    struct fri_output *output;
    const struct fri_memory *memory;
};

/* Pushes the list of n items from `first`. */
void fri_push_items(lua_State *L, const struct fri_message *m,
                    const size_t *offsets, uint64_t first, uint64_t n);

/* Pushes the table of functions that worker.lua is given. */
void fri_job_functions(lua_State *L, struct fri_script *s);

/* greet.c: of fri_runner. */
void fri_runner_greet(void *user, struct fri_buffer *b);
void *fri_runner_arrive(frun_engine *e, struct fri_reader *r,
                        uint64_t process);

/* interrupt.c: of fri_runner; and: `co` runs from now. */
void fri_interrupt(void *state, frun_status why, bool always);
void fri_calm(void *state);
void fri_set_current(struct fri_runtime *rt, lua_State *co);

/* No hook stays there but that of interrupt.c; was there another? */
bool fri_unhook(struct fri_runtime *rt, lua_State *co);

/* mend.c: what a task may have broken for those that come after it.  The first
 * may raise. */
void fri_mend_open(lua_State *L, struct fri_mend *m);
void fri_mend(struct fri_runtime *rt);

/* The attempt has ended: what a journal wants to know is in its record. */
void fri_job_note(struct fri_job *job, bool failed);

/* coroutine.c: resume, wrap and close say which coroutine runs. */
void fri_coroutine_open(lua_State *L, struct fri_script *s);

/* cap.c: the task of the job takes memory, and does no more.  The first may
 * raise nothing, but collects. */
void fri_cap_begin(struct fri_job *job, uint64_t limit);
void fri_cap_on(struct fri_job *job);
void fri_cap_off(struct fri_job *job);

/* Did the task fail, with that status, for its cap? */
bool fri_cap_failed(struct fri_job *job, int status);

/* os.exit ends a task, not the process. */
void fri_job_exit(lua_State *L, struct fri_script *s);

#endif
