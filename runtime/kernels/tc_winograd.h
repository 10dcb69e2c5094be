/* SPDX-License-Identifier: 0BSD */
/*
 * Exact integer Winograd convolution F(2x2, 3x3), stride 1 (docs/kernels.md).
 *
 * input    [height][width][channels], int8
 * output   [output_height][output_width][output_channels], int8, at least two channels
 * weights  per pair of output channels: transformed weights, then of each channel start and parameters (tc_winograd_block.h)
 * scratch  at any multiple of 8: 24 bytes of alignment, 512 of sums, 256 per pair of input channels, 320 of columns, and
 *          16 per output channel where a block isn't wholly inside the output
 *
 * An output tile of 2 x 2 pixels comes from 4 x 4 input pixels. Blocks are 4 tiles beside each other: 10 input columns.
 * The input transform V = B'dB works on pairs of channels (0 and 2, 1 and 3 of every four) as int16 lanes:
 *     v[16 positions][pairs of channels][4 tiles]
 * Positions in the padding read the input's zero point.
 */
#ifndef TC_WINOGRAD_H
#define TC_WINOGRAD_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_align.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_winograd_block.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_WINOGRAD_COLUMNS 10 /* of the input, under a block */
#define TC_WINOGRAD_TILES 4

typedef struct tc_winograd_image {
    int32_t height;
    int32_t width;
    int32_t channels;
    int32_t zero_point;
} tc_winograd_image;

typedef struct tc_winograd_shape {
    tc_winograd_image image;
    int32_t output_height;
    int32_t output_width;
    int32_t output_channels;
    int32_t padding_top;
    int32_t padding_left;
    int32_t pair_words; /* of `weights` per pair of output channels */
} tc_winograd_shape;

/* Four channels of one pixel; the last of an image may have fewer, and 0 in the rest, whose weights are 0. */
TC_INLINE uint32_t tc_winograd_load(const int8_t *pixel, int32_t channel, const tc_winograd_image *image)
{
    if (image->channels % 4 == 0 || channel + 4 <= image->channels) {
        return tc_load4(pixel + channel);
    }
    uint32_t word = 0;
    for (int32_t i = image->channels - 1; i >= channel; i--) {
        word = word << 8 | (uint8_t)pixel[i];
    }
    return word;
}

/* One column of four channels: the vertical half of the transform, for both pairs of channels. */
TC_INLINE void tc_winograd_column(const uint32_t rows[4], uint32_t column[8])
{
    for (uint32_t pair = 0; pair < 2u; pair++) {
        const unsigned rotate = 8u * pair;
        const uint32_t row0 = tc_sxtb16(rows[0], rotate);
        const uint32_t row1 = tc_sxtb16(rows[1], rotate);
        const uint32_t row2 = tc_sxtb16(rows[2], rotate);
        const uint32_t row3 = tc_sxtb16(rows[3], rotate);
        column[4u * pair] = tc_ssub16(row0, row2);
        column[4u * pair + 1u] = tc_sadd16(row1, row2);
        column[4u * pair + 2u] = tc_ssub16(row2, row1);
        column[4u * pair + 3u] = tc_ssub16(row1, row3);
    }
}

/* The horizontal half: one transformed row of a pair of channels to four positions of four tiles. */
TC_INLINE void tc_winograd_row(const uint32_t *columns, uint32_t *v, uint32_t position_words)
{
    uint32_t column0 = columns[0];
    uint32_t column1 = columns[8];
    for (uint32_t tile = 0; tile < TC_WINOGRAD_TILES; tile++) {
        const uint32_t column2 = columns[16u * tile + 16u];
        const uint32_t column3 = columns[16u * tile + 24u];
        v[tile] = tc_ssub16(column0, column2);
        v[position_words + tile] = tc_sadd16(column1, column2);
        v[2u * position_words + tile] = tc_ssub16(column2, column1);
        v[3u * position_words + tile] = tc_ssub16(column1, column3);
        column0 = column2;
        column1 = column3;
    }
}

/* Transforms channels [begin, end) of the 4 rows from y and 10 columns from x on. `columns` is working memory for 8 words per
 * column. */
TC_INLINE void tc_winograd_input(const int8_t *input, int32_t y, int32_t x, int32_t begin, int32_t end, uint32_t *columns,
                                 uint32_t *v, const tc_winograd_image *image)
{
    const int32_t row_bytes = image->width * image->channels;
    const uint32_t padding = tc_splat4(image->zero_point);
    const uint32_t pairs = 2u * (((uint32_t)image->channels + 3u) / 4u);
    const bool inside = y >= 0 && y + 4 <= image->height && x >= 0 && x + TC_WINOGRAD_COLUMNS <= image->width;
    for (int32_t channel = begin; channel < end; channel += 4) {
        for (int32_t i = 0; i < TC_WINOGRAD_COLUMNS; i++) {
            uint32_t rows[4];
            for (int32_t j = 0; j < 4; j++) {
                const bool exists =
                    inside || (y + j >= 0 && y + j < image->height && x + i >= 0 && x + i < image->width);
                const int32_t at = (y + j) * row_bytes + (x + i) * image->channels;
                rows[j] = exists ? tc_winograd_load(input + at, channel, image) : padding;
            }
            tc_winograd_column(rows, columns + 8 * i);
        }
        for (uint32_t row = 0; row < 4u; row++) {
            for (uint32_t pair = 0; pair < 2u; pair++) {
                uint32_t *const first = v + (4u * row * pairs + (uint32_t)channel / 2u + pair) * TC_WINOGRAD_TILES;
                tc_winograd_row(columns + 4u * pair + row, first, pairs * TC_WINOGRAD_TILES);
            }
        }
    }
}

/* Pairs of input channels: 0 and 2, 1 and 3 of every four. */
TC_INLINE int32_t tc_winograd_pairs(const tc_winograd_image *image)
{
    return 2 * ((image->channels + 3) / 4);
}

/* Output channels [begin, end) of a block of transformed tiles. The last pair of an odd number of them repeats one. */
TC_INLINE void tc_winograd_channels(const int32_t *weights, int32_t begin, int32_t end, const uint32_t *v,
                                    const uint32_t *v_end, int32_t *sums, int8_t *target, const tc_winograd_target *place, tc_winograd_products *products,
                                    tc_winograd_outputs *outputs, const tc_winograd_shape *shape)
{
    const int32_t channels = shape->output_channels;
    for (int32_t channel = begin; channel < end; channel += 2) {
        const int32_t first = channels % 2 == 0 || channel < channels - 1 ? channel : channels - 2;
        products(weights, v, sums, v_end);
        outputs(sums, weights + 32 * tc_winograd_pairs(&shape->image), target + first, place);
        weights += shape->pair_words;
    }
}

TC_INLINE void tc_winograd_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                              tc_winograd_products *products, tc_winograd_outputs *outputs,
                              const tc_winograd_shape *shape)
{
    const int32_t height = shape->output_height;
    const int32_t width = shape->output_width;
    const int32_t channels = shape->output_channels;
    int32_t *const sums = (int32_t *)(((uintptr_t)scratch + 31u) & ~(uintptr_t)31u); /* [16][2 channels][4 tiles] */
    uint32_t *const v = (uint32_t *)(sums + 128);
    uint32_t *const columns = v + 64 * tc_winograd_pairs(&shape->image);
    int8_t *const edge = (int8_t *)(columns + 80); /* a block that isn't wholly inside the output: [2][8][channels] */
    for (int32_t y = 0; y < height; y += 2) {
        for (int32_t x = 0; x < width; x += 8) {
            const int32_t rows = height % 2 != 0 && height - y < 2 ? 1 : 2;
            const int32_t pixels = width % 8 != 0 && width - x < 8 ? width - x : 8;
            const bool inside = rows == 2 && pixels == 8;
            int8_t *const target = inside ? output + (y * width + x) * channels : edge;
            const tc_winograd_target place = {(uint32_t)channels, (uint32_t)((inside ? width : 8) * channels)};
            tc_winograd_input(input, y - shape->padding_top, x - shape->padding_left, 0, shape->image.channels, columns, v,
                              &shape->image);
            tc_winograd_channels(weights, 0, channels, v, columns, sums, target, &place, products, outputs, shape);
            for (int32_t row = 0; row < rows && !inside; row++) {
                tc_memcpy(output + ((y + row) * width + x) * channels, edge + row * 8 * channels,
                          (uint32_t)(pixels * channels));
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
