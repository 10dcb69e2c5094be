/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution and fully connected layers in blocks of 2 pixels x 2 channels (tc_block.h), for cores without SIMD.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * weights  [pairs of output channels][taps, filled up to a multiple of 4][2], w + 128; of fewer
 *          bits as in tc_block_low_bits.h
 * channels per output channel: requantisation (tc_product_requant.h)
 * scratch  two windows of `taps` bytes
 *
 * Both windows of a block are read before its outputs are written.
 */
#ifndef TC_BLOCK_CONV2D_H
#define TC_BLOCK_CONV2D_H

#include "kernels/tc_after.h"
#include "kernels/tc_block.h"
#include "kernels/tc_block_low_bits.h"
#include "kernels/tc_product_requant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_block_conv2d_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t input_zero_point;
    tc_product_requant requant;
    int32_t bits; /* of a weight: 4 or 2, or 0 for bytes */
} tc_block_conv2d_shape;

/* With the operator behind the layer; `other` is what it reads beside the layer's results. */
TC_INLINE void tc_block_conv2d_s8_and(const int8_t *input, const int8_t *other, int8_t *output, const uint8_t *weights,
                                      const int32_t *channels, void *scratch, const tc_block_conv2d_shape *shape,
                                      const tc_after *after)
{
    uint8_t *const pixel_taps = (uint8_t *)scratch;
    const tc_window *window = &shape->window;
    const int32_t kernel_size = window->kernel_height * window->kernel_width * shape->input_channels;
    const int32_t taps = (kernel_size + 3) / 4 * 4;
    const int32_t pixels = window->output_height * window->output_width;
    const int32_t words = (int32_t)tc_product_requant_words(&shape->requant);
    const int32_t pair_bytes = shape->bits == 0 ? 2 * taps : taps * shape->bits / 4;
    const int32_t added = shape->bits == 0 ? 128 : 1 << (shape->bits - 1); /* to a weight */
    int32_t oy = 0;
    int32_t ox = 0;
    memset(pixel_taps, 0, (uint32_t)(2 * taps)); /* taps beyond the window multiply zeros */
    for (int32_t pixel = 0; pixel < pixels; pixel += 2) {
        const int32_t count = pixels - pixel < 2 ? 1 : 2;
        int32_t starts[2] = {0, 0};
        for (int32_t p = 0; p < count; p++) {
            const uint32_t sum = tc_block_window(input, oy * window->stride_y - window->padding_top,
                                                 ox * window->stride_x - window->padding_left, window,
                                                 shape->input_channels, shape->input_zero_point, pixel_taps + p * taps);
            starts[p] = -added * (int32_t)sum;
            if (++ox == window->output_width) {
                ox = 0;
                oy++;
            }
        }
        const uint8_t *pair = weights;
        for (int32_t channel = 0; channel < shape->output_channels; channel += 2, pair += pair_bytes) {
            int32_t sums[4] = {starts[0], starts[0], starts[1], starts[1]};
            (shape->bits == 4   ? tc_block_2x2_4_bits
             : shape->bits == 2 ? tc_block_2x2_2_bits
                                : tc_block_2x2)(pixel_taps, pixel_taps + taps, pair, (uint32_t)taps, sums);
            const int32_t *requant = channels + channel * words;
            int8_t *result = output + channel;
            const int8_t *beside = tc_after_at(other, channel, after);
            for (int32_t p = 0; p < count; p++) {
                const int32_t value = tc_product_requantize(sums[2 * p], requant, &shape->requant);
                result[0] = (int8_t)tc_after_value(value, beside, after);
                if (shape->output_channels % 2 == 0 || channel + 1 < shape->output_channels) {
                    const int32_t next = tc_product_requantize(sums[2 * p + 1], requant + words, &shape->requant);
                    result[1] = (int8_t)tc_after_value(next, tc_after_at(beside, 1, after), after);
                }
                result += shape->output_channels;
                beside = tc_after_at(beside, shape->output_channels, after);
            }
        }
        output += count * shape->output_channels;
        other = tc_after_at(other, count * shape->output_channels, after);
    }
}

TC_INLINE void tc_block_conv2d_s8(const int8_t *input, int8_t *output, const uint8_t *weights,
                                  const int32_t *channels, void *scratch,
                                  const tc_block_conv2d_shape *shape)
{
    static const tc_after nothing = TC_NOTHING_AFTER;
    tc_block_conv2d_s8_and(input, NULL, output, weights, channels, scratch, shape, &nothing);
}

#ifdef __cplusplus
}
#endif

#endif
