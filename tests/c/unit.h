/*
 * unit.h - what the libcheck programs share.
 *
 * A program that defines UNIT_MALLOC is linked with
 * -Wl,--wrap=malloc,--wrap=calloc,--wrap=realloc and can let the n-th
 * allocation from now on, and all behind it, fail.
 */
#ifndef UNIT_H
#define UNIT_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* Each test between set_up and tear_down, if there are any. */
static inline int unit_run_in(const char *name, const TTest *const *tests,
                              size_t n, SFun set_up, SFun tear_down)
{
    Suite *suite = suite_create(name);
    TCase *tcase = tcase_create(name);
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tcase);
    tcase_add_checked_fixture(tcase, set_up, tear_down);
    for (size_t i = 0; i < n; i++)
        tcase_add_test(tcase, tests[i]);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed > 0;
}

static inline int unit_run(const char *name, const TTest *const *tests,
                           size_t n)
{
    return unit_run_in(name, tests, n, NULL, NULL);
}

/* A fri_memory that counts: user is a struct unit_heap. */
struct unit_heap {
    long blocks;  /* not freed yet */
    long allowed; /* allocations that succeed; < 0: all */
};

static inline void *unit_allocate(void *user, void *old, size_t size)
{
    struct unit_heap *heap = user;
    void *block;

    if (heap->allowed == 0)
        return NULL;
    heap->allowed -= heap->allowed > 0;
    block = realloc(old, size);
    heap->blocks += block && !old;
    return block;
}

static inline void unit_free(void *user, void *block)
{
    struct unit_heap *heap = user;

    heap->blocks -= block != NULL;
    free(block);
}

#ifdef UNIT_MALLOC

static long unit_allowed = -1; /* allocations that succeed; < 0: all */

static inline bool unit_allow(void)
{
    if (unit_allowed > 0)
        unit_allowed--;
    return unit_allowed != 0;
}

void *__real_malloc(size_t size) __attribute__((weak));
void *__real_calloc(size_t n, size_t size) __attribute__((weak));
void *__real_realloc(void *old, size_t size) __attribute__((weak));
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *old, size_t size);

void *__wrap_malloc(size_t size)
{
    return unit_allow() ? __real_malloc(size) : NULL;
}

void *__wrap_calloc(size_t n, size_t size)
{
    return unit_allow() ? __real_calloc(n, size) : NULL;
}

void *__wrap_realloc(void *old, size_t size)
{
    return unit_allow() ? __real_realloc(old, size) : NULL;
}

/* Runs `try` with 0, 1, 2, ... allocations allowed until it succeeds; the
 * number of its failures, or -1 when the program was not linked so. */
static inline long unit_starve(bool (*try)(void *), void *user)
{
    long failures = 0;
    bool done = false;

    if (!__real_malloc) {
        printf("not linked with --wrap=malloc: nothing failed\n");
        return -1;
    }
    for (; !done; failures += !done) {
        unit_allowed = failures + 1;
        done = try(user);
        unit_allowed = -1;
    }
    return failures;
}

#endif
#endif
