/* SPDX-License-Identifier: 0BSD */
/*
 * Average pooling of int8 images: any window, stride and padding; only positions inside the image count.
 *
 * input   [input_height][input_width][channels], int8
 * output  [output_height][output_width][channels], int8, of the same scale and zero point
 *
 * The arithmetic is that of tflite::reference_integer_ops::AveragePool: the sum divided by the count, halves away from
 * zero. For windows that lie inside the image the division is a multiplication, see tc_scaled_form.
 *
 * Pixels are computed in memory order; four channels are read from the whole window, then written.
 */
#ifndef TC_AVERAGE_POOL_H
#define TC_AVERAGE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_average.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_average_pool_shape {
    tc_window window;
    int32_t padded; /* whether some window reaches outside the image */
    int32_t channels;
    tc_scaled_form division; /* by the number of positions in a whole window */
    int32_t low;
    int32_t high;
} tc_average_pool_shape;

/* `whole`, a constant of the caller: the window lies inside the image. */
TC_INLINE int32_t tc_average_of(int32_t sum, int32_t count, int32_t whole, const tc_average_pool_shape *shape)
{
    return whole && shape->division.multiplier != 0 ? tc_scaled(sum, &shape->division) : tc_divide_rounded(sum, count);
}

/* All channels of the average over rows x columns pixels. */
TC_INLINE void tc_average_pixel(const int8_t *input, int8_t *output, int32_t rows, int32_t columns, int32_t whole,
                                const tc_average_pool_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t channels = shape->channels;
    const int32_t row_stride = window->input_width * channels;
    const bool fits = window->kernel_height * window->kernel_width <= TC_AVERAGE_BATCH;
    const int32_t count = rows * columns;
    for (int32_t channel = 0; channel < channels / 4 * 4; channel += 4) {
        int32_t totals[4];
        tc_sum4_block(input + channel, rows, row_stride, columns, channels, fits, totals);
        const uint32_t word = tc_pack4(
            tc_average_of(totals[0], count, whole, shape), tc_average_of(totals[1], count, whole, shape),
            tc_average_of(totals[2], count, whole, shape), tc_average_of(totals[3], count, whole, shape));
        tc_store4(output + channel, tc_clamp4(word, shape->low, shape->high));
    }
    for (int32_t channel = channels / 4 * 4; channel < channels; ++channel) {
        const int32_t total = tc_sum_block(input + channel, rows, row_stride, columns, channels);
        const int32_t average = tc_average_of(total, count, whole, shape);
        output[channel] = (int8_t)tc_clamp(average, shape->low, shape->high);
    }
}

TC_INLINE void tc_average_pool_s8(const int8_t *input, int8_t *output, const tc_average_pool_shape *shape)
{
    const tc_window *window = &shape->window;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps y = tc_window_rows(window, oy);
            const tc_taps x = tc_window_columns(window, ox);
            const int8_t *first = input + (y.position * window->input_width + x.position) * shape->channels;
            if (!shape->padded || (y.count == window->kernel_height && x.count == window->kernel_width)) {
                tc_average_pixel(first, output, window->kernel_height, window->kernel_width, 1, shape);
            } else {
                tc_average_pixel(first, output, y.count, x.count, 0, shape);
            }
            output += shape->channels;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
