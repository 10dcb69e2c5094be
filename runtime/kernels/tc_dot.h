/* SPDX-License-Identifier: 0BSD */
/*
 * Sums of products of int8 values, modulo 2^32.
 */
#ifndef TC_DOT_H
#define TC_DOT_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* sums[j] += sum of a[i] * b[j * stride + i]: each value of `a` is loaded once for four sums. */
TC_INLINE void tc_dot4_s8(const int8_t *a, const int8_t *b, int32_t stride, int32_t count, int32_t sums[4])
{
    int32_t sum0 = sums[0];
    int32_t sum1 = sums[1];
    int32_t sum2 = sums[2];
    int32_t sum3 = sums[3];
    for (int32_t i = 0; i < count; ++i) {
        const int32_t value = a[i];
        sum0 = tc_wrapping_add(sum0, value * b[i]);
        sum1 = tc_wrapping_add(sum1, value * b[i + stride]);
        sum2 = tc_wrapping_add(sum2, value * b[i + 2 * stride]);
        sum3 = tc_wrapping_add(sum3, value * b[i + 3 * stride]);
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

/* A function that computes the same. */
typedef void tc_dot4(const int8_t *a, const int8_t *b, int32_t stride, int32_t count, int32_t sums[4]);

/* sum of a[i] * b[i] */
TC_INLINE int32_t tc_dot_s8(const int8_t *a, const int8_t *b, int32_t count)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum = tc_wrapping_add(sum, a[i] * b[i]);
    }
    return sum;
}

/* sum of a[i] */
TC_INLINE int32_t tc_total_s8(const int8_t *a, int32_t count)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum += a[i];
    }
    return sum;
}

#ifdef __cplusplus
}
#endif

#endif
