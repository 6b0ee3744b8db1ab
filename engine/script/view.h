/*
 * view.h - between the files that know pools as scripts see them.
 */
#ifndef FRI_SCRIPT_VIEW_H
#define FRI_SCRIPT_VIEW_H

#include "pools/view.h"
#include "script/script.h"

struct fri_limit *fri_limit_test(lua_State *L, struct fri_script *s,
                                 int index);

static inline struct fri_view *fri_box_view(const struct fri_pool_box *box)
{
    return (struct fri_view *)(void *)box->box.handle;
}

/* ---- submit.c: the record of a task, before it is submitted ----------- */

/* These raise when the pool takes no more, or when argument 1 of the method
 * (at 2) is no function. */
void fri_check_open(lua_State *L, const struct fri_script *s,
                    const frun_pool *pool);
void fri_check_function(lua_State *L, const struct fri_pool_box *box,
                        const char *method);

/* Is it a pool of commands? */
bool fri_takes_commands(const struct fri_pool_box *box);

/* The spec of this view for the function at index, of one reference that the
 * box keeps; raises when the function cannot travel.  `name` (NULL: the
 * function's) is that of tasks for which the policy has none. */
struct fri_spec *fri_box_spec(lua_State *L, struct fri_pool_box *box,
                              int index, const char *name);

/* The box keeps (and now owns) these, for the next call. */
void fri_box_keep(struct fri_pool_box *box, struct fri_function *f,
                  struct fri_spec *spec);

/* Where streams of random numbers of this spec begin; the function is at 2. */
uint64_t fri_box_stream(lua_State *L, const struct fri_pool_box *box,
                        struct fri_spec *spec);

/* Its spec was no good. */
void fri_box_forget(struct fri_pool_box *box);

/* A record that belongs to the future's box; NULL: out of memory. */
struct frun_future *fri_new_task(struct fri_script *s, struct fri_spec *spec,
                                 struct fri_box *box);

/* These add to the record: the arguments; the futures among them; the
 * policy's `after`; its name by the policy's function of the value and the
 * key at these indices (0: nil).  False: out of memory. */
bool fri_put_pack(struct frun_future *task, const struct fri_memory *m,
                  const struct fri_pack *pack);
bool fri_add_dependencies(lua_State *L, struct fri_script *s,
                          struct frun_future *task,
                          const struct fri_pack *pack);
bool fri_add_after(lua_State *L, struct fri_script *s,
                   const struct fri_pool_box *box, struct frun_future *task);
bool fri_set_name(lua_State *L, struct fri_pool_box *box,
                  struct frun_future *task, int value, int key);

int fri_pool_submit(lua_State *L); /* pool:submit(fn, ...) */

/* The same for the function at 2 with n arguments behind it. */
int fri_submit_function(lua_State *L, struct fri_script *s,
                        struct fri_pool_box *box, int n, const char *name);

/* command.c: for the table at 2, of a pool of commands. */
int fri_submit_command(lua_State *L, struct fri_script *s,
                       struct fri_pool_box *box);

/* ---- keyed.c: what is known of a task in a journal -------------------- */

/* Before the function is encoded for a pool with that policy. */
void fri_journal_wanted(struct fri_script *s, const struct fri_view *view);

/* Gives the box's new spec what its tasks are known by, if they are kept in a
 * journal; the function is at `index`.  Raises when it cannot be told what it
 * is made of. */
void fri_make_resume(lua_State *L, struct fri_script *s,
                     struct fri_pool_box *box, int index);

/* The same for the function of a script file, whose policy has a journal.
 * EJOURNAL: *why; may raise when memory runs out. */
frun_status fri_make_file_resume(lua_State *L, struct fri_script *s,
                                 struct fri_spec *spec,
                                 const frun_policy *policy, int index,
                                 const char **why);

/* The same of commands without a function. */
void fri_make_command_resume(lua_State *L, struct fri_script *s,
                             struct fri_pool_box *box);

/* Looks up the record, which is complete but not submitted, in the journal of
 * its spec; `futures`: some of its arguments are not known yet, and it is
 * looked up when they are.  May raise. */
void fri_look_up(lua_State *L, struct fri_script *s, struct frun_future *task,
                 bool futures);

/* journals.c: the journal of that path, opened for this run (raises when it
 * cannot be); flow.journal(path); the journal at `index`, or NULL. */
frun_journal *fri_open_journal(lua_State *L, struct fri_script *s,
                               const char *path);
int fri_flow_journal(lua_State *L);
frun_journal *fri_journal_test(lua_State *L, int index);

void fri_journal_option(lua_State *L, struct fri_script *s);

/* "lua5.4" or "luajit": a part of each key. */
extern const char fri_vm[];

/* The main program waits for the first time: how much came from journals, on
 * stderr, once. */
void fri_say_resumed(struct fri_script *s);

/* ---- dry.c: a run without tasks --------------------------------------- */

/* The future, and the n arguments from `first`, stand on the stack. */
void fri_dry_note(lua_State *L, struct fri_script *s, int future, int first,
                  int n);

/* A command's table, and its future; or 0, and the name of one without. */
void fri_dry_command(lua_State *L, struct fri_script *s, int future,
                     int table, const char *name);

/* Says what was noted, on stderr, once. */
void fri_dry_list(lua_State *L, struct fri_script *s);

/* The main program would wait for the set.  True: it need not; else this does
 * not return. */
bool fri_dry_wait(lua_State *L, struct fri_script *s, struct fri_set *set);

/* ---- keys.c ----------------------------------------------------------- */

/* The keys of the table at index beyond 1..#t, sorted (numbers, strings,
 * booleans): a list is pushed, or nil when there are none.  Gives #t. */
int64_t fri_other_keys(lua_State *L, int index);

/* ---- scatter.c -------------------------------------------------------- */

/* Checks pool, function and table of the method, leaves them as 1..3. */
struct fri_pool_box *fri_begin_many(lua_State *L, struct fri_script *s,
                                    const char *method);

/* Submits a task for each item of the table at 3, of list length n, its other
 * keys in the list at `keys` (or nil there); pushes the table of futures. */
int fri_scatter(lua_State *L, struct fri_script *s, struct fri_pool_box *box,
                struct fri_spec *spec, int64_t n, int keys);

int fri_pool_scatter(lua_State *L); /* pool:scatter(fn, t) */

/* ---- lmap.c ----------------------------------------------------------- */

/* core.map(pool, fn, t): "done", results; "range", future, keys; or
 * "futures", the table of them, and whether to wait for all, also when one
 * has failed. */
int fri_core_map(lua_State *L);

/* core.map_results(future, keys): of a range that is done; raises its
 * failure. */
int fri_core_map_results(lua_State *L);

/* ---- worker.c --------------------------------------------------------- */

/* Is a map of so many calls so short that the main program runs it itself, in
 * the place of an idle worker, in the helper's state?  Then does so: the task
 * holds the range and was not submitted. */
bool fri_inline_wanted(struct fri_script *s, frun_pool *pool,
                       const struct fri_function *f, int64_t count);
void fri_inline_run(struct fri_script *s, struct frun_future *task,
                    struct fri_ran *ran);

#endif
