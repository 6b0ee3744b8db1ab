/*
 * seats.c - the seats of a limit that all runs of a user share: locks of the
 * kernel on bytes of a file, so that whatever way a run ends, they are free.
 *
 * The file holds one line, "count N".  Its bytes beyond are only locked:
 *
 *     GATE               a change: who takes seats, or writes the count
 *     SEATS + i          seat i is taken
 *     TICKETS + t * WIDE a run has waited since t (milliseconds since boot)
 *                        for so many seats as bytes are locked
 *
 * Rules.
 *  1. The locks are those of an open file description (F_OFD_SETLK): all of
 *     one engine's are of one, and two engines in a process exclude each
 *     other.  The descriptor is closed by exec.  A process that forks and
 *     does not exec keeps its parent's seats until it ends, so workers are
 *     forked by a helper that was made before any limit.
 *  2. Whoever holds the gate waits for nothing, so it is asked for without
 *     waiting; it is held for some microseconds.
 *  3. The count is what the file says.  It changes while nobody has a seat.
 *  4. A run with an older ticket goes first, also if it needs more seats than
 *     are free.  But where its seats have been free for PATIENCE, it does not
 *     want them (it is stopped, or has no worker): it may be overtaken until
 *     AGAIN has passed.  So tickets cannot lock runs up.
 */
#define _GNU_SOURCE
#include "core/seats.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define GATE (INT64_C(1) << 16)
#define SEATS (INT64_C(1) << 20)
#define TICKETS (INT64_C(1) << 24)
#define WIDE (INT64_C(1) << 20) /* more than FRI_MOST_SEATS */
#define LAST (INT64_C(1) << 62)

#define PATIENCE (2 * FRI_SECOND)
#define AGAIN (12 * FRI_SECOND)

enum {
    TRIES = 20,     /* at the gate, which is held for microseconds */
    SLOTS = 64,     /* tickets of one millisecond */
    LINE = 17,      /* bytes of the line */
    ROOM = 4096,    /* of a path */
    OPEN_WAIT = 5000 /* ms at the gate when the file is opened */
};

struct fri_seats {
    struct fri_memory memory;
    int fd;
    unsigned count;
    fri_time ticket; /* since when, ms; 0: none is shown */
    unsigned ticket_need;
    int64_t seen;                  /* a ticket before ours whose seats ... */
    fri_time seen_since, seen_last; /* ... were free from, and at */
    char path[];
};

/* ---- locks ------------------------------------------------------------ */

static struct flock range(short type, int64_t start, int64_t length)
{
    struct flock l = { .l_type = type, .l_whence = SEEK_SET,
                       .l_start = (off_t)start, .l_len = (off_t)length };

    return l;
}

/* 0, or an errno; EAGAIN: another has it. */
static int lock(const struct fri_seats *s, int64_t start, int64_t length)
{
    struct flock l = range(F_WRLCK, start, length);
    int result;

    do {
        result = fcntl(s->fd, F_OFD_SETLK, &l);
    } while (result != 0 && errno == EINTR);
    if (result == 0)
        return 0;
    return errno == EACCES ? EAGAIN : errno;
}

static void unlock(const struct fri_seats *s, int64_t start, int64_t length)
{
    struct flock l = range(F_UNLCK, start, length);

    while (fcntl(s->fd, F_OFD_SETLK, &l) != 0 && errno == EINTR)
        ;
}

/* Has another run locked a byte of these?  Then *start and *end say which, as
 * far as they lie within. */
static bool is_locked(const struct fri_seats *s, int64_t first, int64_t last,
                      int64_t *start, int64_t *end)
{
    struct flock l = range(F_WRLCK, first, last - first);

    if (fcntl(s->fd, F_OFD_GETLK, &l) != 0 || l.l_type == F_UNLCK)
        return false;
    *start = l.l_start > first ? l.l_start : first;
    *end = l.l_len == 0 || l.l_start + l.l_len > last ? last
                                                      : l.l_start + l.l_len;
    return true;
}

/* ---- the count -------------------------------------------------------- */

/* 0: none is there yet; < 0: this is no such file. */
static long read_count(const struct fri_seats *s)
{
    char line[LINE + 1] = "", *end;
    ssize_t n = pread(s->fd, line, LINE, 0);
    long count;

    if (n == 0)
        return 0;
    if (n != LINE || strncmp(line, "count ", 6) != 0)
        return -1;
    count = strtol(line + 6, &end, 10);
    return *end == '\n' && count > 0 && count <= FRI_MOST_SEATS ? count : -1;
}

static bool write_count(const struct fri_seats *s, unsigned count)
{
    char line[LINE + 1];

    snprintf(line, sizeof line, "count %10u\n", count);
    return pwrite(s->fd, line, LINE, 0) == LINE;
}

unsigned fri_seats_count(struct fri_seats *s)
{
    long count = read_count(s);

    if (count > 0)
        s->count = (unsigned)count;
    return s->count;
}

/* ---- the gate --------------------------------------------------------- */

bool fri_seats_enter(struct fri_seats *s, int *error)
{
    *error = EAGAIN;
    for (int i = 0; i < TRIES && *error == EAGAIN; i++) {
        if (i > 0)
            sched_yield();
        *error = lock(s, GATE, 1);
    }
    if (*error == 0)
        return true;
    if (*error == EAGAIN)
        *error = 0;
    return false;
}

void fri_seats_leave(struct fri_seats *s)
{
    unlock(s, GATE, 1);
}

/* ---- seats ------------------------------------------------------------ */

/* The next run of seats from *first that no other run has: *first to the
 * result, which is *first when there is none. */
static unsigned gap(const struct fri_seats *s, unsigned *first, unsigned n)
{
    int64_t from = *first, until = n, start, end;

    while (from < until
           && is_locked(s, SEATS + from, SEATS + until, &start, &end)) {
        if (start == SEATS + from) {
            from = end - SEATS;
            until = n;
        } else {
            until = start - SEATS;
        }
    }
    *first = (unsigned)from;
    return (unsigned)(until > from ? until : from);
}

unsigned fri_seats_left(struct fri_seats *s, unsigned n,
                        const struct frun_future *const *places)
{
    unsigned left = 0;

    for (unsigned i = 0, end; i < n; i = end) {
        end = gap(s, &i, n);
        if (i == end)
            break;
        for (unsigned k = i; k < end; k++)
            left += !places[k];
    }
    return left;
}

static void undo(struct fri_seats *s, const struct frun_future *who,
                 unsigned n, const struct frun_future **places)
{
    for (unsigned i = 0; i < n; i++) {
        if (places[i] != who)
            continue;
        places[i] = NULL;
        fri_seats_give(s, i);
    }
}

bool fri_seats_take(struct fri_seats *s, unsigned need,
                    const struct frun_future *who, unsigned n,
                    const struct frun_future **places)
{
    unsigned left = need;

    for (unsigned i = 0, end; left > 0 && i < n; i = end) {
        end = gap(s, &i, n);
        if (i == end)
            break;
        for (unsigned k = i; k < end && left > 0; k++) {
            if (places[k] || lock(s, SEATS + k, 1) != 0)
                continue;
            places[k] = who;
            left--;
        }
    }
    if (left > 0)
        undo(s, who, n, places);
    return left == 0;
}

void fri_seats_give(struct fri_seats *s, unsigned i)
{
    unlock(s, SEATS + i, 1);
}

/* ---- tickets ---------------------------------------------------------- */

void fri_seats_stop_waiting(struct fri_seats *s)
{
    if (s->ticket)
        unlock(s, TICKETS + s->ticket * WIDE, s->ticket_need);
    s->ticket = 0;
}

void fri_seats_wait(struct fri_seats *s, fri_time since, unsigned need)
{
    fri_time at = since / 1000000 + 1;

    if (s->ticket && at <= s->ticket && s->ticket - at < SLOTS
        && need == s->ticket_need)
        return;
    fri_seats_stop_waiting(s);
    for (int i = 0; i < SLOTS && !s->ticket; i++)
        if (lock(s, TICKETS + (at + i) * WIDE, need) == 0)
            s->ticket = at + i;
    s->ticket_need = need;
}

bool fri_seats_waits(const struct fri_seats *s)
{
    return s->ticket != 0;
}

bool fri_seats_is_behind(struct fri_seats *s, unsigned left, fri_time now)
{
    int64_t mine = s->ticket ? TICKETS + s->ticket * WIDE : LAST, start, end;

    if (!is_locked(s, TICKETS, mine, &start, &end)) {
        s->seen = 0;
        return false;
    }
    if (start != s->seen || left < end - start
        || now - s->seen_last > 10 * FRI_SEATS_RETRY) {
        s->seen = start;
        s->seen_since = now;
    }
    s->seen_last = now;
    return (now - s->seen_since) % AGAIN < PATIENCE;
}

/* ---- opening ---------------------------------------------------------- */

static frun_status fail(struct fri_seats *s, char why[FRI_WHY],
                        const char *what)
{
    snprintf(why, FRI_WHY, "%.280s: %.220s", s->path, what);
    fri_seats_close(s);
    return FRUN_ERESOURCE;
}

/* What stands there under this name may be anything. */
static const char *open_file(struct fri_seats *s, int dir, const char *name)
{
    struct stat st;

    s->fd = openat(dir, name,
                   O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK
                       | O_NOCTTY,
                   0600);
    if (s->fd < 0)
        return errno == ELOOP ? "a symbolic link" : strerror(errno);
    if (fstat(s->fd, &st) != 0)
        return strerror(errno);
    if (!S_ISREG(st.st_mode))
        return "not a regular file";
    if (st.st_uid != geteuid())
        return "it belongs to somebody else";
    return st.st_mode & 022 ? "others can write to it" : NULL;
}

static const char *wait_at_gate(struct fri_seats *s)
{
    struct timespec ms = { .tv_nsec = 1000000 };
    int error = EAGAIN;

    for (int i = 0; i < OPEN_WAIT && error == EAGAIN; i++) {
        error = lock(s, GATE, 1);
        if (error == EAGAIN)
            nanosleep(&ms, NULL);
    }
    if (error == ENOLCK || error == EINVAL || error == EOPNOTSUPP)
        return "no file can be locked there";
    if (error == EAGAIN)
        return "another run has it locked, and is stopped";
    return error ? strerror(error) : NULL;
}

/* The gate is ours.  A count that nobody uses is replaced. */
static const char *agree(struct fri_seats *s, unsigned count,
                         char text[200])
{
    long there = read_count(s);
    int64_t start, end;

    if (there < 0)
        return "this is not the file of a limit";
    if (there == (long)count)
        return NULL;
    if (is_locked(s, SEATS, SEATS + FRI_MOST_SEATS, &start, &end)) {
        snprintf(text, 200,
                 "the limit has the count %ld in a run that holds seats of "
                 "it, not %u",
                 there, count);
        return text;
    }
    return write_count(s, count) ? NULL : strerror(errno);
}

static struct fri_seats *seats_new(const struct fri_memory *m,
                                   const char *path, const char *file)
{
    size_t size = strlen(path) + strlen(file) + 2;
    struct fri_seats *s = fri_alloc_zero(m, sizeof *s + size);

    if (!s)
        return NULL;
    if (m)
        s->memory = *m;
    s->fd = -1;
    snprintf(s->path, size, "%s/%s", path, file);
    return s;
}

frun_status fri_seats_open(const struct fri_memory *m, const char *name,
                           unsigned count, struct fri_seats **seats,
                           char why[FRI_WHY])
{
    char path[ROOM], file[140], text[200];
    int dir = fri_limits_dir(path, sizeof path, why);
    struct fri_seats *s;
    const char *fault;

    if (dir < 0)
        return FRUN_ERESOURCE;
    fri_plain_name(name, file);
    snprintf(file + strlen(file), 8, ".limit");
    s = seats_new(m, path, file);
    fault = s ? open_file(s, dir, file) : NULL;
    close(dir);
    if (!s)
        return FRUN_ENOMEM;
    if (!fault)
        fault = wait_at_gate(s);
    if (!fault)
        fault = agree(s, count, text);
    if (fault)
        return fail(s, why, fault);
    fri_seats_leave(s);
    s->count = count;
    *seats = s;
    return FRUN_OK;
}

void fri_seats_close(struct fri_seats *s)
{
    struct fri_memory m;

    if (!s)
        return;
    m = s->memory;
    if (s->fd >= 0)
        close(s->fd);
    fri_free(&m, s);
}

const char *fri_seats_path(const struct fri_seats *s)
{
    return s->path;
}
