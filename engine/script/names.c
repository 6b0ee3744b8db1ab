/*
 * names.c - what travels by name: names first, values second.
 *
 * A name is a module's, or a module's and a field's with a zero byte between.
 * Three sorts of things have one: what the standard library held when the
 * state was opened; modules that were loaded since and that require finds
 * over there as well (from a file, or built into the VM), with their C
 * functions, the functions of their own file and their classes; and flowrun
 * itself.  A module that a script made up travels by value.
 *
 * Objects stay referenced once they have a name (from `scanned` or `named`),
 * so an address never comes to mean another thing.
 */
#include "script/travel_private.h"

/* ---- the map ---------------------------------------------------------- */

enum { NAMES_SMALLEST = 512 };

static struct fri_name *names_slot(const struct fri_names *n, const void *p)
{
    uint32_t i = fri_address_hash(p) & n->mask;

    while (n->slots[i].object && n->slots[i].object != p)
        i = (i + 1) & n->mask;
    return &n->slots[i];
}

const struct fri_name *fri_names_find(const struct fri_travel *t,
                                      const void *object)
{
    const struct fri_name *name = names_slot(&t->names, object);

    return name->object ? name : NULL;
}

static void names_grow(lua_State *L, struct fri_travel *t)
{
    struct fri_names old = t->names, new = old;
    size_t size = old.slots ? ((size_t)old.mask + 1) * 2 : NAMES_SMALLEST;

    new.slots = fri_alloc_zero(t->memory, size * sizeof(*new.slots));
    if (!new.slots)
        luaL_error(L, "out of memory");
    new.mask = (uint32_t)size - 1;
    for (uint32_t i = 0; old.slots && i <= old.mask; i++)
        if (old.slots[i].object)
            *names_slot(&new, old.slots[i].object) = old.slots[i];
    t->names = new;
    fri_free(t->memory, old.slots);
}

void fri_names_free(struct fri_travel *t)
{
    fri_free(t->memory, t->names.slots);
    t->names = (struct fri_names){ .slots = NULL };
}

/* ---- giving names ----------------------------------------------------- */

/* May a task that holds this see other than what it was given? */
static bool is_random(const char *module, const char *field)
{
    static const char *const harmless[] = { "string", "table", "coroutine",
                                            "os", "io", "bit", "utf8",
                                            "flowrun" };
    static const char *const base[] = { "load", "loadstring", "loadfile",
                                        "dofile", "require", "getfenv",
                                        "setfenv", "module" };

    for (size_t i = 0; i < sizeof(harmless) / sizeof(*harmless); i++)
        if (strcmp(module, harmless[i]) == 0)
            return false;
    if (field && strcmp(module, "math") == 0)
        return strncmp(field, "random", 6) == 0;
    if (!field || strcmp(module, "_G") != 0)
        return true;
    for (size_t i = 0; i < sizeof(base) / sizeof(*base); i++)
        if (strcmp(field, base[i]) == 0)
            return true;
    return false;
}

/* Names the object on the top unless it has a name; pops nothing.  The name
 * is `module` (a whole name, of n bytes) or, with one, its field. */
static bool add_name(lua_State *L, struct fri_travel *t, const char *module,
                     size_t n, const char *field, uint8_t kind)
{
    const void *p = lua_topointer(L, -1);
    struct fri_name *slot;
    size_t length;

    if (p == t->globals || fri_names_find(t, p))
        return false;
    if (t->names.used * 2 > t->names.mask)
        names_grow(L, t);
    lua_pushlstring(L, module, n);
    if (field) {
        lua_pushlstring(L, "", 1);
        lua_pushstring(L, field);
        lua_concat(L, 3);
    }
    fri_push_ref(L, kind == FRI_STANDARD ? t->named : t->scanned);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -4);
    lua_rawset(L, -3);
    slot = names_slot(&t->names, p);
    slot->text = lua_tolstring(L, -2, &length);
    slot->length = (uint32_t)length;
    slot->kind = kind;
    slot->random = is_random(module, field);
    slot->object = p;
    t->names.used++;
    lua_pop(L, 2);
    return true;
}

static bool own_function(lua_State *L)
{
    lua_Debug d;

    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &d);
    return strncmp(d.source, FRI_OWN_CHUNK, sizeof(FRI_OWN_CHUNK) - 1) == 0;
}

/* A C function, one written in Lua inside LuaJIT, or one of ours. */
static bool library_function(lua_State *L)
{
    lua_Debug d;

    if (!lua_isfunction(L, -1))
        return false;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &d);
    return *d.what == 'C' || d.linedefined < 0 || own_function(L);
}

/* ---- the standard library --------------------------------------------- */

static const char *const libraries[] = { "string", "table", "math", "os",
                                         "io", "coroutine", "package",
                                         "debug", "utf8", "bit", "jit" };
static const char *const base_functions[] = {
    "assert", "collectgarbage", "dofile", "error", "gcinfo", "getfenv",
    "getmetatable", "ipairs", "load", "loadfile", "loadstring", "module",
    "newproxy", "next", "pairs", "pcall", "print", "rawequal", "rawget",
    "rawlen", "rawset", "require", "select", "setfenv", "setmetatable",
    "tonumber", "tostring", "type", "unpack", "warn", "xpcall"
};

/* The functions (and, in package, the tables) of the library on the top. */
static bool name_library(lua_State *L, struct fri_travel *t, const char *lib)
{
    bool tables = strcmp(lib, "package") == 0, news = false;

    news = add_name(L, t, lib, strlen(lib), NULL, FRI_STANDARD);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) == LUA_TSTRING
            && (library_function(L) || (tables && lua_istable(L, -1))))
            news |= add_name(L, t, lib, strlen(lib), lua_tostring(L, -2),
                             FRI_STANDARD);
        lua_pop(L, 1);
    }
    return news;
}

/* originals[name] = the global on the top, popped. */
static void keep_original(lua_State *L, struct fri_travel *t, const char *name)
{
    fri_push_ref(L, t->originals);
    lua_insert(L, -2);
    lua_setfield(L, -2, name);
    lua_pop(L, 1);
}

static void push_field(lua_State *L, int i, const char *name)
{
    i = lua_absindex(L, i);
    lua_pushstring(L, name);
    lua_rawget(L, i);
}

/* With `keep`, the state is being opened: what is there is the original. */
static bool name_standard(lua_State *L, struct fri_travel *t, bool keep)
{
    bool news = false;

    for (size_t i = 0; i < sizeof(libraries) / sizeof(*libraries); i++) {
        fri_push_ref(L, t->loaded);
        push_field(L, -1, libraries[i]);
        if (lua_istable(L, -1)) {
            news |= name_library(L, t, libraries[i]);
            if (keep) {
                lua_pushvalue(L, -1);
                keep_original(L, t, libraries[i]);
            }
        }
        lua_pop(L, 2);
    }
    fri_push_ref(L, t->globals_ref);
    for (size_t i = 0; i < sizeof(base_functions) / sizeof(*base_functions);
         i++) {
        push_field(L, -1, base_functions[i]);
        if (library_function(L)) {
            news |= add_name(L, t, "_G", 2, base_functions[i],
                             FRI_STANDARD);
            if (keep) {
                lua_pushvalue(L, -1);
                keep_original(L, t, base_functions[i]);
            }
        }
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return news;
}

static int keep_field(lua_State *L, int ref, const char *field)
{
    fri_push_ref(L, ref);
    if (lua_istable(L, -1))
        push_field(L, -1, field);
    else
        lua_pushnil(L);
    lua_remove(L, -2);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

void fri_names_open(lua_State *L, struct fri_travel *t)
{
    int string;

    names_grow(L, t);
    push_field(L, LUA_REGISTRYINDEX, "_LOADED");
    if (!lua_istable(L, -1))
        luaL_error(L, "flowrun needs the package library");
    t->loaded = luaL_ref(L, LUA_REGISTRYINDEX);
    t->package = keep_field(L, t->loaded, "package");
    t->require = keep_field(L, t->globals_ref, "require");
    t->searchpath = keep_field(L, t->package, "searchpath");
    string = keep_field(L, t->loaded, "string");
    t->string_dump = keep_field(L, string, "dump");
    luaL_unref(L, LUA_REGISTRYINDEX, string);
    name_standard(L, t, true);
    fri_push_ref(L, t->globals_ref);
    push_field(L, -1, "_VERSION");
    keep_original(L, t, "_VERSION");
    lua_pushvalue(L, -1);
    keep_original(L, t, "_G");
    lua_pop(L, 1);
}

/* ---- modules ---------------------------------------------------------- */

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
    push_field(L, -1, field);
    lua_remove(L, -2);
    if (lua_type(L, -1) == LUA_TSTRING && lua_pcall(L, 2, 1, 0) == LUA_OK
        && lua_type(L, -1) == LUA_TSTRING)
        return true;
    lua_settop(L, top);
    return false;
}

static bool preloaded_by_vm(lua_State *L, struct fri_travel *t,
                            const char *name)
{
    bool yes = false;

    fri_push_ref(L, t->package);
    if (lua_istable(L, -1)) {
        push_field(L, -1, "preload");
        if (lua_istable(L, -1)) {
            push_field(L, -1, name);
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
        push_field(L, -1, "__index");
        yes = !lua_isnil(L, -1);
        lua_pop(L, 1);
        return yes;
    }
    if (!lua_isfunction(L, -1))
        return false;
    if (lua_iscfunction(L, -1) || library_function(L))
        return true;
    lua_pushvalue(L, -1);
    lua_getinfo(L, ">S", &d);
    return origin > 0 && lua_isstring(L, origin)
           && strcmp(d.source, lua_tostring(L, origin)) == 0;
}

/* The fields of the table on the top, whose name is `name`, of n bytes; in
 * our own module (origin 0) tables have names as well, and their fields. */
static bool name_fields(lua_State *L, struct fri_travel *t, const char *name,
                        size_t n, uint8_t kind, int origin)
{
    bool news = false, new, inside = strlen(name) < n;

    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) == LUA_TSTRING
            && ((origin == 0 && lua_istable(L, -1)) || field_of(L, origin))) {
            new = add_name(L, t, name, n, lua_tostring(L, -2), kind);
            if (new && origin == 0 && !inside && lua_istable(L, -1)) {
                const struct fri_name *found =
                    fri_names_find(t, lua_topointer(L, -1));

                name_fields(L, t, found->text, found->length, kind, 0);
            }
            news |= new;
        }
        lua_pop(L, 1);
    }
    return news;
}

/* The module on the top. */
static bool name_module(lua_State *L, struct fri_travel *t, const char *module)
{
    int value = lua_gettop(L);
    uint8_t kind = push_origin(L, t, module);
    bool news = false;

    lua_pushvalue(L, value);
    if (kind && (lua_istable(L, -1) || field_of(L, value + 1)))
        news = add_name(L, t, module, strlen(module), NULL, kind);
    if (kind && lua_istable(L, -1))
        news |= name_fields(L, t, module, strlen(module), kind,
                            strcmp(module, "flowrun") == 0 ? 0 : value + 1);
    lua_settop(L, value);
    return news;
}

/* Was the object on the top looked at before?  It is now. */
static bool scanned(lua_State *L, struct fri_travel *t)
{
    bool yes;

    fri_push_ref(L, t->scanned);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    yes = lua_toboolean(L, -1);
    lua_pop(L, 1);
    if (!yes) {
        lua_pushvalue(L, -2);
        lua_pushboolean(L, 1);
        lua_rawset(L, -3);
    }
    lua_pop(L, 1);
    return yes;
}

static bool is_library(const char *module)
{
    for (size_t i = 0; i < sizeof(libraries) / sizeof(*libraries); i++)
        if (strcmp(module, libraries[i]) == 0)
            return true;
    return strcmp(module, "_G") == 0;
}

bool fri_names_refresh(lua_State *L, struct fri_travel *t, bool all)
{
    bool news = false;

    luaL_checkstack(L, 20, NULL);
    if (all)
        news = name_standard(L, t, false);
    fri_push_ref(L, t->loaded);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        bool object = lua_istable(L, -1) || lua_isfunction(L, -1);

        if (object && lua_type(L, -2) == LUA_TSTRING
            && (all || !fri_names_find(t, lua_topointer(L, -1)))
            && !is_library(lua_tostring(L, -2))
            && (!scanned(L, t) || all))
            news |= name_module(L, t, lua_tostring(L, -2));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
    return news;
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
}
