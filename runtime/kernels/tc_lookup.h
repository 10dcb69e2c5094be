/* SPDX-License-Identifier: 0BSD */
/*
 * A function of one 8-bit value as a table of its 256 results; entry (uint8_t)q belongs to the input q.
 *
 * Input and output may be signed or unsigned. Elements are read and written in memory order: the output may be the
 * input's own memory.
 */
#ifndef TC_LOOKUP_H
#define TC_LOOKUP_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_mve.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lookup_shape {
    int32_t count;
} tc_lookup_shape;

/* Four results. */
TC_INLINE void tc_lookup_4(const uint8_t *from, uint8_t *to, const uint8_t *entries)
{
    to[0] = entries[from[0]];
    to[1] = entries[from[1]];
    to[2] = entries[from[2]];
    to[3] = entries[from[3]];
}

#if TC_THUMB2 && !TC_STRICT_ALIGNMENT && !TC_MVE
/* Four results, stored as a word, since a shift is part of an OR; pointers move on without instructions of their own. */
#define TC_LOOKUP_4 \
    "ldrb %3, [%0], #4\n\t" \
    "ldrb %4, [%0, #-3]\n\t" \
    "ldrb %5, [%0, #-2]\n\t" \
    "ldrb %6, [%0, #-1]\n\t" \
    "ldrb %3, [%7, %3]\n\t" \
    "ldrb %4, [%7, %4]\n\t" \
    "ldrb %5, [%7, %5]\n\t" \
    "ldrb %6, [%7, %6]\n\t" \
    "orr %3, %3, %4, lsl #8\n\t" \
    "orr %3, %3, %5, lsl #16\n\t" \
    "orr %3, %3, %6, lsl #24\n\t" \
    "str %3, [%1], #4\n\t"

/* 32 elements a round, at least one round. All layers share the function. */
static TC_NOINLINE void tc_lookup_rounds(const uint8_t *from, uint8_t *to, const uint8_t *entries, int32_t rounds)
{
    uint32_t a;
    uint32_t b;
    uint32_t c;
    uint32_t d;
    __asm__ volatile("1:\n\t" TC_LOOKUP_4 TC_LOOKUP_4 TC_LOOKUP_4 TC_LOOKUP_4 TC_LOOKUP_4 TC_LOOKUP_4 TC_LOOKUP_4
                         TC_LOOKUP_4 "subs %2, %2, #1\n\t"
                                     "bne 1b\n\t"
                     : "+r"(from), "+r"(to), "+r"(rounds), "=&r"(a), "=&r"(b), "=&r"(c), "=&r"(d)
                     : "r"(entries)
                     : "cc", "memory");
}
#define TC_LOOKUP_ROUNDS 1
#else
#define TC_LOOKUP_ROUNDS 0
#endif

TC_INLINE void tc_lookup(const void *input, void *output, const void *table, const tc_lookup_shape *shape)
{
    const uint8_t *from = (const uint8_t *)input;
    const uint8_t *entries = (const uint8_t *)table;
    uint8_t *to = (uint8_t *)output;
    int32_t left = shape->count;
#if TC_MVE
    __asm__ volatile(
        "wlstp.8 lr, %3, 2f\n"
        "1:\n\t"
        "vldrb.u8 q0, [%0], #16\n\t"
        "vldrb.u8 q1, [%2, q0]\n\t"
        "vstrb.8 q1, [%1], #16\n\t"
        "letp lr, 1b\n"
        "2:\n\t"
        : "+r"(from), "+r"(to)
        : "r"(entries), "r"(left)
        : "lr", "q0", "q1", "cc", "memory");
#else
#if TC_LOOKUP_ROUNDS
    if (left >= 32) {
        const int32_t rounds = left / 32;
        tc_lookup_rounds(from, to, entries, rounds);
        from += 32 * rounds;
        to += 32 * rounds;
        left -= 32 * rounds;
    }
#endif
    for (; left >= 16; left -= 16) {
        tc_lookup_4(from, to, entries);
        tc_lookup_4(from + 4, to + 4, entries);
        tc_lookup_4(from + 8, to + 8, entries);
        tc_lookup_4(from + 12, to + 12, entries);
        from += 16;
        to += 16;
    }
    for (; left >= 4; left -= 4) {
        tc_lookup_4(from, to, entries);
        from += 4;
        to += 4;
    }
    for (; left > 0; --left) {
        *to++ = entries[*from++];
    }
#endif
}

#ifdef __cplusplus
}
#endif

#endif
