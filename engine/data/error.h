/*
 * error.h - what happened to a task; one table for enum, word and text.
 */
#ifndef FRI_ERROR_H
#define FRI_ERROR_H

#include "base/memory.h"
#include "flowrun.h"

#include <stdatomic.h>
#include <stdbool.h>

struct fri_message;

/* status, Lua kind (NULL: none), text */
#define FRI_STATUSES(X)                                                       \
    X(FRUN_OK, NULL, "success")                                               \
    X(FRUN_ENOMEM, "resource", "out of memory")                               \
    X(FRUN_EINVAL, NULL, "invalid argument")                                  \
    X(FRUN_ERROR, "error", "the function failed")                             \
    X(FRUN_EEXIT, "exit", "the command failed")                               \
    X(FRUN_ECRASHED, "crashed", "the worker died")                            \
    X(FRUN_ETIMEOUT, "timeout", "the time ran out")                           \
    X(FRUN_ECANCELLED, "cancelled", "cancelled")                              \
    X(FRUN_EUNSENDABLE, "unsendable", "the value cannot travel")              \
    X(FRUN_EDEPENDENCY, "dependency", "a task it waits for failed")           \
    X(FRUN_ERESOURCE, "resource", "a resource could not be had")              \
    X(FRUN_EUNFINISHED, "unfinished", "not done in time")                     \
    X(FRUN_ECLOSED, "closed", "the pool is closed")                           \
    X(FRUN_EDEADLOCK, "deadlock", "waits that can never end")                 \
    X(FRUN_EJOURNAL, "journal", "the journal failed")

/* The Lua word of a status; NULL when tasks cannot end so. */
const char *fri_status_kind(frun_status status);

/* A frun_error with its owner's count.  Immutable once it is in a future. */
struct fri_error {
    frun_error public;
    atomic_uint refs;
    atomic_bool looked; /* somebody saw it, or what it is the cause of */
    uint64_t home; /* in a worker process: the number of the request whose
                      answer it came with, 0: none */
    const struct fri_memory *memory;
    char *message, *traceback, *task, *pool;
    struct fri_error *cause;
    struct fri_message *value; /* the original error value, one, or NULL */
    frun_value *result; /* what a command that failed has left, or NULL */
    double seconds;
    bool number_key;         /* the task's key is key_number */
    int64_t key_number;
    struct fri_message *key; /* any other key: one value, or NULL */
};

/* One reference, the caller's; NULL when out of memory.  Texts are copied;
 * `cause` gains a reference. */
struct fri_error *fri_error_new(const struct fri_memory *m, frun_status status,
                                const char *message, const char *traceback,
                                struct fri_error *cause);
struct fri_error *fri_error_format(const struct fri_memory *m,
                                   frun_status status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Takes the result, in place of the one that was there; before the error is
 * in a future. */
void fri_error_set_result(struct fri_error *error, frun_value *result);

struct fri_error *fri_error_ref(struct fri_error *error);
void fri_error_free(struct fri_error *error); /* drops a reference */

#endif
