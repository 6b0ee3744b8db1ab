/*
 * launch.c - in the helper: starting the process of a command.
 *
 * Rules.
 *  1. The child shares the helper's memory until it runs the program, while
 *     the helper stands still (CLONE_VFORK): nothing is copied, however much
 *     memory the host had when the helper was made from it.  So the child only
 *     makes system calls, on a stack of its own; all that it needs was
 *     prepared by the helper, and it says what failed in that memory.
 *  2. It cannot use posix_spawn, which sets no limits and does not say which
 *     step has failed.
 *  3. All signals are blocked until the step before the program.  The helper
 *     has default actions for all but SIGCHLD, whose handler does nothing.
 *  4. All descriptors of the helper but 0 to 2 are closed by exec.
 *  5. Opening a path does not wait for another process (O_NONBLOCK).
 */
#define _GNU_SOURCE
#include "pools/spawn/launch.h"
#include "pools/spawn/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CWD, STREAM }; /* places of the paths in an order */
enum { STACK = 32768, LITTLE_KIB = 32768 };

static const char anywhere[] = "/usr/local/bin:/usr/bin:/bin";

struct work {
    const struct fri_launcher *launcher;
    struct fri_launch *launch;
    struct fri_order_head head;
    const char *paths[FRI_ORDER_PATHS];
    char **argv, **env;
    char *program; /* room for the longest path that is tried */
    const char *search;
    sigset_t none;
};

/* ---- reading an order ------------------------------------------------- */

/* The string at *at, NULL: there is no whole one. */
static const char *next(const char **at, const char *end)
{
    const char *text = *at;
    const char *zero = text < end ? memchr(text, 0, (size_t)(end - text))
                                  : NULL;

    if (!zero)
        return NULL;
    *at = zero + 1;
    return text;
}

static bool read_strings(char **to, uint32_t n, const char **at,
                         const char *end)
{
    for (uint32_t i = 0; i < n; i++)
        if (!(to[i] = (char *)(uintptr_t)next(at, end)))
            return false;
    return true;
}

static bool is_of(const char *entry, const char *change)
{
    size_t n = strcspn(change, "=");

    return strncmp(entry, change, n) == 0 && entry[n] == '=';
}

static bool is_changed(const char *entry, char **changes, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++)
        if (changes[i][0] == entry[0] && is_of(entry, changes[i]))
            return true;
    return false;
}

/* The changes stand at the end of the room: what they set moves down behind
 * what is inherited. */
static void make_env(struct work *w, char **changes)
{
    uint32_t n = w->head.changes;
    char **to = w->env;

    for (char **from = environ; *from; from++)
        if (!is_changed(*from, changes, n))
            *to++ = *from;
    for (uint32_t i = 0; i < n; i++)
        if (strchr(changes[i], '='))
            *to++ = changes[i];
    *to = NULL;
}

static const char *path_of(char **env)
{
    for (; *env; env++)
        if (strncmp(*env, "PATH=", 5) == 0)
            return *env + 5;
    return anywhere;
}

static size_t count_env(void)
{
    size_t n = 0;

    while (environ[n])
        n++;
    return n;
}

/* All in one block, which is w->argv; false: errno. */
static bool read_order(struct work *w, const char *at, size_t size)
{
    const char *end = at + size;
    size_t words, all;

    errno = EINVAL;
    if (size < sizeof w->head)
        return false;
    memcpy(&w->head, at, sizeof w->head);
    words = w->head.words;
    if (words == 0 || words > size || w->head.changes > size)
        return false;
    all = words + 1 + count_env() + w->head.changes + 1;
    at += sizeof w->head;
    for (int i = 0; i < FRI_ORDER_PATHS; i++)
        if (!(w->paths[i] = next(&at, end)))
            return false;
    w->argv = calloc(all, sizeof *w->argv);
    if (!w->argv)
        return false;
    w->env = w->argv + words + 1;
    errno = EINVAL;
    if (!read_strings(w->argv, w->head.words, &at, end)
        || !read_strings(w->argv + all - 1 - w->head.changes,
                         w->head.changes, &at, end))
        return false;
    make_env(w, w->argv + all - 1 - w->head.changes);
    w->search = path_of(w->env);
    w->program = malloc(strlen(w->search) + strlen(w->argv[0]) + 2);
    return w->program != NULL;
}

/* ---- in the child ----------------------------------------------------- */

/* Its frames are left without a return, and the next child has its frames in
 * the same place: no marks of a sanitizer may stay there. */
#define IN_CHILD __attribute__((no_sanitize("address")))

IN_CHILD
static _Noreturn void fail(const struct work *w, enum fri_order_step step,
                           int error)
{
    w->launch->error = error;
    w->launch->step = step;
    _exit(127);
}

IN_CHILD
static int open_path(const char *path, int flags)
{
    int fd = open(path, flags | O_NONBLOCK | O_NOCTTY | O_CLOEXEC, 0666);

    if (fd >= 0)
        fcntl(fd, F_SETFL, 0);
    return fd;
}

IN_CHILD
static void set_stream(const struct work *w, int stream, int flags)
{
    const char *path = w->paths[STREAM + stream];
    int fd = w->launch->streams[stream];

    if (*path)
        fd = open_path(path, flags);
    else if (fd < 0)
        fd = w->launcher->null;
    if (fd < 0 || dup2(fd, stream) < 0)
        fail(w, FRI_STEP_STDIN + (unsigned)stream, fd < 0 && !*path ? ENXIO
                                                                    : errno);
}

/* Both of one file: neither writes over the other. */
IN_CHILD
static bool is_joined(const struct work *w)
{
    const char *out = w->paths[STREAM + 1];

    return *out && strcmp(out, w->paths[STREAM + 2]) == 0;
}

IN_CHILD
static void set_streams(const struct work *w)
{
    enum { WRITE = O_WRONLY | O_CREAT | O_TRUNC };

    set_stream(w, STDOUT_FILENO, WRITE);
    if (!is_joined(w))
        set_stream(w, STDERR_FILENO, WRITE);
    else if (dup2(STDOUT_FILENO, STDERR_FILENO) < 0)
        fail(w, FRI_STEP_STDERR, errno);
}

IN_CHILD
static void set_memory(const struct work *w)
{
    struct rlimit limit;

    if (w->head.memory == 0)
        return;
    if (getrlimit(RLIMIT_AS, &limit) < 0)
        fail(w, FRI_STEP_MEMORY, errno);
    if (limit.rlim_max > w->head.memory)
        limit.rlim_max = w->head.memory;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_AS, &limit) < 0)
        fail(w, FRI_STEP_MEMORY, errno);
}

/* Fails in the way that tells most: what is a directory says EACCES, and a
 * script whose interpreter is missing ENOENT. */
IN_CHILD
static _Noreturn void execute(const struct work *w, const char *program)
{
    struct stat st;
    int error;

    execve(program, w->argv, w->env);
    error = errno;
    if (error == ENOENT && stat(program, &st) == 0)
        fail(w, FRI_STEP_INTERPRETER, error);
    if (error == EACCES && stat(program, &st) == 0 && S_ISDIR(st.st_mode))
        error = EISDIR;
    fail(w, FRI_STEP_PROGRAM, error);
}

/* The next directory of the path, and the name. */
IN_CHILD
static const char *join(const struct work *w, const char *dir)
{
    size_t n = strcspn(dir, ":");
    char *at = memcpy(w->program, dir, n);

    at += n;
    if (n > 0)
        *at++ = '/';
    memcpy(at, w->argv[0], strlen(w->argv[0]) + 1);
    return w->program;
}

IN_CHILD
static bool is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

/* The first file of that name that may be executed, else the first, as in a
 * shell; looking costs a fraction of an execve in vain. */
IN_CHILD
static _Noreturn void search(const struct work *w)
{
    const char *dir = w->search, *first = NULL;

    do {
        const char *path = join(w, dir);

        if (is_file(path)) {
            if (access(path, X_OK) == 0)
                execute(w, path);
            first = first ? first : dir;
        }
        dir += strcspn(dir, ":");
    } while (*dir++);
    if (!first)
        fail(w, FRI_STEP_PROGRAM, ENOENT);
    execute(w, join(w, first));
}

/* The check for the helper comes behind the wish to die with it: whatever
 * happened before is seen, and whatever happens later kills. */
IN_CHILD
static int be_command(void *user)
{
    const struct work *w = user;

    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != w->launcher->self)
        _exit(1);
    if (w->launch->note)
        atomic_store(w->launch->note, getpid());
    set_stream(w, STDIN_FILENO, O_RDONLY);
    if (*w->paths[CWD] && chdir(w->paths[CWD]) < 0)
        fail(w, FRI_STEP_CWD, errno);
    set_streams(w);
    set_memory(w);
    sigprocmask(SIG_SETMASK, &w->none, NULL);
    if (strchr(w->argv[0], '/'))
        execute(w, w->argv[0]);
    search(w);
}

/* ---- in the helper ---------------------------------------------------- */

static void fail_here(struct fri_launch *launch, int error)
{
    launch->step = FRI_STEP_PROCESS;
    launch->error = error;
}

void fri_launcher_oom(const struct fri_launcher *l, bool more)
{
    const char *text = more ? l->more : l->less;

    if (l->oom >= 0 && pwrite(l->oom, text, strlen(text), 0) < 0)
        errno = 0; /* then it is taken as late as the engine */
}

static void start(struct work *w)
{
    _Alignas(64) char stack[STACK];
    struct fri_launch *launch = w->launch;

    sigemptyset(&w->none);
    fri_launcher_oom(w->launcher, true);
    launch->pid = clone(be_command, stack + sizeof stack,
                        CLONE_VM | CLONE_VFORK | SIGCHLD, w);
    if (launch->pid < 0)
        fail_here(launch, errno);
    fri_launcher_oom(w->launcher, false);
    if (launch->pid < 0 || launch->step == FRI_STEP_NONE)
        return;
    if (launch->note)
        atomic_store(launch->note, 0);
    while (waitpid(launch->pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
    launch->pid = -1;
}

static void launch_order(const struct fri_launcher *launcher,
                         struct fri_launch *launch, const char *order)
{
    struct work w = { .launcher = launcher, .launch = launch };

    if (read_order(&w, order, launch->size))
        start(&w);
    else
        fail_here(launch, errno);
    free(w.program);
    free(w.argv);
}

/* One that is too short would kill whoever reads it. */
static void launch_apart(const struct fri_launcher *launcher,
                         struct fri_launch *launch)
{
    struct stat st;
    void *order = MAP_FAILED;

    errno = EINVAL;
    if (fstat(launch->apart, &st) == 0
        && (uint64_t)st.st_size >= launch->size)
        order = mmap(NULL, launch->size, PROT_READ, MAP_PRIVATE,
                     launch->apart, 0);
    if (order == MAP_FAILED) {
        fail_here(launch, errno);
        return;
    }
    launch_order(launcher, launch, order);
    munmap(order, launch->size);
}

pid_t fri_launch(const struct fri_launcher *launcher,
                 struct fri_launch *launch)
{
    launch->pid = -1;
    launch->step = FRI_STEP_NONE;
    launch->error = 0;
    if (launch->apart >= 0)
        launch_apart(launcher, launch);
    else
        launch_order(launcher, launch, launch->order);
    return launch->pid;
}

/* The kernel counts in what the helper had when the program took its place:
 * little, but in a copy of a large host. */
int64_t fri_launch_peak(const struct rusage *usage)
{
    struct rusage own;

    if (usage->ru_maxrss > LITTLE_KIB && getrusage(RUSAGE_SELF, &own) == 0
        && usage->ru_maxrss <= own.ru_maxrss)
        return 0;
    return (int64_t)usage->ru_maxrss * 1024;
}

void fri_launcher_open(struct fri_launcher *l, int oom_more)
{
    int n;

    l->self = getpid();
    l->null = open("/dev/null", O_RDWR | O_CLOEXEC);
    l->oom = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
    if (l->oom < 0)
        return;
    if (read(l->oom, l->less, sizeof l->less - 1) <= 0) {
        close(l->oom);
        l->oom = -1;
        return;
    }
    n = atoi(l->less) + oom_more;
    snprintf(l->more, sizeof l->more, "%d", n < 1000 ? n : 1000);
}
