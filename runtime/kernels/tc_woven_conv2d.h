/* SPDX-License-Identifier: 0BSD */
/*
 * Convolution and several rows of a fully connected layer, 9 or 10 pixels and 3 channels at a time (tc_woven.h).
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * stream   per three output channels [taps][3], int8, at last twice or once per two [taps][2]; zeros fill taps up to a
 *          multiple of 4, and beside a single channel
 * channels per output channel: requantisation (tc_product_requant.h)
 * scratch  words of a block's pixels, sums of three channels per run, then, where windows reach beyond the image or have
 *          gaps, a row of a window for each pixel of a weave
 *
 * All windows of a block are read before its outputs are written.
 */
#ifndef TC_WOVEN_CONV2D_H
#define TC_WOVEN_CONV2D_H

#include "kernels/tc_packed_conv2d.h"
#include "kernels/tc_woven.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_woven_conv2d_shape {
    tc_packed_conv2d_shape layer;
    bool fives;
    int32_t runs;
    int32_t run_taps; /* of each but the last */
    /* Of 3 and 2 channels: with all words, and with those of the last block where these are fewer. */
    tc_woven_products *three;
    tc_woven_products *two;
    tc_woven_products *last_three;
    tc_woven_products *last_two;
    tc_woven_finish *finish;
} tc_woven_conv2d_shape;

/* Words of a weave's windows: straight from the image, or from copies in `buffer`. */
TC_INLINE void tc_woven_windows(const int8_t *input, const tc_packed_place *places, uint32_t *words, int32_t step,
                                int8_t *buffer, bool fives, const tc_packed_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const int32_t row_bytes = window->kernel_width * depth;
    const int32_t pixels = tc_woven_pixels(fives);
    bool direct = window->dilation_x == 1;
    const int8_t *rows[5];
    for (int32_t i = 0; i < pixels; i++) {
        direct = direct && (tc_window_is_unpadded(window) || tc_window_lies_inside(window, places[i].top, places[i].left));
        rows[i] = input + (places[i].top * window->input_width + places[i].left) * depth;
    }
    for (int32_t ky = 0; ky < window->kernel_height; ky++) {
        for (int32_t i = 0; i < pixels && !direct; i++) {
            tc_packed_row(input, places[i].top + ky * window->dilation_y, places[i].left, buffer + i * row_bytes, shape);
            rows[i] = buffer + i * row_bytes;
        }
        if (fives) {
            tc_woven_expand_fives(rows, words, row_bytes, step);
        } else {
            tc_woven_expand_threes(rows, words, row_bytes, step);
        }
        for (int32_t i = 0; i < pixels; i++) {
            rows[i] += window->dilation_y * window->input_width * depth;
        }
        words += row_bytes * step;
    }
}

/* Sums and results of `together` channels from `c` on; returns the weights behind theirs. */
TC_INLINE const int8_t *tc_woven_channels(const uint32_t *x, const int8_t *weights, uint32_t *sums, const int32_t *channels,
                                          int8_t *output, int32_t c, int32_t together, int32_t words, int32_t pixels,
                                          tc_woven_products *products, const tc_woven_conv2d_shape *shape)
{
    const tc_window *window = &shape->layer.window;
    const int32_t taps = (window->kernel_height * window->kernel_width * shape->layer.input_channels + 3) / 4 * 4;
    const tc_woven_target target = {pixels, shape->layer.output_channels, together * words};
    for (int32_t run = 0; run < shape->runs; run++) {
        const int32_t count = run < shape->runs - 1 ? shape->run_taps : taps - run * shape->run_taps;
        products(x + run * shape->run_taps * words, weights, weights + count * together, sums + run * target.run_step);
        weights += count * together;
    }
    const int32_t parameters = (int32_t)tc_scalar_requant_words(&shape->layer.requant);
    for (int32_t i = 0; i < together && c + i < shape->layer.output_channels; i++) {
        shape->finish(sums + i * words, channels + (c + i) * parameters, output + c + i, &target);
    }
    return weights;
}

/* With the operator behind the layer; `other` is what it reads beside the layer's results. */
TC_INLINE void tc_woven_conv2d_s8_and(const int8_t *input, const int8_t *other, int8_t *output, const int8_t *stream,
                                      const int32_t *channels, void *scratch, const tc_woven_conv2d_shape *shape,
                                      const tc_after *after)
{
    const tc_window *window = &shape->layer.window;
    const bool fives = shape->fives;
    const int32_t taps = window->kernel_height * window->kernel_width * shape->layer.input_channels;
    const int32_t padded = (taps + 3) / 4 * 4;
    const int32_t pixels = window->output_height * window->output_width;
    const int32_t weave = tc_woven_pixels(fives);
    const int32_t together = tc_min(6 / tc_woven_words(fives) * weave, (pixels + weave - 1) / weave * weave);
    const int32_t most = together / weave * tc_woven_words(fives); /* words */
    const int32_t depth = shape->layer.output_channels;
    const int32_t threes = depth - (depth % 3 == 0 ? 0 : depth % 3 == 2 ? 2 : depth < 4 ? depth : 4);
    uint32_t *const x = (uint32_t *)scratch;
    uint32_t *const sums = x + most * padded;
    int8_t *const buffer = (int8_t *)(sums + 3 * most * shape->runs);
    tc_packed_place place = {-window->padding_top, -window->padding_left};
    for (int32_t pixel = 0; pixel < pixels; pixel += together) {
        const int32_t count = tc_min(together, pixels - pixel);
        const int32_t words = (count + weave - 1) / weave * tc_woven_words(fives);
        const bool full = words == most;
        for (int32_t word = 0, done = 0; word < words; word += tc_woven_words(fives)) {
            /* The last pixel stands for those that there aren't. */
            tc_packed_place places[5];
            for (int32_t i = 0; i < weave; i++) {
                places[i] = place;
                done++;
                place = done < count ? tc_packed_next(place, window) : place;
            }
            tc_woven_windows(input, places, x + word, words, buffer, fives, &shape->layer);
        }
        place = tc_packed_next(place, window);
        for (int32_t i = taps * words; i < padded * words && (pixel == 0 || !full); i++) {
            x[i] = 0;
        }
        const int8_t *weights = stream;
        for (int32_t c = 0; c < threes; c += 3) {
            weights = tc_woven_channels(x, weights, sums, channels, output, c, 3, words, count,
                                        full ? shape->three : shape->last_three, shape);
        }
        for (int32_t c = threes; c < depth; c += 2) {
            weights = tc_woven_channels(x, weights, sums, channels, output, c, 2, words, count,
                                        full ? shape->two : shape->last_two, shape);
        }
        other = tc_after_results(output, other, output, count * depth, after);
        output += count * depth;
    }
}

TC_INLINE void tc_woven_conv2d_s8(const int8_t *input, int8_t *output, const int8_t *stream, const int32_t *channels,
                                  void *scratch, const tc_woven_conv2d_shape *shape)
{
    static const tc_after nothing = TC_NOTHING_AFTER;
    tc_woven_conv2d_s8_and(input, NULL, output, stream, channels, scratch, shape, &nothing);
}

#ifdef __cplusplus
}
#endif

#endif
