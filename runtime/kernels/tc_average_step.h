/* SPDX-License-Identifier: 0BSD */
/*
 * Average pooling of int8 images with any requantisation; windows lie inside the image.
 *
 * input   [input_height][input_width][channels], int8
 * output  [output_height][output_width][channels], int8
 * step    what `finish` needs (tc_finish.h), with -input_zero_point * (positions of a window) folded in
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
    tc_output_range range;
} tc_average_step_shape;

TC_INLINE void tc_average_step_s8(const int8_t *input, int8_t *output, const void *step, tc_finish *finish,
                                  const tc_average_step_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t row_stride = window->input_width * shape->channels;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const int8_t *first = input + oy * window->stride_y * row_stride + ox * window->stride_x * shape->channels;
            for (int32_t channel = 0; channel < shape->channels; ++channel) {
                int32_t sum = 0;
                for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
                    const int8_t *next = first + channel + ky * row_stride;
                    for (int32_t kx = 0; kx < window->kernel_width; ++kx) {
                        sum += next[kx * shape->channels];
                    }
                }
                *output++ = (int8_t)finish(sum, step, 0, &shape->range);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
