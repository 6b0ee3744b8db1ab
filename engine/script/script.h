/*
 * script.h - the module `flow` in one Lua state: of the main program, or of a
 * worker.
 *
 * Rules.
 *  1. One fri_script per state, upvalue 1 of every C function of the module.
 *  2. The engine is opened at the first use that needs one, by the main
 *     program's state; workers' states are given theirs.
 *  3. A C function that waits does so in its last statement (it may yield);
 *     what comes after the wait is Lua (flow.lua).
 *  4. No Lua error may be raised while the engine's lock is held, or while
 *     something is owned by C only.
 */
#ifndef FRI_SCRIPT_H
#define FRI_SCRIPT_H

#include "core/seats.h"
#include "pools/pool.h"
#include "report/seeing.h"
#include "script/embedded.h"
#include "script/travel.h"

struct fri_async;
struct fri_callback;
struct fri_canon;
struct fri_ordinals;

struct fri_run_options {
    int workers; /* 0: usable CPUs */
    int pool_kind; /* of flow.pool(); -1: threads */
    uint64_t seed;
    bool seed_given;
    double timeout; /* of the run, 0: none */
    void (*set_timeout)(void *user, double seconds); /* by flow.options */
    void *user;
    const char *halt; /* of the run, NULL: never */
    const char *journal; /* of every pool, NULL: none */
    bool dry_run; /* no task is run: the first that is needed ends the run */
    bool verbose, quiet;
    frun_engine *engine;  /* the host's; NULL: one is opened */
    const char *program;  /* to exec as the parent of processes where this
                             process cannot be copied; NULL: none */
    unsigned own_threads; /* see fri_spawn_options */
    struct fri_output *output; /* NULL: the engine's own */
    struct fri_see_options see; /* `words`: what is not said is AUTO */
    bool progress_given;
    int argc;    /* the script's own options */
    char **argv;
    const char *script;
};

/* What runs now in this state and may be suspended: a task or an async
 * function. */
struct fri_flow {
    lua_State *co;
    struct fri_set *set; /* what it waits for while it is suspended */
    struct fri_async *async; /* NULL: a task of a worker */
    struct frun_future *exec; /* of an async function: the command that it ran
                                 last; a reference, or NULL */
    void *job;               /* of a worker: struct fri_job */
    uint64_t stream; /* of random numbers; of the task, or the item */
    struct fri_ordinals *ordinals; /* of what it submits */
    struct fri_holder holder; /* of locks */
    uint8_t random[32]; /* the generator while it is suspended */
};

struct fri_script {
    lua_State *L; /* the state's main thread */
    frun_engine *engine;
    struct fri_worker *worker; /* NULL: the main program */
    const struct fri_run_options *options;
    struct fri_run_options own;
    struct fri_travel_shared *shared, owned;
    struct fri_flow *flow; /* NULL: the main program's top level */
    struct fri_lines *lines; /* of a worker: where the task prints */
    const void *metas[FRI_HANDLE_KINDS]; /* of handles */
    int meta_refs[FRI_HANDLE_KINDS];     /* their places in the registry */
    const void *set_meta, *error_meta;
    struct fri_spawner *spawner; /* until the engine has it */
    int no_spawner;
    frun_pool *default_pool;
    struct fri_lane async_lane; /* async functions are tasks of this one */
    bool async_open;
    struct fri_spec *async_spec;
    struct fri_async *asyncs; /* that have not ended */
    struct fri_ordinals *ordinals;
    uint8_t *random; /* the VM's generator, FRI_RANDOM_STATE bytes, or NULL */
    struct fri_waiter *never; /* a list in which nothing ever fires */
    struct fri_holder holder; /* of the main program's top level */
    struct fri_message *argument; /* of an operation: shared.c */
    struct fri_data answer;
    struct fri_seeing *seeing; /* of the main program, with its engine */
    struct fri_see_file *files; /* by flow.options: ours */
    size_t file_count;
    struct fri_canon *canon; /* once a key was made */
    struct fri_observer observer; /* of the main program: see unseen */
    fri_time observed; /* since when */
    struct frun_future **unseen;  /* failed: a reference each (lock) */
    size_t unseen_count, unseen_capacity;
    struct fri_runtime *helper; /* where short work of the main one runs */
    struct fri_runtime *runtime; /* of a worker, or a helper: what owns this */
    frun_pool *inline_pool; /* of a helper: whose work it does */
    size_t outside; /* bytes that its futures keep: see fri_outside */
    unsigned callback_errors;
    struct fri_callback *callbacks; /* that have not run: callback.c */
    bool halt_said;
    char *halt; /* by flow.options: ours */
    char *journal; /* the same */
    bool seed_taken;  /* from a journal */
    bool refused;     /* a journal was, and that was raised */
    bool resume_said; /* how much came from journals */
    bool dry_listed;
    void (*leave)(void *user, lua_State *L); /* ends a dry run */
    void *leave_user;
    char dry[3]; /* places in the registry: dry.c */
    bool delivering; /* a callback runs: it does not run others */
    struct fri_timer deadline; /* of the run: deadline.c */
    const struct fri_run_options *given; /* before flow.options; or NULL */
    fri_time started;
    bool closed;
    bool foreign; /* the engine is the host's */
    bool gone; /* the engine is closed: `engine` points nowhere */
};

static inline struct fri_script *fri_script_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* The same where there is no upvalue; NULL: the state has no module. */
extern const struct fri_runner fri_lua_runner;
static inline struct fri_script *fri_script_in(lua_State *L)
{
    struct fri_script *s;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &fri_lua_runner);
    s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

/* Where what the script owns in C comes from: the engine's memory, also before
 * it has one, for only one that the host has opened has any of its own. */
static inline const struct fri_memory *
fri_script_memory(const struct fri_script *s)
{
    frun_engine *e = !s ? NULL : s->engine ? s->engine : s->options->engine;

    return e ? &e->memory : NULL;
}

/* ---- state.c ---------------------------------------------------------- */

/* A state in that memory; NULL: there is none left. */
lua_State *fri_state_new(const struct fri_memory *m);
void fri_state_close(lua_State *L);

/* Calls the function with `user` as a light userdata, its one argument, where
 * nothing catches errors yet; false: it has raised, and the error is on top. */
bool fri_protected(lua_State *L, lua_CFunction function, void *user);

/* ---- script.c: the module --------------------------------------------- */

/* Preloads "flowrun" into the main program's state; cheap.  Before any code
 * of the script.  `options` and `m` must outlive the state; NULL:
 * defaults, malloc. */
struct fri_script *fri_script_open(lua_State *L,
                                   const struct fri_run_options *options,
                                   const struct fri_memory *m);

/* Drains all pools (or cancels what is pending; what runs may end until
 * `patience`), runs what is due; how many things went wrong that nobody has
 * looked at, or -1 when it was interrupted. */
int fri_script_finish(lua_State *L, bool cancel, fri_time patience);
void fri_script_close(lua_State *L);

/* os.execute of this state, during which the run can be interrupted; before
 * names are given (execute.c). */
void fri_execute_open(lua_State *L);

/* ---- words.c: the last words, in this order --------------------------- */

/* False: a run that had no engine can have no reports (script.c). */
bool fri_script_record(struct fri_script *s);

/* Progress ends, nothing is counted any more; totals, if that is worth a line.
 * cause: why the run ended before its time, or NULL. */
void fri_script_words(lua_State *L, bool badly, const char *cause);

/* Failures that nobody looked at; and then, or if it has ended badly, the
 * words that run it again. */
void fri_script_failures(lua_State *L, bool badly);

/* Writes the reports; false: a line was said for each that could not be. */
bool fri_script_files(lua_State *L);

/* What a task that failed was called with; NULL: not known. */
const char *fri_script_arguments(lua_State *L, const char *task,
                                 const char *key);

int fri_unseen_count(struct fri_script *s);
/* Waits until all that was kept in journals is on the disk; EJOURNAL: why. */
frun_status fri_script_flush(struct fri_script *s, char why[FRI_WHY]);

/* Is there a pool that can have no worker? */
bool fri_script_broken(struct fri_script *s);

/* From any thread: nothing more is started, waits of the main program end by
 * raising "interrupted"; what runs goes on, or is stopped. */
void fri_script_interrupt(struct fri_script *s, bool stop);

/* From any thread but the owner's: the run is stopped for a while, with all of
 * its workers, and goes on. */
void fri_script_pause(struct fri_script *s, bool pause);

/* In a signal handler of the owner's thread, the process is about to die: its
 * worker processes are killed. */
void fri_script_abandon(struct fri_script *s);

/* The part of every state's opening that is the same: the fri_script, as a
 * userdata in the registry, and the module in package.preload. */
struct fri_script *fri_script_new(lua_State *L);

/* Loads the module into the state if it is not there yet. */
void fri_module_load(lua_State *L);

/* The state has come to keep so many bytes more that its collector knows
 * nothing of; it is called where they have become many. */
void fri_outside(lua_State *L, struct fri_script *s, size_t bytes);

/* A line on stderr: "flowrun: ...". */
void fri_complain(struct fri_script *s, const char *format, ...);

/* Pushes what a Lua chunk of embedded.h returns for one argument, the value on
 * the top of the stack. */
void fri_chunk_call(lua_State *L, const struct fri_embedded *chunk,
                    const char *name, int results);

/* The engine, opened if need be; raises when it cannot. */
frun_engine *fri_script_need(lua_State *L, struct fri_script *s);

/* host.c: the state that belongs to a host's engine; NULL: out of memory. */
struct fri_script *fri_host_need(frun_engine *e);

/* These never return; they give an int for `return fri_raise(...)`. */
#define FRI_RAISES __attribute__((noreturn))

/* Raises a string at the line of the script, however deep in the module. */
FRI_RAISES int fri_misuse(lua_State *L, const char *format, ...);

/* Raises `kind` error tables. */
FRI_RAISES int fri_raise(lua_State *L, frun_status status, const char *format,
                         ...);
FRI_RAISES int fri_raise_memory(lua_State *L); /* FRUN_ENOMEM */

/* options.c */
int fri_flow_options(lua_State *L);
void fri_options_free(struct fri_script *s);

/* deadline.c: sets what flow.options has asked for. */
void fri_run_deadline(struct fri_script *s);

/* ---- handle.c: userdata ----------------------------------------------- */

struct fri_box {
    struct fri_handle *handle; /* NULL: closed */
};

struct fri_pool_box {
    struct fri_box box; /* a fri_view */
    int name_ref;       /* a name function, or LUA_NOREF */
    int after_ref;      /* a list of futures, or LUA_NOREF */
    struct fri_function *function; /* of `spec` */
    struct fri_spec *spec;         /* used last */
};

void fri_handles_open(lua_State *L, struct fri_script *s);
struct frun_future *fri_future_test(lua_State *L, struct fri_script *s,
                                    int index);
struct frun_future *fri_future_check(lua_State *L, int index);
struct fri_pool_box *fri_pool_check(lua_State *L, int index);

/* Pushes a userdata for the future and returns where its reference goes: set
 * it when nothing can fail any more. */
struct fri_box *fri_future_box(lua_State *L, struct fri_script *s);

/* Pushes the values of a future that is done; their number, or -1 with a
 * text pushed. */
int fri_future_push_values(lua_State *L, struct frun_future *f);

/* ---- result.c --------------------------------------------------------- */

/* Pushes a value that C has made: the result of a command. */
void fri_value_push(lua_State *L, const frun_value *value);

/* ---- errors.c --------------------------------------------------------- */

void fri_errors_open(lua_State *L, struct fri_script *s);

/* Pushes the error table. */
void fri_error_push(lua_State *L, const struct fri_error *error);
void fri_error_push_of(lua_State *L, struct frun_future *f);
void fri_error_push_new(lua_State *L, frun_status status, const char *message);

/* A message handler for what Lua catches only to raise it again: notes where
 * the error came from; the error is its result. */
int fri_trace_note(lua_State *L);

/* Pushes what was noted of the error at index (positive) and forgets it;
 * false: nothing was, and nothing is pushed. */
bool fri_trace_push(lua_State *L, int value);

/* Pushes what stands in a table without __tostring that was raised; false: it
 * is none, or it cannot be shown, and nothing is pushed. */
bool fri_error_push_shown(lua_State *L, int index);

/* Makes an error of the value on the top of `co`, which failed. */
struct fri_error *fri_error_take(lua_State *L, lua_State *co);

/* The error on top has ended a wait that could never end: see errors.c. */
void fri_knot_note(lua_State *L);

/* ---- lpool.c, policy.c, future.c, await.c, async.c, callback.c -------- */

extern const luaL_Reg fri_pool_methods[], fri_pool_functions[];
extern const luaL_Reg fri_future_methods[], fri_future_functions[];
extern const luaL_Reg fri_await_functions[], fri_async_functions[];
extern const luaL_Reg fri_limit_functions[], fri_callback_functions[];
extern const luaL_Reg fri_command_functions[];

/* Pushes a pool's userdata: a view with no policy, which holds the pool. */
void fri_pool_push(lua_State *L, struct fri_script *s, frun_pool *pool);

/* The same for a pool that is opened in between, since nothing may raise then:
 * an empty one, and what goes into it.  The second takes the caller's hold. */
struct fri_box *fri_pool_box(lua_State *L, struct fri_script *s);
void fri_pool_fill(lua_State *L, struct fri_script *s, struct fri_box *box,
                   frun_pool *pool);

/* Reads the policy table at index over the policy of `from`; pushes the new
 * userdata. */
int fri_pool_with(lua_State *L);

/* An async future that is to be a dependency needs its values as a message. */
bool fri_async_pack(lua_State *L, struct fri_script *s, struct frun_future *f);

void fri_in_flow(struct fri_script *s);

/* The script ends: callbacks that have not run are forgotten. */
void fri_callbacks_drop(struct fri_script *s);

/* ask.c: on whose behalf it runs now. */
struct fri_holder *fri_script_holder(struct fri_script *s);

bool fri_is_unseen(const struct frun_future *f); /* of one that failed */

/* Somebody has seen its outcome. */
void fri_look(struct frun_future *f);

/* ---- random.c --------------------------------------------------------- */

/* Streams of random numbers: what a task draws does not depend on workers,
 * pools or packing.  A stream is a number made of the parent's stream, the
 * task's name or source, its key or arguments, and its ordinal among equals
 * of the same parent. */

/* What all tasks of one function (or name) in this place have in common. */
uint64_t fri_stream_base(lua_State *L, int function, const char *name);

/* Of a submit: a hash of its arguments. */
uint64_t fri_stream(struct fri_script *s, uint64_t base, uint64_t arguments);

/* Of one item, by its key at the index. */
uint64_t fri_stream_item(lua_State *L, struct fri_script *s, uint64_t base,
                         int key);

/* Of a scatter or map: items 1..listed, then those whose keys stand in the
 * list at `keys`, item i at i - skip.  NULL: out of memory. */
void *fri_streams_new(lua_State *L, struct fri_script *s, uint64_t base,
                      uint64_t listed, uint64_t count, int keys,
                      uint64_t skip);
void fri_streams_free(void *streams);
uint64_t fri_streams_item(const void *streams, uint64_t i); /* from 0 */
void fri_ordinals_free(const struct fri_memory *m, struct fri_ordinals *o);

/* The generator of this VM. */
enum { FRI_RANDOM_STATE = 32 };
void fri_random_open(lua_State *L, struct fri_script *s);
void fri_random_seed(struct fri_script *s, uint64_t stream);
/* Was anything drawn since it was seeded with that stream? */
bool fri_random_drawn(const struct fri_script *s, uint64_t stream);
void fri_random_save(struct fri_script *s, uint8_t state[FRI_RANDOM_STATE]);
void fri_random_load(struct fri_script *s,
                     const uint8_t state[FRI_RANDOM_STATE]);

/* ---- worker.c --------------------------------------------------------- */

/* A state for tasks.  worker NULL: the helper of the main program `main`.
 * NULL: *error. */
struct fri_runtime *fri_runtime_open(struct fri_script *main,
                                     struct fri_worker *worker,
                                     struct fri_error **error);
void fri_runtime_close(struct fri_runtime *rt);

#endif
