/*
 * words.c - what is said at the end of a run, and of what went wrong.
 */
#include "core/halt.h"
#include "script/script.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static struct fri_script *script(lua_State *L)
{
    struct fri_script *s;

    lua_rawgetp(L, LUA_REGISTRYINDEX, &fri_lua_runner);
    s = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return s;
}

enum { LONGEST = 16384 }; /* of a message, in bytes */

/* ---- saying ----------------------------------------------------------- */

/* Text that may come from anywhere: nothing in it can steer a terminal. */
static void add_escaped(struct fri_buffer *b, const char *text)
{
    fri_escape(b, text, strlen(text), LONGEST, true);
}

static void say(struct fri_script *s, struct fri_buffer *b)
{
    fri_buffer_byte(b, '\n');
    if (b->failed)
        return;
    if (s->options->output)
        fri_output_write(s->options->output, 2, (const char *)b->data,
                         b->length);
    else if (s->engine)
        fri_output_write(&s->engine->output, 2, (const char *)b->data,
                         b->length);
}

void fri_complain(struct fri_script *s, const char *format, ...)
{
    char text[2048];
    struct fri_buffer b;
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    fri_buffer_init(&b, fri_script_memory(s));
    fri_buffer_text(&b, "flowrun: ");
    add_escaped(&b, text);
    say(s, &b);
    fri_buffer_free(&b);
}

static void add_key(struct fri_buffer *b, lua_State *L,
                    const struct fri_error *e)
{
    if (e->number_key)
        fri_buffer_printf(b, " [%lld]", (long long)e->key_number);
    else if (e->key
             && fri_unpack(L, e->key->data, e->key->length, NULL, 0) == 1) {
        fri_buffer_text(b, " [");
        if (lua_tostring(L, -1))
            add_escaped(b, lua_tostring(L, -1));
        fri_buffer_text(b, "]");
    }
}

/* What the task was called with, if that was kept. */
static void add_arguments(struct fri_buffer *b, const char *arguments)
{
    if (!arguments)
        return;
    fri_buffer_text(b, "\narguments: ");
    fri_buffer_text(b, arguments);
}

static void name_failure(struct fri_script *s, const struct frun_future *f,
                         bool whole)
{
    const struct fri_error *e
        = f->holds == FRI_ERROR ? f->data.error : NULL;
    int top = lua_gettop(s->L);
    struct fri_buffer b;

    fri_buffer_init(&b, fri_script_memory(s));
    fri_buffer_text(&b, "flowrun: failed: ");
    if (!e) {
        fri_buffer_text(&b, "out of memory");
    } else {
        add_escaped(&b, e->task ? e->task : "a task");
        add_key(&b, s->L, e);
        fri_buffer_printf(&b, ": %s: ", e->public.kind);
        add_escaped(&b, e->message ? e->message : "");
        if (whole)
            add_arguments(&b, fri_failure_of(fri_seeing_failures(s->seeing),
                                             f->id));
        if (whole && e->traceback) {
            fri_buffer_byte(&b, '\n');
            add_escaped(&b, e->traceback);
        }
    }
    say(s, &b);
    fri_buffer_free(&b);
    lua_settop(s->L, top);
}

/* A failure that follows from another is seen when that one was. */
bool fri_is_unseen(const struct frun_future *f)
{
    const struct fri_error *e = f->holds == FRI_ERROR ? f->data.error : NULL;

    if (atomic_load(&f->looked))
        return false;
    while (e && !atomic_load(&e->looked))
        e = e->cause;
    return !e;
}

enum { NAMED = 20 }; /* the others are counted */

int fri_unseen_count(struct fri_script *s)
{
    int n = 0;

    for (size_t i = 0; i < s->unseen_count; i++)
        n += fri_is_unseen(s->unseen[i]);
    return n;
}

static int report_unseen(struct fri_script *s)
{
    int n = 0;

    for (size_t i = 0; i < s->unseen_count; i++) {
        if (!fri_is_unseen(s->unseen[i]))
            continue;
        if (n == 0)
            fri_complain(s, "tasks failed, and nobody looked at them:");
        if (n < NAMED)
            name_failure(s, s->unseen[i], n == 0);
        n++;
    }
    if (n > NAMED)
        fri_complain(s, "... and %d more", n - NAMED);
    return n;
}

/* ---- the last words --------------------------------------------------- */

static void report_halt(struct fri_script *s)
{
    const struct fri_group *run = s->engine->sched.run;
    bool halted;

    fri_lock(s->engine);
    halted = run && run->tripped;
    fri_unlock(s->engine);
    if (halted && !s->halt_said)
        fri_complain(s, "halt: %s was reached; nothing was started after "
                        "that",
                     run->text);
    s->halt_said = halted;
}

void fri_script_words(lua_State *L, bool badly, const char *cause)
{
    struct fri_script *s = script(L);
    struct fri_buffer b;

    if (!s || !fri_script_record(s) || !s->seeing)
        return;
    fri_seeing_end(s->seeing, cause);
    fri_buffer_init(&b, fri_script_memory(s));
    fri_seeing_words(s->seeing, badly || fri_unseen_count(s) > 0, &b);
    if (!b.failed && b.length > 0) {
        b.length--; /* the newline, which is said again */
        say(s, &b);
    }
    fri_buffer_free(&b);
}

static void say_again(struct fri_script *s)
{
    struct fri_buffer b;

    fri_buffer_init(&b, fri_script_memory(s));
    fri_buffer_text(&b, "flowrun: again: ");
    fri_seeing_again(s->seeing, &b);
    if (b.length > strlen("flowrun: again: "))
        say(s, &b);
    fri_buffer_free(&b);
}

void fri_script_failures(lua_State *L, bool badly)
{
    struct fri_script *s = script(L);

    if (!s || !s->engine || s->closed)
        return;
    report_halt(s);
    if ((report_unseen(s) > 0 || badly) && s->seeing)
        say_again(s);
}

const char *fri_script_arguments(lua_State *L, const char *task,
                                 const char *key)
{
    struct fri_script *s = script(L);

    return s && s->seeing
               ? fri_failure_named(fri_seeing_failures(s->seeing), task, key)
               : NULL;
}

/* Lines, each with its newline. */
static void complain_lines(struct fri_script *s, const struct fri_buffer *lines)
{
    const char *at = (const char *)lines->data, *end = at + lines->length;

    while (at < end) {
        const char *next = memchr(at, '\n', (size_t)(end - at));

        if (!next)
            next = end;
        fri_complain(s, "%.*s", (int)(next - at), at);
        at = next + 1;
    }
}

bool fri_script_files(lua_State *L)
{
    struct fri_script *s = script(L);
    struct fri_buffer why;
    bool fine;

    if (!s || s->options->dry_run)
        return true; /* the files of a real run stay */
    if (!s->seeing)
        return fri_script_record(s);
    fri_buffer_init(&why, fri_script_memory(s));
    fine = fri_seeing_write(s->seeing, &why);
    if (why.failed)
        fri_complain(s, "cannot write the reports: out of memory");
    else
        complain_lines(s, &why);
    fri_buffer_free(&why);
    return fine;
}
