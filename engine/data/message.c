#define _GNU_SOURCE
#include "data/message.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

/* Where the handles stand in the block: after the bytes, aligned. */
static size_t handles_at(size_t length)
{
    size_t align = _Alignof(struct fri_handle *);
    size_t end = offsetof(struct fri_message, data) + length;

    return (end + align - 1) / align * align;
}

struct fri_message *fri_message_new(const struct fri_memory *m,
                                    const void *bytes, size_t length,
                                    struct fri_handle *const *handles,
                                    uint32_t handle_count)
{
    size_t room = handle_count * sizeof(*handles), at;
    struct fri_message *message;

    if (length > PTRDIFF_MAX / 2 || room > PTRDIFF_MAX / 4)
        return NULL;
    at = handles_at(length);
    message = fri_alloc(m, handle_count ? at + room
                                        : sizeof(*message) + length);
    if (!message)
        return NULL;
    *message = (struct fri_message){ .handle_count = handle_count,
                                     .length = length,
                                     .memory = m };
    atomic_init(&message->refs, 1);
    if (length > 0)
        memcpy(message->data, bytes, length);
    if (handle_count > 0)
        message->handles = (void *)((char *)message + at);
    for (uint32_t i = 0; i < handle_count; i++) {
        fri_handle_ref(handles[i]);
        message->handles[i] = handles[i];
    }
    return message;
}

/* Nobody can write there any more, or cut it. */
static bool is_sealed(int fd, size_t size)
{
    int wanted = F_SEAL_SHRINK | F_SEAL_WRITE;
    struct stat st;

    return fstat(fd, &st) == 0 && (uint64_t)st.st_size == size
           && (fcntl(fd, F_GET_SEALS) & wanted) == wanted;
}

struct fri_message *fri_message_map(const struct fri_memory *m, int fd,
                                    size_t length,
                                    struct fri_handle *const *handles,
                                    uint32_t handle_count)
{
    size_t size = FRI_MESSAGE_ROOM + length;
    struct fri_message *message;
    struct fri_handle **list = NULL;
    uint8_t *at;

    static_assert(offsetof(struct fri_message, data) <= FRI_MESSAGE_ROOM,
                  "the head has room before the bytes");
    errno = EINVAL;
    if (length > PTRDIFF_MAX / 2 || !is_sealed(fd, size))
        return NULL;
    errno = ENOMEM;
    if (handle_count > 0
        && !(list = fri_alloc(m, handle_count * sizeof *list)))
        return NULL;
    at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_POPULATE,
              fd, 0);
    if (at == MAP_FAILED) {
        fri_free(m, list);
        return NULL;
    }
    message = (void *)(at + FRI_MESSAGE_ROOM
                       - offsetof(struct fri_message, data));
    *message = (struct fri_message){ .handle_count = handle_count,
                                     .length = length, .mapped = size,
                                     .handles = list, .memory = m };
    atomic_init(&message->refs, 1);
    for (uint32_t i = 0; i < handle_count; i++) {
        fri_handle_ref(handles[i]);
        list[i] = handles[i];
    }
    return message;
}

static void release(struct fri_message *message)
{
    if (message->mapped == 0) {
        fri_free(message->memory, message);
        return;
    }
    fri_free(message->memory, message->handles);
    munmap(message->data - FRI_MESSAGE_ROOM, message->mapped);
}

void fri_message_free(struct fri_message *message)
{
    if (!message || atomic_fetch_sub_explicit(&message->refs, 1,
                                              memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < message->handle_count; i++)
        fri_handle_unref(message->handles[i]);
    release(message);
}
