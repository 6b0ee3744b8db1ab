/*
 * home.c - in a worker process: errands, which are requests with an answer.
 *
 * A future stands for each until the answer comes.  Its number has a turn in
 * it, so that an answer to one that was withdrawn meets nobody else.
 */
#include "pools/forks/home.h"

#include <string.h>

/* ---- errands ---------------------------------------------------------- */

bool fri_home_post(struct fri_home *h, unsigned kind)
{
    return fri_wire_send(&h->port, kind, true);
}

/* A number for an errand, from 1; 0: out of memory. */
uint32_t fri_errand_new(struct fri_home *h, struct frun_future *f)
{
    uint32_t n = h->errand_free;

    if (n == 0) {
        struct fri_errand *more
            = fri_realloc(NULL, h->errands,
                          (h->errand_count + 64) * sizeof *more);

        if (!more)
            return 0;
        h->errands = more;
        memset(more + h->errand_count, 0, 64 * sizeof *more);
        for (uint32_t i = 0; i < 64; i++)
            more[h->errand_count + i].next_free
                = i < 63 ? h->errand_count + i + 2 : 0;
        n = h->errand_count + 1;
        h->errand_count += 64;
    }
    h->errand_free = h->errands[n - 1].next_free;
    h->errands[n - 1].future = fri_future_ref(f);
    h->errands[n - 1].turn++;
    return n;
}

uint64_t fri_errand_number(const struct fri_home *h, uint32_t errand)
{
    return (uint64_t)h->errands[errand - 1].turn << 32 | errand;
}

/* The future of the errand, whose reference is the caller's now. */
struct frun_future *fri_errand_end(struct fri_home *h, uint64_t number)
{
    uint32_t n = (uint32_t)number;
    struct fri_errand *e = n > 0 && n <= h->errand_count ? &h->errands[n - 1]
                                                         : NULL;
    struct frun_future *f;

    if (!e || !e->future || e->turn != number >> 32)
        return NULL;
    f = e->future;
    e->future = NULL;
    e->next_free = h->errand_free;
    h->errand_free = n;
    return f;
}

uint64_t fri_errand_of(const struct fri_home *h,
                          const struct frun_future *f)
{
    for (uint32_t i = 0; i < h->errand_count; i++)
        if (h->errands[i].future == f)
            return fri_errand_number(h, i + 1);
    return 0;
}

/* REQUEST: number, what; its rest is the caller's to add and send. */
struct fri_buffer *fri_errand_request(struct fri_home *h, uint64_t number,
                                  enum fri_request what)
{
    fri_home_begin(h);
    fri_put_varint(&h->channel.text, number);
    fri_buffer_byte(&h->channel.text, (uint8_t)what);
    return &h->channel.text;
}

/* ---- answers ---------------------------------------------------------- */

static void end_slice(const struct fri_slice *s, bool failed,
                      struct fri_error *error)
{
    fri_sched_finish_slice(s, failed, error, fri_now());
}

static bool get_pieces(struct fri_home *h, struct fri_reader *r,
                       struct fri_range *range)
{
    uint64_t n = fri_get_varint(r);

    for (uint64_t i = 0; i < n && !r->bad; i++) {
        uint64_t first = fri_get_varint(r), end = fri_get_varint(r);
        struct fri_message *m = fri_wire_get_message(&h->port, r);

        if (!m || first > end || end > range->count) {
            fri_message_free(m);
            return false;
        }
        if (!fri_range_keep(range, first, end, m))
            return false;
    }
    return !r->bad;
}

static void end_range(struct frun_future *f, enum fri_task_state state,
                      struct fri_error *error)
{
    struct fri_slice all = { f, 0, f->data.range->count };
    struct fri_slice none = { f, 0, 0 };

    if (state == FRI_CANCELLED)
        fri_sched_cancel(f, NULL);
    if (state == FRI_DONE)
        end_slice(&all, false, NULL);
    else
        end_slice(&none, state == FRI_FAILED, error);
}

/* One that was cancelled here, meanwhile, has its outcome. */
static void end_task(struct frun_future *f, struct fri_data *data,
                     unsigned attempts, unsigned worker)
{
    f->handed = 0;
    if (!fri_task_begin(f, worker, fri_now())) {
        fri_data_free(data);
        fri_sched_return(f);
        return;
    }
    atomic_store(&f->attempts, (uint16_t)attempts);
    fri_sched_finish(f, data, fri_now());
}

/* An answer about a future: its state, its data. */
static bool settle(struct fri_home *h, struct fri_reader *r,
                   struct frun_future *f, enum fri_task_state state)
{
    struct fri_data data = { .holds = FRI_NOTHING };

    if (f->counted && state == FRI_DONE && fri_left(r) > 0
        && *r->at == FRI_RANGE) {
        fri_get_byte(r);
        if (!get_pieces(h, r, f->data.range))
            return false;
        end_range(f, state, NULL);
        return true;
    }
    if (!fri_wire_get_data(&h->port, r, &data))
        return false;
    if (state != FRI_DONE && data.holds != FRI_ERROR)
        return false;
    if (f->spec->lane->remote && !f->counted) {
        unsigned attempts = (unsigned)fri_get_varint(r);
        unsigned worker = (unsigned)fri_get_varint(r);

        if (fri_get_byte(r) && fri_task_extra(f))
            f->extra->from_journal = true;
        end_task(f, &data, attempts, worker);
    } else if (f->counted) {
        end_range(f, state, data.error);
    } else {
        fri_sched_settle_now(f, &data);
    }
    return true;
}

bool fri_home_answer(struct fri_home *h, struct fri_reader *r)
{
    uint64_t number = fri_get_varint(r);
    struct frun_future *f = fri_errand_end(h, number);
    unsigned state = fri_get_byte(r);
    bool well = !r->bad;

    if (!f)
        return well;
    if (state == FRI_RUNNING) { /* a handle; the future stands for the wait */
        struct fri_data data = { .holds = FRI_NOTHING };

        fri_handle_unref(h->made);
        h->made = h->port.get(&h->port, r);
        fri_sched_settle_now(f, &data);
    } else {
        well = settle(h, r, f, (enum fri_task_state)state);
        if (state == FRI_FAILED && f->spec->lane->remote
            && f->holds == FRI_ERROR && f->data.error)
            f->data.error->home = number;
    }
    fri_future_unref(f);
    return well;
}

/* ---- requests --------------------------------------------------------- */

/* A future that the answer will settle, and its request begun. */
static struct frun_future *errand(struct fri_home *h, enum fri_request what)
{
    struct frun_future *f = fri_shared_future(h->engine);
    uint32_t n = f ? fri_errand_new(h, f) : 0;

    if (n == 0) {
        fri_future_unref(f);
        return NULL;
    }
    fri_errand_request(h, fri_errand_number(h, n), what);
    return f;
}

static bool remote_ask(frun_engine *e, struct fri_handle *thing,
                       enum fri_shared_op op, struct fri_message *argument,
                       struct frun_future *future)
{
    struct fri_home *h = e->home;
    uint32_t n = fri_errand_new(h, future);
    struct fri_buffer *b;

    if (n == 0)
        return false;
    b = fri_errand_request(h, fri_errand_number(h, n), FRI_ASK_SHARED);
    fri_put_varint(b, h->current ? h->current->ticket : 0);
    fri_put_varint(b, thing->remote);
    fri_buffer_byte(b, (uint8_t)op);
    fri_wire_message(&h->port, b, argument);
    if (fri_home_post(h, FRI_FRAME_REQUEST))
        return true;
    fri_future_unref(fri_errand_end(h, fri_errand_number(h, n)));
    return false;
}

static void remote_withdraw(frun_engine *e, struct frun_future *future)
{
    struct fri_home *h = e->home;
    uint64_t number = fri_errand_of(h, future);

    if (number == 0)
        return;
    fri_future_unref(fri_errand_end(h, number));
    fri_home_begin(h);
    fri_put_varint(&h->channel.text, number);
    fri_home_post(h, FRI_FRAME_WITHDRAW);
}

/* Sends the request, waits; the handle of the answer, a reference. */
static struct fri_handle *make(struct fri_home *h, struct frun_future *f,
                               struct fri_error **error)
{
    struct fri_handle *made = NULL;

    *error = NULL;
    if (!f)
        return NULL;
    if (fri_home_post(h, FRI_FRAME_REQUEST)) {
        fri_home_wait(h, f);
        made = h->made;
        h->made = NULL;
    }
    if (!made && f->holds == FRI_ERROR)
        *error = fri_error_ref(f->data.error);
    fri_future_unref(f);
    return made;
}

static struct fri_handle *remote_make(frun_engine *e, uint32_t kind,
                                      struct fri_message *argument)
{
    struct fri_home *h = e->home;
    struct frun_future *f = errand(h, FRI_ASK_MAKE);
    struct fri_error *error;
    struct fri_handle *made;

    if (f) {
        fri_buffer_byte(&h->channel.text, (uint8_t)kind);
        fri_wire_message(&h->port, &h->channel.text, argument);
    }
    made = make(h, f, &error);
    fri_error_free(error);
    return made;
}

struct fri_handle *fri_home_limit(frun_engine *e, const char *name,
                                  unsigned count, bool shared,
                                  struct fri_error **error)
{
    struct fri_home *h = e->home;
    struct frun_future *f = errand(h, FRI_ASK_MAKE);

    if (f) {
        fri_buffer_byte(&h->channel.text, FRI_HANDLE_LIMIT);
        fri_wire_text(&h->channel.text, name);
        fri_put_varint(&h->channel.text, count);
        fri_buffer_byte(&h->channel.text, shared);
    }
    return make(h, f, error);
}

struct fri_handle *fri_home_array(frun_engine *e, unsigned type, size_t length,
                                  struct fri_error **error)
{
    struct fri_home *h = e->home;
    struct frun_future *f = errand(h, FRI_ASK_MAKE);

    if (f) {
        fri_buffer_byte(&h->channel.text, FRI_HANDLE_ARRAY);
        fri_put_varint(&h->channel.text, type);
        fri_put_varint(&h->channel.text, length);
    }
    return make(h, f, error);
}

frun_pool *fri_home_open_pool(frun_engine *e, unsigned kind,
                              const frun_pool_options *o,
                              struct fri_function *init,
                              struct fri_error **error)
{
    struct fri_home *h = e->home;
    struct frun_future *f = errand(h, FRI_ASK_OPEN);
    struct fri_buffer *b = &h->channel.text;
    struct fri_handle *view;
    frun_pool *pool;

    if (f) {
        fri_buffer_byte(b, (uint8_t)kind);
        fri_put_varint(b, (uint64_t)o->workers);
        fri_put_varint(b, (uint64_t)o->max_tasks);
        fri_wire_text(b, o->name);
        fri_buffer_byte(b, init != NULL);
        if (init)
            fri_wire_function(&h->port, b, init);
    }
    view = make(h, f, error);
    if (!view)
        return NULL;
    pool = ((struct fri_view *)(void *)view)->pool;
    fri_handle_ref(&pool->handle);
    fri_handle_unref(view);
    return pool;
}

void fri_home_looked(frun_engine *e, struct fri_error *error)
{
    struct fri_home *h = e->home;

    if (!h)
        return;
    fri_put_varint(fri_errand_request(h, 0, FRI_ASK_LOOKED), error->home);
    error->home = 0;
    fri_home_post(h, FRI_FRAME_REQUEST);
}

/* What it is over there: a number of enum fri_task_state. */
enum fri_task_state fri_home_state(struct frun_future *task)
{
    struct fri_home *h = fri_lane_pool(task->spec->lane)->engine->home;
    uint64_t number = fri_errand_of(h, task);
    struct frun_future *f = number ? errand(h, FRI_ASK_STATE) : NULL;
    enum fri_task_state state = fri_state(task);

    if (!f)
        return state;
    fri_put_varint(&h->channel.text, number);
    if (fri_home_post(h, FRI_FRAME_REQUEST))
        fri_home_wait(h, f);
    if (f->holds == FRI_BYTES && f->length == 3 && !fri_is_final(task))
        state = (enum fri_task_state)f->data.bytes[2];
    fri_future_unref(f);
    return state;
}

struct frun_future *fri_home_pool(frun_pool *pool, enum fri_pool_verb verb)
{
    struct fri_home *h = pool->engine->home;
    struct fri_view view = { .pool = pool, .plain = true };
    bool answered = verb == FRI_POOL_STATS || verb == FRI_POOL_DRAIN;
    struct frun_future *f = NULL;

    view.handle.kind = FRI_HANDLE_POOL;
    if (answered)
        f = errand(h, FRI_ASK_POOL);
    else
        fri_errand_request(h, 0, FRI_ASK_POOL);
    if (answered && !f)
        return NULL;
    h->port.put(&h->port, &h->channel.text, &view.handle);
    fri_buffer_byte(&h->channel.text, (uint8_t)verb);
    fri_home_post(h, FRI_FRAME_REQUEST);
    return f;
}

const struct fri_remote_ops fri_home_ops = {
    .ask = remote_ask,
    .withdraw = remote_withdraw,
    .make = remote_make,
};

/* ---- what is waited for ----------------------------------------------- */

/* Of those waiters that have not fired; 0: of one it is not known. */
static unsigned numbers_of(const struct fri_home *h,
                           const struct fri_waiter *waiters, size_t count,
                           uint64_t numbers[FRI_AWAITED])
{
    unsigned n = 0;

    for (size_t i = 0; i < count; i++) {
        if (!waiters[i].link)
            continue;
        if (n == FRI_AWAITED || !waiters[i].future)
            return 0;
        numbers[n] = fri_errand_of(h, waiters[i].future);
        if (numbers[n++] == 0)
            return 0;
    }
    return n;
}

/* A task that is not sent home before its dependencies are done: these. */
static const struct fri_extra *dependencies(const struct fri_set *set)
{
    const struct frun_future *f = set->count == 1 ? set->waiters[0].future
                                                  : NULL;

    return f && f->unmet > 0 ? f->extra : NULL;
}

static void put_awaits(struct fri_buffer *b, const uint64_t *numbers,
                       unsigned n, size_t want, bool failure)
{
    fri_put_varint(b, n);
    if (n == 0)
        return;
    for (unsigned i = 0; i < n; i++)
        fri_put_varint(b, numbers[i]);
    fri_put_varint(b, want);
    fri_buffer_byte(b, failure);
}

void fri_home_awaits(struct fri_home *h, struct fri_buffer *b,
                     const struct fri_set *set)
{
    uint64_t numbers[FRI_AWAITED] = { 0 };
    const struct fri_extra *x;
    unsigned n = 0;

    if (!set || !set->armed || set->timer.set) {
        put_awaits(b, numbers, 0, 0, false);
    } else if ((x = dependencies(set)) != NULL) {
        n = numbers_of(h, x->after, x->after_count, numbers);
        put_awaits(b, numbers, n, 0, true);
    } else {
        n = numbers_of(h, set->waiters, set->count, numbers);
        put_awaits(b, numbers, n, set->want, set->want_failure);
    }
}
