/*
 * commands.h - what the files of the pool of commands share: commands.c (the
 * pool), bare.c (commands without a function that need files).
 */
#ifndef FRI_COMMANDS_H
#define FRI_COMMANDS_H

#include "pools/commands/exec.h"
#include "pools/threads/threads.h"

#include "data/value.h"

struct fri_commands {
    struct fri_threads hands; /* first: the pool's state is that of threads */
    struct fri_lane taken;    /* out of the pool's lane, for the hands */
    struct fri_exec *waiting; /* whose tasks have given their places up */
    uint64_t direct;          /* that run without a hand */
    bool calling, more;       /* it hands out, and is to look again */
    unsigned most, used;      /* places */
    const struct frun_future *places[]; /* who is there, or NULL */
};

/* A task without a function: its data is the command. */
bool fri_command_is_bare(const struct frun_future *task);

/* A copy, which is a command in normal form; NULL: *error, or NULL when out
 * of memory. */
frun_value *fri_command_read(const struct frun_future *task,
                             struct fri_error **error);

/* fri_threads_ops.run and .resume. */
bool fri_bare_run(struct fri_worker *worker, struct fri_slice *slice,
                  struct fri_ran *ran);
bool fri_bare_resume(struct fri_resumable *r, struct fri_slice *slice,
                     struct fri_ran *ran);

#endif
