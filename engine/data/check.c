/*
 * check.c - is this a sequence that a reader may be given?
 *
 * Form only: that a name is known, that a handle is there, or that no key
 * comes twice, is for the reader to see.  A FUNC is a length and that many
 * bytes, which are not looked into; what they hold of parts is not known, so
 * behind one the numbers of REFs are left to the reader as well.
 */
#include "data/codec.h"

struct checker {
    struct fri_reader r;
    uint64_t parts; /* begun so far; UINT64_MAX: not known */
    int depth;
    bool refs; /* the flags allow a REF */
    bool plain; /* only what a file can hold */
};

static void check_value(struct checker *c);

static uint8_t next_tag(const struct checker *c)
{
    return c->r.at < c->r.end ? *c->r.at : (uint8_t)FRI_NIL;
}

static void skip(struct fri_reader *r, uint64_t n)
{
    if (n > fri_left(r))
        fri_bad(r);
    else
        r->at += n;
}

static void begin_part(struct checker *c)
{
    if (c->parts < UINT64_MAX)
        c->parts++;
}

static void check_key(struct checker *c)
{
    struct fri_reader ahead = c->r;
    uint8_t tag = fri_get_byte(&ahead);

    if (tag == FRI_NUM) {
        double n = fri_get_num(&ahead);

        if (n != n)
            fri_bad(&c->r);
    }
    if (tag == FRI_NIL)
        fri_bad(&c->r);
    check_value(c);
}

static void check_something(struct checker *c)
{
    if (next_tag(c) == FRI_NIL)
        fri_bad(&c->r);
    check_value(c);
}

/* What Lua takes for a metatable, or stands for it. */
static void check_metatable(struct checker *c)
{
    uint8_t tag = next_tag(c);

    if ((tag < FRI_TABLE || tag > FRI_REF) && tag != FRI_NAME)
        fri_bad(&c->r);
    check_value(c);
}

static void check_table(struct checker *c, uint8_t tag)
{
    size_t items = fri_get_count(&c->r, 1), pairs = fri_get_count(&c->r, 2);

    begin_part(c);
    if (c->depth == FRI_DEPTH)
        fri_bad(&c->r);
    c->depth++;
    for (; items > 0 && !c->r.bad; items--)
        check_value(c);
    for (; pairs > 0 && !c->r.bad; pairs--) {
        check_key(c);
        check_something(c);
    }
    if (tag == FRI_OBJECT && !c->r.bad)
        check_metatable(c);
    c->depth--;
}

static void check_packed(struct checker *c)
{
    size_t n = fri_get_count(&c->r, 8);

    begin_part(c);
    skip(&c->r, 8 * (uint64_t)n);
}

static void check_function(struct checker *c)
{
    skip(&c->r, fri_get_varint(&c->r));
    c->parts = UINT64_MAX;
}

/* Bytecode, and what stands for something of the process. */
static bool is_plain(uint8_t tag)
{
    return tag != FRI_FUNC && tag != FRI_ENV && tag != FRI_HANDLE
           && tag != FRI_FUTURE && tag != FRI_POISON;
}

static void check_tagged(struct checker *c, uint8_t tag)
{
    size_t length;

    if (c->plain && !is_plain(tag))
        fri_bad(&c->r);
    switch (tag) {
    case FRI_NIL:
    case FRI_FALSE:
    case FRI_TRUE:
    case FRI_ENV:
        break;
    case FRI_NUM:
    case FRI_I64:
        skip(&c->r, 8);
        break;
    case FRI_INT:
    case FRI_HANDLE:
    case FRI_FUTURE:
        fri_get_varint(&c->r);
        break;
    case FRI_STR:
    case FRI_NAME:
    case FRI_POISON:
        fri_get_str(&c->r, tag, &length);
        break;
    case FRI_TABLE:
    case FRI_OBJECT:
        check_table(c, tag);
        break;
    case FRI_NUMS:
    case FRI_INTS:
        check_packed(c);
        break;
    case FRI_REF:
        if (!c->refs || fri_get_varint(&c->r) >= c->parts)
            fri_bad(&c->r);
        break;
    case FRI_FUNC:
        check_function(c);
        break;
    default:
        fri_bad(&c->r);
    }
}

static void check_value(struct checker *c)
{
    uint8_t tag = fri_get_byte(&c->r);
    size_t length;

    if (tag >= FRI_NIL)
        check_tagged(c, tag);
    else if (tag >= FRI_SHORT_STR)
        fri_get_str(&c->r, tag, &length);
}

static bool check(const void *bytes, size_t length, bool plain)
{
    struct checker c = { .plain = plain };
    uint8_t flags;
    size_t count;

    fri_reader_init(&c.r, bytes, length);
    flags = fri_get_byte(&c.r);
    count = fri_get_count(&c.r, 1);
    if (flags & ~FRI_HAS_REFS)
        fri_bad(&c.r);
    c.refs = flags & FRI_HAS_REFS;
    for (; count > 0 && !c.r.bad; count--)
        check_value(&c);
    return !c.r.bad && fri_left(&c.r) == 0;
}

bool fri_check(const void *bytes, size_t length)
{
    return check(bytes, length, false);
}

bool fri_check_plain(const void *bytes, size_t length)
{
    return check(bytes, length, true);
}
