#include "core/halt.h"

#include "core/range.h"
#include "core/settle.h"

#include <stdlib.h>
#include <string.h>

/* ---- rules ------------------------------------------------------------ */

/* Goes past the word if it stands there. */
static bool skip(const char **at, const char *word)
{
    size_t n = strlen(word);

    if (strncmp(*at, word, n) != 0)
        return false;
    *at += n;
    return true;
}

static bool parse_amount(const char *at, struct fri_halt *rule)
{
    char *end;

    if (*at < '0' || *at > '9')
        return false;
    rule->n = strtod(at, &end);
    rule->percent = *end == '%';
    if (end[rule->percent] != '\0' || strpbrk(at, "xXpP"))
        return false;
    if (rule->percent)
        return rule->n > 0 && rule->n <= 100;
    return rule->n >= 1 && rule->n <= 1e15
           && rule->n == (double)(uint64_t)rule->n;
}

bool fri_halt_parse(const char *text, struct fri_halt *rule)
{
    const char *at = text;

    memset(rule, 0, sizeof *rule);
    if (strcmp(text, "never") == 0)
        return true;
    rule->now = skip(&at, "now,");
    if (!rule->now)
        skip(&at, "soon,");
    if (skip(&at, "fail="))
        rule->on = FRI_HALT_FAIL;
    else if (skip(&at, "success="))
        rule->on = FRI_HALT_SUCCESS;
    else if (skip(&at, "done="))
        rule->on = FRI_HALT_DONE;
    else
        return false;
    return parse_amount(at, rule);
}

bool fri_halt_is_first(const struct fri_halt *rule)
{
    return rule->on == FRI_HALT_FAIL && rule->now && !rule->percent
           && rule->n == 1;
}

/* ---- groups ----------------------------------------------------------- */

struct fri_group *fri_group_new(const struct fri_memory *m, const char *text,
                                uint64_t total)
{
    size_t size = strlen(text) + 1;
    struct fri_group *g = fri_alloc_zero(m, sizeof *g + size);

    if (!g)
        return NULL;
    atomic_init(&g->refs, 1);
    g->memory = m;
    g->total = total;
    fri_halt_parse(text, &g->rule);
    memcpy(g->text, text, size);
    return g;
}

void fri_group_unref(struct fri_group *g)
{
    if (!g || atomic_fetch_sub(&g->refs, 1) > 1)
        return;
    fri_error_free(g->cause);
    fri_free(g->memory, g);
}

static bool is_met(const struct fri_group *g)
{
    uint64_t count = g->rule.on == FRI_HALT_FAIL      ? g->failed
                     : g->rule.on == FRI_HALT_SUCCESS ? g->done
                                                      : g->done + g->failed;

    if (g->rule.on == FRI_HALT_NEVER || count == 0)
        return false;
    if (!g->rule.percent)
        return (double)count >= g->rule.n;
    return (double)count * 100 >= g->rule.n * (double)g->total;
}

static void trip(struct fri_sched *s, struct fri_group *g)
{
    g->tripped = true;
    atomic_fetch_add(&g->refs, 1);
    g->next = s->halting;
    s->halting = g;
}

static void count_in(struct fri_sched *s, struct fri_group *g,
                     enum fri_task_state state, uint64_t items,
                     struct fri_error *failure)
{
    if (!g || g->tripped)
        return;
    if (state == FRI_DONE)
        g->done += items;
    else if (state == FRI_FAILED)
        g->failed += items;
    if (!is_met(g))
        return;
    if (state == FRI_FAILED && failure)
        g->cause = fri_error_ref(failure);
    trip(s, g);
}

/* What no pool runs (an async function, what a task asks for) is no task of
 * the run. */
static struct fri_group *run_of(const struct fri_lane *lane)
{
    return lane->hooks && !lane->hidden ? lane->sched->run : NULL;
}

void fri_halt_count(struct frun_future *task, enum fri_task_state state,
                    uint64_t items, struct fri_error *failure)
{
    struct fri_lane *lane = task->spec->lane;

    count_in(lane->sched, task->spec->group, state, items, failure);
    count_in(lane->sched, run_of(lane), state, items, failure);
}

struct fri_group *fri_halted(const struct frun_future *task)
{
    struct fri_lane *lane = task->spec->lane;
    struct fri_group *g = task->spec->group;

    if (!g || !g->tripped)
        g = run_of(lane);
    if (!g || !g->tripped)
        g = lane->hooks ? lane->sched->ending : NULL;
    return g;
}

struct fri_error *fri_halt_error(const struct fri_group *g)
{
    struct fri_error *error = fri_error_format(
        g->memory, FRUN_ECANCELLED, "%s%s",
        g->ending ? "" : "stopped by halt ", g->text);
    struct fri_error *whole;

    if (!error || !g->cause)
        return error;
    whole = fri_error_new(g->memory, FRUN_ECANCELLED, error->message, NULL,
                          g->cause);
    fri_error_free(error);
    return whole;
}

/* ---- stopping --------------------------------------------------------- */

/* What waits for another is cut loose first, so that it is cancelled itself
 * and does not fail with kind dependency. */
static void cut_loose(struct frun_future *task, struct fri_group *g)
{
    struct fri_extra *x = task->extra;

    (void)g;
    for (uint32_t i = 0; x && i < x->after_count; i++)
        fri_waiter_remove(&x->after[i]);
}

static bool has_begun(struct frun_future *task)
{
    uint8_t pending = FRI_PENDING;

    /* WAITING makes the begin of the worker that has it fail. */
    atomic_compare_exchange_strong(&task->state, &pending, FRI_WAITING);
    return fri_state(task) == FRI_RUNNING;
}

static void stop(struct frun_future *task, struct fri_group *g)
{
    if (task->counted) {
        const struct fri_range *r = task->data.range;

        if (r->failed || r->cancelled)
            return;
        if (g->ending) {
            fri_range_withdraw(task, fri_halt_error(g),
                               fri_sched_now(task->spec->lane->sched));
            return;
        }
    } else if (has_begun(task)) {
        if (g->rule.now)
            fri_sched_cancel(task, g->cause);
        return;
    }
    task->unmet = 0;
    fri_sched_fail(task, FRI_CANCELLED, fri_halt_error(g));
}

void fri_halt_all(struct fri_sched *s, struct fri_group *why)
{
    if (s->ending) {
        fri_group_unref(why);
        return;
    }
    why->ending = true;
    s->ending = why;
    trip(s, why);
    fri_halt_apply(s);
}

void fri_halt_apply(struct fri_sched *s)
{
    struct fri_group *g;

    if (s->in_halt || s->in_settle)
        return;
    s->in_halt = true;
    fri_sched_enter(s);
    while ((g = s->halting) != NULL) {
        s->halting = g->next;
        fri_group_each(s, g, cut_loose);
        fri_group_each(s, g, stop);
        fri_group_unref(g);
    }
    s->in_halt = false;
    fri_sched_leave(s);
}
