#include "report/tally.h"

#include "base/hash.h"

#include <ctype.h>
#include <stdio.h>

struct open_map {
    uint64_t id, left; /* items without an outcome */
    uint16_t group;
};

struct fri_tally {
    struct fri_observer observer;
    frun_engine *engine; /* a reference */
    uint64_t total, done, failed, cancelled, retried;
    double series;
    unsigned group_count, limit_count, lane_count;
    struct fri_tally_group groups[FRI_GROUPS];
    const struct fri_lane *lanes[FRI_GROUPS]; /* only compared */
    unsigned workers[FRI_GROUPS];
    struct fri_limit *limits[FRI_TALLY_LIMITS]; /* references */
    uint64_t looks, busy, full[FRI_TALLY_LIMITS];
    struct fri_buffer maps; /* struct open_map each */
    uint64_t last_spec[2];  /* of those submitted, of those that end ... */
    uint16_t last_group[2]; /* ... what group_of found last */
};

/* ---- groups ----------------------------------------------------------- */

/* Names that differ only in digits are alike: "case 7" and "case 12". */
static uint64_t hash_of(const char *name, uint16_t lane)
{
    uint64_t h = fri_mix(lane + 1u);

    for (; name && *name; name++) {
        bool digit = isdigit((unsigned char)*name);

        if (digit && isdigit((unsigned char)name[1]))
            continue;
        h = (h ^ (digit ? '0' : (unsigned char)*name))
            * UINT64_C(0x100000001b3);
    }
    return fri_mix(h);
}

static uint16_t lane_of(struct fri_tally *t, const struct fri_lane *lane)
{
    unsigned n = 0;

    while (n < t->lane_count && t->lanes[n] != lane)
        n++;
    if (n == FRI_GROUPS)
        return FRI_GROUPS - 1;
    if (n == t->lane_count)
        t->lane_count++;
    t->lanes[n] = lane;
    t->workers[n] = lane->workers;
    return (uint16_t)n;
}

static int limit_of(struct fri_tally *t, struct fri_limit *limit)
{
    unsigned n = 0;

    while (n < t->limit_count && t->limits[n] != limit)
        n++;
    if (n == FRI_TALLY_LIMITS)
        return -1;
    if (n == t->limit_count) {
        fri_handle_ref(&limit->handle);
        t->limits[t->limit_count++] = limit;
    }
    return (int)n;
}

static void add_needs(struct fri_tally *t, struct fri_tally_group *g,
                      const struct fri_spec *spec)
{
    for (size_t i = 0; i < spec->need_count; i++) {
        int limit = limit_of(t, spec->needs[i].limit);

        if (limit < 0 || g->need_count == FRI_GROUP_NEEDS)
            continue;
        g->needs[g->need_count].limit = (uint8_t)limit;
        g->needs[g->need_count++].count = spec->needs[i].count;
    }
}

static uint16_t find_group(struct fri_tally *t, const struct fri_spec *spec)
{
    uint16_t lane = lane_of(t, spec->lane);
    uint64_t hash = hash_of(spec->name, lane);
    unsigned n = 0;

    while (n < t->group_count && t->groups[n].hash != hash)
        n++;
    if (n == FRI_GROUPS)
        return FRI_GROUPS - 1;
    if (n == t->group_count) {
        t->groups[n] = (struct fri_tally_group){ .hash = hash, .lane = lane };
        add_needs(t, &t->groups[n], spec);
        t->group_count++;
    }
    return (uint16_t)n;
}

/* which: 0 for those that are submitted, 1 for those that end. */
static uint16_t group_of(struct fri_tally *t, const struct fri_spec *spec,
                         int which)
{
    if (t->last_spec[which] != spec->id) {
        t->last_group[which] = find_group(t, spec);
        t->last_spec[which] = spec->id;
    }
    return t->last_group[which];
}

static void measure(struct fri_tally *t, struct fri_tally_group *g,
                    double seconds, uint64_t items)
{
    if (items == 0 || seconds < 0)
        return;
    t->series += seconds;
    g->sum += seconds;
    g->squares += seconds * seconds / (double)items;
    g->measured += items;
}

/* ---- maps ------------------------------------------------------------- */

static struct open_map *map_of(struct fri_tally *t, uint64_t id)
{
    struct open_map *maps = (void *)t->maps.data;

    for (size_t i = t->maps.length / sizeof *maps; i > 0; i--)
        if (maps[i - 1].id == id)
            return &maps[i - 1];
    return NULL;
}

static void close_map(struct fri_tally *t, struct open_map *map)
{
    t->maps.length -= sizeof *map;
    memmove(map, t->maps.data + t->maps.length, sizeof *map);
}

static void on_ran(struct fri_tally *t, const struct frun_future *task,
                   const struct fri_ran_slice *ran)
{
    struct open_map *map = map_of(t, task->id);
    uint64_t n = ran->slice->end - ran->slice->first;
    uint64_t ended = n + ran->failed;

    if (!map)
        return;
    t->done += n;
    t->failed += ran->failed;
    map->left -= ended < map->left ? ended : map->left;
    t->groups[map->group].ended += ended;
    measure(t, &t->groups[map->group], fri_seconds(ran->ended - ran->began),
            ended);
}

/* ---- events ----------------------------------------------------------- */

static void on_submitted(struct fri_tally *t, const struct frun_future *task)
{
    uint16_t group = group_of(t, task->spec, 0);
    uint64_t n = task->holds == FRI_RANGE ? task->data.range->count : 1;
    struct open_map map = { task->id, n, group };

    t->total += n;
    t->groups[group].submitted += n;
    if (t->groups[group].first == 0)
        t->groups[group].first = task->id;
    t->groups[group].last = task->id;
    if (task->holds != FRI_RANGE)
        return;
    fri_buffer_add(&t->maps, &map, sizeof map);
    t->maps.failed = false;
}

static void count(struct fri_tally *t, enum fri_task_state state, uint64_t n)
{
    if (state == FRI_DONE)
        t->done += n;
    else if (state == FRI_CANCELLED)
        t->cancelled += n;
    else
        t->failed += n;
}

static void on_finished(struct fri_tally *t, struct frun_future *task,
                        fri_time now)
{
    uint16_t group = group_of(t, task->spec, 1);
    struct open_map *map = task->counted ? map_of(t, task->id) : NULL;
    fri_time started = task->started;

    if (map) {
        count(t, fri_state(task) == FRI_DONE ? FRI_DONE : FRI_CANCELLED,
              map->left);
        t->groups[group].ended += map->left;
        close_map(t, map);
    }
    if (task->counted)
        return;
    count(t, fri_state(task), 1);
    t->groups[group].ended++;
    if (started > 0 && task->attempts > 0)
        measure(t, &t->groups[group], fri_seconds(now - started), 1);
}

static void on_event(struct fri_observer *o, enum fri_event event,
                     struct frun_future *task, fri_time now)
{
    struct fri_tally *t = (struct fri_tally *)(void *)o;

    if (!task->spec->lane->hooks)
        return; /* no pool runs it */
    switch (event) {
    case FRI_SUBMITTED: on_submitted(t, task); break;
    case FRI_RAN: on_ran(t, task, t->engine->sched.ran); break;
    case FRI_FINISHED: on_finished(t, task, now); break;
    case FRI_RETRIED:
        t->retried++;
        t->series += fri_seconds(now - task->started);
        break;
    default: break;
    }
}

/* ---- looking ---------------------------------------------------------- */

struct looker {
    struct fri_tally *tally;
    struct fri_look *look;
    struct frun_future *tasks[FRI_TALLY_RUNNING]; /* of look->longest */
    fri_time now;
};

static void on_running(void *user, struct frun_future *task, unsigned worker,
                       fri_time since)
{
    struct looker *l = user;
    struct fri_look *look = l->look;
    struct fri_tally_running *r = &look->longest[look->running_count];

    (void)worker;
    if (look->running_count == FRI_TALLY_RUNNING)
        return;
    l->tasks[look->running_count++] = task;
    r->name[0] = '\0';
    r->group = find_group(l->tally, task->spec);
    r->seconds = since > 0 && l->now > since ? fri_seconds(l->now - since)
                                             : 0;
}

static void escape(const char *text, char to[FRI_TALLY_NAME])
{
    struct fri_buffer b;

    fri_buffer_init(&b, NULL);
    fri_escape(&b, text, strlen(text), FRI_TALLY_NAME / 2, false);
    snprintf(to, FRI_TALLY_NAME, "%.*s", b.failed ? 0 : (int)b.length,
             b.data ? (const char *)b.data : "");
    fri_buffer_free(&b);
}

static void swap(struct looker *l, unsigned i, unsigned j)
{
    struct fri_tally_running r = l->look->longest[i];
    struct frun_future *task = l->tasks[i];

    l->look->longest[i] = l->look->longest[j];
    l->look->longest[j] = r;
    l->tasks[i] = l->tasks[j];
    l->tasks[j] = task;
}

/* The ones that run longest come first, with their names. */
static void name_longest(struct looker *l, unsigned names)
{
    struct fri_look *look = l->look;

    for (unsigned i = 0; i < names && i < look->running_count; i++) {
        unsigned best = i;
        char text[32];

        for (unsigned j = i + 1; j < look->running_count; j++)
            if (look->longest[j].seconds > look->longest[best].seconds)
                best = j;
        swap(l, i, best);
        escape(fri_task_name(l->tasks[i], text), look->longest[i].name);
    }
}

static void look_at_pools(struct looker *l, bool counts)
{
    bool busy = false;

    for (frun_pool *p = l->tally->engine->pools; p; p = p->next) {
        uint64_t left = p->lane.unfinished, running;

        if (p->gone)
            continue;
        running = p->ops->running(p);
        l->look->running += running;
        l->look->queued += left > running ? left - running : 0;
        busy |= running >= p->workers && atomic_load(&p->lane.ready) > 0;
        if (p->ops->each)
            p->ops->each(p, on_running, l);
    }
    l->tally->busy += busy && counts;
}

static void look_at_limit(struct fri_tally *t, unsigned i,
                          struct fri_tally_limit *to, bool counts)
{
    const struct fri_limit *limit = t->limits[i];
    char name[32];

    snprintf(name, sizeof name, "limit %u", i + 1);
    escape(limit->name ? limit->name : name, to->name);
    to->used = limit->used;
    to->count = limit->count;
    to->full = limit->waiting.count > 0;
    t->full[i] += to->full && counts;
    to->share = t->looks ? (double)t->full[i] / (double)t->looks : 0;
}

static void copy(const struct fri_tally *t, struct fri_look *look)
{
    look->total = t->total;
    look->done = t->done;
    look->failed = t->failed;
    look->cancelled = t->cancelled;
    look->retried = t->retried;
    look->series = t->series;
    look->group_count = t->group_count;
    look->lane_count = t->lane_count;
    look->limit_count = t->limit_count;
    memcpy(look->groups, t->groups, t->group_count * sizeof *t->groups);
    memcpy(look->workers, t->workers, t->lane_count * sizeof *t->workers);
}

void fri_tally_look(struct fri_tally *t, struct fri_look *look,
                    unsigned names, bool counts)
{
    struct looker l = { .tally = t, .look = look, .now = fri_now() };

    look->running = look->queued = look->running_count = 0;
    fri_lock(t->engine);
    t->looks += counts;
    look_at_pools(&l, counts);
    name_longest(&l, names);
    for (unsigned i = 0; i < t->limit_count; i++)
        look_at_limit(t, i, &look->limits[i], counts);
    copy(t, look);
    look->busy = t->looks ? (double)t->busy / (double)t->looks : 0;
    look->elapsed = fri_seconds(l.now - t->engine->sched.epoch);
    fri_unlock(t->engine);
}

/* ---- begin and end ---------------------------------------------------- */

struct fri_tally *fri_tally_open(frun_engine *e)
{
    struct fri_tally *t = fri_alloc_zero(&e->memory, sizeof *t);

    if (!t)
        return NULL;
    atomic_fetch_add(&e->refs, 1);
    t->engine = e;
    fri_buffer_init(&t->maps, &e->memory);
    t->observer.event = on_event;
    t->observer.wants = 1u << FRI_SUBMITTED | 1u << FRI_RAN
                        | 1u << FRI_RETRIED | 1u << FRI_FINISHED;
    fri_lock(e);
    fri_observer_add(&e->sched, &t->observer);
    fri_unlock(e);
    return t;
}

void fri_tally_close(struct fri_tally *t)
{
    frun_engine *e;

    if (!t)
        return;
    e = t->engine;
    fri_lock(e);
    fri_observer_remove(&e->sched, &t->observer);
    fri_unlock(e);
    for (unsigned i = 0; i < t->limit_count; i++)
        fri_handle_unref(&t->limits[i]->handle);
    fri_buffer_free(&t->maps);
    fri_free(&e->memory, t);
    fri_engine_unref(e);
}
