/*
 * wire.h - what frames between the engine and a worker process are made of.
 *
 * Numbers are varints, texts are length + 1 and bytes (0: none).  What is
 * read comes from a process that may be broken: every reader is bounded, and
 * what cannot be made sense of makes it `bad` (codec.h).
 *
 * Handles go through a port: the engine's side knows a thing by its handle,
 * the worker's side by a number (fri_handle.remote).
 */
#ifndef FRI_WIRE_H
#define FRI_WIRE_H

#include "core/function.h"
#include "data/codec.h"
#include "pools/forks/channel.h"
#include "pools/view.h"

enum { FRI_AWAITED = 16 }; /* requests that SUSPENDED names at most */

enum fri_frame_kind {
    /* to the worker */
    FRI_FRAME_HELLO = 1,
    FRI_FRAME_SPEC,   /* what tasks have in common */
    FRI_FRAME_TASK,
    FRI_FRAME_GO,     /* a suspended task may go on */
    FRI_FRAME_RAISE,  /* the wait of a suspended task ends with an error */
    FRI_FRAME_ANSWER, /* to a request */
    FRI_FRAME_DROPPED, /* the engine has forgotten a handle */
    FRI_FRAME_END,    /* leave when nothing is left to do */
    /* to the engine */
    FRI_FRAME_READY,  /* or why it is not */
    FRI_FRAME_RESULT, /* of a task, or of a slice */
    FRI_FRAME_SKIPPED, /* it was revoked */
    FRI_FRAME_SUSPENDED,
    FRI_FRAME_WANT,   /* a suspended task could go on */
    FRI_FRAME_OUTPUT,
    FRI_FRAME_NEWSPEC,
    FRI_FRAME_REQUEST,
    FRI_FRAME_WITHDRAW, /* of a request: nobody waits for it any more */
    FRI_FRAME_RELEASE   /* handles that the worker has no more */
};

enum fri_request {
    FRI_ASK_SUBMIT = 1, /* a task or a range of a pool */
    FRI_ASK_CANCEL,     /* of a future */
    FRI_ASK_STATE,      /* of a future */
    FRI_ASK_LOOKED,     /* at a future's failure */
    FRI_ASK_OPEN,       /* a pool */
    FRI_ASK_POOL,       /* cancel, stats, drain, close: enum fri_pool_verb */
    FRI_ASK_MAKE,       /* a limit, or a shared thing */
    FRI_ASK_SHARED,     /* an operation on a shared thing */
    FRI_ASK_EXEC,       /* a command is to run; it is to stop */
    FRI_ASK_EXEC_STOP,
    FRI_ASK_SCRATCH     /* where commands have their directories */
};

enum fri_pool_verb { FRI_POOL_CANCEL, FRI_POOL_STATS, FRI_POOL_DRAIN,
                     FRI_POOL_CLOSE };

struct fri_port {
    const struct fri_memory *memory;
    frun_engine *engine; /* of this process */
    struct fri_channel *channel; /* from which descriptors come */
    int fds[FRI_FDS];    /* that go with the frame in the making */
    unsigned fd_count;
    unsigned own; /* bits: those that are closed when it was sent */
    /* False: out of memory, or it cannot travel. */
    bool (*put)(struct fri_port *port, struct fri_buffer *b,
                struct fri_handle *handle);
    /* A reference, the caller's; NULL: out of memory, or not known. */
    struct fri_handle *(*get)(struct fri_port *port, struct fri_reader *r);
};

/* A frame is to be made in the channel's buffer; it is sent, with what goes
 * with it, as fri_channel_send does. */
struct fri_buffer *fri_wire_begin(struct fri_port *p);
bool fri_wire_send(struct fri_port *p, unsigned kind, bool ring);

void fri_wire_text(struct fri_buffer *b, const char *text);
void fri_wire_bytes(struct fri_buffer *b, const void *bytes, size_t length);

/* A copy that the caller frees; NULL: none (or bad, or out of memory). */
char *fri_wire_get_text(struct fri_reader *r, const struct fri_memory *m);
const uint8_t *fri_wire_get_bytes(struct fri_reader *r, size_t *length);

static inline void fri_wire_double(struct fri_buffer *b, double d)
{
    fri_buffer_add(b, &d, sizeof d);
}

static inline double fri_wire_get_double(struct fri_reader *r)
{
    return fri_get_num(r);
}

static inline void fri_wire_signed(struct fri_buffer *b, int64_t i)
{
    fri_put_varint(b, ((uint64_t)i << 1) ^ (uint64_t)(i >> 63));
}

void fri_wire_message(struct fri_port *p, struct fri_buffer *b,
                      const struct fri_message *m);
struct fri_message *fri_wire_get_message(struct fri_port *p,
                                         struct fri_reader *r);

/* Bytes of a message, or part of them, with all its handles. */
void fri_wire_part(struct fri_port *p, struct fri_buffer *b,
                   const struct fri_message *m, const void *bytes,
                   size_t length);

/* Data but for ranges.  Reading: *data is the caller's. */
void fri_wire_data(struct fri_port *p, struct fri_buffer *b, unsigned holds,
                   const void *data, size_t length);
bool fri_wire_get_data(struct fri_port *p, struct fri_reader *r,
                       struct fri_data *data);

/* NULL: out of memory. */
void fri_wire_error(struct fri_port *p, struct fri_buffer *b,
                    const struct fri_error *error);
struct fri_error *fri_wire_get_error(struct fri_port *p, struct fri_reader *r);

void fri_wire_policy(struct fri_port *p, struct fri_buffer *b,
                     const frun_policy *policy);
/* Owns what it points to: fri_policy_free.  False: nothing is left. */
bool fri_wire_get_policy(struct fri_port *p, struct fri_reader *r,
                         frun_policy *policy);

void fri_wire_function(struct fri_port *p, struct fri_buffer *b,
                       const struct fri_function *f);
struct fri_function *fri_wire_get_function(struct fri_port *p,
                                           struct fri_reader *r);

static inline void fri_wire_pointer(struct fri_buffer *b, uintptr_t p)
{
    fri_put_varint(b, p);
}

#endif
