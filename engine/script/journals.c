/*
 * journals.c - the journals of a script: opening them, and what is said of
 * what came from them.
 *
 * One is opened before anything of the run may be kept in it: that of the
 * command's option as soon as the module is loaded.
 */
#include "core/resume.h"
#include "script/view.h"

#include "base/hash.h"

#include <string.h>

#ifdef FRI_LUA54
const char fri_vm[] = "lua5.4";
#else
const char fri_vm[] = "luajit";
#endif

/* ---- opening ---------------------------------------------------------- */

/* Of a run whose seed nobody has given, and that has drawn nothing yet. */
static void take_seed(struct fri_script *s, const frun_journal *journal)
{
    uint64_t first = fri_mix(s->engine->seed + 1), seed;

    if (s->options->seed_given || s->seed_taken || s->ordinals
        || !fri_journal_seed(journal, &seed))
        return;
    s->seed_taken = true;
    s->engine->seed = seed;
    if (!fri_random_drawn(s, first))
        fri_random_seed(s, fri_mix(seed + 1));
}

static void add_word(struct fri_buffer *b, const char *word)
{
    if (b->length > 0)
        fri_buffer_byte(b, ' ');
    fri_buffer_text(b, word);
}

static void say_facts(struct fri_script *s, frun_journal *journal)
{
    const struct fri_run_options *o = s->options;
    struct fri_facts facts = { .script = o->script, .vm = fri_vm,
                               .seed = s->engine->seed };
    struct fri_buffer words;

    fri_buffer_init(&words, &s->engine->memory);
    for (int i = 0; o->argv && i < o->argc; i++)
        add_word(&words, o->argv[i]);
    fri_buffer_byte(&words, 0);
    if (!words.failed)
        facts.options = (const char *)words.data;
    fri_journal_begin(journal, &facts);
    fri_buffer_free(&words);
}

frun_journal *fri_open_journal(lua_State *L, struct fri_script *s,
                               const char *path)
{
    frun_engine *e = s->engine;
    frun_journal *journal = NULL;
    char why[FRI_WHY];
    frun_status status;

    if (!fri_resumer_open(e))
        fri_raise_memory(L);
    status = fri_journal_open(e, path, s->options->dry_run, &journal, why);
    s->refused = status == FRUN_EJOURNAL;
    if (s->refused)
        fri_raise(L, status, "%s", why);
    if (status != FRUN_OK)
        fri_raise_memory(L);
    take_seed(s, journal);
    say_facts(s, journal);
    fri_travel_sources(s->shared);
    return journal;
}

/* flow.options{ journal = }: the value is on the top. */
void fri_journal_option(lua_State *L, struct fri_script *s)
{
    if (lua_type(L, -1) != LUA_TSTRING)
        luaL_error(L, "options: journal: a path expected, got %s",
                   luaL_typename(L, -1));
    if (s->own.journal && s->own.journal != s->journal)
        return; /* the command line wins */
    if (s->engine)
        luaL_error(L, "options: journal: set it before the first pool");
    fri_free(fri_script_memory(s), s->journal);
    s->own.journal = s->journal
        = fri_strdup(fri_script_memory(s), lua_tostring(L, -1));
    if (!s->journal)
        fri_raise_memory(L);
}

/* ---- what is said ----------------------------------------------------- */

void fri_say_resumed(struct fri_script *s)
{
    struct fri_buffer line;

    if (s->resume_said || s->worker || s->runtime || !s->engine
        || !s->engine->resumer || s->options->quiet || s->options->dry_run)
        return;
    fri_resume_await(s->engine);
    fri_buffer_init(&line, &s->engine->memory);
    s->resume_said = fri_resume_line(s->engine, &line);
    fri_buffer_byte(&line, '\n');
    if (s->resume_said && !line.failed)
        fri_output_write(s->options->output ? s->options->output
                                            : &s->engine->output,
                         2, (const char *)line.data, line.length);
    fri_buffer_free(&line);
}

frun_status fri_script_flush(struct fri_script *s, char why[FRI_WHY])
{
    if (!s || !s->engine || s->closed)
        return FRUN_OK;
    return fri_journals_flush(s->engine, why);
}

/* ---- in Lua ----------------------------------------------------------- */

struct journal_box {
    frun_journal *journal; /* NULL: closed */
};

static int journal_gc(lua_State *L)
{
    struct journal_box *box = lua_touserdata(L, 1);

    fri_journal_close(box->journal);
    box->journal = NULL;
    return 0;
}

static int journal_tostring(lua_State *L)
{
    struct journal_box *box = lua_touserdata(L, 1);

    lua_pushfstring(L, "journal (%s)",
                    box->journal ? fri_journal_path(box->journal) : "closed");
    return 1;
}

/* On the top: the metatable, the same for all of a state. */
static void push_meta(lua_State *L)
{
    lua_rawgetp(L, LUA_REGISTRYINDEX, fri_vm);
    if (lua_istable(L, -1))
        return;
    lua_pop(L, 1);
    lua_createtable(L, 0, 4);
    lua_pushliteral(L, "flowrun.journal");
    lua_setfield(L, -2, "__name");
    lua_pushboolean(L, 0);
    lua_setfield(L, -2, "__metatable");
    lua_pushcfunction(L, journal_gc);
    lua_setfield(L, -2, "__gc");
    lua_pushcfunction(L, journal_tostring);
    lua_setfield(L, -2, "__tostring");
    lua_pushvalue(L, -1);
    lua_rawsetp(L, LUA_REGISTRYINDEX, fri_vm);
}

frun_journal *fri_journal_test(lua_State *L, int index)
{
    struct journal_box *box = lua_touserdata(L, index);
    bool same;

    if (!box || !lua_getmetatable(L, index))
        return NULL;
    push_meta(L);
    same = lua_rawequal(L, -1, -2);
    lua_pop(L, 2);
    return same ? box->journal : NULL;
}

/* flow.journal(path) */
int fri_flow_journal(lua_State *L)
{
    struct fri_script *s = fri_script_of(L);
    const char *path = luaL_checkstring(L, 1);
    struct journal_box *box;

    if (s->worker || s->runtime)
        return fri_misuse(L, "journal: only in the main program");
    fri_script_need(L, s);
    box = lua_newuserdatauv(L, sizeof *box, 0);
    box->journal = NULL;
    push_meta(L);
    lua_setmetatable(L, -2);
    box->journal = fri_open_journal(L, s, path);
    return 1;
}
