/*
 * statedir.c - the directory where runs of one user meet.
 *
 * Rules.  What the user's environment names is followed as it stands; from
 * "flowrun" on nothing is trusted: each step is a directory, no link, of this
 * user, that nobody else can write to.
 */
#define _GNU_SOURCE
#include "core/seats.h"

#include "base/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PLAIN = 90 }; /* bytes of a name that are kept */

static bool is_plain(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

void fri_plain_name(const char *name, char out[128])
{
    size_t n = strlen(name), i;
    bool changed = n > PLAIN || n == 0 || name[0] == '.';

    out[0] = '\0';
    for (i = 0; i < n && i < PLAIN; i++) {
        out[i] = is_plain(name[i]) ? name[i] : '_';
        changed = changed || out[i] != name[i];
    }
    if (out[0] == '.')
        out[0] = '_';
    out[i] = '\0';
    if (changed)
        snprintf(out + i, 128 - i, "+%016llx",
                 (unsigned long long)fri_hash(name, n, 0));
}

static int refuse(char why[FRI_WHY], const char *path, const char *what)
{
    snprintf(why, FRI_WHY, "%.280s: %.220s", path, what);
    return -1;
}

/* Makes the directory and those above it. */
static bool make_base(char *path)
{
    for (char *at = path + 1; *at; at++) {
        if (*at != '/')
            continue;
        *at = '\0';
        mkdir(path, 0700);
        *at = '/';
    }
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

static bool base_path(char *path, size_t room)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    int n = 0;

    if (state && state[0] == '/')
        n = snprintf(path, room, "%s", state);
    else if (home && home[0] == '/')
        n = snprintf(path, room, "%s/.local/state", home);
    return n > 0 && (size_t)n < room;
}

static int open_base(char *path, size_t room, char why[FRI_WHY])
{
    int fd;

    if (!base_path(path, room))
        return refuse(why, "$HOME", "no directory for shared limits");
    fd = make_base(path) ? open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    return fd < 0 ? refuse(why, path, strerror(errno)) : fd;
}

static const char *fault_of(int fd)
{
    struct stat st;

    if (fstat(fd, &st) != 0)
        return strerror(errno);
    if (st.st_uid != geteuid())
        return "it belongs to somebody else";
    return st.st_mode & 022 ? "others can write to it" : NULL;
}

/* One step down; closes `above`. */
static int enter(int above, const char *name, char *path, size_t room,
                 char why[FRI_WHY])
{
    size_t n = strlen(path);
    const char *fault;
    int fd, error;

    snprintf(path + n, room - n, "/%s", name);
    fd = mkdirat(above, name, 0700) == 0 || errno == EEXIST
             ? openat(above, name,
                      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
             : -1;
    error = errno;
    close(above);
    if (fd < 0)
        return refuse(why, path,
                      error == ENOTDIR || error == ELOOP ? "not a directory"
                                                         : strerror(error));
    fault = fault_of(fd);
    if (!fault)
        return fd;
    close(fd);
    return refuse(why, path, fault);
}

int fri_limits_dir(char *path, size_t room, char why[FRI_WHY])
{
    char host[256] = "", name[128];
    int fd = open_base(path, room, why);

    gethostname(host, sizeof host - 1);
    fri_plain_name(host, name);
    if (fd >= 0)
        fd = enter(fd, "flowrun", path, room, why);
    if (fd >= 0)
        fd = enter(fd, "limits", path, room, why);
    return fd >= 0 ? enter(fd, name, path, room, why) : fd;
}
