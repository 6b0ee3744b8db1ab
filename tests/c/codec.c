/*
 * codec.c - what is written is read back; what is not well formed is refused,
 * whatever it is.  FUZZ_SEED repeats a run of the random part.
 */
#define UNIT_MALLOC
#include "data/codec.h"
#include "base/clock.h"
#include "base/hash.h"
#include "data/value.h"
#include "unit.h"

#include <inttypes.h>
#include <math.h>
#include <sys/resource.h>

struct sequence {
    const char *bytes;
    size_t length;
    frun_status status; /* of reading it in C */
    bool good;          /* in form */
};

#define SEQ(text, status, good) { text, sizeof(text) - 1, status, good }

#define OK(text) SEQ(text, FRUN_OK, true)
#define LUA(text) SEQ(text, FRUN_EUNSENDABLE, true)
#define TWICE(text) SEQ(text, FRUN_EINVAL, true)
#define BAD(text) SEQ(text, FRUN_EINVAL, false)

#define NAN8 "\0\0\0\0\0\0\xf8\x7f"
#define ONE8 "\0\0\0\0\0\0\xf0\x3f"

/* c0 nil, c1 false, c2 true, c3 int, c4 num, c5 i64, c6 str, c7 table,
 * c8 object, c9 nums, ca ints, cb ref, cc func, cd name, ce env, cf handle,
 * d0 future, d1 poison */
static const struct sequence sequences[] = {
    OK("\0\0"),
    OK("\1\1\0"),
    OK("\0\3\x7f\xc0\xc1"),
    OK("\0\1\x80"),
    OK("\0\1\x83"
       "a\0b"),
    OK("\0\1\xc3\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
    OK("\0\1\xc4" NAN8),
    OK("\0\1\xc5" NAN8),
    OK("\0\1\xc6\3abc"),
    OK("\0\1\xc7\0\0"),
    OK("\0\1\xc7\3\0\1\xc0\x81x"),
    OK("\0\1\xc7\2\1\xc0\5\x81x\xc4" ONE8),
    OK("\0\1\xc7\0\3\x81z\1\xc4" ONE8 "\2\xc2\xc7\1\0\3"),
    OK("\0\1\xc9\2" NAN8 ONE8),
    OK("\0\1\xca\1" ONE8),
    OK("\1\1\xc7\2\0\xc9\0\xcb\1"),
    OK("\1\1\xc7\2\1\xcb\0\xcb\0\xcb\0\xcb\0"),
    OK("\1\2\xc7\1\0\1\xcb\0"),
    LUA("\0\1\xc8\0\0\xc7\0\0"),
    LUA("\1\1\xc8\1\1\1\x81y\2\xcb\0"),
    LUA("\0\1\xc8\0\0\xcd\3m.C"),
    LUA("\0\1\xcc\2\xff\xff"),
    LUA("\1\2\xcc\0\xcb\x05"),
    LUA("\0\1\xcd\6string"),
    LUA("\0\1\xce"),
    LUA("\0\1\xcf\0"),
    LUA("\0\1\xd0\x80\1"),
    LUA("\0\1\xc7\0\1\x81g\xd1\2no"),
    TWICE("\0\1\xc7\0\2\x81k\1\x81k\2"),
    TWICE("\0\1\xc7\1\1\5\1\5"),
    TWICE("\1\1\xc7\0\2\xcb\0\1\xcb\0\2"),
    TWICE("\0\1\xc7\0\2\xc4\0\0\0\0\0\0\0\0\1\xc4\0\0\0\0\0\0\0\x80\2"),
    TWICE("\0\1\xc7\0\x0a\x81"
          "a\1\x81"
          "b\1\x81"
          "c\1\x81"
          "d\1\x81"
          "e\1\x81"
          "f\1\x81g\1\x81h\1\x81i\1\x81"
          "a\1"),
    BAD(""),
    BAD("\0"),
    BAD("\2\1\0"),
    BAD("\0\1"),
    BAD("\0\1\0\0"),
    BAD("\0\0\0"),
    BAD("\0\1\xd2"),
    BAD("\0\1\xff"),
    BAD("\0\1\xc3\xff\xff\xff\xff\xff\xff\xff\xff\xff\2"),
    BAD("\0\1\xc3\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
    BAD("\0\1\xc6\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
    BAD("\0\1\xc6\4abc"),
    BAD("\0\1\xc7\0\1\xc0\1"),
    BAD("\0\1\xc7\0\1\xc4" NAN8 "\1"),
    BAD("\0\1\xc7\0\1\1\xc0"),
    BAD("\0\1\xc7\2\0\1"),
    BAD("\0\1\xc7\x80\x80\x80\x80\x10\0\1"),
    BAD("\0\1\xc9\2" NAN8),
    BAD("\0\1\xca\x80\x80\x80\x80\x80\x80\x80\x80\x20" ONE8),
    BAD("\0\1\xc7\1\0\xcb\0"),
    BAD("\1\1\xc7\1\0\xcb\1"),
    BAD("\1\1\xcb\0"),
    BAD("\1\1\xc7\1\0\xcb\xff\xff\xff\xff\xff\xff\xff\xff\xff\1"),
};

/* A block of that very size, so that a sanitizer sees a byte too far. */
static uint8_t *block(const void *bytes, size_t length)
{
    uint8_t *p = malloc(length ? length : 1);

    ck_assert_ptr_nonnull(p);
    if (length > 0)
        memcpy(p, bytes, length);
    return p;
}

/* Reading goes well only for what is in form, and then what is written is
 * read as the same. */
static frun_status judge(const void *bytes, size_t length)
{
    uint8_t *p = block(bytes, length);
    bool good = fri_check(p, length);
    struct fri_buffer one, two;
    frun_value *v, *again, *copy;
    frun_status status = fri_value_unpack(NULL, p, length, &v);

    free(p);
    ck_assert(good || status != FRUN_OK);
    ck_assert_int_ne(status, FRUN_ENOMEM);
    if (status != FRUN_OK) {
        ck_assert_ptr_null(v);
        return status;
    }
    fri_buffer_init(&one, NULL);
    fri_buffer_init(&two, NULL);
    ck_assert_int_eq(fri_value_pack(&one, v), FRUN_OK);
    ck_assert(fri_check(one.data, one.length));
    ck_assert_int_eq(fri_value_unpack(NULL, one.data, one.length, &again),
                     FRUN_OK);
    copy = frun_value_copy(again);
    frun_value_free(again);
    ck_assert_int_eq(fri_value_pack(&two, copy), FRUN_OK);
    frun_value_free(copy);
    frun_value_free(v);
    ck_assert_uint_eq(one.length, two.length);
    ck_assert_mem_eq(one.data, two.data, one.length);
    fri_buffer_free(&one);
    fri_buffer_free(&two);
    return status;
}

START_TEST(each_form_is_judged)
{
    for (size_t i = 0; i < COUNT(sequences); i++) {
        const struct sequence *s = &sequences[i];

        ck_assert_msg(judge(s->bytes, s->length) == s->status,
                      "status of %zu", i);
        ck_assert_msg(fri_check(s->bytes, s->length) == s->good,
                      "form of %zu", i);
    }
}
END_TEST

START_TEST(no_beginning_is_whole)
{
    for (size_t i = 0; i < COUNT(sequences); i++) {
        const struct sequence *s = &sequences[i];

        for (size_t n = 0; s->good && n < s->length; n++) {
            uint8_t *p = block(s->bytes, n);

            ck_assert_msg(!fri_check(p, n), "%zu up to %zu", i, n);
            ck_assert_int_ne(judge(s->bytes, n), FRUN_OK);
            free(p);
        }
    }
}
END_TEST

START_TEST(every_bit_can_flip)
{
    for (size_t i = 0; i < COUNT(sequences); i++) {
        const struct sequence *s = &sequences[i];
        uint8_t *p = block(s->bytes, s->length);

        for (size_t bit = 0; bit < 8 * s->length; bit++) {
            p[bit / 8] ^= (uint8_t)(1u << bit % 8);
            judge(p, s->length);
            p[bit / 8] ^= (uint8_t)(1u << bit % 8);
        }
        free(p);
    }
}
END_TEST

static uint64_t seed;

static size_t below(size_t n)
{
    seed++;
    return (size_t)(fri_mix(seed) % n);
}

/* Bytes that say something more often than chance would. */
static uint8_t any_byte(void)
{
    switch (below(4)) {
    case 0:
        return (uint8_t)below(256);
    case 1:
        return (uint8_t)below(4);
    default:
        return (uint8_t)(FRI_NIL + below(FRI_TAG_END - FRI_NIL));
    }
}

/* One of the sequences, or nothing, with some bytes changed or made. */
static size_t any_sequence(uint8_t *bytes, size_t room)
{
    const struct sequence *s = &sequences[below(COUNT(sequences))];
    size_t n = below(4) ? s->length : 0, more = n ? 0 : below(24);

    if (n > 0)
        memcpy(bytes, s->bytes, n);
    for (; more > 0 && n < room; more--)
        bytes[n++] = any_byte();
    for (size_t changes = 1 + below(3); n > 0 && changes > 0; changes--)
        bytes[below(n)] = any_byte();
    return n;
}

START_TEST(random_bytes_do_no_harm)
{
    const char *wanted = getenv("FUZZ_SEED");
    fri_time end = fri_now() + FRI_SECOND * 3 / 2;
    uint8_t bytes[128];
    unsigned long n = 0, good = 0;

    seed = wanted ? strtoull(wanted, NULL, 0) : fri_mix((uint64_t)fri_now());
    printf("FUZZ_SEED=%" PRIu64 "\n", seed);
    fflush(stdout);
    for (; n < 1000000 && (n % 64 || fri_now() < end); n++)
        good += judge(bytes, any_sequence(bytes, sizeof(bytes))) == FRUN_OK;
    printf("%lu sequences, %lu of them whole\n", n, good);
}
END_TEST

/* ---- bounds ----------------------------------------------------------- */

static frun_value *nest(int depth)
{
    frun_value *v = frun_value_list();

    for (int i = 1; i < depth; i++) {
        frun_value *outer = frun_value_list();

        ck_assert_int_eq(frun_value_push(outer, v), FRUN_OK);
        v = outer;
    }
    return v;
}

START_TEST(depth_is_bounded)
{
    frun_value *most = nest(FRI_DEPTH), *more = nest(FRI_DEPTH + 1);
    uint8_t bytes[2 + 3 * (FRI_DEPTH + 1)] = { 0, 1 };
    struct fri_buffer b;

    fri_buffer_init(&b, NULL);
    ck_assert_int_eq(fri_value_pack(&b, most), FRUN_OK);
    ck_assert_int_eq(judge(b.data, b.length), FRUN_OK);
    b.length = 1;
    ck_assert_int_eq(fri_value_pack(&b, more), FRUN_EUNSENDABLE);
    ck_assert_int_eq(fri_encode(&b, more), FRUN_EUNSENDABLE);
    ck_assert_uint_eq(b.length, 1);
    for (size_t i = 2; i < sizeof(bytes); i += 3)
        memcpy(bytes + i, "\xc7\1", 2);
    bytes[sizeof(bytes) - 2] = 0;
    ck_assert_int_eq(judge(bytes, sizeof(bytes)), FRUN_EINVAL);
    ck_assert(!fri_check(bytes, sizeof(bytes)));
    fri_buffer_free(&b);
    frun_value_free(most);
    frun_value_free(more);
}
END_TEST

/* Each table claims all the bytes that are left. */
START_TEST(claims_are_not_believed)
{
    enum { SIZE = 4000000 };
    uint8_t *bytes = calloc(1, SIZE);
    struct rusage before, after;
    struct fri_buffer b;
    frun_value *v;

    ck_assert_ptr_nonnull(bytes);
    fri_buffer_init(&b, NULL);
    fri_buffer_add(&b, "\0\1", 2);
    for (int i = 0; i < FRI_DEPTH; i++) {
        fri_buffer_byte(&b, FRI_TABLE);
        fri_put_varint(&b, SIZE - b.length - 4);
        fri_buffer_byte(&b, 0);
    }
    memcpy(bytes, b.data, b.length);
    getrusage(RUSAGE_SELF, &before);
    ck_assert_int_eq(fri_value_unpack(NULL, bytes, SIZE, &v), FRUN_EINVAL);
    ck_assert(!fri_check(bytes, SIZE));
    getrusage(RUSAGE_SELF, &after);
    ck_assert_int_lt(after.ru_maxrss - before.ru_maxrss, 100 * 1024);
    fri_buffer_free(&b);
    free(bytes);
}
END_TEST

/* ---- what is written -------------------------------------------------- */

static void written(frun_value *v, const char *bytes, size_t length)
{
    struct fri_buffer b;

    fri_buffer_init(&b, NULL);
    ck_assert_int_eq(fri_encode(&b, v), FRUN_OK);
    ck_assert_uint_eq(b.length, length);
    ck_assert_mem_eq(b.data, bytes, length);
    fri_buffer_free(&b);
    frun_value_free(v);
}

#define WRITTEN(value, text) written(value, text, sizeof(text) - 1)

START_TEST(the_format_is_what_it_says)
{
    frun_value *list = frun_value_list(), *map = frun_value_map();
    frun_value *nums = frun_value_list();
    frun_status status = FRUN_OK;
    char text[64];

    memset(text, 'x', sizeof(text));
    WRITTEN(NULL, "\xc0");
    WRITTEN(frun_value_bool(false), "\xc1");
    WRITTEN(frun_value_int(127), "\x7f");
    WRITTEN(frun_value_int(128), "\xc3\x80\2");
    WRITTEN(frun_value_int(-1), "\xc3\1");
    WRITTEN(frun_value_num(1), "\xc4" ONE8);
    WRITTEN(frun_value_str("a\0", 2), "\x82"
                                      "a\0");
    WRITTEN(frun_value_str(text, 0), "\x80");
    status |= frun_value_push(list, frun_value_null());
    status |= frun_value_put(map, "n", frun_value_null());
    status |= frun_value_put(map, "l", list);
    for (int i = 0; i < 4; i++)
        status |= frun_value_push(nums, frun_value_num(1));
    ck_assert_int_eq(status, FRUN_OK);
    WRITTEN(map, "\xc7\0\1\x81l\xc7\1\0\xc0");
    WRITTEN(nums, "\xc9\4" ONE8 ONE8 ONE8 ONE8);
    WRITTEN(frun_value_map(), "\xc7\0\0");
}
END_TEST

static frun_value *back(frun_value *v)
{
    struct fri_reader r;
    struct fri_buffer b;
    frun_value *read;

    fri_buffer_init(&b, NULL);
    ck_assert_int_eq(fri_encode(&b, v), FRUN_OK);
    fri_reader_init(&r, b.data, b.length);
    ck_assert_int_eq(fri_decode(NULL, &r, &read), FRUN_OK);
    ck_assert_uint_eq(fri_left(&r), 0);
    fri_buffer_free(&b);
    frun_value_free(v);
    return read;
}

START_TEST(numbers_keep_every_bit)
{
    static const int64_t ints[] = { 0, 127, 128, -1, INT64_MIN, INT64_MAX,
                                    (INT64_C(1) << 53) + 1 };
    const double nums[] = { 0.0, -0.0, 1e308, 5e-324, 2.0, HUGE_VAL };

    for (size_t i = 0; i < COUNT(ints); i++) {
        frun_value *v = back(frun_value_int(ints[i]));

        ck_assert_int_eq(frun_value_kind(v), FRUN_INT);
        ck_assert(frun_value_as_int(v) == ints[i]);
        frun_value_free(v);
    }
    for (size_t i = 0; i < COUNT(nums); i++) {
        frun_value *v = back(frun_value_num(nums[i]));
        double n = frun_value_as_num(v);

        ck_assert_int_eq(frun_value_kind(v), FRUN_NUM);
        ck_assert_mem_eq(&n, &nums[i], 8);
        frun_value_free(v);
    }
}
END_TEST

START_TEST(strings_keep_every_byte)
{
    for (size_t n = 0; n < 70000; n = 3 * n + 1) {
        char *text = malloc(n + 1);
        frun_value *v;

        ck_assert_ptr_nonnull(text);
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(i * 7);
        v = back(frun_value_str(text, n));
        ck_assert_uint_eq(frun_value_length(v), n);
        ck_assert_int_eq(memcmp(frun_value_as_str(v), text, n), 0);
        ck_assert_int_eq(frun_value_as_str(v)[n], '\0');
        frun_value_free(v);
        free(text);
    }
}
END_TEST

START_TEST(an_array_with_fields_comes_back_so)
{
    /* { "a", x = 1 } is a map here, and the same bytes again. */
    static const char bytes[] = "\xc7\1\1\x81"
                                "a\x81x\1";
    struct fri_reader r;
    frun_value *v;

    fri_reader_init(&r, bytes, sizeof(bytes) - 1);
    ck_assert_int_eq(fri_decode(NULL, &r, &v), FRUN_OK);
    ck_assert_int_eq(frun_value_kind(v), FRUN_MAP);
    ck_assert_uint_eq(frun_value_length(v), 2);
    WRITTEN(v, "\xc7\1\1\x81"
               "a\x81x\1");
}
END_TEST

START_TEST(a_failed_reader_reads_no_more)
{
    struct fri_reader r;
    frun_value *v;

    fri_reader_init(&r, "\xff\1\2", 3);
    ck_assert_int_eq(fri_decode(NULL, &r, &v), FRUN_EINVAL);
    ck_assert(r.bad && fri_left(&r) == 0);
    ck_assert_int_eq(fri_decode(NULL, &r, &v), FRUN_EINVAL);
    ck_assert_ptr_null(v);
}
END_TEST

/* ---- without memory --------------------------------------------------- */

static bool unpack_it(void *user)
{
    const struct sequence *s = user;
    frun_value *v;
    frun_status status = fri_value_unpack(NULL, s->bytes, s->length, &v);

    frun_value_free(v);
    return status != FRUN_ENOMEM;
}

static bool pack_it(void *user)
{
    struct fri_buffer b;
    frun_status status;

    fri_buffer_init(&b, NULL);
    status = fri_value_pack(&b, user);
    fri_buffer_free(&b);
    return status != FRUN_ENOMEM;
}

START_TEST(memory_can_run_out_anywhere)
{
    for (size_t i = 0; i < COUNT(sequences); i++) {
        struct sequence s = sequences[i];
        frun_value *v;

        unit_starve(unpack_it, &s);
        if (fri_value_unpack(NULL, s.bytes, s.length, &v) == FRUN_OK)
            unit_starve(pack_it, v);
        frun_value_free(v);
    }
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        each_form_is_judged,     no_beginning_is_whole,
        every_bit_can_flip,      random_bytes_do_no_harm,
        depth_is_bounded,        claims_are_not_believed,
        the_format_is_what_it_says, numbers_keep_every_bit,
        strings_keep_every_byte, an_array_with_fields_comes_back_so,
        a_failed_reader_reads_no_more, memory_can_run_out_anywhere,
    };

    return unit_run("codec", tests, COUNT(tests));
}
