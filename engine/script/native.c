/*
 * native.c - flow.native: C functions that the host has registered, called
 * from Lua with one value or none, in whatever pool the call stands.
 *
 * A Lua error may pass through here at any allocation of Lua's, so what is
 * C's own belongs to a userdata while it lives.
 */
#include "script/job.h"
#include "script/shared.h"

#include "data/codec.h"
#include "pools/ctask.h"

struct call {
    frun_value *argument, *result;
    struct fri_error *error;
    struct fri_buffer bytes;
};

static void call_end(struct call *c)
{
    frun_value_free(c->argument);
    frun_value_free(c->result);
    fri_error_free(c->error);
    fri_buffer_free(&c->bytes);
    c->argument = c->result = NULL;
    c->error = NULL;
}

static int call_gc(lua_State *L)
{
    call_end(lua_touserdata(L, 1));
    return 0;
}

static struct call *call_new(lua_State *L, const struct fri_script *s)
{
    struct call *c = lua_newuserdatauv(L, sizeof *c, 0);

    *c = (struct call){ .error = NULL };
    fri_buffer_init(&c->bytes, &s->engine->memory);
    lua_newtable(L);
    lua_pushcfunction(L, call_gc);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, -2);
    return c;
}

/* ---- values ----------------------------------------------------------- */

static void read_argument(lua_State *L, struct call *c, int index)
{
    struct fri_pack *pack;
    struct fri_reader r;
    frun_status status;

    if (!fri_pack_values(L, index, 1, "argument", false, &pack))
        fri_raise(L, FRUN_EUNSENDABLE, "%s", lua_tostring(L, -1));
    fri_reader_init(&r, pack->bytes->data, pack->bytes->length);
    fri_get_byte(&r);   /* flags */
    fri_get_varint(&r); /* count */
    status = fri_decode(c->bytes.memory, &r, &c->argument);
    if (status == FRUN_ENOMEM)
        fri_raise_memory(L);
    if (status != FRUN_OK)
        fri_raise(L, FRUN_EUNSENDABLE,
                  "argument: C has no place for what is in it");
}

static int push_result(lua_State *L, struct call *c)
{
    fri_buffer_byte(&c->bytes, FRI_HAS_REFS);
    fri_put_varint(&c->bytes, 1);
    if (fri_encode(&c->bytes, c->result) != FRUN_OK || c->bytes.failed)
        fri_raise_memory(L);
    if (fri_unpack(L, c->bytes.data, c->bytes.length, NULL, 0) != 1)
        return lua_error(L);
    call_end(c);
    return 1;
}

/* ---- calling ---------------------------------------------------------- */

static struct frun_future *task_of(const struct fri_script *s)
{
    const struct fri_job *job = s->runtime ? s->runtime->job : NULL;

    return job ? job->slice.task : NULL;
}

int fri_native_call(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    struct fri_native *n
        = (void *)fri_handle_of(L, s, FRI_HANDLE_NATIVE, 1);
    struct frun_task task = { .future = task_of(s),
                              .memory = &s->engine->memory, .user = n->user };
    struct call *c;

    if (!n->function)
        fri_raise(L, FRUN_ERESOURCE, "%s: this process is no copy of the host,"
                  " so it has none of its functions", n->name);
    lua_settop(L, 2);
    c = call_new(L, s);
    if (!lua_isnil(L, 2))
        read_argument(L, c, 2);
    if (fri_ctask_call(&task, n->function, c->argument, &c->result, &c->error)
        == FRUN_OK)
        return push_result(L, c);
    if (!c->error)
        fri_raise_memory(L);
    fri_error_push(L, c->error);
    call_end(c);
    return lua_error(L);
}

int fri_core_native(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    const char *name = luaL_checkstring(L, 1);
    struct fri_native *n = fri_native_find(fri_script_need(L, s), name);

    if (!n)
        return fri_misuse(L, "native: no function is registered as '%s'",
                          name);
    fri_handle_push(L, &n->handle);
    return 1;
}
