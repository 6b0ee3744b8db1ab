/*
 * progress.c - the thread that looks and draws.
 *
 * Rules.  `drawn`, the lines on the terminal, is under the output's lock; so
 * is every byte that is drawn, hence nothing comes between a bar and its
 * erasing.  Erasing calls nothing but write: it also happens in a signal
 * handler (fri_output_rescue).
 */
#define _GNU_SOURCE
#include "report/progress.h"

#include "report/draw.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    STACK = 256 * 1024,
    NAMES = 3,   /* of the tasks that run longest */
    SAMPLES = 21 /* of what has ended, half a second apart: the rate */
};
static const fri_time LOOK = FRI_SECOND / 10, QUIET = FRI_SECOND / 2;
static const fri_time SAMPLE = FRI_SECOND / 2;

struct fri_progress {
    frun_engine *engine;
    struct fri_tally *tally;
    struct fri_output *output;
    enum fri_progress_mode mode;
    bool color, implied; /* lines that nobody has asked for */
    unsigned names;
    pthread_t thread;
    pthread_mutex_t lock; /* of `stop` */
    pthread_cond_t cond;
    bool stop;
    unsigned drawn; /* lines on the terminal */
    fri_time begun, said, sampled, estimated;
    double said_part;
    uint64_t samples[SAMPLES];
    unsigned sample_count;
    struct fri_estimate estimate; /* made at `estimated` */
    struct fri_drawing drawing;
    struct fri_look look;
};

bool fri_progress_parse(const char *text, enum fri_progress_mode *mode)
{
    static const char *const words[] = { "auto", "bar", "plain", "json",
                                         "none" };

    for (int i = 0; i < 5; i++) {
        if (strcmp(text, words[i]) != 0)
            continue;
        *mode = (enum fri_progress_mode)i;
        return true;
    }
    return false;
}

/* ---- the terminal ----------------------------------------------------- */

/* fri_output.before: its lock is held.  In a signal handler, too. */
static void erase(void *user)
{
    struct fri_progress *p = user;
    int error = errno;

    for (; p->drawn > 1; p->drawn--)
        if (write(2, "\r\033[K\033[A", 7) < 0)
            break;
    if (p->drawn > 0 && write(2, "\r\033[K", 4) < 0)
        p->drawn = 0;
    p->drawn = 0;
    errno = error;
}

static void stays_erased(void *user)
{
    (void)user;
}

static unsigned width(void)
{
    struct winsize w;

    return ioctl(2, TIOCGWINSZ, &w) == 0 && w.ws_col > 0 ? w.ws_col : 80;
}

/* Not in the background: there somebody else's line would be overwritten. */
static bool may_draw(const struct fri_output *o)
{
    struct pollfd f = { .fd = 2, .events = POLLOUT };
    pid_t front = tcgetpgrp(2);

    return !o->open[0] && !o->open[1] && (front < 0 || front == getpgrp())
           && poll(&f, 1, 0) > 0 && (f.revents & POLLOUT);
}

static void show(struct fri_progress *p, const struct fri_buffer *b,
                 unsigned lines)
{
    struct fri_output *o = p->output;

    pthread_mutex_lock(&o->lock);
    if (may_draw(o)) {
        erase(p);
        fri_write(2, (const char *)b->data, b->length, false);
        p->drawn = lines;
    }
    pthread_mutex_unlock(&o->lock);
}

static void draw_bar(struct fri_progress *p)
{
    struct fri_buffer b;
    unsigned lines;

    fri_buffer_init(&b, &p->engine->memory);
    p->drawing.width = width();
    lines = fri_draw_bar(&b, &p->drawing);
    if (!b.failed)
        show(p, &b, lines);
    fri_buffer_free(&b);
}

/* ---- lines ------------------------------------------------------------ */

static void say(struct fri_progress *p,
                void draw(struct fri_buffer *b, const struct fri_drawing *d))
{
    struct fri_buffer b;

    fri_buffer_init(&b, &p->engine->memory);
    draw(&b, &p->drawing);
    if (!b.failed)
        fri_output_write(p->output, 2, (const char *)b.data, b.length);
    fri_buffer_free(&b);
}

static double part_of(const struct fri_look *k)
{
    uint64_t ended = k->done + k->failed + k->cancelled;

    return k->total ? (double)ended / (double)k->total : 0;
}

/* Each 10 s, or each 20th part of the run, that not more than once a second;
 * lines that nobody has asked for begin after 10 s. */
static bool is_due(const struct fri_progress *p, fri_time now)
{
    fri_time since = now - p->said;

    if (p->implied && now - p->begun < 10 * FRI_SECOND)
        return false;
    if (p->mode == FRI_PROGRESS_JSON)
        return since >= FRI_SECOND;
    return since >= 10 * FRI_SECOND
           || (since >= FRI_SECOND
               && part_of(&p->look) - p->said_part >= 0.05);
}

/* ---- looking ---------------------------------------------------------- */

/* All that ran here; not what a journal had, which came in no time. */
static uint64_t ran(const struct fri_look *look)
{
    uint64_t n = 0;

    for (unsigned i = 0; i < look->group_count; i++)
        n += look->groups[i].measured;
    return n;
}

/* What has ended in the last ten seconds, or in fewer at the beginning. */
static void set_rate(struct fri_progress *p, fri_time now)
{
    uint64_t ended = ran(&p->look);
    unsigned n;

    if (p->sample_count == 0 || now - p->sampled >= SAMPLE) {
        if (p->sample_count == SAMPLES)
            memmove(p->samples, p->samples + 1,
                    --p->sample_count * sizeof *p->samples);
        p->samples[p->sample_count++] = ended;
        p->sampled = now;
    }
    n = p->sample_count - 1;
    p->drawing.rate = (double)(ended - p->samples[0])
                      / (n * fri_seconds(SAMPLE)
                         + fri_seconds(now - p->sampled) + 1e-3);
    if (p->sample_count < SAMPLES && p->look.elapsed > 0)
        p->drawing.rate = (double)ended / p->look.elapsed;
}

static void look(struct fri_progress *p, fri_time now)
{
    fri_tally_look(p->tally, &p->look, p->names, true);
    set_rate(p, now);
    if (now - p->estimated >= SAMPLE) {
        fri_estimate_make(&p->estimate, &p->look);
        p->estimated = now;
    }
    p->drawing.left = p->estimate;
    p->drawing.left.seconds -= fri_seconds(now - p->estimated);
    if (p->drawing.left.seconds <= 0) /* those that run take longer */
        p->drawing.left.known = false;
}

static void draw(struct fri_progress *p, fri_time now)
{
    if (p->look.total == 0 || now - p->begun < QUIET)
        return;
    if (p->mode == FRI_PROGRESS_BAR) {
        draw_bar(p);
        return;
    }
    if (!is_due(p, now))
        return;
    p->said = now;
    p->said_part = part_of(&p->look);
    say(p, p->mode == FRI_PROGRESS_JSON ? fri_draw_json : fri_draw_plain);
}

/* False: it is to end. */
static bool rest(struct fri_progress *p, fri_time until)
{
    struct timespec t = { .tv_sec = (time_t)(until / FRI_SECOND),
                          .tv_nsec = (long)(until % FRI_SECOND) };
    bool stop;

    pthread_mutex_lock(&p->lock);
    while (!p->stop && fri_now() < until)
        pthread_cond_timedwait(&p->cond, &p->lock, &t);
    stop = p->stop;
    pthread_mutex_unlock(&p->lock);
    return !stop;
}

static void *run(void *user)
{
    struct fri_progress *p = user;
    fri_time now = fri_now();

    pthread_setname_np(pthread_self(), "progress");
    while (rest(p, now + LOOK)) {
        now = fri_now();
        look(p, now);
        draw(p, now);
    }
    return NULL;
}

/* ---- begin and end ---------------------------------------------------- */

static enum fri_progress_mode choose(enum fri_progress_mode mode,
                                     const struct fri_output *o)
{
    const char *term = getenv("TERM");
    bool fit = o->terminal[1] && !o->hook && term && *term
               && strcmp(term, "dumb") != 0;

    if (mode != FRI_PROGRESS_AUTO)
        return mode;
    return fit ? FRI_PROGRESS_BAR : FRI_PROGRESS_PLAIN;
}

static void init(struct fri_progress *p)
{
    pthread_condattr_t monotonic;

    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
    p->begun = p->said = fri_now();
    p->drawing.look = &p->look;
    p->drawing.names = p->names;
}

/* What is drawn is erased before others write to a terminal. */
static void watch_output(struct fri_progress *p, bool watch)
{
    struct fri_output *o = p->output;

    pthread_mutex_lock(&o->lock);
    erase(p);
    o->bar = watch ? p : NULL;
    o->before = watch ? erase : NULL;
    o->after = watch ? stays_erased : NULL;
    pthread_mutex_unlock(&o->lock);
}

struct fri_progress *fri_progress_open(frun_engine *e, struct fri_tally *t,
                                       struct fri_output *output,
                                       enum fri_progress_mode mode,
                                       bool color, bool verbose)
{
    struct fri_progress *p;

    if (mode == FRI_PROGRESS_NONE)
        return NULL;
    p = fri_alloc_zero(&e->memory, sizeof *p);
    if (!p)
        return NULL;
    p->engine = e;
    p->tally = t;
    p->output = output;
    p->mode = choose(mode, output);
    p->implied = mode == FRI_PROGRESS_AUTO && p->mode == FRI_PROGRESS_PLAIN;
    p->names = verbose ? NAMES : 0;
    p->drawing.color = color;
    init(p);
    if (p->mode == FRI_PROGRESS_BAR)
        watch_output(p, true);
    if (fri_thread_start(&p->thread, STACK, run, p) == 0)
        return p;
    if (p->mode == FRI_PROGRESS_BAR)
        watch_output(p, false);
    fri_free(&e->memory, p);
    return NULL;
}

void fri_progress_close(struct fri_progress *p)
{
    if (!p)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_signal(&p->cond);
    pthread_mutex_unlock(&p->lock);
    pthread_join(p->thread, NULL);
    if (p->mode == FRI_PROGRESS_BAR)
        watch_output(p, false);
    if (p->mode == FRI_PROGRESS_JSON) {
        look(p, fri_now());
        p->drawing.last = true;
        p->drawing.left.known = false;
        say(p, fri_draw_json);
    }
    pthread_cond_destroy(&p->cond);
    pthread_mutex_destroy(&p->lock);
    fri_free(&p->engine->memory, p);
}
