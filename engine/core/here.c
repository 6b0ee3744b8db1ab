/*
 * here.c - a page that the kernel empties in the child of a fork, so that to
 * know a copy of the process costs one load: getpid would cost a system call
 * for each call of a host, and pthread_atfork lasts longer than an engine.
 */
#define _GNU_SOURCE
#include "core/here.h"

#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t page(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

/* A kernel before 4.14 cannot: there every process is taken for the first. */
const volatile char *fri_here_open(void)
{
    char *here = mmap(NULL, page(), PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (here == MAP_FAILED)
        return NULL;
    (void)madvise(here, page(), MADV_WIPEONFORK);
    *here = 1;
    return here;
}

void fri_here_close(const volatile char *here)
{
    if (here)
        munmap((void *)(uintptr_t)here, page());
}
