/* SPDX-License-Identifier: 0BSD */
/*
 * Constants on their way from flash to RAM: begin, do something else, wait.
 *
 * Both functions are weak: what is here copies at once. A board, or whoever has a DMA controller to spare, defines others
 * with the same names (docs/silicon.md); then the next constants come while the core works on those that are there.
 *
 *     dst    in scratch: nobody reads or writes the `bytes` there before `tc_fetch_wait` returns; at a multiple of 32, or at
 *            one of 8 where `tc_fetch_wait` follows at once
 *     src    at a multiple of 4, in flash; constant
 *     bytes  a multiple of 4, more than 0
 *
 * There is at most one transfer at a time: `tc_fetch_begin` isn't called again before `tc_fetch_wait`.
 */
#ifndef TC_FETCH_H
#define TC_FETCH_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_words.h"

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__)
#define TC_WEAK __attribute__((weak))
#else
#define TC_WEAK static
#endif

/* Where what is fetched may be written while the core writes beside it: at a border of lines of a data cache. */
#define TC_FETCH_ALIGNMENT 32u

TC_INLINE int32_t *tc_fetch_place(void *scratch, int32_t words)
{
    const uintptr_t at = (uintptr_t)scratch + 4u * (uint32_t)words;
    return (int32_t *)((at + TC_FETCH_ALIGNMENT - 1u) & ~(uintptr_t)(TC_FETCH_ALIGNMENT - 1u));
}

TC_WEAK void tc_fetch_begin(void *dst, const void *src, uint32_t bytes);
TC_WEAK void tc_fetch_wait(void);

TC_WEAK void tc_fetch_begin(void *dst, const void *src, uint32_t bytes)
{
    uint32_t *const to = (uint32_t *)dst;
    const uint32_t *const from = (const uint32_t *)src;
    const uint32_t words = bytes / 4u;
    const uint32_t eights = words & ~7u;
    if (eights > 0u) {
        tc_copy_eights(to, from, eights);
    }
    tc_copy_words(to + eights, from + eights, words - eights);
}

TC_WEAK void tc_fetch_wait(void)
{
}

#ifdef __cplusplus
}
#endif

#endif
