/*
 * record_private.h - what record.c writes and rows.c reads.
 */
#ifndef FRI_RECORD_PRIVATE_H
#define FRI_RECORD_PRIVATE_H

#include "report/record.h"
#include "pools/pool.h"
#include "report/texts.h"

enum { FRI_BLOCK = 4096 /* rows */ };

/* What the tasks of one spec have in common; kept for the spec seen last. */
struct fri_common {
    uint64_t spec; /* 0: none */
    uint32_t group, needs;
    uint16_t pool;
};

struct fri_record {
    struct fri_observer observer;
    frun_engine *engine; /* NULL: ended */
    frun_engine *kept;   /* a reference, for its memory */
    const struct fri_memory *memory;
    fri_time epoch;
    struct fri_record_run run;
    char host[256];
    struct fri_row **blocks;
    size_t count, block_count, block_capacity;
    uint64_t missing;
    struct fri_texts texts;
    struct fri_buffer errors; /* struct fri_error * each: a reference */
    struct fri_buffer ids;    /* uint64_t each */
    struct fri_buffer needs;  /* uint32_t each */
    struct fri_buffer pools, limits;
    struct fri_buffer held;  /* struct fri_limit *, of `limits`: references */
    struct fri_buffer lanes; /* struct seen_pool each */
    struct fri_buffer maps;  /* struct open_map each */
    struct fri_common last;
};

/* ---- tables.c --------------------------------------------------------- */

/* True: it was added; a failure is not kept, since memory may come back. */
bool fri_record_add(struct fri_buffer *b, const void *bytes, size_t length);

/* On the scale of the record. */
double fri_record_seconds(const struct fri_record *r, fri_time at);

uint32_t fri_record_intern(struct fri_record *r, const char *text);
const struct fri_common *fri_record_common(struct fri_record *r,
                                           const struct fri_spec *spec);

/* Takes a reference; its number. */
uint32_t fri_record_keep(struct fri_record *r, const struct fri_error *error);

#endif
