/*
 * cells.c - values of a journal as text, JSON and CSV.
 */
#include "command/show.h"

#include "core/output.h"
#include "report/texts.h"

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

void fri_cell_json(struct fri_buffer *out, const struct fri_cell *c)
{
    if (c->kind == FRI_CELL_TEXT || c->kind == FRI_CELL_BLOB)
        fri_put_json(out, c->bytes.data ? c->bytes.data : "",
                     c->bytes.length);
    else if (c->kind == FRI_CELL_NULL
             || (c->kind == FRI_CELL_REAL && !isfinite(c->real)))
        fri_buffer_text(out, "null");
    else
        fri_cell_text(out, c);
}

/* ---- CSV -------------------------------------------------------------- */

static bool needs_quotes(const struct fri_buffer *text)
{
    const uint8_t *s = text->data;
    size_t n = text->length;

    for (size_t i = 0; i < n; i++)
        if (s[i] == '"' || s[i] == ',' || s[i] == '\n')
            return true;
    return n > 0 && (s[0] == ' ' || s[n - 1] == ' ');
}

static void put_csv(struct fri_buffer *out, const struct fri_buffer *text)
{
    bool quotes = needs_quotes(text);

    fri_buffer_text(out, quotes ? "\"" : "");
    for (size_t i = 0; i < text->length; i++) {
        if (text->data[i] == '"')
            fri_buffer_byte(out, '"');
        fri_buffer_byte(out, text->data[i]);
    }
    fri_buffer_text(out, quotes ? "\"" : "");
}

/* Lines stay lines; other control characters could steer a terminal. */
void fri_cell_csv(struct fri_buffer *out, const struct fri_cell *c)
{
    struct fri_buffer text;

    if (c->kind != FRI_CELL_TEXT && c->kind != FRI_CELL_BLOB) {
        fri_cell_text(out, c);
        return;
    }
    fri_buffer_init(&text, out->memory);
    fri_escape(&text, c->bytes.data ? c->bytes.data : "", c->bytes.length,
               SIZE_MAX, true);
    put_csv(out, &text);
    out->failed |= text.failed;
    fri_buffer_free(&text);
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
