/* SPDX-License-Identifier: 0BSD */
/*
 * Transposed 3-D convolution of floats: any batch, kernel, stride and dilation.
 *
 * input    [batch][depth][height][width][input_channels]
 * output   [batch][depth][height][width][output_channels]
 * weights  [output_channels][kernel_depth][kernel_height][kernel_width][input_channels]
 * bias     [output_channels], or null
 */
#ifndef TC_FLOAT_CONV3D_TRANSPOSE_H
#define TC_FLOAT_CONV3D_TRANSPOSE_H

#include <stdint.h>

#include "kernels/tc_float_exact.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_transpose_taps.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_float_conv3d_transpose_shape {
    tc_transpose_axis planes;
    tc_transpose_axis rows;
    tc_transpose_axis columns;
    int32_t batch;
    int32_t input_channels;
    int32_t output_channels;
} tc_float_conv3d_transpose_shape;

/* One output of a position. */
TC_INLINE float tc_float_conv3d_transpose_sum(const float *input, const float *weights, tc_transpose_taps planes,
                                              tc_transpose_taps rows, tc_transpose_taps columns,
                                              const tc_float_conv3d_transpose_shape *shape)
{
    const int32_t channels = shape->input_channels;
    float sum = 0.0f;
    for (int32_t k = 0; k < planes.count; ++k) {
        const int32_t kz = planes.first + k * planes.step;
        const int32_t z = planes.position - k * planes.apart;
        for (int32_t i = 0; i < rows.count; ++i) {
            const int32_t tap = (kz * shape->rows.kernel + rows.first + i * rows.step) * shape->columns.kernel;
            const int32_t row = (z * shape->rows.inputs + rows.position - i * rows.apart) * shape->columns.inputs;
            for (int32_t j = 0; j < columns.count; ++j) {
                const float *pixel = input + (row + columns.position - j * columns.apart) * channels;
                const float *factors = weights + (tap + columns.first + j * columns.step) * channels;
                for (int32_t channel = 0; channel < channels; ++channel) {
                    sum = tc_opaque(sum + tc_opaque(pixel[channel] * factors[channel]));
                }
            }
        }
    }
    return sum;
}

TC_INLINE void tc_float_conv3d_transpose(const float *input, float *output, const float *weights, const float *bias,
                                         const tc_float_conv3d_transpose_shape *shape)
{
    const int32_t kernel_size =
        shape->planes.kernel * shape->rows.kernel * shape->columns.kernel * shape->input_channels;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oz = 0; oz < shape->planes.outputs; ++oz) {
            const tc_transpose_taps planes = tc_transpose_taps_of(&shape->planes, oz);
            for (int32_t oy = 0; oy < shape->rows.outputs; ++oy) {
                const tc_transpose_taps rows = tc_transpose_taps_of(&shape->rows, oy);
                for (int32_t ox = 0; ox < shape->columns.outputs; ++ox) {
                    const tc_transpose_taps columns = tc_transpose_taps_of(&shape->columns, ox);
                    for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                        const float *factors = weights + channel * kernel_size;
                        const float sum = tc_float_conv3d_transpose_sum(input, factors, planes, rows, columns, shape);
                        *output++ = bias ? tc_opaque(sum + bias[channel]) : sum;
                    }
                }
            }
        }
        input += shape->planes.inputs * shape->rows.inputs * shape->columns.inputs * shape->input_channels;
    }
}

#ifdef __cplusplus
}
#endif

#endif
