/* SPDX-License-Identifier: 0BSD */
/*
 * ADD and SUB of int8 tensors of the same shape, element by element, where no instruction works on several bytes:
 *     clamp((start + a * first + b * second) >> shift)
 * The compiler checks for all 65,536 pairs of operands that this is the definition's result, and that it fits 32 bits. Its
 * numbers are read at run time, so all such layers share one function.
 */
#ifndef TC_SUM_PLAIN_H
#define TC_SUM_PLAIN_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_sum_plain_form {
    int32_t count;
    int32_t first;
    int32_t second;
    int32_t start;
    int32_t shift;
    int32_t low;
    int32_t high;
} tc_sum_plain_form;

/* Four elements are read before they are written, in memory order: an operand may be the output's own memory. */
TC_INLINE void tc_sum_plain_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_sum_plain_form *form)
{
    const tc_sum_plain_form f = *form; /* a byte that is stored could be a number's */
    const int8_t *const end = a + f.count;
    for (; end - a >= 4; a += 4, b += 4, output += 4) {
        int32_t sums[4];
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; i++) {
            sums[i] = (f.start + a[i] * f.first + b[i] * f.second) >> f.shift;
        }
#pragma GCC unroll 4
        for (int32_t i = 0; i < 4; i++) {
            output[i] = (int8_t)tc_min(tc_max(sums[i], f.low), f.high);
        }
    }
    for (; a != end; a++, b++) {
        *output++ = (int8_t)tc_min(tc_max((f.start + *a * f.first + *b * f.second) >> f.shift, f.low), f.high);
    }
}

#ifdef __cplusplus
}
#endif

#endif
