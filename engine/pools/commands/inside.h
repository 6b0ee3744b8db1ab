/*
 * inside.h - names that stay inside a directory.
 *
 * A name is relative, has no "..", and none of the directories on its way is a
 * link: it is walked step by step, and what a link would lead to is an error.
 * "." and doubled slashes count for nothing.
 */
#ifndef FRI_INSIDE_H
#define FRI_INSIDE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>

enum { FRI_NAME_ROOM = PATH_MAX };

/* What is wrong with a name, in words; NULL: nothing. */
const char *fri_inside_fault(const char *name, size_t length);

/* Opens the directory that holds the last part of a name, and makes those on
 * the way if `make`; last: that part.  -1: errno. */
int fri_inside_open(int dir, const char *name, bool make,
                    char last[NAME_MAX + 1]);

/* Has it one of * ? [ ? */
bool fri_inside_is_pattern(const char *name);

/* Calls visit for each name that is there and matches, every part of the
 * pattern being one of fnmatch; a name without such signs is a pattern of its
 * own.  False: visit gave false, or memory or descriptors ran out (errno). */
typedef bool fri_inside_visit(void *user, int dir, const char *last,
                              const char *name);
bool fri_inside_match(int dir, const char *pattern, fri_inside_visit *visit,
                      void *user);

#endif
