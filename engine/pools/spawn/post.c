#include "pools/spawn/post.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>

void fri_post(struct fri_posts *p, struct fri_post *post, uint32_t kind,
              uint64_t id)
{
    post->report.magic = FRI_HELPER_MAGIC;
    post->report.kind = kind;
    post->report.id = id;
    post->next = NULL;
    post->waits = true;
    *p->end = post;
    p->end = &post->next;
}

static bool send_post(int socket, const struct fri_post *post)
{
    ssize_t n;

    do
        n = send(socket, &post->report, sizeof post->report,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n >= 0;
}

void fri_posts_flush(struct fri_posts *p, int socket)
{
    struct fri_post *post;

    while ((post = p->first) != NULL && send_post(socket, post)) {
        p->first = post->next;
        if (!p->first)
            p->end = &p->first;
        post->waits = false;
        free(post->done);
    }
}
