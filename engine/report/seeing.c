#include "report/seeing.h"

#include "report/summary.h"

struct fri_seeing {
    struct fri_see_options options;
    const struct fri_memory *memory;
    frun_engine *engine; /* a reference */
    struct fri_tally *tally;
    struct fri_progress *progress;
    struct fri_record *record;
    struct fri_failures *failures;
    struct fri_look *look; /* the last, when it has ended; it is large */
    bool ended;
};

static void describe_run(const struct fri_seeing *s)
{
    struct fri_record_run *run = fri_record_run(s->record);

    run->script = s->options.script;
    run->lua = s->options.lua;
    run->argc = s->options.argc;
    run->argv = s->options.argv;
}

static bool open_all(struct fri_seeing *s, frun_engine *e)
{
    const struct fri_see_options *o = &s->options;

    s->failures = fri_failures_open(e);
    s->look = fri_alloc(&e->memory, sizeof *s->look);
    if (!s->failures || !s->look)
        return false;
    if (o->file_count > 0) {
        s->record = fri_record_open(e);
        if (!s->record)
            return false;
        describe_run(s);
    }
    if (!o->words)
        return true;
    s->tally = fri_tally_open(e);
    if (s->tally && !o->quiet)
        s->progress = fri_progress_open(e, s->tally, o->output, o->progress,
                                        o->color, o->verbose);
    return s->tally != NULL;
}

struct fri_seeing *fri_seeing_open(frun_engine *e,
                                   const struct fri_see_options *options)
{
    struct fri_seeing *s = fri_alloc_zero(&e->memory, sizeof *s);

    if (!s)
        return NULL;
    atomic_fetch_add(&e->refs, 1);
    s->engine = e;
    s->memory = &e->memory;
    s->options = *options;
    if (open_all(s, e))
        return s;
    fri_seeing_close(s);
    return NULL;
}

void fri_seeing_close(struct fri_seeing *s)
{
    frun_engine *e;

    if (!s)
        return;
    e = s->engine;
    fri_progress_close(s->progress);
    fri_tally_close(s->tally);
    fri_record_close(s->record);
    fri_failures_close(s->failures);
    fri_free(&e->memory, s->look);
    fri_free(&e->memory, s);
    fri_engine_unref(e);
}

void fri_seeing_end(struct fri_seeing *s, const char *cause)
{
    if (!s || s->ended)
        return;
    s->ended = true;
    fri_progress_close(s->progress);
    s->progress = NULL;
    if (s->tally)
        fri_tally_look(s->tally, s->look, 0, false);
    if (!s->record)
        return;
    fri_record_run(s->record)->cause = cause;
    fri_record_end(s->record);
}

void fri_seeing_words(struct fri_seeing *s, bool badly, struct fri_buffer *out)
{
    const struct fri_see_options *o = &s->options;

    if (!s->tally || !s->ended || o->quiet
        || !fri_summary_wanted(s->look, badly, o->verbose))
        return;
    fri_put_summary(s->look, s->engine->seed, out);
    fri_put_held_back(s->look, s->record, out);
}

bool fri_seeing_write(struct fri_seeing *s, struct fri_buffer *why)
{
    bool fine = true;

    for (size_t i = 0; i < s->options.file_count; i++) {
        const struct fri_see_file *f = &s->options.files[i];

        if (fri_report_write(s->record, f->form, f->path, why))
            continue;
        fri_buffer_byte(why, '\n');
        fine = false;
    }
    return fine;
}

void fri_seeing_again(const struct fri_seeing *s, struct fri_buffer *out)
{
    const struct fri_see_options *o = &s->options;
    const struct fri_look *k = s->look;

    if (o->words && s->ended && !o->quiet && o->command_argc > 0
        && (k->failed > 0 || k->done < k->total))
        fri_put_again(o->command_argc, o->command_argv, out);
}

const struct fri_failures *fri_seeing_failures(const struct fri_seeing *s)
{
    return s ? s->failures : NULL;
}
