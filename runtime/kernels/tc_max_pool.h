/* SPDX-License-Identifier: 0BSD */
/*
 * Maximum pooling of int8 images: any window, stride and padding; only positions inside the image count.
 *
 * input   [input_height][input_width][channels], int8
 * output  [output_height][output_width][channels], int8, of the same scale and zero point
 *
 * The arithmetic is that of tflite::reference_integer_ops::MaxPool.
 *
 * Pixels are computed in memory order; four channels are read from the whole window, then written.
 */
#ifndef TC_MAX_POOL_H
#define TC_MAX_POOL_H

#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_max_pool_shape {
    tc_window window;
    int32_t padded; /* whether some window reaches outside the image */
    int32_t channels;
    int32_t low;
    int32_t high;
} tc_max_pool_shape;

/* All channels of the maximum over rows x columns pixels. */
TC_INLINE void tc_max_pixel(const int8_t *input, int8_t *output, int32_t rows, int32_t columns,
                            const tc_max_pool_shape *shape)
{
    const int32_t channels = shape->channels;
    const int32_t row_stride = shape->window.input_width * channels;
    for (int32_t channel = 0; channel < channels / 4 * 4; channel += 4) {
        uint32_t largest = tc_load4(input + channel);
        for (int32_t row = 0; row < rows; ++row) {
            const int8_t *next = input + channel + row * row_stride;
            for (int32_t column = 0; column < columns; ++column) {
                largest = tc_max4(largest, tc_load4(next));
                next += channels;
            }
        }
        tc_store4(output + channel, tc_clamp4(largest, shape->low, shape->high));
    }
    for (int32_t channel = channels / 4 * 4; channel < channels; ++channel) {
        int32_t largest = shape->low;
        for (int32_t row = 0; row < rows; ++row) {
            const int8_t *next = input + channel + row * row_stride;
            for (int32_t column = 0; column < columns; ++column) {
                largest = tc_max(largest, *next);
                next += channels;
            }
        }
        output[channel] = (int8_t)tc_min(largest, shape->high);
    }
}

TC_INLINE void tc_max_pool_s8(const int8_t *input, int8_t *output, const tc_max_pool_shape *shape)
{
    const tc_window *window = &shape->window;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps y = tc_window_rows(window, oy);
            const tc_taps x = tc_window_columns(window, ox);
            const int8_t *first = input + (y.position * window->input_width + x.position) * shape->channels;
            if (!shape->padded || (y.count == window->kernel_height && x.count == window->kernel_width)) {
                tc_max_pixel(first, output, window->kernel_height, window->kernel_width, shape);
            } else {
                tc_max_pixel(first, output, y.count, x.count, shape);
            }
            output += shape->channels;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
