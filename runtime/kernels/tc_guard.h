/* SPDX-License-Identifier: 0BSD */
/* Words around memory that show whether somebody wrote beyond it. */
#ifndef TC_GUARD_H
#define TC_GUARD_H

#include <stdint.h>

#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_GUARD_WORD 0xC0FFEE115AFEA12Eu

/* Of an array of uint64_t. */
#define TC_PAINT_GUARD(words) tc_paint_guard(words, sizeof(words) / sizeof(words)[0])
#define TC_GUARD_INTACT(words) tc_guard_intact(words, sizeof(words) / sizeof(words)[0])

TC_INLINE void tc_paint_guard(uint64_t *words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        words[i] = TC_GUARD_WORD;
    }
}

TC_INLINE int tc_guard_intact(const uint64_t *words, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        if (words[i] != TC_GUARD_WORD) {
            return 0;
        }
    }
    return 1;
}

#ifdef __cplusplus
}
#endif

#endif
