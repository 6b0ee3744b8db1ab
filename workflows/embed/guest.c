/*
 * guest.c - the library is a guest: a host that has threads and children of
 * its own, signal handlers and a locale, and two engines at once, finds all
 * of it as it was.
 *
 *     cc -pthread -o guest guest.c $(pkg-config --cflags --libs flowrun)
 */
#define _GNU_SOURCE
#include <flowrun.h>
#include <inttypes.h>
#include <locale.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t handled;
static atomic_bool leave;

static void on_signal(int number)
{
    handled = number;
}

static void *own_thread(void *user)
{
    while (!atomic_load(&leave))
        usleep(1000);
    return user;
}

struct world { /* what a library could spoil */
    struct sigaction actions[NSIG];
    sigset_t mask;
    mode_t umask;
    char locale[64], directory[4096];
};

static void look(struct world *w)
{
    memset(w, 0, sizeof *w);
    for (int n = 1; n < NSIG; n++)
        sigaction(n, NULL, &w->actions[n]);
    pthread_sigmask(SIG_SETMASK, NULL, &w->mask);
    w->umask = umask(0);
    umask(w->umask);
    snprintf(w->locale, sizeof w->locale, "%s", setlocale(LC_ALL, NULL));
    if (!getcwd(w->directory, sizeof w->directory))
        w->directory[0] = '\0';
}

static bool same(const struct world *a, const struct world *b)
{
    for (int n = 1; n < NSIG; n++)
        if (a->actions[n].sa_handler != b->actions[n].sa_handler)
            return false;
    return memcmp(&a->mask, &b->mask, sizeof a->mask) == 0
           && a->umask == b->umask && strcmp(a->locale, b->locale) == 0
           && strcmp(a->directory, b->directory) == 0;
}

static frun_status twice(frun_task *task, const frun_value *n,
                         frun_value **result)
{
    (void)task;
    *result = frun_value_int(2 * frun_value_as_int(n));
    return *result ? FRUN_OK : FRUN_ENOMEM;
}

/* Two futures of two engines, both at work. */
static bool work(frun_engine *const engines[2], frun_kind kind)
{
    frun_pool *pools[2] = { NULL, NULL };
    frun_future *futures[2] = { NULL, NULL };
    bool ok = true;

    for (int i = 0; i < 2; i++) {
        frun_value *n = frun_value_int(20 + i);

        ok = ok && frun_pool_open(engines[i], kind, NULL, &pools[i]) == FRUN_OK
             && frun_pool_submit(pools[i], twice, n, NULL, &futures[i])
                    == FRUN_OK;
        frun_value_free(n);
    }
    for (int i = 0; i < 2; i++) {
        const frun_value *v;

        ok = ok && frun_future_result(futures[i], -1, &v) == FRUN_OK
             && frun_value_as_int(v) == 40 + 2 * i;
        frun_future_free(futures[i]);
        frun_pool_close(pools[i]);
    }
    return ok;
}

int main(void)
{
    frun_engine *engines[2] = { NULL, NULL };
    struct sigaction action = { .sa_handler = on_signal };
    struct world before, after;
    pthread_t thread;
    pid_t child;
    int status = 0;
    bool ok;

    setlocale(LC_ALL, "C.UTF-8");
    umask(027);
    sigaction(SIGUSR1, &action, NULL);
    sigaction(SIGCHLD, &action, NULL);

    /* The engines come first: a copy of the host is the parent of the worker
     * processes, and a host with threads cannot be copied. */
    ok = frun_engine_open(NULL, &engines[0]) == FRUN_OK
         && frun_engine_open(NULL, &engines[1]) == FRUN_OK;
    pthread_create(&thread, NULL, own_thread, NULL);
    child = fork();
    if (child == 0) {
        pause();
        _exit(7);
    }
    look(&before);
    ok = ok && work(engines, FRUN_THREADS) && work(engines, FRUN_FORKS);
    look(&after);
    printf("work: %s\n", ok ? "done" : "failed");
    printf("world: %s\n", same(&before, &after) ? "as it was" : "changed");

    handled = 0;
    raise(SIGUSR1);
    printf("handler: %s\n", handled == SIGUSR1 ? "called" : "lost");
    kill(child, SIGTERM);
    while (waitpid(child, &status, 0) < 0)
        ;
    printf("child: %s\n", WIFSIGNALED(status) ? "ours to reap" : "gone");
    frun_engine_close(engines[0]);
    frun_engine_close(engines[1]);
    printf("others: %s\n", waitpid(-1, NULL, WNOHANG) < 0 ? "none" : "left");
    atomic_store(&leave, true);
    pthread_join(thread, NULL);
    return !ok;
}
