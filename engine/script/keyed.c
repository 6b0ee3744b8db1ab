/*
 * keyed.c - what is known of a task in a journal: the script's part.
 *
 * The parts of a function that count are found when a spec is made, so that a
 * task costs a digest of its arguments only.
 */
#include "core/resume.h"
#include "script/view.h"

#include "base/hash.h"
#include "pools/forks/home.h"
#include "pools/commands/keeping.h"

#include <string.h>

/* ---- what a function is made of --------------------------------------- */

struct hooks {
    struct fri_canon_hooks hooks;
    lua_State *L;
    bool parts;       /* modules are parts of a function ... */
    uint64_t modules; /* ... else they are gathered here */
};

static int module_source(void *user, const char *name, size_t n,
                         struct fri_digest *source, const char **why)
{
    struct hooks *h = user;
    int found = fri_module_source(h->L, name, n, source, why);

    if (found <= 0 || h->parts)
        return found;
    h->modules = fri_resume_gather(h->modules, source);
    return 0;
}

static int held(void *user, struct fri_handle *h, struct fri_digest *digest,
                const char **why);

static struct hooks hooks_of(lua_State *L, bool parts, bool version)
{
    struct hooks h = { .hooks = fri_resume_hooks, .L = L, .parts = parts };

    h.hooks.module = module_source;
    h.hooks.held = held;
    h.hooks.version = version;
    return h;
}

/* Of what is inside, modules are parts. */
static int held(void *user, struct fri_handle *handle,
                struct fri_digest *digest, const char **why)
{
    struct hooks *around = user;
    struct hooks h = hooks_of(around->L, true, around->hooks.version);

    h.hooks.user = &h;
    return fri_resume_held(fri_script_of(around->L)->engine, handle, &h.hooks,
                           digest, why);
}

/* The module may be named in the value of a future. */
static void tell_module(lua_State *L, const char *name, size_t n)
{
    frun_engine *e = fri_script_of(L)->engine;
    struct fri_digest source;
    const char *why;
    int found = fri_resume_knows(e, name, n)
                    ? -1
                    : fri_module_source(L, name, n, &source, &why);

    if (found >= 0
        && !fri_resume_tell(e, name, n, found > 0 ? &source : NULL))
        fri_raise_memory(L);
}

static void tell_modules(lua_State *L, const struct fri_script *s)
{
    if (s->engine->resumer)
        fri_modules_each(L, tell_module);
}

static struct fri_canon *canon_of(lua_State *L, struct fri_script *s)
{
    if (!s->canon)
        s->canon = fri_canon_open(&s->engine->memory);
    if (!s->canon)
        fri_raise_memory(L);
    return s->canon;
}

struct making {
    const struct fri_memory *memory;
    struct fri_resume *resume;
    struct fri_digester all;
    bool failed;
};

static void add_part(void *user, const struct fri_canon_part *part)
{
    struct making *m = user;
    struct fri_resume *r = m->resume;
    struct fri_part *more
        = fri_realloc(m->memory, r->parts, (r->count + 1) * sizeof *more);
    size_t class = strcspn(part->name, " ");

    m->failed |= !more;
    if (!more)
        return;
    r->parts = more;
    more[r->count].name = fri_strdup(m->memory, part->name);
    memcpy(&more[r->count].digest, part->digest.bytes,
           sizeof more[r->count].digest);
    m->failed |= !more[r->count++].name;
    fri_digest_text(&m->all, part->name,
                    part->name[0] == 'g' || part->name[0] == 'm'
                        ? strlen(part->name)
                        : class);
    fri_digest_add(&m->all, part->digest.bytes, FRI_DIGEST);
}

/* Commands find it in their environment. */
static void add_seed(struct making *m, uint64_t seed)
{
    struct fri_canon_part part
        = { "seed", fri_digest_of(&seed, sizeof seed) };

    add_part(m, &part);
}

static void add_text(struct making *m, const char *name, const char *text)
{
    struct fri_canon_part part = { name, fri_digest_of(text, strlen(text)) };

    add_part(m, &part);
}

/* Where in the script it is, or what the policy calls it. */
static uint64_t identity(lua_State *L, const struct fri_script *s,
                         const frun_policy *policy, int index)
{
    struct fri_buffer place;
    uint64_t id;

    if (policy->name)
        return fri_hash(policy->name, strlen(policy->name), 1);
    fri_buffer_init(&place, fri_script_memory(s));
    fri_function_place(L, index, &place);
    id = fri_hash(place.data, place.length, 2);
    fri_buffer_free(&place);
    return id;
}

static frun_journal *wanted(const struct fri_script *s,
                            const struct fri_view *view)
{
    return view->policy.journal ? view->policy.journal : s->engine->journal;
}

void fri_journal_wanted(struct fri_script *s, const struct fri_view *view)
{
    if (wanted(s, view))
        fri_travel_sources(s->shared);
}

/* False: the canon's text says why, or memory ran out. */
static bool fill_in(lua_State *L, struct fri_script *s, struct making *m,
                    const struct fri_function *f, const char *version,
                    bool commands)
{
    struct hooks h = hooks_of(L, true, version != NULL);
    bool ok;

    h.hooks.user = &h;
    fri_digest_begin(&m->all);
    add_text(m, "vm", fri_vm);
    if (version)
        add_text(m, "version", version);
    if (commands)
        add_seed(m, s->engine->seed);
    ok = fri_canon_function(s->canon, &h.hooks, f->message, add_part, m);
    m->resume->digest = fri_digest_end(&m->all);
    return ok && !m->failed;
}

/* EJOURNAL: the canon's text says why; else ENOMEM, or OK. */
static frun_status make(lua_State *L, struct fri_script *s,
                        struct fri_spec *spec, const frun_policy *policy,
                        int index, bool commands)
{
    struct making m = { .memory = &s->engine->memory };

    canon_of(L, s);
    tell_modules(L, s);
    m.resume = spec->resume = fri_alloc_zero(m.memory, sizeof *m.resume);
    if (!spec->resume)
        return FRUN_ENOMEM;
    m.resume->journal = policy->journal ? policy->journal : s->engine->journal;
    m.resume->durable = policy->durable;
    m.resume->version = policy->version != NULL;
    m.resume->keys = fri_function_takes_key(L, index);
    m.resume->identity = identity(L, s, policy, index);
    if (fill_in(L, s, &m, spec->script, policy->version, commands))
        return FRUN_OK;
    fri_resume_free(m.memory, spec->resume);
    spec->resume = NULL;
    return m.failed ? FRUN_ENOMEM : FRUN_EJOURNAL;
}

void fri_make_resume(lua_State *L, struct fri_script *s,
                     struct fri_pool_box *box, int index)
{
    const struct fri_view *view = fri_box_view(box);
    frun_status status;

    if (!wanted(s, view))
        return;
    status = make(L, s, box->spec, &view->policy, index,
                  fri_takes_commands(box));
    if (status == FRUN_OK)
        return;
    fri_box_forget(box);
    if (status == FRUN_ENOMEM)
        fri_raise_memory(L);
    fri_raise(L, status, "%s", fri_canon_why(s->canon));
}

frun_status fri_make_file_resume(lua_State *L, struct fri_script *s,
                                 struct fri_spec *spec,
                                 const frun_policy *policy, int index,
                                 const char **why)
{
    bool commands = fri_lane_pool(spec->lane)->ops->kind == FRUN_COMMANDS;
    frun_status status = make(L, s, spec, policy, index, commands);

    *why = fri_canon_why(s->canon);
    if (status == FRUN_OK && !fri_resumer_open(s->engine))
        status = FRUN_ENOMEM;
    return status;
}

void fri_make_command_resume(lua_State *L, struct fri_script *s,
                             struct fri_pool_box *box)
{
    const struct fri_view *view = fri_box_view(box);
    const frun_policy *policy = &view->policy;
    struct fri_spec *spec = box->spec;
    frun_journal *journal = wanted(s, view);

    if (!journal)
        return;
    spec->resume = fri_command_resume(s->engine, journal, policy->version,
                                      policy->name);
    if (!spec->resume) {
        fri_box_forget(box);
        fri_raise_memory(L);
    }
    spec->resume->durable = policy->durable;
}

/* ---- one task --------------------------------------------------------- */

/* The arguments as they stand in the record. */
static void arguments_of(const struct frun_future *task, struct fri_asked *a)
{
    if (task->holds == FRI_BYTES) {
        a->bytes = task->data.bytes;
        a->length = task->length;
    } else if (task->holds == FRI_MESSAGE) {
        a->bytes = task->data.message->data;
        a->length = task->data.message->length;
        a->handles = task->data.message->handles;
        a->handle_count = task->data.message->handle_count;
    }
}

/* What is only known here of arguments that are looked at later: modules, and
 * functions whose source cannot be told. */
static void look_ahead(lua_State *L, struct fri_script *s,
                       struct frun_future *task, struct fri_asked *a,
                       struct hooks *h)
{
    struct fri_digester d;
    uint64_t parts[1];
    unsigned count;
    struct fri_extra *x;

    tell_modules(L, s);
    h->hooks.future = NULL;
    fri_digest_begin(&d);
    if (!fri_canon_values(s->canon, a->hooks, a->bytes, a->length, a->handles,
                          a->handle_count, a->values, &d, parts, 1, &count))
        fri_raise(L, FRUN_EJOURNAL, "%s", fri_canon_why(s->canon));
    x = h->modules ? fri_task_extra(task) : NULL;
    if (x)
        x->modules = h->modules;
    else if (h->modules)
        fri_raise_memory(L);
}

void fri_look_up(lua_State *L, struct fri_script *s, struct frun_future *task,
                 bool futures)
{
    struct hooks h = hooks_of(L, false, task->spec->resume->version);
    struct fri_asked a = { .hooks = &h.hooks, .modules = &h.modules };
    struct fri_answer answer;
    const char *why;

    h.hooks.user = &h;
    canon_of(L, s);
    fri_resume_ask(&a, task);
    arguments_of(task, &a);
    if (futures || task->spec->lane->remote) {
        look_ahead(L, s, task, &a, &h);
        return;
    }
    if (!fri_resume_look(s->engine, s->canon, &a, &answer, &why)) {
        if (why)
            fri_raise(L, FRUN_EJOURNAL, "%s", why);
        fri_raise_memory(L);
    }
    if (!fri_resume_put(task, &answer))
        fri_raise_memory(L);
}
