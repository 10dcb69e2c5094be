/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution channel by channel, for cores without SIMD, any channel multiplier.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8; channel c reads input channel c / multiplier
 * weights  [output_channels][kernel_height][kernel_width], int8
 * channels per channel: requantisation (tc_product_requant.h); the sums are of (x + 128) * w
 * scratch  the channel's weights as int32, then its image as x + 128 with the padding written out
 *
 * An input channel is read completely before the first output channel that reads it is written.
 */
#ifndef TC_BLOCK_DEPTHWISE_H
#define TC_BLOCK_DEPTHWISE_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_product_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_block_depthwise_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t channels; /* so many are computed; 0 for all */
    int32_t plane_height;
    int32_t plane_width;
    int32_t input_zero_point;
    tc_product_requant requant;
} tc_block_depthwise_shape;

/* Copies the image of one channel into the plane's middle. */
TC_INLINE void tc_block_depthwise_plane(const int8_t *input, uint8_t *plane, const tc_block_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t rows = tc_min(window->input_height, shape->plane_height - window->padding_top);
    const int32_t columns = tc_min(window->input_width, shape->plane_width - window->padding_left);
    plane += window->padding_top * shape->plane_width + window->padding_left;
    for (int32_t y = 0; y < rows; y++) {
        for (int32_t x = 0; x < columns; x++) {
            plane[x] = (uint8_t)((uint8_t)input[x * shape->input_channels] + 128u);
        }
        plane += shape->plane_width;
        input += window->input_width * shape->input_channels;
    }
}

/* `count` outputs beside each other, 1 or 2: `x` is the first pixel of the first one's window. */
TC_INLINE void tc_block_depthwise_outputs(const uint8_t *x, const int32_t *taps, int8_t *output, int32_t count,
                                          const int32_t *channel, const tc_block_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    int32_t first = 0;
    int32_t second = 0;
    for (int32_t ky = 0; ky < window->kernel_height; ky++) {
#pragma GCC unroll 16
        for (int32_t kx = 0; kx < window->kernel_width; kx++) {
            first += x[kx * window->dilation_x] * taps[kx];
            if (count > 1) {
                second += x[kx * window->dilation_x + window->stride_x] * taps[kx];
            }
        }
        x += window->dilation_y * shape->plane_width;
        taps += window->kernel_width;
    }
    output[0] = (int8_t)tc_product_requantize(first, channel, &shape->requant);
    if (count > 1) {
        output[shape->output_channels] = (int8_t)tc_product_requantize(second, channel, &shape->requant);
    }
}

TC_INLINE void tc_block_depthwise_s8(const int8_t *input, int8_t *output, const int8_t *weights,
                                     const int32_t *channels, void *scratch,
                                     const tc_block_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t kernel_size = window->kernel_height * window->kernel_width;
    const int32_t multiplier = shape->output_channels / shape->input_channels;
    int32_t *const taps = (int32_t *)scratch;
    uint8_t *const plane = (uint8_t *)(taps + kernel_size);
    memset(plane, shape->input_zero_point + 128, (uint32_t)(shape->plane_height * shape->plane_width));
    const int32_t computed = shape->channels != 0 ? shape->channels : shape->output_channels;
    for (int32_t channel = 0; channel < computed; channel++) {
        for (int32_t i = 0; i < kernel_size; i++) {
            taps[i] = *weights++;
        }
        if (channel % multiplier == 0) {
            tc_block_depthwise_plane(input + channel / multiplier, plane, shape);
        }
        int8_t *result = output + channel;
        for (int32_t oy = 0; oy < window->output_height; oy++) {
            const uint8_t *x = plane + oy * window->stride_y * shape->plane_width;
            for (int32_t pairs = window->output_width / 2; pairs > 0; pairs--) {
                tc_block_depthwise_outputs(x, taps, result, 2, channels, shape);
                x += 2 * window->stride_x;
                result += 2 * shape->output_channels;
            }
            if (window->output_width % 2 != 0) {
                tc_block_depthwise_outputs(x, taps, result, 1, channels, shape);
                result += shape->output_channels;
            }
        }
        channels += tc_product_requant_words(&shape->requant);
    }
}

#ifdef __cplusplus
}
#endif

#endif
