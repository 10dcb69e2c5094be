/* SPDX-License-Identifier: 0BSD */
/*
 * Transposed 2-D convolution of int8 images: any kernel, stride, dilation and number of groups, without multiplications
 * by the zeros that the definition inserts between the inputs.
 *
 * input    [input_height][input_width][input_channels], int8
 * output   [output_height][output_width][output_channels], int8
 * weights  [output_channels][kernel_height][kernel_width][input_channels / groups], int8
 * channels per output channel: what `finish` needs (tc_finish.h)
 *
 * Outputs are computed row by row; up to four channels of a pixel are written when its inputs were read for them.
 */
#ifndef TC_TRANSPOSE_CONV_H
#define TC_TRANSPOSE_CONV_H

#include <stdint.h>

#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_transpose_taps.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_transpose_conv_shape {
    tc_transpose_axis rows;
    tc_transpose_axis columns;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    int32_t input_zero_point;
    tc_output_range range;
} tc_transpose_conv_shape;

/* `count` outputs from one pixel on, of which `input` is the group's first channel in the image: sums[j] for each. */
TC_INLINE void tc_transpose_conv_sums(const int8_t *input, const int8_t *weights, tc_transpose_taps rows,
                                      tc_transpose_taps columns, int32_t count, int32_t sums[4],
                                      const tc_transpose_conv_shape *shape)
{
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t kernel_size = shape->rows.kernel * shape->columns.kernel * depth;
    for (int32_t i = 0; i < rows.count; ++i) {
        const int32_t ky = rows.first + i * rows.step;
        const int32_t y = rows.position - i * rows.apart;
        for (int32_t j = 0; j < columns.count; ++j) {
            const int32_t kx = columns.first + j * columns.step;
            const int32_t x = columns.position - j * columns.apart;
            const int8_t *pixel = input + (y * shape->columns.inputs + x) * shape->input_channels;
            const int8_t *factors = weights + (ky * shape->columns.kernel + kx) * depth;
            for (int32_t channel = 0; channel < depth; ++channel) {
                const int32_t value = pixel[channel] - shape->input_zero_point;
                for (int32_t output = 0; output < count; ++output) {
                    sums[output] = tc_wrapping_add(sums[output], value * factors[output * kernel_size + channel]);
                }
            }
        }
    }
}

TC_INLINE void tc_transpose_conv_s8(const int8_t *input, int8_t *output, const int8_t *weights, const void *channels,
                                    tc_finish *finish, const tc_transpose_conv_shape *shape)
{
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t kernel_size = shape->rows.kernel * shape->columns.kernel * depth;
    for (int32_t oy = 0; oy < shape->rows.outputs; ++oy) {
        const tc_transpose_taps rows = tc_transpose_taps_of(&shape->rows, oy);
        for (int32_t ox = 0; ox < shape->columns.outputs; ++ox) {
            const tc_transpose_taps columns = tc_transpose_taps_of(&shape->columns, ox);
            for (int32_t group = 0; group < shape->groups; ++group) {
                const int8_t *image = input + group * depth;
                int32_t channel = group * outputs;
                const int32_t end = channel + outputs;
                for (; channel + 4 <= end; channel += 4) {
                    int32_t sums[4] = {0, 0, 0, 0};
                    tc_transpose_conv_sums(image, weights + channel * kernel_size, rows, columns, 4, sums, shape);
                    for (int32_t i = 0; i < 4; ++i) {
                        *output++ = (int8_t)finish(sums[i], channels, channel + i, &shape->range);
                    }
                }
                for (; channel < end; ++channel) {
                    int32_t sums[4] = {0, 0, 0, 0};
                    tc_transpose_conv_sums(image, weights + channel * kernel_size, rows, columns, 1, sums, shape);
                    *output++ = (int8_t)finish(sums[0], channels, channel, &shape->range);
                }
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
