/*
 * greet.c - what a worker process must know of the main program, and what it
 * has in its place.
 */
#include "script/job.h"

#include "core/resume.h"
#include "data/codec.h"

void fri_runner_greet(void *user, struct fri_buffer *b)
{
    const struct fri_script *s = user;

    fri_buffer_byte(b, s->options->verbose);
    fri_put_varint(b, (uint64_t)s->options->workers);
    fri_put_varint(b, (uint64_t)(s->options->pool_kind + 1));
    fri_put_varint(b, (uint64_t)s->started);
    fri_put_varint(b, (uint64_t)s->shared->began);
    fri_buffer_byte(b, atomic_load(&s->shared->sources));
    fri_put_varint(b, (uintptr_t)s->engine->journal);
}

/* In the place of the main program's: there is none in this process.  The ids
 * of functions must not be those of another process. */
void *fri_runner_arrive(frun_engine *e, struct fri_reader *r,
                        uint64_t process)
{
    struct fri_script *s = fri_alloc_zero(&e->memory, sizeof *s);

    if (!s)
        return NULL;
    s->engine = e;
    s->options = &s->own;
    s->shared = &s->owned;
    s->own.verbose = fri_get_byte(r) != 0;
    s->own.workers = (int)fri_get_varint(r);
    s->own.pool_kind = (int)fri_get_varint(r) - 1;
    s->started = (fri_time)fri_get_varint(r);
    s->owned.began = (int64_t)fri_get_varint(r);
    atomic_store(&s->owned.sources, fri_get_byte(r) != 0);
    e->journal = fri_resume_journal(e, (uintptr_t)fri_get_varint(r));
    atomic_store(&s->owned.next_id, process << 32);
    return s;
}
