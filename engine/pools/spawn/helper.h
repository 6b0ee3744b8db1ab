/*
 * helper.h - what the helper process and its host say to each other, and
 * where the helper begins.
 *
 * One message is one packet of a SOCK_SEQPACKET pair.
 */
#ifndef FRI_HELPER_H
#define FRI_HELPER_H

#include "flowrun.h"
#include "pools/spawn/spawn.h"

#define FRI_HELPER_MAGIC UINT32_C(0x46724870)

enum {
    FRI_HELPER_FDS = 4,      /* descriptors of a request, at most */
    FRI_HELPER_INLINE = 8192 /* bytes behind a request, at most */
};

enum fri_helper_kind {
    FRI_HELPER_WORKER = 1, /* with two descriptors: socket, memory */
    FRI_HELPER_SIGNAL,
    FRI_HELPER_COMMAND, /* with an order (order.h) of `number` bytes behind it,
                           or in a memory that is the last descriptor; and
                           descriptors for the streams of `streams` */
    FRI_HELPER_SCRATCH  /* with a path of `number` bytes behind it: removed
                           at the end */
};

struct fri_helper_request {
    uint32_t magic, kind; /* enum fri_helper_kind */
    uint64_t id;
    int64_t number;   /* of the signal */
    uint32_t streams; /* bit n: one for descriptor n comes along */
    uint32_t unused;
};

enum { FRI_HELPER_READY = 100 }; /* the first report of an exec'd helper */

struct fri_helper_report {
    uint32_t magic, kind; /* enum fri_spawn_kind, or FRI_HELPER_READY */
    uint64_t id;
    int32_t pid, error, status;
    uint32_t step; /* of FAILED: enum fri_order_step */
    double cpu, seconds;
    int64_t memory;
};

struct fri_helper_start {
    int socket;
    int host; /* a pidfd of the host, < 0: none */
    struct fri_board *board; /* or NULL: commands are noted nowhere */
    fri_worker_main *work;
    void *user;
    bool announce; /* say READY */
};

/* Makes this process the helper, and never returns.  All signals are blocked
 * already, and this process has one thread. */
_Noreturn void fri_helper_serve(const struct fri_helper_start *start);

#endif
