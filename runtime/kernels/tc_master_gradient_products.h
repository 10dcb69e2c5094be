/* SPDX-License-Identifier: 0BSD */
/*
 * The gradient of a pointwise layer's input by products of two pixels at a time (tc_gradient_products.h), where int8 weights
 * are never whole in memory: those of a few output channels are rounded from the int16 master weights, multiplied by all
 * pixels whose sums are in scratch, and forgotten.
 *
 * master     [output_channels][trained], int16; others [output_channels][others], int8, the input channels behind them
 * gradient   [pixels][output_channels], int16; mantissas int16 for each of these channels
 * scratch    int32_t [together][depth], a word for each of TC_MASTER_ROWS, int8_t [TC_MASTER_ROWS][depth]; depth is the number of
 *            input channels, filled up to a multiple of 4
 */
#ifndef TC_MASTER_GRADIENT_PRODUCTS_H
#define TC_MASTER_GRADIENT_PRODUCTS_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_block_float.h"
#include "kernels/tc_descent.h"
#include "kernels/tc_gradient_products.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_input_products.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Output channels whose weights are rounded at a time, an even number. */
#define TC_MASTER_ROWS 16

typedef struct tc_master_products_shape {
    int32_t pixels;
    int32_t together; /* pixels whose sums are in scratch at a time, an even number */
    int32_t output_channels;
    int32_t trained;
    int32_t others;
    int32_t shift; /* of a scaled gradient */
    int32_t exponent_change;
} tc_master_products_shape;

TC_INLINE int32_t tc_master_depth(const tc_master_products_shape *shape)
{
    return (shape->trained + shape->others + 3) / 4 * 4;
}

/* Four weights of an output channel, from an input channel on, as bytes; 0 behind the last one. */
TC_INLINE uint32_t tc_four_of_row(const int16_t *master, const int8_t *others, int32_t row, int32_t at,
                                  const tc_master_products_shape *shape)
{
    const int16_t *const own = master + row * shape->trained;
    const int8_t *const other = shape->others > 0 ? others + row * shape->others : NULL;
    const int32_t behind = at - shape->trained;
    if (behind + 4 <= 0) {
        return tc_four_rounded(tc_load4(own + at), tc_load4(own + at + 2));
    }
    if (behind >= 0 && behind + 4 <= shape->others) {
        return tc_load4(other + behind);
    }
    uint32_t bytes = 0u;
    for (int32_t i = 0; i < 4; ++i) {
        const int32_t weight = behind + i < 0               ? (own[at + i] + 128) >> 8
                               : behind + i < shape->others ? other[behind + i]
                                                            : 0;
        bytes |= ((uint32_t)weight & 0xFFu) << (8 * i);
    }
    return bytes;
}

/* Weights of `rows` output channels as tc_add_paired_products wants them. */
TC_INLINE void tc_round_pairs(const int16_t *master, const int8_t *others, int32_t first, int32_t rows, int8_t *filters,
                              const tc_master_products_shape *shape)
{
    const int32_t pairs = (rows + 1) / 2;
    for (int32_t pair = 0; pair < pairs; ++pair, filters += 8) {
        const int32_t row = first + 2 * pair;
        for (int32_t at = 0; at < tc_master_depth(shape); at += 4) {
            int8_t *const to = filters + at / 4 * pairs * 8;
            const uint32_t a = tc_four_of_row(master, others, row, at, shape);
            const uint32_t b = 2 * pair + 1 < rows ? tc_four_of_row(master, others, row + 1, at, shape) : 0u;
            tc_store4(to, tc_pkhbt(a, b, 16));
            tc_store4(to + 4, tc_pkhtb(b, a, 16));
        }
    }
}

/* The sums of so many pixels, the first of which has this gradient. Behind an odd number of them the sums of one more are written, of
 * no use. */
TC_INLINE void tc_sums_of_masters(const int16_t *master, const int8_t *others, const int16_t *gradient,
                                  const int16_t *mantissas, int32_t pixels, int32_t *sums,
                                  const tc_master_products_shape *shape)
{
    const int32_t depth = tc_master_depth(shape);
    const int32_t channels = shape->output_channels;
    uint32_t *const scaled = (uint32_t *)(sums + shape->together * depth);
    int8_t *const filters = (int8_t *)(scaled + TC_MASTER_ROWS);
    for (int32_t i = 0; i < (pixels + 1) / 2 * 2 * depth; ++i) {
        sums[i] = 0;
    }
    for (int32_t row = 0; row < channels; row += TC_MASTER_ROWS) {
        const int32_t rows = tc_min(TC_MASTER_ROWS, channels - row);
        const int32_t pairs = (rows + 1) / 2;
        const tc_products_job job = {scaled + 2 * pairs, filters + 2 * pairs * depth, tc_products_entry(pairs), 4 * depth, {0, 0}};
        tc_round_pairs(master, others, row, rows, filters, shape);
        for (int32_t pixel = 0; pixel < pixels; pixel += 2) {
            const int16_t *const from = gradient + pixel * channels + row;
            tc_scale_position(from, mantissas + row, scaled, rows, shape->shift);
            if (pixel + 1 < pixels) {
                tc_scale_position(from + channels, mantissas + row, scaled + 1, rows, shape->shift);
            }
            tc_add_paired_products(scaled, filters, sums + pixel * depth, &job);
        }
    }
}

/* `others` may be null. Where not all sums are in scratch, they are computed twice: first for the exponent. Values may be written
 * where the gradient of their pixels was. */
TC_INLINE void tc_master_gradient_products(const int16_t *master, const int8_t *others, const int16_t *gradient,
                                           const int32_t *exponent, int16_t *output, int32_t *output_exponent,
                                           const int16_t *mantissas, void *scratch,
                                           const tc_master_products_shape *shape)
{
    const int32_t depth = tc_master_depth(shape);
    const int32_t inputs = shape->trained + shape->others;
    const int32_t pixels = shape->pixels;
    const int32_t once = shape->together >= pixels;
    int32_t *const sums = (int32_t *)scratch;
    uint32_t bits = 0u;
    for (int32_t first = 0; first < pixels; first += shape->together) {
        const int32_t count = tc_min(shape->together, pixels - first);
        tc_sums_of_masters(master, others, gradient + first * shape->output_channels, mantissas, count, sums, shape);
        bits |= tc_largest_bits(sums, count * depth);
    }
    const int32_t shift = tc_renormalizing_shift(bits, *exponent + shape->exponent_change, output_exponent);
    for (int32_t first = 0; first < pixels; first += shape->together) {
        const int32_t count = tc_min(shape->together, pixels - first);
        if (!once) {
            tc_sums_of_masters(master, others, gradient + first * shape->output_channels, mantissas, count, sums, shape);
        }
        for (int32_t i = 0; i < count; ++i, output += inputs) {
            tc_gradient_values(sums + i * depth, output, inputs, shift);
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
