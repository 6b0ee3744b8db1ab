/*
 * shared.c - queues, dicts, locks, shared values and arrays below Lua: who
 * waits is served in order and once, whoever leaves leaves nothing behind,
 * and where memory runs out nothing has changed.
 */
#define _GNU_SOURCE
#include "core/engine.h"
#include "data/codec.h"
#include "kit.h"

#include <fcntl.h>
#include <math.h>
#include <sys/mman.h>

static struct kit_heap heap;
static frun_engine *e;

static void set_up(void)
{
    frun_engine_options o = { .size = sizeof o, .allocate = kit_allocate,
                              .free = kit_free,
                              .allocator_user = &heap };

    atomic_store(&heap.allowed, -1);
    ok(frun_engine_open(&o, &e));
}

static void tear_down(void)
{
    frun_engine_close(e);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
}

/* ---- messages --------------------------------------------------------- */

static struct fri_buffer text;

static void begin(uint8_t count)
{
    text.length = 0;
    fri_buffer_byte(&text, 0);
    fri_buffer_byte(&text, count);
}

static struct fri_message *end(struct fri_handle *handle)
{
    struct fri_message *m = fri_message_new(&e->memory, text.data,
                                            text.length, &handle,
                                            handle ? 1 : 0);

    ck_assert_ptr_nonnull(m);
    return m;
}

static struct fri_message *whole(int64_t n)
{
    begin(1);
    fri_put_int(&text, n);
    return end(NULL);
}

static struct fri_message *pair(int64_t key, int64_t value)
{
    begin(2);
    fri_put_int(&text, key);
    fri_put_int(&text, value);
    return end(NULL);
}

static struct fri_message *handle(struct fri_handle *h)
{
    begin(1);
    fri_buffer_byte(&text, FRI_HANDLE);
    fri_put_varint(&text, 0);
    return end(h);
}

/* The last value of the sequence, a whole number. */
static int64_t read_whole(const struct fri_message *m)
{
    struct fri_reader r;
    int64_t n = 0;
    int count;

    fri_reader_init(&r, m->data, m->length);
    fri_get_byte(&r);
    count = fri_get_byte(&r);
    while (count-- > 0) {
        uint8_t tag = fri_get_byte(&r);

        n = tag == FRI_INT ? fri_get_zigzag(&r) : tag;
    }
    ck_assert(!r.bad);
    return n;
}

/* ---- asks ------------------------------------------------------------- */

enum { WAITS = -1, NOTHING = -2, FAILED = -3 };

struct asked {
    struct fri_ask ask;
    struct fri_holder own;
    int ended, place; /* how often; the how manieth of all */
    frun_status status;
    int64_t got; /* a number, or one of the above */
};

static int ended; /* of all */

static void done(struct fri_ask *ask, struct fri_data *outcome)
{
    struct asked *a = (struct asked *)ask;

    a->ended++;
    a->place = ++ended;
    a->status = FRUN_OK;
    if (outcome->holds == FRI_NOTHING) {
        a->got = NOTHING;
    } else if (outcome->holds == FRI_MESSAGE) {
        a->got = read_whole(outcome->message);
    } else {
        a->got = FAILED;
        a->status = outcome->error ? outcome->error->public.status
                                   : FRUN_ENOMEM;
    }
    fri_data_free(outcome);
}

/* Takes the argument. */
static int64_t ask_by(struct asked *a, struct fri_holder *holder,
                      struct fri_handle *thing, enum fri_shared_op op,
                      struct fri_message *argument)
{
    a->ended = 0;
    a->got = WAITS;
    a->ask.done = done;
    a->ask.holder = holder;
    fri_lock(e);
    fri_shared_ask(thing, op, argument, &a->ask);
    fri_unlock(e);
    fri_message_free(argument);
    ck_assert_int_eq(fri_ask_waits(&a->ask), a->ended == 0);
    return a->got;
}

static int64_t ask(struct asked *a, struct fri_handle *thing,
                   enum fri_shared_op op, struct fri_message *argument)
{
    return ask_by(a, &a->own, thing, op, argument);
}

/* One that must not wait. */
static int64_t now(struct fri_handle *thing, enum fri_shared_op op,
                   struct fri_message *argument)
{
    struct asked a = { .ended = 0 };
    int64_t got = ask(&a, thing, op, argument);

    ck_assert_int_eq(a.ended, 1);
    return a.status ? -100 - (int64_t)a.status : got;
}
#define refusal(status) (-100 - (status))

static void withdraw(struct asked *a)
{
    fri_lock(e);
    fri_shared_withdraw(&a->ask);
    fri_unlock(e);
}

static struct fri_handle *make(uint32_t kind, struct fri_message *argument)
{
    struct fri_handle *h;

    fri_lock(e);
    h = fri_shared_make(e, kind, argument);
    fri_unlock(e);
    fri_message_free(argument);
    return h;
}

static struct fri_handle *queue_of(int64_t capacity)
{
    struct fri_handle *q = make(FRI_HANDLE_QUEUE,
                                capacity ? whole(capacity) : NULL);

    ck_assert_ptr_nonnull(q);
    return q;
}

/* ---- queues ----------------------------------------------------------- */

START_TEST(a_queue_keeps_the_order)
{
    struct fri_handle *q;
    int64_t in = 0, out = 0;

    set_up();
    q = queue_of(0);
    for (int round = 1; round < 300; round++) {
        for (int i = 0; i < round; i++)
            ck_assert_int_eq(now(q, FRI_PUSH, whole(in++)), NOTHING);
        for (int i = 0; i < (round < 150 ? round / 2 : round + 20)
                        && out < in; i++)
            ck_assert_int_eq(now(q, FRI_POP, NULL), out++);
        ck_assert_int_eq(now(q, FRI_COUNT, NULL), in - out);
    }
    ck_assert_int_gt(in - out, 0);
    fri_handle_unref(q);
    tear_down();
}
END_TEST

START_TEST(who_waits_is_served_in_order)
{
    struct asked a[5] = { 0 };
    struct fri_handle *q;

    set_up();
    q = queue_of(2);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(ask(&a[i], q, FRI_POP, NULL), WAITS);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(now(q, FRI_PUSH, whole(i)), NOTHING);
        ck_assert_int_eq(a[i].got, i);
        ck_assert_int_eq(a[i].ended, 1);
    }
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(ask(&a[i], q, FRI_PUSH, whole(10 + i)),
                         i < 2 ? NOTHING : WAITS);
    for (int i = 0; i < 5; i++) {
        ck_assert_int_eq(now(q, FRI_COUNT, NULL), i < 4 ? 2 : 1);
        ck_assert_int_eq(now(q, FRI_POP, NULL), 10 + i);
        if (i < 3)
            ck_assert_int_eq(a[i + 2].got, NOTHING);
    }
    fri_handle_unref(q);
    tear_down();
}
END_TEST

START_TEST(who_is_withdrawn_takes_nothing)
{
    struct asked a[5] = { 0 };
    struct fri_handle *q;

    set_up();
    q = queue_of(0);
    for (int out = 0; out < 5; out++) {
        int64_t n = 0;

        for (int i = 0; i < 5; i++)
            ask(&a[i], q, FRI_POP, NULL);
        withdraw(&a[out]);
        withdraw(&a[out]); /* again: nothing */
        for (int i = 0; i < 5; i++) {
            if (i == out)
                continue;
            now(q, FRI_PUSH, whole(++n));
            ck_assert_int_eq(a[i].got, n);
            withdraw(&a[i]); /* it has ended: nothing */
            ck_assert_int_eq(a[i].ended, 1);
        }
        ck_assert_int_eq(a[out].ended, 0);
        ck_assert_int_eq(now(q, FRI_COUNT, NULL), 0);
    }
    fri_handle_unref(q);
    q = queue_of(1);
    for (int out = 1; out < 5; out++) {
        for (int i = 0; i < 5; i++)
            ask(&a[i], q, FRI_PUSH, whole(i));
        withdraw(&a[out]);
        for (int i = 0; i < 5; i++)
            if (i != out)
                ck_assert_int_eq(now(q, FRI_POP, NULL), i);
        ck_assert_int_eq(a[out].ended, 0);
        ck_assert_int_eq(now(q, FRI_COUNT, NULL), 0);
    }
    fri_handle_unref(q);
    tear_down();
}
END_TEST

START_TEST(a_closed_queue_tells_all)
{
    struct asked a[4] = { 0 };
    struct fri_handle *q;

    set_up();
    q = queue_of(1);
    for (int i = 0; i < 4; i++)
        ask(&a[i], q, FRI_POP, NULL);
    ck_assert_int_eq(now(q, FRI_CLOSE, NULL), NOTHING);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(a[i].got, NOTHING);
    ck_assert_int_eq(now(q, FRI_PUSH, whole(1)), refusal(FRUN_ECLOSED));
    ck_assert_int_eq(now(q, FRI_CLOSE, NULL), NOTHING);
    fri_handle_unref(q);
    q = queue_of(1);
    for (int i = 0; i < 4; i++)
        ask(&a[i], q, FRI_PUSH, whole(i));
    now(q, FRI_CLOSE, NULL);
    ck_assert_int_eq(a[0].got, NOTHING);
    for (int i = 1; i < 4; i++)
        ck_assert_int_eq(a[i].status, FRUN_ECLOSED);
    ck_assert_int_eq(now(q, FRI_POP, NULL), 0);
    ck_assert_int_eq(now(q, FRI_POP, NULL), NOTHING);
    fri_handle_unref(q);
    tear_down();
}
END_TEST

/* ---- locks ------------------------------------------------------------ */

START_TEST(a_lock_goes_from_one_to_the_next)
{
    struct asked a[5] = { 0 };
    struct fri_handle *l;

    set_up();
    l = make(FRI_HANDLE_LOCK, NULL);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(ask(&a[i], l, FRI_HOLD, NULL), i ? WAITS : NOTHING);
    withdraw(&a[2]);
    ck_assert_int_eq(now(l, FRI_RELEASE, NULL), NOTHING); /* not its holder */
    ck_assert_int_eq(a[1].ended, 0);
    ck_assert_ptr_eq(((struct fri_mutex *)(void *)l)->holder, &a[0].own);
    for (int i = 0; i < 5; i++) {
        struct asked by = { .ended = 0 };
        int next = i + 1 == 2 ? 3 : i + 1;

        if (i == 2)
            continue;
        ck_assert_int_eq(a[i].got, NOTHING);
        ck_assert(fri_holder_has(&a[i].own));
        ask_by(&by, &a[i].own, l, FRI_HOLD, NULL);
        ck_assert_int_eq(by.status, FRUN_EDEADLOCK);
        ask_by(&by, &a[i].own, l, FRI_RELEASE, NULL);
        ck_assert(!fri_holder_has(&a[i].own));
        ck_assert(next > 4 || a[next].ended == 1);
    }
    ck_assert_int_eq(a[2].ended, 0);
    ck_assert_ptr_null(e->sched.holders);
    fri_handle_unref(l);
    tear_down();
}
END_TEST

START_TEST(who_leaves_holds_and_wants_nothing)
{
    struct asked a[3] = { 0 }, more = { 0 };
    struct fri_handle *l[2], *q;

    set_up();
    q = queue_of(0);
    for (int i = 0; i < 2; i++) {
        l[i] = make(FRI_HANDLE_LOCK, NULL);
        ask_by(&more, &a[0].own, l[i], FRI_HOLD, NULL);
        ask(&a[1 + i], l[i], FRI_HOLD, NULL);
    }
    ask(&a[0], q, FRI_POP, NULL);
    fri_lock(e);
    fri_holder_leave(&a[0].own);
    fri_unlock(e);
    ck_assert_int_eq(a[0].status, FRUN_ECANCELLED);
    ck_assert_int_eq(a[1].got, NOTHING);
    ck_assert_int_eq(a[2].got, NOTHING);
    ck_assert(!fri_holder_has(&a[0].own));
    /* a lock that goes while it is held is held no more */
    fri_handle_unref(l[0]);
    ck_assert(!fri_holder_has(&a[1].own));
    fri_lock(e);
    fri_holder_leave(&a[2].own);
    fri_unlock(e);
    ck_assert_ptr_null(e->sched.holders);
    fri_handle_unref(l[1]);
    fri_handle_unref(q);
    tear_down();
}
END_TEST

/* Two slices of one task: each holds for itself, both go with the task. */
START_TEST(what_a_task_holds_goes_with_it)
{
    struct asked a[3] = { 0 }, last = { 0 };
    struct fri_data none = { .holds = FRI_NOTHING };
    struct fri_handle *l[2];
    struct frun_future *f;

    set_up();
    fri_lock(e);
    f = fri_shared_future(e);
    fri_unlock(e);
    ck_assert_ptr_nonnull(f);
    for (int i = 0; i < 3; i++)
        a[i].own.task = f;
    for (int i = 0; i < 2; i++) {
        l[i] = make(FRI_HANDLE_LOCK, NULL);
        ck_assert_int_eq(ask(&a[i], l[i], FRI_HOLD, NULL), NOTHING);
    }
    ck_assert_int_eq(ask(&a[2], l[0], FRI_HOLD, NULL), WAITS);
    ck_assert_int_eq(ask(&last, l[0], FRI_HOLD, NULL), WAITS);
    fri_lock(e);
    fri_sched_settle_now(f, &none);
    fri_unlock(e);
    ck_assert_int_eq(a[2].ended, 1);
    ck_assert_int_eq(last.got, NOTHING);
    for (int i = 0; i < 3; i++)
        ck_assert(!fri_holder_has(&a[i].own));
    ck_assert_int_eq(f->holding, 0);
    fri_lock(e);
    fri_holder_leave(&last.own);
    fri_unlock(e);
    fri_future_unref(f);
    for (int i = 0; i < 2; i++)
        fri_handle_unref(l[i]);
    tear_down();
}
END_TEST

/* ---- dicts ------------------------------------------------------------ */

static struct fri_message *key(uint8_t tag, uint64_t bits)
{
    begin(1);
    if (tag == FRI_NUM || tag == FRI_I64)
        fri_put_raw64(&text, tag, bits);
    else
        fri_buffer_byte(&text, tag);
    return end(NULL);
}

static struct fri_message *real_key(double n)
{
    uint64_t bits;

    memcpy(&bits, &n, 8);
    return key(FRI_NUM, bits);
}

START_TEST(numbers_that_are_equal_are_one_key)
{
    struct fri_handle *d;

    set_up();
    d = make(FRI_HANDLE_DICT, NULL);
    now(d, FRI_SET, pair(1, 10));
    now(d, FRI_SET, pair(0, 20));
    now(d, FRI_SET, pair(INT64_C(1) << 53, 30));
    ck_assert_int_eq(now(d, FRI_GET, real_key(1)), 10);
    ck_assert_int_eq(now(d, FRI_GET, key(FRI_I64, 1)), 10);
    ck_assert_int_eq(now(d, FRI_GET, real_key(-0.0)), 20);
    ck_assert_int_eq(now(d, FRI_GET, real_key(0x1p53)), 30);
    ck_assert_int_eq(now(d, FRI_GET, real_key(1.5)), NOTHING);
    ck_assert_int_eq(now(d, FRI_GET, real_key(0x1p63)), NOTHING);
    ck_assert_int_eq(now(d, FRI_GET, real_key(HUGE_VAL)), NOTHING);
    ck_assert_int_eq(now(d, FRI_GET, key(FRI_TRUE, 0)), NOTHING);
    ck_assert_int_eq(now(d, FRI_GET, real_key(NAN)), refusal(FRUN_EINVAL));
    ck_assert_int_eq(now(d, FRI_GET, key(FRI_NIL, 0)), refusal(FRUN_EINVAL));
    ck_assert_int_eq(now(d, FRI_GET, key(FRI_ENV, 0)), refusal(FRUN_EINVAL));
    fri_handle_unref(d);
    tear_down();
}
END_TEST

START_TEST(adding_keeps_the_subtype)
{
    struct fri_handle *d;
    struct fri_message *m;

    set_up();
    d = make(FRI_HANDLE_DICT, NULL);
    ck_assert_int_eq(now(d, FRI_ADD, pair(1, 5)), 5);
    ck_assert_int_eq(now(d, FRI_ADD, pair(1, -7)), -2);
    ck_assert_int_eq(now(d, FRI_ADD, pair(2, INT64_MAX)), INT64_MAX);
    ck_assert_int_eq(now(d, FRI_ADD, pair(2, 1)), INT64_MIN);
    begin(2);
    fri_put_int(&text, 1);
    fri_put_num(&text, 0.5);
    now(d, FRI_ADD, end(NULL));
    m = ((struct fri_dict *)(void *)d)->slots[0].pair;
    for (size_t i = 0; !m || read_whole(m) == INT64_MIN; i++)
        m = ((struct fri_dict *)(void *)d)->slots[i].pair;
    ck_assert_int_eq(m->data[3], FRI_NUM);
    begin(2);
    fri_put_int(&text, 3);
    fri_put_str(&text, FRI_STR, "x", 1);
    now(d, FRI_SET, end(NULL));
    ck_assert_int_eq(now(d, FRI_ADD, pair(3, 1)), refusal(FRUN_ERROR));
    begin(2);
    fri_put_int(&text, 1);
    fri_buffer_byte(&text, FRI_TRUE);
    ck_assert_int_eq(now(d, FRI_ADD, end(NULL)), refusal(FRUN_ERROR));
    fri_handle_unref(d);
    tear_down();
}
END_TEST

enum { KEYS = 200 };

/* Against a table that is too simple to be wrong. */
START_TEST(a_dict_is_like_a_table)
{
    int64_t model[KEYS] = { 0 }, count = 0; /* 0: not there */
    uint64_t random = 1;
    struct fri_handle *d;

    set_up();
    d = make(FRI_HANDLE_DICT, NULL);
    for (int i = 0; i < 50000; i++) {
        int64_t k, v = i + 1;
        bool remove;

        random = random * 6364136223846793005u + 1442695040888963407u;
        k = (int64_t)(random >> 33) % KEYS;
        remove = (random >> 60) % 2;
        ck_assert_int_eq(now(d, FRI_GET, whole(k)),
                         model[k] ? model[k] : NOTHING);
        count += !remove - (model[k] != 0);
        model[k] = remove ? 0 : v;
        if (remove) {
            begin(2);
            fri_put_int(&text, k);
            fri_buffer_byte(&text, FRI_NIL);
            now(d, FRI_SET, end(NULL));
        } else {
            now(d, FRI_SET, pair(k, v));
        }
        ck_assert_int_eq((int64_t)fri_shared_count(d), count);
    }
    ck_assert_int_gt(count, 10);
    fri_handle_unref(d);
    tear_down();
}
END_TEST

static void check_entry(struct fri_reader *r, const struct fri_message *all,
                        struct fri_handle *const *things, int *seen)
{
    size_t length;
    const char *s = fri_get_str(r, fri_get_byte(r), &length);
    int n = fri_get_byte(r), k;

    ck_assert_ptr_nonnull(s);
    k = s[2]; /* the key: a small number */
    ck_assert_int_eq(n, k % 2);
    if (n)
        ck_assert_ptr_eq(all->handles[(*seen)++], things[k]);
}

START_TEST(a_table_has_all_entries_and_their_handles)
{
    struct fri_handle *d, *things[20] = { NULL };
    struct fri_holder nobody = { 0 };
    struct fri_data got;
    struct fri_reader r;
    int seen = 0;

    set_up();
    d = make(FRI_HANDLE_DICT, NULL);
    for (int k = 0; k < 20; k++) {
        things[k] = queue_of(0);
        begin(2);
        fri_put_int(&text, k);
        if (k % 2) {
            fri_buffer_byte(&text, FRI_HANDLE);
            fri_put_varint(&text, 0);
        } else {
            fri_put_int(&text, k);
        }
        now(d, FRI_SET, end(k % 2 ? things[k] : NULL));
    }
    fri_lock(e);
    ck_assert(fri_shared_try(d, FRI_ENTRIES, NULL, &nobody, &got));
    fri_unlock(e);
    ck_assert_int_eq(got.holds, FRI_MESSAGE);
    ck_assert(fri_check(got.message->data, got.message->length));
    fri_reader_init(&r, got.message->data, got.message->length);
    fri_get_byte(&r);
    ck_assert_int_eq(fri_get_byte(&r), 40);
    for (int i = 0; i < 20; i++)
        check_entry(&r, got.message, things, &seen);
    ck_assert_int_eq(seen, 10);
    fri_data_free(&got);
    for (int k = 0; k < 20; k++)
        fri_handle_unref(things[k]);
    fri_handle_unref(d);
    tear_down();
}
END_TEST

/* ---- what holds what -------------------------------------------------- */

START_TEST(nothing_holds_itself)
{
    struct fri_handle *q, *d, *s;

    set_up();
    q = queue_of(0);
    d = make(FRI_HANDLE_DICT, NULL);
    ck_assert_int_eq(now(q, FRI_PUSH, handle(q)), refusal(FRUN_EUNSENDABLE));
    /* through others: until the engine closes */
    s = make(FRI_HANDLE_SHARE, handle(q));
    now(q, FRI_PUSH, handle(d));
    begin(2);
    fri_put_int(&text, 1);
    fri_buffer_byte(&text, FRI_HANDLE);
    fri_put_varint(&text, 0);
    now(d, FRI_SET, end(s));
    fri_handle_unref(q);
    fri_handle_unref(d);
    fri_handle_unref(s);
    ck_assert_ptr_nonnull(e->things);
    tear_down();
}
END_TEST

START_TEST(a_long_chain_goes_without_recursion)
{
    struct fri_handle *q;

    set_up();
    q = queue_of(0);
    for (int i = 0; i < 100000; i++) {
        struct fri_handle *next = queue_of(0);

        now(next, FRI_PUSH, handle(q));
        fri_handle_unref(q);
        q = next;
    }
    fri_lock(e); /* who drops it may have the lock */
    fri_handle_unref(q);
    fri_unlock(e);
    ck_assert_ptr_nonnull(e->things);
    fri_shared_reap(e);
    ck_assert_ptr_null(e->things);
    tear_down();
}
END_TEST

START_TEST(a_handle_may_outlive_its_engine)
{
    struct fri_handle *q, *l;
    struct asked a = { 0 };

    set_up();
    q = queue_of(0);
    l = make(FRI_HANDLE_LOCK, NULL);
    now(q, FRI_PUSH, whole(1));
    now(q, FRI_PUSH, handle(l));
    ask(&a, l, FRI_HOLD, NULL);
    frun_engine_close(e);
    ck_assert_int_gt(atomic_load(&heap.blocks), 0);
    fri_handle_unref(q);
    fri_handle_unref(l);
    ck_assert_int_eq(atomic_load(&heap.blocks), 0);
}
END_TEST

/* Those that wait when the engine closes are withdrawn. */
START_TEST(a_close_withdraws)
{
    struct fri_handle *q;
    struct asked a = { 0 };

    set_up();
    q = queue_of(0);
    ask(&a, q, FRI_POP, NULL);
    fri_handle_unref(q);
    tear_down();
    ck_assert(!fri_ask_waits(&a.ask));
    ck_assert_int_eq(a.ended, 0);
}
END_TEST

/* ---- memory ----------------------------------------------------------- */

/* All operations, each with n allocations to go; true when none failed. */
static bool try_all(struct fri_handle *q, struct fri_handle *d, long n)
{
    static const enum fri_shared_op ops[]
        = { FRI_PUSH, FRI_COUNT, FRI_POP, FRI_SET, FRI_ADD, FRI_GET,
            FRI_ENTRIES };
    bool well = true;

    for (size_t i = 0; i < COUNT(ops); i++) {
        struct fri_handle *thing = i < 3 ? q : d;
        size_t before = fri_shared_count(thing);
        struct fri_message *m;
        struct fri_holder nobody = { 0 };
        struct fri_data got;
        bool failed;

        if (ops[i] == FRI_SET || ops[i] == FRI_ADD) {
            begin(2); /* a key that is written anew */
            fri_put_num(&text, (double)before + 1);
            fri_put_int(&text, 1);
            m = end(NULL);
        } else {
            m = whole(1);
        }
        atomic_store(&heap.allowed, n);
        fri_lock(e);
        ck_assert(fri_shared_try(thing, ops[i], m, &nobody, &got));
        fri_unlock(e);
        atomic_store(&heap.allowed, -1);
        failed = got.holds == FRI_ERROR;
        if (failed) {
            ck_assert_ptr_null(got.error);
            ck_assert_uint_eq(fri_shared_count(thing), before);
        }
        well = well && !failed;
        fri_data_free(&got);
        fri_message_free(m);
        if (failed && ops[i] == FRI_PUSH)
            break;
    }
    return well;
}

START_TEST(where_memory_runs_out_nothing_has_changed)
{
    long n = 0;

    for (bool well = false; !well; n++) {
        struct fri_handle *q, *d;

        set_up();
        q = queue_of(0);
        d = make(FRI_HANDLE_DICT, NULL);
        well = try_all(q, d, n);
        fri_handle_unref(q);
        fri_handle_unref(d);
        tear_down();
    }
    ck_assert_int_gt(n, 3);
}
END_TEST

START_TEST(making_may_fail)
{
    static const uint32_t kinds[] = { FRI_HANDLE_QUEUE, FRI_HANDLE_DICT,
                                      FRI_HANDLE_LOCK, FRI_HANDLE_SHARE };

    set_up();
    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct fri_message *m = whole(3);
        struct fri_handle *h;

        atomic_store(&heap.allowed, 0);
        fri_lock(e);
        h = fri_shared_make(e, kinds[i], m);
        ck_assert_ptr_null(h);
        ck_assert_ptr_null(fri_shared_future(e));
        fri_unlock(e);
        atomic_store(&heap.allowed, -1);
        h = make(kinds[i], m);
        ck_assert_ptr_nonnull(h);
        fri_handle_unref(h);
    }
    ck_assert_ptr_null(make(FRI_HANDLE_QUEUE, whole(0)));
    ck_assert_ptr_null(make(FRI_HANDLE_QUEUE, whole(-1)));
    ck_assert_ptr_null(make(FRI_HANDLE_QUEUE, pair(1, 1)));
    ck_assert_ptr_null(make(FRI_HANDLE_SHARE, NULL));
    ck_assert_ptr_null(make(FRI_HANDLE_POOL, NULL));
    tear_down();
}
END_TEST

/* A frame of another process may ask for anything. */
START_TEST(nonsense_is_refused)
{
    struct fri_handle *things[4];
    uint64_t random = 7;

    set_up();
    things[0] = queue_of(0);
    things[1] = make(FRI_HANDLE_DICT, NULL);
    things[2] = make(FRI_HANDLE_LOCK, NULL);
    things[3] = make(FRI_HANDLE_SHARE, whole(1));
    for (int i = 0; i < 100000; i++) {
        struct fri_handle *h = things[i % 4];
        enum fri_shared_op op = (enum fri_shared_op)(i / 4 % FRI_SHARED_OPS);
        struct fri_holder nobody = { 0 };
        struct fri_message *m;
        struct fri_data got;

        text.length = 0;
        for (int n = (int)(random >> 40) % 14; n > 0; n--) {
            random = random * 6364136223846793005u + 1442695040888963407u;
            fri_buffer_byte(&text, (uint8_t)(random >> 45));
        }
        random++;
        if (text.length > 1 && random % 4)
            text.data[1] = (uint8_t)(1 + random % 2);
        m = end(NULL);
        fri_lock(e);
        if (fri_shared_try(h, op, random % 5 ? m : NULL, &nobody, &got))
            fri_data_free(&got);
        fri_holder_leave(&nobody);
        fri_unlock(e);
        fri_message_free(m);
    }
    ck_assert_int_eq(now(things[3], FRI_READ, NULL), 1);
    ck_assert_int_eq(now(things[3], FRI_POP, NULL), refusal(FRUN_EINVAL));
    ck_assert_int_eq(now(things[2], FRI_PUSH, whole(1)),
                     refusal(FRUN_EINVAL));
    ck_assert_int_eq(now(things[0], FRI_GET, whole(1)), refusal(FRUN_EINVAL));
    ck_assert_int_eq(now(things[0], FRI_PUSH, NULL), refusal(FRUN_EINVAL));
    ck_assert_int_eq(now(things[1], FRI_HOLD, NULL), refusal(FRUN_EINVAL));
    for (int i = 0; i < 4; i++)
        fri_handle_unref(things[i]);
    tear_down();
}
END_TEST

/* ---- arrays ----------------------------------------------------------- */

START_TEST(an_array_is_shared_memory)
{
    struct fri_array *a, *b;
    int open = kit_fds(), fd;

    a = fri_array_new(NULL, FRI_F64, 1000);
    ck_assert_ptr_nonnull(a);
    for (int i = 0; i < 1000; i++)
        ck_assert(((double *)a->data)[i] == 0);
    b = fri_array_adopt(NULL, dup(a->fd), FRI_F64, 1000);
    ck_assert_ptr_nonnull(b);
    ((double *)a->data)[999] = 2.5;
    ck_assert(((double *)b->data)[999] == 2.5);
    ck_assert_ptr_null(fri_array_adopt(NULL, dup(a->fd), FRI_F64, 10000));
    ck_assert_ptr_null(
        fri_array_adopt(NULL, dup(a->fd), (enum fri_number_type)9, 1));
    fd = memfd_create("unsealed", 0);
    ck_assert_int_eq(ftruncate(fd, 100000), 0);
    ck_assert_ptr_null(fri_array_adopt(NULL, fd, FRI_U8, 100));
    ck_assert_int_lt(ftruncate(a->fd, 1), 0);
    fri_handle_unref(&a->handle);
    ((double *)b->data)[0] = 1;
    fri_handle_unref(&b->handle);
    a = fri_array_new(NULL, FRI_U8, 0);
    ck_assert_ptr_nonnull(a);
    fri_handle_unref(&a->handle);
    ck_assert_ptr_null(fri_array_new(NULL, FRI_INT64, SIZE_MAX / 4));
    ck_assert_int_eq(kit_fds(), open);
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_queue_keeps_the_order,
        who_waits_is_served_in_order,
        who_is_withdrawn_takes_nothing,
        a_closed_queue_tells_all,
        a_lock_goes_from_one_to_the_next,
        who_leaves_holds_and_wants_nothing,
        what_a_task_holds_goes_with_it,
        numbers_that_are_equal_are_one_key,
        adding_keeps_the_subtype,
        a_dict_is_like_a_table,
        a_table_has_all_entries_and_their_handles,
        nothing_holds_itself,
        a_long_chain_goes_without_recursion,
        a_handle_may_outlive_its_engine,
        a_close_withdraws,
        where_memory_runs_out_nothing_has_changed,
        making_may_fail,
        nonsense_is_refused,
        an_array_is_shared_memory,
    };

    return unit_run("shared", tests, COUNT(tests));
}
