/*
 * commands.c - `true` again and again, two at a time: a bare loop of
 * posix_spawn, the engine's processes of commands, and a pool of commands, with
 * their output to a path, or captured.  In turns in the same process.
 */
#define _GNU_SOURCE
#include "pools/commands/proc.h"
#include "kit.h"

#include <errno.h>
#include <semaphore.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { AT_ONCE = 2 };

static frun_engine *engine;

static void check(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    exit(1);
}

/* ---- the bare loop ---------------------------------------------------- */

static void spawn_one(void)
{
    char name[] = "true", *argv[] = { name, NULL };
    pid_t pid;

    errno = posix_spawnp(&pid, "true", NULL, NULL, argv, environ);
    check(errno == 0, "posix_spawn");
}

static void bare(long n)
{
    long started = 0;

    while (started < AT_ONCE) {
        spawn_one();
        started++;
    }
    for (long ended = 0; ended < n; ended++) {
        int status;

        check(wait(&status) > 0 && status == 0, "wait");
        if (started < n) {
            spawn_one();
            started++;
        }
    }
}

/* ---- the engine ------------------------------------------------------- */

struct work {
    struct fri_proc_plan plan;
    long to_start, left;
    sem_t done;
};

static void ended(void *user, struct fri_proc_end *end);

static void start(struct work *w)
{
    w->to_start--;
    check(fri_proc_start(engine, &w->plan, ended, w) != NULL, "start");
}

static void ended(void *user, struct fri_proc_end *end)
{
    struct work *w = user;

    check(end->status == FRUN_OK && end->exit_status == 0, "true");
    if (w->to_start > 0)
        start(w);
    if (--w->left == 0)
        sem_post(&w->done);
}

static void put(frun_value *map, const char *key, frun_value *item)
{
    check(frun_value_put(map, key, item) == FRUN_OK, key);
}

static frun_value *command(bool capture)
{
    frun_value *c = frun_value_map(), *argv = frun_value_list();

    check(frun_value_push(argv, frun_value_str("true", 4)) == FRUN_OK, "argv");
    put(c, "argv", argv);
    if (!capture) {
        put(c, "stdout", frun_value_str("/dev/null", 9));
        put(c, "stderr", frun_value_str("/dev/null", 9));
    }
    return c;
}

static void by_engine(long n, bool capture)
{
    frun_value *c = command(capture);
    struct work w = { .plan.command = c, .to_start = n, .left = n };

    sem_init(&w.done, 0, 0);
    fri_lock(engine);
    for (int i = 0; i < AT_ONCE; i++)
        start(&w);
    fri_unlock(engine);
    while (sem_wait(&w.done) < 0)
        ;
    frun_value_free(c);
}

/* ---- a pool ----------------------------------------------------------- */

static void by_pool(long n, bool capture)
{
    const char *path = capture ? NULL : "/dev/null";
    frun_command c = { .argv = (const char *const[]){ "true", NULL },
                       .stdout = path, .stderr = path };
    frun_pool_options o = { .workers = AT_ONCE };
    frun_stats stats = { .size = sizeof stats };
    frun_pool *pool;

    check(frun_pool_open(engine, FRUN_COMMANDS, &o, &pool) == FRUN_OK, "pool");
    for (long i = 0; i < n; i++)
        check(frun_pool_command(pool, &c, NULL, NULL) == FRUN_OK, "command");
    check(frun_pool_drain(pool, -1) == FRUN_OK, "drain");
    check(frun_pool_stats(pool, &stats) == FRUN_OK
          && stats.done == (uint64_t)n, "done");
    frun_pool_close(pool);
}

/* ---- turns ------------------------------------------------------------ */

static double time_of(int what, long n)
{
    double from = seconds_now();

    if (what == 0)
        bare(n);
    else if (what <= 2)
        by_engine(n, what == 2);
    else
        by_pool(n, what == 4);
    return (seconds_now() - from) / (double)n * 1e6;
}

static void open_engine(void)
{
    check(frun_engine_open(NULL, &engine) == FRUN_OK
          && fri_service_start(engine) == FRUN_OK, "engine");
    fri_lock(engine);
    check(fri_spawner_need(engine), "spawner");
    fri_unlock(engine);
}

/* With a first word "heap" the process has 1 GB, as a big host or script. */
static const char *take_heap(int *argc, char ***argv)
{
    enum { HEAP = 1 << 30 };
    static char *heap;

    if (*argc < 2 || strcmp((*argv)[1], "heap") != 0)
        return "commands";
    heap = malloc(HEAP);
    check(heap != NULL, "malloc");
    memset(heap, 1, HEAP);
    --*argc;
    ++*argv;
    return "commands1GB";
}

int main(int argc, char **argv)
{
    enum { TURNS = 32, WAYS = 5 };
    static const char *const names[WAYS]
        = { "spawn", "path", "captured", "pool_path", "pool_captured" };
    double times[WAYS][TURNS];
    const char *subject = take_heap(&argc, &argv);
    long n = argc > 1 ? atol(argv[1]) : 300;
    size_t turns = argc > 2 ? (size_t)atol(argv[2]) : 3;

    turns = turns < TURNS ? turns : TURNS;
    open_engine();
    for (size_t i = 0; i < turns; i++)
        for (int what = 0; what < WAYS; what++)
            times[what][i] = time_of(what, n);
    frun_engine_close(engine);
    for (int what = 0; what < WAYS; what++) {
        char name[64];

        snprintf(name, sizeof name, "%s.%s", subject, names[what]);
        report(name, quantile(times[what], turns, 0.5));
    }
    return 0;
}
