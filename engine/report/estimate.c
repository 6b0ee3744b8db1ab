#include "report/estimate.h"

#include <math.h>

enum {
    PIECES = 400, /* what is left is played in about so many */
    ROUNDS = 20   /* ... but each worker has at least so many */
};
/* A task that has run for longer than its like still takes some of that. */
static const double STILL = 0.2;

struct event {
    double at;
    uint16_t group;
};

struct play {
    const struct fri_look *look;
    double mean[FRI_GROUPS];  /* of one task */
    uint64_t left[FRI_GROUPS];
    uint64_t piece;           /* tasks that are played as one */
    unsigned free[FRI_GROUPS];            /* workers, by pool */
    unsigned seats[FRI_TALLY_LIMITS];
    struct event heap[2048];
    unsigned count;
    double now;
};

/* ---- the times of tasks ----------------------------------------------- */

static double variance(const struct fri_tally_group *g)
{
    double n = (double)g->measured, mean = g->sum / n;
    double v = g->squares / n - mean * mean;

    return v > 0 ? v : 0;
}

static uint64_t left_of(const struct fri_tally_group *g)
{
    return g->submitted > g->ended ? g->submitted - g->ended : 0;
}

/* The error of the mean, and of the sum of those that are left. */
static double deviation(const struct fri_tally_group *g)
{
    double left = (double)left_of(g), n = (double)g->measured;

    if (g->measured < 2 || left < 1)
        return g->measured > 0 ? 0.3 * g->sum / n : 0;
    return sqrt(variance(g) * (1 / n + 1 / left));
}

/* What is known of all groups together; < 0: nothing. */
static double mean_of_all(const struct fri_look *look)
{
    double sum = 0, n = 0;

    for (unsigned i = 0; i < look->group_count; i++) {
        sum += look->groups[i].sum;
        n += (double)look->groups[i].measured;
    }
    return n > 0 ? sum / n : -1;
}

/* `more`: with the deviation added.  True: all groups are known. */
static bool set_means(struct play *p, bool more)
{
    double all = mean_of_all(p->look);
    bool known = true;

    for (unsigned i = 0; i < p->look->group_count; i++) {
        const struct fri_tally_group *g = &p->look->groups[i];
        bool has = g->measured > 0;

        p->mean[i] = has ? g->sum / (double)g->measured : all;
        if (more)
            p->mean[i] += has ? deviation(g) : all / 2;
        known &= has || left_of(g) == 0;
    }
    return known;
}

/* ---- a heap of ends --------------------------------------------------- */

static void push(struct play *p, struct event e)
{
    unsigned i = p->count++;

    for (; i > 0 && p->heap[(i - 1) / 2].at > e.at; i = (i - 1) / 2)
        p->heap[i] = p->heap[(i - 1) / 2];
    p->heap[i] = e;
}

static struct event pop(struct play *p)
{
    struct event first = p->heap[0], last = p->heap[--p->count];
    unsigned i = 0, next;

    while ((next = 2 * i + 1) < p->count) {
        if (next + 1 < p->count && p->heap[next + 1].at < p->heap[next].at)
            next++;
        if (p->heap[next].at >= last.at)
            break;
        p->heap[i] = p->heap[next];
        i = next;
    }
    p->heap[i] = last;
    return first;
}

/* ---- playing ---------------------------------------------------------- */

static void hold(struct play *p, const struct fri_tally_group *g, bool take)
{
    unsigned *workers = &p->free[g->lane];

    if (!take)
        ++*workers;
    else if (*workers > 0)
        --*workers;
    for (unsigned i = 0; i < g->need_count; i++) {
        unsigned *seats = &p->seats[g->needs[i].limit], n = g->needs[i].count;

        if (!take)
            *seats += n;
        else
            *seats -= n < *seats ? n : *seats;
    }
}

static bool may_begin(const struct play *p, const struct fri_tally_group *g)
{
    if (p->free[g->lane] == 0
        || p->count == sizeof p->heap / sizeof *p->heap)
        return false;
    for (unsigned i = 0; i < g->need_count; i++)
        if (p->seats[g->needs[i].limit] < g->needs[i].count)
            return false;
    return true;
}

static void begin(struct play *p, uint16_t group, double seconds)
{
    hold(p, &p->look->groups[group], true);
    push(p, (struct event){ p->now + seconds, group });
}

/* One that is overdue goes on for as long as it has been that. */
static void begin_running(struct play *p)
{
    for (unsigned i = 0; i < p->look->running_count; i++) {
        const struct fri_tally_running *r = &p->look->longest[i];
        double rest = fabs(p->mean[r->group] - r->seconds);

        if (p->left[r->group] == 0
            || p->count == sizeof p->heap / sizeof *p->heap)
            continue;
        p->left[r->group]--;
        if (rest < STILL * p->mean[r->group])
            rest = STILL * p->mean[r->group];
        begin(p, r->group, rest);
    }
}

/* When the next of a group was submitted, about: the order is that of ids. */
static double turn(const struct play *p, unsigned group)
{
    const struct fri_tally_group *g = &p->look->groups[group];
    double begun = 1 - (double)p->left[group] / (double)g->submitted;

    return (double)g->first + begun * (double)(g->last - g->first);
}

/* The group whose turn it is, of those that can begin; < 0: none. */
static int next_group(const struct play *p)
{
    int best = -1;
    double first = 0;

    for (unsigned i = 0; i < p->look->group_count; i++) {
        double at;

        if (p->left[i] == 0 || !may_begin(p, &p->look->groups[i]))
            continue;
        at = turn(p, i);
        if (best < 0 || at < first) {
            best = (int)i;
            first = at;
        }
    }
    return best;
}

static void begin_all(struct play *p)
{
    int i;

    while ((i = next_group(p)) >= 0) {
        uint64_t n = p->left[i] < p->piece ? p->left[i] : p->piece;

        p->left[i] -= n;
        begin(p, (uint16_t)i, (double)n * p->mean[i]);
    }
}

static void set_up(struct play *p)
{
    const struct fri_look *look = p->look;
    uint64_t left = 0, pieces = PIECES, workers = 0;

    for (unsigned i = 0; i < look->lane_count; i++)
        workers += p->free[i] = look->workers[i];
    for (unsigned i = 0; i < look->limit_count; i++)
        p->seats[i] = look->limits[i].count;
    for (unsigned i = 0; i < look->group_count; i++)
        left += p->left[i] = left_of(&look->groups[i]);
    if (pieces < workers * ROUNDS)
        pieces = workers * ROUNDS;
    p->piece = left / pieces + 1;
    p->count = 0;
    p->now = 0;
}

static double play(struct play *p)
{
    double end = 0;

    set_up(p);
    begin_running(p);
    begin_all(p);
    while (p->count > 0) {
        struct event e = pop(p);

        end = p->now = e.at;
        hold(p, &p->look->groups[e.group], false);
        begin_all(p);
    }
    return end;
}

void fri_estimate_make(struct fri_estimate *to, const struct fri_look *look)
{
    struct play p;

    *to = (struct fri_estimate){ .known = false };
    p.look = look;
    if (mean_of_all(look) < 0)
        return;
    to->known = true;
    to->rough = !set_means(&p, false);
    to->seconds = play(&p);
    set_means(&p, true);
    to->spread = play(&p) - to->seconds;
    if (to->spread < 0)
        to->spread = 0;
}
