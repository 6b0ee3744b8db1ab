/*
 * bytecode_lua54.c - dumps of Lua 5.4 (lundump.c, lopcodes.h), format 0.
 */
#include "script/bytecode.h"

#if FRI_LUA54

enum {
    OP_MOVE = 0,
    OP_LOADK = 3,
    OP_LOADKX = 4,
    OP_LOADNIL = 8,
    OP_GETUPVAL = 9,
    OP_SETUPVAL = 10,
    OP_GETTABUP = 11,
    OP_GETTABLE = 12,
    OP_GETFIELD = 14,
    OP_SETTABUP = 15,
    OP_SETFIELD = 18,
    OP_SELF = 20,
    OP_MMBIN = 46,
    OP_MMBINK = 48,
    OP_CLOSE = 54,
    OP_TBC = 55,
    OP_JMP = 56,
    OP_TEST = 66,
    OP_TESTSET = 67,
    OP_CALL = 68,
    OP_TAILCALL = 69,
    OP_TFORPREP = 75,
    OP_TFORCALL = 76,
    OP_SETLIST = 78,
    OP_CLOSURE = 79,
    OP_VARARG = 80
};

const size_t fri_captured_size = 3;

static size_t read_size(struct fri_reader *r)
{
    size_t n = 0;

    for (int i = 0; i < 10; i++) {
        uint8_t byte = fri_get_byte(r);

        n = n << 7 | (byte & 0x7f);
        if (byte & 0x80)
            return n;
    }
    return (size_t)fri_bad(r);
}

static struct fri_text read_string(struct fri_reader *r)
{
    size_t n = read_size(r);

    if (n == 0)
        return (struct fri_text){ NULL, 0 };
    return (struct fri_text){ (const char *)fri_skip(r, n - 1),
                              (uint32_t)(n - 1) };
}

static void read_constants(struct dump *d, struct proto *p)
{
    p->constant_count = (uint32_t)read_size(&d->r);
    if (p->constant_count > fri_left(&d->r)) {
        fri_bad(&d->r);
        return;
    }
    p->constants = fri_more_constants(d, p->constant_count);
    for (uint32_t i = 0; i < p->constant_count && !d->failed; i++) {
        uint8_t type = fri_get_byte(&d->r);

        if ((type & 0x0f) == LUA_TSTRING)
            d->constants[p->constants + i].text = read_string(&d->r);
        else if ((type & 0x0f) == LUA_TNUMBER)
            fri_skip(&d->r, 8);
    }
}

static void skip_debug(struct fri_reader *r)
{
    size_t n = read_size(r);

    fri_skip(r, n);
    for (n = read_size(r); n > 0 && !r->bad; n--) {
        read_size(r);
        read_size(r);
    }
    for (n = read_size(r); n > 0 && !r->bad; n--) {
        read_string(r);
        read_size(r);
        read_size(r);
    }
    for (n = read_size(r); n > 0 && !r->bad; n--)
        read_string(r);
}

static uint32_t read_proto(struct dump *d, int depth)
{
    uint32_t self = fri_more_proto(d), children;
    struct proto p = { .code = NULL };

    if (depth > 220)
        fri_bad(&d->r);
    if (d->failed || d->r.bad)
        return 0;
    read_string(&d->r);
    read_size(&d->r);
    read_size(&d->r);
    p.parameters = fri_get_byte(&d->r);
    p.more = fri_get_byte(&d->r) != 0;
    fri_skip(&d->r, 1);
    p.size = (uint32_t)read_size(&d->r);
    p.code = fri_skip(&d->r, (size_t)p.size * 4);
    read_constants(d, &p);
    p.upvalue_count = (uint32_t)read_size(&d->r);
    p.upvalues = fri_skip(&d->r, (size_t)p.upvalue_count * 3);
    children = (uint32_t)read_size(&d->r);
    p.children = fri_more_constants(d, d->r.bad ? 0 : children);
    for (uint32_t i = 0; i < children && !d->r.bad && !d->failed; i++) {
        uint32_t child = read_proto(d, depth + 1);

        d->constants[p.children + i].child = child;
    }
    skip_debug(&d->r);
    d->protos[self] = p;
    return self;
}

/* The number of the prototype of the function itself. */
uint32_t fri_read_dump(struct dump *d)
{
    static const uint8_t start[] = { 0x1b, 'L', 'u', 'a', 0x54, 0 };
    const uint8_t *head = fri_skip(&d->r, 31 + 1);

    if (d->r.bad || memcmp(head, start, sizeof(start)) != 0)
        fri_bad(&d->r);
    return read_proto(d, 0);
}

void fri_captured(const struct proto *child, uint32_t i, bool *local,
                     uint8_t *from)
{
    *local = child->upvalues[3 * i] != 0;
    *from = child->upvalues[3 * i + 1];
}

static bool writes(uint32_t op)
{
    return !(op == OP_SETUPVAL || (op >= OP_SETTABUP && op <= OP_SETFIELD)
             || (op >= OP_MMBIN && op <= OP_MMBINK)
             || (op >= OP_CLOSE && op <= OP_TEST) || op == OP_TFORPREP
             || op == OP_SETLIST
             || (op >= OP_TAILCALL && op < OP_TFORPREP));
}

struct effect_of fri_effect(const struct dump *d, const struct proto *p,
                                  uint32_t pc)
{
    struct effect_of e;
    uint32_t i, op;

    (void)d;
    memcpy(&i, p->code + (size_t)pc * 4, 4);
    op = i & 0x7f;
    e = (struct effect_of){ writes(op) ? WRITE : NOTHING, i >> 7 & 0xff,
                            i >> 16 & 0xff, i >> 24, i >> 24 };
    switch (op) {
    case OP_MOVE:
        e.effect = MOVE;
        break;
    case OP_LOADK:
        e.effect = STRING;
        e.k = i >> 15;
        break;
    case OP_LOADKX:
        if (pc + 1 < p->size) {
            memcpy(&i, p->code + (size_t)pc * 4 + 4, 4);
            e.effect = STRING;
            e.k = i >> 7;
        }
        break;
    case OP_GETUPVAL:
        e.effect = UPVALUE;
        break;
    case OP_GETTABUP:
        e.effect = UPFIELD;
        break;
    case OP_GETTABLE:
        e.effect = INDEX;
        break;
    case OP_GETFIELD:
        e.effect = FIELD;
        break;
    case OP_SELF:
        e.effect = i >> 15 & 1 ? FIELD : INDEX;
        break;
    case OP_JMP:
        e.effect = JUMP;
        e.k = pc + 1 + (i >> 7) - 16777215;
        break;
    case OP_CLOSURE:
        e.effect = CLOSURE;
        e.k = p->children + (i >> 15);
        return e;
    case OP_LOADNIL:
    case OP_CALL:
    case OP_VARARG:
    case OP_TFORCALL:
        e.effect = WRITE_ALL;
        break;
    }
    if (e.effect == STRING || e.effect == UPFIELD || e.effect == FIELD)
        e.k += p->constants;
    return e;
}

#endif
