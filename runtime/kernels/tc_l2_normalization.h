/* SPDX-License-Identifier: 0BSD */
/*
 * L2_NORMALIZATION of int8: rows divided by their length, as tflite::reference_integer_ops::L2Normalization does.
 *
 * input   [rows][depth], int8
 * output  [rows][depth], int8 of scale 1/128 and zero point 0; may be the input
 */
#ifndef TC_L2_NORMALIZATION_H
#define TC_L2_NORMALIZATION_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_root.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_l2_normalization_shape {
    int32_t rows;
    int32_t depth;
    int32_t input_zero_point;
} tc_l2_normalization_shape;

/* The square of a row's length. */
TC_INLINE int32_t tc_squared_length(const int8_t *row, const tc_l2_normalization_shape *shape)
{
    const uint32_t minus_zero = tc_lanes(-shape->input_zero_point, -shape->input_zero_point);
    int32_t sum = 0;
    int32_t i = 0;
    for (; i + 4 <= shape->depth; i += 4) {
        const uint32_t word = tc_load4(row + i);
        const uint32_t even = tc_add_even(minus_zero, word);
        const uint32_t odd = tc_add_odd(minus_zero, word);
        sum = tc_smlad(odd, odd, tc_smlad(even, even, sum));
    }
    for (; i < shape->depth; ++i) {
        const int32_t value = row[i] - shape->input_zero_point;
        sum += value * value;
    }
    return sum;
}

/* Elements times multiplier * 2^(shift - 31), rounded as in tc_requant_short.h, halves away from zero. */
TC_INLINE void tc_times_inverse_length(const int8_t *row, int8_t *output, int32_t multiplier, int32_t shift,
                                       const tc_l2_normalization_shape *shape)
{
    const int32_t zero_point = shape->input_zero_point;
    if (shift >= 0) {
        for (int32_t i = 0; i < shape->depth; ++i) {
            output[i] = (int8_t)tc_ssat8(tc_smmlar((row[i] - zero_point) * (2 << shift), multiplier, 0));
        }
    } else {
        const int32_t half = 1 << (-shift - 1);
        for (int32_t i = 0; i < shape->depth; ++i) {
            const int32_t value = row[i] - zero_point;
            const int32_t scaled = (tc_smmlar(value * 2, multiplier, half) + (value >> 31)) >> -shift;
            output[i] = (int8_t)tc_ssat8(scaled);
        }
    }
}

TC_INLINE void tc_l2_normalization_s8(const int8_t *input, int8_t *output, const tc_l2_normalization_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        const tc_root factor = tc_inverse_square_root(tc_squared_length(input, shape));
        tc_times_inverse_length(input, output, factor.multiplier, factor.shift + 7, shape);
        input += shape->depth;
        output += shape->depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
