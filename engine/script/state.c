/*
 * state.c - a Lua state in the memory of its engine, which must outlive it.
 *
 * Where the host has given no allocator, LuaJIT keeps its own, which is faster
 * than any other; a state of 5.4 takes what is large in large pages.
 *
 * LuaJIT is at fault when memory runs out while it makes a state: it frees what
 * it has not made yet.  So there all of that stands in a block which is there
 * before, and goes with the state.
 *
 * What luaL_newstate does beyond it, for 5.4: warn() is off until "@on".
 */
#include "script/script.h"

#include <stdio.h>

static void *allocate(void *user, void *block, size_t old, size_t size)
{
    const struct fri_memory *m = user;

    (void)old;
    if (size > 0)
        return fri_realloc(m, block, size);
    fri_free(m, block);
    return NULL;
}

#ifdef FRI_LUAJIT

enum { ROOM = 64 << 10 }; /* three times what a state begins with */

struct room {
    const struct fri_memory *memory;
    bool opening;
    size_t used;
    _Alignas(max_align_t) char bytes[ROOM];
};

static bool stands_in(const struct room *room, const void *block)
{
    uintptr_t at = (uintptr_t)block, first = (uintptr_t)room->bytes;

    return at >= first && at < first + ROOM;
}

static void *room_take(struct room *room, size_t size)
{
    size_t whole = (size + _Alignof(max_align_t) - 1)
                   & ~(_Alignof(max_align_t) - 1);

    if (!room->opening || whole > ROOM - room->used)
        return fri_alloc(room->memory, size);
    room->used += whole;
    return room->bytes + room->used - whole;
}

static void *allocate_first(void *user, void *block, size_t old, size_t size)
{
    struct room *room = user;
    void *new;

    if (block && !stands_in(room, block))
        return allocate((void *)(uintptr_t)room->memory, block, old, size);
    if (size <= old)
        return size > 0 ? block : NULL;
    new = room_take(room, size);
    if (new && old > 0)
        memcpy(new, block, old);
    return new;
}

static lua_State *open_state(const struct fri_memory *m)
{
    struct room *room = fri_alloc(m, sizeof *room);
    lua_State *L = NULL;

    if (room) {
        room->memory = m;
        room->used = 0;
        room->opening = true;
        L = lua_newstate(allocate_first, room);
        room->opening = false;
    }
    if (!L)
        fri_free(m, room);
    return L;
}

void fri_state_close(lua_State *L)
{
    struct room *room = NULL;
    void *user;

    if (lua_getallocf(L, &user) == allocate_first)
        room = user;
    lua_close(L);
    if (room)
        fri_free(room->memory, room);
}

#else

static lua_State *open_state(const struct fri_memory *m)
{
    return lua_newstate(allocate, (void *)(uintptr_t)m);
}

void fri_state_close(lua_State *L)
{
    lua_close(L);
}

#endif

#ifdef FRI_LUA54

static void warn_off(void *user, const char *message, int more);
static void warn_on(void *user, const char *message, int more);

/* "@on", "@off", and others, which are none for us. */
static bool control(lua_State *L, const char *message, int more)
{
    if (more || *message != '@')
        return false;
    if (strcmp(message, "@off") == 0)
        lua_setwarnf(L, warn_off, L);
    else if (strcmp(message, "@on") == 0)
        lua_setwarnf(L, warn_on, L);
    return true;
}

static void warn_on_more(void *user, const char *message, int more)
{
    fprintf(stderr, "%s%s", message, more ? "" : "\n");
    lua_setwarnf(user, more ? warn_on_more : warn_on, user);
}

static void warn_on(void *user, const char *message, int more)
{
    if (control(user, message, more))
        return;
    fprintf(stderr, "Lua warning: ");
    warn_on_more(user, message, more);
}

static void warn_off(void *user, const char *message, int more)
{
    control(user, message, more);
}

#endif

lua_State *fri_state_new(const struct fri_memory *m)
{
    bool own = m && m->allocate;
    lua_State *L = own ? open_state(m) : luaL_newstate();

#ifdef FRI_LUA54
    if (L && own)
        lua_setwarnf(L, warn_off, L);
    else if (L)
        lua_setallocf(L, allocate, NULL);
#endif
    return L;
}

bool fri_protected(lua_State *L, lua_CFunction function, void *user)
{
#ifdef FRI_LUA54
    lua_pushcfunction(L, function);
    lua_pushlightuserdata(L, user);
    return lua_pcall(L, 1, 0, 0) == LUA_OK;
#else
    return lua_cpcall(L, function, user) == LUA_OK;
#endif
}
