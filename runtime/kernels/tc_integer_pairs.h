/* SPDX-License-Identifier: 0BSD */
/*
 * What tc_integer_product.h computes, two vectors at a time by DSP instructions: each word of weights is expanded once for
 * both of them.
 *
 * weights  rows of `stride` bytes: `depth` weights, then zeros up to a multiple of 4
 */
#ifndef TC_INTEGER_PAIRS_H
#define TC_INTEGER_PAIRS_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_integer_product.h"
#include "kernels/tc_patch.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The next at most 4 of a vector, zeros behind its end. */
TC_INLINE uint32_t tc_integer_next(const int8_t *vector, int32_t left)
{
    if (left >= 4) {
        return tc_load4(vector);
    }
    uint32_t word = 0;
    for (int32_t i = 0; i < left; ++i) {
        word |= (uint32_t)(uint8_t)vector[i] << (8 * i);
    }
    return word;
}

/*
 * Two vectors in lanes of 16 bits: of every 4 elements bytes 0 and 2, 1 and 3 of the first, then of the second. totals:
 * their sums, if zero points of the weights need them.
 */
TC_INLINE void tc_integer_expand(const int8_t *const vectors[2], uint32_t *pairs, int32_t depth, int32_t totals[2],
                                 const tc_integer_form *form)
{
    const uint32_t ones = 0x00010001u;
    const int8_t *const first = vectors[0];
    const int8_t *const second = vectors[1];
    int32_t total = 0;
    int32_t other = 0;
    for (int32_t i = 0; i < depth; i += 4, pairs += 4) {
        const uint32_t a = tc_integer_next(first + i, depth - i);
        const uint32_t b = tc_integer_next(second + i, depth - i);
        pairs[0] = tc_sxtb16(a, 0);
        pairs[1] = tc_sxtb16(a, 8);
        pairs[2] = tc_sxtb16(b, 0);
        pairs[3] = tc_sxtb16(b, 8);
        if (form->zero_points) {
            total = tc_smlad(pairs[1], ones, tc_smlad(pairs[0], ones, total));
            other = tc_smlad(pairs[3], ones, tc_smlad(pairs[2], ones, other));
        }
    }
    totals[0] = total;
    totals[1] = other;
}

/* sums: of the first vector with two rows of weights, then of the second. */
TC_INLINE void tc_integer_dot2x2(const uint32_t *pairs, const int8_t *row, const int8_t *other, int32_t stride,
                                 int32_t sums[4])
{
    int32_t sum0 = 0;
    int32_t sum1 = 0;
    int32_t sum2 = 0;
    int32_t sum3 = 0;
    const int8_t *const end = row + stride;
    do {
        const uint32_t a = pairs[0];
        const uint32_t b = pairs[1];
        const uint32_t c = pairs[2];
        const uint32_t d = pairs[3];
        const uint32_t weights = tc_load4(row);
        const uint32_t even = tc_sxtb16(weights, 0);
        const uint32_t odd = tc_sxtb16(weights, 8);
        sum0 = tc_smlad(b, odd, tc_smlad(a, even, sum0));
        sum2 = tc_smlad(d, odd, tc_smlad(c, even, sum2));
        const uint32_t next = tc_load4(other);
        const uint32_t next_even = tc_sxtb16(next, 0);
        const uint32_t next_odd = tc_sxtb16(next, 8);
        sum1 = tc_smlad(b, next_odd, tc_smlad(a, next_even, sum1));
        sum3 = tc_smlad(d, next_odd, tc_smlad(c, next_even, sum3));
        pairs += 4;
        row += 4;
        other += 4;
    } while (row != end);
    sums[0] = sum0;
    sums[1] = sum1;
    sums[2] = sum2;
    sums[3] = sum3;
}

/* tc_integer_store of a channel of two vectors: what the channel has is read once, since stores might change it. */
TC_INLINE void tc_integer_store2(int32_t *first, int32_t *second, int32_t index, int32_t channel, int32_t sum,
                                 int32_t next_sum, const tc_integer_finish *finish, const tc_integer_form *form)
{
    if (form->scales == 0) {
        second[index] = next_sum;
        first[index] = sum;
        return;
    }
    const float scale = form->scales == 1 ? finish->one_scale : finish->scale[channel];
    const float bias = form->biases == 0 ? 0.0f : finish->bias[form->biases == 1 ? 0 : channel];
    const float product = tc_opaque((float)sum * scale);
    const float next_product = tc_opaque((float)next_sum * scale);
    const float next_biased = form->biases == 0 ? next_product : tc_opaque(next_product + bias);
    const float biased = form->biases == 0 ? product : tc_opaque(product + bias);
    ((float *)second)[index] = tc_float_bounded(next_biased, &form->bounds);
    ((float *)first)[index] = tc_float_bounded(biased, &form->bounds);
}

/* Two vectors, of which the second may be the first again, times `outputs` rows, at least 2; pairs: room for both. */
TC_INLINE void tc_integer_pair_products(const int8_t *const vectors[2], uint32_t *pairs, int32_t *first,
                                        int32_t *second, const int8_t *weights, int32_t depth, int32_t outputs,
                                        int32_t channel, const tc_integer_finish *finish, const tc_integer_form *form)
{
    const int32_t stride = (depth + 3) / 4 * 4;
    int32_t totals[2];
    tc_integer_expand(vectors, pairs, depth, totals, form);
    for (int32_t next = 0; next < outputs; next += 2) {
        const int32_t row = tc_min(next, outputs - 2);
        const int8_t *const of_row = weights + row * stride;
        int32_t sums[4];
        tc_integer_dot2x2(pairs, of_row, of_row + stride, stride, sums);
        for (int32_t i = 0; i < 2; ++i) {
            const int32_t of = channel + row + i;
            const int32_t sum = tc_integer_centred(sums[i], of, totals[0], finish, form);
            const int32_t next_sum = tc_integer_centred(sums[2 + i], of, totals[1], finish, form);
            tc_integer_store2(first, second, row + i, of, sum, next_sum, finish, form);
        }
    }
}

/* As tc_matmul_integer of one matrix, with at least 2 columns; scratch: two vectors that are expanded. */
TC_INLINE void tc_matmul_integer_pairs(const int8_t *a, const int8_t *b, const int8_t *a_zero,
                                       const tc_integer_channel *channels, const float *scale, const float *bias,
                                       void *output, void *scratch, const tc_matmul_integer_shape *shape)
{
    const tc_integer_finish finish = tc_integer_finish_of(channels, scale, bias, a_zero, &shape->form);
    uint32_t *const pairs = (uint32_t *)scratch;
    for (int32_t row = 0; row < shape->rows; row += 2) {
        const int32_t other = tc_min(row + 1, shape->rows - 1);
        const int8_t *const vectors[2] = {a + row * shape->depth, a + other * shape->depth};
        tc_integer_pair_products(vectors, pairs, (int32_t *)output + row * shape->columns,
                                 (int32_t *)output + other * shape->columns, b, shape->depth, shape->columns, 0, &finish,
                                 &shape->form);
    }
}

/* As tc_conv_integer, with at least 2 outputs in a group; scratch: two vectors that are expanded, then two windows. */
TC_INLINE void tc_conv_integer_pairs(const int8_t *input, const int8_t *weights, const int8_t *zero_point,
                                     const tc_integer_channel *channels, const float *scale, const float *bias,
                                     void *output, void *scratch, const tc_conv_integer_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t taps = depth * window->kernel_height * window->kernel_width;
    const int32_t stride = (taps + 3) / 4 * 4;
    const int32_t pixels = window->output_height * window->output_width;
    const tc_integer_finish finish = tc_integer_finish_of(channels, scale, bias, zero_point, &shape->form);
    uint32_t *const pairs = (uint32_t *)scratch;
    int8_t *const patches = (int8_t *)(pairs + stride);
    int32_t *result = (int32_t *)output;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t pixel = 0; pixel < pixels; pixel += 2) {
            const int32_t other = tc_min(pixel + 1, pixels - 1);
            for (int32_t group = 0; group < shape->groups; ++group) {
                const int8_t *vectors[2] = {input + pixel * depth, input + other * depth};
                for (int32_t i = 0; i < (shape->direct ? 0 : 2); ++i) {
                    const int32_t place = i == 0 ? pixel : other;
                    vectors[i] = patches + i * stride;
                    tc_patch(input + group * depth, patches + i * stride, place / window->output_width,
                             place % window->output_width, finish.zero_point, window, shape->input_channels, depth);
                }
                const int32_t first = group * outputs;
                tc_integer_pair_products(vectors, pairs, result + pixel * shape->output_channels + first,
                                         result + other * shape->output_channels + first, weights + first * stride, taps,
                                         outputs, first, &finish, &shape->form);
            }
        }
        result += pixels * shape->output_channels;
        input += window->input_height * window->input_width * shape->input_channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
