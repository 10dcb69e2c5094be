/* SPDX-License-Identifier: 0BSD */
/*
 * Transposed 2-D convolution of int16 images and int8 weights, summed in 64 bits.
 *
 * input    [input_height][input_width][input_channels], int16
 * output   [output_height][output_width][output_channels], int16
 * weights  [output_channels][kernel_height][kernel_width][input_channels / groups], int8
 *
 * Outputs are computed row by row; up to four channels of a pixel are written when its inputs were read for them.
 */
#ifndef TC_WIDE_TRANSPOSE_CONV_H
#define TC_WIDE_TRANSPOSE_CONV_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_transpose_taps.h"
#include "kernels/tc_wide_linear.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_wide_transpose_conv_shape {
    tc_transpose_axis rows;
    tc_transpose_axis columns;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    int32_t zero_point; /* of the input */
    tc_wide_range range;
} tc_wide_transpose_conv_shape;

/* One or four outputs of a pixel: the input begins with the group's first channel. */
TC_INLINE void tc_wide_transpose_conv_sums(int64_t *sums, const int16_t *input, const int8_t *weights, int32_t outputs,
                                           tc_transpose_taps rows, tc_transpose_taps columns,
                                           const tc_wide_transpose_conv_shape *shape)
{
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t kernel_size = shape->rows.kernel * shape->columns.kernel * depth;
    for (int32_t i = 0; i < rows.count; ++i) {
        const int32_t tap = (rows.first + i * rows.step) * shape->columns.kernel;
        const int32_t row = (rows.position - i * rows.apart) * shape->columns.inputs;
        for (int32_t j = 0; j < columns.count; ++j) {
            const int16_t *pixel = input + (row + columns.position - j * columns.apart) * shape->input_channels;
            const int8_t *factors = weights + (tap + columns.first + j * columns.step) * depth;
            if (outputs == 4) {
                tc_wide_run_4(sums, pixel, shape->zero_point, factors, kernel_size, depth);
            } else {
                tc_wide_run_1(sums, pixel, shape->zero_point, factors, depth);
            }
        }
    }
}

TC_INLINE void tc_wide_transpose_conv(const int16_t *input, int16_t *output, const int8_t *weights,
                                      const tc_wide_channel *channels, const tc_wide_transpose_conv_shape *shape)
{
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t kernel_size = shape->rows.kernel * shape->columns.kernel * depth;
    for (int32_t oy = 0; oy < shape->rows.outputs; ++oy) {
        const tc_transpose_taps rows = tc_transpose_taps_of(&shape->rows, oy);
        for (int32_t ox = 0; ox < shape->columns.outputs; ++ox) {
            const tc_transpose_taps columns = tc_transpose_taps_of(&shape->columns, ox);
            int32_t count;
            for (int32_t channel = 0; channel < shape->output_channels; channel += count) {
                const int32_t group = channel / outputs;
                const int16_t *image = input + group * depth;
                count = (group + 1) * outputs - channel >= 4 ? 4 : 1;
                int64_t sums[4];
                for (int32_t i = 0; i < count; ++i) {
                    sums[i] = tc_wide_start(&channels[channel + i], &shape->range);
                }
                tc_wide_transpose_conv_sums(sums, image, weights + channel * kernel_size, count, rows, columns, shape);
                for (int32_t i = 0; i < count; ++i) {
                    *output++ = tc_wide_requantize(sums[i], &channels[channel + i], &shape->range);
                }
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
