/*
 * options.c - flow.options: what the command's options are, from inside the
 * script.
 */
#include "script/view.h"

#include "core/halt.h"

#include <math.h>
#include <string.h>

/* Raises what was expected of the value on the top, and what was got. */
static void refuse_number(lua_State *L, const char *name, const char *expected)
{
    luaL_error(L, "options: %s: %s expected, got %s", name, expected,
               lua_type(L, -1) == LUA_TNUMBER ? lua_tostring(L, -1)
                                              : luaL_typename(L, -1));
}

/* A whole number; `expected` names the bounds. */
static double whole_option(lua_State *L, const char *name, double least,
                           double most, const char *expected)
{
    double n = lua_tonumber(L, -1);

    if (lua_type(L, -1) != LUA_TNUMBER || !(n >= least && n <= most)
        || n != floor(n))
        refuse_number(L, name, expected);
    return n;
}

static void pool_option(lua_State *L, struct fri_script *s)
{
    const char *kind = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1)
                                                      : "";

    if (strcmp(kind, "threads") != 0 && strcmp(kind, "forks") != 0)
        luaL_error(L, "options: pool: \"threads\" or \"forks\" expected");
    if (!s->given || s->given->pool_kind < 0)
        s->own.pool_kind = kind[0] == 't' ? FRUN_THREADS : FRUN_FORKS;
}

static void halt_option(lua_State *L, struct fri_script *s)
{
    const char *text
        = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : NULL;
    struct fri_halt rule;

    if (!text || !fri_halt_parse(text, &rule))
        luaL_error(L, "options: halt: %s expected, got %s", FRI_HALT_FORMS,
                   text ? text : luaL_typename(L, -1));
    if (s->engine)
        luaL_error(L, "options: halt: set it before the first pool");
    if (s->own.halt && s->own.halt != s->halt)
        return; /* the command line wins */
    fri_free(fri_script_memory(s), s->halt);
    s->own.halt = s->halt = fri_strdup(fri_script_memory(s), text);
    if (!s->halt)
        fri_raise_memory(L);
}

/* Under a stock Lua only what was asked for is shown, or said. */
static void progress_option(lua_State *L, struct fri_script *s)
{
    const char *text
        = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    enum fri_progress_mode mode;

    if (!fri_progress_parse(text, &mode))
        luaL_error(L, "options: progress: %s expected", FRI_PROGRESS_FORMS);
    if (s->engine)
        luaL_error(L, "options: progress: set it before the first pool");
    if (s->own.progress_given)
        return;
    s->own.see.words = true;
    s->own.see.progress = mode;
}

/* The list of files is ours from now on: what the command line has given, a
 * trace or a job log, stays. */
static void add_file(lua_State *L, struct fri_script *s,
                     enum fri_report_form form, const char *path)
{
    const struct fri_memory *m = fri_script_memory(s);
    struct fri_see_file *files
        = fri_realloc(m, s->files, (s->file_count + 1) * sizeof *files);
    char *copy = files ? fri_strdup(m, path) : NULL;

    s->files = files ? files : s->files;
    if (!copy)
        fri_raise_memory(L);
    s->files[s->file_count++] = (struct fri_see_file){ form, copy };
    s->own.see.files = s->files;
    s->own.see.file_count = s->file_count;
}

static void add_report(lua_State *L, struct fri_script *s, bool keep)
{
    const char *path
        = lua_type(L, -1) == LUA_TSTRING ? lua_tostring(L, -1) : "";
    enum fri_report_form form = FRI_REPORT_PAGE;
    int error;

    if (strlen(path) != lua_rawlen(L, -1) || !fri_report_form_of(path, &form))
        luaL_error(L, "options: report: %s expected", FRI_REPORT_FORMS);
    error = keep ? fri_report_probe(path) : 0;
    if (error)
        luaL_error(L, "options: report: cannot write '%s': %s", path,
                   strerror(error));
    if (keep)
        add_file(L, s, form, path);
}

/* False: the command line has given a report, and wins. */
static bool take_files(lua_State *L, struct fri_script *s)
{
    const struct fri_see_file *given = s->own.see.files;
    size_t count = s->own.see.file_count;

    if (given == s->files)
        return true;
    for (size_t i = 0; i < count; i++)
        if (given[i].form != FRI_REPORT_TRACE
            && given[i].form != FRI_REPORT_JOBLOG)
            return false;
    for (size_t i = 0; i < count; i++)
        add_file(L, s, given[i].form, given[i].path);
    return true;
}

/* One name, or a list of them. */
static void report_option(lua_State *L, struct fri_script *s)
{
    bool keep;

    if (s->engine)
        luaL_error(L, "options: report: set it before the first pool");
    keep = take_files(L, s);
    if (lua_type(L, -1) != LUA_TTABLE) {
        add_report(L, s, keep);
        return;
    }
    for (int i = 1; i <= (int)lua_rawlen(L, -1); i++) {
        lua_rawgeti(L, -1, i);
        add_report(L, s, keep);
        lua_pop(L, 1);
    }
}

void fri_options_free(struct fri_script *s)
{
    const struct fri_memory *m = fri_script_memory(s);

    for (size_t i = 0; i < s->file_count; i++)
        fri_free(m, (char *)(uintptr_t)s->files[i].path);
    fri_free(m, s->files);
    s->files = NULL;
    s->file_count = 0;
    fri_free(m, s->halt);
    fri_free(m, s->journal);
    s->halt = s->journal = NULL;
}

static void workers_option(lua_State *L, struct fri_script *s)
{
    int n = (int)whole_option(L, "workers", 1, 1024,
                              "a whole number from 1 to 1024");

    if (!s->given || s->given->workers == 0)
        s->own.workers = n;
}

static void seed_option(lua_State *L, struct fri_script *s)
{
    double n = whole_option(L, "seed", 0, 9007199254740992.0,
                            "a whole number from 0 to 2^53");

    if (s->engine)
        luaL_error(L, "options: seed: set it before the first pool");
    if (!s->own.seed_given)
        s->own.seed = (uint64_t)n;
}

static void timeout_option(lua_State *L, struct fri_script *s)
{
    double n = lua_tonumber(L, -1);

    if (lua_type(L, -1) != LUA_TNUMBER || !(n > 0 && n <= 9e9))
        refuse_number(L, "timeout", "seconds above 0");
    if (s->given && s->given->timeout > 0)
        return;
    s->own.timeout = n;
    if (s->own.set_timeout)
        s->own.set_timeout(s->own.user, n);
    else
        fri_run_deadline(s);
}

static const struct {
    const char *name;
    void (*set)(lua_State *L, struct fri_script *s);
} options[] = {
    { "workers", workers_option },   { "seed", seed_option },
    { "timeout", timeout_option },   { "pool", pool_option },
    { "halt", halt_option },         { "progress", progress_option },
    { "report", report_option },     { "journal", fri_journal_option },
};

static void set_option(lua_State *L, struct fri_script *s, const char *name)
{
    for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
        if (strcmp(options[i].name, name) != 0)
            continue;
        options[i].set(L, s);
        return;
    }
    luaL_error(L, "options: unknown option '%s'", name);
}

/* flow.options{ workers=, pool=, seed=, timeout=, halt=, progress=, report=,
 * journal= }: the command line wins. */
int fri_flow_options(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);

    luaL_checktype(L, 1, LUA_TTABLE);
    if (s->worker)
        return fri_misuse(L, "options: only in the main program");
    if (s->options != &s->own) {
        s->given = s->options;
        s->own = *s->options;
        s->options = &s->own;
    }
    for (lua_pushnil(L); lua_next(L, 1); lua_pop(L, 1)) {
        if (lua_type(L, -2) != LUA_TSTRING)
            return luaL_error(L, "options: names expected as keys");
        set_option(L, s, lua_tostring(L, -2));
    }
    return 0;
}
