/*
 * spawn.c - tests of the spawn helper.
 *
 * A worker does what the test asks for over its socket, so that each test
 * knows where the worker is.  What must come is waited for, with a deadline
 * that only a hang reaches.
 */
#define _GNU_SOURCE
#include "pools/spawn/order.h"
#include "pools/commands/proc.h"
#include "pools/spawn/spawn.h"
#include "unit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { HANG_MS = 30000, NO_COMMAND = 77 };

/* The thread sanitizer starts one more thread of its own in a forked process,
 * as each test is, when that starts its first. */
#if defined(__SANITIZE_THREAD__)
enum { WATCHERS = 1 };
#else
enum { WATCHERS = 0 };
#endif

/* ---- the worker -------------------------------------------------------- */

struct order {
    char what;
    int number;
};

static long count_fds(void)
{
    DIR *dir = opendir("/proc/self/fd");
    long n = 0;

    while (readdir(dir))
        n++;
    closedir(dir);
    return n - 3; /* ".", ".." and its own */
}

/* 1 if all descriptors are 0 to 2, the socket and the memory. */
static long only_own(int socket, int memory)
{
    char byte = 0;

    return count_fds() == 5 && fcntl(socket, F_GETFD) >= 0
           && pread(memory, &byte, 1, 0) == 1 && byte == 'm';
}

static long default_signals(void)
{
    struct sigaction action;
    sigset_t blocked;

    for (int n = 1; n < NSIG; n++)
        if (sigaction(n, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            return 0;
    sigprocmask(SIG_BLOCK, NULL, &blocked);
    return sigisemptyset(&blocked) && getpgrp() == getpid();
}

static long named(void)
{
    char name[16] = "";

    prctl(PR_GET_NAME, name);
    return strcmp(name, "flowrun-worker") == 0;
}

/* A child that waits for ever, in a session of its own if asked. */
static long child(bool leave)
{
    int ready[2];
    pid_t pid;
    char byte;

    if (pipe(ready) < 0)
        return -1;
    pid = fork();
    if (pid == 0) {
        if (leave)
            setsid();
        close(ready[0]);
        close(ready[1]);
        for (;;)
            pause();
    }
    close(ready[1]);
    if (read(ready[0], &byte, 1) != 0)
        return -1;
    close(ready[0]);
    return pid;
}

static long obey(const struct order *o, int socket, int memory)
{
    switch (o->what) {
    case 'e': _exit(o->number);
    case 'k': raise(o->number); return 0;
    case 'f': return only_own(socket, memory);
    case 's': return default_signals();
    case 'n': return named();
    case 'c': return child(false);
    case 'd': return child(true);
    case 'h': return getppid();
    default: return getpid();
    }
}

static void work(int socket, int memory, void *user)
{
    struct order o;
    ssize_t n;

    (void)user;
    while ((n = recv(socket, &o, sizeof o, 0)) == sizeof o) {
        long answer = obey(&o, socket, memory);

        send(socket, &answer, sizeof answer, MSG_NOSIGNAL);
    }
    _exit(n == 0 ? 0 : NO_COMMAND);
}

/* ---- the host ---------------------------------------------------------- */

static struct unit_heap heap = { .allowed = -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };
static const char self[] = "/proc/self/exe";

static struct fri_spawner *open_with(const char *path, unsigned threads,
                                     int *error)
{
    struct fri_spawn_options o = { .work = work, .path = path,
                                   .own_threads = threads };

    return fri_spawner_open(&memory, &o, error);
}

static struct fri_spawner *open_copied(void)
{
    int error;
    struct fri_spawner *s = open_with(NULL, 0, &error);

    ck_assert_msg(s != NULL, "%s", strerror(error));
    ck_assert(fri_spawner_copied(s));
    return s;
}

static void close_all(struct fri_spawner *s)
{
    fri_spawner_close(s);
    ck_assert_int_eq(heap.blocks, 0);
}

static int memory_fd(void)
{
    int fd = memfd_create("test", MFD_CLOEXEC);

    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "m", 1), 1);
    return fd;
}

static void pair(int *ends)
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0,
                                ends), 0);
}

static bool start_on(struct fri_spawner *s, uint64_t id, int socket)
{
    int fd = memory_fd();
    bool ok = fri_spawner_worker(s, id, socket, fd);

    close(fd);
    return ok;
}

/* The test's end of the worker's socket. */
static int start(struct fri_spawner *s, uint64_t id)
{
    int ends[2];

    pair(ends);
    ck_assert(start_on(s, id, ends[1]));
    close(ends[1]);
    return ends[0];
}

static void tell(int channel, char what, int number)
{
    struct order o;

    memset(&o, 0, sizeof o);
    o.what = what;
    o.number = number;
    ck_assert_int_eq(send(channel, &o, sizeof o, MSG_NOSIGNAL), sizeof o);
}

static void ready(int fd, const char *what)
{
    struct pollfd p = { .fd = fd, .events = POLLIN };
    int n;

    do
        n = poll(&p, 1, HANG_MS);
    while (n < 0 && errno == EINTR);
    ck_assert_msg(n == 1, "%s does not come", what);
}

static long ask(int channel, char what)
{
    long answer = -1;

    tell(channel, what, 0);
    ready(channel, "an answer");
    ck_assert_int_eq(recv(channel, &answer, sizeof answer, 0), sizeof answer);
    return answer;
}

static struct fri_spawn_event next(struct fri_spawner *s)
{
    struct fri_spawn_event event;

    while (!fri_spawner_next(s, &event))
        ready(fri_spawner_fd(s), "an event");
    return event;
}

static struct fri_spawn_event expect(struct fri_spawner *s,
                                     enum fri_spawn_kind kind, uint64_t id)
{
    struct fri_spawn_event event = next(s);

    ck_assert_int_eq(event.kind, kind);
    ck_assert_uint_eq(event.id, id);
    return event;
}

static void end_of_file(int channel)
{
    char byte;

    ready(channel, "the end of file");
    ck_assert_int_le(recv(channel, &byte, 1, 0), 0);
    close(channel);
}

/* A zombie waits for whoever is process 1: it has gone. */
static bool gone(pid_t pid)
{
    char path[64], state = 'X';
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file)
        return true;
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'X';
    fclose(file);
    return state == 'Z' || state == 'X';
}

static void until_gone(pid_t pid)
{
    ck_assert_int_gt(pid, 0);
    for (int ms = 0; !gone(pid); ms++) {
        ck_assert_msg(ms < HANG_MS, "process %d is left", (int)pid);
        poll(NULL, 0, 1);
    }
}

static void no_children(void)
{
    ck_assert_int_eq(waitpid(-1, NULL, WNOHANG | __WALL), -1);
    ck_assert_int_eq(errno, ECHILD);
}

/* ---- workers ----------------------------------------------------------- */

static void run_and_end(struct fri_spawner *s, uint64_t id)
{
    int channel = start(s, id);
    struct fri_spawn_event event = expect(s, FRI_SPAWN_STARTED, id);
    pid_t pid = event.pid;

    ck_assert_int_eq(ask(channel, 'p'), pid);
    tell(channel, 'e', 42);
    event = expect(s, FRI_SPAWN_ENDED, id);
    ck_assert_int_eq(event.pid, pid);
    ck_assert(WIFEXITED(event.status));
    ck_assert_int_eq(WEXITSTATUS(event.status), 42);
    ck_assert_int_gt(event.memory, 0);
    ck_assert(event.cpu >= 0);
    close(channel);
}

START_TEST(exit_status_and_signal)
{
    struct fri_spawner *s = open_copied();
    struct fri_spawn_event event;
    int channel;

    run_and_end(s, 1);
    channel = start(s, UINT64_MAX);
    expect(s, FRI_SPAWN_STARTED, UINT64_MAX);
    tell(channel, 'k', SIGABRT);
    event = expect(s, FRI_SPAWN_ENDED, UINT64_MAX);
    ck_assert(WIFSIGNALED(event.status));
    ck_assert_int_eq(WTERMSIG(event.status), SIGABRT);
    ck_assert(!fri_spawner_next(s, &event));
    close(channel);
    close_all(s);
}
END_TEST

START_TEST(clean_worker)
{
    int inherited = open("/dev/null", O_RDONLY);
    struct fri_spawner *s;
    sigset_t set;
    int channel;

    signal(SIGTERM, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    sigemptyset(&set);
    sigaddset(&set, SIGUSR2);
    sigprocmask(SIG_BLOCK, &set, NULL);
    s = open_copied();
    channel = start(s, 1);
    ck_assert_int_eq(ask(channel, 'f'), 1);
    ck_assert_int_eq(ask(channel, 's'), 1);
    ck_assert_int_eq(ask(channel, 'n'), 1);
    sigprocmask(SIG_BLOCK, NULL, &set);
    ck_assert(sigismember(&set, SIGUSR2) && !sigismember(&set, SIGINT));
    close(channel);
    close(inherited);
    close_all(s);
}
END_TEST

START_TEST(two_hundred)
{
    enum { N = 200 };
    long before = count_fds();
    struct fri_spawner *s = open_copied();
    int channels[N], started = 0, ended = 0;

    for (int i = 0; i < N; i++)
        channels[i] = start(s, (uint64_t)i + 1);
    for (int i = 0; i < N; i++)
        close(channels[i]);
    while (ended < N) {
        struct fri_spawn_event event = next(s);

        started += event.kind == FRI_SPAWN_STARTED;
        ended += event.kind == FRI_SPAWN_ENDED && event.status == 0;
    }
    ck_assert_int_eq(started, N);
    close_all(s);
    ck_assert_int_eq(count_fds(), before);
}
END_TEST

/* Neither side waits for the other to read. */
START_TEST(nobody_reads)
{
    enum { N = 600 };
    struct fri_spawner *s = open_copied();
    int channel = start(s, N + 1), null = open("/dev/null", O_RDWR);
    pid_t helper = (pid_t)ask(channel, 'h');
    int ended = 0;

    expect(s, FRI_SPAWN_STARTED, N + 1);
    ck_assert_int_eq(kill(helper, SIGSTOP), 0);
    for (uint64_t i = 1; i <= N; i++)
        ck_assert(fri_spawner_worker(s, i, null, null));
    ck_assert_int_gt(heap.blocks, 1);
    ck_assert_int_eq(kill(helper, SIGCONT), 0);
    while (ended < N) {
        struct fri_spawn_event event = next(s);

        ck_assert_int_ne(event.kind, FRI_SPAWN_FAILED);
        ended += event.kind == FRI_SPAWN_ENDED
                 && WEXITSTATUS(event.status) == NO_COMMAND;
    }
    close(null);
    close(channel);
    close_all(s);
}
END_TEST

START_TEST(stop_is_no_end)
{
    struct fri_spawner *s = open_copied();
    struct fri_spawn_event event;
    int channel = start(s, 1), other;

    expect(s, FRI_SPAWN_STARTED, 1);
    tell(channel, 'k', SIGSTOP);
    other = start(s, 2);
    expect(s, FRI_SPAWN_STARTED, 2);
    ck_assert(fri_spawner_signal(s, 1, SIGCONT));
    ck_assert(fri_spawner_signal(s, 1, SIGTERM));
    event = expect(s, FRI_SPAWN_ENDED, 1);
    ck_assert_int_eq(WTERMSIG(event.status), SIGTERM);
    close(channel);
    close(other);
    close_all(s);
}
END_TEST

/* However early it comes. */
START_TEST(signal_at_once)
{
    struct fri_spawner *s = open_copied();

    for (uint64_t id = 1; id <= 50; id++) {
        int channel = start(s, id);

        ck_assert(fri_spawner_signal(s, id, SIGTERM));
        expect(s, FRI_SPAWN_STARTED, id);
        ck_assert_int_eq(expect(s, FRI_SPAWN_ENDED, id).status, SIGTERM);
        ck_assert(fri_spawner_signal(s, id, SIGTERM));
        close(channel);
    }
    close_all(s);
}
END_TEST

/* ---- commands ---------------------------------------------------------- */

static const int none[] = { -1, -1, -1 };

/* An order to run a line of shell, with so many bytes that nobody reads. */
static void order(struct fri_buffer *b, const char *line, size_t more)
{
    frun_value *command = frun_value_map(), *argv = frun_value_list();
    struct fri_proc_plan plan = { .command = command };
    char *unread = malloc(more + 1);

    memset(unread, 'x', more);
    ck_assert_int_eq(frun_value_push(argv, frun_value_str(line,
                                                          strlen(line))), 0);
    ck_assert_int_eq(frun_value_push(argv, frun_value_str(unread, more)), 0);
    ck_assert_int_eq(frun_value_put(command, "argv", argv), 0);
    ck_assert_int_eq(frun_value_put(command, "shell", frun_value_bool(true)),
                     0);
    fri_buffer_init(b, &memory);
    fri_order_write(b, &plan);
    ck_assert(!b->failed);
    frun_value_free(command);
    free(unread);
}

static struct fri_spawn_event next_end(struct fri_spawner *s)
{
    struct fri_spawn_event event = next(s);

    ck_assert_int_eq(event.kind, FRI_SPAWN_ENDED);
    return event;
}

static void start_line(struct fri_spawner *s, uint64_t id, const char *line,
                       size_t more, const int *streams)
{
    struct fri_buffer b;

    order(&b, line, more);
    ck_assert(fri_spawner_command(s, id, b.data, b.length, streams));
    fri_buffer_free(&b);
}

START_TEST(commands)
{
    static const size_t more[] = { 0, 8000, 8192, 9000, 100000 };
    struct fri_spawner *s = open_copied();
    struct fri_spawn_event event;
    char text[8] = "";
    int ends[2];

    for (size_t i = 0; i < COUNT(more); i++) {
        ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
        start_line(s, i + 1, "read x; echo $x; exit 7", more[i],
                   (int[]) { ends[0], ends[1], -1 });
        ck_assert_int_eq(write(ends[1], "abc\n", 4), 4);
        event = next_end(s);
        ck_assert_uint_eq(event.id, i + 1);
        ck_assert_int_eq(WEXITSTATUS(event.status), 7);
        ck_assert(event.seconds > 0 && event.cpu > 0 && event.memory > 0);
        close(ends[1]);
        ck_assert_int_eq(read(ends[0], text, sizeof text), 4);
        ck_assert_int_eq(read(ends[0], text, sizeof text), 0);
        close(ends[0]);
    }
    start_line(s, 9, "sleep 1000", 0, none);
    ck_assert(fri_spawner_signal(s, 9, SIGTERM));
    ck_assert_int_eq(next_end(s).status, SIGTERM);
    start_line(s, 10, "sleep 1000", 0, none);
    ck_assert(fri_spawner_signal(s, 10, SIGKILL));
    event = next_end(s);
    ck_assert_uint_eq(event.id, 10);
    ck_assert_int_eq(event.status, SIGKILL);
    no_children();
    close_all(s);
}
END_TEST

/* What the host had is not taken for the command's. */
START_TEST(memory_of_the_host)
{
    enum { HELD = 100000000 };
    char *block = malloc(HELD);
    struct fri_spawner *s;
    struct fri_spawn_event event;

    memset(block, 1, HELD);
    s = open_copied();
    start_line(s, 1, "true", 0, none);
    event = next_end(s);
    ck_assert_int_lt(event.memory, HELD / 2);
    start_line(s, 2, "head -c 200000000 /dev/zero | tail -c 150000000 | wc -c",
               0, none);
    event = next_end(s);
    ck_assert_int_eq(event.status, 0);
    /* The thread sanitizer's helper has more than that itself. */
    if (!WATCHERS || event.memory != 0)
        ck_assert_int_gt(event.memory, 150000000);
    close_all(s);
    ck_assert_int_eq(block[HELD - 1], 1);
    free(block);
}
END_TEST

START_TEST(command_that_cannot_start)

{
    frun_value *command = frun_value_map(), *argv = frun_value_list();
    struct fri_proc_plan plan = { .command = command };
    struct fri_spawner *s = open_copied();
    struct fri_spawn_event event;
    struct fri_buffer b;

    ck_assert_int_eq(frun_value_push(argv, frun_value_str("/nowhere", 8)), 0);
    ck_assert_int_eq(frun_value_put(command, "argv", argv), 0);
    fri_buffer_init(&b, &memory);
    fri_order_write(&b, &plan);
    ck_assert(fri_spawner_command(s, 1, b.data, b.length, none));
    event = expect(s, FRI_SPAWN_FAILED, 1);
    ck_assert_int_eq(event.error, ENOENT);
    ck_assert_int_eq(event.step, FRI_STEP_PROGRAM);
    fri_buffer_free(&b);
    frun_value_free(command);
    run_and_end(s, 2);
    close_all(s);
}
END_TEST

/* Orders wait in the outbox, with the descriptors that come along. */
START_TEST(commands_nobody_reads)
{
    enum { N = 300 };
    struct fri_spawner *s = open_copied();
    int channel = start(s, N + 1), ends[2], ended = 0;
    pid_t helper = (pid_t)ask(channel, 'h');
    char text[N + 1];

    expect(s, FRI_SPAWN_STARTED, N + 1);
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    ck_assert_int_eq(kill(helper, SIGSTOP), 0);
    for (uint64_t i = 1; i <= N; i++)
        start_line(s, i, "printf x", i % 2 ? 4000 : 9000,
                   (int[]) { -1, ends[1], -1 });
    ck_assert_int_gt(heap.blocks, 1);
    close(ends[1]);
    ck_assert_int_eq(kill(helper, SIGCONT), 0);
    while (ended < N) {
        next_end(s);
        ended++;
    }
    for (int n = 0; n < N;) {
        ssize_t got = read(ends[0], text, sizeof text);

        ck_assert_int_gt(got, 0);
        n += (int)got;
    }
    close(ends[0]);
    close(channel);
    close_all(s);
}
END_TEST

/* Whatever is cut off, or written over, the helper answers and lives. */
START_TEST(garbage_of_an_order)
{
    struct fri_spawner *s = open_copied();
    struct fri_buffer b;
    uint64_t id = 1;

    order(&b, "true", 0);
    for (size_t n = 0; n < b.length; n++) {
        ck_assert(fri_spawner_command(s, id, b.data, n, none));
        ck_assert_int_eq(expect(s, FRI_SPAWN_FAILED, id++).error, EINVAL);
    }
    for (size_t i = 8; i < sizeof(struct fri_order_head); i++) {
        uint8_t old = b.data[i];

        b.data[i] = 0xff;
        ck_assert(fri_spawner_command(s, id, b.data, b.length, none));
        ck_assert_int_eq(expect(s, FRI_SPAWN_FAILED, id++).error, EINVAL);
        b.data[i] = old;
    }
    fri_buffer_free(&b);
    close_all(s);
}
END_TEST

/* ---- the scratch directory --------------------------------------------- */

static char scratch[64];

static void make_scratch(void)
{
    char inside[96];

    snprintf(scratch, sizeof scratch, "/tmp/flowrun-spawn-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(scratch));
    snprintf(inside, sizeof inside, "%s/a", scratch);
    ck_assert_int_eq(mkdir(inside, 0700), 0);
    snprintf(inside, sizeof inside, "%s/a/b", scratch);
    ck_assert_int_eq(symlink("/tmp", inside), 0);
}

static void until_no_scratch(void)
{
    for (int ms = 0; access(scratch, F_OK) == 0; ms++) {
        ck_assert_msg(ms < HANG_MS, "%s is left", scratch);
        poll(NULL, 0, 1);
    }
}

START_TEST(scratch_goes_at_close)
{
    struct fri_spawner *s = open_copied();

    make_scratch();
    ck_assert(fri_spawner_scratch(s, "/nowhere/at/all"));
    ck_assert(fri_spawner_scratch(s, scratch));
    close_all(s);
    ck_assert_int_ne(access(scratch, F_OK), 0);
    ck_assert_int_eq(access("/tmp", F_OK), 0);
}
END_TEST

START_TEST(scratch_goes_with_host)
{
    pid_t host;
    int status;

    make_scratch();
    host = fork();
    if (host == 0) {
        struct fri_spawner *s = open_copied();

        fri_spawner_scratch(s, scratch);
        kill(getpid(), SIGKILL);
    }
    ck_assert_int_eq(waitpid(host, &status, 0), host);
    ck_assert(WIFSIGNALED(status));
    until_no_scratch();
}
END_TEST

/* ---- groups and those who leave them ----------------------------------- */

START_TEST(signal_reaches_group)
{
    struct fri_spawner *s = open_copied();
    int channel = start(s, 1);
    pid_t pid = (pid_t)ask(channel, 'c');

    ck_assert(!gone(pid));
    ck_assert(fri_spawner_signal(s, 1, SIGTERM));
    expect(s, FRI_SPAWN_STARTED, 1);
    expect(s, FRI_SPAWN_ENDED, 1);
    until_gone(pid);
    end_of_file(channel);
    close_all(s);
}
END_TEST

START_TEST(end_kills_group)
{
    struct fri_spawner *s = open_copied();
    int channel = start(s, 1);
    pid_t pid = (pid_t)ask(channel, 'c');

    tell(channel, 'e', 0);
    expect(s, FRI_SPAWN_STARTED, 1);
    expect(s, FRI_SPAWN_ENDED, 1);
    until_gone(pid);
    end_of_file(channel);
    close_all(s);
}
END_TEST

START_TEST(daemon_goes_at_close)
{
    struct fri_spawner *s = open_copied();
    int channel = start(s, 1);
    pid_t pid = (pid_t)ask(channel, 'd');

    tell(channel, 'e', 3);
    expect(s, FRI_SPAWN_STARTED, 1);
    ck_assert_int_eq(WEXITSTATUS(expect(s, FRI_SPAWN_ENDED, 1).status), 3);
    ck_assert(!gone(pid));
    close_all(s);
    ck_assert(gone(pid));
    end_of_file(channel);
}
END_TEST

START_TEST(close_kills_workers)
{
    struct fri_spawner *s = open_copied();
    int channel = start(s, 1);
    pid_t daemon = (pid_t)ask(channel, 'd'), mate = (pid_t)ask(channel, 'c');
    pid_t worker = (pid_t)ask(channel, 'p');

    close_all(s);
    ck_assert(gone(worker));
    ck_assert(gone(mate));
    ck_assert(gone(daemon));
    end_of_file(channel);
    fri_spawner_close(NULL);
}
END_TEST

/* ---- the helper's death ------------------------------------------------ */

static void lose(struct fri_spawner *s)
{
    int channel = start(s, 7), ends[2];
    pid_t worker = (pid_t)ask(channel, 'p');
    struct fri_spawn_event event;

    expect(s, FRI_SPAWN_STARTED, 7);
    kill((pid_t)ask(channel, 'h'), SIGKILL);
    expect(s, FRI_SPAWN_LOST, 0);
    until_gone(worker);
    end_of_file(channel);
    ck_assert(!fri_spawner_next(s, &event));
    pair(ends);
    ck_assert(!start_on(s, 8, ends[0]) && errno == EPIPE);
    ck_assert(!fri_spawner_signal(s, 7, SIGTERM));
    close(ends[0]);
    close(ends[1]);
}

START_TEST(helper_killed)
{
    struct fri_spawner *s = open_copied();
    int error;

    lose(s);
    ck_assert(!fri_spawner_reopen(s, &error));
    ck_assert_int_eq(error, ENOTSUP);
    close_all(s);
}
END_TEST

START_TEST(another_helper)
{
    int error, fd;
    struct fri_spawner *s = open_with(self, 0, &error);

    ck_assert(s && fri_spawner_copied(s));
    fd = fri_spawner_fd(s);
    for (int i = 0; i < 3; i++) {
        lose(s);
        ck_assert(fri_spawner_reopen(s, &error));
        ck_assert_int_eq(fri_spawner_fd(s), fd);
        ck_assert(!fri_spawner_copied(s));
        run_and_end(s, 9);
        no_children();
    }
    close_all(s);
}
END_TEST

START_TEST(scratch_of_another_helper)
{
    int error;
    struct fri_spawner *s = open_with(self, 0, &error);

    make_scratch();
    ck_assert(fri_spawner_scratch(s, scratch));
    lose(s);
    ck_assert(fri_spawner_reopen(s, &error));
    ck_assert_int_eq(access(scratch, F_OK), 0);
    close_all(s);
    ck_assert_int_ne(access(scratch, F_OK), 0);
}
END_TEST

/* ---- the host's death -------------------------------------------------- */

/* Each is a host that kills itself; the pids are what it wrote. */
static void host_of_family(int out)
{
    struct fri_spawner *s = open_copied();
    int channel = start(s, 1);
    long pids[3];

    pids[0] = ask(channel, 'p');
    pids[1] = ask(channel, 'c');
    pids[2] = ask(channel, 'd');
    if (write(out, pids, sizeof pids) != sizeof pids)
        _exit(1);
    kill(getpid(), SIGKILL);
}

static void killed(pid_t pid)
{
    int status;

    ck_assert_int_gt(pid, 0);
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    ck_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

START_TEST(host_killed)
{
    long pids[3];
    int ends[2];
    pid_t host;

    ck_assert_int_eq(pipe(ends), 0);
    host = fork();
    if (host == 0)
        host_of_family(ends[1]);
    close(ends[1]);
    ready(ends[0], "the host");
    ck_assert_int_eq(read(ends[0], pids, sizeof pids), sizeof pids);
    killed(host);
    for (size_t i = 0; i < COUNT(pids); i++)
        until_gone((pid_t)pids[i]);
    close(ends[0]);
}
END_TEST

START_TEST(host_killed_at_once)
{
    for (int i = 0; i < 20; i++) {
        int ends[2];
        pid_t host;

        pair(ends);
        host = fork();
        if (host == 0) {
            struct fri_spawner *s = open_copied();

            for (uint64_t id = 1; id <= 3; id++)
                start_on(s, id, ends[1]);
            kill(getpid(), SIGKILL);
        }
        close(ends[1]);
        killed(host);
        end_of_file(ends[0]);
    }
}
END_TEST

/* A copy of the host that lives on holds the socket. */
START_TEST(copy_of_host_lives_on)
{
    int ends[2], hold[2];
    pid_t host;

    pair(ends);
    ck_assert_int_eq(pipe(hold), 0);
    host = fork();
    if (host == 0) {
        struct fri_spawner *s = open_copied();
        char byte;

        start_on(s, 1, ends[1]);
        if (fork() == 0) {
            close(ends[0]);
            close(ends[1]);
            close(hold[1]);
            _exit(read(hold[0], &byte, 1) == 0);
        }
        expect(s, FRI_SPAWN_STARTED, 1);
        kill(getpid(), SIGKILL);
    }
    close(ends[1]);
    killed(host);
    end_of_file(ends[0]);
    close(hold[0]);
    close(hold[1]);
}
END_TEST

START_TEST(close_in_copy)
{
    struct fri_spawner *s = open_copied();
    int channel = start(s, 1), status;
    pid_t pid = fork();

    if (pid == 0) {
        fri_spawner_close(s);
        _exit(0);
    }
    ck_assert_int_eq(waitpid(pid, &status, 0), pid);
    expect(s, FRI_SPAWN_STARTED, 1);
    ck_assert_int_gt(ask(channel, 'p'), 0);
    tell(channel, 'e', 0);
    expect(s, FRI_SPAWN_ENDED, 1);
    close(channel);
    close_all(s);
}
END_TEST

/* ---- hosts of all kinds ------------------------------------------------ */

static void wait_for_any(int number)
{
    int error = errno;

    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0)
        ;
    errno = error;
}

static void *wait_for_end(void *user)
{
    char byte;

    return read(*(int *)user, &byte, 1) == 0 ? NULL : user;
}

struct second {
    int ends[2];
    pthread_t id;
};

static void second_start(struct second *t)
{
    ck_assert_int_eq(pipe2(t->ends, O_CLOEXEC), 0);
    ck_assert_int_eq(pthread_create(&t->id, NULL, wait_for_end, t->ends), 0);
}

static void second_end(struct second *t)
{
    void *result;

    close(t->ends[1]);
    pthread_join(t->id, &result);
    ck_assert_ptr_null(result);
    close(t->ends[0]);
}

static void open_both_ways(void)
{
    struct fri_spawner *s = open_copied();
    struct second t;
    int error;

    no_children();
    run_and_end(s, 1);
    no_children();
    close_all(s);
    second_start(&t);
    s = open_with(self, 0, &error);
    ck_assert_msg(s != NULL, "%s", strerror(error));
    ck_assert(!fri_spawner_copied(s));
    no_children();
    run_and_end(s, 1);
    close_all(s);
    no_children();
    second_end(&t);
}

START_TEST(plain_host)
{
    long before = count_fds();

    open_both_ways();
    ck_assert_int_eq(count_fds(), before);
}
END_TEST

START_TEST(host_ignores_children)
{
    signal(SIGCHLD, SIG_IGN);
    open_both_ways();
}
END_TEST

START_TEST(host_waits_for_any)
{
    signal(SIGCHLD, wait_for_any);
    open_both_ways();
}
END_TEST

START_TEST(threads_of_host)
{
    struct fri_spawner *s;
    struct second t;
    int error = 0;

    second_start(&t);
    ck_assert_ptr_null(open_with(NULL, 0, &error));
    ck_assert_int_eq(error, ENOTSUP);
    ck_assert_ptr_null(open_with("/nowhere/program", 0, &error));
    ck_assert_int_eq(error, ENOENT);
    ck_assert_ptr_null(open_with("/bin/true", 0, &error));
    ck_assert_int_eq(error, EPROTO);
    s = open_with(NULL, 1 + WATCHERS, &error);
    ck_assert_msg(s != NULL, "%s", strerror(error));
    ck_assert(fri_spawner_copied(s));
    run_and_end(s, 1);
    close_all(s);
    no_children();
    second_end(&t);
}
END_TEST

/* The kernel lists a thread a little longer than a join takes. */
START_TEST(threads_that_were_joined_do_not_count)
{
    for (int i = 0; i < 300; i++) {
        struct second t;
        int error = 0;
        struct fri_spawner *s;

        second_start(&t);
        second_end(&t);
        s = open_with(NULL, WATCHERS, &error);
        ck_assert_msg(s != NULL, "%s", strerror(error));
        close_all(s);
    }
}
END_TEST

START_TEST(no_standard_streams)
{
    struct fri_spawner *s;
    int channel, saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);

    for (int fd = 0; fd <= STDERR_FILENO; fd++)
        close(fd);
    s = open_copied();
    channel = start(s, 1);
    dup2(saved, STDERR_FILENO);
    ck_assert_int_eq(ask(channel, 'f'), 1);
    close_all(s);
}
END_TEST

START_TEST(no_memory)
{
    struct fri_spawner *s = NULL;
    int error = 0;

    for (long n = 0; !s; n++) {
        heap.allowed = n;
        s = open_with(self, 0, &error);
        ck_assert(s || error < 0);
        ck_assert(s || heap.blocks == 0);
    }
    heap.allowed = -1;
    run_and_end(s, 1);
    close_all(s);
}
END_TEST

/* Only root can become somebody who has no other process. */
static bool be_alone(void)
{
    struct rlimit few = { 6, 6 };
    uid_t uid = 70000 + (uid_t)getpid() % 100000;

    return getuid() == 0 && setrlimit(RLIMIT_NPROC, &few) == 0
           && setresuid(uid, uid, uid) == 0;
}

START_TEST(no_more_processes)
{
    struct fri_spawn_event event;
    struct fri_spawner *s;
    int channels[10], n = 0;

    if (!be_alone())
        return;
    s = open_copied();
    do
        channels[n] = start(s, (uint64_t)n + 1);
    while ((event = next(s)).kind == FRI_SPAWN_STARTED && ++n < 9);
    ck_assert_int_eq(event.kind, FRI_SPAWN_FAILED);
    ck_assert_int_eq(event.error, EAGAIN);
    ck_assert_int_gt(n, 0);
    end_of_file(channels[n]);
    tell(channels[0], 'e', 0);
    expect(s, FRI_SPAWN_ENDED, 1);
    run_and_end(s, 99);
    while (n > 0)
        close(channels[--n]);
    close_all(s);
}
END_TEST

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        exit_status_and_signal, clean_worker, two_hundred, nobody_reads,
        stop_is_no_end, signal_at_once, commands, memory_of_the_host,
        command_that_cannot_start,
        commands_nobody_reads, garbage_of_an_order, scratch_goes_at_close,
        scratch_goes_with_host, scratch_of_another_helper,
        signal_reaches_group, end_kills_group,
        daemon_goes_at_close, close_kills_workers, helper_killed,
        another_helper, host_killed, host_killed_at_once,
        copy_of_host_lives_on, close_in_copy, plain_host,
        host_ignores_children, host_waits_for_any, threads_of_host,
        threads_that_were_joined_do_not_count,
        no_standard_streams, no_memory, no_more_processes,
    };

    if (argc > 1 && strcmp(argv[1], FRI_HELPER_WORD) == 0)
        return fri_helper_main(argc, argv, work, NULL);
    return unit_run("spawn", tests, COUNT(tests));
}
