/*
 * yaml.c - flow.yaml, over libyaml.  The only file that includes yaml.h.
 *
 * What is read: one document of YAML 1.2 with the core schema (scalar.c), or
 * JSON (json.c: tried first on what begins like JSON; a file named .json is
 * nothing else).  Null is nil: a key with a null value is absent, and in a
 * list it leaves a hole.  An alias gives the same table again, not a copy.
 *
 * Refused, with the place: a key there twice, a key that is null, a table or
 * not exact, tags outside the core schema, '<<' (YAML 1.2 has no merge keys;
 * quoted it is a key like any other), an alias within its own anchor, a second
 * document, and all that is beyond the bounds of document.h.
 *
 * Rules.  Events, never libyaml's loader: bounds are checked as events come,
 * and nothing recurses.  libyaml takes time in the square of the number of
 * %TAG directives, so they are counted first; all else in it is linear once
 * the depth is bounded.  Lua raises through longjmp: whatever libyaml or
 * the allocator gave is in `struct reading`, freed outside the protected call.
 */
#define _GNU_SOURCE
#include "script/yaml.h"

#include "script/document.h"
#include "script/files.h"
#include "script/json.h"
#include "script/scalar.h"
#include "script/script.h"
#include "script/utf8.h"

#include <stdlib.h>
#include <yaml.h>

enum { TAG_DIRECTIVES = 100 };

/* A table being read.  Its slots on the stack: the table, for a map the set of
 * keys whose value was null, and then a key that waits for its value. */
struct frame {
    int slot;
    bool map, has_key;
    int items;
    size_t size;   /* nodes in it, those of aliases too */
    int height;    /* tables in tables */
    size_t anchor; /* its number, 0 for none */
    yaml_mark_t key;
};

struct reading {
    struct fri_document d;
    const struct fri_memory *memory;
    char *bytes; /* of a file */
    bool json;
    yaml_parser_t parser;
    yaml_event_t event;
    bool parser_open;
    size_t anchors, copies;
    int depth;
    bool documents;
    struct frame frames[FRI_DOCUMENT_DEPTH];
};

/* Slots of the stack of read_yaml. */
enum { READING = 1, NAMES, ANCHORS, ROOT };

static _Noreturn void fail_at(struct reading *r, yaml_mark_t mark,
                              const char *why)
{
    fri_document_fail(&r->d, mark.line + 1, mark.column + 1, "%s", why);
}

static _Noreturn void fail(struct reading *r, const char *why)
{
    fail_at(r, r->event.start_mark, why);
}

/* ---- anchors ----------------------------------------------------------
 * NAMES has the number of the last anchor of each name; ANCHORS, for each
 * number, what it names, and how large and high that is. */

static size_t new_anchor(struct reading *r, const yaml_char_t *name)
{
    lua_State *L = r->d.L;

    if (!name)
        return 0;
    if (++r->anchors > FRI_DOCUMENT_ANCHORS)
        fail(r, "more than 100000 anchors");
    lua_pushstring(L, (const char *)name);
    lua_pushinteger(L, (lua_Integer)r->anchors);
    lua_rawset(L, NAMES);
    return r->anchors;
}

/* The value is on the top of the stack and stays there. */
static void set_anchor(struct reading *r, size_t anchor, size_t size,
                       int height)
{
    lua_State *L = r->d.L;
    int at = (int)anchor * 3;

    if (anchor == 0)
        return;
    lua_pushvalue(L, -1);
    lua_rawseti(L, ANCHORS, at);
    lua_pushinteger(L, (lua_Integer)size);
    lua_rawseti(L, ANCHORS, at + 1);
    lua_pushinteger(L, height);
    lua_rawseti(L, ANCHORS, at + 2);
}

/* Pushes what the alias stands for. */
static void get_anchor(struct reading *r, size_t *size, int *height)
{
    lua_State *L = r->d.L;
    int at;

    lua_pushstring(L, (const char *)r->event.data.alias.anchor);
    lua_rawget(L, NAMES);
    if (lua_isnil(L, -1))
        fail(r, "an alias of nothing before it");
    at = (int)lua_tointeger(L, -1) * 3;
    lua_rawgeti(L, ANCHORS, at + 1);
    if (lua_isnil(L, -1))
        fail(r, "an alias within what it stands for");
    *size = (size_t)lua_tointeger(L, -1);
    lua_rawgeti(L, ANCHORS, at + 2);
    *height = (int)lua_tointeger(L, -1);
    lua_pop(L, 3);
    lua_rawgeti(L, ANCHORS, at);
}

/* ---- nodes ------------------------------------------------------------ */

static struct frame *innermost(struct reading *r)
{
    return r->depth > 0 ? &r->frames[r->depth - 1] : NULL;
}

static void take_key(struct reading *r, struct frame *f)
{
    const char *fault = fri_document_key_fault(r->d.L);

    if (fault)
        fail(r, fault);
    f->has_key = true;
    f->key = r->event.start_mark;
}

static void take_field(struct reading *r, struct frame *f)
{
    char shown[64];

    if (!fri_document_put(r->d.L, f->slot))
        fri_document_fail(&r->d, f->key.line + 1, f->key.column + 1,
                          "key '%s' is there twice",
                          fri_document_show(r->d.L, -2, shown));
    f->has_key = false;
}

/* Puts the node on the top of the stack where it belongs. */
static void deliver(struct reading *r, size_t size, int height)
{
    lua_State *L = r->d.L;
    struct frame *f = innermost(r);

    if (f && f->map && !f->has_key) {
        take_key(r, f);
        return;
    }
    if (++r->d.nodes > FRI_DOCUMENT_NODES)
        fail(r, "more than 2000000 values");
    if (!f) {
        lua_replace(L, ROOT);
        return;
    }
    f->size += size;
    if (height >= f->height)
        f->height = height + 1;
    if (f->map) {
        take_field(r, f);
    } else if (lua_isnil(L, -1)) {
        f->items++;
        lua_pop(L, 1);
    } else {
        lua_rawseti(L, f->slot, ++f->items);
    }
}

static void on_scalar(struct reading *r)
{
    lua_State *L = r->d.L;
    const char *text = (const char *)r->event.data.scalar.value;
    size_t length = r->event.data.scalar.length;
    const char *tag = (const char *)r->event.data.scalar.tag;
    struct frame *f = innermost(r);
    const char *fault = NULL;

    if (tag)
        fault = fri_scalar_tagged(L, tag, text, length);
    else if (!r->event.data.scalar.plain_implicit)
        lua_pushlstring(L, text, length);
    else if (f && f->map && !f->has_key && strcmp(text, "<<") == 0)
        fault = "'<<' is no merge key in YAML 1.2: write the fields, or "
                "quote it";
    else
        fault = fri_scalar_plain(L, text, length);
    if (fault)
        fail(r, fault);
    set_anchor(r, new_anchor(r, r->event.data.scalar.anchor), 1, 0);
    deliver(r, 1, 0);
}

static void on_alias(struct reading *r)
{
    size_t size = 0;
    int height = 0;

    get_anchor(r, &size, &height);
    r->copies += size;
    if (r->copies > FRI_DOCUMENT_COPIES)
        fail(r, "aliases stand for more than 1000000 values");
    if (r->depth + height > FRI_DOCUMENT_DEPTH)
        fail(r, "nested deeper than 100 through an alias");
    deliver(r, size, height);
}

static void on_table(struct reading *r, bool map, const yaml_char_t *tag,
                     const yaml_char_t *anchor)
{
    lua_State *L = r->d.L;
    const char *core = map ? YAML_MAP_TAG : YAML_SEQ_TAG;
    struct frame *outer = innermost(r), *f;

    if (tag && strcmp((const char *)tag, "!") != 0
        && strcmp((const char *)tag, core) != 0)
        fail(r, map ? "the tag is not that of a map"
                    : "the tag is not that of a list");
    if (outer && outer->map && !outer->has_key)
        fail(r, "a list or a map cannot be a key");
    if (r->depth == FRI_DOCUMENT_DEPTH)
        fail(r, "nested deeper than 100");
    luaL_checkstack(L, 12, "document too deep");
    lua_newtable(L);
    f = &r->frames[r->depth++];
    *f = (struct frame){ .slot = lua_gettop(L), .map = map, .size = 1,
                         .height = 1, .anchor = new_anchor(r, anchor) };
    if (map)
        lua_pushnil(L);
}

static void on_table_end(struct reading *r)
{
    struct frame f = r->frames[--r->depth];

    lua_settop(r->d.L, f.slot);
    set_anchor(r, f.anchor, f.size, f.height);
    deliver(r, f.size, f.height);
}

static void on_document(struct reading *r)
{
    if (r->documents)
        fail(r, "a second document");
    r->documents = true;
}

static void on_event(struct reading *r)
{
    yaml_event_t *e = &r->event;

    switch (e->type) {
    case YAML_DOCUMENT_START_EVENT:
        on_document(r);
        break;
    case YAML_SCALAR_EVENT:
        on_scalar(r);
        break;
    case YAML_ALIAS_EVENT:
        on_alias(r);
        break;
    case YAML_SEQUENCE_START_EVENT:
        on_table(r, false, e->data.sequence_start.tag,
                 e->data.sequence_start.anchor);
        break;
    case YAML_MAPPING_START_EVENT:
        on_table(r, true, e->data.mapping_start.tag,
                 e->data.mapping_start.anchor);
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        on_table_end(r);
        break;
    default:
        break;
    }
}

/* ---- a text ----------------------------------------------------------- */

static _Noreturn void fail_offset(struct reading *r, size_t offset,
                                  const char *why)
{
    size_t line, column;

    fri_document_where(&r->d, offset, &line, &column);
    fri_document_fail(&r->d, line, column, "%s", why);
}

/* What libyaml says is wrong. */
static _Noreturn void fail_syntax(struct reading *r)
{
    yaml_parser_t *p = &r->parser;
    yaml_mark_t at = p->problem_mark, from = p->context_mark;

    if (p->error == YAML_MEMORY_ERROR || !p->problem)
        luaL_error(r->d.L, "%s: not enough memory", r->d.name);
    if (p->error == YAML_READER_ERROR)
        fail_offset(r, p->problem_offset, p->problem);
    if (p->context)
        fri_document_fail(&r->d, at.line + 1, at.column + 1,
                          "%s (%s from %d:%d)", p->problem, p->context,
                          (int)from.line + 1, (int)from.column + 1);
    fail_at(r, at, p->problem);
}

static void check_directives(struct reading *r)
{
    const char *s = r->d.text, *end = s + r->d.length;

    for (int n = 0; (s = memmem(s, (size_t)(end - s), "%TAG", 4)); s += 4)
        if (++n > TAG_DIRECTIVES)
            fail_offset(r, (size_t)(s - r->d.text), "too many '%TAG'");
}

/* Leaves the value on the top of the stack. */
static void read_yaml(struct reading *r)
{
    lua_State *L = r->d.L;
    yaml_event_type_t type;

    lua_settop(L, READING);
    lua_newtable(L);
    lua_newtable(L);
    lua_pushnil(L);
    r->d.nodes = 0;
    check_directives(r);
    if (!yaml_parser_initialize(&r->parser))
        luaL_error(L, "%s: not enough memory", r->d.name);
    r->parser_open = true;
    yaml_parser_set_encoding(&r->parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(
        &r->parser, (const unsigned char *)r->d.text, r->d.length);
    do {
        if (!yaml_parser_parse(&r->parser, &r->event))
            fail_syntax(r);
        on_event(r);
        type = r->event.type;
        yaml_event_delete(&r->event);
    } while (type != YAML_STREAM_END_EVENT);
    lua_settop(L, ROOT);
}

static bool begins_like_json(const struct fri_document *d)
{
    size_t blank = strspn(d->text, " \t\r\n");

    return blank < d->length && strchr("{[\"", d->text[blank]);
}

static int read_text(lua_State *L)
{
    struct reading *r = lua_touserdata(L, READING);
    size_t bad;

    if (r->d.length > FRI_DOCUMENT_BYTES)
        luaL_error(L, "%s: larger than 64 MiB", r->d.name);
    if (r->d.length >= 3 && memcmp(r->d.text, "\xEF\xBB\xBF", 3) == 0) {
        r->d.text += 3;
        r->d.length -= 3;
    }
    if (!fri_utf8_valid(r->d.text, r->d.length, &bad))
        fail_offset(r, bad, "invalid UTF-8");
    if ((r->json || begins_like_json(&r->d)) && fri_json_read(&r->d, r->json))
        return 1;
    read_yaml(r);
    return 1;
}

/* From the stack ..., read_text, the reading.  The collector rests meanwhile:
 * nearly all that is made is kept, and looking through it again and again as
 * it grows took a fifth of the time of large files on LuaJIT. */
static int run(lua_State *L, struct reading *r)
{
    int collecting = lua_gc(L, LUA_GCISRUNNING, 0), status;

    if (collecting)
        lua_gc(L, LUA_GCSTOP, 0);
    status = lua_pcall(L, 1, 1, 0);
    if (collecting)
        lua_gc(L, LUA_GCRESTART, 0);
    if (r->parser_open) {
        yaml_event_delete(&r->event);
        yaml_parser_delete(&r->parser);
    }
    fri_free(r->memory, r->bytes);
    return status != 0 ? lua_error(L) : 1;
}

/* ---- flow.yaml -------------------------------------------------------- */

static const char *string_argument(lua_State *L, const char *function,
                                   const char *name, size_t *length)
{
    if (lua_type(L, 1) != LUA_TSTRING)
        fri_misuse(L, "flow.yaml.%s: %s must be a string, got %s", function,
                   name, luaL_typename(L, 1));
    return lua_tolstring(L, 1, length);
}

static void begin(lua_State *L, struct reading *r, const char *name)
{
    memset(r, 0, offsetof(struct reading, frames));
    r->d.L = L;
    r->d.name = name;
    r->memory = fri_script_memory(fri_script_in(L));
    lua_pushcfunction(L, read_text);
    lua_pushlightuserdata(L, r);
}

static int yaml_parse(lua_State *L)
{
    struct reading r;
    size_t length;
    const char *text = string_argument(L, "parse", "text", &length);

    begin(L, &r, "text");
    r.d.text = text;
    r.d.length = length;
    return run(L, &r);
}

static bool is_json_file(const char *path, size_t length)
{
    return length >= 5 && memcmp(path + length - 5, ".json", 5) == 0;
}

static int yaml_read(lua_State *L)
{
    struct reading r;
    size_t length;
    const char *path = string_argument(L, "read", "path", &length), *error;

    begin(L, &r, path);
    r.json = is_json_file(path, length);
    error = fri_file_read(path, FRI_DOCUMENT_BYTES, r.memory, &r.bytes,
                          &r.d.length);
    if (error) {
        lua_pushfstring(L, "%s: %s", path, error);
        return lua_error(L);
    }
    r.d.text = r.bytes;
    return run(L, &r);
}

int fri_open_yaml(lua_State *L)
{
    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, yaml_read);
    lua_setfield(L, -2, "read");
    lua_pushcfunction(L, yaml_parse);
    lua_setfield(L, -2, "parse");
    return 1;
}
