/*
 * parcel.h - a request on its way to the helper, with its descriptors.
 */
#ifndef FRI_PARCEL_H
#define FRI_PARCEL_H

#include "pools/spawn/helper.h"

struct fri_parcel {
    struct fri_parcel *next;
    struct fri_helper_request request;
    int fds[FRI_HELPER_FDS], n;
    const void *more; /* follows the request */
    size_t more_size;
};

/* Those that could not be sent yet, with descriptors, and what follows, of
 * their own. */
struct fri_outbox {
    const struct fri_memory *memory;
    struct fri_parcel *first, **end;
};

void fri_outbox_init(struct fri_outbox *o, const struct fri_memory *m);

/* Sends the parcel behind all that is in the box; what does not go at once
 * comes into it.  Never blocks.  False: errno. */
bool fri_outbox_send(struct fri_outbox *o, int socket,
                     const struct fri_parcel *p);

/* Sends what goes. */
void fri_outbox_flush(struct fri_outbox *o, int socket);

void fri_outbox_clear(struct fri_outbox *o);

/* A sealed memory with these bytes; < 0: errno. */
int fri_parcel_apart(const void *bytes, size_t size);

#endif
