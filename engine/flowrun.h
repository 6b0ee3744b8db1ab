/*
 * flowrun.h - the contract of the flowrun library: parallel workflows for C.
 *
 * An engine owns pools; a pool runs tasks; each task gives a future.
 *
 * Ownership.  Free what you opened or made; what you pass in is copied before
 * the call returns; what you get as const lives until its owner is freed.
 * Two exceptions, so that nested building needs no ladder of clean-ups: items
 * given to frun_value_push and frun_value_put, and a task's *result, are
 * taken, even on failure.  Every _free and _close takes NULL.
 *
 * What was freed or closed must not be given again; that cannot be noticed.
 *
 * Threads.  An engine and what it opened belong to the thread that opened it,
 * its owner.  On any thread may be called: frun_future_cancel, the frun_task_
 * functions, frun_version, frun_status_text, what reads a future that is done,
 * and what works on values that no other thread changes meanwhile.  Anything
 * else does nothing elsewhere, and gives EINVAL; so it does in a task, and in
 * a child that the host forks, where also closing and freeing do nothing.
 *
 * Callbacks run on the owner's thread, inside a wait or a step, and may do what
 * the owner may: wait, step, free the future, close the pool and the engine.
 * In a wait or step of a callback others may run, up to 100 in one another.
 *
 * Errors.  Functions that can fail return a frun_status, 0 (FRUN_OK) being
 * success; frun_engine_message tells the last failure of an engine in words.
 * Any of them may give ENOMEM, and EINVAL where NULL is given and not said to
 * be allowed.  On failure what an out-parameter points to is NULL.
 *
 * Times are seconds.  A wait of less than 0 seconds is for ever.
 * Every options struct begins with `size`, 0 meaning "this header's"; zeroed
 * options mean defaults, and NULL means zeroed options.  A host that was
 * compiled with another header says sizeof there: fields that its struct does
 * not have are zero, and fields that the library does not know must be, else
 * EINVAL.
 *
 * Use of anything that is not in this header is unsupported.
 */
#ifndef FLOWRUN_H
#define FLOWRUN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRUN_VERSION "0.1.0"

#if defined(__GNUC__) && !defined(FRUN_NO_ATTRIBUTES)
#ifndef FRUN_VISIBILITY
#define FRUN_VISIBILITY "default"
#endif
#define FRUN_API __attribute__((visibility(FRUN_VISIBILITY)))
#define FRUN_CHECKED FRUN_API __attribute__((warn_unused_result))
#define FRUN_PRINTF(f, a) __attribute__((format(printf, f, a)))
#else
#define FRUN_API
#define FRUN_CHECKED
#define FRUN_PRINTF(f, a)
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---- types ------------------------------------------------------------ */

typedef struct frun_engine frun_engine;
typedef struct frun_pool frun_pool;
typedef struct frun_future frun_future;
typedef struct frun_task frun_task;
typedef struct frun_value frun_value;
typedef struct frun_limit frun_limit;
typedef struct frun_journal frun_journal;

/* What a call, or a task, came to.  The kinds of a task's failure are the
 * same words in Lua: FRUN_ETIMEOUT is kind "timeout". */
typedef enum frun_status {
    FRUN_OK = 0,
    FRUN_ENOMEM,      /* memory could not be had */
    FRUN_EINVAL,      /* an argument is not what the call takes */
    FRUN_ERROR,       /* the task's function failed */
    FRUN_EEXIT,       /* a command ended with a status other than 0 */
    FRUN_ECRASHED,    /* the worker died under the task */
    FRUN_ETIMEOUT,    /* the attempt ran past its timeout */
    FRUN_ECANCELLED,  /* cancelled before it was done */
    FRUN_EUNSENDABLE, /* a value that cannot travel */
    FRUN_EDEPENDENCY, /* a task that it waits for failed */
    FRUN_ERESOURCE,   /* no worker could be started, or a cap was hit */
    FRUN_EUNFINISHED, /* a wait ran out of its own seconds */
    FRUN_ECLOSED,     /* the pool was closed */
    FRUN_EDEADLOCK,   /* waits that can never end */
    FRUN_EJOURNAL     /* the journal could not be written or read */
} frun_status;

/* Where tasks run: on threads; in worker processes, which may die and cost the
 * task that ran there; as external commands. */
typedef enum frun_kind { FRUN_THREADS, FRUN_FORKS, FRUN_COMMANDS } frun_kind;

/* Where a task stands; the last three are final. */
typedef enum frun_state {
    FRUN_PENDING, /* it waits: for others, for seats, for a worker */
    FRUN_RUNNING,
    FRUN_DONE,
    FRUN_FAILED,
    FRUN_CANCELLED
} frun_state;

/* What frun_wait waits for.  FRUN_FAILED, the state, may be given for
 * FRUN_FIRST_FAILED. */
typedef enum frun_when {
    FRUN_ALL,
    FRUN_FIRST,
    FRUN_FIRST_FAILED = FRUN_FAILED
} frun_when;

/* What a value is. */
typedef enum frun_type {
    FRUN_NULL, FRUN_BOOL, FRUN_INT, FRUN_NUM, FRUN_STR, FRUN_LIST, FRUN_MAP
} frun_type;

/* What happened to a task.  Lives as long as its future. */
typedef struct frun_error {
    frun_status status;
    const char *kind;    /* the word of the status, as in Lua */
    int attempts;        /* tries made, 0 when it never started */
    int exit_status;     /* FRUN_EEXIT, FRUN_ECRASHED: status, else -1 */
    int signal;          /* FRUN_ECRASHED: the signal, else 0 */
    const char *message; /* one line */
    const char *traceback;
    const char *task; /* the task's name */
    const struct frun_error *cause;
    const struct frun_value *result; /* a command that failed: what it left, as
                                        frun_pool_command says; else NULL */
} frun_error;

/* Facts of a future; times in seconds on the scale of the engine's start.  The
 * texts live as long as the future. */
typedef struct frun_info {
    size_t size;
    const char *name;
    const char *pool;
    int worker; /* 1 .. workers, 0 before it started */
    int attempts;
    double submitted, started, finished; /* < 0: not yet */
    double seconds;                      /* of the last attempt */
    double cpu;
    int64_t memory; /* the peak in bytes of the worker of FRUN_FORKS, of the
                       process of FRUN_COMMANDS, 0 when not measured */
    bool from_journal; /* it did not run: its outcome was kept */
} frun_info;

/* Counts of a pool's tasks since it was opened. */
typedef struct frun_stats {
    size_t size;
    uint64_t workers, queued, running; /* now; running: those that wait, too */
    /* crashed: attempts whose worker died; lost: threads that were given up */
    uint64_t done, failed, cancelled, retried, crashed, lost;
} frun_stats;

/* A task's function, on a thread of the engine's, or in a process.  `argument`
 * (NULL when none was given) and `task` live until the function returns; what
 * it leaves in *result (NULL: null) is taken by the engine, also on failure.
 * Any status but FRUN_OK fails the task; frun_task_fail says why.  It may not
 * call the engine, end its thread, or let a C++ exception out. */
typedef frun_status frun_function(frun_task *task, const frun_value *argument,
                                  frun_value **result);

/* What frun_future_on_done calls. */
typedef void frun_callback(frun_future *future, void *user);

/* How an engine is opened.  What is pointed to here, but for texts, must
 * outlive the engine and all that it has opened; the functions may not call the
 * engine. */
typedef struct frun_engine_options {
    size_t size;
    /* Where the engine's bytes come from, those of its Lua states too; both or
     * neither.  allocate(user, old, size) is as realloc: old is NULL or what
     * it gave, size is not 0, the block is aligned as malloc's, and NULL (old
     * stays) makes the call, or the task, fail with FRUN_ENOMEM.  free(user,
     * block) gives it back; block is not NULL.  They are called from any
     * thread, also while the engine holds locks, and must not call it; also
     * after frun_engine_close, while futures are held.  Never in another
     * process: workers have malloc.  Not through them come the values that the
     * host makes or gets to keep, and what SQLite, libyaml, the C library and
     * LuaJIT (its machine code) take for themselves. */
    void *(*allocate)(void *user, void *old, size_t size);
    void (*free)(void *user, void *block);
    void *allocator_user;
    /* What nobody has asked for but should know: rows of a journal that are
     * damaged, a journal that cannot be written.  A line without its end; from
     * any thread.  NULL: it is not said. */
    void (*log)(void *user, const char *line);
    void *log_user;
    /* What tasks print, by whole lines (of very long ones, parts): stream 1 or
     * 2; all of it before the task's future is done.  From any thread, one
     * call at a time; must not call the engine.  Default: the file descriptor
     * of that number. */
    void (*output)(void *user, int stream, const char *bytes, size_t length);
    void *output_user;
    uint64_t seed; /* of the random numbers of tasks in Lua */
    /* FRUN_FORKS and FRUN_COMMANDS: an installed flowrun, run as the parent of
     * workers and commands where the process cannot be copied, since it has
     * other threads when the engine is opened.  Such workers have none of the
     * host's C functions.  NULL: the one that was installed with the
     * library, else the first in PATH; where there is none, such pools are
     * refused (ERESOURCE). */
    const char *worker_path;
    /* By which threads interrupt Lua tasks.  0: the first from SIGRTMIN+3 whose
     * disposition is default; < 0: none, then what runs is given up instead;
     * else it is taken from whoever had it.  Until the engine closes. */
    int interrupt_signal;
} frun_engine_options;

/* How a pool is opened. */
typedef struct frun_pool_options {
    size_t size;
    int workers; /* 1 to 1024; 0: usable CPUs by affinity and cgroup.  Of
                    FRUN_COMMANDS: how many run at once */
    const char *name; /* NULL: "pool 1" and so on */
    int max_tasks;    /* FRUN_FORKS: a worker is replaced after so many; 0:
                         never */
} frun_pool_options;

/* A file that a command finds: its text, or a copy of what is at `path`. */
typedef struct frun_file {
    const char *name; /* inside its directory */
    const char *text;
    size_t length;    /* of text; 0: up to its zero byte */
    const char *path; /* instead of a text */
} frun_file;

/* An external program and what it needs.  Lists end in NULL. */
typedef struct frun_command {
    size_t size;
    const char *const *argv; /* the program, found as a shell does, and its
                                words: no shell looks at them */
    const char *cwd; /* where it runs, made if missing; "temp": in a fresh
                        directory, removed at the end; NULL: where we are */
    const char *keep; /* "failed", "always": the fresh directory stays */
    const frun_file *files;     /* written before it starts ... */
    size_t file_count;          /* ... so many */
    const char *const *collect; /* names and patterns, read when it has ended,
                                   and removed before it starts */
    const char *const *env;     /* NAME=value is added; NAME is removed */
    const char *stdin;          /* a text ... */
    size_t stdin_length;        /* ... 0: up to its zero byte */
    const char *stdin_path;     /* or this file; else it reads nothing */
    const char *stdout, *stderr; /* paths, in place of capture */
    const int *ok_status;       /* ok_count statuses that are no failure; */
    size_t ok_count;            /* none: 0 is the only one */
    size_t capture; /* bytes kept of each stream, 0: 8 MiB; of more than that
                       the middle is cut */
    bool shell;     /* argv[0] is a line for sh, the others its $1, $2 ... */
} frun_command;

/* What is asked of a task beyond its argument. */
typedef struct frun_policy {
    size_t size;
    double timeout;  /* seconds an attempt may run, 0: no end; a C task that
                        ignores frun_task_cancelled loses its thread; in
                        FRUN_FORKS and FRUN_COMMANDS its process group is
                        killed */
    uint64_t memory; /* bytes an attempt in Lua may take, 0: no cap; in
                        FRUN_FORKS and FRUN_COMMANDS what the process may
                        map, too */
    double backoff;  /* seconds before the second attempt, then doubled */
    int retries;     /* extra attempts */
    unsigned retry_on; /* bits 1u << status; 0: the default kinds */
    double priority;   /* higher first; equal: order of submission */
    frun_limit *const *limits; /* limit_count of them */
    const int *limit_needs;    /* seats of each; NULL: one */
    size_t limit_count;
    frun_future *const *after; /* after_count futures that must succeed */
    size_t after_count;
    /* When the rest of a scatter or map is stopped: "never", or "soon" (what
     * has not begun is cancelled) or "now" (what runs, too), a comma, and
     * fail=, success= or done= with a count or a percentage of its tasks:
     * "soon,fail=30%".  NULL: never; in a map now,fail=1, and with another
     * one it waits for all before it returns the first failure. */
    const char *halt;
    size_t chunk; /* items of a map handed out together, 0: automatic */
    const char *name;
    void *user; /* frun_task_user; FRUN_FORKS: a pointer into the copy */
    frun_journal *journal; /* where it is kept, and taken from; NULL: nowhere */
    const char *version;   /* in its key stands for the function's code, of
                              which C has no text: a C function that is to be
                              kept needs one (else EJOURNAL) */
    bool durable; /* the result comes only after its row was synced */
} frun_policy;

/* ---- library ---------------------------------------------------------- */

/* The version of the library, as FRUN_VERSION is the header's. */
FRUN_API const char *frun_version(void);

/* A few words for a status, also for a number that is none; never NULL. */
FRUN_API const char *frun_status_text(frun_status status);

/* ---- engine ----------------------------------------------------------- */

/* Opens an engine.  Starts no thread.  Makes one process, not a child of the
 * host, from which the workers of FRUN_FORKS come: a copy of the host as it is
 * now.  It ends with the engine, or the host.  Where none can be made only
 * pools that need it are refused.  EINVAL: one of allocate and free without
 * the other, or no such signal. */
FRUN_CHECKED frun_status frun_engine_open(const frun_engine_options *options,
                                          frun_engine **engine);

/* Cancels what is pending, stops what runs or, a C function on a thread, waits
 * for it, runs the callbacks that are due, and ends every pool.  Pools, limits,
 * journals and futures that the host still holds must still be closed or freed;
 * futures stay readable until then, and nothing else can be done with them.
 * Does nothing while frun_engine_run_script is at work. */
FRUN_API void frun_engine_close(frun_engine *engine);

/* Makes a C function callable from Lua as flow.native(name); `user` is what
 * frun_task_user gives it.  Register before the first pool is opened.  EINVAL:
 * the name is taken. */
FRUN_CHECKED frun_status frun_engine_register(frun_engine *engine,
                                              const char *name,
                                              frun_function *function,
                                              void *user);

/* The last failure of a call on this engine, in words, until the next; "" when
 * there was none.  Where the engine may not be called it says so. */
FRUN_API const char *frun_engine_message(const frun_engine *engine);

/* A descriptor that is readable when frun_engine_step has something to
 * deliver, for a loop of the host's; it belongs to the engine, and only poll,
 * epoll and their like may use it.  < 0 when none could be had. */
FRUN_API int frun_engine_fd(frun_engine *engine);

/* Runs the callbacks that are due; waits up to `seconds` for the first (0:
 * does not wait).  OK when any has run, EUNFINISHED when none was due. */
FRUN_CHECKED frun_status frun_engine_step(frun_engine *engine, double seconds);

/* ---- pools ------------------------------------------------------------ */

/* Opens a pool; workers are started when there is work for them.  EINVAL:
 * workers out of range, or a kind that there is not.  ECLOSED: the engine is
 * closing.  ERESOURCE: no thread, no descriptor, or, with FRUN_FORKS and
 * FRUN_COMMANDS, no processes can be started here. */
FRUN_CHECKED frun_status frun_pool_open(frun_engine *engine, frun_kind kind,
                                        const frun_pool_options *options,
                                        frun_pool **pool);

/* Takes no more tasks, waits until nothing is pending (callbacks run
 * meanwhile), then ends the workers. */
FRUN_API void frun_pool_close(frun_pool *pool);

/* Hands out one call of fn with a copy of the argument (NULL: none); `future`
 * may be NULL when nobody will ask.  In FRUN_FORKS fn must have been mapped
 * when the engine was opened, and sees the host's memory as it was then; what
 * goes there and comes back may be nested 200 deep (else the task fails with
 * EUNSENDABLE).  EINVAL: a policy out of range, or a pool of FRUN_COMMANDS.
 * ERESOURCE: more seats than a limit has.  ECLOSED.  EJOURNAL: the journal
 * cannot be read, or wants a version. */
FRUN_CHECKED frun_status frun_pool_submit(frun_pool *pool, frun_function *fn,
                                          const frun_value *argument,
                                          const frun_policy *policy,
                                          frun_future **future);

/* Runs a command in a pool of FRUN_COMMANDS (which runs no C functions); fails
 * as frun_pool_submit, and with EINVAL for a command that cannot be.  The
 * result is a map: `status`; `out` and `err`, what it wrote, unless that went
 * to a path; `files` by name, when some are to be collected: their texts, with
 * "temp", else their paths; `seconds`, `cpu`, `memory` at the peak; `dir`, if
 * it had one of its own.  EEXIT: another status than 0 (126: it could not be
 * executed, 127: not found); ECRASHED: ended by a signal; frun_error.result is
 * the same map then.  It ends when the command itself has; what that has left
 * in its process group is killed. */
FRUN_CHECKED frun_status frun_pool_command(frun_pool *pool,
                                           const frun_command *command,
                                           const frun_policy *policy,
                                           frun_future **future);

/* One task and one future for each item of `list`, in `futures` (room for as
 * many as the list is long), each to be freed.  Fails as frun_pool_submit: then
 * none was handed out. */
FRUN_CHECKED frun_status frun_pool_scatter(frun_pool *pool, frun_function *fn,
                                           const frun_value *list,
                                           const frun_policy *policy,
                                           frun_future *futures[]);

/* The results of fn over `list`, in its order, when all are there; the caller
 * frees *results.  Small items are handed out together.  The first failure in
 * time is returned, the rest is not started, and frun_engine_message names it:
 * the task, the item (from 0), what was wrong. */
FRUN_CHECKED frun_status frun_pool_map(frun_pool *pool, frun_function *fn,
                                       const frun_value *list,
                                       const frun_policy *policy,
                                       frun_value **results);

/* Waits until nothing is pending; EUNFINISHED when the seconds ran out. */
FRUN_CHECKED frun_status frun_pool_drain(frun_pool *pool, double seconds);

/* Cancels all that is pending; what runs is stopped, or, a C function on a
 * thread, told so.  Does not wait. */
FRUN_API void frun_pool_cancel(frun_pool *pool);

/* Fills in what the struct, which says its size, has room for. */
FRUN_CHECKED frun_status frun_pool_stats(frun_pool *pool, frun_stats *stats);

/* ---- futures ---------------------------------------------------------- */

/* Where it stands now; does not wait, and runs no callback.  NULL: pending. */
FRUN_API frun_state frun_future_state(const frun_future *future);

/* OK when it is done (in whatever way), EUNFINISHED when time ran out.  A wait
 * runs the callbacks that are due, unless what it waits for is done already. */
FRUN_CHECKED frun_status frun_future_wait(frun_future *future, double seconds);

/* Waits as frun_future_wait; then the status of the task, OK or why it failed,
 * and its value, which lives as long as the future (`value` may be NULL).
 * EUNFINISHED: time ran out, the task goes on.  EUNSENDABLE, though the future
 * has no error: C has no place for what a task in Lua returned. */
FRUN_CHECKED frun_status frun_future_result(frun_future *future,
                                            double seconds,
                                            const frun_value **value);

/* Why it failed or was cancelled, as long as the future lives; NULL unless it
 * did, and for NULL. */
FRUN_API const frun_error *frun_future_error(frun_future *future);

/* Fills in what the struct, which says its size, has room for. */
FRUN_CHECKED frun_status frun_future_info(frun_future *future,
                                          frun_info *info);

/* Asks that it be cancelled; does not wait.  True if the outcome will be
 * "cancelled"; false when it is done, when a C function on a thread, which is
 * told so, still has to decide, and for NULL.  From any thread. */
FRUN_API bool frun_future_cancel(frun_future *future);

/* Calls fn once when the future is done (also when it is already), on the
 * owner's thread inside a wait or step; it may free the future.  A future may
 * have many, and is freed by the host, before or after.  ECLOSED. */
FRUN_CHECKED frun_status frun_future_on_done(frun_future *future,
                                             frun_callback *fn, void *user);

/* Gives up the handle; the task still runs, and callbacks are still called. */
FRUN_API void frun_future_free(frun_future *future);

/* Waits for n futures of one engine: until all are done, one is, or one has
 * failed or was cancelled (or all are done).  *index (may be NULL): the first
 * that was done, or failed, in time; n when none, when all were waited for,
 * and when time ran out (EUNFINISHED).  Callbacks may free them meanwhile. */
FRUN_CHECKED frun_status frun_wait(frun_future *const *futures, size_t n,
                                   frun_when when, double seconds,
                                   size_t *index);

/* ---- scripts (in libflowrun-lua5.4 and libflowrun-luajit) -------------- */

/* A process links one of these libraries, which has the engine inside, and not
 * libflowrun beside it (scripts are then refused with EINVAL). */

/* Runs a Lua file as the main program of a script, as `flowrun path words`
 * does, with this engine: flow.native gives it what the host has registered.
 * Blocks until it has ended and all pools, also the host's, are idle; callbacks
 * run meanwhile.  It has a Lua state of its own, in which os.exit ends the
 * script and not the host.  argv: its `argc` words.  *exit_status: what
 * flowrun's would be.  OK also when it failed; ENOMEM, EINVAL when it could not
 * be begun.  Errors of the script go to the engine's output, stream 2. */
FRUN_CHECKED frun_status frun_engine_run_script(frun_engine *engine,
                                                const char *path, int argc,
                                                char *const argv[],
                                                int *exit_status);

/* A Lua file as a task: it is called with the argument (NULL: none), and what
 * it returns is the result (its first value); in a pool of FRUN_COMMANDS, the
 * command.  The file is read now, and may be text only; `require` finds what
 * package.path says.  Every policy applies; in a journal it is known by its
 * text, unless the policy has a version.  Fails as frun_pool_submit, and with
 * EINVAL when it cannot be read or compiled. */
FRUN_CHECKED frun_status frun_pool_script(frun_pool *pool, const char *path,
                                          const frun_value *argument,
                                          const frun_policy *policy,
                                          frun_future **future);

/* ---- inside a task ---------------------------------------------------- */

/* What these tell is of the task that was given to the function, until that
 * returns.  Outside of tasks, with NULL, they change nothing. */

/* Sets the message of the failure, as printf does, up to its room of some
 * hundred bytes; returns FRUN_ERROR, for `return frun_task_fail(...)`. */
FRUN_API frun_status frun_task_fail(frun_task *task, const char *format, ...)
    FRUN_PRINTF(2, 3);

/* Has somebody asked this task to stop, or has its time run out?  A C function
 * that takes long looks now and then, and returns. */
FRUN_API bool frun_task_cancelled(const frun_task *task);

/* Which attempt this is: 1, 2, ... */
FRUN_API int frun_task_attempt(const frun_task *task);

/* The policy's user pointer, or that of frun_engine_register. */
FRUN_API void *frun_task_user(const frun_task *task);

/* ---- limits ----------------------------------------------------------- */

/* A count that tasks hold while they run, from 1 to 1,000,000.  A name (NULL:
 * none) gives the same limit for every open of that name; a different count is
 * EINVAL.
 * shared: with all engines of this user on this machine, by a file in
 * $XDG_STATE_HOME/flowrun or ~/.local/state/flowrun; ERESOURCE: it cannot be
 * had there, or others hold seats of it with another count. */
FRUN_CHECKED frun_status frun_limit_open(frun_engine *engine, const char *name,
                                         int count, bool shared,
                                         frun_limit **limit);

/* Gives up the handle; tasks that need it still have it. */
FRUN_API void frun_limit_close(frun_limit *limit);

/* Opens the journal of that path, made where it is missing; the engine has
 * one for each file, open until it closes.  EJOURNAL: it is no journal, is
 * damaged, or in use by another run; the file is then as it was. */
FRUN_CHECKED frun_status frun_journal_open(frun_engine *engine,
                                           const char *path,
                                           frun_journal **journal);

/* Gives up the handle.  What was kept is written within 0.1 s, and all of it
 * before the engine is closed. */
FRUN_API void frun_journal_close(frun_journal *journal);

/* Waits until all that has ended is written and synced.  EJOURNAL: something
 * could not be; frun_engine_message says why. */
FRUN_CHECKED frun_status frun_journal_flush(frun_engine *engine);

/* ---- values ----------------------------------------------------------- */

/* A tree of nothing, truth, whole and real numbers, bytes, lists and maps.
 * Made by the host, by malloc; NULL when memory ran out.  Each is freed by
 * frun_value_free, or with the list or map that has taken it.  Reading a NULL
 * value, or one of another type, gives the zero of what was asked for. */
FRUN_API frun_value *frun_value_null(void);
FRUN_API frun_value *frun_value_bool(bool b);
FRUN_API frun_value *frun_value_int(int64_t i);
FRUN_API frun_value *frun_value_num(double n);
FRUN_API frun_value *frun_value_str(const char *bytes, size_t length);
FRUN_API frun_value *frun_value_list(void);
FRUN_API frun_value *frun_value_map(void);

/* Both take `item`, also when they fail, so it must not be in another tree; a
 * NULL for it, or for the list or map, is ENOMEM, so that makers can be nested.
 * The item of a key that is there already is freed and replaced.  EINVAL: no
 * list or map, or itself. */
FRUN_CHECKED frun_status frun_value_push(frun_value *list, frun_value *item);
FRUN_CHECKED frun_status frun_value_put(frun_value *map, const char *key,
                                        frun_value *item);

/* frun_value_length: bytes of a string, items of a list or map.  Strings end
 * in a zero byte that does not count.  frun_value_at: item i from 0 of a list
 * or map, frun_value_key_at its key, frun_value_get the item of a key; NULL:
 * there is none.  They are read-only, and live until their tree is freed or the
 * item is replaced.  Numbers convert where the value stays the same, else 0. */
FRUN_API frun_type frun_value_kind(const frun_value *value);
FRUN_API size_t frun_value_length(const frun_value *value);
FRUN_API const frun_value *frun_value_at(const frun_value *value, size_t i);
FRUN_API const frun_value *frun_value_key_at(const frun_value *map, size_t i);
FRUN_API const frun_value *frun_value_get(const frun_value *map,
                                          const char *key);
FRUN_API bool frun_value_as_bool(const frun_value *value);
FRUN_API int64_t frun_value_as_int(const frun_value *value);
FRUN_API double frun_value_as_num(const frun_value *value);
FRUN_API const char *frun_value_as_str(const frun_value *value);

/* A copy of the whole tree, the caller's; NULL: memory ran out, or of NULL. */
FRUN_API frun_value *frun_value_copy(const frun_value *value);

/* The whole tree, which nothing else may hold. */
FRUN_API void frun_value_free(frun_value *value);

#ifdef __cplusplus
}
#endif
#endif
