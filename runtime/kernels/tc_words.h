/* SPDX-License-Identifier: 0BSD */
/* Copies of aligned words, eight at a time where there is LDM for as many. */
#ifndef TC_WORDS_H
#define TC_WORDS_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"

#ifdef __cplusplus
extern "C" {
#endif

/* By LDM and STM of the registers in `list`. */
#define TC_COPY_BY(to, from, end, list, ...) \
    __asm__ volatile("1:\n\t" \
                     "ldmia %1!, {" list "}\n\t" \
                     "stmia %0!, {" list "}\n\t" \
                     "cmp %0, %2\n\t" \
                     "bne 1b\n\t" \
                     : "+r"(to), "+r"(from) \
                     : "r"(end) \
                     : __VA_ARGS__, "cc", "memory")

/* `to` may lie below `from` in the same memory, at any distance of whole words. Takes hardly any stack. */
static TC_NOINLINE void tc_copy_words(uint32_t *to, const uint32_t *from, uint32_t count)
{
#if TC_DSP
    const uint32_t *const end = to + (count & ~3u);
    if (to != end) {
        TC_COPY_BY(to, from, end, "r3, r4, r5, r12", "r3", "r4", "r5", "r12");
    }
    count &= 3u;
#endif
    for (; count > 0u; count--) {
        *to++ = *from++;
    }
}

/* The same for a multiple of 8 words, not none. */
static TC_NOINLINE void tc_copy_eights(uint32_t *to, const uint32_t *from, uint32_t count)
{
    const uint32_t *const end = to + count;
#if TC_DSP
    TC_COPY_BY(to, from, end, "r3, r4, r5, r6, r8, r10, r12, lr", "r3", "r4", "r5", "r6", "r8", "r10", "r12", "lr");
#else
    while (to != end) {
        *to++ = *from++;
    }
#endif
}

#ifdef __cplusplus
}
#endif

#endif
