/*
 * sources.c - what functions were written as, for keys that mean the same in
 * another run.
 *
 * Lua knows a function's file and lines.  Where several functions stand on
 * these lines each is compiled again, and the one that gives the same bytecode
 * is it; so it is where the text may not be what was loaded: a file that was
 * changed since the run began, or since it was read here (then all texts that
 * it had are tried), or the name of a chunk that may be its text.
 * Where it cannot be told the reason is kept, and said by whoever wanted a
 * key.
 */
#include "script/travel_private.h"

#include <stdio.h>
#include <sys/stat.h>

enum {
    LONGEST_FILE = 64 << 20,
    CLOCK_STEP = 20000000 /* ns by which the times of files may be behind */
};

void fri_travel_sources(struct fri_travel_shared *shared)
{
    atomic_store(&shared->sources, true);
}

/* ---- texts ------------------------------------------------------------ */

static char *read_text(const struct fri_memory *m, FILE *f, size_t size,
                       size_t *length)
{
    char *text = fri_alloc(m, size + 1);

    if (!text)
        return NULL;
    *length = fread(text, 1, size, f);
    text[*length] = '\0';
    return text;
}

/* Zeros: what it is now is of no use. */
static struct fri_chunk_file file_of(const struct stat *st)
{
    struct fri_chunk_file f = { .size = (uint64_t)st->st_size };

    if (!S_ISREG(st->st_mode) || st->st_size > LONGEST_FILE)
        return (struct fri_chunk_file){ .size = 0 };
    f.inode = st->st_ino;
    f.changed = (int64_t)st->st_ctim.tv_sec * 1000000000
                + st->st_ctim.tv_nsec;
    return f;
}

/* A file's text; NULL: it cannot be read. */
static char *read_file(struct fri_travel *t, const char *path, size_t *length,
                       struct fri_chunk_file *file)
{
    FILE *f = fopen(path, "rbe");
    struct stat st;
    char *text = NULL;

    if (!f)
        return NULL;
    if (fstat(fileno(f), &st) == 0)
        *file = file_of(&st);
    if (file->inode)
        text = read_text(t->memory, f, file->size, length);
    fclose(f);
    return text;
}

/* The text of what Lua calls "@file", or by the text itself; NULL: there is
 * none. */
static char *text_of(struct fri_travel *t, const char *name, size_t *length,
                     struct fri_chunk_file *file, bool *doubtful)
{
    char *text;

    if (t->given_name && strcmp(t->given_name, name) == 0) {
        *length = t->given.length;
        return fri_strndup(t->memory, t->given.at, *length);
    }
    *doubtful = true;
    *length = strlen(name);
    if (*name != '@')
        return *name == '=' ? NULL : fri_strndup(t->memory, name, *length);
    text = read_file(t, name + 1, length, file);
    *doubtful = file->changed >= t->shared->began - CLOCK_STEP;
    return text;
}

static struct fri_chunk *read_chunk(struct fri_travel *t, const char *name)
{
    struct fri_chunk_file file = { .inode = 0 };
    bool doubtful = false;
    size_t length = 0;
    char *text = text_of(t, name, &length, &file, &doubtful);
    struct fri_chunk *c
        = text ? fri_chunk_new(t->memory, name, text, length) : NULL;

    if (!c)
        return NULL;
    c->file = file;
    c->doubtful = doubtful;
    c->next = t->chunks;
    return t->chunks = c;
}

/* The first so called of the list. */
static struct fri_chunk *named(struct fri_chunk *c, const char *name)
{
    while (c && strcmp(c->name, name) != 0)
        c = c->next;
    return c;
}

struct fri_chunk *fri_chunk_of(struct fri_travel *t, const char *name)
{
    struct fri_chunk *c = named(t->chunks, name);

    return c ? c : read_chunk(t, name);
}

/* Was its file changed since it was read?  Then it is read again, and what a
 * function was loaded from must be found out. */
static void look_again(struct fri_travel *t, struct fri_chunk *c)
{
    struct fri_chunk_file now = { .inode = 0 };
    struct stat st;

    if (!c->file.inode)
        return;
    if (stat(c->name + 1, &st) == 0)
        now = file_of(&st);
    if (now.changed == c->file.changed && now.inode == c->file.inode
        && now.size == c->file.size)
        return;
    c->doubtful = true;
    c = now.inode ? read_chunk(t, c->name) : NULL;
    if (c)
        c->doubtful = true;
}

void fri_travel_text(lua_State *L, const char *name, const char *text,
                     size_t length)
{
    struct fri_travel *t = fri_travel_of(L);

    t->given_name = name;
    t->given = (struct fri_text){ text, (uint32_t)length };
}

void fri_sources_free(struct fri_travel *t)
{
    struct fri_chunk *c;

    while ((c = t->chunks) != NULL) {
        t->chunks = c->next;
        fri_chunk_free(c);
    }
}

/* ---- the same code? --------------------------------------------------- */

/* Pushes the function's bytecode without what is only for people. */
static bool push_stripped(lua_State *L, struct fri_travel *t, int i)
{
    i = lua_absindex(L, i);
    fri_push_ref(L, t->string_dump);
    lua_pushvalue(L, i);
    lua_pushboolean(L, 1);
    if (lua_pcall(L, 2, 1, 0) == LUA_OK && lua_type(L, -1) == LUA_TSTRING)
        return true;
    lua_pop(L, 1);
    return false;
}

/* But for where their upvalues come from. */
static bool same_dump(const struct fri_memory *m, const char *a,
                      const char *b, size_t length)
{
    struct fri_parameters p, q;
    const uint8_t *x = (const uint8_t *)a, *y = (const uint8_t *)b;
    size_t at, end;

    if (!fri_read_parameters(m, x, length, &p)
        || !fri_read_parameters(m, y, length, &q))
        return false;
    at = (size_t)(p.captured - x);
    end = at + p.captured_size;
    return p.captured_size == q.captured_size
           && q.captured == y + at && memcmp(x, y, at) == 0
           && memcmp(x + end, y + end, length - end) == 0;
}

/* The functions at i and on the top. */
static bool same_code(lua_State *L, struct fri_travel *t, int i)
{
    int top = lua_gettop(L);
    size_t n, k;
    bool same = push_stripped(L, t, i) && push_stripped(L, t, top);

    same = same && (n = lua_rawlen(L, -1)) == (k = lua_rawlen(L, -2))
           && same_dump(t->memory, lua_tostring(L, -1), lua_tostring(L, -2),
                        n);
    lua_settop(L, top);
    return same;
}

/* Names of the function's upvalues, so that they are upvalues there, too. */
static void add_upvalues(lua_State *L, int i, luaL_Buffer *b)
{
    bool first = true;

    for (int k = 1; k < 200; k++) {
        const char *name = lua_getupvalue(L, i, k);

        if (!name)
            break;
        lua_pop(L, 1);
        if (strcmp(name, "_ENV") == 0)
            continue;
        luaL_addstring(b, first ? "local " : ",");
        luaL_addstring(b, name);
        first = false;
    }
    luaL_addstring(b, first ? "" : " ");
}

/* The constants that it reaches, declared as where it stands. */
static void add_constants(struct fri_chunk *c, struct fri_span span,
                          luaL_Buffer *b)
{
    fri_chunk_reach(c, span);
    for (size_t i = 0; i < c->constant_count; i++) {
        const struct fri_chunk_constant *k = &c->constants[i];

        if (!k->reached || !k->plain)
            continue;
        luaL_addlstring(b, c->text + k->all.from, k->all.to - k->all.from);
        luaL_addchar(b, ' ');
    }
}

/* Pushes the text of a chunk that returns the function f, as it would be where
 * it stands. */
static void push_candidate(lua_State *L, int i, struct fri_chunk *c,
                           const struct fri_chunk_function *f)
{
    struct fri_span next = fri_chunk_token(c, f->list + 1, f->span.to);
    luaL_Buffer b;

    luaL_buffinit(L, &b);
    add_constants(c, f->span, &b);
    for (int line = 1; line < f->list_line; line++)
        luaL_addchar(&b, '\n');
    add_upvalues(L, i, &b);
    luaL_addstring(&b, "return function(");
    if (f->method)
        luaL_addstring(&b, c->text[next.from] == ')' ? "self" : "self,");
    luaL_addlstring(&b, c->text + f->list + 1, f->span.to - f->list - 1);
    luaL_pushresult(&b);
}

/* Is f, compiled, the function at i? */
static bool is_it(lua_State *L, struct fri_travel *t, int i,
                  struct fri_chunk *c,
                  const struct fri_chunk_function *f)
{
    int top = lua_gettop(L);
    bool same;

    push_candidate(L, i, c, f);
    same = luaL_loadbuffer(L, lua_tostring(L, -1), lua_rawlen(L, -1),
                           "=candidate")
               == LUA_OK
           && lua_pcall(L, 0, 1, 0) == LUA_OK && same_code(L, t, i);
    lua_settop(L, top);
    return same;
}

static bool is_chunk(lua_State *L, struct fri_travel *t, int i,
                     const struct fri_chunk *c)
{
    int top = lua_gettop(L);
    bool same = luaL_loadbuffer(L, c->text, c->length, "=candidate") == LUA_OK
                && same_code(L, t, i);

    lua_settop(L, top);
    return same;
}

/* ---- functions -------------------------------------------------------- */

static const char NO_SOURCE[] = "has no source text that can be found";
static const char CHANGED[]
    = "is in a file that was changed since it was loaded";
static const char SHARED[] = "cannot be told from others on its line";

static bool on_lines(const struct fri_chunk_function *f, const lua_Debug *d)
{
    return f->last_line == d->lastlinedefined
           && (f->line == d->linedefined || f->list_line == d->linedefined);
}

/* The function's place in its chunk; NULL: *why. */
static const struct fri_chunk_function *
find_function(lua_State *L, struct fri_travel *t, int i,
              struct fri_chunk *c, const lua_Debug *d, const char **why)
{
    const struct fri_chunk_function *found = NULL;
    size_t n = 0;

    for (size_t k = 0; k < c->count; k++) {
        if (!on_lines(&c->functions[k], d))
            continue;
        found = &c->functions[k];
        n++;
    }
    if (n == 1 && !c->doubtful)
        return found;
    found = NULL;
    for (size_t k = 0; k < c->count && !found; k++)
        if (on_lines(&c->functions[k], d) && is_it(L, t, i, c,
                                                   &c->functions[k]))
            found = &c->functions[k];
    *why = n > 1 ? SHARED : *c->name == '@' ? CHANGED : NO_SOURCE;
    return found;
}

/* Its own name, or its number among those that have none. */
static void name_function(const struct fri_chunk *c,
                          const struct fri_chunk_function *f, char name[64])
{
    int n = 1;

    for (const struct fri_chunk_function *g = c->functions; g < f; g++)
        n += g->name.from == g->name.to;
    if (f->name.from == f->name.to)
        snprintf(name, 64, "#%d", n);
    else
        snprintf(name, 64, "%.*s", (int)(f->name.to - f->name.from),
                 c->text + f->name.from);
}

/* Where the text of the function is in the chunk, and its name; false: *why. */
static bool find_in(lua_State *L, struct fri_travel *t, int i,
                    const lua_Debug *d, struct fri_chunk *c,
                    struct fri_span *span, char name[64], const char **why)
{
    const struct fri_chunk_function *f;

    if (d->linedefined == 0) {
        snprintf(name, 64, "main");
        *span = (struct fri_span){ 0, c->length };
        *why = *c->name == '@' ? CHANGED : NO_SOURCE;
        return !c->doubtful || is_chunk(L, t, i, c);
    }
    f = find_function(L, t, i, c, d, why);
    if (!f)
        return false;
    *span = f->span;
    name_function(c, f, name);
    return true;
}

/* The same, and its chunk, which may have been read several times. */
static bool find_span(lua_State *L, struct fri_travel *t, int i,
                      struct fri_chunk **chunk, struct fri_span *span,
                      char name[64], const char **why)
{
    struct fri_chunk *c;
    lua_Debug d;
    bool found = false;

    lua_pushvalue(L, i);
    lua_getinfo(L, ">S", &d);
    *why = NO_SOURCE;
    c = fri_chunk_of(t, d.source);
    if (c)
        look_again(t, c);
    for (c = named(t->chunks, d.source); c && !found;
         c = named(c->next, d.source)) {
        *chunk = c;
        found = find_in(L, t, i, &d, c, span, name, why);
    }
    return found;
}

/* ---- what is kept of a function --------------------------------------- */

/* Adds the constants of Lua 5.4 that the compiler put into the code. */
static bool add_reached(struct fri_digester *d, struct fri_chunk *c,
                        struct fri_span span)
{
    bool any = fri_chunk_reach(c, span);

    for (size_t i = 0; any && i < c->constant_count; i++) {
        const struct fri_chunk_constant *k = &c->constants[i];
        struct fri_digest digest;

        if (!k->reached)
            continue;
        digest = fri_chunk_digest(c, k->all);
        fri_digest_add(d, digest.bytes, FRI_DIGEST);
    }
    return any;
}

/* The function's own text, constants in it, and the modules that it requires
 * by name. */
static bool make_digest(lua_State *L, struct fri_travel *t,
                        struct fri_source *source, struct fri_chunk *c,
                        struct fri_span span)
{
    struct fri_required all = { .seen = NULL };
    int top = lua_gettop(L);
    bool ok, constants;

    fri_digest_begin(&all.all);
    source->digest = fri_chunk_digest(c, span);
    fri_digest_add(&all.all, source->digest.bytes, FRI_DIGEST);
    memcpy(&source->own, source->digest.bytes, sizeof source->own);
    constants = add_reached(&all.all, c, span);
    ok = fri_required_add(L, t, &all, c, span);
    lua_settop(L, top);
    if (ok && (constants || all.length > 0))
        source->digest = fri_digest_end(&all.all);
    return ok;
}

static char *reason(lua_State *L, struct fri_travel *t, int i,
                    const char *why)
{
    char name[64], text[512];

    fri_function_name(L, i, name, sizeof name);
    snprintf(text, sizeof text,
             "the source of function %s: it %s; give the policy a version=",
             name, why);
    return fri_strdup(t->memory, text);
}

bool fri_source_find(lua_State *L, struct fri_travel *t, int i,
                     struct fri_code *code)
{
    struct fri_source *s = &code->source;
    struct fri_span span = { 0, 0 };
    struct fri_chunk *c = NULL;
    const char *why = NULL;
    char name[64];
    bool found;

    if (s->kind != FRI_SOURCE_NONE)
        return true;
    i = lua_absindex(L, i);
    luaL_checkstack(L, 20, NULL);
    found = find_span(L, t, i, &c, &span, name, &why);
    if (found && !make_digest(L, t, s, c, span)) {
        found = false;
        s->text = fri_strdup(t->memory, t->why);
    } else if (found) {
        s->text = fri_strdup(t->memory, name);
    } else {
        s->text = reason(L, t, i, why);
    }
    s->kind = found ? FRI_SOURCE_DIGEST : FRI_SOURCE_WHY;
    return s->text != NULL;
}
