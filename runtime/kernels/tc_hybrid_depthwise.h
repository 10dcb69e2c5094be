/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolutions of float activations and int8 weights (tc_hybrid.h).
 *
 * input    [batch][input_height][input_width][input_channels]
 * output   [batch][output_height][output_width][output_channels]
 * weights  [kernel_height][kernel_width][output_channels]
 * scratch  an image as int8
 *
 * An image is read completely before its first output is written.
 */
#ifndef TC_HYBRID_DEPTHWISE_H
#define TC_HYBRID_DEPTHWISE_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_hybrid.h"
#include "kernels/tc_hybrid_dot.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_hybrid_depthwise_shape {
    tc_window window;
    int32_t batch;
    int32_t input_channels;
    int32_t output_channels;
    tc_hybrid_form form;
} tc_hybrid_depthwise_shape;

/* One image that was quantised: any number of channels, and of outputs per channel. */
TC_INLINE void tc_hybrid_depthwise_image(const int8_t *image, float *output, const int8_t *weights,
                                         const tc_hybrid_channel *channels, tc_hybrid_row row,
                                         const tc_hybrid_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t inputs = shape->input_channels;
    const int32_t outputs = shape->output_channels;
    const int32_t multiplier = outputs / inputs;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            const int8_t *pixel = image + (rows.position * window->input_width + columns.position) * inputs;
            const int8_t *tap = weights + (rows.first * window->kernel_width + columns.first) * outputs;
            for (int32_t channel = 0; channel < outputs; ++channel) {
                const int8_t *value = pixel + channel / multiplier;
                const int8_t *weight = tap + channel;
                int32_t sum = 0;
                for (int32_t i = 0; i < rows.count; ++i) {
                    for (int32_t j = 0; j < columns.count; ++j) {
                        const int32_t centred = value[j * window->dilation_x * inputs] - row.zero_point;
                        sum = tc_wrapping_add(sum, centred * weight[j * outputs]);
                    }
                    value += window->dilation_y * window->input_width * inputs;
                    weight += window->kernel_width * outputs;
                }
                *output++ = tc_hybrid_real(sum, channels + channel, row, &shape->form);
            }
        }
    }
}

/* The same image where there is an output per channel, and 4 n channels: four side by side. */
TC_INLINE void tc_hybrid_depthwise_image_lanes(const int8_t *image, float *output, const int8_t *weights,
                                               const tc_hybrid_channel *channels, tc_hybrid_row row,
                                               const tc_hybrid_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const uint32_t minus = tc_lanes(-row.zero_point, -row.zero_point);
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            const int8_t *pixel = image + (rows.position * window->input_width + columns.position) * depth;
            const int8_t *tap = weights + (rows.first * window->kernel_width + columns.first) * depth;
            for (int32_t channel = 0; channel < depth; channel += 4) {
                int32_t sums[4] = {0, 0, 0, 0};
                for (int32_t i = 0; i < rows.count; ++i) {
                    const int8_t *value = pixel + channel + i * window->dilation_y * window->input_width * depth;
                    const int8_t *factor = tap + channel + i * window->kernel_width * depth;
                    for (int32_t j = 0; j < columns.count; ++j) {
                        uint32_t lanes[2];
                        tc_hybrid_tap(value, factor, minus, sums, lanes);
                        value += window->dilation_x * depth;
                        factor += depth;
                    }
                }
                for (int32_t i = 0; i < 4; ++i) {
                    *output++ = tc_hybrid_real(sums[i], channels + channel + i, row, &shape->form);
                }
            }
        }
    }
}

typedef void tc_hybrid_depthwise_of(const int8_t *image, float *output, const int8_t *weights,
                                    const tc_hybrid_channel *channels, tc_hybrid_row row,
                                    const tc_hybrid_depthwise_shape *shape);

TC_INLINE void tc_hybrid_depthwise(const float *input, float *output, const int8_t *weights,
                                   const tc_hybrid_channel *channels, void *scratch, tc_hybrid_depthwise_of *of_image,
                                   const tc_hybrid_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t size = window->input_height * window->input_width * shape->input_channels;
    for (int32_t n = 0; n < shape->batch; ++n) {
        const tc_hybrid_row row = tc_hybrid_quantize(input, (int8_t *)scratch, size, shape->form.asymmetric);
        of_image((const int8_t *)scratch, output, weights, channels, row, shape);
        input += size;
        output += window->output_height * window->output_width * shape->output_channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
