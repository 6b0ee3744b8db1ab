/*
 * serve.h - requests of worker processes: what serve.c and nested.c share.
 */
#ifndef FRI_SERVE_H
#define FRI_SERVE_H

#include "core/shared.h"
#include "pools/forks/flight.h"

struct fri_served {
    struct fri_served *next, **link; /* in the worker's list */
    struct fri_fork *fork;
    uint64_t number;
    struct frun_future *future; /* a reference, or NULL */
    struct fri_waiter waiter;   /* at the future, or at a pool that drains */
    struct fri_lane *lane;      /* of that pool */
    bool command;               /* the future is a command's */
    struct fri_ask ask;
};

static inline struct fri_served *fri_served_of(struct fri_waiter *waiter)
{
    return (struct fri_served *)(void *)((char *)waiter
                                         - offsetof(struct fri_served,
                                                    waiter));
}

/* In the list of the worker; NULL: out of memory. */
struct fri_served *fri_served_new(struct fri_fork *w, uint64_t number);
void fri_served_end(struct fri_served *s);
struct fri_served *fri_served_find(struct fri_fork *w, uint64_t number);

/* ANSWER: its number; its rest is the caller's to add and send. */
struct fri_buffer *fri_served_answer(struct fri_fork *w, uint64_t number);
void fri_served_send(struct fri_fork *w);
void fri_served_data(struct fri_fork *w, uint64_t number,
                     const struct fri_data *data);
void fri_served_error(struct fri_fork *w, uint64_t number, frun_status status,
                      const char *text);

/* proxy.c: commands; false: garbage. */
bool fri_serve_exec(struct fri_fork *w, struct fri_reader *r,
                    uint64_t number);
bool fri_serve_exec_stop(struct fri_fork *w, struct fri_reader *r);
bool fri_serve_scratch(struct fri_fork *w, uint64_t number);
void fri_served_stop(struct fri_served *s);

/* nested.c; false: garbage. */
bool fri_serve_submit(struct fri_fork *w, struct fri_reader *r,
                      uint64_t number);
bool fri_serve_cancel(struct fri_fork *w, struct fri_reader *r);
bool fri_serve_state(struct fri_fork *w, struct fri_reader *r,
                     uint64_t number);
bool fri_serve_looked(struct fri_fork *w, struct fri_reader *r);

#endif
