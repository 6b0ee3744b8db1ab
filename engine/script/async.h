/*
 * async.h - functions that run as coroutines of the main program.
 */
#ifndef FRI_ASYNC_H
#define FRI_ASYNC_H

#include "script/script.h"

/* One async function, from its call to its end. */
struct fri_async {
    struct fri_due due; /* posted when it can go on */
    struct fri_async *next, **link; /* in script->asyncs */
    struct fri_flow flow;
    struct fri_script *script;
    struct frun_future *future; /* a reference */
    int co_ref;
    int arguments; /* on its stack, before it starts */
    bool raised; /* its wait has ended by `error` */
    struct fri_error *error; /* NULL: out of memory */
    bool packed; /* its values are wanted as a message */
};

/* Lock held: a set's wake. */
void fri_async_wake(struct fri_set *set);

/* Lock held: fri_wait.raise of the set of one. */
bool fri_async_raise(struct fri_wait *wait, struct fri_error *error);

/* Pushes the values of an async future that was made in this state; their
 * number, or -1 (nothing pushed) when it is none. */
int fri_async_values(lua_State *L, struct fri_script *s,
                     struct frun_future *f);

/* Ends one that waits; false: it is none, or does not wait. */
bool fri_async_cancel(lua_State *L, struct fri_script *s,
                      struct frun_future *f);

/* The run is over: ends all that wait as cancelled. */
void fri_async_close(lua_State *L, struct fri_script *s);

/* The userdata of a future goes: the values kept for it do, too. */
void fri_async_forget(lua_State *L, struct frun_future *f);

#endif
