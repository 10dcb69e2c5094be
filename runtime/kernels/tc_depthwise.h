/*
 * Depthwise 2-D convolution of int8 images: any kernel, stride, dilation, padding and channel multiplier.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8; channel c reads input channel c / multiplier
 * weights  [kernel_height][kernel_width][output_channels], int8
 * channels per output channel: bias with -input_zero_point * sum(weights) folded in, multiplier, shift
 *
 * Padding therefore reads as input_zero_point. Adding the bias wraps at 32 bits.
 * The arithmetic is that of tflite::reference_integer_ops::DepthwiseConvPerChannel.
 *
 * Pixels are computed row by row, and a channel of a pixel is written after its window was read.
 */
#ifndef TC_DEPTHWISE_H
#define TC_DEPTHWISE_H

#include <stdint.h>

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

/* The weighted sum of one window; `input` and `weights` point at the channel. */
static inline int32_t tc_depthwise_accumulate(const int8_t *input, const int8_t *weights, int32_t top, int32_t left,
                                              const tc_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    int32_t accumulator = 0;
    for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
        const int32_t y = top + ky * window->dilation_y;
        for (int32_t kx = 0; kx < window->kernel_width; ++kx) {
            const int32_t x = left + kx * window->dilation_x;
            const int32_t value = tc_window_holds(window, y, x)
                                      ? input[(y * window->input_width + x) * shape->input_channels]
                                      : shape->input_zero_point;
            accumulator += value * *weights;
            weights += shape->output_channels;
        }
    }
    return accumulator;
}

static inline void tc_depthwise_s8(const int8_t *input, int8_t *output, const int8_t *weights,
                                   const tc_channel *channels, const tc_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t multiplier = shape->output_channels / shape->input_channels;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const int32_t top = oy * window->stride_y - window->padding_top;
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const int32_t left = ox * window->stride_x - window->padding_left;
            for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                const tc_channel *parameters = channels + channel;
                const int32_t sum =
                    tc_depthwise_accumulate(input + channel / multiplier, weights + channel, top, left, shape);
                const int32_t accumulator = tc_wrapping_add(parameters->bias, sum);
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
