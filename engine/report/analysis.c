#include "report/analysis.h"

#include "report/bound.h"
#include "report/sweep.h"

#include <stdlib.h>

/* What the parts are gathered in. */
struct bin {
    double seconds;
    double here, most; /* of the span that is looked at; of any */
    uint32_t span, top;
};

struct walk {
    struct fri_analysis *a;
    const struct fri_spans *s;
    struct fri_sweep sweep;
    struct bin *bins;   /* FRI_COSTS, then one for each resource */
    uint32_t *previous; /* the attempt before a span, or FRI_NO_SPAN */
    uint32_t *last;     /* the last span of each task, or FRI_NO_SPAN */
    double *submitted;  /* all submissions, in order */
    double at;          /* all after it is given away */
    uint32_t span;      /* that is looked at */
};

static int ascending(const void *pa, const void *pb)
{
    double a = *(const double *)pa, b = *(const double *)pb;

    return a < b ? -1 : a > b;
}

/* ---- giving time away ------------------------------------------------- */

/* The bin of a cost; of LIMIT and WORKERS, the resource's. */
static void give(struct walk *w, uint32_t bin, double seconds)
{
    struct bin *b = &w->bins[bin];

    if (seconds <= 0)
        return;
    if (b->span != w->span) {
        b->span = w->span;
        b->here = 0;
    }
    b->seconds += seconds;
    b->here += seconds;
    if (b->here > b->most) {
        b->most = b->here;
        b->top = w->span;
    }
}

/* All back to `from` was that. */
static void pass(struct walk *w, double from, enum fri_cost cost)
{
    if (from < 0)
        from = 0;
    if (from >= w->at)
        return;
    give(w, cost, w->at - from);
    w->at = from;
}

static void divide(struct walk *w, uint32_t resource, double share,
                   enum fri_cost rest, double seconds)
{
    give(w, FRI_COSTS + resource, seconds * share);
    give(w, rest, seconds * (1 - share));
}

/* ---- a span of the chain ---------------------------------------------- */

static const struct fri_spans_task *task_of(const struct walk *w,
                                            uint32_t span)
{
    return &w->s->tasks[w->s->spans[span].task];
}

/* A stretch in which the span ran and the use of all was the same. */
static void stretch_of_run(struct walk *w, double seconds, bool straggles)
{
    const struct fri_spans_task *task = task_of(w, w->span);
    uint32_t pool = fri_sweep_pool(&w->sweep, task);
    uint32_t resource = w->sweep.resource[w->span];
    bool queued = w->sweep.queued[pool] > 0;

    if (straggles && !queued && fri_sweep_share(&w->sweep, pool) < 1)
        give(w, FRI_COST_STRAGGLER, seconds);
    else if (resource == FRI_NO_SPAN)
        give(w, FRI_COST_PATH, seconds);
    else
        divide(w, resource, fri_sweep_share(&w->sweep, resource),
               queued ? FRI_COST_DISPATCH : FRI_COST_TAIL, seconds);
}

static void back_through_run(struct walk *w, double from, bool straggles)
{
    double low;

    from = from > 0 ? from : 0;
    while (w->at > from) {
        low = fri_sweep_back(&w->sweep, w->at);
        low = low > from ? low : from;
        stretch_of_run(w, w->at - low, straggles);
        w->at = low;
    }
}

static void run_of(struct walk *w, const struct fri_span *span)
{
    double median = w->a->medians[task_of(w, w->span)->group] * span->items;

    if (span->again) {
        pass(w, span->started, FRI_COST_RETRY);
        return;
    }
    if (median > 0)
        back_through_run(w, span->started + FRI_STRAGGLES * median, true);
    back_through_run(w, span->started, false);
}

static void queue_of(struct walk *w, const struct fri_span *span)
{
    uint32_t resource;
    double low, share, from = span->ready > 0 ? span->ready : 0;

    if (w->sweep.resource[w->span] == FRI_NO_SPAN) {
        pass(w, span->ready, FRI_COST_DISPATCH);
        return;
    }
    while (w->at > from) {
        low = fri_sweep_back(&w->sweep, w->at);
        low = low > from ? low : from;
        resource = fri_sweep_fullest(&w->sweep, task_of(w, w->span), &share);
        divide(w, resource, share, FRI_COST_DISPATCH, w->at - low);
        w->at = low;
    }
}

/* ---- what it waited for ----------------------------------------------- */

/* The dependency that ended last, if it ended after the submission. */
static uint32_t dependency(const struct walk *w, uint32_t span)
{
    const struct fri_spans_task *task = task_of(w, span);
    uint32_t i, d, found = FRI_NO_SPAN;

    for (i = 0; i < task->after_count; i++) {
        d = w->last[w->s->afters[task->after + i]];
        if (d != FRI_NO_SPAN && d < span &&
            (found == FRI_NO_SPAN || d > found))
            found = d;
    }
    return found != FRI_NO_SPAN &&
                   w->s->spans[found].finished > task->submitted
               ? found
               : FRI_NO_SPAN;
}

/* The last submission before `at`; < 0: none. */
static double submission_before(const struct walk *w, double at)
{
    uint32_t low = 0, high = w->s->task_count, middle;

    while (low < high) {
        middle = low + (high - low) / 2;
        if (w->submitted[middle] < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low > 0 ? w->submitted[low - 1] : -1;
}

/* The script submitted at w->at: back to what it had waited for. */
static uint32_t back_through_script(struct walk *w, uint32_t span)
{
    const struct fri_span *spans = w->s->spans;
    double before;

    for (;;) {
        while (span > 0 && spans[span - 1].finished > w->at)
            span--;
        before = submission_before(w, w->at);
        if (before < 0 || span == 0)
            break;
        if (w->at - before > FRI_QUEUED &&
            spans[span - 1].finished > before) {
            pass(w, spans[span - 1].finished, FRI_COST_SCRIPT);
            return span - 1;
        }
        pass(w, before, FRI_COST_SCRIPT);
    }
    pass(w, 0, FRI_COST_SCRIPT);
    return FRI_NO_SPAN;
}

static uint32_t cause_of(struct walk *w, uint32_t span)
{
    uint32_t cause = w->previous[span];
    bool again = cause != FRI_NO_SPAN;

    if (!again)
        cause = dependency(w, span);
    if (cause == FRI_NO_SPAN) {
        pass(w, task_of(w, span)->submitted, FRI_COST_DISPATCH);
        return back_through_script(w, span);
    }
    pass(w, w->s->spans[cause].finished,
         again ? FRI_COST_RETRY : FRI_COST_DISPATCH);
    return cause;
}

static void follow(struct walk *w)
{
    uint32_t next = w->s->count - 1;

    w->at = w->a->makespan;
    w->span = FRI_NO_SPAN;
    if (w->s->count > 0)
        pass(w, w->s->spans[next].finished, FRI_COST_SCRIPT);
    else
        pass(w, 0, FRI_COST_SCRIPT);
    while (next != FRI_NO_SPAN && w->s->count > 0) {
        w->span = next;
        w->a->chain[w->a->chain_count++] = next;
        run_of(w, &w->s->spans[next]);
        queue_of(w, &w->s->spans[next]);
        next = cause_of(w, next);
    }
}

/* ---- what is known before --------------------------------------------- */

static void link_attempts(struct walk *w)
{
    uint32_t i, task, *last = w->last;

    for (i = 0; i < w->s->task_count; i++)
        last[i] = FRI_NO_SPAN;
    for (i = 0; i < w->s->count; i++) {
        task = w->s->spans[i].task;
        w->previous[i] = FRI_NO_SPAN;
        if (last[task] != FRI_NO_SPAN && w->s->spans[last[task]].again)
            w->previous[i] = last[task];
        last[task] = i;
    }
}

static void order_submissions(struct walk *w)
{
    uint32_t i;

    for (i = 0; i < w->s->task_count; i++)
        w->submitted[i] = w->s->tasks[i].submitted;
    qsort(w->submitted, w->s->task_count, sizeof *w->submitted, ascending);
}

/* The spans of each group side by side: the end of a group's in ends[]. */
static void gather_lengths(const struct fri_spans *s, double *lengths,
                           uint32_t *ends)
{
    uint32_t i, group, sum = 0;

    for (i = 0; i < s->count; i++)
        ends[s->tasks[s->spans[i].task].group] += !s->spans[i].again;
    for (group = 0; group < s->group_count; group++) {
        i = ends[group];
        ends[group] = sum;
        sum += i;
    }
    for (i = 0; i < s->count; i++)
        if (!s->spans[i].again)
            lengths[ends[s->tasks[s->spans[i].task].group]++] =
                fri_span_length(&s->spans[i]) / s->spans[i].items;
}

static bool find_medians(struct fri_analysis *a, const struct fri_spans *s)
{
    double *lengths = fri_alloc(a->memory, sizeof *lengths * s->count);
    uint32_t *ends = fri_alloc_zero(a->memory, sizeof *ends * s->group_count);
    uint32_t group, from = 0;
    bool made = lengths && ends;

    if (made)
        gather_lengths(s, lengths, ends);
    for (group = 0; made && group < s->group_count; group++) {
        qsort(lengths + from, ends[group] - from, sizeof *lengths, ascending);
        if (ends[group] - from >= FRI_LIKE)
            a->medians[group] = lengths[from + (ends[group] - from) / 2];
        from = ends[group];
    }
    fri_free(a->memory, lengths);
    fri_free(a->memory, ends);
    return made;
}

/* ---- all together ----------------------------------------------------- */

static int longer(const void *pa, const void *pb)
{
    const struct fri_part *a = pa, *b = pb;

    if (a->seconds != b->seconds)
        return a->seconds > b->seconds ? -1 : 1;
    return a->cost < b->cost ? -1 : a->cost > b->cost;
}

static void list_parts(struct walk *w)
{
    struct fri_analysis *a = w->a;
    uint32_t i, r;

    for (i = 0; i < FRI_COSTS + fri_resources(w->s); i++) {
        struct fri_part p = {.cost = (enum fri_cost)i,
                             .span = w->bins[i].top,
                             .seconds = w->bins[i].seconds};

        if (p.seconds <= 0)
            continue;
        if (i >= FRI_COSTS) {
            r = i - FRI_COSTS;
            p.cost = r < w->s->limit_count ? FRI_COST_LIMIT : FRI_COST_WORKERS;
            p.which = r < w->s->limit_count ? r : r - w->s->limit_count;
        }
        a->parts[a->part_count++] = p;
    }
    qsort(a->parts, a->part_count, sizeof *a->parts, longer);
}

static bool open_walk(struct walk *w)
{
    const struct fri_memory *m = w->a->memory;
    uint32_t i, bins = FRI_COSTS + fri_resources(w->s);

    w->bins = fri_alloc_zero(m, sizeof *w->bins * bins);
    w->previous = fri_alloc(m, sizeof *w->previous * w->s->count);
    w->last = fri_alloc(m, sizeof *w->last * w->s->task_count);
    w->submitted = fri_alloc(m, sizeof *w->submitted * w->s->task_count);
    if (!w->bins || !w->previous || !w->last || !w->submitted)
        return false;
    for (i = 0; i < bins; i++)
        w->bins[i].span = w->bins[i].top = FRI_NO_SPAN;
    link_attempts(w);
    order_submissions(w);
    return fri_sweep_open(&w->sweep, w->s, w->a->held, m);
}

static void close_walk(struct walk *w)
{
    const struct fri_memory *m = w->a->memory;

    fri_sweep_close(&w->sweep);
    fri_free(m, w->bins);
    fri_free(m, w->previous);
    fri_free(m, w->last);
    fri_free(m, w->submitted);
}

static bool walk(struct fri_analysis *a, const struct fri_spans *s)
{
    struct walk w = {.a = a, .s = s, .sweep.memory = a->memory};
    bool made = open_walk(&w);

    if (made) {
        follow(&w);
        list_parts(&w);
    }
    close_walk(&w);
    return made;
}

static bool make_room(struct fri_analysis *a, const struct fri_spans *s)
{
    const struct fri_memory *m = a->memory;
    uint32_t n = fri_resources(s);

    a->held = fri_alloc_zero(m, sizeof *a->held * n);
    a->parts = fri_alloc(m, sizeof *a->parts * (FRI_COSTS + n));
    a->chain = fri_alloc(m, sizeof *a->chain * s->count);
    a->medians = fri_alloc_zero(m, sizeof *a->medians * s->group_count);
    return a->held && a->parts && a->chain && a->medians;
}

bool fri_analysis_make(struct fri_analysis *a, const struct fri_spans *s,
                       const struct fri_memory *memory)
{
    *a = (struct fri_analysis){.memory = memory, .makespan = s->ended};
    if (s->count > 0 && s->spans[s->count - 1].finished > s->ended)
        a->makespan = s->spans[s->count - 1].finished;
    if (!make_room(a, s) || !find_medians(a, s) || !walk(a, s) ||
        !fri_bound_find(a, s))
        goto fail;
    return true;
fail:
    fri_analysis_free(a);
    return false;
}

void fri_analysis_free(struct fri_analysis *a)
{
    fri_free(a->memory, a->held);
    fri_free(a->memory, a->parts);
    fri_free(a->memory, a->chain);
    fri_free(a->memory, a->medians);
    *a = (struct fri_analysis){.memory = a->memory};
}

const char *fri_cost_text(enum fri_cost cost)
{
    static const char *const texts[FRI_COSTS] = {
        [FRI_COST_PATH] = "critical path",
        [FRI_COST_LIMIT] = "limit",
        [FRI_COST_WORKERS] = "workers busy",
        [FRI_COST_DISPATCH] = "dispatch",
        [FRI_COST_TAIL] = "idle tail",
        [FRI_COST_STRAGGLER] = "stragglers",
        [FRI_COST_RETRY] = "retries",
        [FRI_COST_SCRIPT] = "the script itself",
    };

    return texts[cost];
}
