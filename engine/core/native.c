/*
 * native.c - C functions of the host, by name.
 */
#include "core/engine.h"

#include <string.h>

static void native_free(struct fri_handle *handle)
{
    struct fri_native *n = (struct fri_native *)(void *)handle;
    frun_engine *e = n->engine;

    fri_free(&e->memory, n);
    fri_engine_unref(e);
}

static struct fri_native *native_new(frun_engine *e, const char *name)
{
    size_t size = strlen(name) + 1;
    struct fri_native *n = fri_alloc_zero(&e->memory, sizeof *n + size);

    if (!n)
        return NULL;
    atomic_init(&n->handle.refs, 1);
    n->handle.kind = FRI_HANDLE_NATIVE;
    n->handle.free = native_free;
    n->engine = e;
    atomic_fetch_add(&e->refs, 1);
    memcpy(n->name, name, size);
    return n;
}

bool fri_native_add(frun_engine *e, const char *name, frun_function *function,
                    void *user)
{
    struct fri_native *n = native_new(e, name);

    if (!n)
        return false;
    n->function = function;
    n->user = user;
    fri_lock(e);
    n->next = e->natives;
    e->natives = n;
    fri_unlock(e);
    return true;
}

struct fri_native *fri_native_find(frun_engine *e, const char *name)
{
    struct fri_native *n;

    fri_lock(e);
    n = e->natives;
    while (n && strcmp(n->name, name) != 0)
        n = n->next;
    fri_unlock(e);
    return n;
}

void fri_natives_close(frun_engine *e)
{
    while (e->natives) {
        struct fri_native *n = e->natives;

        e->natives = n->next;
        fri_handle_unref(&n->handle);
    }
}
