/*
 * remote.c - in a worker process: pools of the engine's process.  What is
 * submitted to one goes home.
 */
#include "pools/forks/home.h"

#include "core/resume.h"

#include <string.h>

static void put_key(struct fri_home *h, struct fri_buffer *b,
                    const struct frun_future *task)
{
    fri_buffer_byte(b, task->key_kind);
    if (task->key_kind == FRI_KEY_NUMBER)
        fri_wire_signed(b, task->key.number);
    else if (task->key_kind == FRI_KEY_MESSAGE)
        fri_wire_message(&h->port, b, task->key.message);
}

static void put_items(struct fri_home *h, struct fri_buffer *b,
                      const struct fri_message *m, const size_t *offsets,
                      uint64_t count)
{
    fri_buffer_byte(b, m == NULL ? 0 : offsets ? 1 : 2);
    if (!m)
        return;
    fri_wire_message(&h->port, b, m);
    for (uint64_t i = 0; offsets && i < count; i++)
        fri_put_varint(b, offsets[i]);
}

static void put_range(struct fri_home *h, struct fri_buffer *b,
                      const struct fri_range *r)
{
    fri_put_varint(b, r->count);
    put_items(h, b, r->items, r->offsets, r->count);
    put_items(h, b, r->keys, r->key_offsets, r->count);
    fri_buffer_byte(b, r->streams != NULL);
    for (uint64_t i = 0; r->streams && i < r->count; i++)
        fri_put_varint(b, r->stream_of(r->streams, i));
}

static void put_resume(struct fri_buffer *b, const struct fri_resume *resume)
{
    fri_buffer_byte(b, resume != NULL);
    if (!resume)
        return;
    fri_wire_pointer(b, (uintptr_t)resume->journal);
    fri_buffer_add(b, &resume->identity, sizeof resume->identity);
    fri_buffer_byte(b, resume->durable);
    fri_buffer_byte(b, resume->keys);
    fri_buffer_byte(b, resume->version);
    fri_wire_bytes(b, resume->digest.bytes, FRI_DIGEST);
    fri_put_varint(b, resume->count);
    for (size_t i = 0; i < resume->count; i++) {
        fri_wire_text(b, resume->parts[i].name);
        fri_buffer_add(b, &resume->parts[i].digest, 8);
    }
}

static bool send_spec(struct fri_home *h, struct fri_spec *spec)
{
    uint64_t *sent = &h->sent[spec->id % FRI_HOME_SPECS];
    struct fri_view view = { .pool = fri_lane_pool(spec->lane) };

    if (*sent == spec->id)
        return true;
    view.handle.kind = FRI_HANDLE_POOL;
    view.plain = spec->asked == NULL;
    if (spec->asked)
        view.policy = *spec->asked;
    fri_home_begin(h);
    fri_put_varint(&h->channel.text, spec->id);
    if (!h->port.put(&h->port, &h->channel.text, &view.handle))
        return false;
    fri_wire_text(&h->channel.text, spec->name);
    fri_buffer_byte(&h->channel.text, spec->script != NULL);
    if (spec->script)
        fri_wire_function(&h->port, &h->channel.text, spec->script);
    put_resume(&h->channel.text, spec->resume);
    if (!fri_home_post(h, FRI_FRAME_NEWSPEC))
        return false;
    *sent = spec->id;
    return true;
}

static bool send_task(struct fri_home *h, struct frun_future *task)
{
    const struct fri_extra *x = task->extra;
    uint32_t errand;
    struct fri_buffer *b;

    if (!send_spec(h, task->spec))
        return false;
    errand = fri_errand_new(h, task);
    if (errand == 0)
        return false;
    b = fri_errand_request(h, fri_errand_number(h, errand), FRI_ASK_SUBMIT);
    fri_put_varint(b, task->spec->id);
    put_key(h, b, task);
    fri_wire_text(b, x ? x->name : NULL);
    fri_put_varint(b, x ? x->stream : 0);
    fri_put_varint(b, x ? x->modules : 0);
    fri_buffer_byte(b, task->counted);
    if (task->counted)
        put_range(h, b, task->data.range);
    else
        fri_wire_data(&h->port, b, task->holds, &task->data, task->length);
    if (fri_home_post(h, FRI_FRAME_REQUEST))
        return true;
    fri_future_unref(fri_errand_end(h, fri_errand_number(h, errand)));
    return false;
}

static void end_slice(const struct fri_slice *s, bool failed,
                      struct fri_error *error)
{
    fri_sched_finish_slice(s, failed, error, fri_now());
}

static void cannot_send(const struct fri_slice *s)
{
    struct fri_data outcome = { .holds = FRI_ERROR };
    struct fri_slice none = { s->task, s->first, s->first };

    if (s->task->counted)
        end_slice(&none, true, NULL);
    else if (fri_task_begin(s->task, 0, fri_now()))
        fri_sched_finish(s->task, &outcome, fri_now());
}

/* Everything that can run goes home: what it waits for else is seen to
 * there.  It stays pending here until the answer comes. */
static void remote_ready(struct fri_lane *lane, size_t count)
{
    struct fri_home *h = fri_lane_pool(lane)->engine->home;
    struct fri_slice s;

    (void)count;
    while (fri_sched_take(lane, 1, &s) > 0) {
        s.task->handed = !s.task->counted;
        if (!send_task(h, s.task))
            cannot_send(&s);
    }
}

static bool remote_stop(struct fri_lane *lane, struct frun_future *task,
                        frun_status why)
{
    struct fri_home *h = fri_lane_pool(lane)->engine->home;
    uint64_t number = fri_errand_of(h, task);

    (void)why;
    if (number == 0)
        return false;
    fri_put_varint(fri_errand_request(h, 0, FRI_ASK_CANCEL), number);
    return fri_home_post(h, FRI_FRAME_REQUEST);
}

static void remote_idle(struct fri_lane *lane)
{
    (void)lane;
}

static const struct fri_lane_hooks remote_hooks = {
    .ready = remote_ready,
    .idle = remote_idle,
    .stop = remote_stop,
    .hold = fri_lane_hold,
    .release = fri_lane_release,
};

static uint64_t none_running(const frun_pool *pool)
{
    (void)pool;
    return 0;
}

static const struct fri_pool_ops remote_ops[] = {
    { .kind = FRUN_THREADS, .hooks = &remote_hooks, .running = none_running },
    { .kind = FRUN_FORKS, .hooks = &remote_hooks, .running = none_running },
    { .kind = FRUN_COMMANDS, .hooks = &remote_hooks,
      .running = none_running },
};

frun_pool *fri_home_pool_new(struct fri_home *h, const char *name,
                             unsigned workers, unsigned kind)
{
    frun_pool_options o = { .name = name, .workers = (int)workers };
    frun_pool *pool;

    if (kind > FRUN_COMMANDS)
        return NULL;
    pool = fri_pool_new(h->engine, &remote_ops[kind], &o);
    if (pool)
        pool->lane.remote = true;
    return pool;
}
