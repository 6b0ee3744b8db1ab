/*
 * command.c - frun_pool_command: from a host's struct to the normal form, the
 * map that pools/commands/command.h describes.
 */
#include "api/api.h"

#include "data/value.h"
#include "pools/commands/command.h"

static bool put(frun_value *map, const char *key, frun_value *item)
{
    return frun_value_put(map, key, item) == FRUN_OK;
}

static frun_value *text(const char *s)
{
    return frun_value_str(s, strlen(s));
}

static bool put_text(frun_value *map, const char *key, const char *s)
{
    return !s || put(map, key, text(s));
}

static frun_value *path_of(const char *path)
{
    frun_value *map = frun_value_map();

    if (map && put_text(map, "path", path))
        return map;
    frun_value_free(map);
    return NULL;
}

/* A text, of which 0 is the length up to its zero byte, or a path. */
static frun_value *source(const char *s, size_t length, const char *path)
{
    if (path)
        return path_of(path);
    return s && length == 0 ? text(s) : frun_value_str(s ? s : "", length);
}

static frun_value *list_of(const char *const *texts)
{
    frun_value *list = frun_value_list();

    for (; list && *texts; texts++) {
        if (frun_value_push(list, text(*texts)) == FRUN_OK)
            continue;
        frun_value_free(list);
        return NULL;
    }
    return list;
}

static bool put_list(frun_value *map, const char *key,
                     const char *const *texts)
{
    return !texts || put(map, key, list_of(texts));
}

static bool put_file(frun_value *files, const frun_file *f)
{
    return put(files, f->name ? f->name : "",
               source(f->text, f->length, f->path));
}

static frun_value *files_of(const frun_command *c)
{
    frun_value *files = frun_value_map();

    for (size_t i = 0; files && i < c->file_count; i++) {
        if (put_file(files, &c->files[i]))
            continue;
        frun_value_free(files);
        return NULL;
    }
    return files;
}

/* NAME=value, or NAME, which is removed. */
static bool put_variable(frun_value *map, const char *variable)
{
    const char *end = strchr(variable, '=');
    frun_value *name;
    bool well;

    if (!end)
        return put(map, variable, frun_value_bool(false));
    name = frun_value_str(variable, (size_t)(end - variable));
    well = name && put(map, frun_value_as_str(name), text(end + 1));
    frun_value_free(name);
    return well;
}

static frun_value *env_of(const char *const *variables)
{
    frun_value *map = frun_value_map();

    for (; map && *variables; variables++) {
        if (put_variable(map, *variables))
            continue;
        frun_value_free(map);
        return NULL;
    }
    return map;
}

static frun_value *statuses_of(const frun_command *c)
{
    frun_value *list = frun_value_list();

    for (size_t i = 0; list && i < c->ok_count; i++) {
        if (frun_value_push(list, frun_value_int(c->ok_status[i])) == FRUN_OK)
            continue;
        frun_value_free(list);
        return NULL;
    }
    return list;
}

static bool put_place(frun_value *map, const frun_command *c)
{
    if (c->cwd && strcmp(c->cwd, "temp") == 0)
        return put(map, "temp", frun_value_bool(true))
               && put_text(map, "keep", c->keep);
    return put_text(map, "cwd", c->cwd) && put_text(map, "keep", c->keep);
}

static bool put_streams(frun_value *map, const frun_command *c)
{
    return ((!c->stdin && !c->stdin_path)
            || put(map, "stdin",
                   source(c->stdin, c->stdin_length, c->stdin_path)))
           && put_text(map, "stdout", c->stdout)
           && put_text(map, "stderr", c->stderr)
           && (c->capture == 0
               || put(map, "capture",
                      frun_value_int((int64_t)(c->capture & INT64_MAX))));
}

/* NULL: out of memory. */
static frun_value *normal_form(const frun_command *c)
{
    frun_value *map = frun_value_map();

    if (map && put_list(map, "argv", c->argv)
        && (!c->shell || put(map, "shell", frun_value_bool(true)))
        && put_place(map, c)
        && (c->file_count == 0 || put(map, "files", files_of(c)))
        && put_list(map, "collect", c->collect)
        && (!c->env || put(map, "env", env_of(c->env)))
        && (c->ok_count == 0 || put(map, "ok_status", statuses_of(c)))
        && put_streams(map, c))
        return map;
    frun_value_free(map);
    return NULL;
}

/* As bytes, which need less memory while it waits. */
static frun_status pack(frun_engine *e, const frun_value *map,
                        struct fri_data *data)
{
    struct fri_buffer b;
    frun_status status;

    fri_buffer_init(&b, &e->memory);
    status = fri_value_pack(&b, map);
    data->holds = FRI_MESSAGE;
    data->message = status == FRUN_OK && !b.failed
                        ? fri_message_new(&e->memory, b.data, b.length, NULL,
                                          0)
                        : NULL;
    fri_buffer_free(&b);
    return data->message ? FRUN_OK : fri_no_memory(e);
}

static frun_status read_command(frun_engine *e, const frun_command *c,
                                struct fri_data *data)
{
    frun_value *map = normal_form(c);
    struct fri_error *error = NULL;
    frun_status status;

    if (!map)
        return fri_no_memory(e);
    if (fri_command_check(map, &e->memory, &error))
        status = pack(e, map, data);
    else
        status = fri_fail_error(e, error);
    fri_error_free(error);
    frun_value_free(map);
    return status;
}

frun_status frun_pool_command(frun_pool *pool, const frun_command *command,
                              const frun_policy *policy, frun_future **future)
{
    frun_command own;
    struct fri_call call;
    struct fri_data data;
    frun_status status;

    if (future)
        *future = NULL;
    if (!pool)
        return FRUN_EINVAL;
    if (!fri_options(&own, sizeof own, command))
        return fri_fail(pool->engine, FRUN_EINVAL,
                        "command: its size is of a newer header");
    status = fri_call_command(&call, pool, policy);
    if (status == FRUN_OK)
        status = read_command(pool->engine, &own, &data);
    return status == FRUN_OK ? fri_call_submit(&call, &data, future) : status;
}
