#define _GNU_SOURCE
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { LARGE = 4 << 20 };

/* The first touch of 100 MB takes 80 ms in small pages. */
static void want_large_pages(void *p, size_t size)
{
    uintptr_t page = 2 << 20, from = ((uintptr_t)p + page - 1) & ~(page - 1);
    uintptr_t to = ((uintptr_t)p + size) & ~(page - 1);

    if (to > from)
        madvise((void *)from, to - from, MADV_HUGEPAGE);
}

void *fri_realloc(const struct fri_memory *m, void *old, size_t size)
{
    void *p;

    if (size > PTRDIFF_MAX)
        return NULL;
    if (size == 0)
        size = 1;
    if (m && m->allocate)
        return m->allocate(m->user, old, size);
    p = realloc(old, size);
    if (size >= LARGE && p)
        want_large_pages(p, size);
    return p;
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
