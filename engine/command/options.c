/*
 * One table makes the reading and the help.  An option is added by a line in
 * it, and a function that takes its value.
 */
#include "command/show.h"

#include "core/halt.h"
#include "core/output.h"
#include "flowrun.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct option {
    char letter; /* or 0 */
    const char *name;
    const char *value; /* what stands for it in the help; NULL: takes none */
    const char *help;
    /* NULL, or what it must be. */
    const char *(*set)(struct fri_options *o, const char *value);
};

static const char *set_workers(struct fri_options *o, const char *value)
{
    char *end;
    long n = strtol(value, &end, 10);

    if (*end || end == value || n < 1 || n > 1024)
        return "a whole number from 1 to 1024";
    o->workers = (int)n;
    return NULL;
}

static const char *set_pool(struct fri_options *o, const char *value)
{
    if (strcmp(value, "threads") == 0)
        o->pool_kind = FRUN_THREADS;
    else if (strcmp(value, "forks") == 0)
        o->pool_kind = FRUN_FORKS;
    else
        return "threads or forks";
    return NULL;
}

static const char *set_seed(struct fri_options *o, const char *value)
{
    const char *digits = value + (*value == '-' || *value == '+');
    char *end;

    errno = 0;
    if (*value == '-')
        o->seed = (uint64_t)strtoll(value, &end, 10);
    else
        o->seed = strtoull(value, &end, 10);
    if (*digits < '0' || *digits > '9' || *end || errno)
        return "a whole number of at most 64 bits";
    o->seed_given = true;
    return NULL;
}

static const char *set_timeout(struct fri_options *o, const char *value)
{
    char *end;

    o->timeout = strtod(value, &end);
    if (*end || end == value || !isfinite(o->timeout) || o->timeout <= 0)
        return "a number of seconds above 0";
    return NULL;
}

static const char *set_halt(struct fri_options *o, const char *value)
{
    struct fri_halt rule;

    if (!fri_halt_parse(value, &rule))
        return FRI_HALT_FORMS;
    o->halt = value;
    return NULL;
}

static const char *set_journal(struct fri_options *o, const char *value)
{
    o->journal = value;
    return *value ? NULL : "the name of a file";
}

static const char *set_dry_run(struct fri_options *o, const char *value)
{
    (void)value;
    o->dry_run = true;
    return NULL;
}

static const char *set_color(struct fri_options *o, const char *value)
{
    static const char *const words[] = { "auto", "always", "never" };

    for (int i = 0; i < 3; i++) {
        if (strcmp(value, words[i]) != 0)
            continue;
        o->color = (enum fri_when)i;
        return NULL;
    }
    return "auto, always or never";
}

static const char *set_progress(struct fri_options *o, const char *value)
{
    if (!fri_progress_parse(value, &o->progress))
        return FRI_PROGRESS_FORMS;
    o->progress_given = true;
    return NULL;
}

static const char *add_file(struct fri_options *o, enum fri_report_form form,
                            const char *path)
{
    if (o->file_count == FRI_FILES)
        return "given less often";
    if (!*path)
        return "the name of a file";
    o->files[o->file_count++] = (struct fri_see_file){ form, path };
    return NULL;
}

static const char *set_report(struct fri_options *o, const char *value)
{
    enum fri_report_form form;

    if (!fri_report_form_of(value, &form))
        return FRI_REPORT_FORMS;
    return add_file(o, form, value);
}

static const char *set_trace(struct fri_options *o, const char *value)
{
    return add_file(o, FRI_REPORT_TRACE, value);
}

static const char *set_joblog(struct fri_options *o, const char *value)
{
    return add_file(o, FRI_REPORT_JOBLOG, value);
}

static const char *set_completion(struct fri_options *o, const char *value)
{
    struct fri_buffer nothing;
    bool known;

    fri_buffer_init(&nothing, NULL);
    known = fri_options_completion(value, &nothing);
    fri_buffer_free(&nothing);
    o->completion = value;
    return known ? NULL : "bash, zsh or fish";
}

static const char *set_quiet(struct fri_options *o, const char *value)
{
    (void)value;
    o->quiet = true;
    return NULL;
}

static const char *set_verbose(struct fri_options *o, const char *value)
{
    (void)value;
    o->verbose = true;
    return NULL;
}

static const char *set_version(struct fri_options *o, const char *value)
{
    (void)value;
    o->version = true;
    return NULL;
}

static const char *set_help(struct fri_options *o, const char *value)
{
    (void)value;
    o->help = true;
    return NULL;
}

static const struct option options[] = {
    { 'j', "workers", "N", "default number of workers, 1 to 1024",
      set_workers },
    { 0, "pool", "KIND", "kind of flow.pool(): threads or forks", set_pool },
    { 0, "journal", "FILE", "keep finished tasks there, and resume",
      set_journal },
    { 0, "dry-run", NULL, "run the script but no task: list them until a "
                          "result is needed",
      set_dry_run },
    { 0, "seed", "N", "the run's seed for random numbers (default: 0)",
      set_seed },
    { 0, "timeout", "S", "deadline of the whole run, in seconds",
      set_timeout },
    { 0, "halt", "WHEN", "when the rest of the run is not started: "
                         "soon,fail=1 or now,fail=30%",
      set_halt },
    { 0, "progress", "MODE", "auto, bar, plain, json or none", set_progress },
    { 0, "report", "FILE", "at the end: .html a page, .xml JUnit, .json; "
                           "repeatable",
      set_report },
    { 0, "trace", "FILE", "at the end: a trace for Chrome or Perfetto",
      set_trace },
    { 0, "joblog", "FILE", "at the end: a line a task, GNU parallel's columns",
      set_joblog },
    { 0, "color", "WHEN", "colour in messages: auto, always or never",
      set_color },
    { 'q', "quiet", NULL, "say nothing but errors", set_quiet },
    { 'v', "verbose", NULL, "tag the output of tasks, and say more",
      set_verbose },
    { 0, "completion", "SHELL", "show the completion for bash, zsh or fish",
      set_completion },
    { 0, "version", NULL, "show the version and end", set_version },
    { 'h', "help", NULL, "show this and end", set_help },
};
enum { COUNT = sizeof options / sizeof *options };

bool fri_options_text(size_t i, struct fri_option_text *text)
{
    if (i >= COUNT)
        return false;
    *text = (struct fri_option_text){ options[i].letter, options[i].name,
                                      options[i].value, options[i].help };
    return true;
}

/* ---- help ------------------------------------------------------------- */

enum { HELP_AT = 26, HELP_WIDTH = 80 };

static void pad(struct fri_buffer *out, size_t start)
{
    while (out->length - start < HELP_AT && !out->failed)
        fri_buffer_byte(out, ' ');
}

/* Words, on further lines where one is full; `start`: where this one began. */
static void put_words(struct fri_buffer *out, const char *text, size_t start)
{
    while (*text) {
        size_t n = strcspn(text, " ");

        if (out->length - start + n >= HELP_WIDTH) {
            out->length--; /* the space */
            fri_buffer_byte(out, '\n');
            start = out->length;
            pad(out, start);
        }
        fri_buffer_add(out, text, n);
        fri_buffer_byte(out, ' ');
        text += n + strspn(text + n, " ");
    }
    out->length--;
    fri_buffer_byte(out, '\n');
}

static void help_line(struct fri_buffer *out, const struct option *o)
{
    size_t start = out->length;

    if (o->letter)
        fri_buffer_printf(out, "  -%c, ", o->letter);
    else
        fri_buffer_text(out, "      ");
    fri_buffer_printf(out, "--%s%s%s", o->name, o->value ? " " : "",
                      o->value ? o->value : "");
    pad(out, start);
    if (!out->failed)
        put_words(out, o->help, start);
}

void fri_options_help(struct fri_buffer *out)
{
    fri_buffer_text(out,
                    "usage: flowrun [options] script.lua [script options]\n"
                    "       flowrun [options] - [script options]\n");
    fri_verbs_help(out);
    fri_buffer_text(out, "\nRuns a parallel workflow written in Lua; - reads "
                         "the script from standard input.\n\n");
    for (int i = 0; i < COUNT; i++)
        help_line(out, &options[i]);
    fri_buffer_text(
        out,
        "\nflowrun script.lua --help shows the options of the script.\n"
        "Exit status: 0 all well, 1 the script or a task failed, 2 usage,\n"
        "3 the engine could not go on, 4 a journal was refused or not\n"
        "written, 124 the deadline passed.\n");
}

/* ---- near misses ------------------------------------------------------ */

enum { WORD = 24 };

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

static bool is_swap(const char *a, const char *b)
{
    return a[0] == b[1] && a[1] == b[0];
}

/* Changes of one letter that make b of a, two neighbours swapped too; both
 * shorter than WORD. */
static unsigned distance(const char *a, const char *b)
{
    unsigned d[WORD + 1][WORD + 1], n = (unsigned)strlen(a),
        m = (unsigned)strlen(b);

    for (unsigned i = 0; i <= n; i++)
        d[i][0] = i;
    for (unsigned j = 0; j <= m; j++)
        d[0][j] = j;
    for (unsigned i = 1; i <= n; i++)
        for (unsigned j = 1; j <= m; j++) {
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
                            d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && is_swap(a + i - 2, b + j - 2))
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[n][m];
}

static const struct option *nearest(const char *name)
{
    const struct option *best = NULL;
    size_t length = strlen(name);
    unsigned bound = 3;

    if (length < 2 || length >= WORD)
        return NULL;
    for (int i = 0; i < COUNT; i++) {
        unsigned d = distance(name, options[i].name);

        if (strncmp(name, options[i].name, length) == 0)
            d = 1;
        if (d < bound && d < length) {
            bound = d;
            best = &options[i];
        }
    }
    return best;
}

/* ---- reading ---------------------------------------------------------- */

struct reader {
    struct fri_options *to;
    struct fri_buffer *wrong;
    char **argv;
    int argc, next;
};

static void quote(struct fri_buffer *out, const char *text)
{
    fri_buffer_byte(out, '\'');
    fri_escape(out, text, strlen(text), 200, false);
    fri_buffer_byte(out, '\'');
}

static bool unknown(struct reader *r, const char *word, const char *name)
{
    const struct option *near = nearest(name);

    fri_buffer_text(r->wrong, "unknown option ");
    quote(r->wrong, word);
    if (near)
        fri_buffer_printf(r->wrong, ": did you mean '--%s'?", near->name);
    else
        fri_buffer_text(r->wrong, "; flowrun --help lists them");
    return false;
}

static void show(struct fri_buffer *out, const struct option *o, bool letter)
{
    if (letter)
        fri_buffer_printf(out, "'-%c'", o->letter);
    else
        fri_buffer_printf(out, "'--%s'", o->name);
}

/* value: what is attached to the option, or NULL. */
static bool take(struct reader *r, const struct option *o, bool letter,
                 const char *value)
{
    const char *must;

    if (o->value && !value && r->next < r->argc)
        value = r->argv[r->next++];
    if (!o->value == !value) {
        must = o->set(r->to, value);
        if (!must)
            return true;
        show(r->wrong, o, letter);
        fri_buffer_printf(r->wrong, " must be %s, got ", must);
        quote(r->wrong, value ? value : "");
        return false;
    }
    show(r->wrong, o, letter);
    fri_buffer_text(r->wrong, o->value ? " needs a value" : " takes no value");
    return false;
}

static bool read_long(struct reader *r, const char *word)
{
    const char *name = word + 2;
    size_t length = strcspn(name, "=");
    char text[256];

    for (int i = 0; i < COUNT; i++)
        if (strlen(options[i].name) == length
            && strncmp(name, options[i].name, length) == 0)
            return take(r, &options[i], false,
                        name[length] ? name + length + 1 : NULL);
    if (length >= sizeof text - 2)
        return unknown(r, word, "");
    memcpy(text, word, length + 2);
    text[length + 2] = '\0';
    return unknown(r, text, text + 2);
}

/* -qv, -j4, -j 4 */
static bool read_letters(struct reader *r, const char *word)
{
    for (const char *c = word + 1; *c && !r->to->help; c++) {
        const struct option *o = NULL;

        for (int i = 0; i < COUNT && !o; i++)
            if (options[i].letter == *c)
                o = &options[i];
        if (!o) {
            const char letter[] = { '-', *c, '\0' };

            return unknown(r, c == word + 1 ? word : letter, word + 1);
        }
        if (o->value)
            return take(r, o, true, c[1] ? c + 1 : NULL);
        if (!take(r, o, true, NULL))
            return false;
    }
    return true;
}

bool fri_options_read(struct fri_options *o, int argc, char **argv,
                      struct fri_buffer *wrong)
{
    struct reader r = { .to = o, .wrong = wrong, .argv = argv, .argc = argc,
                        .next = 1 };

    *o = (struct fri_options){ .pool_kind = -1 };
    while (r.next < argc) {
        const char *word = argv[r.next];
        bool fine;

        if (word[0] != '-' || word[1] == '\0')
            break;
        r.next++;
        if (strcmp(word, "--") == 0)
            break;
        fine = word[1] == '-' ? read_long(&r, word) : read_letters(&r, word);
        if (!fine)
            return false;
        if (o->help || o->version || o->completion)
            return true;
    }
    o->script = r.next;
    if (r.next < argc)
        return true;
    fri_buffer_text(wrong, "no script; flowrun --help shows the usage");
    return false;
}
