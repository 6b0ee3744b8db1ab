/*
 * plain.h - the pool that one writes without a library: a queue under a mutex,
 * a condition for the workers, and one for each future.  What flowrun's C face
 * is measured beside.
 */
#ifndef BENCH_PLAIN_H
#define BENCH_PLAIN_H

#include "kit.h"

#include <pthread.h>
#include <stdbool.h>

struct plain_future {
    struct plain_future *next;
    void (*function)(void *);
    void *argument;
    pthread_mutex_t mutex;
    pthread_cond_t done_cond;
    bool done;
};

struct plain_pool {
    pthread_mutex_t mutex;
    pthread_cond_t work;
    struct plain_future *first, **end;
    pthread_t threads[2];
    bool closing;
};

static inline struct plain_future *plain_take(struct plain_pool *p)
{
    struct plain_future *f;

    pthread_mutex_lock(&p->mutex);
    while (!p->first && !p->closing)
        pthread_cond_wait(&p->work, &p->mutex);
    f = p->first;
    if (f && !(p->first = f->next))
        p->end = &p->first;
    pthread_mutex_unlock(&p->mutex);
    return f;
}

static inline void *plain_worker(void *pool)
{
    struct plain_future *f;

    while ((f = plain_take(pool))) {
        f->function(f->argument);
        pthread_mutex_lock(&f->mutex);
        f->done = true;
        pthread_cond_signal(&f->done_cond);
        pthread_mutex_unlock(&f->mutex);
    }
    return NULL;
}

static inline void plain_open(struct plain_pool *p)
{
    *p = (struct plain_pool){ .end = &p->first };
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->work, NULL);
    for (int i = 0; i < 2; i++)
        if (pthread_create(&p->threads[i], NULL, plain_worker, p))
            abort();
}

static inline struct plain_future *plain_submit(struct plain_pool *p,
                                                void (*function)(void *),
                                                void *argument)
{
    struct plain_future *f = must(malloc(sizeof(*f)));

    *f = (struct plain_future){ .function = function, .argument = argument };
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->done_cond, NULL);
    pthread_mutex_lock(&p->mutex);
    *p->end = f;
    p->end = &f->next;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->mutex);
    return f;
}

/* Waits, and frees the future. */
static inline void plain_collect(struct plain_future *f)
{
    pthread_mutex_lock(&f->mutex);
    while (!f->done)
        pthread_cond_wait(&f->done_cond, &f->mutex);
    pthread_mutex_unlock(&f->mutex);
    pthread_cond_destroy(&f->done_cond);
    pthread_mutex_destroy(&f->mutex);
    free(f);
}

static inline void plain_close(struct plain_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    p->closing = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 0; i < 2; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->mutex);
}

#endif
