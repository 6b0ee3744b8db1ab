/*
 * cells.c - values of a journal as text, JSON and CSV.
 */
#include "command/show.h"

#include "core/output.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* The shortest form that reads back. */
static void number_text(struct fri_buffer *out, double n)
{
    char text[40];

    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, n);
        if (strtod(text, NULL) == n)
            break;
    }
    fri_buffer_text(out, text);
}

void fri_cell_text(struct fri_buffer *out, const struct fri_cell *c)
{
    switch (c->kind) {
    case FRI_CELL_INT:
        fri_buffer_printf(out, "%lld", (long long)c->number);
        break;
    case FRI_CELL_REAL:
        number_text(out, c->real);
        break;
    case FRI_CELL_TEXT:
    case FRI_CELL_BLOB:
        fri_escape(out, c->bytes.data, c->bytes.length, 2000, false);
        break;
    default:
        break;
    }
}

/* ---- JSON ------------------------------------------------------------- */

/* The length of the UTF-8 character there; 0: it is none. */
static size_t character(const unsigned char *s, size_t n)
{
    size_t length = s[0] < 0x80 ? 1 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;

    if (s[0] >= 0x80 && (s[0] < 0xc2 || s[0] > 0xf4))
        return 0;
    if (length > n)
        return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)
        || (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

static void json_string(struct fri_buffer *out, struct fri_bytes b)
{
    const unsigned char *s = b.data, *end = s + b.length;

    fri_buffer_byte(out, '"');
    while (s < end) {
        size_t n = character(s, (size_t)(end - s));

        if (n == 0)
            fri_buffer_text(out, "\\ufffd");
        else if (n == 1 && (*s < 0x20 || *s == 0x7f))
            fri_buffer_printf(out, "\\u%04x", *s);
        else {
            if (*s == '"' || *s == '\\')
                fri_buffer_byte(out, '\\');
            fri_buffer_add(out, s, n);
        }
        s += n ? n : 1;
    }
    fri_buffer_byte(out, '"');
}

void fri_cell_json(struct fri_buffer *out, const struct fri_cell *c)
{
    if (c->kind == FRI_CELL_TEXT || c->kind == FRI_CELL_BLOB)
        json_string(out, c->bytes);
    else if (c->kind == FRI_CELL_NULL
             || (c->kind == FRI_CELL_REAL && !isfinite(c->real)))
        fri_buffer_text(out, "null");
    else
        fri_cell_text(out, c);
}

/* ---- CSV -------------------------------------------------------------- */

static bool needs_quotes(struct fri_bytes b)
{
    const char *s = b.data;

    for (size_t i = 0; i < b.length; i++)
        if (s[i] == '"' || s[i] == ',' || s[i] == '\n' || s[i] == '\r')
            return true;
    return b.length > 0 && (s[0] == ' ' || s[b.length - 1] == ' ');
}

void fri_cell_csv(struct fri_buffer *out, const struct fri_cell *c)
{
    const char *s = c->bytes.data;

    if ((c->kind != FRI_CELL_TEXT && c->kind != FRI_CELL_BLOB)) {
        fri_cell_text(out, c);
        return;
    }
    if (!needs_quotes(c->bytes)) {
        fri_buffer_add(out, s, c->bytes.length);
        return;
    }
    fri_buffer_byte(out, '"');
    for (size_t i = 0; i < c->bytes.length; i++) {
        if (s[i] == '"')
            fri_buffer_byte(out, '"');
        fri_buffer_byte(out, (uint8_t)s[i]);
    }
    fri_buffer_byte(out, '"');
}

/* ---- in words --------------------------------------------------------- */

void fri_case_text(struct fri_buffer *out, struct fri_bytes name,
                   const struct fri_cell *key)
{
    struct fri_cell cell = fri_cell_of(name);

    fri_cell_text(out, &cell);
    if (key->kind == FRI_CELL_NULL)
        return;
    fri_buffer_text(out, " [");
    fri_cell_text(out, key);
    fri_buffer_byte(out, ']');
}

void fri_seconds_text(struct fri_buffer *out, double s)
{
    if (s < 0.0995)
        fri_buffer_printf(out, "%.3g ms", s * 1e3);
    else if (s < 99.95)
        fri_buffer_printf(out, "%.3g s", s);
    else if (s < 3600)
        fri_buffer_printf(out, "%.0f min %.0f s", floor(s / 60),
                          floor(fmod(s, 60)));
    else
        fri_buffer_printf(out, "%.0f h %.0f min", floor(s / 3600),
                          floor(fmod(s, 3600) / 60));
}
