/*
 * helper.h - what the helper process and its host say to each other, and
 * where the helper begins.
 *
 * One message is one packet of a SOCK_SEQPACKET pair.
 */
#ifndef FRI_HELPER_H
#define FRI_HELPER_H

#include "pools/spawn.h"

#define FRI_HELPER_MAGIC UINT32_C(0x46724870)

enum { FRI_HELPER_FDS = 2 }; /* descriptors of a request, at most */

enum fri_helper_kind {
    FRI_HELPER_WORKER = 1, /* with two descriptors: socket, memory */
    FRI_HELPER_SIGNAL
};

struct fri_helper_request {
    uint32_t magic, kind; /* enum fri_helper_kind */
    uint64_t id;
    int64_t number; /* of the signal */
};

enum { FRI_HELPER_READY = 100 }; /* the first report of an exec'd helper */

struct fri_helper_report {
    uint32_t magic, kind; /* enum fri_spawn_kind, or FRI_HELPER_READY */
    uint64_t id;
    int32_t pid, error, status, unused;
    double cpu;
    int64_t memory;
};

struct fri_helper_start {
    int socket;
    int host; /* a pidfd of the host, < 0: none */
    fri_worker_main *work;
    void *user;
    bool announce; /* say READY */
};

/* Makes this process the helper, and never returns.  All signals are blocked
 * already, and this process has one thread. */
_Noreturn void fri_helper_serve(const struct fri_helper_start *start);

#endif
