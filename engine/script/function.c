/*
 * function.c - functions to bytes.
 *
 * After FUNC come a length, then in so many bytes:
 *
 *     code       length, bytes: the dump, with line numbers
 *     source     0; 1, a digest of what it was written as, its name, a count,
 *                so many names of upvalues; 2, why there is no digest
 *     env        0: it reads no globals; 1: a table of its own, a value;
 *                2 + n: the globals of number n
 *     upvalues   count; for each 0 and a value, which makes the next cell,
 *                or 1 + n: it shares cell n
 *     globals    of the outermost function only: 1 + env, name, value ...
 *                ended by 0.  NAME "": what is there under this name.
 *
 * The globals that a function reads stand behind the outermost function, not
 * inside the function: a chain of calls is no nesting.  One that cannot
 * travel is found out while it is being written; then all is written again
 * with a POISON in its place.
 */
#include "script/travel_private.h"

enum { LENGTH_ROOM = 5 }; /* digits of the length: up to 2^35 */

bool fri_is_env(lua_State *L, const struct fri_travel *t, int i,
                const void *p)
{
    bool yes;

    if (p == t->globals)
        return true;
    if (t->env_made == 0)
        return false;
    i = lua_absindex(L, i);
    fri_push_ref(L, t->envs);
    lua_pushvalue(L, i);
    lua_rawget(L, -2);
    yes = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return yes;
}

/* ---- environments ----------------------------------------------------- */

/* The number of the environment at i, whose address is p. */
static bool env_number(struct fri_encoder *e, lua_State *L, int i,
                       const void *p, uint32_t *number)
{
    void *list = e->envs;

    i = lua_absindex(L, i);
    for (uint32_t k = 0; k < e->env_count; k++) {
        if (e->envs[k] == p) {
            *number = k;
            return true;
        }
    }
    if (!fri_encoder_reserve(e, &list, e->env_count, &e->env_capacity,
                             sizeof(*e->envs)))
        return false;
    e->envs = list;
    if (p != e->travel->globals) {
        fri_push_ref(L, e->env_ref);
        lua_pushvalue(L, i);
        lua_rawseti(L, -2, (int)e->env_count + 1);
        lua_pop(L, 1);
    }
    *number = e->env_count;
    e->envs[e->env_count++] = p;
    return true;
}

static void push_env(struct fri_encoder *e, lua_State *L, uint32_t number)
{
    if (e->envs[number] == e->travel->globals) {
        fri_push_ref(L, e->travel->globals_ref);
        return;
    }
    fri_push_ref(L, e->env_ref);
    lua_rawgeti(L, -1, (int)number + 1);
    lua_remove(L, -2);
}

static void raw_field(lua_State *L, int table, struct fri_text name)
{
    lua_pushlstring(L, name.at, name.length);
    lua_rawget(L, table);
}

/* In an environment: what came with its functions, a poison among it, then
 * the state's globals. */
void fri_push_global(lua_State *L, struct fri_travel *t, int env,
                     struct fri_text name)
{
    env = lua_absindex(L, env);
    raw_field(L, env, name);
    if (!lua_isnil(L, -1) || lua_topointer(L, env) == t->globals)
        return;
    lua_pop(L, 1);
    fri_push_ref(L, t->envs);
    lua_pushvalue(L, env);
    lua_rawget(L, -2);
    lua_remove(L, -2);
    if (lua_istable(L, -1)) {
        raw_field(L, lua_gettop(L), name);
        lua_remove(L, -2);
        if (!lua_isnil(L, -1))
            return;
    }
    lua_pop(L, 1);
    fri_push_ref(L, t->globals_ref);
    raw_field(L, lua_gettop(L), name);
    lua_remove(L, -2);
}

/* ---- globals ---------------------------------------------------------- */

static bool queue_global(struct fri_encoder *e, struct fri_text name,
                         uint32_t env)
{
    uint64_t hash = fri_hash(name.at, name.length, env);
    void *list = e->globals;

    for (uint32_t i = 0; i < e->global_count; i++) {
        const struct fri_global *g = &e->globals[i];

        if (g->hash == hash && g->env == env && g->name.length == name.length
            && memcmp(g->name.at, name.at, name.length) == 0)
            return true;
    }
    if (!fri_encoder_reserve(e, &list, e->global_count, &e->global_capacity,
                             sizeof(*e->globals)))
        return false;
    e->globals = list;
    e->globals[e->global_count++] =
        (struct fri_global){ hash, name, env };
    return true;
}

static const struct fri_poison *find_poison(const struct fri_encoder *e,
                                            const struct fri_global *g)
{
    for (uint32_t i = 0; i < e->poison_count; i++) {
        const struct fri_poison *p = &e->poisons[i];

        if (p->env == e->envs[g->env] && p->length == g->name.length
            && memcmp(p->name, g->name.at, p->length) == 0)
            return p;
    }
    return NULL;
}

/* The global cannot travel, for the reason that stands in e->path. */
static bool add_poison(struct fri_encoder *e, const struct fri_global *g)
{
    const struct fri_memory *m = e->travel->memory;
    void *list = e->poisons;
    struct fri_poison p = { .env = e->envs[g->env],
                            .length = g->name.length };

    fri_refusal(e);
    if (!fri_encoder_reserve(e, &list, e->poison_count, &e->poison_capacity,
                             sizeof(p)))
        return false;
    e->poisons = list;
    p.name = fri_strndup(m, g->name.at, g->name.length);
    p.text = fri_strndup(m, (const char *)e->path.data, e->path.length);
    if (!p.name || !p.text) {
        fri_free(m, p.name);
        fri_free(m, p.text);
        return fri_refuse_memory(e);
    }
    e->poisons[e->poison_count++] = p;
    e->again = true;
    return false;
}

static bool is_original(lua_State *L, const struct fri_travel *t, int i,
                        struct fri_text name)
{
    bool yes;

    fri_push_ref(L, t->originals);
    raw_field(L, lua_gettop(L), name);
    yes = lua_rawequal(L, -1, i);
    lua_pop(L, 2);
    return yes;
}

static void put_global_name(struct fri_encoder *e, const struct fri_global *g)
{
    fri_put_varint(&e->bytes, (uint64_t)g->env + 1);
    fri_put_varint(&e->bytes, g->name.length);
    fri_buffer_add(&e->bytes, g->name.at, g->name.length);
}

static void put_poison(struct fri_encoder *e, const char *text, size_t length)
{
    fri_note_nothing(e);
    fri_put_str(&e->bytes, FRI_POISON, text, length);
}

/* The value on the top is that of the global. */
static bool put_global_value(struct fri_encoder *e, lua_State *L,
                             const struct fri_global *g)
{
    int value = lua_gettop(L);
    const struct fri_poison *poison = find_poison(e, g);
    const void *p = lua_topointer(L, value);

    put_global_name(e, g);
    if (lua_istable(L, value) && fri_is_env(L, e->travel, value, p)) {
        fri_buffer_byte(&e->bytes, FRI_ENV);
    } else if (is_original(L, e->travel, value, g->name)) {
        fri_put_str(&e->bytes, FRI_NAME, "", 0);
    } else if (poison) {
        put_poison(e, poison->text, strlen(poison->text));
    } else if (!fri_put_value(e, L, value)) {
        return e->again || e->no_memory ? false : add_poison(e, g);
    }
    return true;
}

/* Nothing was found under the name in the environment at i: because it could
 * not travel to this state either? */
static void put_old_poison(struct fri_encoder *e, lua_State *L, int i,
                           const struct fri_global *g)
{
    size_t length;
    const char *text;

    if (e->envs[g->env] == e->travel->globals || !lua_getmetatable(L, i))
        return;
    lua_pushliteral(L, "poisons");
    lua_rawget(L, -2);
    if (!lua_istable(L, -1))
        return;
    raw_field(L, lua_gettop(L), g->name);
    text = lua_tolstring(L, -1, &length);
    if (text) {
        put_global_name(e, g);
        put_poison(e, text, length);
    }
}

static bool put_global(struct fri_encoder *e, lua_State *L, uint32_t number)
{
    struct fri_global g = e->globals[number];
    int top = lua_gettop(L);
    bool entered;

    push_env(e, L, g.env);
    fri_push_global(L, e->travel, -1, g.name);
    if (!fri_encoder_refresh(e, L, top + 2))
        return false;
    entered = fri_note(e, L, top + 2, FRI_AT_GLOBAL, g.env, g.name);
    if (lua_isnil(L, -1))
        put_old_poison(e, L, top + 1, &g);
    else if (!put_global_value(e, L, &g))
        return false;
    fri_note_end(e, entered);
    lua_settop(L, top);
    return true;
}

static bool put_globals(struct fri_encoder *e, lua_State *L)
{
    bool outermost = e->functions == 0;

    while (outermost && e->global_done < e->global_count) {
        e->functions++;
        if (!put_global(e, L, e->global_done++))
            return false;
        e->functions--;
    }
    fri_buffer_byte(&e->bytes, 0);
    return true;
}

/* ---- upvalues --------------------------------------------------------- */

/* Which upvalues of the function at i are environments. */
static int env_upvalues(struct fri_encoder *e, lua_State *L, int i,
                        struct fri_slots *env)
{
    int n = 0;

    for (; lua_getupvalue(L, i, n + 1); n++) {
        if (lua_istable(L, -1)
            && fri_is_env(L, e->travel, -1, lua_topointer(L, -1)))
            fri_slot_set(env, (unsigned)n);
        lua_pop(L, 1);
    }
    return n;
}

static bool put_cell(struct fri_encoder *e, lua_State *L, int i, int n)
{
    bool fresh = true;
    uint32_t *cell = fri_seen_add(&e->seen, e->travel->memory,
                                  lua_upvalueid(L, i, n), e->cells, &fresh);

    if (!cell)
        return fri_refuse_memory(e);
    if (!fresh) {
        e->has_refs = true;
        fri_put_varint(&e->bytes, (uint64_t)*cell + 1);
        return true;
    }
    e->cells++;
    fri_buffer_byte(&e->bytes, 0);
    return fri_put_value(e, L, lua_gettop(L));
}

static bool put_upvalue(struct fri_encoder *e, lua_State *L, int i, int n,
                        bool env)
{
    const char *name = lua_getupvalue(L, i, n);
    int value = lua_gettop(L);
    struct fri_text none = { NULL, 0 };
    bool entered;

    if (!fri_encoder_refresh(e, L, value))
        return false;
    entered = fri_note(e, L, value, FRI_AT_UPVALUE, (unsigned)n, none);
    if (env) {
        e->cells++;
        fri_buffer_byte(&e->bytes, 0);
        fri_buffer_byte(&e->bytes, FRI_ENV);
    } else if (!put_cell(e, L, i, n)) {
        return name && *name && *name != '('
                   ? fri_step_word(e, "upvalue %.80s", name)
                   : fri_step_word(e, "upvalue %d", n);
    }
    fri_note_end(e, entered);
    lua_settop(L, value - 1);
    return true;
}

/* ---- functions -------------------------------------------------------- */

static bool put_env_of(struct fri_encoder *e, lua_State *L, int i, int n,
                       const struct fri_code *code, uint32_t *env)
{
#if FRI_LUA54
    int slot = 0;

    if (!code->uses_globals) {
        fri_buffer_byte(&e->bytes, 0);
        return true;
    }
    while (slot < n && !fri_slot(&code->env, (unsigned)slot))
        slot++;
    lua_getupvalue(L, i, slot + 1);
#else
    (void)n;
    if (!code->uses_globals) {
        fri_buffer_byte(&e->bytes, 0);
        return true;
    }
    lua_getfenv(L, i);
    if (!fri_is_env(L, e->travel, -1, lua_topointer(L, -1))) {
        fri_note_nothing(e);
        fri_buffer_byte(&e->bytes, 1);
        if (!fri_put_value(e, L, lua_gettop(L)))
            return fri_step_word(e, "environment");
        lua_pop(L, 1);
        *env = UINT32_MAX;
        return true;
    }
#endif
    if (!env_number(e, L, -1, lua_topointer(L, -1), env))
        return false;
    lua_pop(L, 1);
    fri_note_env(e, L, i, *env);
    fri_put_varint(&e->bytes, (uint64_t)*env + 2);
    return true;
}

/* The length was not known when room was left for it at `at`. */
static bool fill_in_length(struct fri_encoder *e, size_t at)
{
    uint8_t digits[LENGTH_ROOM];
    uint64_t n = e->bytes.length - at - LENGTH_ROOM;

    if (e->bytes.failed || n >> (7 * LENGTH_ROOM) != 0)
        return fri_refuse_memory(e);
    for (int i = 0; i < LENGTH_ROOM; i++, n >>= 7)
        digits[i] = (uint8_t)(n | (i < LENGTH_ROOM - 1 ? 0x80 : 0));
    memcpy(e->bytes.data + at, digits, LENGTH_ROOM);
    return true;
}

static bool put_parts(struct fri_encoder *e, lua_State *L, int i, int n,
                      struct fri_code *code)
{
    uint32_t env = 0;

    fri_put_varint(&e->bytes, code->length);
    fri_buffer_add(&e->bytes, code->bytes, code->length);
    e->pack.random |= code->random;
    if (!fri_put_source(e, L, i, n, code))
        return false;
    if (!put_env_of(e, L, i, n, code, &env))
        return false;
    for (uint32_t k = 0; env != UINT32_MAX && k < code->global_count; k++)
        if (!queue_global(e, code->globals[k], env))
            return false;
    e->functions++;
    fri_put_varint(&e->bytes, (uint64_t)n);
    for (int k = 1; k <= n; k++)
        if (!put_upvalue(e, L, i, k, fri_slot(&code->env, (unsigned)k - 1)))
            return false;
    e->functions--;
    return put_globals(e, L);
}

/* Something without a name that might have one: were modules changed since
 * we looked?  True when another try is due. */
static bool look_again(struct fri_encoder *e, lua_State *L)
{
    if (!e->rescanned) {
        e->rescanned = true;
        e->again = fri_names_refresh(L, e->travel, true);
    }
    return e->again;
}

static bool put_lua_function(struct fri_encoder *e, lua_State *L, int i)
{
    static const uint8_t room[LENGTH_ROOM];
    struct fri_slots env = { { 0 } };
    int n = env_upvalues(e, L, i, &env), top = lua_gettop(L);
    struct fri_code *code = fri_code_get(e, L, i, &env);
    bool futures = e->futures, ok;
    size_t at;

    if (!code || (code->own && look_again(e, L)))
        return false;
    fri_buffer_byte(&e->bytes, FRI_FUNC);
    at = e->bytes.length;
    fri_buffer_add(&e->bytes, room, LENGTH_ROOM);
    e->futures = false;
    e->depth++;
    ok = put_parts(e, L, i, n, code) && fill_in_length(e, at);
    if (!ok)
        return false;
    e->depth--;
    e->futures = futures;
    lua_settop(L, top);
    return true;
}

static bool put_ref(struct fri_encoder *e, uint32_t part)
{
    e->has_refs = true;
    fri_buffer_byte(&e->bytes, FRI_REF);
    fri_put_varint(&e->bytes, part);
    return true;
}

bool fri_put_function(struct fri_encoder *e, lua_State *L, int i)
{
    const void *p = lua_topointer(L, i);
    const struct fri_name *name = fri_names_find(e->travel, p);
    bool fresh = true;
    uint32_t *part;

    if (name)
        return fri_put_name(e, L, name);
    if (!e->guarded)
        return fri_refuse_unguarded(e);
    i = lua_absindex(L, i);
    if ((!e->witnesses || e->depth > 0) && !fri_encoder_refresh(e, L, i))
        return false;
    if (lua_iscfunction(L, i)) {
        look_again(e, L);
        return fri_refuse_type(e, L, i);
    }
    part = fri_seen_add(&e->seen, e->travel->memory, p, e->parts, &fresh);
    if (!part)
        return fri_refuse_memory(e);
    if (!fresh)
        return put_ref(e, *part);
    if (e->depth >= FRI_DEPTH || !lua_checkstack(L, 20))
        return fri_refuse(e, "nested deeper than %d", FRI_DEPTH);
    e->parts++;
    return put_lua_function(e, L, i);
}
