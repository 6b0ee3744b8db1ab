/*
 * advice.c - an analysis in words.
 */
#include "report/costs.h"

#include <inttypes.h>

/* ---- numbers and names ------------------------------------------------ */

void fri_costs_seconds(struct fri_buffer *to, double seconds)
{
    if (seconds < 0.9995e-3)
        fri_buffer_printf(to, "%.3g us", seconds * 1e6);
    else if (seconds < 0.9995)
        fri_buffer_printf(to, "%.3g ms", seconds * 1e3);
    else if (seconds < 100)
        fri_buffer_printf(to, "%.1f s", seconds);
    else if (seconds < 6000)
        fri_buffer_printf(to, "%d min %d s", (int)seconds / 60,
                          (int)seconds % 60);
    else
        fri_buffer_printf(to, "%.0f h %d min", seconds / 3600 - 0.5,
                          (int)(seconds / 60) % 60);
}

static double share_of(const struct fri_costs *c, double seconds)
{
    return c->analysis.makespan > 0 ? 100 * seconds / c->analysis.makespan
                                    : 0;
}

static const struct fri_row *row_of(const struct fri_costs *c, uint32_t span)
{
    return fri_record_row(c->record, c->spans.spans[span].row);
}

static double length_of(const struct fri_costs *c, uint32_t span)
{
    const struct fri_span *s = &c->spans.spans[span];

    return s->finished > s->started ? s->finished - s->started : 0;
}

static void put_limit(const struct fri_costs *c, uint32_t limit,
                      struct fri_buffer *to)
{
    const struct fri_record_limit *l = fri_record_limit(c->record, limit);

    fri_buffer_printf(to, "limit %s (%u %s)", l->name, l->count,
                      l->count == 1 ? "seat" : "seats");
}

static void put_workers(const struct fri_costs *c, uint32_t pool,
                        struct fri_buffer *to)
{
    const struct fri_record_pool *p = fri_record_pool(c->record, pool);

    fri_buffer_printf(to, "%s (%u %s)", p->name, p->workers,
                      p->workers == 1 ? "worker" : "workers");
}

void fri_costs_label(const struct fri_costs *c, const struct fri_part *part,
                     struct fri_buffer *to)
{
    if (part->cost == FRI_COST_LIMIT)
        put_limit(c, part->which, to);
    else if (part->cost == FRI_COST_WORKERS)
        put_workers(c, part->which, to);
    else
        fri_buffer_text(to, fri_cost_text(part->cost));
}

void fri_costs_held_back(const struct fri_costs *c, struct fri_buffer *to)
{
    const struct fri_analysis *a = &c->analysis;

    if (a->part_count == 0)
        return;
    fri_costs_label(c, &a->parts[0], to);
    fri_buffer_text(to, ": ");
    fri_costs_seconds(to, a->parts[0].seconds);
    fri_buffer_text(to, " of ");
    fri_costs_seconds(to, a->makespan);
}

/* ---- what to change next ---------------------------------------------- */

/* "with 8 the least time falls from 60.1 s to 30.2 s", or that it does not. */
static void put_what_if(const struct fri_costs *c, uint32_t resource,
                        uint32_t count, struct fri_buffer *to)
{
    struct fri_part by;
    double now = c->analysis.bound_by.seconds;
    double then =
        fri_analysis_bound(&c->analysis, &c->spans, resource, count, &by);

    if (then >= now * 0.999) {
        fri_buffer_printf(to, "but %u alone would not help: ", count);
        fri_costs_label(c, &by, to);
        fri_buffer_text(to, " takes as long");
        return;
    }
    fri_buffer_printf(to, "with %u the least possible time falls from ",
                      count);
    fri_costs_seconds(to, now);
    fri_buffer_text(to, " to ");
    fri_costs_seconds(to, then);
}

static void advise_limit(const struct fri_costs *c, const struct fri_part *p,
                         struct fri_buffer *to)
{
    uint32_t seats = c->spans.seats[p->which];

    fri_buffer_text(to, "Seats were the bottleneck, of ");
    put_limit(c, p->which, to);
    fri_buffer_text(to, ": ");
    put_what_if(c, p->which, seats + (seats < 8 ? 1 : seats / 4), to);
    fri_buffer_byte(to, '.');
}

static void advise_workers(const struct fri_costs *c,
                           const struct fri_part *p, struct fri_buffer *to)
{
    unsigned cores = fri_record_run(c->record)->cores;
    uint32_t workers = c->spans.workers[p->which];

    fri_buffer_printf(to, "Work kept %s busy: ", workers == 1 ? "one worker"
                                                  : "all workers");
    if (workers >= cores && cores > 0) {
        fri_buffer_printf(to, "they use the %u core%s there %s, so only less "
                          "work or a larger machine makes this shorter.",
                          cores, cores == 1 ? "" : "s",
                          cores == 1 ? "is" : "are");
        return;
    }
    put_what_if(c, c->spans.limit_count + p->which,
                cores > 2 * workers || cores == 0 ? 2 * workers : cores, to);
    fri_buffer_byte(to, '.');
}

static void advise_path(const struct fri_costs *c, const struct fri_part *p,
                        struct fri_buffer *to)
{
    fri_buffer_text(to, "Make ");
    fri_record_name(c->record, row_of(c, p->span), to);
    fri_buffer_text(to, " shorter (");
    fri_costs_seconds(to, length_of(c, p->span));
    fri_buffer_text(to, ", the longest of the critical path), or split it: "
                    "more workers or seats would not help.");
}

static void advise_straggler(const struct fri_costs *c,
                             const struct fri_part *p, struct fri_buffer *to)
{
    const struct fri_span *span = &c->spans.spans[p->span];
    uint32_t group = c->spans.tasks[span->task].group;

    fri_buffer_text(to, "Look at ");
    fri_record_name(c->record, row_of(c, p->span), to);
    fri_buffer_text(to, ": it took ");
    fri_costs_seconds(to, length_of(c, p->span));
    fri_buffer_text(to, ", where half of its like took less than ");
    fri_costs_seconds(to, c->analysis.medians[group] * span->items);
    fri_buffer_text(to, "; if that must be, start it first (priority).");
}

static void advise_retry(const struct fri_costs *c, const struct fri_part *p,
                         struct fri_buffer *to)
{
    fri_buffer_text(to, "Find out why ");
    if (p->span == FRI_NO_SPAN)
        fri_buffer_text(to, "attempts");
    else
        fri_record_name(c->record, row_of(c, p->span), to);
    fri_buffer_text(to, " failed and had to be tried again.");
}

static double mean_length(const struct fri_costs *c)
{
    return c->spans.count ? c->analysis.work / c->spans.count : 0;
}

/* Of so short tasks submitting and handing over are what there is to save. */
static bool too_small(const struct fri_costs *c)
{
    return c->spans.count > 1000 && mean_length(c) < 1e-3;
}

static void advise_larger(const struct fri_costs *c, struct fri_buffer *to)
{
    fri_buffer_text(to, "Give each task more to do: they take ");
    fri_costs_seconds(to, mean_length(c));
    fri_buffer_text(to, " on average, and handing one out costs as much; "
                    "map packs small items by itself.");
}

static void advise_dispatch(const struct fri_costs *c, struct fri_buffer *to)
{
    if (too_small(c))
        advise_larger(c, to);
    else
        fri_buffer_text(to, "Workers stood idle while tasks were ready: look "
                        "at how long workers take to start, and at the size "
                        "of arguments.");
}

static void advise_script(const struct fri_costs *c,
                          const struct fri_part *p, struct fri_buffer *to)
{
    if (too_small(c))
        advise_larger(c, to);
    else
        fri_buffer_printf(to, "Let the script hand work out sooner: for "
                          "%.0f %% of the time nothing that it had submitted "
                          "was left to do.", share_of(c, p->seconds));
}

void fri_costs_advice(const struct fri_costs *c, struct fri_buffer *to)
{
    const struct fri_part *p = c->analysis.parts;

    if (c->analysis.part_count == 0)
        return;
    switch (p->cost) {
    case FRI_COST_PATH: advise_path(c, p, to); break;
    case FRI_COST_LIMIT: advise_limit(c, p, to); break;
    case FRI_COST_WORKERS: advise_workers(c, p, to); break;
    case FRI_COST_DISPATCH: advise_dispatch(c, to); break;
    case FRI_COST_STRAGGLER: advise_straggler(c, p, to); break;
    case FRI_COST_RETRY: advise_retry(c, p, to); break;
    case FRI_COST_TAIL:
        fri_buffer_text(to, "Start the longest tasks first (priority), or "
                        "cut them smaller: workers stood idle while the last "
                        "ones ran.");
        break;
    default: advise_script(c, p, to);
    }
}
