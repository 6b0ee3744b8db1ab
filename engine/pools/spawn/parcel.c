/*
 * parcel.c - a request on its way to the helper, with its descriptors.
 */
#define _GNU_SOURCE
#include "pools/spawn/parcel.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- sending ---------------------------------------------------------- */

/* Never blocks.  False: errno. */
static bool parcel_send(int socket, const struct fri_parcel *p)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof p->fds)] = { 0 };
    size_t size = (size_t)p->n * sizeof *p->fds;
    struct iovec parts[] = { { (void *)&p->request, sizeof p->request },
                             { (void *)(uintptr_t)p->more, p->more_size } };
    struct msghdr m = { .msg_iov = parts, .msg_iovlen = 2 };
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

/* The errno of a send that will succeed when the helper has read more. */
static bool is_full(int error)
{
    return error == EAGAIN || error == ENOBUFS || error == ENOMEM
           || error == ETOOMANYREFS;
}

/* ---- copies ----------------------------------------------------------- */

static void parcel_free(const struct fri_memory *m, struct fri_parcel *p)
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

/* NULL: errno. */
static struct fri_parcel *parcel_copy(const struct fri_memory *m,
                                      const struct fri_parcel *given)
{
    struct fri_parcel *p = fri_alloc(m, sizeof *p + given->more_size);
    int error;

    if (!p) {
        errno = ENOMEM;
        return NULL;
    }
    *p = *given;
    p->next = NULL;
    if (p->more_size > 0)
        p->more = memcpy(p + 1, given->more, p->more_size);
    if (copy_fds(p))
        return p;
    error = errno;
    parcel_free(m, p);
    errno = error;
    return NULL;
}

/* ---- the box ---------------------------------------------------------- */

void fri_outbox_init(struct fri_outbox *o, const struct fri_memory *m)
{
    o->memory = m;
    o->first = NULL;
    o->end = &o->first;
}

static void drop_first(struct fri_outbox *o)
{
    struct fri_parcel *p = o->first;

    o->first = p->next;
    if (!o->first)
        o->end = &o->first;
    parcel_free(o->memory, p);
}

void fri_outbox_flush(struct fri_outbox *o, int socket)
{
    while (o->first) {
        if (!parcel_send(socket, o->first) && is_full(errno))
            return;
        drop_first(o);
    }
}

/* The helper will read, and then there is room. */
static bool put(struct fri_outbox *o, const struct fri_parcel *given)
{
    struct fri_parcel *p = parcel_copy(o->memory, given);

    if (!p)
        return false;
    *o->end = p;
    o->end = &p->next;
    return true;
}

bool fri_outbox_send(struct fri_outbox *o, int socket,
                     const struct fri_parcel *p)
{
    fri_outbox_flush(o, socket);
    if (!o->first) {
        if (parcel_send(socket, p))
            return true;
        if (!is_full(errno))
            return false;
    }
    return put(o, p);
}

void fri_outbox_clear(struct fri_outbox *o)
{
    while (o->first)
        drop_first(o);
}

/* ---- what is too long to follow --------------------------------------- */

static bool write_all(int fd, const char *at, size_t left)
{
    while (left > 0) {
        ssize_t n = write(fd, at, left);

        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0) {
            at += n;
            left -= (size_t)n;
        }
    }
    return true;
}

int fri_parcel_apart(const void *bytes, size_t size)
{
    int fd = memfd_create("flowrun-order", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    int error;

    if (fd < 0)
        return -1;
    if (write_all(fd, bytes, size)
        && fcntl(fd, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW
                                  | F_SEAL_WRITE) == 0)
        return fd;
    error = errno;
    close(fd);
    errno = error;
    return -1;
}
