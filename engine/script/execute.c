/*
 * execute.c - os.execute without the C library's system.
 *
 * That one has the whole process ignore SIGINT and SIGQUIT while a command
 * runs: where threads run commands all the time, Ctrl-C would reach the
 * commands of the moment, and the run would go on with the next ones.  Here
 * whoever runs the script hears of it as well.
 */
#define _GNU_SOURCE
#include "script/script.h"

#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

/* As the shell is given it: whatever this thread blocks, a command does
 * not.  0 or an errno. */
static int start(const char *command, pid_t *pid)
{
    char *const argv[] = { (char *)(uintptr_t)"sh", (char *)(uintptr_t)"-c",
                           (char *)(uintptr_t)command, NULL };
    posix_spawnattr_t attributes;
    sigset_t none;
    int error = posix_spawnattr_init(&attributes);

    if (error)
        return error;
    sigemptyset(&none);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    error = posix_spawn(pid, "/bin/sh", NULL, &attributes, argv, environ);
    posix_spawnattr_destroy(&attributes);
    return error;
}

/* As system does; -1 and errno. */
static int run(const char *command)
{
    int status = -1, error;
    pid_t pid, ended;

    error = start(command, &pid);
    if (error) {
        errno = error;
        return -1;
    }
    do
        ended = waitpid(pid, &status, 0);
    while (ended < 0 && errno == EINTR);
    return ended < 0 ? -1 : status;
}

/* Upvalue 1: the library's, which knows whether there is a shell. */
static int os_execute(lua_State *L)
{
    const char *command = luaL_optstring(L, 1, NULL);
    int status;

    if (!command) {
        lua_pushvalue(L, lua_upvalueindex(1));
        lua_call(L, 0, 1);
        return 1;
    }
    errno = 0;
    status = run(command);
#ifdef FRI_LUA54
    if (status != -1)
        errno = 0;
    return luaL_execresult(L, status);
#else
    lua_pushinteger(L, status);
    return 1;
#endif
}

void fri_execute_open(lua_State *L)
{
    lua_getglobal(L, "os");
    lua_getfield(L, -1, "execute");
    lua_pushcclosure(L, os_execute, 1);
    lua_setfield(L, -2, "execute");
    lua_pop(L, 1);
}
