/*
 * resume.c - the keys of tasks, and what journals have under them.
 */
#include "core/resume_private.h"

#include "base/hash.h"
#include "core/settle.h"
#include "data/value.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

/* ---- opening ---------------------------------------------------------- */

bool fri_resumer_open(frun_engine *e)
{
    struct fri_resumer *rs;

    if (e->resumer)
        return true;
    rs = fri_alloc_zero(&e->memory, sizeof *rs);
    if (rs)
        rs->canon = fri_canon_open(&e->memory);
    if (!rs || !rs->canon) {
        fri_free(&e->memory, rs);
        return false;
    }
    pthread_mutex_init(&rs->lock, NULL);
    fri_lock(e);
    e->resumer = rs;
    fri_unlock(e);
    return true;
}

void fri_resumer_close(frun_engine *e)
{
    struct fri_resumer *rs = e->resumer;

    if (!rs)
        return;
    e->resumer = NULL;
    for (; rs->at < rs->end; rs->at++) /* cancelled: nobody will meet them */
        fri_future_unref(rs->queue[rs->at]);
    pthread_mutex_destroy(&rs->lock);
    fri_resume_forget(&e->memory, rs);
    fri_canon_free(rs->canon);
    fri_free(&e->memory, rs->counts);
    fri_free(&e->memory, rs->queue);
    fri_free(&e->memory, rs);
}

void fri_resume_free(const struct fri_memory *m, struct fri_resume *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->count; i++)
        fri_free(m, (void *)(uintptr_t)r->parts[i].name);
    fri_free(m, r->parts);
    fri_free(m, r);
}

void fri_past_free(const struct fri_memory *m, struct fri_past *past)
{
    if (past)
        fri_data_free(&past->data);
    fri_free(m, past);
}

/* ---- numbers among equals --------------------------------------------- */

static size_t find(const struct fri_resumer *rs, uint64_t digest)
{
    size_t i = (size_t)digest & (rs->size - 1);

    while (rs->counts[i].digest && rs->counts[i].digest != digest)
        i = (i + 1) & (rs->size - 1);
    return i;
}

static bool grow(const struct fri_memory *m, struct fri_resumer *rs)
{
    struct fri_resumer more = { .size = rs->size ? 2 * rs->size : 256 };

    if (rs->size && rs->used * 4 < rs->size * 3)
        return true;
    more.counts = fri_alloc_zero(m, more.size * sizeof *more.counts);
    if (!more.counts)
        return rs->size > rs->used + 1;
    for (size_t i = 0; i < rs->size; i++)
        if (rs->counts[i].digest)
            more.counts[find(&more, rs->counts[i].digest)] = rs->counts[i];
    fri_free(m, rs->counts);
    rs->counts = more.counts;
    rs->size = more.size;
    return true;
}

static uint64_t shortened(const struct fri_digest *digest)
{
    uint64_t n;

    memcpy(&n, digest->bytes, sizeof n);
    return n ? n : 1;
}

/* How many equal ones came before; false: out of memory. */
static bool number_among(frun_engine *e, const struct fri_digest *digest,
                         uint64_t *number)
{
    struct fri_resumer *rs = e->resumer;
    uint64_t wanted = shortened(digest);
    bool ok;

    pthread_mutex_lock(&rs->lock);
    ok = grow(&e->memory, rs);
    if (ok) {
        struct fri_key_count *c = &rs->counts[find(rs, wanted)];

        rs->used += c->digest == 0;
        c->digest = wanted;
        *number = c->count++;
    }
    pthread_mutex_unlock(&rs->lock);
    return ok;
}

/* ---- keys ------------------------------------------------------------- */

static const char *handle_name(void *user, const struct fri_handle *h)
{
    (void)user;
    if (h->kind == FRI_HANDLE_LIMIT)
        return ((const struct fri_limit *)(const void *)h)->name;
    if (h->kind == FRI_HANDLE_NATIVE)
        return ((const struct fri_native *)(const void *)h)->name;
    return NULL;
}

/* A value of C is written down once, and stays with its future. */
static bool future_value(void *user, struct fri_handle *h, const void **bytes,
                         size_t *length, struct fri_handle *const **handles,
                         uint32_t *count)
{
    const struct frun_future *f = (const struct frun_future *)(void *)h;

    (void)user;
    if (fri_state(f) != FRI_DONE)
        return false;
    if (f->holds == FRI_BYTES) {
        *bytes = f->data.bytes;
        *length = f->length;
        return true;
    }
    if (f->holds != FRI_MESSAGE)
        return false;
    *bytes = f->data.message->data;
    *length = f->data.message->length;
    *handles = f->data.message->handles;
    *count = f->data.message->handle_count;
    return true;
}

const struct fri_canon_hooks fri_resume_hooks = {
    .handle = handle_name, .future = future_value,
};

frun_journal *fri_resume_journal(frun_engine *e, uintptr_t number)
{
    return e->home ? (frun_journal *)number : fri_journal_at(e, number);
}

static struct fri_digest with_number(const struct fri_digest *digest,
                                     char letter, uint64_t number)
{
    struct fri_digester d;

    fri_digest_begin(&d);
    fri_digest_add(&d, digest->bytes, FRI_DIGEST);
    fri_digest_byte(&d, (uint8_t)letter);
    fri_digest_number(&d, number);
    return fri_digest_end(&d);
}

static uint64_t identity_of(const struct fri_asked *a,
                            const struct fri_key *key)
{
    uint64_t id = a->resume->identity;

    if (a->name)
        id = fri_hash(a->name, strlen(a->name), 1);
    if (a->key)
        return fri_mix(id ^ a->key);
    for (unsigned i = 0; i < key->argument_count && !a->name; i++)
        id = fri_mix(id) ^ key->arguments[i];
    return id;
}

/* Made when it is first wanted; by any thread, the same one. */
static struct fri_recipe *recipe_of(struct fri_resume *r)
{
    struct fri_recipe *code
        = atomic_load_explicit(&r->recipe, memory_order_acquire);

    if (!code) {
        code = fri_journal_recipe(r->journal, r->parts, r->count);
        atomic_store_explicit(&r->recipe, code, memory_order_release);
    }
    return code;
}

/* False: *why, or out of memory. */
static bool make_key(frun_engine *e, struct fri_canon *canon,
                     const struct fri_asked *a,
                     struct fri_key *key, struct fri_digest *digest,
                     const char **why)
{
    struct fri_digester d;

    memset(key, 0, sizeof *key);
    fri_digest_begin(&d);
    fri_digest_add(&d, a->resume->digest.bytes, FRI_DIGEST);
    if (!fri_resume_init(e, a->lane, a->resume->version, &d, why))
        return false;
    if (!fri_canon_values(canon, a->hooks, a->bytes, a->length, a->handles,
                          a->handle_count, a->values, &d, key->arguments,
                          FRI_KEY_ARGUMENTS, &key->argument_count)) {
        *why = fri_canon_why(canon);
        return false;
    }
    if (*a->modules)
        fri_digest_number(&d, *a->modules);
    key->recipe = recipe_of(a->resume);
    *digest = fri_digest_end(&d);
    return true;
}

void fri_resume_ask(struct fri_asked *a, const struct frun_future *task)
{
    const struct fri_message *m = task->key.message;

    a->resume = task->spec->resume;
    a->lane = task->spec->lane;
    a->key = task->key_kind == FRI_KEY_MESSAGE
                 ? fri_hash(m->data, m->length, 7)
                 : 0;
    a->values = task->key_kind == FRI_KEY_NONE ? UINT32_MAX
                : a->resume->keys              ? 2
                                               : 1;
    if (task->extra) {
        a->name = task->extra->name;
        a->stream = task->extra->stream;
    }
}

/* ---- looking ---------------------------------------------------------- */

static void count_verdict(struct fri_resumer *rs, enum fri_verdict verdict,
                          const char *what)
{
    int i = 0;

    pthread_mutex_lock(&rs->lock);
    rs->found += verdict == FRI_JOURNAL_HAS;
    rs->fresh += verdict == FRI_JOURNAL_NEW;
    while (i < FRI_REASONS - 1 && rs->again[i].what
           && strcmp(rs->again[i].what, what ? what : "") != 0)
        i++;
    if (verdict == FRI_JOURNAL_AGAIN) {
        bool own = what && i < FRI_REASONS - 1;

        rs->again[i].what = own ? what : "other reasons";
        rs->again[i].count++;
    }
    pthread_mutex_unlock(&rs->lock);
}

static bool past_data(const struct fri_memory *m, struct fri_data *data,
                      const struct fri_kept *entry)
{
    data->holds = entry->length > 2 ? FRI_BYTES : FRI_NOTHING;
    data->length = (uint8_t)entry->length;
    if (entry->length <= FRI_INLINE) {
        memcpy(data->bytes, entry->result, entry->length);
        return true;
    }
    data->message
        = fri_message_new(m, entry->result, entry->length, NULL, 0);
    data->holds = FRI_MESSAGE;
    return data->message != NULL;
}

static struct fri_past *past_new(const struct fri_memory *m, frun_journal *j,
                                 const struct fri_kept *entry)
{
    struct fri_past *past = fri_alloc_zero(m, sizeof *past);

    if (!past)
        return NULL;
    if (!past_data(m, &past->data, entry)) {
        fri_free(m, past);
        return NULL;
    }
    past->journal = j;
    past->id = entry->id;
    past->attempts = entry->attempts;
    past->cpu = entry->cpu;
    past->memory = entry->memory;
    return past;
}

/* The key of a task that draws random numbers is another. */
static enum fri_verdict look(const struct fri_asked *a, struct fri_key *key,
                             const struct fri_digest *plain,
                             struct fri_kept *entry, const char **what)
{
    frun_journal *j = a->resume->journal;
    enum fri_verdict verdict = fri_journal_look(j, key, entry, what);
    struct fri_key drawn = *key;
    struct fri_digest digest;
    const char *why;

    if (verdict == FRI_JOURNAL_HAS || !a->stream)
        return verdict;
    digest = with_number(plain, 'r', a->stream);
    memcpy(drawn.digest, digest.bytes, FRI_DIGEST);
    if (fri_journal_look(j, &drawn, entry, &why) == FRI_JOURNAL_HAS)
        return FRI_JOURNAL_HAS;
    return verdict;
}

/* What it will come to is kept under that key, or under that of its stream. */
static bool make_keep(const struct fri_asked *a, const struct fri_key *key,
                      const struct fri_digest *plain,
                      struct fri_answer *answer)
{
    const struct fri_resume *r = a->resume;
    struct fri_digest drawn;

    answer->keep = fri_keep_new(r->journal, key, r->durable);
    if (!answer->keep || !a->stream)
        return answer->keep != NULL;
    drawn = with_number(plain, 'r', a->stream);
    fri_keep_drawn(answer->keep, &drawn);
    return true;
}

bool fri_resume_look(frun_engine *e, struct fri_canon *canon,
                     const struct fri_asked *a, struct fri_answer *answer,
                     const char **why)
{
    struct fri_digest plain, digest;
    struct fri_kept entry = { .length = 0 };
    struct fri_key key;
    const char *what = NULL;
    uint64_t number;

    *answer = (struct fri_answer){ .past = NULL };
    *why = NULL;
    if (!make_key(e, canon, a, &key, &plain, why)
        || !number_among(e, &plain, &number))
        return false;
    digest = number ? with_number(&plain, '#', number) : plain;
    memcpy(key.digest, digest.bytes, FRI_DIGEST);
    key.identity = fri_mix(identity_of(a, &key) + number);
    answer->verdict = look(a, &key, &plain, &entry, &what);
    count_verdict(e->resumer, answer->verdict, what);
    if (answer->verdict != FRI_JOURNAL_HAS)
        return e->sched.dry || make_keep(a, &key, &plain, answer);
    answer->past = past_new(&e->memory, a->resume->journal, &entry);
    fri_kept_free(&entry);
    return answer->past != NULL;
}

bool fri_resume_put(struct frun_future *task, struct fri_answer *answer)
{
    struct fri_extra *x = fri_task_extra(task);

    if (!x) {
        fri_past_free(task->spec->lane->sched->memory, answer->past);
        fri_keep_free(answer->keep);
        return false;
    }
    x->looked_up = true;
    x->past = answer->past;
    x->keep = answer->keep;
    return true;
}
