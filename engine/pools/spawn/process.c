/*
 * process.c - what a forked process does to itself, and to its children.
 *
 * Nothing here needs memory to succeed, but the ways for kernels that lack
 * close_range or the list of children.
 */
#define _GNU_SOURCE
#include "pools/spawn/process.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

static bool close_between(unsigned first, unsigned last)
{
    if (first > last)
        return true;
#ifdef SYS_close_range
    return syscall(SYS_close_range, first, last, 0) == 0;
#else
    return false;
#endif
}

static void close_one(int fd, int low, int high)
{
    if (fd > STDERR_FILENO && fd != low && fd != high)
        close(fd);
}

/* Where close_range is missing. */
static void close_each(int low, int high)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    long most = dir ? 0 : sysconf(_SC_OPEN_MAX);

    while (dir && (entry = readdir(dir)) != NULL) {
        int fd = atoi(entry->d_name);

        if (fd != dirfd(dir))
            close_one(fd, low, high);
    }
    if (dir)
        closedir(dir);
    for (int fd = 0; fd < most; fd++)
        close_one(fd, low, high);
}

void fri_process_close_others(int a, int b)
{
    int low = a < b ? a : b, high = a < b ? b : a;
    unsigned from = STDERR_FILENO + 1;

    if (high < 0)
        high = low = STDERR_FILENO;
    else if (low < 0)
        low = high;
    if (!close_between(from, (unsigned)low - 1)
        || !close_between((unsigned)low + 1, (unsigned)high - 1)
        || !close_between((unsigned)high + 1, ~0u))
        close_each(low, high);
}

void fri_process_open_standard(void)
{
    int fd;

    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0)
        close(fd);
}

/* Two signals are the C library's own, which changes them for nobody, but
 * has them ignored in what its posix_spawn starts (so does make).  The first
 * word of what the kernel knows of a signal is its handler. */
static void unignore_hidden(int n)
{
    uintptr_t action[8] = { 0 };

    if (syscall(SYS_rt_sigaction, n, NULL, action, NSIG / 8) != 0
        || action[0] != (uintptr_t)SIG_IGN)
        return;
    memset(action, 0, sizeof action);
    syscall(SYS_rt_sigaction, n, action, NULL, NSIG / 8);
}

void fri_process_default_signals(void)
{
    struct sigaction action = { .sa_handler = SIG_DFL };

    for (int n = 1; n < NSIG; n++)
        if (sigaction(n, &action, NULL) != 0)
            unignore_hidden(n);
}

void fri_process_forget_streams(void)
{
    __fpurge(stdin);
    __fpurge(stdout);
    __fpurge(stderr);
}

static bool read_text(const char *path, char *text, size_t size)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, size - 1);

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = '\0';
    return n >= 0;
}

/* What follows the name in a stat file; NULL: there is no such file. */
static const char *read_stat(const char *path, char *text, size_t size)
{
    const char *name_end;

    if (!read_text(path, text, size))
        return NULL;
    name_end = strrchr(text, ')');
    return name_end ? name_end + 1 : NULL;
}

static pid_t parent_of(pid_t pid)
{
    char path[64], text[512];
    const char *stat;
    int parent;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    stat = read_stat(path, text, sizeof text);
    return stat && sscanf(stat, " %*c %d", &parent) == 1 ? parent : -1;
}

/* PF_EXITING is set before a join can return, and such a thread runs nothing
 * of ours any more. */
static bool is_exiting(const char *thread)
{
    enum { EXITING = 4 };
    char path[64], text[512];
    const char *stat;
    unsigned flags;

    snprintf(path, sizeof path, "/proc/self/task/%.20s/stat", thread);
    stat = read_stat(path, text, sizeof text);
    return !stat || (sscanf(stat, " %*c %*d %*d %*d %*d %*d %u", &flags) == 1
                     && flags & EXITING);
}

unsigned fri_process_count_threads(void)
{
    DIR *dir = opendir("/proc/self/task");
    struct dirent *entry;
    unsigned n = 0;

    if (!dir)
        return ~0u;
    while ((entry = readdir(dir)) != NULL)
        n += entry->d_name[0] != '.' && !is_exiting(entry->d_name);
    closedir(dir);
    return n;
}

static void kill_by_scan(pid_t self)
{
    DIR *dir = opendir("/proc");
    struct dirent *entry;

    while (dir && (entry = readdir(dir)) != NULL) {
        pid_t pid = atoi(entry->d_name);

        if (pid > 0 && parent_of(pid) == self)
            kill(pid, SIGKILL);
    }
    if (dir)
        closedir(dir);
}

/* The kernel may have no such list; it may be cut, and then comes again. */
void fri_process_kill_children(pid_t self)
{
    char path[64], text[4096], *at = text, *end;
    long pid;

    snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)self);
    if (!read_text(path, text, sizeof text)) {
        kill_by_scan(self);
        return;
    }
    while ((pid = strtol(at, &end, 10)) > 0 && *end == ' ') {
        kill((pid_t)pid, SIGKILL);
        at = end;
    }
}
