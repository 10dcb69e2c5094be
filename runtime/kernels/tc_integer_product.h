/* SPDX-License-Identifier: 0BSD */
/*
 * Products of int8 matrices, and convolutions of int8 images, whose zero points are values of the model.
 *
 * A result is the sum of (x - x_zero) * (w - w_zero): an int32, or, with scales, a float: the sum as a float, times the
 * scale, plus the bias, each rounded once, within bounds. Sums are modulo 2^32.
 */
#ifndef TC_INTEGER_PRODUCT_H
#define TC_INTEGER_PRODUCT_H

#include <stdint.h>

#include "cmsis_shim/tc_simd.h"
#include "kernels/tc_dot.h"
#include "kernels/tc_float_bounds.h"
#include "kernels/tc_float_exact.h"
#include "kernels/tc_hybrid_dot.h"
#include "kernels/tc_inline.h"
#include "kernels/tc_patch.h"
#include "kernels/tc_requant.h"
#include "kernels/tc_window.h"

#ifdef __cplusplus
extern "C" {
#endif

/* A column of the second matrix, or an output channel. */
typedef struct tc_integer_channel {
    int32_t weight_sum; /* minus the zero points */
    int32_t zero_point;
} tc_integer_channel;

typedef struct tc_integer_form {
    int32_t zero_points;    /* whether some zero point of the weights may be other than 0 */
    int32_t scales;         /* 0: results are int32; 1: one scale; else one for each channel */
    int32_t biases;         /* 0; 1: one for all; else one for each channel */
    tc_float_bounds bounds; /* of float results */
} tc_integer_form;

/* What products become. */
typedef struct tc_integer_finish {
    const tc_integer_channel *channels;
    const float *scale;
    const float *bias;
    float one_scale;    /* of all channels, or the first one's */
    int32_t zero_point; /* of the vectors */
} tc_integer_finish;

TC_INLINE tc_integer_finish tc_integer_finish_of(const tc_integer_channel *channels, const float *scale,
                                                 const float *bias, const int8_t *zero_point,
                                                 const tc_integer_form *form)
{
    const float one_scale = form->scales == 0 ? 0.0f : scale[0];
    const tc_integer_finish finish = {channels, scale, bias, one_scale, *zero_point};
    return finish;
}

/* Result number `index` of a channel. */
TC_INLINE void tc_integer_store(void *output, int32_t index, int32_t channel, int32_t sum,
                                const tc_integer_finish *finish, const tc_integer_form *form)
{
    if (form->scales == 0) {
        ((int32_t *)output)[index] = sum;
        return;
    }
    const float scale = form->scales == 1 ? finish->one_scale : finish->scale[channel];
    const float product = tc_opaque((float)sum * scale);
    float *const real = (float *)output + index;
    const float biased = form->biases == 0 ? product : tc_opaque(product + finish->bias[form->biases == 1 ? 0 : channel]);
    *real = tc_float_bounded(biased, &form->bounds);
}

/* The sum of raw products without what zero points add to it; `total` is the sum of the vector. */
TC_INLINE int32_t tc_integer_centred(int32_t sum, int32_t channel, int32_t total, const tc_integer_finish *finish,
                                     const tc_integer_form *form)
{
    const tc_integer_channel *const of = finish->channels + channel;
    uint32_t extra = (uint32_t)of->weight_sum * (uint32_t)finish->zero_point;
    if (form->zero_points) {
        extra += (uint32_t)of->zero_point * (uint32_t)total;
    }
    return (int32_t)((uint32_t)sum - extra);
}

/* A vector times `outputs` rows of a matrix, which are channels from `first` on; output: its first result. */
TC_INLINE void tc_integer_products(const int8_t *vector, void *output, const int8_t *weights, tc_dot4 *dot,
                                   int32_t depth, int32_t outputs, int32_t first, const tc_integer_finish *finish,
                                   const tc_integer_form *form)
{
    const int32_t total = form->zero_points ? tc_total_s8(vector, depth) : 0;
    if (outputs < 4) {
        for (int32_t i = 0; i < outputs; ++i) {
            const int32_t sum = tc_dot_s8(vector, weights + i * depth, depth);
            const int32_t centred = tc_integer_centred(sum, first + i, total, finish, form);
            tc_integer_store(output, i, first + i, centred, finish, form);
        }
        return;
    }
    for (int32_t next = 0; next < outputs; next += 4) {
        const int32_t row = tc_min(next, outputs - 4);
        int32_t sums[4] = {0, 0, 0, 0};
        dot(vector, weights + row * depth, depth, depth, sums);
        for (int32_t i = 0; i < 4; ++i) {
            const int32_t centred = tc_integer_centred(sums[i], first + row + i, total, finish, form);
            tc_integer_store(output, row + i, first + row + i, centred, finish, form);
        }
    }
}

typedef struct tc_matmul_integer_shape {
    int32_t batch[3]; /* loops over matrices */
    int32_t a_stride[3];
    int32_t b_stride[3];
    int32_t rows;
    int32_t depth;
    int32_t columns;
    int32_t zero_point_step; /* of the second matrix: 0 if its columns share one */
    tc_integer_form form;
} tc_matmul_integer_shape;

/* One pair of matrices; b [columns][depth]. */
TC_INLINE void tc_matmul_integer_one(const int8_t *a, const int8_t *b, void *output, tc_dot4 *dot,
                                     const tc_integer_finish *finish, const tc_matmul_integer_shape *shape)
{
    for (int32_t row = 0; row < shape->rows; ++row) {
        tc_integer_products(a, (int32_t *)output + row * shape->columns, b, dot, shape->depth, shape->columns, 0, finish,
                            &shape->form);
        a += shape->depth;
    }
}

TC_INLINE int32_t tc_matmul_integer_place(const int32_t stride[3], int32_t i, int32_t j, int32_t k)
{
    return i * stride[0] + j * stride[1] + k * stride[2];
}

/*
 * Matrices that are known: b [matrices][columns][depth], turned; channels [matrices][columns].
 *
 * a       [matrices][rows][depth]
 * output  [matrices][rows][columns], int32 or float
 */
TC_INLINE void tc_matmul_integer(const int8_t *a, const int8_t *b, const int8_t *a_zero,
                                 const tc_integer_channel *channels, const float *scale, const float *bias,
                                 void *output, tc_dot4 *dot, const tc_matmul_integer_shape *shape)
{
    int32_t *next = (int32_t *)output;
    tc_integer_finish finish = tc_integer_finish_of(channels, scale, bias, a_zero, &shape->form);
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                const int32_t place = tc_matmul_integer_place(shape->b_stride, i, j, k);
                finish.channels = channels + place / shape->depth;
                tc_matmul_integer_one(a + tc_matmul_integer_place(shape->a_stride, i, j, k), b + place, next, dot,
                                      &finish, shape);
                next += shape->rows * shape->columns;
            }
        }
    }
}

/* A matrix [depth][columns] turned, and its channels. */
TC_INLINE void tc_matmul_integer_turn(const int8_t *b, const int8_t *b_zero, int8_t *turned,
                                      tc_integer_channel *channels, const tc_matmul_integer_shape *shape)
{
    for (int32_t column = 0; column < shape->columns; ++column) {
        int32_t sum = 0;
        for (int32_t i = 0; i < shape->depth; ++i) {
            const int8_t value = b[i * shape->columns + column];
            *turned++ = value;
            sum += value;
        }
        const int32_t zero_point = b_zero[column * shape->zero_point_step];
        channels[column].weight_sum = sum - shape->depth * zero_point;
        channels[column].zero_point = zero_point;
    }
}

/* The same for matrices that are computed, b [matrices][depth][columns]; scratch: channels, and a matrix. */
TC_INLINE void tc_matmul_integer_turning(const int8_t *a, const int8_t *b, const int8_t *a_zero, const int8_t *b_zero,
                                         const float *scale, const float *bias, void *output, void *scratch,
                                         tc_dot4 *dot, const tc_matmul_integer_shape *shape)
{
    int32_t *next = (int32_t *)output;
    tc_integer_channel *const channels = (tc_integer_channel *)scratch;
    int8_t *const turned = (int8_t *)(channels + shape->columns);
    const tc_integer_finish finish = tc_integer_finish_of(channels, scale, bias, a_zero, &shape->form);
    for (int32_t i = 0; i < shape->batch[0]; ++i) {
        for (int32_t j = 0; j < shape->batch[1]; ++j) {
            for (int32_t k = 0; k < shape->batch[2]; ++k) {
                tc_matmul_integer_turn(b + tc_matmul_integer_place(shape->b_stride, i, j, k), b_zero, turned, channels,
                                       shape);
                tc_matmul_integer_one(a + tc_matmul_integer_place(shape->a_stride, i, j, k), turned, next, dot, &finish,
                                      shape);
                next += shape->rows * shape->columns;
            }
        }
    }
}

typedef struct tc_conv_integer_shape {
    tc_window window;
    int32_t batch;
    int32_t input_channels;
    int32_t output_channels;
    int32_t groups;
    int32_t direct; /* a window is a pixel: nothing is copied */
    tc_integer_form form;
} tc_conv_integer_shape;

/*
 * input    [batch][input_height][input_width][input_channels]
 * weights  [output_channels][kernel_height][kernel_width][input_channels / groups]
 * output   [batch][output_height][output_width][output_channels], int32 or float
 * scratch  what is under a window
 */
TC_INLINE void tc_conv_integer(const int8_t *input, const int8_t *weights, const int8_t *zero_point,
                               const tc_integer_channel *channels, const float *scale, const float *bias, void *output,
                               void *scratch, tc_dot4 *dot, const tc_conv_integer_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels / shape->groups;
    const int32_t outputs = shape->output_channels / shape->groups;
    const int32_t taps = depth * window->kernel_height * window->kernel_width;
    const tc_integer_finish finish = tc_integer_finish_of(channels, scale, bias, zero_point, &shape->form);
    int32_t *next = (int32_t *)output;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oy = 0; oy < window->output_height; ++oy) {
            for (int32_t ox = 0; ox < window->output_width; ++ox) {
                for (int32_t group = 0; group < shape->groups; ++group) {
                    const int8_t *vector = input + (oy * window->output_width + ox) * depth;
                    if (!shape->direct) {
                        vector = (const int8_t *)scratch;
                        tc_patch(input + group * depth, (int8_t *)scratch, oy, ox, finish.zero_point, window,
                                 shape->input_channels, depth);
                    }
                    const int32_t first = group * outputs;
                    tc_integer_products(vector, next + first, weights + first * taps, dot, taps, outputs, first, &finish,
                                        &shape->form);
                }
                next += shape->output_channels;
            }
        }
        input += window->input_height * window->input_width * shape->input_channels;
    }
}

/* One result of a depthwise convolution; `pixel` and `weight` are the first tap's. */
TC_INLINE int32_t tc_depthwise_integer_sum(const int8_t *pixel, const int8_t *weight, tc_taps rows, tc_taps columns,
                                           int32_t channel, const tc_integer_finish *finish,
                                           const tc_conv_integer_shape *shape)
{
    const tc_window *window = &shape->window;
    int32_t sum = 0;
    int32_t total = 0;
    for (int32_t i = 0; i < rows.count; ++i) {
        for (int32_t j = 0; j < columns.count; ++j) {
            const int32_t centred = pixel[j * window->dilation_x * shape->input_channels] - finish->zero_point;
            sum = tc_wrapping_add(sum, centred * weight[j * shape->output_channels]);
            total += centred;
        }
        pixel += window->dilation_y * window->input_width * shape->input_channels;
        weight += window->kernel_width * shape->output_channels;
    }
    return shape->form.zero_points ? tc_wrapping_add(sum, -(total * finish->channels[channel].zero_point)) : sum;
}

/*
 * One output channel, or several, for each input channel; weights [kernel_height][kernel_width][output_channels], and
 * otherwise as tc_conv_integer.
 */
TC_INLINE void tc_depthwise_integer(const int8_t *input, const int8_t *weights, const int8_t *zero_point,
                                    const tc_integer_channel *channels, const float *scale, const float *bias,
                                    void *output, const tc_conv_integer_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t multiplier = shape->output_channels / shape->input_channels;
    const tc_integer_finish finish = tc_integer_finish_of(channels, scale, bias, zero_point, &shape->form);
    int32_t *next = (int32_t *)output;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oy = 0; oy < window->output_height; ++oy) {
            const tc_taps rows = tc_window_rows(window, oy);
            for (int32_t ox = 0; ox < window->output_width; ++ox) {
                const tc_taps columns = tc_window_columns(window, ox);
                const int32_t place = rows.position * window->input_width + columns.position;
                const int8_t *pixel = input + place * shape->input_channels;
                const int8_t *tap =
                    weights + (rows.first * window->kernel_width + columns.first) * shape->output_channels;
                for (int32_t channel = 0; channel < shape->output_channels; ++channel) {
                    const int32_t sum = tc_depthwise_integer_sum(pixel + channel / multiplier, tap + channel, rows,
                                                                 columns, channel, &finish, shape);
                    tc_integer_store(next, channel, channel, sum, &finish, &shape->form);
                }
                next += shape->output_channels;
            }
        }
        input += window->input_height * window->input_width * shape->input_channels;
    }
}

/*
 * Four channels under one position of the window; sums of products, and totals of the image minus its zero point: in 16
 * bits, of channels 0 and 2, then of 1 and 3.
 */
TC_INLINE void tc_depthwise_integer_tap(const int8_t *pixel, const int8_t *weights, uint32_t minus, int32_t sums[4],
                                        uint32_t totals[2], const tc_integer_form *form)
{
    uint32_t lanes[2];
    tc_hybrid_tap(pixel, weights, minus, sums, lanes);
    if (form->zero_points) {
        totals[0] = tc_sadd16(totals[0], lanes[0]);
        totals[1] = tc_sadd16(totals[1], lanes[1]);
    }
}

/* What the weights' zero points of four channels add to their sums. */
TC_INLINE void tc_depthwise_integer_centre(const tc_integer_channel *channels, const uint32_t totals[2],
                                           int32_t sums[4])
{
    for (int32_t i = 0; i < 4; ++i) {
        const int32_t total = (int16_t)(uint16_t)(totals[i % 2] >> (i < 2 ? 0 : 16) & 0xFFFFu);
        sums[i] = tc_wrapping_add(sums[i], -(total * channels[i].zero_point));
    }
}

/* The same where there is an output per channel, 4 n channels, and a window of at most 128 positions: four at once. */
TC_INLINE void tc_depthwise_integer_lanes(const int8_t *input, const int8_t *weights, const int8_t *zero_point,
                                          const tc_integer_channel *channels, const float *scale, const float *bias,
                                          void *output, const tc_conv_integer_shape *shape)
{
    const tc_window *window = &shape->window;
    const int32_t depth = shape->input_channels;
    const tc_integer_finish finish = tc_integer_finish_of(channels, scale, bias, zero_point, &shape->form);
    const uint32_t minus = tc_lanes(-finish.zero_point, -finish.zero_point);
    int32_t *next = (int32_t *)output;
    for (int32_t n = 0; n < shape->batch; ++n) {
        for (int32_t oy = 0; oy < window->output_height; ++oy) {
            const tc_taps rows = tc_window_rows(window, oy);
            for (int32_t ox = 0; ox < window->output_width; ++ox, next += depth) {
                const tc_taps columns = tc_window_columns(window, ox);
                const int8_t *pixel = input + (rows.position * window->input_width + columns.position) * depth;
                const int8_t *tap = weights + (rows.first * window->kernel_width + columns.first) * depth;
                for (int32_t channel = 0; channel < depth; channel += 4) {
                    int32_t sums[4] = {0, 0, 0, 0};
                    uint32_t totals[2] = {0, 0};
                    for (int32_t i = 0; i < rows.count; ++i) {
                        const int8_t *value = pixel + channel + i * window->dilation_y * window->input_width * depth;
                        const int8_t *factor = tap + channel + i * window->kernel_width * depth;
                        for (int32_t j = 0; j < columns.count; ++j) {
                            tc_depthwise_integer_tap(value, factor, minus, sums, totals, &shape->form);
                            value += window->dilation_x * depth;
                            factor += depth;
                        }
                    }
                    if (shape->form.zero_points) {
                        tc_depthwise_integer_centre(channels + channel, totals, sums);
                    }
                    for (int32_t i = 0; i < 4; ++i) {
                        tc_integer_store(next, channel + i, channel + i, sums[i], &finish, &shape->form);
                    }
                }
            }
        }
        input += window->input_height * window->input_width * depth;
    }
}

#ifdef __cplusplus
}
#endif

#endif
