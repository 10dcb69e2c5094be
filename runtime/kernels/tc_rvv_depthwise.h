/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution by RISC-V's vectors (tc_rvv.h): 32 channels of a pixel at a time.
 *
 * input     [input_height][input_width][channels], int8
 * output    [output_height][output_width][channels], int8
 * weights   [taps][channels]
 * constants [3 or 4][channels]: starts, multipliers, offsets, then steps or shifts
 * scratch   where the pixel of each tap is, [32] sums, and where windows reach beyond the image, a pixel of padding
 *
 * A pixel's window is read until its last result is written.
 */
#ifndef TC_RVV_DEPTHWISE_H
#define TC_RVV_DEPTHWISE_H

#include "kernels/tc_rvv.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_rvv_depthwise_shape {
    tc_window window;
    int32_t channels;
    int32_t input_zero_point;
    tc_rvv_requant requant;
} tc_rvv_depthwise_shape;

/* Where the taps of the window at (top, left) are. */
TC_INLINE void tc_rvv_places(const int8_t *input, int32_t top, int32_t left, const int8_t *padding, const int8_t **places,
                             const tc_rvv_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    for (int32_t ky = 0; ky < window->kernel_height; ky++) {
        const int32_t y = top + ky * window->dilation_y;
        for (int32_t kx = 0; kx < window->kernel_width; kx++) {
            const int32_t x = left + kx * window->dilation_x;
            const bool holds = tc_window_is_unpadded(window) || tc_window_holds(window, y, x);
            *places++ = holds ? input + (y * window->input_width + x) * shape->channels : padding;
        }
    }
}

TC_INLINE void tc_rvv_depthwise_s8(const int8_t *input, int8_t *output, const int8_t *weights, const int32_t *constants,
                                   void *scratch, const tc_rvv_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t channels = shape->channels;
    const int32_t taps = window->kernel_height * window->kernel_width;
    const int8_t **const places = (const int8_t **)scratch;
    int32_t *const sums = (int32_t *)(places + taps);
    int8_t *const padding = (int8_t *)(sums + TC_RVV_CHANNELS);
    if (!tc_window_is_unpadded(window)) {
        memset(padding, shape->input_zero_point, (uint32_t)channels);
    }
    for (int32_t oy = 0; oy < window->output_height; oy++) {
        for (int32_t ox = 0; ox < window->output_width; ox++) {
            tc_rvv_places(input, oy * window->stride_y - window->padding_top, ox * window->stride_x - window->padding_left,
                          padding, places, shape);
            for (int32_t c = 0; c < channels;) {
                const int32_t most = tc_min(TC_RVV_CHANNELS, channels - c);
                const int32_t count = tc_rvv_depthwise_sums(places, c, weights + c, taps, channels, most, sums);
                tc_rvv_finish(sums, count, constants + c, channels, output + c, &shape->requant);
                c += count;
            }
            output += channels;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
