/* SPDX-License-Identifier: 0BSD */
/*
 * Rows of floats divided by their length, or by 1e-6 if that is more. It needs the C library's sqrtf (-lm).
 *
 * input, output  [rows][depth]; the output may be the input
 */
#ifndef TC_FLOAT_L2_NORMALIZATION_H
#define TC_FLOAT_L2_NORMALIZATION_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_function.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_l2_normalization_shape {
    int32_t rows;
    int32_t depth;
} tc_float_l2_normalization_shape;

/* Of four elements at a time, in their order. */
TC_INLINE float tc_float_squares(const float *row, int32_t depth)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < depth / 4 * 4; i += 4) {
        sum = tc_opaque(sum + tc_opaque(row[i] * row[i]));
        sum = tc_opaque(sum + tc_opaque(row[i + 1] * row[i + 1]));
        sum = tc_opaque(sum + tc_opaque(row[i + 2] * row[i + 2]));
        sum = tc_opaque(sum + tc_opaque(row[i + 3] * row[i + 3]));
    }
    for (int32_t i = depth / 4 * 4; i < depth; ++i) {
        sum = tc_opaque(sum + tc_opaque(row[i] * row[i]));
    }
    return sum;
}

TC_INLINE void tc_float_l2_normalization(const float *input, float *output,
                                         const tc_float_l2_normalization_shape *shape)
{
    const int32_t depth = shape->depth;
    for (int32_t row = 0; row < shape->rows; ++row) {
        const float length = tc_float_maximum(tc_square_root(tc_float_squares(input, depth)), 1e-6f);
        for (int32_t i = 0; i < depth / 4 * 4; i += 4) {
            output[i] = tc_divide(input[i], length);
            output[i + 1] = tc_divide(input[i + 1], length);
            output[i + 2] = tc_divide(input[i + 2], length);
            output[i + 3] = tc_divide(input[i + 3], length);
        }
        for (int32_t i = depth / 4 * 4; i < depth; ++i) {
            output[i] = tc_divide(input[i], length);
        }
        input += depth;
        output += depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
