/*
 * signal.c - the signal by which a worker thread interrupts what it runs.
 *
 * Rules.
 *  1. Signals belong to the process: engines share the one that is ours, and
 *     it is counted who uses it.
 *  2. The last engine that closes puts back what was there before, unless
 *     somebody else has changed it since, or a thread was given up: a signal
 *     may still be on its way to that one, and would end the process.
 *  3. Only worker threads take it: elsewhere it may be blocked or not, and
 *     does nothing.
 */
#define _GNU_SOURCE
#include "pools/threads/threads.h"

#include <errno.h>

enum { SIGNALS = 65 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct {
    unsigned users;
    struct sigaction before;
} signals[SIGNALS];

static __thread struct fri_thread *volatile self;

static void handle(int number)
{
    int saved = errno;

    (void)number;
    if (self)
        fri_run_signal(self);
    errno = saved;
}

static bool is_ours(const struct sigaction *a)
{
    return !(a->sa_flags & SA_SIGINFO) && a->sa_handler == handle;
}

static bool is_default(const struct sigaction *a)
{
    return !(a->sa_flags & SA_SIGINFO) && a->sa_handler == SIG_DFL;
}

/* Makes that signal ours; `force`: whatever its disposition is. */
static bool install(int number, bool force)
{
    struct sigaction ours = { .sa_handler = handle, .sa_flags = SA_RESTART };
    struct sigaction now;

    if (sigaction(number, NULL, &now) != 0)
        return false;
    if (is_ours(&now))
        return true;
    if (!force && !is_default(&now))
        return false;
    sigfillset(&ours.sa_mask);
    signals[number].before = now;
    return sigaction(number, &ours, NULL) == 0;
}

static int choose(int wanted)
{
    if (wanted > 0)
        return wanted < SIGNALS && install(wanted, true) ? wanted : -1;
    for (int n = SIGRTMIN + 3; n <= SIGRTMAX && n < SIGNALS; n++)
        if (install(n, false))
            return n;
    return -1;
}

void fri_signal_open(frun_engine *e)
{
    int wanted = e->options.interrupt_signal;

    if (e->interrupt_signal != 0)
        return;
    pthread_mutex_lock(&lock);
    e->interrupt_signal = wanted < 0 ? -1 : choose(wanted);
    if (e->interrupt_signal > 0)
        signals[e->interrupt_signal].users++;
    pthread_mutex_unlock(&lock);
}

void fri_signal_close(frun_engine *e)
{
    int number = e->interrupt_signal;
    struct sigaction now;

    if (number <= 0)
        return;
    pthread_mutex_lock(&lock);
    if (--signals[number].users == 0 && !e->lost
        && sigaction(number, NULL, &now) == 0 && is_ours(&now))
        sigaction(number, &signals[number].before, NULL);
    pthread_mutex_unlock(&lock);
    e->interrupt_signal = -1;
}

void fri_signal_take(struct fri_thread *t)
{
    int number = t->worker.pool->engine->interrupt_signal;
    sigset_t set;

    self = t;
    if (number <= 0)
        return;
    sigemptyset(&set);
    sigaddset(&set, number);
    pthread_sigmask(SIG_UNBLOCK, &set, NULL);
}
