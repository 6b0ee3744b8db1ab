/*
 * scratch.h - temporary directories of commands.
 *
 * An engine has one root, made when it is first needed, in which the
 * directories of its commands are.  A root is known by its name, its owner and
 * the lock file that it holds for as long as its run lives; so what crashed
 * runs have left is found, and removed, by the next one.
 */
#ifndef FRI_SCRATCH_H
#define FRI_SCRATCH_H

#include "data/error.h"

struct fri_scratch;

/* made: called once with the path of the root, when it was made, by whoever
 * needed it.  NULL: out of memory. */
struct fri_scratch *fri_scratch_new(const struct fri_memory *m,
                                    void (*made)(void *user, const char *root),
                                    void *user);
void fri_scratch_free(struct fri_scratch *s); /* removes the root */

/* Any thread.  NULL: *error. */
const char *fri_scratch_root(struct fri_scratch *s, struct fri_error **error);

/* In a worker process: the root is the engine's, and stays when s is freed.
 * False: out of memory. */
bool fri_scratch_adopt(struct fri_scratch *s, const char *root);

/* A fresh directory (0700) in the root; its absolute path, the caller's.
 * NULL: *error, or NULL when out of memory. */
char *fri_scratch_dir(struct fri_scratch *s, const char *name,
                      const struct fri_memory *m, struct fri_error **error);

/* Moves it out of the root, where nobody removes it; its new path, the
 * caller's, or NULL: it is still where it was. */
char *fri_scratch_keep(const char *dir, const char *name,
                       const struct fri_memory *m);

/* Has it been moved? */
bool fri_scratch_is_kept(const char *dir);

#define FRI_SCRATCH_LOCK ".lock"

/* tree.c: removes the directory and what is in it, however deep, and follows
 * no link.  Nothing that cannot be removed stops it. */
void fri_tree_remove(const char *path);
void fri_tree_remove_at(int dir, const char *name);

#endif
