/* SPDX-License-Identifier: 0BSD */
/*
 * Gradients of layers' inputs (tc_layer_gradients.h) by products of two positions at a time (tc_gradient_products.h).
 *
 * gradient   [output_height][output_width][output_channels], int16
 * weights    per tap of the window, as tc_add_paired_products wants them: rows are output channels, an even number, filled
 *            up with zeros, of input channels filled up to a multiple of 4; or of a window of one pixel as the layer has
 *            them, where these numbers are such
 * mantissas  int16 for each of these rows
 * scratch    int32_t [input_height][input_width][depth], then [depth], then a word for each of these rows; depth is that
 *            multiple of 4
 */
#ifndef TC_INPUT_PRODUCTS_H
#define TC_INPUT_PRODUCTS_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_block_float.h"
#include "kernels/tc_gradient_products.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A layer as the gradient of its input takes it: one of a pixel without padding may be a row of all its positions. */
typedef struct tc_input_products_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t shift; /* of a scaled gradient */
    int32_t exponent_change;
    int32_t paired; /* whether weights are rearranged */
} tc_input_products_shape;

/* The scaled gradient of so many channels of a position to every second word. */
TC_INLINE void tc_scale_position(const int16_t *gradient, const int16_t *mantissas, uint32_t *scaled, int32_t channels,
                                 int32_t shift)
{
    const int32_t half = (int32_t)1 << (shift - 1);
    int32_t k = 0;
    for (; k + 2 <= channels; k += 2, scaled += 2) {
        const uint32_t values = tc_load4(gradient + k);
        const uint32_t factors = tc_load4(mantissas + k);
        *scaled = tc_shifted_lanes(tc_smlabb(values, factors, half), tc_smlatt(values, factors, half), shift);
    }
    if (k < channels) {
        *scaled = (uint32_t)((gradient[k] * mantissas[k] + half) >> shift) & 0xFFFFu;
    }
}

/* tc_add_paired_products of one column. */
static TC_NOINLINE void tc_add_paired_column(const uint32_t *gradients, const int8_t *bytes, int32_t *sums,
                                             const tc_products_job *job)
{
    for (; bytes != job->bytes_end; sums += 4) {
        int32_t a = sums[0];
        int32_t b = sums[1];
        int32_t c = sums[2];
        int32_t d = sums[3];
        for (const uint32_t *pair = gradients; pair != job->gradients_end; pair += 2, bytes += 8) {
            const uint32_t low = tc_load4(bytes);
            const uint32_t high = tc_load4(bytes + 4);
            a = tc_smlad(tc_sxtb16(low, 0), *pair, a);
            b = tc_smlad(tc_sxtb16(low, 8), *pair, b);
            c = tc_smlad(tc_sxtb16(high, 0), *pair, c);
            d = tc_smlad(tc_sxtb16(high, 8), *pair, d);
        }
        sums[0] = a;
        sums[1] = b;
        sums[2] = c;
        sums[3] = d;
    }
}

/* What a pair of positions, `x` and the one beside it, adds to the sums of a row of pixels through a row of the window.
 * `products` finds those of weights as they are, or is tc_add_paired_products. */
TC_INLINE void tc_add_window_row(const uint32_t *scaled, const int8_t *weights, int32_t *row, int32_t *unwanted, int32_t x,
                                 int32_t pairs, int32_t depth, tc_products *products,
                                 const tc_input_products_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t size = 2 * pairs * depth; /* of a tap's weights */
    const int32_t beside = x + 1 < window->output_width;
    for (int32_t i = 0; i < window->kernel_width; ++i, weights += size) {
        const int32_t first = x * window->stride_x - window->padding_left + i * window->dilation_x;
        const int32_t second = first + window->stride_x;
        const int32_t reads_first = first >= 0 && first < window->input_width;
        const int32_t reads_second = beside && second >= 0 && second < window->input_width;
        int32_t *const sums = reads_first ? row + first * depth : unwanted;
        tc_products_job job = {scaled + 2 * pairs, weights + (shape->paired ? size : depth), tc_products_entry(pairs), 0, {0, 0}};
        if (reads_second || (reads_first && !shape->paired)) {
            job.distance = (int32_t)(((reads_second ? row + second * depth : unwanted) - sums) * 4);
            products(scaled, weights, sums, &job);
        } else if (reads_first) {
            tc_add_paired_column(scaled, weights, sums, &job);
        }
    }
}

TC_INLINE void tc_input_gradient_products(const int16_t *gradient, const int32_t *exponent, const int8_t *weights,
                                          int16_t *output, int32_t *output_exponent, const int16_t *mantissas,
                                          void *scratch, tc_products *products, const tc_input_products_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = (shape->input_channels + 3) / 4 * 4;
    const int32_t pairs = (shape->output_channels + 1) / 2;
    const int32_t pixels = window->input_height * window->input_width;
    int32_t *const sums = (int32_t *)scratch;
    int32_t *const unwanted = sums + pixels * depth;
    uint32_t *const scaled = (uint32_t *)(unwanted + depth);
    for (int32_t i = 0; shape->paired && i < pixels * depth; ++i) {
        sums[i] = 0;
    }
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ox += 2) {
            const int16_t *const from = gradient + (oy * window->output_width + ox) * shape->output_channels;
            tc_scale_position(from, mantissas, scaled, shape->output_channels, shape->shift);
            if (ox + 1 < window->output_width) {
                tc_scale_position(from + shape->output_channels, mantissas, scaled + 1, shape->output_channels,
                                  shape->shift);
            }
            for (int32_t j = 0; j < rows.count; ++j) {
                const int32_t y = rows.position + j * window->dilation_y;
                const int8_t *const filters = weights + (rows.first + j) * window->kernel_width * 2 * pairs * depth;
                tc_add_window_row(scaled, filters, sums + y * window->input_width * depth, unwanted, ox, pairs, depth,
                                  products, shape);
            }
        }
    }
    tc_renormalize_rows(sums, depth, output, pixels, shape->input_channels, *exponent + shape->exponent_change,
                        output_exponent);
}

#ifdef __cplusplus
}
#endif

#endif
