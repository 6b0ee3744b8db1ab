/*
 * hello.c - what a worker process is told first: who it is, and what of its
 * host it can use.
 */
#include "pools/forks/home.h"

#include <string.h>

static bool get_natives(frun_engine *e, struct fri_reader *r)
{
    while (fri_get_byte(r) != 0) {
        char *name = fri_wire_get_text(r, NULL);
        uintptr_t at = (uintptr_t)fri_get_varint(r);
        void *user = (void *)(uintptr_t)fri_get_varint(r);
        frun_function *function;
        bool ok;

        memcpy(&function, &at, sizeof function);
        ok = name && fri_native_add(e, name, function, user);
        fri_free(NULL, name);
        if (!ok)
            return false;
    }
    return true;
}

/* See put_runner. */
static bool get_runner(struct fri_home *h, struct fri_reader *r,
                       uint64_t serial)
{
    frun_engine *e = h->engine;
    uintptr_t at;

    if (fri_get_byte(r) == 0)
        return true;
    at = (uintptr_t)fri_get_varint(r);
    if (!h->runner)
        h->runner = (const struct fri_runner *)at;
    if (!h->runner)
        return false;
    e->runner = h->runner;
    e->runner_user = h->runner->arrive(e, r, serial);
    return true;
}

bool fri_home_hello(struct fri_home *h, struct fri_reader *r, void *user)
{
    frun_engine *e = h->engine;
    char *name, *version = fri_wire_get_text(r, NULL);
    uint64_t serial = fri_get_varint(r);
    unsigned workers;

    /* A helper that was exec'd may be of another one. */
    if (!version || strcmp(version, FRUN_VERSION) != 0)
        return false;
    fri_free(NULL, version);

    h->worker.index = (unsigned)fri_get_varint(r);
    workers = (unsigned)fri_get_varint(r);
    name = fri_wire_get_text(r, NULL);
    e->seed = fri_get_varint(r);
    e->cores = (unsigned)fri_get_varint(r);
    e->sched.epoch = fri_get_zigzag(r);
    h->own = fri_home_pool_new(h, name, workers, FRUN_FORKS);
    fri_free(NULL, name);
    if (!h->own)
        return false;
    h->worker.pool = h->own;
    h->runner = user;
    if (!get_natives(e, r) || !get_runner(h, r, serial))
        return false;
    if (fri_get_byte(r)) {
        h->own->init = fri_wire_get_function(&h->port, r);
        h->own->init_free = fri_function_drop;
    }
    return !r->bad;
}
