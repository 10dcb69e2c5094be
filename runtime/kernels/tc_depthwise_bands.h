/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution with depth multiplier 1, stride 1 or 2 and any window (docs/kernels.md), from vertical pairs, band
 * by band.
 *
 * input    [height][width][channels], int8, at least 4 channels
 * output   [output_height][output_width][channels], int8
 * weights  per channel what the block functions read (tc_depthwise_bands_block.h), or, packed, the taps as bytes, row by
 *          row, filled up to whole words, then start and requantisation
 * scratch  planes of `slots` bands of 4 channels, then 4 channels' weights where they are packed
 */
#ifndef TC_DEPTHWISE_BANDS_H
#define TC_DEPTHWISE_BANDS_H

#include <stdint.h>

#include "kernels/tc_depthwise_bands_block.h"
#include "kernels/tc_depthwise_planes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_depthwise_bands_shape {
    int32_t output_height;
    int32_t output_width;
    int32_t stride;
    int32_t padding_top;
    int32_t padding_left;
    int32_t columns;      /* of a plane */
    int32_t bands;        /* under the window of a block */
    int32_t slots;        /* bands in scratch */
    int32_t record_words; /* of a channel's unpacked weights */
    int32_t packed_words; /* of a channel's packed weights, 0 where they aren't */
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t bits; /* of packed taps */
    int32_t pre;  /* of packed taps, unpacked they are multiplied by 2^pre */
} tc_depthwise_bands_shape;

/* Four channels' packed weights as the block functions read them. */
TC_INLINE void tc_depthwise_bands_unpack(const int32_t *weights, int32_t *records, int32_t group, int32_t past,
                                         const tc_depthwise_bands_shape *shape)
{
    const int32_t rows = shape->stride == 1 ? 2 : 1;
    const int32_t constants = shape->record_words - rows * shape->kernel_width * shape->bands;
    for (int32_t channel = group; channel < past; channel++) {
        tc_depthwise_unpack_bands(weights + channel * shape->packed_words, shape->kernel_height, shape->kernel_width, shape->bits,
                                  shape->pre, constants, shape->bands, rows,
                                  records + (channel - group) * shape->record_words);
    }
}

TC_INLINE void tc_depthwise_bands_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                     tc_depthwise_block *compute, const tc_depthwise_image *image,
                                     const tc_depthwise_bands_shape *shape)
{
    const int32_t channels = (int32_t)image->channels;
    const int32_t columns = shape->columns;
    const int32_t slots = shape->slots;
    const int32_t bands = shape->bands;
    const int32_t rows = shape->stride == 1 ? 2 : 1;
    const int32_t output_row = shape->output_width * channels;
    const int32_t total = (shape->output_height + rows - 1) / rows + bands - 1;
    uint32_t *const planes = (uint32_t *)scratch; /* [4 channels][slots][columns] */
    int32_t *const records = (int32_t *)(planes + 4 * slots * columns);
    tc_depthwise_job job = tc_depthwise_job_of(shape->output_width, shape->stride, 4 * columns, 0, image->channels);
    tc_depthwise_clear(planes, (uint32_t)(4 * slots * columns), image);
    for (int32_t group = 0; group < channels; group += 4) {
        const int32_t first = tc_depthwise_first(group, image);
        const int32_t past = tc_depthwise_past(group, image);
        const int8_t *const source = input + first;
        int8_t *row = output;
        int32_t packed = 0; /* bands so far; the one in slot 0 is number `base` */
        int32_t base = 0;
        if (shape->packed_words > 0) {
            tc_depthwise_bands_unpack(weights, records, group, past, shape);
        }
        job.row = (uint32_t)output_row;
        for (int32_t y = 0, top = 0; y < shape->output_height; y += rows, top++) {
            if (slots < total && top + bands - base > slots) {
                if (bands > 1) {
                    tc_depthwise_keep_bands(planes, (uint32_t)(slots * columns), (uint32_t)((top - base) * columns),
                                            (uint32_t)((bands - 1) * columns));
                }
                base = top;
            }
            for (; packed < top + bands; packed++) {
                tc_depthwise_pack(source, 2 * packed - shape->padding_top,
                                  planes + (packed - base) * columns + shape->padding_left, image);
            }
            if (rows == 2 && shape->output_height % 2 != 0 && y == shape->output_height - 1) {
                job.row = 0; /* no lower row is left */
            }
            for (int32_t channel = group; channel < past; channel++) {
                const uint32_t *const upper = planes + ((channel - first) * slots + top - base) * columns;
                const int32_t *const record = shape->packed_words > 0
                                                  ? records + (channel - group) * shape->record_words
                                                  : weights + channel * shape->record_words;
                compute(upper, record, row + channel, &job);
            }
            row += rows * output_row;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
