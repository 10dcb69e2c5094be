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

TC_INLINE void tc_l2_normalization_s8(const int8_t *input, int8_t *output, const tc_l2_normalization_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        int32_t sum = 0;
        for (int32_t i = 0; i < shape->depth; ++i) {
            const int32_t value = input[i] - shape->input_zero_point;
            sum += value * value;
        }
        const tc_root factor = tc_inverse_square_root(sum);
        for (int32_t i = 0; i < shape->depth; ++i) {
            const int32_t value = input[i] - shape->input_zero_point;
            const int32_t scaled = tc_multiply_by_quantized_multiplier(value, factor.multiplier, factor.shift + 7);
            output[i] = (int8_t)tc_clamp(scaled, -128, 127);
        }
        input += shape->depth;
        output += shape->depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
