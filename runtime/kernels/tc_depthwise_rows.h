/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution with stride 1 or 2 and a window of up to 3x3 (docs/kernels.md), from vertical pairs, the weights in
 * registers for a whole row.
 *
 * input    [height][width][channels], int8, at least 4 channels
 * output   [output_height][output_width][channels x multiplier], int8
 * weights  per channel what the block functions read (tc_depthwise_rows_block.h), or, packed, the taps as bytes, row by row,
 *          filled up to whole words, then start and requantisation
 */
#ifndef TC_DEPTHWISE_ROWS_H
#define TC_DEPTHWISE_ROWS_H

#include <stdint.h>

#include "kernels/tc_depthwise_planes.h"
#include "kernels/tc_depthwise_rows_block.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_depthwise_rows_shape {
    int32_t output_height;
    int32_t output_width;
    int32_t stride;
    int32_t padding_top;
    int32_t padding_left;
    int32_t columns;      /* of a plane, or of a tile's */
    int32_t tile;         /* output columns of all tiles but the last; not for whole rows */
    int32_t multiplier;   /* output channels of an input channel; 1 with packed weights, and not for tiles */
    int32_t record_words; /* of a channel's unpacked weights */
    int32_t packed_words; /* of a channel's packed weights, 0 where they aren't */
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t bits; /* of packed taps */
    int32_t pre;  /* of packed taps, unpacked they are multiplied by 2^pre */
} tc_depthwise_rows_shape;

/* Four channels' packed weights as the block functions read them. */
TC_INLINE void tc_depthwise_rows_unpack(const int32_t *weights, int32_t *records, int32_t group, int32_t past,
                                        const tc_depthwise_rows_shape *shape)
{
    for (int32_t channel = group; channel < past; channel++) {
        tc_depthwise_unpack_rows(weights + channel * shape->packed_words, shape->kernel_height, shape->kernel_width, shape->bits,
                                 shape->pre, shape->record_words - 6,
                                 records + (channel - group) * shape->record_words);
    }
}

/* `scratch` holds two bands, then 4 channels' weights where they are packed. */
TC_INLINE void tc_depthwise_rows_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                    tc_depthwise_block *compute, const tc_depthwise_image *image,
                                    const tc_depthwise_rows_shape *shape)
{
    const int32_t channels = (int32_t)image->channels;
    const int32_t columns = shape->columns;
    const int32_t rows = shape->stride == 1 ? 2 : 1;
    const int32_t output_channels = channels * shape->multiplier;
    const int32_t output_row = shape->output_width * output_channels;
    uint32_t *const bands = (uint32_t *)scratch; /* [2][4 channels][columns] */
    int32_t *const records = (int32_t *)(bands + 8 * columns);
    tc_depthwise_job job = tc_depthwise_job_of(shape->output_width, shape->stride, 0, 0, (uint32_t)output_channels);
    tc_depthwise_clear(bands, 8u * (uint32_t)columns, image);
    for (int32_t group = 0; group < channels; group += 4) {
        const int32_t first = tc_depthwise_first(group, image);
        const int32_t past = tc_depthwise_past(group, image);
        const int8_t *const source = input + first;
        int8_t *row = output;
        if (shape->packed_words > 0) {
            tc_depthwise_rows_unpack(weights, records, group, past, shape);
        }
        tc_depthwise_pack(source, -shape->padding_top, bands + shape->padding_left, image);
        job.row = (uint32_t)output_row;
        for (int32_t y = 0, band = 1; y < shape->output_height; y += rows, band++) {
            const int32_t slot = band & 1; /* of the lower band */
            tc_depthwise_pack(source, 2 * band - shape->padding_top, bands + slot * 4 * columns + shape->padding_left,
                              image);
            job.band = slot != 0 ? 16 * columns : -16 * columns;
            if (rows == 2 && shape->output_height % 2 != 0 && y == shape->output_height - 1) {
                job.row = 0; /* no lower row is left */
            }
            for (int32_t channel = group; channel < past; channel++) {
                const uint32_t *const upper = bands + (1 - slot) * 4 * columns + (channel - first) * columns;
                for (int32_t made = channel * shape->multiplier; made < (channel + 1) * shape->multiplier; made++) {
                    const int32_t *const record = shape->packed_words > 0
                                                      ? records + (channel - group) * shape->record_words
                                                      : weights + made * shape->record_words;
                    compute(upper, record, row + made, &job);
                }
            }
            row += rows * output_row;
        }
    }
}

/*
 * The same tile by tile: rows of tiles, all channels of a tile before the next one, so that the input's memory may be
 * overwritten as soon as no later tile reads it. `scratch` holds two bands of a tile, which are packed anew each time.
 */
TC_INLINE void tc_depthwise_tiles_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                     tc_depthwise_block *compute, const tc_depthwise_image *image,
                                     const tc_depthwise_rows_shape *shape)
{
    const int32_t channels = (int32_t)image->channels;
    const int32_t columns = shape->columns;
    const int32_t rows = shape->stride == 1 ? 2 : 1;
    const int32_t output_row = shape->output_width * channels;
    uint32_t *const bands = (uint32_t *)scratch;
    for (int32_t y = 0, input_y = -shape->padding_top; y < shape->output_height; y += rows, input_y += 2) {
        const int32_t lower = rows == 2 && y + 1 < shape->output_height ? output_row : 0;
        for (int32_t x = 0; x < shape->output_width; x += shape->tile) {
            const int32_t width = x + shape->tile <= shape->output_width ? shape->tile : shape->output_width - x;
            const int32_t input_x = x * shape->stride - shape->padding_left;
            const tc_depthwise_job job =
                tc_depthwise_job_of(width, shape->stride, 16 * columns, (uint32_t)lower, image->channels);
            for (int32_t group = 0; group < channels; group += 4) {
                const int32_t first = tc_depthwise_first(group, image);
                const int32_t past = tc_depthwise_past(group, image);
                tc_depthwise_pack_tile(input + first, input_y, input_x, columns, bands, image);
                tc_depthwise_pack_tile(input + first, input_y + 2, input_x, columns, bands + 4 * columns, image);
                for (int32_t channel = group; channel < past; channel++) {
                    compute(bands + (channel - first) * columns, weights + channel * shape->record_words,
                            output + x * channels + channel, &job);
                }
            }
        }
        output += rows * output_row;
    }
}

#ifdef __cplusplus
}
#endif

#endif
