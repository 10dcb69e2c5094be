/* SPDX-License-Identifier: 0BSD */
/*
 * Transposed 2-D convolution of floats: any batch, kernel, stride, dilation and number of groups.
 *
 * input    [batch][input_height][input_width][input_channels]
 * output   [batch][output_height][output_width][output_channels]
 * weights  [output_channels][kernel_height][kernel_width][input_channels / groups]
 * bias     [output_channels], or null
 */
#ifndef TC_FLOAT_TRANSPOSE_CONV_H
#define TC_FLOAT_TRANSPOSE_CONV_H

#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_transpose_taps.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_transpose_conv_shape {
    tc_transpose_axis rows;
    tc_transpose_axis columns;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    int32_t batch;
} tc_float_transpose_conv_shape;

/* One output of a pixel; `input` is the group's first channel in the image. */
TC_INLINE float tc_float_transpose_conv_sum(const float *input, const float *weights, tc_transpose_taps rows,
                                            tc_transpose_taps columns, const tc_float_transpose_conv_shape *shape)
{
    const int32_t depth = shape->input_channels / shape->groups;
    float sum = 0.0f;
    for (int32_t i = 0; i < rows.count; ++i) {
        const int32_t ky = rows.first + i * rows.step;
        const int32_t y = rows.position - i * rows.apart;
        for (int32_t j = 0; j < columns.count; ++j) {
            const int32_t kx = columns.first + j * columns.step;
            const int32_t x = columns.position - j * columns.apart;
            const float *pixel = input + (y * shape->columns.inputs + x) * shape->input_channels;
            const float *factors = weights + (ky * shape->columns.kernel + kx) * depth;
            for (int32_t channel = 0; channel < depth; ++channel) {
                sum = tc_opaque(sum + tc_opaque(pixel[channel] * factors[channel]));
            }
        }
    }
    return sum;
}

TC_INLINE void tc_float_transpose_conv(const float *input, float *output, const float *weights, const float *bias,
                                       const tc_float_transpose_conv_shape *shape)
{
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t kernel_size = shape->rows.kernel * shape->columns.kernel * depth;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oy = 0; oy < shape->rows.outputs; ++oy) {
            const tc_transpose_taps rows = tc_transpose_taps_of(&shape->rows, oy);
            for (int32_t ox = 0; ox < shape->columns.outputs; ++ox) {
                const tc_transpose_taps columns = tc_transpose_taps_of(&shape->columns, ox);
                for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                    const float *image = input + channel / outputs * depth;
                    const float *factors = weights + channel * kernel_size;
                    const float sum = tc_float_transpose_conv_sum(image, factors, rows, columns, shape);
                    *output++ = bias ? sum + bias[channel] : sum;
                }
            }
        }
        input += shape->rows.inputs * shape->columns.inputs * shape->input_channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
