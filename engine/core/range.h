/*
 * range.h - a map: one task whose items are handed out in slices.
 *
 * The items are numbered from 0.  A slice that comes back says which of its
 * items are done; what it did not reach goes back into the range.  Under the
 * engine's lock, but for `stop`.
 *
 * How many items a slice has: as many as take about SLICE_NS by the measured
 * mean, never more than a share of what is left (so that no worker ends
 * late), never more than eight times the slice before, and one until the mean
 * is known.
 */
#ifndef FRI_RANGE_H
#define FRI_RANGE_H

#include "core/task.h"

struct fri_piece { /* results of one slice: as the language left them */
    uint64_t first, end;
    struct fri_message *results;
};

struct fri_range {
    const struct fri_memory *memory;
    uint64_t count, next, settled;
    size_t workers;
    uint64_t fixed, last; /* the policy's chunk; the size of the last slice */
    uint32_t item_ns;     /* mean, 0: not known */
    fri_time spent;       /* on all slices */
    uint64_t slices;
    unsigned out;         /* slices in workers' hands */
    unsigned dead;        /* of these: deadlock.c */
    atomic_bool stop;     /* one has failed or it was cancelled */
    bool told; /* the slices that are out then were told to stop */
    bool failed, cancelled; /* how it ends early; `failure` may be NULL: out
                               of memory */
    struct fri_error *failure;
    struct fri_gap {
        uint64_t first, end;
        bool singly; /* to be handed out one by one */
    } *back; /* given back */
    size_t back_count, back_capacity;
    struct fri_piece *pieces;
    size_t piece_count, piece_capacity;
    uint64_t origin; /* the first item that is here: in a worker process a
                        range is no more than one slice */
    /* the items: of Lua, or of C */
    struct fri_message *items;
    size_t *offsets; /* in items->data, NULL: raw numbers */
    struct fri_message *keys; /* as items; NULL: 1..count */
    size_t *key_offsets;
    void *streams; /* of random numbers: the script layer's */
    void (*streams_free)(void *streams);
    uint64_t (*stream_of)(const void *streams, uint64_t item);
    frun_value *list, **results;
    uint64_t *drawn; /* the streams themselves, instead of `streams` */
};

struct fri_range *fri_range_new(const struct fri_memory *m, uint64_t count,
                                size_t workers, size_t chunk);
void fri_range_free(struct fri_range *r);

/* Is there anything to hand out? */
bool fri_range_ready(const struct fri_range *r);

/* The next slice; the range must be ready. */
void fri_range_take(struct fri_range *r, uint64_t *first, uint64_t *end);

/* Items given back, not begun; `singly`: one of them has killed a worker.
 * False: out of memory (the range fails). */
bool fri_range_return(struct fri_range *r, uint64_t first, uint64_t end,
                      bool singly);

/* Puts the key of an item into an error, as far as there is memory. */
void fri_range_key(const struct fri_range *r, uint64_t item,
                   struct fri_error *error);

/* Keeps a slice's results (taken).  False: out of memory. */
bool fri_range_keep(struct fri_range *r, uint64_t first, uint64_t end,
                    struct fri_message *results);

/* `items` of them took that long. */
void fri_range_measure(struct fri_range *r, uint64_t items, fri_time took);

#endif
