/*
 * joint.c - what joins the helper and its host.
 */
#define _GNU_SOURCE
#include "pools/joint.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

void fri_close_fd(int fd)
{
    if (fd >= 0)
        close(fd);
}

int fri_above_standard(int fd)
{
    int moved, error;

    if (fd < 0 || fd > STDERR_FILENO)
        return fd;
    moved = fcntl(fd, F_DUPFD_CLOEXEC, STDERR_FILENO + 1);
    error = errno;
    close(fd);
    errno = error;
    return moved;
}

static int open_host(void)
{
#ifdef SYS_pidfd_open
    return fri_above_standard((int)syscall(SYS_pidfd_open, getpid(), 0));
#else
    return -1;
#endif
}

void fri_joint_close(struct fri_joint *j)
{
    fri_close_fd(j->ours);
    fri_close_fd(j->theirs);
    fri_close_fd(j->host);
}

bool fri_joint_open(struct fri_joint *j)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    j->ours = fri_above_standard(pair[0]);
    j->theirs = fri_above_standard(pair[1]);
    j->host = open_host();
    if (j->ours >= 0 && j->theirs >= 0)
        return true;
    fri_joint_close(j);
    errno = EMFILE;
    return false;
}
