/* SPDX-License-Identifier: 0BSD */
/*
 * The Winograd convolution F(4x4, 3x3) (tc_winograd4.h) by two cores together: of each block, they copy rows of the window,
 * transform channels of it and compute pairs of output channels, and meet after the first two steps. So a block is transformed
 * once, and outputs may be as close to the input as one core's.
 *
 * scratch  sums and working memory of each core, the transform, columns of each core, the window, an edge of each core
 */
#ifndef TC_WINOGRAD4_TOGETHER_H
#define TC_WINOGRAD4_TOGETHER_H

#include "kernels/tc_together.h"
#include "kernels/tc_winograd4.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_WINOGRAD4_EDGE_BYTES 128

TC_INLINE void tc_winograd4_together_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                        tc_winograd_products *products, tc_winograd4_outputs *outputs, tc_meeting *meeting,
                                        int32_t core, const tc_winograd4_shape *shape)
{
    const int32_t width = shape->output_width;
    const int32_t channels = shape->output_channels;
    const int32_t block_height = 4 * shape->tile_rows;
    const int32_t block_width = 4 * tc_winograd4_tile_columns(shape);
    const int32_t row_words = (block_width + 2) * shape->channels / 4;
    const int32_t second = core == 1;
    const tc_part copied = tc_part_of(block_height + 2, core);
    const tc_part transformed = tc_part_of(shape->channels / 4, core);
    const tc_part pairs = tc_part_of((channels + 1) / 2, core);
    int32_t *const all_sums = (int32_t *)(((uintptr_t)scratch + 31u) & ~(uintptr_t)31u);
    int32_t *const sums = all_sums + second * (TC_WINOGRAD4_SUMS + TC_WINOGRAD4_WORKING_WORDS);
    uint32_t *const v = (uint32_t *)(all_sums + 2 * (TC_WINOGRAD4_SUMS + TC_WINOGRAD4_WORKING_WORDS));
    uint32_t *const v_end = v + 72 * shape->channels;
    uint32_t *const columns = v_end + second * 12 * (block_width + 2);
    uint32_t *const window = v_end + 24 * (block_width + 2);
    int8_t *const edge = (int8_t *)(window + (block_height + 2) * row_words) + second * TC_WINOGRAD4_EDGE_BYTES;
    const tc_winograd4_target inner = tc_winograd4_target_of(channels, width * channels, shape);
    const tc_winograd4_target outer = tc_winograd4_target_of(2, 2 * block_width, shape);
    for (int32_t y = 0; y < shape->output_height; y += block_height) {
        for (int32_t x = 0; x < width; x += block_width) {
            const int32_t rows = shape->output_height - y < block_height ? shape->output_height - y : block_height;
            const int32_t pixels = width - x < block_width ? width - x : block_width;
            const int32_t inside = rows == block_height && pixels == block_width;
            int8_t *const corner = output + (y * width + x) * channels;
            const int32_t *pair = weights + pairs.first * shape->pair_words;
            /* Nobody reads the window of the block before any more: all of it was transformed. */
            tc_winograd4_window(input, y - shape->padding_top + copied.first, x - shape->padding_left,
                                copied.last - copied.first, window + copied.first * row_words, shape);
            tc_meet_within(meeting, core); /* the window is there, and nobody reads the transform of the block before */
            tc_winograd4_input(window, (uint32_t)transformed.first, (uint32_t)transformed.last, columns, v, shape);
            tc_meet_within(meeting, core); /* the transform is there, and nobody reads what the outputs overwrite */
            for (int32_t i = pairs.first; i < pairs.last; i++, pair += shape->pair_words) {
                /* The last pair of an odd number of channels repeats one. */
                const int32_t channel = 2 * i + 2 <= channels ? 2 * i : channels - 2;
                tc_winograd4_pair(pair, v, v_end, sums, corner + channel, inside ? NULL : edge, inside ? &inner : &outer, rows,
                                  pixels, products, outputs, shape);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
