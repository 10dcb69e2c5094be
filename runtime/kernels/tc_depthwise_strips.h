/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution with depth multiplier 1, stride 1 or 2 and a window of up to 3x3 (docs/kernels.md), from vertical
 * pairs, a channel's weights in registers for several rows.
 *
 * input    [height][width][channels], int8, at least 4 channels
 * output   [output_height][output_width][channels], int8
 * weights  per channel what the block functions read (tc_depthwise_strips_block.h)
 * scratch  `slots` bands of 4 channels, 8-byte aligned
 *
 * Within its channels each band is packed before the output rows that lie in its place are written. So with stride 1 and an
 * output as large as the input the layer may work in place.
 */
#ifndef TC_DEPTHWISE_STRIPS_H
#define TC_DEPTHWISE_STRIPS_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_depthwise_strips_block.h"
#include "kernels/tc_depthwise_strips_pack.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_words.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_depthwise_strips_shape {
    int32_t height;
    int32_t row_bytes;
    int32_t channels;
    int32_t zero_point;
    int32_t padding_top;
    int32_t padding_left;
    int32_t output_height;
    int32_t output_row; /* bytes */
    int32_t stride;
    int32_t columns; /* of a band, an even number */
    int32_t slots;   /* bands in scratch */
    int32_t rows;    /* of the output at a time, for which these suffice */
    int32_t record_words;
    int32_t computed; /* channels, a multiple of 4; 0 for all */
} tc_depthwise_strips_shape;

#if defined(__GNUC__)
#define TC_STRIPS_OPAQUE(pointer) __asm__("" : "+r"(pointer))
#else
#define TC_STRIPS_OPAQUE(pointer)
#endif

TC_INLINE void tc_depthwise_strips_fill(uint32_t *planes, int32_t words, uint32_t pair)
{
    for (int32_t i = 0; i < words; i += 4) {
        planes[i] = pair;
        planes[i + 1] = pair;
        planes[i + 2] = pair;
        planes[i + 3] = pair;
    }
}

/* The slots [from, past) of four channels, of which slot 0 is for band `top`; by packing functions for all kinds of bands that
 * the shape has. */
TC_INLINE void tc_depthwise_strips_pack(const int8_t *input, uint32_t *planes, int32_t top, int32_t from, int32_t past,
                                        tc_depthwise_pack_block *both, tc_depthwise_pack_block *upper,
                                        tc_depthwise_pack_block *lower, const tc_depthwise_strips_shape *shape)
{
    /* Rows of band b are 2 b - padding_top and the one below. */
    const int32_t inside = (shape->padding_top + 1) / 2;
    const int32_t end = (shape->height + shape->padding_top) / 2;
    const int32_t band_words = 4 * shape->columns;
    const uint32_t padding = tc_splat4(shape->zero_point);
    for (int32_t slot = from; slot < past;) {
        const int32_t band = top + slot;
        const int32_t y = 2 * band - shape->padding_top;
        uint32_t *const target = planes + slot * band_words + shape->padding_left / 2 * 8 + shape->padding_left % 2;
        int32_t count = 1;
        if (band >= inside && band < end) {
            count = past - slot < end - band ? past - slot : end - band;
            both(input + y * shape->row_bytes, target, (uint32_t)count, padding);
        } else if (y == -1) {
            lower(input, target, 1u, padding);
        } else if (y == shape->height - 1) {
            upper(input + y * shape->row_bytes, target, 1u, padding);
        } else {
            tc_depthwise_strips_fill(planes + slot * band_words, band_words,
                                     tc_lanes(shape->zero_point, shape->zero_point));
        }
        slot += count;
    }
}

TC_INLINE void tc_depthwise_strips_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                      tc_depthwise_strips_block *compute, tc_depthwise_pack_block *both,
                                      tc_depthwise_pack_block *upper, tc_depthwise_pack_block *lower,
                                      const tc_depthwise_strips_shape *shape)
{
    const int32_t channels = shape->computed != 0 ? shape->computed : shape->channels;
    const int32_t band_words = 4 * shape->columns;
    uint32_t *const planes = (uint32_t *)scratch; /* [slots][columns / 2][4 channels][2] */
    tc_depthwise_strips_fill(planes, shape->slots * band_words, tc_lanes(shape->zero_point, shape->zero_point));
    for (int32_t channel = 0; channel < channels; channel += 4) {
        /* The last group packs some channels again if they aren't a multiple of 4, and computes only the new ones. */
        const int32_t fresh = channels % 4 == 0 || channel + 4 <= channels ? 4 : channels % 4;
        int32_t kept = 0;
        TC_STRIPS_OPAQUE(input); /* else compilers keep the addresses of single rows in registers that they don't have */
        for (int32_t y = 0; y < shape->output_height; y += shape->rows) {
            const int32_t left = shape->output_height - y;
            const int32_t rows = left < shape->rows ? left : shape->rows;
            const int32_t top = shape->stride == 1 ? y / 2 : y;
            const int32_t bands = shape->stride == 1 ? (rows + 1) / 2 + 1 : rows + 1;
            tc_depthwise_strips_pack(input - (4 - fresh), planes, top, kept, bands, both, upper, lower, shape);
            compute(planes + 2 * (4 - fresh), weights, output + y * shape->output_row,
                    (uint32_t)rows | (uint32_t)fresh << 16);
            if (left > shape->rows) { /* the last band becomes the first */
                tc_copy_eights(planes, planes + (shape->slots - 1) * band_words, (uint32_t)band_words);
                kept = 1;
            }
        }
        input += 4;
        output += 4;
        weights += 4 * shape->record_words;
    }
}

#ifdef __cplusplus
}
#endif

#endif
