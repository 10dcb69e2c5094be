/* SPDX-License-Identifier: 0BSD */
/*
 * 3-D convolution of floats: any batch, kernel, stride, dilation and padding.
 *
 * input    [batch][depth][height][width][input_channels]
 * output   [batch][depth][height][width][output_channels]
 * weights  [output_channels][kernel_depth][kernel_height][kernel_width][input_channels]
 * bias     [output_channels], or null
 *
 * Sums go over depth, rows, columns and channels of the window, in this order; four outputs share their inputs.
 */
#ifndef TC_FLOAT_CONV3D_H
#define TC_FLOAT_CONV3D_H

#include <stdint.h>

#include "kernels/tc_float_bounds.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A window along the depth; rows and columns are a tc_window. */
typedef struct tc_depth_window {
    int32_t inputs;
    int32_t outputs;
    int32_t kernel;
    int32_t stride;
    int32_t dilation;
    int32_t padding;
} tc_depth_window;

typedef struct tc_float_conv3d_shape {
    tc_window window;
    tc_depth_window depth;
    int32_t batch;
    int32_t input_channels;
    int32_t output_channels;
    tc_float_bounds bounds;
} tc_float_conv3d_shape;

/* Adds the products of `length` inputs with the weights of up to four outputs, `apart` apart. */
TC_INLINE void tc_float_conv3d_run(float sums[4], const float *inputs, const float *weights, int32_t apart,
                                   int32_t outputs, int32_t length)
{
    if (outputs == 4) {
        float a = sums[0];
        float b = sums[1];
        float c = sums[2];
        float d = sums[3];
        for (int32_t i = 0; i < length; ++i) {
            const float value = inputs[i];
            a = tc_opaque(a + tc_opaque(value * weights[i]));
            b = tc_opaque(b + tc_opaque(value * weights[i + apart]));
            c = tc_opaque(c + tc_opaque(value * weights[i + 2 * apart]));
            d = tc_opaque(d + tc_opaque(value * weights[i + 3 * apart]));
        }
        sums[0] = a;
        sums[1] = b;
        sums[2] = c;
        sums[3] = d;
        return;
    }
    for (int32_t i = 0; i < length; ++i) {
        sums[0] = tc_opaque(sums[0] + tc_opaque(inputs[i] * weights[i]));
    }
}

/* One or four outputs of a position. */
TC_INLINE void tc_float_conv3d_sums(float sums[4], const float *input, const float *weights, int32_t outputs,
                                    tc_taps planes, tc_taps rows, tc_taps columns, const tc_float_conv3d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t channels = shape->input_channels;
    const int32_t apart = shape->depth.kernel * window->kernel_height * window->kernel_width * channels;
    const int32_t runs = window->dilation_x == 1 ? 1 : columns.count;
    const int32_t length = window->dilation_x == 1 ? columns.count * channels : channels;
    for (int32_t k = 0; k < planes.count; ++k) {
        const int32_t z = planes.position + k * shape->depth.dilation;
        for (int32_t i = 0; i < rows.count; ++i) {
            const int32_t y = rows.position + i * window->dilation_y;
            const int32_t row = (planes.first + k) * window->kernel_height + rows.first + i;
            for (int32_t run = 0; run < runs; ++run) {
                const int32_t x = columns.position + run * window->dilation_x;
                const int32_t pixel = (z * window->input_height + y) * window->input_width + x;
                const int32_t tap = row * window->kernel_width + columns.first + run;
                tc_float_conv3d_run(sums, input + pixel * channels, weights + tap * channels, apart, outputs, length);
            }
        }
    }
}

/* The outputs of a position. */
TC_INLINE void tc_float_conv3d_position(const float *input, float *output, const float *weights, const float *bias,
                                        tc_taps planes, tc_taps rows, tc_taps columns,
                                        const tc_float_conv3d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t taps = shape->depth.kernel * window->kernel_height * window->kernel_width * shape->input_channels;
    int32_t count;
    for (int32_t channel = 0; channel < shape->output_channels; channel += count) {
        count = shape->output_channels - channel >= 4 ? 4 : 1;
        float sums[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        tc_float_conv3d_sums(sums, input, weights + channel * taps, count, planes, rows, columns, shape);
        for (int32_t i = 0; i < count; ++i) {
            const float sum = bias ? tc_opaque(sums[i] + bias[channel + i]) : sums[i];
            *output++ = tc_float_bounded(sum, &shape->bounds);
        }
    }
}

TC_INLINE void tc_float_conv3d(const float *input, float *output, const float *weights, const float *bias,
                               const tc_float_conv3d_shape *shape)
{
    const tc_window *window = &shape->window;
    const tc_depth_window *depth = &shape->depth;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oz = 0; oz < depth->outputs; ++oz) {
            const int32_t origin = oz * depth->stride - depth->padding;
            const tc_taps planes = tc_taps_inside(origin, depth->kernel, depth->dilation, depth->inputs);
            for (int32_t oy = 0; oy < window->output_height; ++oy) {
                const tc_taps rows = tc_window_rows(window, oy);
                for (int32_t ox = 0; ox < window->output_width; ++ox) {
                    const tc_taps columns = tc_window_columns(window, ox);
                    tc_float_conv3d_position(input, output, weights, bias, planes, rows, columns, shape);
                    output += shape->output_channels;
                }
            }
        }
        input += depth->inputs * window->input_height * window->input_width * shape->input_channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
