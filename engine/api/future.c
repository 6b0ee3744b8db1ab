/*
 * future.c - what a host may ask of its futures.
 *
 * What is final is read without the lock, and without running callbacks.
 */
#include "api/api.h"

#include "data/value.h"

/* Failures that there was no memory to describe. */
static const frun_error no_memory = {
    .status = FRUN_ENOMEM,
    .kind = "resource",
    .exit_status = -1,
    .message = "out of memory",
};
static const frun_error was_cancelled = {
    .status = FRUN_ECANCELLED,
    .kind = "cancelled",
    .exit_status = -1,
    .message = "cancelled",
};

frun_state frun_future_state(const frun_future *f)
{
    switch (f ? fri_state(f) : FRI_NEW) {
    case FRI_RUNNING: return FRUN_RUNNING;
    case FRI_DONE: return FRUN_DONE;
    case FRI_FAILED: return FRUN_FAILED;
    case FRI_CANCELLED: return FRUN_CANCELLED;
    default: return FRUN_PENDING;
    }
}

const frun_error *frun_future_error(frun_future *f)
{
    if (!f || !fri_is_final(f) || fri_state(f) == FRI_DONE)
        return NULL;
    atomic_store_explicit(&f->looked, 1, memory_order_relaxed);
    if (f->holds == FRI_ERROR && f->data.error)
        return &f->data.error->public;
    return fri_state(f) == FRI_CANCELLED ? &was_cancelled : &no_memory;
}

frun_status fri_future_status(const frun_future *f)
{
    if (fri_state(f) == FRI_DONE)
        return FRUN_OK;
    if (f->holds == FRI_ERROR && f->data.error)
        return f->data.error->public.status;
    return fri_state(f) == FRI_CANCELLED ? FRUN_ECANCELLED : FRUN_ENOMEM;
}

void frun_future_free(frun_future *f)
{
    if (f && fri_engine_here(fri_future_engine(f)))
        fri_future_unref(f);
}

bool frun_future_cancel(frun_future *f)
{
    frun_engine *e;
    bool cancelled;

    if (!f || fri_is_final(f))
        return f && fri_state(f) == FRI_CANCELLED;
    e = fri_future_engine(f);
    if (!fri_engine_here(e))
        return false;
    fri_lock(e);
    cancelled = fri_sched_cancel(f, NULL);
    fri_unlock(e);
    return cancelled;
}

/* ---- waiting ---------------------------------------------------------- */

static size_t ender(struct fri_set *set, frun_when when)
{
    const struct frun_future *f;
    size_t i;

    while ((f = fri_set_pop(set, &i)) != NULL)
        if (when == FRUN_FIRST || fri_state(f) != FRI_DONE)
            return i;
    return set->count;
}

static frun_status wait_for(struct fri_set *set, frun_when when,
                            fri_time deadline, size_t *index)
{
    size_t left = when == FRUN_FIRST ? set->count - 1 : 0;

    if (!fri_owner_await(set->engine, set, left, when == FRUN_FIRST_FAILED,
                         deadline))
        return FRUN_EUNFINISHED;
    if (when != FRUN_ALL)
        *index = ender(set, when);
    return FRUN_OK;
}

static frun_status wait_many(frun_future *const *futures, size_t n,
                             frun_when when, fri_time deadline, size_t *index)
{
    frun_engine *e = fri_future_engine(futures[0]);
    struct fri_set *set = fri_set_open(e, futures, n);
    frun_status status;

    if (!set)
        return fri_no_memory(e);
    status = wait_for(set, when, deadline, index);
    fri_set_close(set);
    return status;
}

/* How many there are up to the last that is not final; the last are the least
 * likely to be. */
static size_t pending(frun_future *const *futures, size_t n)
{
    while (n > 0 && fri_is_final(futures[n - 1]))
        n--;
    return n;
}

static frun_status check_futures(frun_future *const *futures, size_t n)
{
    const struct fri_spec *same = NULL; /* the one before is of this engine */

    if (n > 0 && (!futures || !futures[0]))
        return FRUN_EINVAL;
    for (size_t i = 0; i < n; i++) {
        if (!futures[i])
            return FRUN_EINVAL;
        if (futures[i]->spec == same)
            continue;
        same = futures[i]->spec;
        if (fri_future_engine(futures[i]) != fri_future_engine(futures[0]))
            return FRUN_EINVAL;
    }
    return FRUN_OK;
}

static frun_status wait_one(frun_future *f, fri_time deadline)
{
    struct fri_waiter waiter;
    struct fri_set set;
    frun_status status;

    fri_set_init(&set, fri_future_engine(f), &waiter, 1);
    fri_set_link(&set, &f);
    status = wait_for(&set, FRUN_ALL, deadline, NULL);
    fri_set_unlink(&set);
    return status;
}

/* When the last is done the others mostly are: that saves a waiter each. */
static frun_status wait_pending(frun_future *const *futures, size_t n,
                                fri_time deadline)
{
    frun_status status = wait_one(futures[n - 1], deadline);
    size_t unused;

    if (status == FRUN_OK)
        n = pending(futures, n);
    if (status == FRUN_OK && n > 0)
        status = wait_many(futures, n, FRUN_ALL, deadline, &unused);
    return status;
}

/* Callbacks may free them meanwhile. */
static frun_status wait_all(frun_future *const *futures, size_t n,
                            fri_time deadline)
{
    frun_status status = FRUN_OK;

    n = pending(futures, n);
    for (size_t i = 0; i < n; i++)
        fri_future_ref(futures[i]);
    if (n > 0)
        status = wait_pending(futures, n, deadline);
    for (size_t i = 0; i < n; i++)
        fri_future_unref(futures[i]);
    return status;
}

static frun_status check_wait(frun_future *const *futures, size_t n,
                              frun_when when)
{
    frun_status status = check_futures(futures, n);
    frun_engine *e = status == FRUN_OK && n > 0 ? fri_future_engine(futures[0])
                                                : NULL;

    if (e && !fri_engine_owned(e))
        return FRUN_EINVAL;
    if (when == FRUN_ALL || when == FRUN_FIRST || when == FRUN_FIRST_FAILED)
        return status;
    return e ? fri_fail(e, FRUN_EINVAL, "when: not %d", (int)when)
             : FRUN_EINVAL;
}

frun_status frun_wait(frun_future *const *futures, size_t n, frun_when when,
                      double seconds, size_t *index)
{
    fri_time deadline = fri_deadline(fri_now(), seconds);
    frun_status status = check_wait(futures, n, when);
    size_t at = n;

    if (status == FRUN_OK && when == FRUN_ALL)
        status = wait_all(futures, n, deadline);
    else if (status == FRUN_OK && n > 0)
        status = wait_many(futures, n, when, deadline, &at);
    if (index)
        *index = at;
    return status;
}

/* What is final is so on any thread. */
frun_status frun_future_wait(frun_future *f, double seconds)
{
    if (!f)
        return FRUN_EINVAL;
    if (fri_is_final(f))
        return FRUN_OK;
    if (!fri_engine_owned(fri_future_engine(f)))
        return FRUN_EINVAL;
    return wait_one(f, fri_deadline(fri_now(), seconds));
}

/* What a task of another language left, as a value that lives with f. */
static frun_status unpacked(frun_future *f, const frun_value **value)
{
    frun_engine *e = fri_future_engine(f);
    const void *bytes = f->data.bytes;
    size_t length = f->length;
    frun_value *made = NULL;
    struct fri_extra *x;
    frun_status status;

    if (f->holds == FRI_MESSAGE) {
        bytes = f->data.message->data;
        length = f->data.message->length;
    }
    fri_lock(e);
    x = fri_task_extra(f);
    fri_unlock(e);
    if (!x)
        return fri_no_memory(e);
    status = x->value ? FRUN_OK
                      : fri_value_unpack(&e->memory, bytes, length, &made);
    if (made)
        x->value = made;
    *value = x->value;
    if (status == FRUN_OK)
        return status;
    return fri_fail(e, status, "result: %s",
                    status == FRUN_EUNSENDABLE
                        ? "C has no place for what is in it"
                        : frun_status_text(status));
}

static frun_status value_of(frun_future *f, const frun_value **value)
{
    if (f->holds == FRI_VALUE)
        *value = f->data.value;
    else if (f->holds != FRI_BYTES && f->holds != FRI_MESSAGE)
        *value = frun_value_null();
    else if (!fri_engine_owned(fri_future_engine(f)))
        return FRUN_EINVAL;
    else
        return unpacked(f, value);
    return FRUN_OK;
}

/* A callback may free it meanwhile; its value goes then, too. */
frun_status frun_future_result(frun_future *f, double seconds,
                               const frun_value **value)
{
    frun_status status;

    if (value)
        *value = NULL;
    if (!f)
        return FRUN_EINVAL;
    fri_future_ref(f);
    status = frun_future_wait(f, seconds);
    if (status == FRUN_OK) {
        atomic_store_explicit(&f->looked, 1, memory_order_relaxed);
        status = fri_future_status(f);
        if (status == FRUN_OK && value)
            status = value_of(f, value);
    }
    fri_future_unref(f);
    return status;
}

/* ---- facts ------------------------------------------------------------ */

static double since(const struct fri_sched *s, fri_time t)
{
    return t ? fri_seconds(t - s->epoch) : -1;
}

/* Lock held.  A name that was never written down is, to live with the task. */
static const char *name_of(frun_future *f)
{
    char text[32];
    const char *name = fri_task_name(f, text);
    struct fri_extra *x;

    if (name != text)
        return name;
    x = fri_task_extra(f);
    if (x)
        x->name = fri_strdup(f->spec->lane->sched->memory, text);
    return x && x->name ? x->name : "";
}

static void fill_info(frun_future *f, frun_info *info)
{
    const struct fri_sched *s = f->spec->lane->sched;
    fri_time started = atomic_load(&f->started), end = f->finished;

    info->name = name_of(f);
    info->pool = f->spec->lane->name ? f->spec->lane->name : "";
    info->attempts = atomic_load(&f->attempts);
    info->worker = atomic_load(&f->worker);
    info->submitted = since(s, f->submitted);
    info->started = since(s, started);
    info->finished = fri_is_final(f) ? since(s, end) : -1;
    if (fri_state(f) == FRI_RUNNING)
        end = s->clock(s->clock_user);
    if (started && end > started)
        info->seconds = fri_seconds(end - started);
    info->cpu = f->extra ? f->extra->cpu : 0;
    info->memory = f->extra ? f->extra->memory : 0;
    info->from_journal = f->extra && fri_is_final(f)
                         && f->extra->from_journal;
}

frun_status frun_future_info(frun_future *f, frun_info *info)
{
    frun_info own = { .size = sizeof own };

    if (!f || !info || !fri_engine_here(fri_future_engine(f)))
        return FRUN_EINVAL;
    fri_lock(fri_future_engine(f));
    fill_info(f, &own);
    fri_unlock(fri_future_engine(f));
    return fri_answer(info, sizeof own, &own) ? FRUN_OK : FRUN_EINVAL;
}

/* ---- callbacks -------------------------------------------------------- */

struct call_back {
    struct fri_due due; /* first */
    struct fri_waiter waiter;
    frun_callback *fn;
    void *user;
};

static void run_call_back(struct fri_due *due)
{
    struct call_back *c = (struct call_back *)due;
    frun_future *f = c->waiter.future;
    frun_engine *e = fri_future_engine(f);

    atomic_store_explicit(&f->looked, 1, memory_order_relaxed);
    e->nested++;
    c->fn(f, c->user);
    e->nested--;
    fri_free(&e->memory, c);
    fri_future_unref(f);
}

static void post_call_back(struct fri_waiter *w)
{
    struct call_back *c
        = (struct call_back *)((char *)w - offsetof(struct call_back, waiter));

    fri_owner_post(fri_future_engine(w->future), &c->due);
}

frun_status frun_future_on_done(frun_future *f, frun_callback *fn, void *user)
{
    frun_engine *e = f ? fri_future_engine(f) : NULL;
    struct call_back *c;

    if (!f || !fri_engine_owned(e))
        return FRUN_EINVAL;
    if (!fn)
        return fri_fail(e, FRUN_EINVAL, "no function");
    if (atomic_load(&e->closed))
        return fri_fail(e, FRUN_ECLOSED, "the engine is closed");
    c = fri_alloc_zero(&e->memory, sizeof *c);
    if (!c)
        return fri_no_memory(e);
    c->due.run = run_call_back;
    c->fn = fn;
    c->user = user;
    c->waiter.future = fri_future_ref(f);
    c->waiter.fire = post_call_back;
    fri_lock(e);
    if (fri_is_final(f))
        post_call_back(&c->waiter);
    else
        fri_waiter_link(&c->waiter, &f->waiters);
    fri_unlock(e);
    return FRUN_OK;
}
