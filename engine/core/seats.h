/*
 * seats.h - the file by which runs share the seats of a limit: see seats.c.
 */
#ifndef FRI_SEATS_H
#define FRI_SEATS_H

#include "base/clock.h"
#include "base/memory.h"
#include "flowrun.h"

struct frun_future;
struct fri_seats;

enum {
    FRI_WHY = 512,             /* bytes of a text that says why not */
    FRI_MOST_SEATS = 1000000,  /* of a limit */
};

#define FRI_SEATS_RETRY (FRI_SECOND / 20) /* free seats are looked for */
#define FRI_SEATS_LONG (10 * FRI_SECOND)  /* not overtaken after that */

/* Opens (makes) the file of that name with that count.  May block for some
 * seconds.  ERESOURCE: `why` says which path, and what is wrong with it. */
frun_status fri_seats_open(const struct fri_memory *m, const char *name,
                           unsigned count, struct fri_seats **seats,
                           char why[FRI_WHY]);
void fri_seats_close(struct fri_seats *s); /* takes NULL */

const char *fri_seats_path(const struct fri_seats *s);

/* Begins a change.  False: another run is about one, or (*error an errno) it
 * cannot be.  A change ends with leave; none of these blocks. */
bool fri_seats_enter(struct fri_seats *s, int *error);
void fri_seats_leave(struct fri_seats *s);

/* The count as the file has it now. */
unsigned fri_seats_count(struct fri_seats *s);

/* Seats that nobody has, of the first n; places[i] is who of this run has
 * seat i, or NULL. */
unsigned fri_seats_left(struct fri_seats *s, unsigned n,
                        const struct frun_future *const *places);

/* Would taking a seat now overtake another run that has waited long?  `left`
 * seats are free. */
bool fri_seats_is_behind(struct fri_seats *s, unsigned left, fri_time now);

/* Inside a change: gives `who` `need` of the first n seats, or none. */
bool fri_seats_take(struct fri_seats *s, unsigned need,
                    const struct frun_future *who, unsigned n,
                    const struct frun_future **places);
void fri_seats_give(struct fri_seats *s, unsigned i);

/* Shows the other runs that this one waits for `need` seats since then, and
 * no more. */
void fri_seats_wait(struct fri_seats *s, fri_time since, unsigned need);
void fri_seats_stop_waiting(struct fri_seats *s);
bool fri_seats_waits(const struct fri_seats *s);

/* ---- statedir.c ------------------------------------------------------- */

/* Opens DIR/flowrun/limits/HOST, DIR being $XDG_STATE_HOME or
 * ~/.local/state; made where it is missing.  < 0: `why`. */
int fri_limits_dir(char *path, size_t room, char why[FRI_WHY]);

/* A name as a file's name: what is not plain is replaced and a hash, after a
 * + that plain names do not have, tells such names apart. */
void fri_plain_name(const char *name, char out[128]);

#endif
