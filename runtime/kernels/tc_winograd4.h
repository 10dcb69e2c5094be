/* SPDX-License-Identifier: 0BSD */
/*
 * Exact integer Winograd convolution F(4x4, 3x3), stride 1 (docs/kernels.md).
 *
 * input    [height][width][channels], int8, a multiple of 4 channels
 * output   [output_height][output_width][output_channels], int8, at least two channels
 * weights  per pair of output channels: transformed weights, then of each channel start and parameters (tc_winograd_block.h)
 * scratch  at any multiple of 8, as `tc_winograd4_scratch` says
 *
 * An output tile of 4 x 4 pixels comes from 6 x 6 input pixels. Blocks are 4 tiles, beside each other or two by two. The input
 * under a block is copied to a window first, with its padding and plus 128. The transform V = B'dB works on pairs of channels
 * (0 and 2, 1 and 3 of every four), x0 + 2^16 x2 in a word, where a negative low half borrows from the upper one until all is
 * summed up:
 *     v[36 positions][pairs of channels][4 tiles]
 */
#ifndef TC_WINOGRAD4_H
#define TC_WINOGRAD4_H

#include <stddef.h>
#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_winograd4_block.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_WINOGRAD4_WORKING_WORDS 24

typedef struct tc_winograd4_shape {
    int32_t height; /* of the input */
    int32_t width;
    int32_t channels;
    int32_t zero_point;
    int32_t output_height;
    int32_t output_width;
    int32_t output_channels;
    int32_t padding_top;
    int32_t padding_left;
    int32_t tile_rows; /* of a block: 1 or 2 */
    int32_t pair_words; /* of `weights` per pair of output channels */
} tc_winograd4_shape;

/* Columns of tiles in a block. */
TC_INLINE int32_t tc_winograd4_tile_columns(const tc_winograd4_shape *shape)
{
    return 4 / shape->tile_rows;
}

/* `count` words with their bytes plus 128, from anywhere. */
TC_INLINE uint32_t *tc_winograd4_copy(uint32_t *to, const int8_t *from, int32_t count)
{
    for (int32_t i = 0; i < count; i++, from += 4) {
        *to++ = tc_load4(from) ^ 0x80808080u;
    }
    return to;
}

TC_INLINE uint32_t *tc_winograd4_fill(uint32_t *to, uint32_t word, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        *to++ = word;
    }
    return to;
}

/* The input under a block, or some rows of it, whose first row and column, in the input, are y and x. */
TC_INLINE void tc_winograd4_window(const int8_t *input, int32_t y, int32_t x, int32_t rows, uint32_t *window,
                                   const tc_winograd4_shape *shape)
{
    const int32_t words = shape->channels / 4;
    const int32_t columns = 4 * tc_winograd4_tile_columns(shape) + 2;
    const uint32_t padding = tc_splat4(shape->zero_point) ^ 0x80808080u;
    const int32_t left = x >= 0 ? 0 : x > -columns ? -x : columns; /* columns before the image, and behind it */
    const int32_t after = x + columns - shape->width;
    const int32_t right = after <= 0 ? 0 : after < columns - left ? after : columns - left;
    for (int32_t row = y; row < y + rows; row++) {
        if (row < 0 || row >= shape->height) {
            window = tc_winograd4_fill(window, padding, columns * words);
        } else {
            const int8_t *const from = input + (row * shape->width + x + left) * shape->channels;
            window = tc_winograd4_fill(window, padding, left * words);
            window = tc_winograd4_copy(window, from, (columns - left - right) * words);
            window = tc_winograd4_fill(window, padding, right * words);
        }
    }
}

typedef struct tc_winograd4_six {
    uint32_t d0, d1, d2, d3, d4, d5;
} tc_winograd4_six;

/* B' times six words:
 *     4 0 -5 0 1 0 / 0 -4 -4 1 1 0 / 0 4 -4 -1 1 0 / 0 -2 -1 2 1 0 / 0 2 -1 -2 1 0 / 0 4 0 -5 0 1 */
TC_INLINE tc_winograd4_six tc_winograd4_transformed(tc_winograd4_six x)
{
    const uint32_t even = x.d4 - x.d2;
    const uint32_t far_even = x.d4 - 4u * x.d2;
    const uint32_t odd = x.d3 - x.d1;
    const uint32_t far_odd = x.d3 - 4u * x.d1;
    const tc_winograd4_six v = {
        even + 4u * (x.d0 - x.d2), far_even + far_odd, far_even - far_odd,
        even + 2u * odd,           even - 2u * odd,    x.d5 - x.d3 - 4u * odd,
    };
    return v;
}

TC_INLINE void tc_winograd4_store(tc_winograd4_six v, uint32_t *to, uint32_t apart)
{
    to[0] = v.d0;
    to[apart] = v.d1;
    to[2u * apart] = v.d2;
    to[3u * apart] = v.d3;
    to[4u * apart] = v.d4;
    to[5u * apart] = v.d5;
}

/* Both pairs of a column of four channels of the window: the vertical half, [pair][6][columns]. */
TC_INLINE void tc_winograd4_column(const uint32_t *window, uint32_t pitch, uint32_t *column, uint32_t columns)
{
    const tc_winograd4_six bytes = {window[0],          window[pitch],      window[2u * pitch],
                                    window[3u * pitch], window[4u * pitch], window[5u * pitch]};
    const tc_winograd4_six first = {tc_uxtb16(bytes.d0, 0), tc_uxtb16(bytes.d1, 0), tc_uxtb16(bytes.d2, 0),
                                    tc_uxtb16(bytes.d3, 0), tc_uxtb16(bytes.d4, 0), tc_uxtb16(bytes.d5, 0)};
    const tc_winograd4_six second = {tc_uxtb16(bytes.d0, 8), tc_uxtb16(bytes.d1, 8), tc_uxtb16(bytes.d2, 8),
                                     tc_uxtb16(bytes.d3, 8), tc_uxtb16(bytes.d4, 8), tc_uxtb16(bytes.d5, 8)};
    tc_winograd4_store(tc_winograd4_transformed(first), column, columns);
    tc_winograd4_store(tc_winograd4_transformed(second), column + 6u * columns, columns);
}

/* Both lanes as int16: what the lower one borrowed goes back. */
TC_INLINE uint32_t tc_winograd4_lanes(uint32_t sum)
{
#if TC_DSP
    return tc_pkhbt(sum, sum + 0x8000u, 0);
#else
    return sum + ((sum & 0x8000u) << 1);
#endif
}

/* The horizontal half of a row of a tile: six positions. */
TC_INLINE void tc_winograd4_row(const uint32_t *columns, uint32_t *v, uint32_t position_words)
{
    const tc_winograd4_six row = {columns[0], columns[1], columns[2], columns[3], columns[4], columns[5]};
    const tc_winograd4_six sums = tc_winograd4_transformed(row);
    const tc_winograd4_six lanes = {tc_winograd4_lanes(sums.d0), tc_winograd4_lanes(sums.d1), tc_winograd4_lanes(sums.d2),
                                    tc_winograd4_lanes(sums.d3), tc_winograd4_lanes(sums.d4), tc_winograd4_lanes(sums.d5)};
    tc_winograd4_store(lanes, v, position_words);
}

/* Words [begin, end) of each pixel of a block's window. `columns` is working memory for 12 words per column. */
TC_INLINE void tc_winograd4_input(const uint32_t *window, uint32_t begin, uint32_t end, uint32_t *columns, uint32_t *v,
                                  const tc_winograd4_shape *shape)
{
    const uint32_t words = (uint32_t)shape->channels / 4u;
    const uint32_t tile_columns = (uint32_t)tc_winograd4_tile_columns(shape);
    const uint32_t count = 4u * tile_columns + 2u;
    const uint32_t position_words = 8u * words;
    for (uint32_t tile_row = 0; tile_row < (uint32_t)shape->tile_rows; tile_row++) {
        for (uint32_t word = begin; word < end; word++) {
            const uint32_t *const first = window + 4u * tile_row * count * words + word;
            for (uint32_t i = 0; i < count; i++) {
                tc_winograd4_column(first + i * words, count * words, columns + i, count);
            }
            for (uint32_t pair = 0; pair < 2u; pair++) {
                for (uint32_t row = 0; row < 6u; row++) {
                    uint32_t *const to = v + 6u * row * position_words + 8u * word + 4u * pair + tile_row * tile_columns;
                    for (uint32_t tile = 0; tile < tile_columns; tile++) {
                        tc_winograd4_row(columns + (6u * pair + row) * count + 4u * tile, to + tile, position_words);
                    }
                }
            }
        }
    }
}

/* What of a block lies inside the output, of one pair of channels, from where the block function wrote all of it. */
TC_INLINE void tc_winograd4_edge(const int8_t *edge, int8_t *output, int32_t rows, int32_t pixels,
                                 const tc_winograd4_shape *shape)
{
    const int32_t width = 4 * tc_winograd4_tile_columns(shape);
    for (int32_t row = 0; row < rows; row++, output += shape->output_width * shape->output_channels) {
        for (int32_t x = 0; x < pixels; x++) {
            output[x * shape->output_channels] = edge[2 * (row * width + x)];
            output[x * shape->output_channels + 1] = edge[2 * (row * width + x) + 1];
        }
    }
}

TC_INLINE tc_winograd4_target tc_winograd4_target_of(int32_t step, int32_t row, const tc_winograd4_shape *shape)
{
    const int32_t wrap = shape->tile_rows == 2 ? 4 * row - 8 * step : 0;
    const tc_winograd4_target target = {(uint32_t)step, (uint32_t)row, 4u * (uint32_t)step, (uint32_t)wrap};
    return target;
}

/* A pair of output channels of a block, whose first pixel is at `output`; or what of it lies inside, where there is an `edge`. */
TC_INLINE void tc_winograd4_pair(const int32_t *pair, const uint32_t *v, const uint32_t *v_end, int32_t *sums, int8_t *output,
                                 int8_t *edge, const tc_winograd4_target *target, int32_t rows, int32_t pixels,
                                 tc_winograd_products *products, tc_winograd4_outputs *outputs,
                                 const tc_winograd4_shape *shape)
{
    products(pair, v, sums, v_end);
    outputs(sums, pair + 36 * shape->channels, edge == NULL ? output : edge, target);
    if (edge != NULL) {
        tc_winograd4_edge(edge, output, rows, pixels, shape);
    }
}

TC_INLINE void tc_winograd4_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                               tc_winograd_products *products, tc_winograd4_outputs *outputs,
                               const tc_winograd4_shape *shape)
{
    const int32_t height = shape->output_height;
    const int32_t width = shape->output_width;
    const int32_t channels = shape->output_channels;
    const int32_t block_height = 4 * shape->tile_rows;
    const int32_t block_width = 4 * tc_winograd4_tile_columns(shape);
    int32_t *const sums = (int32_t *)(((uintptr_t)scratch + 31u) & ~(uintptr_t)31u);
    uint32_t *const v = (uint32_t *)(sums + TC_WINOGRAD4_SUMS + TC_WINOGRAD4_WORKING_WORDS);
    uint32_t *const columns = v + 72 * shape->channels;
    uint32_t *const window = columns + 12 * (block_width + 2);
    int8_t *const edge = (int8_t *)(window + (block_height + 2) * (block_width + 2) * shape->channels / 4);
    const tc_winograd4_target inner = tc_winograd4_target_of(channels, width * channels, shape);
    const tc_winograd4_target outer = tc_winograd4_target_of(2, 2 * block_width, shape);
    for (int32_t y = 0; y < height; y += block_height) {
        for (int32_t x = 0; x < width; x += block_width) {
            const int32_t rows = height - y < block_height ? height - y : block_height;
            const int32_t pixels = width - x < block_width ? width - x : block_width;
            const int32_t inside = rows == block_height && pixels == block_width;
            int8_t *const corner = output + (y * width + x) * channels;
            const int32_t *pair = weights;
            tc_winograd4_window(input, y - shape->padding_top, x - shape->padding_left, block_height + 2, window, shape);
            tc_winograd4_input(window, 0, (uint32_t)shape->channels / 4u, columns, v, shape);
            for (int32_t channel = 0; channel < channels; channel += 2, pair += shape->pair_words) {
                /* The last pair of an odd number of channels repeats one. */
                const int32_t first = channels % 2 == 0 || channel < channels - 1 ? channel : channels - 2;
                tc_winograd4_pair(pair, v, columns, sums, corner + first, inside ? NULL : edge, inside ? &inner : &outer, rows,
                                  pixels, products, outputs, shape);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
