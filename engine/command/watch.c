/*
 * Why a thread: a waiting main program sleeps on a condition variable, which
 * no signal handler may touch; and a timer's signal would end the script's
 * own waits (poll, usleep) early.
 *
 * It sleeps while nothing is held.  Around a fork it does not exist, so that
 * a child finds no lock taken by it, and can start its own.
 */
#define _GNU_SOURCE
#include "command/watch.h"

#include "command/pause.h"

#include <errno.h>
#include <poll.h>
#include <semaphore.h>
#include <signal.h>

enum {
    STACK = 256 * 1024,
    PATIENCE = 100 /* ms: it may stand in a write that blocks */
};
static const fri_time WAIT = FRI_SECOND / 10;

static struct {
    struct fri_output *output;
    pthread_mutex_t lock; /* guards program */
    struct fri_program *program;
    pthread_t thread;
    atomic_bool running;
    bool restart;
    sem_t sem;
    /* Why sem was posted. */
    atomic_bool held, interrupt, stop, pause;
    atomic_bool hard; /* the interrupt is to stop what runs */
} watch = { .lock = PTHREAD_MUTEX_INITIALIZER };

static void sleep_until(fri_time until)
{
    struct timespec t = { .tv_sec = (time_t)(until / FRI_SECOND),
                          .tv_nsec = (long)(until % FRI_SECOND) };

    if (until == FRI_NEVER)
        sem_wait(&watch.sem);
    else
        sem_clockwait(&watch.sem, CLOCK_MONOTONIC, &t);
}

static void interrupt(void)
{
    pthread_mutex_lock(&watch.lock);
    if (watch.program)
        fri_program_interrupt(watch.program, atomic_load(&watch.hard));
    pthread_mutex_unlock(&watch.lock);
}

/* More of them that came until then are the same. */
static void pause_run(void)
{
    pthread_mutex_lock(&watch.lock);
    fri_pause_now(watch.program);
    pthread_mutex_unlock(&watch.lock);
    atomic_store(&watch.pause, false);
}

static void *run(void *unused)
{
    fri_time next = FRI_NEVER;

    (void)unused;
    while (!atomic_load(&watch.stop)) {
        sleep_until(next);
        if (atomic_exchange(&watch.interrupt, false))
            interrupt();
        if (atomic_exchange(&watch.pause, false))
            pause_run();
        if (atomic_exchange(&watch.held, false) && next == FRI_NEVER)
            next = fri_now() + WAIT;
        else if (next != FRI_NEVER && fri_now() >= next)
            next = fri_output_tick(watch.output, fri_now());
    }
    return NULL;
}

/* All signals are for the main thread. */
void fri_watch_start(void)
{
    pthread_attr_t attr;
    sigset_t all, old;

    if (atomic_load(&watch.running) || pthread_attr_init(&attr) != 0)
        return;
    atomic_store(&watch.stop, false);
    pthread_attr_setstacksize(&attr, STACK);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    atomic_store(&watch.running,
                 pthread_create(&watch.thread, &attr, run, NULL) == 0);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attr);
}

static void end_thread(void)
{
    if (!atomic_load(&watch.running))
        return;
    atomic_store(&watch.stop, true);
    sem_post(&watch.sem);
    pthread_join(watch.thread, NULL);
    atomic_store(&watch.running, false);
}

static void on_held(void *unused)
{
    (void)unused;
    fri_watch_start();
    atomic_store(&watch.held, true);
    sem_post(&watch.sem);
}

void fri_watch_interrupt(bool stop)
{
    atomic_store(&watch.hard, stop);
    atomic_store(&watch.interrupt, true);
    sem_post(&watch.sem);
}

bool fri_watch_pause(void)
{
    if (!atomic_load(&watch.running))
        return false;
    atomic_store(&watch.pause, true);
    sem_post(&watch.sem);
    for (int i = 0; i < PATIENCE && atomic_load(&watch.pause); i++)
        poll(NULL, 0, 1);
    return !atomic_exchange(&watch.pause, false);
}

void fri_watch_clear(void)
{
    if (watch.output)
        fri_output_clear(watch.output);
}

void fri_watch_leave(void)
{
    pthread_mutex_lock(&watch.lock);
    watch.program = NULL;
    pthread_mutex_unlock(&watch.lock);
}

/* ---- forks ------------------------------------------------------------ */

static void before_fork(void)
{
    watch.restart = atomic_load(&watch.running);
    end_thread();
    pthread_mutex_lock(&watch.output->lock);
}

static void after_fork(void)
{
    pthread_mutex_unlock(&watch.output->lock);
    if (watch.restart)
        fri_watch_start();
    atomic_store(&watch.held, true);
    sem_post(&watch.sem);
}

static void in_child(void)
{
    watch.output->awake = false;
    pthread_mutex_unlock(&watch.output->lock);
}

void fri_watch_open(struct fri_program *program, struct fri_output *output)
{
    watch.program = program;
    watch.output = output;
    sem_init(&watch.sem, 0, 0);
    output->wake = on_held;
    pthread_atfork(before_fork, after_fork, in_child);
}
