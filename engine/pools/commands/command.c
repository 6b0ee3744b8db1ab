/*
 * command.c - is it a command?
 */
#include "pools/commands/command.h"

#include <string.h>

struct check {
    const struct fri_memory *memory;
    struct fri_error **error;
};

typedef bool check_field(struct check *c, const char *name,
                         const frun_value *value);

static bool refuse(struct check *c, const char *name, const char *what)
{
    *c->error = fri_error_format(c->memory, FRUN_EINVAL,
                                 "a command's field '%s': %s", name, what);
    return false;
}

/* ---- values ----------------------------------------------------------- */

static bool is_str(const frun_value *v)
{
    return v && frun_value_kind(v) == FRUN_STR;
}

static bool has_nul(const frun_value *str)
{
    return strlen(frun_value_as_str(str)) != frun_value_length(str);
}

static const frun_value *path_of(const frun_value *v)
{
    return frun_value_kind(v) == FRUN_MAP && frun_value_length(v) == 1
               ? frun_value_get(v, "path")
               : NULL;
}

static bool is_path(struct check *c, const char *name, const frun_value *v)
{
    if (!is_str(v) || frun_value_length(v) == 0)
        return refuse(c, name, "a path expected");
    return !has_nul(v) || refuse(c, name, "it has a NUL in it");
}

static bool is_bool(struct check *c, const char *name, const frun_value *v)
{
    return frun_value_kind(v) == FRUN_BOOL
           || refuse(c, name, "true or false expected");
}

static bool is_size(struct check *c, const char *name, const frun_value *v)
{
    return (frun_value_kind(v) == FRUN_INT && frun_value_as_int(v) >= 0)
           || refuse(c, name, "a number of bytes expected");
}

/* Text, or { path = }. */
static bool is_content(struct check *c, const char *name, const frun_value *v)
{
    if (is_str(v))
        return true;
    if (!path_of(v))
        return refuse(c, name, "text or { path = } expected");
    return is_path(c, name, path_of(v));
}

/* ---- fields ----------------------------------------------------------- */

static bool is_argv(struct check *c, const char *name, const frun_value *v)
{
    if (frun_value_kind(v) != FRUN_LIST || frun_value_length(v) == 0)
        return refuse(c, name, "it has no words");
    for (size_t i = 0; i < frun_value_length(v); i++) {
        if (!is_str(frun_value_at(v, i)))
            return refuse(c, name, "a word is not text");
        if (has_nul(frun_value_at(v, i)))
            return refuse(c, name, "a word has a NUL in it");
    }
    return frun_value_length(frun_value_at(v, 0)) > 0
           || refuse(c, name, "the program's name is empty");
}

static bool is_keep(struct check *c, const char *name, const frun_value *v)
{
    const char *word = frun_value_as_str(v);

    return strcmp(word, "failed") == 0 || strcmp(word, "always") == 0
           || refuse(c, name, "'failed' or 'always' expected");
}

static bool is_files(struct check *c, const char *name, const frun_value *v)
{
    if (frun_value_kind(v) != FRUN_MAP)
        return refuse(c, name, "a map expected");
    for (size_t i = 0; i < frun_value_length(v); i++)
        if (!is_str(frun_value_key_at(v, i)))
            return refuse(c, name, "a name is not text");
        else if (!is_content(c, name, frun_value_at(v, i)))
            return false;
    return true;
}

static bool is_names(struct check *c, const char *name, const frun_value *v)
{
    if (frun_value_kind(v) != FRUN_LIST)
        return refuse(c, name, "a list expected");
    for (size_t i = 0; i < frun_value_length(v); i++)
        if (!is_str(frun_value_at(v, i)))
            return refuse(c, name, "a name is not text");
    return true;
}

static bool is_variable(struct check *c, const char *name,
                        const frun_value *key, const frun_value *v)
{
    const char *text = frun_value_as_str(key);

    if (!is_str(key) || !*text || has_nul(key) || strchr(text, '='))
        return refuse(c, name, "that is no name of a variable");
    if (frun_value_kind(v) == FRUN_BOOL && !frun_value_as_bool(v))
        return true;
    if (!is_str(v))
        return refuse(c, name, "text or false expected");
    return !has_nul(v) || refuse(c, name, "a value has a NUL in it");
}

static bool is_env(struct check *c, const char *name, const frun_value *v)
{
    if (frun_value_kind(v) != FRUN_MAP)
        return refuse(c, name, "a map expected");
    for (size_t i = 0; i < frun_value_length(v); i++)
        if (!is_variable(c, name, frun_value_key_at(v, i),
                         frun_value_at(v, i)))
            return false;
    return true;
}

static bool is_statuses(struct check *c, const char *name,
                        const frun_value *v)
{
    if (frun_value_kind(v) != FRUN_LIST)
        return refuse(c, name, "a list expected");
    for (size_t i = 0; i < frun_value_length(v); i++) {
        const frun_value *status = frun_value_at(v, i);
        int64_t n = frun_value_as_int(status);

        if (frun_value_kind(status) != FRUN_INT || n < 0 || n > 255)
            return refuse(c, name, "a status is a number from 0 to 255");
    }
    return true;
}

static const struct field {
    const char *name;
    check_field *check;
} fields[] = {
    { "argv", is_argv },      { "shell", is_bool },
    { "cwd", is_path },       { "temp", is_bool },
    { "keep", is_keep },      { "files", is_files },
    { "collect", is_names },  { "env", is_env },
    { "stdin", is_content },  { "stdout", is_path },
    { "stderr", is_path },    { "ok_status", is_statuses },
    { "capture", is_size },
};

static bool check_pair(struct check *c, const frun_value *key,
                       const frun_value *value)
{
    const char *name = frun_value_as_str(key);

    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (strcmp(name, fields[i].name) == 0)
            return fields[i].check(c, name, value);
    return refuse(c, name, "there is no such field");
}

bool fri_command_check(const frun_value *command, const struct fri_memory *m,
                       struct fri_error **error)
{
    struct check c = { m, error };

    *error = NULL;
    if (!frun_value_get(command, "argv"))
        return refuse(&c, "argv", "it has no words");
    for (size_t i = 0; i < frun_value_length(command); i++)
        if (!check_pair(&c, frun_value_key_at(command, i),
                        frun_value_at(command, i)))
            return false;
    if (frun_value_get(command, "cwd")
        && frun_value_as_bool(frun_value_get(command, "temp")))
        return refuse(&c, "temp", "there is a cwd, too");
    return true;
}

/* ---- small readers ---------------------------------------------------- */

bool fri_command_has_files(const frun_value *command)
{
    return frun_value_get(command, "cwd") || frun_value_get(command, "temp")
           || frun_value_get(command, "files")
           || frun_value_get(command, "collect");
}

const char *fri_command_name(const frun_value *command)
{
    const frun_value *argv = frun_value_get(command, "argv");
    const char *program, *slash;

    if (frun_value_as_bool(frun_value_get(command, "shell")))
        return "sh";
    program = frun_value_as_str(frun_value_at(argv, 0));
    slash = strrchr(program, '/');
    return slash && slash[1] ? slash + 1 : program;
}

void fri_command_end_of(const frun_value *map, struct fri_command_end *end)
{
    const frun_value *out = frun_value_get(map, "out");
    const frun_value *err = frun_value_get(map, "err");
    const frun_value *message = frun_value_get(map, "message");

    *end = (struct fri_command_end){
        .status = (frun_status)frun_value_as_int(frun_value_get(map, "kind")),
        .exit_status = (int)frun_value_as_int(frun_value_get(map, "status")),
        .signal = (int)frun_value_as_int(frun_value_get(map, "signal")),
        .error = (int)frun_value_as_int(frun_value_get(map, "error")),
        .message = message ? frun_value_as_str(message) : NULL,
        .seconds = frun_value_as_num(frun_value_get(map, "seconds")),
        .cpu = frun_value_as_num(frun_value_get(map, "cpu")),
        .memory = frun_value_as_int(frun_value_get(map, "memory")),
        .out = out ? frun_value_as_str(out) : NULL,
        .err = err ? frun_value_as_str(err) : NULL,
        .out_length = frun_value_length(out),
        .err_length = frun_value_length(err),
    };
}
