/* base.c - memory, buffers, clock, hashes. */
#include "base/buffer.h"
#include "base/clock.h"
#include "base/hash.h"
#include "unit.h"

#include <math.h>

static struct unit_heap heap = { 0, -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };

START_TEST(memory_goes_through_the_hooks)
{
    char *zeros = fri_alloc_zero(&memory, 100);
    char *text = fri_strdup(&memory, "text"), *part;

    part = fri_strndup(&memory, "a\0bc", 3);
    ck_assert_int_eq(heap.blocks, 3);
    for (int i = 0; i < 100; i++)
        ck_assert_int_eq(zeros[i], 0);
    ck_assert_str_eq(text, "text");
    ck_assert_mem_eq(part, "a\0b", 4);
    text = fri_realloc(&memory, text, 10000);
    ck_assert_str_eq(text, "text");
    fri_free(&memory, zeros);
    fri_free(&memory, text);
    fri_free(&memory, part);
    fri_free(&memory, NULL);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

START_TEST(no_hooks_is_malloc)
{
    void *p = fri_alloc(NULL, 0), *q = fri_alloc(NULL, 10);

    ck_assert_ptr_nonnull(p);
    ck_assert_ptr_nonnull(q);
    ck_assert_ptr_null(fri_strdup(NULL, NULL));
    ck_assert_ptr_null(fri_alloc(NULL, (size_t)PTRDIFF_MAX + 1));
    ck_assert_ptr_null(fri_alloc_zero(NULL, SIZE_MAX));
    fri_free(NULL, p);
    fri_free(NULL, q);
}
END_TEST

START_TEST(buffers_grow)
{
    struct fri_buffer b;

    fri_buffer_init(&b, &memory);
    for (int i = 0; i < 100000; i++)
        fri_buffer_byte(&b, (uint8_t)i);
    ck_assert(!b.failed);
    ck_assert_uint_eq(b.length, 100000);
    for (int i = 0; i < 100000; i++)
        ck_assert_uint_eq(b.data[i], (uint8_t)i);
    b.length = 0;
    fri_buffer_text(&b, "one ");
    fri_buffer_add(&b, NULL, 0);
    fri_buffer_printf(&b, "%d %s", 2, "three");
    ck_assert_uint_eq(b.length, 11);
    ck_assert_mem_eq(b.data, "one 2 three", 11);
    fri_buffer_free(&b);
    fri_buffer_free(&b);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

START_TEST(a_failed_buffer_stays_so)
{
    struct fri_buffer b;

    fri_buffer_init(&b, &memory);
    fri_buffer_text(&b, "kept");
    ck_assert(!fri_buffer_reserve(&b, SIZE_MAX));
    ck_assert(b.failed);
    fri_buffer_byte(&b, 'x');
    fri_buffer_printf(&b, "%d", 1);
    ck_assert_uint_eq(b.length, 4);
    ck_assert_mem_eq(b.data, "kept", 4);
    fri_buffer_free(&b);

    fri_buffer_init(&b, &memory);
    heap.allowed = 0;
    fri_buffer_text(&b, "lost");
    heap.allowed = -1;
    fri_buffer_text(&b, "lost");
    ck_assert(b.failed && b.length == 0);
    fri_buffer_free(&b);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

START_TEST(deadlines_are_never_in_the_past)
{
    fri_time now = fri_now();

    ck_assert(fri_now() >= now);
    ck_assert(fri_deadline(now, 0) == now);
    ck_assert(fri_deadline(now, 1.5) == now + 3 * FRI_SECOND / 2);
    ck_assert(fri_deadline(now, -1) == FRI_NEVER);
    ck_assert(fri_deadline(now, (double)NAN) == FRI_NEVER);
    ck_assert(fri_deadline(now, 1e300) == FRI_NEVER);
    ck_assert(fri_deadline(now, 8e9) > now);
    ck_assert(fri_seconds(FRI_SECOND / 4) == 0.25);
}
END_TEST

START_TEST(hashes_spread)
{
    enum { N = 1 << 16 };
    static uint16_t mixed[N], hashed[N];
    char text[16];

    for (uint64_t i = 0; i < N; i++) {
        int n = snprintf(text, sizeof(text), "key %d", (int)i);

        mixed[fri_mix(i) % N]++;
        hashed[fri_hash(text, (size_t)n, 0) % N]++;
    }
    for (size_t i = 0; i < N; i++) {
        ck_assert_uint_lt(mixed[i], 12);
        ck_assert_uint_lt(hashed[i], 12);
    }
    ck_assert(fri_hash("a", 1, 0) != fri_hash("a", 1, 1));
    ck_assert(fri_hash("a\0", 2, 0) != fri_hash("a", 1, 0));
    ck_assert(fri_hash("abcdefgh", 8, 0) != fri_hash("abcdefgi", 8, 0));
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        memory_goes_through_the_hooks, no_hooks_is_malloc,
        buffers_grow,                  a_failed_buffer_stays_so,
        deadlines_are_never_in_the_past, hashes_spread,
    };

    return unit_run("base", tests, COUNT(tests));
}
