/*
 * summary.h - the last words of a run.
 */
#ifndef FRI_SUMMARY_H
#define FRI_SUMMARY_H

#include "report/record.h"
#include "report/tally.h"

/* A run that was short and went well says nothing. */
bool fri_summary_wanted(const struct fri_look *look, bool badly,
                        bool verbose);

/* Totals, the time, the time in series, how much faster, the seed: a line. */
void fri_put_summary(const struct fri_look *look, uint64_t seed,
                     struct fri_buffer *out);

/* What held it back, a line, or nothing; r may be NULL. */
void fri_put_held_back(const struct fri_look *look, struct fri_record *r,
                       struct fri_buffer *out);

/* The words as a shell takes them, control characters escaped. */
void fri_put_again(int argc, char *const *argv, struct fri_buffer *out);

#endif
