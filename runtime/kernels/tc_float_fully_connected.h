/* SPDX-License-Identifier: 0BSD */
/*
 * Fully connected layer of floats.
 *
 * input    [rows][inputs]
 * output   [rows][outputs]
 * weights  [outputs][inputs]
 * bias     [outputs], or null
 */
#ifndef TC_FLOAT_FULLY_CONNECTED_H
#define TC_FLOAT_FULLY_CONNECTED_H

#include <stdint.h>

#include "kernels/tc_float_bounds.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_fully_connected_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    tc_float_bounds bounds;
} tc_float_fully_connected_shape;

TC_INLINE void tc_float_fully_connected(const float *input, float *output, const float *weights, const float *bias,
                                        const tc_float_fully_connected_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        for (int32_t channel = 0; channel < shape->outputs; ++channel) {
            const float *products = weights + channel * shape->inputs;
            float sum = 0.0f;
            for (int32_t i = 0; i < shape->inputs; ++i) {
                sum = tc_opaque(sum + tc_opaque(input[i] * products[i]));
            }
            *output++ = tc_float_bounded(bias ? tc_opaque(sum + bias[channel]) : sum, &shape->bounds);
        }
        input += shape->inputs;
    }
}

#ifdef __cplusplus
}
#endif

#endif
