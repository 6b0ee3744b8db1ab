/*
 * journal_recipe.c - what tasks of one function have in common, by parts.
 *
 * In a row a code is a line for each part: 16 hexadecimal digits, a blank, the
 * name, in which control characters are escaped.
 */
#ifndef FRUN_NO_JOURNAL
#include "core/journal_private.h"

#include "base/hash.h"

#include <stdlib.h>

void fri_recipe_free(const struct fri_memory *m, struct fri_recipe *code)
{
    if (!code)
        return;
    for (size_t i = 0; i < code->count; i++)
        fri_free(m, code->parts[i].name);
    fri_free(m, code);
}

static uint64_t digest_part(uint64_t before, const char *name,
                            uint64_t digest)
{
    return fri_mix(fri_hash(name, strlen(name), before) ^ digest);
}

static uint64_t digest_of(const struct fri_part *parts, size_t n)
{
    uint64_t digest = n;

    for (size_t i = 0; i < n; i++)
        digest = digest_part(digest, parts[i].name, parts[i].digest);
    return digest;
}

static struct fri_recipe *code_new(const struct fri_memory *m,
                                 const struct fri_part *parts, size_t n)
{
    struct fri_recipe *code
        = fri_alloc_zero(m, sizeof *code + n * sizeof *code->parts);

    if (!code)
        return NULL;
    code->digest = digest_of(parts, n);
    for (; code->count < n; code->count++) {
        struct fri_recipe_part *part = &code->parts[code->count];

        part->digest = parts[code->count].digest;
        part->name = fri_strdup(m, parts[code->count].name);
        if (part->name)
            continue;
        fri_recipe_free(m, code);
        return NULL;
    }
    return code;
}

/* ---- all of them ------------------------------------------------------ */

static bool grow(const struct fri_memory *m, struct fri_recipes *codes)
{
    size_t size = codes->size ? 4 * codes->size : 64;
    struct fri_recipe **heads, *code;

    if (codes->count < codes->size)
        return true;
    heads = fri_alloc_zero(m, size * sizeof(void *));
    if (!heads)
        return false;
    for (size_t i = 0; i < codes->size; i++)
        while ((code = codes->heads[i]) != NULL) {
            codes->heads[i] = code->next;
            code->next = heads[code->digest & (size - 1)];
            heads[code->digest & (size - 1)] = code;
        }
    fri_free(m, codes->heads);
    codes->heads = heads;
    codes->size = size;
    return true;
}

/* Room has been made. */
static void add(struct fri_recipes *codes, struct fri_recipe *code)
{
    struct fri_recipe **head = &codes->heads[code->digest & (codes->size - 1)];

    code->next = *head;
    *head = code;
    codes->count++;
}

static struct fri_recipe *find(const struct fri_recipes *codes, uint64_t digest,
                             size_t n)
{
    struct fri_recipe *code
        = codes->size ? codes->heads[digest & (codes->size - 1)] : NULL;

    while (code && (code->digest != digest || code->count != n))
        code = code->next;
    return code;
}

struct fri_recipe *fri_journal_recipe(frun_journal *j,
                                  const struct fri_part *parts, size_t n)
{
    struct fri_recipe *code;

    pthread_mutex_lock(&j->lock);
    code = find(&j->codes, digest_of(parts, n), n);
    if (!code && grow(j->memory, &j->codes)) {
        code = code_new(j->memory, parts, n);
        if (code)
            add(&j->codes, code);
    }
    pthread_mutex_unlock(&j->lock);
    return code;
}

bool fri_recipes_load(const struct fri_memory *m, struct fri_recipes *codes,
                    struct fri_recipe *code)
{
    size_t n = codes->old_count;
    struct fri_recipe **old;

    if (!code)
        return false;
    if ((n & (n + 1)) == 0) { /* room for 1, 3, 7, ... */
        old = fri_realloc(m, codes->old, (2 * n + 1) * sizeof(void *));
        if (old)
            codes->old = old;
        n = old ? n : SIZE_MAX;
    }
    if (n == SIZE_MAX || !grow(m, codes)) {
        fri_recipe_free(m, code);
        return false;
    }
    codes->old[codes->old_count++] = code;
    add(codes, code);
    return true;
}

const struct fri_recipe *fri_recipes_old(const struct fri_recipes *codes,
                                         int64_t id)
{
    size_t first = 0, end = codes->old_count;

    while (first < end) {
        size_t middle = first + (end - first) / 2;

        if (codes->old[middle]->id == id)
            return codes->old[middle];
        if (codes->old[middle]->id < id)
            first = middle + 1;
        else
            end = middle;
    }
    return NULL;
}

void fri_recipes_free(const struct fri_memory *m, struct fri_recipes *codes)
{
    struct fri_recipe *code;

    for (size_t i = 0; i < codes->size; i++)
        while ((code = codes->heads[i]) != NULL) {
            codes->heads[i] = code->next;
            fri_recipe_free(m, code);
        }
    fri_free(m, codes->heads);
    fri_free(m, codes->old);
}

/* ---- as text ---------------------------------------------------------- */

void fri_recipe_write(const struct fri_recipe *code, struct fri_buffer *out)
{
    for (size_t i = 0; i < code->count; i++) {
        const char *name = code->parts[i].name;

        fri_buffer_printf(out, "%016llx ",
                          (unsigned long long)code->parts[i].digest);
        fri_escape(out, name, strlen(name), 1000, false);
        fri_buffer_byte(out, '\n');
    }
}

static size_t count_lines(const char *text, size_t length)
{
    size_t n = 0;

    for (size_t i = 0; i < length; i++)
        n += text[i] == '\n';
    return n;
}

static bool read_part(const struct fri_memory *m, const char *line,
                      size_t size, struct fri_recipe_part *part)
{
    enum { NAME = 17 }; /* where it begins */

    if (size < NAME)
        return false;
    part->digest = strtoull(line, NULL, 16);
    part->name = fri_strndup(m, line + NAME, size - NAME);
    return part->name != NULL;
}

static void set_digest(struct fri_recipe *code)
{
    uint64_t digest = code->count;

    for (size_t i = 0; i < code->count; i++)
        digest = digest_part(digest, code->parts[i].name,
                             code->parts[i].digest);
    code->digest = digest;
}

/* The row's checksum was right: each line is as it was written. */
struct fri_recipe *fri_recipe_read(const struct fri_memory *m, int64_t id,
                               const char *text, size_t length)
{
    size_t n = count_lines(text, length);
    struct fri_recipe *code
        = fri_alloc_zero(m, sizeof *code + n * sizeof *code->parts);
    const char *end = text + length, *line;

    for (; code && code->count < n; code->count++, text = line + 1) {
        line = memchr(text, '\n', (size_t)(end - text));
        if (read_part(m, text, (size_t)(line - text),
                      &code->parts[code->count]))
            continue;
        fri_recipe_free(m, code);
        return NULL;
    }
    if (code) {
        code->id = id;
        set_digest(code);
    }
    return code;
}

/* ---- differences ------------------------------------------------------ */

static const struct fri_recipe_part *find_part(const struct fri_recipe *code,
                                             const char *name)
{
    for (size_t i = 0; i < code->count; i++)
        if (strcmp(code->parts[i].name, name) == 0)
            return &code->parts[i];
    return NULL;
}

/* The first part of a that b has not, or has otherwise. */
static const char *missing_in(const struct fri_recipe *a,
                              const struct fri_recipe *b)
{
    for (size_t i = 0; i < a->count; i++) {
        const struct fri_recipe_part *part = find_part(b, a->parts[i].name);

        if (!part || part->digest != a->parts[i].digest)
            return a->parts[i].name;
    }
    return NULL;
}

const char *fri_recipe_changed(const struct fri_recipe *a,
                             const struct fri_recipe *b)
{
    const char *name = missing_in(a, b);

    return name ? name : missing_in(b, a);
}

#endif
