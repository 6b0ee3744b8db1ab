/*
 * parcel.c - a request on its way to the helper, with its descriptors.
 */
#define _GNU_SOURCE
#include "pools/parcel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

bool fri_parcel_send(int socket, const struct fri_parcel *p)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof p->fds)] = { 0 };
    size_t size = (size_t)p->n * sizeof *p->fds;
    struct iovec part = { (void *)&p->request, sizeof p->request };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1 };
    struct cmsghdr *c;
    ssize_t n;

    if (p->n > 0) {
        m.msg_control = control;
        m.msg_controllen = CMSG_SPACE(size);
        c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(size);
        memcpy(CMSG_DATA(c), p->fds, size);
    }
    do
        n = sendmsg(socket, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    return n >= 0;
}

bool fri_parcel_is_full(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM
           || error == ETOOMANYREFS;
}

void fri_parcel_free(const struct fri_memory *m, struct fri_parcel *p)
{
    while (p->n > 0)
        close(p->fds[--p->n]);
    fri_free(m, p);
}

static bool copy_fds(struct fri_parcel *p)
{
    int n = p->n;

    for (p->n = 0; p->n < n; p->n++) {
        int fd = fcntl(p->fds[p->n], F_DUPFD_CLOEXEC, STDERR_FILENO + 1);

        if (fd < 0)
            return false;
        p->fds[p->n] = fd;
    }
    return true;
}

struct fri_parcel *fri_parcel_copy(const struct fri_memory *m,
                                   const struct fri_parcel *given)
{
    struct fri_parcel *p = fri_alloc(m, sizeof *p);
    int error;

    if (!p) {
        errno = ENOMEM;
        return NULL;
    }
    *p = *given;
    p->next = NULL;
    if (copy_fds(p))
        return p;
    error = errno;
    fri_parcel_free(m, p);
    errno = error;
    return NULL;
}
