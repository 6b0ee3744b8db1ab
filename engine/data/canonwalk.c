/*
 * canonwalk.c - nodes into digests, in an order that does not depend on the
 * bytes that they were read from.
 *
 * Each thing begins with a letter, so that no two different walks add the same
 * bytes.  Nodes may move whenever one is made: they are known by number here.
 */
#include "data/canon_private.h"

#include "base/hash.h"

#include <stdio.h>

enum { DEEPEST = 2 * FRI_DEPTH };

static void walk_parts(struct fri_canon *c, uint32_t node, bool outermost);

/* ---- parts ------------------------------------------------------------ */

/* Is it met for the first time?  If not, its number is added. */
static bool is_first(struct fri_canon *c, struct fri_digester *d,
                     uint32_t node)
{
    uint32_t number = c->nodes[node].number;

    if (number) {
        fri_digest_byte(d, 'R');
        fri_digest_number(d, number);
        return false;
    }
    if (c->aside && !fri_canon_list(c, &c->touched, node))
        return false;
    c->nodes[node].number = ++c->walked;
    return true;
}

struct fri_digest fri_canon_digest(struct fri_canon *c, uint32_t node)
{
    struct fri_digester d;

    fri_digest_begin(&d);
    fri_canon_walk(c, &d, node);
    return fri_digest_end(&d);
}

/* Walks through the pairs from `from` on, sorted, and forgets them.  Aside only
 * those count that have an order. */
static void walk_pairs(struct fri_canon *c, struct fri_digester *d,
                       size_t from)
{
    size_t end = c->pair_count;

    fri_canon_sort(c, from);
    fri_digest_number(d, end - from);
    for (size_t i = from; i < end && !c->failed; i++) {
        if (c->aside && !fri_canon_ordered(c, &c->pairs[i]))
            break;
        fri_canon_walk(c, d, c->pairs[i].key);
        fri_canon_walk(c, d, c->pairs[i].value);
    }
    c->pair_count = from;
}

/* ---- tables ----------------------------------------------------------- */

/* An item behind the first hole is a pair. */
static void add_item(struct fri_canon *c, size_t index, uint32_t value)
{
    uint32_t key = fri_canon_integer(c, index);

    if (key && c->nodes[value].tag != FRI_NIL)
        fri_canon_pair(c, key, value);
}

static void walk_table(struct fri_canon *c, struct fri_digester *d,
                       uint32_t self)
{
    size_t items = c->nodes[self].u.length, list = 0;
    size_t pairs = c->nodes[self].pairs, from = c->pair_count;
    uint32_t child = c->nodes[self].child, first = child;

    for (; list < items && c->nodes[child].tag != FRI_NIL; list++)
        child = c->nodes[child].next;
    for (size_t i = list; i < items; i++, child = c->nodes[child].next)
        add_item(c, i + 1, child);
    for (size_t i = 0; i < pairs && !c->failed; i++) {
        uint32_t value = c->nodes[child].next;

        if (!fri_canon_pair(c, child, value))
            return;
        child = c->nodes[value].next;
    }
    fri_digest_byte(d, c->nodes[self].tag == FRI_OBJECT ? 'O' : 'T');
    fri_digest_number(d, list);
    for (; list > 0 && !c->failed; list--, first = c->nodes[first].next)
        fri_canon_walk(c, d, first);
    walk_pairs(c, d, from);
    if (c->nodes[self].tag == FRI_OBJECT)
        fri_canon_walk(c, d, child);
}

static void walk_number(struct fri_digester *d, uint8_t tag, uint64_t bits)
{
    double number;

    memcpy(&number, &bits, sizeof number);
    if (tag == FRI_NUM && number != number)
        bits = UINT64_C(0x7ff8) << 48; /* all NaNs are one */
    fri_digest_byte(d, tag == FRI_NUM ? 'd' : tag == FRI_INT ? 'i' : 'I');
    fri_digest_number(d, bits);
}

/* As the table that it is. */
static void walk_packed(struct fri_canon *c, struct fri_digester *d,
                        uint32_t self)
{
    const struct fri_node *node = &c->nodes[self];
    uint8_t tag = node->tag == FRI_NUMS ? FRI_NUM : FRI_INT;

    fri_digest_byte(d, 'T');
    fri_digest_number(d, node->u.length);
    for (size_t i = 0; i < node->u.length; i++) {
        uint64_t bits;

        memcpy(&bits, node->at + 8 * i, 8);
        walk_number(d, tag, bits);
    }
    fri_digest_number(d, 0);
}

/* ---- names and handles ------------------------------------------------ */

static void give_part(struct fri_canon *c, const char *sort, const char *name,
                      size_t length, const struct fri_digest *digest)
{
    struct fri_canon_part part = { .digest = *digest };
    char text[128];

    snprintf(text, sizeof text, "%s%s%.*s", sort, length ? " " : "",
             (int)(length < 100 ? length : 100), name ? name : "");
    part.name = text;
    c->part(c->part_user, &part);
}

static size_t word(const char *s, size_t length)
{
    const char *zero = memchr(s, 0, length);

    return zero ? (size_t)(zero - s) : length;
}

/* Behind what says where things are found: modules.c of the script layer. */
static const char *plain_name(const struct fri_node *node, size_t *length)
{
    const char *s = (const char *)node->at, *end = s + node->u.length;
    int skip = node->u.length > 0 && *s == 1 ? 2 : 0;

    s += node->u.length > 0;
    for (; skip > 0; skip--) {
        s += word(s, (size_t)(end - s));
        s += s < end;
    }
    *length = (size_t)(end - s);
    return s;
}

static void walk_module(struct fri_canon *c, struct fri_digester *d,
                        const char *name, size_t n)
{
    struct fri_digest source;
    const char *why = "out of memory";
    int found;

    if (!c->sources || !c->hooks->module)
        return;
    found = c->hooks->module(c->hooks->user, name, n, &source, &why);
    if (found < 0)
        fri_canon_fail(c, "%s", why);
    else if (found > 0 && c->part)
        give_part(c, "module", name, n, &source);
    else if (found > 0)
        fri_digest_add(d, source.bytes, FRI_DIGEST);
}

static void walk_name(struct fri_canon *c, struct fri_digester *d,
                      uint32_t self)
{
    const struct fri_node *node = &c->nodes[self];
    size_t length, n;
    const char *name = plain_name(node, &length);

    bool module = node->u.length > 0 && node->at[0] != 0;

    fri_digest_byte(d, module ? 'M' : 'N');
    fri_digest_text(d, name, length);
    n = word(name, length);
    if (module)
        walk_module(c, d, name, n);
}

static void walk_handle(struct fri_canon *c, struct fri_digester *d,
                        struct fri_handle *h)
{
    const struct fri_canon_hooks *k = c->hooks;
    const char *name = k->handle ? k->handle(k->user, h) : NULL, *why = "";
    struct fri_digest digest;
    int held = k->held ? k->held(k->user, h, &digest, &why) : 0;

    fri_digest_byte(d, 'H');
    fri_digest_number(d, h->kind);
    fri_digest_text(d, name ? name : "", name ? strlen(name) : 0);
    if (held > 0)
        fri_digest_add(d, digest.bytes, FRI_DIGEST);
    else if (held < 0)
        fri_canon_fail(c, "%s", why);
}

/* ---- functions -------------------------------------------------------- */

static bool has_source(struct fri_canon *c, const struct fri_source_mark *m)
{
    if (!c->sources)
        return false;
    if (m->kind != FRI_SOURCE_DIGEST)
        fri_canon_fail(c, "%.*s", (int)(m->length < 400 ? m->length : 400),
                       m->name ? m->name : "a function without source");
    return m->kind == FRI_SOURCE_DIGEST;
}

static struct fri_source_mark mark_of(const struct fri_canon *c, uint32_t self)
{
    struct fri_reader r;

    fri_reader_init(&r, c->nodes[self].at, c->nodes[self].u.length);
    return fri_source_mark(&r);
}

/* The first child that is a global's name; those before it are upvalues. */
static uint32_t globals_of(const struct fri_canon *c, uint32_t self)
{
    uint32_t child = c->nodes[self].child;

    while (child && c->nodes[child].tag != FRI_STR)
        child = c->nodes[child].next;
    return child;
}

/* Sorted by their names. */
static size_t list_globals(struct fri_canon *c, uint32_t self)
{
    size_t from = c->pair_count;

    for (uint32_t name = globals_of(c, self); name && !c->failed;) {
        uint32_t value = c->nodes[name].next;

        if (!fri_canon_pair(c, name, value))
            break;
        name = c->nodes[value].next;
    }
    fri_canon_sort(c, from);
    return from;
}

/* All of it as part of a value. */
static void walk_function(struct fri_canon *c, struct fri_digester *d,
                          uint32_t self)
{
    struct fri_source_mark m = mark_of(c, self);
    uint32_t globals = globals_of(c, self);

    fri_digest_byte(d, 'F');
    if (has_source(c, &m))
        fri_digest_add(d, m.digest.bytes, FRI_DIGEST);
    for (uint32_t child = c->nodes[self].child; child != globals;
         child = c->nodes[child].next)
        fri_canon_walk(c, d, child);
    fri_digest_byte(d, 'G');
    walk_pairs(c, d, list_globals(c, self));
}

static bool is_env(const struct fri_canon *c, uint32_t node)
{
    while (c->nodes[node].tag == FRI_CELL || c->nodes[node].tag == FRI_REF)
        node = c->nodes[node].child;
    return c->nodes[node].tag == FRI_ENV;
}

static void part_upvalues(struct fri_canon *c, uint32_t self,
                          struct fri_source_mark *m)
{
    uint32_t globals = globals_of(c, self);

    for (uint32_t child = c->nodes[self].child; child != globals && !c->failed;
         child = c->nodes[child].next) {
        bool cell = c->nodes[child].tag == FRI_CELL
                    || c->nodes[child].tag == FRI_REF;
        struct fri_digest digest;
        const char *name = NULL;
        size_t length = 0;

        if (cell && m->name_count > 0) {
            name = fri_get_str(&m->names, FRI_STR, &length);
            m->name_count--;
        }
        if (is_env(c, child))
            continue;
        digest = fri_canon_digest(c, child);
        give_part(c, cell ? "upvalue" : "environment", name, length, &digest);
    }
}

static void part_globals(struct fri_canon *c, uint32_t self)
{
    size_t from = list_globals(c, self), end = c->pair_count;

    for (size_t i = from; i < end && !c->failed; i++) {
        const struct fri_node *name = &c->nodes[c->pairs[i].key];
        const char *text = (const char *)name->at;
        size_t length = name->u.length;
        struct fri_digest digest = fri_canon_digest(c, c->pairs[i].value);

        give_part(c, "global", text, length, &digest);
    }
    c->pair_count = from;
}

/* Its parts, each given by itself. */
static void walk_parts(struct fri_canon *c, uint32_t self, bool outermost)
{
    struct fri_source_mark m = mark_of(c, self);

    if (has_source(c, &m))
        give_part(c, "function", m.name, outermost ? 0 : m.length, &m.digest);
    part_upvalues(c, self, &m);
    part_globals(c, self);
}

/* ---- all of it -------------------------------------------------------- */

static void walk_first(struct fri_canon *c, struct fri_digester *d,
                       uint32_t node)
{
    uint8_t tag = c->nodes[node].tag;

    if (tag == FRI_CELL) {
        fri_digest_byte(d, 'U');
        fri_canon_walk(c, d, c->nodes[node].child);
    } else if (tag == FRI_NUMS || tag == FRI_INTS) {
        walk_packed(c, d, node);
    } else if (tag != FRI_FUNC) {
        walk_table(c, d, node);
    } else if (c->part) {
        fri_digest_byte(d, 'F');
        walk_parts(c, node, false);
    } else {
        walk_function(c, d, node);
    }
}

static void walk_plain(struct fri_canon *c, struct fri_digester *d,
                       uint32_t node)
{
    const struct fri_node *n = &c->nodes[node];

    switch (n->tag) {
    case FRI_INT:
    case FRI_NUM:
    case FRI_I64: walk_number(d, n->tag, n->u.bits); break;
    case FRI_STR:
        fri_digest_byte(d, 's');
        fri_digest_text(d, n->at, n->u.length);
        break;
    case FRI_NAME: walk_name(c, d, node); break;
    case FRI_HANDLE: walk_handle(c, d, n->u.handle); break;
    case FRI_FALSE: fri_digest_byte(d, 'f'); break;
    case FRI_TRUE: fri_digest_byte(d, 't'); break;
    case FRI_ENV: fri_digest_byte(d, 'E'); break;
    case FRI_POISON: fri_digest_byte(d, 'P'); break;
    default: fri_digest_byte(d, 'n');
    }
}

void fri_canon_walk(struct fri_canon *c, struct fri_digester *d,
                    uint32_t node)
{
    uint8_t tag;

    if (c->failed)
        return;
    if (c->nodes[node].tag == FRI_REF)
        node = c->nodes[node].child;
    tag = c->nodes[node].tag;
    if (tag != FRI_CELL && (tag < FRI_TABLE || tag > FRI_FUNC)) {
        walk_plain(c, d, node);
        return;
    }
    if (!is_first(c, d, node))
        return;
    if (++c->depth > DEEPEST)
        fri_canon_fail(c, "nested deeper than %d", DEEPEST);
    else
        walk_first(c, d, node);
    c->depth--;
}

static uint64_t shortened(const struct fri_digest *digest)
{
    uint64_t n;

    memcpy(&n, digest->bytes, sizeof n);
    return n;
}

static bool is_scalar(uint8_t tag)
{
    return tag == FRI_INT || tag == FRI_NUM || tag == FRI_I64
           || tag == FRI_STR || tag == FRI_NIL || tag == FRI_FALSE
           || tag == FRI_TRUE;
}

/* Most arguments are such: a digest of their own would cost as much as all
 * else. */
static uint64_t walk_scalar(struct fri_canon *c, struct fri_digester *d,
                            uint32_t node)
{
    const struct fri_node *n = &c->nodes[node];

    walk_plain(c, d, node);
    if (n->tag == FRI_STR)
        return fri_hash(n->at, n->u.length, FRI_STR);
    return fri_mix(n->u.bits ^ (uint64_t)n->tag << 56);
}

static uint64_t walk_value(struct fri_canon *c, struct fri_digester *d,
                           uint32_t node)
{
    struct fri_digest digest;

    if (is_scalar(c->nodes[node].tag))
        return walk_scalar(c, d, node);
    digest = fri_canon_digest(c, node);
    fri_digest_byte(d, 'D');
    fri_digest_add(d, digest.bytes, FRI_DIGEST);
    return shortened(&digest);
}

bool fri_canon_values(struct fri_canon *c, const struct fri_canon_hooks *hooks,
                      const void *bytes, size_t length,
                      struct fri_handle *const *handles, uint32_t handle_count,
                      unsigned most_values, struct fri_digester *d,
                      uint64_t *parts, unsigned most, unsigned *count)
{
    uint32_t node;

    fri_canon_begin(c, hooks);
    c->part = NULL;
    *count = 0;
    if (length == 0)
        return true;
    node = fri_canon_read(c, bytes, length, handles, handle_count, false);
    for (; node && !c->failed && most_values > 0;
         node = c->nodes[node].next, most_values--) {
        uint64_t part = walk_value(c, d, node);

        if (*count < most)
            parts[(*count)++] = part;
        else
            parts[most - 1] = fri_mix(parts[most - 1]) ^ part;
    }
    return !c->failed;
}

bool fri_canon_function(struct fri_canon *c,
                        const struct fri_canon_hooks *hooks,
                        const struct fri_message *m,
                        void (*part)(void *user,
                                     const struct fri_canon_part *part),
                        void *user)
{
    struct fri_digest digest;
    uint32_t node;

    fri_canon_begin(c, hooks);
    c->part = part;
    c->part_user = user;
    node = fri_canon_read(c, m->data, m->length, m->handles, m->handle_count,
                          true);
    if (!node || c->failed)
        return false;
    if (c->nodes[node].tag == FRI_FUNC) {
        c->nodes[node].number = ++c->walked;
        walk_parts(c, node, true);
    } else { /* of the library, or of a module: by its name */
        digest = fri_canon_digest(c, node);
        give_part(c, "function", NULL, 0, &digest);
    }
    return !c->failed;
}
