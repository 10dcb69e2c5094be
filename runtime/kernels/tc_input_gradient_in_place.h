/* SPDX-License-Identifier: 0BSD */
/*
 * The gradient of a layer's input in the memory of that of its output, where both have the same shape. Each row of the result
 * replaces one of the output's gradient, of which those that are still to be read are kept.
 */
#ifndef TC_INPUT_GRADIENT_IN_PLACE_H
#define TC_INPUT_GRADIENT_IN_PLACE_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_block_float.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_layer_gradients.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_in_place_shape {
    tc_layer_geometry layer;
    int32_t kept; /* rows in front of the present one that are read again */
} tc_in_place_shape;

/* The sums of a row of the input. Rows of the output's gradient in front of `replaced` are in `lines`, a ring. */
TC_INLINE void tc_in_place_row(const int16_t *gradient, const int16_t *lines, const int8_t *weights,
                               const int16_t *mantissas, int32_t row, int32_t replaced, int32_t *sums, int16_t *scaled,
                               const tc_in_place_shape *shape)
{
    const tc_layer_geometry *layer = &shape->layer;
    const tc_window *window = &layer->window;
    const int32_t count = window->input_width * layer->input_channels;
    for (int32_t i = 0; i < count; ++i) {
        sums[i] = 0;
    }
    for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
        const int32_t oy = row + window->padding_top - ky * window->dilation_y;
        if (oy < 0 || oy >= window->output_height) {
            continue;
        }
        const int16_t *from = oy < replaced ? lines + oy % shape->kept * count : gradient + oy * count;
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            for (int32_t channel = 0; channel < layer->output_channels; ++channel) {
                const int32_t mantissa = mantissas[layer->one_scale ? 0 : channel];
                scaled[channel] = (int16_t)tc_scaled_gradient(*from++, mantissa, layer->shift);
            }
            for (int32_t i = 0; i < columns.count; ++i) {
                const int32_t x = columns.position + i * window->dilation_x;
                tc_add_transposed(scaled, weights, ky * window->kernel_width + columns.first + i,
                                  sums + x * layer->input_channels, layer);
            }
        }
    }
}

/* The result may be the gradient's memory. All of it is computed twice: first for the exponent.
 * scratch: int32_t [a row], int16_t [kept][a row], int16_t [output_channels]. */
TC_INLINE void tc_input_gradient_in_place(const int16_t *gradient, const int32_t *exponent, const int8_t *weights,
                                          int16_t *output, int32_t *output_exponent, const int16_t *mantissas,
                                          void *scratch, const tc_in_place_shape *shape)
{
    const tc_layer_geometry *layer = &shape->layer;
    const int32_t count = layer->window.input_width * layer->input_channels;
    int32_t *sums = (int32_t *)scratch;
    int16_t *lines = (int16_t *)(sums + count);
    int16_t *scaled = lines + shape->kept * count;
    uint32_t largest = 0u;
    for (int32_t row = 0; row < layer->window.input_height; ++row) {
        tc_in_place_row(gradient, lines, weights, mantissas, row, 0, sums, scaled, shape);
        for (int32_t i = 0; i < count; ++i) {
            const uint32_t own = tc_magnitude(sums[i]);
            largest = own > largest ? own : largest;
        }
    }
    const int32_t shift = tc_renormalizing_shift(largest, *exponent + layer->exponent_change, output_exponent);
    for (int32_t row = 0; row < layer->window.input_height; ++row) {
        tc_in_place_row(gradient, lines, weights, mantissas, row, shape->kept > 0 ? row : 0, sums, scaled, shape);
        if (shape->kept > 0) {
            memcpy(lines + row % shape->kept * count, gradient + row * count, 2u * (uint32_t)count);
        }
        for (int32_t i = 0; i < count; ++i) {
            output[row * count + i] = tc_gradient_value(sums[i], shift);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
