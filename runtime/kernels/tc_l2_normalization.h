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
    for (int32_t i = 0; i < shape->depth / 4 * 4; i += 4) {
        const uint32_t word = tc_load4(row + i);
        const uint32_t even = tc_add_even(minus_zero, word);
        const uint32_t odd = tc_add_odd(minus_zero, word);
        sum = tc_smlad(odd, odd, tc_smlad(even, even, sum));
    }
    for (int32_t i = shape->depth / 4 * 4; i < shape->depth; ++i) {
        const int32_t value = row[i] - shape->input_zero_point;
        sum += value * value;
    }
    return sum;
}

/*
 * An element times multiplier * 2^(shift - 31), rounded as in tc_requant_short.h, halves away from zero. Roots of more than
 * 1 are below 2^29, so that it is the multiplier that is doubled where the shift is to the right.
 */
typedef struct tc_inverse_length {
    int32_t multiplier;
    int32_t shift; /* 7 bits more than the root's */
    int32_t half;
} tc_inverse_length;

TC_INLINE int8_t tc_divided_left(int32_t value, const tc_inverse_length *inverse)
{
    return (int8_t)tc_ssat8(tc_smmlar(value * (2 << inverse->shift), inverse->multiplier, 0));
}

TC_INLINE int8_t tc_divided_right(int32_t value, const tc_inverse_length *inverse)
{
    const int32_t high = tc_smmlar(value, inverse->multiplier * 2, inverse->half);
    return (int8_t)tc_ssat8((high + (value >> 31)) >> -inverse->shift);
}

TC_INLINE void tc_divided_row(const int8_t *row, int8_t *output, const tc_inverse_length *inverse,
                              const tc_l2_normalization_shape *shape)
{
    const int32_t zero_point = shape->input_zero_point;
    int32_t i = 0;
    if (inverse->shift >= 0) {
        for (; i < shape->depth; ++i) {
            output[i] = tc_divided_left(row[i] - zero_point, inverse);
        }
    }
    for (; i + 4 <= shape->depth; i += 4) {
        output[i] = tc_divided_right(row[i] - zero_point, inverse);
        output[i + 1] = tc_divided_right(row[i + 1] - zero_point, inverse);
        output[i + 2] = tc_divided_right(row[i + 2] - zero_point, inverse);
        output[i + 3] = tc_divided_right(row[i + 3] - zero_point, inverse);
    }
    for (; i < shape->depth; ++i) {
        output[i] = tc_divided_right(row[i] - zero_point, inverse);
    }
}

TC_INLINE void tc_l2_normalization_s8(const int8_t *input, int8_t *output, const tc_l2_normalization_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        const tc_root factor = tc_inverse_square_root(tc_squared_length(input, shape));
        const int32_t shift = factor.shift + 7;
        const tc_inverse_length inverse = {factor.multiplier, shift, shift < 0 ? 1 << (-shift - 1) : 0};
        tc_divided_row(input, output, &inverse, shape);
        input += shape->depth;
        output += shape->depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
