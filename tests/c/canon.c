/*
 * canon.c - BLAKE2b, and digests of values: equal for equal things however
 * they were written down, different for different ones; what is not well
 * formed is refused.  FUZZ_SEED repeats a run of the random part.
 */
#include "data/canon.h"
#include "base/hash.h"
#include "unit.h"

#include <time.h>

/* ---- BLAKE2b ---------------------------------------------------------- */

static void hex(struct fri_digest d, char text[33])
{
    for (int i = 0; i < FRI_DIGEST; i++)
        snprintf(text + 2 * i, 3, "%02x", d.bytes[i]);
}

/* From b2sum -l 128 of GNU coreutils. */
static const struct {
    size_t length; /* bytes i * 7 + 3 */
    const char *digest;
} known[] = {
    { 0, "cae66941d9efbd404e4d88758ea67670" },
    { 1, "71b186b851e866e71be237342976049a" },
    { 128, "8e0cf9bb1b36fa6c42aa6490f719b575" },
    { 129, "6cefde50e4008690e61cf8225d101256" },
    { 1000, "add263669b4eb2158678a360fa6f007a" },
};

START_TEST(digests)
{
    uint8_t bytes[1000];

    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)(i * 7 + 3);
    for (size_t k = 0; k < COUNT(known); k++)
        for (size_t step = 1; step < 200; step += 63) {
            struct fri_digester d;
            char text[33];

            fri_digest_begin(&d);
            for (size_t i = 0; i < known[k].length; i += step)
                fri_digest_add(&d, bytes + i, known[k].length - i < step
                                                  ? known[k].length - i
                                                  : step);
            hex(fri_digest_end(&d), text);
            ck_assert_str_eq(text, known[k].digest);
        }
}
END_TEST

/* ---- values ----------------------------------------------------------- */

struct sequence {
    const char *bytes;
    size_t length;
};

#define SEQ(text) { text, sizeof(text) - 1 }

static const struct fri_canon_hooks none;

static bool digest_of(struct fri_canon *c, struct sequence s,
                      struct fri_digest *digest)
{
    uint64_t parts[4];
    unsigned count;
    struct fri_digester d;
    bool ok;

    fri_digest_begin(&d);
    ok = fri_canon_values(c, &none, s.bytes, s.length, NULL, 0, UINT32_MAX,
                          &d, parts, 4, &count);
    *digest = fri_digest_end(&d);
    return ok;
}

#define NAN8 "\0\0\0\0\0\0\xf8\x7f"
#define NAN9 "\1\0\0\0\0\0\xf8\xff"

/* Pairs that are the same. */
static const struct sequence same[][2] = {
    { SEQ("\0\1\xc4" NAN8), SEQ("\0\1\xc4" NAN9) },
    /* pairs in another order */
    { SEQ("\0\1\xc7\0\2\x81" "a\1\x81" "b\2"),
      SEQ("\0\1\xc7\0\2\x81" "b\2\x81" "a\1") },
    /* a hole: items, or pairs */
    { SEQ("\0\1\xc7\3\0\5\xc0\6"), SEQ("\0\1\xc7\1\1\5\3\6") },
    { SEQ("\0\1\xc7\2\0\5\xc0"), SEQ("\0\1\xc7\1\0\5") },
    /* a list of integers, packed or not */
    { SEQ("\0\1\xc7\2\0\5\6"),
      SEQ("\0\1\xca\2\5\0\0\0\0\0\0\0\6\0\0\0\0\0\0\0") },
    /* a short string as a long one; an integer as a long one */
    { SEQ("\0\1\x81" "a"), SEQ("\0\1\xc6\1" "a") },
    { SEQ("\0\1\5"), SEQ("\0\1\xc3\x0a") },
    /* {k1 = t, k2 = t}, {k2 = t, k1 = t} */
    { SEQ("\1\1\xc7\0\2\x81" "a\xc7\0\0\x81" "b\xcb\1"),
      SEQ("\1\1\xc7\0\2\x81" "b\xc7\0\0\x81" "a\xcb\1") },
    /* tables as keys, in another order */
    { SEQ("\0\1\xc7\0\2\xc7\1\0\1\1\xc7\1\0\2\2"),
      SEQ("\0\1\xc7\0\2\xc7\1\0\2\2\xc7\1\0\1\1") },
    /* named, with and without where it is found */
    { SEQ("\0\1\xcd\5\2mesh"), SEQ("\0\1\xcd\x09\1a\0b\0mesh") },
};

START_TEST(equal)
{
    struct fri_canon *c = fri_canon_open(NULL);

    for (size_t i = 0; i < COUNT(same); i++) {
        struct fri_digest a, b;

        ck_assert_msg(digest_of(c, same[i][0], &a), "pair %zu", i);
        ck_assert_msg(digest_of(c, same[i][1], &b), "pair %zu", i);
        ck_assert_msg(fri_digest_same(&a, &b), "pair %zu", i);
    }
    fri_canon_free(c);
}
END_TEST

/* All different from each other. */
static const struct sequence others[] = {
    SEQ("\0\0"), SEQ("\0\1\xc0"), SEQ("\0\2\xc0\xc0"), SEQ("\0\1\xc1"),
    SEQ("\0\1\xc2"), SEQ("\0\1\0"), SEQ("\0\1\1"),
    SEQ("\0\1\xc4\0\0\0\0\0\0\0\0"),          /* 0.0 */
    SEQ("\0\1\xc4\0\0\0\0\0\0\0\x80"),        /* -0.0 */
    SEQ("\0\1\xc4\0\0\0\0\0\0\xf0\x3f"),      /* 1.0 */
    SEQ("\0\1\xc4" NAN8),
    SEQ("\0\1\xc5\1\0\0\0\0\0\0\0"),          /* flow.int(1) */
    SEQ("\0\1\x80"), SEQ("\0\1\x81" "1"), SEQ("\0\1\x82" "1\0"),
    SEQ("\0\2\x81" "a\x82" "bc"), SEQ("\0\2\x82" "ab\x81" "c"),
    SEQ("\0\1\xc7\0\0"), SEQ("\0\1\xc7\1\0\xc7\0\0"),
    SEQ("\0\1\xc7\2\0\1\2"), SEQ("\0\1\xc7\2\0\2\1"), SEQ("\0\2\1\2"),
    SEQ("\0\1\xc7\0\1\x81" "1\1"), SEQ("\0\1\xc7\1\0\1"),
    SEQ("\0\1\xc7\2\0\xc7\0\0\xc7\0\0"),      /* {{}, {}} */
    SEQ("\1\1\xc7\2\0\xc7\0\0\xcb\1"),        /* {t, t} */
    SEQ("\1\1\xc7\1\0\xcb\0"),                /* t = {t} */
    SEQ("\0\1\xc8\0\0\xc7\0\0"), SEQ("\0\1\xcd\5\2mesh"),
    SEQ("\0\1\xcd\5\0mesh"), SEQ("\0\1\xce"),
    SEQ("\0\1\xc9\1\0\0\0\0\0\0\xf0\x3f"),    /* {1.0}, packed */
};

START_TEST(different)
{
    struct fri_canon *c = fri_canon_open(NULL);
    struct fri_digest all[COUNT(others)];

    for (size_t i = 0; i < COUNT(others); i++)
        ck_assert_msg(digest_of(c, others[i], &all[i]), "%zu: %s", i,
                      fri_canon_why(c));
    for (size_t i = 0; i < COUNT(others); i++)
        for (size_t k = 0; k < i; k++)
            ck_assert_msg(!fri_digest_same(&all[i], &all[k]), "%zu and %zu", k,
                          i);
    fri_canon_free(c);
}
END_TEST

/* Garbage: an answer or a refusal, and nothing beyond its bytes. */
START_TEST(garbage)
{
    const char *given = getenv("FUZZ_SEED");
    uint64_t seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
    struct fri_canon *c = fri_canon_open(NULL);

    printf("FUZZ_SEED=%llu\n", (unsigned long long)seed);
    for (int n = 0; n < 200000; n++) {
        size_t length = seed % 60;
        char *bytes = malloc(length + 1);
        struct fri_digest digest;

        for (size_t i = 0; i < length; i++) {
            uint64_t r = seed = fri_mix(seed);

            bytes[i] = (char)(r & 3 ? (r >> 8) % 18 + 0xc0 : (r >> 8) % 4);
        }
        digest_of(c, (struct sequence){ bytes, length }, &digest);
        free(bytes);
        seed = fri_mix(seed);
    }
    fri_canon_free(c);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = { digests, equal, different, garbage };

    return unit_run("canon", tests, COUNT(tests));
}
