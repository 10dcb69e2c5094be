/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise 2-D convolution of int8 images: any kernel, stride, dilation, padding and channel multiplier.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8; channel c reads input channel c / multiplier
 * weights  [kernel_height][kernel_width][output_channels], int8
 * channels per output channel: what `finish` needs (tc_finish.h)
 *
 * Padding reads as input_zero_point: taps outside the image add nothing. With tc_finish_twice the arithmetic is that of
 * tflite::reference_integer_ops::DepthwiseConvPerChannel.
 *
 * Pixels are computed row by row, and a channel of a pixel is written after its window was read.
 */
#ifndef TC_DEPTHWISE_H
#define TC_DEPTHWISE_H

#include <stdint.h>

#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_depthwise_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t input_zero_point;
    tc_output_range range;
} tc_depthwise_shape;

/* The weighted sum over rows x columns taps; `input` and `weights` point at the channel at the first of them. */
TC_INLINE int32_t tc_depthwise_sum(const int8_t *input, const int8_t *weights, int32_t rows, int32_t columns,
                                   const tc_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t step = window->dilation_x * shape->input_channels;
    const int32_t next_row = window->dilation_y * window->input_width * shape->input_channels;
    int32_t sum = 0;
    for (; rows > 0; --rows) {
        const int8_t *value = input;
        const int8_t *weight = weights;
        for (int32_t left = columns; left > 0; --left) {
            sum += (*value - shape->input_zero_point) * *weight;
            value += step;
            weight += shape->output_channels;
        }
        input += next_row;
        weights += window->kernel_width * shape->output_channels;
    }
    return sum;
}

/* All channels of one output pixel, from the taps that lie inside the image. */
TC_INLINE void tc_depthwise_pixel(const int8_t *input, int8_t *output, const int8_t *weights,
                                  const void *channels, tc_finish *finish, int32_t oy, int32_t ox,
                                  const tc_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t multiplier = shape->output_channels / shape->input_channels;
    const tc_taps y = tc_window_rows(window, oy);
    const tc_taps x = tc_window_columns(window, ox);
    input += (y.position * window->input_width + x.position) * shape->input_channels;
    weights += (y.first * window->kernel_width + x.first) * shape->output_channels;
    for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
        const int32_t sum = tc_depthwise_sum(input + channel / multiplier, weights + channel, y.count, x.count, shape);
        output[channel] = (int8_t)finish(sum, channels, channel, &shape->range);
    }
}

TC_INLINE void tc_depthwise_s8(const int8_t *input, int8_t *output, const int8_t *weights, const void *channels,
                               tc_finish *finish, const tc_depthwise_shape *shape)
{
    for (int32_t oy = 0; oy < shape->window.output_height; ++oy) {
        for (int32_t ox = 0; ox < shape->window.output_width; ++ox) {
            tc_depthwise_pixel(input, output, weights, channels, finish, oy, ox, shape);
            output += shape->output_channels;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
