/*
 * Fully connected layer: every row of int8 inputs times an int8 matrix.
 *
 * input    [rows][inputs], int8
 * output   [rows][outputs], int8
 * weights  [outputs][inputs], int8
 * channels per output: bias with -input_zero_point * sum(weights) folded in, multiplier, shift
 *
 * The product is rounded once, unlike in a convolution. Adding the bias wraps at 32 bits. The arithmetic is that of
 * tflite::reference_integer_ops::FullyConnectedPerChannel.
 *
 * Outputs are written one by one, each after the row of inputs was read for it.
 */
#ifndef TC_FULLY_CONNECTED_H
#define TC_FULLY_CONNECTED_H

#include <stdint.h>

#include "kernels/tc_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_fully_connected_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    tc_output_range range;
} tc_fully_connected_shape;

static inline void tc_fully_connected_s8(const int8_t *input, int8_t *output, const int8_t *weights,
                                         const tc_channel *channels, const tc_fully_connected_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        const int8_t *weight = weights;
        for (int32_t channel = 0; channel < shape->outputs; ++channel) {
            const tc_channel *parameters = channels + channel;
            int32_t sum = 0;
            for (int32_t i = 0; i < shape->inputs; ++i) {
                sum += input[i] * *weight++;
            }
            const int32_t accumulator = tc_wrapping_add(parameters->bias, sum);
            *output++ = (int8_t)tc_requantize_once(accumulator, parameters->multiplier,
                                                    parameters->shift, &shape->range);
        }
        input += shape->inputs;
    }
}

#ifdef __cplusplus
}
#endif

#endif
