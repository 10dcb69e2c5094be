/* SPDX-License-Identifier: 0BSD */
/*
 * Gradients of layers' inputs whose int32 sums are never whole in memory: computed once for the exponent of them all, and
 * once more for their values, by the products of tc_input_products.h (two pixels at a time) and tc_depthwise_gradient.h (two
 * channels at a time). What a pixel, or a channel, needs of the layer's gradient is read before its values are written, so
 * these may be written where that was.
 */
#ifndef TC_GRADIENTS_IN_TWO_PASSES_H
#define TC_GRADIENTS_IN_TWO_PASSES_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_block_float.h"
#include "kernels/tc_depthwise_gradient.h"
#include "kernels/tc_gradient_products.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_input_products.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The sums of a pixel of a pointwise layer's input and of the one behind it: int32_t [2][depth]. Behind the last pixel there is
 * none, and what is in its place of no use. */
TC_INLINE void tc_sums_of_two_pixels(const int16_t *gradient, const int8_t *weights, const int16_t *mantissas,
                                     int32_t pixel, int32_t *sums, uint32_t *scaled, tc_products *products,
                                     const tc_input_products_shape *shape)
{
    const int32_t depth = (shape->input_channels + 3) / 4 * 4;
    const int32_t outputs = shape->output_channels;
    const int32_t pairs = (outputs + 1) / 2;
    const int8_t *const end = weights + (shape->paired ? 2 * pairs * depth : depth);
    const tc_products_job job = {scaled + 2 * pairs, end, tc_products_entry(pairs), 4 * depth, {0, 0}};
    gradient += pixel * outputs;
    tc_scale_position(gradient, mantissas, scaled, outputs, shape->shift);
    if (pixel + 1 < shape->window.input_width) {
        tc_scale_position(gradient + outputs, mantissas, scaled + 1, outputs, shape->shift);
    }
    for (int32_t i = 0; shape->paired && i < 2 * depth; ++i) {
        sums[i] = 0;
    }
    products(scaled, weights, sums, &job);
}

/* Of a pointwise layer; its pixels, two or more, are one row.
 * scratch: int32_t [2][depth], then two words for each pair of output channels. */
TC_INLINE void tc_pointwise_gradient_in_two_passes(const int16_t *gradient, const int32_t *exponent, const int8_t *weights,
                                                   int16_t *output, int32_t *output_exponent, const int16_t *mantissas,
                                                   void *scratch, tc_products *products,
                                                   const tc_input_products_shape *shape)
{
    const int32_t channels = shape->input_channels;
    const int32_t depth = (channels + 3) / 4 * 4;
    const int32_t pixels = shape->window.input_width;
    int32_t *const sums = (int32_t *)scratch;
    uint32_t *const scaled = (uint32_t *)(sums + 2 * depth);
    uint32_t bits = 0u;
    for (int32_t pixel = 0; pixel < pixels; pixel += 2) {
        tc_sums_of_two_pixels(gradient, weights, mantissas, pixel, sums, scaled, products, shape);
        bits |= tc_largest_bits(sums, pixel + 1 < pixels ? 2 * depth : depth);
    }
    const int32_t shift = tc_renormalizing_shift(bits, *exponent + shape->exponent_change, output_exponent);
    for (int32_t pixel = 0; pixel < pixels; pixel += 2, output += 2 * channels) {
        tc_sums_of_two_pixels(gradient, weights, mantissas, pixel, sums, scaled, products, shape);
        tc_gradient_values(sums, output, channels, shift);
        if (pixel + 1 < pixels) {
            tc_gradient_values(sums + depth, output + channels, channels, shift);
        }
    }
}

/* The sums of a channel of a depthwise convolution's input and of the one behind it: int32_t [input_height][input_width][2]. */
TC_INLINE void tc_sums_of_two_channels(const int16_t *gradient, const int8_t *weights, const int16_t *mantissas,
                                       int32_t channel, int32_t *sums, uint32_t *filters, uint32_t *plane,
                                       tc_beside *even, tc_beside *odd, const tc_depthwise_gradient_shape *shape)
{
    const int32_t width = shape->window.input_width;
    tc_scale_plane(gradient + channel, tc_load4(mantissas + channel), plane, shape);
    tc_expand_filters(weights + channel, filters, shape);
    for (int32_t y = 0; y < shape->window.input_height; ++y) {
        tc_depthwise_gradient_row(plane, filters, y, sums + y * width * 2, 2, even, odd, shape);
    }
}

/* Of a depthwise convolution. scratch: int32_t [input_height][input_width][2], then as in tc_depthwise_gradient.h. */
TC_INLINE void tc_depthwise_gradient_in_two_passes(const int16_t *gradient, const int32_t *exponent, const int8_t *weights,
                                                   int16_t *output, int32_t *output_exponent, const int16_t *mantissas,
                                                   void *scratch, tc_beside *even, tc_beside *odd,
                                                   const tc_depthwise_gradient_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t pixels = window->input_height * window->input_width;
    int32_t *const sums = (int32_t *)scratch;
    uint32_t *const filters = (uint32_t *)(sums + 2 * pixels);
    uint32_t *const plane = filters + window->kernel_height * window->kernel_width;
    uint32_t bits = 0u;
    for (int32_t i = 0; i < shape->rows * shape->columns; ++i) {
        plane[i] = 0u;
    }
    for (int32_t pair = 0; pair < shape->channels; pair += 2) {
        const int32_t channel = tc_min(pair, shape->channels - 2);
        tc_sums_of_two_channels(gradient, weights, mantissas, channel, sums, filters, plane, even, odd, shape);
        bits |= tc_largest_bits(sums, 2 * pixels);
    }
    const int32_t shift = tc_renormalizing_shift(bits, *exponent + shape->exponent_change, output_exponent);
    for (int32_t pair = 0; pair < shape->channels; pair += 2) {
        const int32_t channel = tc_min(pair, shape->channels - 2);
        tc_sums_of_two_channels(gradient, weights, mantissas, channel, sums, filters, plane, even, odd, shape);
        for (int32_t i = 0; i < pixels; ++i) {
            tc_gradient_values(sums + 2 * i, output + i * shape->channels + channel, 2, shift);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
