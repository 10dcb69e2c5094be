/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution and fully connected layers by Helium (tc_mve.h).
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * weights  as in tc_mve.h
 * requant  as in tc_mve_product_requant.h
 * scratch  two windows, each filled up to a multiple of 16 bytes; unused where windows are read where they are
 *
 * Two pixels at a time; both windows are copied before their outputs are written, unless a window is one pixel
 * (`pointwise`) of a multiple of 16 channels: those are read where they are.
 */
#ifndef TC_MVE_CONV2D_H
#define TC_MVE_CONV2D_H

#include <stdbool.h>

#include "kernels/tc_mve.h"
#include "kernels/tc_mve_product_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_mve_conv2d_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t input_zero_point;
    bool pointwise; /* a window is the next `input_channels` bytes */
    tc_product_requant requant;
} tc_mve_conv2d_shape;

/* Copies the window whose first pixel is (top, left), padding written out. */
TC_INLINE void tc_mve_window(const int8_t *input, int32_t top, int32_t left, int8_t *output,
                             const tc_mve_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const int32_t row_bytes = window->kernel_width * depth;
    const int8_t padding = (int8_t)shape->input_zero_point;
    if (window->dilation_x == 1 && (tc_window_is_unpadded(window) || tc_window_lies_inside(window, top, left))) {
        input += (top * window->input_width + left) * depth;
        for (int32_t ky = 0; ky < window->kernel_height; ky++) {
            tc_mve_copy(input, (uint32_t)row_bytes, output);
            input += window->dilation_y * window->input_width * depth;
            output += row_bytes;
        }
        return;
    }
    for (int32_t ky = 0; ky < window->kernel_height; ky++, output += row_bytes) {
        const int32_t y = top + ky * window->dilation_y;
        const int8_t *row = input + (y * window->input_width + left) * depth;
        if (y < 0 || y >= window->input_height) {
            tc_mve_fill(padding, (uint32_t)row_bytes, output);
        } else if (window->dilation_x > 1) {
            for (int32_t kx = 0; kx < window->kernel_width; kx++) {
                const int32_t x = left + kx * window->dilation_x;
                if (x < 0 || x >= window->input_width) {
                    tc_mve_fill(padding, (uint32_t)depth, output + kx * depth);
                } else {
                    tc_mve_copy(row + kx * window->dilation_x * depth, (uint32_t)depth, output + kx * depth);
                }
            }
        } else {
            const int32_t before = tc_clamp(-left, 0, window->kernel_width);
            const int32_t inside = tc_clamp(window->input_width - left, before, window->kernel_width) - before;
            tc_mve_fill(padding, (uint32_t)row_bytes, output);
            tc_mve_copy(row + before * depth, (uint32_t)(inside * depth), output + before * depth);
        }
    }
}

/* All channels of two pixels that lie beside each other in the output, or of one. */
TC_INLINE void tc_mve_conv2d_pixels(const int8_t *x0, const int8_t *x1, const int8_t *other, int8_t *output,
                                    int32_t count, const int8_t *weights, const int32_t *requant, uint32_t groups,
                                    const tc_mve_conv2d_shape *shape, const tc_after *after)
{
    for (int32_t channel = 0; channel < shape->output_channels; channel += 4) {
        const uint32_t wanted = shape->output_channels % 4 == 0 ? 4u : (uint32_t)(shape->output_channels - channel);
        int32_t sums[8];
        if (count > 1) {
            tc_mve_sums_2x4(x0, x1, weights, groups, sums);
            tc_mve_finish2x4_and(sums, requant, tc_after_at(other, channel, after), output + channel, shape->output_channels,
                                 wanted, &shape->requant, after);
        } else {
            tc_mve_sums_1x4(x0, weights, groups, sums);
            tc_mve_finish4_and(sums, requant, tc_after_at(other, channel, after), output + channel, wanted, &shape->requant,
                               after);
        }
        weights += 64u * groups;
        requant += 4u * tc_product_requant_words(&shape->requant);
    }
}

/* With the operator behind the layer; `other` is what it reads beside the layer's results. */
TC_INLINE void tc_mve_conv2d_s8_and(const int8_t *input, const int8_t *other, int8_t *output, const int8_t *weights,
                                    const int32_t *requant, int8_t *scratch, const tc_mve_conv2d_shape *shape,
                                    const tc_after *after)
{
    const tc_window *window = &shape->window;
    const int32_t taps = window->kernel_height * window->kernel_width * shape->input_channels;
    const uint32_t groups = (uint32_t)(taps + 15) / 16u;
    const int32_t pixels = window->output_height * window->output_width;
    int32_t oy = 0;
    int32_t ox = 0;
    for (int32_t left = pixels; left > 0; left -= 2) {
        const int32_t count = left < 2 ? 1 : 2;
        const int8_t *x = input;
        int32_t next = taps;
        if (shape->pointwise && taps % 16 == 0) {
            input += 2 * taps;
        } else if (shape->pointwise) {
            x = scratch;
            next = 16 * (int32_t)groups;
            tc_mve_copy(input, (uint32_t)taps, scratch);
            if (count == 2) {
                tc_mve_copy(input + taps, (uint32_t)taps, scratch + next);
            }
            input += 2 * taps;
        } else {
            for (int32_t p = 0; p < count; p++) {
                tc_mve_window(input, oy * window->stride_y - window->padding_top,
                              ox * window->stride_x - window->padding_left, scratch + p * 16 * (int32_t)groups, shape);
                if (++ox == window->output_width) {
                    ox = 0;
                    oy++;
                }
            }
            x = scratch;
            next = 16 * (int32_t)groups;
        }
        if (count == 2) {
            tc_mve_conv2d_pixels(x, x + next, other, output, 2, weights, requant, groups, shape, after);
        } else {
            tc_mve_conv2d_pixels(x, x, other, output, 1, weights, requant, groups, shape, after);
        }
        output += 2 * shape->output_channels;
        other = tc_after_at(other, 2 * shape->output_channels, after);
    }
}

TC_INLINE void tc_mve_conv2d_s8(const int8_t *input, int8_t *output, const int8_t *weights, const int32_t *requant,
                                int8_t *scratch, const tc_mve_conv2d_shape *shape)
{
    static const tc_after nothing = TC_NOTHING_AFTER;
    tc_mve_conv2d_s8_and(input, NULL, output, weights, requant, scratch, shape, &nothing);
}

#ifdef __cplusplus
}
#endif

#endif
