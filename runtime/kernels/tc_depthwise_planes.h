/* SPDX-License-Identifier: 0BSD */
/*
 * Vertical pairs for depthwise convolutions (docs/kernels.md): how images and weights become what block functions read.
 *
 * Four channels at a time, two input rows become a band: for each channel a plane of words, one per column, that holds
 * the values of both rows as int16 lanes (upper row in the low lane). The bands under the window are in scratch, for two
 * output rows with stride 1, for one with stride 2. Columns and rows of the padding read the input's zero point.
 *
 * Within its channels each band is read before the output rows that lie in its place are written. So with stride 1 and
 * an output as large as the input the layer may work in place.
 */
#ifndef TC_DEPTHWISE_PLANES_H
#define TC_DEPTHWISE_PLANES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What a block function needs besides its pointers; its assembly knows the order of the fields. */
typedef struct tc_depthwise_job {
    int32_t band;      /* bytes from a band to the next */
    uint32_t row;      /* bytes from the upper output row to the lower one; 0 where there is none */
    uint32_t step;     /* bytes from output pixel to output pixel; 0 where a row has only one */
    uint32_t end;      /* bytes of a plane that the blocks side by side walk through */
    uint32_t last_end; /* and those with the last block, which an odd width needs */
} tc_depthwise_job;

typedef void tc_depthwise_block(const uint32_t *upper, const int32_t *weights, int8_t *output,
                                const tc_depthwise_job *job);

/* The assembly of `tc_depthwise_pack_inside` knows the order of the first four fields. */
typedef struct tc_depthwise_image {
    uint32_t row_bytes;
    uint32_t channels;
    uint32_t plane_bytes;
    uint32_t even_bytes; /* of a plane: all columns of the image that are needed, but an odd last one */
    int32_t height;
    int32_t columns; /* of the image, as far as they are needed */
    int32_t zero_point;
} tc_depthwise_image;

/* One column of two rows: the pairs of four channels go to their planes. */
TC_INLINE void tc_depthwise_pack_column(uint32_t upper, uint32_t lower, uint32_t *plane, uint32_t plane_words)
{
    const uint32_t low = tc_pkhbt(upper, lower, 16);  /* channels 0, 1 of the upper row, then of the lower one */
    const uint32_t high = tc_pkhtb(lower, upper, 16); /* channels 2, 3 */
    plane[0] = tc_sxtb16(low, 0);
    plane[plane_words] = tc_sxtb16(low, 8);
    plane[2u * plane_words] = tc_sxtb16(high, 0);
    plane[3u * plane_words] = tc_sxtb16(high, 8);
}

#if !TC_DSP_BLOCKS || TC_STRICT_ALIGNMENT
/* The columns up to an even number of two rows that both lie inside the image. */
TC_INLINE void tc_depthwise_pack_columns(const int8_t *rows, uint32_t *planes, const tc_depthwise_image *image)
{
    for (uint32_t column = 0; column < image->even_bytes / 4u; column++) {
        tc_depthwise_pack_column(tc_load4(rows), tc_load4(rows + image->row_bytes), planes + column,
                                 image->plane_bytes / 4u);
        rows += image->channels;
    }
}
#endif

/* The same, two columns at a time. */
static TC_NOINLINE void tc_depthwise_pack_inside(const int8_t *rows, uint32_t *planes, const tc_depthwise_image *image)
{
#if TC_STRICT_ALIGNMENT
    if ((((uintptr_t)rows | image->row_bytes | image->channels) & 3u) != 0u) {
        tc_depthwise_pack_columns(rows, planes, image);
        return;
    }
#endif
#if TC_DSP_BLOCKS
    register const int8_t *r0_rows __asm__("r0") = rows;
    register uint32_t *r1_planes __asm__("r1") = planes;
    register const tc_depthwise_image *r2_image __asm__("r2") = image;
    TC_ASM_WITH_R9(
        TC_SLOTS_OPEN
        "ldm r2, {r4, r5, r6, r8}\n\t"
        "add lr, r1, r8\n\t"
        "add r2, r1, r6\n\t" /* r1, r2, r3, r12 walk the planes */
        "add r3, r2, r6\n\t"
        "add r12, r3, r6\n"
        "1:\n\t" /* two columns */
        "ldr r6, [r0]\n\t"
        "ldr r8, [r0, r4]\n\t"
        "add r0, r0, r5\n\t"
        "ldr r9, [r0]\n\t"
        "ldr r10, [r0, r4]\n\t"
        "add r0, r0, r5\n\t"
        "pkhbt r7, r6, r8, lsl #16\n\t" /* channels 0, 1 of both rows, of each column */
        "pkhbt r11, r9, r10, lsl #16\n\t"
        "pkhtb r8, r8, r6, asr #16\n\t" /* channels 2, 3 */
        "pkhtb r10, r10, r9, asr #16\n\t"
        "sxtb16 r6, r7\n\t"
        "sxtb16 r9, r11\n\t"
        "strd r6, r9, [r1], #8\n\t"
        "sxtb16 r6, r7, ror #8\n\t"
        "sxtb16 r9, r11, ror #8\n\t"
        "strd r6, r9, [r2], #8\n\t"
        "sxtb16 r6, r8\n\t"
        "sxtb16 r9, r10\n\t"
        "strd r6, r9, [r3], #8\n\t"
        "sxtb16 r6, r8, ror #8\n\t"
        "sxtb16 r9, r10, ror #8\n\t"
        "strd r6, r9, [r12], #8\n\t"
        "cmp r1, lr\n\t"
        "bne 1b\n\t"
        TC_SLOTS_CLOSE
        : "+r"(r0_rows), "+r"(r1_planes), "+r"(r2_image)
        :
        : "r3", "r4", "r5", "r6", "r8", "r9", "r10", "r11", "r12", "lr", "cc", "memory", TC_SLOT_CLOBBERS);
#else
    tc_depthwise_pack_columns(rows, planes, image);
#endif
}

/* The band of input rows y and y + 1, four channels from `input` on; `planes` is where column 0 of the image goes. */
TC_INLINE void tc_depthwise_pack(const int8_t *input, int32_t y, uint32_t *planes, const tc_depthwise_image *image)
{
    const bool upper_inside = y >= 0 && y < image->height;
    const bool lower_inside = y + 1 >= 0 && y + 1 < image->height;
    const int8_t *upper = input + (upper_inside ? y : 0) * (int32_t)image->row_bytes;
    const int8_t *lower = input + (lower_inside ? y + 1 : 0) * (int32_t)image->row_bytes;
    const uint32_t padding = tc_splat4(image->zero_point);
    int32_t column = 0;
    if (upper_inside && lower_inside && image->even_bytes != 0u) {
        tc_depthwise_pack_inside(upper, planes, image);
        column = (int32_t)image->even_bytes / 4;
    }
    for (; column < image->columns; column++) {
        const int32_t at = column * (int32_t)image->channels;
        tc_depthwise_pack_column(upper_inside ? tc_load4(upper + at) : padding,
                                 lower_inside ? tc_load4(lower + at) : padding, planes + column,
                                 image->plane_bytes / 4u);
    }
}

/* The same for the columns [from, from + columns), of which some may lie beside the image. */
TC_INLINE void tc_depthwise_pack_tile(const int8_t *input, int32_t y, int32_t from, int32_t columns, uint32_t *planes,
                                      const tc_depthwise_image *image)
{
    const int32_t past = from + columns < image->columns ? from + columns : image->columns;
    const int32_t start = from < 0 ? 0 : from;
    tc_depthwise_image tile = *image;
    tile.columns = past > start ? past - start : 0;
    tile.even_bytes = 4u * ((uint32_t)tile.columns & ~1u);
    const int32_t left = start - from < columns ? start - from : columns;
    const uint32_t padding = tc_lanes(image->zero_point, image->zero_point);
    for (uint32_t *plane = planes; plane < planes + image->plane_bytes; plane += image->plane_bytes / 4u) {
        for (int32_t column = 0; column < left; column++) {
            plane[column] = padding;
        }
        for (int32_t column = left + tile.columns; column < columns; column++) {
            plane[column] = padding;
        }
    }
    tc_depthwise_pack(input + start * (int32_t)image->channels, y, planes + left, &tile);
}

/* Planes of the padding alone. */
TC_INLINE void tc_depthwise_clear(uint32_t *planes, uint32_t words, const tc_depthwise_image *image)
{
    const uint32_t padding = tc_lanes(image->zero_point, image->zero_point);
    for (uint32_t i = 0; i < words; i++) {
        planes[i] = padding;
    }
}

/* The first of the 4 channels that are packed together for `group`: the last group may pack some of them again. */
TC_INLINE int32_t tc_depthwise_first(int32_t group, const tc_depthwise_image *image)
{
    const int32_t channels = (int32_t)image->channels;
    return channels % 4 == 0 || group + 4 <= channels ? group : channels - 4;
}

/* The end of the channels that are computed: only those that are new. */
TC_INLINE int32_t tc_depthwise_past(int32_t group, const tc_depthwise_image *image)
{
    const int32_t channels = (int32_t)image->channels;
    return channels % 4 == 0 || group + 4 <= channels ? group + 4 : channels;
}

/* The job of a block function for `width` output columns; the fields are explained above. */
TC_INLINE tc_depthwise_job tc_depthwise_job_of(int32_t width, int32_t stride, int32_t band, uint32_t row, uint32_t channels)
{
    const uint32_t blocks_end = 8u * (uint32_t)stride * (uint32_t)(width > 1 ? width / 2 : 1);
    const uint32_t last = width % 2 == 1 && width > 1 ? 4u * (uint32_t)stride : 0u;
    const tc_depthwise_job job = {band, row, width > 1 ? channels : 0u, blocks_end, blocks_end + last};
    return job;
}

/* A channel's packed taps: `height` x `width` row by row, `bits` (8, 4 or 2) each, the first in a byte in its lowest ones. */
typedef struct tc_depthwise_taps {
    const uint8_t *bytes;
    int32_t height;
    int32_t width;
    int32_t bits;
    int32_t pre; /* unpacked they are multiplied by 2^pre */
} tc_depthwise_taps;

TC_INLINE int32_t tc_depthwise_tap(const tc_depthwise_taps *taps, int32_t i)
{
    const int32_t place = taps->bits * i;
    const uint32_t byte = taps->bytes[place / 8];
    return (int32_t)(byte << (32 - taps->bits - place % 8)) >> (32 - taps->bits);
}

/* A pair of weights below each other; outside of the window 0. */
TC_INLINE int32_t tc_depthwise_pair_of(const tc_depthwise_taps *taps, int32_t y, int32_t x)
{
    const int32_t upper = y >= 0 && y < taps->height ? tc_depthwise_tap(taps, y * taps->width + x) : 0;
    const int32_t lower = y + 1 < taps->height ? tc_depthwise_tap(taps, (y + 1) * taps->width + x) : 0;
    return (int32_t)tc_lanes(upper * (1 << taps->pre), lower * (1 << taps->pre));
}

/* Words of a channel's packed taps. */
TC_INLINE int32_t tc_depthwise_taps_words(const tc_depthwise_taps *taps)
{
    return (taps->height * taps->width * taps->bits + 31) / 32;
}

/* What the block functions for 3x3 windows want of a channel, from its taps and `constants` words of requantisation. */
TC_INLINE void tc_depthwise_unpack_rows(const int32_t *packed, int32_t height, int32_t width, int32_t bits, int32_t pre,
                                        int32_t constants, int32_t *record)
{
    const tc_depthwise_taps taps = {(const uint8_t *)packed, height, width, bits, pre};
    for (int32_t y = 0; y < 2; y++) {
        for (int32_t x = 0; x < 3; x++) {
            *record++ = x < width ? tc_depthwise_pair_of(&taps, y, x) : 0;
        }
    }
    for (int32_t i = 0; i < constants; i++) {
        record[i] = packed[tc_depthwise_taps_words(&taps) + i];
    }
}

/* What the block functions for any window want: per band and column a pair for each of one or two output rows. */
TC_INLINE void tc_depthwise_unpack_bands(const int32_t *packed, int32_t height, int32_t width, int32_t bits, int32_t pre,
                                         int32_t constants, int32_t bands, int32_t rows, int32_t *record)
{
    const tc_depthwise_taps taps = {(const uint8_t *)packed, height, width, bits, pre};
    for (int32_t y = 0; y < 2 * bands; y += 2) {
        for (int32_t x = 0; x < width; x++) {
            *record++ = tc_depthwise_pair_of(&taps, y, x);
            if (rows == 2) {
                *record++ = tc_depthwise_pair_of(&taps, y - 1, x);
            }
        }
    }
    for (int32_t i = 0; i < constants; i++) {
        record[i] = packed[tc_depthwise_taps_words(&taps) + i];
    }
}

/* Moves the last bands of the four channels' planes, `words` of each from `from` on, to their beginning. */
TC_INLINE void tc_depthwise_keep_bands(uint32_t *planes, uint32_t plane_words, uint32_t from, uint32_t words)
{
    for (uint32_t channel = 0; channel < 4u; channel++, planes += plane_words) {
        for (uint32_t i = 0; i < words; i++) {
            planes[i] = planes[from + i];
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
