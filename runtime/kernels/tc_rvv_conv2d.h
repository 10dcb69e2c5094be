/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution and fully connected layers by RISC-V's vectors (tc_rvv.h): 32 channels of three pixels at a time.
 *
 * input     [input_height][input_width][input_channels], int8
 * output    [output_height][output_width][output_channels], int8
 * weights   [taps][output_channels]
 * constants [3 or 4][output_channels]: starts, multipliers, offsets, then steps or shifts
 * scratch   [3][32] sums, then, where windows are copied, three of them
 *
 * The windows of a block are read until its last results are written.
 */
#ifndef TC_RVV_CONV2D_H
#define TC_RVV_CONV2D_H

#include "kernels/tc_after.h"
#include "kernels/tc_rvv.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_rvv_conv2d_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t input_zero_point;
    int32_t in_image; /* windows are one row without gaps, so that those inside the image are read there */
    tc_rvv_requant requant;
} tc_rvv_conv2d_shape;

/* The window at (top, left): in the image, or copied to `buffer`. */
TC_INLINE const int8_t *tc_rvv_window(const int8_t *input, int32_t top, int32_t left, int8_t *buffer,
                                      const tc_rvv_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const int32_t row_bytes = window->kernel_width * depth;
    const bool inside = tc_window_is_unpadded(window) || tc_window_lies_inside(window, top, left);
    const int8_t *from = input + (top * window->input_width + left) * depth;
    if (shape->in_image != 0 && inside) {
        return from;
    }
    int8_t *to = buffer;
    for (int32_t ky = 0; ky < window->kernel_height; ky++) {
        if (inside && window->dilation_x == 1) {
            tc_rvv_copy(to, from, (uint32_t)row_bytes);
        } else {
            for (int32_t kx = 0; kx < window->kernel_width; kx++) {
                const int32_t right = kx * window->dilation_x;
                if (tc_window_holds(window, top + ky * window->dilation_y, left + right)) {
                    tc_rvv_copy(to + kx * depth, from + right * depth, (uint32_t)depth);
                } else {
                    memset(to + kx * depth, shape->input_zero_point, (uint32_t)depth);
                }
            }
        }
        to += row_bytes;
        from += window->dilation_y * window->input_width * depth;
    }
    return buffer;
}

/* With the operator behind the layer; `other` is what it reads beside the layer's results. */
TC_INLINE void tc_rvv_conv2d_s8_and(const int8_t *input, const int8_t *other, int8_t *output, const int8_t *weights,
                                    const int32_t *constants, void *scratch, const tc_rvv_conv2d_shape *shape,
                                    const tc_after *after)
{
    const tc_window *window = &shape->window;
    const int32_t channels = shape->output_channels;
    const int32_t taps = window->kernel_height * window->kernel_width * shape->input_channels;
    const int32_t pixels = window->output_height * window->output_width;
    int32_t *const sums = (int32_t *)scratch;
    int8_t *const buffers = (int8_t *)(sums + TC_RVV_PIXELS * TC_RVV_CHANNELS);
    int32_t top = -window->padding_top;
    int32_t left = -window->padding_left;
    for (int32_t pixel = 0; pixel < pixels; pixel += TC_RVV_PIXELS) {
        const int32_t together = tc_min(TC_RVV_PIXELS, pixels - pixel);
        const int8_t *x[TC_RVV_PIXELS];
        for (int32_t i = 0; i < TC_RVV_PIXELS; i++) {
            if (i >= together) {
                x[i] = x[0]; /* stands for those that there aren't */
                continue;
            }
            x[i] = tc_rvv_window(input, top, left, buffers + i * taps, shape);
            left += window->stride_x;
            if (left == window->output_width * window->stride_x - window->padding_left) {
                left = -window->padding_left;
                top += window->stride_y;
            }
        }
        for (int32_t c = 0; c < channels;) {
            const int32_t most = tc_min(TC_RVV_CHANNELS, channels - c);
            const int32_t count = together > 1 ? tc_rvv_sums_of_3(x, weights + c, taps, channels, most, sums)
                                               : tc_rvv_sums_of_1(x, weights + c, taps, channels, most, sums);
            for (int32_t i = 0; i < together; i++) {
                tc_rvv_finish(sums + i * TC_RVV_CHANNELS, count, constants + c, channels, output + i * channels + c,
                              &shape->requant);
            }
            c += count;
        }
        other = tc_after_results(output, other, output, together * channels, after);
        output += together * channels;
    }
}

TC_INLINE void tc_rvv_conv2d_s8(const int8_t *input, int8_t *output, const int8_t *weights, const int32_t *constants,
                                void *scratch, const tc_rvv_conv2d_shape *shape)
{
    static const tc_after nothing = TC_NOTHING_AFTER;
    tc_rvv_conv2d_s8_and(input, NULL, output, weights, constants, scratch, shape, &nothing);
}

#ifdef __cplusplus
}
#endif

#endif
