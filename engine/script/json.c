/*
 * json.c - reads JSON, for flow.yaml.
 *
 * libyaml reads most JSON, but not surrogate pairs, and not keys of more than
 * 1024 characters; and this is some ten times faster.  Null, duplicate keys
 * and big integers are as in yaml.c.  Recursion is bounded by the depth.
 */
#include "script/json.h"

#include "script/number.h"
#include "script/utf8.h"

struct json {
    struct fri_document *d;
    const char *at, *end;
    const char *fault; /* what is wrong at `at`, once something is */
    int depth;
};

static bool value(struct json *j);

static bool bad(struct json *j, const char *fault)
{
    j->fault = fault;
    return false;
}

/* For what is JSON and still refused. */
static _Noreturn void refuse(struct json *j, const char *at,
                             const char *why)
{
    size_t line, column;

    fri_document_where(j->d, (size_t)(at - j->d->text), &line, &column);
    fri_document_fail(j->d, line, column, "%s", why);
}

static void space(struct json *j)
{
    while (j->at < j->end
           && (*j->at == ' ' || *j->at == '\n' || *j->at == '\r'
               || *j->at == '\t'))
        j->at++;
}

/* The text is closed by a NUL, which is none of the bytes asked for. */
static bool take(struct json *j, char byte)
{
    if (*j->at != byte)
        return false;
    j->at++;
    return true;
}

static void count(struct json *j)
{
    if (++j->d->nodes > FRI_DOCUMENT_NODES)
        refuse(j, j->at, "more than 2000000 values");
}

/* ---- strings ---------------------------------------------------------- */

static bool hex4(const char *s, const char *end, uint32_t *code)
{
    *code = 0;
    if (end - s < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = s[i];
        int digit = c >= '0' && c <= '9'   ? c - '0'
                    : c >= 'a' && c <= 'f' ? c - 'a' + 10
                    : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                           : -1;

        if (digit < 0)
            return false;
        *code = *code << 4 | (uint32_t)digit;
    }
    return true;
}

/* After "\u"; a pair of surrogates is one character. */
static bool unicode(struct json *j, const char **from, char **to)
{
    const char *s = *from;
    uint32_t code, low;

    if (!hex4(s, j->end, &code))
        return false;
    s += 4;
    if (code >= 0xD800 && code < 0xE000) {
        if (code >= 0xDC00 || s[0] != '\\' || s[1] != 'u'
            || !hex4(s + 2, j->end, &low) || low < 0xDC00 || low > 0xDFFF)
            refuse(j, *from - 2, "half of a surrogate pair");
        code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
        s += 6;
    }
    *to += fri_utf8_write(code, *to);
    *from = s;
    return true;
}

static bool escape(struct json *j, const char **from, char **to)
{
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    char c = *(*from)++;
    const char *name = c ? strchr(names, c) : NULL;

    if (c == 'u')
        return unicode(j, from, to);
    if (!name)
        return false;
    *(*to)++ = bytes[name - names];
    return true;
}

/* A string with escapes: never longer than its source. */
static bool unescape(struct json *j, const char *s, const char *close)
{
    char *copy = lua_newuserdatauv(j->d->L, (size_t)(close - s) + 1, 0);
    char *to = copy;

    while (s < close) {
        if (*s != '\\') {
            *to++ = *s++;
        } else {
            s++;
            if (!escape(j, &s, &to)) {
                j->at = s - 1;
                return bad(j, "unknown escape in a string");
            }
        }
    }
    lua_pushlstring(j->d->L, copy, (size_t)(to - copy));
    lua_remove(j->d->L, -2);
    return true;
}

/* After the opening quote. */
static bool string(struct json *j)
{
    const char *s = j->at;
    bool plain = true;

    while (*s != '"') {
        if ((unsigned char)*s < ' ') {
            j->at = s;
            return bad(j, s >= j->end ? "a string is not closed"
                                      : "control character in a string");
        }
        if (*s == '\\') {
            plain = false;
            s += s + 1 < j->end;
        }
        s++;
    }
    if (plain)
        lua_pushlstring(j->d->L, j->at, (size_t)(s - j->at));
    else if (!unescape(j, j->at, s))
        return false;
    j->at = s + 1;
    return true;
}

/* ---- the rest --------------------------------------------------------- */

static const char *digits(const char *s)
{
    while (*s >= '0' && *s <= '9')
        s++;
    return s;
}

/* The end of a number by the grammar of JSON, or NULL. */
static const char *number_end(const char *s, bool *integral)
{
    const char *first = s + (*s == '-');

    s = digits(first);
    if (s == first || (*first == '0' && s > first + 1))
        return NULL;
    *integral = *s != '.' && *s != 'e' && *s != 'E';
    if (*s == '.') {
        first = s + 1;
        s = digits(first);
        if (s == first)
            return NULL;
    }
    if (*s == 'e' || *s == 'E') {
        first = s + 1 + (s[1] == '-' || s[1] == '+');
        s = digits(first);
        if (s == first)
            return NULL;
    }
    return s;
}

static bool number(struct json *j)
{
    bool integral = false;
    const char *end = number_end(j->at, &integral);

    if (!end)
        return bad(j, "not a value");
    if (!integral)
        lua_pushnumber(j->d->L, (lua_Number)fri_double_read(j->at, NULL));
    else if (!fri_document_int(j->d->L, j->at, (size_t)(end - j->at)))
        refuse(j, j->at, "an integer beyond 64 bits: quote it");
    j->at = end;
    return true;
}

static bool word(struct json *j, const char *text)
{
    size_t n = strlen(text);

    if ((size_t)(j->end - j->at) < n || memcmp(j->at, text, n) != 0)
        return bad(j, "not a value");
    j->at += n;
    if (text[0] == 'n')
        lua_pushnil(j->d->L);
    else
        lua_pushboolean(j->d->L, text[0] == 't');
    return true;
}

static bool list(struct json *j)
{
    int n = 0;

    lua_newtable(j->d->L);
    space(j);
    if (take(j, ']'))
        return true;
    do {
        if (!value(j))
            return false;
        if (lua_isnil(j->d->L, -1))
            lua_pop(j->d->L, 1);
        else
            lua_rawseti(j->d->L, -2, n + 1);
        n++;
        space(j);
    } while (take(j, ','));
    return take(j, ']') || bad(j, "expected ',' or ']'");
}

/* From the stack ..., table, nulls. */
static bool field(struct json *j, int table)
{
    const char *key;
    char shown[64];

    space(j);
    key = j->at;
    if (!take(j, '"'))
        return bad(j, "expected a key in quotes");
    if (!string(j))
        return false;
    space(j);
    if (!take(j, ':'))
        return bad(j, "expected ':'");
    if (!value(j))
        return false;
    if (!fri_document_put(j->d->L, table)) {
        size_t line, column;

        fri_document_where(j->d, (size_t)(key - j->d->text), &line, &column);
        fri_document_fail(j->d, line, column, "key '%s' is there twice",
                          fri_document_show(j->d->L, -2, shown));
    }
    return true;
}

static bool map(struct json *j)
{
    int table = lua_gettop(j->d->L) + 1;

    lua_newtable(j->d->L);
    lua_pushnil(j->d->L);
    space(j);
    if (!take(j, '}')) {
        do {
            if (!field(j, table))
                return false;
            space(j);
        } while (take(j, ','));
        if (!take(j, '}'))
            return bad(j, "expected ',' or '}'");
    }
    lua_settop(j->d->L, table);
    return true;
}

static bool nested(struct json *j, bool (*read)(struct json *))
{
    bool ok;

    luaL_checkstack(j->d->L, 12, "document too deep");
    if (++j->depth > FRI_DOCUMENT_DEPTH)
        refuse(j, j->at, "nested deeper than 100");
    j->at++;
    ok = read(j);
    j->depth--;
    return ok;
}

static bool value(struct json *j)
{
    space(j);
    count(j);
    switch (*j->at) {
    case '{':
        return nested(j, map);
    case '[':
        return nested(j, list);
    case '"':
        j->at++;
        return string(j);
    case 't':
        return word(j, "true");
    case 'f':
        return word(j, "false");
    case 'n':
        return word(j, "null");
    default:
        if (j->at >= j->end)
            return bad(j, "the text ends too early");
        return number(j);
    }
}

bool fri_json_read(struct fri_document *d, bool sure)
{
    struct json j = { d, d->text, d->text + d->length, NULL, 0 };

    luaL_checkstack(d->L, 12, "document too deep");
    if (value(&j)) {
        space(&j);
        if (j.at == j.end)
            return true;
        bad(&j, "more text after the value");
    }
    if (sure)
        refuse(&j, j.at, j.fault);
    return false;
}
