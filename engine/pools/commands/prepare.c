/*
 * prepare.c - the files of a command, before it starts.
 *
 * All names are looked at before anything is written; of the directories on
 * the way to a file none may be a link (inside.h).  A file that is there is
 * replaced, not written through: what else has its name, or it as a link, does
 * not change.
 */
#define _GNU_SOURCE
#include "pools/commands/command.h"

#include "pools/commands/inside.h"
#include "pools/commands/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

struct preparation {
    const frun_value *command;
    const struct fri_memory *memory;
    struct fri_error **error;
    int dir; /* -1: not open */
};

/* False: with the reason of `error`, an errno. */
static bool fail(struct preparation *p, const char *field, const char *name,
                 int error)
{
    const char *why = error == ELOOP || error == ENOTDIR
                          ? "there is a link, or a file, on its way"
                          : strerror(error);

    *p->error = fri_error_format(p->memory, FRUN_ERROR, "%s: \"%s\": %s",
                                 field, name, why);
    return false;
}

/* ---- names ------------------------------------------------------------ */

static bool check_name(struct preparation *p, const char *field,
                       const frun_value *name)
{
    const char *fault = fri_inside_fault(frun_value_as_str(name),
                                         frun_value_length(name));

    if (!fault)
        return true;
    *p->error = fri_error_format(p->memory, FRUN_ERROR, "%s: \"%s\": %s",
                                 field, frun_value_as_str(name), fault);
    return false;
}

static bool check_names(struct preparation *p)
{
    const frun_value *files = frun_value_get(p->command, "files");
    const frun_value *collect = frun_value_get(p->command, "collect");

    for (size_t i = 0; i < frun_value_length(files); i++)
        if (!check_name(p, "files", frun_value_key_at(files, i)))
            return false;
    for (size_t i = 0; i < frun_value_length(collect); i++)
        if (!check_name(p, "collect", frun_value_at(collect, i)))
            return false;
    return true;
}

/* The way to it, as far as it is there. */
static bool check_way(struct preparation *p, const char *name)
{
    char last[NAME_MAX + 1];
    struct stat st;
    int dir = fri_inside_open(p->dir, name, false, last);
    bool is_dir;

    if (dir < 0)
        return errno == ENOENT || fail(p, "files", name, errno);
    is_dir = fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) == 0
             && S_ISDIR(st.st_mode);
    close(dir);
    return !is_dir || fail(p, "files", name, EISDIR);
}

/* A regular file, to be read: opening another may last for ever. */
static int open_source(const char *path)
{
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0 || (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)))
        return fd;
    close(fd);
    errno = S_ISDIR(st.st_mode) ? EISDIR : EINVAL;
    return -1;
}

static bool check_source(struct preparation *p, const frun_value *content)
{
    const frun_value *path = frun_value_get(content, "path");
    int fd = path ? open_source(frun_value_as_str(path)) : -1;

    if (path && fd < 0)
        return fail(p, "files", frun_value_as_str(path), errno);
    if (fd >= 0)
        close(fd);
    return true;
}

static bool check_files(struct preparation *p)
{
    const frun_value *files = frun_value_get(p->command, "files");

    for (size_t i = 0; i < frun_value_length(files); i++) {
        const char *name = frun_value_as_str(frun_value_key_at(files, i));

        if (!check_way(p, name)
            || !check_source(p, frun_value_at(files, i)))
            return false;
    }
    return true;
}

/* ---- what is to be collected ------------------------------------------ */

static bool remove_one(void *user, int dir, const char *last,
                       const char *name)
{
    struct preparation *p = user;
    struct stat st;

    if (fstatat(dir, last, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    if (S_ISDIR(st.st_mode) || unlinkat(dir, last, 0) == 0 || errno == ENOENT)
        return true;
    return fail(p, "collect", name, errno);
}

static bool remove_old(struct preparation *p)
{
    const frun_value *collect = frun_value_get(p->command, "collect");

    for (size_t i = 0; i < frun_value_length(collect); i++) {
        const char *name = frun_value_as_str(frun_value_at(collect, i));

        if (fri_inside_match(p->dir, name, remove_one, p))
            continue;
        return *p->error ? false : fail(p, "collect", name, errno);
    }
    return true;
}

/* ---- files ------------------------------------------------------------ */

static bool write_all(int fd, const char *bytes, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, bytes, n);

        if (put < 0 && errno != EINTR)
            return false;
        bytes += put > 0 ? put : 0;
        n -= put > 0 ? (size_t)put : 0;
    }
    return true;
}

static bool copy_rest(int from, int to)
{
    char piece[1 << 14];
    ssize_t n;

    while ((n = read(from, piece, sizeof piece)) != 0) {
        if (n < 0 && errno != EINTR)
            return false;
        if (n > 0 && !write_all(to, piece, (size_t)n))
            return false;
    }
    return true;
}

/* Shares the blocks, or lets the kernel copy, where either can be done. */
static bool copy(int from, int to)
{
#ifdef FICLONE
    if (ioctl(to, FICLONE, from) == 0)
        return true;
#endif
    while (copy_file_range(from, NULL, to, NULL, 1 << 30, 0) > 0)
        ;
    return copy_rest(from, to);
}

static bool fill(int fd, const frun_value *content)
{
    const frun_value *path = frun_value_get(content, "path");
    struct stat st;
    int from, error;
    bool ok;

    if (!path)
        return write_all(fd, frun_value_as_str(content),
                         frun_value_length(content));
    from = open_source(frun_value_as_str(path));
    if (from < 0)
        return false;
    ok = fstat(from, &st) == 0 && copy(from, fd)
         && (!(st.st_mode & 0111) || fchmod(fd, st.st_mode & 0777) == 0);
    error = errno;
    close(from);
    errno = error;
    return ok;
}

static int create(int dir, const char *last)
{
    if (unlinkat(dir, last, 0) != 0 && errno != ENOENT)
        return -1;
    return openat(dir, last,
                  O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666);
}

static bool write_file(struct preparation *p, const char *name,
                       const frun_value *content)
{
    char last[NAME_MAX + 1];
    int dir = fri_inside_open(p->dir, name, true, last);
    int fd = dir < 0 ? -1 : create(dir, last);
    bool ok = fd >= 0 && fill(fd, content);
    int error = errno;

    if (fd >= 0 && close(fd) != 0 && ok) {
        error = errno;
        ok = false;
    }
    if (dir >= 0)
        close(dir);
    return ok || fail(p, "files", name, error);
}

static bool write_files(struct preparation *p)
{
    const frun_value *files = frun_value_get(p->command, "files");

    for (size_t i = 0; i < frun_value_length(files); i++)
        if (!write_file(p, frun_value_as_str(frun_value_key_at(files, i)),
                        frun_value_at(files, i)))
            return false;
    return true;
}

/* ---- the directory ---------------------------------------------------- */

static bool is_dir(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* There may be one already; false: errno, of the making. */
static bool make_one(const char *path)
{
    int error;

    if (mkdir(path, 0777) == 0)
        return true;
    error = errno;
    if (is_dir(path))
        return true;
    errno = error;
    return false;
}

/* With those above it. */
static bool make_dirs(char *path)
{
    for (char *at = path + 1; *at; at++) {
        bool made;

        if (*at != '/')
            continue;
        *at = '\0';
        made = make_one(path);
        *at = '/';
        if (!made)
            return false;
    }
    return make_one(path);
}

static char *make_cwd(struct preparation *p, const char *cwd)
{
    char *path = fri_strdup(p->memory, cwd), *real, *dir;

    if (!path)
        return NULL;
    real = is_dir(path) || make_dirs(path) ? realpath(path, NULL) : NULL;
    if (!real)
        fail(p, "cwd", cwd, errno);
    dir = fri_strdup(p->memory, real);
    free(real);
    fri_free(p->memory, path);
    return dir;
}

/* False: *p->error, or out of memory.  *dir stays NULL where the command has
 * none of its own. */
static bool make_dir(struct preparation *p, struct fri_scratch *scratch,
                     const char *name, char **dir)
{
    const frun_value *cwd = frun_value_get(p->command, "cwd");

    if (frun_value_as_bool(frun_value_get(p->command, "temp")))
        *dir = fri_scratch_dir(scratch, name, p->memory, p->error);
    else if (cwd)
        *dir = make_cwd(p, frun_value_as_str(cwd));
    else
        return true;
    return *dir != NULL;
}

static bool open_dir(struct preparation *p, const char *dir)
{
    p->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return p->dir >= 0 || fail(p, "cwd", dir, errno);
}

static void abandon(struct preparation *p, char **dir)
{
    if (*dir && frun_value_as_bool(frun_value_get(p->command, "temp")))
        fri_tree_remove(*dir);
    fri_free(p->memory, *dir);
    *dir = NULL;
}

bool fri_command_prepare(const frun_value *command,
                         struct fri_scratch *scratch, const char *name,
                         const struct fri_memory *m, char **dir,
                         struct fri_error **error)
{
    struct preparation p = { command, m, error, -1 };
    bool ok;

    *dir = NULL;
    *error = NULL;
    ok = check_names(&p) && make_dir(&p, scratch, name, dir)
         && open_dir(&p, *dir ? *dir : ".") && check_files(&p)
         && remove_old(&p) && write_files(&p);
    if (p.dir >= 0)
        close(p.dir);
    if (!ok)
        abandon(&p, dir);
    return ok;
}
