/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution by Helium, channel multiplier 1, any window.
 *
 * input    [input_height][input_width][channels], int8
 * output   [output_height][output_width][channels], int8
 * weights  [channels, filled up to a multiple of 4][row tiles][kernel_width][4 rows], int8
 * requant  as in tc_mve_product_requant.h
 * scratch  16 bytes of padding, then [row tiles][columns][16 channels][4 rows] of the input
 *
 * Per output row and 16 channels, the input rows under the window are interleaved by VST4, so that the 4 rows of a
 * column are a word: a tile of the window is a vector of 4 such words, 16 taps of one channel, one VMLADAV.
 */
#ifndef TC_MVE_DEPTHWISE_H
#define TC_MVE_DEPTHWISE_H

#include "kernels/tc_mve.h"
#include "kernels/tc_mve_product_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { TC_MVE_COLUMN_BYTES = 64 }; /* of 16 channels x 4 rows */

typedef struct tc_mve_depthwise_shape {
    tc_window window;
    int32_t channels;
    int32_t row_tiles;
    int32_t columns; /* of a row tile in the scratch */
    int32_t input_zero_point;
    tc_product_requant requant;
} tc_mve_depthwise_shape;

/* 4 rows of the image; the assembly knows the order of the fields. */
typedef struct tc_mve_rows {
    const int8_t *first[4]; /* where their first column is */
    uint32_t step[4];       /* bytes to the next one, 0 for padding */
    uint32_t columns;
    uint32_t channels; /* of each column, at most 16 */
} tc_mve_rows;

/* Interleaves 4 rows; returns the end of what it has written. */
TC_INLINE int8_t *tc_mve_interleave(const tc_mve_rows *rows, int8_t *output)
{
#if TC_MVE
    register const tc_mve_rows *r10_rows __asm__("r10") = rows;
    register int8_t *r11_output __asm__("r11") = output;
    __asm__ volatile(
        "ldm r10, {r0, r1, r2, r3, r4, r5, r6, r8, r10, r12}\n\t"
        "vctp.8 r12\n\t"
        "wls lr, r10, 2f\n"
        "1:\n\t"
        "vpstttt\n\t"
        "vldrbt.8 q0, [r0]\n\t"
        "vldrbt.8 q1, [r1]\n\t"
        "vldrbt.8 q2, [r2]\n\t"
        "vldrbt.8 q3, [r3]\n\t"
        "add r0, r4\n\t"
        "add r1, r5\n\t"
        "add r2, r6\n\t"
        "add r3, r8\n\t"
        "vst40.8 {q0, q1, q2, q3}, [r11]\n\t"
        "vst41.8 {q0, q1, q2, q3}, [r11]\n\t"
        "vst42.8 {q0, q1, q2, q3}, [r11]\n\t"
        "vst43.8 {q0, q1, q2, q3}, [r11]!\n\t"
        "le lr, 1b\n"
        "2:\n\t"
        : "+r"(r11_output), "+r"(r10_rows)
        :
        : "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r8", "r12", "q0", "q1", "q2", "q3", "lr", "p0", "cc",
          "memory");
    return r11_output;
#else
    for (uint32_t column = 0; column < rows->columns; column++) {
        for (uint32_t channel = 0; channel < rows->channels; channel++) {
            for (uint32_t row = 0; row < 4u; row++) {
                output[(column * 16u + channel) * 4u + row] = rows->first[row][column * rows->step[row] + channel];
            }
        }
    }
    return output + rows->columns * TC_MVE_COLUMN_BYTES;
#endif
}

/* The rows under the windows of output row `oy`, for `channels` channels from `input` on. */
TC_INLINE void tc_mve_depthwise_pack(const int8_t *input, int32_t oy, uint32_t channels, const int8_t *padding,
                                     int8_t *tiles, const tc_mve_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t left = tc_min(window->padding_left, shape->columns);
    const int32_t inside = tc_min(window->input_width, shape->columns - left);
    const int32_t right = shape->columns - left - inside;
    tc_mve_rows outside = {{padding, padding, padding, padding}, {0, 0, 0, 0}, 0, channels};
    tc_mve_rows rows;
    rows.columns = (uint32_t)inside;
    rows.channels = channels;
    for (int32_t tile = 0; tile < shape->row_tiles; tile++) {
        for (int32_t i = 0; i < 4; i++) {
            const int32_t ky = 4 * tile + i;
            const int32_t y = oy * window->stride_y - window->padding_top + ky * window->dilation_y;
            const bool holds = ky < window->kernel_height && y >= 0 && y < window->input_height;
            rows.first[i] = holds ? input + y * window->input_width * shape->channels : padding;
            rows.step[i] = holds ? (uint32_t)shape->channels : 0u;
        }
        outside.columns = (uint32_t)left;
        tiles = tc_mve_interleave(&outside, tiles);
        tiles = tc_mve_interleave(&rows, tiles);
        outside.columns = (uint32_t)right;
        tiles = tc_mve_interleave(&outside, tiles);
    }
}

#if TC_MVE
/* The sums of a single tile per channel: words at the 4 addresses of `columns`, for the next channel 4 bytes on. */
TC_INLINE int32x4_t tc_mve_tile_sums(uint32x4_t columns, int8x16_t taps0, int8x16_t taps1, int8x16_t taps2,
                                     int8x16_t taps3)
{
    int32x4_t sums;
    int32_t sum0;
    int32_t sum1;
    int32_t sum2;
    int32_t sum3;
    __asm__ volatile(
        "vldrw.u32 %q0, [%q5]\n\t"
        "vmladav.s8 %1, %q0, %q6\n\t"
        "vldrw.u32 %q0, [%q5, #4]\n\t"
        "vmladav.s8 %2, %q0, %q7\n\t"
        "vldrw.u32 %q0, [%q5, #8]\n\t"
        "vmladav.s8 %3, %q0, %q8\n\t"
        "vldrw.u32 %q0, [%q5, #12]\n\t"
        "vmladav.s8 %4, %q0, %q9\n\t"
        "vmov %q0[2], %q0[0], %1, %3\n\t"
        "vmov %q0[3], %q0[1], %2, %4"
        : "=&w"(sums), "=&Te"(sum0), "=&Te"(sum1), "=&Te"(sum2), "=&Te"(sum3)
        : "w"(columns), "w"(taps0), "w"(taps1), "w"(taps2), "w"(taps3)
        : "memory");
    return sums;
}
#endif

/* One output row of 4 channels. */
TC_INLINE void tc_mve_depthwise_row(const int8_t *tiles, int8_t *output, const int8_t *weights, const int32_t *requant,
                                    uint32_t wanted, const tc_mve_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t column_bytes = TC_MVE_COLUMN_BYTES;
    const int32_t record = shape->row_tiles * 4 * window->kernel_width;
#if TC_MVE
    const uint32x4_t steps = vmulq_n_u32(vidupq_n_u32(0, 1), (uint32_t)(window->dilation_x * column_bytes));
    uint32x4_t pixel = vaddq_n_u32(steps, (uint32_t)(uintptr_t)tiles);
    if (shape->row_tiles == 1 && window->kernel_width <= 4) {
        const int8x16_t taps0 = tc_mve_load(weights, (uint32_t)record);
        const int8x16_t taps1 = tc_mve_load(weights + record, (uint32_t)record);
        const int8x16_t taps2 = tc_mve_load(weights + 2 * record, (uint32_t)record);
        const int8x16_t taps3 = tc_mve_load(weights + 3 * record, (uint32_t)record);
        for (int32_t ox = 0; ox < window->output_width; ox++) {
            tc_mve_finish(tc_mve_tile_sums(pixel, taps0, taps1, taps2, taps3), requant, output, wanted, &shape->requant);
            pixel = vaddq_n_u32(pixel, (uint32_t)(window->stride_x * column_bytes));
            output += shape->channels;
        }
        return;
    }
    for (int32_t ox = 0; ox < window->output_width; ox++) {
        const int8_t *taps = weights;
        int32_t sum0 = 0;
        int32_t sum1 = 0;
        int32_t sum2 = 0;
        int32_t sum3 = 0;
        for (int32_t row = 0; row < shape->row_tiles; row++) {
            uint32x4_t at = vaddq_n_u32(pixel, (uint32_t)(row * shape->columns * column_bytes));
            for (int32_t left = window->kernel_width; left > 0; left -= 4) {
                const uint32_t count = 4u * (uint32_t)tc_min(left, 4);
                sum0 = vmladavaq_s8(sum0, vreinterpretq_s8_s32(vldrwq_gather_base_s32(at, 0)),
                                    tc_mve_load(taps, count));
                sum1 = vmladavaq_s8(sum1, vreinterpretq_s8_s32(vldrwq_gather_base_s32(at, 4)),
                                    tc_mve_load(taps + record, count));
                sum2 = vmladavaq_s8(sum2, vreinterpretq_s8_s32(vldrwq_gather_base_s32(at, 8)),
                                    tc_mve_load(taps + 2 * record, count));
                sum3 = vmladavaq_s8(sum3, vreinterpretq_s8_s32(vldrwq_gather_base_s32(at, 12)),
                                    tc_mve_load(taps + 3 * record, count));
                at = vaddq_n_u32(at, (uint32_t)(4 * window->dilation_x * column_bytes));
                taps += count;
            }
        }
        const int32x4_t sums = {sum0, sum1, sum2, sum3};
        tc_mve_finish(sums, requant, output, wanted, &shape->requant);
        pixel = vaddq_n_u32(pixel, (uint32_t)(window->stride_x * column_bytes));
        output += shape->channels;
    }
#else
    for (int32_t ox = 0; ox < window->output_width; ox++) {
        int32_t sums[4] = {0, 0, 0, 0};
        for (int32_t channel = 0; channel < 4; channel++) {
            const int8_t *taps = weights + channel * record;
            for (int32_t row = 0; row < shape->row_tiles; row++) {
                const int8_t *word = tiles + row * shape->columns * column_bytes + 4 * channel;
                for (int32_t i = 0; i < 4 * window->kernel_width; i++) {
                    sums[channel] += word[i / 4 * window->dilation_x * column_bytes + i % 4] * *taps++;
                }
            }
        }
        tc_mve_finish4(sums, requant, output, wanted, &shape->requant);
        tiles += window->stride_x * column_bytes;
        output += shape->channels;
    }
#endif
}

TC_INLINE void tc_mve_depthwise_s8(const int8_t *input, int8_t *output, const int8_t *weights, const int32_t *requant,
                                   int8_t *scratch, const tc_mve_depthwise_shape *shape)
{
    memset(scratch, shape->input_zero_point, 16);
    for (int32_t oy = 0; oy < shape->window.output_height; oy++) {
        const int8_t *taps = weights;
        const int32_t *constants = requant;
        for (int32_t first = 0; first < shape->channels; first += 16) {
            const int32_t group = tc_min(16, shape->channels - first);
            tc_mve_depthwise_pack(input + first, oy, (uint32_t)group, scratch, scratch + 16, shape);
            for (int32_t channel = 0; channel < group; channel += 4) {
                tc_mve_depthwise_row(scratch + 16 + 4 * channel, output + first + channel, taps, constants,
                                     (uint32_t)(shape->channels % 4 == 0 ? 4 : group - channel), shape);
                taps += 16 * shape->row_tiles * shape->window.kernel_width;
                constants += 4u * tc_product_requant_words(&shape->requant);
            }
        }
        output += shape->window.output_width * shape->channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
