/*
 * report.h - files about a run, written at its end from its record.
 *
 * A file is written beside its place and moved there when it is whole and on
 * the disk, so an old one is replaced wholly or not at all; what is no plain
 * file (a pipe, a terminal, /dev/full) is written to as it is.
 */
#ifndef FRI_REPORT_H
#define FRI_REPORT_H

#include "report/record.h"
#include "report/texts.h"

enum fri_report_form {
    FRI_REPORT_PAGE,  /* .html */
    FRI_REPORT_JUNIT, /* .xml */
    FRI_REPORT_JSON,  /* .json */
    FRI_REPORT_TRACE,
    FRI_REPORT_JOBLOG
};

#define FRI_REPORT_FORMS "a file name that ends with .html, .xml or .json"

/* The form of a --report by the name's end; false: none of them. */
bool fri_report_form_of(const char *path, enum fri_report_form *form);

/* Can a file be put there, as far as one can know?  0 or an errno. */
int fri_report_probe(const char *path);

/* Would one take the place of the other?  What is no plain file takes no
 * place. */
bool fri_report_same(const char *a, const char *b);

/* False: the file is as it was, and `why` has a line about it. */
bool fri_report_write(struct fri_record *r, enum fri_report_form form,
                      const char *path, struct fri_buffer *why);

/* What stands in each; out->failed when memory ran out. */
void fri_put_junit(const struct fri_record *r, struct fri_buffer *out);
void fri_put_report_json(const struct fri_record *r, struct fri_buffer *out);
void fri_put_trace(const struct fri_record *r, struct fri_buffer *out);
void fri_put_joblog(const struct fri_record *r, struct fri_buffer *out);

/* ---- what they share -------------------------------------------------- */

/* Rows that stand for something that ran, or that ended without: not the ends
 * of maps whose slices are rows, nor attempts that were made again. */
bool fri_row_counts(const struct fri_row *row);

/* Numbers of all rows, by id, slices by their first item, attempts by their
 * number; the caller's.  NULL: out of memory. */
uint32_t *fri_rows_by_id(const struct fri_record *r);

/* Which row ended the task with that id; false: none did. */
bool fri_row_find(const struct fri_record *r, const uint32_t *by_id,
                  uint64_t id, size_t *i);

/* The totals of the rows that count. */
struct fri_totals {
    uint64_t done, failed, cancelled, retried; /* items of slices each */
    double wall;   /* seconds of the run */
    double series; /* of all attempts, one after another */
};
void fri_record_totals(const struct fri_record *r, struct fri_totals *t);

/* Its name with its key, escaped so. */
typedef void fri_put_text(struct fri_buffer *b, const char *text,
                          size_t length);
void fri_put_row_name(const struct fri_record *r, const struct fri_row *row,
                  struct fri_buffer *out, fri_put_text *put);

/* The kind's word and the message of what failed; "" when there is none. */
const char *fri_row_kind(const struct fri_record *r,
                         const struct fri_row *row);
const char *fri_row_message(const struct fri_record *r,
                            const struct fri_row *row);

/* 2026-11-22T08:25:19.123456Z */
void fri_put_date(struct fri_buffer *b, int64_t microseconds);

#endif
