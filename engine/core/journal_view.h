/*
 * journal_view.h - a journal read by others than its run: flowrun show, why.
 *
 * Nothing is written or locked, and a run may be writing meanwhile.  The
 * tables that queries name are those of docs/journal.md.
 */
#ifndef FRI_JOURNAL_VIEW_H
#define FRI_JOURNAL_VIEW_H

#include "core/journal_row.h"
#include "core/seats.h"

struct fri_glance;

/* EJOURNAL: `why`. */
frun_status fri_glance_open(const char *path, struct fri_glance **view,
                          char why[FRI_WHY]);
void fri_glance_close(struct fri_glance *view); /* takes NULL */

/* The process that writes it now; 0: none. */
long fri_glance_holder(const struct fri_glance *view);

/* Calls `see` for each row of a query with n arguments, until that is false.
 * EJOURNAL: `why`. */
typedef bool fri_glance_see(void *user, const struct fri_cell *cells, int n);
frun_status fri_glance_query(struct fri_glance *view, const char *sql,
                           const struct fri_cell *arguments, int n,
                           fri_glance_see *see, void *user, char why[FRI_WHY]);

/* The same for rows of `task` (without results); `tail` follows FROM task.
 * Damaged rows are left out and counted. */
typedef bool fri_glance_see_task(void *user, const struct fri_task_row *row);
frun_status fri_glance_tasks(struct fri_glance *view, const char *tail,
                           const struct fri_cell *arguments, int n,
                           fri_glance_see_task *see, void *user,
                           char why[FRI_WHY]);
uint64_t fri_glance_damaged(const struct fri_glance *view);

#endif
