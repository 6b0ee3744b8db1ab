/*
 * error.c - errors: bounded whatever a task says, one line whatever it is.
 */
#include "data/error.h"

#include "data/message.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum {
    LONGEST = 65536, /* bytes of a message, or of a traceback */
    MARK = 40,       /* of these, room for "... (N bytes cut)" */
    CHAIN = 32       /* errors from the first to the last cause */
};

/* ---- the table -------------------------------------------------------- */

#define X(status, kind, text) [status] = text,
static const char *const texts[] = { FRI_STATUSES(X) };
#undef X

#define X(status, kind, text) [status] = kind,
static const char *const kinds[] = { FRI_STATUSES(X) };
#undef X

static bool is_known(frun_status status)
{
    return (unsigned)status < sizeof(texts) / sizeof(*texts);
}

const char *frun_status_text(frun_status status)
{
    return is_known(status) ? texts[status] : "unknown status";
}

const char *fri_status_kind(frun_status status)
{
    return is_known(status) ? kinds[status] : NULL;
}

/* ---- texts ------------------------------------------------------------ */

static bool breaks_line(char c)
{
    return c == '\n' || c == '\r';
}

/* Appends s[0..n-1] to out, if there is one; its length there. */
static size_t add_bytes(char *out, const char *s, size_t n, bool one_line)
{
    size_t length = 0;

    for (size_t i = 0; i < n; i++) {
        bool escape = one_line && breaks_line(s[i]);

        if (out && escape) {
            out[length] = '\\';
            out[length + 1] = s[i] == '\n' ? 'n' : 'r';
        } else if (out) {
            out[length] = s[i];
        }
        length += escape ? 2 : 1;
    }
    return length;
}

/* How many of n bytes to keep; characters of UTF-8 stay whole. */
static size_t kept(const char *s, size_t n, bool one_line)
{
    size_t i, length = 0;

    if (n <= LONGEST && add_bytes(NULL, s, n, one_line) <= LONGEST)
        return n;
    for (i = 0; length + 2 <= LONGEST - MARK; i++)
        length += add_bytes(NULL, s + i, 1, one_line);
    for (size_t back = 0; back < 3 && (s[i] & 0xc0) == 0x80; back++)
        i--;
    return i;
}

static char *bounded(const struct fri_memory *m, const char *s, bool one_line)
{
    size_t n = strlen(s), keep, length;
    char *text;

    while (one_line && n > 0 && breaks_line(s[n - 1]))
        n--;
    keep = kept(s, n, one_line);
    length = add_bytes(NULL, s, keep, one_line);
    text = fri_alloc(m, length + MARK + 1);
    if (!text)
        return NULL;
    add_bytes(text, s, keep, one_line);
    text[length] = '\0';
    if (keep < n)
        snprintf(text + length, MARK + 1, "... (%zu bytes cut)", n - keep);
    return text;
}

/* ---- errors ----------------------------------------------------------- */

/* The cause to keep: of a chain that is long enough, the first of all. */
static struct fri_error *bounded_cause(struct fri_error *cause)
{
    struct fri_error *last = cause;
    int length = 1;

    if (!cause)
        return NULL;
    for (; last->cause; last = last->cause)
        length++;
    return fri_error_ref(length < CHAIN ? cause : last);
}

/* A status that tasks should not end with is an error like another. */
static const char *word(frun_status status)
{
    const char *kind = fri_status_kind(status);

    return kind ? kind : "error";
}

struct fri_error *fri_error_new(const struct fri_memory *m, frun_status status,
                                const char *message, const char *traceback,
                                struct fri_error *cause)
{
    struct fri_error *e = fri_alloc_zero(m, sizeof(*e));

    if (!e)
        return NULL;
    atomic_init(&e->refs, 1);
    e->memory = m;
    e->message = bounded(m, message ? message : frun_status_text(status), true);
    if (!e->message)
        goto fail;
    if (traceback) {
        e->traceback = bounded(m, traceback, false);
        if (!e->traceback)
            goto fail;
    }
    e->cause = bounded_cause(cause);
    e->public = (frun_error){ .status = status,
                              .kind = word(status),
                              .exit_status = -1,
                              .message = e->message,
                              .traceback = e->traceback,
                              .cause = e->cause ? &e->cause->public : NULL };
    return e;

fail:
    fri_error_free(e);
    return NULL;
}

struct fri_error *fri_error_format(const struct fri_memory *m,
                                   frun_status status, const char *format, ...)
{
    struct fri_error *e = NULL;
    char few[256], *text = few;
    va_list args;
    int n;

    va_start(args, format);
    n = vsnprintf(few, sizeof(few), format, args);
    va_end(args);
    if (n < 0)
        return fri_error_new(m, status, format, NULL, NULL);
    if ((size_t)n >= sizeof(few)) {
        text = fri_alloc(m, (size_t)n + 1);
        if (!text)
            return NULL;
        va_start(args, format);
        vsnprintf(text, (size_t)n + 1, format, args);
        va_end(args);
    }
    e = fri_error_new(m, status, text, NULL, NULL);
    if (text != few)
        fri_free(m, text);
    return e;
}

void fri_error_set_result(struct fri_error *error, frun_value *result)
{
    frun_value_free(error->result);
    error->result = result;
    error->public.result = result;
}

struct fri_error *fri_error_ref(struct fri_error *error)
{
    if (error)
        atomic_fetch_add_explicit(&error->refs, 1, memory_order_relaxed);
    return error;
}

static void free_error(struct fri_error *e)
{
    fri_message_free(e->value);
    fri_message_free(e->key);
    frun_value_free(e->result);
    fri_free(e->memory, e->message);
    fri_free(e->memory, e->traceback);
    fri_free(e->memory, e->task);
    fri_free(e->memory, e->pool);
    fri_free(e->memory, e);
}

void fri_error_free(struct fri_error *error)
{
    while (error && atomic_fetch_sub_explicit(&error->refs, 1,
                                              memory_order_acq_rel) == 1) {
        struct fri_error *cause = error->cause;

        free_error(error);
        error = cause;
    }
}
