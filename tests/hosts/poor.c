/*
 * poor.c - the library in surroundings that leave it little: the word on the
 * command line takes something away, then pools of every kind must work, or
 * refuse in words.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <flowrun.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static FILE *out;

static frun_status twice(frun_task *task, const frun_value *n,
                         frun_value **result)
{
    (void)task;
    *result = frun_value_int(2 * frun_value_as_int(n));
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

static frun_status submit(frun_pool *pool, frun_kind kind, frun_future **f)
{
    static const char *const argv[] = { "sh", "-c", "cat; echo 42", NULL };
    frun_command command = { .argv = argv };
    frun_value *n = frun_value_int(21);
    frun_status status
        = kind == FRUN_COMMANDS
              ? frun_pool_command(pool, &command, NULL, f)
              : frun_pool_submit(pool, twice, n, NULL, f);

    frun_value_free(n);
    return status;
}

static const char *text_of(frun_kind kind, const frun_value *v)
{
    static char text[40];

    if (kind == FRUN_COMMANDS)
        return frun_value_as_str(frun_value_get(v, "out"));
    snprintf(text, sizeof text, "%lld\n", (long long)frun_value_as_int(v));
    return text;
}

static void work(frun_engine *engine, frun_kind kind)
{
    frun_pool_options options = { .workers = 2 };
    frun_pool *pool;
    frun_future *f = NULL;
    const frun_value *v;
    frun_status status = frun_pool_open(engine, kind, &options, &pool);

    if (status == FRUN_OK)
        status = submit(pool, kind, &f);
    if (status == FRUN_OK)
        status = frun_future_result(f, -1, &v);
    if (status == FRUN_OK)
        fputs(text_of(kind, v), out);
    else if (frun_future_error(f))
        fprintf(out, "%s\n", frun_future_error(f)->message);
    else
        fprintf(out, "%s\n", frun_engine_message(engine));
    frun_future_free(f);
    frun_pool_close(pool);
}

static void *whole(void *user)
{
    frun_engine *engine;
    frun_status status = frun_engine_open(NULL, &engine);

    if (status == FRUN_OK)
        for (int kind = FRUN_THREADS; kind <= FRUN_COMMANDS; kind++)
            work(engine, (frun_kind)kind);
    else
        fprintf(out, "%s\n", frun_status_text(status));
    frun_engine_close(engine);
    return user;
}

static void limit_to(__rlimit_resource_t what, rlim_t n)
{
    struct rlimit limit = { .rlim_cur = n, .rlim_max = n };

    setrlimit(what, &limit);
}

static void block_all(void)
{
    sigset_t all;

    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
}

static void close_all(void)
{
    for (int fd = 0; fd < 1024; fd++)
        if (fd != fileno(out))
            close(fd);
}

/* Its thread makes the process one that cannot be copied. */
static void on_small_stack(void)
{
    pthread_attr_t attr;
    pthread_t thread;

    pthread_attr_init(&attr);
    pthread_attr_setstacksize(&attr, 128 << 10);
    if (pthread_create(&thread, &attr, whole, NULL) == 0)
        pthread_join(thread, NULL);
    pthread_attr_destroy(&attr);
}

static void take(const char *what)
{
    if (strcmp(what, "signals") == 0)
        block_all();
    else if (strcmp(what, "children") == 0)
        signal(SIGCHLD, SIG_IGN);
    else if (strcmp(what, "descriptors") == 0)
        limit_to(RLIMIT_NOFILE, 32);
    else if (strcmp(what, "nearly all descriptors") == 0)
        limit_to(RLIMIT_NOFILE, 7);
    else if (strcmp(what, "streams") == 0)
        close_all();
    else if (strcmp(what, "permissions") == 0)
        umask(0777);
    else if (strcmp(what, "stack") == 0)
        limit_to(RLIMIT_STACK, 256 << 10);
}

int main(int argc, char **argv)
{
    int fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);

    out = fd < 0 ? NULL : fdopen(fd, "w");
    if (!out || argc < 2)
        return 1;
    setvbuf(out, NULL, _IONBF, 0);
    take(argv[1]);
    if (strcmp(argv[1], "threads") == 0)
        on_small_stack();
    else
        whole(NULL);
    return 0;
}
