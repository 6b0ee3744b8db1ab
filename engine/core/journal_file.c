/*
 * journal_file.c - what may stand at a journal's path, and how one is made.
 *
 * Rules.
 *  1. What is refused was only read.  A file is opened here only while no
 *     connection of this process to it is open: rule 6 of journal.h.
 *  2. A new journal appears whole or not at all: it is written beside its
 *     place under the name PATH.new, synced, and renamed.
 */
#ifndef FRUN_NO_JOURNAL
#define _GNU_SOURCE
#include "core/journal_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

bool fri_journal_refuse(char why[FRI_WHY], const char *path,
                        const char *format, ...)
{
    struct fri_buffer b;
    char text[300];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fri_buffer_init(&b, NULL);
    fri_escape(&b, path, strlen(path), 180, false);
    fri_buffer_byte(&b, '\0');
    snprintf(why, FRI_WHY, "%s: %s",
             b.failed ? "journal" : (const char *)b.data, text);
    fri_buffer_free(&b);
    return false;
}

/* ---- which file ------------------------------------------------------- */

static const char *kind_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR: return "a directory";
    case S_IFIFO: return "a named pipe";
    case S_IFSOCK: return "a socket";
    case S_IFCHR:
    case S_IFBLK: return "a device";
    default: return "no regular file";
    }
}

/* The real path of a file that is not there yet. */
static bool place_of_new(const char *path, char real[FRI_JOURNAL_PATH],
                         char why[FRI_WHY])
{
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    char above[FRI_JOURNAL_PATH], *found;
    int n;

    if (!*base || strcmp(base, ".") == 0 || strcmp(base, "..") == 0)
        return fri_journal_refuse(why, path, "this names no file");
    n = snprintf(above, sizeof above, "%.*s",
                 slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    if (n < 0 || (size_t)n >= sizeof above)
        return fri_journal_refuse(why, path, "%s", strerror(ENAMETOOLONG));
    found = realpath(above, NULL);
    if (!found)
        return fri_journal_refuse(why, path, "%s", strerror(errno));
    n = snprintf(real, FRI_JOURNAL_PATH, "%s/%s",
                 strcmp(found, "/") == 0 ? "" : found, base);
    free(found);
    if (n < 0 || n >= FRI_JOURNAL_PATH - 8)
        return fri_journal_refuse(why, path, "%s", strerror(ENAMETOOLONG));
    return true;
}

static bool place_of_old(const char *path, char real[FRI_JOURNAL_PATH],
                         char why[FRI_WHY])
{
    char *found = realpath(path, NULL);
    int n;

    if (!found)
        return fri_journal_refuse(why, path, "%s", strerror(errno));
    n = snprintf(real, FRI_JOURNAL_PATH, "%s", found);
    free(found);
    if (n >= FRI_JOURNAL_PATH - 8)
        return fri_journal_refuse(why, path, "%s", strerror(ENAMETOOLONG));
    return true;
}

static bool may_be_followed(const char *path, const struct stat *link,
                            char why[FRI_WHY])
{
    struct stat st;

    if (link->st_uid != geteuid())
        return fri_journal_refuse(why, path,
                                  "a symbolic link of somebody else");
    if (stat(path, &st) != 0 && errno == ENOENT)
        return fri_journal_refuse(why, path, "a symbolic link to nothing");
    return true;
}

bool fri_journal_find(const char *path, char real[FRI_JOURNAL_PATH],
                      bool *missing, char why[FRI_WHY])
{
    struct stat st;

    *missing = false;
    if (lstat(path, &st) != 0) {
        *missing = errno == ENOENT;
        return *missing ? place_of_new(path, real, why)
                        : fri_journal_refuse(why, path, "%s", strerror(errno));
    }
    if (S_ISLNK(st.st_mode) && !may_be_followed(path, &st, why))
        return false;
    if (stat(path, &st) != 0)
        return fri_journal_refuse(why, path, "%s", strerror(errno));
    if (!S_ISREG(st.st_mode))
        return fri_journal_refuse(why, path, "this is %s, not a journal",
                                  kind_of(st.st_mode));
    if (st.st_nlink > 1)
        return fri_journal_refuse(why, path,
                                  "it has %lu names (hard links); a journal "
                                  "must have one",
                                  (unsigned long)st.st_nlink);
    *missing = st.st_size == 0;
    return place_of_old(path, real, why);
}

/* ---- file systems ----------------------------------------------------- */

/* A log in shared memory serves one machine only: where others may have the
 * file as well, another way of writing is taken. */
bool fri_journal_is_local(const char *path)
{
    static const unsigned long far[] = {
        0x6969,     0x517b,     0xff534d42, 0xfe534d42, /* NFS, SMB, CIFS */
        0x01021997, 0x65735546, 0x00c36400, 0x0bd00bd0, /* 9P, FUSE, Ceph */
        0x5346414f, 0x47504653, 0x19830326, 0x01161970, /* AFS, GPFS, ... */
    };
    struct statfs fs;

    if (statfs(path, &fs) != 0)
        return false;
    for (size_t i = 0; i < sizeof far / sizeof *far; i++)
        if (((unsigned long)fs.f_type & 0xffffffff) == far[i])
            return false;
    return true;
}

/* ---- making ----------------------------------------------------------- */

/* An empty journal as bytes; freed by sqlite3_free. */
static unsigned char *empty_journal(sqlite3_int64 *size)
{
    char marks[100];
    sqlite3 *db = NULL;
    unsigned char *bytes = NULL;

    snprintf(marks, sizeof marks,
             "PRAGMA application_id=%d; PRAGMA user_version=%d;",
             FRI_JOURNAL_ID, FRI_JOURNAL_VERSION);
    if (sqlite3_open(":memory:", &db) == SQLITE_OK
        && fri_sql(db, marks) == SQLITE_OK
        && fri_sql(db, fri_journal_schema) == SQLITE_OK)
        bytes = sqlite3_serialize(db, "main", size, 0);
    sqlite3_close(db);
    return bytes;
}

static bool sync_directory(const char *path)
{
    char above[FRI_JOURNAL_PATH];
    int n = (int)(strrchr(path, '/') - path), fd, error;

    snprintf(above, sizeof above, "%.*s", n > 0 ? n : 1, path);
    fd = open(above, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return false;
    /* Some file systems cannot sync a directory, and need not. */
    error = fsync(fd) == 0 || errno == EINVAL || errno == ENOSYS ? 0 : errno;
    close(fd);
    errno = error;
    return error == 0;
}

/* 0 or an errno. */
static int write_new(const char *path, const unsigned char *bytes, size_t size)
{
    int fd, error;

    unlink(path);
    fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return errno;
    error = fri_write(fd, (const char *)bytes, size, false);
    if (error == 0 && fsync(fd) != 0)
        error = errno;
    if (close(fd) != 0 && error == 0)
        error = errno;
    return error;
}

/* What a run that was killed has left beside a file that is there no more: it
 * would be read into the new one.  0 or an errno. */
static int clear_beside(const char *path)
{
    static const char *const ends[] = { "-wal", "-shm", "-journal" };
    char beside[FRI_JOURNAL_PATH + 8];

    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(beside, sizeof beside, "%s%s", path, ends[i]);
        if (unlink(beside) != 0 && errno != ENOENT)
            return errno;
    }
    return 0;
}

bool fri_journal_make(const char *path, char why[FRI_WHY])
{
    char beside[FRI_JOURNAL_PATH + 8];
    sqlite3_int64 size = 0;
    unsigned char *bytes = empty_journal(&size);
    int error;

    snprintf(beside, sizeof beside, "%s.new", path);
    if (!bytes)
        return fri_journal_refuse(why, path, "out of memory");
    error = write_new(beside, bytes, (size_t)size);
    sqlite3_free(bytes);
    if (error == 0)
        error = clear_beside(path);
    if (error == 0 && rename(beside, path) != 0)
        error = errno;
    if (error == 0 && !sync_directory(path)) {
        error = errno;
        unlink(path);
    }
    if (error == 0)
        return true;
    unlink(beside);
    return fri_journal_refuse(why, path, "cannot be made: %s",
                              strerror(error));
}

/* ---- the first bytes -------------------------------------------------- */

enum { HEAD = 100 };

static uint32_t big_endian(const unsigned char *b)
{
    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8
           | b[3];
}

static bool is_zero(const unsigned char *b, size_t n)
{
    while (n > 0 && b[n - 1] == 0)
        n--;
    return n == 0;
}

static bool has_log(const char *path)
{
    static const char *const ends[] = { "-wal", "-journal" };
    char beside[FRI_JOURNAL_PATH + 8];
    struct stat st;

    for (int i = 0; i < 2; i++) {
        snprintf(beside, sizeof beside, "%s%s", path, ends[i]);
        if (stat(beside, &st) == 0 && st.st_size > 0)
            return true;
    }
    return false;
}

/* As SQLite counts: pages of the size that the header says. */
static bool is_short(const unsigned char *head, off_t size)
{
    uint32_t page = (uint32_t)head[16] << 8 | head[17];

    page = page == 1 ? 65536 : page;
    return memcmp(head + 24, head + 92, 4) == 0
           && (uint64_t)size < (uint64_t)page * big_endian(head + 28);
}

static bool check_head(const char *path, const unsigned char *head, ssize_t n,
                       off_t size, char why[FRI_WHY])
{
    uint32_t id, version;

    if (is_zero(head, (size_t)n))
        return fri_journal_refuse(why, path,
                                  "damaged: its first bytes are zeros; move "
                                  "it away to start over");
    if (n < HEAD || memcmp(head, "SQLite format 3", 16) != 0)
        return fri_journal_refuse(why, path,
                                  "this is not a journal; name another file");
    id = big_endian(head + 68);
    version = big_endian(head + 60);
    if (id != FRI_JOURNAL_ID)
        return fri_journal_refuse(why, path,
                                  "this is a database of another program "
                                  "(application id %u, a journal has %u); "
                                  "name another file",
                                  id, (unsigned)FRI_JOURNAL_ID);
    if (version != FRI_JOURNAL_VERSION)
        return fri_journal_refuse(why, path,
                                  "it has version %u, this flowrun (%s) "
                                  "reads version %d; use the flowrun that "
                                  "made it, or another file",
                                  version, FRUN_VERSION, FRI_JOURNAL_VERSION);
    if (is_short(head, size) && !has_log(path))
        return fri_journal_refuse(why, path,
                                  "damaged: its end is missing; restore it, "
                                  "or move it away to start over");
    return true;
}

bool fri_journal_check(const char *path, char why[FRI_WHY])
{
    unsigned char head[HEAD];
    struct stat st;
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    ssize_t n;

    if (fd < 0)
        return fri_journal_refuse(why, path, "%s", strerror(errno));
    n = pread(fd, head, HEAD, 0);
    if (n < 0 || fstat(fd, &st) != 0) {
        fri_journal_refuse(why, path, "cannot be read: %s", strerror(errno));
        close(fd);
        return false;
    }
    close(fd);
    return check_head(path, head, n, st.st_size, why);
}

/* The one that is linked, which may be newer than its header. */
const char *fri_journal_sqlite(void)
{
    return sqlite3_libversion();
}

#endif
