/*
 * proc.c - tests of the processes of commands, through an engine.
 */
#define _GNU_SOURCE
#include "pools/commands/proc.h"
#include "pools/commands/capture.h"
#include "pools/spawn/spawn.h"
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

enum { HANG_S = 60 };

static struct kit_heap heap;
static frun_engine *engine;
static int fds_before;
static char dir[64];

/* ---- engines ----------------------------------------------------------- */

static void open_engine(void)
{
    frun_engine_options o = { .allocate = kit_allocate, .free = kit_free,
                              .allocator_user = &heap,
                              .worker_path = "/proc/self/exe" };

    atomic_init(&heap.allowed, -1);
    fds_before = kit_fds();
    ok(frun_engine_open(&o, &engine));
    ok(fri_service_start(engine));
    fri_lock(engine);
    ck_assert(fri_spawner_need(engine));
    fri_unlock(engine);
}

static void close_engine(void)
{
    frun_engine_close(engine);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
    ck_assert_int_eq(kit_fds(), fds_before);
}

static void make_dir(void)
{
    snprintf(dir, sizeof dir, "/tmp/flowrun-proc-XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(dir));
}

static const char *in_dir(const char *name)
{
    static char path[2][512];
    static int at;

    at = !at;
    snprintf(path[at], sizeof path[at], "%s/%s", dir, name);
    return path[at];
}

static void remove_dir(void)
{
    DIR *d = opendir(dir);
    struct dirent *entry;

    while ((entry = readdir(d)) != NULL)
        unlink(in_dir(entry->d_name));
    closedir(d);
    ck_assert_int_eq(rmdir(dir), 0);
}

/* ---- processes --------------------------------------------------------- */

struct run {
    frun_value *command;
    struct fri_proc_plan plan;
    struct fri_proc *proc;
    struct fri_proc_end end; /* its buffers are the test's */
    bool ended;
    sem_t done;
};

static frun_value *words(const char *const *argv)
{
    frun_value *list = frun_value_list();

    for (; *argv; argv++)
        ok(frun_value_push(list, frun_value_str(*argv, strlen(*argv))));
    return list;
}

#define RUN(run, ...) \
    prepare(run, (const char *const[]) { __VA_ARGS__, NULL })

static void prepare(struct run *r, const char *const *argv)
{
    memset(r, 0, sizeof *r);
    sem_init(&r->done, 0, 0);
    r->command = frun_value_map();
    ok(frun_value_put(r->command, "argv", words(argv)));
    r->plan.command = r->command;
}

static void set(struct run *r, const char *field, const char *text)
{
    ok(frun_value_put(r->command, field, frun_value_str(text, strlen(text))));
}

static void shell(struct run *r, const char *line)
{
    RUN(r, line);
    ok(frun_value_put(r->command, "shell", frun_value_bool(true)));
}

static void on_end(void *user, struct fri_proc_end *end)
{
    struct run *r = user;

    ck_assert(!r->ended);
    r->ended = true;
    r->end = *end;
    if (end->message)
        r->end.message = r->end.text;
    end->out.data = end->err.data = NULL;
    sem_post(&r->done);
}

static void start(struct run *r)
{
    fri_lock(engine);
    r->proc = fri_proc_start(engine, &r->plan, on_end, r);
    fri_unlock(engine);
    ck_assert_msg(r->proc != NULL, "%s", strerror(errno));
}

static void stop(struct run *r, bool now)
{
    fri_lock(engine);
    if (!r->ended)
        fri_proc_stop(r->proc, now);
    fri_unlock(engine);
}

static void await(struct run *r)
{
    struct timespec t;

    clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += HANG_S;
    ck_assert_msg(sem_timedwait(&r->done, &t) == 0, "it does not end");
}

static void go(struct run *r)
{
    start(r);
    await(r);
}

static void done(struct run *r)
{
    fri_buffer_free(&r->end.out);
    fri_buffer_free(&r->end.err);
    frun_value_free(r->command);
}

static void ends(struct run *r, int status)
{
    go(r);
    ck_assert_int_eq(r->end.status, FRUN_OK);
    ck_assert_msg(r->end.exit_status == status, "%d: %s", r->end.exit_status,
                  r->end.message ? r->end.message : "no message");
}

static void signalled(struct run *r, int number)
{
    ck_assert_int_eq(r->end.status, FRUN_ECRASHED);
    ck_assert_int_eq(r->end.signal, number);
    ck_assert_int_eq(r->end.exit_status, -1);
}

static void is_text(const struct fri_buffer *b, const char *text)
{
    ck_assert_msg(b->length == strlen(text)
                  && (b->length == 0
                      || memcmp(b->data, text, b->length) == 0),
                  "'%.*s' is not '%s'", (int)b->length, b->data, text);
}

static void says(struct run *r, const char *text)
{
    is_text(&r->end.out, text);
}

static bool has(const char *text, const char *part)
{
    return text && strstr(text, part);
}

/* Waits until the file is there and not empty: what stands in it. */
static long number_in(const char *path)
{
    long n = 0;
    FILE *file;

    for (int ms = 0; n == 0; ms++) {
        ck_assert_msg(ms < HANG_S * 1000, "%s does not come", path);
        file = fopen(path, "r");
        if (!file || fscanf(file, "%ld", &n) != 1 || fgetc(file) != '\n') {
            n = 0;
            kit_nap(0.001);
        }
        if (file)
            fclose(file);
    }
    return n;
}

/* A zombie waits for whoever is process 1: it has gone. */
static char state_of(pid_t pid)
{
    char path[64], state = 'X';
    FILE *file;

    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    file = fopen(path, "r");
    if (!file)
        return 'X';
    if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1)
        state = 'X';
    fclose(file);
    return state == 'Z' ? 'X' : state;
}

static void until_state(pid_t pid, char state)
{
    for (int ms = 0; state_of(pid) != state; ms++) {
        ck_assert_msg(ms < HANG_S * 1000, "process %d is %c, not %c",
                      (int)pid, state_of(pid), state);
        kit_nap(0.001);
    }
}

/* ---- ends -------------------------------------------------------------- */

START_TEST(status_and_output)
{
    struct run r;

    open_engine();
    RUN(&r, "true");
    ends(&r, 0);
    says(&r, "");
    ck_assert(r.end.seconds > 0 && r.end.cpu >= 0 && r.end.memory > 0);
    done(&r);
    RUN(&r, "sh", "-c", "echo out; echo err >&2; exit 3");
    ends(&r, 3);
    says(&r, "out\n");
    is_text(&r.end.err, "err\n");
    done(&r);
    RUN(&r, "/bin/echo", "a  b", "", "*", "$HOME", "-n");
    ends(&r, 0);
    says(&r, "a  b  * $HOME -n\n");
    done(&r);
    close_engine();
}
END_TEST

START_TEST(killed_by_a_signal)
{
    struct run r;

    open_engine();
    shell(&r, "echo so far; kill -SEGV $$");
    go(&r);
    signalled(&r, SIGSEGV);
    says(&r, "so far\n");
    done(&r);
    close_engine();
}
END_TEST

START_TEST(a_shell_when_asked_for)
{
    static const char *const line[] = { "echo \"$0 $1|$2\" $((1 + 2))",
                                        "a  b", "-c", NULL };
    struct run r;

    open_engine();
    prepare(&r, line);
    ok(frun_value_put(r.command, "shell", frun_value_bool(true)));
    ends(&r, 0);
    says(&r, "sh a  b|-c 3\n");
    done(&r);
    shell(&r, "-x");
    ends(&r, 127);
    ck_assert_ptr_null(r.end.message);
    done(&r);
    close_engine();
}
END_TEST

/* ---- what cannot be started -------------------------------------------- */

static void refused(struct run *r, int status, const char *part)
{
    ends(r, status);
    ck_assert_msg(has(r->end.message, part), "%s", r->end.message);
    ck_assert_ptr_null(r->end.out.data);
    done(r);
}

static void make_file(const char *name, const char *text, mode_t mode)
{
    FILE *file = fopen(in_dir(name), "w");

    fputs(text, file);
    fclose(file);
    ck_assert_int_eq(chmod(in_dir(name), mode), 0);
}

START_TEST(not_found)
{
    struct run r;

    open_engine();
    make_dir();
    RUN(&r, "no-such-program-at-all", "x");
    refused(&r, 127, "no-such-program-at-all: not found");
    RUN(&r, "/nowhere/program");
    refused(&r, 127, "/nowhere/program: not found");
    RUN(&r, "/etc/passwd/x");
    refused(&r, 127, "not found");
    RUN(&r, "/tmp");
    refused(&r, 126, "/tmp: is a directory");
    make_file("plain", "#!/bin/sh\n", 0644);
    RUN(&r, in_dir("plain"));
    refused(&r, 126, "permission denied");
    make_file("garbage", "echo no\n", 0755);
    RUN(&r, in_dir("garbage"));
    refused(&r, 126, "#!");
    make_file("orphan", "#!/nowhere/interpreter\n", 0755);
    RUN(&r, in_dir("orphan"));
    refused(&r, 126, "the program that is to run it");
    remove_dir();
    close_engine();
}
END_TEST

/* The path of the command's own environment is searched. */
START_TEST(searched_path)
{
    char path[256];
    const char *env[] = { path, NULL };
    struct run r;

    open_engine();
    make_dir();
    make_file("plain", "#!/bin/sh\n", 0644);
    make_file("tool", "#!/bin/sh\necho found $1\n", 0755);
    snprintf(path, sizeof path, "PATH=/nowhere:%s:/bin:/usr/bin", dir);
    RUN(&r, "tool", "it");
    r.plan.env = env;
    ends(&r, 0);
    says(&r, "found it\n");
    done(&r);
    RUN(&r, "plain");
    r.plan.env = env;
    refused(&r, 126, "permission denied");
    RUN(&r, "tool", "it");
    refused(&r, 127, "tool: not found");
    RUN(&r, "plain");
    r.plan.cwd = dir;
    refused(&r, 127, "plain: not found");
    RUN(&r, "./tool", "here");
    r.plan.cwd = dir;
    ends(&r, 0);
    says(&r, "found here\n");
    done(&r);
    remove_dir();
    close_engine();
}
END_TEST

static void impossible(struct run *r, const char *part)
{
    go(r);
    ck_assert_int_eq(r->end.status, FRUN_ERROR);
    ck_assert_msg(has(r->end.message, part), "%s", r->end.message);
    done(r);
}

START_TEST(paths_that_are_not_there)
{
    frun_value *path = frun_value_map();
    struct run r;

    open_engine();
    make_dir();
    RUN(&r, "true");
    r.plan.cwd = "/nowhere";
    impossible(&r, "its directory: No such file");
    RUN(&r, "true");
    ok(frun_value_put(path, "path", frun_value_str("/nowhere/x", 10)));
    ok(frun_value_put(r.command, "stdin", path));
    impossible(&r, "its standard input /nowhere/x: No such file");
    RUN(&r, "true");
    set(&r, "stdout", "/nowhere/x");
    impossible(&r, "its standard output /nowhere/x: No such file");
    RUN(&r, "true");
    set(&r, "stderr", "/nowhere/x");
    impossible(&r, "its standard error /nowhere/x: No such file");
    ck_assert_int_eq(mkfifo(in_dir("fifo"), 0600), 0);
    RUN(&r, "true");
    set(&r, "stdout", in_dir("fifo"));
    impossible(&r, "/fifo: No such device");
    remove_dir();
    close_engine();
}
END_TEST

/* ---- streams ----------------------------------------------------------- */

static void file_is(const char *path, const char *text)
{
    char found[256] = "";
    FILE *file = fopen(path, "r");

    ck_assert_msg(file != NULL, "%s", path);
    found[fread(found, 1, sizeof found - 1, file)] = '\0';
    fclose(file);
    ck_assert_str_eq(found, text);
}

START_TEST(streams_to_paths)
{
    frun_value *path = frun_value_map();
    struct run r;

    open_engine();
    make_dir();
    make_file("in", "from a file\n", 0600);
    shell(&r, "cat; echo wrong >&2");
    ok(frun_value_put(path, "path", frun_value_str(in_dir("in"),
                                                   strlen(in_dir("in")))));
    ok(frun_value_put(r.command, "stdin", path));
    r.plan.cwd = dir;
    set(&r, "stdout", "out"); /* in its directory */
    set(&r, "stderr", in_dir("err"));
    ends(&r, 0);
    ck_assert(!r.end.out.data && !r.end.err.data);
    file_is(in_dir("out"), "from a file\n");
    file_is(in_dir("err"), "wrong\n");
    done(&r);
    shell(&r, "echo 1; echo 2 >&2; echo 3");
    r.plan.cwd = dir;
    set(&r, "stdout", "out");
    set(&r, "stderr", "out");
    ends(&r, 0);
    file_is(in_dir("out"), "1\n2\n3\n");
    done(&r);
    remove_dir();
    close_engine();
}
END_TEST

START_TEST(nothing_to_read)
{
    struct run r;

    open_engine();
    RUN(&r, "cat");
    ends(&r, 0);
    says(&r, "");
    done(&r);
    RUN(&r, "cat");
    set(&r, "stdin", "");
    ends(&r, 0);
    says(&r, "");
    done(&r);
    close_engine();
}
END_TEST

static char *many(size_t n)
{
    char *text = malloc(n + 1);

    for (size_t i = 0; i < n; i++)
        text[i] = (char)('a' + i % 23);
    text[n] = '\0';
    return text;
}

static const size_t lengths[] = { 1, 65535, 65536, 65537, 10000000 };

/* What it reads comes back, past the capacity of pipes both ways. */
START_TEST(input_of_all_sizes)
{
    open_engine();
    for (size_t i = 0; i < COUNT(lengths); i++) {
        char *text = many(lengths[i]);
        struct run r;

        RUN(&r, "cat");
        set(&r, "stdin", text);
        ok(frun_value_put(r.command, "capture", frun_value_int(20000000)));
        ends(&r, 0);
        ck_assert_uint_eq(r.end.out.length, lengths[i]);
        ck_assert(memcmp(r.end.out.data, text, lengths[i]) == 0);
        done(&r);
        free(text);
    }
    close_engine();
}
END_TEST

START_TEST(input_that_is_not_read)
{
    char *text = many(10000000);
    struct run r;

    open_engine();
    RUN(&r, "true");
    set(&r, "stdin", text);
    ends(&r, 0);
    done(&r);
    shell(&r, "exec <&-; sleep 0.1; echo on");
    set(&r, "stdin", text);
    ends(&r, 0);
    says(&r, "on\n");
    done(&r);
    RUN(&r, "head", "-c", "3");
    set(&r, "stdin", text);
    ends(&r, 0);
    says(&r, "abc");
    done(&r);
    free(text);
    close_engine();
}
END_TEST

static double cpu_of_this(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Nobody looks again and again at what is closed. */
START_TEST(outputs_that_are_closed)
{
    double before;
    struct run r;

    open_engine();
    before = cpu_of_this();
    shell(&r, "exec >&- 2>&- <&-; sleep 1");
    ends(&r, 0);
    says(&r, "");
    ck_assert(cpu_of_this() - before < (KIT_SANITIZED ? 0.5 : 0.2));
    done(&r);
    close_engine();
}
END_TEST

/* ---- captures ---------------------------------------------------------- */

/* However it comes, the first and the last bytes are kept. */
static void capture(size_t total, size_t step, size_t most)
{
    struct fri_memory m = { kit_allocate, kit_free, &heap };
    char *text = many(total), notice[80];
    struct fri_capture c;
    struct fri_buffer b;
    size_t half = most / 2, n;

    fri_capture_init(&c, &m, most);
    for (size_t at = 0; at < total; at += step)
        fri_capture_add(&c, text + at,
                        total - at < step ? total - at : step);
    fri_capture_end(&c, &b);
    fri_capture_free(&c);
    n = total <= most ? 0
        : (size_t)snprintf(notice, sizeof notice,
                           "\n[... %zu bytes were cut ...]\n", total - most);
    if (total <= most)
        half = most = total;
    ck_assert_uint_eq(b.length, most + n);
    if (total > 0) {
        ck_assert(memcmp(b.data, text, half) == 0);
        ck_assert(memcmp(b.data + half, notice, n) == 0);
        ck_assert(memcmp(b.data + half + n, text + total - (most - half),
                         most - half) == 0);
    }
    fri_buffer_free(&b);
    free(text);
}

START_TEST(what_is_kept)
{
    static const size_t totals[] = { 0, 1, 2, 9, 10, 11, 15, 100, 1000 };
    static const size_t mosts[] = { 0, 1, 2, 3, 10, 64, 101, 1000 };

    atomic_init(&heap.allowed, -1);
    for (size_t t = 0; t < COUNT(totals); t++)
        for (size_t m = 0; m < COUNT(mosts); m++)
            for (size_t step = 1; step < 70; step += 1 + step / 8)
                capture(totals[t], step, mosts[m]);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
}
END_TEST

/* Less is kept then, and that is said. */
START_TEST(no_memory_to_keep)
{
    struct fri_memory m = { kit_allocate, kit_free, &heap };
    char *text = many(100000);

    for (long allowed = 0; allowed < 12; allowed++) {
        struct fri_capture c;
        struct fri_buffer b;

        atomic_store(&heap.allowed, allowed);
        fri_capture_init(&c, &m, 1000000);
        for (size_t at = 0; at < 100000; at += 1000)
            fri_capture_add(&c, text + at, 1000);
        fri_capture_end(&c, &b);
        ck_assert(b.length >= 1000 || allowed == 0);
        ck_assert(b.length == 0 || memcmp(b.data, text, 499) == 0);
        ck_assert(b.length == 0 || b.data[b.length - 1] == text[99999]);
        fri_buffer_free(&b);
    }
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
    free(text);
}
END_TEST

START_TEST(gigabytes_of_output)
{
    const char *bytes = KIT_SANITIZED ? "300000000" : "3000000000";
    struct run r;

    open_engine();
    RUN(&r, "sh", "-c", "echo begin; yes | head -c $0; echo end", bytes);
    ok(frun_value_put(r.command, "capture", frun_value_int(1000)));
    ends(&r, 0);
    ck_assert_uint_le(r.end.out.length, 1200);
    ck_assert(memcmp(r.end.out.data, "begin\ny\n", 8) == 0);
    ck_assert(memcmp(r.end.out.data + r.end.out.length - 4, "end\n", 4) == 0);
    done(&r);
    close_engine();
}
END_TEST

/* ---- groups, stops ----------------------------------------------------- */

/* It has left the group, and holds the pipes; it goes with the engine. */
START_TEST(daemon_that_keeps_the_pipes)
{
    struct run r;
    pid_t pid;

    open_engine();
    make_dir();
    shell(&r, "setsid sh -c 'echo $$ > pid; exec sleep 1000' & "
              "while [ ! -s pid ]; do sleep 0.01; done; echo done");
    r.plan.cwd = dir;
    ends(&r, 0);
    says(&r, "done\n");
    pid = (pid_t)number_in(in_dir("pid"));
    ck_assert(state_of(pid) != 'X');
    done(&r);
    close_engine();
    until_state(pid, 'X');
    remove_dir();
}
END_TEST

START_TEST(group_goes_with_it)
{
    struct run r;

    open_engine();
    make_dir();
    shell(&r, "sh -c 'echo $$ > pid; exec sleep 1000' & "
              "while [ ! -s pid ]; do sleep 0.01; done; echo done");
    r.plan.cwd = dir;
    ends(&r, 0);
    says(&r, "done\n");
    until_state((pid_t)number_in(in_dir("pid")), 'X');
    done(&r);
    remove_dir();
    close_engine();
}
END_TEST

/* True: it had the time to say so before KILL came. */
static bool says_bye(void)
{
    struct run r;
    bool bye;

    shell(&r, "trap 'echo bye; exit 5' TERM; echo $$ > pid; "
              "sleep 1000 & wait");
    r.plan.cwd = dir;
    start(&r);
    number_in(in_dir("pid"));
    stop(&r, false);
    await(&r);
    bye = r.end.exit_status == 5;
    if (bye)
        says(&r, "bye\n");
    else
        signalled(&r, SIGKILL);
    done(&r);
    unlink(in_dir("pid"));
    return bye;
}

START_TEST(stopped_by_term)
{
    int tries = 0;

    open_engine();
    make_dir();
    while (!says_bye())
        ck_assert_int_lt(++tries, 50);
    remove_dir();
    close_engine();
}
END_TEST

/* Its child does not care for TERM either. */
START_TEST(killed_after_the_grace_time)
{
    struct run r;
    pid_t child;

    open_engine();
    make_dir();
    shell(&r, "trap '' TERM; sleep 1000 & echo $! > pid; wait; wait");
    r.plan.cwd = dir;
    start(&r);
    child = (pid_t)number_in(in_dir("pid"));
    stop(&r, false);
    stop(&r, false);
    await(&r);
    signalled(&r, SIGKILL);
    until_state(child, 'X');
    done(&r);
    remove_dir();
    close_engine();
}
END_TEST

START_TEST(killed_at_once)
{
    struct run r;

    open_engine();
    for (int i = 0; i < 50; i++) {
        RUN(&r, "sleep", "1000");
        start(&r);
        stop(&r, i % 2);
        await(&r);
        ck_assert_int_eq(r.end.status, FRUN_ECRASHED);
        done(&r);
    }
    close_engine();
}
END_TEST

START_TEST(one_that_stops_itself)
{
    struct run r;

    open_engine();
    make_dir();
    shell(&r, "echo $$ > pid; kill -STOP $$; echo never");
    r.plan.cwd = dir;
    start(&r);
    until_state((pid_t)number_in(in_dir("pid")), 'T');
    stop(&r, false);
    await(&r);
    ck_assert(r.end.signal == SIGTERM || r.end.signal == SIGKILL);
    done(&r);
    remove_dir();
    close_engine();
}
END_TEST

START_TEST(all_are_paused)
{
    struct run r;
    pid_t pid;

    open_engine();
    make_dir();
    RUN(&r, "sh", "-c", "echo $$ > pid; exec sleep 1000");
    r.plan.cwd = dir;
    start(&r);
    pid = (pid_t)number_in(in_dir("pid"));
    fri_lock(engine);
    fri_procs_signal(engine, SIGSTOP);
    fri_unlock(engine);
    until_state(pid, 'T');
    fri_lock(engine);
    fri_procs_signal(engine, SIGCONT);
    fri_unlock(engine);
    until_state(pid, 'S');
    stop(&r, true);
    await(&r);
    signalled(&r, SIGKILL);
    done(&r);
    remove_dir();
    close_engine();
}
END_TEST

/* ---- many, long, bare --------------------------------------------------- */

START_TEST(two_hundred_at_once)
{
    enum { N = 200 };
    static struct run runs[N];
    char number[16], expected[16];

    open_engine();
    for (int i = 0; i < N; i++) {
        snprintf(number, sizeof number, "%d", i);
        RUN(&runs[i], "sh", "-c", "read x; echo $x; sleep 0.2; exit $0",
            number);
        set(&runs[i], "stdin", number);
        start(&runs[i]);
    }
    for (int i = 0; i < N; i++) {
        await(&runs[i]);
        ck_assert_int_eq(runs[i].end.exit_status, i);
        snprintf(expected, sizeof expected, "%d\n", i);
        says(&runs[i], expected);
        done(&runs[i]);
    }
    close_engine();
}
END_TEST

struct chain {
    struct run run;
    int left;
};

static void next_of_chain(void *user, struct fri_proc_end *end)
{
    struct chain *c = user;

    ck_assert_int_eq(end->status, FRUN_OK);
    ck_assert_int_eq(end->exit_status, 0);
    if (--c->left == 0) {
        sem_post(&c->run.done);
        return;
    }
    c->run.proc = fri_proc_start(engine, &c->run.plan, next_of_chain, c);
    ck_assert_ptr_nonnull(c->run.proc);
}

START_TEST(one_after_the_other)
{
    struct chain chains[2];

    open_engine();
    for (int i = 0; i < 2; i++) {
        RUN(&chains[i].run, "true");
        chains[i].left = 300;
        fri_lock(engine);
        chains[i].run.proc = fri_proc_start(engine, &chains[i].run.plan,
                                            next_of_chain, &chains[i]);
        fri_unlock(engine);
    }
    for (int i = 0; i < 2; i++) {
        await(&chains[i].run);
        frun_value_free(chains[i].run.command);
    }
    close_engine();
}
END_TEST

/* 100 words of 15 kB. */
START_TEST(long_words)
{
    char *text = many(15000);
    struct run r;

    open_engine();
    RUN(&r, "sh", "-c", "for w; do n=$((n + ${#w})); done; echo $# $n", "sh");
    for (int i = 0; i < 100; i++)
        ok(frun_value_push((frun_value *)frun_value_get(r.command, "argv"),
                           frun_value_str(text, 15000)));
    ends(&r, 0);
    says(&r, "100 1500000\n");
    done(&r);
    RUN(&r, "true");
    for (int i = 0; i < 1000; i++)
        ok(frun_value_push((frun_value *)frun_value_get(r.command, "argv"),
                           frun_value_str(text, 15000)));
    refused(&r, 126, "Argument list too long");
    free(text);
    close_engine();
}
END_TEST

static void change(struct run *r, const char *name, frun_value *value)
{
    frun_value *env = (frun_value *)frun_value_get(r->command, "env");

    if (!env) {
        env = frun_value_map();
        ok(frun_value_put(r->command, "env", env));
    }
    ok(frun_value_put(env, name, value));
}

START_TEST(environment)
{
    const char *const env[] = { "FIRST=engine", "SECOND=x=y", NULL };
    struct run r;

    setenv("INHERITED", "yes", 1);
    setenv("REMOVED", "no", 1);
    setenv("REPLACED", "no", 1);
    setenv("REMOVED_NOT", "yes", 1);
    open_engine();
    shell(&r, "echo $INHERITED ${REMOVED-gone} $REPLACED $REMOVED_NOT "
              "$FIRST $SECOND \"${EMPTY-unset}\"; env | grep -c ^REPLACED=");
    change(&r, "REMOVED", frun_value_bool(false));
    change(&r, "NOT_THERE", frun_value_bool(false));
    change(&r, "REPLACED", frun_value_str("new", 3));
    change(&r, "EMPTY", frun_value_str("", 0));
    change(&r, "FIRST", frun_value_str("command", 7));
    r.plan.env = env;
    ends(&r, 0);
    says(&r, "yes gone new yes engine x=y \n1\n");
    done(&r);
    close_engine();
}
END_TEST

/* 1000 variables of 1.5 kB. */
START_TEST(long_environment)
{
    char *text = many(1500), name[32];
    struct run r;

    open_engine();
    shell(&r, "env | grep -c '^LONG_[0-9]*=abc'; echo ${#LONG_999}");
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "LONG_%d", i);
        change(&r, name, frun_value_str(text, 1500));
    }
    ends(&r, 0);
    says(&r, "1000\n1500\n");
    done(&r);
    free(text);
    close_engine();
}
END_TEST

START_TEST(memory_cap)
{
    struct run r;

    open_engine();
    shell(&r, "ulimit -v");
    r.plan.memory = UINT64_C(300) << 20;
    ends(&r, 0);
    says(&r, "307200\n");
    done(&r);
    shell(&r, "ulimit -v");
    ends(&r, 0);
    says(&r, "unlimited\n");
    done(&r);
    close_engine();
}
END_TEST

/* Descriptors, signals, group, parent: nothing of the host. */
START_TEST(bare_process)
{
    struct run r;
    sigset_t usr;
    int fd = open("/dev/null", O_RDONLY);

    signal(SIGTERM, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    sigemptyset(&usr);
    sigaddset(&usr, SIGUSR1);
    sigprocmask(SIG_BLOCK, &usr, NULL);
    open_engine();
    RUN(&r, "grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status");
    ends(&r, 0);
    says(&r, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
    done(&r);
    shell(&r, "[ $(cut -d' ' -f5 /proc/$$/stat) = $$ ] && echo leader");
    ends(&r, 0);
    says(&r, "leader\n");
    done(&r);
    RUN(&r, "sh", "-c", "ls /proc/$$/fd");
    ends(&r, 0);
    says(&r, "0\n1\n2\n");
    done(&r);
    RUN(&r, "sh", "-c", "ls /proc/$$/fd");
    set(&r, "stdin", "x");
    set(&r, "stderr", "/dev/null");
    ends(&r, 0);
    says(&r, "0\n1\n2\n");
    done(&r);
    close_engine();
    close(fd);
}
END_TEST

/* ---- what goes away ----------------------------------------------------- */

/* What is in the group goes, too. */
START_TEST(helper_killed)
{
    struct run r, other;
    pid_t helper, child;

    open_engine();
    make_dir();
    for (int i = 0; i < 3; i++) {
        shell(&r, "sleep 1000 & echo $! > child; sleep 0.5; "
                  "echo $PPID > helper; echo said; wait");
        r.plan.cwd = dir;
        unlink(in_dir("helper"));
        start(&r);
        RUN(&other, "sleep", "1000");
        start(&other);
        helper = (pid_t)number_in(in_dir("helper"));
        kill(helper, SIGKILL);
        await(&r);
        signalled(&r, SIGKILL);
        says(&r, "said\n");
        await(&other);
        signalled(&other, SIGKILL);
        child = (pid_t)number_in(in_dir("child"));
        until_state(child, 'X');
        done(&r);
        done(&other);
        RUN(&r, "echo", "on");
        ends(&r, 0);
        says(&r, "on\n");
        done(&r);
    }
    remove_dir();
    close_engine();
}
END_TEST

/* Each kills the helper as the first that it does. */
START_TEST(helper_killed_by_a_command_that_has_just_started)
{
    struct run r;

    open_engine();
    make_dir();
    for (int i = 0; i < 10; i++) {
        shell(&r, "sleep 1000 & echo $! > child; kill -KILL $PPID; wait");
        r.plan.cwd = dir;
        start(&r);
        await(&r);
        signalled(&r, SIGKILL);
        until_state((pid_t)number_in(in_dir("child")), 'X');
        done(&r);
        unlink(in_dir("child"));
    }
    remove_dir();
    close_engine();
}
END_TEST

/* All of it: a sanitizer has a thread there, too. */
static void kill_helper(pid_t helper)
{
    struct pollfd p = { .fd = (int)syscall(SYS_pidfd_open, helper, 0),
                        .events = POLLIN };

    ck_assert_int_ge(p.fd, 0);
    kill(helper, SIGKILL);
    ck_assert_int_eq(poll(&p, 1, HANG_S * 1000), 1);
    close(p.fd);
}

/* Before anybody has been told that the helper has gone. */
START_TEST(one_is_asked_for_when_the_helper_has_just_gone)
{
    struct run r, stopped;
    pid_t helper;

    open_engine();
    make_dir();
    for (int i = 0; i < 5; i++) {
        shell(&r, "echo $PPID > helper");
        r.plan.cwd = dir;
        ends(&r, 0);
        done(&r);
        helper = (pid_t)number_in(in_dir("helper"));
        RUN(&r, "echo", "on");
        RUN(&stopped, "sleep", "1000");
        fri_lock(engine);
        kill_helper(helper);
        r.proc = fri_proc_start(engine, &r.plan, on_end, &r);
        stopped.proc = fri_proc_start(engine, &stopped.plan, on_end, &stopped);
        ck_assert(r.proc && stopped.proc);
        fri_proc_stop(stopped.proc, false);
        fri_unlock(engine);
        await(&r);
        ck_assert_int_eq(r.end.status, FRUN_OK);
        says(&r, "on\n");
        await(&stopped);
        signalled(&stopped, SIGTERM);
        done(&r);
        done(&stopped);
        unlink(in_dir("helper"));
    }
    remove_dir();
    close_engine();
}
END_TEST

START_TEST(closed_while_they_run)
{
    enum { N = 20 };
    static struct run runs[N];
    char *text = many(1000000);

    open_engine();
    for (int i = 0; i < N; i++) {
        RUN(&runs[i], "sleep", "1000");
        set(&runs[i], "stdin", text);
        start(&runs[i]);
    }
    frun_engine_close(engine);
    for (int i = 0; i < N; i++) {
        ck_assert(runs[i].ended);
        signalled(&runs[i], SIGKILL);
        frun_value_free(runs[i].command);
    }
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
    ck_assert_int_eq(kit_fds(), fds_before);
    free(text);
}
END_TEST

/* Each allocation of a start in turn. */
START_TEST(no_memory)
{
    struct run r;
    bool started = false;

    open_engine();
    for (long n = 0; !started; n++) {
        RUN(&r, "echo", "x");
        set(&r, "stdin", "text");
        fri_lock(engine);
        atomic_store(&heap.allowed, n);
        r.proc = fri_proc_start(engine, &r.plan, on_end, &r);
        started = r.proc != NULL;
        ck_assert(started || errno == ENOMEM);
        atomic_store(&heap.allowed, -1);
        fri_unlock(engine);
        if (started)
            await(&r);
        done(&r);
    }
    close_engine();
}
END_TEST

START_TEST(no_descriptors)
{
    struct rlimit old, few;
    struct run r, first;
    int last = open("/dev/null", O_RDONLY);

    close(last);
    open_engine();
    RUN(&first, "sleep", "1000");
    start(&first);
    getrlimit(RLIMIT_NOFILE, &old);
    for (int more = 0; more < 40; more++) {
        few = old;
        few.rlim_cur = (rlim_t)(last + more);
        setrlimit(RLIMIT_NOFILE, &few);
        RUN(&r, "true");
        set(&r, "stdin", "x");
        fri_lock(engine);
        r.proc = fri_proc_start(engine, &r.plan, on_end, &r);
        ck_assert(r.proc || errno == EMFILE);
        fri_unlock(engine);
        if (r.proc)
            await(&r);
        done(&r);
    }
    setrlimit(RLIMIT_NOFILE, &old);
    ck_assert_ptr_nonnull(r.proc);
    stop(&first, true);
    await(&first);
    done(&first);
    close_engine();
}
END_TEST

static void work(int socket, int memory, void *user)
{
    (void)socket;
    (void)memory;
    (void)user;
}

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        status_and_output, killed_by_a_signal, a_shell_when_asked_for,
        not_found, searched_path, paths_that_are_not_there, streams_to_paths,
        nothing_to_read, input_of_all_sizes, input_that_is_not_read,
        outputs_that_are_closed, what_is_kept, no_memory_to_keep,
        gigabytes_of_output, daemon_that_keeps_the_pipes, group_goes_with_it,
        stopped_by_term, killed_after_the_grace_time, killed_at_once,
        one_that_stops_itself, all_are_paused, two_hundred_at_once,
        one_after_the_other, long_words, environment, long_environment,
        memory_cap, bare_process, helper_killed,
        helper_killed_by_a_command_that_has_just_started,
        one_is_asked_for_when_the_helper_has_just_gone,
        closed_while_they_run, no_memory, no_descriptors,
    };

    if (argc > 1 && strcmp(argv[1], FRI_HELPER_WORD) == 0)
        return fri_helper_main(argc, argv, work, NULL);
    return unit_run("proc", tests, COUNT(tests));
}
