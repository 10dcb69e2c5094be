/*
 * Maximum pooling of int8 images: any window, stride and padding; only positions inside the image count.
 *
 * input   [input_height][input_width][channels], int8
 * output  [output_height][output_width][channels], int8, of the same scale and zero point
 *
 * The arithmetic is that of tflite::reference_integer_ops::MaxPool.
 *
 * Pixels are computed in memory order; four channels are read from the whole window, then written.
 */
#ifndef TC_MAX_POOL_H
#define TC_MAX_POOL_H

#include <stdint.h>

#include "kernels/tc_bytes.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_max_pool_shape {
    tc_window window;
    int32_t channels;
    int32_t low;
    int32_t high;
} tc_max_pool_shape;

/* All channels of the maximum over rows x columns pixels; the clamp's lower end is where the maximum starts from. */
static inline void tc_max_pixel(const int8_t *input, int8_t *output, int32_t rows, int32_t columns,
                                const tc_max_pool_shape *shape)
{
    const int32_t channels = shape->channels;
    const int32_t row_stride = shape->window.input_width * channels;
    int32_t channel = 0;
    for (; channel <= channels - 4; channel += 4) {
        uint32_t largest = tc_splat4(shape->low);
        for (int32_t row = 0; row < rows; ++row) {
            const int8_t *next = input + channel + row * row_stride;
            for (int32_t column = 0; column < columns; ++column) {
                largest = tc_max4(largest, tc_load4(next));
                next += channels;
            }
        }
        tc_store4(output + channel, shape->high < 127 ? tc_min4(largest, tc_splat4(shape->high)) : largest);
    }
    for (; channel < channels; ++channel) {
        int32_t largest = shape->low;
        for (int32_t row = 0; row < rows; ++row) {
            for (int32_t column = 0; column < columns; ++column) {
                largest = tc_max(largest, input[channel + row * row_stride + column * channels]);
            }
        }
        output[channel] = (int8_t)tc_min(largest, shape->high);
    }
}

static inline void tc_max_pool_s8(const int8_t *input, int8_t *output, const tc_max_pool_shape *shape)
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
            tc_max_pixel(first, output, bottom - top, right - left, shape);
            output += shape->channels;
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
