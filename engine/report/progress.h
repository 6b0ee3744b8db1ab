/*
 * progress.h - how far the run is, on standard error while it lives.
 *
 * A thread of its own looks ten times a second, and draws outside the
 * engine's lock; where the terminal does not take bytes it draws nothing.
 * What the script and its tasks print goes through the engine's output, which
 * has the bar erased first (fri_output.before); it comes back with the next
 * look.  Nothing is drawn in the first half second.
 */
#ifndef FRI_PROGRESS_H
#define FRI_PROGRESS_H

#include "report/tally.h"

enum fri_progress_mode {
    FRI_PROGRESS_AUTO, /* a bar on a terminal, lines elsewhere */
    FRI_PROGRESS_BAR,
    FRI_PROGRESS_PLAIN,
    FRI_PROGRESS_JSON,
    FRI_PROGRESS_NONE
};

#define FRI_PROGRESS_FORMS "auto, bar, plain, json or none"

/* False: it is none of them. */
bool fri_progress_parse(const char *text, enum fri_progress_mode *mode);

struct fri_progress;

/* NULL: mode is NONE, or it cannot be had (a run goes on without). */
struct fri_progress *fri_progress_open(frun_engine *e, struct fri_tally *t,
                                       struct fri_output *output,
                                       enum fri_progress_mode mode,
                                       bool color, bool verbose);

/* The thread has ended, the bar is gone; JSON has its last object. */
void fri_progress_close(struct fri_progress *p); /* takes NULL */

#endif
