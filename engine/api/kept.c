/*
 * kept.c - tasks in C that a journal keeps.
 *
 * A function in C has no text that could be compared, so the policy's version
 * stands for it, with the name under which it is registered, if it is.  What
 * it is given is the rest of the key.  Commands need none: see keeping.h.
 */
#include "api/api.h"

#include "base/hash.h"
#include "core/resume.h"
#include "data/codec.h"
#include "data/value.h"
#include "pools/commands/keeping.h"

static const char *native_name(const frun_engine *e, frun_function *fn)
{
    const struct fri_native *n = e->natives;

    while (n && n->function != fn)
        n = n->next;
    return n ? n->name : "";
}

static uint64_t word_of(const struct fri_digest *digest)
{
    uint64_t word;

    memcpy(&word, digest->bytes, sizeof word);
    return word;
}

/* Without a function it is of commands. */
static struct fri_digest digest_of(const frun_engine *e, frun_function *fn,
                                   const char *version)
{
    const char *name = native_name(e, fn);
    struct fri_digester d;

    if (!fn)
        return fri_command_digest(e, version);
    fri_digest_begin(&d);
    fri_digest_text(&d, "C", 1);
    fri_digest_text(&d, name, strlen(name));
    fri_digest_text(&d, version, strlen(version));
    return fri_digest_end(&d);
}

bool fri_kept_alike(const frun_engine *e, const struct fri_spec *spec,
                    const frun_policy *p)
{
    const struct fri_resume *r = spec->resume;
    struct fri_digest digest;

    if (!r || !p->journal)
        return !r && !p->journal;
    digest = digest_of(e, spec->function, p->version);
    return r->journal == p->journal && r->durable == p->durable
           && fri_digest_same(&r->digest, &digest);
}

frun_status fri_kept_check(frun_pool *pool, const frun_policy *p)
{
    frun_engine *e = pool->engine;
    bool ours;

    if (!p->journal)
        return FRUN_OK;
    fri_lock(e);
    ours = fri_journal_at(e, (uintptr_t)p->journal) != NULL;
    fri_unlock(e);
    if (!ours)
        return fri_fail(e, FRUN_EINVAL, "journal: it is none of this engine");
    return FRUN_OK;
}

/* NULL: out of memory. */
static struct fri_resume *function_resume(frun_engine *e, frun_function *fn,
                                          const frun_policy *p)
{
    struct fri_resume *r = fri_alloc_zero(&e->memory, sizeof *r);

    if (!r)
        return NULL;
    r->parts = fri_alloc_zero(&e->memory, sizeof *r->parts);
    if (r->parts)
        r->parts->name = fri_strdup(&e->memory, "version");
    if (!r->parts || !r->parts->name) {
        fri_resume_free(&e->memory, r);
        return NULL;
    }
    r->count = 1;
    r->journal = p->journal;
    r->digest = digest_of(e, fn, p->version);
    r->parts->digest = word_of(&r->digest);
    r->identity = p->name ? fri_hash(p->name, strlen(p->name), 1) : 2;
    return r;
}

bool fri_kept_spec(frun_engine *e, struct fri_spec *spec, const frun_policy *p)
{
    if (!p->journal)
        return true;
    spec->resume
        = spec->function
              ? function_resume(e, spec->function, p)
              : fri_command_resume(e, p->journal, p->version, p->name);
    if (!spec->resume)
        return false;
    spec->resume->durable = p->durable;
    return fri_resumer_open(e);
}

/* ---- looking ---------------------------------------------------------- */

static frun_status look(frun_engine *e, struct fri_canon *canon,
                        struct fri_buffer *room, frun_future *task)
{
    static const uint8_t nothing[2];
    const uint64_t modules = 0;
    struct fri_asked a = { .hooks = &fri_resume_hooks, .bytes = nothing,
                           .length = sizeof nothing, .modules = &modules };
    struct fri_answer answer;
    frun_status status;
    const char *why = NULL;

    room->length = 0;
    if (task->holds == FRI_MESSAGE) {
        a.bytes = task->data.message->data;
        a.length = task->data.message->length;
    } else if (task->holds == FRI_VALUE) {
        status = fri_value_pack(room, task->data.value);
        if (status == FRUN_EUNSENDABLE)
            return fri_fail(e, status, "argument: nested deeper than %d",
                            FRI_DEPTH);
        if (status != FRUN_OK || room->failed)
            return fri_no_memory(e);
        a.bytes = room->data;
        a.length = room->length;
    }
    fri_resume_ask(&a, task);
    if (!fri_resume_look(e, canon, &a, &answer, &why))
        return why ? fri_fail(e, FRUN_EJOURNAL, "%s", why)
                   : fri_no_memory(e);
    return fri_resume_put(task, &answer) ? FRUN_OK : fri_no_memory(e);
}

frun_status fri_kept_look(frun_engine *e, frun_future *const *tasks, size_t n)
{
    struct fri_canon *canon;
    struct fri_buffer room;
    frun_status status = FRUN_OK;

    if (n == 0 || !tasks[0]->spec->resume)
        return FRUN_OK;
    canon = fri_canon_open(&e->memory);
    if (!canon)
        return fri_no_memory(e);
    fri_buffer_init(&room, &e->memory);
    for (size_t i = 0; i < n && status == FRUN_OK; i++)
        status = look(e, canon, &room, tasks[i]);
    fri_buffer_free(&room);
    fri_canon_free(canon);
    return status;
}
