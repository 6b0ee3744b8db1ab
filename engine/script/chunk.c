/*
 * Rules.  A text that Lua has compiled is taken for granted: what could not be
 * compiled may be read as anything here, but within its bounds.  `end` closes
 * a function, an `if` or a `do` (of loops, too); `until` closes a `repeat`.
 */
#include "script/chunk.h"

#include <ctype.h>

enum { BLOCKS = 1000 }; /* open at once: more than Lua allows */

/* ---- tokens ----------------------------------------------------------- */

/* Behind the long bracket at `at`; 0: there is none. */
static size_t long_bracket(const char *s, size_t at, size_t to)
{
    size_t p = at + 1, level;

    while (p < to && s[p] == '=')
        p++;
    if (at >= to || s[at] != '[' || p >= to || s[p] != '[')
        return 0;
    level = p - at - 1;
    for (p++; p < to; p++) {
        size_t q = p + 1;

        if (s[p] != ']')
            continue;
        while (q < to && s[q] == '=')
            q++;
        if (q < to && s[q] == ']' && q - p - 1 == level)
            return q + 1;
    }
    return to;
}

static size_t line_end(const char *s, size_t at, size_t to)
{
    const char *stop = memchr(s + at, '\n', to - at);

    return stop ? (size_t)(stop - s) : to;
}

static size_t skip_space(const char *s, size_t at, size_t to)
{
    while (at < to) {
        size_t stop;

        if (isspace((unsigned char)s[at])) {
            at++;
        } else if (s[at] == '-' && at + 1 < to && s[at + 1] == '-') {
            stop = long_bracket(s, at + 2, to);
            at = stop ? stop : line_end(s, at, to);
        } else {
            break;
        }
    }
    return at;
}

/* \z and a backslash before a newline go on behind it. */
static size_t quoted(const char *s, size_t at, size_t to)
{
    char quote = s[at++];

    for (; at < to && s[at] != quote; at++)
        if (s[at] == '\\' && at + 1 < to)
            at++;
    return at < to ? at + 1 : to;
}

static bool in_word(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static size_t number(const char *s, size_t at, size_t to)
{
    bool hex = at + 1 < to && s[at] == '0' && (s[at + 1] | 0x20) == 'x';
    char sign = hex ? 'p' : 'e';

    for (; at < to; at++) {
        bool after_sign = (s[at] == '+' || s[at] == '-')
                          && (s[at - 1] | 0x20) == sign;

        if (!in_word(s[at]) && s[at] != '.' && !after_sign)
            break;
    }
    return at;
}

static size_t token_end(const char *s, size_t at, size_t to)
{
    size_t stop = long_bracket(s, at, to);
    bool point = s[at] == '.' && at + 1 < to
                 && isdigit((unsigned char)s[at + 1]);

    if (stop)
        return stop;
    if (s[at] == '"' || s[at] == '\'')
        return quoted(s, at, to);
    if (isdigit((unsigned char)s[at]) || point)
        return number(s, at, to);
    for (stop = at; stop < to && in_word(s[stop]); stop++)
        continue;
    return stop > at ? stop : at + 1;
}

struct fri_span fri_chunk_token(const struct fri_chunk *c, size_t from,
                                size_t to)
{
    struct fri_span t = { to, to };

    t.from = skip_space(c->text, from, to);
    t.to = t.from < to ? token_end(c->text, t.from, to) : to;
    return t;
}

struct fri_digest fri_chunk_digest(const struct fri_chunk *c,
                                   struct fri_span span)
{
    struct fri_digester d;
    struct fri_span t = fri_chunk_token(c, span.from, span.to);

    fri_digest_begin(&d);
    for (; t.from < t.to; t = fri_chunk_token(c, t.to, span.to))
        fri_digest_text(&d, c->text + t.from, t.to - t.from);
    return fri_digest_end(&d);
}

/* ---- reading ---------------------------------------------------------- */

struct reader {
    struct fri_chunk *c;
    struct fri_span token, before, path; /* path: names joined by points */
    bool joined;                         /* a point or colon was the last */
    bool assigned;                       /* "path =" was */
    size_t counted; /* newlines before this place are in `line` */
    int line;
    size_t declared; /* where the last `local` stands */
    struct fri_chunk_function open[BLOCKS]; /* line 0: another block */
    size_t depth;
};

static int line_of(struct reader *r, size_t at)
{
    for (; r->counted < at; r->counted++)
        r->line += r->c->text[r->counted] == '\n';
    return r->line;
}

static bool push(struct reader *r)
{
    if (r->depth == BLOCKS)
        return r->c->whole = false;
    r->open[r->depth] = (struct fri_chunk_function){ .line = 0 };
    r->depth++;
    return true;
}

/* The token is `function`. */
static void begin_function(struct reader *r)
{
    struct fri_chunk *c = r->c;
    struct fri_chunk_function *f = &r->open[r->depth];
    struct fri_span t = fri_chunk_token(c, r->token.to, c->length);

    if (!push(r))
        return;
    f->span.from = r->token.from;
    f->line = line_of(r, r->token.from);
    f->name = r->assigned ? r->path : (struct fri_span){ 0, 0 };
    if (!fri_is(c, t, "("))
        f->name = t;
    while (t.from < t.to && !fri_is(c, t, "(")) {
        f->method |= fri_is(c, t, ":");
        f->name.to = t.to;
        t = fri_chunk_token(c, t.to, c->length);
    }
    f->list = t.from;
    f->list_line = line_of(r, t.from);
}

static bool add_function(struct fri_chunk *c,
                         const struct fri_chunk_function *f)
{
    if (c->count == c->capacity) {
        size_t want = c->capacity ? 2 * c->capacity : 32;
        void *more = fri_realloc(c->memory, c->functions, want * sizeof *f);

        if (!more)
            return false;
        c->functions = more;
        c->capacity = want;
    }
    c->functions[c->count++] = *f;
    return true;
}

/* The token is `end` or `until`. */
static bool end_block(struct reader *r)
{
    struct fri_chunk_function *f;

    if (r->depth == 0) {
        r->c->whole = false;
        return true;
    }
    f = &r->open[--r->depth];
    if (fri_is(r->c, r->token, "end"))
        fri_chunk_leave(r->c, r->depth, r->token.to);
    if (f->line == 0)
        return true;
    f->last_line = line_of(r, r->token.from);
    f->span.to = r->token.to;
    return add_function(r->c, f);
}

/* What stands between the quotes or brackets of a string; empty: it is none. */
static struct fri_span inside(const struct fri_chunk *c, struct fri_span t)
{
    char first = t.from < t.to ? c->text[t.from] : '0';
    size_t n = 1;

    if (first == '[')
        while (t.from + n < t.to && c->text[t.from + n++] != '[')
            continue;
    if ((first != '[' && first != '"' && first != '\'')
        || t.to - t.from < 2 * n)
        return (struct fri_span){ t.to, t.to };
    return (struct fri_span){ t.from + n, t.to - n };
}

/* require "name", require("name"), pcall(require, "name") */
static bool add_required(struct reader *r)
{
    struct fri_chunk *c = r->c;
    struct fri_span t = fri_chunk_token(c, r->token.to, c->length);

    if (fri_is(c, t, "(") || fri_is(c, t, ","))
        t = fri_chunk_token(c, t.to, c->length);
    t = inside(c, t);
    if (t.from == t.to)
        return true;
    if (c->required_count == c->required_capacity) {
        size_t want = c->required_capacity ? 2 * c->required_capacity : 8;
        void *more = fri_realloc(c->memory, c->required, want * sizeof t);

        if (!more)
            return false;
        c->required = more;
        c->required_capacity = want;
    }
    c->required[c->required_count++] = t;
    return true;
}

/* local name <const>: the token is that word. */
static bool add_constant(struct reader *r)
{
    struct fri_span t = fri_chunk_token(r->c, r->token.to, r->c->length);

    return !fri_is(r->c, r->before, "<") || !fri_is(r->c, t, ">")
           || fri_chunk_constant(r->c, r->declared, r->path, t.to, r->depth);
}

/* The other part of an `if` sees nothing of the one before. */
static void next_part(struct reader *r)
{
    if (r->depth > 0)
        fri_chunk_leave(r->c, r->depth - 1, r->token.from);
}

/* What functions are called by: "a.b =", "function a.b". */
static void follow_path(struct reader *r)
{
    const struct fri_chunk *c = r->c;
    bool point = fri_is(c, r->token, ".") || fri_is(c, r->token, ":");

    r->assigned = fri_is(c, r->token, "=") && r->before.to == r->path.to;
    if (in_word(c->text[r->token.from])) {
        if (!r->joined || r->before.from != r->path.to)
            r->path.from = r->token.from;
        r->path.to = r->token.to;
    }
    r->joined = point && r->before.to == r->path.to;
}

static bool read_word(struct reader *r)
{
    struct fri_chunk *c = r->c;

    if (fri_is(c, r->token, "end") || fri_is(c, r->token, "until"))
        return end_block(r);
    if (fri_is(c, r->token, "require"))
        return add_required(r);
    if (fri_is(c, r->token, "const"))
        return add_constant(r);
    if (fri_is(c, r->token, "function"))
        begin_function(r);
    else if (fri_is(c, r->token, "if") || fri_is(c, r->token, "do")
             || fri_is(c, r->token, "repeat"))
        push(r);
    else if (fri_is(c, r->token, "else") || fri_is(c, r->token, "elseif"))
        next_part(r);
    else if (fri_is(c, r->token, "local"))
        r->declared = r->token.from;
    return true;
}

static bool read_token(struct reader *r)
{
    bool ok = read_word(r);

    follow_path(r);
    r->before = r->token;
    return ok;
}

/* A mark of the encoding, and a first line for the shell. */
static size_t beginning(const struct fri_chunk *c)
{
    size_t at = 0;

    if (c->length >= 3 && memcmp(c->text, "\xEF\xBB\xBF", 3) == 0)
        at = 3;
    return at < c->length && c->text[at] == '#' ? line_end(c->text, at,
                                                           c->length)
                                                : at;
}

static bool read_all(struct fri_chunk *c)
{
    struct reader *r = fri_alloc_zero(c->memory, sizeof *r);
    bool ok = r != NULL;

    if (!r)
        return false;
    r->c = c;
    r->line = 1;
    r->token.to = beginning(c);
    for (;;) {
        r->token = fri_chunk_token(c, r->token.to, c->length);
        if (r->token.from == r->token.to || !ok)
            break;
        ok = read_token(r);
    }
    c->whole &= r->depth == 0;
    fri_free(c->memory, r);
    return ok;
}

struct fri_chunk *fri_chunk_new(const struct fri_memory *m, const char *name,
                                char *text, size_t length)
{
    struct fri_chunk *c = fri_alloc_zero(m, sizeof *c);

    if (!c) {
        fri_free(m, text);
        return NULL;
    }
    c->memory = m;
    c->text = text;
    c->length = length;
    c->whole = true;
    c->name = fri_strdup(m, name);
    if (c->name && read_all(c))
        return c;
    fri_chunk_free(c);
    return NULL;
}

void fri_chunk_free(struct fri_chunk *c)
{
    if (!c)
        return;
    fri_free(c->memory, c->name);
    fri_free(c->memory, c->text);
    fri_free(c->memory, c->functions);
    fri_free(c->memory, c->required);
    fri_free(c->memory, c->constants);
    fri_free(c->memory, c);
}
