/*
 * travel_private.h - what the files behind travel.h share.
 *
 * travel.c       the state's data, protected calls
 * sequence.c     messages of several values
 * pack.c list.c  values to bytes
 * unpack.c       bytes to values
 * refuse.c       why a value cannot travel, and where it was
 * names.c        what has a name: the library; modules.c: modules
 * function.c     functions to bytes; code.c: their bytecode
 * globals.c      the globals that bytecode reads; bytecode*.c: of each VM
 * environment.c  functions that came, and their globals
 * cache.c        when a function need not be encoded, or loaded, again
 * notes.c        what decides about that
 * source.c       a function's name and source text
 * sources.c      digests of the text, for keys; required.c: of modules
 * chunk.c        text into tokens; constants.c: <const>
 *
 * Rules: nothing on the C heap belongs to a C stack frame across a call into
 * Lua that may raise: it belongs to struct fri_travel, which is a userdata.
 * Whatever allocates in Lua runs inside fri_guard; an encoder that meets such
 * a thing outside says so (`unguarded`) and is started again inside.
 */
#ifndef FRI_TRAVEL_PRIVATE_H
#define FRI_TRAVEL_PRIVATE_H

#include "base/hash.h"
#include "data/canon.h"
#include "script/chunk.h"
#include "script/travel.h"

#include <math.h>

#if FRI_LUAJIT
#define FRI_LUA_CDATA 10   /* what lua_type says of one */
#define FRI_TABLES_RAISE 1 /* its lua_checkstack raises without memory */
#else
#define FRI_TABLES_RAISE 0
#endif

#define FRI_APART __attribute__((noinline))

/* ---- identity: addresses to numbers, emptied at no cost --------------- */

struct fri_seen_slot {
    const void *key;
    uint32_t generation, number;
};

struct fri_seen {
    struct fri_seen_slot *slots;
    uint32_t mask, used, generation;
};

/* The number of `key`, which becomes `number` when it is new; NULL: memory. */
uint32_t *fri_seen_add(struct fri_seen *s, const struct fri_memory *m,
                       const void *key, uint32_t number, bool *fresh);
bool fri_seen_has(const struct fri_seen *s, const void *key);
void fri_seen_clear(struct fri_seen *s);

static inline uint32_t fri_address_hash(const void *p)
{
    uint64_t n = (uint64_t)(uintptr_t)p;

    return (uint32_t)((n >> 3) * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

/* ---- names ------------------------------------------------------------ */

enum fri_name_kind {
    FRI_STANDARD = 1, /* in every state from the start */
    FRI_OWN,          /* found by require, without package.path */
    FRI_MODULE        /* found by require, with the sender's package.path */
};

/* "module" or "module\0field" ... */
struct fri_name {
    const void *object;
    const char *text; /* of a Lua string that travel->named holds */
    uint32_t length;
    uint8_t kind;
    bool random;
};

struct fri_names {
    struct fri_name *slots;
    uint32_t mask, used;
};

/* ---- the code of functions -------------------------------------------- */

struct fri_slots {
    uint64_t bits[4]; /* upvalues, of which a function has at most 255 */
};

static inline bool fri_slot(const struct fri_slots *s, unsigned i)
{
    return s->bits[i >> 6 & 3] >> (i & 63) & 1;
}

static inline void fri_slot_set(struct fri_slots *s, unsigned i)
{
    s->bits[i >> 6 & 3] |= UINT64_C(1) << (i & 63);
}

struct fri_text {
    const char *at;
    uint32_t length;
};

/* What a function was written as: sources.c. */
struct fri_source {
    uint8_t kind; /* FRI_SOURCE_..., NONE: not looked for yet */
    struct fri_digest digest;
    uint64_t own; /* short, of its own text alone */
    char *text;   /* the function's name, or why there is no digest */
};

/* What is known of a prototype, found by its dump; counted by one thread. */
struct fri_code {
    unsigned refs;
    uint64_t hash;
    struct fri_slots env; /* upvalues that are the globals */
    uint8_t *bytes;       /* the dump */
    size_t length;
    struct fri_text *globals; /* read by name, in bytes */
    uint32_t global_count;
    bool uses_globals;
    bool random;
    bool own; /* of a chunk of the module itself */
    bool hashed;
    uint64_t source_hash;
    struct fri_source source;
};

/* Finds what the dump reads of the globals; false: memory ran out. */
bool fri_code_scan(const struct fri_memory *m, struct fri_code *code,
                   bool exact);

/* Does fri_code_scan understand what this VM dumps?  -1: memory ran out. */
int fri_code_scan_works(lua_State *L, const struct fri_memory *m);

/* Appends the dump of the function at i. */
bool fri_dump(lua_State *L, int i, struct fri_buffer *b);

enum { FRI_KNOWN = 512, FRI_CODES = 256, FRI_INTERNED = 256 };

/* What was seen when a function was encoded; see cache.c. */
struct fri_witness {
    uint8_t what, where;
    uint16_t slot;
    uint32_t length;
    union {
        uint64_t bits;
        const void *object;
        size_t offset; /* in texts */
    } u;
};

struct fri_witnesses {
    struct fri_witness *list;
    uint32_t count, capacity;
    uint32_t depth, deepest;
    struct fri_buffer texts;
    int env_slot;    /* upvalue of the function that is its environment; 0:
                      * in LuaJIT, where it is no upvalue, or none */
    const void *env; /* what environment 0 is */
    bool usable;
};

/* A Lua function of this state that was encoded, by its serial number. */
struct fri_known {
    uint64_t serial;
    struct fri_code *code;
    struct fri_function *function; /* NULL: encode it anew */
    bool living;                   /* see fri_cache_sweep */
    bool sources;                  /* `function` has digests of sources */
    struct fri_witnesses seen;
};

/* ---- encoding --------------------------------------------------------- */

struct fri_global {
    uint64_t hash;
    struct fri_text name; /* in a code that is held */
    uint32_t env;
};

/* A global that cannot travel: in which environment, and why. */
struct fri_poison {
    const void *env;
    char *name, *text;
    uint32_t length; /* of the name */
};

struct fri_encoder {
    struct fri_pack pack; /* first: what the callers see */
    struct fri_travel *travel;
    struct fri_buffer bytes;
    struct fri_seen seen;         /* parts and cells of this sequence */
    struct fri_seen seen_handles; /* of the pack */
    uint32_t handle_capacity;

    /* from here to `fresh_end` fri_encoder_fresh makes zeros */
    uint32_t parts, cells, env_count;
    int depth;
    int functions;  /* functions around this value */
    bool has_refs, has_path, refreshed;
    bool unguarded; /* refused only because it is not guarded */
    bool again;     /* refused only until the next try */
    bool no_memory;
    bool fresh_end;

    bool futures;   /* allowed where depth <= 1 */
    bool stop_at_future, stopped;
    bool guarded;   /* inside fri_guard */
    bool rescanned; /* all modules were looked through for names */
    bool busy;
    struct fri_buffer path, reason;

    const void **envs; /* tables of globals that occur, by number */
    uint32_t env_capacity;
    int env_ref; /* a Lua table of those that are not the globals */
    struct fri_code **codes; /* held: names are in them */
    uint32_t code_count, code_capacity;
    struct fri_global *globals;
    uint32_t global_count, global_done, global_capacity;
    struct fri_poison *poisons;
    uint32_t poison_count, poison_capacity;
    struct fri_witnesses *witnesses; /* NULL: not asked for */
};

bool fri_put_value(struct fri_encoder *e, lua_State *L, int i);
bool fri_put_name(struct fri_encoder *e, lua_State *L,
                  const struct fri_name *name);
/* The table at i as n packed numbers and nothing else; false, with nothing
 * written, when it is not of that sort. */
bool fri_put_packed(struct fri_encoder *e, lua_State *L, int i, size_t n);
bool fri_put_range(struct fri_encoder *e, lua_State *L, int i, int64_t lo,
                   int64_t hi);
bool fri_put_function(struct fri_encoder *e, lua_State *L, int i);

/* Makes the encoder empty; false (with the reason) when it is in use. */
bool fri_encoder_begin(struct fri_encoder *e);
/* Forgets the parts seen so far: a new sequence or item begins. */
void fri_encoder_fresh(struct fri_encoder *e);
void fri_encoder_free(struct fri_encoder *e);
/* After a failure: is another try due?  Cuts what was written behind `at`. */
bool fri_encoder_again(struct fri_encoder *e, size_t at);
/* Before a table or function at i is written: are there new modules, and so
 * perhaps a name for it?  False when there are: then all begins again. */
bool fri_encoder_refresh(struct fri_encoder *e, lua_State *L, int i);
bool fri_encoder_reserve(struct fri_encoder *e, void **list, uint32_t count,
                         uint32_t *capacity, size_t each);

/* Is the key at i the integer k? */
#if FRI_LUA54
static inline bool fri_is_index(lua_State *L, int i, size_t k)
{
    return lua_isinteger(L, i) && (size_t)lua_tointegerx(L, i, NULL) == k;
}
#else
static inline bool fri_is_index(lua_State *L, int i, size_t k)
{
    return lua_tonumber(L, i) == (lua_Number)k
           && lua_type(L, i) == LUA_TNUMBER;
}

/* Is it told from its double by nothing? */
static inline bool fri_whole(double n)
{
    return n >= -9007199254740992.0 && n <= 9007199254740992.0
           && n == (double)(int64_t)n
           && (n != 0 || !signbit(n));
}
#endif

/* All give false.  A path grows from its end, a step at a time. */
bool fri_refuse(struct fri_encoder *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool fri_refuse_memory(struct fri_encoder *e);
bool fri_refuse_unguarded(struct fri_encoder *e);
bool fri_refuse_type(struct fri_encoder *e, lua_State *L, int i);
bool fri_step_word(struct fri_encoder *e, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
bool fri_step_key(struct fri_encoder *e, lua_State *L, int key);
bool fri_step_index(struct fri_encoder *e, int64_t index);
/* "path: reason"; the text stands in e->path. */
void fri_refusal(struct fri_encoder *e);
bool fri_refusal_push(struct fri_encoder *e, lua_State *L);

/* ---- a state ---------------------------------------------------------- */

enum { FRI_CACHE_SETS = 64, FRI_CACHE_WAYS = 4 };

struct fri_cached {
    uint64_t id, used;
    size_t size;
};

struct fri_travel {
    const struct fri_memory *memory;
    struct fri_travel_shared *shared;
    bool worker;
    bool scan_tested, scan_works;
    const void *globals; /* address of the globals table */

    /* references in the registry */
    int guard, globals_ref;
    int originals; /* name -> what was global at the start, of the library */
    int named;     /* name -> object, of the standard library; all texts */
    int scanned;   /* object -> true: modules looked at */
    int serials;   /* function -> number, weak */
    int envs;      /* environment -> true or where its values are, weak */
    int env_meta;  /* the metatable of most environments */
    int package, loaded, require, searchpath, string_dump;
    int closures;  /* slot of the cache -> function */

    struct fri_names names;
    uint32_t env_made;

    struct fri_encoder values, function;
    uint64_t serial;
    uint32_t holding; /* at least as many functions kept hold handles */
    bool closed;
    struct fri_known *known;               /* FRI_KNOWN of them */
    struct fri_code **codes;               /* FRI_CODES of them */
    struct fri_function **interned;        /* FRI_INTERNED of them */
    size_t interned_bytes;
    struct fri_witnesses noted;            /* of the function in the making */

    struct fri_cached cached[FRI_CACHE_SETS][FRI_CACHE_WAYS];
    uint64_t cache_clock;
    size_t cached_bytes;

    struct fri_buffer dump; /* of the function in the making */
    char *source_path; /* the file that was last read for its text */
    struct fri_buffer source;
    const char *given_name; /* fri_travel_text */
    struct fri_text given;
    struct fri_chunk *chunks; /* those that functions were found in */
    int loaded_told; /* so many modules were (required.c) */
    char why[256];            /* of fri_module_source */
};

struct fri_travel *fri_travel_of(lua_State *L);

static inline void fri_push_ref(lua_State *L, int ref)
{
    lua_rawgeti(L, LUA_REGISTRYINDEX, ref);
}

/* Runs run(L, job) with copies of the n values at first ... as its stack; its
 * results are pushed.  False: an error message is there instead. */
typedef int fri_guarded(lua_State *L, void *job);
bool fri_guard(lua_State *L, struct fri_travel *t, fri_guarded *run, void *job,
               int first, int n);

/* ---- names.c, modules.c ----------------------------------------------- */

void fri_names_open(lua_State *L, struct fri_travel *t);
void fri_names_free(struct fri_travel *t);
const struct fri_name *fri_names_find(const struct fri_travel *t,
                                      const void *object);
/* Looks at modules that were loaded since; `all`: at known ones too. True
 * when there are new names. */
bool fri_names_refresh(lua_State *L, struct fri_travel *t, bool all);
/* Pushes what a NAME stands for, or raises. */
void fri_names_push(lua_State *L, struct fri_travel *t, const char *name,
                    size_t length);

/* For modules.c: the object on the top is given a name (`module`, n bytes, and
 * a field of it) unless it has one. */
bool fri_name_add(lua_State *L, struct fri_travel *t, const char *module,
                  size_t n, const char *field, uint8_t kind);
/* Is on the top a C function, one that is part of LuaJIT, or one of ours? */
bool fri_library_function(lua_State *L);
bool fri_name_standard(lua_State *L, struct fri_travel *t, bool keep);
bool fri_is_library(const char *module);
void fri_push_field(lua_State *L, int i, const char *name); /* raw */

/* ---- function.c ------------------------------------------------------- */

/* Is the table at i (address p) one of globals? */
bool fri_is_env(lua_State *L, const struct fri_travel *t, int i,
                const void *p);
/* Pushes what a function in the environment at `env` reads as `name`. */
void fri_push_global(lua_State *L, struct fri_travel *t, int env,
                     struct fri_text name);

/* ---- code.c ----------------------------------------------------------- */

/* The code of the Lua function at i, which stays until the encoder begins
 * anew; `env`: which of its upvalues are globals.  NULL with a refusal. */
struct fri_code *fri_code_get(struct fri_encoder *e, lua_State *L, int i,
                              const struct fri_slots *env);
void fri_code_free(struct fri_travel *t, struct fri_code *code);

/* ---- cache.c, notes.c ------------------------------------------------- */

enum fri_where {
    FRI_AT_UPVALUE,
    FRI_AT_GLOBAL,
    FRI_AT_END, /* of the upvalues of a function */
    FRI_AT_ENV, /* the function's environment */
    FRI_AT_NAME /* of the global before */
};

/* The serial number of the function at i, 0 when it has none yet. */
uint64_t fri_serial(lua_State *L, struct fri_travel *t, int i);
uint64_t fri_serial_make(lua_State *L, struct fri_travel *t, int i);
struct fri_known *fri_known_at(struct fri_travel *t, uint64_t serial);
struct fri_known *fri_known_make(struct fri_travel *t, uint64_t serial);

/* Notes the value at i, which decides about the encoding.  True: it is a
 * function whose upvalues are noted next, until fri_note_end. */
bool fri_note(struct fri_encoder *e, lua_State *L, int i, enum fri_where where,
              unsigned slot, struct fri_text name);
void fri_note_end(struct fri_encoder *e, bool entered);
/* Notes the environment of the function at i, of number env. */
void fri_note_env(struct fri_encoder *e, lua_State *L, int i, uint32_t env);
void fri_note_nothing(struct fri_encoder *e); /* cannot be noted */
void fri_notes_begin(struct fri_travel *t);
/* Moves the notes to *to; false when they are of no use. */
bool fri_notes_keep(struct fri_travel *t, struct fri_witnesses *to);
/* Is all about the function at i as it was noted? */
bool fri_unchanged(lua_State *L, struct fri_travel *t, int i,
                   const struct fri_witnesses *w);
void fri_witnesses_free(struct fri_travel *t, struct fri_witnesses *w);
void fri_cache_free(struct fri_travel *t);
/* After a collection: lets go of what holds handles for functions that are no
 * more. */
void fri_cache_sweep(lua_State *L, struct fri_travel *t);

/* ---- source.c --------------------------------------------------------- */

void fri_function_name(lua_State *L, int i, char *name, size_t size);

/* ---- sources.c -------------------------------------------------------- */

/* The source of the Lua function at i, found once for its code; false: memory
 * ran out.  May raise a memory error. */
bool fri_source_find(lua_State *L, struct fri_travel *t, int i,
                     struct fri_code *code);
void fri_sources_free(struct fri_travel *t);

/* The chunk that Lua calls so; NULL: its text cannot be had. */
struct fri_chunk *fri_chunk_of(struct fri_travel *t, const char *name);

/* required.c: modules and their digest. */
struct fri_required {
    struct fri_digester all;
    char *seen; /* names, each behind and before a zero; on Lua's stack */
    size_t length;
};

/* Adds the modules that a part of a chunk requires; false: t->why. */
bool fri_required_add(lua_State *L, struct fri_travel *t,
                      struct fri_required *all, const struct fri_chunk *c,
                      struct fri_span span);

/* mark.c: writes that down, behind the code of the function at i, which has n
 * upvalues. */
bool fri_put_source(struct fri_encoder *e, lua_State *L, int i, int n,
                    struct fri_code *code);

/* Pushes the file of a module written in Lua; pushes nothing and gives false
 * when there is none (modules.c). */
bool fri_module_file(lua_State *L, struct fri_travel *t, const char *name);

/* The numbers of parameters of the code's function; bytecode*.c. */
struct fri_parameters {
    unsigned count, upvalues;
    const uint8_t *captured; /* where upvalues are said to come from ... */
    size_t captured_size;    /* ... in so many bytes */
    bool more;
};
bool fri_read_parameters(const struct fri_memory *m, const uint8_t *dump,
                         size_t length, struct fri_parameters *p);

/* ---- decoding --------------------------------------------------------- */

/* Places on the stack: tables of parts, of cells (part * 256 + upvalue) and of
 * environments, or nil; then the values. */
enum { FRI_PARTS = 1, FRI_CELLS, FRI_ENVS, FRI_VALUES };

struct fri_decoder {
    struct fri_travel *t;
    struct fri_reader r;
    struct fri_handle *const *handles;
    uint32_t handle_count;
    uint32_t parts, cells;
    uint32_t env; /* of the function that is being read */
    size_t budget; /* of things made in advance */
    int depth;
    bool keep; /* the parts: a REF or a shared cell will come */
    bool init;
};

/* These push one value, or raise. */
void fri_get_value(struct fri_decoder *d, lua_State *L);
void fri_get_function(struct fri_decoder *d, lua_State *L);
void fri_push_env(struct fri_decoder *d, lua_State *L, uint32_t n);

/* The part on the top has begun. */
void fri_begin_part(struct fri_decoder *d, lua_State *L);
void fri_malformed(lua_State *L);
void fri_decoder_check(const struct fri_decoder *d, lua_State *L);

/* ---- unpack.c --------------------------------------------------------- */

/* Pushes the one function that the message of f holds; false: a text. */
bool fri_unpack_function(lua_State *L, const struct fri_function *f,
                         bool init);

#endif
