#include "report/texts.h"

#include "base/hash.h"
#include "core/output.h"

#include <math.h>

enum { FIRST = 64 };

void fri_texts_init(struct fri_texts *t, const struct fri_memory *m)
{
    fri_buffer_init(&t->bytes, m);
    fri_buffer_init(&t->starts, m);
    t->places = NULL;
    t->place_count = 0;
}

void fri_texts_free(struct fri_texts *t)
{
    fri_free(t->bytes.memory, t->places);
    fri_buffer_free(&t->bytes);
    fri_buffer_free(&t->starts);
    t->places = NULL;
    t->place_count = 0;
}

size_t fri_texts_count(const struct fri_texts *t)
{
    return t->starts.length / sizeof(size_t);
}

static size_t start_of(const struct fri_texts *t, uint32_t n)
{
    size_t start;

    if (n > fri_texts_count(t))
        return t->bytes.length;
    memcpy(&start, t->starts.data + (n - 1) * sizeof start, sizeof start);
    return start;
}

const char *fri_texts_get(const struct fri_texts *t, uint32_t n,
                          size_t *length)
{
    size_t start = start_of(t, n);

    if (length)
        *length = start_of(t, n + 1) - start - 1;
    return (const char *)t->bytes.data + start;
}

/* Where the text is, or where it would be put. */
static uint32_t *place(const struct fri_texts *t, const char *text,
                       size_t length)
{
    size_t mask = t->place_count - 1, i = fri_hash(text, length, 1) & mask;

    while (t->places[i] != 0) {
        size_t have;
        const char *there = fri_texts_get(t, t->places[i], &have);

        if (have == length && memcmp(there, text, length) == 0)
            break;
        i = (i + 1) & mask;
    }
    return &t->places[i];
}

static bool make_room(struct fri_texts *t)
{
    size_t count = fri_texts_count(t), want = t->place_count * 2;
    uint32_t *places;

    if (count * 2 < t->place_count)
        return true;
    want = want ? want : FIRST;
    places = fri_alloc_zero(t->bytes.memory, want * sizeof *places);
    if (!places)
        return false;
    fri_free(t->bytes.memory, t->places);
    t->places = places;
    t->place_count = want;
    for (uint32_t n = 1; n <= count; n++) {
        size_t length;
        const char *text = fri_texts_get(t, n, &length);

        *place(t, text, length) = n;
    }
    return true;
}

uint32_t fri_texts_add(struct fri_texts *t, const char *text, size_t length)
{
    size_t start = t->bytes.length;
    uint32_t *at;

    if (!make_room(t))
        return 0;
    at = place(t, text, length);
    if (*at)
        return *at;
    if (!fri_buffer_reserve(&t->bytes, length + 1)
        || !fri_buffer_reserve(&t->starts, sizeof start)) {
        t->bytes.failed = t->starts.failed = false;
        return 0;
    }
    fri_buffer_add(&t->bytes, text, length);
    fri_buffer_byte(&t->bytes, '\0');
    fri_buffer_add(&t->starts, &start, sizeof start);
    return *at = (uint32_t)fri_texts_count(t);
}

/* ---- writing ---------------------------------------------------------- */

/* The bytes of the character at c and which it is; 0: none that UTF-8 has. */
static size_t character(const unsigned char *c, const unsigned char *end,
                        uint32_t *code)
{
    static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
    size_t n = *c < 0x80 ? 1 : *c < 0xc2 ? 0 : *c < 0xe0 ? 2 : *c < 0xf0 ? 3
             : *c < 0xf5 ? 4 : 0;

    if (n == 0 || (size_t)(end - c) < n)
        return 0;
    *code = n == 1 ? *c : *c & (0xffu >> (n + 1));
    for (size_t i = 1; i < n; i++) {
        if ((c[i] & 0xc0) != 0x80)
            return 0;
        *code = *code << 6 | (c[i] & 0x3fu);
    }
    if (*code < least[n] || *code > 0x10ffff
        || (*code >= 0xd800 && *code < 0xe000))
        return 0;
    return n;
}

static const char unknown[] = "\xef\xbf\xbd"; /* U+FFFD */

typedef bool put_special(struct fri_buffer *b, uint32_t code);

static void put(struct fri_buffer *b, const char *text, size_t length,
                put_special *special)
{
    const unsigned char *c = (const unsigned char *)text, *end = c + length;
    uint32_t code = 0;

    while (c < end) {
        size_t n = character(c, end, &code);

        if (n == 0)
            fri_buffer_text(b, unknown);
        else if (!special(b, code))
            fri_buffer_add(b, c, n);
        c += n ? n : 1;
    }
}

/* U+2028 and U+2029 end a line of a script. */
static bool special_json(struct fri_buffer *b, uint32_t code)
{
    switch (code) {
    case '"': fri_buffer_text(b, "\\\""); return true;
    case '\\': fri_buffer_text(b, "\\\\"); return true;
    case '\n': fri_buffer_text(b, "\\n"); return true;
    case '\r': fri_buffer_text(b, "\\r"); return true;
    case '\t': fri_buffer_text(b, "\\t"); return true;
    default: break;
    }
    if (code >= 0x20 && code != '<' && code != '>' && code != '&'
        && !(code >= 0x7f && code < 0xa0) && code != 0x2028 && code != 0x2029)
        return false;
    fri_buffer_printf(b, "\\u%04x", code);
    return true;
}

void fri_put_json(struct fri_buffer *b, const char *text, size_t length)
{
    fri_buffer_byte(b, '"');
    put(b, text, length, special_json);
    fri_buffer_byte(b, '"');
}

static bool special_xml(struct fri_buffer *b, uint32_t code)
{
    switch (code) {
    case '<': fri_buffer_text(b, "&lt;"); return true;
    case '>': fri_buffer_text(b, "&gt;"); return true;
    case '&': fri_buffer_text(b, "&amp;"); return true;
    case '"': fri_buffer_text(b, "&quot;"); return true;
    case '\t': fri_buffer_text(b, "&#9;"); return true;
    case '\n': fri_buffer_text(b, "&#10;"); return true;
    case '\r': fri_buffer_text(b, "&#13;"); return true;
    default: break;
    }
    if (code >= 0x20 && code != 0xfffe && code != 0xffff
        && !(code >= 0x7f && code < 0xa0))
        return false;
    fri_buffer_text(b, unknown);
    return true;
}

void fri_put_xml(struct fri_buffer *b, const char *text, size_t length)
{
    put(b, text, length, special_xml);
}

/* Without printf, which asks the locale for its comma. */
void fri_put_seconds(struct fri_buffer *b, double seconds)
{
    bool fine = isfinite(seconds) && fabs(seconds) < 9e12;
    long long n = fine ? llround(seconds * 1e6) : 0;
    long long size = n < 0 ? -n : n;

    fri_buffer_printf(b, "%s%lld.%06lld", n < 0 ? "-" : "", size / 1000000,
                      size % 1000000);
}

void fri_put_field(struct fri_buffer *b, const char *text, size_t length)
{
    fri_escape(b, text, length, SIZE_MAX, false);
}
