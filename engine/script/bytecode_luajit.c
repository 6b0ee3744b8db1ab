/*
 * bytecode_luajit.c - dumps of LuaJIT 2.1 (lj_bcdump.h, lj_bc.h), version 2.
 */
#include "script/bytecode.h"

#if FRI_LUAJIT

enum {
    BC_MOV = 18,
    BC_KSTR = 39,
    BC_KNIL = 44,
    BC_UGET = 45,
    BC_FNEW = 51,
    BC_GGET = 54,
    BC_GSET = 55,
    BC_TGETV = 56,
    BC_TGETS = 57,
    BC_TSETV = 60,
    BC_CALLM = 65,
    BC_VARG = 71,
    BC_FORI = 77,
    BC_JMP = 88,

    KGC_CHILD = 0,
    KGC_TAB,
    KGC_I64,
    KGC_U64,
    KGC_COMPLEX,
    KGC_STR,

    KTAB_INT = 3,
    KTAB_NUM,
    KTAB_STR,

    DUMP_STRIPPED = 2,
    UPVALUE_LOCAL = 0x80
};

static void skip_table_key(struct fri_reader *r)
{
    size_t type = (size_t)fri_get_varint(r);

    if (type >= KTAB_STR)
        fri_skip(r, type - KTAB_STR);
    else if (type >= KTAB_INT)
        fri_get_varint(r);
    if (type == KTAB_NUM)
        fri_get_varint(r);
}

static void skip_table(struct fri_reader *r)
{
    uint64_t n = fri_get_varint(r);

    for (n += 2 * fri_get_varint(r); n > 0 && !r->bad; n--)
        skip_table_key(r);
}

/* `stack` holds the prototypes read so far that are nobody's child yet. */
enum { PROTO_MORE = 2 };
const size_t fri_captured_size = 2;

static void read_constant(struct dump *d, struct constant *k, uint32_t *stack,
                          size_t *height)
{
    size_t type = (size_t)fri_get_varint(&d->r);

    if (type >= KGC_STR) {
        k->text.length = (uint32_t)(type - KGC_STR);
        k->text.at = (const char *)fri_skip(&d->r, type - KGC_STR);
    } else if (type == KGC_CHILD) {
        if (*height == 0)
            fri_bad(&d->r);
        else
            k->child = stack[--*height];
    } else if (type == KGC_TAB) {
        skip_table(&d->r);
    } else {
        for (int i = type == KGC_COMPLEX ? 4 : 2; i > 0; i--)
            fri_get_varint(&d->r);
    }
}

static void read_proto(struct dump *d, struct proto *p, bool stripped,
                       uint32_t *stack, size_t *height)
{
    const uint8_t *head = fri_skip(&d->r, 4);

    if (d->r.bad)
        return;
    p->parameters = head[1];
    p->more = head[0] & PROTO_MORE;
    p->upvalue_count = head[3];
    p->constant_count = (uint32_t)fri_get_varint(&d->r);
    fri_get_varint(&d->r);
    p->size = (uint32_t)fri_get_varint(&d->r);
    if (!stripped && fri_get_varint(&d->r) > 0) {
        fri_get_varint(&d->r);
        fri_get_varint(&d->r);
    }
    p->code = fri_skip(&d->r, (size_t)p->size * 4);
    p->upvalues = fri_skip(&d->r, (size_t)p->upvalue_count * 2);
    if (p->constant_count > fri_left(&d->r))
        fri_bad(&d->r);
    p->constants = fri_more_constants(d, d->r.bad ? 0 : p->constant_count);
    for (uint32_t i = 0; i < p->constant_count && !d->r.bad && !d->failed;
         i++)
        read_constant(d, &d->constants[p->constants + i], stack, height);
}

/* Children come before the prototypes that make closures of them. */
static uint32_t read_protos(struct dump *d, bool stripped, uint32_t *stack)
{
    size_t height = 0, length;

    while ((length = (size_t)fri_get_varint(&d->r)) > 0 && !d->failed) {
        const uint8_t *end = d->r.at + length;
        uint32_t self = fri_more_proto(d);
        struct proto p = { .code = NULL };

        if (length > fri_left(&d->r))
            fri_bad(&d->r);
        read_proto(d, &p, stripped, stack, &height);
        if (d->r.bad || d->failed)
            return 0;
        d->protos[self] = p;
        stack[height++] = self;
        d->r.at = end;
    }
    return height > 0 ? stack[height - 1] : 0;
}

uint32_t fri_read_dump(struct dump *d)
{
    const uint8_t *head = fri_skip(&d->r, 5);
    uint32_t *stack, self;

    if (d->r.bad || memcmp(head, "\033LJ\002", 4) != 0 || head[4] >= 0x80) {
        fri_bad(&d->r);
        return 0;
    }
    if (!(head[4] & DUMP_STRIPPED))
        fri_skip(&d->r, (size_t)fri_get_varint(&d->r));
    stack = fri_alloc(d->memory, fri_left(&d->r) * sizeof(*stack));
    d->failed |= !stack;
    self = stack ? read_protos(d, head[4] & DUMP_STRIPPED, stack) : 0;
    fri_free(d->memory, stack);
    return self;
}

void fri_captured(const struct proto *child, uint32_t i, bool *local,
                     uint8_t *from)
{
    *local = child->upvalues[2 * i + 1] & UPVALUE_LOCAL;
    *from = child->upvalues[2 * i];
}

static bool writes(uint32_t op)
{
    return (op >= BC_MOV && op <= BC_UGET) || (op >= BC_FNEW && op < BC_GSET)
           || (op >= BC_TGETV && op < BC_TSETV);
}

struct effect_of fri_effect(const struct dump *d, const struct proto *p,
                                  uint32_t pc)
{
    struct effect_of e;
    uint32_t i, op, from_end;

    (void)d;
    memcpy(&i, p->code + (size_t)pc * 4, 4);
    op = i & 0xff;
    e = (struct effect_of){ writes(op) ? WRITE : NOTHING, i >> 8 & 0xff,
                            i >> 24, i >> 16 & 0xff, 0 };
    from_end = op == BC_TGETS ? e.c : i >> 16;
    e.k = p->constants + p->constant_count - 1 - from_end;
    if (op == BC_MOV || op == BC_UGET)
        e.b = i >> 16 & 0xff;
    if (op == BC_MOV)
        e.effect = MOVE;
    else if (op == BC_UGET)
        e.effect = UPVALUE;
    else if (op == BC_KSTR)
        e.effect = STRING;
    else if (op == BC_GGET)
        e.effect = GLOBAL;
    else if (op == BC_TGETS)
        e.effect = FIELD;
    else if (op == BC_TGETV)
        e.effect = INDEX;
    else if (op == BC_FNEW)
        e.effect = CLOSURE;
    else if (op == BC_KNIL || (op >= BC_CALLM && op <= BC_VARG))
        e.effect = WRITE_ALL;
    if (op == BC_GGET || op == BC_GSET)
        d->code->uses_globals = true;
    if (op == BC_JMP) {
        e.effect = JUMP;
        e.k = pc + 1 + (i >> 16) - 0x8000;
    }
    return e;
}

#endif
