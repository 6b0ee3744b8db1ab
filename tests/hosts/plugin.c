/*
 * plugin.c - loads the library named on the command line, uses it, unloads it,
 * again and again; the last time a thread is still in a task that it was given
 * up for, and comes back from it to a library that nobody holds any more.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <flowrun.h>
#include <semaphore.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static sem_t gate;

static frun_status pass(frun_task *task, const frun_value *n,
                        frun_value **result)
{
    (void)task;
    (void)n;
    *result = NULL;
    return FRUN_OK;
}

static frun_status stay(frun_task *task, const frun_value *n,
                        frun_value **result)
{
    (void)n;
    (void)task;
    *result = NULL;
    sem_wait(&gate);
    return FRUN_OK;
}

static int entries(const char *path)
{
    DIR *dir = opendir(path);
    int n = 0;

    while (dir && readdir(dir))
        n++;
    if (dir)
        closedir(dir);
    return n;
}

static void must(int ok, const char *what)
{
    if (ok)
        return;
    printf("failed: %s\n", what);
    exit(1);
}

#define GET(name) name = (__typeof__(name))dlsym(library, "frun_" #name)

static void use(void *library, int round, frun_function *fn,
                const frun_policy *policy, frun_status wanted)
{
    __typeof__(&frun_engine_open) GET(engine_open);
    __typeof__(&frun_engine_close) GET(engine_close);
    __typeof__(&frun_pool_open) GET(pool_open);
    __typeof__(&frun_pool_submit) GET(pool_submit);
    __typeof__(&frun_future_result) GET(future_result);
    __typeof__(&frun_future_free) GET(future_free);
    __typeof__(&frun_pool_close) GET(pool_close);
    frun_engine *engine;
    frun_pool *pool;
    frun_future *future;

    must(engine_open(NULL, &engine) == FRUN_OK, "engine");
    must(pool_open(engine, round % 2 ? FRUN_FORKS : FRUN_THREADS, NULL, &pool)
             == FRUN_OK,
         "pool");
    must(pool_submit(pool, fn, NULL, policy, &future) == FRUN_OK, "submit");
    must(future_result(future, -1, NULL) == wanted, "result");
    future_free(future);
    pool_close(pool);
    engine_close(engine);
}

/* The thread goes when it likes. */
static void await_threads(int before)
{
    for (int i = 0; i < 5000 && entries("/proc/self/task") > before; i++)
        usleep(1000);
    must(entries("/proc/self/task") <= before, "the thread stays");
}

int main(int argc, char **argv)
{
    enum { ROUNDS = 21 };
    frun_policy brief = { .timeout = 0.05 };
    int fds = entries("/proc/self/fd"), threads = entries("/proc/self/task");

    sem_init(&gate, 0, 0);
    for (int i = 0; i < ROUNDS && argc > 1; i++) {
        void *library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
        int last = i == ROUNDS - 1;

        must(library != NULL, "library");
        use(library, last ? 0 : i, last ? stay : pass, last ? &brief : NULL,
            last ? FRUN_ETIMEOUT : FRUN_OK);
        dlclose(library);
    }
    must(entries("/proc/self/fd") <= fds, "descriptors");
    sem_post(&gate);
    await_threads(threads);
    puts("unloaded");
    return 0;
}
