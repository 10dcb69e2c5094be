/* SPDX-License-Identifier: 0BSD */
/*
 * Softmax of floats over the last axis: exp(beta * (x - max)) / sum. It needs the C library's expf (-lm).
 *
 * input, output  [rows][depth]; a row is read before its first output is written, outputs in memory order
 */
#ifndef TC_FLOAT_SOFTMAX_H
#define TC_FLOAT_SOFTMAX_H

#include <math.h>
#include <stdint.h>

#include "kernels/tc_float_function.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_softmax_shape {
    int32_t rows;
    int32_t depth;
    float beta;
} tc_float_softmax_shape;

TC_INLINE void tc_float_softmax(const float *input, float *output, const tc_float_softmax_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        float largest = input[0];
        for (int32_t i = 1; i < shape->depth; ++i) {
            largest = tc_float_maximum(largest, input[i]);
        }
        float sum = 0.0f;
        for (int32_t i = 0; i < shape->depth; ++i) {
            output[i] = expf(tc_opaque(shape->beta * tc_opaque(input[i] - largest)));
            sum = tc_opaque(sum + output[i]);
        }
        for (int32_t i = 0; i < shape->depth; ++i) {
            output[i] = tc_divide(output[i], sum);
        }
        input += shape->depth;
        output += shape->depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
