/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution of floats: any batch, depth multiplier, kernel, stride, dilation and padding.
 *
 * input    [batch][input_height][input_width][input_channels]
 * output   [batch][output_height][output_width][output_channels]
 * weights  [kernel_height][kernel_width][output_channels]
 * bias     [output_channels], or null
 *
 * Output channel c reads input channel c / (output_channels / input_channels).
 */
#ifndef TC_FLOAT_DEPTHWISE_H
#define TC_FLOAT_DEPTHWISE_H

#include <stdint.h>

#include "kernels/tc_float_bounds.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_depthwise_shape {
    tc_window window;
    int32_t batch;
    int32_t input_channels;
    int32_t output_channels;
    tc_float_bounds bounds;
} tc_float_depthwise_shape;

/* One output: `image` begins with the input channel, `weights` with the output channel. */
TC_INLINE float tc_float_depthwise_sum(const float *image, const float *weights, tc_taps rows, tc_taps columns,
                                       const tc_float_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    float sum = 0.0f;
    for (int32_t i = 0; i < rows.count; ++i) {
        const int32_t y = rows.position + i * window->dilation_y;
        for (int32_t j = 0; j < columns.count; ++j) {
            const int32_t x = columns.position + j * window->dilation_x;
            const int32_t tap = (rows.first + i) * window->kernel_width + columns.first + j;
            const float value = image[(y * window->input_width + x) * shape->input_channels];
            sum = tc_opaque(sum + tc_opaque(value * weights[tap * shape->output_channels]));
        }
    }
    return sum;
}

TC_INLINE void tc_float_depthwise(const float *input, float *output, const float *weights, const float *bias,
                                  const tc_float_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t multiplier = shape->output_channels / shape->input_channels;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oy = 0; oy < window->output_height; ++oy) {
            const tc_taps rows = tc_window_rows(window, oy);
            for (int32_t ox = 0; ox < window->output_width; ++ox) {
                const tc_taps columns = tc_window_columns(window, ox);
                for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                    const float *image = input + channel / multiplier;
                    const float sum = tc_float_depthwise_sum(image, weights + channel, rows, columns, shape);
                    *output++ = tc_float_bounded(bias ? tc_opaque(sum + bias[channel]) : sum, &shape->bounds);
                }
            }
        }
        input += window->input_height * window->input_width * shape->input_channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
