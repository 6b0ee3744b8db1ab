/*
 * journal_files.c - the files that a result hangs on: a line for each,
 *
 *     SIZE SECONDS.NANOSECONDS PATH
 *
 * size and time of change as they were; a file that was not there has size -1.
 * A path that is not absolute is one of the directory in which the process that
 * looks runs, since a task that runs there would take that file.  In the path
 * a backslash and a newline are \\ and \n.
 */
#ifndef FRUN_NO_JOURNAL
#define _GNU_SOURCE
#include "core/journal_private.h"

#include <stdio.h>
#include <sys/stat.h>

static int look(const char *path, char out[64])
{
    struct stat st;

    if (stat(path, &st) != 0)
        return snprintf(out, 64, "-1 0.0");
    return snprintf(out, 64, "%lld %lld.%09ld", (long long)st.st_size,
                    (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
}

void fri_files_note(struct fri_buffer *files, const char *path)
{
    char now[64];
    int n = look(path, now);

    fri_buffer_add(files, now, (size_t)n);
    fri_buffer_byte(files, ' ');
    for (const char *c = path; *c; c++) {
        if (*c == '\\' || *c == '\n')
            fri_buffer_byte(files, '\\');
        fri_buffer_byte(files, (uint8_t)(*c == '\n' ? 'n' : *c));
    }
    fri_buffer_byte(files, '\n');
}

static void read_path(const char *from, const char *end,
                      char path[FRI_JOURNAL_PATH])
{
    size_t n = 0;

    for (; from < end && n < FRI_JOURNAL_PATH - 1; from++) {
        if (*from == '\\' && from + 1 < end)
            from++;
        else {
            path[n++] = *from;
            continue;
        }
        path[n++] = *from == 'n' ? '\n' : *from;
    }
    path[n] = '\0';
}

/* Where the path of a line begins. */
static const char *path_in(const char *line, const char *end)
{
    const char *at = memchr(line, ' ', (size_t)(end - line));

    at = at ? memchr(at + 1, ' ', (size_t)(end - at - 1)) : NULL;
    return at ? at + 1 : end;
}

bool fri_files_changed(struct fri_bytes files, char path[FRI_JOURNAL_PATH])
{
    const char *at = files.data, *all = at + files.length, *end, *name;
    char now[64];

    for (; at && at < all; at = end + 1) {
        end = memchr(at, '\n', (size_t)(all - at));
        end = end ? end : all;
        name = path_in(at, end);
        read_path(name, end, path);
        if (name - at != look(path, now) + 1
            || memcmp(at, now, (size_t)(name - at - 1)) != 0)
            return true;
    }
    return false;
}

#endif
