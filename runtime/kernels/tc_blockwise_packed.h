/* SPDX-License-Identifier: 0BSD */
/*
 * Fully connected layer with a factor for each block of inputs (tc_blockwise.h) and weights of 4 or 2 bits by the byte-lane
 * product, 8 output channels of a block in registers.
 *
 * input    [rows][inputs], int8
 * output   [rows][outputs], int8
 * weights  per 8 channels and block the words of tc_lane_row_packed.h; the last channels are filled up with zeros
 * factors  per 8 channels and block 8 factors
 * scratch  an expanded row; behind word `corrections` two words for each block
 *
 *     TC_BLOCKWISE_SUMS(name, bits)
 *     TC_BLOCKWISE_SUMS_SINGLE(name, bits) for cores on which only loads of one word stand beside others
 *
 * define the block function `name`: the sums S0, S1 ... of tc_lane_row_packed.h, of 8 channels over the inputs up to `x_end`.
 */
#ifndef TC_BLOCKWISE_PACKED_H
#define TC_BLOCKWISE_PACKED_H

#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_blockwise.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_lane_row_packed.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef void tc_blockwise_sums(const uint32_t *x, const int32_t *weights, int32_t *sums, const uint32_t *x_end);

/* Inputs of a block are a multiple of 4, and at most 256, so that all differences of sums fit. */
typedef struct tc_blockwise_packed_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    int32_t block;
    int32_t bits;         /* of a weight: 4 or 2 */
    int32_t factor_bytes; /* 1 or 4 */
    int32_t corrections;
} tc_blockwise_packed_shape;

TC_INLINE void tc_blockwise_sums_portable(const uint32_t *x, const int32_t *weights, int32_t *sums, const uint32_t *x_end,
                                          uint32_t width)
{
    const uint32_t together = 8u / width;
    memset(sums, 0, 8 * sizeof *sums);
    for (; x != x_end; x += 2) {
        for (uint32_t channel = 0; channel < 8u; channel++) {
            const uint32_t place = channel % together;
            const uint32_t own = (uint32_t)weights[channel / together] & (0x01010101u * (0xFFu >> (8u - width * (place + 1u))));
            sums[channel] = tc_smlad(own, x[0], sums[channel]);
            sums[channel] = tc_smlad(own & 0x00FF00FFu, x[1], sums[channel]);
        }
        weights += width;
    }
}

#if TC_DSP_BLOCKS
#define TC_BLOCKWISE_SUMS_TEXT(group) \
    TC_KEEP(r3, 1) \
    TC_KEEP(r2, 2) \
    "sub r3, r3, r0\n\t" \
    "mov lr, r0\n\t" \
    "mov r12, r1\n\t" \
    "and r3, r3, #8\n\t" /* whether the number of groups is odd */ \
    ".irp a, r4, r5, r6, r7, r8, r9, r10, r11\n\t" \
    "mov \\a, #0\n\t" \
    ".endr\n\t" \
    TC_LANE_ROW_PACKED_WALK(TC_LANE_ROW_SHORT_ROUNDS, group) \
    TC_FETCH(r0, 2) \
    "stmia r0, {r4, r5, r6, r7, r8, r9, r10, r11}\n\t"
#define TC_BLOCKWISE_SUMS_BLOCK(name, group) \
    TC_BLOCK_FUNCTION(name, const uint32_t *, const int32_t *, int32_t *, const uint32_t *, TC_BLOCKWISE_SUMS_TEXT(group))
#define TC_BLOCKWISE_SUMS(name, width) \
    TC_BLOCKWISE_SUMS_BLOCK(name, TC_LANE_ROW_PACKED_GROUP_##width(TC_LANE_ROW_LOAD))
#define TC_BLOCKWISE_SUMS_SINGLE(name, width) \
    TC_BLOCKWISE_SUMS_BLOCK(name, TC_LANE_ROW_PACKED_GROUP_##width(TC_LANE_ROW_LOAD_SINGLE))
#else
#define TC_BLOCKWISE_SUMS(name, width) \
    static TC_NOINLINE void name(const uint32_t *x, const int32_t *weights, int32_t *sums, const uint32_t *x_end) \
    { \
        tc_blockwise_sums_portable(x, weights, sums, x_end, width); \
    }
#define TC_BLOCKWISE_SUMS_SINGLE TC_BLOCKWISE_SUMS
#endif

/* Expands a row, and for each block what is taken from 256 times a sum: first of all channels but the last that share a byte. */
TC_INLINE void tc_blockwise_packed_expand(const int8_t *input, uint32_t *row, int32_t *corrections,
                                          const tc_blockwise_packed_shape *shape)
{
    const int32_t more = shape->bits == 4 ? 8 : 2;
    for (int32_t begin = 0; begin < shape->inputs; begin += shape->block, corrections += 2) {
        const int32_t end = tc_min(begin + shape->block, shape->inputs);
        int32_t p = 0;
        int32_t q = 0;
        for (int32_t i = begin; i < end; i += 4, row += 2) {
            uint32_t bytes = 0;
            if (i + 4 <= end) {
                bytes = tc_load4(input + i);
            } else {
                tc_memcpy(&bytes, input + i, (uint32_t)(end - i));
            }
            tc_lane_expand4(bytes, row, row + 1);
            p = tc_smlad(row[0], 0x00010001u, p);
            q = tc_smlad(row[1], 0x00010001u, q);
        }
        corrections[1] = more * (p + q);
        corrections[0] = corrections[1] + 256 * more * p;
    }
}

/* The sums of 8 channels over a block; the channels' odd inputs are less by 127, which the starts make up for. */
TC_INLINE void tc_blockwise_packed_part(const int32_t *corrections, int32_t sums[8], const tc_blockwise_packed_shape *shape)
{
    const int32_t together = 8 / shape->bits;
#pragma GCC unroll 8
    for (int32_t channel = 7; channel >= 0; channel--) {
        const int32_t place = channel % together;
        const int32_t before = place > 0 ? sums[channel - 1] : 0;
        const int32_t correction = corrections[place == together - 1 ? 1 : 0];
        sums[channel] = (((sums[channel] - before) >> (shape->bits * place)) - correction) >> 8;
    }
}

TC_INLINE int32_t tc_blockwise_factor(const void *factors, int32_t index, const tc_blockwise_packed_shape *shape)
{
    return shape->factor_bytes == 1 ? ((const uint8_t *)factors)[index] : ((const int32_t *)factors)[index];
}

/* 8 channels of a row: adds to `narrow` or, if it isn't NULL, to `wide`. */
TC_INLINE const int32_t *tc_blockwise_packed_channels(const uint32_t *row, const int32_t *weights, const void *factors,
                                                      int32_t first, int32_t narrow[8], int64_t *wide,
                                                      tc_blockwise_sums *sum, const tc_blockwise_packed_shape *shape)
{
    const int32_t *corrections = (const int32_t *)row + shape->corrections;
    for (int32_t begin = 0; begin < shape->inputs; begin += shape->block, corrections += 2, first += 8) {
        const int32_t groups = (tc_min(shape->block, shape->inputs - begin) + 3) / 4;
        int32_t sums[8];
        sum(row, weights, sums, row + 2 * groups);
        tc_blockwise_packed_part(corrections, sums, shape);
#pragma GCC unroll 8
        for (int32_t channel = 0; channel < 8; channel++) {
            const int32_t factor = tc_blockwise_factor(factors, first + channel, shape);
            if (wide != NULL) {
                wide[channel] += (int64_t)sums[channel] * factor;
            } else {
                narrow[channel] += sums[channel] * factor;
            }
        }
        row += 2 * groups;
        weights += shape->bits * groups;
    }
    return weights;
}

/* Where the sums of all blocks times their factors fit in 32 bits; `channels` is what `finish` needs (tc_finish.h). */
TC_INLINE void tc_blockwise_packed_s8(const int8_t *input, int8_t *output, const int32_t *weights, const void *factors,
                                      const void *channels, void *scratch, tc_blockwise_sums *sum, tc_finish *finish,
                                      const tc_blockwise_packed_shape *shape, const tc_output_range *range)
{
    uint32_t *const row = (uint32_t *)scratch;
    const int32_t blocks = (shape->inputs + shape->block - 1) / shape->block;
    for (int32_t i = 0; i < shape->rows; i++, input += shape->inputs, output += shape->outputs) {
        const int32_t *w = weights;
        tc_blockwise_packed_expand(input, row, (int32_t *)row + shape->corrections, shape);
        for (int32_t first = 0; first < shape->outputs; first += 8) {
            int32_t totals[8] = {0};
            w = tc_blockwise_packed_channels(row, w, factors, first * blocks, totals, NULL, sum, shape);
            for (int32_t channel = 0; channel < 8 && first + channel < shape->outputs; channel++) {
                output[first + channel] = (int8_t)finish(totals[channel], channels, first + channel, range);
            }
        }
    }
}

/* The same with sums of 63 bits. */
TC_INLINE void tc_blockwise_packed_wide_s8(const int8_t *input, int8_t *output, const int32_t *weights,
                                           const void *factors, const tc_blockwise_channel *channels, void *scratch,
                                           tc_blockwise_sums *sum, const tc_blockwise_packed_shape *shape,
                                           const tc_wide_range *range)
{
    uint32_t *const row = (uint32_t *)scratch;
    const int32_t blocks = (shape->inputs + shape->block - 1) / shape->block;
    for (int32_t i = 0; i < shape->rows; i++, input += shape->inputs, output += shape->outputs) {
        const int32_t *w = weights;
        tc_blockwise_packed_expand(input, row, (int32_t *)row + shape->corrections, shape);
        for (int32_t first = 0; first < shape->outputs; first += 8) {
            int64_t totals[8] = {0};
            w = tc_blockwise_packed_channels(row, w, factors, first * blocks, NULL, totals, sum, shape);
            for (int32_t channel = 0; channel < 8 && first + channel < shape->outputs; channel++) {
                const tc_blockwise_channel *of = &channels[first + channel];
                const tc_wide_channel end = {of->bias, of->multiplier, of->right};
                output[first + channel] = (int8_t)tc_wide_requantize(totals[channel] + of->start, &end, range);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
