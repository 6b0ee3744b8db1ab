/*
 * process.h - what a forked process does to itself, and to its children.
 */
#ifndef FRI_PROCESS_H
#define FRI_PROCESS_H

#include <sys/types.h>

/* Leaves 0 to 2 and these two; either may be < 0. */
void fri_process_close_others(int a, int b);

/* Those of 0 to 2 that are closed become /dev/null. */
void fri_process_open_standard(void);

void fri_process_default_signals(void);

/* What the host had not written yet, or had read ahead, is the host's. */
void fri_process_forget_streams(void);

/* All that are children of this process now, adopted ones too; it must have
 * one thread, so that none is reaped meanwhile. */
void fri_process_kill_children(pid_t self);

/* Threads of this process that can hold a lock; unknown is many.  One that
 * was joined is none, though the kernel may show it for a moment more. */
unsigned fri_process_count_threads(void);

#endif
