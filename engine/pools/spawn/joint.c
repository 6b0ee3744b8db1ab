/*
 * joint.c - what joins the helper and its host.
 */
#define _GNU_SOURCE
#include "pools/spawn/joint.h"
#include "pools/spawn/board.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
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
    fri_close_fd(j->memory);
    fri_board_close(j->board);
}

bool fri_joint_open(struct fri_joint *j)
{
    int pair[2], error = EMFILE;

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return false;
    j->ours = fri_above_standard(pair[0]);
    j->theirs = fri_above_standard(pair[1]);
    j->host = open_host();
    j->board = fri_board_make(&j->memory);
    if (!j->board)
        error = errno;
    j->memory = fri_above_standard(j->memory);
    if (j->ours >= 0 && j->theirs >= 0 && j->memory >= 0)
        return true;
    fri_joint_close(j);
    errno = error;
    return false;
}

bool fri_readable(int fd, fri_time deadline)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    fri_time left;

    while ((left = deadline - fri_now()) > 0) {
        int n = poll(&p, 1, (int)(left / 1000000) + 1);

        if (n > 0)
            return true;
        if (n < 0 && errno != EINTR)
            return false;
    }
    return false;
}
