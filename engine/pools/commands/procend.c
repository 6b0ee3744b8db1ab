/*
 * procend.c - why a command could not be started, in words.
 */
#include "pools/commands/proc.h"
#include "pools/spawn/order.h"

#include <errno.h>
#include <stdio.h>

/* It is the system's, and may be different at another time. */
static bool is_resource(int error)
{
    return error == EAGAIN || error == ENOMEM || error == EMFILE
           || error == ENFILE || error == ENOSPC || error == EPIPE
           || error == EDQUOT;
}

static const char *words_of(int error)
{
    switch (error) {
    case ENOENT:
    case ENOTDIR: return "not found";
    case EACCES: return "not executable (permission denied)";
    case EISDIR: return "is a directory";
    case ENOEXEC: return "no program of this machine, and no script that "
                         "begins with #!";
    default: return strerror(error);
    }
}

static void program(struct fri_proc_end *end, const char *name, unsigned step)
{
    bool gone = end->error == ENOENT || end->error == ENOTDIR;

    end->status = FRUN_OK;
    end->exit_status = gone && step == FRI_STEP_PROGRAM ? 127 : 126;
    if (step == FRI_STEP_INTERPRETER)
        snprintf(end->text, sizeof end->text, "%.180s: the program that is to "
                 "run it is not there", name);
    else
        snprintf(end->text, sizeof end->text, "%.180s: %s", name,
                 words_of(end->error));
}

/* What it is about, as the script has written it; "": that is not known. */
static const char *path_of(const frun_value *command, unsigned step)
{
    static const char *const fields[] = {
        [FRI_STEP_CWD] = "cwd",       [FRI_STEP_STDIN] = "stdin",
        [FRI_STEP_STDOUT] = "stdout", [FRI_STEP_STDERR] = "stderr",
    };
    const frun_value *v = NULL;
    const char *text;

    if (step < sizeof fields / sizeof *fields && fields[step])
        v = frun_value_get(command, fields[step]);
    if (frun_value_kind(v) == FRUN_MAP)
        v = frun_value_get(v, "path");
    text = frun_value_as_str(v);
    return text ? text : "";
}

void fri_proc_explain(struct fri_proc_end *end, const frun_value *command,
                      const char *name, unsigned step)
{
    const char *path = path_of(command, step);

    static const char *const steps[] = {
        [FRI_STEP_PROCESS] = "no process",
        [FRI_STEP_CWD] = "its directory",
        [FRI_STEP_STDIN] = "its standard input",
        [FRI_STEP_STDOUT] = "its standard output",
        [FRI_STEP_STDERR] = "its standard error",
        [FRI_STEP_MEMORY] = "its memory limit",
    };

    end->message = end->text;
    if (is_resource(end->error) || step < FRI_STEP_PROGRAM)
        end->status = is_resource(end->error) ? FRUN_ERESOURCE : FRUN_ERROR;
    if (step >= FRI_STEP_PROGRAM && !is_resource(end->error)) {
        program(end, name, step);
        return;
    }
    if (step < FRI_STEP_PROCESS || step > FRI_STEP_MEMORY)
        step = FRI_STEP_PROCESS;
    snprintf(end->text, sizeof end->text, "%s%s%.120s: %s", steps[step],
             *path ? " " : "", path, strerror(end->error));
}
