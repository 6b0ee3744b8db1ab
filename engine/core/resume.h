/*
 * resume.h - tasks that were done in an earlier run are not run again.
 *
 * A spec with a fri_resume has tasks that are known by keys: digests of what
 * their function is made of (the spec's part) and of their arguments.  A task
 * is looked up in its journal once all that it waits for is done: by whoever
 * submits it where its key is known then, else by the service thread.  What
 * is found is its outcome; it never begins.  What is not found is kept when
 * it ends (fri_keep).
 *
 * Rules.
 *  1. Digests are made and journals are read without the engine's lock.
 *  2. Equal tasks of one run are told apart by their number among equals, from
 *     the second on.  A task that has drawn random numbers is known by its
 *     stream instead, because its result hangs on that.
 *  3. A journal stays until its engine closes, so pointers to it stay good.
 *     In a worker process they are numbers for the engine's process.
 */
#ifndef FRI_RESUME_H
#define FRI_RESUME_H

#include "core/journal.h"
#include "data/canon.h"

/* Of a spec. */
struct fri_resume {
    frun_journal *journal;
    struct fri_part *parts; /* what the function is made of */
    size_t count;
    _Atomic(struct fri_recipe *) recipe; /* of these, once one is wanted */
    struct fri_digest digest; /* of what the function is made of */
    uint64_t identity;        /* of its place in the script, or its name */
    bool durable;
    bool keys; /* the function takes the table key, too */
    bool version; /* stands for all that functions are made of */
};

/* The outcome of a task, from a journal. */
struct fri_past {
    struct fri_data data;
    frun_journal *journal;
    int64_t id;
    int attempts;
    double cpu;
    int64_t memory;
};

/* What is asked for: arguments as a sequence, and all that tells a task from
 * its like. */
struct fri_asked {
    struct fri_resume *resume;
    struct fri_lane *lane;
    const struct fri_canon_hooks *hooks;
    const void *bytes;
    size_t length;
    struct fri_handle *const *handles;
    uint32_t handle_count;
    const char *name; /* of this task alone, or NULL */
    uint64_t key;     /* short digest of a table key that is no place in a
                         list, or 0 */
    uint64_t stream;  /* of random numbers, or 0 */
    unsigned values;  /* so many of the arguments count */
    const uint64_t *modules; /* see fri_extra; read after the hooks */
};

/* Either its past, or what keeps what it will come to. */
struct fri_answer {
    enum fri_verdict verdict;
    struct fri_past *past;
    struct fri_keep *keep;
};

/* Fills in what the record, with its key, says. */
void fri_resume_ask(struct fri_asked *asked, const struct frun_future *task);

/* False: out of memory, or `why` is set. */
bool fri_resume_look(frun_engine *e, struct fri_canon *canon,
                     const struct fri_asked *asked, struct fri_answer *answer,
                     const char **why);

/* Puts it into the record, which is not submitted yet.  False: out of memory;
 * nothing is left then. */
bool fri_resume_put(struct frun_future *task, struct fri_answer *answer);

/* Lock held: the task, whose spec has a fri_resume, can run now; true: it does
 * not, yet or ever. */
bool fri_resume_ready(struct frun_future *task);

/* Lock held, and let go meanwhile: looks up those that wait for it; true: some
 * more do. */
bool fri_resume_run(frun_engine *e);

/* The owner waits, for a second at most, until none waits to be looked up. */
void fri_resume_await(frun_engine *e);

void fri_resume_free(const struct fri_memory *m, struct fri_resume *r);
void fri_past_free(const struct fri_memory *m, struct fri_past *past);

/* The engine's tasks may be looked up from now on.  False: out of memory. */
bool fri_resumer_open(frun_engine *e);
void fri_resumer_close(frun_engine *e);

/* "312 from journal, 30 new, 58 again (function changed)": those looked up so
 * far; false: none. */
bool fri_resume_line(frun_engine *e, struct fri_buffer *line);

/* The journal that another process means; NULL: none that we have. */
frun_journal *fri_resume_journal(frun_engine *e, uintptr_t number);

/* A digest that is equal to no other. */
struct fri_digest fri_resume_unlike(void);

/* What the module of that name, n bytes, is made of; NULL: it is not written in
 * Lua.  Any thread; the first to tell is believed.  False: out of memory. */
bool fri_resume_tell(frun_engine *e, const char *name, size_t n,
                     const struct fri_digest *source);
bool fri_resume_knows(frun_engine *e, const char *name, size_t n);
/* 1, and the source; 0: it has none. */
int fri_resume_module(frun_engine *e, const char *name, size_t n,
                      struct fri_digest *source);

/* One more of the modules that are named among arguments. */
uint64_t fri_resume_gather(uint64_t modules, const struct fri_digest *source);

/* Adds the function that the lane's workers run first, if there is one.  False:
 * why. */
bool fri_resume_init(frun_engine *e, struct fri_lane *lane, bool version,
                     struct fri_digester *d, const char **why);

/* For a hook `held`; the hooks are for what is in the value, and give modules
 * their sources. */
int fri_resume_held(frun_engine *e, struct fri_handle *h,
                    const struct fri_canon_hooks *hooks,
                    struct fri_digest *digest, const char **why);

/* The names of handles, and values of futures that are done. */
extern const struct fri_canon_hooks fri_resume_hooks;

#endif
