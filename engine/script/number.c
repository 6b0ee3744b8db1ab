/*
 * number.c - numbers as text and back.
 */
#define _GNU_SOURCE
#include "script/number.h"

#include "script/int64.h"

#include <float.h>
#include <inttypes.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The locale's point, which may take several bytes, becomes ".". */
static size_t point(char *text)
{
    char *from = text, *to = text;

    while (*from) {
        if (strchr("0123456789+-e", *from)) {
            *to++ = *from++;
        } else {
            *to++ = '.';
            while (*from && !strchr("0123456789+-e", *from))
                from++;
        }
    }
    *to = '\0';
    return (size_t)(to - text);
}

/* Any double of at least 15 good digits comes back from its shortest decimal,
 * which %.15g finds when there is one that short; subnormals have fewer. */
static size_t shortest(double x, char out[FRI_NUMBER_TEXT])
{
    int digits = fabs(x) < DBL_MIN ? 1 : 15;

    for (; digits <= 17; digits++) {
        snprintf(out, FRI_NUMBER_TEXT, "%.*g", digits, x);
        if (strtod(out, NULL) == x)
            break;
    }
    return point(out);
}

static size_t integer(int64_t n, char out[FRI_NUMBER_TEXT])
{
    return (size_t)snprintf(out, FRI_NUMBER_TEXT, "%" PRId64, n);
}

size_t fri_double_text(double x, char out[FRI_NUMBER_TEXT])
{
    const char *word = isnan(x) ? "nan" : x < 0 ? "-inf" : "inf";

    if (isnan(x) || isinf(x))
        return (size_t)snprintf(out, FRI_NUMBER_TEXT, "%s", word);
    if (x == 0 && signbit(x))
        return (size_t)snprintf(out, FRI_NUMBER_TEXT, "-0");
    if (x == floor(x) && fabs(x) < 9223372036854775808.0)
        return integer((int64_t)x, out);
    return shortest(x, out);
}

size_t fri_number_text(lua_State *L, int index, char out[FRI_NUMBER_TEXT])
{
    int64_t n;

    out[0] = '\0';
    if (fri_int64_get(L, index, &n))
        return integer(n, out);
    if (lua_type(L, index) != LUA_TNUMBER)
        return 0;
    return fri_double_text((double)lua_tonumber(L, index), out);
}

/* glibc and musl keep the C locale ready: newlocale allocates nothing. */
double fri_double_read(const char *text, char **end)
{
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);

    if (plain == (locale_t)0)
        return strtod(text, end);
    return strtod_l(text, end, plain);
}

bool fri_number_read(lua_State *L, const char *text, size_t length)
{
    char again[FRI_NUMBER_TEXT];
    int64_t n;
    double x;

    if (length == 0 || length >= FRI_NUMBER_TEXT
        || !strchr("-0123456789in", text[0]))
        return false;
    if (fri_int64_read(text, length, &n) == 1 && strcmp(text, "-0") != 0) {
        if (integer(n, again) != length || memcmp(text, again, length) != 0)
            return false;
        fri_int64_push_plain(L, n);
        return true;
    }
    x = fri_double_read(text, NULL);
    if (fri_double_text(x, again) != length
        || memcmp(text, again, length) != 0)
        return false;
    lua_pushnumber(L, (lua_Number)x);
    return true;
}
