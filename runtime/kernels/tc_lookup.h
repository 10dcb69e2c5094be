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

#if TC_THUMB2
/* word |= entry << shift, which compilers would do in two steps, for another order of the bytes. */
#define TC_LOOKUP_JOIN(word, entry, shift) \
    __asm__("orr %0, %0, %1, lsl #" #shift : "+r"(word) : "r"((uint32_t)(entry)))
#endif

/* Four results, stored as a word where a shift is part of an OR. */
TC_INLINE void tc_lookup_4(const uint8_t *from, uint8_t *to, const uint8_t *entries)
{
#if TC_THUMB2
    uint32_t word = entries[from[0]];
    TC_LOOKUP_JOIN(word, entries[from[1]], 8);
    TC_LOOKUP_JOIN(word, entries[from[2]], 16);
    TC_LOOKUP_JOIN(word, entries[from[3]], 24);
    tc_store4((int8_t *)to, word);
#else
    to[0] = entries[from[0]];
    to[1] = entries[from[1]];
    to[2] = entries[from[2]];
    to[3] = entries[from[3]];
#endif
}

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
