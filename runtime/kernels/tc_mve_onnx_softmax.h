/* SPDX-License-Identifier: 0BSD */
/*
 * The same softmax (tc_onnx_softmax.h) with Helium: exponentials of four elements are gathered from the table at a time.
 */
#ifndef TC_MVE_ONNX_SOFTMAX_H
#define TC_MVE_ONNX_SOFTMAX_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_mve_softmax.h"
#include "kernels/tc_onnx_softmax.h"

#ifdef __cplusplus
extern "C" {
#endif

#if TC_MVE
TC_INLINE uint64_t tc_onnx_softmax_mve_sum(const int8_t *input, int32_t depth, int32_t below, const int32_t *entries)
{
    uint64_t sum = 0;
    int32_t i = 0;
    for (; i + 4 <= depth; i += 4) {
        const int32x4_t found = tc_softmax_mve_entries(vldrbq_s32(input + i), below, entries);
        sum = vaddlvaq_u32(sum, vreinterpretq_u32_s32(found));
    }
    if (i < depth) {
        const mve_pred16_t rest = vctp32q((uint32_t)(depth - i));
        const int32x4_t found = tc_softmax_mve_entries(vldrbq_z_s32(input + i, rest), below, entries);
        sum = vaddlvaq_p_u32(sum, vreinterpretq_u32_s32(found), rest);
    }
    return sum;
}

TC_INLINE int32x4_t tc_onnx_softmax_mve_products(int32x4_t elements, int32_t below, const int32_t *entries,
                                                 const tc_onnx_softmax_row *row)
{
    const int32x4_t found = tc_softmax_mve_entries(elements, below, entries);
    return vaddq_n_s32(vmulhq_s32(found, vdupq_n_s32(row->factor)), TC_ONNX_HALF);
}

/* What is 0 next to a tie only. */
TC_INLINE uint32x4_t tc_onnx_softmax_mve_between(int32x4_t products)
{
    return vandq_u32(vreinterpretq_u32_s32(products), vdupq_n_u32(TC_ONNX_BETWEEN));
}

TC_INLINE int32x4_t tc_onnx_softmax_mve_results(int32x4_t products, int32_t zero_point)
{
    const uint32x4_t halves = vshrq_n_u32(vreinterpretq_u32_s32(products), TC_ONNX_PLACES);
    return vminq_s32(vaddq_n_s32(vreinterpretq_s32_u32(halves), zero_point), vdupq_n_s32(127));
}

/* Eight elements are asked at once whether they are near a tie. */
TC_INLINE void tc_onnx_softmax_mve_outputs(const int8_t *input, int8_t *output, int32_t below, const int32_t *entries,
                                           const tc_onnx_softmax_row *row, const tc_onnx_softmax_shape *shape)
{
    const tc_onnx_softmax_row copy = *row; /* what has an address isn't in registers */
    int32_t left = shape->depth;
    for (; left >= 8; left -= 8, input += 8, output += 8) {
        const int32x4_t first = tc_onnx_softmax_mve_products(vldrbq_s32(input), below, entries, row);
        const int32x4_t second = tc_onnx_softmax_mve_products(vldrbq_s32(input + 4), below, entries, row);
        const uint32x4_t between =
            vminq_u32(tc_onnx_softmax_mve_between(first), tc_onnx_softmax_mve_between(second));
        if (vcmpeqq_n_u32(between, 0u) != 0u) {
            tc_onnx_softmax_exactly(input, output, 8, &copy, shape);
        } else {
            vstrbq_s32(output, tc_onnx_softmax_mve_results(first, shape->zero_point));
            vstrbq_s32(output + 4, tc_onnx_softmax_mve_results(second, shape->zero_point));
        }
    }
    for (; left > 0; left -= 4, input += 4, output += 4) {
        const mve_pred16_t present = vctp32q((uint32_t)left);
        const int32x4_t products = tc_onnx_softmax_mve_products(vldrbq_z_s32(input, present), below, entries, row);
        if (vcmpeqq_m_n_u32(tc_onnx_softmax_mve_between(products), 0u, present) != 0u) {
            tc_onnx_softmax_exactly(input, output, tc_min(left, 4), &copy, shape);
        } else {
            vstrbq_p_s32(output, tc_onnx_softmax_mve_results(products, shape->zero_point), present);
        }
    }
}
#endif

TC_INLINE void tc_onnx_softmax_mve_s8(const int8_t *input, int8_t *output, const int32_t *entries,
                                      const tc_onnx_softmax_shape *shape)
{
#if TC_MVE
    const int32_t depth = shape->depth;
    for (int32_t i = 0; i < shape->rows; ++i, input += depth, output += depth) {
        const int32_t largest = tc_softmax_mve_largest(input, depth);
        const int32_t below = shape->entries - 1 - largest;
        const tc_places places = tc_places_below(largest, shape->entries);
        const uint64_t sum = tc_onnx_softmax_mve_sum(input, depth, below, entries);
        tc_onnx_softmax_row row = {entries + places.first, places.floors, sum << shape->kept, 0};
        tc_onnx_softmax_factor(sum, &row, shape);
        if (row.factor >= 0) {
            tc_onnx_softmax_mve_outputs(input, output, below, entries, &row, shape);
        } else {
            tc_onnx_softmax_exactly(input, output, depth, &row, shape);
        }
    }
#else
    tc_onnx_softmax_s8(input, output, entries, shape);
#endif
}

#ifdef __cplusplus
}
#endif

#endif
