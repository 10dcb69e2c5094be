/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution and fully connected layers with two pixels to a word (tc_packed.h), for cores without SIMD: 8 pixels of a
 * channel at a time.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * stream   per output channel the groups of its weights
 * channels per output channel: requantisation (tc_scalar_requant.h)
 * scratch  4 words per tap, then, where windows reach beyond the image or have gaps, two rows of windows
 *
 * All windows of a block are read before its outputs are written.
 */
#ifndef TC_PACKED_CONV2D_H
#define TC_PACKED_CONV2D_H

#include <string.h>

#include "kernels/tc_after.h"
#include "kernels/tc_packed.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_packed_conv2d_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t input_zero_point;
    tc_scalar_requant requant;
} tc_packed_conv2d_shape;

/* The first pixel of a window, perhaps outside the image. */
typedef struct tc_packed_place {
    int32_t top;
    int32_t left;
} tc_packed_place;

/* Copies a row of a window with its padding. */
TC_INLINE void tc_packed_row(const int8_t *input, int32_t y, int32_t left, int8_t *row, const tc_packed_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const int8_t *from = input + (y * window->input_width + left) * depth;
    for (int32_t kx = 0; kx < window->kernel_width; kx++) {
        if (tc_window_holds(window, y, left + kx * window->dilation_x)) {
            tc_memcpy(row, from, (uint32_t)depth);
        } else {
            memset(row, shape->input_zero_point, (uint32_t)depth);
        }
        row += depth;
        from += window->dilation_x * depth;
    }
}

/* Words of two windows: straight from the image, or from copies in `buffer`. */
TC_INLINE void tc_packed_windows(const int8_t *input, tc_packed_place first, tc_packed_place second, uint32_t *words,
                                 int32_t step, int8_t *buffer, const tc_packed_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const int32_t row_bytes = window->kernel_width * depth;
    const bool inside = tc_window_is_unpadded(window) || (tc_window_lies_inside(window, first.top, first.left) &&
                                                          tc_window_lies_inside(window, second.top, second.left));
    const bool direct = inside && window->dilation_x == 1;
    const int8_t *row = input + (first.top * window->input_width + first.left) * depth;
    const int8_t *other = input + (second.top * window->input_width + second.left) * depth;
    for (int32_t ky = 0; ky < window->kernel_height; ky++) {
        const int32_t down = ky * window->dilation_y;
        if (direct) {
            const int32_t below = down * window->input_width * depth;
            tc_packed_expand(row + below, other + below, words, (uint32_t)row_bytes, 4u * (uint32_t)step);
        } else {
            tc_packed_row(input, first.top + down, first.left, buffer, shape);
            tc_packed_row(input, second.top + down, second.left, buffer + row_bytes, shape);
            tc_packed_expand(buffer, buffer + row_bytes, words, (uint32_t)row_bytes, 4u * (uint32_t)step);
        }
        words += row_bytes * step;
    }
}

/* To the next window; behind the last one it stays. */
TC_INLINE tc_packed_place tc_packed_next(tc_packed_place place, const tc_window *window)
{
    place.left += window->stride_x;
    if (place.left == window->output_width * window->stride_x - window->padding_left) {
        place.left = -window->padding_left;
        place.top += window->stride_y;
    }
    return place;
}

/* With the operator behind the layer; `other` is what it reads beside the layer's results. */
TC_INLINE void tc_packed_conv2d_s8_and(const int8_t *input, const int8_t *other, int8_t *output, const int8_t *stream,
                                       const int32_t *channels, void *scratch, tc_packed_finish *finish,
                                       const tc_packed_conv2d_shape *shape, const tc_after *after)
{
    const tc_window *window = &shape->window;
    const int32_t taps = window->kernel_height * window->kernel_width * shape->input_channels;
    const int32_t pixels = window->output_height * window->output_width;
    const int32_t rest = pixels % 8;
    const uint32_t parameters = tc_scalar_requant_words(&shape->requant);
    uint32_t *const x = (uint32_t *)scratch;
    int8_t *const buffer = (int8_t *)(x + taps * (pixels < 8 ? (rest + 1) / 2 : 4));
    tc_packed_place place = {-window->padding_top, -window->padding_left};
    for (int32_t pixel = 0; pixel < pixels; pixel += 8) {
        const bool full = pixels - pixel >= 8;
        const int32_t count = full ? 8 : rest;
        const int32_t words = (count + 1) / 2;
        tc_packed_sums *const sums = full ? tc_packed_sums_4 : tc_packed_sums_of((rest + 1) / 2);
        for (int32_t w = 0; w < words; w++) {
            /* A pixel without a second one stands twice. */
            const tc_packed_place next = 2 * w + 1 < count ? tc_packed_next(place, window) : place;
            tc_packed_windows(input, place, next, x + w, words, buffer, shape);
            place = tc_packed_next(next, window);
        }
        const int32_t *channel = channels;
        const int8_t *weights = stream;
        int8_t *const results = tc_after_place(output, scratch, after);
        for (int32_t c = 0; c < shape->output_channels; c++, channel += parameters) {
            tc_packed_pair pairs[4];
            const tc_packed_target target = {(uint32_t)shape->output_channels, pairs + count / 2};
            weights = sums(x, weights, pairs, tc_scalar_start(channel, &shape->requant));
            if (full || rest > 1) {
                finish(pairs, channel, results + c, &target);
            }
            if (rest % 2 != 0 && !full) {
                results[(count - 1) * shape->output_channels + c] =
                    tc_scalar_requantize(tc_packed_first(&pairs[count / 2]), channel, &shape->requant);
            }
        }
        other = tc_after_results(results, other, output, count * shape->output_channels, after);
        output += count * shape->output_channels;
    }
}

TC_INLINE void tc_packed_conv2d_s8(const int8_t *input, int8_t *output, const int8_t *stream, const int32_t *channels,
                                   void *scratch, tc_packed_finish *finish, const tc_packed_conv2d_shape *shape)
{
    static const tc_after nothing = TC_NOTHING_AFTER;
    tc_packed_conv2d_s8_and(input, NULL, output, stream, channels, scratch, finish, shape, &nothing);
}

#ifdef __cplusplus
}
#endif

#endif
