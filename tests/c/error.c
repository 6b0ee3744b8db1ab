/* error.c - statuses, errors, and the messages that they may hold. */
#include "data/error.h"
#include "data/message.h"
#include "unit.h"

#include <pthread.h>

static struct unit_heap heap = { 0, -1 };
static const struct fri_memory memory = { unit_allocate, unit_free, &heap };

START_TEST(each_status_has_its_words)
{
#define X(status, kind, text)                                                 \
    ck_assert_pstr_eq(fri_status_kind(status), kind);                         \
    ck_assert_str_eq(frun_status_text(status), text);
    FRI_STATUSES(X)
#undef X
    ck_assert_str_eq(frun_status_text((frun_status)99), "unknown status");
    ck_assert_str_eq(frun_status_text((frun_status)-1), "unknown status");
    ck_assert_pstr_eq(fri_status_kind((frun_status)99), NULL);
}
END_TEST

START_TEST(errors_say_what_they_were_told)
{
    struct fri_error *cause = fri_error_format(&memory, FRUN_ERROR, "%s: %d",
                                               "mesh", 7);
    struct fri_error *e = fri_error_new(&memory, FRUN_EDEPENDENCY, NULL,
                                        "stack\n\tline", cause);

    fri_error_free(cause);
    ck_assert_int_eq(e->public.status, FRUN_EDEPENDENCY);
    ck_assert_str_eq(e->public.kind, "dependency");
    ck_assert_str_eq(e->public.message, "a task it waits for failed");
    ck_assert_str_eq(e->public.traceback, "stack\n\tline");
    ck_assert_int_eq(e->public.exit_status, -1);
    ck_assert_int_eq(e->public.attempts + e->public.signal, 0);
    ck_assert_str_eq(e->public.cause->message, "mesh: 7");
    ck_assert_ptr_null(e->public.cause->traceback);
    ck_assert_ptr_null(e->public.cause->cause);
    fri_error_free(fri_error_ref(e));
    fri_error_free(e);
    fri_error_free(NULL);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

START_TEST(a_result_is_the_errors)
{
    struct fri_error *e = fri_error_new(&memory, FRUN_EEXIT, "", NULL, NULL);

    ck_assert_ptr_null(e->public.result);
    fri_error_set_result(e, frun_value_int(1));
    fri_error_set_result(e, frun_value_int(2));
    ck_assert_int_eq(frun_value_as_int(e->public.result), 2);
    fri_error_free(e);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

static void says(const char *given, const char *wanted)
{
    struct fri_error *e = fri_error_new(NULL, FRUN_EINVAL, given, NULL, NULL);

    ck_assert_str_eq(e->public.message, wanted);
    ck_assert_str_eq(e->public.kind, "error");
    fri_error_free(e);
}

START_TEST(a_message_is_one_line)
{
    says("", "");
    says("\n\n", "");
    says("one", "one");
    says("one\n", "one");
    says("one\ntwo\r\nthree\n\n", "one\\ntwo\\r\\nthree");
}
END_TEST

/* A text of n bytes, the unit over and over. */
static char *much(const char *unit, size_t n)
{
    char *text = malloc(n + 1);

    ck_assert_ptr_nonnull(text);
    for (size_t i = 0; i < n; i++)
        text[i] = unit[i % strlen(unit)];
    text[n] = '\0';
    return text;
}

/* The message for such a text is cut, and says by how much. */
static void is_cut(const char *unit, size_t n)
{
    char *text = much(unit, n), mark[64];
    struct fri_error *e = fri_error_new(&memory, FRUN_ERROR, text, text, NULL);
    const char *message = e->public.message, *end = strstr(message, "... (");

    ck_assert_uint_le(strlen(message), 65536);
    ck_assert_uint_ge(strlen(message), 65000);
    ck_assert_ptr_nonnull(end);
    ck_assert_int_eq((end - message) % (long)strlen(unit), 0);
    snprintf(mark, sizeof(mark), "... (%zu bytes cut)",
             n - (size_t)(end - message));
    ck_assert_str_eq(end, mark);
    ck_assert_uint_le(strlen(e->public.traceback), 65536);
    fri_error_free(e);
    free(text);
}

START_TEST(long_texts_are_cut)
{
    char *text = much("m", 65536);
    struct fri_error *e;

    says(text, text);
    free(text);
    is_cut("m", 65537);
    is_cut("m", 1 << 20);
    is_cut("\xe2\x82\xac", 3 << 18);
    is_cut("\xf0\x9f\x98\x80", 1 << 20);
    text = much("\n.", 60000);
    e = fri_error_new(&memory, FRUN_ERROR, text, NULL, NULL);
    ck_assert_uint_le(strlen(e->public.message), 65536);
    ck_assert_ptr_null(strchr(e->public.message, '\n'));
    fri_error_free(e);
    free(text);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

START_TEST(a_long_format_is_kept)
{
    char *text = much("word ", 1000);
    struct fri_error *e = fri_error_format(&memory, FRUN_ERROR, "<%s>", text);

    ck_assert_uint_eq(strlen(e->public.message), 1002);
    ck_assert_str_eq(e->public.message + 1000, " >");
    fri_error_free(e);
    free(text);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

START_TEST(a_chain_keeps_its_ends)
{
    struct fri_error *e = fri_error_new(&memory, FRUN_ERROR, "first", NULL,
                                        NULL);
    const frun_error *at;
    int length = 1;

    for (int i = 0; i < 100000; i++) {
        struct fri_error *next = fri_error_new(&memory, FRUN_EDEPENDENCY,
                                               "next", NULL, e);

        fri_error_free(e);
        e = next;
    }
    for (at = &e->public; at->cause; at = at->cause)
        length++;
    ck_assert_int_gt(length, 1);
    ck_assert_int_le(length, 32);
    ck_assert_str_eq(at->message, "first");
    fri_error_free(e);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

/* ---- messages --------------------------------------------------------- */

static int freed;

static void free_handle(struct fri_handle *h)
{
    (void)h;
    freed++;
}

START_TEST(messages_hold_their_handles)
{
    struct fri_handle one = { 1, FRI_HANDLE_POOL, 0, free_handle };
    struct fri_handle two = { 1, FRI_HANDLE_LIMIT, 0, free_handle };
    struct fri_handle *handles[] = { &one, &two, &one };

    for (size_t n = 0; n < 20; n++) {
        struct fri_message *m = fri_message_new(
            &memory, "abcdefghijklmnopqrst", n, handles, COUNT(handles));

        ck_assert_uint_eq(one.refs, 3);
        ck_assert_uint_eq((uintptr_t)m->handles % sizeof(void *), 0);
        ck_assert_ptr_eq(m->handles[1], &two);
        ck_assert_uint_eq(m->length, n);
        ck_assert_int_eq(memcmp(m->data, "abcdefghijklmnopqrst", n), 0);
        fri_message_free(fri_message_ref(m));
        ck_assert_uint_eq(two.refs, 2);
        fri_message_free(m);
        ck_assert_uint_eq(one.refs + two.refs, 2);
    }
    fri_message_free(NULL);
    ck_assert_int_eq(freed + (int)heap.blocks, 0);
    fri_handle_unref(&one);
    ck_assert_int_eq(freed, 1);
}
END_TEST

START_TEST(an_error_frees_what_it_holds)
{
    struct fri_handle one = { 1, FRI_HANDLE_POOL, 0, free_handle };
    struct fri_handle *handles[] = { &one };
    struct fri_error *e = fri_error_new(&memory, FRUN_ERROR, "m", NULL, NULL);

    e->value = fri_message_new(&memory, "\0\0", 2, handles, 1);
    e->key = fri_message_new(&memory, NULL, 0, NULL, 0);
    e->task = fri_strdup(&memory, "task");
    e->pool = fri_strdup(&memory, "pool");
    fri_error_free(e);
    ck_assert_uint_eq(one.refs, 1);
    ck_assert_int_eq(heap.blocks, 0);
}
END_TEST

static void *hold_and_drop(void *user)
{
    for (int i = 0; i < 20000; i++) {
        fri_error_free(fri_error_ref(user));
        fri_message_free(
            fri_message_ref(((struct fri_error *)user)->value));
    }
    fri_error_free(user);
    return NULL;
}

START_TEST(threads_may_share_them)
{
    struct fri_error *e = fri_error_new(NULL, FRUN_ERROR, "m", NULL, NULL);
    pthread_t threads[4];

    e->value = fri_message_new(NULL, "\0\0", 2, NULL, 0);
    for (size_t i = 0; i < COUNT(threads); i++)
        ck_assert_int_eq(pthread_create(&threads[i], NULL, hold_and_drop,
                                        fri_error_ref(e)),
                         0);
    fri_error_free(e);
    for (size_t i = 0; i < COUNT(threads); i++)
        pthread_join(threads[i], NULL);
}
END_TEST

START_TEST(memory_can_run_out_anywhere)
{
    struct fri_handle one = { 1, FRI_HANDLE_POOL, 0, free_handle };
    struct fri_handle *handles[] = { &one };
    char *text = much("text", 500);
    struct fri_error *e = NULL;
    long n;

    for (n = 0; !e; n++) {
        heap.allowed = n;
        e = fri_error_new(&memory, FRUN_ERROR, text, text, NULL);
        ck_assert(e || heap.blocks == 0);
    }
    ck_assert_int_ge(n, 3);
    fri_error_free(e);
    for (n = 0, e = NULL; !e; n++) {
        heap.allowed = n;
        e = fri_error_format(&memory, FRUN_ERROR, "%s", text);
        ck_assert(e || heap.blocks == 0);
    }
    fri_error_free(e);
    heap.allowed = 0;
    ck_assert_ptr_null(fri_message_new(&memory, "", 1, handles, 1));
    ck_assert_ptr_null(fri_message_new(NULL, "", SIZE_MAX, handles, 1));
    ck_assert_uint_eq(one.refs, 1);
    ck_assert_int_eq(heap.blocks, 0);
    free(text);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        each_status_has_its_words,    errors_say_what_they_were_told,
        a_result_is_the_errors,
        a_message_is_one_line,        long_texts_are_cut,
        a_long_format_is_kept,        a_chain_keeps_its_ends,
        messages_hold_their_handles,  an_error_frees_what_it_holds,
        threads_may_share_them,       memory_can_run_out_anywhere,
    };

    return unit_run("error", tests, COUNT(tests));
}
