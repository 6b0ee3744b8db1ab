/*
 * post.h - in the helper: reports on their way to the host.  None needs
 * memory: each is part of what it is about.
 */
#ifndef FRI_POST_H
#define FRI_POST_H

#include "pools/spawn/helper.h"

struct fri_post {
    struct fri_post *next;
    bool waits; /* it has not been sent yet */
    void *done; /* what is freed once it is sent, or NULL */
    struct fri_helper_report report;
};

struct fri_posts {
    struct fri_post *first, **end;
};

static inline void fri_posts_init(struct fri_posts *p)
{
    p->first = NULL;
    p->end = &p->first;
}

void fri_post(struct fri_posts *p, struct fri_post *post, uint32_t kind,
              uint64_t id);

/* Sends what goes. */
void fri_posts_flush(struct fri_posts *p, int socket);

#endif
