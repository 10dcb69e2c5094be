/* SPDX-License-Identifier: 0BSD */
/*
 * Fully connected layers, convolutions and transposed convolutions of float activations and int8 weights (tc_hybrid.h).
 *
 * scratch  a row, or an image, as int8; behind it, in a convolution, the values under a window
 *
 * A row or an image is read completely before its first output is written.
 */
#ifndef TC_HYBRID_LAYERS_H
#define TC_HYBRID_LAYERS_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_hybrid.h"
#include "kernels/tc_hybrid_dot.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_patch.h"
#include "kernels/tc_transpose_taps.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_hybrid_fully_connected_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    tc_hybrid_form form;
} tc_hybrid_fully_connected_shape;

/* input [rows][inputs], output [rows][outputs], weights [outputs][inputs] */
TC_INLINE void tc_hybrid_fully_connected(const float *input, float *output, const int8_t *weights,
                                         const tc_hybrid_channel *channels, void *scratch, tc_dot4 *dot,
                                         const tc_hybrid_fully_connected_shape *shape)
{
    int8_t *const quantized = (int8_t *)scratch;
    for (int32_t i = 0; i < shape->rows; ++i) {
        const tc_hybrid_row row = tc_hybrid_quantize(input, quantized, shape->inputs, shape->form.asymmetric);
        tc_hybrid_products(quantized, output, weights, channels, dot, shape->inputs, shape->outputs, row, &shape->form);
        input += shape->inputs;
        output += shape->outputs;
    }
}

typedef struct tc_hybrid_conv2d_shape {
    tc_window window;
    int32_t batch;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    int32_t direct; /* a window is a pixel: nothing is copied */
    tc_hybrid_form form;
} tc_hybrid_conv2d_shape;

/* One image that was quantised. */
TC_INLINE void tc_hybrid_conv2d_image(const int8_t *image, float *output, const int8_t *weights,
                                      const tc_hybrid_channel *channels, int8_t *patch, tc_dot4 *dot, tc_hybrid_row row,
                                      const tc_hybrid_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t taps = depth * window->kernel_height * window->kernel_width;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            for (int32_t group = 0; group < shape->groups; ++group) {
                const int8_t *vector = image + (oy * window->output_width + ox) * depth;
                if (!shape->direct) {
                    tc_patch(image + group * depth, patch, oy, ox, row.zero_point, window, shape->input_channels, depth);
                    vector = patch;
                }
                const int32_t first = group * outputs;
                tc_hybrid_products(vector, output + first, weights + first * taps, channels + first, dot, taps, outputs,
                                   row, &shape->form);
            }
            output += shape->output_channels;
        }
    }
}

/*
 * input    [batch][input_height][input_width][input_channels]
 * output   [batch][output_height][output_width][output_channels]
 * weights  [output_channels][kernel_height][kernel_width][input_channels / groups]
 */
TC_INLINE void tc_hybrid_conv2d(const float *input, float *output, const int8_t *weights,
                                const tc_hybrid_channel *channels, void *scratch, tc_dot4 *dot,
                                const tc_hybrid_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t size = window->input_height * window->input_width * shape->input_channels;
    int8_t *const image = (int8_t *)scratch;
    for (int32_t n = 0; n < shape->batch; ++n) {
        const tc_hybrid_row row = tc_hybrid_quantize(input, image, size, shape->form.asymmetric);
        tc_hybrid_conv2d_image(image, output, weights, channels, image + (size + 3) / 4 * 4, dot, row, shape);
        input += size;
        output += window->output_height * window->output_width * shape->output_channels;
    }
}

typedef struct tc_hybrid_transpose_conv_shape {
    tc_transpose_axis rows;
    tc_transpose_axis columns;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    int32_t batch;
    tc_hybrid_form form;
} tc_hybrid_transpose_conv_shape;

/* One output of a pixel; `image` is the group's first channel. */
TC_INLINE int32_t tc_hybrid_transpose_conv_sum(const int8_t *image, const int8_t *weights, tc_transpose_taps rows,
                                               tc_transpose_taps columns, int32_t zero_point,
                                               const tc_hybrid_transpose_conv_shape *shape)
{
    const int32_t depth = shape->input_channels / shape->groups;
    int32_t sum = 0;
    for (int32_t i = 0; i < rows.count; ++i) {
        const int32_t ky = rows.first + i * rows.step;
        const int32_t y = rows.position - i * rows.apart;
        for (int32_t j = 0; j < columns.count; ++j) {
            const int32_t kx = columns.first + j * columns.step;
            const int32_t x = columns.position - j * columns.apart;
            const int8_t *pixel = image + (y * shape->columns.inputs + x) * shape->input_channels;
            const int8_t *tap = weights + (ky * shape->columns.kernel + kx) * depth;
            for (int32_t channel = 0; channel < depth; ++channel) {
                sum = tc_wrapping_add(sum, (pixel[channel] - zero_point) * tap[channel]);
            }
        }
    }
    return sum;
}

/* Shapes as in tc_hybrid_conv2d. */
TC_INLINE void tc_hybrid_transpose_conv(const float *input, float *output, const int8_t *weights,
                                        const tc_hybrid_channel *channels, void *scratch,
                                        const tc_hybrid_transpose_conv_shape *shape)
{
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t kernel_size = shape->rows.kernel * shape->columns.kernel * depth;
    const int32_t size = shape->rows.inputs * shape->columns.inputs * shape->input_channels;
    int8_t *const quantized = (int8_t *)scratch;
    for (int32_t n = 0; n < shape->batch; ++n) {
        const tc_hybrid_row row = tc_hybrid_quantize(input, quantized, size, shape->form.asymmetric);
        for (int32_t oy = 0; oy < shape->rows.outputs; ++oy) {
            const tc_transpose_taps rows = tc_transpose_taps_of(&shape->rows, oy);
            for (int32_t ox = 0; ox < shape->columns.outputs; ++ox) {
                const tc_transpose_taps columns = tc_transpose_taps_of(&shape->columns, ox);
                for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                    const int8_t *image = quantized + channel / outputs * depth;
                    const int8_t *factors = weights + channel * kernel_size;
                    const int32_t sum =
                        tc_hybrid_transpose_conv_sum(image, factors, rows, columns, row.zero_point, shape);
                    *output++ = tc_hybrid_real(sum, channels + channel, row, &shape->form);
                }
            }
        }
        input += size;
    }
}

#ifdef __cplusplus
}
#endif

#endif
