#define _GNU_SOURCE
#include "pools/commands/inside.h"

#include "base/buffer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { STEP = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC };

/* ---- parts ------------------------------------------------------------ */

/* Skips what counts for nothing. */
static const char *at_part(const char *s)
{
    while (s[0] == '/' || (s[0] == '.' && (s[1] == '/' || s[1] == '\0')))
        s++;
    return s;
}

/* Copies the part at s; gives where the next begins. */
static const char *take_part(const char *s, char part[NAME_MAX + 1])
{
    size_t n = strcspn(s, "/");

    snprintf(part, NAME_MAX + 1, "%.*s", (int)n, s);
    return at_part(s + n);
}

static const char *fault_of_part(const char *s, size_t n)
{
    if (n == 2 && memcmp(s, "..", 2) == 0)
        return "it leads out of the directory";
    return n > NAME_MAX ? "it is too long" : NULL;
}

const char *fri_inside_fault(const char *name, size_t length)
{
    if (strlen(name) != length)
        return "it has a NUL in it";
    if (name[0] == '/')
        return "it is not within the directory";
    if (length >= FRI_NAME_ROOM)
        return "it is too long";
    if (*at_part(name) == '\0')
        return "it names no file";
    for (const char *s = name; *s; s = at_part(s)) {
        size_t n = strcspn(s, "/");
        const char *fault = fault_of_part(s, n);

        if (fault)
            return fault;
        s += n;
        if (s[0] == '/' && *at_part(s) == '\0')
            return "it names a directory";
    }
    return NULL;
}

/* ---- one name --------------------------------------------------------- */

static int step(int dir, const char *part, bool make)
{
    int fd = openat(dir, part, STEP);

    if (fd >= 0 || errno != ENOENT || !make)
        return fd;
    if (mkdirat(dir, part, 0777) != 0 && errno != EEXIST)
        return -1;
    return openat(dir, part, STEP);
}

int fri_inside_open(int dir, const char *name, bool make,
                    char last[NAME_MAX + 1])
{
    int fd = fcntl(dir, F_DUPFD_CLOEXEC, 0);
    const char *rest = take_part(at_part(name), last);

    while (fd >= 0 && *rest) {
        int below = step(fd, last, make), error = errno;

        close(fd);
        errno = error;
        fd = below;
        rest = take_part(rest, last);
    }
    return fd;
}

/* ---- patterns --------------------------------------------------------- */

struct walk {
    fri_inside_visit *visit;
    void *user;
    char name[FRI_NAME_ROOM]; /* as far as it is known */
};

bool fri_inside_is_pattern(const char *name)
{
    return strpbrk(name, "*?[") != NULL;
}

static bool each(struct walk *w, int dir, size_t used, const char *rest);

/* No directory, or a link: nothing in it matches. */
static bool is_nothing(int error)
{
    return error == ENOENT || error == ENOTDIR || error == ELOOP
           || error == EACCES;
}

/* `part` is in dir, or may be; `rest` is what is to match below. */
static bool enter(struct walk *w, int dir, size_t used, const char *part,
                  const char *rest)
{
    size_t n = strlen(part);
    bool ok;
    int fd;

    if (used + n + 2 > sizeof w->name)
        return true;
    memcpy(w->name + used, part, n + 1);
    if (!*rest)
        return w->visit(w->user, dir, part, w->name);
    fd = openat(dir, part, STEP);
    if (fd < 0)
        return is_nothing(errno);
    w->name[used + n] = '/';
    ok = each(w, fd, used + n + 1, rest);
    close(fd);
    return ok;
}

/* The names in dir, each closed by a NUL: the visitor may remove some. */
static bool list(int dir, struct fri_buffer *names)
{
    int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *entries = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    if (!entries) {
        if (fd >= 0)
            close(fd);
        return fd < 0 && is_nothing(errno);
    }
    while ((entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            fri_buffer_add(names, entry->d_name, strlen(entry->d_name) + 1);
    closedir(entries);
    errno = ENOMEM;
    return !names->failed;
}

static bool each(struct walk *w, int dir, size_t used, const char *rest)
{
    char part[NAME_MAX + 1];
    const char *below = take_part(rest, part), *name;
    struct fri_buffer names;
    bool ok;

    if (!fri_inside_is_pattern(part))
        return enter(w, dir, used, part, below);
    fri_buffer_init(&names, NULL);
    ok = list(dir, &names);
    for (size_t at = 0; ok && at < names.length; at += strlen(name) + 1) {
        name = (const char *)names.data + at;
        if (fnmatch(part, name, FNM_PERIOD) == 0)
            ok = enter(w, dir, used, name, below);
    }
    fri_buffer_free(&names);
    return ok;
}

bool fri_inside_match(int dir, const char *pattern, fri_inside_visit *visit,
                      void *user)
{
    struct walk w = { .visit = visit, .user = user };

    return each(&w, dir, 0, at_part(pattern));
}
