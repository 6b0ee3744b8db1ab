/*
 * flowrun.c - the public functions of engines, pools and limits: checks of
 * arguments, then the core.
 */
#define _GNU_SOURCE
#include "api/api.h"

#include "pools/forks/home.h"
#include "pools/spawn/spawn.h"
#include "core/journal.h"
#include "core/sharing.h"

#include <dlfcn.h>
#include <stdio.h>
#include <unistd.h>

const char *frun_version(void)
{
    return FRUN_VERSION;
}

/* ---- engine ----------------------------------------------------------- */

/* The flowrun that was installed, or built, with the library (or the program)
 * that this code stands in; NULL: there is none. */
static const char *find_worker(char *path, size_t size)
{
    static const char *const places[]
        = { "/../bin/flowrun", "/../../bin/flowrun", "/flowrun" };
    Dl_info info;
    const char *end;

    if (!dladdr((void *)(uintptr_t)frun_version, &info) || !info.dli_fname
        || !(end = strrchr(info.dli_fname, '/')))
        return NULL;
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        int n = snprintf(path, size, "%.*s%s", (int)(end - info.dli_fname),
                         info.dli_fname, places[i]);

        if (n < (int)size && access(path, X_OK) == 0)
            return path;
    }
    return NULL;
}

/* Without one, only pools of forks are refused. */
static void open_spawner(frun_engine *e)
{
    char found[4096];
    const char *given = e->options.worker_path;
    struct fri_spawn_options o = {
        .work = fri_forked_main,
        .path = given ? given : find_worker(found, sizeof found),
    };
    int error = 0;
    struct fri_spawner *s = fri_spawner_open(&e->memory, &o, &error);

    fri_engine_adopt(e, s, error);
}

frun_status frun_engine_open(const frun_engine_options *options,
                             frun_engine **engine)
{
    frun_status status = engine ? fri_engine_open(options, engine)
                                : FRUN_EINVAL;

    if (status == FRUN_OK)
        open_spawner(*engine);
    return status;
}

void frun_engine_close(frun_engine *engine)
{
    if (engine)
        fri_engine_close(engine);
}

frun_status frun_engine_register(frun_engine *e, const char *name,
                                 frun_function *function, void *user)
{
    if (!e)
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
    if (!e || e->message.length == 0)
        return "";
    return (const char *)e->message.data;
}

int frun_engine_fd(frun_engine *e)
{
    return e ? fri_engine_fd(e) : -1;
}

frun_status frun_engine_step(frun_engine *e, double seconds)
{
    fri_time deadline = fri_deadline(fri_now(), seconds);
    uint64_t before;

    if (!e)
        return FRUN_EINVAL;
    before = e->delivered;
    fri_owner_run(e);
    while (e->delivered == before) {
        if (atomic_load(&e->interrupted)
            || (deadline != FRI_NEVER && fri_now() >= deadline))
            return FRUN_EUNFINISHED;
        fri_owner_wait(e, NULL, deadline);
    }
    return FRUN_OK;
}

/* ---- pools ------------------------------------------------------------ */

frun_status frun_pool_open(frun_engine *e, frun_kind kind,
                           const frun_pool_options *options, frun_pool **pool)
{
    frun_pool_options own;

    if (pool)
        *pool = NULL;
    if (!e || !pool)
        return FRUN_EINVAL;
    if (!fri_options(&own, sizeof own, options))
        return fri_fail(e, FRUN_EINVAL,
                        "options: their size is of a newer header");
    return fri_pool_open(e, kind, &own, NULL, NULL, pool);
}

void frun_pool_close(frun_pool *pool)
{
    if (!pool)
        return;
    fri_pool_closing(pool);
    fri_pool_drain(pool, FRI_NEVER);
    fri_pool_join(pool);
    fri_handle_unref(&pool->handle);
}

frun_status frun_pool_drain(frun_pool *pool, double seconds)
{
    if (!pool)
        return FRUN_EINVAL;
    return fri_pool_drain(pool, fri_deadline(fri_now(), seconds))
               ? FRUN_OK
               : FRUN_EUNFINISHED;
}

void frun_pool_cancel(frun_pool *pool)
{
    if (pool)
        fri_pool_cancel(pool);
}

frun_status frun_pool_stats(frun_pool *pool, frun_stats *stats)
{
    frun_stats own = { .size = sizeof own };
    const struct fri_lane *lane;

    if (!pool || !stats)
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
    if (!e || !limit)
        return FRUN_EINVAL;
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
    if (!e || !journal)
        return FRUN_EINVAL;
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

    if (!e)
        return FRUN_EINVAL;
    if (fri_journals_flush(e, why) == FRUN_OK)
        return FRUN_OK;
    return fri_fail(e, FRUN_EJOURNAL, "%s", why);
}
