/*
 * tally.h - how far a run is: counts that are kept while it lives, of a size
 * that does not depend on how many tasks there are.
 *
 * A group is tasks of one pool whose names are the same but for digits; what
 * comes after FRI_GROUPS groups shares the last one.
 */
#ifndef FRI_TALLY_H
#define FRI_TALLY_H

#include "pools/pool.h"

enum {
    FRI_GROUPS = 128,
    FRI_GROUP_NEEDS = 4, /* limits of a group that are looked at */
    FRI_TALLY_LIMITS = 16,
    FRI_TALLY_RUNNING = 1024,
    FRI_TALLY_NAME = 80
};

struct fri_tally_group {
    uint64_t hash; /* of name and pool */
    uint64_t submitted, ended; /* items of maps one by one */
    uint64_t first, last; /* ids of tasks: when they were submitted */
    uint64_t measured; /* of these the times are in: */
    double sum, squares; /* of seconds */
    uint16_t lane; /* number of its pool, below FRI_GROUPS */
    uint8_t need_count;
    struct { uint8_t limit; unsigned count; } needs[FRI_GROUP_NEEDS];
};

struct fri_tally_limit {
    char name[FRI_TALLY_NAME]; /* fit for a terminal */
    unsigned used, count;
    bool full;    /* and somebody waits for it */
    double share; /* of the looks so far at which it was full */
};

struct fri_tally_running {
    char name[FRI_TALLY_NAME]; /* fit for a terminal; of a few only */
    uint16_t group;
    double seconds; /* so far */
};

/* A look at the run. */
struct fri_look {
    double elapsed;
    uint64_t total, done, failed, cancelled, retried;
    uint64_t running, queued;
    double series; /* of all that has ended: seconds one after another */
    unsigned group_count, limit_count, running_count, lane_count;
    struct fri_tally_group groups[FRI_GROUPS];
    struct fri_tally_limit limits[FRI_TALLY_LIMITS];
    struct fri_tally_running longest[FRI_TALLY_RUNNING];
    unsigned workers[FRI_GROUPS]; /* of each pool */
    double busy; /* share of the looks at which all workers ran and tasks
                    waited for one */
};

struct fri_tally;

/* Watches the engine from now on; NULL: out of memory. */
struct fri_tally *fri_tally_open(frun_engine *e);
void fri_tally_close(struct fri_tally *t); /* takes NULL */

/* No lock: how it is now.  `names`: of so many that run longest the names
 * are wanted; `counts`: this look is one of those at regular times. */
void fri_tally_look(struct fri_tally *t, struct fri_look *look,
                    unsigned names, bool counts);

#endif
