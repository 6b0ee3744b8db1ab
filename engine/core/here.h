/*
 * here.h - a byte that is 0 in every copy of its process.
 */
#ifndef FRI_HERE_H
#define FRI_HERE_H

/* 1; NULL: no memory. */
const volatile char *fri_here_open(void);
void fri_here_close(const volatile char *here);

#endif
