/*
 * source.c - a function's name and its source text.
 */
#include "script/travel_private.h"

#include <ctype.h>
#include <stdio.h>

/* ---- names ------------------------------------------------------------ */

static void library_name(lua_State *L, int i, char *name, size_t size)
{
    const struct fri_travel *t = fri_travel_of(L);
    const struct fri_name *n = fri_names_find(t, lua_topointer(L, i));
    const char *text = n ? n->text : "function";
    size_t length = n ? n->length : strlen(text);

    if (length > 3 && memcmp(text, "_G", 3) == 0) {
        text += 3;
        length -= 3;
    }
    if (length >= size)
        length = size - 1;
    memcpy(name, text, length);
    name[length] = '\0';
    for (size_t k = 0; k < length; k++)
        if (name[k] == '\0')
            name[k] = '.';
}

/* One of ours goes by its name, too. */
static bool is_of_library(lua_State *L, int i, const lua_Debug *d)
{
    if (*d->what == 'C' || d->linedefined < 0)
        return true;
    return strncmp(d->source, FRI_OWN_CHUNK, strlen(FRI_OWN_CHUNK)) == 0
           && fri_names_find(fri_travel_of(L), lua_topointer(L, i));
}

/* "crash.lua:12", "string.format", "flowrun.sleep" */
void fri_function_name(lua_State *L, int i, char *name, size_t size)
{
    const char *file, *slash;
    lua_Debug d;

    lua_pushvalue(L, i);
    lua_getinfo(L, ">S", &d);
    if (is_of_library(L, i, &d)) {
        library_name(L, i, name, size);
        return;
    }
    file = d.short_src;
    if (*d.source == '@') {
        slash = strrchr(d.source, '/');
        file = slash ? slash + 1 : d.source + 1;
    }
    snprintf(name, size, "%.*s:%d", (int)size - 12, file, d.linedefined);
}

/* ---- source text ------------------------------------------------------ */

static bool read_file(struct fri_travel *t, const char *path)
{
    char *copy;
    FILE *f;

    if (t->source_path && strcmp(t->source_path, path) == 0)
        return true;
    fri_free(t->memory, t->source_path);
    t->source_path = NULL;
    t->source.length = 0;
    t->source.failed = false;
    f = fopen(path, "rb");
    if (!f)
        return false;
    while (fri_buffer_reserve(&t->source, 4096)) {
        size_t n = fread(t->source.data + t->source.length, 1, 4096, f);

        if (n == 0)
            break;
        t->source.length += n;
    }
    fclose(f);
    copy = fri_strdup(t->memory, path);
    t->source_path = t->source.failed ? NULL : copy;
    if (t->source.failed)
        fri_free(t->memory, copy);
    return t->source_path != NULL;
}

/* Lines first..last of s, the whole with first 0; false: not that many. */
static bool cut_lines(const char **s, const char **end, int first, int last)
{
    const char *at = *s, *stop;

    for (int line = 1; line < first; line++) {
        at = memchr(at, '\n', (size_t)(*end - at));
        if (!at)
            return false;
        at++;
    }
    *s = at;
    if (first <= 0)
        return true;
    for (int line = first; line <= last; line++) {
        if (at >= *end)
            return line > first;
        stop = memchr(at, '\n', (size_t)(*end - at));
        at = stop ? stop + 1 : *end;
    }
    *end = at;
    return true;
}

/* ---- tokens ----------------------------------------------------------- */

/* Behind the long bracket that begins at s, NULL when none does. */
static const char *long_bracket(const char *s, const char *end)
{
    const char *p = s + 1;
    ptrdiff_t level;

    while (p < end && *p == '=')
        p++;
    if (p >= end || *s != '[' || *p != '[')
        return NULL;
    level = p - s - 1;
    for (p++; p < end; p++) {
        const char *q = p + 1;

        if (*p != ']')
            continue;
        while (q < end && *q == '=')
            q++;
        if (q < end && *q == ']' && q - p - 1 == level)
            return q + 1;
    }
    return end;
}

static const char *skip_comment(const char *s, const char *end)
{
    const char *stop = s < end ? long_bracket(s, end) : NULL;

    if (stop)
        return stop;
    stop = memchr(s, '\n', (size_t)(end - s));
    return stop ? stop : end;
}

static const char *quoted(const char *s, const char *end)
{
    char quote = *s++;

    for (; s < end && *s != quote && *s != '\n'; s++)
        if (*s == '\\' && s + 1 < end)
            s++;
    return s < end ? s + 1 : end;
}

static bool is_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || c == '.';
}

static const char *token_end(const char *s, const char *end)
{
    const char *stop = long_bracket(s, end);

    if (stop)
        return stop;
    if (*s == '"' || *s == '\'')
        return quoted(s, end);
    if (!is_word(*s))
        return s + 1;
    while (s < end && is_word(*s))
        s++;
    return s;
}

/* Of the tokens: space and comments do not count. */
static uint64_t hash_tokens(const char *s, const char *end)
{
    uint64_t h = 0;

    while (s < end) {
        const char *stop;

        if (isspace((unsigned char)*s)) {
            s++;
        } else if (*s == '-' && s + 1 < end && s[1] == '-') {
            s = skip_comment(s + 2, end);
        } else {
            stop = token_end(s, end);
            h = fri_hash(s, (size_t)(stop - s), h);
            s = stop;
        }
    }
    return h;
}

/* ---- the hash --------------------------------------------------------- */

static bool source_hash(struct fri_travel *t, const lua_Debug *d,
                        uint64_t *hash)
{
    const char *s = d->source, *end;

    if (*s == '=')
        return false;
    if (*s == '@') {
        if (!read_file(t, s + 1))
            return false;
        s = (const char *)t->source.data;
        end = s + t->source.length;
    } else {
        end = s + strlen(s);
    }
    if (end == s || !cut_lines(&s, &end, d->linedefined, d->lastlinedefined))
        return false;
    *hash = hash_tokens(s, end);
    return true;
}

static uint64_t dump_hash(lua_State *L, struct fri_travel *t, int i)
{
    uint64_t hash = 0;
    size_t length;
    const char *s;

    fri_push_ref(L, t->string_dump);
    lua_pushvalue(L, i);
    lua_pushboolean(L, 1);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK) {
        s = lua_tolstring(L, -1, &length);
        hash = s ? fri_hash(s, length, 1) : 0;
    }
    lua_pop(L, 1);
    return hash;
}

uint64_t fri_function_source_hash(lua_State *L, int index)
{
    struct fri_travel *t = fri_travel_of(L);
    uint64_t serial = fri_serial(L, t, index), hash;
    struct fri_known *known = serial ? fri_known_at(t, serial) : NULL;
    struct fri_code *code = known ? known->code : NULL;
    char name[64];
    lua_Debug d;

    if (code && code->hashed)
        return code->source_hash;
    if (code && fri_source_find(L, t, index, code)
        && code->source.kind == FRI_SOURCE_DIGEST)
        return code->source.own;
    index = lua_absindex(L, index);
    lua_pushvalue(L, index);
    lua_getinfo(L, ">S", &d);
    if (*d.what == 'C' || d.linedefined < 0) {
        library_name(L, index, name, sizeof(name));
        return fri_hash(name, strlen(name), 2);
    }
    if (!source_hash(t, &d, &hash))
        hash = dump_hash(L, t, index);
    if (code) {
        code->hashed = true;
        code->source_hash = hash;
    }
    return hash;
}

/* ---- for keys --------------------------------------------------------- */

/* Of the Lua function at i, NULL: not known. */
static const struct fri_code *code_of(lua_State *L, struct fri_travel *t,
                                      int i)
{
    uint64_t serial = fri_serial(L, t, i);
    struct fri_known *known = serial ? fri_known_at(t, serial) : NULL;

    return known ? known->code : NULL;
}

bool fri_function_takes_key(lua_State *L, int index)
{
    struct fri_travel *t = fri_travel_of(L);
    const struct fri_code *code;
    struct fri_parameters p;

    if (lua_iscfunction(L, index))
        return true;
    code = code_of(L, t, index);
    return !code
           || !fri_read_parameters(t->memory, code->bytes, code->length, &p)
           || p.count >= 2 || p.more;
}

void fri_function_place(lua_State *L, int index, struct fri_buffer *place)
{
    struct fri_travel *t = fri_travel_of(L);
    const struct fri_code *code = code_of(L, t, index);
    char name[64], *line;

    fri_function_name(L, index, name, sizeof name);
    line = strrchr(name, ':');
    if (line)
        *line = '\0';
    fri_buffer_text(place, name);
    if (!code || code->source.kind != FRI_SOURCE_DIGEST)
        return;
    fri_buffer_byte(place, ' ');
    fri_buffer_text(place, code->source.text);
}
