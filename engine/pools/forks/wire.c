#include "pools/forks/wire.h"

#include "core/resume.h"

#include "data/value.h"

#include <unistd.h>

enum {
    CAUSES = 50, /* errors in errors */
    APART_LEAST = 256 << 10 /* bytes: a file of memory costs 10 us and more */
};

/* ---- texts ------------------------------------------------------------ */

void fri_wire_bytes(struct fri_buffer *b, const void *bytes, size_t length)
{
    fri_put_varint(b, length + 1);
    fri_buffer_add(b, bytes, length);
}

void fri_wire_text(struct fri_buffer *b, const char *text)
{
    if (text)
        fri_wire_bytes(b, text, strlen(text));
    else
        fri_put_varint(b, 0);
}

const uint8_t *fri_wire_get_bytes(struct fri_reader *r, size_t *length)
{
    uint64_t n = fri_get_varint(r);
    const uint8_t *at = r->at;

    *length = 0;
    if (n == 0 || r->bad)
        return NULL;
    if (n - 1 > fri_left(r)) {
        fri_bad(r);
        return NULL;
    }
    *length = (size_t)(n - 1);
    r->at += *length;
    return at;
}

char *fri_wire_get_text(struct fri_reader *r, const struct fri_memory *m)
{
    size_t length;
    const uint8_t *at = fri_wire_get_bytes(r, &length);

    return at ? fri_strndup(m, (const char *)at, length) : NULL;
}

/* ---- messages --------------------------------------------------------- */

enum { NONE, HERE, APART }; /* where a message's bytes are */

/* A large one goes through a file of memory of its own, into which it is
 * copied once, and in which the receiver finds it. */
static bool put_apart(struct fri_port *p, struct fri_buffer *b,
                      const void *bytes, size_t length)
{
    int fd = length >= APART_LEAST && p->fd_count < FRI_FDS - 1
                 ? fri_memory_file(bytes, length, FRI_MESSAGE_ROOM)
                 : -1;

    if (fd < 0)
        return false;
    p->fds[p->fd_count++] = fd;
    p->own |= 1u << (p->fd_count - 1);
    fri_buffer_byte(b, APART);
    fri_put_varint(b, length);
    return true;
}

void fri_wire_part(struct fri_port *p, struct fri_buffer *b,
                   const struct fri_message *m, const void *bytes,
                   size_t length)
{
    if (!put_apart(p, b, bytes, length)) {
        fri_buffer_byte(b, HERE);
        fri_put_varint(b, length);
        fri_buffer_add(b, bytes, length);
    }
    fri_put_varint(b, m->handle_count);
    for (uint32_t i = 0; i < m->handle_count && !b->failed; i++)
        if (!p->put(p, b, m->handles[i]))
            b->failed = true;
}

void fri_wire_message(struct fri_port *p, struct fri_buffer *b,
                      const struct fri_message *m)
{
    if (m)
        fri_wire_part(p, b, m, m->data, m->length);
    else
        fri_buffer_byte(b, NONE);
}

struct fri_buffer *fri_wire_begin(struct fri_port *p)
{
    p->fd_count = p->own = 0;
    return fri_channel_begin(p->channel);
}

bool fri_wire_send(struct fri_port *p, unsigned kind, bool ring)
{
    bool sent = fri_channel_send(p->channel, kind, p->fds, p->fd_count, ring);

    for (unsigned i = 0; i < p->fd_count; i++)
        if (p->own >> i & 1u)
            close(p->fds[i]);
    p->fd_count = p->own = 0;
    return sent;
}

static void unref_all(struct fri_handle **handles, size_t n)
{
    for (size_t i = 0; i < n; i++)
        fri_handle_unref(handles[i]);
}

static struct fri_handle **get_handles(struct fri_port *p,
                                       struct fri_reader *r, size_t n)
{
    struct fri_handle **handles
        = fri_alloc(p->memory, (n + 1) * sizeof *handles);

    for (size_t i = 0; handles && i < n; i++) {
        handles[i] = r->bad ? NULL : p->get(p, r);
        if (handles[i])
            continue;
        unref_all(handles, i);
        fri_free(p->memory, handles);
        handles = NULL;
    }
    if (!handles)
        fri_bad(r);
    return handles;
}

struct fri_message *fri_wire_get_message(struct fri_port *p,
                                         struct fri_reader *r)
{
    unsigned where = fri_get_byte(r);
    uint64_t length = where == NONE ? 0 : fri_get_varint(r);
    const uint8_t *bytes = r->at;
    struct fri_handle **handles = NULL;
    struct fri_message *m = NULL;
    size_t n;
    int fd = -1;

    if (r->bad || where == NONE)
        return NULL;
    if (where == APART)
        fd = fri_channel_fd(p->channel);
    if (where > APART || (where == HERE && length > fri_left(r))
        || (where == APART && fd < 0)) {
        fri_bad(r);
        return NULL;
    }
    if (where == HERE)
        r->at += length;
    n = fri_get_count(r, 1);
    if (!r->bad && (n == 0 || (handles = get_handles(p, r, n)) != NULL))
        m = fd < 0 ? fri_message_new(p->memory, bytes, (size_t)length,
                                     handles, (uint32_t)n)
                   : fri_message_map(p->memory, fd, (size_t)length, handles,
                                     (uint32_t)n);
    if (fd >= 0)
        close(fd);
    unref_all(handles, handles ? n : 0);
    fri_free(p->memory, handles);
    if (!m)
        fri_bad(r);
    return m;
}

/* ---- data ------------------------------------------------------------- */

static void put_value(struct fri_buffer *b, const frun_value *value)
{
    struct fri_buffer text;

    fri_buffer_init(&text, b->memory);
    if (fri_value_pack(&text, value) != FRUN_OK || text.failed)
        b->failed = true;
    else
        fri_wire_bytes(b, text.data, text.length);
    fri_buffer_free(&text);
}

void fri_wire_data(struct fri_port *p, struct fri_buffer *b, unsigned holds,
                   const void *data, size_t length)
{
    void *thing = NULL;

    if (holds != FRI_BYTES && holds != FRI_NOTHING)
        memcpy(&thing, data, sizeof thing);
    fri_buffer_byte(b, (uint8_t)holds);
    switch (holds) {
    case FRI_BYTES: fri_wire_bytes(b, data, length); break;
    case FRI_MESSAGE: fri_wire_message(p, b, thing); break;
    case FRI_VALUE: put_value(b, thing); break;
    case FRI_ERROR: fri_wire_error(p, b, thing); break;
    default: break;
    }
}

static bool get_inline(struct fri_reader *r, struct fri_data *data)
{
    size_t length;
    const uint8_t *bytes = fri_wire_get_bytes(r, &length);

    if (!bytes || length > FRI_INLINE)
        return false;
    memcpy(data->bytes, bytes, length);
    data->length = (uint8_t)length;
    return true;
}

static bool get_value(const struct fri_memory *m, struct fri_reader *r,
                      frun_value **value)
{
    size_t length;
    const uint8_t *bytes = fri_wire_get_bytes(r, &length);

    return bytes && fri_value_unpack(m, bytes, length, value) == FRUN_OK;
}

bool fri_wire_get_data(struct fri_port *p, struct fri_reader *r,
                       struct fri_data *data)
{
    unsigned holds = fri_get_byte(r);
    bool ok = !r->bad;

    memset(data, 0, sizeof *data);
    switch (holds) {
    case FRI_NOTHING: break;
    case FRI_BYTES: ok = ok && get_inline(r, data); break;
    case FRI_VALUE: ok = ok && get_value(p->memory, r, &data->value); break;
    case FRI_MESSAGE:
        data->message = fri_wire_get_message(p, r);
        ok = data->message != NULL;
        break;
    case FRI_ERROR:
        data->error = fri_wire_get_error(p, r);
        ok = !r->bad;
        break;
    default: ok = false; break;
    }
    data->holds = ok ? (uint8_t)holds : FRI_NOTHING;
    if (!ok)
        fri_bad(r);
    return ok;
}

/* ---- errors ----------------------------------------------------------- */

static void put_error(struct fri_port *p, struct fri_buffer *b,
                      const struct fri_error *e, int depth)
{
    fri_buffer_byte(b, e && depth < CAUSES);
    if (!e || depth >= CAUSES)
        return;
    fri_put_varint(b, (uint64_t)e->public.status);
    fri_wire_signed(b, e->public.attempts);
    fri_wire_signed(b, e->public.exit_status);
    fri_wire_signed(b, e->public.signal);
    fri_wire_double(b, e->seconds);
    fri_wire_text(b, e->message);
    fri_wire_text(b, e->traceback);
    fri_wire_text(b, e->task);
    fri_wire_text(b, e->pool);
    fri_wire_message(p, b, e->value);
    fri_buffer_byte(b, e->number_key);
    fri_wire_signed(b, e->key_number);
    fri_wire_message(p, b, e->key);
    fri_buffer_byte(b, e->result != NULL);
    if (e->result)
        put_value(b, e->result);
    put_error(p, b, e->cause, depth + 1);
}

void fri_wire_error(struct fri_port *p, struct fri_buffer *b,
                    const struct fri_error *error)
{
    put_error(p, b, error, 0);
}

static void get_result(struct fri_reader *r, struct fri_error *e)
{
    frun_value *result = NULL;

    if (fri_get_byte(r) == 0 || r->bad)
        return;
    if (!get_value(e->memory, r, &result))
        fri_bad(r);
    fri_error_set_result(e, result);
}

static void get_fields(struct fri_port *p, struct fri_reader *r,
                       struct fri_error *e)
{
    e->task = fri_wire_get_text(r, p->memory);
    e->public.task = e->task;
    e->pool = fri_wire_get_text(r, p->memory);
    e->value = fri_wire_get_message(p, r);
    e->number_key = fri_get_byte(r) != 0;
    e->key_number = fri_get_zigzag(r);
    e->key = fri_wire_get_message(p, r);
    get_result(r, e);
}

static struct fri_error *get_error(struct fri_port *p, struct fri_reader *r,
                                   int depth)
{
    uint64_t status;
    int numbers[3];
    char *message, *traceback;
    double seconds;
    struct fri_error *e;

    if (fri_get_byte(r) != 1 || depth >= CAUSES)
        return NULL;
    status = fri_get_varint(r);
    for (int i = 0; i < 3; i++)
        numbers[i] = (int)fri_get_zigzag(r);
    seconds = fri_wire_get_double(r);
    message = fri_wire_get_text(r, p->memory);
    traceback = fri_wire_get_text(r, p->memory);
    if (status == FRUN_OK || status > FRUN_EJOURNAL)
        fri_bad(r);
    e = r->bad ? NULL
               : fri_error_new(p->memory, (frun_status)status, message,
                               traceback, NULL);
    fri_free(p->memory, message);
    fri_free(p->memory, traceback);
    if (!e)
        return NULL;
    e->public.attempts = numbers[0];
    e->public.exit_status = numbers[1];
    e->public.signal = numbers[2];
    e->seconds = seconds;
    get_fields(p, r, e);
    e->cause = get_error(p, r, depth + 1);
    if (e->cause)
        e->public.cause = &e->cause->public;
    return e;
}

struct fri_error *fri_wire_get_error(struct fri_port *p, struct fri_reader *r)
{
    struct fri_error *e = get_error(p, r, 0);

    if (e && r->bad) {
        fri_error_free(e);
        e = NULL;
    }
    return e;
}

/* ---- policies --------------------------------------------------------- */

void fri_wire_policy(struct fri_port *p, struct fri_buffer *b,
                     const frun_policy *policy)
{
    fri_wire_double(b, policy->timeout);
    fri_wire_double(b, policy->backoff);
    fri_wire_double(b, policy->priority);
    fri_put_varint(b, policy->memory);
    fri_put_varint(b, (uint64_t)policy->retries);
    fri_put_varint(b, policy->retry_on);
    fri_put_varint(b, policy->chunk);
    fri_wire_text(b, policy->name);
    fri_wire_text(b, policy->halt);
    fri_wire_pointer(b, (uintptr_t)policy->journal);
    fri_wire_text(b, policy->version);
    fri_buffer_byte(b, policy->durable);
    fri_put_varint(b, policy->limit_count);
    for (size_t i = 0; i < policy->limit_count; i++) {
        fri_put_varint(b, policy->limit_needs ? (uint64_t)policy->limit_needs[i]
                                              : 1);
        if (!p->put(p, b, (struct fri_handle *)policy->limits[i]))
            b->failed = true;
    }
}

static bool get_limits(struct fri_port *p, struct fri_reader *r,
                       frun_policy *policy)
{
    size_t n = fri_get_count(r, 2);
    frun_limit **limits;
    int *needs;

    if (n == 0)
        return true;
    limits = fri_alloc(p->memory, n * sizeof *limits);
    needs = fri_alloc(p->memory, n * sizeof *needs);
    policy->limits = limits;
    policy->limit_needs = needs;
    for (size_t i = 0; limits && needs && i < n; i++) {
        struct fri_handle *h;

        needs[i] = (int)fri_get_varint(r);
        h = r->bad ? NULL : p->get(p, r);
        if (!h)
            return false;
        limits[i] = (frun_limit *)(void *)h;
        policy->limit_count = i + 1;
        if (h->kind != FRI_HANDLE_LIMIT || needs[i] < 1
            || (unsigned)needs[i] > ((struct fri_limit *)(void *)h)->count)
            return false;
    }
    return limits && needs;
}

bool fri_wire_get_policy(struct fri_port *p, struct fri_reader *r,
                         frun_policy *policy)
{
    memset(policy, 0, sizeof *policy);
    policy->size = sizeof *policy;
    policy->timeout = fri_wire_get_double(r);
    policy->backoff = fri_wire_get_double(r);
    policy->priority = fri_wire_get_double(r);
    policy->memory = fri_get_varint(r);
    policy->retries = (int)(fri_get_varint(r) & 0xffff);
    policy->retry_on = (unsigned)fri_get_varint(r);
    policy->chunk = (size_t)fri_get_varint(r);
    policy->name = fri_wire_get_text(r, p->memory);
    policy->halt = fri_wire_get_text(r, p->memory);
    policy->journal = fri_resume_journal(p->engine, fri_get_varint(r));
    policy->version = fri_wire_get_text(r, p->memory);
    policy->durable = fri_get_byte(r) != 0;
    if (policy->priority != policy->priority || !(policy->timeout >= 0)
        || !(policy->backoff >= 0))
        fri_bad(r);
    if (get_limits(p, r, policy) && !r->bad)
        return true;
    fri_policy_free(p->memory, policy);
    memset(policy, 0, sizeof *policy);
    fri_bad(r);
    return false;
}

/* ---- functions -------------------------------------------------------- */

void fri_wire_function(struct fri_port *p, struct fri_buffer *b,
                       const struct fri_function *f)
{
    fri_put_varint(b, f->id);
    fri_buffer_byte(b, f->random);
    fri_wire_text(b, f->name);
    fri_wire_message(p, b, f->message);
}

struct fri_function *fri_wire_get_function(struct fri_port *p,
                                           struct fri_reader *r)
{
    uint64_t id = fri_get_varint(r);
    bool random = fri_get_byte(r) != 0;
    size_t length;
    const uint8_t *name = fri_wire_get_bytes(r, &length);
    struct fri_message *m = fri_wire_get_message(p, r);
    struct fri_function *f = m ? fri_function_new(m) : NULL;

    fri_message_free(m);
    if (!f)
        return NULL;
    f->id = id;
    f->random = random;
    if (length >= sizeof f->name)
        length = sizeof f->name - 1;
    if (name)
        memcpy(f->name, name, length);
    return f;
}
