/* SPDX-License-Identifier: 0BSD */
/*
 * Layers whose int8 weights are never whole in memory: those of an output channel, or of one of its taps, are rounded from
 * the int16 master weights when they are needed.
 *
 * Along the last axis of the weights the first `trained` are in `master`, those behind it, if any, in `others`.
 */
#ifndef TC_MASTER_WEIGHTS_H
#define TC_MASTER_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/tc_block_float.h"
#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_layer_gradients.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_master_weights_shape {
    tc_layer_geometry layer;
    int32_t trained;
    int32_t others;
} tc_master_weights_shape;

/* The weights of a tap of an output channel: input channels of its group, or one weight of a depthwise convolution. */
TC_INLINE void tc_round_tap(const int16_t *master, const int8_t *others, int32_t channel, int32_t tap, int8_t *filter,
                            const tc_master_weights_shape *shape)
{
    const tc_window *window = &shape->layer.window;
    const int32_t taps = window->kernel_height * window->kernel_width;
    if (shape->layer.depthwise) {
        const int32_t behind = channel - shape->trained;
        *filter = behind < 0 ? (int8_t)tc_shift_right_rounded(master[tap * shape->trained + channel], 8)
                             : others[tap * shape->others + behind];
        return;
    }
    const int32_t row = channel * taps + tap;
    for (int32_t i = 0; i < shape->trained; ++i) {
        filter[i] = (int8_t)tc_shift_right_rounded(master[row * shape->trained + i], 8);
    }
    for (int32_t i = 0; i < shape->others; ++i) {
        filter[shape->trained + i] = others[row * shape->others + i];
    }
}

/* The forward pass; `bias` and `others` may be null.
 * scratch: int8_t [the weights of an output channel]. */
TC_INLINE void tc_convolution_of_master(const int16_t *master, const int8_t *others, const int8_t *input,
                                        const int32_t *bias, int8_t *output, const void *channels, void *scratch,
                                        tc_finish *finish, const tc_master_weights_shape *shape)
{
    const tc_layer_geometry *layer = &shape->layer;
    const tc_window *window = &layer->window;
    const int32_t taps = window->kernel_height * window->kernel_width;
    const int32_t depth = layer->input_channels / layer->groups;
    const int32_t own = layer->output_channels / layer->groups;
    int8_t *filters = (int8_t *)scratch;
    for (int32_t channel = 0; channel < layer->output_channels; ++channel) {
        const int8_t *first = input + channel / own * depth;
        int8_t *to = output + channel;
        for (int32_t tap = 0; tap < taps; ++tap) {
            tc_round_tap(master, others, channel, tap, filters + tap * depth, shape);
        }
        for (int32_t oy = 0; oy < window->output_height; ++oy) {
            const tc_taps rows = tc_window_rows(window, oy);
            for (int32_t ox = 0; ox < window->output_width; ++ox) {
                const tc_taps columns = tc_window_columns(window, ox);
                int32_t sum = bias == NULL ? 0 : tc_clamp(bias[channel], -layer->bias_limit, layer->bias_limit);
                for (int32_t j = 0; j < rows.count; ++j) {
                    const int32_t y = rows.position + j * window->dilation_y;
                    for (int32_t i = 0; i < columns.count; ++i) {
                        const int32_t x = columns.position + i * window->dilation_x;
                        const int8_t *pixel = first + (y * window->input_width + x) * layer->input_channels;
                        const int8_t *filter =
                            filters + ((rows.first + j) * window->kernel_width + columns.first + i) * depth;
                        int32_t part = 0;
                        for (int32_t k = 0; k < depth; ++k) {
                            part += (pixel[k] - layer->input_zero_point) * filter[k];
                        }
                        sum = tc_wrapping_add(sum, part);
                    }
                }
                *to = (int8_t)finish(sum, channels, channel, &layer->range);
                to += layer->output_channels;
            }
        }
    }
}

/* Adds to the sums of a row of the input what a tap of an output channel does, by a row of the output's gradient. */
TC_INLINE void tc_add_tap_to_row(const int16_t *gradient, int32_t channel, int32_t column, const int8_t *filter,
                                 int32_t mantissa, int32_t *sums, const tc_layer_geometry *layer)
{
    const tc_window *window = &layer->window;
    const int32_t depth = layer->input_channels / layer->groups;
    sums += channel / (layer->output_channels / layer->groups) * depth;
    for (int32_t ox = 0; ox < window->output_width; ++ox) {
        const int32_t x = ox * window->stride_x - window->padding_left + column * window->dilation_x;
        const int32_t value =
            tc_scaled_gradient(gradient[ox * layer->output_channels + channel], mantissa, layer->shift);
        if (value == 0 || x < 0 || x >= window->input_width) {
            continue; /* clamped outputs are many */
        }
        int32_t *to = sums + x * layer->input_channels;
        for (int32_t k = 0; k < depth; ++k) {
            to[k] += value * filter[k];
        }
    }
}

/* The sums of a row of the input. scratch: int8_t [input channels of a group]. */
TC_INLINE void tc_input_gradient_row_of_master(const int16_t *master, const int8_t *others, const int16_t *gradient,
                                               const int16_t *mantissas, int32_t row, int32_t *sums, int8_t *filter,
                                               const tc_master_weights_shape *shape)
{
    const tc_layer_geometry *layer = &shape->layer;
    const tc_window *window = &layer->window;
    for (int32_t i = 0; i < window->input_width * layer->input_channels; ++i) {
        sums[i] = 0;
    }
    for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
        const int32_t oy = tc_output_row(row, ky, window);
        if (oy < 0) {
            continue;
        }
        const int16_t *from = gradient + oy * window->output_width * layer->output_channels;
        for (int32_t channel = 0; channel < layer->output_channels; ++channel) {
            const int32_t mantissa = mantissas[layer->one_scale ? 0 : channel];
            for (int32_t kx = 0; kx < window->kernel_width; ++kx) {
                tc_round_tap(master, others, channel, ky * window->kernel_width + kx, filter, shape);
                tc_add_tap_to_row(from, channel, kx, filter, mantissa, sums, layer);
            }
        }
    }
}

/* The gradient of the input row by row, all of it computed twice: first for the exponent; `others` may be null.
 * scratch: int32_t [a row of the input], int8_t [input channels of a group]. */
TC_INLINE void tc_input_gradient_of_master(const int16_t *master, const int8_t *others, const int16_t *gradient,
                                           const int32_t *exponent, int16_t *output, int32_t *output_exponent,
                                           const int16_t *mantissas, void *scratch,
                                           const tc_master_weights_shape *shape)
{
    const tc_window *window = &shape->layer.window;
    const int32_t count = window->input_width * shape->layer.input_channels;
    int32_t *sums = (int32_t *)scratch;
    int8_t *filter = (int8_t *)(sums + count);
    uint32_t bits = 0u;
    for (int32_t row = 0; row < window->input_height; ++row) {
        tc_input_gradient_row_of_master(master, others, gradient, mantissas, row, sums, filter, shape);
        bits |= tc_largest_bits(sums, count);
    }
    const int32_t change = shape->layer.exponent_change;
    const int32_t shift = tc_renormalizing_shift(bits, *exponent + change, output_exponent);
    for (int32_t row = 0; row < window->input_height; ++row) {
        tc_input_gradient_row_of_master(master, others, gradient, mantissas, row, sums, filter, shape);
        for (int32_t i = 0; i < count; ++i) {
            *output++ = tc_gradient_value(sums[i], shift);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
