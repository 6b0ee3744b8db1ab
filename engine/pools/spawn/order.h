/*
 * order.h - what the helper is told of a command that it is to start.
 *
 * An order is a head and then strings, each with its zero byte: the directory
 * and the paths of the three streams ("": none), the words, the changes of the
 * environment (NAME=value, or NAME: it goes).
 */
#ifndef FRI_ORDER_H
#define FRI_ORDER_H

#include "base/buffer.h"

struct fri_proc_plan;

enum { FRI_ORDER_PATHS = 4 }; /* cwd, stdin, stdout, stderr */

struct fri_order_head {
    uint64_t memory;         /* cap of the address space, 0: none */
    uint32_t words, changes; /* words: at least one */
};

/* What could not be done for a command. */
enum fri_order_step {
    FRI_STEP_NONE,
    FRI_STEP_PROCESS, /* no process could be had */
    FRI_STEP_CWD,
    FRI_STEP_STDIN,
    FRI_STEP_STDOUT,
    FRI_STEP_STDERR,
    FRI_STEP_MEMORY, /* the cap */
    FRI_STEP_PROGRAM,
    FRI_STEP_INTERPRETER /* the program is there, not what runs it */
};

/* Replaces what is in the buffer, which may have failed then. */
void fri_order_write(struct fri_buffer *b, const struct fri_proc_plan *plan);

#endif
