/* SPDX-License-Identifier: 0BSD */
/*
 * ADD and SUB of int8 tensors of the same shape (tc_narrow_sum.h), element by element, where no instruction works on several
 * bytes.
 */
#ifndef TC_SUM_PLAIN_H
#define TC_SUM_PLAIN_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_narrow_sum.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Four elements are read before they are written, in memory order: an operand may be the output's own memory. */
TC_INLINE void tc_sum_plain_s8(const int8_t *a, const int8_t *b, int8_t *output, const tc_narrow_sum *form)
{
    const tc_narrow_sum f = *form; /* a byte that is stored could be a number's */
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
