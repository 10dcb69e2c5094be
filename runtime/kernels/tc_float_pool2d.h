/* SPDX-License-Identifier: 0BSD */
/*
 * Maximum and average pooling of floats.
 *
 * input   [batch][input_height][input_width][channels]
 * output  [batch][output_height][output_width][channels]
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
    int32_t batch;
    int32_t channels;
    int32_t average;      /* else the maximum */
    int32_t count_top;    /* how far around the image positions count for the average */
    int32_t count_bottom;
    int32_t count_left;
    int32_t count_right;
} tc_float_pool2d_shape;

/* The window at (top, left) of one channel, with which `image` begins. */
TC_INLINE float tc_float_pool2d_window(const float *image, int32_t top, int32_t left,
                                       const tc_float_pool2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const tc_taps rows = tc_taps_inside(top, window->kernel_height, window->dilation_y, window->input_height);
    const tc_taps columns = tc_taps_inside(left, window->kernel_width, window->dilation_x, window->input_width);
    float largest = 0.0f;
    float sum = 0.0f;
    for (int32_t i = 0; i < rows.count; ++i) {
        const int32_t y = rows.position + i * window->dilation_y;
        for (int32_t j = 0; j < columns.count; ++j) {
            const int32_t x = columns.position + j * window->dilation_x;
            const float value = image[(y * window->input_width + x) * shape->channels];
            largest = i + j == 0 || value > largest ? value : largest;
            sum = tc_opaque(sum + value);
        }
    }
    if (!shape->average) {
        return largest;
    }
    const int32_t height = shape->count_top + window->input_height + shape->count_bottom;
    const int32_t width = shape->count_left + window->input_width + shape->count_right;
    const tc_taps counted_rows =
        tc_taps_inside(top + shape->count_top, window->kernel_height, window->dilation_y, height);
    const tc_taps counted_columns =
        tc_taps_inside(left + shape->count_left, window->kernel_width, window->dilation_x, width);
    return tc_divide(sum, (float)(counted_rows.count * counted_columns.count));
}

TC_INLINE void tc_float_pool2d(const float *input, float *output, const tc_float_pool2d_shape *shape)
{
    const tc_window *window = &shape->window;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oy = 0; oy < window->output_height; ++oy) {
            const int32_t top = oy * window->stride_y - window->padding_top;
            for (int32_t ox = 0; ox < window->output_width; ++ox) {
                const int32_t left = ox * window->stride_x - window->padding_left;
                for (int32_t channel = 0; channel < shape->channels; ++channel) {
                    *output++ = tc_float_pool2d_window(input + channel, top, left, shape);
                }
            }
        }
        input += window->input_height * window->input_width * shape->channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
