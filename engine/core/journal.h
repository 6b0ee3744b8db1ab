/*
 * journal.h - the file in which finished tasks are kept, so that a run that
 * was ended goes on where it was.
 *
 * Rules.
 *  1. A journal is an SQLite database of our own (journal_schema.c), written
 *     by one thread of its own; only files journal*.c know of SQLite.
 *  2. Each row carries a checksum over all that is in it, which is verified
 *     when it is read: what is damaged is said and counts as absent.  What
 *     cannot be a journal of ours, whole, is refused and left as it is.
 *  3. Under the engine's lock only a reference is queued: no bytes are
 *     copied, nothing is allocated, nothing is written.
 *  4. What ended is committed within 0.1 s.  A durable task is final only
 *     once its row was synced.
 *  5. A write or a sync that failed is said at once and is an error of the
 *     run: fri_journals_flush.
 *  6. One writer: a lock of the kernel on FILE.lock, which names the pid.
 *     It is taken before the file is opened, because a process that closes
 *     any descriptor of a database loses SQLite's own locks on it.
 *
 * All may be called from any thread, without the engine's lock, unless said
 * otherwise.
 */
#ifndef FRI_JOURNAL_H
#define FRI_JOURNAL_H

#include "base/digest.h"
#include "core/engine.h"
#include "core/seats.h"

/* ---- opening ---------------------------------------------------------- */

/* A reference to the journal of that file, one for each file and engine.  It
 * stays open until the engine closes.  ENOMEM; EJOURNAL: `why` has the path,
 * what was found there and what to do.  read_only: nothing is made, locked or
 * recorded, and no file is an empty journal. */
frun_status fri_journal_open(frun_engine *e, const char *path, bool read_only,
                             frun_journal **journal, char why[FRI_WHY]);
void fri_journal_close(frun_journal *journal); /* takes NULL */
const char *fri_journal_path(const frun_journal *journal);

/* The version of SQLite. */
const char *fri_journal_sqlite(void);

/* The engine's journal at that address, or NULL; the engine's lock is held. */
frun_journal *fri_journal_at(frun_engine *e, uintptr_t address);

/* The seed of the last run in it; false: there was none. */
bool fri_journal_seed(const frun_journal *journal, uint64_t *seed);

/* The facts of this run, before its first task; the first call counts.  The
 * journal adds the host, the pid, the version and the time. */
struct fri_facts {
    const char *script, *options, *vm; /* NULL: not known */
    uint64_t seed;
};
void fri_journal_begin(frun_journal *journal, const struct fri_facts *facts);

/* ---- keys ------------------------------------------------------------- */

/* A named part of what a key is made of.  The first word of its name is its
 * class: function, module, upvalue, global, version, vm. */
struct fri_part {
    const char *name;
    uint64_t digest;
};

/* The parts that all tasks of a function have in common; the same parts give
 * the same code.  It lives as long as the journal.  NULL: out of memory. */
struct fri_recipe *fri_journal_recipe(frun_journal *journal,
                                  const struct fri_part *parts, size_t n);

enum { FRI_KEY_ARGUMENTS = 8 };
struct fri_key {
    uint8_t digest[FRI_DIGEST]; /* of all that counts */
    uint64_t identity; /* which tasks are the same one, perhaps changed; 0:
                          it is like no other */
    struct fri_recipe *recipe; /* NULL: not known */
    uint64_t arguments[FRI_KEY_ARGUMENTS]; /* the last is of all that follow */
    unsigned argument_count;
};

/* ---- resuming --------------------------------------------------------- */

enum fri_verdict {
    FRI_JOURNAL_HAS,  /* the entry is filled */
    FRI_JOURNAL_NEW,
    FRI_JOURNAL_AGAIN /* it is known, and must run: *what says why */
};

struct fri_kept {
    int64_t id;
    const uint8_t *result; /* a sequence (codec.h), plain, checked */
    size_t length;
    const char *pool;
    int worker, attempts;
    double submitted, started, finished, cpu; /* on the scale of its run */
    int64_t memory;
    struct fri_found *found; /* what it stands in */
};

/* Only a hit reads the file.  *what: a few words that live as long as the
 * journal ("function changed"), NULL unless it is AGAIN. */
enum fri_verdict fri_journal_look(frun_journal *journal,
                                  const struct fri_key *key,
                                  struct fri_kept *entry, const char **what);
void fri_kept_free(struct fri_kept *entry);

/* This run takes that result.  False: out of memory. */
bool fri_journal_use(frun_journal *journal, int64_t id);

/* ---- keeping ---------------------------------------------------------- */

/* What goes with a task into its extra before it is submitted; all else is
 * done by the engine.  durable: see rule 4; where the row cannot be written
 * the task fails with EJOURNAL.  NULL: out of memory. */
struct fri_keep *fri_keep_new(frun_journal *journal, const struct fri_key *key,
                              bool durable);
void fri_keep_free(struct fri_keep *keep); /* takes NULL */

/* Its row gets that key instead, if the task has drawn random numbers
 * (fri_extra). */
void fri_keep_drawn(struct fri_keep *keep, const struct fri_digest *digest);

/* Adds to a list a file that a result hangs on, as it is now.  May block. */
void fri_files_note(struct fri_buffer *list, const char *path);

/* The result hangs on the files of the list (taken), and on no others.  Before
 * the task ends, one thread at a time. */
void fri_keep_files(struct fri_keep *keep, struct fri_buffer *list);

/* What the task has printed; the last 64 KiB are kept if it fails, and of what
 * its command has written.  As above, one thread at a time. */
void fri_keep_output(struct fri_keep *keep, const char *bytes, size_t length);

/* For the scheduler, lock held: the task has become ready, after `on` (or
 * NULL); it waits at a limit, which has room for it but for its turn; it is
 * final. */
void fri_keep_ready(struct frun_future *task, const struct frun_future *on);
void fri_keep_waits(struct frun_future *task, const struct fri_limit *limit,
                    bool turn);
void fri_keep_final(struct frun_future *task);

/* Lock held, the outcome is in place: true: the task is final only later,
 * when the journal settles it. */
bool fri_keep_holds(struct frun_future *task);

/* ---- the end ---------------------------------------------------------- */

/* Waits until all that was kept is written and synced.  EJOURNAL: one of the
 * engine's journals has failed; `why` says which, and what is lost. */
frun_status fri_journals_flush(frun_engine *e, char why[FRI_WHY]);

/* Has one of them failed so far? */
bool fri_journals_failed(frun_engine *e, char why[FRI_WHY]);

/* The engine's end: flushes and closes them. */
void fri_journals_close(frun_engine *e);

#endif
