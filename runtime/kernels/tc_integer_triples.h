/* SPDX-License-Identifier: 0BSD */
/*
 * What tc_integer_product.h computes of weights whose zero points are 0, three vectors and two channels at a time by dual
 * products of tc_wide_lanes.h: vectors become int16 minus their zero point, once for all channels.
 *
 * weights  as in tc_wide_lanes.h, of every 4 elements in the order 0, 2, 1, 3
 */
#ifndef TC_INTEGER_TRIPLES_H
#define TC_INTEGER_TRIPLES_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_float_bounds.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_integer_pairs.h"
#include "kernels/tc_integer_product.h"
#include "kernels/tc_patch.h"
#include "kernels/tc_wide_lanes.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A vector in lanes of 16 bits, of every 4 elements in the order 0, 2, 1, 3; minus: both lanes the negative zero point. */
TC_INLINE void tc_integer_widen(const int8_t *vector, uint32_t *wide, int32_t depth, uint32_t minus)
{
    for (int32_t i = 0; i < depth; i += 4, wide += 2) {
        const uint32_t word = tc_integer_next(vector + i, depth - i);
        wide[0] = tc_sxtab16(minus, word, 0);
        wide[1] = tc_sxtab16(minus, word, 8);
    }
}

/* Results of a channel for three vectors, whose first results are at `outputs`. */
TC_INLINE void tc_integer_store3(int32_t *const outputs[3], int32_t channel, int32_t a, int32_t b, int32_t c,
                                 const tc_integer_finish *finish, const tc_integer_form *form)
{
    if (form->scales == 0) {
        outputs[2][channel] = c;
        outputs[1][channel] = b;
        outputs[0][channel] = a;
        return;
    }
    const float scale = form->scales == 1 ? finish->one_scale : finish->scale[channel];
    const float bias = form->biases == 0 ? 0.0f : finish->bias[form->biases == 1 ? 0 : channel];
    float first = tc_opaque((float)a * scale);
    float second = tc_opaque((float)b * scale);
    float third = tc_opaque((float)c * scale);
    if (form->biases) {
        first = tc_opaque(first + bias);
        second = tc_opaque(second + bias);
        third = tc_opaque(third + bias);
    }
    ((float *)outputs[2])[channel] = tc_float_bounded(third, &form->bounds);
    ((float *)outputs[1])[channel] = tc_float_bounded(second, &form->bounds);
    ((float *)outputs[0])[channel] = tc_float_bounded(first, &form->bounds);
}

/* Three vectors of `groups` times 4 elements, one behind the other, times all channels. */
TC_INLINE void tc_integer_triple_products(const uint32_t *wide, int32_t *const outputs[3], const uint32_t *weights,
                                          int32_t groups, int32_t channels, const tc_integer_finish *finish,
                                          const tc_integer_form *form)
{
    for (int32_t channel = 0; channel < channels; channel += 2) {
        int32_t sums[2 * TC_WIDE_BLOCK] = {0, 0, 0, 0, 0, 0};
        tc_wide_lanes_sums((const int16_t *)wide, 4 * groups, 3, weights, groups, sums);
        weights += 2 * groups;
        tc_integer_store3(outputs, channel, sums[0], sums[2], sums[4], finish, form);
        if (channel + 1 < channels) {
            tc_integer_store3(outputs, channel + 1, sums[1], sums[3], sums[5], finish, form);
        }
    }
}

/* As tc_matmul_integer of one matrix; scratch: three vectors that are widened. */
TC_INLINE void tc_matmul_integer_triples(const int8_t *a, const uint32_t *weights, const int8_t *a_zero,
                                         const float *scale, const float *bias, void *output, void *scratch,
                                         const tc_matmul_integer_shape *shape)
{
    const tc_integer_finish finish = tc_integer_finish_of(NULL, scale, bias, a_zero, &shape->form);
    const uint32_t minus = tc_lanes(-finish.zero_point, -finish.zero_point);
    const int32_t groups = (shape->depth + 3) / 4;
    uint32_t *const wide = (uint32_t *)scratch;
    for (int32_t row = 0; row < shape->rows; row += 3) {
        int32_t *outputs[3];
        for (int32_t i = 0; i < 3; ++i) {
            const int32_t at = tc_min(row + i, shape->rows - 1); /* what is left is computed more than once */
            tc_integer_widen(a + at * shape->depth, wide + 2 * i * groups, shape->depth, minus);
            outputs[i] = (int32_t *)output + at * shape->columns;
        }
        tc_integer_triple_products(wide, outputs, weights, groups, shape->columns, &finish, &shape->form);
    }
}

/* As tc_conv_integer of one group; scratch: three vectors that are widened, then a window. */
TC_INLINE void tc_conv_integer_triples(const int8_t *input, const uint32_t *weights, const int8_t *zero_point,
                                       const float *scale, const float *bias, void *output, void *scratch,
                                       const tc_conv_integer_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const int32_t taps = depth * window->kernel_height * window->kernel_width;
    const int32_t groups = (taps + 3) / 4;
    const int32_t pixels = window->output_height * window->output_width;
    const tc_integer_finish finish = tc_integer_finish_of(NULL, scale, bias, zero_point, &shape->form);
    const uint32_t minus = tc_lanes(-finish.zero_point, -finish.zero_point);
    uint32_t *const wide = (uint32_t *)scratch;
    int8_t *const patch = (int8_t *)(wide + 6 * groups);
    int32_t *result = (int32_t *)output;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t pixel = 0; pixel < pixels; pixel += 3) {
            int32_t *outputs[3];
            for (int32_t i = 0; i < 3; ++i) {
                const int32_t at = tc_min(pixel + i, pixels - 1); /* what is left is computed more than once */
                const int8_t *vector = input + at * depth;
                if (!shape->direct) {
                    vector = patch;
                    tc_patch(input, patch, at / window->output_width, at % window->output_width, finish.zero_point,
                             window, depth, depth);
                }
                tc_integer_widen(vector, wide + 2 * i * groups, taps, minus);
                outputs[i] = result + at * shape->output_channels;
            }
            tc_integer_triple_products(wide, outputs, weights, groups, shape->output_channels, &finish, &shape->form);
        }
        result += pixels * shape->output_channels;
        input += window->input_height * window->input_width * depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
