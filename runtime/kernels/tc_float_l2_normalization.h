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

TC_INLINE void tc_float_l2_normalization(const float *input, float *output,
                                         const tc_float_l2_normalization_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        float sum = 0.0f;
        for (int32_t i = 0; i < shape->depth; ++i) {
            sum = tc_opaque(sum + tc_opaque(input[i] * input[i]));
        }
        const float length = tc_float_maximum(sqrtf(sum), 1e-6f);
        for (int32_t i = 0; i < shape->depth; ++i) {
            output[i] = tc_divide(input[i], length);
        }
        input += shape->depth;
        output += shape->depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
