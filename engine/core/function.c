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

void fri_function_took(struct fri_function *f, uint64_t ns)
{
    uint64_t known = atomic_load_explicit(&f->item_ns, memory_order_relaxed);

    if (known > 0 && ns > known)
        ns = known + (ns - known) / 8 + 1;
    ns = ns < 1 ? 1 : ns > UINT32_MAX ? UINT32_MAX : ns;
    atomic_store_explicit(&f->item_ns, (uint32_t)ns, memory_order_relaxed);
}
