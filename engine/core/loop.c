#include "core/loop.h"

#include <sys/epoll.h>
#include <unistd.h>

bool fri_loop_open(struct fri_loop *loop)
{
    if (loop->fd < 0)
        loop->fd = epoll_create1(EPOLL_CLOEXEC);
    return loop->fd >= 0;
}

void fri_loop_close(struct fri_loop *loop)
{
    if (loop->fd >= 0)
        close(loop->fd);
    loop->fd = -1;
}

bool fri_loop_add(struct fri_loop *loop, struct fri_source *source)
{
    struct epoll_event event = {
        .events = source->writes ? EPOLLOUT : EPOLLIN
    };

    event.data.ptr = source;
    return epoll_ctl(loop->fd, EPOLL_CTL_ADD, source->fd, &event) == 0;
}

/* Closing a descriptor would not do: while a copy of it is open elsewhere,
 * its events go on. */
void fri_loop_remove(struct fri_loop *loop, struct fri_source *source)
{
    if (source->fd >= 0)
        epoll_ctl(loop->fd, EPOLL_CTL_DEL, source->fd, NULL);
    for (unsigned i = loop->at; i < loop->count; i++)
        if (loop->batch[i] == source)
            loop->batch[i] = NULL;
}

void fri_loop_run(struct fri_loop *loop)
{
    struct epoll_event events[FRI_LOOP_BATCH];
    int n;

    if (loop->fd < 0)
        return;
    n = epoll_wait(loop->fd, events, FRI_LOOP_BATCH, 0);
    loop->count = n > 0 ? (unsigned)n : 0;
    for (unsigned i = 0; i < loop->count; i++)
        loop->batch[i] = events[i].data.ptr;
    for (loop->at = 0; loop->at < loop->count;) {
        struct fri_source *source = loop->batch[loop->at++];

        if (source)
            source->ready(source);
    }
    loop->count = 0;
}
