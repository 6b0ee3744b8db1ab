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
 *  6. It holds what a command writes to until it has said that the command has
 *     ended: so nobody is woken by the end of that file before.
 *  7. The helper's own death kills its workers (PDEATHSIG; the helper has one
 *     thread, so it is the death of the process).
 *  8. Helper and workers end by _exit: what the host has prepared for its own
 *     end must not happen here.
 */
#define _GNU_SOURCE
#include "pools/spawn/helper.h"
#include "base/clock.h"
#include "pools/spawn/board.h"
#include "pools/spawn/heard.h"
#include "pools/spawn/launch.h"
#include "pools/spawn/post.h"
#include "pools/spawn/process.h"
#include "pools/commands/scratch.h"

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
    OOM_MORE = 200, /* the kernel takes these before the engine */
    END_MS = 10     /* between two looks for children that are left */
};

struct process {
    struct process *next;
    uint64_t id;
    pid_t pid;
    int held[2]; /* of a command (rule 6), < 0: none */
    fri_time since;
    bool command;
    fri_note *note; /* of a command: its group (board.h), or NULL */
    struct fri_post start, end;
};

struct helper {
    const struct fri_helper_start *start;
    pid_t self;
    struct process *all; /* not reaped yet */
    struct fri_posts posts;
    struct fri_post refused;
    struct fri_launcher launcher;
    char scratch[FRI_HELPER_INLINE]; /* removed at the end; "": none */
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

static void flush(struct helper *h)
{
    fri_posts_flush(&h->posts, h->start->socket);
}

/* p: its record, no longer needed then; NULL: there is none. */
static void say_failed(struct helper *h, struct process *p, uint64_t id,
                       int error)
{
    struct fri_post *post = p ? &p->start : &h->refused;

    post->done = p;
    post->report.error = error;
    fri_post(&h->posts, post, FRI_SPAWN_FAILED, id);
}

/* ---- processes -------------------------------------------------------- */

static struct process *process_new(struct helper *h, uint64_t id)
{
    struct process *p = calloc(1, sizeof *p);

    if (!p) {
        say_failed(h, NULL, id, ENOMEM);
        return NULL;
    }
    p->id = id;
    p->held[0] = p->held[1] = -1;
    p->since = fri_now();
    return p;
}

static void link_process(struct helper *h, struct process *p)
{
    p->next = h->all;
    h->all = p;
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
    signal(SIGCHLD, SIG_DFL); /* the helper has no other */
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    h->start->work(fds[0], fds[1], h->start->user);
    _exit(0);
}

static void say_started(struct helper *h, struct process *p)
{
    p->start.report.pid = p->pid;
    fri_post(&h->posts, &p->start, FRI_SPAWN_STARTED, p->id);
}

static void started(struct helper *h, struct process *p)
{
    setpgid(p->pid, p->pid);
    link_process(h, p);
    say_started(h, p);
}

static void start_worker(struct helper *h, uint64_t id, const int *fds)
{
    struct process *p = process_new(h, id);
    int error;

    if (!p)
        return;
    fri_launcher_oom(&h->launcher, true);
    p->pid = fork();
    if (p->pid == 0) {
        free(p); /* a worker has no use for its own record */
        be_worker(h, fds);
    }
    error = errno;
    fri_launcher_oom(&h->launcher, false);
    if (p->pid > 0)
        started(h, p);
    else
        say_failed(h, p, id, error);
}

/* ---- commands --------------------------------------------------------- */

/* Rule 6; that of its standard input is the command's alone. */
static void hold(struct process *p, struct fri_heard *r, size_t streams)
{
    size_t first = r->request.streams & 1u;

    for (size_t i = first; i < streams; i++) {
        p->held[i - first] = r->fds[i];
        r->fds[i] = -1;
    }
}

/* The descriptors are those of its streams, and then that of an order which
 * is no part of the request. */
static void start_command(struct helper *h, struct fri_heard *r)
{
    struct process *p = process_new(h, r->request.id);
    struct fri_launch launch = {
        .order = r->more, .size = r->size,
        .note = fri_board_place(h->start->board),
    };
    size_t used = 0;

    if (!p)
        return;
    for (unsigned i = 0; i < 3; i++)
        launch.streams[i] = r->request.streams & 1u << i && used < r->n
                            ? r->fds[used++] : -1;
    launch.apart = used < r->n ? r->fds[used] : -1;
    if (launch.apart >= 0)
        launch.size = (size_t)r->request.number;
    p->pid = fri_launch(&h->launcher, &launch);
    if (p->pid < 0) {
        p->start.report.step = launch.step;
        say_failed(h, p, p->id, launch.error);
        return;
    }
    p->command = true;
    p->note = launch.note;
    hold(p, r, used);
    link_process(h, p);
}

/* ---- signals ---------------------------------------------------------- */

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
    r->memory = p->command ? fri_launch_peak(usage)
                           : (int64_t)usage->ru_maxrss * 1024;
    r->seconds = fri_seconds(fri_now() - p->since);
    p->end.done = p;
    fri_post(&h->posts, &p->end, FRI_SPAWN_ENDED, p->id);
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

/* Its record goes with what is said of it. */
static void let_go(struct helper *h, struct process *p)
{
    int held[] = { p->held[0], p->held[1] };

    flush(h);
    for (size_t i = 0; i < sizeof held / sizeof *held; i++)
        if (held[i] >= 0)
            close(held[i]);
}

static void reap_one(struct helper *h, pid_t pid)
{
    struct process *p = take_process(h, pid);
    struct rusage usage;
    int status;

    if (p)
        kill(-pid, SIGKILL);
    if (p && p->note)
        atomic_store(p->note, 0);
    if (wait4(pid, &status, __WALL, &usage) == pid && p) {
        say_ended(h, p, status, &usage);
        let_go(h, p);
    }
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

static void take_scratch(struct helper *h, const struct fri_heard *heard)
{
    memcpy(h->scratch, heard->more, heard->size);
    h->scratch[heard->size - 1] = '\0';
}

static void obey(struct helper *h, struct fri_heard *heard)
{
    const struct fri_helper_request *r = &heard->request;

    if (r->kind == FRI_HELPER_SIGNAL)
        signal_id(h, r->id, (int)r->number);
    else if (r->kind == FRI_HELPER_SCRATCH && heard->size > 0)
        take_scratch(h, heard);
    else if (heard->cut)
        say_failed(h, NULL, r->id, EMFILE);
    else if (r->kind == FRI_HELPER_WORKER && heard->n == 2)
        start_worker(h, r->id, heard->fds);
    else if (r->kind == FRI_HELPER_COMMAND)
        start_command(h, heard);
    else
        say_failed(h, NULL, r->id, EINVAL);
}

/* False when there is nothing to read. */
static bool hear(struct helper *h)
{
    struct fri_heard heard;

    if (!fri_hear(h->start->socket, &heard))
        return false;
    if (heard.good)
        obey(h, &heard);
    fri_heard_free(&heard);
    return true;
}

/* ---- the end ---------------------------------------------------------- */

/* What the host has said last: nothing is started any more. */
static void hear_last(struct helper *h)
{
    struct fri_heard heard;

    while (fri_hear(h->start->socket, &heard)) {
        if (heard.good && heard.request.kind == FRI_HELPER_SCRATCH)
            obey(h, &heard);
        fri_heard_free(&heard);
    }
}

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
    hear_last(h);
    if (*h->scratch)
        fri_tree_remove(h->scratch);
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
        flush(h);
        fds[0].events = (short)(POLLRDHUP | (h->refused.waits ? 0 : POLLIN)
                                | (h->posts.first ? POLLOUT : 0));
        rest(fds, 2, -1);
        if (is_over(fds))
            end(h);
        reap(h);
        while (fds[0].revents & POLLIN && !h->refused.waits && hear(h))
            flush(h);
    }
}

/* An exec'd helper was given these. */
static void close_on_exec(int fd)
{
    if (fd >= 0)
        fcntl(fd, F_SETFD, FD_CLOEXEC);
}

_Noreturn void fri_helper_serve(const struct fri_helper_start *start)
{
    struct helper h = { .start = start, .self = getpid() };
    struct fri_post ready = { .report.pid = h.self };

    setpgid(0, 0);
    prctl(PR_SET_NAME, "flowrun-helper");
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    fri_process_default_signals();
    listen_to_children();
    fri_process_open_standard();
    fri_process_close_others(start->socket, start->host);
    fri_process_forget_streams();
    close_on_exec(start->socket);
    close_on_exec(start->host);
    fri_board_keep(start->board);
    fri_launcher_open(&h.launcher, OOM_MORE);
    fri_posts_init(&h.posts);
    if (start->announce)
        fri_post(&h.posts, &ready, FRI_HELPER_READY, 0);
    flush(&h);
    serve(&h);
}

int fri_helper_main(int argc, char **argv, fri_worker_main *work, void *user)
{
    struct fri_helper_start start = {
        .socket = argc > 2 ? atoi(argv[2]) : -1,
        .host = argc > 3 ? atoi(argv[3]) : -1,
        .board = fri_board_join(argc > 4 ? atoi(argv[4]) : -1),
        .work = work, .user = user, .announce = true,
    };
    sigset_t all;
    pid_t pid;

    if (argc < 6 || strcmp(argv[5], FRUN_VERSION) != 0)
        return 2;
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
