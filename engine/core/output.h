/*
 * output.h - what tasks and the script print, by whole lines.
 *
 * One fri_output per engine (or command): any thread may write to it, each
 * write is whole lines and reaches the stream in one piece, in the order of
 * the calls.  fri_lines collects one printer's bytes into lines.
 *
 * The main program's own bytes are held: where the stream is a terminal, the
 * line that has not ended; elsewhere up to 32 KiB.  What is held is written
 * by a flush, before what anybody else writes (its whole lines), and 0.1 s
 * later by whoever calls fri_output_tick.
 *
 * Nothing is lost silently: a stream that could not be written stays failed,
 * with its errno, and the run ends with status 3.
 */
#ifndef FRI_OUTPUT_H
#define FRI_OUTPUT_H

#include "base/buffer.h"
#include "base/clock.h"

#include <pthread.h>
#include <stdatomic.h>

enum fri_holding {
    FRI_HOLD_NOTHING, /* every byte goes out at once */
    FRI_HOLD_LINE,    /* every line that has ended does */
    FRI_HOLD_LINES
};

struct fri_output {
    pthread_mutex_t lock;
    struct fri_buffer held[2]; /* main's own bytes, not written yet */
    size_t tail[2]; /* bytes at the end of held: a line that has not ended */
    fri_time tail_since[2];
    atomic_int error[2]; /* errno of the first failure; 0: none */
    bool terminal[2];
    bool open[2]; /* of a terminal: its line has not ended */
    enum fri_holding hold[2];
    bool dies; /* a broken pipe ends the process, as in other programs */
    /* Called with the lock held: must not write here. */
    void (*hook)(void *user, int stream, const char *bytes, size_t length);
    void *user;
    /* Around each write to a terminal, for a progress bar; may be NULL. */
    void (*before)(void *user);
    void (*after)(void *user);
    void *bar;
    /* On the main thread, no lock held: fri_output_tick is to be called.
     * Again only after a tick has said FRI_NEVER. */
    void (*wake)(void *user);
    void *wake_user;
    bool awake;
};

/* The streams are the descriptors 1 and 2 unless there is a hook. */
bool fri_output_init(struct fri_output *o, const struct fri_memory *m);
void fri_output_free(struct fri_output *o);

/* Writes what is held, then these bytes, now.  stream: 1 or 2. */
void fri_output_write(struct fri_output *o, int stream, const char *bytes,
                      size_t length);

/* The main program's own. */
void fri_output_hold(struct fri_output *o, int stream, const char *bytes,
                     size_t length);
void fri_output_flush(struct fri_output *o);
void fri_output_holding(struct fri_output *o, int stream,
                        enum fri_holding hold);

/* From any thread: writes what was held for 0.1 s; when to come again. */
fri_time fri_output_tick(struct fri_output *o, fri_time now);

/* The bar is erased, unless somebody writes now; also in a signal handler. */
void fri_output_clear(struct fri_output *o);

/* The process is about to die, perhaps in a signal handler: writes what can be
 * written without waiting for anybody. */
void fri_output_rescue(struct fri_output *o);

/* The errno of the first write that failed, 0: none. */
static inline int fri_output_error(struct fri_output *o, int stream)
{
    return atomic_load_explicit(&o->error[stream - 1], memory_order_relaxed);
}

/* All of the bytes to a descriptor; 0 or the errno.  SIGPIPE is not raised
 * unless `dies`. */
int fri_write(int fd, const char *bytes, size_t length, bool dies);

/* The stream, 1 or 2, that writes the file of that name (/dev/stdout, or a file
 * that it was sent to): another in its place would lose what follows.  0:
 * none. */
int fri_stream_of(const char *path);

/* Text of others within a line of ours: control characters become \27 and the
 * like, what is beyond `most` bytes is cut and marked.  With `lines`, tabs and
 * newlines stay. */
void fri_escape(struct fri_buffer *out, const char *text, size_t length,
                size_t most, bool lines);

/* One printer: a task on both streams, or the main program. */
struct fri_lines {
    struct fri_output *output;
    bool main;          /* holds instead of writing */
    const char *tag;    /* before each line (-v), or NULL; not copied */
    struct fri_buffer part[2]; /* a line that has not ended */
    bool begun[2];             /* its first part has been written */
    bool printed;
    struct fri_buffer *last; /* keeps the last 64 KiB, or NULL */
};

/* Adds what was printed to the last 64 KiB; cuts it to these. */
void fri_last_add(struct fri_buffer *last, const char *bytes, size_t length);
void fri_last_trim(struct fri_buffer *last);

void fri_lines_init(struct fri_lines *l, struct fri_output *o,
                    const struct fri_memory *m, bool main);
void fri_lines_add(struct fri_lines *l, int stream, const char *bytes,
                   size_t length);

/* A task has ended: a line that has not is ended for it. */
void fri_lines_end(struct fri_lines *l);

/* Writes also an unfinished line, as it is (io.flush of the main program);
 * a task's lines stay whole. */
void fri_lines_flush(struct fri_lines *l);
void fri_lines_free(struct fri_lines *l);

#endif
