/* SPDX-License-Identifier: 0BSD */
/*
 * A few channels of a depthwise convolution whose bias is trained, beside a kernel that computes the others: those whose
 * scales are so far from the others' that they have no short requantisation together. Their outputs wait in scratch, since
 * the kernel may write over its input.
 */
#ifndef TC_FEW_CHANNELS_H
#define TC_FEW_CHANNELS_H

#include <stdint.h>

#include "kernels/tc_finish.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_few_channels_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t few;
    int32_t input_zero_point;
    tc_output_range range;
    int32_t bias_limit;
} tc_few_channels_shape;

/*
 * few      which output channels, ascending
 * weights  [kernel_height][kernel_width][shape->few]
 * bias     of all output channels
 * found    [positions][shape->few]
 */
TC_INLINE void tc_few_channels(const int8_t *input, const uint16_t *few, const int8_t *weights, const int32_t *bias,
                               int8_t *found, const void *channels, tc_finish *finish,
                               const tc_few_channels_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t multiplier = shape->output_channels / shape->input_channels;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            for (int32_t k = 0; k < shape->few; ++k) {
                int32_t sum = tc_clamp(bias[few[k]], -shape->bias_limit, shape->bias_limit);
                for (int32_t j = 0; j < rows.count; ++j) {
                    const int32_t y = rows.position + j * window->dilation_y;
                    for (int32_t i = 0; i < columns.count; ++i) {
                        const int32_t x = columns.position + i * window->dilation_x;
                        const int32_t tap = (rows.first + j) * window->kernel_width + columns.first + i;
                        const int32_t pixel = (y * window->input_width + x) * shape->input_channels;
                        const int32_t value = input[pixel + few[k] / multiplier] - shape->input_zero_point;
                        sum += value * weights[tap * shape->few + k];
                    }
                }
                *found++ = (int8_t)finish(sum, channels, k, &shape->range);
            }
        }
    }
}

/* What was found to its places. */
TC_INLINE void tc_put_few_channels(const int8_t *found, const uint16_t *few, int8_t *output,
                                   const tc_few_channels_shape *shape)
{
    const int32_t positions = shape->window.output_height * shape->window.output_width;
    for (int32_t at = 0; at < positions; ++at, output += shape->output_channels) {
        for (int32_t k = 0; k < shape->few; ++k) {
            output[few[k]] = *found++;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
