/*
 * command.h - what a command is, what it needs on the disk, what it left.
 *
 * A command is a map in normal form; what is not there is not asked for:
 *
 *    argv            list of words: the program, then its arguments; with
 *                    `shell` a line for sh, then its $1, $2 ...
 *    shell           bool
 *    cwd             where it runs: made if missing, with parents
 *    temp            bool: it runs in a fresh directory (0700), that is removed
 *    keep            "failed", "always": the fresh directory stays
 *    files           map of names to texts, or to { path = } to be copied
 *    collect         list of names and patterns: read when it has ended
 *    env             map of names to values, or to false: removed
 *    stdin           text, or { path = }
 *    stdout, stderr  paths in place of capture
 *    ok_status       list of statuses that are no failure; without: 0
 *    capture         bytes kept of each stream
 *
 * Names in `files` and `collect`, and stdout and stderr, are within the
 * command's directory; cwd and { path = } are as the run sees them.
 *
 * Everything here but check and the small readers works on files and may
 * block; nothing takes a lock of the engine's, or needs to be called on a
 * certain thread, or in a certain process.
 */
#ifndef FRI_COMMAND_H
#define FRI_COMMAND_H

#include "data/error.h"

struct fri_scratch;

/* Is it one?  False: *error (EINVAL, the message names the field), or NULL
 * when out of memory.  Names that lead out of the directory are for prepare:
 * they fail the task, not the call. */
bool fri_command_check(const frun_value *command, const struct fri_memory *m,
                       struct fri_error **error);

/* False: nothing is to be prepared, and no directory is to be left. */
bool fri_command_has_files(const frun_value *command);

/* The program without its path; "sh" for a line of the shell. */
const char *fri_command_name(const frun_value *command);

/* Makes the directory, removes in it what is to be collected, writes files.
 * *dir: its absolute path, the caller's, or NULL: the run's own.  `name` is
 * the task's.  False: *error, or NULL when out of memory; a temporary directory
 * is gone, and when a name was bad, nothing was written. */
bool fri_command_prepare(const frun_value *command,
                         struct fri_scratch *scratch, const char *name,
                         const struct fri_memory *m, char **dir,
                         struct fri_error **error);

/* How its process ended; the texts are the caller's. */
struct fri_command_end {
    /* OK: by itself; or with a message: it could not be executed, 126 or 127.
     * ECRASHED: by `signal`.  Any other: what became of the attempt. */
    frun_status status;
    int exit_status, signal;
    int error;           /* errno that goes with the message, else 0 */
    const char *message; /* NULL: none */
    double seconds, cpu;
    int64_t memory;
    const void *out, *err; /* NULL: not captured */
    size_t out_length, err_length;
};

/* Read from a map of the same names, into which it then points; but `status`
 * is the exit status there, and `kind` the frun_status. */
void fri_command_end_of(const frun_value *map, struct fri_command_end *end);

/* What it left, as tasks see it, without judging it: status, out, err, files,
 * seconds, cpu, memory, dir.  NULL: out of memory. */
frun_value *fri_command_result(const frun_value *command, const char *dir,
                               const struct fri_command_end *end,
                               const struct fri_memory *m);

/* The same, judged, with what was collected.  False: *error, with the result
 * in it, or NULL when out of memory.  A directory that is now known to stay
 * is moved where it stays: *dir changes. */
bool fri_command_finish(const frun_value *command, const char *name,
                        char **dir, const struct fri_command_end *end,
                        const struct fri_memory *m, frun_value **result,
                        struct fri_error **error);

/* The attempt is over, its parsing too: removes or keeps a temporary
 * directory, frees *dir and makes it NULL.  failed: not when cancelled.
 * *kept (may be NULL): where it now is, the caller's, or NULL: gone. */
void fri_command_leave(const frun_value *command, const char *name, char **dir,
                       bool failed, const struct fri_memory *m, char **kept);

/* ---- between the files of commands ------------------------------------ */

/* Why it could not be executed, in words that help. */
struct fri_error *fri_command_not_run(const frun_value *command,
                                      const char *dir,
                                      const struct fri_command_end *end,
                                      const struct fri_memory *m);

/* "SIGKILL"; or "signal 99". */
const char *fri_signal_name(int number, char room[24]);

#endif
