/*
 * Rules.  `held` is the main program's and in its order; others' writes send
 * its whole lines before theirs, so what stands on a page stands in the order
 * in which it was said.  A stream that has failed takes no more bytes.  The
 * lock is held while a descriptor is written: a slow reader slows every
 * printer, and no line is torn.
 */
#define _GNU_SOURCE
#include "core/output.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    FULL = 32768,       /* half of a pipe's capacity */
    LONGEST = 1 << 20,  /* an unfinished line of a task that is kept whole */
    LAST = 65536,       /* what `last` keeps */
    PATIENCE = 20,      /* ms */
    AT_ONCE = 4096      /* PIPE_BUF: a pipe that is ready takes it */
};
static const fri_time WAIT = FRI_SECOND / 10;

/* ---- descriptors ------------------------------------------------------ */

/* 0, or the errno that ends the writing. */
static int write_some(int fd, const char *bytes, size_t length, size_t *done)
{
    struct pollfd p = { .fd = fd, .events = POLLOUT };
    ssize_t n = write(fd, bytes, length);

    if (n >= 0)
        *done += (size_t)n;
    else if (errno == EAGAIN || errno == EWOULDBLOCK)
        poll(&p, 1, -1);
    else if (errno != EINTR)
        return errno;
    return 0;
}

static int write_all(int fd, const char *bytes, size_t length)
{
    size_t done = 0;
    int error = 0;

    while (done < length && !error)
        error = write_some(fd, bytes + done, length - done, &done);
    return error;
}

/* A host must not die of its pipe: SIGPIPE is held back and taken away. */
static int write_quietly(int fd, const char *bytes, size_t length)
{
    const struct timespec now = { 0 };
    sigset_t pipes, old, pending;
    int error;

    sigemptyset(&pipes);
    sigaddset(&pipes, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipes, &old);
    error = write_all(fd, bytes, length);
    if (error == EPIPE && !sigismember(&pending, SIGPIPE))
        while (sigtimedwait(&pipes, NULL, &now) < 0 && errno == EINTR)
            continue;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

int fri_write(int fd, const char *bytes, size_t length, bool dies)
{
    int error = dies ? write_all(fd, bytes, length)
                     : write_quietly(fd, bytes, length);

    /* Threads have their signals blocked: the process is told. */
    if (error == EPIPE && dies)
        kill(getpid(), SIGPIPE);
    return error;
}

int fri_stream_of(const char *path)
{
    struct stat file, stream;

    if (stat(path, &file) != 0)
        return 0;
    for (int fd = 1; fd <= 2; fd++)
        if (fstat(fd, &stream) == 0 && stream.st_dev == file.st_dev
            && stream.st_ino == file.st_ino)
            return fd;
    return 0;
}

/* ---- the output ------------------------------------------------------- */

bool fri_output_init(struct fri_output *o, const struct fri_memory *m)
{
    *o = (struct fri_output){ 0 };
    for (int s = 0; s < 2; s++) {
        fri_buffer_init(&o->held[s], m);
        o->terminal[s] = isatty(s + 1);
        o->hold[s] = FRI_HOLD_LINE;
    }
    if (!o->terminal[0])
        o->hold[0] = FRI_HOLD_LINES;
    return pthread_mutex_init(&o->lock, NULL) == 0;
}

void fri_output_free(struct fri_output *o)
{
    fri_output_flush(o);
    fri_buffer_free(&o->held[0]);
    fri_buffer_free(&o->held[1]);
    pthread_mutex_destroy(&o->lock);
}

static void emit(struct fri_output *o, int s, const char *bytes, size_t length)
{
    bool bar = o->before && o->terminal[s];
    int error;

    if (length == 0 || atomic_load(&o->error[s]))
        return;
    if (o->hook) {
        o->hook(o->user, s + 1, bytes, length);
        return;
    }
    if (bar)
        o->before(o->bar);
    if (o->terminal[s])
        o->open[s] = bytes[length - 1] != '\n';
    error = fri_write(s + 1, bytes, length, o->dies);
    if (bar)
        o->after(o->bar);
    atomic_store(&o->error[s], error);
}

/* What is held, but for the last `keep` bytes. */
static void release(struct fri_output *o, int s, size_t keep)
{
    struct fri_buffer *held = &o->held[s];
    size_t length = held->length - keep;

    if (length == 0)
        return;
    emit(o, s, (char *)held->data, length);
    memmove(held->data, held->data + length, keep);
    held->length = keep;
    if (o->tail[s] > keep)
        o->tail[s] = keep;
}

static void release_lines(struct fri_output *o)
{
    release(o, 0, o->tail[0]);
    release(o, 1, o->tail[1]);
}

void fri_output_write(struct fri_output *o, int stream, const char *bytes,
                      size_t length)
{
    pthread_mutex_lock(&o->lock);
    release_lines(o);
    emit(o, stream - 1, bytes, length);
    pthread_mutex_unlock(&o->lock);
}

/* Good to some milliseconds, at a fifth of the price. */
static fri_time about_now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (fri_time)t.tv_sec * FRI_SECOND + t.tv_nsec;
}

/* How much of the new end of held is a line that has not ended. */
static void measure_tail(struct fri_output *o, int s, const char *bytes,
                         size_t length)
{
    const char *end = memrchr(bytes, '\n', length);
    size_t tail = end ? (size_t)(bytes + length - end - 1)
                      : o->tail[s] + length;

    if (tail > 0 && (end || o->tail[s] == 0))
        o->tail_since[s] = about_now();
    o->tail[s] = tail;
}

static void hold(struct fri_output *o, int s, const char *bytes, size_t length)
{
    struct fri_buffer *held = &o->held[s];

    if (held->length + length > FULL || !fri_buffer_reserve(held, length)) {
        held->failed = false;
        release(o, s, 0);
        if (length > FULL || !fri_buffer_reserve(held, length)) {
            held->failed = false;
            emit(o, s, bytes, length);
            return;
        }
    }
    fri_buffer_add(held, bytes, length);
    measure_tail(o, s, bytes, length);
    if (o->hold[s] == FRI_HOLD_LINES)
        return;
    if (s == 1 && held->length > o->tail[1])
        release(o, 0, o->tail[0]);
    release(o, s, o->hold[s] == FRI_HOLD_LINE ? o->tail[s] : 0);
}

void fri_output_hold(struct fri_output *o, int stream, const char *bytes,
                     size_t length)
{
    bool wake;

    pthread_mutex_lock(&o->lock);
    hold(o, stream - 1, bytes, length);
    wake = o->wake && !o->awake && o->held[0].length + o->held[1].length > 0;
    if (wake)
        o->awake = true;
    pthread_mutex_unlock(&o->lock);
    if (wake)
        o->wake(o->wake_user);
}

void fri_output_flush(struct fri_output *o)
{
    pthread_mutex_lock(&o->lock);
    release(o, 0, 0);
    release(o, 1, 0);
    pthread_mutex_unlock(&o->lock);
}

void fri_output_holding(struct fri_output *o, int stream,
                        enum fri_holding holding)
{
    pthread_mutex_lock(&o->lock);
    o->hold[stream - 1] = holding;
    release(o, stream - 1, 0);
    pthread_mutex_unlock(&o->lock);
}

/* When stream s is to be looked at again. */
static fri_time tick(struct fri_output *o, int s, fri_time now)
{
    bool due = o->tail[s] > 0 && now - o->tail_since[s] >= WAIT;

    release(o, s, due ? 0 : o->tail[s]);
    return o->tail[s] > 0 ? o->tail_since[s] + WAIT : FRI_NEVER;
}

fri_time fri_output_tick(struct fri_output *o, fri_time now)
{
    fri_time next[3];
    bool any;

    pthread_mutex_lock(&o->lock);
    any = o->held[0].length + o->held[1].length > 0;
    next[0] = tick(o, 0, now);
    next[1] = tick(o, 1, now);
    next[2] = any ? now + WAIT : FRI_NEVER;
    o->awake = any;
    pthread_mutex_unlock(&o->lock);
    next[0] = next[1] < next[0] ? next[1] : next[0];
    return next[2] < next[0] ? next[2] : next[0];
}

/* Who holds the lock lets go of it soon, if it is another thread. */
static bool try_lock(struct fri_output *o)
{
    for (int i = 0; i < PATIENCE; i++) {
        if (pthread_mutex_trylock(&o->lock) == 0)
            return true;
        poll(NULL, 0, 1);
    }
    return false;
}

void fri_output_clear(struct fri_output *o)
{
    if (!try_lock(o))
        return;
    if (o->before)
        o->before(o->bar);
    pthread_mutex_unlock(&o->lock);
}

void fri_output_rescue(struct fri_output *o)
{
    if (!try_lock(o))
        return;
    if (o->before)
        o->before(o->bar);
    for (int s = 0; s < 2 && !o->hook; s++) {
        struct pollfd p = { .fd = s + 1, .events = POLLOUT };
        size_t done = 0;
        ssize_t n = 1;

        while (n > 0 && done < o->held[s].length && poll(&p, 1, 0) > 0) {
            size_t left = o->held[s].length - done;

            n = write(s + 1, o->held[s].data + done,
                      left < AT_ONCE ? left : AT_ONCE);
            done += n > 0 ? (size_t)n : 0;
        }
        o->held[s].length = o->tail[s] = 0;
    }
    pthread_mutex_unlock(&o->lock);
}

/* ---- escaping --------------------------------------------------------- */

static bool is_control(const unsigned char *c, const unsigned char *end)
{
    /* C1 controls are two bytes in UTF-8. */
    return *c < 0x20 || *c == 0x7f
           || (*c == 0xc2 && end - c > 1 && c[1] >= 0x80 && c[1] < 0xa0);
}

void fri_escape(struct fri_buffer *out, const char *text, size_t length,
                size_t most, bool lines)
{
    const unsigned char *c = (const unsigned char *)text, *start = c;
    const unsigned char *end = c + (length > most ? most : length);

    if (length > most)
        while (end > c && (*end & 0xc0) == 0x80) /* no half character */
            end--;
    for (; c < end; c++) {
        if (!is_control(c, end) || (lines && (*c == '\n' || *c == '\t')))
            continue;
        fri_buffer_add(out, start, (size_t)(c - start));
        if (*c == '\n' || *c == '\t')
            fri_buffer_text(out, *c == '\n' ? "\\n" : "\\t");
        else if (*c == 0xc2)
            fri_buffer_printf(out, "\\194\\%d", *++c);
        else
            fri_buffer_printf(out, "\\%d", *c);
        start = c + 1;
    }
    fri_buffer_add(out, start, (size_t)(c - start));
    if (length > most)
        fri_buffer_printf(out, "... (%zu bytes cut)",
                          length - (size_t)(end - (unsigned char *)text));
}

/* ---- lines ------------------------------------------------------------ */

void fri_lines_init(struct fri_lines *l, struct fri_output *o,
                    const struct fri_memory *m, bool main)
{
    *l = (struct fri_lines){ .output = o, .main = main };
    fri_buffer_init(&l->part[0], m);
    fri_buffer_init(&l->part[1], m);
}

void fri_last_trim(struct fri_buffer *last)
{
    if (last->length <= LAST)
        return;
    memmove(last->data, last->data + last->length - LAST, LAST);
    last->length = LAST;
}

/* Twice the bytes are kept, so that they move rarely. */
void fri_last_add(struct fri_buffer *last, const char *bytes, size_t length)
{
    if (length > LAST) {
        bytes += length - LAST;
        length = LAST;
    }
    if (last->length + length > 2 * (size_t)LAST)
        fri_last_trim(last);
    fri_buffer_add(last, bytes, length);
}

/* The part of a line goes out as far as it has come. */
static void send_part(struct fri_lines *l, int s)
{
    struct fri_buffer *part = &l->part[s];

    if (part->length > 0)
        fri_output_write(l->output, s + 1, (char *)part->data, part->length);
    part->length = 0;
    part->failed = false;
    if (part->capacity > LAST)
        fri_buffer_free(part);
}

/* Adds to the line that is begun, the tag before its first byte. */
static void add_part(struct fri_lines *l, int s, const char *bytes,
                     size_t length)
{
    struct fri_buffer *part = &l->part[s];

    if (!l->begun[s] && l->tag) {
        fri_escape(part, l->tag, strlen(l->tag), 100, false);
        fri_buffer_text(part, ": ");
    }
    l->begun[s] = bytes[length - 1] != '\n';
    if (fri_buffer_reserve(part, length)) {
        fri_buffer_add(part, bytes, length);
        return;
    }
    send_part(l, s);
    fri_output_write(l->output, s + 1, bytes, length);
}

static void add_lines(struct fri_lines *l, int s, const char *bytes,
                      size_t length)
{
    if (l->part[s].length == 0 && !l->tag) {
        l->begun[s] = false;
        fri_output_write(l->output, s + 1, bytes, length);
        return;
    }
    while (length > 0) {
        const char *end = (const char *)memchr(bytes, '\n', length) + 1;
        size_t n = l->tag ? (size_t)(end - bytes) : length;

        add_part(l, s, bytes, n);
        bytes += n;
        length -= n;
    }
    send_part(l, s);
}

void fri_lines_add(struct fri_lines *l, int stream, const char *bytes,
                   size_t length)
{
    int s = stream - 1;
    const char *end;
    size_t whole;

    if (length == 0)
        return;
    l->printed = true;
    if (l->main) {
        fri_output_hold(l->output, stream, bytes, length);
        return;
    }
    if (l->last)
        fri_last_add(l->last, bytes, length);
    end = memrchr(bytes, '\n', length);
    whole = end ? (size_t)(end + 1 - bytes) : 0;
    if (whole > 0)
        add_lines(l, s, bytes, whole);
    if (length > whole)
        add_part(l, s, bytes + whole, length - whole);
    if (l->part[s].length > LONGEST)
        send_part(l, s);
}

void fri_lines_end(struct fri_lines *l)
{
    for (int s = 0; s < 2 && !l->main; s++) {
        if (l->begun[s])
            add_lines(l, s, "\n", 1);
        l->begun[s] = false;
    }
    if (l->main)
        fri_output_flush(l->output);
    if (l->last)
        fri_last_trim(l->last);
}

void fri_lines_flush(struct fri_lines *l)
{
    if (l->main)
        fri_output_flush(l->output);
}

void fri_lines_free(struct fri_lines *l)
{
    fri_lines_end(l);
    fri_buffer_free(&l->part[0]);
    fri_buffer_free(&l->part[1]);
}
