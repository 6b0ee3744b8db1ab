/*
 * watch.h - one thread of the command, that writes what the main program has
 * left unwritten for 0.1 s, ends its waits when the run is to end, and stops
 * the process with all that belongs to it.
 */
#ifndef FRI_WATCH_H
#define FRI_WATCH_H

#include "core/output.h"
#include "script/program.h"

/* Both must outlive the process.  Starts no thread; that comes with the first
 * output that is held, or with fri_watch_start. */
void fri_watch_open(struct fri_program *program, struct fri_output *output);
void fri_watch_start(void);

/* In a signal handler: the program's waits are to end; what runs, too. */
void fri_watch_interrupt(bool stop);

/* In a signal handler: fri_pause_now is to be called, with the program or
 * NULL.  False: there is no thread for it, or it is held up. */
bool fri_watch_pause(void);

/* The progress bar is erased, if that can be done now; in a handler, too. */
void fri_watch_clear(void);

/* The program is about to be closed: not interrupted any more.  The thread
 * stays until the process ends. */
void fri_watch_leave(void);

#endif
