/*
 * Convolution by the byte-lane product, 4 output pixels at a time: each pixel's window is gathered in the order of the
 * weights (rows, columns, channels) and expanded once, then a block function computes all its output channels.
 *
 * Positions in the padding read the input's zero point. All inputs of 4 pixels are read before their outputs are
 * written, so that the output may share the input's memory at a distance that the compiler computes.
 */
#ifndef TC_LANE_CONV2D_H
#define TC_LANE_CONV2D_H

#include <stdint.h>
#include <string.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_lane.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct tc_lane_conv2d_shape {
    int32_t input_height;
    int32_t input_width;
    int32_t input_channels;
    int32_t output_height;
    int32_t output_width;
    int32_t output_channels;
    int32_t kernel_height;
    int32_t kernel_width;
    int32_t stride_y;
    int32_t stride_x;
    int32_t dilation_y;
    int32_t dilation_x;
    int32_t padding_top;
    int32_t padding_left;
    int32_t zero_point;
} tc_lane_conv2d_shape;

/* One row of the window: kernel_width x channels bytes, the zero point outside of the image. */
TC_INLINE void tc_lane_gather_row(const int8_t *row, int32_t x0, int8_t *window, const tc_lane_conv2d_shape *shape)
{
    const int32_t channels = shape->input_channels;
    const int32_t last = x0 + (shape->kernel_width - 1) * shape->dilation_x;
    if (shape->dilation_x == 1 && x0 >= 0 && last < shape->input_width) {
        memcpy(window, row + x0 * channels, (uint32_t)(shape->kernel_width * channels));
        return;
    }
    for (int32_t x = x0; x <= last; x += shape->dilation_x, window += channels) {
        if (x >= 0 && x < shape->input_width) {
            memcpy(window, row + x * channels, (uint32_t)channels);
        } else {
            memset(window, shape->zero_point, (uint32_t)channels);
        }
    }
}

/* The whole window of the output pixel (y, x). */
TC_INLINE void tc_lane_gather(const int8_t *input, int32_t y, int32_t x, int8_t *window,
                              const tc_lane_conv2d_shape *shape)
{
    const int32_t row_bytes = shape->kernel_width * shape->input_channels;
    const int32_t x0 = x * shape->stride_x - shape->padding_left;
    int32_t input_y = y * shape->stride_y - shape->padding_top;
    for (int32_t ky = 0; ky < shape->kernel_height; ky++, input_y += shape->dilation_y, window += row_bytes) {
        if (input_y >= 0 && input_y < shape->input_height) {
            tc_lane_gather_row(input + input_y * shape->input_width * shape->input_channels, x0, window, shape);
        } else {
            memset(window, shape->zero_point, (uint32_t)row_bytes);
        }
    }
}

/* Expands the window of output pixel (y, x) into a block. A 1x1 window needs no gathering. */
TC_INLINE void tc_lane_expand_window(const int8_t *input, int32_t y, int32_t x, int8_t *window, uint32_t *block,
                                     const tc_lane_conv2d_shape *shape)
{
    const int32_t taps = shape->kernel_height * shape->kernel_width * shape->input_channels;
    if (shape->kernel_height == 1 && shape->kernel_width == 1 && shape->padding_top == 0 && shape->padding_left == 0) {
        const int32_t position = y * shape->stride_y * shape->input_width + x * shape->stride_x;
        tc_lane_expand_pixel(input + position * shape->input_channels, (uint32_t)taps, block);
    } else {
        tc_lane_gather(input, y, x, window, shape);
        tc_lane_expand_pixel(window, (uint32_t)taps, block);
    }
}

#ifdef __cplusplus
}
#endif

#endif
