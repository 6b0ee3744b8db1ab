/*
 * tree.c - removes a directory with all that is in it.
 *
 * What stands deeper is moved up before it is emptied, so that neither the
 * stack nor descriptors are used up by depth, and no path gets too long.  No
 * link is followed: each step is opened as a directory or not at all.
 *
 * The lock of a root goes last (scratch.c): what is left of a removal that was
 * itself cut short is found by the next one.
 */
#define _GNU_SOURCE
#include "pools/commands/scratch.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Links are not followed: what they lead to is not ours to change. */
static void open_up(int at, const char *name)
{
    struct stat st;

    if (fstatat(at, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
        fchmodat(at, name, 0700, 0);
}

static int open_dir(int at, const char *name)
{
    int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    int fd = openat(at, name, flags);

    if (fd >= 0 || errno != EACCES)
        return fd;
    open_up(at, name);
    return openat(at, name, flags);
}

static bool is_dots(const char *name)
{
    return name[0] == '.' && (name[1] == '\0'
                              || (name[1] == '.' && name[2] == '\0'));
}

/* A directory that can be opened can be emptied, if it is ours. */
static DIR *list(int at, const char *name)
{
    int fd = open_dir(at, name);
    DIR *entries = NULL;

    if (fd < 0)
        return NULL;
    fchmod(fd, 0700);
    entries = fdopendir(fd);
    if (!entries)
        close(fd);
    return entries;
}

/* Moves a directory out of `from` to where it is emptied in its turn. */
static bool move_up(int from, const char *name, int top, unsigned *number)
{
    char place[24];

    open_up(from, name);
    for (int tries = 0; tries < 1000; tries++) {
        snprintf(place, sizeof place, ".%u", ++*number);
        if (renameat(from, name, top, place) == 0)
            return true;
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
            return false;
    }
    return false;
}

/* A directory right below the top.  False: it stays. */
static bool remove_below(int top, const char *name, unsigned *number)
{
    DIR *entries = list(top, name);
    struct dirent *entry;

    while (entries && (entry = readdir(entries)) != NULL)
        if (!is_dots(entry->d_name)
            && unlinkat(dirfd(entries), entry->d_name, 0) != 0)
            move_up(dirfd(entries), entry->d_name, top, number);
    if (entries)
        closedir(entries);
    return unlinkat(top, name, AT_REMOVEDIR) == 0;
}

/* Once over all that is there but `last`; true when anything went. */
static bool sweep(DIR *entries, const char *last, unsigned *number)
{
    int top = dirfd(entries);
    struct dirent *entry;
    bool gone = false;

    rewinddir(entries);
    while ((entry = readdir(entries)) != NULL) {
        if (is_dots(entry->d_name) || strcmp(entry->d_name, last) == 0)
            continue;
        if (unlinkat(top, entry->d_name, 0) == 0
            || remove_below(top, entry->d_name, number))
            gone = true;
    }
    return gone;
}

/* Two may be at it at once, the engine and its helper: what one of them has
 * moved, the other may not have seen. */
void fri_tree_remove_at(int dir, const char *name)
{
    DIR *entries = list(dir, name);
    unsigned number = 0;

    for (int i = 0; entries && i < 3; i++) {
        while (sweep(entries, FRI_SCRATCH_LOCK, &number))
            ;
        sweep(entries, "", &number);
        if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            break;
    }
    if (entries)
        closedir(entries);
}

void fri_tree_remove(const char *path)
{
    fri_tree_remove_at(AT_FDCWD, path);
}
