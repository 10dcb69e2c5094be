/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution by the byte-lane product (docs/kernels.md) of images with few channels: windows whose rows are short.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * weights  per pair of channels, as the block functions read them (tc_lane_block.h), inputs in the order told below
 * scratch  the expanded pixels of a block, then the strip with a word behind it, then the results of a block
 *
 * The strip holds the rows of the image that the next windows see, with the padding around them, so that no window is at
 * an edge: the words of 4 windows are expanded straight from it, each with one load that may be unaligned. When a block
 * needs rows further down, those that are still needed move to the strip's beginning and others follow.
 *
 * Inputs are taken in this order: of every row of a window its whole words; then what is left of the rows, 4 / left rows
 * to a word. A row that is one byte short of a word has a word of its own all the same, which ends in a weight of zero.
 */
#ifndef TC_LANE_STRIP_H
#define TC_LANE_STRIP_H

#include <stdint.h>

#include "kernels/tc_align.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"
#include "kernels/tc_lane_conv2d.h"
#include "kernels/tc_words.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lane_strip_shape {
    tc_lane_conv2d_shape conv; /* its by_rows and spacing mean nothing here */
    int32_t rows;              /* of the strip */
    int32_t pitch;             /* bytes from a row of the strip to the next, a multiple of 4 */
    int32_t left;              /* bytes of a row that are padding */
    int32_t inner;             /* bytes that follow, from the image */
    int32_t skip;              /* bytes of an image's row in front of these, which no window sees */
    int32_t moves;             /* the strip doesn't hold all rows at once */
    int32_t words;             /* of a window's row */
    int32_t after;             /* bytes that are left: 0, 1 or 2 */
} tc_lane_strip_shape;

/* What the strip holds: its first row is row `first` of the padded image. */
typedef struct tc_lane_strip {
    int8_t *rows;
    int32_t first;
} tc_lane_strip;

TC_INLINE void tc_lane_strip_splat(int8_t *to, int32_t bytes, int32_t zero_point)
{
    const uint32_t padding = tc_splat4(zero_point);
    for (int32_t i = 0; i + 4 <= bytes; i += 4) {
        tc_store4(to + i, padding);
    }
    for (int32_t i = bytes - bytes % 4; i < bytes; i++) {
        to[i] = (int8_t)zero_point;
    }
}

/* Of a row of the image: by words where it is one. */
TC_INLINE void tc_lane_strip_copy(int8_t *to, const int8_t *from, int32_t bytes)
{
    if (bytes % 4 == 0 && bytes >= 32 && (((uintptr_t)to | (uintptr_t)from) & 3u) == 0u) {
        tc_copy_words((uint32_t *)(void *)to, (const uint32_t *)(const void *)from, (uint32_t)bytes / 4u);
    } else {
        tc_lane_copy(to, from, bytes);
    }
}

/* From row `from` of the strip to its end; the padding at both sides is there and stays. */
static TC_NOINLINE void tc_lane_strip_fill(const tc_lane_strip *strip, const int8_t *input, int32_t from,
                                           const tc_lane_strip_shape *shape)
{
    const int32_t row_bytes = shape->conv.input_width * shape->conv.input_channels;
    int8_t *to = strip->rows + from * shape->pitch + shape->left;
    for (int32_t row = from; row < shape->rows; row++, to += shape->pitch) {
        const int32_t y = strip->first + row - shape->conv.padding_top;
        if (y >= 0 && y < shape->conv.input_height) {
            tc_lane_strip_copy(to, input + y * row_bytes + shape->skip, shape->inner);
        } else {
            tc_lane_strip_splat(to, shape->inner, shape->conv.zero_point);
        }
    }
}

TC_INLINE void tc_lane_strip_open(tc_lane_strip *strip, const int8_t *input, const tc_lane_strip_shape *shape)
{
    strip->first = 0;
    tc_lane_strip_splat(strip->rows, shape->rows * shape->pitch + 4, shape->conv.zero_point);
    tc_lane_strip_fill(strip, input, 0, shape);
}

/* Makes the strip begin with row `first` of the padded image: the number of rows that it has of it already. */
static TC_NOINLINE int32_t tc_lane_strip_move(tc_lane_strip *strip, int32_t first, const tc_lane_strip_shape *shape)
{
    const int32_t distance = first - strip->first;
    const int32_t kept = distance < shape->rows ? shape->rows - distance : 0;
    uint32_t *const to = (uint32_t *)(void *)strip->rows; /* behind a block of words */
    strip->first = first;
    tc_copy_words(to, to + distance * shape->pitch / 4, (uint32_t)(kept * shape->pitch / 4));
    return kept;
}

/* The bytes that are left of 4 / `left` rows of a window, in a word. */
TC_INLINE uint32_t tc_lane_strip_rest(const int8_t *from, int32_t left, int32_t rows, int32_t pitch)
{
    uint32_t word = 0;
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
    for (int32_t row = 0; row < rows; row++, from += pitch) {
        uint32_t bytes = (uint8_t)from[0];
        if (left == 2) {
            bytes = 0;
            tc_copy_few(&bytes, from, 2);
        }
        word |= bytes << (8 * left * row);
    }
    return word;
}

/* Words of `pixels` pixels into a block; the pairs of stores are to be neighbours. */
TC_INLINE void tc_lane_strip_words(const uint32_t *word, uint32_t pixels, uint32_t *block)
{
#if defined(__GNUC__)
#pragma GCC unroll 2
#endif
    for (uint32_t i = 0; i < pixels; i += 2u) {
        const uint32_t next = i + 1u < pixels ? i + 1u : i;
        const uint32_t p0 = tc_add_odd(0xFF81FF81u, word[i]);
        const uint32_t p1 = tc_add_odd(0xFF81FF81u, word[next]);
        const uint32_t q0 = tc_ssub16(tc_even_times_256(word[i]), p0);
        const uint32_t q1 = tc_ssub16(tc_even_times_256(word[next]), p1);
        block[i] = p0;
        block[next] = p1;
        block[pixels + i] = q0;
        block[pixels + next] = q1;
    }
}

/* Expands the windows that begin at `at`, of `pixels` (4 or 3) pixels. */
TC_INLINE void tc_lane_strip_expand(const int8_t *const *at, uint32_t pixels, uint32_t *block,
                                    const tc_lane_strip_shape *shape)
{
    const int32_t pitch = shape->pitch * shape->conv.dilation_y;
    const int8_t *window[4];
    uint32_t word[4];
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
    for (uint32_t i = 0; i < pixels; i++) {
        window[i] = at[i];
    }
    for (int32_t row = 0; row < shape->conv.kernel_height; row++) {
#if defined(__GNUC__)
#pragma GCC unroll 8
#endif
        for (int32_t part = 0; part < shape->words; part++, block += 2u * pixels) {
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
            for (uint32_t i = 0; i < pixels; i++) {
                word[i] = tc_load4(window[i] + 4 * part);
            }
            tc_lane_strip_words(word, pixels, block);
        }
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
        for (uint32_t i = 0; i < pixels; i++) {
            window[i] += pitch;
        }
    }
    if (shape->after > 0) {
        const int32_t together = 4 / shape->after;
        for (int32_t row = 0; row < shape->conv.kernel_height; row += together, block += 2u * pixels) {
            const int32_t below = shape->conv.kernel_height - row;
            const int32_t rows = below < together ? below : together;
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
            for (uint32_t i = 0; i < pixels; i++) {
                word[i] = tc_lane_strip_rest(at[i] + row * pitch + 4 * shape->words, shape->after, rows, pitch);
            }
            tc_lane_strip_words(word, pixels, block);
        }
    }
}

/* Expands the block at `at`, `count` windows of its `pixels`; the others repeat the last of them. */
TC_INLINE void tc_lane_strip_block(tc_lane_strip *strip, const tc_lane_position *at, uint32_t pixels, int32_t count,
                                   uint32_t *block, const tc_lane_strip_shape *shape)
{
    const int32_t stride = shape->conv.stride_y;
    const int32_t step = shape->conv.stride_x * shape->conv.input_channels;
    if (shape->moves != 0) {
        const int32_t last = at->y + tc_lane_wrap(at->x, count - 1, &shape->conv);
        const int32_t end = last * stride + (shape->conv.kernel_height - 1) * shape->conv.dilation_y + 1;
        if (end > strip->first + shape->rows) {
            tc_lane_strip_fill(strip, at->input, tc_lane_strip_move(strip, at->y * stride, shape), shape);
        }
    }
    const int8_t *from = strip->rows + (at->y * stride - strip->first) * shape->pitch + at->x * step;
    const int8_t *window[4];
    int32_t x = at->x;
#if defined(__GNUC__)
#pragma GCC unroll 4
#endif
    for (uint32_t i = 0; i < pixels; i++) {
        window[i] = from;
        if ((int32_t)i + 1 < count) {
            from += step;
            if (++x == shape->conv.output_width) {
                x = 0;
                from += stride * shape->pitch - shape->conv.output_width * step;
            }
        }
    }
    tc_lane_strip_expand(window, pixels, block, shape);
}

/* `number` blocks of `count` out of `pixels` pixels. */
TC_INLINE void tc_lane_strip_blocks(tc_lane_strip *strip, tc_lane_position *at, const int32_t *weights, uint32_t *block,
                                    int8_t *results, int32_t pixels, int32_t count, int32_t number,
                                    tc_lane_block *compute, const tc_lane_strip_shape *shape)
{
    const tc_lane_job job = tc_lane_conv2d_job(weights, block, pixels, &shape->conv);
    const int32_t channels = shape->conv.output_channels;
    const int32_t direct = count == pixels && channels > 1;
    for (int32_t i = 0; i < number; i++) {
        tc_lane_strip_block(strip, at, (uint32_t)pixels, count, block, shape);
        compute(block, weights, direct ? at->output : results, &job);
        if (!direct) {
            for (int32_t pixel = 0; pixel < count; pixel++) {
                tc_memcpy(at->output + pixel * channels, results + pixel * tc_lane_stride(&shape->conv),
                          (uint32_t)channels);
            }
        }
        tc_lane_advance(at, pixels, &shape->conv);
    }
}

/* `four` and `three` are block functions; those that aren't needed may be null. */
TC_INLINE void tc_lane_strip_s8(const int8_t *input, int8_t *output, const int32_t *weights, void *scratch,
                                tc_lane_block *four, tc_lane_block *three, const tc_lane_strip_shape *shape)
{
    const tc_lane_conv2d_shape *const conv = &shape->conv;
    const int32_t largest = conv->fours > 0 ? 4 : 3;
    tc_lane_position at = {input, output, 0, 0};
    uint32_t *const block = (uint32_t *)scratch;
    tc_lane_strip strip;
    strip.rows = (int8_t *)(block + 2 * largest * conv->groups);
    int8_t *const results = strip.rows + shape->rows * shape->pitch + 4;
    tc_lane_strip_open(&strip, input, shape);
    if (conv->fours > 0) {
        tc_lane_strip_blocks(&strip, &at, weights, block, results, 4, 4, conv->fours, four, shape);
    }
    if (conv->threes > 0) {
        tc_lane_strip_blocks(&strip, &at, weights, block, results, 3, 3, conv->threes, three, shape);
    }
    if (conv->rest > 0) {
        tc_lane_strip_blocks(&strip, &at, weights, block, results, 3, conv->rest, 1, three, shape);
    }
}

#ifdef __cplusplus
}
#endif

#endif
