/* SPDX-License-Identifier: 0BSD */
/*
 * Training of convolutions and fully connected layers: the forward pass on weights and biases in RAM, and gradients of
 * input, weights and bias. A fully connected layer is a convolution of one position; its rows are those of an image.
 *
 * input     [input_height][input_width][input_channels], int8
 * output    [output_height][output_width][output_channels], int8; its gradient int16
 * weights   [output_channels][kernel_height][kernel_width][input_channels / groups], int8, or of a depthwise convolution
 *           [kernel_height][kernel_width][output_channels]
 *
 * What is in the padding is 0: inputs are taken minus their zero point.
 */
#ifndef TC_LAYER_GRADIENTS_H
#define TC_LAYER_GRADIENTS_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_block_float.h"
#include "kernels/tc_descent.h"
#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_layer_geometry {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    int32_t depthwise; /* whether the weights are a depthwise convolution's */
    int32_t input_zero_point;
    tc_output_range range;   /* of the forward pass */
    int32_t shift;           /* of a scaled or narrowed gradient */
    int32_t exponent_change; /* from the gradient to what is computed of it */
    int32_t one_scale;       /* whether all output channels have the same mantissa */
    int32_t bias_limit;      /* of the forward pass */
} tc_layer_geometry;

/* The forward pass; `bias` may be null. */
TC_INLINE void tc_trained_convolution(const int8_t *input, const int8_t *weights, const int32_t *bias, int8_t *output,
                                      const void *channels, tc_finish *finish, const tc_layer_geometry *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t own = shape->output_channels / shape->groups;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                const int8_t *first = input + channel / own * depth;
                int32_t sum = 0;
                for (int32_t j = 0; j < rows.count; ++j) {
                    const int32_t y = rows.position + j * window->dilation_y;
                    for (int32_t i = 0; i < columns.count; ++i) {
                        const int32_t x = columns.position + i * window->dilation_x;
                        const int32_t tap = (rows.first + j) * window->kernel_width + columns.first + i;
                        const int8_t *pixel = first + (y * window->input_width + x) * shape->input_channels;
                        const int32_t size = window->kernel_height * window->kernel_width;
                        const int8_t *filter = shape->depthwise ? weights + tap * shape->output_channels + channel
                                                                : weights + (channel * size + tap) * depth;
                        for (int32_t k = 0; k < depth; ++k) {
                            sum += (pixel[k] - shape->input_zero_point) * filter[k];
                        }
                    }
                }
                const int32_t limit = shape->bias_limit;
                const int32_t added = bias == NULL ? 0 : tc_clamp(bias[channel], -limit, limit);
                const int32_t accumulator = tc_wrapping_add(sum, added);
                *output++ = (int8_t)finish(accumulator, channels, channel, &shape->range);
            }
        }
    }
}

/* Adds to the sums of a pixel's channels what one tap of all output channels does. */
TC_INLINE void tc_add_transposed(const int16_t *gradient, const int8_t *weights, int32_t tap, int32_t *sums,
                                 const tc_layer_geometry *shape)
{
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t own = shape->output_channels / shape->groups;
    const int32_t size = shape->window.kernel_height * shape->window.kernel_width;
    for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
        const int32_t value = gradient[channel];
        int32_t *to = sums + channel / own * depth;
        const int8_t *filter = shape->depthwise ? weights + tap * shape->output_channels + channel
                                                : weights + (channel * size + tap) * depth;
        for (int32_t k = 0; k < depth; ++k) {
            to[k] += value * filter[k];
        }
    }
}

/* The gradient of a position's outputs times their scales. */
TC_INLINE void tc_scale_outputs(const int16_t *gradient, const int16_t *mantissas, int16_t *scaled,
                                const tc_layer_geometry *shape)
{
    for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
        const int32_t mantissa = mantissas[shape->one_scale ? 0 : channel];
        scaled[channel] = (int16_t)tc_scaled_gradient(gradient[channel], mantissa, shape->shift);
    }
}

/* scratch: int32_t [input], int16_t [output_channels]. */
TC_INLINE void tc_input_gradient(const int16_t *gradient, const int32_t *exponent, const int8_t *weights,
                                 int16_t *output, int32_t *output_exponent, const int16_t *mantissas, void *scratch,
                                 const tc_layer_geometry *shape)
{
    const tc_window *window = &shape->window;
    const int32_t inputs = window->input_height * window->input_width * shape->input_channels;
    int32_t *sums = (int32_t *)scratch;
    int16_t *scaled = (int16_t *)(sums + inputs);
    for (int32_t i = 0; i < inputs; ++i) {
        sums[i] = 0;
    }
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            tc_scale_outputs(gradient, mantissas, scaled, shape);
            gradient += shape->output_channels;
            for (int32_t j = 0; j < rows.count; ++j) {
                const int32_t y = rows.position + j * window->dilation_y;
                for (int32_t i = 0; i < columns.count; ++i) {
                    const int32_t x = columns.position + i * window->dilation_x;
                    const int32_t tap = (rows.first + j) * window->kernel_width + columns.first + i;
                    tc_add_transposed(scaled, weights, tap,
                                      sums + (y * window->input_width + x) * shape->input_channels, shape);
                }
            }
        }
    }
    tc_renormalize(sums, output, inputs, *exponent + shape->exponent_change, output_exponent);
}

/* The row of the output that row `ky` of a window makes of a row of the input; -1 if there is none. */
TC_INLINE int32_t tc_output_row(int32_t row, int32_t ky, const tc_window *window)
{
    const int32_t distance = row + window->padding_top - ky * window->dilation_y;
    const int32_t oy = distance / window->stride_y;
    return distance < 0 || distance % window->stride_y != 0 || oy >= window->output_height ? -1 : oy;
}

/* Adds to the sums of a row of the input what row `ky` of the windows does, by a row of the output's gradient. */
TC_INLINE void tc_add_gradient_row(const int16_t *gradient, const int8_t *weights, const int16_t *mantissas, int32_t ky,
                                   int32_t *sums, int16_t *scaled, const tc_layer_geometry *shape)
{
    const tc_window *window = &shape->window;
    for (int32_t ox = 0; ox < window->output_width; ++ox) {
        const tc_taps columns = tc_window_columns(window, ox);
        tc_scale_outputs(gradient, mantissas, scaled, shape);
        gradient += shape->output_channels;
        for (int32_t i = 0; i < columns.count; ++i) {
            const int32_t x = columns.position + i * window->dilation_x;
            tc_add_transposed(scaled, weights, ky * window->kernel_width + columns.first + i,
                              sums + x * shape->input_channels, shape);
        }
    }
}

/* The sums of a row of the input; `scaled` has room for the output channels. */
TC_INLINE void tc_input_gradient_row(const int16_t *gradient, const int8_t *weights, const int16_t *mantissas,
                                     int32_t row, int32_t *sums, int16_t *scaled, const tc_layer_geometry *shape)
{
    const tc_window *window = &shape->window;
    for (int32_t i = 0; i < window->input_width * shape->input_channels; ++i) {
        sums[i] = 0;
    }
    for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
        const int32_t oy = tc_output_row(row, ky, window);
        if (oy >= 0) {
            const int16_t *from = gradient + oy * window->output_width * shape->output_channels;
            tc_add_gradient_row(from, weights, mantissas, ky, sums, scaled, shape);
        }
    }
}

/* The same result row by row, all of it computed twice: first for the exponent. scratch: int32_t [a row of the input],
 * int16_t [output_channels]. */
TC_INLINE void tc_input_gradient_by_rows(const int16_t *gradient, const int32_t *exponent, const int8_t *weights,
                                         int16_t *output, int32_t *output_exponent, const int16_t *mantissas,
                                         void *scratch, const tc_layer_geometry *shape)
{
    const tc_window *window = &shape->window;
    const int32_t count = window->input_width * shape->input_channels;
    int32_t *sums = (int32_t *)scratch;
    int16_t *scaled = (int16_t *)(sums + count);
    uint32_t bits = 0u;
    for (int32_t row = 0; row < window->input_height; ++row) {
        tc_input_gradient_row(gradient, weights, mantissas, row, sums, scaled, shape);
        bits |= tc_largest_bits(sums, count);
    }
    const int32_t shift = tc_renormalizing_shift(bits, *exponent + shape->exponent_change, output_exponent);
    for (int32_t row = 0; row < window->input_height; ++row) {
        tc_input_gradient_row(gradient, weights, mantissas, row, sums, scaled, shape);
        for (int32_t i = 0; i < count; ++i) {
            *output++ = tc_gradient_value(sums[i], shift);
        }
    }
}

/* Adds to the sums of one tap's weights what a position does. */
TC_INLINE void tc_add_correlated(const int16_t *gradient, const int8_t *pixel, int32_t tap, int32_t *sums,
                                 const tc_layer_geometry *shape)
{
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t own = shape->output_channels / shape->groups;
    const int32_t size = shape->window.kernel_height * shape->window.kernel_width;
    for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
        const int32_t value = tc_shift_right_rounded(gradient[channel], shape->shift);
        const int8_t *from = pixel + channel / own * depth;
        int32_t *to = shape->depthwise ? sums + tap * shape->output_channels + channel
                                       : sums + (channel * size + tap) * depth;
        for (int32_t k = 0; k < depth; ++k) {
            to[k] += value * (from[k] - shape->input_zero_point);
        }
    }
}

TC_INLINE void tc_weight_gradient(const int16_t *gradient, const int32_t *exponent, const int8_t *input, int32_t *sums,
                                  int32_t *sums_exponent, const tc_layer_geometry *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t weights = window->kernel_height * window->kernel_width * shape->output_channels * depth;
    for (int32_t i = 0; i < weights; ++i) {
        sums[i] = 0;
    }
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            for (int32_t j = 0; j < rows.count; ++j) {
                const int32_t y = rows.position + j * window->dilation_y;
                for (int32_t i = 0; i < columns.count; ++i) {
                    const int32_t x = columns.position + i * window->dilation_x;
                    const int32_t tap = (rows.first + j) * window->kernel_width + columns.first + i;
                    tc_add_correlated(gradient, input + (y * window->input_width + x) * shape->input_channels, tap,
                                      sums, shape);
                }
            }
            gradient += shape->output_channels;
        }
    }
    *sums_exponent = *exponent + shape->exponent_change;
}

/* Where a layer's weights are, and what is trained of them. */
typedef struct tc_weight_update_shape {
    tc_layer_geometry layer;
    int32_t one_unit; /* whether all output channels have the same */
} tc_weight_update_shape;

/* The sums of one output channel's weights, over all positions. */
TC_INLINE void tc_filter_gradient(const int16_t *gradient, const int8_t *input, int32_t channel, int32_t *sums,
                                  const tc_layer_geometry *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int8_t *first = input + channel / (shape->output_channels / shape->groups) * depth;
    for (int32_t i = 0; i < window->kernel_height * window->kernel_width * depth; ++i) {
        sums[i] = 0;
    }
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            const int32_t at = (oy * window->output_width + ox) * shape->output_channels + channel;
            const int32_t value = tc_shift_right_rounded(gradient[at], shape->shift);
            if (value == 0) {
                continue; /* clamped outputs are many */
            }
            for (int32_t j = 0; j < rows.count; ++j) {
                const int32_t y = rows.position + j * window->dilation_y;
                for (int32_t i = 0; i < columns.count; ++i) {
                    const int32_t x = columns.position + i * window->dilation_x;
                    const int8_t *pixel = first + (y * window->input_width + x) * shape->input_channels;
                    int32_t *to = sums + ((rows.first + j) * window->kernel_width + columns.first + i) * depth;
                    for (int32_t k = 0; k < depth; ++k) {
                        to[k] += value * (pixel[k] - shape->input_zero_point);
                    }
                }
            }
        }
    }
}

/*
 * The gradient of a layer's weights and their step of descent, one output channel after the other: no memory for all sums.
 * scratch: int32_t [the weights of an output channel]. The output is the parameter's memory, or apart.
 */
TC_INLINE void tc_weight_update(const int16_t *gradient, const int32_t *exponent, const int8_t *input,
                                const int16_t *parameter, const int32_t *rate, int16_t *output,
                                const tc_descent_unit *units, void *scratch, const tc_weight_update_shape *update)
{
    const tc_layer_geometry *shape = &update->layer;
    const tc_window *window = &shape->window;
    const int32_t size = window->kernel_height * window->kernel_width * (shape->input_channels / shape->groups);
    /* Of a depthwise convolution, weights of an output channel are as far apart as there are channels. */
    const int32_t apart = shape->depthwise ? shape->output_channels : 1;
    int32_t *sums = (int32_t *)scratch;
    for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
        const tc_descent_unit *unit = &units[update->one_unit ? 0 : channel];
        const int32_t factor = unit->mantissa * rate[0];
        const int32_t shift = -(unit->exponent + rate[1] + *exponent + shape->exponent_change);
        const int32_t first = shape->depthwise ? channel : channel * size;
        tc_filter_gradient(gradient, input, channel, sums, shape);
        for (int32_t i = 0; i < size; ++i) {
            const int32_t at = first + i * apart;
            output[at] = (int16_t)tc_descended(parameter[at], sums[i], factor, shift, -TC_MASTER_LIMIT,
                                               TC_MASTER_LIMIT - 1);
        }
    }
}

typedef struct tc_bias_gradient_shape {
    int32_t positions;
    int32_t channels;
    int32_t shift;
} tc_bias_gradient_shape;

/* Pairs of channels where nothing is narrowed: a word of two values at a time. */
TC_INLINE void tc_bias_gradient(const int16_t *gradient, const int32_t *exponent, int32_t *sums, int32_t *sums_exponent,
                                const tc_bias_gradient_shape *shape)
{
    int32_t channel = 0;
#if TC_DSP
    for (; shape->shift == 0 && channel + 2 <= shape->channels; channel += 2) {
        int32_t low = 0;
        int32_t high = 0;
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
        for (int32_t i = 0; i < shape->positions; ++i) {
            const uint32_t two = tc_load4(gradient + i * shape->channels + channel);
            low += tc_low(two);
            high += tc_high(two);
        }
        sums[channel] = low;
        sums[channel + 1] = high;
    }
#endif
    for (; channel < shape->channels; ++channel) {
        int32_t sum = 0;
        for (int32_t i = 0; i < shape->positions; ++i) {
            sum += tc_shift_right_rounded(gradient[i * shape->channels + channel], shape->shift);
        }
        sums[channel] = sum;
    }
    *sums_exponent = *exponent + shape->shift;
}

#ifdef __cplusplus
}
#endif

#endif
