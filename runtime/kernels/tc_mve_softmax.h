/* SPDX-License-Identifier: 0BSD */
/*
 * The same softmax (tc_softmax.h) with Helium: exponentials of four elements are gathered from the table at a time.
 */
#ifndef TC_MVE_SOFTMAX_H
#define TC_MVE_SOFTMAX_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_mve.h"
#include "kernels/tc_softmax.h"

#ifdef __cplusplus
extern "C" {
#endif

#if TC_MVE
TC_INLINE int32_t tc_softmax_mve_largest(const int8_t *input, int32_t depth)
{
    int8_t largest = -128;
    int32_t i = 0;
    for (; i + 16 <= depth; i += 16) {
        largest = vmaxvq_s8(largest, vldrbq_s8(input + i));
    }
    if (i < depth) {
        const mve_pred16_t rest = vctp8q((uint32_t)(depth - i));
        largest = vmaxvq_p_s8(largest, vldrbq_z_s8(input + i, rest), rest);
    }
    return largest;
}

/* Entries of the table. `below`: from an element to its place, which is at least 0. */
TC_INLINE int32x4_t tc_softmax_mve_entries(int32x4_t elements, int32_t below, const int32_t *entries)
{
    const int32x4_t places = vmaxq_s32(vaddq_n_s32(elements, below), vdupq_n_s32(0));
    return vldrwq_gather_shifted_offset_s32(entries, vreinterpretq_u32_s32(places));
}

/* Of exponentials, each rounded to 12 bits fewer. */
TC_INLINE int32_t tc_softmax_mve_sum(const int8_t *input, int32_t depth, int32_t below, const int32_t *entries)
{
    int32_t sum = depth << 18;
    int32_t i = 0;
    for (; i + 4 <= depth; i += 4) {
        sum = vaddvaq_s32(sum, vrshrq_n_s32(tc_softmax_mve_entries(vldrbq_s32(input + i), below, entries), 13));
    }
    if (i < depth) {
        const mve_pred16_t rest = vctp32q((uint32_t)(depth - i));
        const int32x4_t found = tc_softmax_mve_entries(vldrbq_z_s32(input + i, rest), below, entries);
        sum = vaddvaq_p_s32(sum, vrshrq_n_s32(found, 13), rest);
    }
    return sum;
}

TC_INLINE int32x4_t tc_softmax_mve_four(int32x4_t elements, int32_t below, const int32_t *entries,
                                        const tc_softmax_factor *factor)
{
    const int32x4_t found = tc_softmax_mve_entries(elements, below, entries);
    const int32x4_t scaled = vaddq_n_s32(vrmulhq_s32(found, vdupq_n_s32(factor->scale)), factor->start);
    const uint32x4_t shares = vshlq_r_u32(vreinterpretq_u32_s32(scaled), -factor->shift);
    return vaddq_n_s32(vreinterpretq_s32_u32(vminq_u32(shares, vdupq_n_u32(255))), -128);
}

TC_INLINE void tc_softmax_mve_outputs(const int8_t *input, int8_t *output, int32_t depth, int32_t below,
                                      const int32_t *entries, const tc_softmax_factor *factor)
{
    int32_t i = 0;
    for (; i + 4 <= depth; i += 4) {
        vstrbq_s32(output + i, tc_softmax_mve_four(vldrbq_s32(input + i), below, entries, factor));
    }
    if (i < depth) {
        const mve_pred16_t rest = vctp32q((uint32_t)(depth - i));
        const int32x4_t elements = vldrbq_z_s32(input + i, rest);
        vstrbq_p_s32(output + i, tc_softmax_mve_four(elements, below, entries, factor), rest);
    }
}
#endif

TC_INLINE void tc_softmax_mve_s8(const int8_t *input, int8_t *output, const int32_t *exponentials,
                                 const tc_softmax_shape *shape)
{
#if TC_MVE
    const int32_t depth = shape->depth;
    for (int32_t row = 0; row < shape->rows; ++row, input += depth, output += depth) {
        const int32_t below = shape->exponentials - 1 - tc_softmax_mve_largest(input, depth);
        const uint32_t sum = (uint32_t)tc_softmax_mve_sum(input, depth, below, exponentials);
        tc_softmax_factor factor = tc_softmax_factor_of(sum);
        if (factor.shift <= 31) {
            factor.start = tc_softmax_start(&factor);
            tc_softmax_mve_outputs(input, output, depth, below, exponentials, &factor);
        } else {
            tc_mve_fill(-128, (uint32_t)depth, output);
        }
    }
#else
    tc_softmax_s8(input, output, exponentials, shape);
#endif
}

#ifdef __cplusplus
}
#endif

#endif
