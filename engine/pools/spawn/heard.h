/*
 * heard.h - in the helper: a request that has come.
 */
#ifndef FRI_HEARD_H
#define FRI_HEARD_H

#include "pools/spawn/helper.h"

struct fri_heard {
    struct fri_helper_request request;
    char more[FRI_HELPER_INLINE];
    size_t size; /* of that */
    int fds[FRI_HELPER_FDS]; /* < 0: taken */
    size_t n;
    bool cut;  /* it had more descriptors than there is room for */
    bool good; /* it is a request */
};

/* Never blocks.  False: there is nothing to read. */
bool fri_hear(int socket, struct fri_heard *heard);

/* Closes the descriptors that were not taken. */
void fri_heard_free(struct fri_heard *heard);

#endif
