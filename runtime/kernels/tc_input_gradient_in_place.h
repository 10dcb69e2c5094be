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
        const int32_t oy = tc_output_row(row, ky, window);
        if (oy >= 0) {
            const int16_t *from = oy < replaced ? lines + oy % shape->kept * count : gradient + oy * count;
            tc_add_gradient_row(from, weights, mantissas, ky, sums, scaled, layer);
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
    uint32_t bits = 0u;
    for (int32_t row = 0; row < layer->window.input_height; ++row) {
        tc_in_place_row(gradient, lines, weights, mantissas, row, 0, sums, scaled, shape);
        bits |= tc_largest_bits(sums, count);
    }
    const int32_t shift = tc_renormalizing_shift(bits, *exponent + layer->exponent_change, output_exponent);
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
