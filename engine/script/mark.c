/*
 * mark.c - what a function was written as, among its bytes; its layout is in
 * function.c.
 */
#include "script/travel_private.h"

/* Texts are a length and bytes, as behind FRI_STR. */
static void put_text(struct fri_buffer *b, const char *text)
{
    size_t n = strlen(text);

    fri_put_varint(b, n);
    fri_buffer_add(b, text, n);
}

static void put_upvalue_names(struct fri_buffer *b, lua_State *L, int i, int n)
{
    fri_put_varint(b, (uint64_t)n);
    for (int k = 1; k <= n; k++) {
        const char *name = lua_getupvalue(L, i, k);

        put_text(b, name && *name != '(' ? name : "");
        lua_pop(L, name != NULL);
    }
}

bool fri_put_source(struct fri_encoder *e, lua_State *L, int i, int n,
                    struct fri_code *code)
{
    const struct fri_source *s = &code->source;

    if (!atomic_load_explicit(&e->travel->shared->sources,
                              memory_order_relaxed)) {
        fri_buffer_byte(&e->bytes, FRI_SOURCE_NONE);
        return true;
    }
    if (!fri_source_find(L, e->travel, i, code))
        return fri_refuse_memory(e);
    fri_buffer_byte(&e->bytes, s->kind);
    if (s->kind == FRI_SOURCE_DIGEST)
        fri_buffer_add(&e->bytes, s->digest.bytes, FRI_DIGEST);
    put_text(&e->bytes, s->text);
    if (s->kind == FRI_SOURCE_DIGEST)
        put_upvalue_names(&e->bytes, L, i, n);
    return true;
}
