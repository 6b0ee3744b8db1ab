/*
 * flowrun.c - the public functions of engines, pools and limits: checks of
 * arguments, then the core.
 *
 * Rules, for all files of this directory.
 *  1. What only the owner may call does nothing elsewhere, not even to the
 *     engine's message, which the owner may be reading.
 *  2. In a copy of the process nothing at all is done: whoever held a lock is
 *     not there to let it go.
 */
#include "api/api.h"

#include "pools/forks/home.h"
#include "pools/spawn/spawn.h"
#include "core/journal.h"
#include "core/sharing.h"

const char *frun_version(void)
{
    return FRUN_VERSION;
}

/* ---- engine ----------------------------------------------------------- */

/* Without one, only pools of processes are refused.  False: out of memory. */
static bool open_spawner(frun_engine *e)
{
    char found[4096];
    const char *given = e->options.worker_path;
    struct fri_spawn_options o = {
        .work = fri_forked_main,
        .path = given ? given : fri_spawn_find(found, sizeof found),
    };
    int error = 0;
    struct fri_spawner *s = fri_spawner_open(&e->memory, &o, &error);

    fri_engine_adopt(e, s, error);
    return s || error > 0;
}

frun_status frun_engine_open(const frun_engine_options *options,
                             frun_engine **engine)
{
    frun_status status = engine ? fri_engine_open(options, engine)
                                : FRUN_EINVAL;

    if (status != FRUN_OK)
        return status;
    (*engine)->cores = fri_usable_cpus();
    if (open_spawner(*engine))
        return FRUN_OK;
    fri_engine_close(*engine);
    *engine = NULL;
    return FRUN_ENOMEM;
}

void frun_engine_close(frun_engine *engine)
{
    if (engine && fri_engine_owned(engine) && engine->programs == 0)
        fri_engine_close(engine);
}

frun_status frun_engine_register(frun_engine *e, const char *name,
                                 frun_function *function, void *user)
{
    if (!e || !fri_engine_owned(e))
        return FRUN_EINVAL;
    if (!name || !*name || !function)
        return fri_fail(e, FRUN_EINVAL, "no %s", function ? "name"
                                                          : "function");
    if (fri_native_find(e, name))
        return fri_fail(e, FRUN_EINVAL, "%s is registered already", name);
    return fri_native_add(e, name, function, user) ? FRUN_OK
                                                   : fri_no_memory(e);
}

const char *frun_engine_message(const frun_engine *e)
{
    if (!e)
        return "";
    if (!fri_engine_here(e))
        return "this process is a copy of the one that opened the engine";
    if (!fri_engine_owned(e))
        return "the engine belongs to the thread that opened it";
    return e->message.length > 0 ? (const char *)e->message.data : "";
}

int frun_engine_fd(frun_engine *e)
{
    return e && fri_engine_here(e) ? fri_engine_fd(e) : -1;
}

static frun_status step(frun_engine *e, fri_time deadline)
{
    uint64_t before = e->delivered;

    fri_owner_run(e);
    while (e->delivered == before) {
        if (atomic_load(&e->interrupted)
            || (deadline != FRI_NEVER && fri_now() >= deadline))
            return FRUN_EUNFINISHED;
        fri_owner_wait(e, NULL, deadline);
    }
    return FRUN_OK;
}

/* A callback may close the engine. */
frun_status frun_engine_step(frun_engine *e, double seconds)
{
    frun_status status;

    if (!e || !fri_engine_owned(e))
        return FRUN_EINVAL;
    atomic_fetch_add(&e->refs, 1);
    status = step(e, fri_deadline(fri_now(), seconds));
    fri_engine_unref(e);
    return status;
}

/* ---- pools ------------------------------------------------------------ */

frun_status frun_pool_open(frun_engine *e, frun_kind kind,
                           const frun_pool_options *options, frun_pool **pool)
{
    frun_pool_options own;

    if (pool)
        *pool = NULL;
    if (!e || !fri_engine_owned(e))
        return FRUN_EINVAL;
    if (!pool)
        return fri_fail(e, FRUN_EINVAL, "no place for the pool");
    if (!fri_options(&own, sizeof own, options))
        return fri_fail(e, FRUN_EINVAL,
                        "options: they are of a newer header");
    return fri_pool_open(e, kind, &own, NULL, NULL, pool);
}

void frun_pool_close(frun_pool *pool)
{
    if (!pool || !fri_engine_owned(pool->engine))
        return;
    fri_pool_closing(pool);
    fri_pool_drain(pool, FRI_NEVER);
    fri_pool_join(pool);
    fri_handle_unref(&pool->handle);
}

frun_status frun_pool_drain(frun_pool *pool, double seconds)
{
    if (!pool || !fri_engine_owned(pool->engine))
        return FRUN_EINVAL;
    return fri_pool_drain(pool, fri_deadline(fri_now(), seconds))
               ? FRUN_OK
               : FRUN_EUNFINISHED;
}

void frun_pool_cancel(frun_pool *pool)
{
    if (pool && fri_engine_here(pool->engine))
        fri_pool_cancel(pool);
}

frun_status frun_pool_stats(frun_pool *pool, frun_stats *stats)
{
    frun_stats own = { .size = sizeof own };
    const struct fri_lane *lane;

    if (!pool || !stats || !fri_engine_here(pool->engine))
        return FRUN_EINVAL;
    lane = &pool->lane;
    fri_lock(pool->engine);
    own.workers = pool->workers;
    own.running = fri_pool_running(pool);
    own.queued = lane->unfinished > own.running ? lane->unfinished - own.running
                                                : 0;
    own.done = lane->done;
    own.failed = lane->failed;
    own.cancelled = lane->cancelled;
    own.retried = lane->retried;
    own.crashed = lane->crashed;
    own.lost = lane->lost;
    fri_unlock(pool->engine);
    return fri_answer(stats, sizeof own, &own) ? FRUN_OK : FRUN_EINVAL;
}

/* ---- limits ----------------------------------------------------------- */

frun_status frun_limit_open(frun_engine *e, const char *name, int count,
                            bool shared, frun_limit **limit)
{
    struct fri_limit *l;
    char why[FRI_WHY];
    frun_status status;

    if (limit)
        *limit = NULL;
    if (!e || !fri_engine_owned(e))
        return FRUN_EINVAL;
    if (!limit)
        return fri_fail(e, FRUN_EINVAL, "no place for the limit");
    if (shared && (!name || !*name))
        return fri_fail(e, FRUN_EINVAL, "a shared limit needs a name");
    if (count < 1 || count > FRI_MOST_SEATS)
        return fri_fail(e, FRUN_EINVAL, "count: 1 to %d, not %d",
                        FRI_MOST_SEATS, count);
    status = fri_limit_open(e, name, (unsigned)count, shared, &l, why);
    if (status != FRUN_OK)
        return fri_fail(e, status, "%s", why);
    *limit = (frun_limit *)(void *)l;
    return FRUN_OK;
}

void frun_limit_close(frun_limit *limit)
{
    if (limit)
        fri_handle_unref((struct fri_handle *)(void *)limit);
}

/* ---- journals --------------------------------------------------------- */

frun_status frun_journal_open(frun_engine *e, const char *path,
                              frun_journal **journal)
{
    char why[FRI_WHY];
    frun_status status;

    if (journal)
        *journal = NULL;
    if (!e || !fri_engine_owned(e))
        return FRUN_EINVAL;
    if (!journal)
        return fri_fail(e, FRUN_EINVAL, "no place for the journal");
    if (!path || !*path)
        return fri_fail(e, FRUN_EINVAL, "no path of a journal");
    status = fri_journal_open(e, path, false, journal, why);
    if (status == FRUN_ENOMEM)
        return fri_no_memory(e);
    return status == FRUN_OK ? status : fri_fail(e, status, "%s", why);
}

void frun_journal_close(frun_journal *journal)
{
    fri_journal_close(journal);
}

frun_status frun_journal_flush(frun_engine *e)
{
    char why[FRI_WHY];

    if (!e || !fri_engine_owned(e))
        return FRUN_EINVAL;
    if (fri_journals_flush(e, why) == FRUN_OK)
        return FRUN_OK;
    return fri_fail(e, FRUN_EJOURNAL, "%s", why);
}
