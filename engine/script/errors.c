/*
 * errors.c - errors of tasks as tables, and what a task raised as an error.
 *
 * An error table has the metatable that require("flowrun.error") gives in
 * every state, so it travels like any table.
 */
#include "script/script.h"

#include "data/show.h"

#include <string.h>

enum { LONGEST_SHOWN = 300 }; /* bytes of a table that was raised */

static void field_text(lua_State *L, const char *name, const char *text)
{
    if (!text)
        return;
    lua_pushstring(L, text);
    lua_setfield(L, -2, name);
}

static void field_number(lua_State *L, const char *name, lua_Integer n)
{
    lua_pushinteger(L, n);
    lua_setfield(L, -2, name);
}

static void field_message(lua_State *L, const char *name,
                          const struct fri_message *m)
{
    int top = lua_gettop(L);

    if (m && fri_unpack(L, m->data, m->length, m->handles, m->handle_count)
                 == 1)
        lua_setfield(L, top, name);
    lua_settop(L, top);
}

/* What a command has left, but for what the error says itself. */
static void fields_of(lua_State *L, const frun_value *result)
{
    int error = lua_gettop(L);

    if (frun_value_kind(result) != FRUN_MAP)
        return;
    fri_value_push(L, result);
    for (lua_pushnil(L); lua_next(L, error + 1);) {
        lua_pushvalue(L, -2);
        lua_rawget(L, error);
        if (lua_isnil(L, -1)) {
            lua_pushvalue(L, -3);
            lua_pushvalue(L, -3);
            lua_rawset(L, error);
        }
        lua_pop(L, 2);
    }
    lua_settop(L, error);
}

static struct fri_script *script(lua_State *L)
{
    struct fri_script *s;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &fri_lua_runner);
    s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

static void new_table(lua_State *L)
{
    lua_newtable(L);
    lua_rawgetp(L, LUA_REGISTRYINDEX, script(L)->error_meta);
    lua_setmetatable(L, -2);
}

static const char *kind_of(frun_status status)
{
    const char *kind = fri_status_kind(status);

    return kind ? kind : "error";
}

static void push(lua_State *L, const struct fri_error *e, int depth)
{
    const frun_error *p = &e->public;

    luaL_checkstack(L, 8, "error");
    new_table(L);
    field_text(L, "kind", kind_of(p->status));
    field_text(L, "message", e->message ? e->message : "");
    field_text(L, "traceback", e->traceback);
    field_text(L, "task", e->task);
    field_text(L, "pool", e->pool);
    field_number(L, "attempts", p->attempts);
    if (e->number_key)
        field_number(L, "key", (lua_Integer)e->key_number);
    field_message(L, "key", e->key);
    field_message(L, "value", e->value);
    if (p->signal)
        field_number(L, "signal", p->signal);
    if (p->exit_status >= 0
        && (p->status == FRUN_EEXIT || p->status == FRUN_ECRASHED))
        field_number(L, "status", p->exit_status);
    if (e->seconds > 0) {
        lua_pushnumber(L, e->seconds);
        lua_setfield(L, -2, "seconds");
    }
    fields_of(L, e->result);
    if (e->cause && depth > 0) {
        push(L, e->cause, depth - 1);
        lua_setfield(L, -2, "cause");
    }
}

void fri_error_push(lua_State *L, const struct fri_error *error)
{
    push(L, error, 40);
}

void fri_error_push_of(lua_State *L, struct frun_future *f)
{
    if (f->holds == FRI_ERROR && f->data.error) {
        fri_error_push(L, f->data.error);
        return;
    }
    new_table(L);
    field_text(L, "kind", "resource");
    field_text(L, "message", "out of memory");
}

void fri_error_push_new(lua_State *L, frun_status status, const char *message)
{
    new_table(L);
    field_text(L, "kind", kind_of(status));
    field_text(L, "message", message);
}

int fri_raise(lua_State *L, frun_status status, const char *format, ...)
{
    va_list args;

    new_table(L);
    field_text(L, "kind", kind_of(status));
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lua_setfield(L, -2, "message");
    lua_error(L);
    __builtin_unreachable();
}

int fri_raise_memory(lua_State *L)
{
    fri_raise(L, FRUN_ENOMEM, "out of memory");
}

int fri_misuse(lua_State *L, const char *format, ...)
{
    lua_Debug ar;
    va_list args;
    int level = 1;

    /* The first frame that is the script's. */
    for (; lua_getstack(L, level, &ar); level++) {
        lua_getinfo(L, "S", &ar);
        if (ar.what[0] != 'C'
            && strncmp(ar.source, FRI_OWN_CHUNK, strlen(FRI_OWN_CHUNK)) != 0)
            break;
    }
    luaL_where(L, level);
    va_start(args, format);
    lua_pushvfstring(L, format, args);
    va_end(args);
    lua_concat(L, 2);
    lua_error(L);
    __builtin_unreachable();
}

/* ---- one line --------------------------------------------------------- */

/* Pushes a field as text on one line; "" when it is neither text, number nor
 * boolean. */
static void push_line(lua_State *L, const char *name)
{
    lua_getfield(L, 1, name);
    if (lua_type(L, -1) == LUA_TBOOLEAN)
        lua_pushstring(L, lua_toboolean(L, -1) ? "true" : "false");
    else if (lua_type(L, -1) != LUA_TSTRING && lua_type(L, -1) != LUA_TNUMBER)
        lua_pushliteral(L, "");
    luaL_gsub(L, lua_tostring(L, -1), "\r", "\\r");
    luaL_gsub(L, lua_tostring(L, -1), "\n", "\\n");
}

/* "solve [3]: timeout: ..."; a message that is the kind adds nothing to it. */
static int error_tostring(lua_State *L)
{
    const char *task, *key, *kind, *message;
    bool plain;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    push_line(L, "task");
    task = lua_tostring(L, -1);
    push_line(L, "key");
    key = lua_tostring(L, -1);
    push_line(L, "kind");
    kind = lua_tostring(L, -1);
    push_line(L, "message");
    message = lua_tostring(L, -1);
    plain = strcmp(message, kind) == 0;
    lua_pushfstring(L, "%s%s%s%s%s%s%s%s", task, *task && *key ? " [" : "",
                    *task ? key : "", *task && *key ? "]" : "",
                    *task ? ": " : "", kind, plain ? "" : ": ",
                    plain ? "" : message);
    return 1;
}

static int push_meta(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, script(L)->error_meta);
    return 1;
}

/* The metatable is a module of its own, so that it travels by name. */
void fri_errors_open(lua_State *L, struct fri_script *s)
{
    lua_newtable(L);
    s->error_meta = lua_topointer(L, -1);
    lua_pushcfunction(L, error_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushliteral(L, "flowrun.error");
    lua_setfield(L, -2, "__name");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, s->error_meta);
    lua_getfield(L, LUA_REGISTRYINDEX, "_LOADED");
    lua_pushvalue(L, -2);
    lua_setfield(L, -2, "flowrun.error");
    lua_getglobal(L, "package");
    lua_getfield(L, -1, "preload");
    if (lua_istable(L, -1)) {
        lua_pushcfunction(L, push_meta);
        lua_setfield(L, -2, "flowrun.error");
    }
    lua_pop(L, 4);
}

/* ---- what a task raised ----------------------------------------------- */

/* tostring(value), whatever its __tostring does. */
static int safe_tostring(lua_State *L)
{
    lua_getglobal(L, "tostring");
    lua_pushvalue(L, 1);
    lua_call(L, 1, 1);
    if (lua_type(L, -1) != LUA_TSTRING)
        lua_pushfstring(L, "(error object is a %s value)",
                        luaL_typename(L, 1));
    return 1;
}

static const char *text_of(lua_State *L, int index)
{
    if (lua_type(L, index) == LUA_TSTRING)
        return lua_tostring(L, index);
    if (lua_type(L, index) == LUA_TTABLE || lua_type(L, index) == LUA_TUSERDATA
        || lua_type(L, index) == LUA_TNUMBER) {
        lua_pushcfunction(L, safe_tostring);
        lua_pushvalue(L, index);
        if (lua_pcall(L, 1, 1, 0) == 0)
            return lua_tostring(L, -1);
    }
    return lua_pushfstring(L, "(error object is a %s value)",
                           luaL_typename(L, index));
}

/* A table that says nothing of itself: its address would tell nobody
 * anything. */
static bool is_bare(lua_State *L, int index)
{
    if (!lua_istable(L, index))
        return false;
    if (!luaL_getmetafield(L, index, "__tostring"))
        return true;
    lua_pop(L, 1);
    return false;
}

/* What stands in it, as arguments are shown; NULL: out of memory. */
static const char *push_shown(lua_State *L, const struct fri_pack *pack)
{
    struct fri_buffer b;

    fri_buffer_init(&b, NULL);
    fri_show(&b, pack->bytes->data, pack->bytes->length, LONGEST_SHOWN);
    if (b.failed)
        lua_pushnil(L);
    else
        lua_pushlstring(L, (char *)b.data, b.length);
    fri_buffer_free(&b);
    return lua_tostring(L, -1);
}

bool fri_error_push_shown(lua_State *L, int index)
{
    int top = lua_gettop(L);
    struct fri_pack *pack;

    if (is_bare(L, index)
        && fri_pack_values(L, index, 1, NULL, false, &pack)
        && push_shown(L, pack))
        return true;
    lua_settop(L, top);
    return false;
}

/* Where an error comes from is lost when Lua catches it and raises it again:
 * core.note_trace, as a message handler, notes it for whoever takes it. */
static const char noted;

int fri_trace_note(lua_State *L)
{
    lua_settop(L, 1);
    lua_createtable(L, 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, 2, 1);
    luaL_traceback(L, L, NULL, 1);
    lua_rawseti(L, 2, 2);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &noted);
    return 1;
}

bool fri_trace_push(lua_State *L, int value)
{
    bool same = false;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &noted);
    if (!lua_istable(L, -1)) {
        lua_pop(L, 1);
        return false;
    }
    lua_rawgeti(L, -1, 1);
    same = lua_rawequal(L, -1, value);
    lua_pop(L, 1);
    lua_rawgeti(L, -1, 2);
    lua_remove(L, -2);
    lua_pushnil(L);
    lua_rawsetp(L, LUA_REGISTRYINDEX, &noted);
    if (!same)
        lua_pop(L, 1);
    return same;
}

/* The frames of the engine itself are of no use to anybody. */
static void cut_own_frames(char *traceback)
{
    char *own = strstr(traceback, "\n\tflowrun/worker.lua:");

    if (own)
        *own = '\0';
}

/* Of error(text, 2) in a task's function, and where LuaJIT has no frame left,
 * the place is ours: nobody's business either. */
static void cut_own_place(lua_State *L, int value)
{
    static const char own[] = "flowrun/worker.lua:";
    const char *text, *end;
    size_t length;

    if (lua_type(L, value) != LUA_TSTRING)
        return;
    text = lua_tolstring(L, value, &length);
    if (strncmp(text, own, sizeof own - 1) != 0)
        return;
    end = strstr(text, ": ");
    if (!end)
        return;
    lua_pushlstring(L, end + 2, length - (size_t)(end + 2 - text));
    lua_replace(L, value);
}

/* Errors that ended a wait that could never end: a task that does nothing about
 * that fails with that kind itself. */
static const char knots;

void fri_knot_note(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, &knots);
    if (lua_isnil(L, -1)) {
        lua_pop(L, 1);
        lua_newtable(L);
        lua_createtable(L, 0, 1);
        lua_pushliteral(L, "k");
        lua_setfield(L, -2, "__mode");
        lua_setmetatable(L, -2);
        lua_pushvalue(L, -1);
        lua_rawsetp(L, LUA_REGISTRYINDEX, &knots);
    }
    lua_pushvalue(L, -2);
    lua_pushboolean(L, 1);
    lua_rawset(L, -3);
    lua_pop(L, 1);
}

static bool is_knot(lua_State *L, int value)
{
    bool is;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &knots);
    if (!lua_istable(L, -1) || !lua_istable(L, value)) {
        lua_pop(L, 1);
        return false;
    }
    lua_pushvalue(L, value);
    lua_rawget(L, -2);
    is = lua_toboolean(L, -1);
    lua_pop(L, 2);
    return is;
}

struct error_call {
    lua_State *co;
    char *trace;
    struct fri_error *error;
    const struct fri_memory *memory;
};

static int take(lua_State *L)
{
    struct error_call *call = lua_touserdata(L, 1);
    struct fri_pack *pack;
    const char *text = NULL;
    bool packed;

    lua_xmove(call->co, L, 1);
    if (!fri_trace_push(L, 2))
        luaL_traceback(L, call->co, NULL, 0);
    call->trace = fri_strdup(call->memory, lua_tostring(L, 3));
    if (call->trace)
        cut_own_frames(call->trace);
    cut_own_place(L, 2);
    if (is_knot(L, 2)) {
        lua_getfield(L, 2, "message");
        call->error = fri_error_new(call->memory, FRUN_EDEADLOCK,
                                    lua_tostring(L, -1), call->trace, NULL);
        return 0;
    }
    if (!is_bare(L, 2))
        text = text_of(L, 2); /* which may pack something, too */
    packed = fri_pack_values(L, 2, 1, NULL, false, &pack);
    if (!text && packed)
        text = push_shown(L, pack);
    if (!text)
        text = text_of(L, 2);
    call->error = fri_error_new(call->memory, FRUN_ERROR, text, call->trace,
                                NULL);
    if (call->error && packed)
        call->error->value
            = fri_message_new(call->memory, pack->bytes->data,
                              pack->bytes->length, pack->handles,
                              pack->handle_count);
    return 0;
}

struct fri_error *fri_error_take(lua_State *L, lua_State *co)
{
    struct error_call call
        = { .co = co, .memory = &script(L)->engine->memory };
    int top = lua_gettop(L);

    if (!fri_protected(L, take, &call) && !call.error)
        call.error = fri_error_new(call.memory, FRUN_ERROR,
                                   lua_tostring(L, -1) ? lua_tostring(L, -1)
                                                       : "an error",
                                   NULL, NULL);
    fri_free(call.memory, call.trace);
    lua_settop(L, top);
    return call.error;
}
