/*
 * estimate.h - how much longer a run will take, as far as it is submitted.
 *
 * What is left is played through: each group's tasks take their mean, workers
 * and limits are held as in the run, whoever fits begins at once.  A mean rate
 * would be wrong wherever groups differ or one limit holds back the rest.
 */
#ifndef FRI_ESTIMATE_H
#define FRI_ESTIMATE_H

#include "report/tally.h"

struct fri_estimate {
    bool known;     /* else nothing has ended yet */
    bool rough;     /* some group has no time of its own: the mean of all */
    double seconds; /* left */
    double spread;  /* about so much more or less: one standard error */
};

void fri_estimate_make(struct fri_estimate *to, const struct fri_look *look);

#endif
