/*
 * seeing.h - all that is to be seen of a run: progress while it lives, the
 * last words and the files at its end.
 */
#ifndef FRI_SEEING_H
#define FRI_SEEING_H

#include "report/failures.h"
#include "report/progress.h"
#include "report/report.h"

struct fri_see_file {
    enum fri_report_form form;
    const char *path;
};

/* Texts must outlive the run. */
struct fri_see_options {
    bool words; /* progress and last words; else files and failures only */
    enum fri_progress_mode progress;
    bool quiet, verbose, color;
    const struct fri_see_file *files;
    size_t file_count;
    struct fri_output *output;
    const char *script, *lua;
    int argc;           /* the script's words */
    char *const *argv;
    int command_argc;   /* all words, for running it again; 0: not known */
    char *const *command_argv;
};

struct fri_seeing;

/* NULL: out of memory. */
struct fri_seeing *fri_seeing_open(frun_engine *e,
                                   const struct fri_see_options *options);
void fri_seeing_close(struct fri_seeing *s); /* takes NULL */

/* The run is over: nothing changes any more.  cause: why before its time, or
 * NULL. */
void fri_seeing_end(struct fri_seeing *s, const char *cause);

/* The last words but for failures, lines that begin with "flowrun: "; nothing
 * when there is nothing to say.  badly: it has not ended well. */
void fri_seeing_words(struct fri_seeing *s, bool badly,
                      struct fri_buffer *out);

/* The words that run it again; nothing where all was done. */
void fri_seeing_again(const struct fri_seeing *s, struct fri_buffer *out);

/* Writes the files; false: `why` has a line, with its newline, for each that
 * could not be. */
bool fri_seeing_write(struct fri_seeing *s, struct fri_buffer *why);

const struct fri_failures *fri_seeing_failures(const struct fri_seeing *s);

#endif
