/*
 * forked.c - a worker process: its loop.
 *
 * Rules.
 *  1. A task is begun by taking its slot from HANDED to BEGUN, ended by
 *     taking it from BEGUN to ENDED; where that fails, the engine has taken
 *     it back, or is about to kill this process.
 *  2. A result is in the ring before the next task begins.  The engine is
 *     woken for it when there is nothing left to do, or some time is over.
 *  3. A task that could go on asks first (WANT), since `workers` counts those
 *     that run.
 */
#define _GNU_SOURCE
#include "pools/forks/home.h"

#include "pools/ctask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    TIMED_NS = 20000, /* tasks that are worth asking for their CPU time */
    SWEEP = 32        /* tasks between two looks at what is not used */
};

/* ---- frames from home ------------------------------------------------- */

static bool queue_task(struct fri_home *h, struct fri_reader *r)
{
    struct fri_guest *g = fri_guest_read(h, r);

    if (!g)
        return false;
    *h->last = g;
    h->last = &g->next;
    return true;
}

static bool let_go(struct fri_home *h, struct fri_reader *r)
{
    uint64_t ticket = fri_get_varint(r), slot = fri_get_varint(r);
    struct fri_guest *g = h->guests;

    while (g && g->ticket != ticket)
        g = g->next;
    if (!g || slot >= FRI_SLOTS)
        return false;
    g->slot = (unsigned)slot;
    g->may_go = true;
    return true;
}

static bool read_frame(struct fri_home *h, const struct fri_frame *f)
{
    struct fri_reader r;

    fri_reader_init(&r, f->bytes, f->length);
    switch (f->kind) {
    case FRI_FRAME_SPEC: return fri_guest_spec(h, &r);
    case FRI_FRAME_TASK: return queue_task(h, &r);
    case FRI_FRAME_GO: return let_go(h, &r);
    case FRI_FRAME_RAISE: return fri_home_raise(h, &r);
    case FRI_FRAME_ANSWER: return fri_home_answer(h, &r);
    case FRI_FRAME_DROPPED: return fri_home_dropped(h, &r);
    case FRI_FRAME_END: h->leaving = true; return true;
    default: return false;
    }
}

/* What comes from home is well formed, or there is no memory for it: either
 * way this process cannot go on, and its death says so. */
static void read_all(struct fri_home *h)
{
    struct fri_frame f;

    while (fri_channel_next(&h->channel, &f)) {
        bool well;

        fri_lock(h->engine);
        well = read_frame(h, &f);
        fri_unlock(h->engine);
        if (!well)
            abort();
        fri_channel_done(&h->channel, &f);
    }
    if (h->channel.bad || h->channel.noise)
        abort();
}

/* ---- running ---------------------------------------------------------- */

static struct fri_slot *slot_of(struct fri_home *h, const struct fri_guest *g)
{
    return &h->channel.page->slots[g->slot];
}

static void guest_free(struct fri_guest *g)
{
    atomic_store(&g->task->state, FRI_DONE);
    fri_future_unref(g->task);
    fri_free(NULL, g);
}

/* The engine has stopped it, and is about to kill this process. */
static void wait_for_the_end(struct fri_home *h)
{
    for (;;) {
        fri_channel_wait(&h->channel, fri_now() + FRI_SECOND, false);
        if (h->channel.ended)
            _exit(0);
        usleep(1000);
    }
}

static void drop_results(struct fri_ran *ran)
{
    fri_data_free(&ran->outcome);
    fri_error_free(ran->failure);
}

/* Rule 1. */
static void end(struct fri_home *h, struct fri_guest *g, struct fri_slice *s,
                struct fri_ran *ran, fri_time took, bool resumed)
{
    fri_home_stdio_end();
    if (!fri_slot_move(slot_of(h, g), FRI_SLOT_BEGUN, FRI_SLOT_ENDED))
        wait_for_the_end(h);
    if (ran->failed)
        h->failed = g->task->id;
    fri_guest_report(h, g, s, ran, took, resumed);
    drop_results(ran);
    guest_free(g);
}

static void suspended(struct fri_home *h, struct fri_guest *g,
                      const struct fri_slice *s, struct fri_ran *ran)
{
    struct fri_buffer *b;

    g->suspended = ran->suspended;
    g->slice = *s;
    g->wants = g->may_go = false;
    g->next = h->guests;
    h->guests = g;
    if (!fri_slot_move(slot_of(h, g), FRI_SLOT_BEGUN, FRI_SLOT_SUSPENDED))
        wait_for_the_end(h);
    b = fri_home_begin(h);
    fri_put_varint(b, g->slot);
    fri_put_varint(b, s->end);
    fri_home_awaits(h, b, g->suspended ? g->suspended->set : NULL);
    fri_home_send(h, FRI_FRAME_SUSPENDED, true);
}

static void execute(struct fri_home *h, struct fri_guest *g, bool resumed)
{
    struct fri_slice s = g->slice;
    struct fri_lane *lane = &h->own->lane;
    bool timed = resumed || lane->task_ns == 0 || lane->task_ns > TIMED_NS;
    fri_time cpu = timed ? fri_home_cpu() : 0, began = fri_now(), took;
    struct fri_ran ran;

    memset(&ran, 0, sizeof ran);
    h->current = g;
    h->worker.task = g->task;
    if (g->task->spec->memory)
        fri_home_cap(g->task->spec->memory);
    if (resumed)
        h->runner->resume(h->worker.state, g->suspended, &s, &ran);
    else if (g->task->spec->function)
        fri_ctask_run(&h->worker, &s, &ran);
    else
        h->runner->run(h->worker.state, &s, &ran);
    if (g->task->spec->memory)
        fri_home_cap(0);
    h->worker.task = NULL;
    h->current = NULL;
    took = fri_now() - began;
    if (!resumed && !g->task->counted)
        lane->task_ns = (uint32_t)(took < 1000000000 ? took + 1 : 1000000000);
    if (timed)
        g->cpu += fri_home_cpu() - cpu;
    if (ran.suspended)
        suspended(h, g, &s, &ran);
    else
        end(h, g, &s, &ran, took, resumed);
}

/* A slice of a map of which another has just failed here. */
static bool is_over(const struct fri_home *h, const struct fri_guest *g)
{
    return g->task->counted && g->task->id == h->failed;
}

static void run_first(struct fri_home *h)
{
    struct fri_guest *g = h->first;

    h->first = g->next;
    if (!h->first)
        h->last = &h->first;
    if (is_over(h, g)) /* nobody wants more of it */
        fri_slot_move(slot_of(h, g), FRI_SLOT_HANDED, FRI_SLOT_REVOKED);
    if (fri_slot_move(slot_of(h, g), FRI_SLOT_HANDED, FRI_SLOT_BEGUN)) {
        execute(h, g, false);
    } else {
        fri_put_varint(fri_home_begin(h), g->slot);
        fri_home_send(h, FRI_FRAME_SKIPPED, !h->first);
        guest_free(g);
    }
    if (++h->since_sweep >= SWEEP && h->known_count > 0) {
        h->since_sweep = 0;
        fri_home_sweep(h);
    }
}

/* One that was let go; false: there is none. */
static bool run_resumed(struct fri_home *h)
{
    struct fri_guest **at = &h->guests, *g;

    while (*at && !(*at)->may_go)
        at = &(*at)->next;
    g = *at;
    if (!g)
        return false;
    *at = g->next;
    g->next = NULL;
    if (!fri_slot_move(slot_of(h, g), FRI_SLOT_HANDED, FRI_SLOT_BEGUN))
        wait_for_the_end(h);
    execute(h, g, true);
    return true;
}

/* ---- waiting ---------------------------------------------------------- */

static struct fri_home *home_of_worker(struct fri_worker *worker)
{
    return worker->pool->engine->home;
}

/* Rule 3: asks, under the lock. */
static void want(struct fri_home *h, struct fri_guest *g)
{
    if (g->wants)
        return;
    g->wants = true;
    fri_put_varint(fri_home_begin(h), g->ticket);
    fri_home_send(h, FRI_FRAME_WANT, true);
}

static void worker_resume(struct fri_resumable *r)
{
    struct fri_home *h = home_of_worker(r->worker);
    struct fri_guest *g = h->guests;

    while (g && g->suspended != r)
        g = g->next;
    if (g)
        want(h, g);
}

static void pump(struct fri_home *h, fri_time deadline, bool spin)
{
    fri_time next;

    fri_lock(h->engine);
    next = fri_sched_tick(&h->engine->sched);
    fri_unlock(h->engine);
    if (deadline < next)
        next = deadline;
    if (!fri_channel_has(&h->channel))
        fri_channel_wait(&h->channel, next, spin);
    if (h->channel.ended && !fri_channel_has(&h->channel))
        _exit(0);
    read_all(h);
}

/* A request that is answered soon: the task keeps its place meanwhile. */
void fri_home_wait(struct fri_home *h, struct frun_future *f)
{
    while (!fri_is_final(f))
        pump(h, FRI_NEVER, true);
}

static bool goes_on(const struct fri_worker *worker, struct fri_set *set)
{
    return worker->raised || (set && atomic_load(&set->satisfied));
}

static void pump_until(struct fri_home *h, struct fri_worker *worker,
                       struct fri_set *set, fri_time deadline)
{
    worker->set = set;
    worker->waiting = true;
    worker->raised = false;
    while (!goes_on(worker, set) && fri_now() < deadline)
        pump(h, deadline, false);
    worker->waiting = false;
    worker->set = NULL;
}

/* Asks to go on, as others run meanwhile. */
static void come_back(struct fri_home *h, struct fri_guest *g)
{
    struct fri_guest **at;

    want(h, g);
    while (!g->may_go)
        pump(h, FRI_NEVER, false);
    for (at = &h->guests; *at != g; at = &(*at)->next)
        ;
    *at = g->next;
    g->next = NULL;
    if (!fri_slot_move(slot_of(h, g), FRI_SLOT_HANDED, FRI_SLOT_BEGUN))
        wait_for_the_end(h);
    h->current = g;
}

/* A task that cannot yield waits here: for a set others run elsewhere, while
 * it sleeps (no set) it keeps its place.  The pool's init has no task. */
static bool worker_wait(struct fri_worker *worker, struct fri_set *set,
                        fri_time deadline)
{
    struct fri_home *h = home_of_worker(worker);
    struct fri_guest *g = h->current;
    struct frun_future *task = worker->task;
    struct fri_ran ran = { .suspended = NULL };

    if (g && set && !set->keeps) {
        struct fri_slice s = g->slice;

        worker->set = set;
        suspended(h, g, &s, &ran);
        pump_until(h, worker, set, deadline);
        come_back(h, g);
        worker->task = task;
    } else {
        pump_until(h, worker, set, deadline);
    }
    fri_lock(h->engine);
    if (set)
        fri_set_disarm(set);
    fri_unlock(h->engine);
    return worker->raised;
}

static const struct fri_worker_ops worker_ops = {
    .resume = worker_resume,
    .wait = worker_wait,
};

/* ---- the loop --------------------------------------------------------- */

static void loop(struct fri_home *h)
{
    for (;;) {
        if (fri_channel_has(&h->channel))
            read_all(h);
        if (run_resumed(h))
            continue;
        if (h->first) {
            run_first(h);
            continue;
        }
        if (h->leaving && !h->guests)
            return;
        fri_channel_ring(&h->channel);
        pump(h, FRI_NEVER, atomic_load_explicit(&h->channel.page->may_spin,
                                     memory_order_relaxed) != 0);
    }
}

/* ---- the start -------------------------------------------------------- */

static struct fri_error *open_runner(struct fri_home *h)
{
    struct fri_error *error = NULL;

    if (!h->engine->runner)
        return NULL;
    h->worker.state = h->runner->open(h->engine->runner_user, &h->worker,
                                      &error);
    return h->worker.state ? NULL : error;
}

static bool open_home(struct fri_home *h, int socket, int memory)
{
    frun_engine_options o = { .size = sizeof o, .output = fri_home_output,
                              .output_user = h };

    if (!fri_channel_join(&h->channel, socket, memory)
        || fri_engine_open(&o, &h->engine) != FRUN_OK)
        return false;
    h->engine->home = h;
    h->engine->remote = &fri_home_ops;
    fri_home_open(h);
    return true;
}

static void ready(struct fri_home *h, struct fri_error *error)
{
    struct fri_buffer *b = fri_home_begin(h);
    bool failed = h->engine->runner && !h->worker.state;

    fri_buffer_byte(b, failed);
    if (failed)
        fri_wire_error(&h->port, b, error);
    fri_home_send(h, FRI_FRAME_READY, failed);
    if (failed)
        _exit(0);
}

void fri_forked_main(int socket, int memory, void *user)
{
    static struct fri_home home; /* of this process, which has no other */
    struct fri_home *h = &home;
    struct fri_frame f;
    struct fri_reader r;
    bool well;

    if (!open_home(h, socket, memory)
        || !fri_channel_wait(&h->channel, FRI_NEVER, false)
        || !fri_channel_next(&h->channel, &f) || f.kind != FRI_FRAME_HELLO)
        _exit(1);
    fri_home_stdio_open(h);
    fri_reader_init(&r, f.bytes, f.length);
    well = fri_home_hello(h, &r, user);
    h->worker.ops = &worker_ops;
    fri_channel_done(&h->channel, &f);
    if (!well)
        _exit(1);
    ready(h, open_runner(h));
    loop(h);
    if (h->worker.state)
        h->runner->close(h->worker.state);
    fflush(NULL);
    fri_channel_ring(&h->channel);
    _exit(0);
}
