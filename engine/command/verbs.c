/*
 * verbs.c - the words that may stand where a script does.  One table makes
 * their choice, their usage, and what the help and a shell say of them.
 */
#include "command/show.h"

static const struct fri_option_text show_options[] = {
    { 0, "failed", NULL, "only those that failed" },
    { 0, "slowest", "N", "the N that took longest" },
    { 0, "json", NULL, "as JSON" },
    { 0, "csv", NULL, "as CSV" },
    { 'h', "help", NULL, "show the usage and end" },
};

static const struct fri_option_text why_options[] = {
    { 'h', "help", NULL, "show the usage and end" },
};

#define COUNTED(list) list, sizeof list / sizeof *list

static const struct fri_verb verbs[] = {
    { "show", "RUN.journal",
      "[--failed] [--slowest N] [--json | --csv]",
      "the tasks that a journal keeps", fri_show_main,
      COUNTED(show_options) },
    { "why", "RUN.journal TASK", "",
      "why it waits, ran again, failed or died", fri_why_main,
      COUNTED(why_options) },
};
enum { COUNT = sizeof verbs / sizeof *verbs };

const struct fri_verb *fri_verb(size_t i)
{
    return i < COUNT ? &verbs[i] : NULL;
}

const struct fri_verb *fri_verb_of(const char *word)
{
    for (size_t i = 0; i < COUNT; i++)
        if (strcmp(verbs[i].name, word) == 0)
            return &verbs[i];
    return NULL;
}

void fri_verb_usage(const char *name, struct fri_buffer *out)
{
    const struct fri_verb *v = fri_verb_of(name);

    fri_buffer_printf(out, "usage: flowrun %s %s%s%s", v->name, v->arguments,
                      *v->options_usage ? " " : "", v->options_usage);
}

void fri_verbs_help(struct fri_buffer *out)
{
    for (size_t i = 0; i < COUNT; i++) {
        size_t start = out->length;

        fri_buffer_printf(out, "       flowrun %s %s", verbs[i].name,
                          verbs[i].arguments);
        do
            fri_buffer_byte(out, ' ');
        while (out->length - start < 37 && !out->failed);
        fri_buffer_printf(out, "%s\n", verbs[i].help);
    }
}
