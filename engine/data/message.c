#include "data/message.h"

#include <string.h>

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

void fri_message_free(struct fri_message *message)
{
    if (!message || atomic_fetch_sub_explicit(&message->refs, 1,
                                              memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < message->handle_count; i++)
        fri_handle_unref(message->handles[i]);
    fri_free(message->memory, message);
}
