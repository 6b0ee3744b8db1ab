/*
 * spawn.c - the host's side of the helper.
 *
 * Rules.
 *  1. The host never has the helper as its child: what it forks or spawns is
 *     a process that makes the helper and ends at once.  That one is waited
 *     for by its number, with all signals blocked; it may be gone already.
 *  2. Forked only where no other thread can hold a lock; else exec'd.  Where
 *     there is none at all, the host's memory is copied once: the host stands
 *     still (vfork) while its child forks, with its pthread_atfork handlers.
 *  3. What cannot be sent at once stays in the outbox, with descriptors of
 *     its own.  The spawner's epoll is readable also when there is room for
 *     more of it, so that whoever waits for events sends it, too.
 *  4. ECONNRESET says only that the helper left something unread.  What it
 *     had said before can still be read; it is lost at the end of file.
 */
#define _GNU_SOURCE
#include "pools/spawn/board.h"
#include "pools/spawn/joint.h"
#include "pools/spawn/parcel.h"
#include "pools/spawn/process.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__)
#define WATCHERS 1 /* threads that the sanitizer has */
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WATCHERS 1
#endif
#endif
#ifndef WATCHERS
#define WATCHERS 0
#endif

enum {
    START_S = 5, /* what a program has for becoming a helper */
    CLOSE_S = 2  /* what the helper has for killing what is left */
};

struct fri_spawner {
    const struct fri_memory *memory;
    struct fri_spawn_options options;
    char *path;
    pid_t owner;
    int socket; /* < 0: no helper */
    struct fri_board *board; /* of that helper */
    int epoll;
    unsigned threads; /* that the host had (rule 2) */
    bool copied;
    atomic_bool abandoned;
    struct fri_outbox out;
    char *scratch; /* what its helper is to remove, or NULL */
};

/* ---- making the helper ------------------------------------------------ */

static bool can_fork(struct fri_spawner *s)
{
    s->threads = fri_process_count_threads();
    return s->threads <= s->options.own_threads + 1 + WATCHERS;
}

/* The errno with which the process ended, 0 also when somebody else has
 * waited for it (rule 1). */
static int await_first(pid_t pid)
{
    int status = 0;

    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return 0;
    return WIFEXITED(status) ? WEXITSTATUS(status) : EPROTO;
}

static _Noreturn void be_first(const struct fri_helper_start *start)
{
    pid_t pid = fork();

    if (pid == 0)
        fri_helper_serve(start);
    _exit(pid > 0 ? 0 : errno);
}

static int fork_helper(const struct fri_spawner *s, const struct fri_joint *j)
{
    const struct fri_helper_start start = {
        .socket = j->theirs, .host = j->host, .board = j->board,
        .work = s->options.work, .user = s->options.user,
    };
    sigset_t all, old;
    pid_t pid;
    int error;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    pid = s->threads == 1 ? vfork() : fork();
    if (pid == 0)
        be_first(&start);
    error = pid > 0 ? await_first(pid) : errno;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    return error;
}

/* Its signals are blocked until it has become the helper. */
static int set_attributes(posix_spawnattr_t *attributes)
{
    sigset_t all;

    sigfillset(&all);
    posix_spawnattr_setsigmask(attributes, &all);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK
                                                | POSIX_SPAWN_SETPGROUP);
}

/* dup2 of a descriptor to itself means: keep it over the exec. */
static int keep_joint(posix_spawn_file_actions_t *actions,
                      const struct fri_joint *j)
{
    int error = posix_spawn_file_actions_adddup2(actions, j->theirs,
                                                 j->theirs);

    if (error == 0 && j->host >= 0)
        error = posix_spawn_file_actions_adddup2(actions, j->host, j->host);
    if (error == 0)
        error = posix_spawn_file_actions_adddup2(actions, j->memory,
                                                 j->memory);
    return error;
}

static int spawn_first(const char *path, const struct fri_joint *j, pid_t *pid)
{
    char word[] = FRI_HELPER_WORD, socket[16], host[16], memory[16];
    char version[] = FRUN_VERSION;
    char *argv[] = { (char *)path, word, socket, host, memory, version, NULL };
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    int error;

    snprintf(socket, sizeof socket, "%d", j->theirs);
    snprintf(host, sizeof host, "%d", j->host);
    snprintf(memory, sizeof memory, "%d", j->memory);
    error = posix_spawnattr_init(&attributes);
    if (error != 0)
        return error;
    error = posix_spawn_file_actions_init(&actions);
    if (error == 0) {
        error = set_attributes(&attributes);
        if (error == 0)
            error = keep_joint(&actions, j);
        if (error == 0)
            error = posix_spawn(pid, path, &actions, &attributes, argv,
                                environ);
        posix_spawn_file_actions_destroy(&actions);
    }
    posix_spawnattr_destroy(&attributes);
    return error;
}

static ssize_t read_report(int fd, struct fri_helper_report *r)
{
    ssize_t n;

    do
        n = recv(fd, r, sizeof *r, MSG_DONTWAIT);
    while (n < 0 && (errno == EINTR || errno == ECONNRESET));
    return n;
}

static bool is_report(const struct fri_helper_report *r, ssize_t n)
{
    return n == sizeof *r && r->magic == FRI_HELPER_MAGIC;
}

static int await_ready(int fd)
{
    struct fri_helper_report r;

    if (!fri_readable(fd, fri_now() + START_S * FRI_SECOND))
        return ETIMEDOUT;
    return is_report(&r, read_report(fd, &r)) && r.kind == FRI_HELPER_READY
               ? 0 : EPROTO;
}

/* A program that has not become a helper is killed, if it is there. */
static int exec_helper(const char *path, struct fri_joint *j)
{
    pid_t pid = 0;
    int error = path ? spawn_first(path, j, &pid) : ENOTSUP;

    if (error != 0)
        return error;
    close(j->theirs);
    j->theirs = -1;
    error = await_ready(j->ours);
    if (error != 0 && waitpid(pid, NULL, WNOHANG) == 0)
        kill(pid, SIGKILL);
    await_first(pid);
    return error;
}

/* ---- sending ---------------------------------------------------------- */

static bool watch(const struct fri_spawner *s, int operation)
{
    struct epoll_event e = {
        .events = EPOLLIN | (s->out.first ? EPOLLOUT : 0)
    };

    return epoll_ctl(s->epoll, operation, s->socket, &e) == 0;
}

static void flush(struct fri_spawner *s)
{
    if (!s->out.first)
        return;
    fri_outbox_flush(&s->out, s->socket);
    if (!s->out.first)
        watch(s, EPOLL_CTL_MOD);
}

static bool request(struct fri_spawner *s, struct fri_parcel *p)
{
    bool full = s->out.first != NULL, sent;
    int error;

    errno = EPIPE;
    if (s->socket < 0)
        return false;
    p->request.magic = FRI_HELPER_MAGIC;
    sent = fri_outbox_send(&s->out, s->socket, p);
    error = errno == EPIPE ? ECONNRESET : errno;
    if (full != (s->out.first != NULL))
        watch(s, EPOLL_CTL_MOD);
    errno = error;
    return sent;
}

bool fri_spawner_worker(struct fri_spawner *s, uint64_t id, int socket,
                        int memory)
{
    struct fri_parcel p = {
        .request = { .kind = FRI_HELPER_WORKER, .id = id },
        .fds = { socket, memory }, .n = 2,
    };

    return request(s, &p);
}

bool fri_spawner_signal(struct fri_spawner *s, uint64_t id, int number)
{
    struct fri_parcel p = {
        .request = { .kind = FRI_HELPER_SIGNAL, .id = id, .number = number },
    };

    return request(s, &p);
}

/* A long order goes in a memory of its own. */
static bool send_apart(struct fri_spawner *s, struct fri_parcel *p,
                       const void *order, size_t size)
{
    int fd = fri_parcel_apart(order, size);
    bool sent;

    if (fd < 0)
        return false;
    p->fds[p->n++] = fd;
    sent = request(s, p);
    close(fd);
    return sent;
}

bool fri_spawner_command(struct fri_spawner *s, uint64_t id,
                         const void *order, size_t size, const int *streams)
{
    struct fri_parcel p = {
        .request = { .kind = FRI_HELPER_COMMAND, .id = id,
                     .number = (int64_t)size },
    };

    for (unsigned i = 0; i <= STDERR_FILENO; i++)
        if (streams[i] >= 0) {
            p.request.streams |= 1u << i;
            p.fds[p.n++] = streams[i];
        }
    if (size > FRI_HELPER_INLINE)
        return send_apart(s, &p, order, size);
    p.more = order;
    p.more_size = size;
    return request(s, &p);
}

static bool send_scratch(struct fri_spawner *s)
{
    size_t size = strlen(s->scratch) + 1;
    struct fri_parcel p = {
        .request = { .kind = FRI_HELPER_SCRATCH, .id = 1,
                     .number = (int64_t)size },
        .more = s->scratch, .more_size = size,
    };

    return request(s, &p);
}

bool fri_spawner_scratch(struct fri_spawner *s, const char *path)
{
    char *copy = fri_strdup(s->memory, path);

    if (!copy || strlen(path) >= FRI_HELPER_INLINE) {
        fri_free(s->memory, copy);
        errno = ENOMEM;
        return false;
    }
    fri_free(s->memory, s->scratch);
    s->scratch = copy;
    return send_scratch(s);
}

/* ---- receiving -------------------------------------------------------- */

/* A copy of the owner shares its epoll, and its helper with all that runs. */
static bool is_owner(const struct fri_spawner *s)
{
    return s->owner == getpid();
}

static void let_go(struct fri_spawner *s)
{
    fri_outbox_clear(&s->out);
    if (s->socket >= 0 && is_owner(s)) {
        epoll_ctl(s->epoll, EPOLL_CTL_DEL, s->socket, NULL);
        fri_board_kill(s->board);
    }
    fri_board_close(s->board);
    s->board = NULL;
    fri_close_fd(s->socket);
    s->socket = -1;
}

static void make_event(struct fri_spawn_event *event,
                       const struct fri_helper_report *r)
{
    *event = (struct fri_spawn_event) {
        .kind = (enum fri_spawn_kind)r->kind, .id = r->id, .pid = r->pid,
        .error = r->error, .status = r->status, .cpu = r->cpu,
        .memory = r->memory, .seconds = r->seconds, .step = r->step,
    };
}

bool fri_spawner_next(struct fri_spawner *s, struct fri_spawn_event *event)
{
    struct fri_helper_report r;
    ssize_t n;

    if (s->socket < 0 || atomic_load(&s->abandoned))
        return false;
    flush(s);
    while ((n = read_report(s->socket, &r)) > 0)
        if (is_report(&r, n) && r.id != 0) {
            make_event(event, &r);
            return true;
        }
    if (n < 0 && errno == EAGAIN)
        return false;
    let_go(s);
    *event = (struct fri_spawn_event) { .kind = FRI_SPAWN_LOST };
    return true;
}

/* ---- opening and closing ---------------------------------------------- */

bool fri_spawner_copied(const struct fri_spawner *s)
{
    return s->copied;
}

int fri_spawner_fd(const struct fri_spawner *s)
{
    return s->epoll;
}

static int make_helper(struct fri_spawner *s, bool copy)
{
    struct fri_joint j;
    int error;

    if (!fri_joint_open(&j))
        return errno;
    error = copy ? fork_helper(s, &j) : exec_helper(s->path, &j);
    if (error == 0) {
        s->socket = j.ours;
        s->board = j.board;
        s->copied = copy;
        j.ours = -1;
        j.board = NULL;
        if (!watch(s, EPOLL_CTL_ADD))
            error = errno;
    }
    fri_joint_close(&j);
    if (error != 0)
        let_go(s);
    return error;
}

static void spawner_free(struct fri_spawner *s)
{
    fri_close_fd(s->epoll);
    fri_free(s->memory, s->path);
    fri_free(s->memory, s->scratch);
    fri_free(s->memory, s);
}

static struct fri_spawner *spawner_new(const struct fri_memory *m,
                                       const struct fri_spawn_options *o,
                                       int *error)
{
    struct fri_spawner *s = fri_alloc_zero(m, sizeof *s);

    *error = -1;
    if (!s)
        return NULL;
    s->memory = m;
    s->options = *o;
    s->owner = getpid();
    s->socket = -1;
    fri_outbox_init(&s->out, m);
    s->epoll = fri_above_standard(epoll_create1(EPOLL_CLOEXEC));
    if (s->epoll < 0) {
        *error = errno;
        goto fail;
    }
    if (o->path && !(s->path = fri_strdup(m, o->path)))
        goto fail;
    return s;
fail:
    spawner_free(s);
    return NULL;
}

struct fri_spawner *fri_spawner_open(const struct fri_memory *m,
                                     const struct fri_spawn_options *o,
                                     int *error)
{
    struct fri_spawner *s = spawner_new(m, o, error);

    if (s)
        *error = make_helper(s, can_fork(s));
    if (*error == 0)
        return s;
    fri_spawner_close(s);
    return NULL;
}

bool fri_spawner_reopen(struct fri_spawner *s, int *error)
{
    let_go(s);
    *error = make_helper(s, false);
    if (*error == 0 && s->scratch)
        send_scratch(s);
    return *error == 0;
}

static void await_end(int socket, fri_time patience)
{
    fri_time deadline = fri_now() + patience;
    struct fri_helper_report r;

    shutdown(socket, SHUT_WR);
    while (fri_readable(socket, deadline) && read_report(socket, &r) > 0)
        ;
}

void fri_spawner_abandon(struct fri_spawner *s)
{
    int error = errno;

    atomic_store(&s->abandoned, true);
    if (s->socket >= 0 && is_owner(s))
        await_end(s->socket, FRI_SECOND / 2);
    errno = error;
}

void fri_spawner_close(struct fri_spawner *s)
{
    if (!s)
        return;
    if (s->socket >= 0 && is_owner(s))
        await_end(s->socket, CLOSE_S * FRI_SECOND);
    let_go(s);
    spawner_free(s);
}
