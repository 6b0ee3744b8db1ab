/*
 * resume_private.h - between resume.c, which looks tasks up, resumed.c, which
 * does so when they could run, and resume_held.c.
 */
#ifndef FRI_RESUME_PRIVATE_H
#define FRI_RESUME_PRIVATE_H

#include "core/resume.h"

enum { FRI_REASONS = 16 };

struct fri_key_count {
    uint64_t digest; /* short; 0: free */
    uint64_t count;
};

struct fri_again {
    const char *what;
    uint64_t count;
};

/* What a module is made of. */
struct fri_told {
    char *name;
    struct fri_digest source;
    bool script; /* it has a source */
};

struct fri_resumer {
    pthread_mutex_t lock; /* of what comes next */
    struct fri_key_count *counts; /* how often a key was asked for */
    size_t used, size;    /* of counts: a power of two */
    uint64_t found, fresh;
    struct fri_again again[FRI_REASONS]; /* the last one is of all others */
    struct fri_told *told;
    size_t told_count;
    /* The engine's lock: */
    struct frun_future **queue; /* from `at` to `end` */
    size_t at, end, capacity;
    size_t busy;             /* that are looked up now */
    struct fri_canon *canon; /* of the service thread */
};

void fri_resume_forget(const struct fri_memory *m, struct fri_resumer *rs);

#endif
