/*
 * journal_load.c - what a journal has, when it is opened, and the search in
 * it.
 *
 * The keys of all rows are kept in memory, 56 bytes each, so that a miss costs
 * no reading.  Of several rows with one digest the last that succeeded counts,
 * else the last; of several with one identity the last.
 */
#ifndef FRUN_NO_JOURNAL
#include "core/journal_private.h"

#include "base/hash.h"

#include <stdio.h>

enum { CHECKED = 65536 }; /* pages, 256 MiB: the check takes 6 ms a MiB */

/* ---- the index -------------------------------------------------------- */

static uint64_t digest_hash(const uint8_t digest[FRI_DIGEST])
{
    uint64_t hash;

    memcpy(&hash, digest, sizeof hash);
    return fri_mix(hash);
}

/* The place where such an entry stands, or would. */
static uint32_t *place_of_digest(const struct fri_keys *k,
                                 const uint8_t digest[FRI_DIGEST])
{
    size_t mask = k->by_digest.size - 1, at = digest_hash(digest) & mask;
    uint32_t *places = k->by_digest.places;

    while (places[at]
           && memcmp(k->entries[places[at] - 1].digest, digest, FRI_DIGEST))
        at = (at + 1) & mask;
    return &places[at];
}

static uint32_t *place_of_identity(const struct fri_keys *k, uint64_t identity)
{
    size_t mask = k->by_identity.size - 1, at = fri_mix(identity) & mask;
    uint32_t *places = k->by_identity.places;

    while (places[at] && k->entries[places[at] - 1].identity != identity)
        at = (at + 1) & mask;
    return &places[at];
}

static bool can_be_used(const struct fri_loaded *e)
{
    return e->state == FRI_DONE && e->result && !e->bad;
}

static void index_entry(struct fri_keys *k, uint32_t i)
{
    const struct fri_loaded *e = &k->entries[i];
    uint32_t *place = place_of_digest(k, e->digest);

    if (!*place || can_be_used(e) || !can_be_used(&k->entries[*place - 1]))
        *place = i + 1;
    if (e->identity)
        *place_of_identity(k, e->identity) = i + 1;
}

static bool index_all(const struct fri_memory *m, struct fri_keys *k)
{
    size_t size = 16;

    while (size < 2 * k->count)
        size *= 2;
    k->by_digest.places = fri_alloc_zero(m, size * sizeof(uint32_t));
    k->by_identity.places = fri_alloc_zero(m, size * sizeof(uint32_t));
    if (!k->by_digest.places || !k->by_identity.places)
        return false;
    k->by_digest.size = k->by_identity.size = size;
    for (size_t i = 0; i < k->count; i++)
        index_entry(k, (uint32_t)i);
    return true;
}

/* ---- loading ---------------------------------------------------------- */

static bool more_room(const struct fri_memory *m, struct fri_keys *k)
{
    size_t capacity = k->capacity ? 2 * k->capacity : 64;
    struct fri_loaded *entries;

    if (k->count < k->capacity)
        return true;
    if (k->count > UINT32_MAX / 4)
        return false;
    entries = fri_realloc(m, k->entries, capacity * sizeof *entries);
    if (!entries)
        return false;
    k->entries = entries;
    k->capacity = capacity;
    return true;
}

static bool is_text(struct fri_bytes b, const char *text)
{
    return b.length == strlen(text) && memcmp(b.data, text, b.length) == 0;
}

static uint8_t state_of(struct fri_bytes state)
{
    if (is_text(state, "done"))
        return FRI_DONE;
    return is_text(state, "cancelled") ? FRI_CANCELLED : FRI_FAILED;
}

static uint32_t arguments_hash(const void *bytes, size_t n)
{
    return (uint32_t)fri_hash(bytes ? bytes : "", n, n);
}

static bool load_row(frun_journal *j, sqlite3_stmt *s)
{
    struct fri_keys *k = &j->keys;
    struct fri_task_row row;
    struct fri_loaded *e;

    if (!more_room(j->memory, k))
        return false;
    fri_row_read(s, false, &row);
    if (row.id > j->last_row)
        j->last_row = row.id;
    if (row.digest.length != FRI_DIGEST)
        row.sum = ~fri_row_sum(&row); /* no row of ours */
    e = &k->entries[k->count++];
    *e = (struct fri_loaded){ .id = row.id, .state = state_of(row.state),
                              .bad = !fri_row_is_whole(&row, false) };
    if (row.digest.length == FRI_DIGEST)
        memcpy(e->digest, row.digest.data, FRI_DIGEST);
    e->result = row.result_sum != FRI_NO_NUMBER;
    e->identity = row.identity == FRI_NO_NUMBER ? 0 : (uint64_t)row.identity;
    e->code = row.code > 0 && row.code <= UINT32_MAX ? (uint32_t)row.code : 0;
    e->arguments = arguments_hash(row.arguments.data, row.arguments.length);
    k->bad += e->bad;
    return true;
}

static bool load_code(frun_journal *j, sqlite3_stmt *s)
{
    struct fri_bytes parts = { sqlite3_column_text(s, 1),
                               (size_t)sqlite3_column_bytes(s, 1) };
    int64_t id = sqlite3_column_int64(s, 0);

    if (id > j->last_code)
        j->last_code = id;
    if (!parts.data
        || fri_bytes_sum(parts, (uint64_t)id) != sqlite3_column_int64(s, 2))
        return true; /* damaged: it only tells what changed */
    return fri_recipes_load(
        j->memory, &j->codes,
        fri_recipe_read(j->memory, id, parts.data, parts.length));
}

static bool load_run(frun_journal *j, sqlite3_stmt *s)
{
    struct fri_cell cells[FRI_RUN_CELLS];
    int64_t id = sqlite3_column_int64(s, 0);

    for (int i = 0; i < FRI_RUN_CELLS; i++)
        fri_cell_read(s, i, &cells[i]);
    if (id >= j->run)
        j->run = id + 1;
    if (fri_cells_sum(cells, FRI_RUN_CELLS)
        != sqlite3_column_int64(s, FRI_RUN_CELLS))
        return true;
    j->has_seed = true;
    j->seed = (uint64_t)cells[FRI_RUN_SEED].number;
    return true;
}

/* An SQLite status; NOMEM where a row said so. */
static int load(frun_journal *j, const char *sql,
                bool (*row)(frun_journal *j, sqlite3_stmt *s))
{
    sqlite3_stmt *s = NULL;
    int status = sqlite3_prepare_v2(j->writer, sql, -1, &s, NULL);

    if (status == SQLITE_OK)
        while ((status = sqlite3_step(s)) == SQLITE_ROW)
            if (!row(j, s)) {
                status = SQLITE_NOMEM;
                break;
            }
    sqlite3_finalize(s);
    return status == SQLITE_DONE ? SQLITE_OK : status;
}

static bool is_fine(frun_journal *j, sqlite3_stmt *s)
{
    const unsigned char *text = sqlite3_column_text(s, 0);

    (void)j;
    return text && strcmp((const char *)text, "ok") == 0;
}

static bool is_small(frun_journal *j, sqlite3_stmt *s)
{
    (void)j;
    return sqlite3_column_int64(s, 0) < CHECKED;
}

/* A file of which a page is missing, or belongs to two tables.  In a large
 * one that is seen only where it is read; its rows have their sums. */
static int check_pages(frun_journal *j)
{
    int status = load(j, "PRAGMA page_count", is_small);

    if (status != SQLITE_OK)
        return status == SQLITE_NOMEM ? SQLITE_OK : status;
    status = load(j, "PRAGMA quick_check(1)", is_fine);

    return status == SQLITE_NOMEM ? SQLITE_CORRUPT : status;
}

bool fri_journal_load(frun_journal *j, char why[FRI_WHY])
{
    char sql[1024];
    int status = check_pages(j);

    j->run = 1;
    snprintf(sql, sizeof sql, "SELECT %s FROM task ORDER BY id",
             fri_row_columns(false));
    if (status == SQLITE_OK)
        status = load(j, sql, load_row);
    if (status == SQLITE_OK)
        status = load(j, "SELECT id, parts, sum FROM code ORDER BY id",
                      load_code);
    if (status == SQLITE_OK)
        status = load(j, "SELECT " FRI_RUN_COLUMNS " FROM run ORDER BY id",
                      load_run);
    if (status == SQLITE_OK && !index_all(j->memory, &j->keys))
        status = SQLITE_NOMEM;
    if (status == SQLITE_OK)
        return true;
    if (status == SQLITE_CORRUPT || status == SQLITE_NOTADB
        || status == SQLITE_ERROR)
        return fri_journal_refuse(why, j->path,
                                  "damaged (%s); sqlite3 FILE .recover may "
                                  "save what is in it; move it away to start "
                                  "over",
                                  sqlite3_errmsg(j->writer));
    return fri_journal_refuse(why, j->path, "cannot be read: %s",
                              fri_journal_words(j->writer, status));
}

void fri_journal_unload(frun_journal *j)
{
    fri_free(j->memory, j->keys.entries);
    fri_free(j->memory, j->keys.by_digest.places);
    fri_free(j->memory, j->keys.by_identity.places);
    fri_recipes_free(j->memory, &j->codes);
}

/* ---- looking ---------------------------------------------------------- */

static const char *class_changed(const char *part)
{
    static const char *const words[] = {
        "function changed", "module changed", "upvalue changed",
        "global changed",   "version changed", "vm changed",
        "seed changed",
    };
    size_t n = strcspn(part, " ");

    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strncmp(words[i], part, n) == 0 && words[i][n] == ' ')
            return words[i];
    return "something changed";
}

static const char *what_changed(frun_journal *j, const struct fri_loaded *e,
                                const struct fri_key *key)
{
    const struct fri_recipe *code = fri_recipes_old(&j->codes, e->code);
    const char *part = NULL;
    uint8_t bytes[FRI_ARGUMENT * FRI_KEY_ARGUMENTS];
    size_t n = fri_arguments_write(key->arguments, key->argument_count, bytes);

    if (code && key->recipe)
        part = fri_recipe_changed(key->recipe, code);
    if (part)
        return class_changed(part);
    return arguments_hash(bytes, n) != e->arguments ? "arguments changed"
                                                    : "something changed";
}

static const char *why_not(const struct fri_loaded *e)
{
    if (e->bad)
        return "damaged row";
    if (e->state == FRI_DONE)
        return "result not kept";
    return e->state == FRI_FAILED ? "failed" : "cancelled";
}

const struct fri_loaded *fri_loaded_find(frun_journal *j,
                                         const struct fri_key *key,
                                         const char **what)
{
    struct fri_keys *k = &j->keys;
    uint32_t at = k->count ? *place_of_digest(k, key->digest) : 0;

    *what = NULL;
    if (at && can_be_used(&k->entries[at - 1]))
        return &k->entries[at - 1];
    if (at) {
        *what = why_not(&k->entries[at - 1]);
    } else if (k->count && key->identity) {
        at = *place_of_identity(k, key->identity);
        if (at)
            *what = k->entries[at - 1].bad
                        ? "damaged row"
                        : what_changed(j, &k->entries[at - 1], key);
    }
    return NULL;
}

#endif
