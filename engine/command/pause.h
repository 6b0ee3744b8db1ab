/*
 * pause.h - Ctrl-Z: the run stops with all of its processes, and goes on.
 */
#ifndef FRI_PAUSE_H
#define FRI_PAUSE_H

#include "script/program.h"

/* From now on TSTP pauses the run, unless it was ignored at the start. */
void fri_pause_open(void);

/* Stops the run (NULL: there is nothing but this process) and returns when it
 * goes on.  Not on the main thread, if there is a program. */
void fri_pause_now(struct fri_program *program);

#endif
