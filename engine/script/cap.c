/*
 * cap.c - the memory cap of a task: the state's allocator refuses to grow
 * beyond what was in use when the task began and so many bytes more.
 *
 * In 5.4 a refusal collects garbage first.  LuaJIT does not, so there the
 * state is collected when the task begins, and its collector is made to keep
 * close to what is in use while the task runs.
 */
#include "script/job.h"

#include <string.h>

enum { PAUSE = 105, STEP = 400 }; /* percent */

static void *capped(void *user, void *block, size_t old, size_t size)
{
    struct fri_cap *cap = user;
    int64_t more;
    void *new;

    if (!block)
        old = 0; /* 5.4 says there of what kind it will be */
    more = (int64_t)size - (int64_t)old;
    if (more > 0 && (uint64_t)(cap->used > 0 ? cap->used : 0)
                            + (uint64_t)more
                        > cap->limit) {
        cap->hit = true;
        return NULL;
    }
    new = cap->allocate(cap->user, block, old, size);
    if (new || size == 0)
        cap->used += more;
    return new;
}

static int collect(lua_State *L)
{
    lua_gc(L, LUA_GCCOLLECT, 0);
    return 0;
}

void fri_cap_begin(struct fri_job *job, uint64_t limit)
{
    lua_State *L = job->runtime->L;

    job->cap = (struct fri_cap){ .limit = limit };
    if (limit == 0)
        return;
    fri_protected(L, collect, NULL);
    lua_settop(L, 0);
}

void fri_cap_on(struct fri_job *job)
{
    struct fri_cap *cap = &job->cap;
    lua_State *L = job->runtime->L;

    if (cap->limit == 0)
        return;
    cap->allocate = lua_getallocf(L, &cap->user);
    lua_setallocf(L, capped, cap);
#ifdef FRI_LUAJIT
    cap->pause = lua_gc(L, LUA_GCSETPAUSE, PAUSE);
    cap->step = lua_gc(L, LUA_GCSETSTEPMUL, STEP);
#endif
}

void fri_cap_off(struct fri_job *job)
{
    struct fri_cap *cap = &job->cap;
    lua_State *L = job->runtime->L;

    if (cap->limit == 0)
        return;
    lua_setallocf(L, cap->allocate, cap->user);
#ifdef FRI_LUAJIT
    lua_gc(L, LUA_GCSETPAUSE, cap->pause);
    lua_gc(L, LUA_GCSETSTEPMUL, cap->step);
#endif
}

bool fri_cap_failed(struct fri_job *job, int status)
{
    lua_State *co = job->flow.co;
    const char *text;

    if (!job->cap.hit || status == LUA_OK || status == LUA_YIELD)
        return false;
    text = lua_type(co, -1) == LUA_TSTRING ? lua_tostring(co, -1) : NULL;
    return status == LUA_ERRMEM
           || (text && strstr(text, "not enough memory"));
}
