/* SPDX-License-Identifier: 0BSD */
/*
 * Convolutions and fully connected layers of int16 activations and int8 weights, summed in 64 bits.
 *
 * input    [input_height][input_width][input_channels], int16
 * output   [output_height][output_width][output_channels], int16
 * weights  as in the model: [output_channels][kernel_height][kernel_width][input_channels / groups], depthwise
 *          [kernel_height][kernel_width][output_channels], fully connected [outputs][inputs]
 *
 * Partial sums of up to TC_WIDE_RUN products are kept in 32 bits, which they can't leave.
 */
#ifndef TC_WIDE_LINEAR_H
#define TC_WIDE_LINEAR_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

#define TC_WIDE_RUN 511 /* 511 * 32768 * 128 < 2^31 */

/*
 * What an output channel needs. The factor is multiplier * 2^-right, or multiplier * 2^(-right - 31), see below. Where the
 * range has a fraction, multiplier and right are the two words of a factor of 62 bits, and the bias is added to its
 * product with the sum.
 */
typedef struct tc_wide_channel {
    int64_t bias;
    int32_t multiplier;
    int32_t right;
} tc_wide_channel;

typedef struct tc_wide_range {
    int32_t low;
    int32_t high;
    int32_t twice; /* whether a sum of 32 bits is rounded twice: by the high product, then by the right shift */
    int32_t fraction; /* 0, or of how many bits halves are rounded to even */
    int32_t left;     /* then: by how much the sum is shifted before it is multiplied */
    int32_t zero_point;
} tc_wide_range;

/* What a sum begins with. */
TC_INLINE int64_t tc_wide_start(const tc_wide_channel *channel, const tc_wide_range *range)
{
    return range->fraction ? 0 : channel->bias;
}

/* floor(a * b / 2^64) within +-2^62; b isn't negative. */
TC_INLINE int64_t tc_wide_high_product(int64_t a, int64_t b)
{
    const int64_t a_high = a >> 32;
    const int64_t b_high = b >> 32;
    const int64_t a_low = (int64_t)(uint32_t)a;
    const int64_t b_low = (int64_t)(uint32_t)b;
    const int64_t middle = a_high * b_low + (int64_t)(((uint64_t)a_low * (uint64_t)b_low) >> 32);
    const int64_t carried = a_low * b_high + (int64_t)(uint32_t)middle;
    return a_high * b_high + (middle >> 32) + (carried >> 32);
}

/* The real product plus the bias, rounded once, halves to even. */
TC_INLINE int64_t tc_wide_rounded(int64_t sum, const tc_wide_channel *channel, const tc_wide_range *range)
{
    const int64_t factor = (int64_t)channel->multiplier * ((int64_t)1 << 32) + (int64_t)(uint32_t)channel->right;
    const int64_t product = tc_wide_high_product((int64_t)((uint64_t)sum << range->left), factor);
    const int64_t half = (int64_t)1 << (range->fraction - 1);
    const int64_t raised = product + channel->bias + half;
    const int64_t rounded = raised >> range->fraction;
    const int64_t tie = (raised & (2 * half - 1)) == 0;
    return rounded - (rounded & tie) + range->zero_point;
}

TC_INLINE int16_t tc_wide_requantize(int64_t sum, const tc_wide_channel *channel, const tc_wide_range *range)
{
    if (range->twice) {
        const int32_t wrapped = (int32_t)(uint32_t)(uint64_t)sum;
        const int32_t scaled = tc_multiply_by_quantized_multiplier(wrapped, channel->multiplier, -channel->right);
        return (int16_t)tc_clamp(scaled, range->low, range->high);
    }
    int64_t scaled;
    if (range->fraction) {
        scaled = tc_wide_rounded(sum, channel, range);
    } else {
        /* As a register holds it: wraps, where a signed product would be undefined. */
        const uint64_t half = (uint64_t)1 << (channel->right - 1);
        const uint64_t product = (uint64_t)sum * (uint64_t)(int64_t)channel->multiplier + half;
        scaled = (int64_t)product >> channel->right;
    }
    return (int16_t)(scaled < range->low ? range->low : scaled > range->high ? range->high : (int32_t)scaled);
}

/* Adds the products of `count` inputs, minus `zero`, with the weights of four outputs, `stride` apart. */
TC_INLINE void tc_wide_run_4(int64_t *sums, const int16_t *x, int32_t zero, const int8_t *weights, int32_t stride,
                             int32_t count)
{
    while (count > 0) {
        const int32_t run = tc_min(count, zero == 0 ? TC_WIDE_RUN : TC_WIDE_RUN / 2);
        int32_t a = 0;
        int32_t b = 0;
        int32_t c = 0;
        int32_t d = 0;
        for (int32_t i = 0; i < run; ++i) {
            const int32_t value = x[i] - zero;
            a += value * weights[i];
            b += value * weights[i + stride];
            c += value * weights[i + 2 * stride];
            d += value * weights[i + 3 * stride];
        }
        sums[0] += a;
        sums[1] += b;
        sums[2] += c;
        sums[3] += d;
        x += run;
        weights += run;
        count -= run;
    }
}

/* The same for one output. */
TC_INLINE void tc_wide_run_1(int64_t *sums, const int16_t *x, int32_t zero, const int8_t *weights, int32_t count)
{
    while (count > 0) {
        const int32_t run = tc_min(count, zero == 0 ? TC_WIDE_RUN : TC_WIDE_RUN / 2);
        int32_t a = 0;
        for (int32_t i = 0; i < run; ++i) {
            a += (x[i] - zero) * weights[i];
        }
        sums[0] += a;
        x += run;
        weights += run;
        count -= run;
    }
}

typedef struct tc_wide_conv2d_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    tc_wide_range range;
} tc_wide_conv2d_shape;

/* Up to four outputs of a pixel: the input begins with the group's first channel. */
TC_INLINE void tc_wide_conv2d_sums(int64_t *sums, const int16_t *input, const int8_t *weights, int32_t outputs,
                                   tc_taps rows, tc_taps columns, const tc_wide_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t taps = window->kernel_height * window->kernel_width * depth;
    const int32_t whole = window->dilation_x == 1 && shape->groups == 1;
    const int32_t runs = whole ? 1 : columns.count;
    const int32_t length = whole ? columns.count * depth : depth;
    for (int32_t i = 0; i < rows.count; ++i) {
        const int32_t y = rows.position + i * window->dilation_y;
        const int32_t tap = (rows.first + i) * window->kernel_width + columns.first;
        for (int32_t run = 0; run < runs; ++run) {
            const int32_t x = columns.position + run * window->dilation_x;
            const int16_t *from = input + (y * window->input_width + x) * shape->input_channels;
            const int8_t *factors = weights + (tap + run) * depth;
            if (outputs == 4) {
                tc_wide_run_4(sums, from, 0, factors, taps, length);
            } else {
                tc_wide_run_1(sums, from, 0, factors, length);
            }
        }
    }
}

TC_INLINE void tc_wide_conv2d(const int16_t *input, int16_t *output, const int8_t *weights,
                              const tc_wide_channel *channels, const tc_wide_conv2d_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t taps = window->kernel_height * window->kernel_width * depth;
    const int32_t outputs = shape->output_channels / shape->groups;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            int32_t count;
            for (int32_t channel = 0; channel < shape->output_channels; channel += count) {
                const int32_t group = channel / outputs;
                count = (group + 1) * outputs - channel >= 4 ? 4 : 1;
                int64_t sums[4];
                for (int32_t i = 0; i < count; ++i) {
                    sums[i] = tc_wide_start(&channels[channel + i], &shape->range);
                }
                tc_wide_conv2d_sums(sums, input + group * depth, weights + channel * taps, count, rows, columns, shape);
                for (int32_t i = 0; i < count; ++i) {
                    *output++ = tc_wide_requantize(sums[i], &channels[channel + i], &shape->range);
                }
            }
        }
    }
}

typedef struct tc_wide_depthwise_shape {
    tc_window window;
    int32_t input_channels;
    int32_t output_channels;
    tc_wide_range range;
} tc_wide_depthwise_shape;

TC_INLINE void tc_wide_depthwise(const int16_t *input, int16_t *output, const int8_t *weights,
                                 const tc_wide_channel *channels, const tc_wide_depthwise_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t multiplier = shape->output_channels / shape->input_channels;
    const int32_t step = window->dilation_x * shape->input_channels;
    for (int32_t oy = 0; oy < window->output_height; ++oy) {
        const tc_taps rows = tc_window_rows(window, oy);
        for (int32_t ox = 0; ox < window->output_width; ++ox) {
            const tc_taps columns = tc_window_columns(window, ox);
            for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                int64_t sum = tc_wide_start(&channels[channel], &shape->range);
                for (int32_t i = 0; i < rows.count; ++i) {
                    const int32_t y = rows.position + i * window->dilation_y;
                    const int32_t tap = (rows.first + i) * window->kernel_width + columns.first;
                    const int16_t *x = input + (y * window->input_width + columns.position) * shape->input_channels +
                                       channel / multiplier;
                    const int8_t *factor = weights + tap * shape->output_channels + channel;
                    for (int32_t j = 0; j < columns.count; ++j) {
                        sum += x[j * step] * factor[j * shape->output_channels];
                    }
                }
                *output++ = tc_wide_requantize(sum, &channels[channel], &shape->range);
            }
        }
    }
}

typedef struct tc_wide_fully_connected_shape {
    int32_t rows;
    int32_t inputs;
    int32_t outputs;
    tc_wide_range range;
} tc_wide_fully_connected_shape;

TC_INLINE void tc_wide_fully_connected(const int16_t *input, int16_t *output, const int8_t *weights,
                                       const tc_wide_channel *channels, const tc_wide_fully_connected_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        int32_t count;
        for (int32_t channel = 0; channel < shape->outputs; channel += count) {
            count = shape->outputs - channel >= 4 ? 4 : 1;
            int64_t sums[4];
            for (int32_t i = 0; i < count; ++i) {
                sums[i] = tc_wide_start(&channels[channel + i], &shape->range);
            }
            if (count == 4) {
                tc_wide_run_4(sums, input, 0, weights + channel * shape->inputs, shape->inputs, shape->inputs);
            } else {
                tc_wide_run_1(sums, input, 0, weights + channel * shape->inputs, shape->inputs);
            }
            for (int32_t i = 0; i < count; ++i) {
                *output++ = tc_wide_requantize(sums[i], &channels[channel + i], &shape->range);
            }
        }
        input += shape->inputs;
    }
}

#ifdef __cplusplus
}
#endif

#endif
