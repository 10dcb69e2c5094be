/* SPDX-License-Identifier: 0BSD */
/*
 * 2-D convolution of floats: any batch, kernel, stride, dilation, padding and number of groups.
 *
 * input    [batch][input_height][input_width][input_channels]
 * output   [batch][output_height][output_width][output_channels]
 * weights  [output_channels][kernel_height][kernel_width][input_channels / groups]
 * bias     [output_channels], or null
 *
 * Sums go over rows, columns and channels of the window, in this order.
 */
#ifndef TC_FLOAT_CONV2D_H
#define TC_FLOAT_CONV2D_H

#include <stdint.h>

#include "kernels/tc_float_bounds.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_conv2d_shape {
    tc_window window;
    int32_t batch;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    tc_float_bounds bounds;
} tc_float_conv2d_shape;

/* One output: `image` begins with the group's first channel, `weights` with the output channel's. */
TC_INLINE float tc_float_conv2d_sum(const float *image, const float *weights, tc_taps rows, tc_taps columns,
                                    const tc_float_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    float sum = 0.0f;
    for (int32_t i = 0; i < rows.count; ++i) {
        const int32_t y = rows.position + i * window->dilation_y;
        for (int32_t j = 0; j < columns.count; ++j) {
            const int32_t x = columns.position + j * window->dilation_x;
            const float *pixel = image + (y * window->input_width + x) * shape->input_channels;
            const float *tap = weights + ((rows.first + i) * window->kernel_width + columns.first + j) * depth;
            for (int32_t channel = 0; channel < depth; ++channel) {
                sum = tc_opaque(sum + tc_opaque(pixel[channel] * tap[channel]));
            }
        }
    }
    return sum;
}

TC_INLINE void tc_float_conv2d(const float *input, float *output, const float *weights, const float *bias,
                               const tc_float_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t taps = depth * window->kernel_height * window->kernel_width;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oy = 0; oy < window->output_height; ++oy) {
            const tc_taps rows = tc_window_rows(window, oy);
            for (int32_t ox = 0; ox < window->output_width; ++ox) {
                const tc_taps columns = tc_window_columns(window, ox);
                for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                    const float *group = input + channel / outputs * depth;
                    const float sum = tc_float_conv2d_sum(group, weights + channel * taps, rows, columns, shape);
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
