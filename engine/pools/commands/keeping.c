#include "pools/commands/keeping.h"

#include "base/hash.h"

#include <string.h>

/* ---- what they are known by ------------------------------------------- */

struct fri_digest fri_command_digest(const frun_engine *e, const char *version)
{
    struct fri_digester d;

    fri_digest_begin(&d);
    fri_digest_text(&d, "command", 7);
    fri_digest_number(&d, e->seed);
    if (version)
        fri_digest_text(&d, version, strlen(version));
    return fri_digest_end(&d);
}

static bool add_part(const struct fri_memory *m, struct fri_resume *r,
                     const char *name, const void *bytes, size_t length)
{
    struct fri_digest digest = fri_digest_of(bytes, length);
    struct fri_part *part = &r->parts[r->count];

    memcpy(&part->digest, digest.bytes, sizeof part->digest);
    part->name = fri_strdup(m, name);
    r->count += part->name != NULL;
    return part->name;
}

static bool add_parts(const frun_engine *e, struct fri_resume *r,
                      const char *version)
{
    r->parts = fri_alloc_zero(&e->memory, 2 * sizeof *r->parts);
    return r->parts
           && add_part(&e->memory, r, "seed", &e->seed, sizeof e->seed)
           && (!version
               || add_part(&e->memory, r, "version", version,
                           strlen(version)));
}

struct fri_resume *fri_command_resume(frun_engine *e, frun_journal *journal,
                                      const char *version, const char *name)
{
    struct fri_resume *r = fri_alloc_zero(&e->memory, sizeof *r);

    if (!r || !add_parts(e, r, version)) {
        fri_resume_free(&e->memory, r);
        return NULL;
    }
    r->journal = journal;
    r->digest = fri_command_digest(e, version);
    r->identity = name ? fri_hash(name, strlen(name), 1) : 3;
    return r;
}

/* ---- files ------------------------------------------------------------ */

bool fri_is_kept(const struct frun_future *task)
{
    const struct fri_extra *x = fri_extra_seen(task);

    return x && x->keep;
}

static const frun_value *path_in(const frun_value *content)
{
    return content && frun_value_kind(content) == FRUN_MAP
               ? frun_value_get(content, "path")
               : NULL;
}

bool fri_command_reads(const frun_value *command)
{
    const frun_value *files = frun_value_get(command, "files");

    for (size_t i = 0; i < frun_value_length(files); i++)
        if (path_in(frun_value_at(files, i)))
            return true;
    return path_in(frun_value_get(command, "stdin"));
}

static void note(const frun_value *path, struct fri_buffer *list)
{
    if (path)
        fri_files_note(list, frun_value_as_str(path));
}

void fri_command_note(const frun_value *command, struct fri_buffer *list)
{
    const frun_value *files = frun_value_get(command, "files");

    note(path_in(frun_value_get(command, "stdin")), list);
    for (size_t i = 0; i < frun_value_length(files); i++)
        note(path_in(frun_value_at(files, i)), list);
}

void fri_command_note_made(const frun_value *command, const frun_value *result,
                           struct fri_buffer *list)
{
    const frun_value *files = frun_value_get(result, "files");

    if (frun_value_as_bool(frun_value_get(command, "temp")))
        return; /* their texts are in the result */
    for (size_t i = 0; i < frun_value_length(files); i++)
        note(frun_value_at(files, i), list);
}

bool fri_command_keep(frun_engine *e, struct frun_future *task,
                      struct fri_buffer *list)
{
    bool ok = !list->failed;

    fri_lock(e);
    if (ok && fri_is_kept(task) && !fri_is_final(task))
        fri_keep_files(task->extra->keep, list);
    fri_unlock(e);
    fri_buffer_free(list);
    return ok;
}
