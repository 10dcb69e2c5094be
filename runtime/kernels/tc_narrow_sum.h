/* SPDX-License-Identifier: 0BSD */
/*
 * A sum of two int8 tensors that is linear in 32 bits: clamp((start + first * a + second * b) >> shift), with the zero
 * points and the rounding in `start`. The compiler has checked that this is the definition's result for all 65,536 pairs of
 * operands. Its numbers are data, so that all such operators are one function.
 */
#ifndef TC_NARROW_SUM_H
#define TC_NARROW_SUM_H

#include <stdint.h>

typedef struct tc_narrow_sum {
    int32_t count; /* of elements */
    int32_t first;
    int32_t second;
    int32_t start;
    int32_t shift;
    int32_t low;
    int32_t high;
} tc_narrow_sum;

#endif
