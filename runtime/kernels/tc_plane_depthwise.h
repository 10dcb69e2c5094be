/* SPDX-License-Identifier: 0BSD */
/*
 * Depthwise convolution channel by channel, whose taps stay in registers: for cores with some 30 of them.
 *
 * input    [rows][columns][channels], int8; rows and columns may be the image's columns and rows, as the steps say
 * output   likewise; channel c reads input channel c / multiplier
 * weights  per output channel its taps, int8
 * channels per output channel: requantisation (tc_product_requant.h)
 * scratch  an input channel with its padding, int8
 *
 * A channel is read before its outputs are written.
 */
#ifndef TC_PLANE_DEPTHWISE_H
#define TC_PLANE_DEPTHWISE_H

#include "kernels/tc_inline.h"
#include "kernels/tc_scalar_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_PLANE_MOST_TAPS 9

/* Keeps a compiler from loading more than registers hold: a sum is complete before the next input is read. */
#if defined(__GNUC__)
#define TC_PLANE_IN_ORDER(sum) __asm__ volatile("" : "+r"(sum) : : "memory")
#else
#define TC_PLANE_IN_ORDER(sum)
#endif

typedef struct tc_plane_depthwise_shape {
    tc_window window;
    int32_t input_step_y; /* bytes from a row to the next one */
    int32_t input_step_x;
    int32_t output_step_y;
    int32_t output_step_x;
    int32_t output_channels;
    int32_t multiplier;
    int32_t rows; /* of the plane, and its columns */
    int32_t columns;
    int32_t together; /* outputs beside each other, up to 4 */
    int32_t input_zero_point;
    tc_scalar_requant requant;
} tc_plane_depthwise_shape;

/* Of an input channel what windows read, inside the padding. */
TC_INLINE void tc_plane_fill(const int8_t *input, int8_t *plane, const tc_plane_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t step = shape->input_step_x;
    const int32_t height = tc_min(window->input_height, shape->rows - window->padding_top);
    const int32_t width = tc_min(window->input_width, shape->columns - window->padding_left);
    for (int32_t y = 0; y < height; y++) {
        const int8_t *from = input + y * shape->input_step_y;
        int8_t *to = plane + (y + window->padding_top) * shape->columns + window->padding_left;
        int32_t x = 0;
        for (; x + 4 <= width; x += 4, from += 4 * step, to += 4) {
            const int8_t a = from[0];
            const int8_t b = from[step];
            const int8_t c = from[2 * step];
            const int8_t d = from[3 * step];
            to[0] = a;
            to[1] = b;
            to[2] = c;
            to[3] = d;
        }
        for (; x < width; x++, from += step) {
            *to++ = *from;
        }
    }
}

/* Outputs beside each other whose windows begin at `x`; taps are weights times 2^pre. All loops are written out. */
TC_INLINE void tc_plane_outputs(const int8_t *x, const int32_t *taps, const int32_t *parameters, int8_t *output,
                                const tc_product_requant *requant, const tc_plane_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t width = window->kernel_width;
    int32_t sums[4] = {0, 0, 0, 0};
    const int32_t columns = (shape->together - 1) * window->stride_x + (width - 1) * window->dilation_x + 1;
#pragma GCC unroll 9
    for (int32_t tap = 0; tap < window->kernel_height * width; tap += width) {
#pragma GCC unroll 16
        for (int32_t column = 0; column < columns; column++) {
            const int32_t value = x[column];
#pragma GCC unroll 4
            for (int32_t i = 0; i < shape->together; i++) {
                const int32_t distance = column - i * window->stride_x;
                const int32_t kx = distance / window->dilation_x;
                if (distance >= 0 && kx < width && distance == kx * window->dilation_x) {
                    sums[i] += value * taps[tap + kx];
                    TC_PLANE_IN_ORDER(sums[i]);
                }
            }
        }
        x += window->dilation_y * shape->columns;
    }
#pragma GCC unroll 4
    for (int32_t i = 0; i < shape->together; i++) {
        output[i * shape->output_step_x] = (int8_t)tc_product_requantize(sums[i], parameters, requant);
    }
}

TC_INLINE void tc_plane_channel(const int8_t *plane, const int8_t *weights, const int32_t *channel, int8_t *output,
                                const tc_plane_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const tc_product_requant requant = {0, shape->requant.product.shift, shape->requant.product.is_signed,
                                        shape->requant.product.low, shape->requant.product.high};
    int32_t taps[TC_PLANE_MOST_TAPS] = {0};
    int32_t parameters[4] = {0};
#pragma GCC unroll 9
    for (int32_t i = 0; i < window->kernel_height * window->kernel_width; i++) {
        taps[i] = tc_shift_left(weights[i], shape->requant.product.pre);
    }
#pragma GCC unroll 4
    for (int32_t i = 0; i < (int32_t)tc_product_requant_words(&requant); i++) {
        parameters[i] = channel[i];
    }
    const int32_t last = window->output_width - shape->together;
    for (int32_t y = 0; y < window->output_height; y++) {
        const int8_t *const row = plane + y * window->stride_y * shape->columns;
        int8_t *const to = output + y * shape->output_step_y;
        for (int32_t x = 0; x <= last; x += shape->together) {
            tc_plane_outputs(row + x * window->stride_x, taps, parameters, to + x * shape->output_step_x, &requant, shape);
        }
        if (window->output_width % shape->together != 0) { /* some of them again */
            tc_plane_outputs(row + last * window->stride_x, taps, parameters, to + last * shape->output_step_x, &requant,
                             shape);
        }
    }
}

TC_INLINE void tc_plane_depthwise_s8(const int8_t *input, int8_t *output, const int8_t *weights, const int32_t *channels,
                                     void *scratch, const tc_plane_depthwise_shape *shape)
{
    const int32_t taps = shape->window.kernel_height * shape->window.kernel_width;
    int8_t *const plane = (int8_t *)scratch;
    for (int32_t i = 0; i < shape->rows * shape->columns; i++) {
        plane[i] = (int8_t)shape->input_zero_point;
    }
    for (int32_t channel = 0; channel < shape->output_channels; channel++) {
        if (channel % shape->multiplier == 0) {
            tc_plane_fill(input + channel / shape->multiplier, plane, shape);
        }
        tc_plane_channel(plane, weights, channels, output + channel, shape);
        weights += taps;
        channels += tc_scalar_requant_words(&shape->requant);
    }
}

#ifdef __cplusplus
}
#endif

#endif
