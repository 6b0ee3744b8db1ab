/*
 * sources.c - what functions and modules were written as, for keys that mean
 * the same in another run.
 *
 * Lua knows a function's file and lines.  Where several functions stand on
 * these lines each is compiled again, and the one that gives the same bytecode
 * is it; so it is where the text may not be what was loaded: a file that was
 * changed since the run began, or the name of a chunk that may be its text.
 * Where it cannot be told the reason is kept, and said by whoever wanted a
 * key.
 */
#include "script/travel_private.h"

#include <stdio.h>
#include <sys/stat.h>

enum { LONGEST_FILE = 64 << 20 };

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

/* A file's text; NULL: it cannot be read. */
static char *read_file(struct fri_travel *t, const char *path, size_t *length,
                       bool *recent)
{
    FILE *f = fopen(path, "rbe");
    struct stat st;
    char *text = NULL;
    int64_t changed;

    if (!f)
        return NULL;
    if (fstat(fileno(f), &st) == 0 && S_ISREG(st.st_mode)
        && st.st_size <= LONGEST_FILE) {
        changed = (int64_t)st.st_ctim.tv_sec * 1000000000
                  + st.st_ctim.tv_nsec;
        *recent = changed >= t->shared->began;
        text = read_text(t->memory, f, (size_t)st.st_size, length);
    }
    fclose(f);
    return text;
}

/* The text of what Lua calls "@file", or by the text itself; NULL: there is
 * none. */
static char *text_of(struct fri_travel *t, const char *name, size_t *length,
                     bool *recent)
{
    if (t->given_name && strcmp(t->given_name, name) == 0) {
        *recent = false;
        *length = t->given.length;
        return fri_strndup(t->memory, t->given.at, *length);
    }
    if (*name == '@')
        return read_file(t, name + 1, length, recent);
    *length = strlen(name);
    return *name == '=' ? NULL : fri_strndup(t->memory, name, *length);
}

static struct fri_chunk *chunk_of(struct fri_travel *t, const char *name)
{
    struct fri_chunk *c = t->chunks;
    bool recent = true;
    size_t length = 0;
    char *text;

    while (c && strcmp(c->name, name) != 0)
        c = c->next;
    if (c)
        return c;
    text = text_of(t, name, &length, &recent);
    c = text ? fri_chunk_new(t->memory, name, text, length) : NULL;
    if (!c)
        return NULL;
    c->recent = recent;
    c->next = t->chunks;
    t->chunks = c;
    return c;
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

/* Pushes the text of a chunk that returns the function f, as it would be where
 * it stands. */
static void push_candidate(lua_State *L, int i, const struct fri_chunk *c,
                           const struct fri_chunk_function *f)
{
    struct fri_span next = fri_chunk_token(c, f->list + 1, f->span.to);
    luaL_Buffer b;

    luaL_buffinit(L, &b);
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
                  const struct fri_chunk *c,
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
              const struct fri_chunk *c, const lua_Debug *d, const char **why)
{
    const struct fri_chunk_function *found = NULL;
    size_t n = 0;

    for (size_t k = 0; k < c->count; k++) {
        if (!on_lines(&c->functions[k], d))
            continue;
        found = &c->functions[k];
        n++;
    }
    if (n == 1 && !c->recent)
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

/* Where the text of the function is, and its name; false: *why. */
static bool find_span(lua_State *L, struct fri_travel *t, int i,
                      struct fri_chunk **chunk, struct fri_span *span,
                      char name[64], const char **why)
{
    const struct fri_chunk_function *f;
    struct fri_chunk *c;
    lua_Debug d;

    lua_pushvalue(L, i);
    lua_getinfo(L, ">S", &d);
    c = *chunk = chunk_of(t, d.source);
    snprintf(name, 64, "main");
    *why = NO_SOURCE;
    if (!c)
        return false;
    if (d.linedefined == 0) {
        *span = (struct fri_span){ 0, c->length };
        *why = *c->name == '@' ? CHANGED : NO_SOURCE;
        return !c->recent || is_chunk(L, t, i, c);
    }
    f = find_function(L, t, i, c, &d, why);
    if (!f)
        return false;
    *span = f->span;
    name_function(c, f, name);
    return true;
}

/* ---- modules ---------------------------------------------------------- */

struct modules {
    struct fri_digester all;
    char *seen; /* names, each behind and before a zero */
    size_t length;
};

static bool is_new(lua_State *L, struct modules *all, const char *name)
{
    size_t n = strlen(name) + 1;
    char *seen;

    for (size_t at = 0; at < all->length; at += strlen(all->seen + at) + 1)
        if (strcmp(all->seen + at, name) == 0)
            return false;
    seen = lua_newuserdatauv(L, all->length + n, 0); /* stays on the stack */
    if (all->length > 0)
        memcpy(seen, all->seen, all->length);
    memcpy(seen + all->length, name, n);
    all->seen = seen;
    all->length += n;
    return true;
}

static int add_module(lua_State *L, struct fri_travel *t,
                      struct modules *all, const char *name);

/* The modules that a part of a chunk requires; false: t->why. */
static bool add_required(lua_State *L, struct fri_travel *t,
                         struct modules *all, const struct fri_chunk *c,
                         struct fri_span span)
{
    for (size_t i = 0; i < c->required_count; i++) {
        struct fri_span r = c->required[i];

        if (r.from < span.from || r.to > span.to)
            continue;
        lua_pushlstring(L, c->text + r.from, r.to - r.from);
        if (add_module(L, t, all, lua_tostring(L, -1)) < 0)
            return false;
    }
    return true;
}

/* Of a file that was changed since, nobody knows what was loaded. */
static int refuse_module(struct fri_travel *t, const char *name)
{
    snprintf(t->why, sizeof t->why,
             "the file of module %.100s was changed since the run began", name);
    return -1;
}

static int add_module(lua_State *L, struct fri_travel *t, struct modules *all,
                      const char *name)
{
    struct fri_digest digest;
    struct fri_chunk *c;

    luaL_checkstack(L, 10, NULL);
    if (fri_is_library(name) || strcmp(name, "flowrun") == 0
        || !is_new(L, all, name) || !fri_module_file(L, t, name))
        return 0;
    lua_pushliteral(L, "@");
    lua_insert(L, -2);
    lua_concat(L, 2);
    c = chunk_of(t, lua_tostring(L, -1));
    if (!c)
        return 0;
    if (c->recent)
        return refuse_module(t, name);
    digest = fri_chunk_digest(c, (struct fri_span){ 0, c->length });
    fri_digest_text(&all->all, name, strlen(name));
    fri_digest_add(&all->all, digest.bytes, FRI_DIGEST);
    return add_required(L, t, all, c, (struct fri_span){ 0, c->length })
               ? 1
               : -1;
}

struct module_job {
    const char *name;
    size_t length;
    struct fri_digest *digest;
    int found;
};

static int find_module(lua_State *L, void *data)
{
    struct module_job *job = data;
    struct modules all = { .seen = NULL };

    fri_digest_begin(&all.all);
    lua_pushlstring(L, job->name, job->length);
    job->found = add_module(L, fri_travel_of(L), &all, lua_tostring(L, -1));
    *job->digest = fri_digest_end(&all.all);
    return 0;
}

int fri_module_source(lua_State *L, const char *name, size_t n,
                      struct fri_digest *digest, const char **why)
{
    struct fri_travel *t = fri_travel_of(L);
    struct module_job job = { name, n, digest, 0 };
    int top = lua_gettop(L);

    if (!fri_guard(L, t, find_module, &job, 1, 0)) {
        snprintf(t->why, sizeof t->why, "module %.*s: %.150s",
                 (int)(n < 80 ? n : 80), name, lua_tostring(L, -1));
        job.found = -1;
    }
    lua_settop(L, top);
    *why = t->why;
    return job.found;
}

/* ---- what is kept of a function --------------------------------------- */

/* The function's own text, and the modules that it requires by name. */
static bool make_digest(lua_State *L, struct fri_travel *t,
                        struct fri_source *source, const struct fri_chunk *c,
                        struct fri_span span)
{
    struct modules all = { .seen = NULL };
    int top = lua_gettop(L);
    bool ok;

    fri_digest_begin(&all.all);
    source->digest = fri_chunk_digest(c, span);
    fri_digest_add(&all.all, source->digest.bytes, FRI_DIGEST);
    memcpy(&source->own, source->digest.bytes, sizeof source->own);
    ok = add_required(L, t, &all, c, span);
    lua_settop(L, top);
    if (ok && all.length > 0)
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
    struct fri_span span;
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
