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

static bool put_text(frun_value *map, const char *key, const char *s)
{
    return !s || put(map, key, fri_value_text(fri_value_memory(map), s));
}

static frun_value *path_of(const struct fri_memory *m, const char *path)
{
    frun_value *map = fri_value_map(m);

    if (map && put_text(map, "path", path))
        return map;
    frun_value_free(map);
    return NULL;
}

/* A text, of which 0 is the length up to its zero byte, or a path. */
static frun_value *source(const struct fri_memory *m, const char *s,
                          size_t length, const char *path)
{
    if (path)
        return path_of(m, path);
    return s && length == 0 ? fri_value_text(m, s)
                            : fri_value_str(m, s, s ? length : 0);
}

static frun_value *list_of(const struct fri_memory *m,
                           const char *const *texts)
{
    frun_value *list = fri_value_list(m);

    for (; list && *texts; texts++) {
        if (frun_value_push(list, fri_value_text(m, *texts)) == FRUN_OK)
            continue;
        frun_value_free(list);
        return NULL;
    }
    return list;
}

static bool put_list(frun_value *map, const char *key,
                     const char *const *texts)
{
    return !texts || put(map, key, list_of(fri_value_memory(map), texts));
}

static bool put_file(frun_value *files, const frun_file *f)
{
    return put(files, f->name ? f->name : "",
               source(fri_value_memory(files), f->text, f->length, f->path));
}

static frun_value *files_of(const struct fri_memory *m,
                            const frun_command *c)
{
    frun_value *files = fri_value_map(m);

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
    const struct fri_memory *m = fri_value_memory(map);
    const char *end = strchr(variable, '=');
    frun_value *name;
    bool well;

    if (!end)
        return put(map, variable, frun_value_bool(false));
    name = fri_value_str(m, variable, (size_t)(end - variable));
    well = name
           && put(map, frun_value_as_str(name), fri_value_text(m, end + 1));
    frun_value_free(name);
    return well;
}

static frun_value *env_of(const struct fri_memory *m,
                          const char *const *variables)
{
    frun_value *map = fri_value_map(m);

    for (; map && *variables; variables++) {
        if (put_variable(map, *variables))
            continue;
        frun_value_free(map);
        return NULL;
    }
    return map;
}

static frun_value *statuses_of(const struct fri_memory *m,
                               const frun_command *c)
{
    frun_value *list = fri_value_list(m);

    for (size_t i = 0; list && i < c->ok_count; i++) {
        if (frun_value_push(list, fri_value_int(m, c->ok_status[i])) == FRUN_OK)
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
    const struct fri_memory *m = fri_value_memory(map);

    return ((!c->stdin && !c->stdin_path)
            || put(map, "stdin",
                   source(m, c->stdin, c->stdin_length, c->stdin_path)))
           && put_text(map, "stdout", c->stdout)
           && put_text(map, "stderr", c->stderr)
           && (c->capture == 0
               || put(map, "capture",
                      fri_value_int(m, (int64_t)(c->capture & INT64_MAX))));
}

/* NULL: out of memory. */
static frun_value *normal_form(const struct fri_memory *m,
                               const frun_command *c)
{
    frun_value *map = fri_value_map(m);

    if (map && put_list(map, "argv", c->argv)
        && (!c->shell || put(map, "shell", frun_value_bool(true)))
        && put_place(map, c)
        && (c->file_count == 0 || put(map, "files", files_of(m, c)))
        && put_list(map, "collect", c->collect)
        && (!c->env || put(map, "env", env_of(m, c->env)))
        && (c->ok_count == 0 || put(map, "ok_status", statuses_of(m, c)))
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
    frun_value *map = normal_form(&e->memory, c);
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

static frun_status read_own(frun_engine *e, const frun_command *command,
                            frun_command *own)
{
    if (!fri_options(own, sizeof *own, command))
        return fri_fail(e, FRUN_EINVAL, "command: it is of a newer header");
    if (own->file_count > 0 && !own->files)
        return fri_fail(e, FRUN_EINVAL, "command: no files");
    if (own->ok_count > 0 && !own->ok_status)
        return fri_fail(e, FRUN_EINVAL, "command: no ok_status");
    return FRUN_OK;
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
    if (!pool || !fri_engine_owned(pool->engine))
        return FRUN_EINVAL;
    status = read_own(pool->engine, command, &own);
    if (status != FRUN_OK)
        return status;
    status = fri_call_command(&call, pool, policy);
    if (status == FRUN_OK)
        status = read_command(pool->engine, &own, &data);
    return status == FRUN_OK ? fri_call_submit(&call, &data, future) : status;
}
