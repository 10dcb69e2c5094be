/* SPDX-License-Identifier: 0BSD */
/*
 * The Winograd convolution F(2x2, 3x3) (tc_winograd.h) by two cores together: of each block they transform channels of the input
 * and compute pairs of output channels, and meet after each step. So a block is transformed once, and outputs may be as close to
 * the input as one core's.
 *
 * scratch  sums of each core, the transform, columns of each core, a block that isn't wholly inside the output
 */
#ifndef TC_WINOGRAD_TOGETHER_H
#define TC_WINOGRAD_TOGETHER_H

#include "kernels/tc_together.h"
#include "kernels/tc_winograd.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_WINOGRAD_SUMS 128
#define TC_WINOGRAD_COLUMN_WORDS 80

TC_INLINE void tc_winograd_together_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                       tc_winograd_products *products, tc_winograd_outputs *outputs, tc_meeting *meeting,
                                       int32_t core, const tc_winograd_shape *shape)
{
    const int32_t height = shape->output_height;
    const int32_t width = shape->output_width;
    const int32_t channels = shape->output_channels;
    const int32_t second = core == 1;
    const tc_part words = tc_part_of((shape->image.channels + 3) / 4, core);
    const tc_part pairs = tc_part_of((channels + 1) / 2, core);
    const tc_part copied = tc_part_of(2, core); /* rows of a block at an edge */
    const int32_t end = 4 * words.last < shape->image.channels ? 4 * words.last : shape->image.channels;
    int32_t *const all_sums = (int32_t *)(((uintptr_t)scratch + 31u) & ~(uintptr_t)31u);
    int32_t *const sums = all_sums + second * TC_WINOGRAD_SUMS;
    uint32_t *const v = (uint32_t *)(all_sums + 2 * TC_WINOGRAD_SUMS);
    uint32_t *const v_end = v + 64 * tc_winograd_pairs(&shape->image);
    uint32_t *const columns = v_end + second * TC_WINOGRAD_COLUMN_WORDS;
    int8_t *const edge = (int8_t *)(v_end + 2 * TC_WINOGRAD_COLUMN_WORDS);
    for (int32_t y = 0; y < height; y += 2) {
        for (int32_t x = 0; x < width; x += 8) {
            const int32_t rows = height - y < 2 ? 1 : 2;
            const int32_t pixels = width - x < 8 ? width - x : 8;
            const bool inside = rows == 2 && pixels == 8;
            int8_t *const target = inside ? output + (y * width + x) * channels : edge;
            const tc_winograd_target place = {(uint32_t)channels, (uint32_t)((inside ? width : 8) * channels)};
            tc_winograd_input(input, y - shape->padding_top, x - shape->padding_left, 4 * words.first, end, columns, v,
                              &shape->image);
            tc_meet_within(meeting, core); /* the transform is there, and nobody reads what the outputs overwrite */
            tc_winograd_channels(weights + pairs.first * shape->pair_words, 2 * pairs.first, 2 * pairs.last, v, v_end, sums,
                                 target, &place, products, outputs, shape);
            tc_meet_within(meeting, core); /* nobody reads the transform any more, and the edge is there */
            for (int32_t row = copied.first; row < copied.last && row < rows && !inside; row++) {
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
