/* SPDX-License-Identifier: 0BSD */
/*
 * The windows of a convolution, expanded for the byte-lane product, 4 or 3 output pixels at a time.
 *
 * A window's row is a segment of kernel_width x channels bytes, which lies in one piece in the image. Long segments whose
 * length is a multiple of 4 are expanded row by row, straight from the image where all pixels of the block are inside.
 * Short ones, and those at the edges, go through a small window buffer, where positions in the padding read the input's
 * zero point. All inputs of a block are read before its outputs are written, so that the output may share the input's
 * memory at a distance that the compiler computes.
 */
#ifndef TC_LANE_CONV2D_H
#define TC_LANE_CONV2D_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "kernels/tc_align.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lane_conv2d_shape {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t output_width;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t padding_top;
    int32_t padding_left;
    int32_t zero_point;
    int32_t by_rows; /* expand segment by segment; else whole windows, `spacing` bytes apart in the window buffer */
    int32_t spacing;
} tc_lane_conv2d_shape;

/* Copies a segment; short ones of a length known at compile time become a few loads and stores. */
TC_INLINE void tc_lane_copy(int8_t *to, const int8_t *from, int32_t bytes)
{
    if (bytes <= 32) {
        tc_copy_few(to, from, (uint32_t)bytes);
        return;
    }
    int32_t i = 0;
    for (; i + 8 <= bytes; i += 8) {
        const uint32_t word = tc_load4(from + i);
        const uint32_t next = tc_load4(from + i + 4);
        tc_store4(to + i, word);
        tc_store4(to + i + 4, next);
    }
    tc_memcpy(to + i, from + i, (uint32_t)(bytes % 8));
}

/* The position of the pixel `i` places after (y, x), less than 4 of them, in memory order. */
TC_INLINE int32_t tc_lane_wrap(int32_t x, int32_t i, const tc_lane_conv2d_shape *shape)
{
    const int32_t width = shape->output_width;
    return width >= 4 ? (x + i >= width) : (x + i) / width;
}

/* A part of a row of the image; what lies outside of it reads as the zero point. */
static TC_NOINLINE void tc_lane_copy_row(int8_t *to, const int8_t *row, int32_t from, int32_t bytes, int32_t row_bytes,
                                         int32_t zero_point)
{
    const uint32_t padding = tc_splat4(zero_point);
    int32_t i = 0;
    for (; i + 4 <= bytes; i += 4) {
        const bool inside = from + i >= 0 && from + i + 4 <= row_bytes;
        const bool outside = from + i + 4 <= 0 || from + i >= row_bytes;
        if (!inside && !outside) {
            break;
        }
        tc_store4(to + i, inside ? tc_load4(row + from + i) : padding);
    }
    for (; i < bytes; i++) {
        to[i] = from + i >= 0 && from + i < row_bytes ? row[from + i] : (int8_t)zero_point;
    }
}

/* One segment of the window at the output position (y, x), the zero point outside of the image. */
TC_INLINE void tc_lane_gather(const int8_t *input, int32_t y, int32_t x, int32_t tap_y, int8_t *segment,
                              const tc_lane_conv2d_shape *shape)
{
    const int32_t channels = shape->input_channels;
    const int32_t row_bytes = shape->input_width * channels;
    const int32_t input_y = y * shape->stride_y - shape->padding_top + tap_y * shape->dilation_y;
    const int32_t input_x = x * shape->stride_x - shape->padding_left;
    const bool in_image = input_y >= 0 && input_y < shape->input_height;
    const int8_t *const row = in_image ? input + input_y * row_bytes : input;
    const int32_t width = in_image ? row_bytes : 0; /* no byte of a row above or below the image exists */
    if (shape->dilation_x == 1) {
        tc_lane_copy_row(segment, row, input_x * channels, shape->kernel_width * channels, width, shape->zero_point);
        return;
    }
    for (int32_t tap = 0; tap < shape->kernel_width; tap++) {
        tc_lane_copy_row(segment + tap * channels, row, (input_x + tap * shape->dilation_x) * channels, channels, width,
                         shape->zero_point);
    }
}

/* Expands the windows of `pixels` (4 or 3) output positions from (y, x) on, rows of the image following each other. */
TC_INLINE void tc_lane_expand_windows(const int8_t *input, int32_t y, int32_t x, uint32_t pixels, int8_t *window,
                                      uint32_t *block, const tc_lane_conv2d_shape *shape)
{
    const int32_t count = (int32_t)pixels;
    const int32_t segment = shape->kernel_width * shape->input_channels;
    const int32_t step = shape->stride_x * shape->input_channels;
    const int32_t x0 = x * shape->stride_x - shape->padding_left;
    const int32_t last = x0 + (count - 1) * shape->stride_x + shape->kernel_width - 1;
    const bool together = shape->dilation_x == 1 && x + count <= shape->output_width && x0 >= 0 && last < shape->input_width;
    int32_t input_y = y * shape->stride_y - shape->padding_top;
    for (int32_t tap_y = 0; tap_y < shape->kernel_height; tap_y++, input_y += shape->dilation_y) {
        int8_t *const segments = shape->by_rows ? window : window + tap_y * segment;
        const int8_t *from = window;
        int32_t spacing = shape->spacing;
        if (together && input_y >= 0 && input_y < shape->input_height) {
            const int8_t *const row = input + (input_y * shape->input_width + x0) * shape->input_channels;
            if (shape->by_rows) {
                from = row;
                spacing = step;
            } else {
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
                for (int32_t i = 0; i < count; i++) {
                    tc_lane_copy(segments + i * spacing, row + i * step, segment);
                }
            }
        } else {
            for (int32_t i = 0; i < count; i++) {
                const int32_t wrapped = tc_lane_wrap(x, i, shape);
                tc_lane_gather(input, y + wrapped, x + i - wrapped * shape->output_width, tap_y,
                               segments + i * spacing, shape);
            }
        }
        if (shape->by_rows) {
            tc_lane_expand(from, (uint32_t)spacing, (uint32_t)segment, pixels, block);
            block += (uint32_t)(segment / 2) * pixels;
        }
    }
    if (!shape->by_rows) {
        tc_lane_expand(window, (uint32_t)shape->spacing, (uint32_t)shape->spacing, pixels, block);
    }
}

#ifdef __cplusplus
}
#endif

#endif
