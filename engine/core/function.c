#include "core/function.h"

struct fri_function *fri_function_new(struct fri_message *message)
{
    struct fri_function *f = fri_alloc_zero(message->memory, sizeof *f);

    if (!f)
        return NULL;
    atomic_init(&f->refs, 1);
    atomic_init(&f->item_ns, 0);
    f->message = fri_message_ref(message);
    return f;
}

void fri_function_free(struct fri_function *f)
{
    const struct fri_memory *m;

    if (!f
        || atomic_fetch_sub_explicit(&f->refs, 1, memory_order_acq_rel) != 1)
        return;
    m = f->message->memory;
    fri_message_free(f->message);
    fri_free(m, f);
}

void fri_function_drop(void *function)
{
    fri_function_free(function);
}
