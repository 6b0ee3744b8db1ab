/*
 * keeping.h - commands that a journal keeps: what they are known by, and the
 * files on which their results hang.
 *
 * A bare command is known by the command itself, as it stands, the policy's
 * version, and the seed of the run, which it finds in its environment.  What
 * it computes with is not Lua's, so both Luas take each other's entries.
 *
 * The files that it reads are noted before they are, those that it has made
 * when they have been collected: a list for each attempt, which the row gets
 * when the attempt has ended well.  Paths stand in it as the command has them,
 * so that an entry is not used from another directory, where they mean others.
 */
#ifndef FRI_KEEPING_H
#define FRI_KEEPING_H

#include "core/resume.h"
#include "pools/commands/command.h"

/* Of bare commands with that version, or NULL. */
struct fri_digest fri_command_digest(const frun_engine *e,
                                     const char *version);

/* The same, for the spec of such tasks, whose policy's name is `name`, or
 * NULL.  NULL: out of memory. */
struct fri_resume *fri_command_resume(frun_engine *e, frun_journal *journal,
                                      const char *version, const char *name);

/* Does a journal keep the task? */
bool fri_is_kept(const struct frun_future *task);

/* Is there a path among what it reads? */
bool fri_command_reads(const frun_value *command);

/* May block: adds to the list what it reads, or what it has collected where
 * that stays. */
void fri_command_note(const frun_value *command, struct fri_buffer *list);
void fri_command_note_made(const frun_value *command, const frun_value *result,
                           struct fri_buffer *list);

/* No lock.  The task's row gets the list (taken), unless the task is final by
 * now.  False: the list has failed. */
bool fri_command_keep(frun_engine *e, struct frun_future *task,
                      struct fri_buffer *list);

#endif
