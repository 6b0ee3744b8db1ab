/*
 * stop.h - how a run ends before its time: signals and the deadline.
 *
 * The first INT, TERM or HUP, or the deadline, is the cause of the end: the
 * script is interrupted, nothing new is started; what runs has 2 s after a
 * signal, none after the deadline, and is stopped then.  If that takes long,
 * or another signal comes, the process ends where it is.
 */
#ifndef FRI_STOP_H
#define FRI_STOP_H

#include "core/output.h"
#include "script/program.h"

enum { FRI_STOP_DEADLINE = -1 };

/* timeout: seconds, 0: none.  False when there is no timer to be had. */
bool fri_stop_open(struct fri_program *program, struct fri_output *output,
                   double timeout);

/* By the script, where the command line has not said one: seconds from the
 * start of the run. */
void fri_stop_deadline(double seconds);

/* 0, a signal's number, or FRI_STOP_DEADLINE. */
int fri_stop_cause(void);

/* Says a line about it, if there is one and it was not said before.  The next
 * signal, of which the process dies, waits until it has been. */
void fri_stop_tell(void (*say)(const char *text));

/* The same line, at any time. */
const char *fri_stop_text(void);

/* Until when what runs may end by itself; 0: it is to be stopped at once. */
fri_time fri_stop_patience(void);

/* The process is about to be stopped, and goes on: that time does not count. */
void fri_stop_pause(void);
void fri_stop_resume(void);

/* The run is over, only the leaving remains: no deadline from here on. */
void fri_stop_leave(void);

/* Dies by the signal, or ends with status 124. */
void fri_stop_die(void) __attribute__((noreturn));

#endif
