/*
 * glob.c - flow.glob: paths that match a pattern, sorted by their bytes.
 *
 * In a component * ? and [...] are as in a shell, and do not match a leading
 * dot; ** as a whole component is any number of folders, none too, but no
 * hidden ones and no links (so a walk always ends); as the last component it
 * is everything below.  A pattern that ends in / matches folders only.
 *
 * Folders that cannot be read are passed over, as a shell does.  No Lua
 * function that can raise is called while C memory is held outside `found`,
 * which is a userdata and frees what it holds in any case.
 */
#include "script/files.h"
#include "script/script.h"

#include <dirent.h>
#include <fnmatch.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Folders in folders; one deeper than this is passed over. */
enum { DEPTH = 256 };

struct found {
    const struct fri_memory *memory;
    char **paths;
    size_t count, room;
    bool failed; /* out of memory */
};

static void walk(struct found *f, const char *base, const char *pattern,
                 int depth);

static void clear(struct found *f)
{
    for (size_t i = 0; i < f->count; i++)
        fri_free(f->memory, f->paths[i]);
    fri_free(f->memory, f->paths);
    *f = (struct found){ .memory = f->memory };
}

static int found_gc(lua_State *L)
{
    clear(lua_touserdata(L, 1));
    return 0;
}

/* Takes the path. */
static void keep(struct found *f, char *path)
{
    if (f->count == f->room) {
        size_t room = f->room ? f->room * 2 : 64;
        char **grown = fri_realloc(f->memory, f->paths,
                                   room * sizeof(*grown));

        if (!grown) {
            f->failed = true;
            fri_free(f->memory, path);
            return;
        }
        f->paths = grown;
        f->room = room;
    }
    f->paths[f->count++] = path;
}

static char *join(struct found *f, const char *base, const char *name,
                  bool slash)
{
    size_t n = strlen(base), m = strlen(name);
    char *path = fri_alloc(f->memory, n + m + 2);

    if (!path) {
        f->failed = true;
        return NULL;
    }
    memcpy(path, base, n);
    memcpy(path + n, name, m);
    memcpy(path + n + m, "/", 2);
    path[n + m + slash] = '\0';
    return path;
}

static bool is_folder(const char *path, bool through_links)
{
    struct stat st;

    return (through_links ? stat(path, &st) : lstat(path, &st)) == 0
           && S_ISDIR(st.st_mode);
}

/* One more component of a path is known; `rest` of the pattern is left. */
static void go_on(struct found *f, const char *base, const char *name,
                  const char *rest, int depth)
{
    char *path = join(f, base, name, *rest == '/');
    struct stat st;

    if (!path)
        return;
    rest += strspn(rest, "/");
    if (*rest) {
        walk(f, path, rest, depth + 1);
        fri_free(f->memory, path);
    } else if (lstat(path, &st) == 0) { /* "x/" is there if x is a folder */
        keep(f, path);
    } else {
        fri_free(f->memory, path);
    }
}

/* A ** before `rest`, an entry of its folder. */
static void below(struct found *f, const char *base, const char *name,
                  const char *pattern, const char *rest, int depth)
{
    char *path = join(f, base, name, false);
    bool folder;

    if (!path)
        return;
    folder = is_folder(path, false);
    if (folder) {
        char *inside = join(f, path, "", true);

        if (inside)
            walk(f, inside, pattern, depth + 1);
        fri_free(f->memory, inside);
    }
    if (*rest == '\0')
        go_on(f, base, name, "", depth);
    else if (strspn(rest, "/") == strlen(rest) && folder)
        go_on(f, base, name, "/", depth);
    fri_free(f->memory, path);
}

/* All entries of a folder that match a component; a NULL one is a **. */
static void each(struct found *f, const char *base, const char *component,
                 const char *pattern, const char *rest, int depth)
{
    struct dirent **list = NULL;
    int n = depth > DEPTH ? 0 : scandir(*base ? base : ".", &list, NULL, NULL);

    for (int i = 0; i < n; i++) {
        const char *name = list[i]->d_name;

        if (component && fnmatch(component, name, FNM_PERIOD) == 0)
            go_on(f, base, name, rest, depth);
        else if (!component && name[0] != '.')
            below(f, base, name, pattern, rest, depth);
        free(list[i]);
    }
    free(list);
}

/* base is "" or ends in a slash. */
static void walk(struct found *f, const char *base, const char *pattern,
                 int depth)
{
    size_t n = strcspn(pattern, "/");
    const char *rest = pattern + n;
    char *component = fri_strndup(f->memory, pattern, n);

    if (!component) {
        f->failed = true;
    } else if (strcmp(component, "**") == 0) {
        while (strncmp(rest, "/**", 3) == 0 && (!rest[3] || rest[3] == '/'))
            rest += 3;
        if (rest[strspn(rest, "/")])
            walk(f, base, rest + strspn(rest, "/"), depth);
        each(f, base, NULL, pattern, rest, depth);
    } else if (strpbrk(component, "*?[\\")) {
        each(f, base, component, pattern, rest, depth);
    } else {
        go_on(f, base, component, rest, depth);
    }
    fri_free(f->memory, component);
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int push_sorted(lua_State *L, struct found *f)
{
    int n = 0;

    if (f->count > 0)
        qsort(f->paths, f->count, sizeof(*f->paths), by_bytes);
    lua_newtable(L);
    for (size_t i = 0; i < f->count; i++) {
        if (i > 0 && strcmp(f->paths[i - 1], f->paths[i]) == 0)
            continue; /* met through another ** */
        lua_pushstring(L, f->paths[i]);
        lua_rawseti(L, -2, ++n);
    }
    clear(f);
    return 1;
}

static struct found *new_found(lua_State *L)
{
    struct found *f = lua_newuserdatauv(L, sizeof(*f), 0);

    *f = (struct found){ .memory = fri_script_memory(fri_script_in(L)) };
    lua_createtable(L, 0, 1);
    lua_pushcfunction(L, found_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return f;
}

int fri_flow_glob(lua_State *L)
{
    struct found *f;
    const char *pattern;
    size_t slashes, length;

    if (lua_type(L, 1) != LUA_TSTRING)
        return luaL_error(L, "flow.glob: pattern must be a string, got %s",
                          luaL_typename(L, 1));
    pattern = lua_tolstring(L, 1, &length);
    if (length == 0 || strlen(pattern) != length)
        return luaL_error(L, "flow.glob: pattern must not be empty and not "
                          "hold a NUL");
    f = new_found(L);
    slashes = strspn(pattern, "/");
    if (!pattern[slashes])
        return luaL_error(L, "flow.glob: pattern names no file");
    walk(f, slashes ? "/" : "", pattern + slashes, 0);
    if (f->failed)
        return luaL_error(L, "flow.glob: not enough memory");
    return push_sorted(L, f);
}
