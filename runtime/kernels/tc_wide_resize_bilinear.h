/* SPDX-License-Identifier: 0BSD */
/*
 * Resizing of int16 images by linear interpolation, as tc_resize_bilinear.h does it for int8, but for its roundings that cut
 * fractions off.
 *
 * input    [input_height][input_width][channels], int16
 * output   [output_height][output_width][channels], int16
 */
#ifndef TC_WIDE_RESIZE_BILINEAR_H
#define TC_WIDE_RESIZE_BILINEAR_H

#include <stdint.h>

#include "kernels/tc_inline.h"
#include "kernels/tc_resize_bilinear.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The inputs around an output pixel and their weights, which add up to 2^bits. */
typedef struct tc_wide_corners {
    const int16_t *input[4];
    int32_t weight[4];
} tc_wide_corners;

/* Halves away from zero, or to even of the number minus the zero point. */
TC_INLINE int16_t tc_wide_interpolated(const tc_wide_corners *corners, int32_t channel,
                                       const tc_resize_bilinear_shape *shape)
{
    const int32_t bits = shape->row_bits + shape->column_bits;
    if (bits <= 14) { /* the sum of products fits in 32 bits */
        int32_t sum = corners->input[0][channel] * corners->weight[0];
        sum += corners->input[1][channel] * corners->weight[1];
        sum += corners->input[2][channel] * corners->weight[2];
        sum += corners->input[3][channel] * corners->weight[3];
        return (int16_t)(bits == 0 ? sum : tc_resize_rounded(sum, bits, shape));
    }
    int64_t sum = (int64_t)corners->input[0][channel] * corners->weight[0];
    sum += (int64_t)corners->input[1][channel] * corners->weight[1];
    sum += (int64_t)corners->input[2][channel] * corners->weight[2];
    sum += (int64_t)corners->input[3][channel] * corners->weight[3];
    const int64_t even = (((sum >> bits) ^ shape->parity) & 1) - 1;
    const int64_t half = (int64_t)1 << (bits - 1);
    return (int16_t)((sum + half + (shape->rounding == TC_RESIZE_EVEN ? even : sum >> 63)) >> bits);
}

TC_INLINE void tc_wide_resize_bilinear(const int16_t *input, int16_t *output, const tc_between *rows,
                                       const tc_between *columns, const tc_resize_bilinear_shape *shape)
{
    const int32_t channels = shape->channels;
    for (int32_t y = 0; y < shape->output_height; ++y) {
        const int32_t below = rows[y].weight;
        const int32_t above = (1 << shape->row_bits) - below;
        const int16_t *upper = input + rows[y].lower * shape->input_width * channels;
        const int16_t *lower = input + rows[y].upper * shape->input_width * channels;
        for (int32_t x = 0; x < shape->output_width; ++x) {
            const int32_t left = columns[x].lower * channels;
            const int32_t right = columns[x].upper * channels;
            const int32_t after = columns[x].weight;
            const int32_t before = (1 << shape->column_bits) - after;
            const tc_wide_corners corners = {
                {upper + left, upper + right, lower + left, lower + right},
                {above * before, above * after, below * before, below * after},
            };
            for (int32_t channel = 0; channel < channels; ++channel) {
                *output++ = tc_wide_interpolated(&corners, channel, shape);
            }
        }
    }
}

#ifdef __cplusplus
}
#endif

#endif
