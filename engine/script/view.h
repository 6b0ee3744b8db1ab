/*
 * view.h - between the files that know pools as scripts see them.
 */
#ifndef FRI_VIEW_H
#define FRI_VIEW_H

#include "script/script.h"

struct fri_limit *fri_limit_test(lua_State *L, struct fri_script *s,
                                 int index);

/* One reference, the caller's; NULL: out of memory. */
struct fri_view *fri_view_new(frun_pool *pool, bool weak);
struct fri_view *fri_view_copy(const struct fri_view *from, bool weak);

/* Takes over the policy of another; false: out of memory. */
bool fri_view_inherit(struct fri_view *to, const struct fri_view *from);

static inline struct fri_view *fri_box_view(const struct fri_pool_box *box)
{
    return (struct fri_view *)(void *)box->box.handle;
}

/* The spec of this view for the function (at index, for its source), of one
 * reference that the box keeps; NULL: a refusal or error was pushed. */
struct fri_spec *fri_box_spec(lua_State *L, struct fri_pool_box *box,
                              int index);

/* The keys of the table at index beyond 1..#t, sorted (numbers, strings,
 * booleans): a list is pushed, or nil when there are none.  Gives #t. */
int64_t fri_other_keys(lua_State *L, int index);

/* Is a map of so many calls so short that the main program runs it itself, in
 * the place of an idle worker, in the helper's state?  Then does so: the task
 * holds the range and was not submitted. */
bool fri_inline_wanted(struct fri_script *s, frun_pool *pool,
                       const struct fri_function *f, int64_t count);
void fri_inline_run(struct fri_script *s, struct frun_future *task,
                    struct fri_ran *ran);

#endif
