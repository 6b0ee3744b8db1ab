/*
 * scratch.c - the root of temporary directories, and those of crashed runs.
 *
 * Rules.
 * 1. A root is ${TMPDIR:-/tmp}/flowrun-XXXXXX, made by mkdtemp, and holds LOCK,
 *    which its run has locked (OFD) until it ends, however it ends.  The file
 *    gets its name when it is locked: nobody ever finds it free before.
 * 2. Only a directory that is ours, has such a name, and holds a LOCK that can
 *    be locked is removed as stale; or one that is empty, for a minute: its run
 *    died before it had a LOCK, or after that was gone.
 * 3. A directory has the process that made it in its name.  What one that was
 *    killed has left goes when its successors need a directory, at the latest
 *    with the root.
 */
#define _GNU_SOURCE
#include "pools/commands/scratch.h"

#include "core/seats.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PREFIX "flowrun-"
#define KEPT PREFIX "kept-"
#define LOCK FRI_SCRATCH_LOCK
#define TASK "task-"

struct fri_scratch {
    const struct fri_memory *memory;
    void (*made)(void *user, const char *root);
    void *user;
    pthread_mutex_t mutex; /* of what follows */
    char *root;            /* NULL: not made yet */
    int lock;              /* -1: the root is another process's */
};

struct fri_scratch *fri_scratch_new(const struct fri_memory *m,
                                    void (*made)(void *user, const char *root),
                                    void *user)
{
    struct fri_scratch *s = fri_alloc_zero(m, sizeof *s);

    if (!s)
        return NULL;
    s->memory = m;
    s->made = made;
    s->user = user;
    s->lock = -1;
    pthread_mutex_init(&s->mutex, NULL);
    return s;
}

void fri_scratch_free(struct fri_scratch *s)
{
    if (!s)
        return;
    if (s->lock >= 0) {
        fri_tree_remove(s->root);
        close(s->lock);
    }
    pthread_mutex_destroy(&s->mutex);
    fri_free(s->memory, s->root);
    fri_free(s->memory, s);
}

/* ---- what crashed runs have left -------------------------------------- */

static bool lock_file(int fd)
{
    struct flock whole = { .l_type = F_WRLCK, .l_whence = SEEK_SET };

    return fcntl(fd, F_OFD_SETLK, &whole) == 0;
}

static bool has_name_of_root(const char *name)
{
    size_t prefix = strlen(PREFIX);

    return strncmp(name, PREFIX, prefix) == 0 && strlen(name) == prefix + 6
           && !strchr(name + prefix, '-');
}

/* Rule 2: its lock, locked; -1: it is not stale. */
static int lock_stale(int tmp, const char *name)
{
    int root = openat(tmp, name,
                      O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    int fd = -1;

    if (root < 0)
        return -1;
    if (fstat(root, &st) == 0 && st.st_uid == geteuid()) {
        fd = openat(root, LOCK, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT && st.st_mtime + 60 < time(NULL))
            unlinkat(tmp, name, AT_REMOVEDIR);
    }
    close(root);
    if (fd >= 0 && !lock_file(fd)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static void remove_stale(const char *tmp)
{
    DIR *entries = opendir(tmp);
    struct dirent *entry;

    while (entries && (entry = readdir(entries)) != NULL) {
        int lock = has_name_of_root(entry->d_name)
                       ? lock_stale(dirfd(entries), entry->d_name)
                       : -1;

        if (lock < 0)
            continue;
        fri_tree_remove_at(dirfd(entries), entry->d_name);
        close(lock);
    }
    if (entries)
        closedir(entries);
}

/* ---- a root of our own ------------------------------------------------ */

static const char *tmp_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    return tmp && tmp[0] == '/' ? tmp : "/tmp";
}

/* Rule 1. */
static int lock_root(const char *root)
{
    int dir = open(root, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int fd = dir < 0 ? -1
                     : openat(dir, LOCK "-new",
                              O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

    if (fd >= 0
        && (!lock_file(fd) || renameat(dir, LOCK "-new", dir, LOCK) != 0)) {
        close(fd);
        fd = -1;
    }
    if (dir >= 0)
        close(dir);
    return fd;
}

static void drop_lock(struct fri_scratch *s)
{
    if (s->lock >= 0)
        close(s->lock);
    s->lock = -1;
}

/* False: *error, or NULL when out of memory. */
static bool make_root(struct fri_scratch *s, struct fri_error **error)
{
    char path[PATH_MAX];
    const char *tmp = tmp_dir();
    int n = snprintf(path, sizeof path, "%s/" PREFIX "XXXXXX", tmp);

    remove_stale(tmp);
    errno = ENAMETOOLONG;
    if ((size_t)n < sizeof path && mkdtemp(path)) {
        s->lock = lock_root(path);
        s->root = s->lock < 0 ? NULL : fri_strdup(s->memory, path);
        if (s->root)
            return true;
        fri_tree_remove(path);
    }
    if (s->lock < 0)
        *error = fri_error_format(s->memory, FRUN_ERROR,
                                  "no temporary directory in %s: %s", tmp,
                                  strerror(errno));
    drop_lock(s);
    return false;
}

const char *fri_scratch_root(struct fri_scratch *s, struct fri_error **error)
{
    const char *root;

    *error = NULL;
    pthread_mutex_lock(&s->mutex);
    if (!s->root && make_root(s, error) && s->made)
        s->made(s->user, s->root);
    root = s->root;
    pthread_mutex_unlock(&s->mutex);
    return root;
}

bool fri_scratch_adopt(struct fri_scratch *s, const char *root)
{
    bool ok;

    pthread_mutex_lock(&s->mutex);
    if (!s->root)
        s->root = fri_strdup(s->memory, root);
    ok = s->root != NULL;
    pthread_mutex_unlock(&s->mutex);
    return ok;
}

/* ---- directories ------------------------------------------------------ */

/* Rule 3. */
static void remove_orphan(int root, const char *name)
{
    long maker;

    if (sscanf(name, TASK "%ld-", &maker) == 1 && maker > 0
        && kill((pid_t)maker, 0) < 0 && errno == ESRCH)
        fri_tree_remove_at(root, name);
}

static void remove_orphans(const char *root)
{
    DIR *entries = opendir(root);
    struct dirent *entry;

    while (entries && (entry = readdir(entries)) != NULL)
        remove_orphan(dirfd(entries), entry->d_name);
    if (entries)
        closedir(entries);
}

/* For people to see whose it is; mkdtemp makes it unique. */
static void plain_name(const char *name, char out[128])
{
    fri_plain_name(name, out);
    out[strcspn(out, "+")] = '\0';
}

char *fri_scratch_dir(struct fri_scratch *s, const char *name,
                      const struct fri_memory *m, struct fri_error **error)
{
    const char *root = fri_scratch_root(s, error);
    char plain[128], path[PATH_MAX], *dir;
    int n;

    if (!root)
        return NULL;
    if (s->lock < 0)
        remove_orphans(root);
    plain_name(name, plain);
    n = snprintf(path, sizeof path, "%s/" TASK "%ld-%s-XXXXXX", root,
                 (long)getpid(), plain);
    if ((size_t)n < sizeof path) {
        dir = fri_strdup(m, path);
        if (!dir || mkdtemp(dir))
            return dir;
        fri_free(m, dir);
    } else {
        errno = ENAMETOOLONG;
    }
    *error = fri_error_format(m, FRUN_ERROR,
                              "no temporary directory in %s: %s", root,
                              strerror(errno));
    return NULL;
}

static const char *last_part(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? slash + 1 : path;
}

bool fri_scratch_is_kept(const char *dir)
{
    return strncmp(last_part(dir), KEPT, strlen(KEPT)) == 0;
}

/* The path is TMPDIR/ROOT/DIR, and that of a name beside ROOT is made. */
static bool place_beside(const char *dir, const char *name, char *path,
                         size_t room)
{
    const char *root = last_part(dir) - 1, *tmp = root;
    char plain[128];
    int n;

    while (tmp > dir && tmp[-1] != '/')
        tmp--;
    plain_name(name, plain);
    n = snprintf(path, room, "%.*s" KEPT "%s-XXXXXX", (int)(tmp - dir), dir,
                 plain);
    return (size_t)n < room;
}

char *fri_scratch_keep(const char *dir, const char *name,
                       const struct fri_memory *m)
{
    char path[PATH_MAX];
    char *kept;

    if (!place_beside(dir, name, path, sizeof path)
        || (kept = fri_strdup(m, path)) == NULL)
        return NULL;
    /* A rename takes the place of an empty directory. */
    if (mkdtemp(kept)) {
        if (rename(dir, kept) == 0)
            return kept;
        rmdir(kept);
    }
    fri_free(m, kept);
    return NULL;
}
