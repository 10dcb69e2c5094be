/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution by the byte-lane product (docs/kernels.md), 4 or 3 output pixels at a time.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * weights  per pair of channels, as the block functions read them (tc_lane_block.h)
 * scratch  the expanded pixels of a block, then its windows or its results
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
#include "kernels/tc_lane_block.h"
#include "kernels/tc_lane_straight.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lane_conv2d_shape {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t output_width;
    int32_t output_channels;
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
    int32_t gathers;    /* a window isn't simply a pixel: where it is, nothing but channels matters of the above */
    int32_t groups;     /* of 4 inputs, in a window */
    int32_t pair_words; /* of `weights` per pair of channels */
    int32_t fours;      /* blocks of 4 pixels */
    int32_t threes;     /* then of 3 */
    int32_t rest;       /* pixels of a last block of 3 that isn't full */
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

/* Where the next block begins. */
typedef struct tc_lane_position {
    const int8_t *input;
    int8_t *output;
    int32_t y;
    int32_t x;
} tc_lane_position;

TC_INLINE void tc_lane_advance(tc_lane_position *at, int32_t pixels, const tc_lane_conv2d_shape *shape)
{
    at->output += pixels * shape->output_channels;
    if (shape->gathers == 0) {
        at->input += pixels * shape->input_channels;
        return;
    }
    for (at->x += pixels; at->x >= shape->output_width; at->y++) {
        at->x -= shape->output_width;
    }
}

/* Block functions write channels in pairs. */
TC_INLINE int32_t tc_lane_stride(const tc_lane_conv2d_shape *shape)
{
    return shape->output_channels > 1 ? shape->output_channels : 2;
}

TC_INLINE tc_lane_job tc_lane_conv2d_job(const int32_t *weights, const uint32_t *block, int32_t pixels,
                                         const tc_lane_conv2d_shape *shape)
{
    const int32_t channels = shape->output_channels;
    tc_lane_job job;
    job.entry = shape->groups == 1 ? 0u : (uint32_t)((shape->groups - 2) % 4 + 1);
    job.stride = (uint32_t)tc_lane_stride(shape);
    job.weights_end = weights + shape->pair_words * (channels > 1 ? channels / 2 : 1);
    job.last_end = weights + shape->pair_words * ((channels + 1) / 2);
    job.x_end = block + 2 * pixels * shape->groups;
    return job;
}

/* `count` blocks of `pixels` pixels; `after` is the scratch behind a block. */
TC_INLINE void tc_lane_conv2d_blocks(tc_lane_position *at, const int32_t *weights, uint32_t *block, int8_t *after,
                                     int32_t pixels, int32_t count, tc_lane_block *compute,
                                     const tc_lane_conv2d_shape *shape)
{
    const tc_lane_job job = tc_lane_conv2d_job(weights, block, pixels, shape);
    for (int32_t i = 0; i < count; i++) {
        if (shape->gathers != 0) {
            tc_lane_expand_windows(at->input, at->y, at->x, (uint32_t)pixels, after, block, shape);
        } else {
            const uint32_t depth = (uint32_t)shape->input_channels;
            tc_lane_expand(at->input, depth, depth, (uint32_t)pixels, block);
        }
        if (shape->output_channels == 1) {
            compute(block, weights, after, &job);
            for (int32_t pixel = 0; pixel < pixels; pixel++) {
                at->output[pixel] = after[2 * pixel];
            }
        } else {
            compute(block, weights, at->output, &job);
        }
        tc_lane_advance(at, pixels, shape);
    }
}

/* Expands the last one or two pixels into a block of 3: what else it holds is not used. */
TC_INLINE void tc_lane_conv2d_expand_rest(const tc_lane_position *at, uint32_t *block, int8_t *after,
                                          const tc_lane_conv2d_shape *shape)
{
    const int32_t segment = shape->kernel_width * shape->input_channels;
    const uint32_t taps = (uint32_t)(shape->gathers != 0 ? shape->kernel_height * segment : shape->input_channels);
    for (int32_t pixel = 0; pixel < shape->rest; pixel++) {
        if (shape->gathers != 0) {
            for (int32_t tap_y = 0; tap_y < shape->kernel_height; tap_y++) {
                tc_lane_gather(at->input, at->y + (at->x + pixel) / shape->output_width,
                               (at->x + pixel) % shape->output_width, tap_y, after + tap_y * segment, shape);
            }
            tc_lane_expand_pixel(after, taps, block + pixel, 3);
        } else {
            tc_lane_expand_pixel(at->input + pixel * shape->input_channels, taps, block + pixel, 3);
        }
    }
}

TC_INLINE void tc_lane_conv2d_rest(const tc_lane_position *at, const int32_t *weights, uint32_t *block, int8_t *after,
                                   tc_lane_block *compute, const tc_lane_conv2d_shape *shape)
{
    const int32_t channels = shape->output_channels;
    const tc_lane_job job = tc_lane_conv2d_job(weights, block, 3, shape);
    tc_lane_conv2d_expand_rest(at, block, after, shape);
    compute(block, weights, after, &job);
    for (int32_t pixel = 0; pixel < shape->rest; pixel++) {
        tc_memcpy(at->output + pixel * channels, after + pixel * tc_lane_stride(shape), (uint32_t)channels);
    }
}

/* `four` and `three` are block functions; those that aren't needed may be null. */
TC_INLINE void tc_lane_conv2d_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                 tc_lane_block *four, tc_lane_block *three, const tc_lane_conv2d_shape *shape)
{
    tc_lane_position at = {input, output, 0, 0};
    uint32_t *const block = (uint32_t *)scratch;
    int8_t *const after = (int8_t *)(block + (shape->fours > 0 ? 8 : 6) * shape->groups);
    if (shape->fours > 0) {
        tc_lane_conv2d_blocks(&at, weights, block, after, 4, shape->fours, four, shape);
    }
    if (shape->threes > 0) {
        tc_lane_conv2d_blocks(&at, weights, block, after, 3, shape->threes, three, shape);
    }
    if (shape->rest > 0) {
        tc_lane_conv2d_rest(&at, weights, block, after, three, shape);
    }
}

#ifdef __cplusplus
}
#endif

#endif
