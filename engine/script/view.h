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
void fri_check_function(lua_State *L, const char *method);

/* The spec of this view for the function (at index, for its source), of one
 * reference that the box keeps; raises when the function cannot travel. */
struct fri_spec *fri_box_spec(lua_State *L, struct fri_pool_box *box,
                              int index);

/* Where streams of random numbers of this spec begin; the function is at 2. */
uint64_t fri_box_stream(lua_State *L, const struct fri_pool_box *box,
                        struct fri_spec *spec);

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
