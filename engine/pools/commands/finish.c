/*
 * finish.c - what a command left, and whether that is a failure.
 */
#define _GNU_SOURCE
#include "pools/commands/command.h"

#include "data/value.h"
#include "pools/commands/inside.h"
#include "pools/commands/scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    LINES = 3,    /* of stderr that a message has */
    LONGEST = 400, /* bytes of these */
    WORDS = LONGEST * 3 + 1 /* room for them */
};

/* ---- the result ------------------------------------------------------- */

static bool put(frun_value *map, const char *name, frun_value *item)
{
    return frun_value_put(map, name, item) == FRUN_OK;
}

static bool put_text(frun_value *map, const char *name, const char *text)
{
    return put(map, name, fri_value_text(fri_value_memory(map), text));
}

static bool put_stream(frun_value *map, const char *name, const void *bytes,
                       size_t length, const frun_value *path)
{
    const struct fri_memory *m = fri_value_memory(map);

    return path || put(map, name, fri_value_str(m, bytes, length));
}

/* cwd as the script has written it, so that paths are as short. */
static const char *shown_dir(const frun_value *command, const char *dir)
{
    const frun_value *cwd = frun_value_get(command, "cwd");

    return cwd ? frun_value_as_str(cwd) : dir;
}

static bool put_all(frun_value *map, const frun_value *command,
                    const char *dir, const struct fri_command_end *end)
{
    const struct fri_memory *m = fri_value_memory(map);
    const char *shown = shown_dir(command, dir);

    if (end->status == FRUN_OK
        && !put(map, "status", fri_value_int(m, end->exit_status)))
        return false;
    return put_stream(map, "out", end->out, end->out_length,
                      frun_value_get(command, "stdout"))
           && put_stream(map, "err", end->err, end->err_length,
                         frun_value_get(command, "stderr"))
           && put(map, "seconds", fri_value_num(m, end->seconds))
           && put(map, "cpu", fri_value_num(m, end->cpu))
           && put(map, "memory", fri_value_int(m, end->memory))
           && put(map, "files", fri_value_map(m))
           && (!shown || put_text(map, "dir", shown));
}

frun_value *fri_command_result(const frun_value *command, const char *dir,
                               const struct fri_command_end *end,
                               const struct fri_memory *m)
{
    frun_value *map = fri_value_map(m);

    if (!map || put_all(map, command, dir, end))
        return map;
    frun_value_free(map);
    return NULL;
}

/* ---- texts ------------------------------------------------------------ */

static bool is_blank(char c)
{
    return (unsigned char)c <= ' ' || c == 0x7f;
}

/* Where the last lines of s begin, of those that are not blank. */
static size_t last_lines(const char *s, size_t n)
{
    size_t at = n, lines = 0;
    bool blank = true;

    for (; at > 0 && n - at < LONGEST; at--) {
        if (s[at - 1] == '\n' && !blank && ++lines == LINES)
            break;
        blank = s[at - 1] == '\n' || (blank && is_blank(s[at - 1]));
    }
    while (at < n && at > 0 && ((unsigned char)s[at] & 0xc0) == 0x80)
        at++;
    return at;
}

/* The last lines of what it wrote, on one line; "" when it wrote nothing. */
static void tail(const char *s, size_t n, char out[WORDS])
{
    size_t used = 0;

    while (n > 0 && is_blank(s[n - 1]))
        n--;
    for (size_t at = last_lines(s, n); at < n; at++) {
        if (!is_blank(s[at])) {
            out[used++] = s[at];
        } else if (s[at] == '\n' && used > 0) {
            while (out[used - 1] == ' ')
                used--;
            memcpy(out + used, " | ", 3);
            used += 3;
            while (at + 1 < n && is_blank(s[at + 1]))
                at++;
        } else if (used > 0) {
            out[used++] = ' ';
        }
    }
    out[used] = '\0';
}

/* Programs say what is wrong on stderr; many solvers, on stdout. */
static void last_words(const struct fri_command_end *end,
                       char out[WORDS])
{
    out[0] = '\0';
    if (end->err_length > 0)
        tail(end->err, end->err_length, out);
    if (!out[0] && end->out_length > 0)
        tail(end->out, end->out_length, out);
}

/* ---- files ------------------------------------------------------------ */

struct collection {
    const frun_value *command;
    const struct fri_command_end *end;
    const struct fri_memory *memory;
    const char *dir; /* NULL: the run's own */
    const char *key; /* of the name that is read; NULL: its path */
    frun_value *files;
    struct fri_error *error;
    bool pattern, found, out_of_memory;
};

static bool cannot(struct collection *c, const char *name, const char *why)
{
    c->error = fri_error_format(c->memory, FRUN_ERROR, "collect: \"%s\": %s",
                                name, why);
    c->out_of_memory = !c->error;
    return false;
}

static bool add(struct collection *c, const char *name, frun_value *item)
{
    const char *key = c->pattern ? name : c->key;

    c->found = true;
    c->out_of_memory = !put(c->files, key, item);
    return !c->out_of_memory;
}

static bool read_all(int fd, char *bytes, size_t *length)
{
    size_t used = 0;

    while (used < *length) {
        ssize_t n = read(fd, bytes + used, *length - used);

        if (n == 0)
            break;
        if (n < 0 && errno != EINTR)
            return false;
        used += n > 0 ? (size_t)n : 0;
    }
    *length = used;
    return true;
}

/* As long as it is now: somebody may still write. */
static bool add_text(struct collection *c, int fd, const char *name,
                     size_t length)
{
    char *bytes = fri_alloc(c->memory, length + 1);
    bool ok;

    c->out_of_memory = !bytes;
    if (!bytes)
        return false;
    if (!read_all(fd, bytes, &length))
        ok = cannot(c, name, strerror(errno));
    else
        ok = add(c, name, fri_value_str(c->memory, bytes, length));
    fri_free(c->memory, bytes);
    return ok;
}

static bool add_path(struct collection *c, const char *name)
{
    const char *dir = shown_dir(c->command, c->dir);
    char path[2 * FRI_NAME_ROOM];

    snprintf(path, sizeof path, "%s%s%s", dir ? dir : "", dir ? "/" : "",
             name);
    return add(c, name, fri_value_text(c->memory, path));
}

/* A plain file; of what a pattern found, anything else is passed over.  A
 * socket, or a link to itself, cannot even be opened. */
static bool collect_one(void *user, int dir, const char *last,
                        const char *name)
{
    struct collection *c = user;
    int fd = openat(dir, last, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct stat st;
    bool ok;

    if (fd < 0 && (errno == ENXIO || errno == ELOOP))
        return c->pattern || cannot(c, name, "it is no file");
    if (fd < 0)
        return errno == ENOENT || cannot(c, name, strerror(errno));
    if (fstat(fd, &st) != 0)
        ok = cannot(c, name, strerror(errno));
    else if (!S_ISREG(st.st_mode))
        ok = c->pattern || cannot(c, name, "it is no file");
    else if (frun_value_as_bool(frun_value_get(c->command, "temp")))
        ok = add_text(c, fd, name, (size_t)st.st_size);
    else
        ok = add_path(c, name);
    close(fd);
    return ok;
}

static bool is_missing(struct collection *c, const char *name)
{
    char words[WORDS];

    last_words(c->end, words);
    c->error = fri_error_format(c->memory, FRUN_ERROR,
                                "%s: it did not make \"%s\"%s%s",
                                fri_command_name(c->command), name,
                                *words ? ": " : "", words);
    c->out_of_memory = !c->error;
    return false;
}

static bool collect_name(struct collection *c, int dir, const char *name)
{
    c->key = name;
    c->pattern = fri_inside_is_pattern(name);
    c->found = false;
    if (!fri_inside_match(dir, name, collect_one, c))
        return c->error || c->out_of_memory ? false
                                            : cannot(c, name, strerror(errno));
    return c->pattern || c->found || is_missing(c, name);
}

/* Of a command that failed, what is there: false only when out of memory. */
static bool collect_all(struct collection *c, bool failed)
{
    const frun_value *names = frun_value_get(c->command, "collect");
    int dir = open(c->dir ? c->dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = true;

    if (dir < 0)
        return failed || cannot(c, ".", strerror(errno));
    for (size_t i = 0; ok && i < frun_value_length(names); i++) {
        ok = collect_name(c, dir, frun_value_as_str(frun_value_at(names, i)));
        if (!ok && failed && c->error) {
            fri_error_free(c->error);
            c->error = NULL;
            ok = true;
        }
    }
    close(dir);
    return ok;
}

/* ---- judging ---------------------------------------------------------- */

static bool is_ok(const frun_value *command, int status)
{
    const frun_value *list = frun_value_get(command, "ok_status");

    for (size_t i = 0; i < frun_value_length(list); i++)
        if (frun_value_as_int(frun_value_at(list, i)) == status)
            return true;
    return !list && status == 0;
}

static struct fri_error *bad_status(const frun_value *command,
                                    const struct fri_command_end *end,
                                    const struct fri_memory *m)
{
    char words[WORDS];

    last_words(end, words);
    return fri_error_format(m, FRUN_EEXIT, "%s: exit status %d%s%s",
                            fri_command_name(command), end->exit_status,
                            *words ? ": " : "", words);
}

static struct fri_error *killed(const frun_value *command,
                                const struct fri_command_end *end,
                                const struct fri_memory *m)
{
    char words[WORDS], room[24];

    last_words(end, words);
    return fri_error_format(m, FRUN_ECRASHED,
                            "%s: killed by signal %d (%s)%s%s",
                            fri_command_name(command), end->signal,
                            fri_signal_name(end->signal, room),
                            *words ? ": " : "", words);
}

static struct fri_error *make_error(const frun_value *command,
                                    const char *dir,
                                    const struct fri_command_end *end,
                                    const struct fri_memory *m)
{
    if (end->status == FRUN_ECRASHED)
        return killed(command, end, m);
    if (end->status == FRUN_ECANCELLED && !end->message)
        return fri_error_new(m, FRUN_ECANCELLED, "told to stop while it ran",
                             NULL, NULL);
    if (end->status != FRUN_OK)
        return fri_error_format(m, end->status, "%s: %s",
                                fri_command_name(command),
                                end->message
                                    ? end->message
                                    : frun_status_text(end->status));
    return end->message ? fri_command_not_run(command, dir, end, m)
                        : bad_status(command, end, m);
}

static bool succeeded(const frun_value *command,
                      const struct fri_command_end *end)
{
    return end->status == FRUN_OK && !end->message
           && is_ok(command, end->exit_status);
}

/* ---- the whole -------------------------------------------------------- */

/* Cancelled is not failed. */
static bool keeps(const frun_value *command, bool failed)
{
    const char *keep = frun_value_as_str(frun_value_get(command, "keep"));

    return strcmp(keep, "always") == 0
           || (failed && strcmp(keep, "failed") == 0);
}

static bool is_temp(const frun_value *command)
{
    return frun_value_as_bool(frun_value_get(command, "temp"));
}

/* Where it cannot be moved it stays where it is: it is removed then. */
static void keep(const char *name, char **dir, const struct fri_memory *m)
{
    char *kept = fri_scratch_is_kept(*dir) ? NULL
                                           : fri_scratch_keep(*dir, name, m);

    if (!kept)
        return;
    fri_free(m, *dir);
    *dir = kept;
}

static struct fri_error *blame(struct fri_error *error,
                               const struct fri_command_end *end,
                               frun_value *result)
{
    if (!error) {
        frun_value_free(result);
        return NULL;
    }
    if (error->public.status == FRUN_EEXIT)
        error->public.exit_status = end->exit_status;
    error->public.signal = end->status == FRUN_ECRASHED ? end->signal : 0;
    fri_error_set_result(error, result);
    return error;
}

/* The error of the attempt; NULL: it succeeded, or out of memory. */
static struct fri_error *judge(const frun_value *command, const char *dir,
                               const struct fri_command_end *end,
                               const struct fri_memory *m, frun_value *result,
                               bool *ok)
{
    struct collection c = { command, end, m, .dir = dir };
    struct fri_error *error = NULL;

    *ok = succeeded(command, end);
    if (!*ok)
        error = make_error(command, dir, end, m);
    if (!frun_value_get(command, "collect"))
        return error;
    c.files = fri_value_map(m);
    if (!c.files || !collect_all(&c, !*ok) || c.out_of_memory)
        *ok = false;
    if (!put(result, "files", c.files))
        *ok = false;
    return error ? error : c.error;
}

bool fri_command_finish(const frun_value *command, const char *name,
                        char **dir, const struct fri_command_end *end,
                        const struct fri_memory *m, frun_value **result,
                        struct fri_error **error)
{
    frun_value *map = fri_command_result(command, *dir, end, m);
    bool ok = false;

    *result = NULL;
    *error = NULL;
    if (map)
        *error = judge(command, *dir, end, m, map, &ok);
    if (*dir && is_temp(command)
        && keeps(command, !ok && end->status != FRUN_ECANCELLED)) {
        keep(name, dir, m);
        ok = (!map || put_text(map, "dir", *dir)) && ok;
    }
    if (ok)
        *result = map;
    else
        *error = blame(*error, end, map);
    return ok;
}

void fri_command_leave(const frun_value *command, const char *name, char **dir,
                       bool failed, const struct fri_memory *m, char **kept)
{
    if (kept)
        *kept = NULL;
    if (!*dir)
        return;
    if (is_temp(command)) {
        if (keeps(command, failed))
            keep(name, dir, m);
        if (!fri_scratch_is_kept(*dir))
            fri_tree_remove(*dir);
        else if (kept)
            *kept = fri_strdup(m, *dir);
    }
    fri_free(m, *dir);
    *dir = NULL;
}
