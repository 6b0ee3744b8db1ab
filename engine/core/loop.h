/*
 * loop.h - descriptors that the service thread waits for.
 *
 * All under the engine's lock, but for the waiting itself, which is a poll of
 * `fd`.  A source may remove itself or any other while it is called.
 */
#ifndef FRI_LOOP_H
#define FRI_LOOP_H

#include <stdbool.h>

struct fri_source {
    int fd;
    bool writes; /* it waits for room, not for input */
    void (*ready)(struct fri_source *source);
};

enum { FRI_LOOP_BATCH = 32 };

struct fri_loop {
    int fd; /* an epoll, < 0: not open */
    unsigned at, count;
    struct fri_source *batch[FRI_LOOP_BATCH]; /* that are called now */
};

bool fri_loop_open(struct fri_loop *loop); /* false: errno */
void fri_loop_close(struct fri_loop *loop);

/* The source must stay until it is removed; before its fd is closed.  False:
 * errno. */
bool fri_loop_add(struct fri_loop *loop, struct fri_source *source);
void fri_loop_remove(struct fri_loop *loop, struct fri_source *source);

/* Calls all sources that are ready now. */
void fri_loop_run(struct fri_loop *loop);

#endif
