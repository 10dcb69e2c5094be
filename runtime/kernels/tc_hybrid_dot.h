/* SPDX-License-Identifier: 0BSD */
/*
 * A vector of int8 times four rows of a matrix that lies in memory as it is, by DSP instructions and by Helium: what
 * tc_dot4_s8 computes.
 */
#ifndef TC_HYBRID_DOT_H
#define TC_HYBRID_DOT_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_dot.h"
#include "kernels/tc_inline.h"

#if defined(__ARM_FEATURE_MVE) && !defined(TC_PORTABLE)
#include <arm_mve.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* Four products in two multiplications of pairs. */
TC_INLINE int32_t tc_hybrid_dot_word(uint32_t even, uint32_t odd, const int8_t *weights, int32_t sum)
{
    const uint32_t four = tc_load4(weights);
    return tc_smlad(odd, tc_sxtb16(four, 8), tc_smlad(even, tc_sxtb16(four, 0), sum));
}

/*
 * Four channels at one position of an image: each one's product is added to its sum; `lanes` is the image and what is
 * added to it, of channels 0 and 2, then of 1 and 3.
 */
TC_INLINE void tc_hybrid_tap(const int8_t *pixel, const int8_t *weights, uint32_t minus, int32_t sums[4],
                             uint32_t lanes[2])
{
    const uint32_t values = tc_load4(pixel);
    const uint32_t factors = tc_load4(weights);
    const uint32_t even = tc_sxtab16(minus, values, 0);
    const uint32_t odd = tc_sxtab16(minus, values, 8);
    const uint32_t even_factors = tc_sxtb16(factors, 0);
    const uint32_t odd_factors = tc_sxtb16(factors, 8);
    sums[0] = tc_smlabb(even, even_factors, sums[0]);
    sums[1] = tc_smlabb(odd, odd_factors, sums[1]);
    sums[2] = tc_smlatt(even, even_factors, sums[2]);
    sums[3] = tc_smlatt(odd, odd_factors, sums[3]);
    lanes[0] = even;
    lanes[1] = odd;
}

TC_INLINE void tc_hybrid_dot4_lanes(const int8_t *a, const int8_t *b, int32_t stride, int32_t count, int32_t sums[4])
{
    int32_t sum0 = sums[0];
    int32_t sum1 = sums[1];
    int32_t sum2 = sums[2];
    int32_t sum3 = sums[3];
    const int8_t *const end = a + count / 4 * 4;
    for (; a != end; a += 4, b += 4) {
        const uint32_t four = tc_load4(a);
        const uint32_t even = tc_sxtb16(four, 0);
        const uint32_t odd = tc_sxtb16(four, 8);
        sum0 = tc_hybrid_dot_word(even, odd, b, sum0);
        sum1 = tc_hybrid_dot_word(even, odd, b + stride, sum1);
        sum2 = tc_hybrid_dot_word(even, odd, b + 2 * stride, sum2);
        sum3 = tc_hybrid_dot_word(even, odd, b + 3 * stride, sum3);
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
    tc_dot4_s8(a, b, stride, count % 4, sums);
}

TC_INLINE void tc_hybrid_dot4_mve(const int8_t *a, const int8_t *b, int32_t stride, int32_t count, int32_t sums[4])
{
#if defined(__ARM_FEATURE_MVE) && !defined(TC_PORTABLE)
    int32_t sum0 = sums[0];
    int32_t sum1 = sums[1];
    int32_t sum2 = sums[2];
    int32_t sum3 = sums[3];
    for (; count > 0; count -= 16, a += 16, b += 16) {
        const mve_pred16_t inside = vctp8q((uint32_t)count);
        const int8x16_t values = vldrbq_z_s8(a, inside);
        sum0 = vmladavaq_s8(sum0, values, vldrbq_z_s8(b, inside));
        sum1 = vmladavaq_s8(sum1, values, vldrbq_z_s8(b + stride, inside));
        sum2 = vmladavaq_s8(sum2, values, vldrbq_z_s8(b + 2 * stride, inside));
        sum3 = vmladavaq_s8(sum3, values, vldrbq_z_s8(b + 3 * stride, inside));
    }
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
#else
    tc_dot4_s8(a, b, stride, count, sums);
#endif
}

#ifdef __cplusplus
}
#endif

#endif
