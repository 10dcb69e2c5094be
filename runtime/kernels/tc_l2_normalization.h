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

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_l2_normalization_shape {
    int32_t rows;
    int32_t depth;
    int32_t input_zero_point;
} tc_l2_normalization_shape;

typedef struct tc_inverse_length {
    int32_t multiplier;
    int32_t shift;
} tc_inverse_length;

/* value * 2^exponent, saturated; for exponents of which 64 bits hold the result. */
TC_INLINE int32_t tc_saturating_left_shift(int32_t value, int32_t exponent)
{
    const int64_t wide = (int64_t)value * ((int64_t)1 << exponent);
    return wide > INT32_MAX ? INT32_MAX : wide < INT32_MIN ? INT32_MIN : (int32_t)wide;
}

/*
 * multiplier * 2^(shift - 31) ~ 1 / sqrt(value) by Newton's method in numbers with three integer bits, as TFLite's
 * GetInvSqrtQuantizedMultiplierExp; 0 counts as 1. value < 2^29
 */
TC_INLINE tc_inverse_length tc_inverse_square_root(int32_t value)
{
    tc_inverse_length factor = {INT32_MAX, 0};
    int32_t shift = 11;
    int32_t root = 1 << 28;
    if (value <= 1) {
        return factor;
    }
    for (; value < 1 << 27; value *= 4) {
        --shift;
    }
    value >>= 1;
    const int32_t half = (value >> 1) + (value & 1);
    for (int32_t i = 0; i < 5; ++i) {
        const int32_t square = tc_saturating_rounding_doubling_high_mul(root, root);
        const int32_t cube = tc_saturating_left_shift(tc_saturating_rounding_doubling_high_mul(square, root), 6);
        const int32_t more = tc_saturating_rounding_doubling_high_mul((1 << 28) + (1 << 27), root);
        root = tc_saturating_left_shift(more - tc_saturating_rounding_doubling_high_mul(half, cube), 3);
    }
    root = tc_saturating_rounding_doubling_high_mul(root, 1518500250); /* times half the square root of 2 */
    factor.multiplier = shift < 0 ? tc_shift_left(root, -shift) : root;
    factor.shift = shift < 0 ? 0 : -shift;
    return factor;
}

TC_INLINE void tc_l2_normalization_s8(const int8_t *input, int8_t *output, const tc_l2_normalization_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        int32_t sum = 0;
        for (int32_t i = 0; i < shape->depth; ++i) {
            const int32_t value = input[i] - shape->input_zero_point;
            sum += value * value;
        }
        const tc_inverse_length factor = tc_inverse_square_root(sum);
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
