#include "report/draw.h"

#include "report/texts.h"

#include <math.h>

enum { PARTS = 10 + FRI_TALLY_LIMITS, NARROW = 12 /* the least bar */ };

/* ---- pieces of text --------------------------------------------------- */

static void put_tenths(struct fri_buffer *b, double x)
{
    long long n = llround(x * 10);

    fri_buffer_printf(b, "%lld.%lld", n / 10, n % 10);
}

void fri_draw_time(struct fri_buffer *b, double seconds)
{
    long long s = seconds > 0 && seconds < 9e12 ? llround(seconds) : 0;

    if (seconds < 1)
        fri_buffer_printf(b, "0.%02lld s",
                          seconds > 0 ? (long long)(seconds * 100) : 0);
    else if (seconds < 59.95) {
        put_tenths(b, seconds);
        fri_buffer_text(b, " s");
    } else if (s < 3600)
        fri_buffer_printf(b, "%lld:%02lld min", s / 60, s % 60);
    else if (s < 86400)
        fri_buffer_printf(b, "%lld:%02lld:%02lld h", s / 3600, s / 60 % 60,
                          s % 60);
    else
        fri_buffer_printf(b, "%lld d %02lld h", s / 86400, s / 3600 % 24);
}

void fri_draw_rate(struct fri_buffer *b, double rate)
{
    const char *unit = "/s";

    if (!(rate > 0) || !isfinite(rate))
        rate = 0;
    if (rate > 0 && rate < 0.2) {
        rate *= 60;
        unit = "/min";
    }
    if (rate > 0 && rate < 0.2) {
        rate *= 60;
        unit = "/h";
    }
    if (rate < 10)
        put_tenths(b, rate);
    else
        fri_buffer_printf(b, "%lld", llround(rate));
    fri_buffer_text(b, unit);
}

/* Most of what is two columns wide begins at U+3000. */
unsigned fri_columns(const char *text, size_t length)
{
    unsigned n = 0;

    for (size_t i = 0; i < length; i++) {
        unsigned char c = (unsigned char)text[i];

        if ((c & 0xc0) == 0x80)
            continue;
        n += c > 0xe2 ? 2 : 1;
    }
    return n;
}

/* ---- the bar ---------------------------------------------------------- */

/* What stands behind the bar, from left to right; those of the highest `drop`
 * give way first. */
struct part {
    size_t start, length;
    unsigned columns, drop;
    const char *color;
};

struct line {
    struct part parts[PARTS];
    unsigned count;
    struct fri_buffer text;
    size_t mark;
};

static void end_part(struct line *l, unsigned drop, const char *color)
{
    struct part *p = &l->parts[l->count];
    size_t length = l->text.length - l->mark;

    if (l->text.failed || length == 0 || l->count == PARTS)
        return;
    *p = (struct part){ l->mark, length, 0, drop, color };
    p->columns = fri_columns((char *)l->text.data + l->mark, length);
    l->mark = l->text.length;
    l->count++;
}

static uint64_t ended(const struct fri_look *k)
{
    return k->done + k->failed + k->cancelled;
}

static void put_count(struct line *l, uint64_t n, const char *word,
                      unsigned drop, const char *color)
{
    if (n > 0)
        fri_buffer_printf(&l->text, "  %llu %s", (unsigned long long)n, word);
    end_part(l, drop, color);
}

static void put_limits(struct line *l, const struct fri_look *k)
{
    for (unsigned i = 0; i < k->limit_count; i++) {
        const struct fri_tally_limit *limit = &k->limits[i];

        fri_buffer_printf(&l->text, "  %s %u/%u%s", limit->name, limit->used,
                          limit->count, limit->full ? " full" : "");
        end_part(l, 5 + i, limit->full ? "\033[33m" : NULL);
    }
}

static void put_left(struct fri_buffer *b, const struct fri_estimate *e)
{
    fri_draw_time(b, e->seconds);
    if (e->spread >= 0.05 * e->seconds && e->spread >= 0.1) {
        fri_buffer_text(b, " \xc2\xb1 ");
        fri_draw_time(b, e->spread);
    }
    if (e->rough)
        fri_buffer_text(b, " ?");
}

static void put_parts(struct line *l, const struct fri_drawing *d)
{
    const struct fri_look *k = d->look;

    fri_buffer_printf(&l->text, " %llu/%llu", (unsigned long long)ended(k),
                      (unsigned long long)k->total);
    end_part(l, 0, NULL);
    put_count(l, k->failed, "failed", 1, "\033[31m");
    put_count(l, k->cancelled, "cancelled", 30, NULL);
    put_count(l, k->retried, "retried", 31, NULL);
    put_count(l, k->running, "running", 3, NULL);
    put_limits(l, k);
    fri_buffer_text(&l->text, "  ");
    fri_draw_rate(&l->text, d->rate);
    end_part(l, 29, NULL);
    fri_buffer_text(&l->text, "  ");
    fri_draw_time(&l->text, k->elapsed);
    end_part(l, 28, NULL);
    if (d->left.known && ended(k) < k->total) {
        fri_buffer_text(&l->text, "  left ");
        put_left(&l->text, &d->left);
    }
    end_part(l, 2, "\033[1m");
}

/* Lets parts go until so many columns are enough; what they take. */
static unsigned shrink(struct line *l, unsigned columns)
{
    unsigned sum = 0;

    for (unsigned i = 0; i < l->count; i++)
        sum += l->parts[i].columns;
    while (sum > columns) {
        unsigned worst = 0;

        for (unsigned i = 1; i < l->count; i++)
            if (l->parts[i].columns > 0
                && (l->parts[worst].columns == 0
                    || l->parts[i].drop > l->parts[worst].drop))
                worst = i;
        if (l->parts[worst].columns == 0)
            break;
        sum -= l->parts[worst].columns;
        l->parts[worst].columns = 0;
    }
    return sum;
}

static void put_cells(struct fri_buffer *b, const struct fri_drawing *d,
                      unsigned cells)
{
    const struct fri_look *k = d->look;
    uint64_t total = k->total ? k->total : 1;
    unsigned full = (unsigned)((double)ended(k) / (double)total * cells);

    fri_buffer_byte(b, '[');
    fri_buffer_text(b, d->color ? "\033[32m" : "");
    for (unsigned i = 0; i < cells; i++)
        fri_buffer_byte(b, i < full ? '=' : i == full ? '>' : ' ');
    fri_buffer_text(b, d->color ? "\033[0m" : "");
    fri_buffer_byte(b, ']');
}

static void put_line(struct fri_buffer *b, const struct line *l, bool color)
{
    for (unsigned i = 0; i < l->count; i++) {
        const struct part *p = &l->parts[i];

        if (p->columns == 0)
            continue;
        if (color && p->color)
            fri_buffer_text(b, p->color);
        fri_buffer_add(b, l->text.data + p->start, p->length);
        if (color && p->color)
            fri_buffer_text(b, "\033[0m");
    }
}

/* A line more for a task that runs long, if it has a name and there is room. */
static void put_running(struct fri_buffer *b, const struct fri_drawing *d,
                        unsigned i)
{
    const struct fri_tally_running *r = &d->look->longest[i];
    unsigned width = d->width > 1 ? d->width - 1 : 1;
    struct line l = { .count = 0 };

    if (r->name[0] == '\0')
        return;
    fri_buffer_init(&l.text, b->memory);
    fri_buffer_text(&l.text, "  ");
    fri_draw_time(&l.text, r->seconds);
    fri_buffer_printf(&l.text, "  %s", r->name);
    if (!l.text.failed
        && fri_columns((char *)l.text.data, l.text.length) <= width) {
        fri_buffer_byte(b, '\n');
        fri_buffer_add(b, l.text.data, l.text.length);
    }
    fri_buffer_free(&l.text);
}

unsigned fri_draw_bar(struct fri_buffer *b, const struct fri_drawing *d)
{
    unsigned width = d->width > NARROW + 8 ? d->width - 1 : NARROW + 7;
    unsigned parts, lines = 1;
    struct line l = { .count = 0 };

    fri_buffer_init(&l.text, b->memory);
    put_parts(&l, d);
    parts = shrink(&l, width - NARROW);
    put_cells(b, d, width - parts > 42 ? 40 : width - parts - 2);
    put_line(b, &l, d->color);
    b->failed |= l.text.failed;
    fri_buffer_free(&l.text);
    for (unsigned i = 0; i < d->names && i < d->look->running_count; i++) {
        size_t before = b->length;

        put_running(b, d, i);
        lines += b->length > before;
    }
    return lines;
}

/* ---- a line ----------------------------------------------------------- */

static void put_also(struct fri_buffer *b, uint64_t n, const char *word)
{
    if (n > 0)
        fri_buffer_printf(b, ", %llu %s", (unsigned long long)n, word);
}

void fri_draw_plain(struct fri_buffer *b, const struct fri_drawing *d)
{
    const struct fri_look *k = d->look;
    double part = k->total ? (double)ended(k) / (double)k->total : 0;

    fri_buffer_printf(b, "flowrun: %llu/%llu (%d %%)",
                      (unsigned long long)ended(k),
                      (unsigned long long)k->total, (int)(100 * part));
    put_also(b, k->failed, "failed");
    put_also(b, k->cancelled, "cancelled");
    put_also(b, k->retried, "retried");
    put_also(b, k->running, "running");
    for (unsigned i = 0; i < k->limit_count; i++)
        fri_buffer_printf(b, ", %s %u/%u%s", k->limits[i].name,
                          k->limits[i].used, k->limits[i].count,
                          k->limits[i].full ? " full" : "");
    fri_buffer_text(b, ", ");
    fri_draw_rate(b, d->rate);
    fri_buffer_text(b, ", ");
    fri_draw_time(b, k->elapsed);
    if (d->left.known && ended(k) < k->total) {
        fri_buffer_text(b, ", left ");
        put_left(b, &d->left);
    }
    for (unsigned i = 0; i < d->names && i < k->running_count; i++) {
        fri_buffer_printf(b, "%s%s ", i ? ", " : "; longest: ",
                          k->longest[i].name);
        fri_draw_time(b, k->longest[i].seconds);
    }
    fri_buffer_byte(b, '\n');
}

/* ---- an object -------------------------------------------------------- */

static void put_number(struct fri_buffer *b, const char *name, uint64_t n)
{
    fri_buffer_printf(b, ",\"%s\":%llu", name, (unsigned long long)n);
}

static void put_limits_json(struct fri_buffer *b, const struct fri_look *k)
{
    fri_buffer_text(b, ",\"limits\":[");
    for (unsigned i = 0; i < k->limit_count; i++) {
        const struct fri_tally_limit *limit = &k->limits[i];

        fri_buffer_text(b, i ? ",{\"name\":" : "{\"name\":");
        fri_put_json(b, limit->name, strlen(limit->name));
        fri_buffer_printf(b, ",\"used\":%u,\"count\":%u,\"full\":%s}",
                          limit->used, limit->count,
                          limit->full ? "true" : "false");
    }
    fri_buffer_byte(b, ']');
}

static void put_longest_json(struct fri_buffer *b, const struct fri_drawing *d)
{
    fri_buffer_text(b, ",\"longest\":[");
    for (unsigned i = 0; i < d->names && i < d->look->running_count; i++) {
        const struct fri_tally_running *r = &d->look->longest[i];

        fri_buffer_text(b, i ? ",{\"name\":" : "{\"name\":");
        fri_put_json(b, r->name, strlen(r->name));
        fri_buffer_text(b, ",\"seconds\":");
        fri_put_seconds(b, r->seconds);
        fri_buffer_byte(b, '}');
    }
    fri_buffer_byte(b, ']');
}

void fri_draw_json(struct fri_buffer *b, const struct fri_drawing *d)
{
    const struct fri_look *k = d->look;

    fri_buffer_text(b, "{\"seconds\":");
    fri_put_seconds(b, k->elapsed);
    put_number(b, "total", k->total);
    put_number(b, "done", k->done);
    put_number(b, "failed", k->failed);
    put_number(b, "cancelled", k->cancelled);
    put_number(b, "retried", k->retried);
    put_number(b, "running", k->running);
    put_number(b, "queued", k->queued);
    put_limits_json(b, k);
    fri_buffer_text(b, ",\"rate\":");
    fri_put_seconds(b, d->rate);
    if (d->left.known) {
        fri_buffer_text(b, ",\"left\":");
        fri_put_seconds(b, d->left.seconds);
        fri_buffer_text(b, ",\"spread\":");
        fri_put_seconds(b, d->left.spread);
    }
    if (d->names > 0)
        put_longest_json(b, d);
    fri_buffer_printf(b, ",\"last\":%s}\n", d->last ? "true" : "false");
}
