/* SPDX-License-Identifier: 0BSD */
/*
 * 2-D convolution of floats in ONNX's layout: any batch, kernel, stride, dilation, padding and number of groups.
 *
 * input    [batch][input_channels][input_height][input_width]
 * output   [batch][output_channels][output_height][output_width]
 * weights  [output_channels][input_channels / groups][kernel_height][kernel_width]
 * bias     [output_channels], or null
 */
#ifndef TC_FLOAT_CONV2D_H
#define TC_FLOAT_CONV2D_H

#include <stdint.h>

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
} tc_float_conv2d_shape;

/* One window of one group; `input` is the group's first channel, (top, left) the window's first pixel. */
TC_INLINE float tc_float_conv2d_sum(const float *input, const float *weights, int32_t top, int32_t left,
                                    const tc_float_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    float sum = 0.0f;
    for (int32_t channel = 0; channel < depth; ++channel) {
        for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
            const int32_t y = top + ky * window->dilation_y;
            for (int32_t kx = 0; kx < window->kernel_width; ++kx) {
                const int32_t x = left + kx * window->dilation_x;
                if (tc_window_holds(window, y, x)) {
                    sum = tc_opaque(sum + tc_opaque(input[y * window->input_width + x] * *weights));
                }
                ++weights;
            }
        }
        input += window->input_height * window->input_width;
    }
    return sum;
}

TC_INLINE void tc_float_conv2d(const float *input, float *output, const float *weights, const float *bias,
                               const tc_float_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t pixels = window->input_height * window->input_width;
    const int32_t taps = depth * window->kernel_height * window->kernel_width;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
            const float *image = input + (n * shape->input_channels + channel / outputs * depth) * pixels;
            for (int32_t oy = 0; oy < window->output_height; ++oy) {
                const int32_t top = oy * window->stride_y - window->padding_top;
                for (int32_t ox = 0; ox < window->output_width; ++ox) {
                    const int32_t left = ox * window->stride_x - window->padding_left;
                    const float sum = tc_float_conv2d_sum(image, weights + channel * taps, top, left, shape);
                    *output++ = bias ? sum + bias[channel] : sum;
                }
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
