/*
 * code.c - the bytecode of functions, and what is known of it.
 *
 * Kept twice: with the function (by its serial number), and by the dump's
 * bytes, so that new closures of the same prototype are not scanned again.
 */
#define _GNU_SOURCE /* memmem */
#include "script/travel_private.h"

static int add_dump(lua_State *L, const void *bytes, size_t n, void *buffer)
{
    (void)L;
    fri_buffer_add(buffer, bytes, n);
    return ((struct fri_buffer *)buffer)->failed;
}

#if FRI_LUA54
#define fri_lua_dump(L, writer, data) lua_dump((L), (writer), (data), 0)
#else
#define fri_lua_dump(L, writer, data) lua_dump((L), (writer), (data))
#endif

bool fri_dump(lua_State *L, int i, struct fri_buffer *b)
{
    int failed;

    lua_pushvalue(L, i);
    failed = fri_lua_dump(L, add_dump, b);
    lua_pop(L, 1);
    return failed == 0 && !b->failed;
}

void fri_code_free(struct fri_travel *t, struct fri_code *code)
{
    if (!code || --code->refs > 0)
        return;
    fri_free(t->memory, code->globals);
    fri_free(t->memory, code->bytes);
    fri_free(t->memory, code->source.text);
    fri_free(t->memory, code);
}

static bool same_code(const struct fri_code *c, uint64_t hash,
                      const struct fri_buffer *dump,
                      const struct fri_slots *env)
{
    return c && c->hash == hash && c->length == dump->length
           && memcmp(&c->env, env, sizeof(*env)) == 0
           && memcmp(c->bytes, dump->data, dump->length) == 0;
}

/* Does the chunk's name, near the beginning, say that it is ours? */
static bool is_own(const struct fri_buffer *dump)
{
    size_t n = dump->length < 64 ? dump->length : 64;

    return memmem(dump->data, n, FRI_OWN_CHUNK, sizeof(FRI_OWN_CHUNK) - 1);
}

/* Takes the dump's bytes. */
static struct fri_code *code_new(struct fri_travel *t, struct fri_buffer *dump,
                                 uint64_t hash, const struct fri_slots *env)
{
    struct fri_code *c = fri_alloc_zero(t->memory, sizeof(*c));

    if (!c)
        return NULL;
    c->refs = 1;
    c->hash = hash;
    c->env = *env;
    c->own = is_own(dump);
    c->bytes = dump->data;
    c->length = dump->length;
    if (!fri_code_scan(t->memory, c, t->scan_works)) {
        fri_free(t->memory, c->globals);
        fri_free(t->memory, c);
        return NULL;
    }
    fri_buffer_init(dump, t->memory);
    return c;
}

static struct fri_code *code_of_dump(struct fri_travel *t,
                                     struct fri_buffer *dump,
                                     const struct fri_slots *env)
{
    uint64_t hash = fri_hash(dump->data, dump->length, 0);
    struct fri_code **slot, *code;

    if (!t->codes)
        t->codes = fri_alloc_zero(t->memory, FRI_CODES * sizeof(*t->codes));
    if (!t->codes)
        return NULL;
    slot = &t->codes[hash % FRI_CODES];
    if (!same_code(*slot, hash, dump, env)) {
        code = code_new(t, dump, hash, env);
        if (!code)
            return NULL;
        fri_code_free(t, *slot);
        *slot = code;
    }
    (*slot)->refs++;
    return *slot;
}

static bool test_scan(lua_State *L, struct fri_travel *t)
{
    int works = t->scan_tested ? t->scan_works
                               : fri_code_scan_works(L, t->memory);

    t->scan_tested = works >= 0;
    t->scan_works = works > 0;
    return t->scan_tested;
}

/* Keeps the code until the encoder begins anew. */
static struct fri_code *hold_code(struct fri_encoder *e, struct fri_code *code)
{
    void *list = e->codes;

    if (!fri_encoder_reserve(e, &list, e->code_count, &e->code_capacity,
                             sizeof(*e->codes)))
        return NULL;
    e->codes = list;
    e->codes[e->code_count++] = code;
    code->refs++;
    return code;
}

/* The code of the Lua function at i; NULL with a refusal. */
struct fri_code *fri_code_get(struct fri_encoder *e, lua_State *L, int i,
                                 const struct fri_slots *env)
{
    struct fri_travel *t = e->travel;
    uint64_t serial = fri_serial_make(L, t, i);
    struct fri_known *known = fri_known_make(t, serial);
    struct fri_code *code = known ? known->code : NULL;

    if (code && memcmp(&code->env, env, sizeof(*env)) == 0)
        return hold_code(e, code);
    t->dump.length = 0;
    t->dump.failed = false;
    if (!known || !test_scan(L, t) || !fri_dump(L, i, &t->dump)
        || !(code = code_of_dump(t, &t->dump, env))) {
        fri_refuse_memory(e);
        return NULL;
    }
    fri_code_free(t, known->code);
    known->code = code;
    return hold_code(e, code);
}
