/*
 * sized.h - structs that a host and the library may know in different sizes:
 * they begin with `size_t size`, where 0 stands for the library's own.
 *
 * What a struct of an older header does not have is zero.  One of a newer
 * header is taken as long as all that the library does not know is zero, which
 * means defaults there as everywhere.
 */
#ifndef FRI_SIZED_H
#define FRI_SIZED_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { FRI_LARGEST = 4096 }; /* no size is that, so it is no struct of ours */

static inline bool fri_is_zero(const char *bytes, size_t n)
{
    size_t i = 0;

    while (i < n && bytes[i] == 0)
        i++;
    return i == n;
}

/* Copies a host's struct into our own; NULL is all zeros.  False: it has what
 * this library does not know. */
static inline bool fri_options(void *own, size_t size, const void *given)
{
    size_t theirs = size;

    memset(own, 0, size);
    if (!given)
        return true;
    memcpy(&theirs, given, sizeof theirs);
    if (theirs == 0)
        theirs = size;
    if (theirs >= FRI_LARGEST)
        return false;
    memcpy(own, given, theirs < size ? theirs : size);
    return theirs <= size
           || fri_is_zero((const char *)given + size, theirs - size);
}

/* The other way round; the host's size stays. */
static inline bool fri_answer(void *given, size_t size, const void *own)
{
    char *to = given;
    size_t theirs, first = sizeof theirs;

    memcpy(&theirs, given, sizeof theirs);
    if (theirs == 0)
        theirs = size;
    if (theirs >= FRI_LARGEST)
        return false;
    if (theirs > size)
        memset(to + size, 0, theirs - size);
    if (theirs > size)
        theirs = size;
    if (theirs > first)
        memcpy(to + first, (const char *)own + first, theirs - first);
    return true;
}

#endif
