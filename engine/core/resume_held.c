/*
 * resume_held.c - what keys hang on that is not in the bytes of arguments: what
 * modules are made of, and values that are shared.
 *
 * The value of a future is looked into by the service thread, which cannot ask
 * Lua what the modules named in it are made of.  So whoever submits tasks tells
 * in advance.  A module that nobody told of is like nothing that there was, and
 * the task runs.
 */
#include "core/resume_private.h"

#include "base/hash.h"
#include "core/shared.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

struct fri_digest fri_resume_unlike(void)
{
    static _Atomic(uint64_t) last;
    uint64_t what[3] = { atomic_fetch_add(&last, 1), (uint64_t)getpid() };
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    what[2] = (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
    return fri_digest_of(what, sizeof what);
}

/* ---- modules ---------------------------------------------------------- */

/* The resumer's lock is held. */
static struct fri_told *find(const struct fri_resumer *rs, const char *name,
                             size_t n)
{
    for (size_t i = 0; i < rs->told_count; i++)
        if (strlen(rs->told[i].name) == n
            && memcmp(rs->told[i].name, name, n) == 0)
            return &rs->told[i];
    return NULL;
}

bool fri_resume_knows(frun_engine *e, const char *name, size_t n)
{
    struct fri_resumer *rs = e->resumer;
    bool known;

    pthread_mutex_lock(&rs->lock);
    known = find(rs, name, n) != NULL;
    pthread_mutex_unlock(&rs->lock);
    return known;
}

static bool add(const struct fri_memory *m, struct fri_resumer *rs,
                struct fri_told told)
{
    struct fri_told *more
        = told.name ? fri_realloc(m, rs->told,
                                  (rs->told_count + 1) * sizeof *more)
                    : NULL;

    if (!more) {
        fri_free(m, told.name);
        return false;
    }
    rs->told = more;
    more[rs->told_count++] = told;
    return true;
}

bool fri_resume_tell(frun_engine *e, const char *name, size_t n,
                     const struct fri_digest *source)
{
    struct fri_resumer *rs = e->resumer;
    struct fri_told told = { .script = source != NULL };
    bool ok = true;

    if (source)
        told.source = *source;
    pthread_mutex_lock(&rs->lock);
    if (!find(rs, name, n)) {
        told.name = fri_strndup(&e->memory, name, n);
        ok = add(&e->memory, rs, told);
    }
    pthread_mutex_unlock(&rs->lock);
    return ok;
}

int fri_resume_module(frun_engine *e, const char *name, size_t n,
                      struct fri_digest *source)
{
    struct fri_resumer *rs = e->resumer;
    struct fri_told *told;
    int found = 1;

    pthread_mutex_lock(&rs->lock);
    told = find(rs, name, n);
    if (told && !told->script)
        found = 0;
    else
        *source = told ? told->source : fri_resume_unlike();
    pthread_mutex_unlock(&rs->lock);
    return found;
}

uint64_t fri_resume_gather(uint64_t modules, const struct fri_digest *source)
{
    uint64_t word;

    memcpy(&word, source->bytes, sizeof word);
    return fri_mix(modules ^ word) | 1;
}

void fri_resume_forget(const struct fri_memory *m, struct fri_resumer *rs)
{
    for (size_t i = 0; i < rs->told_count; i++)
        fri_free(m, rs->told[i].name);
    fri_free(m, rs->told);
}

/* ---- shared values ---------------------------------------------------- */

static struct fri_value_key look_into(const struct fri_memory *m,
                                      const struct fri_message *value,
                                      const struct fri_canon_hooks *hooks)
{
    struct fri_canon *canon = fri_canon_open(m);
    struct fri_value_key key = { .known = -1 };
    struct fri_digester d;
    uint64_t part;
    unsigned count;

    fri_digest_begin(&d);
    if (canon && fri_canon_values(canon, hooks, value->data, value->length,
                                  value->handles, value->handle_count, 1, &d,
                                  &part, 1, &count))
        key.known = 1;
    else
        snprintf(key.why, sizeof key.why, "%s",
                 canon ? fri_canon_why(canon) : "out of memory");
    key.digest = fri_digest_end(&d);
    fri_canon_free(canon);
    return key;
}

/* Looked into once, without the lock. */
static const struct fri_value_key *know(frun_engine *e,
                                        struct fri_value_key keys[2],
                                        const struct fri_message *value,
                                        const struct fri_canon_hooks *hooks)
{
    struct fri_resumer *rs = e->resumer;
    struct fri_value_key *own = &keys[hooks->version], key;
    bool known;

    pthread_mutex_lock(&rs->lock);
    known = own->known != 0;
    pthread_mutex_unlock(&rs->lock);
    if (known)
        return own;
    key = look_into(&e->memory, value, hooks);
    pthread_mutex_lock(&rs->lock);
    if (own->known == 0)
        *own = key;
    pthread_mutex_unlock(&rs->lock);
    return own;
}

int fri_resume_held(frun_engine *e, struct fri_handle *h,
                    const struct fri_canon_hooks *hooks,
                    struct fri_digest *digest, const char **why)
{
    struct fri_share *s = (struct fri_share *)(void *)h;
    const struct fri_value_key *key;

    if (h->kind != FRI_HANDLE_SHARE)
        return 0;
    if (e->home) { /* its value is elsewhere */
        *digest = fri_resume_unlike();
        return 1;
    }
    key = know(e, s->key, s->value, hooks);
    *digest = key->digest;
    *why = key->why;
    return key->known;
}

/* ---- what workers run first ------------------------------------------- */

static int told(void *user, const char *name, size_t n,
                struct fri_digest *source, const char **why)
{
    (void)why;
    return fri_resume_module(user, name, n, source);
}

static struct fri_canon_hooks told_hooks(frun_engine *e, bool version);

static int told_held(void *user, struct fri_handle *h,
                     struct fri_digest *digest, const char **why)
{
    struct fri_canon_hooks hooks = told_hooks(user, false);

    return fri_resume_held(user, h, &hooks, digest, why);
}

static struct fri_canon_hooks told_hooks(frun_engine *e, bool version)
{
    struct fri_canon_hooks hooks = fri_resume_hooks;

    hooks.user = e;
    hooks.version = version;
    hooks.module = told;
    hooks.held = told_held;
    return hooks;
}

bool fri_resume_init(frun_engine *e, struct fri_lane *lane, bool version,
                     struct fri_digester *d, const char **why)
{
    const struct fri_value_key *key;
    struct fri_canon_hooks hooks;

    if (!lane->init)
        return true;
    hooks = told_hooks(e, version);
    key = know(e, lane->init->key, lane->init->message, &hooks);
    *why = key->why;
    if (key->known < 0)
        return false;
    fri_digest_byte(d, 'W');
    fri_digest_add(d, key->digest.bytes, FRI_DIGEST);
    return true;
}
