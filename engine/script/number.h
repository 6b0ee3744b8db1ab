/*
 * number.h - numbers as text, the same on both Luas and in every locale.
 */
#ifndef FRI_NUMBER_H
#define FRI_NUMBER_H

#include "script/compat.h"

#include <stdbool.h>
#include <stddef.h>

enum { FRI_NUMBER_TEXT = 40 };

/* The shortest decimal text that reads back as the number at index, closed by
 * a NUL; its length, or 0 when no number is there.  Whole numbers below 2^63
 * are written in all their digits, without ".0" or "LL"; the others in the
 * manner of %g: 0.1, 1e-05, 1e+19.  inf, -inf, nan. */
size_t fri_number_text(lua_State *L, int index, char out[FRI_NUMBER_TEXT]);
size_t fri_double_text(double x, char out[FRI_NUMBER_TEXT]);

/* strtod with a point in every locale. */
double fri_double_read(const char *text, char **end);

/* Pushes the number of which this is the text that fri_number_text gives, and
 * only then; else pushes nothing.  The text must be closed by a NUL. */
bool fri_number_read(lua_State *L, const char *text, size_t length);

#endif
