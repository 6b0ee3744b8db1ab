/*
 * journal_lock.c - one writer for a journal: a lock of the kernel on the file
 * PATH.lock, in which the pid of its holder stands.
 *
 * Rules.  It is the lock of an open file description, so it goes with the
 * process, however that ends, and two engines of one process exclude each
 * other.  The file is removed by its holder; who has got the lock of a file
 * that is not there any more begins again.
 */
#ifndef FRUN_NO_JOURNAL
#define _GNU_SOURCE
#include "core/journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { ROOM = FRI_JOURNAL_PATH + 8, TRIES = 100 };

static struct flock whole(short type)
{
    return (struct flock){ .l_type = type, .l_whence = SEEK_SET };
}

static void lock_path(char out[ROOM], const char *path)
{
    snprintf(out, ROOM, "%s.lock", path);
}

static long pid_in(int fd)
{
    char text[24] = "";
    long pid = 0;

    if (pread(fd, text, sizeof text - 1, 0) > 0)
        pid = strtol(text, NULL, 10);
    return pid > 0 ? pid : 0;
}

/* The holder writes its pid just after it has got the lock. */
static long pid_soon(int fd)
{
    struct timespec ms = { .tv_nsec = 1000000 };
    long pid = pid_in(fd);

    for (int i = 0; i < TRIES && pid == 0; i++) {
        nanosleep(&ms, NULL);
        pid = pid_in(fd);
    }
    return pid;
}

static bool is_there(int fd, const char *name)
{
    struct stat ours, there;

    return fstat(fd, &ours) == 0 && lstat(name, &there) == 0
           && ours.st_dev == there.st_dev && ours.st_ino == there.st_ino;
}

static int open_lock(const char *name)
{
    struct stat st;
    int fd = open(name,
                  O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
                      | O_NOCTTY,
                  0600);

    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    errno = EINVAL;
    return -1;
}

/* 0, EAGAIN (another has it) or another errno. */
static int take(int fd)
{
    struct flock l = whole(F_WRLCK);
    int result;

    do {
        result = fcntl(fd, F_OFD_SETLK, &l);
    } while (result != 0 && errno == EINTR);
    if (result == 0)
        return 0;
    return errno == EACCES ? EAGAIN : errno;
}

static int sign(int fd)
{
    char text[24];
    int n = snprintf(text, sizeof text, "%ld\n", (long)getpid());

    if (ftruncate(fd, 0) != 0)
        return errno;
    errno = ENOSPC;
    return pwrite(fd, text, (size_t)n, 0) == n ? 0 : errno;
}

static void refuse_lock(const char *path, int fd, int error,
                        char why[FRI_WHY])
{
    long pid;

    if (error == ENOLCK || error == EINVAL || error == EOPNOTSUPP) {
        fri_journal_refuse(why, path, "no file can be locked there; use a "
                                      "file on another file system");
        return;
    }
    if (error != EAGAIN) {
        fri_journal_refuse(why, path, "cannot be locked: %s",
                           strerror(error));
        return;
    }
    pid = pid_soon(fd);
    if (pid)
        fri_journal_refuse(why, path, "in use by pid %ld", pid);
    else
        fri_journal_refuse(why, path, "in use by another run");
}

int fri_journal_lock(const char *path, char why[FRI_WHY])
{
    char name[ROOM];
    int fd, error;

    lock_path(name, path);
    for (;;) {
        fd = open_lock(name);
        if (fd < 0) {
            fri_journal_refuse(why, path, "%s.lock cannot be opened: %s",
                               strrchr(path, '/') + 1, strerror(errno));
            return -1;
        }
        error = take(fd);
        if (error == 0 && is_there(fd, name))
            break;
        if (error != 0)
            refuse_lock(path, fd, error, why);
        close(fd);
        if (error != 0)
            return -1;
    }
    error = sign(fd);
    if (error == 0)
        return fd;
    refuse_lock(path, fd, error, why);
    fri_journal_unlock(path, fd);
    return -1;
}

void fri_journal_unlock(const char *path, int fd)
{
    char name[ROOM];

    if (fd < 0)
        return;
    lock_path(name, path);
    if (is_there(fd, name)) /* it may be another's by now */
        unlink(name);
    close(fd);
}

long fri_journal_holder(const char *path)
{
    char name[ROOM];
    struct flock l = whole(F_WRLCK);
    long pid = 0;
    int fd;

    lock_path(name, path);
    fd = open(name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return 0;
    if (fcntl(fd, F_OFD_GETLK, &l) == 0 && l.l_type != F_UNLCK)
        pid = pid_soon(fd);
    close(fd);
    return pid;
}

#endif
