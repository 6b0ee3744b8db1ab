/*
 * canonpairs.c - the pairs of a table in an order that is the same everywhere.
 *
 * Keys that have no order of their own, tables say, are sorted by digests of
 * what they are; where these are equal, of what is under them.  In such a
 * digest other keys of that sort only count, or else nodes of a graph that
 * have each other as keys would be walked through on all ways there are.
 */

#define _GNU_SOURCE
#include "data/canon_private.h"

#include <stdlib.h>

bool fri_canon_pair(struct fri_canon *c, uint32_t key, uint32_t value)
{
    struct fri_pair *p;

    if (c->pair_count == c->pair_capacity) {
        size_t want = c->pair_capacity ? 2 * c->pair_capacity : 64;

        p = fri_realloc(c->memory, c->pairs, want * sizeof *p);
        if (!p)
            return fri_canon_fail(c, "out of memory");
        c->pairs = p;
        c->pair_capacity = want;
    }
    p = &c->pairs[c->pair_count++];
    *p = (struct fri_pair){ .key = key, .value = value };
    return true;
}

/* Integers, doubles, strings, booleans, all else. */
static int rank(uint8_t tag)
{
    switch (tag) {
    case FRI_INT: return 0;
    case FRI_NUM: return 1;
    case FRI_STR: return 2;
    case FRI_FALSE:
    case FRI_TRUE: return 3;
    default: return 4;
    }
}

static int compare_texts(const struct fri_node *a, const struct fri_node *b)
{
    size_t x = a->u.length, y = b->u.length;
    int order = memcmp(a->at, b->at, x < y ? x : y);

    return order ? order : x < y ? -1 : x > y;
}

static int compare_numbers(const struct fri_node *a, const struct fri_node *b)
{
    int64_t x = (int64_t)a->u.bits, y = (int64_t)b->u.bits;

    return x < y ? -1 : x > y;
}

static int compare(const void *first, const void *second, void *nodes)
{
    const struct fri_pair *p = first, *q = second;
    const struct fri_node *a = (struct fri_node *)nodes + p->key;
    const struct fri_node *b = (struct fri_node *)nodes + q->key;

    if (rank(a->tag) != rank(b->tag))
        return rank(a->tag) - rank(b->tag);
    switch (rank(a->tag)) {
    case 0:
    case 1: return compare_numbers(a, b);
    case 2: return compare_texts(a, b);
    case 3: return a->tag - b->tag;
    default: return memcmp(p->digest.bytes, q->digest.bytes, FRI_DIGEST);
    }
}

bool fri_canon_ordered(const struct fri_canon *c, const struct fri_pair *p)
{
    return rank(c->nodes[p->key].tag) < 4;
}

/* As if it were met alone, and not at all. */
static struct fri_digest digest_aside(struct fri_canon *c, uint32_t node)
{
    uint32_t walked = c->walked;
    void (*part)(void *, const struct fri_canon_part *) = c->part;
    struct fri_digest digest;

    c->aside = true;
    c->part = NULL;
    digest = fri_canon_digest(c, node);
    c->part = part;
    c->aside = false;
    while (c->touched.count > 0)
        c->nodes[c->touched.items[--c->touched.count]].number = 0;
    c->walked = walked;
    return digest;
}

static void sort(struct fri_canon *c, size_t from, size_t end)
{
    if (end - from > 1)
        qsort_r(c->pairs + from, end - from, sizeof *c->pairs, compare,
                c->nodes);
}

static bool equal(const struct fri_pair *p, const struct fri_pair *q)
{
    return memcmp(p->digest.bytes, q->digest.bytes, FRI_DIGEST) == 0;
}

/* Those from `from` on have keys without order, and are sorted by them. */
static void sort_equals(struct fri_canon *c, size_t from)
{
    size_t next;

    for (; from < c->pair_count; from = next) {
        for (next = from + 1; next < c->pair_count
                              && equal(&c->pairs[from], &c->pairs[next]);
             next++)
            continue;
        for (size_t i = from; next - from > 1 && i < next; i++) {
            struct fri_digest digest = digest_aside(c, c->pairs[i].value);

            c->pairs[i].digest = digest;
        }
        sort(c, from, next);
    }
}

void fri_canon_sort(struct fri_canon *c, size_t from)
{
    size_t ordered = from;

    for (size_t i = from; i < c->pair_count; i++) {
        if (fri_canon_ordered(c, &c->pairs[i])) {
            ordered++;
        } else if (!c->aside) {
            struct fri_digest digest = digest_aside(c, c->pairs[i].key);

            c->pairs[i].digest = digest;
        }
    }
    sort(c, from, c->pair_count);
    if (!c->aside)
        sort_equals(c, ordered);
}
