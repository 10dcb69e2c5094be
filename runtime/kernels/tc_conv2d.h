/*
 * 2-D convolution of int8 images: any kernel, stride, dilation, padding and number of groups.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * weights  [output_channels][kernel_height][kernel_width][input_channels / groups], int8
 * channels per output channel: bias with -input_zero_point * sum(weights) folded in, multiplier, shift
 *
 * Padding therefore reads as input_zero_point. Adding the bias wraps at 32 bits.
 * The arithmetic is that of tflite::reference_integer_ops::ConvPerChannel.
 *
 * Pixels are computed row by row, and a pixel is written after its window was read.
 */
#ifndef TC_CONV2D_H
#define TC_CONV2D_H

#include <stdint.h>

#include "kernels/tc_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_conv2d_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    int32_t input_zero_point;
    tc_output_range range;
} tc_conv2d_shape;

/* sum of a[i] * b[i] */
static inline int32_t tc_dot_s8(const int8_t *a, const int8_t *b, int32_t count)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* sum of a[i] */
static inline int32_t tc_weight_sum_s8(const int8_t *a, int32_t count)
{
    int32_t sum = 0;
    for (int32_t i = 0; i < count; ++i) {
        sum += a[i];
    }
    return sum;
}

/* The weighted sum of one window for one output channel; `input` points at the group's first channel. */
static inline int32_t tc_conv2d_accumulate(const int8_t *input, const int8_t *weights, int32_t top, int32_t left,
                                           const tc_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    int32_t accumulator = 0;
    for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
        const int32_t y = top + ky * window->dilation_y;
        for (int32_t kx = 0; kx < window->kernel_width; ++kx) {
            const int32_t x = left + kx * window->dilation_x;
            if (tc_window_holds(window, y, x)) {
                const int8_t *pixel = input + (y * window->input_width + x) * shape->input_channels;
                accumulator += tc_dot_s8(pixel, weights, depth);
            } else {
                accumulator += shape->input_zero_point * tc_weight_sum_s8(weights, depth);
            }
            weights += depth;
        }
    }
    return accumulator;
}

static inline void tc_conv2d_s8(const int8_t *input, int8_t *output, const int8_t *weights,
                                const tc_channel *channels, const tc_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t group_outputs = shape->output_channels / shape->groups;
    const int32_t kernel_size = window->kernel_height * window->kernel_width * depth;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const int32_t top = oy * window->stride_y - window->padding_top;
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const int32_t left = ox * window->stride_x - window->padding_left;
            for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                const tc_channel *parameters = channels + channel;
                const int8_t *group = input + channel / group_outputs * depth;
                const int8_t *kernel = weights + channel * kernel_size;
                const int32_t accumulator =
                    tc_wrapping_add(parameters->bias, tc_conv2d_accumulate(group, kernel, top, left, shape));
                *output++ = (int8_t)tc_requantize(accumulator, parameters->multiplier, parameters->shift,
                                                  &shape->range);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
