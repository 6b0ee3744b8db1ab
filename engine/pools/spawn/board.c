/*
 * board.c - the process groups of commands, in memory that the host sees.
 */
#define _GNU_SOURCE
#include "pools/spawn/board.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/mman.h>
#include <unistd.h>

/* Commands that run at once.  Pages that nobody writes to cost nothing. */
enum { PLACES = 16384 };

struct fri_board {
    /* The helper's: where it looks for a place first.  Until it has been all
     * round there is nothing behind. */
    _Atomic uint64_t next;
    fri_note places[PLACES];
};

static struct fri_board *map(int fd)
{
    void *at = mmap(NULL, sizeof(struct fri_board), PROT_READ | PROT_WRITE,
                    MAP_SHARED, fd, 0);

    return at == MAP_FAILED ? NULL : at;
}

struct fri_board *fri_board_make(int *fd)
{
    struct fri_board *b = NULL;
    int error;

    *fd = memfd_create("flowrun", MFD_CLOEXEC);
    if (*fd >= 0 && ftruncate(*fd, sizeof *b) == 0)
        b = map(*fd);
    if (b || *fd < 0)
        return b;
    error = errno;
    close(*fd);
    *fd = -1;
    errno = error;
    return NULL;
}

struct fri_board *fri_board_join(int fd)
{
    return fd < 0 ? NULL : map(fd);
}

void fri_board_keep(struct fri_board *b)
{
    if (b)
        madvise(b, sizeof *b, MADV_DONTFORK);
}

fri_note *fri_board_place(struct fri_board *b)
{
    for (uint32_t i = 0; b && i < PLACES; i++) {
        fri_note *note = &b->places[atomic_fetch_add(&b->next, 1) % PLACES];

        if (atomic_load_explicit(note, memory_order_relaxed) == 0)
            return note;
    }
    return NULL;
}

void fri_board_kill(const struct fri_board *b)
{
    uint64_t used = b ? atomic_load(&b->next) : 0;

    for (uint32_t i = 0; i < PLACES && i < used; i++) {
        pid_t group = atomic_load(&b->places[i]);

        if (group > 1)
            kill(-group, SIGKILL);
    }
}

void fri_board_close(struct fri_board *b)
{
    if (b)
        munmap(b, sizeof *b);
}
