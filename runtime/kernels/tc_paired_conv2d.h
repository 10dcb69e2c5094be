/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution and several rows of a fully connected layer, 6 pixels and 2 channels at a time (tc_paired.h).
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * stream   for each two output channels the groups of their weights
 * channels per output channel: requantisation (tc_scalar_requant.h), whose sums begin with 0
 * scratch  3 words per tap, then, where windows reach beyond the image or have gaps, two rows of windows
 *
 * All windows of a block are read before its outputs are written.
 */
#ifndef TC_PAIRED_CONV2D_H
#define TC_PAIRED_CONV2D_H

#include "kernels/tc_packed_conv2d.h"
#include "kernels/tc_paired.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The results of a channel of up to 6 pixels. */
TC_INLINE void tc_paired_finish(const tc_packed_pair *pairs, const int32_t *channel, int8_t *output, int32_t count,
                                tc_packed_finish *finish, const tc_packed_conv2d_shape *shape)
{
    const tc_packed_target target = {(uint32_t)shape->output_channels, pairs + count / 2};
    if (count > 1) {
        finish(pairs, channel, output, &target);
    }
    if (count % 2 != 0) {
        output[(count - 1) * shape->output_channels] =
            tc_scalar_requantize(tc_packed_first(target.end), channel, &shape->requant);
    }
}

/* With the operator behind the layer; `other` is what it reads beside the layer's results. */
TC_INLINE void tc_paired_conv2d_s8_and(const int8_t *input, const int8_t *other, int8_t *output, const int8_t *stream,
                                       const int32_t *channels, void *scratch, tc_packed_finish *finish,
                                       const tc_packed_conv2d_shape *shape, const tc_after *after)
{
    const tc_window *window = &shape->window;
    const int32_t taps = window->kernel_height * window->kernel_width * shape->input_channels;
    const int32_t pixels = window->output_height * window->output_width;
    const int32_t parameters = (int32_t)tc_scalar_requant_words(&shape->requant);
    uint32_t *const x = (uint32_t *)scratch;
    int8_t *const buffer = (int8_t *)(x + 3 * taps);
    tc_packed_place place = {-window->padding_top, -window->padding_left};
    for (int32_t pixel = 0; pixel < pixels; pixel += 6) {
        const int32_t count = tc_min(6, pixels - pixel);
        for (int32_t word = 0; word < 3; word++) {
            /* The last pixel stands for those that there aren't. */
            const tc_packed_place first = place;
            place = 2 * word + 1 < count ? tc_packed_next(place, window) : place;
            tc_packed_windows(input, first, place, x + word, 3, buffer, shape);
            place = 2 * word + 2 < count ? tc_packed_next(place, window) : place;
        }
        place = tc_packed_next(place, window);
        const int8_t *weights = stream;
        const int32_t *channel = channels;
        for (int32_t c = 0; c < shape->output_channels; c += 2, channel += 2 * parameters) {
            tc_packed_pair pairs[6];
            weights = tc_paired_sums(x, weights, pairs);
            tc_paired_finish(pairs, channel, output + c, count, finish, shape);
            if (shape->output_channels % 2 == 0 || c + 1 < shape->output_channels) {
                tc_paired_finish(pairs + 3, channel + parameters, output + c + 1, count, finish, shape);
            }
        }
        other = tc_after_results(output, other, output, count * shape->output_channels, after);
        output += count * shape->output_channels;
    }
}

TC_INLINE void tc_paired_conv2d_s8(const int8_t *input, int8_t *output, const int8_t *stream, const int32_t *channels,
                                   void *scratch, tc_packed_finish *finish, const tc_packed_conv2d_shape *shape)
{
    static const tc_after nothing = TC_NOTHING_AFTER;
    tc_paired_conv2d_s8_and(input, NULL, output, stream, channels, scratch, finish, shape, &nothing);
}

#ifdef __cplusplus
}
#endif

#endif
