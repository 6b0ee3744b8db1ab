/*
 * bytecode.h - what globals.c needs to know of a VM's bytecode.
 *
 * bytecode_lua54.c and bytecode_luajit.c give it, each for its own VM.
 */
#ifndef FRI_BYTECODE_H
#define FRI_BYTECODE_H

#include "script/travel_private.h"

struct constant {
    struct fri_text text; /* at is NULL: not a string */
    uint32_t child;       /* prototype */
};

struct proto {
    const uint8_t *code, *upvalues;
    uint32_t size, upvalue_count;
    uint32_t constants, constant_count, children;
    uint8_t parameters; /* how many, without ... */
    bool more;          /* ... */
};

/* Bytes for each upvalue at proto.upvalues. */
extern const size_t fri_captured_size;

struct dump {
    const struct fri_memory *memory;
    struct fri_reader r;
    struct proto *protos;
    struct constant *constants;
    size_t proto_count, proto_capacity, constant_count, constant_capacity;
    struct fri_code *code;
    uint32_t name_capacity;
    bool failed; /* out of memory */
};

enum effect {
    NOTHING,   /* on registers */
    WRITE,     /* register a */
    WRITE_ALL, /* a and those above */
    GLOBAL,    /* a = globals[constant k] */
    UPVALUE,   /* a = upvalue b */
    UPFIELD,   /* a = upvalue b [constant k] */
    STRING,    /* a = constant k */
    MOVE,      /* a = b */
    FIELD,     /* a = b[constant k] */
    INDEX,     /* a = b[c] */
    CLOSURE,   /* a = prototype k */
    JUMP       /* to k */
};

struct effect_of {
    enum effect effect;
    uint32_t a, b, c, k;
};

/* What the instruction at pc does to registers. */
struct effect_of fri_effect(const struct dump *d, const struct proto *p,
                            uint32_t pc);

/* Where upvalue i of the prototype is from: a register of the function that
 * makes the closure, or one of its upvalues. */
void fri_captured(const struct proto *child, uint32_t i, bool *local,
                  uint8_t *from);

/* Reads the dump; the number of the function's own prototype. */
uint32_t fri_read_dump(struct dump *d);

/* ---- for those two files (globals.c has them) ------------------------- */

/* n constants more, empty; the first one's number. */
uint32_t fri_more_constants(struct dump *d, size_t n);
uint32_t fri_more_proto(struct dump *d);
const uint8_t *fri_skip(struct fri_reader *r, size_t n);

#endif
