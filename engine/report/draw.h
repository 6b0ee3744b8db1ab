/*
 * draw.h - a look at a run as text: a bar, a line, an object.
 *
 * Names in a look are fit for a terminal already.
 */
#ifndef FRI_DRAW_H
#define FRI_DRAW_H

#include "report/estimate.h"

struct fri_drawing {
    const struct fri_look *look;
    struct fri_estimate left;
    double rate;    /* that end in a second, lately */
    unsigned names; /* so many of those that run longest are shown */
    unsigned width; /* columns of the terminal */
    bool color, last;
};

/* Lines without a newline at the end, none wider than the terminal; their
 * number. */
unsigned fri_draw_bar(struct fri_buffer *b, const struct fri_drawing *d);

/* One line, with its newline. */
void fri_draw_plain(struct fri_buffer *b, const struct fri_drawing *d);
void fri_draw_json(struct fri_buffer *b, const struct fri_drawing *d);

/* "0.42 s", "12.3 s", "4:05 min", "1:02:03 h", "3 d 04 h" */
void fri_draw_time(struct fri_buffer *b, double seconds);

/* "2.5/s", "41/min", "3/h" */
void fri_draw_rate(struct fri_buffer *b, double rate);

/* Columns of text on a terminal, about. */
unsigned fri_columns(const char *text, size_t length);

#endif
