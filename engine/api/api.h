/*
 * api.h - what the files of the public functions share.
 */
#ifndef FRI_API_H
#define FRI_API_H

#include "base/sized.h"
#include "pools/pool.h"

static inline frun_status fri_no_memory(frun_engine *e)
{
    return fri_fail(e, FRUN_ENOMEM, "%s", frun_status_text(FRUN_ENOMEM));
}

static inline frun_engine *fri_future_engine(const frun_future *f)
{
    return f->spec->lane->sched->user;
}

/* A call on a pool that was checked. */
struct fri_call {
    frun_pool *pool;
    const frun_policy *policy;
    frun_policy own;       /* what policy points to, if it is of another size */
    struct fri_spec *spec; /* the pool's, until its next call */
};

/* On failure the engine's message is set.  The first leaves out the spec. */
frun_status fri_call_check(struct fri_call *c, frun_pool *pool,
                           const frun_policy *policy);
frun_status fri_call_begin(struct fri_call *c, frun_pool *pool,
                           frun_function *fn, const frun_policy *policy);

/* The same of a pool of commands. */
frun_status fri_call_command(struct fri_call *c, frun_pool *pool,
                             const frun_policy *policy);

/* One task with that argument (taken); future may be NULL. */
frun_status fri_call_submit(struct fri_call *c, struct fri_data *data,
                            frun_future **future);

/* The status that a final future stands for. */
frun_status fri_future_status(const frun_future *f);

/* ---- tasks that a journal keeps (kept.c) ------------------------------ */

/* May the policy's journal be used? */
frun_status fri_kept_check(frun_pool *pool, const frun_policy *policy);

/* Makes the spec's tasks known by keys; false: out of memory.  Does it serve
 * for this policy, too? */
bool fri_kept_spec(frun_engine *e, struct fri_spec *spec,
                   const frun_policy *policy);
bool fri_kept_alike(const frun_engine *e, const struct fri_spec *spec,
                    const frun_policy *policy);

/* Looks up tasks of one spec, which are not submitted yet; no lock held. */
frun_status fri_kept_look(frun_engine *e, frun_future *const *tasks, size_t n);

#endif
