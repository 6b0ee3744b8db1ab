/*
 * required.c - the modules that the text of a function or module requires by
 * name, and those that they require.
 */
#include "script/travel_private.h"

#include <stdio.h>

static bool is_new(lua_State *L, struct fri_required *all, const char *name)
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
                      struct fri_required *all, const char *name);

bool fri_required_add(lua_State *L, struct fri_travel *t,
                      struct fri_required *all, const struct fri_chunk *c,
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

static int add_module(lua_State *L, struct fri_travel *t,
                      struct fri_required *all, const char *name)
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
    c = fri_chunk_of(t, lua_tostring(L, -1));
    if (!c)
        return 0;
    if (c->file.changed >= t->shared->began)
        return refuse_module(t, name);
    digest = fri_chunk_digest(c, (struct fri_span){ 0, c->length });
    fri_digest_text(&all->all, name, strlen(name));
    fri_digest_add(&all->all, digest.bytes, FRI_DIGEST);
    return fri_required_add(L, t, all, c, (struct fri_span){ 0, c->length })
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
    struct fri_required all = { .seen = NULL };

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


/* ---- all of them ------------------------------------------------------ */

typedef void each_module(lua_State *L, const char *name, size_t n);

static void each_required(lua_State *L, struct fri_travel *t,
                          each_module *each)
{
    for (struct fri_chunk *c = t->chunks; c; c = c->next) {
        bool told = c->told;

        c->told = true;
        for (size_t i = 0; !told && i < c->required_count; i++)
            each(L, c->text + c->required[i].from,
                 c->required[i].to - c->required[i].from);
    }
}

static int each_loaded(lua_State *L, struct fri_travel *t, each_module *each)
{
    int n = 0, loaded = lua_gettop(L) + 1;

    fri_push_ref(L, t->loaded);
    lua_pushnil(L);
    for (; lua_next(L, loaded); n++) {
        size_t length;
        const char *name = lua_type(L, -2) == LUA_TSTRING
                               ? lua_tolstring(L, -2, &length)
                               : NULL;

        if (name && each)
            each(L, name, length);
        lua_pop(L, 1);
    }
    lua_settop(L, loaded - 1);
    return n;
}

/* To find out what one is made of reads more chunks, put first in the list. */
void fri_modules_each(lua_State *L, each_module *each)
{
    struct fri_travel *t = fri_travel_of(L);
    struct fri_chunk *first;
    int n;

    luaL_checkstack(L, 20, NULL);
    n = each_loaded(L, t, NULL);
    if (n != t->loaded_told)
        each_loaded(L, t, each);
    t->loaded_told = n;
    do {
        first = t->chunks;
        each_required(L, t, each);
    } while (t->chunks != first);
}
