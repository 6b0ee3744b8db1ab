#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void *fri_realloc(const struct fri_memory *m, void *old, size_t size)
{
    if (size > PTRDIFF_MAX)
        return NULL;
    if (size == 0)
        size = 1;
    if (m && m->allocate)
        return m->allocate(m->user, old, size);
    return realloc(old, size);
}

void *fri_alloc(const struct fri_memory *m, size_t size)
{
    return fri_realloc(m, NULL, size);
}

void *fri_alloc_zero(const struct fri_memory *m, size_t size)
{
    void *p = fri_alloc(m, size);

    if (p)
        memset(p, 0, size);
    return p;
}

void fri_free(const struct fri_memory *m, void *block)
{
    if (!block)
        return;
    if (m && m->free)
        m->free(m->user, block);
    else
        free(block);
}

char *fri_strndup(const struct fri_memory *m, const char *s, size_t n)
{
    char *copy = fri_alloc(m, n + 1);

    if (!copy)
        return NULL;
    memcpy(copy, s, n);
    copy[n] = '\0';
    return copy;
}

char *fri_strdup(const struct fri_memory *m, const char *text)
{
    return text ? fri_strndup(m, text, strlen(text)) : NULL;
}
