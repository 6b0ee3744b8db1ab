/*
 * names.c - what travels by name: names first, values second.
 *
 * A name is a module's, or a module's and a field's with a zero byte between.
 * Three sorts of things have one: what the standard library held when the
 * state was opened; modules that were loaded since and that require finds
 * over there as well (from a file, or built into the VM), with their C
 * functions, the functions of their own file and their classes; and flowrun
 * itself.  A module that a script made up travels by value.  (The library is
 * here, modules are in modules.c.)
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

static void push_name(lua_State *L, const char *module, size_t n,
                      const char *field)
{
    luaL_Buffer b;

    luaL_buffinit(L, &b);
    luaL_addlstring(&b, module, n);
    if (field) {
        luaL_addchar(&b, '\0');
        luaL_addstring(&b, field);
    }
    luaL_pushresult(&b);
}

/* Names the object on the top unless it has a name; pops nothing.  The name
 * is `module` (a whole name, of n bytes) or, with one, its field. */
bool fri_name_add(lua_State *L, struct fri_travel *t, const char *module,
                     size_t n, const char *field, uint8_t kind)
{
    const void *p = lua_topointer(L, -1);
    struct fri_name *slot;
    size_t length;

    if (p == t->globals || fri_names_find(t, p))
        return false;
    if (t->names.used * 2 > t->names.mask)
        names_grow(L, t);
    push_name(L, module, n, field);
    fri_push_ref(L, kind == FRI_STANDARD ? t->named : t->scanned);
    lua_pushvalue(L, -2);
    lua_pushvalue(L, -4);
    lua_rawset(L, -3);
    slot = names_slot(&t->names, p);
    slot->text = lua_tolstring(L, -2, &length);
    slot->length = (uint32_t)length;
    slot->kind = kind;
    slot->random = is_random(slot->text, field);
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
bool fri_library_function(lua_State *L)
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

    news = fri_name_add(L, t, lib, strlen(lib), NULL, FRI_STANDARD);
    lua_pushnil(L);
    while (lua_next(L, -2)) {
        if (lua_type(L, -2) == LUA_TSTRING
            && (fri_library_function(L) || (tables && lua_istable(L, -1))))
            news |= fri_name_add(L, t, lib, strlen(lib), lua_tostring(L, -2),
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

void fri_push_field(lua_State *L, int i, const char *name)
{
    i = lua_absindex(L, i);
    lua_pushstring(L, name);
    lua_rawget(L, i);
}

/* With `keep`, the state is being opened: what is there is the original. */
bool fri_name_standard(lua_State *L, struct fri_travel *t, bool keep)
{
    bool news = false;

    for (size_t i = 0; i < sizeof(libraries) / sizeof(*libraries); i++) {
        fri_push_ref(L, t->loaded);
        fri_push_field(L, -1, libraries[i]);
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
        fri_push_field(L, -1, base_functions[i]);
        if (fri_library_function(L)) {
            news |= fri_name_add(L, t, "_G", 2, base_functions[i],
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
        fri_push_field(L, -1, field);
    else
        lua_pushnil(L);
    lua_remove(L, -2);
    return luaL_ref(L, LUA_REGISTRYINDEX);
}

void fri_names_open(lua_State *L, struct fri_travel *t)
{
    int string;

    names_grow(L, t);
    fri_push_field(L, LUA_REGISTRYINDEX, "_LOADED");
    if (!lua_istable(L, -1))
        luaL_error(L, "flowrun needs the package library");
    t->loaded = luaL_ref(L, LUA_REGISTRYINDEX);
    t->package = keep_field(L, t->loaded, "package");
    t->require = keep_field(L, t->globals_ref, "require");
    t->searchpath = keep_field(L, t->package, "searchpath");
    string = keep_field(L, t->loaded, "string");
    t->string_dump = keep_field(L, string, "dump");
    luaL_unref(L, LUA_REGISTRYINDEX, string);
    fri_name_standard(L, t, true);
    fri_push_ref(L, t->globals_ref);
    fri_push_field(L, -1, "_VERSION");
    keep_original(L, t, "_VERSION");
    lua_pushvalue(L, -1);
    keep_original(L, t, "_G");
    lua_pop(L, 1);
}

bool fri_is_library(const char *module)
{
    for (size_t i = 0; i < sizeof(libraries) / sizeof(*libraries); i++)
        if (strcmp(module, libraries[i]) == 0)
            return true;
    return strcmp(module, "_G") == 0;
}
