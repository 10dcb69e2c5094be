/* SPDX-License-Identifier: 0BSD */
/*
 * Maximum and average pooling of floats in ONNX's layout.
 *
 * input   [channels][input_height][input_width], where channels includes the batch
 * output  [channels][output_height][output_width]
 */
#ifndef TC_FLOAT_POOL2D_H
#define TC_FLOAT_POOL2D_H

#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_pool2d_shape {
    tc_window window;
    int32_t channels;
    int32_t average;      /* else the maximum */
    int32_t count_top;    /* how far around the image positions count for the average */
    int32_t count_bottom;
    int32_t count_left;
    int32_t count_right;
} tc_float_pool2d_shape;

TC_INLINE float tc_float_pool2d_window(const float *input, int32_t top, int32_t left,
                                       const tc_float_pool2d_shape *shape)
{
    const tc_window *window = &shape->window;
    float largest = 0.0f;
    float sum = 0.0f;
    int32_t seen = 0;
    int32_t count = 0;
    for (int32_t ky = 0; ky < window->kernel_height; ++ky) {
        const int32_t y = top + ky * window->dilation_y;
        for (int32_t kx = 0; kx < window->kernel_width; ++kx) {
            const int32_t x = left + kx * window->dilation_x;
            if (tc_window_holds(window, y, x)) {
                const float value = input[y * window->input_width + x];
                largest = seen == 0 || value > largest ? value : largest;
                sum = tc_opaque(sum + value);
                ++seen;
            }
            if (y >= -shape->count_top && y < window->input_height + shape->count_bottom && x >= -shape->count_left &&
                x < window->input_width + shape->count_right) {
                ++count;
            }
        }
    }
    return shape->average ? tc_divide(sum, (float)count) : largest;
}

TC_INLINE void tc_float_pool2d(const float *input, float *output, const tc_float_pool2d_shape *shape)
{
    const tc_window *window = &shape->window;
    for (int32_t channel = 0; channel < shape->channels; ++channel) {
        for (int32_t oy = 0; oy < window->output_height; ++oy) {
            for (int32_t ox = 0; ox < window->output_width; ++ox) {
                const int32_t top = oy * window->stride_y - window->padding_top;
                const int32_t left = ox * window->stride_x - window->padding_left;
                *output++ = tc_float_pool2d_window(input, top, left, shape);
            }
        }
        input += window->input_height * window->input_width;
    }
}

#ifdef __cplusplus
}
#endif

#endif
