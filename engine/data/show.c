/*
 * show.c - reads as the codec does; what is not shown is read all the same.
 */
#include "data/show.h"

#include "data/codec.h"

#include <stdio.h>

enum { DEEP = 3, STRING = 60, ITEMS = 8 };

struct shower {
    struct fri_reader r;
    struct fri_buffer *out;
    size_t end;     /* of out: beyond it nothing is shown */
    unsigned depth; /* of tables that are open */
    unsigned mute;  /* > 0: nothing is shown */
    bool cut;       /* "..." was */
};

static void show_value(struct shower *s);

static bool silent(struct shower *s)
{
    if (s->mute > 0)
        return true;
    if (s->out->length < s->end)
        return false;
    if (!s->cut)
        fri_buffer_text(s->out, "...");
    return s->cut = true;
}

static void put(struct shower *s, const char *text)
{
    if (!silent(s))
        fri_buffer_text(s->out, text);
}

/* ---- scalars ---------------------------------------------------------- */

static void put_number(struct shower *s, double n)
{
    char text[40], *comma;

    snprintf(text, sizeof text, "%.14g", n);
    comma = strchr(text, ',');
    if (comma)
        *comma = '.';
    put(s, text);
}

static void put_whole(struct shower *s, int64_t n)
{
    char text[24];

    snprintf(text, sizeof text, "%lld", (long long)n);
    put(s, text);
}

/* Of a character that steers a terminal, how many bytes; else 0. */
static size_t control(const unsigned char *c, size_t left)
{
    if (*c == 0xc2 && left > 1 && c[1] < 0xa0)
        return 2;
    return *c < 0x20 || *c == 0x7f;
}

/* One character, or a byte of it; how many bytes. */
static size_t put_character(struct fri_buffer *out, const unsigned char *c,
                            size_t left)
{
    size_t n = control(c, left);

    if (*c == '"' || *c == '\\')
        fri_buffer_printf(out, "\\%c", *c);
    else if (*c == '\n' || *c == '\t')
        fri_buffer_text(out, *c == '\n' ? "\\n" : "\\t");
    else if (n == 0)
        fri_buffer_byte(out, *c);
    for (size_t i = 0; i < n && *c != '\n' && *c != '\t'; i++)
        fri_buffer_printf(out, "\\%u", c[i]);
    return n ? n : 1;
}

static void put_string(struct shower *s, const char *text, size_t length)
{
    const unsigned char *c = (const unsigned char *)text;
    size_t n = length < STRING ? length : STRING;

    if (silent(s) || !text)
        return;
    while (n < length && n > 0 && (c[n] & 0xc0) == 0x80)
        n--;
    fri_buffer_byte(s->out, '"');
    for (size_t i = 0; i < n;)
        i += put_character(s->out, c + i, n - i);
    fri_buffer_text(s->out, n < length ? "...\"" : "\"");
}

/* A key as Lua writes one: name=, or [value]=. */
static void show_key(struct shower *s)
{
    struct fri_reader before = s->r;
    uint8_t tag = fri_get_byte(&s->r);
    size_t length = 0;
    const char *name = NULL;

    if ((tag >= FRI_SHORT_STR && tag < FRI_NIL) || tag == FRI_STR)
        name = fri_get_str(&s->r, tag, &length);
    if (name && length > 0 && length < STRING
        && strspn(name, "abcdefghijklmnopqrstuvwxyz"
                        "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789")
               >= length
        && (*name < '0' || *name > '9')) {
        if (!silent(s))
            fri_buffer_add(s->out, name, length);
    } else {
        s->r = before;
        put(s, "[");
        show_value(s);
        put(s, "]");
    }
    put(s, "=");
}

/* ---- tables ----------------------------------------------------------- */

/* Before item i of a table: from some item on, it is not shown. */
static void separate(struct shower *s, size_t i)
{
    if (i == ITEMS) {
        put(s, ", ...");
        s->mute++;
    } else if (i > 0 && i < ITEMS) {
        put(s, ", ");
    }
}

/* A pair of a table as it is shown, in out. */
struct pair {
    size_t at, end;
};

static bool is_before(const uint8_t *text, struct pair a, struct pair b)
{
    size_t n = a.end - a.at, m = b.end - b.at;
    int order = memcmp(text + a.at, text + b.at, n < m ? n : m);

    return order < 0 || (order == 0 && n <= m);
}

static void sort(const uint8_t *text, struct pair *pairs, size_t count)
{
    for (size_t i = 1; i < count; i++)
        for (size_t j = i; j > 0; j--) {
            struct pair a = pairs[j - 1], b = pairs[j];

            if (is_before(text, a, b))
                break;
            pairs[j - 1] = b;
            pairs[j] = a;
        }
}

/* Lua's own order differs from run to run. */
static void put_in_order(struct shower *s, struct pair *pairs, size_t count)
{
    struct fri_buffer sorted;
    uint8_t *text = s->out->data;
    size_t first = count > 0 ? pairs[0].at : 0;

    if (count < 2 || s->cut || s->out->failed)
        return;
    sort(text, pairs, count);
    fri_buffer_init(&sorted, s->out->memory);
    for (size_t i = 0; i < count; i++) {
        fri_buffer_text(&sorted, i > 0 ? ", " : "");
        fri_buffer_add(&sorted, text + pairs[i].at,
                       pairs[i].end - pairs[i].at);
    }
    if (!sorted.failed)
        memcpy(text + first, sorted.data, sorted.length);
    fri_buffer_free(&sorted);
}

/* Items, then pairs of a key and a value. */
static void show_fields(struct shower *s, size_t items, size_t all)
{
    struct pair pairs[ITEMS];
    size_t count = 0;

    for (size_t i = 0; i < all && !s->r.bad; i++) {
        size_t start;

        separate(s, i);
        start = s->out->length;
        if (i >= items)
            show_key(s);
        show_value(s);
        if (i >= items && i < ITEMS && s->mute == 0)
            pairs[count++] = (struct pair){ start, s->out->length };
    }
    put_in_order(s, pairs, count);
}

static void show_table(struct shower *s, bool object)
{
    size_t items = fri_get_count(&s->r, 1), pairs = fri_get_count(&s->r, 2);
    size_t all = items + pairs;

    if (++s->depth > DEEP) {
        put(s, "{...}");
        s->mute++;
    }
    put(s, "{");
    show_fields(s, items, all);
    s->mute -= all > ITEMS && !s->r.bad;
    put(s, "}");
    s->mute += object;
    if (object)
        show_value(s);
    s->mute -= object;
    if (s->depth-- > DEEP)
        s->mute--;
}

static void show_numbers(struct shower *s, bool whole)
{
    size_t n = fri_get_count(&s->r, 8);

    put(s, "{");
    for (size_t i = 0; i < n && !s->r.bad; i++) {
        separate(s, i);
        if (whole)
            put_whole(s, (int64_t)fri_get_raw64(&s->r));
        else
            put_number(s, fri_get_num(&s->r));
    }
    s->mute -= n > ITEMS && !s->r.bad;
    put(s, "}");
}

/* ---- values ----------------------------------------------------------- */

static void skip(struct shower *s, const char *shown)
{
    size_t length = fri_get_count(&s->r, 1);

    s->r.at += length;
    put(s, shown);
}

static void show_tag(struct shower *s, uint8_t tag)
{
    switch (tag) {
    case FRI_NIL: put(s, "nil"); break;
    case FRI_FALSE: put(s, "false"); break;
    case FRI_TRUE: put(s, "true"); break;
    case FRI_INT: put_whole(s, fri_get_zigzag(&s->r)); break;
    case FRI_NUM: put_number(s, fri_get_num(&s->r)); break;
    case FRI_I64: put_whole(s, (int64_t)fri_get_raw64(&s->r)); break;
    case FRI_TABLE:
    case FRI_OBJECT: show_table(s, tag == FRI_OBJECT); break;
    case FRI_NUMS:
    case FRI_INTS: show_numbers(s, tag == FRI_INTS); break;
    case FRI_FUNC: skip(s, "function"); break;
    case FRI_NAME: skip(s, "function"); break;
    case FRI_POISON: skip(s, "..."); break;
    case FRI_FUTURE: fri_get_varint(&s->r); put(s, "future"); break;
    case FRI_HANDLE: fri_get_varint(&s->r); put(s, "handle"); break;
    case FRI_REF: fri_get_varint(&s->r); put(s, "..."); break;
    default: put(s, "..."); break;
    }
}

static void show_value(struct shower *s)
{
    uint8_t tag = fri_get_byte(&s->r);
    size_t length;

    if (s->r.bad)
        return;
    if (tag <= FRI_SMALL_INT) {
        put_whole(s, tag);
    } else if (tag < FRI_NIL || tag == FRI_STR) {
        const char *text = fri_get_str(&s->r, tag, &length);

        put_string(s, text, length);
    } else {
        show_tag(s, tag);
    }
}

static struct shower open(struct fri_buffer *out, const void *bytes,
                          size_t length, size_t most)
{
    struct shower s = { .out = out, .end = out->length + most };

    fri_reader_init(&s.r, bytes, length);
    return s;
}

void fri_show(struct fri_buffer *out, const void *bytes, size_t length,
              size_t most)
{
    struct shower s = open(out, bytes, length, most);
    size_t n;

    if (length == 0)
        return;
    fri_get_byte(&s.r);
    n = fri_get_count(&s.r, 1);
    for (size_t i = 0; i < n && !s.r.bad; i++) {
        put(&s, i ? ", " : "");
        show_value(&s);
    }
}

void fri_show_value(struct fri_buffer *out, const void *bytes, size_t length,
                    size_t most)
{
    struct shower s = open(out, bytes, length, most);

    show_value(&s);
}

void fri_show_key(struct fri_buffer *out, const void *bytes, size_t length)
{
    struct shower s = open(out, bytes, length, SIZE_MAX / 2);
    struct fri_reader before;
    uint8_t tag;

    fri_get_byte(&s.r);
    fri_get_varint(&s.r);
    before = s.r;
    tag = fri_get_byte(&s.r);
    if ((tag >= FRI_SHORT_STR && tag < FRI_NIL) || tag == FRI_STR) {
        const char *text = fri_get_str(&s.r, tag, &length);

        fri_buffer_add(out, text, length);
    } else {
        s.r = before;
        show_value(&s);
    }
}
