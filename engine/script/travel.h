/*
 * travel.h - Lua values as messages, and back.
 *
 * Encoding never runs a metamethod and never raises (a refusal is a text with
 * the path of what was refused); decoding makes fresh copies and does not
 * raise either.  Only fri_function_get and fri_function_source_hash may raise
 * a memory error, as functions of the Lua API do; nothing leaks then.
 * Everything here belongs to one Lua state and its thread; only messages and
 * fri_functions cross.
 */
#ifndef FRI_TRAVEL_H
#define FRI_TRAVEL_H

#include "base/digest.h"
#include "core/function.h"
#include "script/compat.h"

#include <stdbool.h>

struct fri_buffer;

/* What the states of one engine share: any of them may hand functions to the
 * same workers. */
struct fri_travel_shared {
    _Atomic uint64_t next_id; /* begins at 0 */
    _Atomic bool sources; /* functions travel with digests of their sources:
                             fri_travel_sources */
    int64_t began; /* wall clock, ns: a file that was changed later is not
                      what was loaded */
};

/* Prepares a state: what the standard libraries hold is remembered, so call
 * it after they are opened (and after those of their functions were replaced
 * that the engine replaces).  `worker`: package.path follows the senders'.
 * `m` and `shared` outlive the state.  May raise a memory error. */
void fri_travel_open(lua_State *L, const struct fri_memory *m,
                     struct fri_travel_shared *shared, bool worker);

/* Lua chunks of the module itself begin their names with this: functions of
 * such a chunk that are fields of the module, or stand in place of one of the
 * standard library, travel by name. */
#define FRI_OWN_CHUNK "=flowrun"

/* A sequence in the making.  Its memory is kept from one use to the next:
 * there is one per state, got by fri_pack_begin; uses do not nest. */
struct fri_pack {
    struct fri_buffer *bytes; /* flags count value... */
    struct fri_handle **handles;
    uint32_t handle_count;
    bool has_futures; /* a FUTURE occurs: see handles */
    bool random;      /* a function in it may reach math.random and the like */
};

/* An empty one, for fri_pack_items and fri_pack_results. */
struct fri_pack *fri_pack_begin(lua_State *L);

/* Encodes the n values at first, first+1, ... as one sequence.  `what` names
 * them in a refusal ("argument" gives "argument 2 .conn.sock: ...", with n
 * "result" 1, 2, ...; one that ends in "]" is used as it stands; NULL: a path
 * without that word).
 * `futures`: a future is allowed as a value itself, or as a direct field of
 * one (a dependency); elsewhere it is refused.
 * True: the pack is valid until the next use in this state.
 * False: the text of the refusal has been pushed. */
bool fri_pack_values(lua_State *L, int first, int n, const char *what,
                     bool futures, struct fri_pack **pack);

/* Items lo..hi of the table at `index` (t[lo] ... t[hi]), for the calls
 * fn(value, key) of a map; each item is a thing of its own: nothing is
 * shared between items.  Appends to `bytes` a flags byte and a value for each
 * (see fri_unpack_item); offsets[i - lo] (may be NULL) gets the offset in
 * `bytes` where item i begins.  With `numbers` true on
 * return the items are raw 8-byte numbers of one subtype, from the tag byte
 * (FRI_NUMS or FRI_INTS) that stands before them, and offsets are not set.
 * A future (itself, or a direct field) makes it stop: returns true with
 * *future_at = its index (0: none).  False: refusal text pushed, as above
 * with the path beginning "item [key]".  Handles are appended to the pack. */
bool fri_pack_items(lua_State *L, int index, int64_t lo, int64_t hi,
                    struct fri_pack *pack, size_t *offsets, bool *numbers,
                    int64_t *future_at);

/* Results out[1..n] of a chunk, nil where absent, in the form of
 * fri_pack_items.  False: refusal text ("result 1 ...") pushed; *bad is the
 * index refused. */
bool fri_pack_results(lua_State *L, int index, int n, struct fri_pack *pack,
                      bool *numbers, int *bad);

/* Pushes the values of a sequence; their number, or -1 with a text pushed
 * (malformed, or a name that is not found here).  `handles` are those of its
 * message; a FUTURE pushes the first value of handles[i], which must be done
 * (fri_future_push_value of handle.h). */
int fri_unpack(lua_State *L, const void *bytes, size_t length,
               struct fri_handle *const *handles, uint32_t handle_count);

/* One value that stands at *at (flags byte, then a value); moves *at behind
 * it.  1, or -1 with a text pushed. */
int fri_unpack_item(lua_State *L, const uint8_t **at, const uint8_t *end,
                    struct fri_handle *const *handles, uint32_t handle_count);

/* ---- functions -------------------------------------------------------- */

/* The fri_function of the Lua function (or C function with a name) at index:
 * encoded anew unless nothing that it reaches can have changed since the last
 * time.  The reference is the caller's.  NULL: refusal pushed. */
struct fri_function *fri_function_get(lua_State *L, int index);

/* From now on functions are encoded with digests of their sources: see
 * data/canon.h and sources.c.  Any thread. */
void fri_travel_sources(struct fri_travel_shared *shared);

/* The text of the chunk that Lua knows by that name, as it was loaded: it need
 * not be looked for in a file.  Neither is copied. */
void fri_travel_text(lua_State *L, const char *name, const char *text,
                     size_t length);

/* What the script module of that name, n bytes, is made of, and all modules
 * that it requires by name.  1; 0: it is not written in Lua; -1: *why (valid
 * until the next call) says why its text cannot be told.  May raise a memory
 * error. */
int fri_module_source(lua_State *L, const char *name, size_t n,
                      struct fri_digest *digest, const char **why);

/* Calls back for each module that is loaded, or required by name in a text that
 * functions came from, since the last time. */
void fri_modules_each(lua_State *L,
                      void (*each)(lua_State *L, const char *name, size_t n));

/* Has the Lua function at index a second parameter, or `...`? */
bool fri_function_takes_key(lua_State *L, int index);

/* What the function at index is called in its source ("crash.lua mesh.read"),
 * without lines: as long as the text does not change much it stays. */
void fri_function_place(lua_State *L, int index, struct fri_buffer *place);

/* A hash of the source text of the function at index (white space and comments
 * do not count), else of its stripped dump. */
uint64_t fri_function_source_hash(lua_State *L, int index);

/* Pushes the function in a worker's state, from the state's cache where it is
 * there.  False: a text pushed. */
bool fri_function_push(lua_State *L, struct fri_function *f);

/* The same for a pool's `init`: what it assigns to globals is seen by all
 * functions in this state, and wins over what comes with them. Not cached. */
bool fri_function_push_init(lua_State *L, struct fri_function *f);

/* ---- given by handle.c ------------------------------------------------ */

/* The handle inside the userdata at index, or NULL; no reference is taken. */
struct fri_handle *fri_handle_test(lua_State *L, int index);

/* Pushes a userdata that holds a new reference to the handle. */
void fri_handle_push(lua_State *L, struct fri_handle *h);

/* Pushes the first value of a future that is done. 1, or -1 with a text. */
int fri_future_push_value(lua_State *L, struct fri_handle *future);

#endif
