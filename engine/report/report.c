/*
 * report.c - from a record to a file.
 */
#define _GNU_SOURCE
#include "report/report.h"

#include "core/output.h"
#include "report/page.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);

    return n > m && strcmp(text + n - m, end) == 0;
}

bool fri_report_form_of(const char *path, enum fri_report_form *form)
{
    if (ends_with(path, ".html") || ends_with(path, ".htm"))
        *form = FRI_REPORT_PAGE;
    else if (ends_with(path, ".xml"))
        *form = FRI_REPORT_JUNIT;
    else if (ends_with(path, ".json"))
        *form = FRI_REPORT_JSON;
    else
        return false;
    return true;
}

/* ---- files ------------------------------------------------------------ */

/* What is there, links followed; false: nothing. */
static bool look(const char *path, struct stat *there)
{
    return stat(path, there) == 0;
}

/* The directory of a path, into `to`. */
static void directory_of(const char *path, char to[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;

    if (!slash)
        snprintf(to, PATH_MAX, ".");
    else
        snprintf(to, PATH_MAX, "%.*s", (int)(length ? length : 1), path);
}

/* Where a file with that name stands, or will, links followed; false: that
 * cannot be told. */
static bool place_of(const char *path, char to[PATH_MAX])
{
    const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
    char directory[PATH_MAX];
    size_t length;

    if (realpath(path, to))
        return true;
    if (errno != ENOENT)
        return false;
    directory_of(path, directory);
    if (!realpath(directory, to))
        return false;
    length = strlen(to);
    return snprintf(to + length, PATH_MAX - length, "/%s", name)
           < (int)(PATH_MAX - length);
}

int fri_report_probe(const char *path)
{
    char directory[PATH_MAX], place[PATH_MAX];
    struct stat there;

    if (strlen(path) >= PATH_MAX - 32)
        return ENAMETOOLONG;
    if (look(path, &there) && S_ISDIR(there.st_mode))
        return EISDIR;
    if (fri_stream_of(path) > 0)
        return 0;
    if (look(path, &there) && !S_ISREG(there.st_mode))
        return access(path, W_OK) == 0 ? 0 : errno;
    directory_of(place_of(path, place) ? place : path, directory);
    return access(directory, W_OK | X_OK) == 0 ? 0 : errno;
}

bool fri_report_same(const char *a, const char *b)
{
    char place_a[PATH_MAX], place_b[PATH_MAX];
    struct stat there;

    if (fri_stream_of(a) > 0
        || (look(a, &there) && !S_ISREG(there.st_mode)))
        return false;
    return strlen(a) < PATH_MAX && strlen(b) < PATH_MAX
           && place_of(a, place_a) && place_of(b, place_b)
           && strcmp(place_a, place_b) == 0;
}

static int put_bytes(int fd, const struct fri_buffer *b)
{
    return fri_write(fd, (const char *)b->data, b->length, false);
}

static int write_device(const char *path, const struct fri_buffer *b)
{
    int fd = open(path, O_WRONLY | O_CLOEXEC | O_NOCTTY), error;

    if (fd < 0)
        return errno;
    error = put_bytes(fd, b);
    if (close(fd) != 0 && !error)
        error = errno;
    return error;
}

/* Another name in the same directory, of a file that is new. */
static int open_beside(const char *path, char name[PATH_MAX])
{
    for (unsigned i = 0; i < 100; i++) {
        int n = snprintf(name, PATH_MAX, "%s.%ld-%u~", path, (long)getpid(),
                         i);
        int fd = n < PATH_MAX
                     ? open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                            0666)
                     : -1;

        if (fd >= 0 || errno != EEXIST)
            return fd;
    }
    return -1;
}

static void sync_directory(const char *path)
{
    char directory[PATH_MAX];
    int fd;

    directory_of(path, directory);
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return;
    fsync(fd); /* some file systems cannot: the file itself is safe */
    close(fd);
}

static int write_plain(const char *path, const struct fri_buffer *b,
                       const struct stat *old)
{
    char name[PATH_MAX];
    int fd = open_beside(path, name), error;

    if (fd < 0)
        return errno;
    error = put_bytes(fd, b);
    if (!error && old && fchmod(fd, old->st_mode & 0777) != 0)
        error = errno;
    if (!error && fsync(fd) != 0)
        error = errno;
    if (close(fd) != 0 && !error)
        error = errno;
    if (!error && rename(name, path) != 0)
        error = errno;
    if (error)
        unlink(name);
    else
        sync_directory(path);
    return error;
}

/* A link stays, and what it points to is replaced. */
static int write_file(const char *path, const struct fri_buffer *b)
{
    struct stat there;
    char real[PATH_MAX];

    if (!look(path, &there))
        return write_plain(path, b, NULL);
    if (S_ISDIR(there.st_mode))
        return EISDIR;
    if (fri_stream_of(path) > 0)
        return put_bytes(fri_stream_of(path), b);
    if (!S_ISREG(there.st_mode))
        return write_device(path, b);
    if (!realpath(path, real))
        return errno;
    return write_plain(real, b, &there);
}

/* ---- forms ------------------------------------------------------------ */

static bool make(struct fri_record *r, enum fri_report_form form,
                 struct fri_buffer *out)
{
    switch (form) {
    case FRI_REPORT_PAGE: fri_page_write(r, out->memory, out); break;
    case FRI_REPORT_JUNIT: fri_put_junit(r, out); break;
    case FRI_REPORT_JSON: fri_put_report_json(r, out); break;
    case FRI_REPORT_TRACE: fri_put_trace(r, out); break;
    case FRI_REPORT_JOBLOG: fri_put_joblog(r, out); break;
    }
    return !out->failed;
}

bool fri_report_write(struct fri_record *r, enum fri_report_form form,
                      const char *path, struct fri_buffer *why)
{
    struct fri_buffer out;
    int error;

    fri_buffer_init(&out, NULL);
    error = make(r, form, &out) ? write_file(path, &out) : ENOMEM;
    fri_buffer_free(&out);
    if (!error)
        return true;
    fri_buffer_text(why, "cannot write '");
    fri_escape(why, path, strlen(path), 400, false);
    fri_buffer_printf(why, "': %s", strerror(error));
    return false;
}
