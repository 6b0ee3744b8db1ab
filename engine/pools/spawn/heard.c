#define _GNU_SOURCE
#include "pools/spawn/heard.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static size_t take_fds(struct msghdr *m, int *fds)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    size_t n = 0;

    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
        return 0;
    n = (c->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
    memcpy(fds, CMSG_DATA(c), n * sizeof *fds);
    return n;
}

static ssize_t receive(int socket, struct msghdr *m)
{
    ssize_t got;

    do
        got = recvmsg(socket, m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    while (got < 0 && errno == EINTR);
    return got;
}

bool fri_hear(int socket, struct fri_heard *heard)
{
    enum { LEAST = sizeof heard->request };
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof heard->fds)];
    struct iovec parts[] = { { &heard->request, LEAST },
                             { heard->more, sizeof heard->more } };
    struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2,
                        .msg_control = control,
                        .msg_controllen = sizeof control };
    ssize_t got = receive(socket, &m);

    if (got <= 0)
        return false;
    heard->n = take_fds(&m, heard->fds);
    heard->cut = m.msg_flags & MSG_CTRUNC;
    heard->good = got >= LEAST && heard->request.magic == FRI_HELPER_MAGIC
                  && !(m.msg_flags & MSG_TRUNC);
    heard->size = heard->good ? (size_t)got - LEAST : 0;
    return true;
}

void fri_heard_free(struct fri_heard *heard)
{
    while (heard->n > 0)
        if (heard->fds[--heard->n] >= 0)
            close(heard->fds[heard->n]);
}
