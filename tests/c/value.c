/* value.c - values through flowrun.h; what is shared comes from sequences. */
#define UNIT_MALLOC
#include "data/codec.h"
#include "data/value.h"
#include "unit.h"

#include <math.h>
#include <time.h>

#define BIG INT64_C(9007199254740992) /* 2^53 */

static double seconds(void)
{
    return (double)clock() / CLOCKS_PER_SEC;
}

static frun_value *unpacked(const char *bytes, size_t length)
{
    frun_value *v;

    ck_assert_int_eq(fri_value_unpack(NULL, bytes, length, &v), FRUN_OK);
    ck_assert_ptr_nonnull(v);
    return v;
}

#define UNPACKED(text) unpacked(text, sizeof(text) - 1)

static void must(frun_status status)
{
    ck_assert_int_eq(status, FRUN_OK);
}

START_TEST(scalars_read_back)
{
    frun_value *i = frun_value_int(INT64_MIN), *n = frun_value_num(-0.0);
    frun_value *s = frun_value_str("a\0b", 3), *b = frun_value_bool(true);
    frun_value *none = frun_value_str(NULL, 0);

    ck_assert_int_eq(frun_value_kind(i), FRUN_INT);
    ck_assert(frun_value_as_int(i) == INT64_MIN);
    ck_assert_int_eq(frun_value_kind(n), FRUN_NUM);
    ck_assert(signbit(frun_value_as_num(n)));
    ck_assert_int_eq(frun_value_kind(b), FRUN_BOOL);
    ck_assert(frun_value_as_bool(b));
    ck_assert(!frun_value_as_bool(frun_value_bool(false)));
    ck_assert_int_eq(frun_value_kind(frun_value_null()), FRUN_NULL);
    ck_assert_int_eq(frun_value_kind(s), FRUN_STR);
    ck_assert_uint_eq(frun_value_length(s), 3);
    ck_assert_int_eq(memcmp(frun_value_as_str(s), "a\0b", 4), 0);
    ck_assert_str_eq(frun_value_as_str(none), "");
    frun_value_free(i);
    frun_value_free(n);
    frun_value_free(s);
    frun_value_free(b);
    frun_value_free(none);
    frun_value_free(frun_value_null());
}
END_TEST

static int64_t int_of(double n)
{
    frun_value *v = frun_value_num(n);
    int64_t i = frun_value_as_int(v);

    frun_value_free(v);
    return i;
}

static double num_of(int64_t i)
{
    frun_value *v = frun_value_int(i);
    double n = frun_value_as_num(v);

    frun_value_free(v);
    return n;
}

START_TEST(numbers_convert_only_where_they_stay_the_same)
{
    frun_value *s = frun_value_str("5", 1);

    ck_assert(int_of(5.0) == 5 && int_of(-0.0) == 0);
    ck_assert(int_of(-9223372036854775808.0) == INT64_MIN);
    ck_assert(int_of(9223372036854775808.0) == 0);
    ck_assert(int_of(1.5) == 0 && int_of(1e300) == 0);
    ck_assert(int_of((double)NAN) == 0 && int_of((double)-INFINITY) == 0);
    ck_assert(num_of(-7) == -7.0 && num_of(BIG) == (double)BIG);
    ck_assert(num_of(BIG + 1) == 0 && num_of(INT64_MAX) == 0);
    ck_assert(num_of(INT64_MIN) == -9223372036854775808.0);
    ck_assert(frun_value_as_int(s) == 0 && frun_value_as_num(s) == 0);
    ck_assert(frun_value_as_int(frun_value_bool(true)) == 0);
    ck_assert(!frun_value_as_bool(s));
    frun_value_free(s);
}
END_TEST

START_TEST(null_reads_as_nothing)
{
    ck_assert_int_eq(frun_value_kind(NULL), FRUN_NULL);
    ck_assert_uint_eq(frun_value_length(NULL), 0);
    ck_assert_ptr_null(frun_value_at(NULL, 0));
    ck_assert_ptr_null(frun_value_key_at(NULL, 0));
    ck_assert_ptr_null(frun_value_get(NULL, "a"));
    ck_assert(!frun_value_as_bool(NULL) && frun_value_as_int(NULL) == 0);
    ck_assert(frun_value_as_num(NULL) == 0);
    ck_assert_str_eq(frun_value_as_str(NULL), "");
    ck_assert_ptr_null(frun_value_copy(NULL));
    frun_value_free(NULL);
}
END_TEST

START_TEST(lists_grow)
{
    frun_value *list = frun_value_list();

    for (int i = 0; i < 1000; i++)
        must(frun_value_push(list, frun_value_int(i)));
    ck_assert_uint_eq(frun_value_length(list), 1000);
    for (size_t i = 0; i < 1000; i++)
        ck_assert(frun_value_as_int(frun_value_at(list, i)) == (int64_t)i);
    ck_assert_ptr_null(frun_value_at(list, 1000));
    ck_assert_ptr_null(frun_value_key_at(list, 0));
    ck_assert_ptr_null(frun_value_get(list, "0"));
    frun_value_free(list);
}
END_TEST

START_TEST(maps_keep_their_order)
{
    static const char *const keys[] = { "z", "", "a", "long key" };
    frun_value *map = frun_value_map();

    for (size_t i = 0; i < COUNT(keys); i++)
        must(frun_value_put(map, keys[i], frun_value_int((int64_t)i)));
    must(frun_value_put(map, "", frun_value_str("new", 3)));
    ck_assert_uint_eq(frun_value_length(map), COUNT(keys));
    for (size_t i = 0; i < COUNT(keys); i++) {
        ck_assert_str_eq(frun_value_as_str(frun_value_key_at(map, i)),
                         keys[i]);
        ck_assert_ptr_eq(frun_value_get(map, keys[i]), frun_value_at(map, i));
    }
    ck_assert_str_eq(frun_value_as_str(frun_value_get(map, "")), "new");
    ck_assert_ptr_null(frun_value_get(map, "no"));
    ck_assert_ptr_null(frun_value_get(map, NULL));
    ck_assert_ptr_null(frun_value_at(map, COUNT(keys)));
    frun_value_free(map);
}
END_TEST

START_TEST(large_maps_are_searched_at_once)
{
    enum { N = 50000 };
    frun_value *map = frun_value_map(), *copy;
    double start = seconds();
    char key[32];

    for (int round = 0; round < 2; round++)
        for (int i = 0; i < N; i++) {
            snprintf(key, sizeof(key), "key %d", i);
            must(frun_value_put(map, key, frun_value_int(i + round)));
        }
    copy = frun_value_copy(map);
    frun_value_free(map);
    ck_assert_uint_eq(frun_value_length(copy), N);
    for (int i = 0; i < N; i++) {
        snprintf(key, sizeof(key), "key %d", i);
        ck_assert(frun_value_as_int(frun_value_get(copy, key)) == i + 1);
    }
    ck_assert_ptr_null(frun_value_get(copy, "key -1"));
    frun_value_free(copy);
    ck_assert(seconds() - start < 10);
}
END_TEST

START_TEST(what_cannot_be_put_is_freed)
{
    frun_value *list = frun_value_list(), *map = frun_value_map();
    frun_value *i = frun_value_int(1);

    ck_assert_int_eq(frun_value_push(i, frun_value_int(2)), FRUN_EINVAL);
    ck_assert_int_eq(frun_value_push(map, frun_value_list()), FRUN_EINVAL);
    ck_assert_int_eq(frun_value_put(list, "k", frun_value_map()),
                     FRUN_EINVAL);
    ck_assert_int_eq(frun_value_put(map, NULL, frun_value_int(2)),
                     FRUN_EINVAL);
    ck_assert_int_eq(frun_value_push(list, NULL), FRUN_ENOMEM);
    ck_assert_int_eq(frun_value_put(map, "k", NULL), FRUN_ENOMEM);
    ck_assert_int_eq(frun_value_push(NULL, frun_value_int(2)), FRUN_ENOMEM);
    ck_assert_int_eq(frun_value_put(NULL, "k", frun_value_int(2)),
                     FRUN_ENOMEM);
    ck_assert_uint_eq(frun_value_length(map) + frun_value_length(list), 0);
    frun_value_free(i);
    frun_value_free(list);
    frun_value_free(map);
}
END_TEST

/* One of everything, several levels. */
static frun_value *sample(void)
{
    frun_value *map = frun_value_map(), *list = frun_value_list();
    frun_status status = FRUN_OK;
    char key[] = "k0";

    status |= frun_value_push(list, frun_value_null());
    status |= frun_value_push(list, frun_value_bool(true));
    status |= frun_value_push(list, frun_value_num(0.5));
    status |= frun_value_push(list, frun_value_list());
    for (char c = 'a'; c <= 'm'; c++) {
        key[1] = c;
        status |= frun_value_put(map, key, frun_value_str(key, 2));
    }
    status |= frun_value_put(map, "list", list);
    status |= frun_value_put(map, "ka", frun_value_int(-1));
    if (status == FRUN_OK)
        return map;
    frun_value_free(map);
    return NULL;
}

START_TEST(copies_are_equal_and_their_own)
{
    frun_value *v = sample(), *copy = frun_value_copy(v);
    const frun_value *list;

    frun_value_free(v);
    ck_assert_uint_eq(frun_value_length(copy), 14);
    ck_assert(frun_value_as_int(frun_value_get(copy, "ka")) == -1);
    ck_assert_str_eq(frun_value_as_str(frun_value_get(copy, "km")), "km");
    list = frun_value_get(copy, "list");
    ck_assert_uint_eq(frun_value_length(list), 4);
    ck_assert(frun_value_as_bool(frun_value_at(list, 1)));
    ck_assert(frun_value_as_num(frun_value_at(list, 2)) == 0.5);
    ck_assert_int_eq(frun_value_kind(frun_value_at(list, 3)), FRUN_LIST);
    must(frun_value_put(copy, "more", frun_value_null()));
    frun_value_free(copy);
}
END_TEST

START_TEST(depth_costs_no_stack)
{
    frun_value *v = frun_value_int(7), *copy;
    const frun_value *at;
    double start = seconds();

    for (int i = 0; i < 200000; i++) {
        frun_value *outer = i % 2 ? frun_value_list() : frun_value_map();

        must(i % 2 ? frun_value_push(outer, v)
                   : frun_value_put(outer, "in", v));
        v = outer;
    }
    copy = frun_value_copy(v);
    frun_value_free(v);
    for (at = copy; frun_value_kind(at) != FRUN_INT;)
        at = frun_value_at(at, 0);
    ck_assert(frun_value_as_int(at) == 7);
    frun_value_free(copy);
    ck_assert(seconds() - start < 10);
}
END_TEST

START_TEST(cycles_are_seen_through)
{
    /* { "a", itself, { the first } } */
    frun_value *v = UNPACKED("\1\1\xc7\3\0\x81"
                             "a\xcb\0\xc7\1\0\xcb\0");
    frun_value *copy = frun_value_copy(v), *inner;

    ck_assert_int_eq(frun_value_kind(frun_value_at(v, 1)), FRUN_LIST);
    ck_assert_ptr_eq(frun_value_at(v, 1), v);
    ck_assert_ptr_eq(frun_value_at(frun_value_at(v, 2), 0), v);
    ck_assert_uint_eq(frun_value_length(frun_value_at(v, 1)), 3);
    inner = frun_value_copy(frun_value_at(v, 2));
    frun_value_free(v);
    ck_assert_ptr_eq(frun_value_at(copy, 1), copy);
    ck_assert_ptr_eq(frun_value_at(frun_value_at(copy, 2), 0), copy);
    frun_value_free(copy);
    /* What was inside has now what was outside, and is met in it again. */
    ck_assert_uint_eq(frun_value_length(frun_value_at(inner, 0)), 3);
    ck_assert_ptr_eq(frun_value_at(frun_value_at(inner, 0), 2), inner);
    frun_value_free(inner);
}
END_TEST

START_TEST(shared_parts_are_not_multiplied)
{
    enum { LEVELS = 100 };
    char bytes[2 + 5 * LEVELS + 3] = "\1\1";
    size_t n = 2;
    frun_value *v, *copy;
    const frun_value *at;

    for (int i = 0; i < LEVELS; i++, n += 3)
        memcpy(bytes + n, "\xc7\2\0", 3);
    memcpy(bytes + n, "\xc7\0\0", 3);
    n += 3;
    for (int i = LEVELS; i > 0; i--) {
        bytes[n++] = (char)FRI_REF;
        bytes[n++] = (char)i;
    }
    v = unpacked(bytes, n);
    copy = frun_value_copy(v);
    frun_value_free(v);
    at = copy;
    for (size_t i = 0; i < LEVELS; i++) {
        ck_assert_ptr_eq(frun_value_at(at, 0), frun_value_at(at, 1));
        at = frun_value_at(at, i % 2);
    }
    ck_assert_uint_eq(frun_value_length(at), 0);
    frun_value_free(copy);
}
END_TEST

START_TEST(a_part_can_be_copied_alone)
{
    /* { { 1 }, { the first, the first } } */
    frun_value *v = UNPACKED("\1\1\xc7\2\0\xc7\1\0\1\xc7\2\0\xcb\1\xcb\1");
    frun_value *part = frun_value_copy(frun_value_at(v, 1));

    frun_value_free(v);
    ck_assert_ptr_eq(frun_value_at(part, 0), frun_value_at(part, 1));
    ck_assert(frun_value_as_int(frun_value_at(frun_value_at(part, 1), 0)) ==
              1);
    frun_value_free(part);
}
END_TEST

START_TEST(what_is_replaced_can_still_be_seen)
{
    /* { a = { 1 }, b = the same } */
    frun_value *v = UNPACKED("\1\1\xc7\0\2\x81"
                             "a\xc7\1\0\1\x81"
                             "b\xcb\1");
    frun_value *copy;

    must(frun_value_put(v, "a", frun_value_int(5)));
    must(frun_value_put(v, "a", frun_value_int(6)));
    copy = frun_value_copy(v);
    frun_value_free(v);
    ck_assert(frun_value_as_int(frun_value_get(copy, "a")) == 6);
    ck_assert(
        frun_value_as_int(frun_value_at(frun_value_get(copy, "b"), 0)) == 1);
    must(frun_value_put(copy, "b", frun_value_null()));
    frun_value_free(copy);
}
END_TEST

START_TEST(any_scalar_can_be_a_key)
{
    /* { 7, [1.5] = 1, [true] = 2, [{}] = 3, [-2] = 4, x = 5 } */
    frun_value *v = UNPACKED(
        "\0\1\xc7\1\5\7\xc4\0\0\0\0\0\0\xf8\x3f\1\xc2\2\xc7\0\0\3\xc3\3\4\x81"
        "x\5");
    static const frun_type kinds[] = { FRUN_INT,  FRUN_NUM, FRUN_BOOL,
                                       FRUN_LIST, FRUN_INT, FRUN_STR };

    ck_assert_int_eq(frun_value_kind(v), FRUN_MAP);
    ck_assert_uint_eq(frun_value_length(v), COUNT(kinds));
    for (size_t i = 0; i < COUNT(kinds); i++)
        ck_assert_int_eq(frun_value_kind(frun_value_key_at(v, i)), kinds[i]);
    ck_assert(frun_value_as_int(frun_value_key_at(v, 0)) == 1);
    ck_assert(frun_value_as_int(frun_value_at(v, 0)) == 7);
    ck_assert(frun_value_as_int(frun_value_get(v, "x")) == 5);
    frun_value_free(v);
}
END_TEST

static bool make_sample(void *user)
{
    frun_value *v = sample();

    (void)user;
    frun_value_free(v);
    return v;
}

static bool copy_of(void *user)
{
    frun_value *copy = frun_value_copy(user);

    frun_value_free(copy);
    return copy;
}

/* Puts into a map of 13 and replaces a part that may be a target. */
static bool put_in(void *user)
{
    frun_value *v = frun_value_copy(user);
    frun_status status =
        v ? frun_value_put(v, "list", frun_value_int(1)) : FRUN_ENOMEM;

    for (int i = 0; i < 9 && status == FRUN_OK; i++) {
        char key[] = { (char)('0' + i), '\0' };

        status = frun_value_put(v, key, frun_value_str("item", 4));
    }
    frun_value_free(v);
    return status == FRUN_OK;
}

START_TEST(memory_can_run_out_anywhere)
{
    frun_value *v = sample();
    /* { list = { 1 }, k = the same } */
    frun_value *shared = UNPACKED("\1\1\xc7\0\2\x84list\xc7\1\0\1\x81k\xcb\1");

    if (unit_starve(make_sample, NULL) >= 0) {
        ck_assert_int_gt(unit_starve(make_sample, NULL), 30);
        ck_assert_int_gt(unit_starve(copy_of, v), 30);
        ck_assert_int_gt(unit_starve(copy_of, shared), 5);
        ck_assert_int_gt(unit_starve(put_in, shared), 20);
    }
    frun_value_free(shared);
    frun_value_free(v);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        scalars_read_back,
        numbers_convert_only_where_they_stay_the_same,
        null_reads_as_nothing,
        lists_grow,
        maps_keep_their_order,
        large_maps_are_searched_at_once,
        what_cannot_be_put_is_freed,
        copies_are_equal_and_their_own,
        depth_costs_no_stack,
        cycles_are_seen_through,
        shared_parts_are_not_multiplied,
        a_part_can_be_copied_alone,
        what_is_replaced_can_still_be_seen,
        any_scalar_can_be_a_key,
        memory_can_run_out_anywhere,
    };

    return unit_run("value", tests, COUNT(tests));
}
