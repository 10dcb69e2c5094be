/*
 * Average pooling of int8 images: any window, stride and padding; only positions inside the image count.
 *
 * input   [input_height][input_width][channels], int8
 * output  [output_height][output_width][channels], int8, of the same scale and zero point
 *
 * The arithmetic is that of tflite::reference_integer_ops::AveragePool: the sum divided by the count, halves away from zero.
 * For windows that lie inside the image the division is a multiplication, see tc_linear_form.
 *
 * Pixels are computed in memory order; four channels are read from the whole window, then written.
 */
#ifndef TC_AVERAGE_POOL_H
#define TC_AVERAGE_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "kernels/tc_average.h"
#include "kernels/tc_bytes.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_average_pool_shape {
    tc_window window;
    int32_t channels;
    tc_linear_form division; /* by the number of positions in a whole window */
    int32_t low;
    int32_t high;
} tc_average_pool_shape;

static inline int32_t tc_average_of(int32_t sum, int32_t count, const tc_average_pool_shape *shape)
{
    const bool whole = count == shape->window.kernel_height * shape->window.kernel_width;
    const int32_t average =
        whole && shape->division.multiplier != 0 ? tc_linear(sum, &shape->division) : tc_divide_rounded(sum, count);
    return tc_narrow(average, shape->low, shape->high);
}

/* All channels of the average over rows x columns pixels. */
static inline void tc_average_pixel(const int8_t *input, int8_t *output, int32_t rows, int32_t columns,
                                    const tc_average_pool_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t channels = shape->channels;
    const int32_t row_stride = window->input_width * channels;
    const bool fits = window->kernel_height * window->kernel_width <= TC_AVERAGE_BATCH;
    const int32_t count = rows * columns;
    int32_t channel = 0;
    for (; channel <= channels - 4; channel += 4) {
        int32_t totals[4];
        tc_sum4_block(input + channel, rows, row_stride, columns, channels, fits, totals);
        tc_store4(output + channel,
                  tc_pack4(tc_average_of(totals[0], count, shape), tc_average_of(totals[1], count, shape),
                           tc_average_of(totals[2], count, shape), tc_average_of(totals[3], count, shape)));
    }
    for (; channel < channels; ++channel) {
        const int32_t total = tc_sum_block(input + channel, rows, row_stride, columns, channels);
        output[channel] = (int8_t)tc_average_of(total, count, shape);
    }
}

static inline void tc_average_pool_s8(const int8_t *input, int8_t *output, const tc_average_pool_shape *shape)
{
    const tc_window *window = &shape->window;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const int32_t origin_y = oy * window->stride_y - window->padding_top;
        const int32_t top = tc_max(origin_y, 0);
        const int32_t bottom = tc_min(origin_y + window->kernel_height, window->input_height);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const int32_t origin_x = ox * window->stride_x - window->padding_left;
            const int32_t left = tc_max(origin_x, 0);
            const int32_t right = tc_min(origin_x + window->kernel_width, window->input_width);
            const int8_t *first = input + (top * window->input_width + left) * shape->channels;
            tc_average_pixel(first, output, bottom - top, right - left, shape);
            output += shape->channels;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
