/*
 * notrun.c - why a command could not be executed, in words that help.
 *
 * The process had the errno only; what stands behind it is looked up here.
 */
#define _GNU_SOURCE
#include "pools/commands/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { NOT_EXECUTABLE = 126 };

static struct fri_error *say(const struct fri_memory *m, const char *program,
                             const char *what, const char *path,
                             const char *why)
{
    return fri_error_format(m, FRUN_EEXIT, "%s: %s%s%s", program, what, path,
                            why);
}

/* ---- files ------------------------------------------------------------ */

/* The path as the command's process would see it from its directory. */
static bool from_dir(const char *dir, const char *name, char path[PATH_MAX])
{
    int n = name[0] == '/' || !dir
                ? snprintf(path, PATH_MAX, "%s", name)
                : snprintf(path, PATH_MAX, "%s/%s", dir, name);

    return n > 0 && n < PATH_MAX;
}

static bool is_there(const char *path, mode_t *mode)
{
    struct stat st;

    if (stat(path, &st) != 0)
        return false;
    *mode = st.st_mode;
    return true;
}

/* The program after #! of a script; "" when there is none. */
static void read_interpreter(const char *path, char out[256])
{
    char line[256];
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    size_t start;

    if (fd >= 0)
        close(fd);
    out[0] = '\0';
    if (n < 3 || line[0] != '#' || line[1] != '!')
        return;
    line[n] = '\0';
    start = 2 + strspn(line + 2, " \t");
    snprintf(out, 256, "%.*s", (int)strcspn(line + start, " \t\r\n"),
             line + start);
}

/* Of a file that is there. */
static struct fri_error *of_file(const struct fri_memory *m,
                                 const char *program, const char *path,
                                 mode_t mode,
                                 const struct fri_command_end *end)
{
    char interpreter[256];

    if (S_ISDIR(mode))
        return say(m, program, "not executable: ", path, " is a directory");
    if (!(mode & 0111))
        return say(m, program, "not executable: ", path,
                   " has no permission to be executed (chmod +x)");
    read_interpreter(path, interpreter);
    if (interpreter[0] && end->error == ENOENT)
        return fri_error_format(m, FRUN_EEXIT,
                                "%s: not executable: the first line of %s asks "
                                "for \"%s\", which is not there", program, path,
                                interpreter);
    if (end->error == ENOEXEC)
        return say(m, program, "not executable: ", path,
                   " is no program of this machine, and no script that begins "
                   "with #!");
    return fri_error_format(m, FRUN_EEXIT, "%s: not executable: %s: %s",
                            program, path,
                            end->error == ENOENT ? "what loads it is not there"
                            : end->error ? strerror(end->error)
                                         : end->message);
}

/* ---- the search path -------------------------------------------------- */

static const char *search_path(const frun_value *command)
{
    const frun_value *path
        = frun_value_get(frun_value_get(command, "env"), "PATH");
    const char *own = getenv("PATH");

    if (path)
        return frun_value_as_str(path);
    return own ? own : "/bin:/usr/bin";
}

/* The first file of that name on the way. */
static bool find(const frun_value *command, const char *dir, const char *name,
                 char path[PATH_MAX], mode_t *mode)
{
    const char *s = search_path(command);
    char part[PATH_MAX];

    for (;; s++) {
        size_t n = strcspn(s, ":");
        int made = snprintf(part, sizeof part, "%.*s/%s", n ? (int)n : 1,
                            n ? s : ".", name);

        if (made > 0 && made < PATH_MAX && from_dir(dir, part, path)
            && is_there(path, mode) && !S_ISDIR(*mode))
            return true;
        s += n;
        if (!*s)
            return false;
    }
}

static struct fri_error *not_found(const char *dir, const char *program,
                                   const struct fri_memory *m)
{
    char path[PATH_MAX];
    mode_t mode;

    if (!from_dir(dir, program, path) || !is_there(path, &mode)
        || S_ISDIR(mode))
        return say(m, program, "command not found", "", "");
    return fri_error_format(m, FRUN_EEXIT,
                            "%s: command not found; there is a file of that "
                            "name in %s: say \"./%s\"%s",
                            program, dir ? dir : "the current directory",
                            program,
                            mode & 0111 ? "" : ", and make it executable");
}

struct fri_error *fri_command_not_run(const frun_value *command,
                                      const char *dir,
                                      const struct fri_command_end *end,
                                      const struct fri_memory *m)
{
    bool shell = frun_value_as_bool(frun_value_get(command, "shell"));
    const char *program
        = shell ? "/bin/sh"
                : frun_value_as_str(frun_value_at(
                    frun_value_get(command, "argv"), 0));
    char path[PATH_MAX];
    mode_t mode;

    if (end->error == E2BIG)
        return say(m, program, "not executable: its words and the environment "
                   "are too long", "", "");
    if (strchr(program, '/'))
        return from_dir(dir, program, path) && is_there(path, &mode)
                   ? of_file(m, program, path, mode, end)
                   : say(m, program, "command not found: there is no such file",
                         "", "");
    if (end->exit_status == NOT_EXECUTABLE
        && find(command, dir, program, path, &mode))
        return of_file(m, program, path, mode, end);
    return not_found(dir, program, m);
}

/* ---- signals ---------------------------------------------------------- */

const char *fri_signal_name(int number, char room[24])
{
    static const struct {
        int number;
        const char *name;
    } names[] = {
#define NAME(signal) { signal, #signal }
        NAME(SIGHUP),  NAME(SIGINT),  NAME(SIGQUIT),   NAME(SIGILL),
        NAME(SIGTRAP), NAME(SIGABRT), NAME(SIGBUS),    NAME(SIGFPE),
        NAME(SIGKILL), NAME(SIGUSR1), NAME(SIGSEGV),   NAME(SIGUSR2),
        NAME(SIGPIPE), NAME(SIGALRM), NAME(SIGTERM),   NAME(SIGXCPU),
        NAME(SIGXFSZ), NAME(SIGSYS),  NAME(SIGVTALRM), NAME(SIGPROF),
#undef NAME
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (names[i].number == number)
            return names[i].name;
    snprintf(room, 24, "signal %d", number);
    return room;
}
