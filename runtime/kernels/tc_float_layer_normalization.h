/* SPDX-License-Identifier: 0BSD */
/*
 * Rows of floats normalised to a mean of 0 and a variance of 1, with a factor and a summand for each column.
 *
 * input   [rows][depth]
 * scale   [depth], bias [depth]
 * output  [rows][depth]; may be the input
 */
#ifndef TC_FLOAT_LAYER_NORMALIZATION_H
#define TC_FLOAT_LAYER_NORMALIZATION_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_function.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_layer_normalization_shape {
    int32_t rows;
    int32_t depth;
    int32_t centred;
    float epsilon;
} tc_float_layer_normalization_shape;

TC_INLINE float tc_float_mean_of_row(const float *row, int32_t depth)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < depth; ++i) {
        sum = tc_opaque(sum + row[i]);
    }
    return tc_divide(sum, (float)depth);
}

TC_INLINE float tc_float_variance_of_row(const float *row, int32_t depth, float mean)
{
    float sum = 0.0f;
    for (int32_t i = 0; i < depth; ++i) {
        const float distance = tc_opaque(row[i] - mean);
        sum = tc_opaque(sum + tc_opaque(distance * distance));
    }
    return tc_divide(sum, (float)depth);
}

TC_INLINE void tc_float_layer_normalization(const float *input, float *output, const float *scale, const float *bias,
                                            const tc_float_layer_normalization_shape *shape)
{
    const int32_t depth = shape->depth;
    for (int32_t row = 0; row < shape->rows; ++row) {
        const float mean = shape->centred ? tc_float_mean_of_row(input, depth) : 0.0f;
        const float variance = tc_float_variance_of_row(input, depth, mean);
        const float inverse = tc_divide(1.0f, tc_square_root(variance + shape->epsilon));
        for (int32_t i = 0; i < depth; ++i) {
            const float element = tc_opaque(tc_opaque(input[i] - mean) * inverse);
            output[i] = tc_opaque(tc_opaque(element * scale[i]) + bias[i]);
        }
        input += depth;
        output += depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
