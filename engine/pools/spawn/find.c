/*
 * find.c - which program becomes the helper where the process cannot be copied.
 */
#define _GNU_SOURCE
#include "flowrun.h"
#include "pools/spawn/spawn.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* The directory of n bytes, then the two texts: is that a program? */
static bool is_program(char *path, size_t size, const char *dir, size_t n,
                       const char *place, const char *name)
{
    int length = snprintf(path, size, "%.*s%s/%s", (int)n, dir, place, name);
    struct stat st;

    return length > 0 && (size_t)length < size && stat(path, &st) == 0
           && S_ISREG(st.st_mode) && access(path, X_OK) == 0;
}

/* As seen from a module, in lib/lua/5.x or lib/ARCH/lua/5.x, or where it was
 * built. */
static const char *const from_module[] = {
    "/../../../bin", "/../../../../bin", "/../..", NULL,
};

/* As seen from a library, in lib or lib/ARCH, or where it was built; or from a
 * program that has it inside. */
static const char *const from_library[] = { "/../bin", "/../../bin", "", NULL };

static bool is_module_directory(const char *dir, size_t n)
{
    static const char name[] = "/lua/5.";
    size_t length = sizeof name; /* and a digit */

    return n >= length && memcmp(dir + n - length, name, length - 1) == 0;
}

static bool find_beside(char *path, size_t size, const char *name)
{
    Dl_info info;
    const char *const *place, *end;
    size_t n;

    if (!dladdr((void *)(uintptr_t)find_beside, &info) || !info.dli_fname
        || !(end = strrchr(info.dli_fname, '/')))
        return false;
    n = (size_t)(end - info.dli_fname);
    place = is_module_directory(info.dli_fname, n) ? from_module
                                                   : from_library;
    for (; *place; place++)
        if (is_program(path, size, info.dli_fname, n, *place, name))
            return true;
    return false;
}

static bool find_in_path(char *path, size_t size, const char *name)
{
    const char *dir = getenv("PATH");

    for (; dir && *dir; dir += strspn(dir, ":")) {
        size_t n = strcspn(dir, ":");

        if (*dir == '/' && is_program(path, size, dir, n, "", name))
            return true;
        dir += n;
    }
    return false;
}

const char *fri_spawn_find(char *path, size_t size)
{
    const char *name = fri_spawn_program ? fri_spawn_program : "flowrun";

    return find_beside(path, size, name) || find_in_path(path, size, name)
           ? path : NULL;
}

const char *fri_spawn_trouble(int error)
{
    switch (error) {
    case ENOTSUP:
        return "this process has threads, so a program must start them: "
               "install flowrun " FRUN_VERSION;
    case EPROTO:
        return "the flowrun that was found is of another version: install "
               "flowrun " FRUN_VERSION;
    default: return strerror(error);
    }
}
