#include "report/summary.h"

#include "report/costs.h"
#include "report/draw.h"

#include <math.h>

/* Below this a run is a command among others, and says nothing. */
static const double SHORT = 2.0;
/* ... and how much faster it was is chance. */
static const double RATIO = 0.1;
/* ... and nobody asks what has held it back. */
static const double WORTH = 1.0;
/* What was full less often did not hold it back. */
static const double OFTEN = 0.25;

bool fri_summary_wanted(const struct fri_look *look, bool badly, bool verbose)
{
    return look->total > 0 && (badly || verbose || look->elapsed >= SHORT);
}

static void put(struct fri_buffer *out, uint64_t n, const char *word,
                bool *first)
{
    if (n == 0)
        return;
    fri_buffer_printf(out, "%s%llu %s", *first ? "" : ", ",
                      (unsigned long long)n, word);
    *first = false;
}

static void put_times(struct fri_buffer *out, double ratio)
{
    long long n = llround(ratio * 10);

    fri_buffer_printf(out, "%lld.%lld times as fast", n / 10, n % 10);
}

void fri_put_summary(const struct fri_look *look, uint64_t seed,
                     struct fri_buffer *out)
{
    bool first = true;

    fri_buffer_printf(out, "flowrun: %llu task%s: ",
                      (unsigned long long)look->total,
                      look->total == 1 ? "" : "s");
    put(out, look->done, "done", &first);
    put(out, look->failed, "failed", &first);
    put(out, look->cancelled, "cancelled", &first);
    put(out, look->retried, "retried", &first);
    put(out, look->total - look->done - look->failed - look->cancelled,
        "not ended", &first);
    fri_buffer_text(out, "; ");
    fri_draw_time(out, look->elapsed);
    fri_buffer_text(out, ", in series ");
    fri_draw_time(out, look->series);
    if (look->elapsed >= RATIO && look->series >= 1.05 * look->elapsed) {
        fri_buffer_text(out, ": ");
        put_times(out, look->series / look->elapsed);
    }
    fri_buffer_printf(out, "; seed %llu\n", (unsigned long long)seed);
}

/* ---- what held it back ------------------------------------------------ */

static void put_share(struct fri_buffer *out, double share)
{
    fri_buffer_printf(out, " for %d %% of the time\n",
                      (int)lround(100 * share));
}

static void put_sampled(const struct fri_look *look, struct fri_buffer *out)
{
    const struct fri_tally_limit *worst = NULL;
    unsigned workers = 0;

    for (unsigned i = 0; i < look->limit_count; i++)
        if (!worst || look->limits[i].share > worst->share)
            worst = &look->limits[i];
    for (unsigned i = 0; i < look->lane_count; i++)
        workers += look->workers[i];
    if (worst && worst->share >= OFTEN && worst->share >= look->busy) {
        fri_buffer_printf(out, "flowrun: held back by the limit %s (%u): "
                               "full",
                          worst->name, worst->count);
        put_share(out, worst->share);
    } else if (look->busy >= OFTEN) {
        fri_buffer_printf(out, "flowrun: held back by the number of workers "
                               "(%u): all busy",
                          workers);
        put_share(out, look->busy);
    }
}

static void put_line(struct fri_buffer *out, const char *before,
                     const struct fri_buffer *text)
{
    if (text->failed || text->length == 0)
        return;
    fri_buffer_text(out, before);
    fri_escape(out, (const char *)text->data, text->length, 1000, false);
    fri_buffer_byte(out, '\n');
}

/* False: out of memory. */
static bool put_measured(struct fri_record *r, struct fri_buffer *out)
{
    struct fri_costs *costs = fri_costs_open(r, out->memory);
    struct fri_buffer text;

    if (!costs)
        return false;
    fri_buffer_init(&text, out->memory);
    fri_costs_held_back(costs, &text);
    put_line(out, "flowrun: held back by: ", &text);
    text.length = 0;
    fri_costs_advice(costs, &text);
    put_line(out, "flowrun: ", &text);
    fri_buffer_free(&text);
    fri_costs_close(costs);
    return true;
}

void fri_put_held_back(const struct fri_look *look, struct fri_record *r,
                       struct fri_buffer *out)
{
    if (look->elapsed < WORTH)
        return;
    if (!r || fri_record_count(r) == 0 || !put_measured(r, out))
        put_sampled(look, out);
}

/* ---- again ------------------------------------------------------------ */

static bool is_plain(const char *word)
{
    return *word
           && strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUV"
                           "WXYZ0123456789_-./=,:+@%^")
                  == strlen(word);
}

/* In single quotes nothing has a meaning but the quote itself. */
static void put_quoted(struct fri_buffer *out, const char *word)
{
    fri_buffer_byte(out, '\'');
    for (; *word; word++)
        if (*word == '\'')
            fri_buffer_text(out, "'\\''");
        else
            fri_buffer_byte(out, (uint8_t)*word);
    fri_buffer_byte(out, '\'');
}

/* Control characters in words need the quotes of bash and zsh. */
static void put_dollar_quoted(struct fri_buffer *out, const char *word)
{
    fri_buffer_text(out, "$'");
    for (; *word; word++) {
        unsigned char c = (unsigned char)*word;

        if (c < 0x20 || c == 0x7f || c == '\'' || c == '\\' || c >= 0x80)
            fri_buffer_printf(out, "\\%03o", c);
        else
            fri_buffer_byte(out, c);
    }
    fri_buffer_byte(out, '\'');
}

static bool has_control(const char *word)
{
    for (; *word; word++)
        if ((unsigned char)*word < 0x20 || *word == 0x7f
            || ((unsigned char)*word == 0xc2 && (unsigned char)word[1] < 0xa0))
            return true;
    return false;
}

void fri_put_again(int argc, char *const *argv, struct fri_buffer *out)
{
    for (int i = 0; i < argc; i++) {
        if (i > 0)
            fri_buffer_byte(out, ' ');
        if (is_plain(argv[i]))
            fri_buffer_text(out, argv[i]);
        else if (has_control(argv[i]))
            put_dollar_quoted(out, argv[i]);
        else
            put_quoted(out, argv[i]);
    }
}
