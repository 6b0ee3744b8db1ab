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
#include "script/bytecode.h"

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

uint32_t fri_more_constants(struct dump *d, size_t n)
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

uint32_t fri_more_proto(struct dump *d)
{
    void *list = d->protos;

    if (room(d, &list, d->proto_count, 1, &d->proto_capacity,
             sizeof(*d->protos))) {
        d->protos = list;
        d->protos[d->proto_count++] = (struct proto){ .code = NULL };
    }
    return (uint32_t)d->proto_count - 1;
}

const uint8_t *fri_skip(struct fri_reader *r, size_t n)
{
    const uint8_t *at = r->at;

    if (n > fri_left(r))
        fri_bad(r);
    else
        r->at += n;
    return at;
}

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
    next = fri_effect(w->d, w->p, w->pc + 1);
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

        fri_captured(child, i, &local, &from);
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
        do_effect(&w, fri_effect(d, w.p, w.pc), depth);
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
    self = fri_read_dump(&d);
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

bool fri_read_parameters(const struct fri_memory *m, const uint8_t *bytes,
                         size_t length, struct fri_parameters *p)
{
    struct fri_code code = { .bytes = NULL };
    struct dump d = { .memory = m, .code = &code };
    const struct proto *self;
    uint32_t number;
    bool ok;

    fri_reader_init(&d.r, bytes, length);
    number = fri_read_dump(&d);
    ok = !d.r.bad && !d.failed && number < d.proto_count;
    if (ok) {
        self = &d.protos[number];
        *p = (struct fri_parameters){ self->parameters, self->upvalue_count,
                                      self->upvalues,
                                      fri_captured_size * self->upvalue_count,
                                      self->more };
    }
    fri_free(m, d.protos);
    fri_free(m, d.constants);
    return ok;
}

#if FRI_LUA54
#define FRI_CHUNK_ENV 1 /* a chunk's first upvalue is the globals */
#else
#define FRI_CHUNK_ENV 0
#endif

int fri_code_scan_works(lua_State *L, const struct fri_memory *m)
{
    static const char known[] =
        "local p, q = ... local g = _G\n"
        "if p then g = q else q.no1 = no2 end\n"
        "local function f() yes1() return q.no3, g.yes2, p.yes1.no4 end\n"
        "return g.yes3, f, p['no5'], {yes4 = q}, _G[p]\n";
    static const char *const reads[] = { "_G", "no2", "yes1", "yes2", "yes3" };
    struct fri_code code = { .env = { { FRI_CHUNK_ENV } } };
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
