/*
 * canon.c - bytes into nodes.
 *
 * Rules.  Bytes are trusted no more than elsewhere (codec.h).  REFs and shared
 * cells are resolved while reading: they name only what came before.  The
 * value of a future is read in its place, as a sequence of its own.
 */
#include "data/canon_private.h"

#include <stdarg.h>
#include <stdio.h>

struct reading {
    struct fri_canon *c;
    struct fri_reader r;
    struct fri_handle *const *handles;
    uint32_t handle_count;
    size_t parts, cells; /* where those of this sequence begin */
};

static uint32_t read_value(struct reading *rd);

/* ---- memory ----------------------------------------------------------- */

struct fri_canon *fri_canon_open(const struct fri_memory *m)
{
    struct fri_canon *c = fri_alloc_zero(m, sizeof *c);

    if (c)
        c->memory = m;
    return c;
}

void fri_canon_free(struct fri_canon *c)
{
    if (!c)
        return;
    fri_free(c->memory, c->nodes);
    fri_free(c->memory, c->parts.items);
    fri_free(c->memory, c->cells.items);
    fri_free(c->memory, c->touched.items);
    fri_free(c->memory, c->pairs);
    fri_free(c->memory, c);
}

const char *fri_canon_why(const struct fri_canon *c)
{
    return c->why[0] ? c->why : "out of memory";
}

bool fri_canon_fail(struct fri_canon *c, const char *format, ...)
{
    va_list args;

    if (!c->failed) {
        va_start(args, format);
        vsnprintf(c->why, sizeof c->why, format, args);
        va_end(args);
    }
    c->failed = true;
    return false;
}

bool fri_canon_list(struct fri_canon *c, struct fri_list *l, uint32_t item)
{
    if (l->count == l->capacity) {
        size_t want = l->capacity ? 2 * l->capacity : 64;
        uint32_t *items = fri_realloc(c->memory, l->items,
                                      want * sizeof *items);

        if (!items)
            return fri_canon_fail(c, "out of memory");
        l->items = items;
        l->capacity = want;
    }
    l->items[l->count++] = item;
    return true;
}

void fri_canon_begin(struct fri_canon *c, const struct fri_canon_hooks *hooks)
{
    c->hooks = hooks;
    c->node_count = 1;
    c->parts.count = c->cells.count = c->touched.count = c->pair_count = 0;
    c->walked = 0;
    c->depth = 0;
    c->aside = c->failed = false;
    c->sources = !hooks->version;
    c->why[0] = '\0';
}

/* 0: no memory. */
static uint32_t new_node(struct fri_canon *c, uint8_t tag)
{
    if (c->node_count >= c->node_capacity) {
        size_t want = c->node_capacity ? 2 * c->node_capacity : 256;
        struct fri_node *nodes
            = want < UINT32_MAX
                  ? fri_realloc(c->memory, c->nodes, want * sizeof *nodes)
                  : NULL;

        if (!nodes) {
            fri_canon_fail(c, "out of memory");
            return 0;
        }
        c->nodes = nodes;
        c->node_capacity = want;
    }
    c->nodes[c->node_count] = (struct fri_node){ .tag = tag };
    return (uint32_t)c->node_count++;
}

uint32_t fri_canon_integer(struct fri_canon *c, uint64_t n)
{
    uint32_t node = new_node(c, FRI_INT);

    if (node)
        c->nodes[node].u.bits = n;
    return node;
}

static uint32_t malformed(struct fri_canon *c)
{
    fri_canon_fail(c, "malformed bytes");
    return 0;
}

/* ---- functions -------------------------------------------------------- */

struct fri_source_mark fri_source_mark(struct fri_reader *r)
{
    struct fri_source_mark m = { .kind = fri_get_byte(r) };

    if (m.kind == FRI_SOURCE_NONE)
        return m;
    if (m.kind > FRI_SOURCE_WHY)
        fri_bad(r);
    if (m.kind == FRI_SOURCE_DIGEST) {
        if (fri_left(r) < FRI_DIGEST) {
            fri_bad(r);
            return m;
        }
        memcpy(m.digest.bytes, r->at, FRI_DIGEST);
        r->at += FRI_DIGEST;
    }
    m.name = fri_get_str(r, FRI_STR, &m.length);
    if (m.kind == FRI_SOURCE_DIGEST)
        m.name_count = fri_get_count(r, 1);
    m.names = *r;
    for (size_t i = 0; i < m.name_count; i++) {
        size_t length;

        fri_get_str(r, FRI_STR, &length);
    }
    return m;
}

/* Adds `child` to the parent's children, behind *last. */
static void add_child(struct fri_canon *c, uint32_t parent, uint32_t *last,
                      uint32_t child)
{
    if (*last)
        c->nodes[*last].next = child;
    else
        c->nodes[parent].child = child;
    *last = child;
}

/* A node that stands for another. */
static uint32_t new_ref(struct fri_canon *c, const struct fri_list *l,
                        size_t from, uint64_t n)
{
    uint32_t node;

    if (n >= l->count - from)
        return malformed(c);
    node = new_node(c, FRI_REF);
    if (node)
        c->nodes[node].child = l->items[from + (size_t)n];
    return node;
}

/* A cell is a node of its own, so that it may be met before its value. */
static void read_upvalue(struct reading *rd, uint32_t self, uint32_t *last)
{
    struct fri_canon *c = rd->c;
    uint64_t cell = fri_get_varint(&rd->r);
    uint32_t node, value;

    if (cell > 0) {
        node = new_ref(c, &c->cells, rd->cells, cell - 1);
        if (node)
            add_child(c, self, last, node);
        return;
    }
    node = new_node(c, FRI_CELL);
    if (!node || !fri_canon_list(c, &c->cells, node))
        return;
    value = read_value(rd);
    c->nodes[node].child = value;
    add_child(c, self, last, node);
}

static void read_globals(struct reading *rd, uint32_t self, uint32_t *last)
{
    struct fri_canon *c = rd->c;
    uint64_t env;

    while (!c->failed && (env = fri_get_varint(&rd->r)) > 0) {
        size_t length;
        const char *name = fri_get_str(&rd->r, FRI_STR, &length);
        uint32_t node = new_node(c, FRI_STR), value;

        if (!node || !name) {
            malformed(c);
            return;
        }
        c->nodes[node].at = (const uint8_t *)name;
        c->nodes[node].u.length = length;
        add_child(c, self, last, node);
        value = read_value(rd);
        add_child(c, self, last, value);
        c->nodes[self].pairs++;
    }
}

/* An own environment counts like an upvalue. */
static void read_env(struct reading *rd, uint32_t self, uint32_t *last)
{
    if (fri_get_varint(&rd->r) == 1)
        add_child(rd->c, self, last, read_value(rd));
}

static void read_function(struct reading *rd, uint32_t self)
{
    struct fri_canon *c = rd->c;
    size_t all = fri_get_count(&rd->r, 1), code = fri_get_count(&rd->r, 1), n;
    uint32_t last = 0;

    (void)all;
    rd->r.at += code;
    c->nodes[self].at = rd->r.at;
    fri_source_mark(&rd->r);
    c->nodes[self].u.length = (size_t)(rd->r.at - c->nodes[self].at);
    read_env(rd, self, &last);
    n = fri_get_count(&rd->r, 1);
    for (size_t i = 0; i < n && !c->failed; i++)
        read_upvalue(rd, self, &last);
    read_globals(rd, self, &last);
}

/* ---- other values ----------------------------------------------------- */

static void read_table(struct reading *rd, uint32_t self)
{
    struct fri_canon *c = rd->c;
    size_t items = fri_get_count(&rd->r, 1);
    size_t pairs = fri_get_count(&rd->r, 2);
    uint32_t last = 0;

    c->nodes[self].u.length = items;
    c->nodes[self].pairs = (uint32_t)pairs;
    for (size_t i = 0; i < items + 2 * pairs && !c->failed; i++)
        add_child(c, self, &last, read_value(rd));
    if (c->nodes[self].tag == FRI_OBJECT && !c->failed)
        add_child(c, self, &last, read_value(rd));
}

static void read_packed(struct reading *rd, uint32_t self)
{
    struct fri_node *node = &rd->c->nodes[self];

    node->u.length = fri_get_count(&rd->r, 8);
    node->at = rd->r.at;
    rd->r.at += 8 * node->u.length;
}

static void read_part(struct reading *rd, uint32_t self, uint8_t tag)
{
    if (rd->c->depth >= 2 * FRI_DEPTH
        || !fri_canon_list(rd->c, &rd->c->parts, self)) {
        malformed(rd->c);
        return;
    }
    rd->c->depth++;
    if (tag == FRI_FUNC)
        read_function(rd, self);
    else if (tag == FRI_NUMS || tag == FRI_INTS)
        read_packed(rd, self);
    else
        read_table(rd, self);
    rd->c->depth--;
}

static struct fri_handle *get_handle(struct reading *rd)
{
    uint64_t n = fri_get_varint(&rd->r);

    if (n < rd->handle_count)
        return rd->handles[n];
    malformed(rd->c);
    return NULL;
}

static uint32_t read_future(struct reading *rd)
{
    struct fri_canon *c = rd->c;
    struct fri_handle *h = get_handle(rd), *const *handles = NULL;
    const void *bytes = NULL;
    size_t length = 0;
    uint32_t count = 0;

    if (!h)
        return 0;
    if (!c->hooks->future
        || !c->hooks->future(c->hooks->user, h, &bytes, &length, &handles,
                             &count))
        return new_node(c, FRI_NIL);
    return fri_canon_read(c, bytes, length, handles, count, true);
}

static void read_text(struct reading *rd, uint32_t self, uint8_t tag)
{
    struct fri_node *node = &rd->c->nodes[self];
    const char *s = fri_get_str(&rd->r, tag, &node->u.length);

    node->at = (const uint8_t *)s;
}

static uint32_t read_tagged(struct reading *rd, uint8_t tag)
{
    struct fri_canon *c = rd->c;
    uint32_t self;

    if (tag == FRI_FUTURE)
        return read_future(rd);
    if (tag == FRI_REF)
        return new_ref(c, &c->parts, rd->parts, fri_get_varint(&rd->r));
    self = new_node(c, tag);
    if (!self)
        return 0;
    if (tag >= FRI_TABLE && tag <= FRI_FUNC)
        read_part(rd, self, tag);
    else if (tag == FRI_INT)
        c->nodes[self].u.bits = (uint64_t)fri_get_zigzag(&rd->r);
    else if (tag == FRI_NUM || tag == FRI_I64)
        c->nodes[self].u.bits = fri_get_raw64(&rd->r);
    else if (tag == FRI_HANDLE)
        c->nodes[self].u.handle = get_handle(rd);
    else if (tag == FRI_STR || tag == FRI_NAME || tag == FRI_POISON)
        read_text(rd, self, tag);
    else if (tag >= FRI_TAG_END)
        return malformed(c);
    return self;
}

static uint32_t read_value(struct reading *rd)
{
    uint8_t tag = fri_get_byte(&rd->r);
    uint32_t self;

    if (rd->r.bad || rd->c->failed)
        return malformed(rd->c);
    if (tag >= FRI_NIL) {
        self = read_tagged(rd, tag);
    } else if (tag >= FRI_SHORT_STR) {
        self = new_node(rd->c, FRI_STR);
        if (self)
            read_text(rd, self, tag);
    } else {
        self = new_node(rd->c, FRI_INT);
        if (self)
            rd->c->nodes[self].u.bits = tag;
    }
    return rd->r.bad ? malformed(rd->c) : self;
}

uint32_t fri_canon_read(struct fri_canon *c, const void *bytes, size_t length,
                        struct fri_handle *const *handles,
                        uint32_t handle_count, bool one)
{
    struct reading rd = { .c = c, .handles = handles,
                          .handle_count = handle_count,
                          .parts = c->parts.count, .cells = c->cells.count };
    uint32_t first = 0, last = 0;
    size_t count;

    if (length == 0)
        return new_node(c, FRI_NIL);
    fri_reader_init(&rd.r, bytes, length);
    fri_get_byte(&rd.r);
    count = fri_get_count(&rd.r, 1);
    if (one && count == 0)
        return new_node(c, FRI_NIL);
    for (size_t i = 0; i < (one ? 1 : count) && !c->failed; i++) {
        uint32_t node = read_value(&rd);

        if (last)
            c->nodes[last].next = node;
        else
            first = node;
        last = node;
    }
    return c->failed ? 0 : first;
}
