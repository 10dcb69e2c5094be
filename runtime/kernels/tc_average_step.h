/* SPDX-License-Identifier: 0BSD */
/*
 * Average pooling of int8 images with any requantisation; only positions inside the image count.
 *
 * input   [input_height][input_width][channels], int8
 * output  [output_height][output_width][channels], int8
 * step    what `finish` needs (tc_finish.h), with -input_zero_point * (positions of a window) folded in; where windows
 *         reach outside the image (by_count), for 1 x 1, 1 x 2, ... positions up to the kernel's
 *
 * Pixels are computed in memory order; a channel of a pixel is written when its window has been read for it.
 */
#ifndef TC_AVERAGE_STEP_H
#define TC_AVERAGE_STEP_H

#include <stdint.h>

#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_average_step_shape {
    tc_window window;
    int32_t channels;
    int32_t by_count;
    tc_output_range range;
} tc_average_step_shape;

/* All channels of the average over rows x columns pixels. */
TC_INLINE void tc_average_step_pixel(const int8_t *input, int8_t *output, int32_t rows, int32_t columns, int32_t index,
                                     const void *step, tc_finish *finish, const tc_average_step_shape *shape)
{
    const int32_t row_stride = shape->window.input_width * shape->channels;
    for (int32_t channel = 0; channel < shape->channels; ++channel) {
        int32_t sum = 0;
        for (int32_t ky = 0; ky < rows; ++ky) {
            const int8_t *next = input + channel + ky * row_stride;
            for (int32_t kx = 0; kx < columns; ++kx) {
                sum += next[kx * shape->channels];
            }
        }
        output[channel] = (int8_t)finish(sum, step, index, &shape->range);
    }
}

TC_INLINE void tc_average_step_s8(const int8_t *input, int8_t *output, const void *step, tc_finish *finish,
                                  const tc_average_step_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t height = window->kernel_height;
    const int32_t width = window->kernel_width;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        for (int32_t ox = 0; ox < window->output_width; ++ox, output += shape->channels) {
            if (shape->by_count) {
                const tc_taps y = tc_window_rows(window, oy);
                const tc_taps x = tc_window_columns(window, ox);
                const int8_t *first = input + (y.position * window->input_width + x.position) * shape->channels;
                const int32_t index = (y.count - 1) * width + x.count - 1;
                tc_average_step_pixel(first, output, y.count, x.count, index, step, finish, shape);
            } else {
                const int32_t place = oy * window->stride_y * window->input_width + ox * window->stride_x;
                const int8_t *first = input + place * shape->channels;
                tc_average_step_pixel(first, output, height, width, 0, step, finish, shape);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
