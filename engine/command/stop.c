/*
 * Everything here runs on the main thread: the handlers, and a timer whose
 * signal goes to that thread.  The threads of the engine have all signals
 * blocked; a handler that runs on a thread of somebody else's hands the signal
 * over.  Handlers use atomics, lua_sethook (as the stock interpreter does),
 * sem_post, and system calls.
 *
 * They do not restart system calls: a script that waits in one (a read, a
 * command) is to be interrupted there.
 */
#define _GNU_SOURCE
#include "command/stop.h"

#include "command/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif

/* What runs has this long after a signal; after the deadline nothing, since
 * it has had its time.  Then it is stopped, and that has so long. */
static const fri_time GRACE = 2 * FRI_SECOND;
static const fri_time STOPPING = FRI_SECOND / 2;
/* A script that has caught one "interrupted" gets the next. */
static const fri_time AGAIN = FRI_SECOND / 4;

static const int caught[] = { SIGINT, SIGTERM, SIGHUP };
enum { CAUGHT = sizeof caught / sizeof *caught };

static struct {
    struct fri_program *program;
    struct fri_output *output;
    pthread_t thread;
    fri_time started;
    timer_t timer;
    atomic_int cause;
    atomic_bool said;
    _Atomic fri_time until;  /* the deadline, then the end of all patience */
    _Atomic fri_time paused; /* since when, 0: it is not */
    fri_time paused_until;   /* what `until` was then */
    char text[80];
} stop;

/* Real-time signals from SIGRTMIN on are the library's. */
static int timer_signal(void)
{
    return SIGRTMAX - 1;
}

static void set_timer(fri_time at, fri_time interval)
{
    struct itimerspec t = {
        .it_value = { .tv_sec = (time_t)(at / FRI_SECOND),
                      .tv_nsec = (long)(at % FRI_SECOND) },
        .it_interval = { .tv_nsec = (long)interval },
    };

    timer_settime(stop.timer, TIMER_ABSTIME, &t, NULL);
}

int fri_stop_cause(void)
{
    return atomic_load(&stop.cause);
}

const char *fri_stop_text(void)
{
    switch (atomic_load(&stop.cause)) {
    case 0: return NULL;
    case SIGINT: return "interrupted by SIGINT";
    case SIGTERM: return "interrupted by SIGTERM";
    case SIGHUP: return "interrupted by SIGHUP";
    default: return stop.text;
    }
}

/* What is to be said of it, once. */
static const char *unsaid(void)
{
    const char *text = fri_stop_text();

    return text && !atomic_exchange(&stop.said, true) ? text : NULL;
}

void fri_stop_tell(void (*say)(const char *text))
{
    const char *text;
    sigset_t more, old;

    sigemptyset(&more);
    for (int i = 0; i < CAUGHT; i++)
        sigaddset(&more, caught[i]);
    pthread_sigmask(SIG_BLOCK, &more, &old);
    text = unsaid();
    if (text)
        say(text);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ---- the end ---------------------------------------------------------- */

void fri_stop_die(void)
{
    int cause = atomic_load(&stop.cause);
    sigset_t one;

    if (cause <= 0)
        _exit(124);
    signal(cause, SIG_DFL);
    sigemptyset(&one);
    sigaddset(&one, cause);
    pthread_sigmask(SIG_UNBLOCK, &one, NULL);
    kill(getpid(), cause);
    _exit(128 + cause); /* process 1 of a container does not die of it */
}

/* In a handler, whatever the main thread was doing: waits for nobody. */
static void die_here(void)
{
    const char *text = unsaid();
    struct pollfd p = { .fd = 2, .events = POLLOUT };
    char line[120] = "flowrun: ";
    size_t length = strlen(line);

    fri_output_rescue(stop.output);
    for (; text && *text && length < sizeof line - 1; text++)
        line[length++] = *text;
    line[length++] = '\n';
    if (text && poll(&p, 1, 0) > 0 && write(2, line, length) < 0)
        _exit(128);
    fri_program_abandon(stop.program);
    fri_stop_die();
}

static void begin(int cause)
{
    fri_time now = fri_now();

    atomic_store(&stop.cause, cause);
    atomic_store(&stop.until, now + (cause > 0 ? GRACE : 0) + STOPPING);
    set_timer(now + AGAIN, AGAIN);
    fri_program_stop(stop.program);
    fri_watch_interrupt(cause == FRI_STOP_DEADLINE);
}

static void on_signal(int number)
{
    int error = errno;

    if (!pthread_equal(pthread_self(), stop.thread)) {
        pthread_kill(stop.thread, number);
    } else if (fri_stop_cause() == 0) {
        begin(number);
    } else {
        atomic_store(&stop.cause, number);
        die_here();
    }
    errno = error;
}

static void on_timer(int number)
{
    int error = errno;

    (void)number;
    if (atomic_load(&stop.paused)) {
        errno = error;
        return;
    }
    if (fri_now() >= atomic_load(&stop.until)) {
        if (fri_stop_cause() != 0)
            die_here();
        begin(FRI_STOP_DEADLINE);
    } else if (fri_stop_cause() != 0) {
        fri_program_stop(stop.program);
    }
    errno = error;
}

fri_time fri_stop_patience(void)
{
    return fri_stop_cause() > 0 ? atomic_load(&stop.until) - STOPPING : 0;
}

void fri_stop_pause(void)
{
    stop.paused_until = atomic_load(&stop.until);
    atomic_store(&stop.paused, fri_now());
}

/* A signal that came meanwhile has set both anew, or does so now. */
void fri_stop_resume(void)
{
    fri_time at = stop.paused_until, now = fri_now();
    fri_time later = at + (now - atomic_load(&stop.paused));

    atomic_store(&stop.paused, 0);
    if (at != 0 && at != FRI_NEVER
        && atomic_compare_exchange_strong(&stop.until, &at, later))
        set_timer(later, 0);
    if (fri_stop_cause() != 0)
        set_timer(now + AGAIN, AGAIN);
}

void fri_stop_leave(void)
{
    if (fri_stop_cause() == 0)
        set_timer(0, 0);
}

/* ---- opening ---------------------------------------------------------- */

static void handle(int number, void (*handler)(int))
{
    struct sigaction action = { .sa_handler = handler };

    sigemptyset(&action.sa_mask);
    for (int i = 0; i < CAUGHT; i++)
        sigaddset(&action.sa_mask, caught[i]);
    sigaddset(&action.sa_mask, timer_signal());
    sigaction(number, &action, NULL);
}

static void handle_unless_ignored(int number)
{
    struct sigaction old;

    if (sigaction(number, NULL, &old) == 0 && old.sa_handler != SIG_IGN)
        handle(number, on_signal);
}

static bool open_timer(double timeout)
{
    struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID,
                              .sigev_signo = timer_signal() };

    event.sigev_notify_thread_id = (pid_t)syscall(SYS_gettid);
    handle(timer_signal(), on_timer);
    if (timer_create(CLOCK_MONOTONIC, &event, &stop.timer) != 0)
        return false;
    if (timeout > 0)
        fri_stop_deadline(timeout);
    return true;
}

void fri_stop_deadline(double seconds)
{
    sigset_t all, old;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    if (fri_stop_cause() == 0) {
        fri_time at = fri_deadline(stop.started, seconds);

        snprintf(stop.text, sizeof stop.text,
                 "the run's deadline of %g s passed", seconds);
        atomic_store(&stop.until, at);
        set_timer(at == FRI_NEVER ? 0 : at, 0);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

bool fri_stop_open(struct fri_program *program, struct fri_output *output,
                   double timeout)
{
    stop.program = program;
    stop.output = output;
    stop.thread = pthread_self();
    stop.started = fri_now();
    for (int i = 0; i < CAUGHT; i++)
        handle_unless_ignored(caught[i]);
    return open_timer(timeout);
}
