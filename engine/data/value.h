/*
 * value.h - the inside of a frun_value.
 *
 * A value is a tree: a table (list or map) owns what stands in its slots, a
 * map's being key, item, key, item, ...  What a decoder found shared or
 * cyclic has one owner, the slot in which it began; every other slot holds a
 * FRI_SEEN node that points to it and owns nothing.  Only slots hold FRI_SEEN
 * nodes, and the readers look through them, so no caller ever sees one.
 *
 * A table of a decoded value in which something is shared is `shared`: it may
 * be the target of a FRI_SEEN node.  Copying and encoding remember these, and
 * only these; what the host made costs nothing.  All targets lie inside the
 * decoded value, which therefore is freed, copied and pushed as a whole.
 *
 * What readers use never changes after the value is made, so any number of
 * threads may read (and copy, and encode) one value.
 *
 * Values that a host makes, or gets to keep, are malloc's.  Those of an engine
 * whose host has given an allocator are of its memory, which stands before each
 * node of them (`hooked`): the others cost nothing more.  A table's slots are
 * of the table's memory, what is in them may be of another.
 */
#ifndef FRI_VALUE_H
#define FRI_VALUE_H

#include "base/buffer.h"
#include "flowrun.h"

enum { FRI_SEEN = FRUN_MAP + 1 }; /* beside the frun_types */

struct frun_value {
    uint8_t kind;
    bool fixed;  /* static: never freed */
    bool shared; /* tables: see above */
    bool hooked; /* its fri_memory stands before it */
    union {
        bool truth;
        int64_t whole;
        double real;
        size_t length; /* bytes of a string, slots in use of a table */
        frun_value *target;
    } u;
};

struct fri_string {
    frun_value head;
    char bytes[];
};

/* Where a key is. */
struct fri_place {
    uint32_t hash, entry; /* number of the pair from 1, 0: no key here */
};

struct fri_table {
    frun_value head;
    union {
        size_t capacity;
        struct fri_table *above; /* while it is being freed */
    };
    frun_value **slots;
    struct fri_place *places; /* maps of more than a few keys, else NULL */
    size_t place_count;       /* a power of two */
    frun_value *retired; /* shared: what was replaced, may still be a target */
};

static inline bool fri_is_table(const frun_value *v)
{
    return v->kind == FRUN_LIST || v->kind == FRUN_MAP;
}

static inline struct fri_table *fri_table_of(const frun_value *v)
{
    return (struct fri_table *)(uintptr_t)v;
}

/* Nobody writes to a fixed value, or through a target: only the type of the
 * pointer is not const. */
static inline frun_value *fri_fixed(const frun_value *v)
{
    return (frun_value *)(uintptr_t)v;
}

static inline const char *fri_bytes(const frun_value *string)
{
    return ((const struct fri_string *)string)->bytes;
}

static inline const frun_value *fri_look_through(const frun_value *v)
{
    return v->kind == FRI_SEEN ? v->u.target : v;
}

static inline const frun_value *fri_slot_at(const frun_value *table, size_t i)
{
    return fri_look_through(fri_table_of(table)->slots[i]);
}

/* Of an engine's memory; NULL is malloc.  The memory must outlive them. */
frun_value *fri_value_int(const struct fri_memory *m, int64_t i);
frun_value *fri_value_num(const struct fri_memory *m, double n);
frun_value *fri_value_str(const struct fri_memory *m, const char *bytes,
                          size_t length);
frun_value *fri_value_text(const struct fri_memory *m, const char *text);
frun_value *fri_value_list(const struct fri_memory *m);
frun_value *fri_value_map(const struct fri_memory *m);
frun_value *fri_value_copy(const struct fri_memory *m,
                           const frun_value *value);

/* Takes the value, and gives one of malloc's (NULL: out of memory): what a
 * host may keep after its engine has gone. */
frun_value *fri_value_release(frun_value *value);

/* That of a node. */
const struct fri_memory *fri_value_memory(const frun_value *v);

/* Room for a node, zeroed but for where it came from; and that gone. */
void *fri_node_new(const struct fri_memory *m, size_t size);
void fri_node_free(frun_value *v);

/* A table with room for so many slots; NULL when out of memory. */
frun_value *fri_table_new(const struct fri_memory *m, frun_type kind,
                          size_t slots);

/* Makes room for n more slots, n being 1 or 2. */
bool fri_table_reserve(struct fri_table *t, size_t n);

/* Fills the next slot, taking the item (NULL: out of memory) also when it
 * fails.  A map is not to be read before fri_table_finish. */
bool fri_table_add(frun_value *table, frun_value *item);

/* Makes the filled map ready to be searched.  EINVAL: a key twice. */
frun_status fri_table_finish(frun_value *map);

/* A slot's worth of something that is owned elsewhere. */
frun_value *fri_value_seen(const struct fri_memory *m,
                           const frun_value *target);

/* ---- what was met while walking a value ------------------------------- */

struct fri_meeting {
    const frun_value *table; /* NULL: a free slot */
    uint64_t number;
};

struct fri_met {
    const struct fri_memory *memory;
    struct fri_meeting *slots;
    size_t count, size; /* size: a power of two, or 0 */
};

/* The number given to a table, or NULL. */
const uint64_t *fri_met_find(const struct fri_met *met,
                             const frun_value *table);
bool fri_met_add(struct fri_met *met, const frun_value *table,
                 uint64_t number);
void fri_met_free(struct fri_met *met);

/* ---- whole sequences -------------------------------------------------- */

/* Appends the sequence of this one value, with its flags.  As fri_encode. */
frun_status fri_value_pack(struct fri_buffer *b, const frun_value *value);

/* Reads a sequence: its value, null when it has none, a list when it has
 * several.  Parts may be shared from value to value.  As fri_decode. */
frun_status fri_value_unpack(const struct fri_memory *m, const void *bytes,
                             size_t length, frun_value **value);

#endif
