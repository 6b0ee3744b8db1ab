/*
 * parcel.h - a request on its way to the helper, with its descriptors.
 */
#ifndef FRI_PARCEL_H
#define FRI_PARCEL_H

#include "pools/helper.h"

struct fri_parcel {
    struct fri_parcel *next;
    struct fri_helper_request request;
    int fds[FRI_HELPER_FDS], n;
};

/* Never blocks.  False: errno. */
bool fri_parcel_send(int socket, const struct fri_parcel *p);

/* The errno of a send that will succeed when the helper has read more. */
bool fri_parcel_is_full(int error);

/* Has descriptors of its own; NULL: errno. */
struct fri_parcel *fri_parcel_copy(const struct fri_memory *m,
                                   const struct fri_parcel *given);

/* Frees a copy. */
void fri_parcel_free(const struct fri_memory *m, struct fri_parcel *p);

#endif
