/*
 * constants.c - locals of Lua 5.4 that are <const>.
 *
 * Where the value of such a local is known to the compiler it stands in the
 * code of the functions that name it, and is no upvalue of theirs: what was
 * written where it was declared is part of these functions.
 *
 * Rules.  Taking a constant for one that is not reached would be wrong, the
 * other way round costs little: a field or parameter of its name will do, and
 * an inner one does not hide an outer one.
 */
#include "script/chunk.h"

#include <ctype.h>

/* ---- words ------------------------------------------------------------ */

static bool is_word(const struct fri_chunk *c, struct fri_span t)
{
    unsigned char first = (unsigned char)c->text[t.from];

    return isalpha(first) || first == '_' || first >= 0x80;
}

/* A number, a string or a word that stands for a value. */
static bool is_operand(const struct fri_chunk *c, struct fri_span t)
{
    char first = c->text[t.from];

    if (fri_is(c, t, "and") || fri_is(c, t, "or") || fri_is(c, t, "not"))
        return false;
    return is_word(c, t) || isdigit((unsigned char)first) || first == '"'
           || first == '\'' || t.to - t.from > 1;
}

/* Behind the `end` of the function that begins at `at`. */
static size_t function_end(const struct fri_chunk *c, size_t at)
{
    int depth = 0;

    do {
        struct fri_span t = fri_chunk_token(c, at, c->length);

        if (t.from == t.to)
            break;
        depth += fri_is(c, t, "function") || fri_is(c, t, "if")
                 || fri_is(c, t, "do") || fri_is(c, t, "repeat");
        depth -= fri_is(c, t, "end") || fri_is(c, t, "until");
        at = t.to;
    } while (depth > 0);
    return at;
}

static bool ends_statement(const struct fri_chunk *c, struct fri_span t)
{
    return fri_is(c, t, ";")
           || (fri_is(c, t, ":") && t.to < c->length && c->text[t.to] == ':');
}

/* Behind the rest of a declaration: where two operands meet. */
static size_t declaration_end(const struct fri_chunk *c, size_t at)
{
    struct fri_span t = fri_chunk_token(c, at, c->length);
    bool operand = true;

    while (t.from < t.to && !ends_statement(c, t)) {
        bool begins = is_operand(c, t);

        if (begins && operand)
            break;
        operand = begins || fri_is(c, t, ")") || fri_is(c, t, "}")
                  || fri_is(c, t, "]");
        at = fri_is(c, t, "function") ? function_end(c, t.from) : t.to;
        t = fri_chunk_token(c, at, c->length);
    }
    return at;
}

/* ---- reading ---------------------------------------------------------- */

static bool same_name(const struct fri_chunk *c, struct fri_span a,
                      struct fri_span b)
{
    size_t n = a.to - a.from;

    return b.to - b.from == n
           && memcmp(c->text + a.from, c->text + b.from, n) == 0;
}

static bool is_constant(const struct fri_chunk *c, struct fri_span t)
{
    for (size_t i = 0; i < c->constant_count; i++)
        if (same_name(c, c->constants[i].name, t))
            return true;
    return false;
}

/* May it be part of an expression whose value the compiler knows? */
static bool is_known(const struct fri_chunk *c, struct fri_span t)
{
    if (fri_is(c, t, "{") || fri_is(c, t, "[") || fri_is(c, t, ":")
        || fri_is(c, t, "function"))
        return false;
    return !is_word(c, t) || !is_operand(c, t) || fri_is(c, t, "nil")
           || fri_is(c, t, "true") || fri_is(c, t, "false")
           || is_constant(c, t);
}

/* Can the compiler know its value?  Of several that are declared together,
 * that of the last. */
static bool can_fold(const struct fri_chunk *c, struct fri_chunk_constant *k)
{
    struct fri_span t = fri_chunk_token(c, k->all.from, k->all.to);
    bool values = false, several = false;

    k->plain = true;
    for (; t.from < t.to; t = fri_chunk_token(c, t.to, k->all.to)) {
        values |= fri_is(c, t, "=");
        several |= !values && fri_is(c, t, ",");
        k->plain &= !values || is_known(c, t);
    }
    return k->plain || several;
}

bool fri_chunk_constant(struct fri_chunk *c, size_t declared,
                        struct fri_span name, size_t at, size_t depth)
{
    struct fri_chunk_constant k = {
        .name = name,
        .all = { declared, declaration_end(c, at) },
        .to = c->length,
        .depth = depth
    };

    if (!can_fold(c, &k))
        return true;
    if (c->constant_count == c->constant_capacity) {
        size_t want = c->constant_capacity ? 2 * c->constant_capacity : 8;
        void *more = fri_realloc(c->memory, c->constants, want * sizeof k);

        if (!more)
            return false;
        c->constants = more;
        c->constant_capacity = want;
    }
    c->constants[c->constant_count++] = k;
    return true;
}

void fri_chunk_leave(struct fri_chunk *c, size_t depth, size_t at)
{
    for (size_t i = 0; i < c->constant_count; i++) {
        struct fri_chunk_constant *k = &c->constants[i];

        if (k->depth > depth && k->to > at)
            k->to = at;
    }
}

/* ---- which are reached ------------------------------------------------ */

/* Those that are seen at `place` and named in the span. */
static void reach(struct fri_chunk *c, struct fri_span span, size_t place)
{
    struct fri_span t = fri_chunk_token(c, span.from, span.to);

    for (; t.from < t.to; t = fri_chunk_token(c, t.to, span.to)) {
        for (size_t i = 0; i < c->constant_count; i++) {
            struct fri_chunk_constant *k = &c->constants[i];

            k->reached |= k->name.to <= place && place < k->to
                          && same_name(c, k->name, t);
        }
    }
}

bool fri_chunk_reach(struct fri_chunk *c, struct fri_span span)
{
    bool any = false;

    for (size_t i = 0; i < c->constant_count; i++)
        c->constants[i].reached = false;
    if (c->constant_count > 0)
        reach(c, span, span.from);
    for (size_t i = c->constant_count; i-- > 0;) {
        struct fri_chunk_constant *k = &c->constants[i];

        if (k->reached)
            reach(c, k->all, k->all.from);
        any |= k->reached;
    }
    return any;
}
