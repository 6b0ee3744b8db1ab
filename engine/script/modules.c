/*
 * modules.c - modules and what is in them, by name; see names.c.
 *
 * As bytes a name begins with how it is found: 0 in the standard library; 1 by
 * require, after package.path and package.cpath, which stand before it, were
 * set as they are at the sender; 2 by require.
 *
 * What is in several modules, or several times in one, has the first of its
 * names, and a module of its own before a field: the same in every process,
 * for keys of a journal are made of it.
 */
#include "script/travel_private.h"

#include <stdlib.h>

/* ---- where modules are ------------------------------------------------ */

/* Pushes the file that require would load `name` from, of the templates in
 * package[field]; pushes nothing and gives false when there is none. */
static bool push_file(lua_State *L, struct fri_travel *t, const char *name,
                      const char *field)
{
    int top = lua_gettop(L);

    fri_push_ref(L, t->searchpath);
    lua_pushstring(L, name);
    fri_push_ref(L, t->package);
    if (!lua_istable(L, -1) || !lua_isfunction(L, top + 1)) {
        lua_settop(L, top);
        return false;
    }
    fri_push_field(L, -1, field);
    lua_remove(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING && lua_pcall(L, 2, 1, 0) == LUA_OK
        && lua_type(L, -1) == LUA_TSTRING)
        return true;
    lua_settop(L, top);
    return false;
}

bool fri_module_file(lua_State *L, struct fri_travel *t, const char *name)
{
    return push_file(L, t, name, "path");
}

static bool preloaded_by_vm(lua_State *L, struct fri_travel *t,
                            const char *name)
{
    bool yes = false;

    fri_push_ref(L, t->package);
    if (lua_istable(L, -1)) {
        fri_push_field(L, -1, "preload");
        if (lua_istable(L, -1)) {
            fri_push_field(L, -1, name);
            yes = lua_iscfunction(L, -1);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return yes;
}

/* How require finds `name` over there, 0 when it does not; pushes "@file", or
 * nil when it is not written in Lua. */
static uint8_t push_origin(lua_State *L, struct fri_travel *t,
                           const char *name)
{
    const char *dot = strchr(name, '.');

    if (strcmp(name, "flowrun") == 0 || preloaded_by_vm(L, t, name)) {
        lua_pushnil(L);
        return FRI_OWN;
    }
    if (push_file(L, t, name, "path")) {
        lua_pushliteral(L, "@");
        lua_insert(L, -2);
        lua_concat(L, 2);
        return FRI_MODULE;
    }
    if (!push_file(L, t, name, "cpath") && dot) {
        lua_pushlstring(L, name, (size_t)(dot - name));
        if (!push_file(L, t, lua_tostring(L, -1), "cpath"))
            lua_pop(L, 1);
        else
            lua_remove(L, -2);
    }
    if (lua_type(L, -1) != LUA_TSTRING) {
        lua_pushnil(L);
        return 0;
    }
    lua_pop(L, 1);
    lua_pushnil(L);
    return FRI_MODULE;
}

/* Is the function or table on the top one that its module's name can stand
 * for?  `origin` is where "@file" is, or nil. */
static bool field_of(lua_State *L, int origin)
{
    lua_Debug d;
    bool yes;

    if (lua_istable(L, -1)) {
        fri_push_field(L, -1, "__index");
        yes = !lua_isnil(L, -1);
        lua_pop(L, 1);
        return yes;
    }
    if (!lua_isfunction(L, -1))
        return false;
    if (lua_iscfunction(L, -1) || fri_library_function(L))
        return true;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &d);
    return origin > 0 && lua_isstring(L, origin)
           && strcmp(d.source, lua_tostring(L, origin)) == 0;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Pushes the n strings of the list on the top, sorted; it holds them. */
static const char **push_sorted(lua_State *L, int n)
{
    const char **names
        = lua_newuserdatauv(L, (size_t)n * sizeof *names + 1, 0);

    for (int i = 0; i < n; i++) {
        lua_rawgeti(L, -2, i + 1);
        names[i] = lua_tostring(L, -1);
        lua_pop(L, 1);
    }
    qsort(names, (size_t)n, sizeof *names, by_text);
    return names;
}

/* Is the key below the top a name? */
static bool is_name(lua_State *L)
{
    return lua_type(L, -2) == LUA_TSTRING
           && strlen(lua_tostring(L, -2)) == lua_rawlen(L, -2);
}

/* list[n + 1] = the key below the top. */
static void add_key(lua_State *L, int list, int n)
{
    lua_pushvalue(L, -2);
    lua_rawseti(L, list, n + 1);
}

/* Pushes a list of the table's fields that are to have names. */
static int push_fields(lua_State *L, int table, int origin)
{
    int n = 0;

    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, table)) {
        if (is_name(L) && ((origin == 0 && lua_istable(L, -1))
                           || field_of(L, origin)))
            add_key(L, table + 1, n++);
        lua_pop(L, 1);
    }
    return n;
}

/* The fields of the table on the top, whose name is `name`, of n bytes; in
 * our own module (origin 0) tables have names as well, and their fields. */
static bool name_fields(lua_State *L, struct fri_travel *t, const char *name,
                        size_t n, uint8_t kind, int origin)
{
    bool news = false, new, inside = strlen(name) < n;
    int table = lua_gettop(L), count = push_fields(L, table, origin);
    const char **fields = push_sorted(L, count);

    luaL_checkstack(L, 10, NULL);
    for (int i = 0; i < count; i++) {
        fri_push_field(L, table, fields[i]);
        new = fri_name_add(L, t, name, n, fields[i], kind);
        if (new && origin == 0 && !inside && lua_istable(L, -1)) {
            const struct fri_name *found
                = fri_names_find(t, lua_topointer(L, -1));

            name_fields(L, t, found->text, found->length, kind, 0);
        }
        news |= new;
        lua_pop(L, 1);
    }
    lua_settop(L, table);
    return news;
}

/* The module on the top. */
static bool name_module(lua_State *L, struct fri_travel *t, const char *module,
                        bool fields)
{
    int value = lua_gettop(L);
    uint8_t kind = push_origin(L, t, module);
    bool news = false;

    lua_pushvalue(L, value);
    if (kind && !fields && (lua_istable(L, -1) || field_of(L, value + 1)))
        news = fri_name_add(L, t, module, strlen(module), NULL, kind);
    if (kind && fields && lua_istable(L, -1))
        news = name_fields(L, t, module, strlen(module), kind,
                           strcmp(module, "flowrun") == 0 ? 0 : value + 1);
    lua_settop(L, value);
    return news;
}

/* Was the object on the top looked at before? */
static bool is_scanned(lua_State *L, struct fri_travel *t)
{
    bool yes;

    fri_push_ref(L, t->scanned);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    yes = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return yes;
}

/* Now it is. */
static void set_scanned(lua_State *L, struct fri_travel *t)
{
    fri_push_ref(L, t->scanned);
    lua_pushvalue(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* Is there a module on the top to be looked at? */
static bool is_due(lua_State *L, struct fri_travel *t, bool all)
{
    if ((!lua_istable(L, -1) && !lua_isfunction(L, -1)) || !is_name(L)
        || fri_is_library(lua_tostring(L, -2)))
        return false;
    return all || (!fri_names_find(t, lua_topointer(L, -1))
                   && !is_scanned(L, t));
}

/* How many there are; their names are added to the list at `list`, if any. */
static int find_due(lua_State *L, struct fri_travel *t, bool all, int list)
{
    int n = 0, loaded = lua_gettop(L) + 1;

    fri_push_ref(L, t->loaded);
    lua_pushnil(L);
    while (lua_next(L, loaded)) {
        bool due = is_due(L, t, all);

        if (due && list)
            add_key(L, list, n);
        n += due;
        lua_pop(L, 1);
    }
    lua_settop(L, loaded - 1);
    return n;
}

bool fri_names_refresh(lua_State *L, struct fri_travel *t, bool all)
{
    int top = lua_gettop(L), n;
    bool news = false;
    const char **names;

    luaL_checkstack(L, 20, NULL);
    if (all)
        news = fri_name_standard(L, t, false);
    if (find_due(L, t, all, 0) == 0)
        return news;
    lua_newtable(L);
    n = find_due(L, t, all, top + 1);
    names = push_sorted(L, n);
    fri_push_ref(L, t->loaded);
    for (int k = 0; k < 2 * n; k++) { /* first modules, then their fields */
        fri_push_field(L, -1, names[k % n]);
        news |= name_module(L, t, names[k % n], k >= n);
        set_scanned(L, t);
        lua_pop(L, 1);
    }
    lua_settop(L, top);
    return news;
}

bool fri_encoder_refresh(struct fri_encoder *e, lua_State *L, int i)
{
    int type = lua_type(L, i);
    const void *p = lua_topointer(L, i);

    if (e->refreshed || (type != LUA_TTABLE && type != LUA_TFUNCTION)
        || p == e->travel->globals || fri_names_find(e->travel, p))
        return true;
    e->refreshed = true;
    e->again = fri_names_refresh(L, e->travel, false);
    return !e->again;
}

/* ---- finding them again ----------------------------------------------- */

static void set_path(lua_State *L, struct fri_travel *t, const char *field,
                     const char *path, size_t length)
{
    if (!t->worker)
        return;
    fri_push_ref(L, t->package);
    lua_pushstring(L, field);
    lua_pushlstring(L, path, length);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

/* The zero byte that ends the text at s, or its end. */
static const char *text_end(const char *s, const char *end)
{
    const char *zero = memchr(s, 0, (size_t)(end - s));

    return zero ? zero : end;
}

static void push_standard(lua_State *L, struct fri_travel *t, const char *name,
                          size_t length)
{
    fri_push_ref(L, t->named);
    lua_pushlstring(L, name, length);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_isnil(L, -1))
        luaL_error(L, "there is no '%s' here", name);
}

/* module "\0" field "\0" field ... */
static void push_required(lua_State *L, struct fri_travel *t, const char *s,
                          const char *end)
{
    const char *stop = text_end(s, end);
    const char *module;

    fri_push_ref(L, t->require);
    lua_pushlstring(L, s, (size_t)(stop - s));
    module = lua_tostring(L, -1);
    lua_pushvalue(L, -1);
    lua_insert(L, -3);
    lua_call(L, 1, 1);
    while (stop < end) {
        s = stop + 1;
        stop = text_end(s, end);
        if (!lua_istable(L, -1))
            luaL_error(L, "module '%s' is not what it was", module);
        lua_pushlstring(L, s, (size_t)(stop - s));
        lua_gettable(L, -2);
        lua_remove(L, -2);
    }
    if (lua_isnil(L, -1))
        luaL_error(L, "module '%s' is not what it was", module);
    lua_remove(L, -2);
}

static bool is_ours(const char *name, const char *end)
{
    size_t n = (size_t)(text_end(name, end) - name);

    return n == strlen("flowrun") && memcmp(name, "flowrun", n) == 0;
}

void fri_names_push(lua_State *L, struct fri_travel *t, const char *name,
                    size_t length)
{
    const char *end = name + length, *stop;
    char how = length > 0 ? *name++ : 3;

    if (how == 0) {
        push_standard(L, t, name, length - 1);
        return;
    }
    for (int k = 0; how == 1 && k < 2; k++) {
        stop = text_end(name, end);
        set_path(L, t, k ? "cpath" : "path", name, (size_t)(stop - name));
        name = stop < end ? stop + 1 : end;
    }
    if (how > 2)
        luaL_error(L, "malformed message");
    push_required(L, t, name, end);
    if (lua_istable(L, -1) || lua_isfunction(L, -1))
        fri_name_add(L, t, name, (size_t)(end - name), NULL,
                     is_ours(name, end) ? FRI_OWN : FRI_MODULE);
}

/* ---- writing them ----------------------------------------------------- */

bool fri_put_name(struct fri_encoder *e, lua_State *L,
                  const struct fri_name *name)
{
    const char *paths[2] = { "", "" };
    size_t lengths[2] = { 0, 0 }, total = (size_t)name->length + 1;
    struct fri_buffer *b = &e->bytes;
    uint8_t how = name->kind == FRI_STANDARD ? 0 : 2;

    e->pack.random |= name->random;
    if (name->kind == FRI_MODULE && !e->has_path) {
        if (!e->guarded)
            return fri_refuse_unguarded(e);
        e->has_path = true;
        how = 1;
        fri_push_ref(L, e->travel->package);
        for (int k = 0; k < 2; k++) {
            lua_pushstring(L, k ? "cpath" : "path");
            lua_rawget(L, -2 - k);
            if (lua_type(L, -1) == LUA_TSTRING)
                paths[k] = lua_tolstring(L, -1, &lengths[k]);
        }
        total += lengths[0] + lengths[1] + 2;
    }
    fri_buffer_byte(b, FRI_NAME);
    fri_put_varint(b, total);
    fri_buffer_byte(b, how);
    if (how == 1) {
        fri_buffer_add(b, paths[0], lengths[0]);
        fri_buffer_byte(b, 0);
        fri_buffer_add(b, paths[1], lengths[1]);
        fri_buffer_byte(b, 0);
        lua_pop(L, 3);
    }
    fri_buffer_add(b, name->text, name->length);
    return e->bytes.failed ? fri_refuse_memory(e) : true;
}
