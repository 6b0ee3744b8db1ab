/*
 * landing.c - what comes from a worker: results first of all.
 *
 * A frame that makes no sense, or comes at the wrong time, makes the worker
 * `broken`: it is killed.
 */
#include "pools/forks/flight.h"

#include "core/shared.h"
#include "data/value.h"

/* ---- results ---------------------------------------------------------- */

static void keep_facts(struct frun_future *task, double cpu, int64_t memory)
{
    struct fri_extra *x = cpu > 0 ? fri_task_extra(task) : NULL;

    if (x) {
        x->cpu = cpu;
        x->memory = memory;
    }
}

/* RESULT: slot, ns, cpu, memory, data; or of a slice: ... end, failed, an
 * error if it has, the results. */
static bool read_values(struct fri_reader *r, const struct fri_slice *s,
                        uint64_t end)
{
    struct fri_range *range = s->task->data.range;

    for (uint64_t i = s->first; i < end; i++) {
        size_t length;
        const uint8_t *bytes = fri_wire_get_bytes(r, &length);

        if (r->bad)
            return false;
        if (!bytes || range->results[i])
            continue;
        /* They become the host's. */
        if (fri_value_unpack(NULL, bytes, length, &range->results[i])
            != FRUN_OK)
            return false;
    }
    return true;
}

static bool read_results(struct fri_fork *w, struct fri_reader *r,
                         const struct fri_slice *s, uint64_t end, bool failed)
{
    struct fri_range *range = s->task->data.range;
    struct fri_message *m;

    if (range->list)
        return read_values(r, s, end);
    m = fri_wire_get_message(&w->port, r);
    if (r->bad)
        return false;
    if (!m) /* of a slice that failed nothing is kept */
        return end == s->first || failed;
    return fri_range_keep(range, s->first, end, m);
}

/* A worker whose task has called os.exit, or hit its memory cap, is replaced:
 * what the task has left behind goes with it. */
static void leave_after(struct fri_fork *w, const struct fri_flight *f,
                        const struct fri_error *error)
{
    if (error
        && (error->public.status == FRUN_ECRASHED
            || (f->task->spec->memory
                && error->public.status == FRUN_ERESOURCE)))
        fri_fork_dismiss(w);
}

/* When it began is not known here, but how long it took. */
static void tell_ran(const struct fri_fork *w, const struct fri_slice *s,
                     bool failed, const struct fri_error *failure,
                     fri_time took)
{
    struct fri_ran_slice ran = { .slice = s, .failed = failed,
                                 .failure = failure, .worker = w->index };

    if (!fri_fork_engine(w)->sched.observers)
        return;
    ran.ended = fri_now();
    ran.began = ran.ended - took;
    fri_sched_ran(s->task, &ran);
}

static bool read_slice(struct fri_fork *w, struct fri_reader *r,
                       struct fri_flight *f, uint64_t ns)
{
    uint64_t end = fri_get_varint(r);
    bool failed = fri_get_byte(r) != 0;
    struct fri_slice s = f->slice, rest = f->slice;
    struct fri_error *error = NULL;

    if (r->bad || end < s.first || end > s.end || (failed && end == s.end))
        return false;
    if (failed)
        error = fri_wire_get_error(&w->port, r);
    if (!read_results(w, r, &s, end, failed)) {
        fri_error_free(error);
        return false;
    }
    leave_after(w, f, error);
    fri_range_measure(s.task->data.range, end - s.first, (fri_time)ns);
    s.end = rest.first = end;
    if (!failed)
        fri_sched_give_back(&rest);
    tell_ran(w, &s, failed, error, (fri_time)ns);
    fri_sched_finish_slice(&s, failed, error, fri_now());
    return true;
}

static bool read_outcome(struct fri_fork *w, struct fri_reader *r,
                         struct fri_flight *f, uint64_t ns, bool resumed)
{
    struct fri_data outcome;

    if (!fri_wire_get_data(&w->port, r, &outcome))
        return false;
    if (f->refused) {
        fri_data_free(&outcome);
        fri_sched_return(f->task);
        return true;
    }
    if (!resumed)
        fri_lane_measure(&w->forks->pool->lane, (fri_time)ns);
    if (outcome.holds == FRI_ERROR)
        leave_after(w, f, outcome.error);
    fri_sched_finish(f->task, &outcome, fri_now());
    return true;
}

/* One less: the next begins, or it has nothing left. */
static void landed(struct fri_fork *w)
{
    if (!fri_fork_runs_one(w))
        fri_flight_next(w);
    fri_fork_count(w);
    if (w->ending && w->flying + w->suspended == 0)
        fri_fork_leaving(w);
}

static bool read_result(struct fri_fork *w, struct fri_reader *r)
{
    uint64_t slot = fri_get_varint(r), ns = fri_get_varint(r);
    double cpu = fri_wire_get_double(r);
    int64_t memory = (int64_t)fri_get_varint(r);
    unsigned flags = fri_get_byte(r); /* 1: resumed, 2: drew numbers */
    struct fri_flight f;
    bool well;

    if (r->bad || slot >= FRI_SLOTS || !w->flights[slot]
        || w->flights[slot]->revoked)
        return false;
    while (!w->flights[slot]->begun && w->queue_count > 0)
        fri_flight_next(w);
    f = fri_flight_land(w, w->flights[slot]);
    w->useful = true;
    if (f.task->counted) {
        well = read_slice(w, r, &f, ns);
    } else {
        keep_facts(f.task, cpu, memory);
        if (f.task->extra)
            f.task->extra->drew = flags & 2;
        well = read_outcome(w, r, &f, ns, flags & 1);
    }
    if (!well)
        fri_flight_settle(w, &f);
    landed(w);
    return well;
}

static bool read_skipped(struct fri_fork *w, struct fri_reader *r)
{
    uint64_t slot = fri_get_varint(r);
    struct fri_flight f;

    if (r->bad || slot >= FRI_SLOTS || !w->flights[slot])
        return false;
    f = fri_flight_land(w, w->flights[slot]);
    if (!f.revoked) /* it was stopped before it began, or is not wanted */
        fri_flight_give_back(&f);
    landed(w);
    return true;
}

/* ---- frames ----------------------------------------------------------- */

/* SUSPENDED: slot, end: the items behind are somebody else's. */
static bool read_suspended(struct fri_fork *w, struct fri_reader *r)
{
    uint64_t slot = fri_get_varint(r), end = fri_get_varint(r);
    struct fri_flight *f = slot < FRI_SLOTS ? w->flights[slot] : NULL;

    if (r->bad || !f || f->revoked)
        return false;
    while (!f->begun && w->queue_count > 0)
        fri_flight_next(w);
    if (f->task->counted) {
        struct fri_slice rest = { f->task, end, f->slice.end };

        if (end <= f->slice.first || end > f->slice.end)
            return false;
        f->slice.end = end;
        fri_sched_give_back(&rest);
    }
    fri_flight_leave_slot(w, f);
    f->suspended = true;
    f->wants = false;
    f->next = w->waits;
    w->waits = f;
    w->suspended++;
    fri_fork_reclaim(w);
    fri_fork_count(w);
    return fri_flight_waits(w, f, r);
}

static bool read_want(struct fri_fork *w, struct fri_reader *r)
{
    struct fri_flight *f = fri_fork_flight(w, fri_get_varint(r));

    if (r->bad || !f || !f->suspended)
        return false;
    f->wants = true;
    return true;
}

static bool read_ready(struct fri_fork *w, struct fri_reader *r)
{
    struct fri_error *error;

    if (fri_get_byte(r) == 0)
        return !r->bad;
    error = fri_wire_get_error(&w->port, r);
    fri_lane_break(&w->forks->pool->lane, error);
    fri_fork_kill(w, false);
    return true;
}

static bool read_frame(struct fri_fork *w, const struct fri_frame *f)
{
    struct fri_reader r;

    fri_reader_init(&r, f->bytes, f->length);
    switch (f->kind) {
    case FRI_FRAME_READY: return read_ready(w, &r);
    case FRI_FRAME_RESULT: return read_result(w, &r);
    case FRI_FRAME_SKIPPED: return read_skipped(w, &r);
    case FRI_FRAME_SUSPENDED: return read_suspended(w, &r);
    case FRI_FRAME_WANT: return read_want(w, &r);
    case FRI_FRAME_NEWSPEC: return fri_serve_spec(w, &r);
    case FRI_FRAME_REQUEST: return fri_serve(w, &r);
    case FRI_FRAME_WITHDRAW: return fri_serve_withdraw(w, &r);
    case FRI_FRAME_RELEASE: fri_exports_release(w, &r); return !r.bad;
    default: return false;
    }
}

bool fri_fork_read(struct fri_fork *w, struct fri_frame *output)
{
    struct fri_frame f;

    if (w->broken || !fri_channel_next(&w->channel, &f)) {
        w->broken |= w->channel.bad;
        return false;
    }
    if (f.kind == FRI_FRAME_OUTPUT) {
        *output = f;
        return false;
    }
    if (!read_frame(w, &f))
        w->broken = true;
    fri_channel_done(&w->channel, &f);
    return true;
}

void fri_fork_nudge(struct fri_fork *w)
{
    fri_time now;

    if (w->flying == 0 || w->ended)
        return;
    now = fri_now();
    if (now - w->busy_since < FRI_SECOND || now - w->nudged < FRI_SECOND)
        return;
    w->nudged = now;
    fri_channel_flush(&w->channel);
    for (unsigned i = 0; i < FRI_SLOTS; i++)
        if (w->flights[i] && fri_fork_slot_state(w, i) == FRI_SLOT_HANDED) {
            fri_channel_ring_surely(&w->channel);
            return;
        }
}

bool fri_fork_read_result(struct fri_fork *w)
{
    struct fri_frame f;

    if (!fri_channel_peek(&w->channel, &f) || f.kind != FRI_FRAME_RESULT)
        return false;
    w->broken |= !read_frame(w, &f);
    fri_channel_done(&w->channel, &f);
    return !w->broken;
}
