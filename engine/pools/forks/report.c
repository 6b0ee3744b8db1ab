/*
 * report.c - in a worker process: what goes home, results and all that is
 * printed; and what the process may take.
 */
#define _GNU_SOURCE
#include "pools/forks/home.h"

#include "data/codec.h"
#include "data/value.h"

#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

enum {
    RING_NS = 20000,    /* about the cost of a wake */
    SPARE = 16 << 20,   /* bytes of addresses beyond a memory cap */
    OUTPUT_NS = 1000000 /* what is printed may wait for so long, or, where no
                           more comes, until somebody looks: see forkpool.c */
};

void fri_home_send(struct fri_home *h, unsigned kind, bool ring)
{
    if (!fri_wire_send(&h->port, kind, ring)
        && h->channel.ended)
        _exit(0); /* nobody is left to tell */
}

struct fri_buffer *fri_home_begin(struct fri_home *h)
{
    return fri_wire_begin(&h->port);
}

void fri_home_output(void *user, int stream, const char *bytes, size_t length)
{
    struct fri_home *h = user;
    struct fri_buffer *b = fri_home_begin(h);

    fri_time now = fri_now();
    bool ring = now - h->rung > OUTPUT_NS;

    fri_put_varint(b, h->current ? h->current->ticket : 0);
    fri_buffer_byte(b, (uint8_t)stream);
    fri_buffer_add(b, bytes, length);
    fri_home_send(h, FRI_FRAME_OUTPUT, ring);
    if (ring)
        h->rung = now;
}

/* ---- C stdio ---------------------------------------------------------- */

/* What C functions print goes the way of all output, by whole lines. */
struct stream {
    struct fri_home *home;
    int number;
    bool begun;  /* a line that has not ended */
    bool ending; /* its task has: it ends there */
};

static void put(struct stream *s, const void *bytes, size_t length)
{
    fri_output_write(&s->home->engine->output, s->number, bytes, length);
}

/* In one piece, or others would print before the end of the line. */
static bool put_line(struct stream *s, const char *bytes, size_t length)
{
    struct fri_buffer line;
    bool whole;

    fri_buffer_init(&line, NULL);
    fri_buffer_add(&line, bytes, length);
    fri_buffer_byte(&line, '\n');
    whole = !line.failed;
    if (whole)
        put(s, line.data, line.length);
    fri_buffer_free(&line);
    return whole;
}

static ssize_t on_stdio(void *cookie, const char *bytes, size_t length)
{
    struct stream *s = cookie;

    if (length == 0)
        return 0;
    s->begun = bytes[length - 1] != '\n';
    if (s->begun && s->ending && put_line(s, bytes, length))
        s->begun = false;
    else
        put(s, bytes, length);
    return (ssize_t)length;
}

static struct stream streams[3];

static FILE *open_stream(struct fri_home *h, int number)
{
    cookie_io_functions_t functions = { .write = on_stdio };
    FILE *f;

    streams[number] = (struct stream){ .home = h, .number = number };
    f = fopencookie(&streams[number], "w", functions);
    if (f)
        setvbuf(f, NULL, _IOLBF, BUFSIZ);
    return f;
}

static void end_lines(FILE *f, struct stream *s)
{
    s->ending = true;
    if (f && fflush(f) == 0 && s->begun)
        on_stdio(s, "\n", 1);
    s->ending = false;
}

void fri_home_stdio_open(struct fri_home *h)
{
    FILE *out = open_stream(h, 1), *err = open_stream(h, 2);

    if (out)
        stdout = out;
    if (err)
        stderr = err;
}

void fri_home_stdio_end(void)
{
    end_lines(stdout, &streams[1]);
    end_lines(stderr, &streams[2]);
}

/* ---- results ---------------------------------------------------------- */

static void put_values(struct fri_buffer *b, const struct fri_range *r,
                       const struct fri_slice *s)
{
    for (uint64_t i = s->first; i < s->end; i++) {
        struct fri_buffer text;

        if (!r->results[i - r->origin]) {
            fri_put_varint(b, 0);
            continue;
        }
        fri_buffer_init(&text, NULL);
        if (fri_value_pack(&text, r->results[i - r->origin]) == FRUN_OK
            && !text.failed)
            fri_wire_bytes(b, text.data, text.length);
        else
            b->failed = true;
        fri_buffer_free(&text);
    }
}

static void put_slice(struct fri_home *h, struct fri_buffer *b,
                      const struct fri_slice *s, struct fri_ran *ran)
{
    const struct fri_range *r = s->task->data.range;

    fri_put_varint(b, s->end);
    fri_buffer_byte(b, ran->failed);
    if (ran->failed)
        fri_wire_error(&h->port, b, ran->failure);
    if (r->list)
        put_values(b, r, s);
    else
        fri_wire_message(&h->port, b, ran->outcome.holds == FRI_MESSAGE
                                          ? ran->outcome.message
                                          : NULL);
}

static int64_t peak(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_SELF, &usage) == 0 ? usage.ru_maxrss * 1024 : 0;
}

static void put_result(struct fri_home *h, const struct fri_guest *g,
                       const struct fri_slice *s, struct fri_ran *ran,
                       fri_time took, bool resumed)
{
    struct fri_buffer *b = fri_home_begin(h);
    const struct fri_extra *x = s->task->extra;

    fri_put_varint(b, g->slot);
    fri_put_varint(b, (uint64_t)took);
    fri_wire_double(b, fri_seconds(g->cpu));
    fri_put_varint(b, g->cpu > 0 ? (uint64_t)peak() : 0);
    fri_buffer_byte(b, (uint8_t)(resumed | (x && x->drew) << 1));
    if (s->task->counted)
        put_slice(h, b, s, ran);
    else
        fri_wire_data(&h->port, b, ran->outcome.holds, &ran->outcome,
                      ran->outcome.length);
}

static bool too_deep(const struct fri_slice *s, const struct fri_ran *ran)
{
    const struct fri_range *r = s->task->data.range;

    if (!s->task->counted)
        return ran->outcome.holds == FRI_VALUE
               && fri_encode_try(ran->outcome.value) == FRUN_EUNSENDABLE;
    for (uint64_t i = s->first; r->list && i < s->end; i++)
        if (fri_encode_try(r->results[i - r->origin]) == FRUN_EUNSENDABLE)
            return true;
    return false;
}

/* What was run could not be written down: that is its outcome, then. */
static void put_failure(struct fri_home *h, const struct fri_guest *g,
                        const struct fri_slice *s, const struct fri_ran *ran)
{
    struct fri_ran none = { .failed = true };
    struct fri_slice nothing = { s->task, g->slice.first, g->slice.first };

    if (too_deep(s, ran))
        none.failure = fri_error_format(NULL, FRUN_EUNSENDABLE,
                                        "result: nested deeper than %d",
                                        FRI_DEPTH);
    none.outcome.holds = FRI_ERROR;
    none.outcome.error = none.failure;
    put_result(h, g, s->task->counted ? &nothing : s, &none, 0, true);
    fri_error_free(none.failure);
}

void fri_guest_report(struct fri_home *h, const struct fri_guest *g,
                        const struct fri_slice *s, struct fri_ran *ran,
                        fri_time took, bool resumed)
{
    fri_time now = fri_now();
    bool ring = !h->first || now - h->rung > RING_NS;

    put_result(h, g, s, ran, took, resumed);
    if (!fri_wire_send(&h->port, FRI_FRAME_RESULT, ring)) {
        put_failure(h, g, s, ran);
        fri_home_send(h, FRI_FRAME_RESULT, true);
    }
    if (ring)
        h->rung = now;
}

/* ---- resources -------------------------------------------------------- */

/* The sanitizers map terabytes, and more of them while they work. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define HAS_CAP 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define HAS_CAP 0
#endif
#endif
#ifndef HAS_CAP
#define HAS_CAP 1
#endif

/* Beside the cap of the language's allocator: what the process maps in all.
 * Some room is left for what it needs to come to an end. */
void fri_home_cap(uint64_t bytes)
{
    struct rlimit limit;
    unsigned long pages = 0;
    FILE *f = bytes > 0 && HAS_CAP ? fopen("/proc/self/statm", "re") : NULL;

    if (f && fscanf(f, "%lu", &pages) != 1)
        pages = 0;
    if (f)
        fclose(f);
    if (getrlimit(RLIMIT_AS, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (pages > 0)
        limit.rlim_cur = pages * (rlim_t)sysconf(_SC_PAGESIZE) + bytes + SPARE;
    if (limit.rlim_cur <= limit.rlim_max)
        setrlimit(RLIMIT_AS, &limit);
}

fri_time fri_home_cpu(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (fri_time)t.tv_sec * FRI_SECOND + t.tv_nsec;
}
