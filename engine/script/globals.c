/*
 * globals.c - which globals a function reads, found in its bytecode.
 *
 * A dump is read into prototypes; each is then followed from its first
 * instruction to its last, keeping what registers hold: the table of globals,
 * a constant string, or something else.  A field of the globals taken with a
 * constant name is a read.  Where a register may hold the globals or not
 * (they were put there before a jump that can go round what came later), it
 * counts as holding them: a name too many costs a look, not an error.
 *
 * Whether this understands the VM at hand is tried out on a known function;
 * if not, every constant string counts as a name.
 */
#include "script/travel_private.h"

#include <stdlib.h>

struct constant {
    struct fri_text text; /* at is NULL: not a string */
    uint32_t child;       /* prototype */
};

struct proto {
    const uint8_t *code, *upvalues;
    uint32_t size, upvalue_count;
    uint32_t constants, constant_count, children;
};

struct dump {
    const struct fri_memory *memory;
    struct fri_reader r;
    struct proto *protos;
    struct constant *constants;
    size_t proto_count, proto_capacity, constant_count, constant_capacity;
    struct fri_code *code;
    uint32_t name_capacity;
    bool failed; /* out of memory */
};

static bool room(struct dump *d, void **list, size_t count, size_t n,
                 size_t *capacity, size_t each)
{
    size_t want = *capacity ? *capacity : 16;
    void *more;

    while (want < count + n)
        want *= 2;
    if (want > *capacity) {
        more = fri_realloc(d->memory, *list, want * each);
        d->failed |= !more;
        if (!more)
            return false;
        *list = more;
        *capacity = want;
    }
    return true;
}

/* n constants more, the first one's number; they are empty. */
static uint32_t more_constants(struct dump *d, size_t n)
{
    uint32_t first = (uint32_t)d->constant_count;
    void *list = d->constants;

    if (!room(d, &list, first, n, &d->constant_capacity,
              sizeof(*d->constants)))
        return first;
    d->constants = list;
    if (n > 0)
        memset(d->constants + first, 0, n * sizeof(*d->constants));
    d->constant_count += n;
    return first;
}

static uint32_t more_proto(struct dump *d)
{
    void *list = d->protos;

    if (room(d, &list, d->proto_count, 1, &d->proto_capacity,
             sizeof(*d->protos))) {
        d->protos = list;
        d->protos[d->proto_count++] = (struct proto){ .code = NULL };
    }
    return (uint32_t)d->proto_count - 1;
}

static const uint8_t *skip(struct fri_reader *r, size_t n)
{
    const uint8_t *at = r->at;

    if (n > fri_left(r))
        fri_bad(r);
    else
        r->at += n;
    return at;
}

/* ---- what the two VMs have in common ---------------------------------- */

enum effect {
    NOTHING,   /* on registers */
    WRITE,     /* register a */
    WRITE_ALL, /* a and those above */
    GLOBAL,    /* a = globals[constant k] */
    UPVALUE,   /* a = upvalue b */
    UPFIELD,   /* a = upvalue b [constant k] */
    STRING,    /* a = constant k */
    MOVE,      /* a = b */
    FIELD,     /* a = b[constant k] */
    INDEX,     /* a = b[c] */
    CLOSURE,   /* a = prototype k */
    JUMP       /* to k */
};

struct effect_of {
    enum effect effect;
    uint32_t a, b, c, k;
};

static struct effect_of effect_at(const struct dump *d, const struct proto *p,
                                  uint32_t pc);
static bool captured(const struct proto *child, uint32_t i, bool *local,
                     uint8_t *from);

/* ---- Lua 5.4 ---------------------------------------------------------- */

#if FRI_LUA54

#define FRI_ENV_FIRST 1 /* a chunk's first upvalue is the globals */

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
    return (struct fri_text){ (const char *)skip(r, n - 1),
                              (uint32_t)(n - 1) };
}

static void read_constants(struct dump *d, struct proto *p)
{
    p->constant_count = (uint32_t)read_size(&d->r);
    if (p->constant_count > fri_left(&d->r)) {
        fri_bad(&d->r);
        return;
    }
    p->constants = more_constants(d, p->constant_count);
    for (uint32_t i = 0; i < p->constant_count && !d->failed; i++) {
        uint8_t type = fri_get_byte(&d->r);

        if ((type & 0x0f) == LUA_TSTRING)
            d->constants[p->constants + i].text = read_string(&d->r);
        else if ((type & 0x0f) == LUA_TNUMBER)
            skip(&d->r, 8);
    }
}

static void skip_debug(struct fri_reader *r)
{
    size_t n = read_size(r);

    skip(r, n);
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
    uint32_t self = more_proto(d), children;
    struct proto p = { .code = NULL };

    if (depth > 220)
        fri_bad(&d->r);
    if (d->failed || d->r.bad)
        return 0;
    read_string(&d->r);
    read_size(&d->r);
    read_size(&d->r);
    skip(&d->r, 3);
    p.size = (uint32_t)read_size(&d->r);
    p.code = skip(&d->r, (size_t)p.size * 4);
    read_constants(d, &p);
    p.upvalue_count = (uint32_t)read_size(&d->r);
    p.upvalues = skip(&d->r, (size_t)p.upvalue_count * 3);
    children = (uint32_t)read_size(&d->r);
    p.children = more_constants(d, d->r.bad ? 0 : children);
    for (uint32_t i = 0; i < children && !d->r.bad && !d->failed; i++) {
        uint32_t child = read_proto(d, depth + 1);

        d->constants[p.children + i].child = child;
    }
    skip_debug(&d->r);
    d->protos[self] = p;
    return self;
}

/* The number of the prototype of the function itself. */
static uint32_t read_dump(struct dump *d)
{
    static const uint8_t start[] = { 0x1b, 'L', 'u', 'a', 0x54, 0 };
    const uint8_t *head = skip(&d->r, 31 + 1);

    if (d->r.bad || memcmp(head, start, sizeof(start)) != 0)
        fri_bad(&d->r);
    return read_proto(d, 0);
}

static bool captured(const struct proto *child, uint32_t i, bool *local,
                     uint8_t *from)
{
    *local = child->upvalues[3 * i] != 0;
    *from = child->upvalues[3 * i + 1];
    return true;
}

static bool writes(uint32_t op)
{
    return !(op == OP_SETUPVAL || (op >= OP_SETTABUP && op <= OP_SETFIELD)
             || (op >= OP_MMBIN && op <= OP_MMBINK)
             || (op >= OP_CLOSE && op <= OP_TEST) || op == OP_TFORPREP
             || op == OP_SETLIST
             || (op >= OP_TAILCALL && op < OP_TFORPREP));
}

static struct effect_of effect_at(const struct dump *d, const struct proto *p,
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

/* ---- LuaJIT ----------------------------------------------------------- */

#else

#define FRI_ENV_FIRST 0

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
        skip(r, type - KTAB_STR);
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
static void read_constant(struct dump *d, struct constant *k, uint32_t *stack,
                          size_t *height)
{
    size_t type = (size_t)fri_get_varint(&d->r);

    if (type >= KGC_STR) {
        k->text.length = (uint32_t)(type - KGC_STR);
        k->text.at = (const char *)skip(&d->r, type - KGC_STR);
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
    const uint8_t *head = skip(&d->r, 4);

    if (d->r.bad)
        return;
    p->upvalue_count = head[3];
    p->constant_count = (uint32_t)fri_get_varint(&d->r);
    fri_get_varint(&d->r);
    p->size = (uint32_t)fri_get_varint(&d->r);
    if (!stripped && fri_get_varint(&d->r) > 0) {
        fri_get_varint(&d->r);
        fri_get_varint(&d->r);
    }
    p->code = skip(&d->r, (size_t)p->size * 4);
    p->upvalues = skip(&d->r, (size_t)p->upvalue_count * 2);
    if (p->constant_count > fri_left(&d->r))
        fri_bad(&d->r);
    p->constants = more_constants(d, d->r.bad ? 0 : p->constant_count);
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
        uint32_t self = more_proto(d);
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

static uint32_t read_dump(struct dump *d)
{
    const uint8_t *head = skip(&d->r, 5);
    uint32_t *stack, self;

    if (d->r.bad || memcmp(head, "\033LJ\002", 4) != 0 || head[4] >= 0x80) {
        fri_bad(&d->r);
        return 0;
    }
    if (!(head[4] & DUMP_STRIPPED))
        skip(&d->r, (size_t)fri_get_varint(&d->r));
    stack = fri_alloc(d->memory, fri_left(&d->r) * sizeof(*stack));
    d->failed |= !stack;
    self = stack ? read_protos(d, head[4] & DUMP_STRIPPED, stack) : 0;
    fri_free(d->memory, stack);
    return self;
}

static bool captured(const struct proto *child, uint32_t i, bool *local,
                     uint8_t *from)
{
    *local = child->upvalues[2 * i + 1] & UPVALUE_LOCAL;
    *from = child->upvalues[2 * i];
    return true;
}

static bool writes(uint32_t op)
{
    return (op >= BC_MOV && op <= BC_UGET) || (op >= BC_FNEW && op < BC_GSET)
           || (op >= BC_TGETV && op < BC_TSETV);
}

static struct effect_of effect_at(const struct dump *d, const struct proto *p,
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

/* ---- following a prototype -------------------------------------------- */

enum { JUMPS = 32 };

struct walk {
    struct dump *d;
    const struct proto *p;
    struct fri_slots up;  /* upvalues that are the globals */
    uint32_t since[256];  /* register: globals since this pc + 1, or 0 */
    uint32_t string[256]; /* register: constant + 1, or 0 */
    uint32_t high;        /* above the highest register that has either */
    uint32_t pc;
    uint32_t from[JUMPS], target[JUMPS]; /* of jumps over this place */
    int jumps;
    bool lost; /* too many of them */
};

static void add_global(struct dump *d, struct fri_text name)
{
    struct fri_code *c = d->code;
    size_t capacity = d->name_capacity;
    void *list = c->globals;

    for (uint32_t i = 0; i < c->global_count; i++)
        if (c->globals[i].length == name.length
            && memcmp(c->globals[i].at, name.at, name.length) == 0)
            return;
    if (!room(d, &list, c->global_count, 1, &capacity, sizeof(name)))
        return;
    d->name_capacity = (uint32_t)capacity;
    c->globals = list;
    c->globals[c->global_count++] = name;
}

static bool is(struct fri_text t, const char *word)
{
    return t.at && strlen(word) == t.length
           && memcmp(t.at, word, t.length) == 0;
}

/* Names that give more than can be followed. */
static bool opens_all(struct fri_text t)
{
    static const char *const names[] = { "load", "loadstring", "loadfile",
                                         "dofile", "require", "getfenv",
                                         "setfenv", "module", "package",
                                         "debug", "jit" };

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
        if (is(t, names[i]))
            return true;
    return false;
}

/* Is register a, just written, used for nothing but a field with a constant
 * name?  Then *field is that name. */
static bool only_field(const struct walk *w, uint32_t a,
                       struct fri_text *field)
{
    struct effect_of next;

    if (w->pc + 1 >= w->p->size)
        return false;
    next = effect_at(w->d, w->p, w->pc + 1);
    if (next.effect != FIELD || next.b != a || next.a != a
        || next.k >= w->d->constant_count)
        return false;
    *field = w->d->constants[next.k].text;
    return field->at != NULL;
}

static void jump(struct walk *w, uint32_t target)
{
    int kept = 0;

    for (int i = 0; i < w->jumps; i++) {
        if (w->target[i] > w->pc) {
            w->target[kept] = w->target[i];
            w->from[kept++] = w->from[i];
        }
    }
    w->jumps = kept;
    if (target <= w->pc + 1 || target > w->p->size)
        return;
    w->lost |= kept == JUMPS;
    if (w->lost)
        return;
    w->from[kept] = w->pc;
    w->target[kept] = target;
    w->jumps++;
}

/* Can the program get behind pc without passing it, from where register a
 * got the globals? */
static bool round_it(const struct walk *w, uint32_t a)
{
    for (int i = 0; i < w->jumps; i++)
        if (w->from[i] + 1 >= w->since[a] && w->target[i] > w->pc)
            return true;
    return w->lost;
}

static void set(struct walk *w, uint32_t a, bool globals, uint32_t string)
{
    if (globals)
        w->since[a] = w->pc + 1;
    else if (w->since[a] > 0 && !round_it(w, a))
        w->since[a] = 0;
    w->string[a] = string;
    if ((globals || string > 0) && a >= w->high)
        w->high = a + 1;
}

/* The function reads global `name` into register a. */
static void read_global(struct walk *w, uint32_t a, uint32_t k)
{
    struct fri_text name = { NULL, 0 }, field = { NULL, 0 };
    bool globals;

    if (k < w->d->constant_count)
        name = w->d->constants[k].text;
    globals = is(name, "_G");
    if (name.at)
        add_global(w->d, name);
    if (is(name, "math"))
        w->d->code->random |= !only_field(w, a, &field) || is(field, "random")
                              || is(field, "randomseed");
    else if (globals)
        w->d->code->random |= !only_field(w, a, &field);
    else
        w->d->code->random |= opens_all(name);
    set(w, a, globals, 0);
}

static void follow(struct dump *d, uint32_t proto, struct fri_slots up,
                   int depth);

static void enter(struct walk *w, uint32_t k, int depth)
{
    struct fri_slots up = { { 0 } };
    uint32_t number = w->d->constants[k].child;
    const struct proto *child = &w->d->protos[number];

    for (uint32_t i = 0; i < child->upvalue_count && i < 256; i++) {
        bool local;
        uint8_t from;

        captured(child, i, &local, &from);
        if (local ? w->since[from] > 0 : fri_slot(&w->up, from))
            fri_slot_set(&up, i);
    }
    follow(w->d, number, up, depth + 1);
}

static void do_effect(struct walk *w, struct effect_of e, int depth)
{
    uint32_t string;

    switch (e.effect) {
    case NOTHING:
        break;
    case WRITE:
        set(w, e.a, false, 0);
        break;
    case WRITE_ALL:
        for (uint32_t a = e.a; a < w->high; a++)
            set(w, a, false, 0);
        break;
    case GLOBAL:
        read_global(w, e.a, e.k);
        break;
    case UPVALUE:
        w->d->code->random |= fri_slot(&w->up, e.b);
        set(w, e.a, fri_slot(&w->up, e.b), 0);
        break;
    case UPFIELD:
        if (fri_slot(&w->up, e.b))
            read_global(w, e.a, e.k);
        else
            set(w, e.a, false, 0);
        break;
    case STRING:
        set(w, e.a, false, e.k + 1);
        break;
    case MOVE:
        set(w, e.a, w->since[e.b] > 0, w->string[e.b]);
        break;
    case FIELD:
        if (w->since[e.b] > 0)
            read_global(w, e.a, e.k);
        else
            set(w, e.a, false, 0);
        break;
    case INDEX:
        string = w->string[e.c];
        w->d->code->random |= w->since[e.b] > 0;
        if (w->since[e.b] > 0 && string > 0)
            read_global(w, e.a, string - 1);
        else
            set(w, e.a, false, 0);
        break;
    case CLOSURE:
        set(w, e.a, false, 0);
        if (e.k < w->d->constant_count)
            enter(w, e.k, depth);
        break;
    case JUMP:
        jump(w, e.k);
        break;
    }
}

static void follow(struct dump *d, uint32_t proto, struct fri_slots up,
                   int depth)
{
    struct walk w = { .d = d, .p = &d->protos[proto], .up = up };

    for (; w.pc < w.p->size && depth < 220 && !d->failed; w.pc++)
        do_effect(&w, effect_at(d, w.p, w.pc), depth);
}

/* ---- the whole -------------------------------------------------------- */

static void add_all_strings(struct dump *d)
{
    d->code->random = true;
#if FRI_LUAJIT
    d->code->uses_globals = true;
#endif
    for (size_t i = 0; i < d->constant_count; i++)
        if (d->constants[i].text.at)
            add_global(d, d->constants[i].text);
}

bool fri_code_scan(const struct fri_memory *m, struct fri_code *code,
                   bool exact)
{
    struct dump d = { .memory = m, .code = code };
    uint32_t self;

    fri_reader_init(&d.r, code->bytes, code->length);
    self = read_dump(&d);
    for (int i = 0; i < 4; i++)
        code->uses_globals |= code->env.bits[i] != 0;
    if (exact && !d.r.bad && !d.failed && d.proto_count > 0)
        follow(&d, self, code->env, 0);
    else
        add_all_strings(&d);
    fri_free(m, d.protos);
    fri_free(m, d.constants);
    return !d.failed;
}

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

int fri_code_scan_works(lua_State *L, const struct fri_memory *m)
{
    static const char known[] =
        "local p, q = ... local g = _G\n"
        "if p then g = q else q.no1 = no2 end\n"
        "local function f() yes1() return q.no3, g.yes2, p.yes1.no4 end\n"
        "return g.yes3, f, p['no5'], {yes4 = q}, _G[p]\n";
    static const char *const reads[] = { "_G", "no2", "yes1", "yes2", "yes3" };
    struct fri_code code = { .env = { { FRI_ENV_FIRST } } };
    struct fri_buffer b;
    bool scanned, works;

    if (luaL_loadbuffer(L, known, sizeof(known) - 1, "=known") != LUA_OK) {
        lua_pop(L, 1);
        return -1;
    }
    fri_buffer_init(&b, m);
    scanned = fri_dump(L, lua_gettop(L), &b);
    code.bytes = b.data;
    code.length = b.length;
    scanned = scanned && fri_code_scan(m, &code, true);
    works = scanned && code.global_count == sizeof(reads) / sizeof(*reads);
    for (uint32_t i = 0; works && i < code.global_count; i++) {
        bool found = false;

        for (size_t k = 0; k < sizeof(reads) / sizeof(*reads); k++)
            found |= is(code.globals[i], reads[k]);
        works = found;
    }
    fri_free(m, code.globals);
    fri_buffer_free(&b);
    lua_pop(L, 1);
    return scanned ? works : -1;
}
