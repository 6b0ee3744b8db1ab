/*
 * helper.c - the process that makes, reaps and ends all others.
 *
 * Rules.
 *  1. One thread, and all signals blocked but for SIGCHLD while it waits, so
 *     nothing but SIGKILL ends or stops it, whoever signals its group.  It is
 *     in the session of the host, in a group of its own, so the terminal's
 *     signals reach neither it nor a worker.
 *  2. It never blocks but in that one wait: what cannot be sent stays in the
 *     outbox.  A report needs no memory: its place is part of the process's
 *     record.  Only a refused request has none; it has the one place
 *     `refused`, and while that is taken no request is read.
 *  3. It alone reaps its children, and a number belongs to its process until
 *     then.  So it signals only processes that it has not reaped, and kills
 *     the group of one that has ended between learning of the end (WNOWAIT)
 *     and reaping it: the number of the group is that of the process, and is
 *     given to no stranger before.  The kernel refuses a fork to whom a
 *     signal of the group has reached, so one kill finds the whole group.
 *  4. It is the subreaper of all: what has left its group, and lost its
 *     parents, becomes a child of the helper.  These have no record; they are
 *     reaped unseen and killed at the end.
 *  5. The end is when the host has closed its side or has died.  The first
 *     is seen at the socket; a copy of the host may still hold that, so there
 *     is a pidfd of the host, too.  Then all children are killed, again and
 *     again, since killing one may bring its children here, until none is
 *     left.
 *  6. The helper's own death kills its workers (PDEATHSIG; the helper has one
 *     thread, so it is the death of the process).
 *  7. Helper and workers end by _exit: what the host has prepared for its own
 *     end must not happen here.
 */
#define _GNU_SOURCE
#include "pools/helper.h"
#include "pools/process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    OOM_MORE = 200, /* the kernel takes workers before the engine */
    END_MS = 10     /* between two looks for children that are left */
};

struct process;

struct post {
    struct post *next;
    struct process *done; /* its record, no longer needed once this is sent */
    struct fri_helper_report report;
};

struct process {
    struct process *next;
    uint64_t id;
    pid_t pid;
    struct post start, end;
};

struct helper {
    const struct fri_helper_start *start;
    pid_t self;
    struct process *all; /* not reaped yet */
    struct post *out, **out_end;
    struct post refused;
    bool refusing; /* `refused` is in the outbox */
};

/* ---- waiting ---------------------------------------------------------- */

static void child_ended(int number)
{
    (void)number;
}

static void listen_to_children(void)
{
    struct sigaction action = { .sa_handler = child_ended };

    sigaction(SIGCHLD, &action, NULL);
}

/* Waits for events, and for the end of a child; ms < 0: for ever. */
static void rest(struct pollfd *fds, nfds_t n, long ms)
{
    struct timespec most = { ms / 1000, ms % 1000 * 1000000 };
    sigset_t mask;

    sigfillset(&mask);
    sigdelset(&mask, SIGCHLD);
    if (ppoll(fds, n, ms < 0 ? NULL : &most, &mask) >= 0)
        return;
    for (nfds_t i = 0; i < n; i++)
        fds[i].revents = 0;
}

/* ---- saying ----------------------------------------------------------- */

static void say(struct helper *h, struct post *post, uint32_t kind,
                uint64_t id)
{
    post->report.magic = FRI_HELPER_MAGIC;
    post->report.kind = kind;
    post->report.id = id;
    post->next = NULL;
    *h->out_end = post;
    h->out_end = &post->next;
}

static bool send_post(const struct helper *h, const struct post *post)
{
    ssize_t n;

    do
        n = send(h->start->socket, &post->report, sizeof post->report,
                 MSG_DONTWAIT | MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n >= 0;
}

static void flush(struct helper *h)
{
    struct post *post;

    while ((post = h->out) != NULL && send_post(h, post)) {
        h->out = post->next;
        if (!h->out)
            h->out_end = &h->out;
        h->refusing = h->refusing && post != &h->refused;
        free(post->done);
    }
}

static void say_failed(struct helper *h, struct process *p, uint64_t id,
                       int error)
{
    struct post *post = p ? &p->start : &h->refused;

    if (!p)
        h->refusing = true;
    post->done = p;
    post->report.error = error;
    say(h, post, FRI_SPAWN_FAILED, id);
}

/* ---- workers ---------------------------------------------------------- */

/* The check for the helper comes behind the wish to die with it: whatever
 * happened before is seen, and whatever happens later kills. */
static _Noreturn void be_worker(const struct helper *h, const int *fds)
{
    sigset_t none;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != h->self)
        _exit(1);
    prctl(PR_SET_NAME, "flowrun-worker");
    fri_process_close_others(fds[0], fds[1]);
    fri_process_raise_oom(OOM_MORE);
    fri_process_default_signals();
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    h->start->work(fds[0], fds[1], h->start->user);
    _exit(0);
}

static void started(struct helper *h, struct process *p)
{
    setpgid(p->pid, p->pid);
    p->next = h->all;
    h->all = p;
    p->start.report.pid = p->pid;
    say(h, &p->start, FRI_SPAWN_STARTED, p->id);
}

static void start_worker(struct helper *h, uint64_t id, const int *fds)
{
    struct process *p = calloc(1, sizeof *p);

    if (!p) {
        say_failed(h, NULL, id, ENOMEM);
        return;
    }
    p->id = id;
    p->pid = fork();
    if (p->pid == 0)
        be_worker(h, fds);
    if (p->pid > 0)
        started(h, p);
    else
        say_failed(h, p, id, errno);
}

/* Each once, though the process may have left its group. */
static void signal_process(const struct process *p, int number)
{
    kill(-p->pid, number);
    if (getpgid(p->pid) != p->pid)
        kill(p->pid, number);
}

static void signal_id(const struct helper *h, uint64_t id, int number)
{
    const struct process *p = h->all;

    while (p && p->id != id)
        p = p->next;
    if (p)
        signal_process(p, number);
}

/* ---- reaping ---------------------------------------------------------- */

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void say_ended(struct helper *h, struct process *p, int status,
                      const struct rusage *usage)
{
    struct fri_helper_report *r = &p->end.report;

    r->pid = p->pid;
    r->status = status;
    r->cpu = seconds(usage->ru_utime) + seconds(usage->ru_stime);
    r->memory = (int64_t)usage->ru_maxrss * 1024;
    p->end.done = p;
    say(h, &p->end, FRI_SPAWN_ENDED, p->id);
}

static struct process *take_process(struct helper *h, pid_t pid)
{
    struct process **at = &h->all, *p;

    while (*at && (*at)->pid != pid)
        at = &(*at)->next;
    p = *at;
    if (p)
        *at = p->next;
    return p;
}

static void reap_one(struct helper *h, pid_t pid)
{
    struct process *p = take_process(h, pid);
    struct rusage usage;
    int status;

    if (p)
        kill(-pid, SIGKILL);
    if (wait4(pid, &status, __WALL, &usage) == pid && p)
        say_ended(h, p, status, &usage);
}

/* False when there are no children at all. */
static bool reap(struct helper *h)
{
    siginfo_t info;

    for (;;) {
        info.si_pid = 0;
        if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) < 0)
            return errno != ECHILD;
        if (info.si_pid == 0)
            return true;
        reap_one(h, info.si_pid);
    }
}

/* ---- hearing ---------------------------------------------------------- */

static size_t take_fds(struct msghdr *m, int *fds)
{
    struct cmsghdr *c = CMSG_FIRSTHDR(m);
    size_t n = 0;

    if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
        return 0;
    n = (c->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
    memcpy(fds, CMSG_DATA(c), n * sizeof *fds);
    return n;
}

/* What it takes to start something else than a worker comes in here. */
static void obey(struct helper *h, const struct fri_helper_request *r,
                 const int *fds, size_t n, bool cut)
{
    if (r->kind == FRI_HELPER_SIGNAL)
        signal_id(h, r->id, (int)r->number);
    else if (r->kind == FRI_HELPER_WORKER && n == 2)
        start_worker(h, r->id, fds);
    else
        say_failed(h, NULL, r->id, cut ? EMFILE : EINVAL);
}

/* False when there is nothing to read. */
static bool hear(struct helper *h)
{
    struct fri_helper_request r;
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int)
                                                     * FRI_HELPER_FDS)];
    struct iovec part = { &r, sizeof r };
    struct msghdr m = { .msg_iov = &part, .msg_iovlen = 1,
                        .msg_control = control,
                        .msg_controllen = sizeof control };
    int fds[FRI_HELPER_FDS];
    ssize_t got = recvmsg(h->start->socket, &m,
                          MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    size_t n;

    if (got <= 0)
        return got < 0 && errno == EINTR;
    n = take_fds(&m, fds);
    if (got == sizeof r && r.magic == FRI_HELPER_MAGIC
        && !(m.msg_flags & MSG_TRUNC))
        obey(h, &r, fds, n, m.msg_flags & MSG_CTRUNC);
    while (n > 0)
        close(fds[--n]);
    return true;
}

/* ---- the end ---------------------------------------------------------- */

/* Rule 5. */
static _Noreturn void end(struct helper *h)
{
    for (const struct process *p = h->all; p; p = p->next)
        signal_process(p, SIGKILL);
    fri_process_kill_children(h->self);
    while (reap(h)) {
        rest(NULL, 0, END_MS);
        fri_process_kill_children(h->self);
    }
    _exit(0);
}

/* ---- serving ---------------------------------------------------------- */

static bool is_over(const struct pollfd *fds)
{
    return fds[0].revents & (POLLRDHUP | POLLHUP | POLLERR | POLLNVAL)
           || fds[1].revents != 0;
}

static _Noreturn void serve(struct helper *h)
{
    struct pollfd fds[2] = { { .fd = h->start->socket },
                             { .fd = h->start->host, .events = POLLIN } };

    for (;;) {
        fds[0].events = (short)(POLLRDHUP | (h->refusing ? 0 : POLLIN)
                                | (h->out ? POLLOUT : 0));
        rest(fds, 2, -1);
        if (is_over(fds))
            end(h);
        reap(h);
        flush(h);
        while (fds[0].revents & POLLIN && !h->refusing && hear(h))
            flush(h);
    }
}

_Noreturn void fri_helper_serve(const struct fri_helper_start *start)
{
    struct helper h = { .start = start, .self = getpid() };
    struct post ready = { .report.pid = h.self };

    setpgid(0, 0);
    prctl(PR_SET_NAME, "flowrun-helper");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fri_process_default_signals();
    listen_to_children();
    fri_process_open_standard();
    fri_process_close_others(start->socket, start->host);
    fri_process_forget_streams();
    h.out_end = &h.out;
    if (start->announce)
        say(&h, &ready, FRI_HELPER_READY, 0);
    flush(&h);
    serve(&h);
}

int fri_helper_main(int argc, char **argv, fri_worker_main *work, void *user)
{
    struct fri_helper_start start = {
        .socket = argc > 2 ? atoi(argv[2]) : -1,
        .host = argc > 3 ? atoi(argv[3]) : -1,
        .work = work, .user = user, .announce = true,
    };
    sigset_t all;
    pid_t pid;

    if (start.socket <= STDERR_FILENO || fcntl(start.socket, F_GETFD) < 0)
        return 2;
    if (fcntl(start.host, F_GETFD) < 0)
        start.host = -1;
    sigfillset(&all);
    sigprocmask(SIG_SETMASK, &all, NULL);
    pid = fork();
    if (pid == 0)
        fri_helper_serve(&start);
    return pid > 0 ? 0 : 3;
}
