/*
 * main.c - the command: from the words to the exit status.
 *
 * Statuses.  A signal or the deadline, once it is there, decides; then what
 * the script or os.exit says; then, if that was 0, output that was lost (3).
 */
#define _GNU_SOURCE
#include "command/options.h"
#include "command/pause.h"
#include "command/show.h"
#include "command/stop.h"
#include "command/watch.h"
#include "core/journal.h"

#include "pools/spawn/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { USAGE = 2, CANNOT_GO_ON = 3 };

static struct {
    struct fri_options options;
    struct fri_run_options run;
    struct fri_output output;
    struct fri_program program;
    bool color;
} command;

/* ---- messages --------------------------------------------------------- */

static bool is_set(const char *name, const char *but)
{
    const char *value = getenv(name);

    return value && *value && strcmp(value, but) != 0;
}

/* What no-color.org and bixense.com/clicolors ask for. */
static bool wants_color(enum fri_when when)
{
    if (when != FRI_AUTO)
        return when == FRI_ALWAYS;
    if (is_set("NO_COLOR", ""))
        return false;
    if (is_set("CLICOLOR_FORCE", "0"))
        return true;
    return command.output.terminal[1] && is_set("TERM", "dumb");
}

/* A message of ours, after all that the script has said; text is fit for a
 * terminal. */
static void say(const char *text, size_t length)
{
    struct fri_buffer line;

    fri_buffer_init(&line, NULL);
    fri_buffer_text(&line, command.color ? "\033[1;31mflowrun:\033[0m "
                                         : "flowrun: ");
    fri_buffer_add(&line, text, length);
    fri_buffer_byte(&line, '\n');
    fri_output_flush(&command.output);
    fri_output_write(&command.output, 2, (char *)line.data, line.length);
    fri_buffer_free(&line);
}

static void say_text(const char *text)
{
    say(text, strlen(text));
}

/* Why the run ends before its time, if it does. */
static bool say_cause(void)
{
    fri_stop_tell(say_text);
    return fri_stop_cause() != 0;
}

static void say_why(void)
{
    const struct fri_buffer *why = &command.program.why;

    if (why->length > 0)
        say((char *)why->data, why->length);
    else if (why->failed)
        say_text("out of memory");
}

/* ---- the end ---------------------------------------------------------- */

static int say_lost(int stream, const char *name, int error)
{
    char text[200];

    snprintf(text, sizeof text, "cannot write %s: %s", name, strerror(error));
    if (stream == 1)
        say_text(text);
    return CANNOT_GO_ON;
}

/* Writes all that is left; 0, or the status of lost output. */
static int flush_all(void)
{
    struct fri_output *o = &command.output;
    int status = 0;

    fri_output_flush(o);
    /* Of C modules. */
    if (fflush(stdout) != 0 && fri_output_error(o, 1) == 0)
        status = say_lost(1, "standard output", errno);
    if (fri_output_error(o, 1) != 0)
        status = say_lost(1, "standard output", fri_output_error(o, 1));
    if (fri_output_error(o, 2) != 0)
        status = say_lost(2, "standard error", fri_output_error(o, 2));
    return status;
}

/* Ends what runs, then the process.  status: the script's.  unseen: tasks
 * that failed while nobody looked count. */
static void leave(int status, bool cancel, bool unseen, bool state)
    __attribute__((noreturn));

/* Why the run ended before its time, for its reports: if by the script's
 * error, its first line. */
static const char *cause_of_end(char line[400])
{
    const struct fri_buffer *why = &command.program.why;
    const char *text = (const char *)why->data;

    if (fri_stop_text() || why->length == 0)
        return fri_stop_text();
    snprintf(line, 400, "%.*s", (int)why->length, text);
    line[strcspn(line, "\n")] = '\0';
    return line;
}

/* Failures stand last.  False: a report could not be written. */
static bool say_last(void)
{
    struct fri_program *program = &command.program;
    bool badly = program->why.length > 0 || fri_stop_cause() != 0;
    static char line[400]; /* the reports refer to it */

    fri_output_flush(&command.output); /* which they may be written behind */
    fri_program_words(program, badly, cause_of_end(line));
    if (!fri_stop_cause())
        say_why();
    fri_program_failures(program, badly);
    return fri_program_files(program);
}

static void leave(int status, bool cancel, bool unseen, bool state)
{
    bool stopped = say_cause();
    int failed = fri_program_finish(&command.program, cancel || stopped,
                                    fri_stop_patience()), lost;
    bool written, kept;

    if (say_cause() && failed < 0)
        failed = fri_program_finish(&command.program, true,
                                    fri_stop_patience());
    if (failed > 0 && unseen && status == 0)
        status = FRI_ENDED_BADLY;
    fri_stop_leave();
    fri_watch_leave();
    written = say_last();
    kept = fri_program_flush(&command.program);
    if (!kept)
        say_why();
    fri_program_close(&command.program, state);
    lost = flush_all();
    if (!written && lost == 0)
        lost = CANNOT_GO_ON;
    if (say_cause() && fri_stop_cause() != FRI_STOP_DEADLINE) {
        fflush(NULL);
        fri_stop_die();
    }
    if (fri_stop_cause() == FRI_STOP_DEADLINE)
        status = 124;
    if (!kept && (status == 0 || status == FRI_ENDED_BADLY))
        status = FRI_ENDED_UNKEPT;
    exit((status & 0xff) == 0 ? lost : status);
}

static void on_exit_called(void *user, int status, bool close)
{
    (void)user;
    leave(status, true, false, close);
}

static void on_timeout(void *user, double seconds)
{
    (void)user;
    fri_stop_deadline(seconds);
}

static void on_module(void *user)
{
    (void)user;
    fri_watch_start();
}

/* ---- the run ---------------------------------------------------------- */

static void set_see_options(char **argv, int argc)
{
    const struct fri_options *o = &command.options;

    command.run.see = (struct fri_see_options){
        .words = true, .progress = o->progress, .quiet = o->quiet,
        .verbose = o->verbose, .color = command.color, .files = o->files,
        .file_count = o->file_count, .output = &command.output,
        .script = argv[o->script], .lua = fri_program_lua(),
        .argc = argc - o->script - 1, .argv = argv + o->script + 1,
        .command_argc = argc, .command_argv = argv,
    };
    command.run.progress_given = o->progress_given || o->quiet;
    if (o->file_count == 0)
        command.run.see.files = NULL;
}

static void set_run_options(char **argv, int argc)
{
    const struct fri_options *o = &command.options;

    command.run = (struct fri_run_options){
        .workers = o->workers, .pool_kind = o->pool_kind, .seed = o->seed,
        .seed_given = o->seed_given, .timeout = o->timeout,
        .set_timeout = on_timeout, .halt = o->halt,
        .journal = o->journal, .dry_run = o->dry_run,
        .verbose = o->verbose, .quiet = o->quiet,
        .program = "/proc/self/exe", .own_threads = 1,
        .output = &command.output, .argc = argc - o->script - 1,
        .argv = argv + o->script + 1, .script = argv[o->script],
    };
    set_see_options(argv, argc);
}

static int run(int argc, char **argv)
{
    static const struct fri_program_hooks hooks = {
        .leave = on_exit_called, .module = on_module,
    };
    struct fri_program *program = &command.program;
    int status;

    set_run_options(argv, argc);
    if (!fri_program_open(program, &command.run, &hooks, argc, argv,
                          command.options.script)) {
        say_text("out of memory");
        return CANNOT_GO_ON;
    }
    status = fri_program_load(program);
    if (status != FRI_ENDED_WELL) {
        say_why();
        return status;
    }
    fri_watch_open(program, &command.output);
    if (!fri_stop_open(program, &command.output, command.options.timeout)) {
        say_text("no timer could be had");
        return CANNOT_GO_ON;
    }
    fri_pause_open();
    status = fri_program_run(program);
    leave(status, program->why.length > 0, true, true);
}

/* ---- the start -------------------------------------------------------- */

/* Else the first file that is opened would take what is printed. */
static void open_standard_files(void)
{
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && errno == EBADF
            && open("/dev/null", O_RDWR) != fd)
            _exit(CANNOT_GO_ON);
}

static int show(struct fri_buffer *text)
{
    if (text->failed)
        return CANNOT_GO_ON;
    fri_output_write(&command.output, 1, (char *)text->data, text->length);
    return flush_all();
}

static int help_or_version(struct fri_buffer *text)
{
    if (command.options.completion)
        fri_options_completion(command.options.completion, text);
    else if (command.options.help)
        fri_options_help(text);
    else
        fri_buffer_printf(text, "flowrun %s, %s, SQLite %s, libyaml %s\n",
                          FRUN_VERSION, fri_program_lua(),
                          fri_journal_sqlite(), fri_program_yaml());
    return show(text);
}

/* flowrun show, flowrun why. */
static int look_at(const struct fri_verb *verb, int argc, char **argv)
{
    struct fri_buffer out, wrong;
    int status;

    fri_buffer_init(&out, NULL);
    fri_buffer_init(&wrong, NULL);
    status = verb->main(argc - 2, argv + 2, &out, &wrong);
    if (out.length > 0 && status == FRI_SHOWN)
        status = show(&out);
    if (wrong.length > 0)
        say((char *)wrong.data, wrong.length);
    fri_buffer_free(&out);
    fri_buffer_free(&wrong);
    return status;
}

/* True: the script is to be run; else the exit status. */
static bool prepare(int argc, char **argv, int *status)
{
    struct fri_options *o = &command.options;
    struct fri_buffer text;
    bool fine, shows;

    fri_buffer_init(&text, NULL);
    fine = fri_options_read(o, argc, argv, &text);
    shows = fine && (o->help || o->version || o->completion);
    command.color = wants_color(o->color);
    if (shows)
        *status = help_or_version(&text);
    else
        *status = fine ? fri_files_check(o, argv[o->script], &text) : USAGE;
    if (!shows && *status != 0)
        say((char *)text.data, text.length);
    fri_buffer_free(&text);
    return !shows && *status == 0;
}

int main(int argc, char **argv)
{
    const struct fri_verb *verb = argc > 1 ? fri_verb_of(argv[1]) : NULL;
    int status;

    open_standard_files();
    if (argc > 1 && strcmp(argv[1], FRI_HELPER_WORD) == 0)
        return fri_program_helper(argc, argv);
    if (!fri_output_init(&command.output, NULL))
        return CANNOT_GO_ON;
    command.output.dies = true;
    if (verb) {
        command.color = wants_color(FRI_AUTO);
        return look_at(verb, argc, argv);
    }
    return prepare(argc, argv, &status) ? run(argc, argv) : status;
}
