/*
 * environment.c - functions that came, and their globals.
 *
 * The functions of one message share a table of globals (one for each that
 * they had at the sender), which holds what came with them; what is not there
 * is looked for in the state's globals: what `init` made, then the libraries.
 * Functions of the library that are read are put there in advance, so reading
 * them costs no more than at home.  A global that could not travel raises when
 * it is read.
 *
 * The globals of `init` itself are an empty table before another: reading
 * finds what came with it, then the state's globals; assigning goes to the
 * state's globals and takes away what came.
 */
#include "script/travel_private.h"

enum { UPVALUES = 256 };

static int poisoned_index(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(1));
    if (!lua_isnil(L, -1))
        return luaL_error(L, "global '%s' could not travel: %s",
                          lua_tostring(L, 2), lua_tostring(L, -1));
    lua_pushvalue(L, 2);
    lua_rawget(L, lua_upvalueindex(2));
    return 1;
}

/* env[name] = value in what `init` assigns to: worker's globals, and no more
 * what came with init. */
static int init_newindex(lua_State *L)
{
    lua_pushvalue(L, 2);
    lua_pushnil(L);
    lua_rawset(L, lua_upvalueindex(1));
    lua_settop(L, 3);
    lua_rawset(L, lua_upvalueindex(2));
    return 0;
}

/* The table on the top is one of globals; where its values are is below it
 * for init, else itself. */
static void register_env(struct fri_decoder *d, lua_State *L, bool init)
{
    fri_push_ref(L, d->t->envs);
    lua_pushvalue(L, -2);
    if (init)
        lua_pushvalue(L, -4);
    else
        lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
    d->t->env_made++;
}

static void new_env(struct fri_decoder *d, lua_State *L)
{
    lua_newtable(L);
    fri_push_ref(L, d->t->env_meta);
    lua_setmetatable(L, -2);
    if (!d->init) {
        register_env(d, L, false);
        return;
    }
    lua_newtable(L);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, -3);
    fri_push_ref(L, d->t->globals_ref);
    lua_pushcclosure(L, init_newindex, 2);
    lua_setfield(L, -2, "__newindex");
    lua_setmetatable(L, -2);
    register_env(d, L, true);
    lua_remove(L, -2);
}

/* Pushes environment n of this message. */
void fri_push_env(struct fri_decoder *d, lua_State *L, uint32_t n)
{
    if (n > INT16_MAX)
        fri_malformed(L);
    if (!lua_istable(L, FRI_ENVS)) {
        lua_newtable(L);
        lua_replace(L, FRI_ENVS);
    }
    lua_rawgeti(L, FRI_ENVS, (int)n + 1);
    if (lua_istable(L, -1))
        return;
    lua_pop(L, 1);
    new_env(d, L);
    lua_pushvalue(L, -1);
    lua_rawseti(L, FRI_ENVS, (int)n + 1);
}

/* Pushes where the values of environment n are kept. */
static void push_store(struct fri_decoder *d, lua_State *L, uint32_t n)
{
    fri_push_env(d, L, n);
    if (!d->init)
        return;
    fri_push_ref(L, d->t->envs);
    lua_pushvalue(L, -2);
    lua_rawget(L, -2);
    lua_replace(L, -3);
    lua_pop(L, 1);
}

/* Pushes the table of poisons of the store at i. */
static void push_poisons(struct fri_decoder *d, lua_State *L, int i)
{
    if (lua_getmetatable(L, i)) {
        lua_pushliteral(L, "poisons");
        lua_rawget(L, -2);
        lua_remove(L, -2);
        if (lua_istable(L, -1))
            return;
        lua_pop(L, 1);
    }
    lua_newtable(L);
    lua_createtable(L, 0, 2);
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "poisons");
    lua_pushvalue(L, -2);
    fri_push_ref(L, d->t->globals_ref);
    lua_pushcclosure(L, poisoned_index, 2);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, i);
}

/* Did init give the name at `name` a value here?  Pushes what is there. */
static bool made_by_init(struct fri_decoder *d, lua_State *L, int name)
{
    bool yes;

    fri_push_ref(L, d->t->globals_ref);
    lua_pushvalue(L, name);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_isnil(L, -1))
        return false;
    fri_push_ref(L, d->t->originals);
    lua_pushvalue(L, name);
    lua_rawget(L, -2);
    yes = !lua_rawequal(L, -1, -3);
    lua_pop(L, 2);
    return yes;
}

/* What follows the name, which is on the top. */
static void get_global(struct fri_decoder *d, lua_State *L, uint32_t env)
{
    int name = lua_gettop(L);
    uint8_t tag = d->r.at < d->r.end ? *d->r.at : (uint8_t)FRI_TAG_END;
    bool here = made_by_init(d, L, name);
    size_t length;

    push_store(d, L, env); /* name, what is here, store */
    if (tag == FRI_NAME && fri_left(&d->r) >= 2 && d->r.at[1] == 0) {
        d->r.at += 2;
        lua_pushvalue(L, here ? name + 3 : name + 1);
        lua_settop(L, here ? name + 2 : name + 3);
    } else if (tag == FRI_POISON) {
        const char *text;

        d->r.at++;
        text = fri_get_str(&d->r, tag, &length);
        fri_decoder_check(d, L);
        if (!here)
            push_poisons(d, L, name + 2);
        lua_pushlstring(L, text, length);
    } else {
        uint32_t outer = d->env;

        d->env = env;
        fri_get_value(d, L);
        d->env = outer;
    }
    if (!here && lua_gettop(L) > name + 2) {
        lua_pushvalue(L, name);
        lua_insert(L, -2);
        lua_rawset(L, -3);
    }
    lua_settop(L, name - 1);
}

static void get_globals(struct fri_decoder *d, lua_State *L)
{
    uint64_t env;
    const char *name;
    size_t length;

    while ((env = fri_get_varint(&d->r)) > 0) {
        name = fri_get_str(&d->r, FRI_STR, &length);
        fri_decoder_check(d, L);
        lua_pushlstring(L, name, length);
        get_global(d, L, (uint32_t)env - 1);
    }
}

/* ---- functions -------------------------------------------------------- */

/* Joins upvalue i of the function on the top to cell n. */
static void join_cell(struct fri_decoder *d, lua_State *L, int i, uint64_t n)
{
    lua_Integer place;

    if (!d->keep || n >= d->cells || n >= INT32_MAX)
        fri_malformed(L);
    lua_rawgeti(L, FRI_CELLS, (int)(n + 1));
    place = lua_tointeger(L, -1);
    lua_pop(L, 1);
    lua_rawgeti(L, FRI_PARTS, (int)(place / UPVALUES) + 1);
    lua_upvaluejoin(L, -2, i, -1, (int)(place % UPVALUES));
    lua_pop(L, 1);
}

static void get_upvalue(struct fri_decoder *d, lua_State *L, int i,
                        uint32_t part)
{
    uint64_t cell = fri_get_varint(&d->r);

    fri_decoder_check(d, L);
    if (cell > 0) {
        join_cell(d, L, i, cell - 1);
        return;
    }
    if (d->keep) {
        lua_pushinteger(L, (lua_Integer)part * UPVALUES + i);
        lua_rawseti(L, FRI_CELLS, (int)d->cells + 1);
    }
    d->cells++;
    fri_get_value(d, L);
    if (!lua_setupvalue(L, -2, i))
        fri_malformed(L);
}

static void get_env(struct fri_decoder *d, lua_State *L)
{
    uint64_t env = fri_get_varint(&d->r);

    fri_decoder_check(d, L);
    if (env > INT16_MAX)
        fri_malformed(L);
    d->env = env >= 2 ? (uint32_t)env - 2 : 0;
#if FRI_LUA54
    if (env == 1)
        fri_malformed(L);
#else
    if (env == 1)
        fri_get_value(d, L);
    else if (env >= 2)
        fri_push_env(d, L, d->env);
    if (env > 0 && !lua_istable(L, -1))
        fri_malformed(L);
    if (env > 0)
        lua_setfenv(L, -2);
#endif
}

void fri_get_function(struct fri_decoder *d, lua_State *L)
{
    size_t all = fri_get_count(&d->r, 1), length = fri_get_count(&d->r, 1);
    const char *code = (const char *)d->r.at;
    uint32_t outer = d->env, part = d->parts;
    size_t n;

    fri_decoder_check(d, L);
    (void)all;
    if (++d->depth > FRI_DEPTH)
        fri_malformed(L);
    luaL_checkstack(L, 20, NULL);
    if (luaL_loadbufferx(L, code, length, "=function", "b") != LUA_OK)
        lua_error(L);
    fri_begin_part(d, L);
    d->r.at += length;
    fri_source_mark(&d->r);
    get_env(d, L);
    n = fri_get_count(&d->r, 1);
    fri_decoder_check(d, L);
    for (size_t i = 1; i <= n && i < UPVALUES; i++)
        get_upvalue(d, L, (int)i, part);
    get_globals(d, L);
    fri_decoder_check(d, L);
    d->env = outer;
    d->depth--;
}
