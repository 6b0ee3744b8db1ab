/*
 * pause.c - Ctrl-Z reaches the command only: its workers are in groups of
 * their own.
 *
 * They are stopped by the thread of watch.c, since that takes the engine's
 * lock; then the process stops itself, by the same signal, so that the shell
 * sees what it has asked for.  Where that thread stands in a write (to a pager
 * that was stopped, too), the process stops alone.
 */
#define _GNU_SOURCE
#include "command/pause.h"

#include "command/stop.h"
#include "command/watch.h"

#include <errno.h>
#include <signal.h>

/* Returns when somebody sends CONT; at once where nobody could, since the
 * group is orphaned: the kernel stops no such process. */
static void stop_here(void)
{
    struct sigaction ours, usual = { .sa_handler = SIG_DFL };
    sigset_t one, old;

    sigemptyset(&one);
    sigaddset(&one, SIGTSTP);
    sigaction(SIGTSTP, &usual, &ours);
    pthread_sigmask(SIG_UNBLOCK, &one, &old);
    raise(SIGTSTP);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    sigaction(SIGTSTP, &ours, NULL);
}

void fri_pause_now(struct fri_program *program)
{
    fri_stop_pause();
    if (program)
        fri_program_pause(program, true);
    fri_watch_clear();
    stop_here();
    if (program)
        fri_program_pause(program, false);
    fri_stop_resume();
}

static void on_signal(int number)
{
    int error = errno;

    (void)number;
    if (!fri_watch_pause())
        fri_pause_now(NULL);
    errno = error;
}

void fri_pause_open(void)
{
    struct sigaction old, ours = { .sa_handler = on_signal,
                                   .sa_flags = SA_RESTART };

    sigemptyset(&ours.sa_mask);
    if (sigaction(SIGTSTP, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        sigaction(SIGTSTP, &ours, NULL);
}
