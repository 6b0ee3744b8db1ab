/*
 * journal_none.c - what stands for the journal in a build that has none.
 */
#ifdef FRUN_NO_JOURNAL
#include "core/journal.h"
#include "core/journal_view.h"

#include <stdio.h>

static frun_status refuse(char why[FRI_WHY], const char *path)
{
    snprintf(why, FRI_WHY, "%.300s: this flowrun was built without journals",
             path);
    return FRUN_EJOURNAL;
}

frun_status fri_journal_open(frun_engine *e, const char *path, bool read_only,
                             frun_journal **journal, char why[FRI_WHY])
{
    (void)e;
    (void)read_only;
    *journal = NULL;
    return refuse(why, path);
}

frun_status fri_glance_open(const char *path, struct fri_glance **view,
                          char why[FRI_WHY])
{
    *view = NULL;
    return refuse(why, path);
}

const char *fri_journal_sqlite(void)
{
    return "none, so without journals";
}

/* Nothing below is called with a journal, since there is none. */

void fri_journal_close(frun_journal *journal)
{
    (void)journal;
}

const char *fri_journal_path(const frun_journal *journal)
{
    (void)journal;
    return "";
}

frun_journal *fri_journal_at(frun_engine *e, uintptr_t address)
{
    (void)e;
    (void)address;
    return NULL;
}

bool fri_journal_seed(const frun_journal *journal, uint64_t *seed)
{
    (void)journal;
    (void)seed;
    return false;
}

void fri_journal_begin(frun_journal *journal, const struct fri_facts *facts)
{
    (void)journal;
    (void)facts;
}

struct fri_recipe *fri_journal_recipe(frun_journal *journal,
                                      const struct fri_part *parts, size_t n)
{
    (void)journal;
    (void)parts;
    (void)n;
    return NULL;
}

enum fri_verdict fri_journal_look(frun_journal *journal,
                                  const struct fri_key *key,
                                  struct fri_kept *entry, const char **what)
{
    (void)journal;
    (void)key;
    (void)entry;
    *what = NULL;
    return FRI_JOURNAL_NEW;
}

void fri_kept_free(struct fri_kept *entry)
{
    (void)entry;
}

bool fri_journal_use(frun_journal *journal, int64_t id)
{
    (void)journal;
    (void)id;
    return true;
}

struct fri_keep *fri_keep_new(frun_journal *journal, const struct fri_key *key,
                              bool durable)
{
    (void)journal;
    (void)key;
    (void)durable;
    return NULL;
}

void fri_keep_drawn(struct fri_keep *keep, const struct fri_digest *digest)
{
    (void)keep;
    (void)digest;
}

void fri_keep_free(struct fri_keep *keep)
{
    (void)keep;
}

void fri_files_note(struct fri_buffer *list, const char *path)
{
    (void)list;
    (void)path;
}

void fri_keep_files(struct fri_keep *keep, struct fri_buffer *list)
{
    (void)keep;
    (void)list;
}

void fri_keep_ready(struct frun_future *task, const struct frun_future *on)
{
    (void)task;
    (void)on;
}

void fri_keep_waits(struct frun_future *task, const struct fri_limit *limit,
                    bool turn)
{
    (void)task;
    (void)limit;
    (void)turn;
}

void fri_keep_final(struct frun_future *task)
{
    (void)task;
}

bool fri_keep_holds(struct frun_future *task)
{
    (void)task;
    return false;
}

frun_status fri_journals_flush(frun_engine *e, char why[FRI_WHY])
{
    (void)e;
    (void)why;
    return FRUN_OK;
}

bool fri_journals_failed(frun_engine *e, char why[FRI_WHY])
{
    (void)e;
    (void)why;
    return false;
}

void fri_journals_close(frun_engine *e)
{
    (void)e;
}

void fri_glance_close(struct fri_glance *view)
{
    (void)view;
}

long fri_glance_holder(const struct fri_glance *view)
{
    (void)view;
    return 0;
}

frun_status fri_glance_query(struct fri_glance *view, const char *sql,
                           const struct fri_cell *arguments, int n,
                           fri_glance_see *see, void *user, char why[FRI_WHY])
{
    (void)view;
    (void)arguments;
    (void)n;
    (void)see;
    (void)user;
    return refuse(why, sql);
}

frun_status fri_glance_tasks(struct fri_glance *view, const char *tail,
                           const struct fri_cell *arguments, int n,
                           fri_glance_see_task *see, void *user,
                           char why[FRI_WHY])
{
    (void)view;
    (void)arguments;
    (void)n;
    (void)see;
    (void)user;
    return refuse(why, tail);
}

uint64_t fri_glance_damaged(const struct fri_glance *view)
{
    (void)view;
    return 0;
}

void fri_keep_output(struct fri_keep *keep, const char *bytes, size_t length)
{
    (void)keep;
    (void)bytes;
    (void)length;
}

#endif
