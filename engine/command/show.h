/*
 * show.h - the words before which no script stands: flowrun show, why.
 */
#ifndef FRI_SHOW_H
#define FRI_SHOW_H

#include "command/options.h"

#include "base/buffer.h"
#include "core/journal_view.h"

/* Each takes the words behind its own, and leaves what is to be printed in
 * `out` or one line about what is wrong in `wrong`; the exit status. */
int fri_show_main(int argc, char **argv, struct fri_buffer *out,
             struct fri_buffer *wrong);
int fri_why_main(int argc, char **argv, struct fri_buffer *out,
            struct fri_buffer *wrong);

static inline bool fri_is_help(const char *word)
{
    return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* ---- their table (verbs.c) -------------------------------------------- */

struct fri_verb {
    const char *name, *arguments, *options_usage, *help;
    int (*main)(int argc, char **argv, struct fri_buffer *out,
                struct fri_buffer *wrong);
    const struct fri_option_text *options;
    size_t count; /* of its options */
};

/* One after another; NULL: no more. */
const struct fri_verb *fri_verb(size_t i);

/* NULL: it is none of them. */
const struct fri_verb *fri_verb_of(const char *word);

/* One line, without its end. */
void fri_verb_usage(const char *name, struct fri_buffer *out);

/* What --help says of all of them. */
void fri_verbs_help(struct fri_buffer *out);

enum { FRI_SHOWN = 0, FRI_SHOW_USAGE = 2, FRI_SHOW_LOST = 3,
       FRI_SHOW_REFUSED = 4 };

/* ---- the table `now` -------------------------------------------------- */

/* It is a picture, a second old perhaps: what has ended meanwhile is in the
 * other table, and the others have run or waited on. */
#define FRI_NOW_STILL                                                         \
    " task IS NOT NULL AND task NOT IN"                                       \
    " (SELECT task FROM task WHERE run = (SELECT max(run) FROM now)) "
#define FRI_NOW_LIVE                                                          \
    "max(at, (julianday('now') - 2440587.5) * 86400.0"                        \
    " - (SELECT started FROM run WHERE id = now.run))"

/* ---- what both write (cells.c) ---------------------------------------- */

/* As text within a line, without control characters. */
void fri_cell_text(struct fri_buffer *out, const struct fri_cell *cell);
void fri_cell_json(struct fri_buffer *out, const struct fri_cell *cell);
void fri_cell_csv(struct fri_buffer *out, const struct fri_cell *cell);

/* "name [key]" */
void fri_case_text(struct fri_buffer *out, struct fri_bytes name,
                   const struct fri_cell *key);

/* "1.25 s", "2 min 3 s" */
void fri_seconds_text(struct fri_buffer *out, double seconds);

static inline struct fri_cell fri_cell_of(struct fri_bytes bytes)
{
    return (struct fri_cell){ .kind = bytes.data ? FRI_CELL_TEXT
                                                 : FRI_CELL_NULL,
                              .bytes = bytes };
}

static inline struct fri_cell fri_cell_int(int64_t n)
{
    return (struct fri_cell){ .kind = n == FRI_NO_NUMBER ? FRI_CELL_NULL
                                                         : FRI_CELL_INT,
                              .number = n };
}

#endif
