/*
 * notes.c - what decided about a function's bytes.
 *
 * While a function is encoded, what goes in is noted: upvalues and globals
 * that are plain, functions by their serial numbers (and what is in them),
 * things with a name by their addresses, handles.  If all is as noted, so are
 * the bytes.  A table among them makes the notes useless: it may have changed
 * anywhere.
 */
#include "script/int64.h"
#include "script/travel_private.h"

enum what {
    AS_NIL,
    AS_FALSE,
    AS_TRUE,
    AS_INT,   /* bits, and of LuaJIT's int64 cdata */
    AS_NUM,   /* bits */
    AS_TEXT,  /* offset, length */
    AS_NAMED, /* address */
    AS_ENV,   /* address of an environment */
    AS_SERIAL,
    AS_ENTERED, /* serial; what follows is about its upvalues */
    AS_HANDLE,
    AS_NOTHING
};

enum {
    TEXT_NOTED = 4096, /* longer strings make notes useless */
    NOTES_MAX = 4096
};

void fri_witnesses_free(struct fri_travel *t, struct fri_witnesses *w)
{
    fri_free(t->memory, w->list);
    fri_free(t->memory, w->texts.data);
    *w = (struct fri_witnesses){ .list = NULL };
}

void fri_note_nothing(struct fri_encoder *e)
{
    if (e->witnesses)
        e->witnesses->usable = false;
}

static struct fri_witness *more_notes(struct fri_encoder *e)
{
    struct fri_witnesses *w = e->witnesses;
    uint32_t want = w->capacity ? w->capacity * 2 : 16;
    void *more;

    if (w->count == w->capacity) {
        more = w->count < NOTES_MAX
                   ? fri_realloc(e->travel->memory, w->list,
                                 want * sizeof(*w->list))
                   : NULL;
        if (!more) {
            w->usable = false;
            return NULL;
        }
        w->list = more;
        w->capacity = want;
    }
    return &w->list[w->count++];
}

static void classify_object(lua_State *L, struct fri_travel *t, int i,
                            struct fri_witness *w)
{
    int type = lua_type(L, i);

    w->u.object = lua_topointer(L, i);
    if (fri_names_find(t, w->u.object))
        w->what = AS_NAMED;
    else if (type == LUA_TTABLE)
        w->what = fri_is_env(L, t, i, w->u.object) ? AS_ENV : AS_NOTHING;
    else if (type == LUA_TUSERDATA)
        w->what = (w->u.object = fri_handle_test(L, i)) ? AS_HANDLE
                                                        : AS_NOTHING;
}

/* What the value at i is.  (A Lua function is AS_SERIAL, 0 when it has no
 * number; a string has its length.) */
static void classify(lua_State *L, struct fri_travel *t, int i,
                     struct fri_witness *w)
{
    int64_t n;
    size_t length;

    w->what = AS_NOTHING;
    w->u.bits = 0;
    switch (lua_type(L, i)) {
    case LUA_TNIL:
        w->what = AS_NIL;
        break;
    case LUA_TBOOLEAN:
        w->what = lua_toboolean(L, i) ? AS_TRUE : AS_FALSE;
        break;
    case LUA_TNUMBER:
        w->what = AS_NUM;
        if (fri_int64_get(L, i, &n)) {
            w->what = AS_INT;
            memcpy(&w->u.bits, &n, 8);
        } else {
            double d = lua_tonumber(L, i);

            memcpy(&w->u.bits, &d, 8);
        }
        break;
    case LUA_TSTRING:
        lua_tolstring(L, i, &length);
        w->what = length <= TEXT_NOTED ? AS_TEXT : AS_NOTHING;
        w->length = (uint32_t)length;
        break;
#if FRI_LUAJIT
    case FRI_LUA_CDATA:
        if (fri_int64_get(L, i, &n)) {
            w->what = AS_INT;
            memcpy(&w->u.bits, &n, 8);
        }
        break;
#endif
    case LUA_TFUNCTION:
        if (!fri_names_find(t, lua_topointer(L, i))) {
            w->what = lua_iscfunction(L, i) ? AS_NOTHING : AS_SERIAL;
            w->u.bits = w->what == AS_SERIAL ? fri_serial(L, t, i) : 0;
            break;
        }
        /* fall through */
    default:
        classify_object(L, t, i, w);
    }
}

static size_t note_text(struct fri_witnesses *w, const char *s, size_t n)
{
    size_t at = w->texts.length;

    fri_buffer_add(&w->texts, s, n);
    w->usable &= !w->texts.failed;
    return at;
}

/* Behind the witness of a global: its name. */
static void note_name(struct fri_encoder *e, struct fri_text name)
{
    struct fri_witness *named = more_notes(e);

    if (!named)
        return;
    *named = (struct fri_witness){ .where = FRI_AT_NAME,
                                   .length = name.length };
    named->u.offset = note_text(e->witnesses, name.at, name.length);
}

bool fri_note(struct fri_encoder *e, lua_State *L, int i, enum fri_where where,
              unsigned slot, struct fri_text name)
{
    struct fri_witnesses *all = e->witnesses;
    struct fri_witness *w = all && all->usable ? more_notes(e) : NULL;
    bool entered;

    if (!w)
        return false;
    classify(L, e->travel, i, w);
    if (w->what == AS_SERIAL) {
        w->u.bits = fri_serial_make(L, e->travel, i);
        if (!fri_seen_has(&e->seen, lua_topointer(L, i)))
            w->what = AS_ENTERED;
    }
    all->usable &= w->what != AS_NOTHING;
    if (w->what == AS_TEXT)
        w->u.offset = note_text(all, lua_tostring(L, i), w->length);
    w->where = (uint8_t)where;
    w->slot = (uint16_t)slot;
    entered = w->what == AS_ENTERED;
    if (where == FRI_AT_GLOBAL) {
        all->usable &= slot == 0; /* only one environment */
        note_name(e, name); /* w may move */
    }
    if (!entered)
        return false;
    if (++all->depth > all->deepest)
        all->deepest = all->depth;
    return true;
}

void fri_note_end(struct fri_encoder *e, bool entered)
{
    struct fri_witness *w;

    if (!entered)
        return;
    e->witnesses->depth--;
    w = more_notes(e);
    if (w)
        *w = (struct fri_witness){ .where = FRI_AT_END };
}

void fri_note_env(struct fri_encoder *e, lua_State *L, int i, uint32_t env)
{
    struct fri_witnesses *all = e->witnesses;

    if (!all || !all->usable)
        return;
    all->usable = env == 0;
    all->env = e->envs[env];
#if FRI_LUA54
    if (e->depth == 1) {
        int n = 1;

        for (; lua_getupvalue(L, i, n); n++) {
            bool found = lua_topointer(L, -1) == all->env;

            lua_pop(L, 1);
            if (found)
                break;
        }
        all->env_slot = n;
    } else if (all->env_slot == 0 && all->env != e->travel->globals) {
        all->usable = false;
    }
#else
    struct fri_witness *w = more_notes(e);

    (void)L;
    (void)i;
    if (w) {
        *w = (struct fri_witness){ .where = FRI_AT_ENV, .what = AS_ENV };
        w->u.object = all->env;
    }
    all->usable &= all->env == e->travel->globals || e->depth == 1
                   || all->env_slot == 1;
    if (e->depth == 1)
        all->env_slot = 1;
#endif
}

/* ---- is all as it was noted? ------------------------------------------ */

struct check {
    struct fri_travel *t;
    const struct fri_witnesses *w;
    int top;      /* the function asked about, then those inside it */
    int function; /* whose upvalues are looked at */
    int depth;
};

static bool same(lua_State *L, const struct check *c, int i,
                 const struct fri_witness *w)
{
    struct fri_witness now;

    classify(L, c->t, i, &now);
    if (now.what == AS_TEXT)
        return w->what == AS_TEXT && w->length == now.length
               && memcmp(lua_tostring(L, i), c->w->texts.data + w->u.offset,
                         w->length) == 0;
    if (w->what == AS_ENTERED)
        return now.what == AS_SERIAL && now.u.bits == w->u.bits;
    return now.what == w->what && now.u.bits == w->u.bits;
}

/* Pushes the environment of the function asked about. */
static void push_env(lua_State *L, const struct check *c)
{
    if (c->w->env == c->t->globals)
        fri_push_ref(L, c->t->globals_ref);
    else
#if FRI_LUA54
        lua_getupvalue(L, c->top, c->w->env_slot);
#else
        lua_getfenv(L, c->top);
#endif
}

static bool push_noted(lua_State *L, const struct check *c,
                       const struct fri_witness *w)
{
    struct fri_text name;

    if (w->where == FRI_AT_UPVALUE)
        return lua_getupvalue(L, c->function, w->slot) != NULL;
#if FRI_LUAJIT
    if (w->where == FRI_AT_ENV) {
        lua_getfenv(L, c->function);
        return true;
    }
#endif
    name.at = (const char *)c->w->texts.data + w[1].u.offset;
    name.length = w[1].length;
    push_env(L, c);
    if (lua_topointer(L, -1) != c->w->env || !lua_istable(L, -1))
        return false;
    fri_push_global(L, c->t, -1, name);
    lua_remove(L, -2);
    return true;
}

/* Inside: the functions that were entered stand on the stack behind `base`. */
static bool check_one(lua_State *L, struct check *c, int base,
                      const struct fri_witness *w)
{
    if (w->where == FRI_AT_NAME)
        return true;
    if (w->where == FRI_AT_END) {
        lua_pop(L, 1);
        c->depth--;
    } else {
        if (!push_noted(L, c, w) || !same(L, c, lua_gettop(L), w))
            return false;
        if (w->what == AS_ENTERED)
            c->depth++;
        else
            lua_pop(L, 1);
    }
    c->function = c->depth > 0 ? base + c->depth : c->top;
    return true;
}

bool fri_unchanged(lua_State *L, struct fri_travel *t, int i,
                      const struct fri_witnesses *w)
{
    struct check c = { t, w, lua_absindex(L, i), lua_absindex(L, i), 0 };
    int base = lua_gettop(L);
    bool ok = true;

    if (!lua_checkstack(L, (int)w->deepest + 20))
        return false;
    for (uint32_t k = 0; ok && k < w->count; k++)
        ok = check_one(L, &c, base, &w->list[k]);
    lua_settop(L, base);
    return ok;
}

/* ---- beginning and end ------------------------------------------------ */

void fri_notes_begin(struct fri_travel *t)
{
    struct fri_witnesses *w = &t->noted;

    w->count = w->depth = w->deepest = 0;
    w->env_slot = 0;
    w->env = t->globals;
    w->usable = true;
    w->texts.length = 0;
}

bool fri_notes_keep(struct fri_travel *t, struct fri_witnesses *to)
{
    struct fri_witnesses *from = &t->noted;
    size_t size = from->count * sizeof(*to->list);

    fri_witnesses_free(t, to);
    if (!from->usable)
        return false;
    *to = *from;
    to->list = size > 0 ? fri_alloc(t->memory, size) : NULL;
    if (size > 0 && !to->list) {
        *to = (struct fri_witnesses){ .list = NULL };
        return false;
    }
    if (size > 0)
        memcpy(to->list, from->list, size);
    to->capacity = from->count;
    fri_buffer_init(&from->texts, t->memory); /* they went along */
    return true;
}
