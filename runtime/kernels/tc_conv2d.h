/* SPDX-License-Identifier: 0BSD */
/*
 * 2-D convolution of int8 images: any kernel, stride, dilation, padding and number of groups.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * weights  [output_channels][kernel_height][kernel_width][input_channels / groups], int8
 * channels per output channel: what `finish` needs (tc_finish.h), with -input_zero_point * sum(weights) folded in
 *
 * Padding therefore reads as input_zero_point. With tc_finish_twice the arithmetic is that of
 * tflite::reference_integer_ops::ConvPerChannel.
 *
 * Pixels are computed row by row; up to four channels of a pixel are written when its window was read for them.
 */
#ifndef TC_CONV2D_H
#define TC_CONV2D_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_dot.h"
#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_conv2d_shape {
    tc_window window;
    int32_t padded; /* whether some window reaches outside the image */
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    int32_t input_zero_point;
    tc_output_range range;
} tc_conv2d_shape;

/* Four output channels of a window inside the image; `input`: the group's first channel of its first pixel. */
TC_INLINE void tc_conv2d_inside4(const int8_t *input, const int8_t *weights, const tc_conv2d_shape *shape,
                                 int32_t sums[4])
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t kernel_size = window->kernel_height * window->kernel_width * depth;
    /* The pixels of a row, where they follow each other in memory, are one run. */
    const bool joined = shape->groups == 1 && window->dilation_x == 1;
    const int32_t runs = joined ? 1 : window->kernel_width;
    const int32_t run = joined ? window->kernel_width * depth : depth;
    for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
        const int8_t *row = input + ky * window->dilation_y * window->input_width * shape->input_channels;
        for (int32_t kx = 0; kx < runs; ++kx) {
            tc_dot4_s8(row + kx * window->dilation_x * shape->input_channels, weights, kernel_size, run, sums);
            weights += run;
        }
    }
}

/* One output channel of any window; `input` points at the group's first channel of the image. */
TC_INLINE int32_t tc_conv2d_accumulate(const int8_t *input, const int8_t *weights, int32_t top, int32_t left,
                                       const tc_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    int32_t accumulator = 0;
    for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
        const int32_t y = top + ky * window->dilation_y;
        for (int32_t kx = 0; kx < window->kernel_width; ++kx) {
            const int32_t x = left + kx * window->dilation_x;
            if (!shape->padded || tc_window_holds(window, y, x)) {
                const int8_t *pixel = input + (y * window->input_width + x) * shape->input_channels;
                accumulator += tc_dot_s8(pixel, weights, depth);
            } else {
                accumulator += shape->input_zero_point * tc_total_s8(weights, depth);
            }
            weights += depth;
        }
    }
    return accumulator;
}

/* All output channels of a group, the first of which is `first_channel`, for one window at (top, left). */
TC_INLINE void tc_conv2d_group(const int8_t *input, int8_t *output, const int8_t *weights, const void *channels,
                               tc_finish *finish, int32_t first_channel, int32_t top, int32_t left,
                               const tc_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t kernel_size = window->kernel_height * window->kernel_width * depth;
    int32_t channel = 0;
    if (!shape->padded || tc_window_lies_inside(window, top, left)) {
        const int8_t *first = input + (top * window->input_width + left) * shape->input_channels;
        for (; channel < outputs / 4 * 4; channel += 4) {
            int32_t sums[4] = {0, 0, 0, 0};
            tc_conv2d_inside4(first, weights + channel * kernel_size, shape, sums);
            for (int32_t i = 0; i < 4; ++i) {
                output[channel + i] = (int8_t)finish(sums[i], channels, first_channel + channel + i, &shape->range);
            }
        }
    }
    for (; channel < outputs; ++channel) {
        const int32_t sum = tc_conv2d_accumulate(input, weights + channel * kernel_size, top, left, shape);
        output[channel] = (int8_t)finish(sum, channels, first_channel + channel, &shape->range);
    }
}

TC_INLINE void tc_conv2d_s8(const int8_t *input, int8_t *output, const int8_t *weights, const void *channels,
                            tc_finish *finish, const tc_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t group_size = outputs * window->kernel_height * window->kernel_width * depth;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const int32_t top = oy * window->stride_y - window->padding_top;
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const int32_t left = ox * window->stride_x - window->padding_left;
            for (int32_t group = 0; group < shape->groups; ++group) {
                tc_conv2d_group(input + group * depth, output, weights + group * group_size, channels, finish,
                                group * outputs, top, left, shape);
                output += outputs;
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
