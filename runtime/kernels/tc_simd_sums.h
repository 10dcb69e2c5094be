/* SPDX-License-Identifier: 0BSD */
/*
 * A row times a matrix by SIMD products, and what becomes of the sums: int16, by TFLite's rule, which rounds twice.
 */
#ifndef TC_SIMD_SUMS_H
#define TC_SIMD_SUMS_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane_sums.h"
#include "kernels/tc_pair_sums.h"
#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* From the double of a sum, which `before` bits follow, to int16: a product rounded upwards from its half, then a
 * shift, whose halves go away from zero. */
typedef struct tc_sum_factor {
    int32_t multiplier;
    int32_t before;
    int32_t left;
    int32_t half; /* of 2^right */
    int32_t right;
} tc_sum_factor;

/* `words` of weights, by tc_pair_sums.h or tc_lane_sums.h. */
TC_INLINE void tc_simd_sums(const int8_t *values, int32_t count, uint32_t *row, const int32_t *weights, int32_t words,
                            int32_t *sums, int32_t pairs)
{
    if (pairs != 0) {
        tc_pair_sums(values, count, row, weights, words, sums);
    } else {
        tc_lane_sums(values, count, row, weights, words, sums);
    }
}

/* Before the shift to the right. */
TC_INLINE int32_t tc_scaled_sum(int32_t sum, const tc_sum_factor *factor)
{
    const int32_t twice = tc_shift_left(sum >> factor->before, factor->left);
    const int32_t high = tc_smmlar(twice, factor->multiplier, factor->half);
    return factor->right > 0 ? high + (sum >> 31) : high;
}

TC_INLINE int32_t tc_saturated_sum(int32_t sum, const tc_sum_factor *factor)
{
    const int32_t scaled = tc_scaled_sum(sum, factor);
    return factor->right > 0 ? tc_saturate16(scaled, factor->right) : tc_ssat16(scaled);
}

#ifdef __cplusplus
}
#endif

#endif
