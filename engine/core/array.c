/*
 * array.c - numbers in memory that threads and processes share.
 *
 * The memory is a sealed memfd: it cannot shrink, so who has mapped it cannot
 * be hit by SIGBUS through another's fault, and its descriptor can be sent.
 */
#define _GNU_SOURCE
#include "core/shared.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SEALS = F_SEAL_SHRINK | F_SEAL_GROW };

const char *const fri_number_names[]
    = { "f64", "f32", "i64", "i32", "u8", NULL };
const uint8_t fri_number_sizes[] = { 8, 4, 8, 4, 1 };

static void array_free(struct fri_handle *handle)
{
    struct fri_array *a = (struct fri_array *)(void *)handle;
    struct fri_memory m = a->memory; /* its engine may be gone */

    munmap(a->data, a->length * fri_number_sizes[a->type] + 1);
    close(a->fd);
    fri_free(&m, a);
}

/* One byte more than its numbers take: an empty one can be mapped, too.  0:
 * more than there is. */
static size_t bytes_of(enum fri_number_type type, size_t length)
{
    uint64_t most = (uint64_t)sysconf(_SC_PHYS_PAGES)
                    * (uint64_t)sysconf(_SC_PAGESIZE);

    if (length > most / fri_number_sizes[type])
        return 0;
    return length * fri_number_sizes[type] + 1;
}

static struct fri_array *array_of(const struct fri_memory *m, int fd,
                                  enum fri_number_type type, size_t length)
{
    struct fri_array *a = fri_alloc_zero(m, sizeof *a);

    if (!a) {
        errno = ENOMEM;
        return NULL;
    }
    a->data = mmap(NULL, bytes_of(type, length), PROT_READ | PROT_WRITE,
                   MAP_SHARED, fd, 0);
    if (a->data == MAP_FAILED) {
        fri_free(m, a);
        return NULL;
    }
    atomic_init(&a->handle.refs, 1);
    a->handle.kind = FRI_HANDLE_ARRAY;
    a->handle.free = array_free;
    if (m)
        a->memory = *m;
    a->fd = fd;
    a->type = type;
    a->length = length;
    return a;
}

/* Takes the descriptor; errno stays what it was at the failure. */
static struct fri_array *array_or_close(const struct fri_memory *m, int fd,
                                        enum fri_number_type type,
                                        size_t length, bool usable)
{
    struct fri_array *a = usable ? array_of(m, fd, type, length) : NULL;
    int why = errno;

    if (!a)
        close(fd);
    errno = why;
    return a;
}

struct fri_array *fri_array_new(const struct fri_memory *m,
                                enum fri_number_type type, size_t length)
{
    size_t bytes = bytes_of(type, length);
    bool usable;
    int fd;

    if (bytes == 0) {
        errno = ENOMEM;
        return NULL;
    }
    fd = memfd_create("flowrun", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return NULL;
    usable = ftruncate(fd, (off_t)bytes) == 0
             && fcntl(fd, F_ADD_SEALS, SEALS) == 0;
    return array_or_close(m, fd, type, length, usable);
}

struct fri_array *fri_array_adopt(const struct fri_memory *m, int fd,
                                  enum fri_number_type type, size_t length)
{
    size_t bytes = type <= FRI_U8 ? bytes_of(type, length) : 0;
    int seals = fcntl(fd, F_GET_SEALS);
    struct stat st;
    bool usable = bytes > 0 && seals >= 0 && (seals & F_SEAL_SHRINK)
                  && fstat(fd, &st) == 0 && (uint64_t)st.st_size >= bytes;

    if (!usable)
        errno = EINVAL;
    return array_or_close(m, fd, type, length, usable);
}
