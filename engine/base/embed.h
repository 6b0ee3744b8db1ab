/*
 * embed.h - files as bytes of the library.
 *
 * The assembler reads them, so a build needs no program that turns them into
 * C. Their paths are from the top of the tree, where everything is compiled.
 */
#ifndef FRI_EMBED_H
#define FRI_EMBED_H

#include <stddef.h>

struct fri_embedded {
    const char *text, *end; /* a NUL stands there */
};

static inline size_t fri_embedded_length(const struct fri_embedded *e)
{
    return (size_t)(e->end - e->text);
}

/* Defines `name`: what is in the file. */
#define FRI_EMBED(name, path)                                                 \
    __asm__(".section .rodata\n"                                              \
            ".globl " #name "_text, " #name "_end\n"                          \
            ".hidden " #name "_text, " #name "_end\n"                         \
            ".type " #name "_text, %object\n"                                 \
            #name "_text: .incbin \"" path "\"\n"                             \
            #name "_end: .byte 0\n"                                           \
            ".size " #name "_text, . - " #name "_text\n"                      \
            ".previous");                                                     \
    extern const char name##_text[], name##_end[];                            \
    const struct fri_embedded name = { name##_text, name##_end }

#endif
