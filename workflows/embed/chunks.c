/*
 * chunks.c - a C function of the host over 100 chunks, on threads, then on
 * worker processes: only the word changes.
 *
 *     cc -o chunks chunks.c $(pkg-config --cflags --libs flowrun)
 */
#include <flowrun.h>
#include <inttypes.h>
#include <stdio.h>

enum { CHUNKS = 100, STEP = 100000 };

static frun_status sum(frun_task *task, const frun_value *chunk,
                       frun_value **result)
{
    int64_t first = frun_value_as_int(chunk) * STEP, total = 0;

    if (first < 0)
        return frun_task_fail(task, "chunk %" PRId64 " is below 0", first);
    for (int64_t i = first; i < first + STEP; i++)
        total += i;
    *result = frun_value_int(total);
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

static int run(frun_engine *engine, frun_kind kind, const char *name,
               const frun_value *chunks)
{
    frun_pool *pool = NULL;
    frun_value *parts = NULL;
    int64_t total = 0;
    frun_status status = frun_pool_open(engine, kind, NULL, &pool);

    if (status == FRUN_OK)
        status = frun_pool_map(pool, sum, chunks, NULL, &parts);
    for (size_t i = 0; i < frun_value_length(parts); i++)
        total += frun_value_as_int(frun_value_at(parts, i));
    if (status == FRUN_OK)
        printf("%s: %" PRId64 "\n", name, total);
    else
        fprintf(stderr, "%s: %s\n", name, frun_engine_message(engine));
    frun_value_free(parts);
    frun_pool_close(pool);
    return status != FRUN_OK;
}

int main(void)
{
    frun_engine *engine = NULL;
    frun_value *chunks = frun_value_list();
    frun_status status = frun_engine_open(NULL, &engine);
    int failed = status != FRUN_OK;

    for (int i = 0; i < CHUNKS && !failed; i++)
        failed = frun_value_push(chunks, frun_value_int(i)) != FRUN_OK;
    if (failed)
        fprintf(stderr, "chunks: %s\n", frun_status_text(status));
    if (!failed)
        failed = run(engine, FRUN_THREADS, "threads", chunks)
                 + run(engine, FRUN_FORKS, "forks", chunks);
    frun_value_free(chunks);
    frun_engine_close(engine);
    return failed;
}
