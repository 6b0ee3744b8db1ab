/*
 * page.c - a run as a page: what a name can do to it (nothing), what a task
 * costs in it, and that a run comes out as it went in.
 *
 * `page N` writes to stdout the page of a made run of N tasks instead, to look
 * at it; `page hostile` one whose names try to do harm.
 */
#include "report/page.h"

#include "made.h"
#include "report/columns.h"
#include "report/costs.h"
#include "report/page_private.h"

enum { PAGE = 120000 }; /* bytes of a page without a run, at most */

static struct unit_heap heap = { 0, -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };
static struct fri_buffer out;

static void write_page(void)
{
    fri_buffer_init(&out, &memory);
    fri_page_write(&made, &memory, &out);
    ck_assert(!out.failed);
    fri_buffer_byte(&out, '\0');
}

static void end(void)
{
    fri_buffer_free(&out);
    ck_assert_int_eq(heap.blocks, 0);
}

static const char *const hostile[] = {
    "</script><script>alert(1)</script>",
    "<!--<script>",
    "-->",
    "]]>",
    "<img src=x onerror=alert(1)>",
    "\"};alert(1);//",
    "'\\\"\\u003c/script\\u003e",
    "line\xe2\x80\xa8separator\xe2\x80\xa9paragraph",
    "\x01\x02\x1b[31m\x7f",
    "\xff\xfe invalid \xc0\xaf \xed\xa0\x80 \xf5",
    "&lt;&amp;&#60;",
    "\xe2\x80\xaereversed",
    "",
};

/* ---- a run that could have been --------------------------------------- */

static uint64_t state = 7;

static double any(double most)
{
    state = state * 6364136223846793005u + 1442695040888963407u;
    return (double)(state >> 40) / (1 << 24) * most;
}

enum { WORKERS = 8, SEATS = 3 };

static double worker_free[WORKERS], seat_free[SEATS];

static unsigned first_of(const double *free_at, unsigned n)
{
    unsigned best = 0;

    for (unsigned i = 1; i < n; i++)
        if (free_at[i] < free_at[best])
            best = i;
    return best;
}

static double later(double a, double b)
{
    return a > b ? a : b;
}

/* The next task on the first free worker, and seat if it needs one. */
static struct fri_row *run_next(uint64_t id, const char *name, double ready,
                                double seconds, bool seat)
{
    unsigned w = first_of(worker_free, WORKERS), s = first_of(seat_free, SEATS);
    double start = later(ready, worker_free[w]) + 1e-5;
    struct fri_row *row;

    if (seat)
        start = later(start, seat_free[s]);
    row = made_row(id, name, (uint16_t)(w + 1), start, start + seconds);
    row->ready = row->submitted = ready;
    row->cpu = (float)(seconds * (0.7 + any(0.3)));
    worker_free[w] = start + seconds;
    if (seat)
        seat_free[s] = start + seconds;
    return row;
}

static void give_key(struct fri_row *row, int64_t key)
{
    row->key_kind = FRI_KEY_NUMBER;
    row->key = key;
}

static void failed(struct fri_row *row, uint32_t error)
{
    row->state = FRI_FAILED;
    row->error = error;
}

static void begin_run(void)
{
    made_begin();
    memset(worker_free, 0, sizeof worker_free);
    memset(seat_free, 0, sizeof seat_free);
    made.run.script = "/home/anna/crash/crash_grid.lua";
    made.run.host = "node-17";
    made.run.lua = "Lua 5.4.6";
    made.run.cores = WORKERS;
    made_pool("threads", FRUN_THREADS, WORKERS);
    made_limit("solver", SEATS);
}

/* A task of each name that could do harm. */
static void make_hostile(void)
{
    made.run.cause = hostile[0];
    for (size_t i = 0; i < COUNT(hostile); i++) {
        struct fri_row *row = run_next(i + 1, hostile[i], 0.1, 1, false);

        row->key_kind = FRI_KEY_MESSAGE;
        row->key = made_text(hostile[i]);
        failed(row, made_error(FRUN_ERROR, hostile[i], hostile[i], NULL));
    }
}

/* Meshes, then the solver for each, then what is read of it: a fifth, three
 * fifths and a fifth of n tasks. */
static void make_run(uint32_t n)
{
    uint32_t meshes = n / 5, solves = n - 2 * meshes, id = 0, need, slow;
    uint32_t boom = made_error(FRUN_ERROR, "crash.lua:41: mesh folds over at "
                               "element 2317", "stack traceback:\n"
                               "\tcrash.lua:41: in function 'solve'\n"
                               "\tcrash.lua:12: in function <crash.lua:9>",
                               NULL);
    uint32_t killed = made_error(FRUN_ECRASHED, "killed by signal 9", NULL,
                                 NULL);
    double unit = n > 10000 ? 0.01 : 1;

    need = made_need(0, 1);
    for (uint32_t i = 0; i < meshes; i++)
        give_key(run_next(++id, "mesh", 0.05, unit * (0.5 + any(1)), false),
                 i + 1);
    slow = solves * 3 / 4;
    for (uint32_t i = 0; i < solves; i++) {
        bool seat = n < 100 || i % 3 == 0;
        double seconds = unit * (i == slow ? 22 : 1 + any(2.5));
        struct fri_row *row = run_next(++id, "crash_test", 0.05 + any(unit),
                                       seconds, seat);

        give_key(row, i + 1);
        row->needs = seat ? need : 0;
        row->memory = 20000 + (uint32_t)any(8000);
        if (n > 50 && i % 97 == 50)
            failed(row, boom);
        if (n > 50 && i % 211 == 100) {
            row->kind = FRI_ROW_TRY;
            failed(row, killed);
            row = run_next(id, "crash_test", row->finished, seconds, seat);
            give_key(row, i + 1);
            row->attempt = 2;
        }
    }
    for (uint32_t i = 0; i < meshes; i++)
        give_key(run_next(++id, "evaluate", 0.1, unit * (0.05 + any(0.2)),
                          false), i + 1);
}

static void finish_run(void)
{
    for (size_t i = 0; i < made.count; i++)
        made.run.ended = later(made.run.ended, made.rows[i].finished + 0.01);
}

static void make(uint32_t n)
{
    begin_run();
    make_run(n);
    finish_run();
}

/* ---- names ------------------------------------------------------------ */

static size_t occurrences(const char *what)
{
    size_t n = 0;

    for (const char *c = (char *)out.data; (c = strstr(c, what)); c++)
        n++;
    return n;
}

/* The block of JSON, ended by a NUL in place of what follows it. */
static char *block(void)
{
    char *from = strstr((char *)out.data, "<script type=\"application/json\"");
    char *to;

    ck_assert_ptr_nonnull(from);
    from = strchr(from, '{');
    to = strstr(from, "</script>");
    ck_assert_ptr_nonnull(to);
    *to = '\0';
    return from;
}

START_TEST(no_name_breaks_out)
{
    size_t scripts, comments;

    made_begin();
    made_pool("p", FRUN_THREADS, 1);
    made_row(1, "plain", 1, 0, 1);
    write_page();
    scripts = occurrences("<script");
    comments = occurrences("<!--");
    fri_buffer_free(&out);

    for (size_t i = 0; i < COUNT(hostile); i++) {
        made_begin();
        made_pool((char *)hostile[i], FRUN_FORKS, 1);
        made_limit((char *)hostile[i], 1);
        made.run.script = made.run.host = made.run.lua = made.run.cause =
            hostile[i];
        made.run.argc = 1;
        made.run.argv = (char *const *)(void *)&hostile[i];
        struct fri_row *row = made_row(1, hostile[i], 1, 0, 1);
        row->key_kind = FRI_KEY_MESSAGE;
        row->key = made_text(hostile[i]);
        row->needs = made_need(0, 1);
        failed(row, made_error(FRUN_ERROR, hostile[i], hostile[i], NULL));
        write_page();
        ck_assert_uint_eq(occurrences("<script"), scripts);
        ck_assert_uint_eq(occurrences("<!--"), comments);
        for (const char *c = block(); *c; c++) {
            ck_assert((unsigned char)*c >= 0x20 && *c != 0x7f);
            ck_assert(*c != '<' && *c != '>' && *c != '&');
            ck_assert(strncmp(c, "\xe2\x80\xa8", 3) != 0);
            ck_assert(strncmp(c, "\xe2\x80\xa9", 3) != 0);
            ck_assert((unsigned char)*c < 0xf5);
        }
        end();
    }
}
END_TEST

START_TEST(the_page_allows_itself_only)
{
    const char *policy, *stop;
    char text[1000];

    made_begin();
    write_page();
    policy = strstr((char *)out.data, "Content-Security-Policy");
    ck_assert_ptr_nonnull(policy);
    stop = strchr(policy, '>');
    snprintf(text, sizeof text, "%.*s", (int)(stop - policy), policy);
    ck_assert_ptr_nonnull(strstr(text, "default-src 'none'"));
    ck_assert_ptr_nonnull(strstr(text, "script-src 'sha256-"));
    ck_assert_ptr_nonnull(strstr(text, "style-src 'sha256-"));
    ck_assert_ptr_null(strstr(text, "unsafe"));
    ck_assert_ptr_null(strstr(text, "http"));
    ck_assert_uint_eq(occurrences(" src=\""), 0);
    ck_assert_uint_eq(occurrences("<link"), 0);
    ck_assert_uint_eq(occurrences("@import"), 0);
    ck_assert_uint_eq(occurrences("The MIT License"), 1);
    end();
}
END_TEST

/* ---- size ------------------------------------------------------------- */

START_TEST(a_task_takes_about_ten_bytes)
{
    size_t empty;

    begin_run();
    write_page();
    empty = out.length;
    ck_assert_uint_lt(empty, PAGE);
    fri_buffer_free(&out);

    make(50000);
    write_page();
    printf("%.1f bytes a task, with cpu and memory\n",
           (double)(out.length - empty) / 50000);
    ck_assert_uint_lt(out.length - empty, 50000 * 14);
    fri_buffer_free(&out);

    for (size_t i = 0; i < made.count; i++) {
        made.rows[i].cpu = -1;
        made.rows[i].memory = 0;
    }
    write_page();
    printf("%.1f bytes a task\n", (double)(out.length - empty) / 50000);
    ck_assert_uint_lt(out.length - empty, 50000 * 12);
    end();
}
END_TEST

START_TEST(errors_are_kept_once_and_bounded)
{
    char *long_text = malloc(1 << 20);

    memset(long_text, 'x', (1 << 20) - 1);
    long_text[(1 << 20) - 1] = '\0';
    made_begin();
    made_pool("p", FRUN_THREADS, 1);
    uint32_t error = made_error(FRUN_ERROR, long_text, long_text, NULL);
    for (uint64_t i = 1; i <= 1000; i++)
        failed(made_row(i, "f", 1, (double)i, (double)i + 1), error);
    write_page();
    ck_assert_uint_lt(out.length, PAGE + 40000);
    ck_assert_uint_eq(occurrences("... (cut)"), 2);
    free(long_text);
    end();
}
END_TEST

/* ---- columns, read as the page reads them ----------------------------- */

static int64_t digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                 "abcdefghijklmnopqrstuvwxyz0123456789+/";

    return strchr(digits, c) - digits;
}

static size_t from_base64(const struct fri_buffer *text, uint8_t *bytes)
{
    size_t n = 0;

    for (size_t i = 0; i < text->length; i += 4) {
        const char *c = (char *)text->data + i;
        int64_t v = digit(c[0]) << 18 | digit(c[1]) << 12 |
                    (c[2] == '=' ? 0 : digit(c[2]) << 6) |
                    (c[3] == '=' ? 0 : digit(c[3]));

        bytes[n++] = (uint8_t)(v >> 16);
        if (c[2] != '=')
            bytes[n++] = (uint8_t)(v >> 8);
        if (c[3] != '=')
            bytes[n++] = (uint8_t)v;
    }
    return n;
}

static uint64_t number(const uint8_t **at)
{
    uint64_t n = 0;

    for (unsigned shift = 0;; shift += 7) {
        uint8_t byte = *(*at)++;

        n |= (uint64_t)(byte & 127) << shift;
        if (byte < 128)
            return n;
    }
}

START_TEST(columns_come_back)
{
    static const int64_t values[] = { 0,  0,  0,   1,    -1,   63,  64, -64,
                                      -65, 5, 5, 5, 5, 5, 1 << 20, -(1 << 20),
                                      INT64_C(1) << 48, -(INT64_C(1) << 48) };
    uint8_t bytes[400];
    const uint8_t *at = bytes;

    for (size_t n = 0; n <= COUNT(values); n++) {
        struct fri_column c;
        size_t i = 0;

        fri_column_init(&c, NULL);
        fri_buffer_init(&out, NULL);
        for (i = 0; i < n; i++)
            fri_column_add(&c, values[i]);
        fri_column_put(&c, &out);
        ck_assert_uint_eq(out.length % 4, 0);
        size_t length = from_base64(&out, bytes);
        for (i = 0, at = bytes; at < bytes + length;) {
            uint64_t token = number(&at), times = token & 1 ? number(&at) : 1;

            for (; times > 0; times--, i++)
                ck_assert_int_eq((int64_t)(token >> 2 ^ -(token >> 1 & 1)),
                                 values[i]);
        }
        ck_assert_uint_eq(i, n);
        fri_column_free(&c);
        fri_buffer_free(&out);
    }
}
END_TEST

/* ---- all of it -------------------------------------------------------- */

START_TEST(every_sort_of_row)
{
    struct fri_row *row;
    uint64_t one = 1;

    made_begin();
    made_pool("p", FRUN_THREADS, 2);
    made_row(1, NULL, 1, 0, 1);
    row = made_row(2, "never", 0, 1, 1);
    row->flags = 0;
    row->state = FRI_CANCELLED;
    row->after = made_after(&one, 1);
    row = made_row(3, "kept", 0, 0, 0);
    row->flags = FRI_ROW_JOURNAL;
    row = made_row(4, "items", 2, 0.5, 1);
    row->kind = FRI_ROW_SLICE;
    row->items = 100;
    row = made_row(4, "items", 0, 0.5, 1);
    row->kind = FRI_ROW_MAP;
    row = made_row(5, "big", 2, 1, 2);
    row->key_kind = FRI_KEY_NUMBER;
    row->key = INT64_MAX;
    write_page();
    const char *json = block();
    ck_assert_ptr_nonnull(strstr(json, "\"lanes\":[0,1,1,0,2,2]"));
    ck_assert_ptr_nonnull(strstr(json, "\"rows\":5,"));
    ck_assert_ptr_nonnull(strstr(json, "\"large\":[9223372036854775807]"));
    end();
}
END_TEST

START_TEST(nothing_at_all)
{
    made_begin();
    write_page();
    ck_assert_ptr_nonnull(strstr(block(), "\"lanes\":[],\"rows\":0,"));
    end();
}
END_TEST

START_TEST(each_allocation_may_fail)
{
    bool well = false;

    make(40);
    for (long n = 0; !well && n < 1000; n++) {
        heap.allowed = n;
        fri_buffer_init(&out, &memory);
        fri_page_write(&made, &memory, &out);
        well = !out.failed;
        heap.allowed = -1;
        end();
    }
    ck_assert(well);
}
END_TEST

/* ---- the words for it ------------------------------------------------- */

static const char *words(void (*put)(const struct fri_costs *,
                                     struct fri_buffer *))
{
    struct fri_costs *c = fri_costs_open(&made, &memory);

    ck_assert_ptr_nonnull(c);
    fri_buffer_init(&out, &memory);
    put(c, &out);
    fri_buffer_byte(&out, '\0');
    fri_costs_close(c);
    return (char *)out.data;
}

#define says(put, text)                                                       \
    do {                                                                      \
        ck_assert_str_eq(words(put), (text));                                 \
        end();                                                                \
    } while (0)

START_TEST(a_limit_held_it_back)
{
    uint32_t need;

    made_begin();
    made_pool("p", FRUN_COMMANDS, 4);
    made_limit("solver", 1);
    need = made_need(0, 1);
    for (int i = 0; i < 4; i++)
        made_row((uint64_t)i + 1, "f", (uint16_t)(i + 1), i, i + 1)->needs =
            need;
    made.run.ended = 4;
    says(fri_costs_held_back, "limit solver (1 seat): 4.0 s of 4.0 s");
    says(fri_costs_advice,
         "Seats were the bottleneck, of limit solver (1 seat): with 2 the "
         "least possible time falls from 4.0 s to 2.0 s.");
}
END_TEST

START_TEST(workers_held_it_back)
{
    made_begin();
    made_pool("p", FRUN_THREADS, 2);
    for (int i = 0; i < 8; i++)
        made_row((uint64_t)i + 1, "f", (uint16_t)(i % 2 + 1), i / 2,
                 i / 2 + 1);
    made.run.ended = 4;
    says(fri_costs_held_back, "p (2 workers): 4.0 s of 4.0 s");
    says(fri_costs_advice, "Work kept all workers busy: with 4 the least "
                           "possible time falls from 4.0 s to 2.0 s.");
    made.run.cores = 2;
    says(fri_costs_advice,
         "Work kept all workers busy: they use the 2 cores there are, so only "
         "less work or a larger machine makes this shorter.");
}
END_TEST

START_TEST(the_path_held_it_back)
{
    struct fri_row *row;

    made_begin();
    made_pool("p", FRUN_THREADS, 2);
    row = made_row(1, "mesh", 1, 0, 3);
    give_key(row, 7);
    made_row(2, "mesh", 2, 0, 1);
    made.run.ended = 3;
    says(fri_costs_advice,
         "Make mesh [7] shorter (3.0 s, the longest of the critical path), "
         "or split it: more workers or seats would not help.");
}
END_TEST

START_TEST(every_cost_has_its_advice)
{
    static const uint32_t sizes[] = { 0, 5, 60, 500 };

    for (size_t i = 0; i < COUNT(sizes); i++) {
        make(sizes[i]);
        ck_assert(sizes[i] == 0 || strlen(words(fri_costs_advice)) > 20);
        if (sizes[i] == 0)
            words(fri_costs_advice);
        end();
    }
}
END_TEST

static int show(const char *n)
{
    begin_run();
    if (strcmp(n, "hostile") == 0)
        make_hostile();
    else
        make_run((uint32_t)atoi(n));
    finish_run();
    fri_buffer_init(&out, NULL);
    fri_page_write(&made, NULL, &out);
    return out.failed || fwrite(out.data, 1, out.length, stdout) != out.length;
}

int main(int argc, char **argv)
{
    const TTest *const tests[] = {
        no_name_breaks_out,
        the_page_allows_itself_only,
        a_task_takes_about_ten_bytes,
        errors_are_kept_once_and_bounded,
        columns_come_back,
        every_sort_of_row,
        nothing_at_all,
        each_allocation_may_fail,
        a_limit_held_it_back,
        workers_held_it_back,
        the_path_held_it_back,
        every_cost_has_its_advice,
    };

    if (argc == 2)
        return show(argv[1]);
    return unit_run("page", tests, COUNT(tests));
}
