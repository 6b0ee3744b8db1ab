/*
 * record.c - rows as they come, under the engine's lock.
 */
#define _GNU_SOURCE
#include "report/record.h"

#include "core/range.h"
#include "data/show.h"
#include "report/record_private.h"

#include <stdio.h>
#include <unistd.h>

/* A map whose slices have rows: how many items it has. */
struct open_map {
    uint64_t id, items;
};

/* ---- keys ------------------------------------------------------------- */

static void set_key(struct fri_record *r, struct fri_row *row,
                    const struct frun_future *task)
{
    struct fri_buffer b;

    row->key_kind = task->key_kind;
    row->key = task->key_kind == FRI_KEY_NUMBER ? task->key.number : 0;
    if (task->key_kind != FRI_KEY_MESSAGE)
        return;
    fri_buffer_init(&b, r->memory);
    fri_show_key(&b, task->key.message->data, task->key.message->length);
    if (!b.failed)
        row->key = fri_texts_add(&r->texts, (char *)b.data, b.length);
    if (row->key == 0)
        row->key_kind = FRI_KEY_NONE;
    fri_buffer_free(&b);
}

/* ---- rows ------------------------------------------------------------- */

static bool add_block(struct fri_record *r)
{
    struct fri_row *block;

    if (r->block_count == r->block_capacity) {
        size_t want = r->block_capacity ? r->block_capacity * 2 : 16;
        struct fri_row **blocks = fri_realloc(r->memory, r->blocks,
                                              want * sizeof *blocks);

        if (!blocks)
            return false;
        r->blocks = blocks;
        r->block_capacity = want;
    }
    block = fri_alloc(r->memory, FRI_BLOCK * sizeof *block);
    if (!block)
        return false;
    r->blocks[r->block_count++] = block;
    return true;
}

static struct fri_row *new_row(struct fri_record *r, enum fri_row_kind kind)
{
    struct fri_row *row;

    if (r->count == r->block_count * FRI_BLOCK && !add_block(r)) {
        r->missing++;
        return NULL;
    }
    row = &r->blocks[r->count / FRI_BLOCK][r->count % FRI_BLOCK];
    r->count++;
    memset(row, 0, sizeof *row);
    row->kind = (uint8_t)kind;
    row->items = 1;
    row->cpu = -1;
    return row;
}

/* What it waited for, and when all of that was over. */
static void set_after(struct fri_record *r, struct fri_row *row,
                      const struct fri_extra *x)
{
    uint64_t count = x->after_count;
    size_t start = r->ids.length;
    bool fine = fri_record_add(&r->ids, &count, sizeof count);

    for (uint32_t i = 0; i < x->after_count; i++) {
        const struct frun_future *f = x->after[i].future;
        double end = fri_is_final(f) ? fri_record_seconds(r, f->finished)
                                     : row->finished;

        row->ready = end > row->ready ? end : row->ready;
        fine = fine && fri_record_add(&r->ids, &f->id, sizeof f->id);
    }
    if (fine)
        row->after = (uint32_t)(start / sizeof count);
    else
        r->ids.length = start;
}

static void set_extra(struct fri_record *r, struct fri_row *row,
                      const struct frun_future *task)
{
    const struct fri_extra *x = task->extra;

    if (x->from_journal)
        row->flags |= FRI_ROW_JOURNAL;
    if (x->after_count > 0)
        set_after(r, row, x);
    if (x->again > 0 && row->attempt > 1 && row->kind != FRI_ROW_TRY
        && fri_record_seconds(r, x->again) > row->ready)
        row->ready = fri_record_seconds(r, x->again);
    if (x->cpu > 0)
        row->cpu = (float)x->cpu;
    if (x->memory > 0)
        row->memory = (uint32_t)(x->memory / 1024);
}

static void set_name(struct fri_record *r, struct fri_row *row,
                     const struct frun_future *task)
{
    const struct fri_common *c = fri_record_common(r, task->spec);

    row->group = row->name = c->group;
    row->pool = c->pool;
    row->needs = c->needs;
    if (task->extra && task->extra->name)
        row->name = fri_record_intern(r, task->extra->name);
}

/* What every row says of its task; it has ended, or its attempt has. */
static void set_task(struct fri_record *r, struct fri_row *row,
                     const struct frun_future *task, fri_time now)
{
    fri_time started = task->started;

    row->id = task->id;
    row->submitted = row->ready = fri_record_seconds(r, task->submitted);
    row->finished = row->started = fri_record_seconds(r, now);
    row->attempt = task->attempts;
    if (started > 0 && started <= now && row->attempt > 0) {
        row->flags |= FRI_ROW_RAN;
        row->started = fri_record_seconds(r, started);
        row->worker = task->worker;
    }
    set_name(r, row, task);
    if (task->key_kind != FRI_KEY_NONE)
        set_key(r, row, task);
    if (task->extra)
        set_extra(r, row, task);
    if (row->ready > row->started)
        row->ready = row->started;
}

/* ---- maps ------------------------------------------------------------- */

static void note_map(struct fri_record *r, const struct frun_future *task)
{
    const struct open_map *maps = (void *)r->maps.data;
    struct open_map map = { task->id, task->data.range->count };

    for (size_t i = r->maps.length / sizeof map; i > 0; i--)
        if (maps[i - 1].id == task->id)
            return;
    fri_record_add(&r->maps, &map, sizeof map);
}

static uint32_t take_map(struct fri_record *r, uint64_t id)
{
    struct open_map *maps = (void *)r->maps.data;
    size_t n = r->maps.length / sizeof *maps;
    uint64_t items = 0;

    for (size_t i = 0; i < n; i++) {
        if (maps[i].id != id)
            continue;
        items = maps[i].items;
        maps[i] = maps[n - 1];
        r->maps.length -= sizeof *maps;
        break;
    }
    return items < UINT32_MAX ? (uint32_t)items : UINT32_MAX;
}

static void on_ran(struct fri_record *r, const struct frun_future *task,
                   const struct fri_ran_slice *ran)
{
    uint64_t n = ran->slice->end - ran->slice->first + ran->failed;
    struct fri_row *row;

    note_map(r, task);
    if (n == 0 || !(row = new_row(r, FRI_ROW_SLICE)))
        return;
    set_task(r, row, task, ran->ended);
    row->key_kind = FRI_KEY_NUMBER;
    row->key = (int64_t)ran->slice->first;
    row->items = n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
    row->started = fri_record_seconds(r, ran->began < ran->ended ? ran->began
                                                      : ran->ended);
    row->flags |= FRI_ROW_RAN;
    row->worker = (uint16_t)ran->worker;
    row->attempt = 1;
    row->cpu = -1;
    row->state = ran->failed ? FRI_FAILED : FRI_DONE;
    if (ran->failed)
        row->error = fri_record_keep(r, ran->failure);
}

/* ---- events ----------------------------------------------------------- */

static void on_finished(struct fri_record *r, const struct frun_future *task,
                        fri_time now)
{
    struct fri_row *row = new_row(r, task->counted ? FRI_ROW_MAP
                                                   : FRI_ROW_TASK);

    if (!row)
        return;
    set_task(r, row, task, now);
    if (task->counted)
        row->items = task->holds == FRI_RANGE
                         ? (uint32_t)task->data.range->count
                         : take_map(r, task->id);
    if (task->counted && task->holds == FRI_RANGE)
        take_map(r, task->id);
    row->state = (uint8_t)fri_state(task);
    if (task->holds == FRI_ERROR)
        row->error = fri_record_keep(r, task->data.error);
}

static void on_retried(struct fri_record *r, const struct frun_future *task,
                       fri_time now)
{
    struct fri_row *row = new_row(r, FRI_ROW_TRY);

    if (!row)
        return;
    set_task(r, row, task, now);
    if (task->extra && task->extra->again > 0
        && fri_record_seconds(r, task->extra->again) > row->ready)
        row->ready = fri_record_seconds(r, task->extra->again);
    row->state = FRI_FAILED;
    row->error = fri_record_keep(r, r->engine->sched.retried);
}

static void on_event(struct fri_observer *o, enum fri_event event,
                     struct frun_future *task, fri_time now)
{
    struct fri_record *r = (struct fri_record *)(void *)o;

    if (!task->spec->lane->hooks)
        return; /* no pool runs it */
    if (event == FRI_RAN)
        on_ran(r, task, r->engine->sched.ran);
    else if (event == FRI_RETRIED)
        on_retried(r, task, now);
    else
        on_finished(r, task, now);
}

/* ---- begin and end ---------------------------------------------------- */

static void init_tables(struct fri_record *r)
{
    struct fri_buffer *const all[]
        = { &r->errors, &r->ids,    &r->needs, &r->pools,
            &r->limits, &r->held,   &r->lanes, &r->maps };
    uint64_t none = 0;

    fri_texts_init(&r->texts, r->memory);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        fri_buffer_init(all[i], r->memory);
    fri_record_add(&r->ids, &none, sizeof none); /* 0 means none */
    fri_record_add(&r->needs, &none, sizeof(uint32_t));
}

static void set_run(struct fri_record *r, const frun_engine *e)
{
    struct timespec t;
    fri_time now = fri_now();

    clock_gettime(CLOCK_REALTIME, &t);
    if (gethostname(r->host, sizeof r->host - 1) != 0)
        r->host[0] = '\0';
    r->epoch = e->sched.epoch;
    r->run.host = r->host;
    r->run.seed = e->seed;
    r->run.cores = e->cores;
    r->run.version = FRUN_VERSION;
    r->run.began = (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000
                   - (now - r->epoch) / 1000;
}

struct fri_record *fri_record_open(frun_engine *e)
{
    struct fri_record *r = fri_alloc_zero(&e->memory, sizeof *r);

    if (!r)
        return NULL;
    atomic_fetch_add(&e->refs, 1);
    r->memory = &e->memory;
    r->engine = r->kept = e;
    init_tables(r);
    if (r->ids.length == 0 || r->needs.length == 0) {
        fri_record_close(r);
        return NULL;
    }
    set_run(r, e);
    r->observer.event = on_event;
    r->observer.wants = 1u << FRI_FINISHED | 1u << FRI_RETRIED
                        | 1u << FRI_RAN;
    fri_lock(e);
    e->sched.recorded++;
    fri_observer_add(&e->sched, &r->observer);
    fri_unlock(e);
    return r;
}

void fri_record_end(struct fri_record *r)
{
    frun_engine *e = r->engine;

    if (!e)
        return;
    fri_lock(e);
    e->sched.recorded--;
    fri_observer_remove(&e->sched, &r->observer);
    r->run.ended = fri_record_seconds(r, fri_now());
    r->engine = NULL;
    fri_unlock(e);
}

static void free_names(struct fri_record *r)
{
    const struct fri_record_pool *pools = (void *)r->pools.data;
    const struct fri_record_limit *limits = (void *)r->limits.data;
    struct fri_limit *const *held = (void *)r->held.data;
    struct fri_error *const *errors = (void *)r->errors.data;

    for (size_t i = 0; i < r->pools.length / sizeof *pools; i++)
        fri_free(r->memory, pools[i].name);
    for (size_t i = 0; i < r->limits.length / sizeof *limits; i++)
        fri_free(r->memory, limits[i].name);
    for (size_t i = 0; i < r->held.length / sizeof(void *); i++)
        fri_handle_unref(&held[i]->handle);
    for (size_t i = 0; i < r->errors.length / sizeof(void *); i++)
        fri_error_free(errors[i]);
}

void fri_record_close(struct fri_record *r)
{
    frun_engine *e;

    if (!r)
        return;
    e = r->kept;
    if (r->engine && r->observer.event)
        fri_record_end(r);
    free_names(r);
    for (size_t i = 0; i < r->block_count; i++)
        fri_free(r->memory, r->blocks[i]);
    fri_free(r->memory, r->blocks);
    fri_texts_free(&r->texts);
    fri_buffer_free(&r->errors);
    fri_buffer_free(&r->ids);
    fri_buffer_free(&r->needs);
    fri_buffer_free(&r->pools);
    fri_buffer_free(&r->limits);
    fri_buffer_free(&r->held);
    fri_buffer_free(&r->lanes);
    fri_buffer_free(&r->maps);
    fri_free(&e->memory, r);
    fri_engine_unref(e);
}

