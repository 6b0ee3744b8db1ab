/*
 * memory.h - where the engine's bytes come from.
 *
 * Every allocation of an engine goes through its fri_memory; a NULL
 * fri_memory is malloc.  Sizes are bounded by PTRDIFF_MAX, so that sums of
 * two sizes never wrap.
 */
#ifndef FRI_MEMORY_H
#define FRI_MEMORY_H

#include <stddef.h>
#include <stdint.h>

struct fri_memory {
    void *(*allocate)(void *user, void *old, size_t size);
    void (*free)(void *user, void *block);
    void *user;
};

/* All three give NULL when memory ran out; the old block is then untouched. */
void *fri_alloc(const struct fri_memory *m, size_t size);
void *fri_alloc_zero(const struct fri_memory *m, size_t size);
void *fri_realloc(const struct fri_memory *m, void *old, size_t size);
void fri_free(const struct fri_memory *m, void *block);

char *fri_strdup(const struct fri_memory *m, const char *text);
char *fri_strndup(const struct fri_memory *m, const char *s, size_t n);

#endif
