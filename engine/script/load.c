/*
 * load.c - the text of a script, and what Lua makes of it.
 */
#define _GNU_SOURCE
#include "script/program.h"

#include "script/text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

enum { LONGEST_WHY = 65536, PIECE = 65536 };

void fri_program_say(struct fri_program *p, const char *text, size_t length,
                     bool lines)
{
    fri_escape(&p->why, text, length, LONGEST_WHY, lines);
}

static int unread(struct fri_program *p, const char *verb, int error)
{
    fri_buffer_printf(&p->why, "cannot %s '", verb);
    fri_program_say(p, p->argv[p->at], strlen(p->argv[p->at]), false);
    fri_buffer_printf(&p->why, "': %s", strerror(error));
    return error == ENOMEM ? FRI_ENDED_SHORT : FRI_ENDED_UNREAD;
}

int fri_read_all(int fd, struct fri_buffer *bytes)
{
    ssize_t n;

    do {
        if (!fri_buffer_reserve(bytes, PIECE))
            return ENOMEM;
        n = read(fd, bytes->data + bytes->length, PIECE);
        bytes->length += n > 0 ? (size_t)n : 0;
    } while (n > 0 || (n < 0 && errno == EINTR));
    return n < 0 ? errno : 0;
}

static int compile(struct fri_program *p)
{
    const char *name = p->argv[p->at], *why;
    const char *text = (const char *)p->text.data;
    size_t length;
    int status;

    if (strcmp(name, "-") == 0)
        fri_buffer_text(&p->chunk, "=stdin");
    else
        fri_buffer_printf(&p->chunk, "@%s", name);
    fri_buffer_byte(&p->chunk, 0);
    name = (const char *)p->chunk.data;
    if (p->chunk.failed)
        return FRI_ENDED_SHORT;
    status = fri_text_load(p->L, text, p->text.length, name);
    fri_travel_text(p->L, name, text, p->text.length);
    if (status == LUA_OK)
        return FRI_ENDED_WELL;
    why = lua_tolstring(p->L, -1, &length);
    fri_program_say(p, why, length, false);
    lua_pop(p->L, 1);
    return status == LUA_ERRMEM ? FRI_ENDED_SHORT : FRI_ENDED_UNREAD;
}

int fri_program_load(struct fri_program *p)
{
    const char *name = p->argv[p->at];
    bool input = strcmp(name, "-") == 0;
    int fd = input ? 0 : open(name, O_RDONLY | O_CLOEXEC);
    int error;

    if (fd < 0)
        return unread(p, "open", errno);
    error = fri_read_all(fd, &p->text);
    if (!input)
        close(fd);
    return error ? unread(p, "read", error) : compile(p);
}
