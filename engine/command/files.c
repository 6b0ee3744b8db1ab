/*
 * files.c - may the files that are asked for be written at the end?
 *
 * Who computes for a day wants to know before.  What becomes of a place until
 * then nobody knows: at the end it is looked at again.
 */
#define _GNU_SOURCE
#include "command/options.h"

#include "core/output.h"

#include <errno.h>
#include <string.h>

static void put_name(struct fri_buffer *out, const char *path)
{
    fri_buffer_byte(out, '\'');
    fri_escape(out, path, strlen(path), 400, false);
    fri_buffer_byte(out, '\'');
}

/* What else is to stand in file i, or NULL. */
static const char *other_use(const struct fri_options *o, size_t i,
                             const char *script)
{
    const char *path = o->files[i].path;

    if (fri_report_same(path, script))
        return "is the script";
    if (o->journal && fri_report_same(path, o->journal))
        return "is the journal, too";
    for (size_t j = 0; j < i; j++)
        if (fri_report_same(path, o->files[j].path))
            return "is asked for twice";
    return NULL;
}

int fri_files_check(const struct fri_options *o, const char *script,
                    struct fri_buffer *wrong)
{
    for (size_t i = 0; i < o->file_count; i++) {
        const char *path = o->files[i].path, *use = other_use(o, i, script);
        int error = use ? 0 : fri_report_probe(path);

        if (!use && !error)
            continue;
        fri_buffer_text(wrong, use ? "" : "cannot write ");
        put_name(wrong, path);
        fri_buffer_printf(wrong, "%s%s", use ? " " : ": ",
                          use ? use : strerror(error));
        return use ? FRI_FILES_USAGE : FRI_FILES_UNWRITABLE;
    }
    return 0;
}
