/* SPDX-License-Identifier: 0BSD */
/*
 * What is computed of the gradient of a layer's input that is never whole in memory: its rows are computed again for every
 * use, first for their exponent. The input's clamped values have no gradient: `mask` has a bit for each, the first in the
 * lowest bit of a byte.
 */
#ifndef TC_RECOMPUTED_GRADIENTS_H
#define TC_RECOMPUTED_GRADIENTS_H

#include <stdint.h>

#include "kernels/tc_block_float.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_layer_gradients.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A gradient that is computed row by row.
 *
 * sums: int32_t [a row of the input], also the row's values once they are gradients; scaled: int16_t [output_channels]. */
typedef struct tc_recomputed {
    const int16_t *gradient;
    const int8_t *weights;
    const int16_t *mantissas;
    const uint8_t *mask;
    int32_t *sums;
    int16_t *scaled;
    const tc_layer_geometry *layer;
} tc_recomputed;

TC_INLINE int32_t tc_recomputed_count(const tc_recomputed *from)
{
    return from->layer->window.input_width * from->layer->input_channels;
}

/* The shift that gives the gradient's values their 15 bits. */
TC_INLINE int32_t tc_recomputed_shift(const tc_recomputed *from, int32_t exponent, int32_t *found)
{
    const int32_t count = tc_recomputed_count(from);
    uint32_t bits = 0u;
    for (int32_t row = 0; row < from->layer->window.input_height; ++row) {
        tc_input_gradient_row(from->gradient, from->weights, from->mantissas, row, from->sums, from->scaled, from->layer);
        bits |= tc_largest_bits(from->sums, count);
    }
    return tc_renormalizing_shift(bits, exponent + from->layer->exponent_change, found);
}

/* A row of the gradient's values, each in the place of its sum. */
TC_INLINE void tc_recomputed_row(const tc_recomputed *from, int32_t row, int32_t shift)
{
    const int32_t count = tc_recomputed_count(from), first = row * count;
    tc_input_gradient_row(from->gradient, from->weights, from->mantissas, row, from->sums, from->scaled, from->layer);
    for (int32_t i = 0; i < count; ++i) {
        const int32_t bit = first + i;
        from->sums[i] = (from->mask[bit >> 3] >> (bit & 7)) & 1 ? tc_gradient_value(from->sums[i], shift) : 0;
    }
}

/* The gradient of the bias of the layer in front, whose outputs the gradient is of: sums over all positions.
 * scratch: int32_t [a row of the input], int16_t [output_channels]. */
TC_INLINE void tc_recomputed_bias_gradient(const int16_t *gradient, const int32_t *exponent, const int8_t *weights,
                                           const uint8_t *mask, int32_t *sums, int32_t *sums_exponent,
                                           const int16_t *mantissas, void *scratch, const tc_layer_geometry *layer,
                                           const tc_bias_gradient_shape *bias)
{
    int32_t *row_sums = (int32_t *)scratch;
    tc_recomputed from = {gradient, weights, mantissas, mask, row_sums, NULL, layer};
    const int32_t count = tc_recomputed_count(&from);
    from.scaled = (int16_t *)(row_sums + count);
    int32_t found;
    const int32_t shift = tc_recomputed_shift(&from, *exponent, &found);
    for (int32_t channel = 0; channel < bias->channels; ++channel) {
        sums[channel] = 0;
    }
    for (int32_t row = 0; row < layer->window.input_height; ++row) {
        tc_recomputed_row(&from, row, shift);
        for (int32_t i = 0; i < count; i += bias->channels) {
            for (int32_t channel = 0; channel < bias->channels; ++channel) {
                sums[channel] += tc_shift_right_rounded(row_sums[i + channel], bias->shift);
            }
        }
    }
    *sums_exponent = found + bias->shift;
}

/* A row of the sums of the gradient of a pointwise layer's input; `row` has its output's gradient. */
TC_INLINE void tc_pointwise_input_gradient_row(const int32_t *row, const int8_t *weights, const int16_t *mantissas,
                                               int32_t *sums, const tc_layer_geometry *shape)
{
    for (int32_t x = 0; x < shape->window.input_width; ++x) {
        for (int32_t k = 0; k < shape->input_channels; ++k) {
            sums[k] = 0;
        }
        for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
            if (row[channel] == 0) {
                continue; /* clamped outputs are many */
            }
            const int32_t value =
                tc_scaled_gradient(row[channel], mantissas[shape->one_scale ? 0 : channel], shape->shift);
            const int8_t *filter = weights + channel * shape->input_channels;
            for (int32_t k = 0; k < shape->input_channels; ++k) {
                sums[k] += value * filter[k];
            }
        }
        row += shape->output_channels;
        sums += shape->input_channels;
    }
}

/* The gradient of the input of a pointwise layer in front, whose output's gradient it is. `weights` and `mantissas` are that
 * layer's.
 * scratch: int32_t [a row of the input], int32_t [a row of the pointwise layer's input], int16_t [output_channels]. */
TC_INLINE void tc_recomputed_input_gradient(const int16_t *gradient, const int32_t *exponent, const int8_t *from_weights,
                                            const uint8_t *mask, const int8_t *weights, int16_t *output,
                                            int32_t *output_exponent, const int16_t *from_mantissas,
                                            const int16_t *mantissas, void *scratch, const tc_layer_geometry *layer,
                                            const tc_layer_geometry *pointwise)
{
    int32_t *row_sums = (int32_t *)scratch;
    tc_recomputed from = {gradient, from_weights, from_mantissas, mask, row_sums, NULL, layer};
    int32_t *sums = row_sums + tc_recomputed_count(&from);
    const int32_t count = pointwise->window.input_width * pointwise->input_channels;
    from.scaled = (int16_t *)(sums + count);
    int32_t found;
    const int32_t from_shift = tc_recomputed_shift(&from, *exponent, &found);
    uint32_t bits = 0u;
    for (int32_t row = 0; row < layer->window.input_height; ++row) {
        tc_recomputed_row(&from, row, from_shift);
        tc_pointwise_input_gradient_row(row_sums, weights, mantissas, sums, pointwise);
        bits |= tc_largest_bits(sums, count);
    }
    const int32_t shift = tc_renormalizing_shift(bits, found + pointwise->exponent_change, output_exponent);
    for (int32_t row = 0; row < layer->window.input_height; ++row) {
        tc_recomputed_row(&from, row, from_shift);
        tc_pointwise_input_gradient_row(row_sums, weights, mantissas, sums, pointwise);
        for (int32_t i = 0; i < count; ++i) {
            *output++ = tc_gradient_value(sums[i], shift);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
