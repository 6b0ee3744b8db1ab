/* record.c - what is kept of a run: rows, counts, what is still to come; and
 * that nothing is lost silently. */
#define _GNU_SOURCE
#include "kit.h"

#include "data/codec.h"
#include "data/show.h"
#include "report/draw.h"
#include "report/failures.h"
#include "report/report.h"

#include <math.h>

static const struct fri_row *row_of(const struct fri_record *r,
                                    enum fri_row_kind kind, uint64_t id)
{
    for (size_t i = 0; i < fri_record_count(r); i++) {
        const struct fri_row *row = fri_record_row(r, i);

        if (row->kind == kind && row->id == id)
            return row;
    }
    return NULL;
}

static void check_times(const struct fri_record *r)
{
    for (size_t i = 0; i < fri_record_count(r); i++) {
        const struct fri_row *row = fri_record_row(r, i);

        ck_assert(row->submitted >= 0);
        ck_assert(row->ready >= row->submitted || row->attempt == 0);
        ck_assert(row->started >= row->ready);
        ck_assert(row->finished >= row->started);
        ck_assert(row->finished <= fri_record_run(r)->ended);
    }
}

static const char *name_of(const struct fri_record *r,
                           const struct fri_row *row)
{
    static char text[200];
    struct fri_buffer b;

    fri_buffer_init(&b, NULL);
    fri_record_name(r, row, &b);
    snprintf(text, sizeof text, "%.*s", (int)b.length, (char *)b.data);
    fri_buffer_free(&b);
    return text;
}

/* ---- rows ------------------------------------------------------------- */

START_TEST(a_row_for_each_task)
{
    frun_engine *e = kit_engine();
    struct fri_record *r = fri_record_open(e);
    frun_pool *pool = kit_pool(e, 2);
    frun_future *a, *b, *bad, *after_bad;
    const struct fri_row *row;
    const uint64_t *ids;
    size_t n;

    a = kit_submit(pool, kit_twice, 1, &(frun_policy){ .name = "a" });
    b = kit_submit(pool, kit_twice, 2,
                   &(frun_policy){ .name = "b", .after = &a,
                                   .after_count = 1 });
    bad = kit_submit(pool, kit_fail, 3, NULL);
    after_bad = kit_submit(pool, kit_twice, 4,
                           &(frun_policy){ .after = &bad, .after_count = 1 });
    ok(frun_pool_drain(pool, -1));
    fri_record_end(r);
    check_times(r);
    ck_assert_uint_eq(fri_record_count(r), 4);
    row = row_of(r, FRI_ROW_TASK, b->id);
    ck_assert_str_eq(name_of(r, row), "b");
    ck_assert_int_eq(row->state, FRI_DONE);
    ck_assert_int_eq(row->attempt, 1);
    ck_assert(row->flags & FRI_ROW_RAN);
    ids = fri_record_after(r, row->after, &n);
    ck_assert_uint_eq(n, 1);
    ck_assert_uint_eq(ids[0], a->id);
    ck_assert(row->ready >= row_of(r, FRI_ROW_TASK, a->id)->finished);
    row = row_of(r, FRI_ROW_TASK, bad->id);
    ck_assert_str_eq(fri_row_kind(r, row), "error");
    ck_assert_str_eq(fri_row_message(r, row), "no 3");
    row = row_of(r, FRI_ROW_TASK, after_bad->id);
    ck_assert_str_eq(fri_row_kind(r, row), "dependency");
    ck_assert_int_eq(row->flags & FRI_ROW_RAN, 0);
    ck_assert_int_eq(row->attempt, 0);
    frun_future_free(a);
    frun_future_free(b);
    frun_future_free(bad);
    frun_future_free(after_bad);
    frun_pool_close(pool);
    frun_engine_close(e);
    fri_record_close(r); /* it keeps what it needs of the engine */
}
END_TEST

START_TEST(a_row_for_each_attempt)
{
    frun_engine *e = kit_engine();
    struct fri_record *r = fri_record_open(e);
    frun_pool *pool = kit_pool(e, 1);
    frun_future *f = kit_submit(
        pool, kit_fail, 1,
        &(frun_policy){ .retries = 2, .backoff = 0.01, .name = "try" });
    double end = 0;
    int n = 0;

    ok(frun_pool_drain(pool, -1));
    fri_record_end(r);
    check_times(r);
    for (size_t i = 0; i < fri_record_count(r); i++) {
        const struct fri_row *row = fri_record_row(r, i);

        ck_assert_int_eq(row->attempt, ++n);
        ck_assert_int_eq(row->kind, n < 3 ? FRI_ROW_TRY : FRI_ROW_TASK);
        ck_assert_str_eq(fri_row_message(r, row), "no 1");
        if (n > 1)
            ck_assert(row->ready >= end + 0.009);
        end = row->finished;
    }
    ck_assert_int_eq(n, 3);
    frun_future_free(f);
    frun_pool_close(pool);
    frun_engine_close(e);
    fri_record_close(r);
}
END_TEST

START_TEST(the_slices_of_a_map_cover_it)
{
    enum { N = 5000 };
    static bool seen[N];
    frun_engine *e = kit_engine();
    struct fri_record *r = fri_record_open(e);
    frun_pool *pool = kit_pool(e, 2);
    frun_value *list = kit_numbers(N), *results;
    struct fri_totals totals;
    int maps = 0;

    ok(frun_pool_map(pool, kit_twice, list, NULL, &results));
    fri_record_end(r);
    check_times(r);
    for (size_t i = 0; i < fri_record_count(r); i++) {
        const struct fri_row *row = fri_record_row(r, i);

        if (row->kind == FRI_ROW_MAP) {
            maps++;
            ck_assert_uint_eq(row->items, N);
            continue;
        }
        ck_assert_int_eq(row->kind, FRI_ROW_SLICE);
        for (int64_t k = row->key; k < row->key + row->items; k++) {
            ck_assert(k >= 0 && k < N && !seen[k]);
            seen[k] = true;
        }
    }
    ck_assert_int_eq(maps, 1);
    for (int i = 0; i < N; i++)
        ck_assert(seen[i]);
    fri_record_totals(r, &totals);
    ck_assert_uint_eq(totals.done, N);
    frun_value_free(results);
    frun_value_free(list);
    frun_pool_close(pool);
    frun_engine_close(e);
    fri_record_close(r);
}
END_TEST

START_TEST(pools_and_limits_by_number)
{
    frun_engine *e = kit_engine();
    struct fri_record *r = fri_record_open(e);
    frun_pool_options o = { .workers = 3, .name = "tests" };
    frun_limit *solver;
    frun_pool *pool;
    frun_future *f;
    const struct fri_row *row;
    const uint32_t *needs;
    size_t pairs;

    ok(frun_limit_open(e, "solver", 4, false, &solver));
    ok(frun_pool_open(e, FRUN_THREADS, &o, &pool));
    f = kit_submit(pool, kit_twice, 1,
                   &(frun_policy){ .limits = &solver,
                                   .limit_needs = (int[]){ 2 },
                                   .limit_count = 1 });
    ok(frun_pool_drain(pool, -1));
    fri_record_end(r);
    row = row_of(r, FRI_ROW_TASK, f->id);
    ck_assert_str_eq(fri_record_pool(r, row->pool)->name, "tests");
    ck_assert_uint_eq(fri_record_pool(r, row->pool)->workers, 3);
    ck_assert_int_eq(fri_record_pool(r, row->pool)->kind, FRUN_THREADS);
    needs = fri_record_needs(r, row->needs, &pairs);
    ck_assert_uint_eq(pairs, 1);
    ck_assert_str_eq(fri_record_limit(r, needs[0])->name, "solver");
    ck_assert_uint_eq(fri_record_limit(r, needs[0])->count, 4);
    ck_assert_uint_eq(needs[1], 2);
    frun_future_free(f);
    frun_limit_close(solver);
    frun_pool_close(pool);
    frun_engine_close(e);
    fri_record_close(r);
}
END_TEST

/* Whatever allocation fails while tasks run, they run, and rows and what is
 * missing add up. */
START_TEST(short_of_memory_it_counts)
{
    enum { TASKS = 20 };

    for (long allowed = 0; allowed < 60; allowed += 3) {
        struct kit_heap heap = { 0, 0, -1 };
        frun_engine_options o = { .allocate = kit_allocate,
                                  .free = kit_free,
                                  .allocator_user = &heap };
        struct fri_record *r;
        frun_engine *e;
        frun_pool *pool;
        int submitted = 0;

        ok(frun_engine_open(&o, &e));
        pool = kit_pool(e, 1);
        r = fri_record_open(e);
        ck_assert_ptr_nonnull(r);
        heap.allowed = allowed;
        for (int i = 0; i < TASKS; i++) {
            frun_value *v = frun_value_int(i);
            frun_future *f;

            if (frun_pool_submit(pool, i % 3 ? kit_twice : kit_fail, v, NULL,
                                 &f)
                == FRUN_OK) {
                submitted++;
                frun_future_free(f);
            }
            frun_value_free(v);
        }
        heap.allowed = -1;
        ok(frun_pool_drain(pool, -1));
        fri_record_end(r);
        ck_assert_uint_eq(fri_record_count(r) + fri_record_missing(r),
                          (unsigned)submitted);
        frun_pool_close(pool);
        frun_engine_close(e);
        fri_record_close(r);
        ck_assert_int_eq(heap.blocks, 0);
    }
}
END_TEST

/* ---- counts ----------------------------------------------------------- */

static struct fri_look look;

START_TEST(a_look_counts_what_is_there)
{
    frun_engine *e = kit_engine();
    struct fri_tally *t = fri_tally_open(e);
    frun_pool *pool = kit_pool(e, 2);
    frun_limit *solver;
    struct kit_gate gate;
    frun_policy p = { .user = &gate, .limit_count = 1, .name = "held\n1" };

    kit_gate_init(&gate);
    ok(frun_limit_open(e, "solver", 1, false, &solver));
    p.limits = &solver;
    for (int i = 0; i < 3; i++) {
        frun_future *f;

        ok(frun_pool_submit(pool, kit_hold, NULL, &p, &f));
        frun_future_free(f);
    }
    frun_future_free(kit_submit(pool, kit_fail, 1, NULL));
    kit_await(&gate, 1);
    do
        fri_tally_look(t, &look, 1, true);
    while (look.failed < 1);
    ck_assert_uint_eq(look.total, 4);
    ck_assert_uint_eq(look.running, 1);
    ck_assert_uint_eq(look.queued, 2);
    ck_assert_uint_eq(look.limit_count, 1);
    ck_assert_str_eq(look.limits[0].name, "solver");
    ck_assert(look.limits[0].full && look.limits[0].used == 1);
    ck_assert_uint_eq(look.running_count, 1);
    ck_assert_str_eq(look.longest[0].name, "held\\n1");
    kit_open(&gate, 3);
    ok(frun_pool_drain(pool, -1));
    fri_tally_look(t, &look, 1, false);
    ck_assert_uint_eq(look.done, 3);
    ck_assert_uint_eq(look.running + look.queued, 0);
    ck_assert(!look.limits[0].full && look.limits[0].share > 0);
    frun_limit_close(solver);
    frun_pool_close(pool);
    frun_engine_close(e);
    fri_tally_close(t);
}
END_TEST

START_TEST(a_map_counts_its_items)
{
    frun_engine *e = kit_engine();
    struct fri_tally *t = fri_tally_open(e);
    frun_pool *pool = kit_pool(e, 2);
    frun_value *list = kit_numbers(1000), *results;

    ok(frun_pool_map(pool, kit_twice, list, NULL, &results));
    frun_value_free(results);
    status_is(FRUN_ERROR, frun_pool_map(pool, kit_fail, list, NULL, &results));
    ok(frun_pool_drain(pool, -1));
    fri_tally_look(t, &look, 0, false);
    ck_assert_uint_eq(look.total, 2000);
    ck_assert(look.done >= 1000);
    ck_assert(look.failed >= 1 && look.cancelled > 0);
    ck_assert_uint_eq(look.done + look.failed + look.cancelled, 2000);
    frun_value_free(list);
    frun_pool_close(pool);
    frun_engine_close(e);
    fri_tally_close(t);
}
END_TEST

/* Names that differ in digits are one group, however many there are. */
START_TEST(groups_are_few)
{
    frun_engine *e = kit_engine();
    struct fri_tally *t = fri_tally_open(e);
    frun_pool *pool = kit_pool(e, 2);

    for (int i = 0; i < 1000; i++) {
        char name[32];

        snprintf(name, sizeof name, "%s %d", i % 2 ? "solve" : "mesh", i);
        frun_future_free(kit_submit(pool, kit_twice, i,
                                    &(frun_policy){ .name = name }));
    }
    for (int i = 0; i < 1000; i++) {
        char name[32];

        snprintf(name, sizeof name, "%c%c%c", 'a' + i % 10,
                 'a' + i / 10 % 10, 'a' + i / 100);
        frun_future_free(kit_submit(pool, kit_twice, i,
                                    &(frun_policy){ .name = name }));
    }
    ok(frun_pool_drain(pool, -1));
    fri_tally_look(t, &look, 0, false);
    ck_assert_uint_eq(look.groups[0].submitted, 500);
    ck_assert_uint_eq(look.groups[1].submitted, 500);
    ck_assert_uint_eq(look.group_count, FRI_GROUPS);
    ck_assert_uint_eq(look.done, 2000);
    frun_pool_close(pool);
    frun_engine_close(e);
    fri_tally_close(t);
}
END_TEST

/* ---- what is still to come -------------------------------------------- */

static void group(unsigned i, uint64_t left, double mean, int limit)
{
    struct fri_tally_group *g = &look.groups[i];

    *g = (struct fri_tally_group){ .submitted = left + 10, .ended = 10,
                                   .measured = 10, .sum = 10 * mean,
                                   .squares = 10 * mean * mean,
                                   .first = 1, .last = 1000 };
    if (limit >= 0) {
        g->need_count = 1;
        g->needs[0].limit = (uint8_t)limit;
        g->needs[0].count = 1;
    }
    look.group_count = i + 1;
}

static double left(void)
{
    struct fri_estimate estimate;

    fri_estimate_make(&estimate, &look);
    ck_assert(estimate.known && !estimate.rough);
    ck_assert(estimate.spread >= 0);
    return estimate.seconds;
}

#define about(x, y) ck_assert_double_eq_tol(x, y, 0.03 * (y))

START_TEST(time_left_by_limits_and_groups)
{
    struct fri_estimate estimate;

    memset(&look, 0, sizeof look);
    look.lane_count = 1;
    look.workers[0] = 4;
    group(0, 40, 1, -1);
    about(left(), 10);
    /* The licence of the second group holds back more than the workers. */
    look.limit_count = 1;
    look.limits[0].count = 2;
    group(1, 40, 1, 0);
    about(left(), 20);
    group(1, 100, 3, 0);
    about(left(), 150);
    /* A million tasks are no slower to foresee. */
    group(0, 1000000, 0.001, -1);
    group(1, 0, 1, 0);
    about(left(), 250);
    group(0, 0, 1, -1);
    ck_assert(left() >= 0 && left() < 1e-9);
    /* One runs, and has run for ten times the others' time. */
    group(0, 1, 1, -1);
    look.running_count = 1;
    look.longest[0].seconds = 10;
    about(left(), 9);
    look.running_count = 0;
    /* Nothing has ended: nothing is known. */
    look.groups[0] = (struct fri_tally_group){ .submitted = 5 };
    look.group_count = 1;
    fri_estimate_make(&estimate, &look);
    ck_assert(!estimate.known);
}
END_TEST

START_TEST(a_bar_is_no_wider_than_the_terminal)
{
    struct fri_drawing d = { .look = &look, .rate = 12.3 };
    struct fri_buffer b;

    memset(&look, 0, sizeof look);
    look.total = 123456;
    look.done = 100000;
    look.failed = 12;
    look.retried = 3;
    look.running = 4;
    look.elapsed = 12345;
    look.limit_count = 2;
    snprintf(look.limits[0].name, FRI_TALLY_NAME, "a limit with a long name");
    snprintf(look.limits[1].name, FRI_TALLY_NAME, "\xe8\xa8\xb1\xe5\x8f\xaf");
    d.left = (struct fri_estimate){ .known = true, .seconds = 3661,
                                    .spread = 400 };
    for (d.width = 20; d.width < 200; d.width++) {
        fri_buffer_init(&b, NULL);
        ck_assert_uint_eq(fri_draw_bar(&b, &d), 1);
        ck_assert(fri_columns((char *)b.data, b.length) < d.width);
        fri_buffer_byte(&b, '\0');
        if (d.width > 30)
            ck_assert_ptr_nonnull(strstr((char *)b.data, "100012/123456"));
        fri_buffer_free(&b);
    }
}
END_TEST

/* ---- texts ------------------------------------------------------------ */

typedef void put_text(struct fri_buffer *b, const char *text, size_t length);

static void puts_as(put_text *put, const char *text, size_t length,
                    const char *expected)
{
    struct fri_buffer b;

    fri_buffer_init(&b, NULL);
    put(&b, text, length);
    fri_buffer_byte(&b, '\0');
    ck_assert_str_eq((char *)b.data, expected);
    fri_buffer_free(&b);
}

START_TEST(texts_of_any_bytes)
{
    puts_as(fri_put_json, "a\"\\\n\t\r\0b", 8,
            "\"a\\\"\\\\\\n\\t\\r\\u0000b\"");
    puts_as(fri_put_json, "</script>\xe2\x80\xa8\x7f", 13,
            "\"\\u003c/script\\u003e\\u2028\\u007f\"");
    puts_as(fri_put_json, "\xff\xc0\x80\xed\xa0\x80z", 7,
            "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
            "\xef\xbf\xbdz\"");
    puts_as(fri_put_xml, "<a b=\"c\">&\n\1\xf0\x9f\x98\x80", 16,
            "&lt;a b=&quot;c&quot;&gt;&amp;&#10;\xef\xbf\xbd"
            "\xf0\x9f\x98\x80");
    puts_as(fri_put_field, "a\tb\nc\33[m", 8, "a\\tb\\nc\\27[m");
}
END_TEST

START_TEST(each_text_once)
{
    struct fri_texts t;
    char name[32];

    fri_texts_init(&t, NULL);
    for (int round = 0; round < 2; round++)
        for (uint32_t i = 0; i < 3000; i++) {
            int n = snprintf(name, sizeof name, "name %u", i);

            ck_assert_uint_eq(fri_texts_add(&t, name, (size_t)n), i + 1);
        }
    ck_assert_uint_eq(fri_texts_count(&t), 3000);
    ck_assert_str_eq(fri_texts_get(&t, 3000, NULL), "name 2999");
    ck_assert_uint_eq(fri_texts_add(&t, "", 0), 3001);
    fri_texts_free(&t);
}
END_TEST

/* What is shown is cut, what is malformed ends it: never a read beyond. */
START_TEST(values_as_text)
{
    static const uint8_t hostile[] = { 0, 1, FRI_TABLE, 0x7f, 0x7f, 1 };
    /* Pairs are sorted as they are shown. */
    static const uint8_t table[] = {
        0, 1, FRI_TABLE, 1, 4, FRI_TRUE, FRI_STR, 1, 'b', FRI_TABLE, 0, 1,
        FRI_STR, 1, 'c', FRI_NIL, FRI_STR, 2, 'a', 'b', FRI_TRUE, FRI_FALSE,
        FRI_TRUE, FRI_STR, 1, 'a', FRI_FALSE
    };
    struct fri_buffer bytes, out;

    fri_buffer_init(&bytes, NULL);
    fri_buffer_init(&out, NULL);
    fri_buffer_byte(&bytes, 0);
    fri_put_varint(&bytes, 3);
    fri_put_int(&bytes, -5);
    fri_put_str(&bytes, FRI_STR, "a\"\33\xc2\x9b\xc3\xa4", 7);
    fri_buffer_byte(&bytes, FRI_TABLE);
    fri_put_varint(&bytes, 12);
    fri_put_varint(&bytes, 0);
    for (int i = 0; i < 12; i++)
        fri_put_num(&bytes, i + 0.5);
    fri_show(&out, bytes.data, bytes.length, 1000);
    fri_buffer_byte(&out, '\0');
    ck_assert_str_eq((char *)out.data,
                     "-5, \"a\\\"\\27\\194\\155\xc3\xa4\", "
                     "{0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, ...}");
    out.length = 0;
    fri_show(&out, table, sizeof table, 1000);
    fri_buffer_byte(&out, '\0');
    ck_assert_str_eq((char *)out.data,
                     "{true, [false]=true, a=false, ab=true, b={c=nil}}");
    for (size_t i = 0; i <= sizeof table; i++)
        for (size_t most = 0; most < 60; most++)
            fri_show(&out, table, i, most);
    out.length = 0;
    fri_show(&out, bytes.data, bytes.length, 8);
    ck_assert(out.length < 30);
    for (size_t i = 0; i <= bytes.length; i++)
        fri_show(&out, bytes.data, i, 1000);
    fri_show(&out, hostile, sizeof hostile, 1000);
    fri_buffer_free(&out);
    fri_buffer_free(&bytes);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_row_for_each_task,       a_row_for_each_attempt,
        the_slices_of_a_map_cover_it, pools_and_limits_by_number,
        short_of_memory_it_counts, a_look_counts_what_is_there,
        a_map_counts_its_items,    groups_are_few,
        time_left_by_limits_and_groups,
        a_bar_is_no_wider_than_the_terminal,
        texts_of_any_bytes,        each_text_once,
        values_as_text,
    };

    return unit_run("record", tests, COUNT(tests));
}
